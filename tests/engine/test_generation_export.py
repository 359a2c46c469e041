"""What leaves the program: animations, labelled data sets, PNG files that restore everything, and forged ones."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from engine.data import DataSettings, open_data
from engine.errors import Cancelled, LatentStudioError, OutputError, PictureError, UsageError
from engine.generation import Generator, Latent, SamplingSettings, generator_of, read_latent, save_sample
from engine.generation.animation import save_animation
from engine.generation.edits import morph, vary
from engine.generation.labelled_set import export_labelled_set, folder_names
from engine.image import encode_png, open_picture
from engine.models.registry import resolve_model
from engine.paths import user_folder
from engine.progress import CancelToken, Progress


@pytest.fixture(scope="module")
def digits() -> Generator:
    return Generator.load("digits-cvae")


@pytest.fixture(scope="module")
def frames(digits: Generator) -> list[np.ndarray]:
    first, second = digits.sample(SamplingSettings({"digit": "3"}), 2, 0)
    return [sample.pixels for sample in morph(digits, first.latent, second.latent, 6)]


def read_back(path: Path) -> tuple[list[np.ndarray], list[int]]:
    with Image.open(path) as animation:
        pictures, durations = [], []
        for number in range(getattr(animation, "n_frames", 1)):
            animation.seek(number)
            animation.load()
            pictures.append(np.asarray(animation.convert("RGB")))
            durations.append(int(animation.info["duration"]))
        assert animation.info.get("loop") == 0
    return pictures, durations


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_animations_hold_every_frame(frames: list[np.ndarray], tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"morph{suffix}"
    save_animation(frames, path, 0.1, scale=3)
    pictures, durations = read_back(path)
    assert durations == [100] * len(frames)
    assert len(pictures) == len(frames)
    for picture, frame in zip(pictures, frames, strict=True):
        # Digits have 256 greys, which even a GIF keeps.
        assert np.array_equal(picture[1::3, 1::3], frame) and np.array_equal(picture[::3, ::3], frame)


def test_a_gif_of_colour_is_close(tmp_path: Path) -> None:
    faces = Generator.load("faces-cvae")
    pictures = [sample.pixels for sample in faces.sample(SamplingSettings(), 3, 0)]
    save_animation(pictures, tmp_path / "faces.gif", 0.5)
    back, _ = read_back(tmp_path / "faces.gif")
    assert all(np.abs(a.astype(int) - b).mean() < 4 for a, b in zip(back, pictures, strict=True))


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_an_mp4_is_written_where_ffmpeg_is(frames: list[np.ndarray], tmp_path: Path) -> None:
    save_animation([frame[:27, :27] for frame in frames], tmp_path / "morph.mp4", 0.1)
    assert (tmp_path / "morph.mp4").read_bytes()[4:8] == b"ftyp"


def test_an_mp4_without_ffmpeg_says_so(
    frames: list[np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OutputError, match=r"ffmpeg, which is not installed.*\.webp"):
        save_animation(frames, tmp_path / "morph.mp4")
    assert list(tmp_path.iterdir()) == []


def test_bad_animations_are_explained(frames: list[np.ndarray], tmp_path: Path) -> None:
    (tmp_path / "there.gif").touch()
    for call, error, words in (
        (lambda: save_animation(frames, tmp_path / "a.avi"), UsageError, "no animation"),
        (lambda: save_animation([], tmp_path / "a.gif"), UsageError, "needs pictures"),
        (lambda: save_animation([frames[0], frames[0][:5]], tmp_path / "a.gif"), UsageError, "one size"),
        (lambda: save_animation(frames, tmp_path / "a.gif", 0.0), UsageError, "seconds a picture"),
        (lambda: save_animation(frames, tmp_path / "a.gif", float("nan")), UsageError, "seconds a picture"),
        (lambda: save_animation(frames, tmp_path / "a.gif", scale=0), UsageError, "scale 0"),
        (lambda: save_animation(frames, tmp_path / "there.gif", overwrite=False), OutputError, "exists already"),
    ):
        with pytest.raises(error, match=words):
            call()
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        save_animation(frames, tmp_path / "a.gif", cancel=token)
    assert [path.name for path in tmp_path.iterdir()] == ["there.gif"]


def test_a_labelled_set_has_so_many_pictures_per_class_and_opens_as_a_data_set(
    digits: Generator, tmp_path: Path
) -> None:
    seen: list[Progress] = []
    written = export_labelled_set(digits, tmp_path / "set", 3, 100, progress=seen.append)
    assert written.files == 30 and seen[-1].fraction == 1.0 and len(seen) == 30
    for value in digits.attributes[0].values:
        files = sorted(written.classes[value].glob("*.png"))
        assert len(files) == 3
        assert {read_latent(file).attributes["digit"] for file in files} == {value}
    with (tmp_path / "set/manifest.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 30 and len({row["seed"] for row in rows}) == 30
    for row in rows[::7]:
        latent = read_latent(tmp_path / "set" / row["file"])
        assert (str(latent.seed), latent.attributes["digit"]) == (row["seed"], row["digit"])
        assert row["weights_sha256"] == digits.card.weights_sha256
        pixels = open_picture(tmp_path / "set" / row["file"]).pixels
        assert np.array_equal(digits.draw(latent), pixels)
    data = open_data(DataSettings(set="folder", path=tmp_path / "set", split="all", size=28, channels=1))
    assert len(data) == 30 and data.attributes[0].values == tuple("0123456789")
    sheet = open_picture(tmp_path / "set/sheet.png")
    assert (sheet.width, sheet.height) == (3 * 30 + 2, 10 * 30 + 2)


def test_a_labelled_set_of_faces_sorts_by_the_chosen_attribute(tmp_path: Path) -> None:
    faces = Generator.load("faces-cvae")
    other = faces.attributes[0]
    drawn_so = SamplingSettings({other.name: other.values[0]}, temperature=0.8)
    written = export_labelled_set(faces, tmp_path / "set", 1, 0, attribute="glasses", settings=drawn_so)
    values = next(a.values for a in faces.attributes if a.name == "glasses")
    assert list(written.classes) == list(values)
    for value, folder in written.classes.items():
        latents = [read_latent(path) for path in folder.iterdir()]
        assert [(one.attributes["glasses"], one.attributes[other.name], one.temperature) for one in latents] == [
            (value, other.values[0], 0.8)
        ]


def test_a_labelled_set_is_refused_or_stopped_cleanly(digits: Generator, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/notes.txt").write_text("mine")
    for call, error, words in (
        (lambda: export_labelled_set(digits, tmp_path / "full", 2, 0), OutputError, "not an empty folder"),
        (lambda: export_labelled_set(digits, tmp_path / "new", 0, 0), UsageError, "0 samples"),
        (lambda: export_labelled_set(digits, tmp_path / "new", 100_000, 0), UsageError, "100000 samples"),
        (lambda: export_labelled_set(digits, tmp_path / "new", 2, 0, attribute="digits"), UsageError, "Did you mean"),
    ):
        with pytest.raises(error, match=words):
            call()
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["notes.txt"]
    assert not (tmp_path / "new").exists()
    token = CancelToken()
    with pytest.raises(Cancelled):
        export_labelled_set(digits, tmp_path / "new", 4, 0, progress=lambda _: token.cancel(), cancel=token)
    assert not (tmp_path / "new/manifest.csv").exists()


def test_folder_names_suit_every_file_system() -> None:
    values = ["T-shirt/top", "T-shirt\\top", "..", "Été", "CON?", ""]
    names = folder_names(values)
    assert names[:2] == ["T-shirt-top", "T-shirt-top-2"] and names[3] == "Été"
    assert len({name.casefold() for name in names}) == len(values)
    assert all(name and not set(name) & set('/\\:*?"<>|') and name.strip(".") for name in names)


@pytest.mark.parametrize("name", ["digits-cvae", "faces-cvae"])
def test_a_saved_sample_restores_the_same_bytes(name: str, tmp_path: Path) -> None:
    wanted = SamplingSettings(guidance=1.4, temperature=0.9, diversity=0.3)
    sample = Generator.load(name).sample(wanted, 2, 17)[1]
    save_sample(sample, tmp_path / "sample.png")
    latent = read_latent(tmp_path / "sample.png")
    generator = generator_of(latent)
    assert generator.card.name == name
    assert np.array_equal(generator.draw(latent), open_picture(tmp_path / "sample.png").pixels)
    assert latent.seed is not None and SamplingSettings.of(latent) == wanted
    assert np.array_equal(generator.sample(SamplingSettings.of(latent), 1, latent.seed)[0].pixels, sample.pixels)


def test_the_version_with_the_same_weights_is_found(digits: Generator) -> None:
    """The user's own file of a shipped model's name shadows it, but pictures of the shipped one still come out."""
    latent = digits.sample(SamplingSettings(), 1, 0)[0].latent
    folder = user_folder("models")
    folder.mkdir(parents=True)
    shutil.copy(resolve_model("faces-cvae"), folder / "digits-cvae.safetensors")
    assert generator_of(latent).card.weights_sha256 == digits.card.weights_sha256


def with_text(path: Path, value: str, *, packed: bool = False) -> Path:
    chunks = PngImagePlugin.PngInfo()
    chunks.add_itxt("latent-studio", value, zip=packed)
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(path, pnginfo=chunks)
    return path


def forged(digits: Generator, **changes: object) -> str:
    content = json.loads(digits.sample(SamplingSettings(), 1, 0)[0].latent.to_json())
    return json.dumps({**content, **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {"guidance": 99.0},
        {"guidance": "much"},
        {"prior": "mine"},
        {"mix": [{"attribute": "digit", "value": "3", "weight": 7.0}]},
        {"mix": [{"attribute": "digit"}]},
        {"mix": [{"attribute": "digit", "value": "3", "weight": 0.1}] * 1000},
        {"drawn": ["digit"] * 1000},
        {"diversity": -1.0},
        {"values": [0.0] * 100_000},
        {"seed": "seven"},
        {"more": 1},
    ],
)
def test_forged_latents_are_refused(digits: Generator, tmp_path: Path, changes: dict[str, object]) -> None:
    path = with_text(tmp_path / "forged.png", forged(digits, **changes))
    with pytest.raises(PictureError, match=r"forged.png carries a latent that cannot be used.*not a latent"):
        read_latent(path)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
_SPACES = st.sampled_from(["style", "raw"])
_ONE_FIELD = st.sampled_from([field.name for field in fields(Latent)])
_NUMBERS = st.lists(st.floats(allow_nan=False), min_size=16, max_size=16)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(_ONE_FIELD, _JSON, max_size=2) | st.fixed_dictionaries({"values": _NUMBERS, "space": _SPACES}))
def test_whatever_a_file_claims_ends_in_a_picture_or_in_an_error_of_ours(
    digits: Generator, changes: dict[str, object]
) -> None:
    try:
        latent = Latent.from_json(forged(digits, **changes))
        assert digits.draw(latent).shape == (28, 28, 3)
        assert vary(digits, latent, 0.5, 1, 0)[0].pixels.shape == (28, 28, 3)
        restored = SamplingSettings.of(latent)
        if latent.seed is not None:
            digits.sample(restored, 1, latent.seed)
    except LatentStudioError as error:
        assert error.problem


@pytest.mark.parametrize("changes", [{"temperature": 1e9}, {"temperature": -1.0}, {"seed": -5}, {"seed": 2**70}])
def test_forged_settings_are_refused_when_they_are_restored(
    digits: Generator, tmp_path: Path, changes: dict[str, object]
) -> None:
    path = with_text(tmp_path / "forged.png", forged(digits, **changes))
    with pytest.raises(LatentStudioError):
        latent = read_latent(path)
        assert latent.seed is not None
        digits.sample(SamplingSettings.of(latent), 1, latent.seed)


@pytest.mark.parametrize("changes", [{"attributes": {"digit": "12"}}, {"attributes": {"x": "y"}}, {"values": [1.0]}])
def test_forged_latents_that_fit_no_model_are_refused(
    digits: Generator, tmp_path: Path, changes: dict[str, object]
) -> None:
    with pytest.raises(UsageError):
        digits.draw(read_latent(with_text(tmp_path / "forged.png", forged(digits, **changes))))


def test_oversized_metadata_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="too long"):
        read_latent(with_text(tmp_path / "long.png", "x" * 2_000_000))
    with pytest.raises(PictureError, match="damaged"):
        read_latent(with_text(tmp_path / "bomb.png", "x" * 200_000_000, packed=True))


def test_a_forged_model_name_opens_no_file(digits: Generator, tmp_path: Path) -> None:
    secret = tmp_path / "secret.safetensors"
    shutil.copy(resolve_model("digits-cvae"), secret)
    for name in (str(secret), "../secret", "nosuch"):
        latent = Latent.from_json(forged(digits, model=name))
        with pytest.raises(UsageError, match="which is not here"):
            generator_of(latent)


def test_a_cut_png_is_refused(digits: Generator, tmp_path: Path) -> None:
    whole = encode_png(np.zeros((64, 64, 3), np.uint8), text={"latent-studio": forged(digits)})
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(PictureError):
        read_latent(tmp_path / "cut.png")
