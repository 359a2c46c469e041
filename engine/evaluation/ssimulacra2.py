"""SSIMULACRA2: how visible the damage of a compressed picture is, with bounded memory for pictures of any size.

The metric is Jon Sneyers's (Cloudinary), version 2.1 of April 2023, as the tool `ssimulacra2` of libjxl defines it:
six scales, halved in linear light; at each, in the perceptual colour space XYB, three maps (a structural similarity,
edges that only the decoded picture has, edges that it lost), of each its mean and its 4-norm; a sum of these with
weights fitted to people's judgements. Numbers below are constants of that definition.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.errors import UsageError
from engine.evaluation.image_quality import check_pair
from engine.progress import CancelToken, never_cancelled

if TYPE_CHECKING:
    from torch import Tensor

_SMALLEST_SIDE = 8
_SCALES = 6
_C2 = 0.0009
# Half of a symmetric window: a Gaussian of sigma 1.5 by truncated cosines (Charalampidis 2016, "Recursive
# implementation of the Gaussian filter using truncated cosine functions", N = 5), as its impulse response.
_WINDOW = (0.264621105, 0.212928592, 0.109335373, 0.0360111147, 0.00941436781)
_REACH = len(_WINDOW) - 1
# Linear RGB -> responses of the cones; their cube roots -> X, Y and B - Y, each within 0..1.
_CONES = ((0.3, 0.622, 0.078), (0.23, 0.692, 0.078), (0.24342268924547819, 0.20476744424496821, 0.55180986650955360))
_CONE_BIAS = 0.0037930732552754493
_OPPONENTS = ((7.0, -7.0, 0.0), (0.5, 0.5, 0.0), (-0.5, -0.5, 1.0))
_OPPONENT_BIAS = (0.42, 0.01 - _CONE_BIAS ** (1 / 3), 0.55)
# For X, Y and B - Y a row for each scale, finest first: mean, then 4-norm, of similarity, new edges, lost edges.
_WEIGHTS = np.fromstring(
    """
    0 0.0007376606707406586 0 0 0.0007793481682867309 0
    0 0.0004371155730107379 0 1.1041726426657346 0.00066284834129271 0.00015231632783718752
    0 0.0016406437456599754 0 1.8422455520539298 11.441172603757666 0
    0.0007989109436015163 0.000176816438078653 0 1.8787594979546387 10.94906990605142 0
    0.0007289346991508072 0.9677937080626833 0 0.00014003424285435884 0.9981766977854967 0.00031949755934435053
    0.0004550992113792063 0 0 0.0013648766163243398 0 0

    0 0 0 7.466890328078848 0 17.445833984131262
    0.0006235601634041466 0 0 6.683678146179332 0.00037724407979611296 1.027889937768264
    225.20515300849274 0 0 19.213238186143016 0.0011401524586618361 0.001237755635509985
    176.39317598450694 0 0 24.43300999870476 0.28520802612117757 0.0004485436923833408
    0 0 0 34.77906344483772 44.835625328877896 0
    0 0 0 0 0 0

    0 0.0008680556573291698 0 0 0 0
    0 0.0005313191874358747 0 0.00016533814161379112 0 0
    0 0 0 0.0004179171803251336 0.0017290828234722833 0
    0.0020827005846636437 0 0 8.826982764996862 23.19243343998926 0
    95.1080498811086 0.9863978034400682 0.9834382792465353 0.0012286405048278493 171.2667255897307 0.9807858872435379
    0 0 0 0.0005130064588990679 0 0.00010854057858411537
    """,
    sep=" ",
)
# Strips that fit into the cache of a processor.
_STRIP_PIXELS = 2**16


def has_ssimulacra2(width: int, height: int) -> bool:
    """Whether the figure is defined for pictures of this size."""
    return min(width, height) >= _SMALLEST_SIDE


def ssimulacra2(original: np.ndarray, decoded: np.ndarray, *, cancel: CancelToken | None = None) -> float:
    """SSIMULACRA2 of a decoded picture: 100 where it equals the original, less the more visible the damage is.

    As its author reads it, 90 is visually lossless, 70 high quality, 50 medium, 30 low; below 0 little is left. It is
    not symmetric in its arguments. Beside the pictures it takes about 9 bytes a pixel, as `ms_ssim` does. A side
    under 113 pixels leaves fewer than six scales, to which the definition gives the first of the weights: that is the
    figure of the tool, but no judgement to rely on.

    Args:
        original, decoded: (H, W, 3) uint8 sRGB of the same shape, both sides at least 8.

    Raises:
        UsageError: they cannot be compared, or a side has less than 8 pixels, for which the figure is not defined.
        Cancelled: `cancel` was set.
    """
    check_pair(original, decoded)
    height, width, channels = original.shape
    if not has_ssimulacra2(width, height) or channels != 3:
        raise UsageError(
            f"SSIMULACRA2 is not defined for a picture of {width}x{height} pixels and {channels} channels.",
            f"Compare RGB pictures of at least {_SMALLEST_SIDE} pixels a side.",
        )
    if np.array_equal(original, decoded):
        return 100.0
    import torch

    cancel = cancel or never_cancelled()
    with torch.inference_mode():
        return _score(_scales(original, decoded, cancel))


def _score(scales: list[np.ndarray]) -> float:
    # The definition reads its weights one after the other, also where a small picture has fewer than six scales.
    norms = np.stack(scales, axis=1).ravel()
    value = 0.9562382616834844 * float(norms @ _WEIGHTS[: norms.size])
    value = 2.326765642916932 * value - 0.020884521182843837 * value**2 + 6.248496625763138e-05 * value**3
    return 100.0 - 10.0 * max(0.0, value) ** 0.6276336467831387


def _scales(original: np.ndarray, decoded: np.ndarray, cancel: CancelToken) -> list[np.ndarray]:
    """The norms of every scale, finest first: each (3, 6), channels by mean and 4-norm of the three maps."""
    import torch
    from torch.nn import functional

    codes = np.arange(256) / 255
    light = np.where(codes <= 0.04045, codes / 12.92, ((codes + 0.055) / 1.055) ** 2.4).astype(np.float32)
    height, width = original.shape[:2]
    linear: Tensor | None = None  # (2, 3, height, width) of a coarser scale; the finest is never held as a whole

    def rows(top: int, bottom: int) -> Tensor:
        if linear is not None:
            return linear[:, :, top:bottom]
        pair = np.stack([light[picture[top:bottom].transpose(2, 0, 1)] for picture in (original, decoded)])
        return torch.from_numpy(pair)

    result = []
    while True:
        sums = torch.zeros(3, 6, dtype=torch.float64)
        halved = torch.empty(2, 3, (height + 1) // 2, (width + 1) // 2)
        step = max(16, _STRIP_PIXELS // width // 2 * 2)  # even: pixels of the next scale lie in one strip
        for top in range(0, height, step):
            cancel.raise_if_cancelled()
            bottom = min(height, top + step)
            first, last = max(0, top - _REACH), min(height, bottom + _REACH)
            strip = rows(first, last)
            own = strip[:, :, top - first : bottom - first]
            halved[:, :, top // 2 : (bottom + 1) // 2] = functional.avg_pool2d(own, 2, ceil_mode=True)
            sums += _map_sums(_xyb(strip), _REACH - (top - first), _REACH - (last - bottom))
        means = sums / (height * width)
        means[:, 3:] = means[:, 3:] ** 0.25
        result.append(means.numpy())
        if len(result) == _SCALES or min(height, width) < _SMALLEST_SIDE:
            return result
        linear = halved
        height, width = linear.shape[2:]


def _xyb(linear: Tensor) -> Tensor:
    """Linear RGB (2, 3, H, W) as X, Y and B - Y, each within 0..1."""
    import torch

    flat = linear.flatten(2)
    cones = torch.tensor(_CONES) @ flat + _CONE_BIAS
    values = torch.tensor(_OPPONENTS) @ cones.pow_(1 / 3) + torch.tensor(_OPPONENT_BIAS)[:, None]
    return values.view(linear.shape)


def _map_sums(xyb: Tensor, above: int, below: int) -> Tensor:
    """Sums (3, 6) over a strip of the three maps and of their fourth powers, without the strip's margins.

    Args:
        xyb: (2, 3, H, W), with margins of the window's reach above and below where there are pixels.
        above, below: rows of the margin that lie outside the picture. The window sees 0 there.
    """
    import torch
    from torch.nn import functional

    padded = functional.pad(xyb, (_REACH, _REACH, above, below))
    a, b = padded
    difference = a - b
    # Variances of the difference instead of covariances: nothing cancels where the pictures are nearly the same.
    mean_a, mean_b, power, error = _blur(torch.stack([a, b, a * a + b * b, difference * difference]))
    shift = (mean_a - mean_b).square_()
    spread = error - shift
    total = power - mean_a * mean_a - mean_b * mean_b + _C2
    loss = (1 - (1 - shift) * (1 - spread / total)).clamp_(min=0)
    inner = (slice(None), slice(_REACH, -_REACH), slice(_REACH, -_REACH))
    edges = (1 + (b[inner] - mean_b).abs_()) / (1 + (a[inner] - mean_a).abs_()) - 1
    maps = torch.stack([loss, edges.clamp(min=0), -edges.clamp(max=0)], dim=1)
    sums = maps.sum((2, 3), dtype=torch.float64)
    return torch.cat([sums, maps.square_().square_().sum((2, 3), dtype=torch.float64)], dim=1)


def _blur(planes: Tensor) -> Tensor:
    """Planes (..., H, W) under the window, valid positions only."""
    for dim in (-2, -1):
        count = planes.shape[dim] - 2 * _REACH
        total = planes.narrow(dim, _REACH, count) * _WINDOW[0]
        for offset, weight in enumerate(_WINDOW[1:], start=1):
            total.add_(planes.narrow(dim, _REACH - offset, count), alpha=weight)
            total.add_(planes.narrow(dim, _REACH + offset, count), alpha=weight)
        planes = total
    return planes
