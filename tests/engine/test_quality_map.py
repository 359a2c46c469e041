"""Quality maps: parts of a picture get more or fewer bits, the map is small, and any decoder reads it from the file."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.compression import EncodeSettings, Region, Target, decode, encode, inspect
from engine.compression.codec_model import open_codec
from engine.compression.container import section_payload
from engine.compression.quality_map import BLOCK_LOG2, MAP_SHARE, QualityMap
from engine.errors import DamagedFile, UsageError
from engine.evaluation.image_quality import psnr
from engine.image import Picture, open_picture
from engine.paths import resources
from tests.engine.codec_fixtures import SHIPPED, install_small_model, scene
from tests.engine.test_codec_damage import repaired

shipped = pytest.mark.skipif(not SHIPPED.is_file(), reason="no trained codec is shipped yet")


def disc(width: int, height: int) -> np.ndarray:
    """A round mask in the middle."""
    y, x = np.mgrid[0:height, 0:width]
    return (y - height / 2) ** 2 + (x - width / 2) ** 2 < (min(width, height) / 4) ** 2


@shipped
def test_the_part_that_matters_keeps_its_quality_and_the_rest_pays() -> None:
    photo = open_picture(resources() / "samples" / "photos" / "bee.jpg")
    picture = Picture(np.ascontiguousarray(photo.pixels[:384, :512]))
    mask = disc(512, 384)
    focus = QualityMap.from_mask(mask, inside=0, outside=-40)
    plain = encode(picture, EncodeSettings(quality=70), device="cpu")
    focused = encode(picture, EncodeSettings(quality=70, quality_map=focus), device="cpu")
    assert len(focused) < 0.8 * len(plain)
    before, after = (decode(data, strict=True, device="cpu").picture.pixels for data in (plain, focused))
    original = picture.pixels
    assert psnr(original[mask][None], after[mask][None]) > psnr(original[mask][None], before[mask][None]) - 0.3
    assert psnr(original[~mask][None], after[~mask][None]) < psnr(original[~mask][None], before[~mask][None]) - 1.5
    section = inspect(focused).section("QMAP")
    assert section is not None and section.bytes <= MAP_SHARE * len(focused)

    # As good inside as the plain file, of the same size as a plain one of lower quality: that is what it is for.
    rival = encode(picture, EncodeSettings(target=Target("size", len(focused))), device="cpu")
    pixels = decode(rival, device="cpu").picture.pixels
    assert psnr(original[mask][None], after[mask][None]) > psnr(original[mask][None], pixels[mask][None]) + 1.0


@shipped
def test_targets_hold_with_a_map() -> None:
    photo = open_picture(resources() / "samples" / "photos" / "stones.jpg")
    picture = Picture(np.ascontiguousarray(photo.pixels[:256, :320]))
    focus = QualityMap.from_mask(disc(320, 256), inside=10, outside=-20)
    data = encode(picture, EncodeSettings(quality_map=focus, target=Target("bpp", 0.6)), device="cpu")
    assert 0.98 * 0.6 <= inspect(data).bits_per_pixel <= 0.6
    assert section_payload(data, inspect(data), "QMAP") is not None


@pytest.mark.parametrize("effort", [0, 1])
def test_a_region_of_a_file_with_a_map_is_the_same_as_of_the_whole(effort: int) -> None:
    install_small_model()
    picture = scene(1100, 600)
    offsets = np.random.default_rng(0).integers(-30, 30, (5, 9))
    chosen = QualityMap.of(offsets, block_log2=7)
    data = encode(picture, EncodeSettings(quality=60, quality_map=chosen, effort=effort), device="cpu")
    whole = decode(data, strict=True, device="cpu").picture.pixels
    part = decode(data, region=Region(400, 100, 300, 450), strict=True, device="cpu").picture.pixels
    assert np.array_equal(part, whole[100:550, 400:700])
    kept = QualityMap.unpack(section_payload(data, inspect(data), "QMAP") or b"", 1100, 600)
    assert kept.block_log2 >= 7 and len(kept.pack()) <= MAP_SHARE * len(data)


def test_a_uniform_map_changes_nothing_but_the_quality() -> None:
    install_small_model()
    picture = scene(300, 200)
    raised = QualityMap.of(np.full((7, 10), 20))
    data = encode(picture, EncodeSettings(quality=40, quality_map=raised), device="cpu")
    same = QualityMap.of(np.zeros((7, 10)))
    assert encode(picture, EncodeSettings(quality=40, quality_map=same)) == encode(picture, EncodeSettings(quality=40))
    codec = open_codec(None, "cpu")
    local = raised.qualities(40.0, 0, 13, 0, 19)
    assert (local == 6000).all()
    assert np.array_equal(codec.quantising_gain(local)[:, 0, 0], codec.quantising_gain(60.0)[:, 0, 0])
    assert decode(data, strict=True, device="cpu").intact


def test_a_map_of_another_size_is_refused() -> None:
    install_small_model()
    focus = QualityMap.of(np.ones((3, 3)))
    for target in (None, Target("bpp", 1.0)):
        with pytest.raises(UsageError, match="does not fit"):
            encode(scene(300, 200), EncodeSettings(quality_map=focus, target=target), device="cpu")
    with pytest.raises(UsageError, match="100 points"):
        QualityMap.of(np.full((2, 2), 101))


def test_squares_grow_until_the_map_is_cheap() -> None:
    noisy = QualityMap.of(np.random.default_rng(0).integers(-40, 40, (40, 60)))
    cheap = noisy.within(200)
    assert cheap is not None and len(cheap.pack()) <= 200 < len(noisy.pack()) and cheap.block_log2 > noisy.block_log2
    assert cheap.array.max() == noisy.array.max()  # nobody's part becomes worse
    assert noisy.within(3) is None


@given(
    size=st.tuples(st.integers(1, 400), st.integers(1, 400)),
    block_log2=st.sampled_from(BLOCK_LOG2),
    seed=st.integers(0, 2**31),
)
def test_maps_pack_and_unpack(size: tuple[int, int], block_log2: int, seed: int) -> None:
    rows, columns = -(-size[1] // (1 << block_log2)), -(-size[0] // (1 << block_log2))
    chosen = QualityMap.of(np.random.default_rng(seed).integers(-100, 101, (rows, columns)), block_log2)
    assert QualityMap.unpack(chosen.pack(), *size) == chosen
    local = chosen.qualities(50.0, 0, -(-size[1] // 16), 0, -(-size[0] // 16))
    assert local.min() >= 0 and local.max() <= 10_000


def test_bombs_and_nonsense_are_no_maps() -> None:
    bomb = bytes([5]) + zlib.compress(bytes(10**7), 9)
    for payload in (b"", b"\x05", b"\x09" + zlib.compress(b""), bomb, bytes([4]) + zlib.compress(bytes(20))):
        with pytest.raises(DamagedFile, match="quality map"):
            QualityMap.unpack(payload, 640, 480)


def test_a_damaged_map_is_an_error_and_never_a_wrong_picture() -> None:
    install_small_model()
    picture = scene(300, 200)
    focus = QualityMap.of(np.tile([[0, -30]], (7, 5)))
    data = bytearray(encode(picture, EncodeSettings(quality=60, quality_map=focus), device="cpu"))
    section = inspect(bytes(data)).section("QMAP")
    assert section is not None
    data[section.offset + 3] ^= 1
    with pytest.raises(DamagedFile, match="QMAP"):
        decode(bytes(data), device="cpu")
    with pytest.raises(DamagedFile, match="quality map"):
        decode(repaired(data), device="cpu")
