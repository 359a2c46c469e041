"""The gallery on real samples and files: finding, starring, deleting, restarts, damage, and two programs at once."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.errors import Cancelled, OutputError, PictureError
from engine.generation import Generator, Sample, SamplingSettings, read_latent
from engine.generation.gallery import INDEX, KEEP, TRASH, TRASH_DAYS, Gallery, GalleryQuery
from engine.progress import CancelToken, Progress


@pytest.fixture(scope="module")
def samples(vae_path: Path) -> list[Sample]:
    """24 pictures of discs of all sizes and shades, with the seeds 100 to 123."""
    generator = Generator.load(vae_path)
    return generator.sample(SamplingSettings(), 24, 100)


@pytest.fixture
def gallery(tmp_path: Path) -> Gallery:
    return Gallery(tmp_path / "gallery")


def files(gallery: Gallery) -> dict[str, bytes]:
    """Content of every PNG file, by its place."""
    return {path.relative_to(gallery.folder).as_posix(): path.read_bytes() for path in gallery.folder.rglob("*.png")}


def test_what_was_added_is_found_newest_first_and_opens_to_the_same_bytes(
    gallery: Gallery, samples: list[Sample]
) -> None:
    first = gallery.add(samples[:4])
    second = gallery.add(samples[4:8])
    # The first of a grid stands first, and the newer grid before the older one.
    assert gallery.search() == [*second, *first]
    for id, sample in zip(second, samples[4:8], strict=True):
        entry, opened = gallery.entry(id), gallery.sample(id)
        np.testing.assert_array_equal(opened.pixels, sample.pixels)
        assert opened.latent == sample.latent
        assert (entry.model, entry.attributes, entry.seed) == ("discs", sample.latent.attributes, sample.latent.seed)
        assert not entry.starred
        assert entry.trashed is None
        assert read_latent(entry.path) == sample.latent


def test_a_restart_keeps_everything(gallery: Gallery, samples: list[Sample]) -> None:
    ids = gallery.add(samples)
    gallery.star(ids[3:5])
    gallery.trash(ids[:2])
    again = Gallery(gallery.folder)
    assert again.refresh() == gallery.overview()
    assert again.search() == ids[2:]
    assert again.search(GalleryQuery(starred=True)) == ids[3:5]
    assert set(again.search(GalleryQuery(trashed=True))) == set(ids[:2])


def test_the_same_picture_is_kept_once_and_becomes_the_newest(gallery: Gallery, samples: list[Sample]) -> None:
    ids = gallery.add(samples[:3])
    assert gallery.add([samples[2], samples[3]])[0] == ids[2]
    assert len(files(gallery)) == 4
    assert gallery.search()[0] == ids[2]
    gallery.trash([ids[0]])
    # One that was thrown away is made anew.
    assert gallery.add([samples[0]]) != [ids[0]]


def test_search_by_words_values_model_seed_and_star(gallery: Gallery, samples: list[Sample]) -> None:
    other = [Sample(s.pixels, replace(s.latent, model="rings-2", seed=7)) for s in samples[:2]]
    ids = gallery.add([*samples, *other])
    latents = [s.latent for s in [*samples, *other]]

    def expected(fits) -> list[int]:
        return [id for id, latent in zip(ids, latents, strict=True) if fits(latent)]

    def found(**query) -> list[int]:
        return gallery.search(GalleryQuery(**query))

    assert found(values={"size": "small"}) == expected(lambda one: one.attributes["size"] == "small")
    assert found(values={"size": "small", "shade": "dark"}) == expected(
        lambda one: one.attributes == {"size": "small", "shade": "dark"}
    )
    assert found(text="SMA dark") == found(values={"size": "small", "shade": "dark"})
    assert found(text="disc") == ids[:24]
    assert found(text="iscs") == []
    assert found(text="105") == found(seed=105) == [ids[5]]
    # A number is a whole one: not the beginning of every seed from 100 to 109.
    assert found(text="10") == []
    assert found(text="7") == ids[24:]
    assert found(model="rings-2") == ids[24:]
    assert found(text="rings small", model="discs") == []
    gallery.star([ids[5], ids[9]])
    assert found(starred=True) == [ids[5], ids[9]]
    assert found(starred=True, seed=105) == [ids[5]]
    for text in ("%", "_", "' OR 1=1 --", "\\", "  "):
        assert found(text=text) in ([], ids)
    assert found(seed=2**80) == []


def test_values_are_not_mixed_up_with_parts_of_others(gallery: Gallery, samples: list[Sample]) -> None:
    latent = samples[0].latent
    odd = [
        replace(latent, attributes={"hair": 'long "dark"', "hat": "none"}),
        replace(latent, attributes={"hair": "long", "hat": '", "hair": "short'}),
        replace(latent, attributes={"hair": "long dark", "hat": "höher"}),
    ]
    ids = gallery.add([Sample(samples[0].pixels, one) for one in odd])
    for id, one in zip(ids, odd, strict=True):
        assert gallery.search(GalleryQuery(values=one.attributes)) == [id]
    assert gallery.search(GalleryQuery(values={"hair": "short"})) == []
    assert gallery.search(GalleryQuery(text="HÖHER")) == [ids[2]]


def test_deleting_and_restoring_gives_the_same_file_back(gallery: Gallery, samples: list[Sample]) -> None:
    ids = gallery.add(samples[:6])
    gallery.star(ids[1:2])
    before = files(gallery)
    assert gallery.trash([ids[1], ids[4], 12345]) == [ids[1], ids[4]]
    assert gallery.search() == [ids[0], *ids[2:4], ids[5]]
    assert gallery.overview().trashed == 2
    assert gallery.trash([ids[1]]) == []
    assert set(gallery.restore([ids[4], ids[1]])) == {ids[1], ids[4]}
    assert gallery.search() == ids
    assert files(gallery) == before
    assert gallery.entry(ids[1]).starred
    assert not list((gallery.folder / TRASH).iterdir())


def test_only_what_is_in_the_trash_is_deleted_for_good(gallery: Gallery, samples: list[Sample]) -> None:
    ids = gallery.add(samples[:3])
    gallery.trash(ids[:1])
    assert gallery.delete_for_good(ids) == ids[:1]
    assert len(files(gallery)) == 2
    assert gallery.search(GalleryQuery(trashed=True)) == []
    with pytest.raises(PictureError, match="not in the gallery any more"):
        gallery.entry(ids[0])


def test_the_trash_forgets_what_is_old_and_nothing_else(gallery: Gallery, samples: list[Sample]) -> None:
    ids = gallery.add(samples[:3])
    gallery.trash(ids[:2])
    day = gallery.entry(ids[0]).path.parent
    old = day.with_name("2020-02-29")
    old.mkdir()
    path = gallery.entry(ids[0]).path
    path.rename(old / path.name)
    (old / "notes.txt").write_text("mine")
    assert gallery.refresh().trashed == 1
    assert gallery.search(GalleryQuery(trashed=True)) == [ids[1]]
    assert [left.name for left in old.iterdir()] == ["notes.txt"]
    assert TRASH_DAYS == 30


def test_what_is_restored_into_a_full_gallery_stays(tmp_path: Path, samples: list[Sample]) -> None:
    gallery = Gallery(tmp_path, keep=3)
    first = gallery.add(samples[:3])
    gallery.trash(first[:1])
    gallery.add(samples[3:6])
    assert gallery.restore(first[:1]) == first[:1]
    gallery.refresh()
    assert first[0] in gallery.search(GalleryQuery())


def test_the_newest_without_a_star_stay_and_older_ones_go_to_the_trash(tmp_path: Path, samples: list[Sample]) -> None:
    gallery = Gallery(tmp_path, keep=5)
    old = gallery.add(samples[:3])
    gallery.star(old[:1])
    new = gallery.add(samples[3:9])
    assert gallery.search() == [*new[:5], old[0]]
    assert set(gallery.search(GalleryQuery(trashed=True))) == {*old[1:], new[5]}
    assert KEEP == 10_000


@pytest.mark.parametrize(
    "damage", ["missing", "empty", "nonsense", "overwritten", "truncated", "foreign", "other version"]
)
def test_a_damaged_index_is_made_anew_from_the_files(gallery: Gallery, samples: list[Sample], damage: str) -> None:
    ids = gallery.add(samples)
    gallery.star(ids[2:4])
    gallery.trash(ids[5:7])
    kept = [
        gallery.search(),
        gallery.search(GalleryQuery(starred=True)),
        sorted(gallery.search(GalleryQuery(trashed=True))),
    ]
    entries, path = gallery.entries(ids), gallery.folder / INDEX
    data = bytearray(path.read_bytes())
    if damage == "missing":
        path.unlink()
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "nonsense":
        path.write_bytes(b"no database at all" * 500)
    elif damage == "overwritten":
        noise = random.Random(1)
        data[4096:] = noise.randbytes(len(data) - 4096)
        path.write_bytes(data)
    elif damage == "truncated":
        path.write_bytes(data[: len(data) // 2])
    else:
        path.unlink()
        index = sqlite3.connect(path)
        index.execute("CREATE TABLE pictures (something TEXT)")
        index.execute(f"PRAGMA user_version={1 if damage == 'foreign' else 99}")
        index.commit()
        index.close()
    again = Gallery(gallery.folder)
    if damage != "missing":  # one of them without a call that checks first
        again.refresh()
    assert [
        again.search(),
        again.search(GalleryQuery(starred=True)),
        sorted(again.search(GalleryQuery(trashed=True))),
    ] == kept
    assert again.entries(ids) == entries


def test_damage_met_in_the_middle_of_the_work_is_mended(gallery: Gallery, samples: list[Sample]) -> None:
    ids = gallery.add(samples[:5])
    (gallery.folder / INDEX).write_bytes(b"not any more" * 1000)
    assert gallery.trash(ids[:1]) == ids[:1]
    assert gallery.search() == ids[1:]


def test_foreign_and_broken_files_are_skipped_and_named(gallery: Gallery, samples: list[Sample]) -> None:
    ids = gallery.add(samples[:2])
    good = gallery.entry(ids[0]).path
    Image.new("RGB", (8, 8)).save(gallery.folder / "holiday.png")
    (gallery.folder / "half.png").write_bytes(good.read_bytes()[:-40])
    (gallery.folder / "text.png").write_text("no picture")
    (gallery.folder / "notes.txt").write_text("none of its business")
    (gallery.folder / ".being-written.png").write_text("none of its business either")
    overview = gallery.refresh()
    assert set(overview.skipped) == {"holiday.png", "half.png", "text.png"}
    assert "carries no latent" in overview.skipped["holiday.png"]
    assert "damaged" in overview.skipped["half.png"]
    assert gallery.search() == ids
    # Put right, it is taken in; taken away, it is not named any more.
    (gallery.folder / "half.png").write_bytes(gallery.entry(ids[1]).path.read_bytes())
    (gallery.folder / "holiday.png").unlink()
    overview = gallery.refresh()
    assert set(overview.skipped) == {"text.png"}
    assert overview.kept == 3


def test_forged_metadata_is_skipped(gallery: Gallery, samples: list[Sample]) -> None:
    from PIL.PngImagePlugin import PngInfo

    gallery.folder.mkdir()
    latent = samples[0].latent
    for name, text in (
        ("seed", replace(latent, seed=2**70).to_json()),
        ("nothing", "{}"),
        ("deep", "[" * 100_000),
        ("nan", latent.to_json().replace('"temperature": 1.0', '"temperature": NaN')),
    ):
        info = PngInfo()
        info.add_itxt("latent-studio", text)
        Image.new("RGB", (8, 8)).save(gallery.folder / f"{name}.png", pnginfo=info)
    assert set(gallery.refresh().skipped) == {"seed.png", "nothing.png", "deep.png", "nan.png"}


def test_files_that_people_move_are_followed(gallery: Gallery, samples: list[Sample], tmp_path: Path) -> None:
    ids = gallery.add(samples[:4])
    gone = gallery.entry(ids[0]).path
    gone.unlink()
    with pytest.raises(PictureError):
        gallery.sample(ids[0])
    assert gallery.trash(ids[:1]) == []
    kept = gallery.entry(ids[1]).path
    kept.rename(kept.with_suffix(".starred.png"))
    other = Gallery(tmp_path / "other")
    moved = other.entry(other.add(samples[10:11])[0]).path
    moved.rename(gallery.folder / moved.name)
    gallery.refresh()
    assert gallery.search(GalleryQuery(starred=True)) == [ids[1]]
    assert set(gallery.search()) == {*ids[1:], *other.search()}
    assert gallery.search(GalleryQuery(seed=110)) == other.search()


def test_nothing_that_lies_in_the_way_is_replaced(gallery: Gallery, samples: list[Sample], tmp_path: Path) -> None:
    ids = gallery.add(samples[:2])
    gallery.trash(ids[:1])
    trashed = gallery.entry(ids[0]).path
    (gallery.folder / trashed.name).write_text("somebody else's")
    gallery.restore(ids[:1])
    assert (gallery.folder / trashed.name).read_text() == "somebody else's"
    np.testing.assert_array_equal(gallery.sample(ids[0]).pixels, samples[0].pixels)
    target = tmp_path / "out"
    copies = gallery.export(ids, target) + gallery.export(ids, target)
    assert len(set(copies)) == len(list(target.iterdir())) == 4
    assert copies[0].read_bytes() == gallery.entry(ids[0]).path.read_bytes()


def test_reading_reports_progress_and_can_be_cancelled_and_goes_on_later(
    gallery: Gallery, samples: list[Sample]
) -> None:
    ids = gallery.add(samples)
    (gallery.folder / INDEX).unlink()
    steps: list[Progress] = []
    cancel = CancelToken()

    def progress(step: Progress) -> None:
        steps.append(step)
        if step.done == 10:
            cancel.cancel()

    with pytest.raises(Cancelled):
        gallery.refresh(progress=progress, cancel=cancel)
    assert [step.done for step in steps] == list(range(11))
    assert steps[0].total == len(samples)
    assert gallery.search() == ids


ADDING = """
import sys
from dataclasses import replace
from pathlib import Path
from engine.generation import Sample
from engine.generation.gallery import Gallery
from engine.generation.latent import Latent
import numpy as np
folder, first = Path(sys.argv[1]), int(sys.argv[2])
gallery = Gallery(folder)
for seed in range(first, first + 40):
    latent = Latent("discs", "0" * 64, "style", (0.5,), {"size": "small"}, seed=seed)
    ids = gallery.add([Sample(np.full((8, 8, 3), seed % 256, np.uint8), latent)])
    if seed % 4 == 0:
        gallery.star(ids)
    if seed % 5 == 0:
        gallery.trash(ids)
