"""Data sets of one's own and the project's: parts, labels, masks, and every fault named with its file."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from engine.data import DataSettings, data_settings, measuring_split, open_data, set_names
from engine.data.dataset import VariedPictures, hashed_share, held_out
from engine.errors import DataError, UsageError

ROOT = Path(__file__).resolve().parents[2]
RNG = np.random.default_rng(0)


def png(color: tuple[int, int, int] = (200, 30, 60), size: tuple[int, int] = (20, 16)) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", size, color).save(stream, "PNG")
    return stream.getvalue()


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def write_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def mask_png(numbers: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(numbers).save(stream, "PNG")
    return stream.getvalue()


def own(path: Path, **settings: object) -> DataSettings:
    return DataSettings.model_validate({"set": "folder", "path": path, **settings})


CLASSES = {
    f"{name}/{number:02d}.png": png((50 * number % 256, 9, 9)) for name in ("cat", "dog") for number in range(20)
}


@pytest.mark.parametrize("form", ["folder", "zip", "zip of a folder"])
def test_class_folders(tmp_path: Path, form: str) -> None:
    if form == "folder":
        path = write(tmp_path / "pets", CLASSES)
    else:
        top = "pets/" if form == "zip of a folder" else ""
        path = write_zip(tmp_path / "pets.zip", {top + name: data for name, data in CLASSES.items()})
    everything = open_data(own(path, split="all", size=8))
    train, validation = (open_data(own(path, split=split, size=8)) for split in ("train", "validation"))
    assert everything.attributes[0].values == ("cat", "dog")
    assert len(train) + len(validation) == len(everything) == 40 and len(validation) >= 1
    names = {train.file_name(index) for index in range(len(train))}
    assert not names & {validation.file_name(index) for index in range(len(validation))}
    batch = everything.batch(np.arange(40), RNG, False)
    assert batch.images.shape == (40, 3, 8, 8) and batch.labels is not None
    assert batch.labels[:, 0].tolist() == [0] * 20 + [1] * 20
    for row, index in zip(batch.images, range(40), strict=True):
        assert torch.equal(row, torch.from_numpy(everything.picture(index)).permute(2, 0, 1) / 255)


def test_parts_by_folder(tmp_path: Path) -> None:
    files = {f"{part}/{name}/1.png": png() for part in ("train", "val", "test") for name in ("a", "b")}
    write(tmp_path, {**files, ".hidden/x.png": png(), "notes.txt": b"text"})
    for split in ("train", "validation", "test"):
        data = open_data(own(tmp_path, split=split))
        assert len(data) == 2 and data.attributes[0].values == ("a", "b")
    assert len(open_data(own(tmp_path, split="all"))) == 6


def test_a_part_that_is_missing_is_named(tmp_path: Path) -> None:
    write(tmp_path, CLASSES)
    with pytest.raises(DataError, match="no pictures for its test part"):
        open_data(own(tmp_path, split="test"))


def test_photos_of_different_sizes(tmp_path: Path) -> None:
    sizes = ((30, 20), (40, 50), (10, 90), (33, 33))
    write(tmp_path, {f"{i}.png": png(size=size) for i, size in enumerate(sizes)})
    cropped = open_data(own(tmp_path, split="all", crop=24, flip=True))
    assert cropped.batch(np.arange(4), RNG, True).images.shape == (4, 3, 24, 24)
    assert cropped.batch(np.arange(4), RNG, False).images.shape == (4, 3, 24, 24)
    whole = open_data(own(tmp_path, split="all"))
    assert whole.batch(np.array([2]), RNG, False).images.shape == (1, 3, 90, 10)
    with pytest.raises(DataError, match="different sizes"):
        whole.batch(np.arange(2), RNG, False)
    squares = open_data(own(tmp_path, split="all", size=16, channels=1))
    assert squares.batch(np.arange(4), RNG, False).images.shape == (4, 1, 16, 16)


def test_only_free_photos_when_asked(tmp_path: Path) -> None:
    table = "file,licence,free_for_commercial_use\na.png,CC0,yes\nb.png,?,no\nc.png,CC0,yes\n"
    write(tmp_path, {"a.png": png(), "b.png": png(), "c.png": png(), "sources.csv": table.encode()})
    assert len(open_data(own(tmp_path, kind="photos", split="all"))) == 2
    assert len(open_data(own(tmp_path, kind="photos", split="all", free_licence_only=False))) == 3
    (tmp_path / "sources.csv").write_text("name\na.png\n")
    with pytest.raises(DataError, match=r"sources\.csv"):
        open_data(own(tmp_path, kind="photos"))


def pair_files(folder: str = "labels", count: int = 3) -> dict[str, bytes]:
    files = {}
    for index in range(count):
        numbers = np.zeros((16, 20), np.uint8)
        numbers[4:9, 5:15] = index % 3
        files[f"images/{index}.png"] = png()
        files[f"{folder}/{index}.png"] = mask_png(numbers)
    return files


@pytest.mark.parametrize("folder", ["labels", "masks"])
def test_pairs_stay_together_under_every_change(tmp_path: Path, folder: str) -> None:
    """The picture shows its own mask, so any change that moved one without the other would show."""
    rng = np.random.default_rng(3)
    for index in range(4):
        numbers = np.kron(rng.integers(0, 2, (6, 8)), np.ones((8, 8))).astype(np.uint8)
        picture = np.repeat(numbers[..., None] * 255, 3, axis=-1)
        write(tmp_path, {f"images/{index}.png": mask_png(picture), f"{folder}/{index}.png": mask_png(numbers)})
    changes = {"flip": True, "flip_vertical": True, "rotate": True, "crop": 32}
    for scale, agreement in (((1.0, 1.0), 1.0), ((0.7, 1.6), 0.93)):
        data = open_data(own(tmp_path, split="all", scale=scale, **changes))
        batch = data.batch(np.arange(4).repeat(8), rng, True)
        assert batch.masks is not None and batch.masks.dtype == torch.int64 and batch.masks.shape == (32, 32, 32)
        same = ((batch.images[:, 0] > 0.5).long() == batch.masks).float().mean()
        assert same >= agreement
    assert [one.name for one in data.classes] == ["Background", "Class 1"]


def test_jitter_stays_in_range_and_leaves_masks(tmp_path: Path) -> None:
    write(tmp_path, pair_files())
    data = open_data(own(tmp_path, split="all", brightness=0.5, contrast=0.5, invert=0.5))
    plain = data.batch(np.arange(3), RNG, False)
    changed = data.batch(np.arange(3), RNG, True)
    assert changed.images.min() >= 0.0 and changed.images.max() <= 1.0
    assert not torch.equal(plain.images, changed.images)
    assert plain.masks is not None and changed.masks is not None and torch.equal(plain.masks, changed.masks)


def test_named_classes(tmp_path: Path) -> None:
    table = "number,name,red,green,blue\n1,Cell,255,0,0\n0,Glass,0,0,0\n2,Dirt,1,2,3\n"
    write(tmp_path, {**pair_files(), "classes.csv": table.encode()})
    data = open_data(own(tmp_path, split="all"))
    assert [(one.name, one.color) for one in data.classes][1] == ("Cell", (255, 0, 0))
    (tmp_path / "classes.csv").write_text("number,name,red,green,blue\n0,Glass,0,0,0\n")
    with pytest.raises(DataError, match=r"classes\.csv"):
        open_data(own(tmp_path, split="all"))


def test_batches_repeat_with_the_same_random_state(tmp_path: Path) -> None:
    write(tmp_path, pair_files())
    settings = own(tmp_path, split="all", crop=12, scale=(0.8, 1.5), flip=True, rotate=True, brightness=0.2, invert=0.5)
    data = open_data(settings)
    first, second, other = (data.batch(np.arange(3), np.random.default_rng(seed), True) for seed in (5, 5, 6))
    assert torch.equal(first.images, second.images) and not torch.equal(first.images, other.images)


def test_limit_is_a_fixed_draw_over_all_classes(tmp_path: Path) -> None:
    write(tmp_path, CLASSES)
    data = open_data(own(tmp_path, split="all", limit=12))
    names = [data.file_name(index) for index in range(len(data))]
    assert len(names) == 12 and {name.split("/")[0] for name in names} == {"cat", "dog"}
    again = open_data(own(tmp_path, split="all", limit=12))
    assert names == [again.file_name(index) for index in range(len(again))]


def broken_sets(folder: Path) -> list[tuple[Path, str]]:
    cut = png(size=(300, 300))[:-400]
    lonely = pair_files()
    del lonely["labels/1.png"]
    coloured = {**pair_files(), "labels/2.png": png()}
    odd = {**pair_files(), "labels/2.png": mask_png(np.zeros((5, 5), np.uint8))}
    damaged = {**pair_files(), "labels/0.png": mask_png(np.zeros((16, 20), np.uint8))[:40]}
    (folder / "bad.zip").write_bytes(b"PK no zip")
    return [
        (write(folder / "cut", {**CLASSES, "cat/99.png": cut}), r"cat/99\.png is damaged"),
        (write_zip(folder / "cut.zip", {**CLASSES, "cat/98.png": cut}), r"cut\.zip/cat/98\.png is damaged"),
        (write(folder / "lonely", lonely), r"images/1\.png has no mask"),
        (write(folder / "coloured", coloured), r"labels/2\.png is a colour picture"),
        (write(folder / "odd", odd), r"images/2\.png has 5x5 pixels"),
        (write(folder / "damaged", damaged), r"labels/0\.png cannot be read"),
        (write(folder / "none", {"readme.txt": b"x"}), "holds no pictures"),
        (folder / "bad.zip", r"bad\.zip is not a readable zip"),
        (folder / "nowhere", "There is no folder or zip file"),
    ]


def test_faults_name_the_file(tmp_path: Path) -> None:
    for path, sentence in broken_sets(tmp_path):
        with pytest.raises(DataError, match=sentence):
            open_data(own(path, split="all"))


def test_a_missing_set_says_where_it_was_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATENT_STUDIO_DATA", str(tmp_path / "elsewhere"))
    for name in set(set_names()) - {"samples"}:  # those come with the program
        settings = data_settings(name)
        with pytest.raises(DataError, match="was not found") as caught:
            open_data(settings.model_copy(update={"split": measuring_split(settings)}), [tmp_path / "root"])
        assert str(tmp_path / "root") in str(caught.value) and str(tmp_path / "elsewhere") in str(caught.value)
        assert "--data-root" in str(caught.value)
    with pytest.raises(UsageError, match="Did you mean 'mnist'"):
        open_data(DataSettings(set="mnits"))
    with pytest.raises(UsageError, match="Did you mean 'kodak'"):
        data_settings("kodk")


def test_broken_digits_are_named(tmp_path: Path) -> None:
    write(tmp_path / "MNIST", {"raw/train-images-idx3-ubyte": b"junk"})
    with pytest.raises(DataError, match="MNIST"):
        open_data(DataSettings(set="mnist"), [tmp_path])


def test_settings_that_contradict_themselves() -> None:
    for wrong in (
        {"set": "mnist", "path": "x"},
        {"set": "folder"},
        {"set": "mnist", "kind": "pairs"},
        {"set": "photos", "scale": (0.5, 2)},
        {"set": "photos", "crop": 64, "scale": (2, 1)},
        {"set": "photos", "unknown": 1},
        {"set": "photos", "size": 0},
    ):
        with pytest.raises(ValidationError):
            DataSettings.model_validate(wrong)


def test_held_out_share_is_fixed_for_ever() -> None:
    names = [f"{index:05d}.jpg" for index in range(16000)]
    assert 900 < len(held_out(names)) < 1100
    assert held_out(["a", "b"]) and len(held_out(["a", "b"])) == 1 and held_out(["a"]) == set()
    assert hashed_share("photo.jpg") == pytest.approx(0.4522, abs=1e-4)


def test_settings_and_recipes_need_no_torch() -> None:
    code = "import sys; from engine.data import DataSettings; assert 'torch' not in sys.modules; print(DataSettings)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)


# The project's own sets.


def test_digits_by_torchvision_beside_any_build_of_torch(shared_data: Path) -> None:
    """In a process of its own, where nothing has imported torchvision before."""
    code = """
