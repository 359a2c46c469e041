"""Sharpness: how much pictures change from pixel to pixel, which blur takes away."""

from __future__ import annotations

from torch import Tensor


def gradient_energy(pictures: Tensor) -> float:
    """Mean over pictures (N, C, H, W) of the squared differences of neighbours, across plus down.

    Only the ratio of two sets with the same classes says something: of samples to real pictures it is 1 where both are
    equally sharp, below 1 where samples are blurred, above 1 where they are noisy.
    """
    across = pictures.diff(dim=3).double().square().mean()
    down = pictures.diff(dim=2).double().square().mean()
    return float(across + down)