"""


def test_two_programs_at_once_lose_nothing(gallery: Gallery) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    programs = [
        subprocess.Popen(
            [sys.executable, "-c", ADDING, str(gallery.folder), str(first)], env=environment, stderr=subprocess.PIPE
        )
        for first in (0, 40)
    ]
    for program in programs:
        _, errors = program.communicate(timeout=240)
        assert program.returncode == 0, errors.decode()
    before = gallery.overview()
    assert (before.kept, before.trashed, before.skipped) == (64, 16, {})
    assert before.starred == 16
    found = gallery.entries([*gallery.search(), *gallery.search(GalleryQuery(trashed=True))])
    assert sorted(entry.seed or 0 for entry in found) == list(range(80))
    assert gallery.refresh() == before


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path, samples: list[Sample]) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be made"):
        Gallery(tmp_path / "file" / "gallery").add(samples[:1])
    folder = tmp_path / "taken"
    (folder / INDEX).mkdir(parents=True)
    with pytest.raises(OutputError, match="index"):
        Gallery(folder).search()


def test_an_empty_gallery_answers(gallery: Gallery) -> None:
    assert gallery.search() == []
    assert gallery.overview().kept == 0
    assert gallery.trash([1]) == gallery.restore([1]) == gallery.delete_for_good([1]) == []
    assert gallery.add([]) == []
