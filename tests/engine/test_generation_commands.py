"""Generating and editing in the terminal, as a user types it."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import main
from engine.generation import Generator, Sample, SamplingSettings, read_latent, save_sample
from engine.image import encode_png, open_picture


@dataclass
class Done:
    code: int
    out: str
    err: str


Program = Callable[..., Done]


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Program:
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: object) -> Done:
        capsys.readouterr()
        code = main.run([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return Done(code, out, err)

    return call


@pytest.fixture(scope="module")
def digits() -> Generator:
    return Generator.load("digits-cvae")


@pytest.fixture
def seven(digits: Generator, tmp_path: Path) -> Path:
    save_sample(digits.sample(SamplingSettings({"digit": "7"}), 1, 5)[0], tmp_path / "seven.png")
    return tmp_path / "seven.png"


def pngs(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_all_settings_reach_the_pictures_and_come_back_by_like(
    program: Program, digits: Generator, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    options = (
        "--class", "7", "--guidance", 1.5, "--temperature", 0.8, "--mix", "digit=9:0.25", "--diversity", 0.4,
    )  # fmt: skip
    done = program("generate", "digits-cvae", *options, "--count", 3, "--seed", 5, "--out", out)
    assert done.code == 0, done.err
    assert "sheet.png" in pngs(out) and len(pngs(out)) == 4
    latents = [read_latent(out / name) for name in pngs(out) if name != "sheet.png"]
    one = latents[1]
    assert (one.guidance, one.temperature, one.diversity) == (1.5, 0.8, 0.4)
    assert (one.mix[0].value, one.mix[0].weight) == ("9", 0.25)
    file = out / f"digits-cvae-{one.seed:06d}.png"
    again = program("generate", "--like", file, "--out", tmp_path / "again", "--no-sheet")
    assert again.code == 0, again.err
    assert pngs(tmp_path / "again") == [file.name]
    assert (tmp_path / "again" / file.name).read_bytes() == file.read_bytes()
    changed = program(
        "generate", "--like", file, "--class", "1", "--count", 2, "--out", tmp_path / "changed", "--sheet",
        tmp_path / "grid.png",
    )  # fmt: skip
    assert changed.code == 0, changed.err
    assert (tmp_path / "grid.png").is_file() and len(pngs(tmp_path / "changed")) == 2
    other = read_latent(tmp_path / "changed" / file.name)
    assert (other.attributes, other.guidance, other.values) == ({"digit": "1"}, 1.5, one.values)


def test_nothing_is_replaced_unasked(program: Program, tmp_path: Path) -> None:
    out = tmp_path / "out"
    call = ("generate", "digits-cvae", "-n", 1, "--out", out)
    assert [program(*call, "--class", value).code for value in (3, 3, 4)] == [0, 0, 0]
    names = ["digits-cvae-000000-2.png", "digits-cvae-000000.png", "sheet-2.png", "sheet.png"]
    assert pngs(out) == names
    assert [read_latent(out / name).attributes["digit"] for name in names[:2]] == ["4", "3"]
    assert program(*call, "--class", 5, "--overwrite").code == 0
    assert pngs(out) == names and read_latent(out / names[1]).attributes == {"digit": "5"}
    refused = program(*call, "--sheet", out / "sheet.png")
    assert refused.code == 1 and "exists already" in refused.err


def test_the_normal_prior(program: Program, tmp_path: Path) -> None:
    done = program("generate", "digits-cvae", "--prior", "normal", "-n", 1, "--out", tmp_path / "out", "--no-sheet")
    assert done.code == 0, done.err
    assert read_latent(tmp_path / "out/digits-cvae-000000.png").prior == "normal"


def test_an_edited_picture_is_made_again_by_like(program: Program, seven: Path, tmp_path: Path) -> None:
    done = program("vary", seven, "--radius", 0.5, "-n", 2, "--seed", 3, "--out", tmp_path / "varied")
    assert done.code == 0, done.err
    assert pngs(tmp_path / "varied") == ["seven-000003.png", "seven-000004.png", "sheet.png"]
    file = tmp_path / "varied/seven-000004.png"
    again = program("generate", "--like", file, "--out", tmp_path / "again", "--no-sheet")
    assert again.code == 0, again.err
    made = tmp_path / "again/digits-cvae-edited.png"
    assert np.array_equal(open_picture(made).pixels, open_picture(file).pixels)
    several = program("generate", "--like", file, "-n", 4, "--out", tmp_path / "again")
    assert several.code == 2 and "has no seed" in several.err


def test_pictures_that_take_after_two(program: Program, digits: Generator, seven: Path, tmp_path: Path) -> None:
    save_sample(digits.sample(SamplingSettings({"digit": "2"}), 1, 8)[0], tmp_path / "two.png")
    done = program("vary", seven, tmp_path / "two.png", "-n", 6, "--out", tmp_path / "both")
    assert done.code == 0, done.err
    made = [read_latent(path) for path in (tmp_path / "both").glob("seven-*.png")]
    assert {latent.attributes["digit"] for latent in made} <= {"2", "7"} and len(made) == 6


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_morph_writes_an_animation(
    program: Program, digits: Generator, seven: Path, tmp_path: Path, suffix: str
) -> None:
    save_sample(digits.sample(SamplingSettings({"digit": "2"}), 1, 8)[0], tmp_path / "two.png")
    out = tmp_path / f"morph{suffix}"
    done = program("morph", seven, tmp_path / "two.png", "--steps", 5, "--back", "--out", out)
    assert done.code == 0, done.err
    with Image.open(out) as animation:
        assert getattr(animation, "n_frames", 1) == 8 and animation.size == (252, 252)
        assert np.array_equal(np.asarray(animation.convert("RGB"))[::9, ::9], open_picture(seven).pixels)
    twice = program("morph", seven, seven, "--out", out)
    assert twice.code == 1 and "exists already" in twice.err


def test_morph_as_a_strip(program: Program, seven: Path, tmp_path: Path) -> None:
    done = program("morph", seven, seven, "--steps", 3, "--out", tmp_path / "strip.png")
    assert done.code == 0, done.err
    strip = open_picture(tmp_path / "strip.png")
    assert (strip.width, strip.height) == (3 * 30 + 2, 32)


def test_change_keeps_the_style(program: Program, digits: Generator, seven: Path, tmp_path: Path) -> None:
    done = program("change", seven, "--class", "3", "--out", tmp_path / "three.png")
    assert done.code == 0, done.err
    expected = digits.sample(SamplingSettings({"digit": "3"}), 1, 5)[0]
    assert np.array_equal(open_picture(tmp_path / "three.png").pixels, expected.pixels)
    opened = program("change", seven, "--open", "digit", "--out", tmp_path / "open.png")
    assert opened.code == 0 and read_latent(tmp_path / "open.png").attributes == {}


def test_every_class(program: Program, seven: Path, tmp_path: Path) -> None:
    done = program("every-class", seven, "--out", tmp_path / "all")
    assert done.code == 0, done.err
    assert pngs(tmp_path / "all") == [*(f"seven-{value}.png" for value in range(10)), "sheet.png"]
    assert np.array_equal(open_picture(tmp_path / "all/seven-7.png").pixels, open_picture(seven).pixels)


def test_an_own_picture_is_encoded_and_then_changed(program: Program, seven: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.png"
    own.write_bytes(encode_png(np.kron(255 - open_picture(seven).pixels, np.ones((8, 8, 1), np.uint8))))
    done = program("encode", "digits-cvae", own, "--out", tmp_path / "kept.png")
    assert done.code == 0, done.err
    assert "digit: 7 (guessed)" in done.out and " dB" in done.out
    facts = json.loads(
        program("encode", "digits-cvae", own, "--class", "1", "--out", tmp_path / "one.png", "--json").out
    )
    assert facts["attributes"] == {"digit": "1"} and facts["guessed"] == [] and facts["psnr"] > 10
    assert program("change", tmp_path / "kept.png", "--class", "1", "--out", tmp_path / "changed.png").code == 0
    assert read_latent(tmp_path / "changed.png").attributes == {"digit": "1"}


def test_nearest_training_pictures(program: Program, seven: Path, tmp_path: Path, shared_data: Path) -> None:
    done = program("nearest", seven, "--count", 3, "--out", tmp_path / "near.png", "--json")
    assert done.code == 0, done.err
    facts = json.loads(done.out)
    assert [one["attributes"]["digit"] for one in facts["nearest"]].count("7") >= 2
    assert 0 <= facts["held_out_nearer"] <= 1
    assert open_picture(tmp_path / "near.png").width == 4 * 30 + 2
    shown = program("nearest", seven)
    assert "train/" in shown.out and "held-out pictures" in shown.out


def test_labelled_set(program: Program, tmp_path: Path) -> None:
    done = program("labelled-set", "digits-cvae", "--per-class", 2, "--guidance", 1.2, "--out", tmp_path / "set")
    assert done.code == 0, done.err
    assert "20 pictures in 10 classes" in done.out
    with (tmp_path / "set/manifest.csv").open(encoding="utf-8", newline="") as stream:
        assert sum(1 for _ in csv.DictReader(stream)) == 20
    again = program("labelled-set", "digits-cvae", "--per-class", 2, "--out", tmp_path / "set")
    assert again.code == 1 and "not an empty folder" in again.err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["generate"], "Either a MODEL or --like PNG"),
        (["generate", "digits-cvae", "--count", "0"], "0 samples"),
        (["generate", "digits-cvae", "--count", "100000"], "100000 samples"),
        (["generate", "digits-cvae", "--temperature", "9"], "temperature"),
        (["generate", "digits-cvae", "--temperature", "nan"], "temperature"),
        (["generate", "digits-cvae", "--guidance", "-1"], "guidance"),
        (["generate", "digits-cvae", "--diversity", "2"], "diversity"),
        (["generate", "digits-cvae", "--prior", "gauss"], "prior"),
        (["generate", "digits-cvae", "--prior", "normal", "--guidance", "2"], "--prior normal"),
        (["generate", "digits-cvae", "--seed", "-1"], "seed"),
        (["generate", "digits-cvae", "--mix", "digit=3"], "ATTRIBUTE=VALUE:WEIGHT"),
        (["generate", "digits-cvae", "--mix", "digit=3:much"], "ATTRIBUTE=VALUE:WEIGHT"),
        (["generate", "digits-cvae", "--mix", "digit=3:1.5"], "weight"),
        (["generate", "digits-cvae", "--mix", "digt=3:0.5"], "Did you mean 'digit'"),
        (["generate", "digits-cvae", "--attr", "digt=3"], "Did you mean 'digit'"),
        (["generate", "faces-cvae", "--class", "x"], "one attribute only"),
        (["generate", "faces-cvae", "--attr", "glasses=sunglases"], "Did you mean 'sunglasses' or 'glasses'"),
        (["generate", "digits-cvae", "--sheet", "x.png", "--no-sheet"], "exclude one another"),
        (["labelled-set", "digits-cvae", "--per-class", "0", "--out", "set"], "0 samples"),
        (["labelled-set", "digits-cvae", "--attribute", "hair", "--out", "set"], "no attribute 'hair'"),
    ],
)
def test_wrong_usage_is_explained(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = program(*arguments)
    assert done.code == 2 and sentence in done.err and done.out == ""
    assert list(tmp_path.iterdir()) == []


def test_pictures_that_do_not_fit_are_explained(
    program: Program, digits: Generator, seven: Path, tmp_path: Path
) -> None:
    plain = tmp_path / "plain.png"
    plain.write_bytes(encode_png(np.zeros((28, 28, 3), np.uint8)))
    sample = digits.sample(SamplingSettings(), 1, 0)[0]
    save_sample(Sample(sample.pixels, replace(sample.latent, model="gone")), tmp_path / "gone.png")
    face = Generator.load("faces-cvae").sample(SamplingSettings(), 1, 0)[0]
    save_sample(face, tmp_path / "face.png")
    for arguments, sentence in (
        (["vary", plain, "--out", tmp_path / "out"], "carries no latent"),
        (["vary", tmp_path / "nosuch.png", "--out", tmp_path / "out"], "nosuch.png"),
        (["generate", "--like", tmp_path / "gone.png", "--out", tmp_path / "out"], "gone, which is not here"),
        (["morph", seven, tmp_path / "face.png", "--out", tmp_path / "a.gif"], "pictures of one model"),
        (["morph", seven, seven, "--out", tmp_path / "a.avi"], "no animation"),
        (["morph", seven, seven, "--steps", 1, "--out", tmp_path / "a.gif"], "morph of 1"),
        (["change", seven, "--out", tmp_path / "a.png"], "Nothing to change"),
        (["change", seven, "--class", "eleven", "--out", tmp_path / "a.png"], "no value 'eleven'"),
        (["vary", seven, "--radius", 2, "--out", tmp_path / "out"], "radius 2"),
        (["every-class", seven, "--attribute", "hair", "--out", tmp_path / "out"], "no attribute 'hair'"),
        (["encode", "digits-cvae", tmp_path / "nosuch.jpg", "--out", tmp_path / "a.png"], "nosuch.jpg"),
        (["encode", "faces-ae-8", plain, "--out", tmp_path / "a.png"], "generates no pictures"),
    ):
        done = program(*arguments)
        assert done.code in (1, 2) and sentence in done.err and done.out == "", arguments
    assert not (tmp_path / "out").exists() and not (tmp_path / "a.png").exists() and not (tmp_path / "a.gif").exists()


def test_a_picture_of_another_version_is_announced(program: Program, digits: Generator, tmp_path: Path) -> None:
    sample = digits.sample(SamplingSettings(), 1, 0)[0]
    save_sample(Sample(sample.pixels, replace(sample.latent, weights_sha256="0" * 64)), tmp_path / "old.png")
    done = program("generate", "--like", tmp_path / "old.png", "--out", tmp_path / "out")
    assert done.code == 0 and "another version of digits-cvae" in done.err
