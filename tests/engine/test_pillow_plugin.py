"""Pillow opens, shows and writes .lsi files like those of any other format."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile, UnidentifiedImageError

import engine.compression.pillow_plugin  # noqa: F401 - registers the format
from engine.compression import DEFAULT_MODEL, EncodeSettings, decode, encode, inspect
from engine.evaluation.image_quality import psnr
from engine.paths import resources
from tests.engine.codec_fixtures import install_small_model, scene

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def small_codec() -> None:
    install_small_model()


@pytest.fixture(autouse=True)
def pillow_as_it_is_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """The size limit that Pillow has in programs other than ours."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2**26)


def camera_exif(orientation: int = 1) -> Image.Exif:
    exif = Image.Exif()
    exif[0x010F] = "Camera maker"
    exif[0x0112] = orientation
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 0.0)})
    return exif


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A file with a preview."""
    path = tmp_path / "large.lsi"
    path.write_bytes(encode(scene(1300, 1000, noise=60), EncodeSettings(quality=100), device="cpu"))
    assert inspect(path.read_bytes()).preview is not None
    return path


def test_opening_gives_size_mode_and_information_and_loading_the_pixels(tmp_path: Path) -> None:
    path = tmp_path / "photo.lsi"
    data = encode(replace(scene(90, 50), exif=camera_exif().tobytes()), EncodeSettings(quality=62.5), device="cpu")
    path.write_bytes(data)
    with Image.open(path) as image:
        assert (image.format, image.size, image.mode) == ("LSI", (90, 50), "RGB")
        assert image.info["quality"] == 62.5 and image.info["model"] == DEFAULT_MODEL
        assert image.getexif()[0x010F] == "Camera maker"
        assert image.get_format_mimetype() == "image/x-latent-studio"
        pixels = np.asarray(image)
    assert np.array_equal(pixels, decode(data, device="cpu").picture.pixels)
    with Image.open(io.BytesIO(data)) as image:
        assert np.array_equal(np.asarray(image.crop((10, 5, 60, 40))), pixels[5:40, 10:60])


def test_the_suffix_belongs_to_the_format() -> None:
    assert Image.registered_extensions()[".lsi"] == "LSI"


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "CMYK", "1", "I;16"])
def test_images_of_every_mode_are_saved(mode: str, tmp_path: Path) -> None:
    wanted = Image.fromarray(scene(60, 40).pixels).convert("L" if mode == "I;16" else mode, dither=Image.Dither.NONE)
    if mode in ("RGBA", "LA"):
        wanted.putalpha(Image.linear_gradient("L").resize((60, 40)))
    given = Image.fromarray(np.asarray(wanted).astype(np.uint16) * 257) if mode == "I;16" else wanted
    assert given.mode == mode
    # The trained codec, so that what comes back can be compared.
    model = str(resources() / "models" / f"{DEFAULT_MODEL}.safetensors")
    given.save(tmp_path / "saved.lsi", quality=95, model=model)
    with Image.open(tmp_path / "saved.lsi") as back:
        assert back.mode == ("RGBA" if mode in ("RGBA", "LA") else "RGB") and back.info["quality"] == 95
        if back.mode == "RGBA":
            assert back.getchannel("A").tobytes() == wanted.getchannel("A").tobytes()
        rough = 18 if mode in ("P", "1") else 30  # few colours, so hard borders between them
        assert psnr(np.asarray(wanted.convert("RGB")), np.asarray(back.convert("RGB"))) > rough


def test_quality_decides_the_size_and_wrong_options_are_value_errors(tmp_path: Path) -> None:
    image = Image.fromarray(scene(100, 80).pixels)
    sizes = []
    for quality in (5, 50, 95):
        stream = io.BytesIO()
        image.save(stream, "LSI", quality=quality)
        sizes.append(len(stream.getvalue()))
    assert sizes == sorted(set(sizes))
    for wrong in ({"quality": 101}, {"quality": "keep"}, {"model": "no-such-codec"}):
        with pytest.raises(ValueError):
            image.save(tmp_path / "wrong.lsi", **wrong)
        assert not (tmp_path / "wrong.lsi").exists()


def test_pictures_are_stored_upright_with_their_metadata_but_not_their_place(tmp_path: Path) -> None:
    upright = scene(80, 48).pixels
    sideways = Image.fromarray(np.ascontiguousarray(np.rot90(upright)))  # orientation 6: to be turned clockwise
    sideways.save(tmp_path / "camera.png", exif=camera_exif(orientation=6))
    expected = decode(encode(scene(80, 48), device="cpu"), device="cpu").picture.pixels
    with Image.open(tmp_path / "camera.png") as image:
        image.save(tmp_path / "kept.lsi")
        image.save(tmp_path / "stripped.lsi", exif=b"")
    sideways.save(tmp_path / "given.lsi", exif=camera_exif(orientation=6))
    for name, maker in (("kept", "Camera maker"), ("given", "Camera maker"), ("stripped", None)):
        with Image.open(tmp_path / f"{name}.lsi") as back:
            assert np.array_equal(np.asarray(back), expected), name
            exif = back.getexif()
            assert exif.get(0x010F) == maker and exif.get(0x0112, 1) == 1 and not exif.get_ifd(0x8825)


def test_opening_and_previews_need_no_torch(large: Path) -> None:
    code = """
import sys
from pathlib import Path
from PIL import Image
import engine.compression.pillow_plugin
with Image.open(sys.argv[1]) as image:
    assert image.size == (1300, 1000) and image.info["quality"] == 100
    assert image.draft("RGB", (150, 100)) is not None
    assert image.size == (160, 123)
    image.load()
with Image.open(sys.argv[1]) as image:
    image.thumbnail((128, 128))
    assert image.size == (128, 98)
    image.save(sys.argv[2])
