"""PSNR, MS-SSIM, SSIMULACRA2, BD-rate and the rival codecs."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engine.compression.rivals import RIVALS, decode_rival, encode_rival, encode_rival_to_size
from engine.errors import Cancelled, UsageError
from engine.evaluation import ssimulacra2 as perceptual
from engine.evaluation.bd_rate import bd_rate, pchip_slopes
from engine.evaluation.image_quality import ms_ssim, psnr
from engine.evaluation.ssimulacra2 import has_ssimulacra2, ssimulacra2
from engine.progress import CancelToken
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


def test_ssimulacra2_orders_jpegs_and_ends_at_100() -> None:
    picture = scene(640, 400)
    assert ssimulacra2(picture.pixels, picture.pixels) == 100
    jpegs = [decode_rival(encode_rival("jpeg", picture, quality)) for quality in (5, 20, 50, 80, 95)]
    values = [ssimulacra2(picture.pixels, jpeg.pixels) for jpeg in jpegs]
    assert values == sorted(values) and values[0] < 60 < values[-1] < 100


def cosine_blur(planes: np.ndarray) -> np.ndarray:
    """Planes (3, H, W) under Charalampidis's window for sigma 1.5, zeros outside, as his recursion says it."""
    reach, sigma = 5, 1.5
    omega = np.array([1, 3, 5]) * np.pi / (2 * reach)
    sign = np.array([1, -1, 1])
    p = sign / np.tan(omega / 2)
    r = sign * p * p / np.sin(omega)
    rho = np.exp(-0.5 * (sigma * omega) ** 2) / reach
    d13, d35, d51 = (p[i] * r[j] - r[i] * p[j] for i, j in ((0, 1), (1, 2), (2, 0)))
    zeta = np.array([d35, d51, d13]) / d13
    beta = np.linalg.solve([p, r, zeta], [1, reach**2 - sigma**2, zeta @ rho])

    def along_rows(x: np.ndarray) -> np.ndarray:
        length = x.shape[-1]
        padded = np.pad(x, [(0, 0), (0, 0), (2 * reach, 2 * reach)])
        total = np.zeros_like(x)
        for frequency, factor in zip(omega, beta, strict=True):
            before = last = np.zeros(x.shape[:-1])
            for n in range(1 - reach, length):
                ends = padded[..., n + reach - 1] + padded[..., n + 3 * reach - 1]
                value = -factor * np.cos(frequency * (reach + 1)) * ends + 2 * np.cos(frequency) * last - before
                before, last = last, value
                if n >= 0:
                    total[..., n] += value
        return total

    return along_rows(along_rows(planes).swapaxes(1, 2)).swapaxes(1, 2)


@pytest.mark.parametrize("size", [(211, 150), (90, 121)])
def test_ssimulacra2_against_the_definition(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """A direct, slow evaluation: whole planes, scale by scale. The larger size has all six scales."""
    monkeypatch.setattr(perceptual, "_STRIP_PIXELS", 2**12)
    a = scene(*size).pixels
    b = decode_rival(encode_rival("jpeg", scene(*size), 30)).pixels

    def light(picture: np.ndarray) -> np.ndarray:
        x = picture.transpose(2, 0, 1) / 255
        return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)

    def xyb(rgb: np.ndarray) -> np.ndarray:
        bias, last = 0.0037930732552754493, (0.24342268924547819, 0.20476744424496821)
        mix = np.array([[0.3, 0.622, 0.078], [0.23, 0.692, 0.078], [*last, 1 - sum(last)]])
        cones = np.cbrt(np.einsum("ij,jhw->ihw", mix, rgb) + bias) - np.cbrt(bias)
        y = (cones[0] + cones[1]) / 2
        return np.stack([14 * (cones[0] - cones[1]) / 2 + 0.42, y + 0.01, cones[2] - y + 0.55])

    def halve(rgb: np.ndarray) -> np.ndarray:
        padded = np.pad(rgb, [(0, 0), (0, rgb.shape[1] % 2), (0, rgb.shape[2] % 2)], mode="edge")
        return (padded[:, ::2, ::2] + padded[:, 1::2, ::2] + padded[:, ::2, 1::2] + padded[:, 1::2, 1::2]) / 4

    scales = []
    first, second = light(a), light(b)
    while len(scales) < 6:
        x, y = xyb(first), xyb(second)
        mx, my = cosine_blur(x), cosine_blur(y)
        vx, vy, cov = cosine_blur(x * x) - mx**2, cosine_blur(y * y) - my**2, cosine_blur(x * y) - mx * my
        loss = np.maximum(0, 1 - (1 - (mx - my) ** 2) * (2 * cov + 0.0009) / (vx + vy + 0.0009))
        edges = (1 + abs(y - my)) / (1 + abs(x - mx)) - 1
        maps = (loss, np.maximum(edges, 0), np.maximum(-edges, 0))
        scales.append([[(part[c] ** n).mean() ** (1 / n) for n in (1, 4) for part in maps] for c in range(3)])
        if min(first.shape[1:]) < 8:
            break
        first, second = halve(first), halve(second)
    assert len(scales) == (6 if min(size) > 112 else 5)
    norms = np.array(scales).swapaxes(0, 1).ravel()
    value = 0.9562382616834844 * norms @ perceptual._WEIGHTS[: len(norms)]
    value = 2.326765642916932 * value - 0.020884521182843837 * value**2 + 6.248496625763138e-05 * value**3
    assert ssimulacra2(a, b) == pytest.approx(100 - 10 * value**0.6276336467831387, abs=2e-3)


def test_ssimulacra2_says_where_it_is_not_defined_and_can_be_cancelled() -> None:
    picture, other = scene(8, 9).pixels, scene(9, 8).pixels
    assert has_ssimulacra2(8, 9) and np.isfinite(ssimulacra2(picture, 255 - picture))
    for a, b in ((picture, other), (picture[:7], picture[:7]), (picture[..., :1], picture[..., :1])):
        with pytest.raises(UsageError):
            ssimulacra2(a, b)
    assert not has_ssimulacra2(7, 9)
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        ssimulacra2(picture, 255 - picture, cancel=cancel)


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
