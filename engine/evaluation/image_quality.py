"""PSNR and MS-SSIM of 8-bit RGB pictures, with bounded memory for pictures of any size."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from engine.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

# Exponents of the five scales, finest first (Wang, Simoncelli, Bovik 2003, "Multi-scale structural similarity").
_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_WINDOW = 11
_SIGMA = 1.5
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
_STRIP = 512
_STRIP_PIXELS = 2**16


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB over all channels; infinite for equal pictures.

    Args:
        a, b: (H, W, C) uint8 of the same shape.
    """
    check_pair(a, b)
    total = 0
    for top in range(0, len(a), _STRIP):
        difference = a[top : top + _STRIP].astype(np.int32) - b[top : top + _STRIP]
        total += int((difference * difference).sum(dtype=np.int64))
    return math.inf if total == 0 else 10.0 * math.log10(255.0**2 * a.size / total)


def ms_ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Multi-scale structural similarity, 0..1: the mean over the channels R, G, B.

    Gaussian window of 11 pixels, sigma 1.5, valid positions only, five scales. A picture with a side under 176 pixels
    has fewer scales, as many as leave 11 pixels on the shorter side, with the weights of those scales made to sum to 1;
    one with a side under 11 pixels has one scale and a window as wide as that side.

    Args:
        a, b: (H, W, C) uint8 of the same shape.
    """
    check_pair(a, b)
    import torch  # PSNR alone must not need it

    with torch.inference_mode():
        values = [_ms_ssim_plane(a[..., channel], b[..., channel]) for channel in range(a.shape[2])]
    return float(np.mean(values))


def _ms_ssim_plane(a: np.ndarray, b: np.ndarray) -> float:
    import torch
    from torch.nn import functional

    shorter = min(a.shape)
    scales = max(1, min(len(_WEIGHTS), int(math.log2(max(1, shorter) / _WINDOW)) + 1 if shorter >= _WINDOW else 1))
    weights = np.array(_WEIGHTS[:scales]) / sum(_WEIGHTS[:scales])
    x = torch.from_numpy(np.stack([a, b])).float()[:, None]
    result = 1.0
    for scale in range(scales):
        similarity, contrast = _ssim_means(x)
        value = similarity if scale == scales - 1 else contrast
        result *= max(value, 0.0) ** weights[scale]
        if scale < scales - 1:
            x = functional.avg_pool2d(x, 2, padding=(x.shape[2] % 2, x.shape[3] % 2))
    return result


def _ssim_means(x: Tensor) -> tuple[float, float]:
    """Mean SSIM and mean of its contrast-structure term over two planes (2, 1, H, W), strip by strip."""
    import torch

    height, width = x.shape[2:]
    size = min(_WINDOW, height, width)
    offsets = np.arange(size) - (size - 1) / 2
    window = np.exp(-(offsets**2) / (2 * _SIGMA**2))
    weights = [float(weight) for weight in window / window.sum()]
    similarity = contrast = 0.0
    valid_rows, valid_columns = height - size + 1, width - size + 1
    # Strips that fit into the cache of a processor: four times as fast as one large plane.
    strip_rows = max(16, _STRIP_PIXELS // width)
    for top in range(0, valid_rows, strip_rows):
        strip = x[:, :, top : min(valid_rows, top + strip_rows) + size - 1]
        moments = torch.cat([strip, strip * strip, strip[:1] * strip[1:]])
        moments = _weighted_sum([moments[:, :, i : moments.shape[2] - size + 1 + i] for i in range(size)], weights)
        moments = _weighted_sum([moments[..., i : i + valid_columns] for i in range(size)], weights)
        mean_a, mean_b, square_a, square_b, product = moments[:, 0].double()
        variance = (square_a - mean_a**2) + (square_b - mean_b**2)
        covariance = product - mean_a * mean_b
        structure = (2 * covariance + _C2) / (variance + _C2)
        contrast += float(structure.sum())
        similarity += float((structure * (2 * mean_a * mean_b + _C1) / (mean_a**2 + mean_b**2 + _C1)).sum())
    count = valid_rows * valid_columns
    return similarity / count, contrast / count


def _weighted_sum(parts: list[Tensor], weights: list[float]) -> Tensor:
    total = parts[0] * weights[0]
    for part, weight in zip(parts[1:], weights[1:], strict=True):
        total.add_(part, alpha=weight)
    return total


def check_pair(a: np.ndarray, b: np.ndarray) -> None:
    """Raise `UsageError` unless both are (H, W, C) uint8 of the same shape."""
    if a.shape != b.shape or a.ndim != 3 or a.dtype != np.uint8 or b.dtype != np.uint8:
        raise UsageError(
            f"Pictures of shapes {a.shape} and {b.shape} ({a.dtype}, {b.dtype}) cannot be compared.",
            "Use two 8-bit pictures of the same size.",
        )
