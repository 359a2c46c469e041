"""Bjontegaard delta rate: how many more bits one codec needs than another for the same quality."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.errors import UsageError

Curve = Sequence[tuple[float, float]]


def bd_rate(anchor: Curve, test: Curve) -> float:
    """Mean difference of rate in percent at equal quality; negative where `test` needs fewer bits.

    Log rate over quality is interpolated by monotone cubics (PCHIP) and integrated over the range of quality that both
    curves cover (Bjontegaard, VCEG-AI11).

    Args:
        anchor, test: points (rate > 0, quality), four or more where possible, at least two.

    Raises:
        UsageError: too few points, or the curves share no range of quality.
    """
    qualities, integrals = [], []
    curves = [_prepare(anchor), _prepare(test)]
    low = max(quality[0] for quality, _ in curves)
    high = min(quality[-1] for quality, _ in curves)
    if not high > low:
        raise UsageError("The two curves share no range of quality.", "Measure them at closer qualities.")
    for quality, log_rate in curves:
        qualities.append(quality)
        integrals.append(_integral(quality, log_rate, low, high))
    return float((np.exp((integrals[1] - integrals[0]) / (high - low)) - 1.0) * 100.0)


def pchip_slopes(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Slopes (N,) of the monotone piecewise cubic through points (N,) of ascending x (Fritsch and Butland 1984)."""
    step = np.diff(x)
    secant = np.diff(y) / step
    if len(x) == 2:
        return np.array([secant[0], secant[0]])
    slopes = np.zeros_like(y)
    before, after = 2 * step[1:] + step[:-1], step[1:] + 2 * step[:-1]
    same = secant[:-1] * secant[1:] > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = (before + after) / (before / secant[:-1] + after / secant[1:])
    slopes[1:-1] = np.where(same, mean, 0.0)
    slopes[0] = _end_slope(step[0], step[1], secant[0], secant[1])
    slopes[-1] = _end_slope(step[-1], step[-2], secant[-1], secant[-2])
    return slopes


def _end_slope(step: float, next_step: float, secant: float, next_secant: float) -> float:
    slope = ((2 * step + next_step) * secant - step * next_secant) / (step + next_step)
    if slope * secant <= 0:
        return 0.0
    if secant * next_secant <= 0 and abs(slope) > 3 * abs(secant):
        return 3 * secant
    return slope


def _prepare(curve: Curve) -> tuple[np.ndarray, np.ndarray]:
    points = sorted((quality, rate) for rate, quality in curve)
    quality = np.array([point[0] for point in points], dtype=np.float64)
    rate = np.array([point[1] for point in points], dtype=np.float64)
    keep = np.append(True, np.diff(quality) > 0) if len(points) else np.zeros(0, dtype=bool)
    if keep.sum() < 2 or (rate <= 0).any() or not np.isfinite(quality).all():
        raise UsageError("A curve needs two points of different quality and positive rates.", "Measure more points.")
    return quality[keep], np.log(rate[keep])


def _integral(x: np.ndarray, y: np.ndarray, low: float, high: float) -> float:
    """Integral of the monotone cubic through (x, y) from low to high, exact."""
    slopes = pchip_slopes(x, y)
    total = 0.0
    for i in range(len(x) - 1):
        start, end = max(low, x[i]), min(high, x[i + 1])
        if end <= start:
            continue
        step = x[i + 1] - x[i]
        secant = (y[i + 1] - y[i]) / step
        square = (3 * secant - 2 * slopes[i] - slopes[i + 1]) / step
        cube = (slopes[i] + slopes[i + 1] - 2 * secant) / step**2
        for sign, point in ((1.0, end - x[i]), (-1.0, start - x[i])):
            powers = y[i] + point * (slopes[i] / 2 + point * (square / 3 + point * cube / 4))
            total += sign * point * powers
    return total