with Image.open(sys.argv[1]) as image:
    image.verify()
assert "torch" not in sys.modules
limit = Image.MAX_IMAGE_PIXELS
with Image.open(sys.argv[1]) as image:
    image.load()
assert "torch" in sys.modules and limit is not None and Image.MAX_IMAGE_PIXELS == limit
"""
    small = large.with_name("small.png")
    command = [sys.executable, "-W", "error", "-c", code, str(large), str(small)]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with Image.open(small) as image:
        assert image.size == (128, 98)


@pytest.mark.parametrize("size", [(160, 160), (128, 128), (100, 20), (64, 700), (33.5, 40.2), (300, 250), (1, 1)])
def test_thumbnails_have_the_size_that_pillow_gives_and_the_look_of_the_preview(
    large: Path, size: tuple[float, float]
) -> None:
    expected = Image.new("RGB", (1300, 1000))
    expected.thumbnail(size)
    preview = inspect(large.read_bytes()).preview
    assert preview is not None
    with Image.open(large) as image, Image.open(io.BytesIO(preview)) as small:
        image.thumbnail(size)
        assert image.size == expected.size
        if max(image.size) <= 160:
            look = np.asarray(small.convert("RGB").resize(image.size, Image.Resampling.BICUBIC)).astype(int)
            assert np.abs(np.asarray(image).astype(int) - look).mean() < 4


def test_a_draft_is_never_smaller_than_asked_for_and_never_comes_after_the_pixels(large: Path) -> None:
    with Image.open(large) as image:
        assert image.draft("RGB", (161, 100)) is None and image.draft("RGB", (100, 124)) is None
        assert image.draft(None, None) is None  # type: ignore[arg-type]
        assert image.size == (1300, 1000)
        image.load()
        assert image.draft("RGB", (50, 50)) is None and image.size == (1300, 1000)


def test_a_preview_keeps_the_opacity(tmp_path: Path) -> None:
    alpha = np.zeros((1000, 1300), dtype=np.uint8)
    alpha[:, :650] = 255
    picture = replace(scene(1300, 1000, noise=60), alpha=alpha)
    (tmp_path / "x.lsi").write_bytes(encode(picture, EncodeSettings(quality=100), device="cpu"))
    with Image.open(tmp_path / "x.lsi") as image:
        assert image.mode == "RGBA"
        image.thumbnail((120, 120))
        assert image.mode == "RGBA" and image.size == (120, 92)
        opacity = np.asarray(image.getchannel("A"))
    assert (opacity[:, :58] == 255).all() and (opacity[:, 62:] == 0).all()


@pytest.fixture
def truncated_allowed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    yield


def two_parts(tmp_path: Path, alpha: np.ndarray | None = None) -> tuple[Path, bytearray]:
    data = bytearray(encode(replace(scene(700, 40), alpha=alpha), device="cpu"))
    return tmp_path / "damaged.lsi", data


def test_damage_is_an_os_error_and_the_image_opens_all_the_same(tmp_path: Path) -> None:
    path, data = two_parts(tmp_path)
    data[inspect(bytes(data)).groups[1].offset] ^= 1
    path.write_bytes(data)
    with Image.open(path) as image:
        assert image.size == (700, 40)
        for _ in range(2):
            with pytest.raises(OSError, match="damaged"):
                image.load()
    with Image.open(path) as image, pytest.raises(OSError, match="damaged"):
        image.verify()


@pytest.mark.usefixtures("truncated_allowed")
def test_damaged_parts_are_hatched_where_pillow_is_told_to_load_truncated_images(tmp_path: Path) -> None:
    alpha = np.full((40, 700), 90, dtype=np.uint8)
    path, data = two_parts(tmp_path, alpha)
    header = inspect(bytes(data))
    section = header.section("ALPH")
    assert section is not None
    data[header.groups[1].offset] ^= 1
    data[section.offset + 3] ^= 1
    path.write_bytes(data)
    with Image.open(path) as image:
        pixels = np.asarray(image)
    assert np.array_equal(pixels[..., :3], decode(bytes(data), device="cpu").picture.pixels)
    assert (pixels[..., 3] == 255).all()  # the opacity is lost


def test_other_and_broken_files_are_refused_as_pillow_does(tmp_path: Path) -> None:
    from engine.compression.pillow_plugin import LsiImageFile

    for content in (b"", b"no picture at all, but long enough for a header of 32 bytes"):
        with pytest.raises(UnidentifiedImageError):
            Image.open(io.BytesIO(content))
        with pytest.raises(SyntaxError):
            LsiImageFile(io.BytesIO(content))
    data = encode(scene(40, 30), device="cpu")
    for cut in (20, 40, 100):
        (tmp_path / "cut.lsi").write_bytes(data[:cut])
        with pytest.raises(OSError, match=r"cut short|damaged"):
            Image.open(tmp_path / "cut.lsi")
    newer = bytearray(data)
    newer[8] = 2
    struct.pack_into("<I", newer, 28, zlib.crc32(newer[:28]))
    with pytest.raises(OSError, match="newer Latent Studio"):
        Image.open(io.BytesIO(newer))


def test_a_file_whose_model_is_missing_opens_and_fails_to_load_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "photo.lsi"
    path.write_bytes(encode(scene(40, 30), device="cpu"))
    installed = install_small_model()
    installed.rename(installed.with_suffix(".away"))
    with Image.open(path) as image:
        assert image.size == (40, 30)
        with pytest.raises(OSError, match=DEFAULT_MODEL):
            image.load()


def test_too_large_pictures_are_refused_by_the_limit_of_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(scene(200, 100), device="cpu")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 9_999)
    with pytest.raises(Image.DecompressionBombError):
        Image.open(io.BytesIO(data))
