"""Crop and size before compressing: the sizes that come out, what resizing does to light, opacity and metadata."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from engine.colour_profile import display_p3
from engine.compression.classic import ClassicSettings, encode_classic
from engine.compression.container import Region
from engine.compression.preparation import RESAMPLINGS, Preparation, parse_resize
from engine.errors import LimitError, UsageError
from engine.evaluation.image_quality import psnr
from engine.image import Picture, open_picture
from engine.paths import resources


@pytest.fixture(scope="module")
def photo() -> Picture:
    return open_picture(resources() / "samples" / "photos" / "bee.jpg")


@pytest.mark.parametrize(
    ("wish", "size"),
    [
        ("1600x", (1600, 1200)), ("x1200", (1600, 1200)), ("1600x1200", (1600, 1200)), ("50%", (2000, 1500)),
        ("2048", (2048, 1536)), ("8000", (4000, 3000)), ("100x900", (100, 900)), ("12.5 %", (500, 375)),
        ("1x", (1, 1)), ("0.01%", (1, 1)),
    ],
)  # fmt: skip
def test_wishes_in_words(wish: str, size: tuple[int, int]) -> None:
    assert parse_resize(wish).result_size(4000, 3000) == size


def test_the_longest_side_of_upright_pictures() -> None:
    assert Preparation(longest=1000).result_size(3000, 4000) == (750, 1000)
    assert Preparation(Region(10, 10, 500, 2000), longest=1000).result_size(3000, 4000) == (250, 1000)


def test_wrong_wishes_are_named() -> None:
    for text in ("", "x", "big", "-5x", "0x10", "0%", "70000x", "1600*1200"):
        with pytest.raises(UsageError):
            parse_resize(text)
    with pytest.raises(UsageError, match="filter"):
        Preparation(resample="magic")
    with pytest.raises(UsageError, match="Two sizes"):
        Preparation(width=10, percent=50)
    with pytest.raises(UsageError, match="region"):
        Preparation(Region(90, 0, 20, 20)).result_size(100, 100)
    with pytest.raises(LimitError):
        Preparation(width=60_000, height=60_000).result_size(100, 100)


def test_a_crop_gives_the_very_pixels(photo: Picture) -> None:
    part = Preparation(Region(30, 20, 101, 57)).apply(photo)
    assert np.array_equal(part.pixels, photo.pixels[20:77, 30:131]) and part.pixels.flags.c_contiguous
    assert Preparation().apply(photo) is photo


@pytest.mark.parametrize("resample", RESAMPLINGS)
def test_a_photo_reduced_and_enlarged_is_like_itself(photo: Picture, resample: str) -> None:
    small = Preparation(percent=50, resample=resample).apply(photo)
    assert (small.width, small.height) == (round(photo.width / 2), round(photo.height / 2))
    back = Preparation(width=photo.width, height=photo.height, resample=resample).apply(small)
    assert psnr(photo.pixels, back.pixels) > 22


def test_light_is_kept_when_reduced() -> None:
    board = np.zeros((64, 64, 3), dtype=np.uint8)
    board[::2, ::2] = board[1::2, 1::2] = 255
    for resample in ("box", "lanczos", "bicubic"):
        small = Preparation(percent=25, resample=resample).apply(Picture(board)).pixels
        assert abs(float(small[4:-4, 4:-4].mean()) - 188) < 2, resample
    nearest = Preparation(percent=30, resample="nearest").apply(Picture(board)).pixels
    assert set(np.unique(nearest)) <= {0, 255}


@pytest.mark.parametrize("size", [(20, 20), (150, 150)])
def test_transparent_colours_leave_no_fringe(size: tuple[int, int]) -> None:
    pixels = np.zeros((60, 60, 3), dtype=np.uint8)
    pixels[..., 1] = 255  # transparent parts are green
    pixels[15:45, 15:45] = (220, 40, 30)
    alpha = np.zeros((60, 60), dtype=np.uint8)
    alpha[15:45, 15:45] = 255
    result = Preparation(width=size[0], height=size[1]).apply(Picture(pixels, alpha))
    assert result.alpha is not None
    seen = result.pixels[result.alpha > 12].astype(int)
    assert len(seen) and np.abs(seen - (220, 40, 30)).max() <= 3


def test_metadata_and_profile_stay_and_sizes_follow(photo: Picture) -> None:
    exif = Image.Exif()
    exif[0x010F] = "A maker"
    exif[0x0100], exif[0x0101] = photo.width, photo.height
    info = exif.get_ifd(0x8769)
    info[0xA002], info[0xA003], info[0x927C] = photo.width, photo.height, b"maker's own"
    picture = replace(photo, exif=exif.tobytes(), xmp=b"<x/>", profile=display_p3())
    result = Preparation(Region(0, 0, 200, 100), width=700).apply(picture)
    assert (result.width, result.height) == (700, 350)
    assert result.xmp == b"<x/>" and result.profile == display_p3() and result.name == photo.name
    for block in (result.exif, open_picture(encode_classic(result, ClassicSettings("jpeg")).data).exif):
        read = Image.Exif()
        read.load(block or b"")
        inner = read.get_ifd(0x8769)
        assert (read[0x0100], read[0x0101]) == (inner[0xA002], inner[0xA003]) == (700, 350)
        assert inner[0x927C] == b"maker's own" and read[0x010F] == "A maker"
    broken = replace(photo, exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert Preparation(width=50).apply(broken).exif == broken.exif


def test_the_preview_of_what_was_cut_away_goes(photo: Picture) -> None:
    stream = io.BytesIO()
    Image.fromarray(photo.pixels[:90, :120]).save(stream, "JPEG")
    thumbnail = stream.getvalue()
    # One directory without entries, then that of the preview.
    second = 8 + 2 + 4
    entries = b"".join(
        tag.to_bytes(2, "little") + b"\x04\0\x01\0\0\0" + value.to_bytes(4, "little")
        for tag, value in ((0x0201, second + 2 + 24 + 4), (0x0202, len(thumbnail)))
    )
    block = b"II*\0\x08\0\0\0" + b"\0\0" + second.to_bytes(4, "little") + b"\x02\0" + entries + bytes(4) + thumbnail
    result = Preparation(Region(0, 0, 40, 40)).apply(replace(photo, exif=block)).exif
    assert result is not None and len(result) == len(block)
    assert thumbnail[:200] not in result and not any(result[-len(thumbnail) :])