import json, sys, warnings
warnings.simplefilter("error")
from pathlib import Path
import numpy as np
from engine.data import DataSettings, open_data
assert "torchvision" not in sys.modules
sizes = {}
for split in ("train", "validation", "test", "all"):
    data = open_data(DataSettings(set="mnist", split=split), [Path(sys.argv[1])])
    sizes[split] = len(data)
batch = data.batch(np.arange(10), np.random.default_rng(0), False)
print(json.dumps([sizes, batch.labels[:, 0].tolist(), list(batch.images.shape), data.attributes[0].values]))
"""
    command = [sys.executable, "-c", code, str(shared_data)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    sizes, labels, shape, values = json.loads(done.stdout)
    assert sizes["train"] + sizes["validation"] == 60_000 and 3500 < sizes["validation"] < 4000
    assert (sizes["test"], sizes["all"]) == (10_000, 70_000)
    assert labels == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4] and shape == [10, 1, 28, 28]
    assert values == list("0123456789")


def test_cartoon_faces_have_ten_attributes(shared_data: Path) -> None:
    data = open_data(DataSettings(set="cartoon-faces", split="test"), [shared_data])
    assert len(data) == 1000
    assert [len(attribute.values) for attribute in data.attributes] == [18, 7, 5, 4, 4, 6, 4, 6, 6, 8]
    batch = data.batch(np.arange(8), RNG, False)
    assert batch.images.shape == (8, 3, 64, 64) and batch.labels is not None and batch.labels.shape == (8, 10)
    # 64 pixels are the mean of 2x2 of the stored 128.
    whole = open_data(DataSettings(set="cartoon-faces", split="test", size=128, limit=8), [shared_data])
    fixed = next(i for i in range(len(data)) if data.file_name(i) == whole.file_name(0))
    halved = whole.picture(0).reshape(64, 2, 64, 2, 3).mean(axis=(1, 3))
    assert np.abs(data.picture(fixed) - halved).max() <= 1.0  # rounded once per direction


def test_a_covered_head_does_not_show_the_colour_of_its_hair(shared_data: Path) -> None:
    data = open_data(DataSettings(set="cartoon-faces", split="test"), [shared_data])
    names = [attribute.name for attribute in data.attributes]
    hair, beard, colour = (names.index(name) for name in ("hair", "facial_hair", "hair_color"))
    labels = data.batch(np.arange(len(data)), RNG, False).labels
    assert labels is not None and data.hidden is not None and data.hidden.shape == labels.shape
    for row, hidden in zip(labels.tolist(), data.hidden.tolist(), strict=True):
        head = data.attributes[hair].values[row[hair]]
        bare = head == "bald" and data.attributes[beard].values[row[beard]] == "none"
        assert hidden[colour] is (bare or head in ("hat", "hijab", "turban"))
        assert sum(hidden) == hidden[colour]


def test_fruits_validation_is_carved_out_of_train(shared_data: Path) -> None:
    data = open_data(DataSettings(set="fruits", split="validation"), [shared_data])
    assert len(data.attributes[0].values) == 26 and 300 < len(data) < 480
    assert data.file_name(0).startswith("train/")


def test_nuclei_number_single_objects(shared_data: Path) -> None:
    data = open_data(DataSettings(set="nuclei", split="validation", crop=256), [shared_data])
    assert isinstance(data, VariedPictures) and len(data) == 100 and data.instances
    assert [one.name for one in data.classes] == ["Background", "Nucleus"]
    batch = data.batch(np.arange(4), RNG, False)
    assert batch.masks is not None and batch.masks.shape == (4, 256, 256) and batch.masks.max() > 10


def test_street_scenes_have_eleven_classes_and_void(shared_data: Path) -> None:
    data = open_data(DataSettings(set="camvid", split="validation", limit=12), [shared_data])
    assert isinstance(data, VariedPictures) and len(data.classes) == 11 and data.ignored == 11
    assert data.classes[3].name == "Road" and data.classes[3].color == (128, 64, 128)
    assert max(int(mask.max()) for mask in (data.mask(i) for i in range(12)) if mask is not None) == 11


def test_photos_are_free_and_kodak_is_not_for_training(shared_data: Path) -> None:
    held = open_data(DataSettings(set="photos", split="validation", crop=64), [shared_data])
    assert 12 <= len(held) <= 40
    kodak = open_data(DataSettings(set="kodak", split="test", limit=2), [shared_data])
    assert kodak.picture(0).size == 768 * 512 * 3
    with pytest.raises(DataError, match="never trained"):
        open_data(DataSettings(set="kodak"), [shared_data])
