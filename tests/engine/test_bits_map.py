"""Where the bits go: the map adds up to the file, and points to what is busy."""

from __future__ import annotations

import numpy as np
import pytest

from engine.compression import EncodeSettings, encode, inspect
from engine.compression.bits_map import bits_map, smoothed
from engine.compression.quality_map import QualityMap
from engine.errors import Cancelled, DamagedFile
from engine.heat_colours import heat_colours, heat_picture
from engine.image import Picture, open_picture
from engine.paths import resources
from engine.progress import CancelToken, Progress
from tests.engine.codec_fixtures import SHIPPED, install_small_model, scene

pytestmark = pytest.mark.skipif(not SHIPPED.is_file(), reason="the shipped codec is not there")


@pytest.fixture(scope="module")
def photo() -> Picture:
    whole = open_picture(resources() / "samples" / "photos" / "stones.jpg")
    return Picture(np.ascontiguousarray(whole.pixels[:450, :600]))  # two groups, odd borders


@pytest.mark.parametrize("quality", [5.0, 50.0, 95.0])
def test_the_sum_is_that_of_the_streams(photo: Picture, quality: float) -> None:
    data = encode(photo, EncodeSettings(quality=quality))
    steps: list[Progress] = []
    bits = bits_map(data, progress=steps.append)
    assert bits.shape == (29, 38) and bits.dtype == np.float32 and bits.min() > 0
    streams = sum(group.bytes for group in inspect(data).groups)
    assert float(bits.sum()) * 256 / 8 == pytest.approx(streams, rel=0.02)
    assert steps[-1].fraction == 1


def test_each_group_is_right_by_itself_and_so_is_a_quality_map(photo: Picture) -> None:
    mask = np.zeros((photo.height, photo.width), dtype=bool)
    mask[:, :300] = True
    focused = QualityMap.from_mask(mask, inside=0.0, outside=-40.0)
    data = encode(photo, EncodeSettings(quality=60, quality_map=focused))
    bits, plain = bits_map(data), bits_map(encode(photo, EncodeSettings(quality=60)))
    for group in inspect(data).groups:
        part = bits[group.y // 16 :, group.x // 16 : (group.x + group.width + 15) // 16]
        assert float(part.sum()) * 256 / 8 == pytest.approx(group.bytes, rel=0.02)
    assert bits[:, :18].mean() == pytest.approx(plain[:, :18].mean(), rel=0.15)
    assert bits[:, 20:].mean() < 0.6 * plain[:, 20:].mean()


def test_texture_costs_and_flat_parts_do_not() -> None:
    pixels = np.full((256, 256, 3), 120, dtype=np.uint8)
    pixels[64:128, 128:192] = np.random.default_rng(0).integers(0, 255, (64, 64, 3))
    bits = bits_map(encode(Picture(pixels), EncodeSettings(quality=50)))
    inside = bits[4:8, 8:12].mean()
    assert inside > 10 * bits[10:].mean()
    shared = smoothed(bits)
    assert shared[10:].max() < 2 * shared[10:].mean()  # no checkerboard
    assert shared.sum() == pytest.approx(bits.sum(), rel=1e-4)
    assert bits[4:8, 8:12].sum() > 0.5 * bits.sum()


def test_escapes_are_counted_too() -> None:
    install_small_model()
    data = encode(scene(200, 120, noise=60.0), EncodeSettings(quality=100))
    streams = sum(group.bytes for group in inspect(data).groups)
    assert float(bits_map(data).sum()) * 256 / 8 == pytest.approx(streams, rel=0.02)


def test_damage_and_cancelling(photo: Picture) -> None:
    data = bytearray(encode(photo, EncodeSettings(quality=30)))
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        bits_map(bytes(data), cancel=cancel)
    data[inspect(bytes(data)).groups[0].offset + 20] ^= 0x55
    with pytest.raises(DamagedFile):
        bits_map(bytes(data))


def test_the_palette_rises_evenly() -> None:
    colours = heat_colours()
    linear = np.where(colours <= 10, colours / 255 / 12.92, ((colours / 255 + 0.055) / 1.055) ** 2.4)
    seen = 116 * np.cbrt(np.maximum(linear @ [0.2126, 0.7152, 0.0722], 0.00885)) - 16
    steps = np.diff(seen[::8])
    assert (steps > 0).all() and seen[0] < 12 and seen[-1] > 90
    assert steps[2:].max() < 2.2 * steps[2:].min()
    drawn = heat_picture(np.array([[0.0, 1.0, 9.0]]), 2.0)
    assert (drawn[0, 0] == colours[0]).all() and (drawn[0, 2] == colours[-1]).all()
    assert (drawn[0, 1] == colours[128]).all()
    assert (heat_picture(np.zeros((2, 2)), 0.0) == colours[0]).all()
