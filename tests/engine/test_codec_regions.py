"""A region of a file: the pixels of the whole picture, from the groups it needs and no others."""

from __future__ import annotations

import random
import tracemalloc
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from PIL import Image

from engine.compression import DEFAULT_MODEL, Decoded, EncodeSettings, Header, Region, decode, encode, inspect
from engine.compression.side_data import pack_alpha, unpack_alpha
from engine.errors import DamagedFile, UsageError
from engine.paths import resources
from tests.engine.codec_fixtures import install_small_model, scene

SHIPPED = resources() / "models" / f"{DEFAULT_MODEL}.safetensors"
WIDTH, HEIGHT = 1300, 1100

BORDERS = [
    Region(0, 0, WIDTH, HEIGHT),
    Region(0, 0, 1, 1),
    Region(WIDTH - 1, HEIGHT - 1, 1, 1),
    Region(0, HEIGHT - 5, WIDTH, 5),
    Region(WIDTH - 7, 0, 7, HEIGHT),
    Region(512, 512, 512, 512),
    Region(511, 511, 2, 2),
    Region(1008, 500, 40, 30),
    Region(16, 32, 160, 48),
    Region(100, 90, 1101, 907),
]


def boxes(count: int, seed: int = 0) -> list[Region]:
    """Regions of any place and size within the picture, small ones more often."""
    chosen = random.Random(seed)
    made = []
    for _ in range(count):
        width, height = (max(1, int(side * chosen.random() ** 3)) for side in (WIDTH, HEIGHT))
        made.append(Region(chosen.randint(0, WIDTH - width), chosen.randint(0, HEIGHT - height), width, height))
    return made


@cache
def shipped_file() -> tuple[bytes, np.ndarray]:
    """A file of several windows and groups by the default model, and all of its pixels."""
    if not SHIPPED.is_file():
        pytest.skip("no trained codec is shipped yet")
    data = encode(scene(WIDTH, HEIGHT), EncodeSettings(quality=45, model=str(SHIPPED)), device="cpu")
    return data, decode(data, strict=True, device="cpu").picture.pixels


def cut(pixels: np.ndarray, region: Region) -> np.ndarray:
    return pixels[region.y : region.bottom, region.x : region.right]


