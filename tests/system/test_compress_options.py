"""Crop, size, presets and the map of bits in the terminal."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.compression.classic import ClassicSettings
from engine.compression.preparation import Preparation
from engine.compression.presets import Preset, save_preset
from engine.image import open_picture
from tests.system.test_cli import PHOTO, Program, home, program

__all__ = ["home", "program"]


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    exif = Image.Exif()
    exif[0x010F] = "A maker"
    with Image.open(PHOTO) as image:
        image.convert("RGB").resize((300, 200)).save(path, exif=exif.tobytes(), quality=92)
    return path


def test_crop_and_size(program: Program, photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "small.lsi"
    done = program(
        "compress", photo, "--crop", "20,10,200,100", "--resize", "100x", "--resample", "box", "-o", out,
        "--no-perceptual", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    facts = json.loads(program("info", out, "--json").stdout)
    assert (facts["width"], facts["height"]) == (100, 50)
    assert json.loads(done.stdout)["files"][0]["width"] == 100
    for wrong in (["--resize", "big"], ["--crop", "1,2,3"], ["--resize", "50%", "--resample", "magic"]):
        assert program("compress", photo, *wrong, "-o", tmp_path / "no.lsi").returncode == 2
    assert not (tmp_path / "no.lsi").exists()
    outside = program("compress", photo, "--crop", "290,0,50,50", "-o", tmp_path / "no.lsi")
    assert outside.returncode != 0 and "300 x 200" in outside.stderr


def test_presets_are_listed_and_used(program: Program, photo: Path, tmp_path: Path) -> None:
    listed = program("presets")
    assert listed.returncode == 0 and all(name in listed.stdout for name in ("Web", "Archive", "E-mail under 1 MB"))
    save_preset(Preset("Tiny", ClassicSettings("avif", 40, effort=1), Preparation(longest=90)))
    done = program("compress", photo, "--preset", "tiny", "-o", tmp_path, "--no-perceptual", "--json")
    assert done.returncode == 0, done.stderr
    made = open_picture(tmp_path / "photo.avif")
    assert (made.width, made.height) == (90, 60) and made.exif is not None and b"A maker" in made.exif
    report = json.loads(done.stdout)["files"][0]
    assert report["compressed_bytes"] == (tmp_path / "photo.avif").stat().st_size and report["quality"] == 40

    assert program("compress", photo, "--preset", "Web", "-o", tmp_path, "--no-perceptual").returncode == 0
    web = open_picture(tmp_path / "photo.webp")
    assert web.width == 300 and web.exif is None
    out = tmp_path / "archive"
    assert program("compress", photo, "--preset", "Archive", "--resize", "50%", "-o", out, "--json").returncode == 0
    facts = json.loads(program("info", out / "photo.lsi", "--json").stdout)
    assert facts["quality"] == 90 and facts["width"] == 150

    for wrong in (["--preset", "Wob"], ["--preset", "Web", "-q", "40"], ["--preset", "Web", "--effort", "1"]):
        done = program("compress", photo, *wrong, "-o", tmp_path / "no")
        assert done.returncode == 2 and "preset" in done.stderr


def test_the_original_is_never_overwritten(program: Program, photo: Path) -> None:
    before = photo.read_bytes()
    done = program("compress", photo, "--preset", "E-mail under 1 MB", "--no-perceptual", "--overwrite")
    assert done.returncode == 0 and photo.read_bytes() == before
    beside = [path for path in photo.parent.glob("*.jpg") if path != photo]
    assert len(beside) == 1, "its result has another name"


def test_the_map_of_bits_is_drawn(program: Program, photo: Path, tmp_path: Path) -> None:
    out, drawn = tmp_path / "photo.lsi", tmp_path / "bits.png"
    assert program("compress", photo, "-o", out, "--no-perceptual").returncode == 0
    done = program("info", out, "--bits-map", drawn, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["bits_map_top"] > 0
    picture = open_picture(drawn)
    assert (picture.width, picture.height) == (19 * 16, 13 * 16)
    assert len(np.unique(picture.pixels.reshape(-1, 3), axis=0)) > 20
