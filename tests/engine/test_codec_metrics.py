"""PSNR, MS-SSIM, BD-rate and the rival codecs."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engine.compression.rivals import RIVALS, decode_rival, encode_rival, encode_rival_to_size
from engine.errors import UsageError
from engine.evaluation.bd_rate import bd_rate, pchip_slopes
from engine.evaluation.image_quality import ms_ssim, psnr
from tests.engine.codec_fixtures import scene


def test_psnr_of_a_known_error() -> None:
    a = np.full((600, 7, 3), 100, dtype=np.uint8)
    assert psnr(a, a + 5) == pytest.approx(10 * math.log10(255**2 / 25))
    assert psnr(a, a) == math.inf
    with pytest.raises(UsageError):
        psnr(a, a[:-1])


@pytest.mark.parametrize("size", [(3, 5), (40, 30), (200, 180), (256, 700)])
def test_ms_ssim_orders_pictures_by_damage(size: tuple[int, int]) -> None:
    picture = scene(*size).pixels
    rng = np.random.default_rng(0)
    values = [1.0]
    assert ms_ssim(picture, picture) == pytest.approx(1.0, abs=1e-5)
    for amount in (4, 16, 60):
        noisy = np.clip(picture + rng.normal(0, amount, picture.shape), 0, 255).astype(np.uint8)
        values.append(ms_ssim(picture, noisy))
    assert values == sorted(values, reverse=True) and values[-1] > 0


def test_ms_ssim_against_the_definition() -> None:
    """A direct, slow evaluation of the five-scale formula on one plane."""
    rng = np.random.default_rng(3)
    a = scene(181, 190).pixels
    b = np.clip(a + rng.normal(0, 20, a.shape), 0, 255).astype(np.uint8)
    offsets = np.arange(11) - 5.0
    kernel = np.exp(-(offsets**2) / 4.5)
    kernel /= kernel.sum()

    def blur(plane: np.ndarray) -> np.ndarray:
        rows = np.apply_along_axis(np.convolve, 0, plane, kernel, "valid")
        return np.apply_along_axis(np.convolve, 1, rows, kernel, "valid")

    def halve(plane: np.ndarray) -> np.ndarray:
        padded = np.pad(plane, [(side % 2, side % 2) for side in plane.shape])
        rows, columns = (side // 2 * 2 for side in padded.shape)
        return padded[:rows, :columns].reshape(rows // 2, 2, columns // 2, 2).mean(axis=(1, 3))

    channels = []
    for channel in range(3):
        x, y = a[..., channel].astype(float), b[..., channel].astype(float)
        product = 1.0
        for scale, weight in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
            mx, my = blur(x), blur(y)
            vx, vy, cov = blur(x * x) - mx**2, blur(y * y) - my**2, blur(x * y) - mx * my
            contrast = (2 * cov + 58.5225) / (vx + vy + 58.5225)
            luminance = (2 * mx * my + 6.5025) / (mx**2 + my**2 + 6.5025)
            product *= (contrast * luminance if scale == 4 else contrast).mean() ** weight
            x, y = halve(x), halve(y)
        channels.append(product)
    assert ms_ssim(a, b) == pytest.approx(np.mean(channels), abs=2e-4)


def test_bd_rate_of_a_codec_that_always_needs_a_tenth_more() -> None:
    anchor = [(0.1, 27.0), (0.2, 29.5), (0.4, 32.0), (0.8, 35.1), (1.3, 38.0)]
    test = [(rate * 1.1, quality) for rate, quality in anchor]
    assert bd_rate(anchor, test) == pytest.approx(10.0)
    assert bd_rate(test, anchor) == pytest.approx(100 / 1.1 - 100)
    assert bd_rate(anchor, list(reversed(test))[:-1]) == pytest.approx(10.0, abs=0.5)
    with pytest.raises(UsageError):
        bd_rate(anchor, [(1.0, 50.0), (2.0, 60.0)])


def test_interpolation_is_monotone_and_agrees_with_scipy() -> None:
    x = np.array([0.0, 1.0, 1.5, 4.0, 6.0, 7.0])
    y = np.array([0.0, 2.0, 2.1, 2.1, 9.0, 12.0])
    slopes = pchip_slopes(x, y)
    assert (slopes >= 0).all() and slopes[3] == 0
    interpolate = pytest.importorskip("scipy.interpolate")
    assert slopes == pytest.approx(interpolate.PchipInterpolator(x, y).derivative()(x))
    curve, other = ([(np.exp(v / n), q) for q, v in zip(x, y, strict=True)] for n in (5, 6))
    first, second = (interpolate.PchipInterpolator(x, y / n).integrate(0, 7) for n in (5, 6))
    assert bd_rate(curve, other) == pytest.approx((np.exp((second - first) / 7) - 1) * 100)


@pytest.mark.parametrize("codec", RIVALS)
def test_rivals_reach_a_size(codec: str) -> None:
    picture = scene(96, 64)
    small, large = encode_rival(codec, picture, 10), encode_rival(codec, picture, 95)
    assert len(small) < len(large)
    restored = decode_rival(large)
    assert psnr(picture.pixels, restored.pixels) > psnr(picture.pixels, decode_rival(small).pixels)
    target = (len(small) + len(large)) // 2
    assert len(small) <= len(encode_rival_to_size(codec, picture, target)) <= target
    assert len(encode_rival_to_size(codec, picture, 1)) <= len(small)


def test_unknown_rivals_are_named() -> None:
    with pytest.raises(UsageError, match="bpg"):
        encode_rival("bpg", scene(8, 8), 50)