def needed_groups(header: Header, region: Region) -> set[int]:
    """Those that come within the halo of the latents under the region, by counting latents one at a time."""
    columns = {x // 16 + step for x in range(region.x, region.right) for step in range(-header.halo, header.halo + 1)}
    rows = {y // 16 + step for y in range(region.y, region.bottom) for step in range(-header.halo, header.halo + 1)}
    return {
        group.index
        for group in header.groups
        if any(group.x // 16 <= column < -(-(group.x + group.width) // 16) for column in columns)
        and any(group.y // 16 <= row < -(-(group.y + group.height) // 16) for row in rows)
    }


def spoiled(data: bytes, groups: set[int]) -> bytes:
    """The file with the whole streams of some groups overwritten."""
    changed = bytearray(data)
    for group in inspect(data).groups:
        if group.index in groups:
            changed[group.offset : group.offset + group.bytes] = bytes(
                byte ^ 0xA5 for byte in changed[group.offset : group.offset + group.bytes]
            )
    return bytes(changed)


@pytest.mark.parametrize("region", BORDERS + boxes(14), ids=str)
def test_a_region_has_the_very_pixels_of_the_whole_picture(region: Region) -> None:
    data, pixels = shipped_file()
    result = decode(data, region=region, strict=True, device="cpu")
    assert result.intact
    assert np.array_equal(result.picture.pixels, cut(pixels, region))


@pytest.mark.parametrize(
    "region", [Region(0, 0, 200, 150), Region(500, 20, 60, 60), Region(1290, 1090, 10, 10), Region(600, 0, 300, 1100)]
)
def test_only_the_groups_under_the_region_and_its_halo_are_read(region: Region) -> None:
    data, pixels = shipped_file()
    everything = {group.index for group in inspect(data).groups}
    needed = needed_groups(inspect(data), region)
    assert needed < everything
    result = decode(spoiled(data, everything - needed), region=region, strict=True, device="cpu")
    assert result.intact and result.picture.notes == ()
    assert np.array_equal(result.picture.pixels, cut(pixels, region))
    for index in needed:
        with pytest.raises(DamagedFile):
            decode(spoiled(data, {index}), region=region, strict=True, device="cpu")


def test_a_file_cut_short_behind_what_the_region_needs_is_enough() -> None:
    data, pixels = shipped_file()
    region = Region(30, 40, 300, 100)
    last = inspect(data).groups[max(needed_groups(inspect(data), region))]
    result = decode(data[: last.offset + last.bytes], region=region, strict=True, device="cpu")
    assert result.intact and np.array_equal(result.picture.pixels, cut(pixels, region))
    with pytest.raises(DamagedFile):
        decode(data[: last.offset + last.bytes - 1], region=region, strict=True, device="cpu")


def test_damage_within_the_region_is_drawn_and_listed_as_in_the_whole_picture() -> None:
    install_small_model()
    data = encode(scene(1400, 600, noise=40), EncodeSettings(quality=60), device="cpu")
    broken = spoiled(data, {1})
    whole = decode(broken, device="cpu")
    region = Region(400, 100, 300, 250)
    result = decode(broken, region=region, device="cpu")
    assert result.damaged_tiles == whole.damaged_tiles and not result.intact
    assert np.array_equal(result.picture.pixels, cut(whole.picture.pixels, region))
    assert result.picture.notes == ("1 of 2 parts of the picture are damaged and drawn hatched.",)
    # Only the halo reaches into the damaged part: it is listed, for border pixels depend on it, and not drawn.
    beside = Region(300, 100, 200, 250)
    result = decode(broken, region=beside, device="cpu")
    assert [tile.x for tile in result.damaged_tiles] == [512]
    assert np.array_equal(result.picture.pixels, cut(whole.picture.pixels, beside))
    with pytest.raises(DamagedFile, match="All of the region"):
        decode(broken, region=Region(600, 100, 50, 50), device="cpu")


def test_opacity_and_metadata_come_with_a_region() -> None:
    install_small_model()
    picture = scene(700, 90)
    y, x = np.mgrid[0:90, 0:700]
    exif = Image.Exif()
    exif[0x010F] = "Camera maker"
    picture = replace(picture, alpha=((x * 3 + y) % 256).astype(np.uint8), exif=exif.tobytes())
    data = encode(picture, device="cpu")
    region = Region(333, 11, 251, 70)

    def decoded(data: bytes) -> Decoded:
        return decode(data, region=region, device="cpu")

    result = decoded(data).picture
    assert result.alpha is not None and picture.alpha is not None
    assert np.array_equal(result.alpha, cut(picture.alpha, region))
    assert result.exif is not None and result.exif == decode(data, device="cpu").picture.exif
    section = inspect(data).section("ALPH")
    assert section is not None
    broken = bytearray(data)
    broken[section.offset + 9] ^= 1
    assert decoded(bytes(broken)).picture.alpha is None
    assert decoded(bytes(broken)).picture.notes == ("The section ALPH is damaged.",)


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_opacity_of_a_region_is_cut_out_of_planes_of_every_prediction(kind: int) -> None:
    y, x = np.mgrid[0:1500, 0:1600]
    noise = np.random.default_rng(0).integers(0, 256, (1500, 1600))
    plane = (noise, 7 * x + noise // 255 + 40 * y, 7 * y + noise // 255 + noise[0])[kind].astype(np.uint8)
    packed = pack_alpha(plane)
    assert packed[0] == kind
    assert np.array_equal(unpack_alpha(packed, 1600, 1500), plane)
    for region in (Region(0, 0, 1, 1), Region(3, 600, 900, 200), Region(1599, 0, 1, 1500), Region(7, 1400, 5, 100)):
        assert np.array_equal(unpack_alpha(packed, 1600, 1500, region), cut(plane, region))


@pytest.mark.parametrize(
    "region",
    [
        Region(0, 0, 101, 60),
        Region(0, 0, 100, 61),
        Region(-1, 0, 5, 5),
        Region(0, -1, 5, 5),
        Region(100, 0, 1, 1),
        Region(5, 5, 0, 5),
        Region(5, 5, 5, -2),
    ],
    ids=str,
)
def test_a_region_outside_the_picture_is_refused_with_the_size_of_the_picture(region: Region) -> None:
    install_small_model()
    data = encode(scene(100, 60), device="cpu")
    with pytest.raises(UsageError, match="100 x 60 pixels"):
        decode(data, region=region, device="cpu")


def test_memory_follows_the_region() -> None:
    install_small_model()
    picture = replace(scene(2100, 1600), alpha=np.full((1600, 2100), 77, dtype=np.uint8))
    data = encode(picture, EncodeSettings(quality=10), device="cpu")
    peaks = []
    for region in (Region(1000, 700, 100, 100), None):
        decode(data, region=Region(0, 0, 16, 16), device="cpu")  # what is loaded once is not counted
        tracemalloc.start()
        decode(data, region=region, strict=True, device="cpu")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] > 2100 * 1600 * 4  # the figures do see the picture
    assert peaks[0] < peaks[1] / 3
