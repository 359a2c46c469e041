"""What a layer does to a picture of few pixels, with a kernel that people know, in plain numpy."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from PIL import Image

from engine.errors import UsageError
from engine.image import Picture, flatten
from engine.laboratory.layers import Layer, Step

Filter = Literal["average", "edges", "sharpen", "random"]
FILTERS: tuple[Filter, ...] = get_args(Filter)
LONGEST_SIDE = 4 / 3


def small_picture(picture: Picture, across: int) -> np.ndarray:
    """The middle of the picture shrunk to `across` pixels a line, (h, across, 3) uint8.

    Pictures longer than `LONGEST_SIDE` times their shorter side lose both ends: of few pixels none can be spared for
    room beside them.
    """
    width = min(picture.width, max(1, round(LONGEST_SIDE * picture.height)))
    height = min(picture.height, max(1, round(LONGEST_SIDE * picture.width)))
    left, top = (picture.width - width) // 2, (picture.height - height) // 2
    image = Image.fromarray(np.ascontiguousarray(flatten(picture)[top : top + height, left : left + width]))
    return np.asarray(image.resize((across, max(1, round(across * height / width))), Image.Resampling.BOX))


def filter_weights(name: Filter, kernel: int, seed: int = 0) -> np.ndarray:
    """Weights (kernel, kernel) of a well-known filter.

    "average" sums to 1, "edges" (a pixel less the mean around it) to 0, "sharpen" (a pixel plus its edges) to 1;
    "random" is drawn from N(0, 1 / kernel).

    Raises:
        UsageError: there is no such filter.
    """
    average = np.full((kernel, kernel), 1 / kernel**2)
    middle = np.zeros((kernel, kernel))
    middle[kernel // 2, kernel // 2] = 1
    if name == "average":
        return average
    if name == "edges":
        return middle - average
    if name == "sharpen":
        return 2 * middle - average
    if name == "random":
        return np.random.default_rng(seed).normal(0, 1 / kernel, (kernel, kernel))
    raise UsageError(f"There is no filter {name!r}.", f"Use one of {', '.join(FILTERS)}.")


def mixing_weights(layer: Layer, name: Filter, seed: int = 0) -> np.ndarray:
    """How the three colours of the picture mix, (3 outputs, 3 inputs): what "groups" means on a picture.

    Only random weights mix colours, and only where the layer lets channels see one another: with one group, or by the
    1x1 convolution of a separable layer.
    """
    if name != "random" or (layer.groups > 1 and layer.kind != "separable"):
        return np.eye(3)
    return np.random.default_rng(seed + 1).normal(0, 1, (3, 3))


def filtered(layer: Layer, pixels: np.ndarray, name: Filter, seed: int = 0) -> np.ndarray:
    """One layer with the weights of a filter on a small picture.

    Args:
        layer: any kind but pooling and resizing, of one rate.
        pixels: (h, w, 3) uint8.
        name: of the filter.
        seed: of the random one.

    Returns:
        (h', w', 3) float64, with inputs taken as 0..1. A transposed layer is scaled by stride^2, so that it keeps the
        brightness on average.
    """
    step = layer.steps(layer.groups)[0]  # only its places count here, and those do not depend on the channels
    return spread(step, pixels / 255.0, kernel_of(layer, name, seed)) @ mixing_weights(layer, name, seed).T


def kernel_of(layer: Layer, name: Filter, seed: int = 0) -> np.ndarray:
    """The weights (k, k) of a layer in `filtered`."""
    gain = layer.stride**2 if layer.kind == "transposed" else 1
    return gain * filter_weights(name, layer.kernel, seed)


def spread(step: Step, values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The same weights (k, k) applied to every channel of `values` (h, w, C) at the places that `step` reads."""
    branch = step.branches[0]
    height, width = values.shape[:2]
    tall, wide = max(0, branch.output_size(height)), max(0, branch.output_size(width))
    out = np.zeros((tall, wide, values.shape[2]))
    for row in range(branch.kernel):
        for column in range(branch.kernel):
            down, across = row * branch.dilation - branch.padding, column * branch.dilation - branch.padding
            if branch.transposed:
                (into_y, from_y), (into_x, from_x) = (
                    _overlap(tall, height, down, branch.stride),
                    _overlap(wide, width, across, branch.stride),
                )
            else:
                (from_y, into_y), (from_x, into_x) = (
                    _overlap(height, tall, down, branch.stride),
                    _overlap(width, wide, across, branch.stride),
                )
            out[into_y, into_x] += weights[row, column] * values[from_y, from_x]
    return out


def _overlap(fine: int, coarse: int, offset: int, stride: int) -> tuple[slice, slice]:
    """Positions n of the coarse axis, and n * stride + offset of the fine one, where both lie on their axis."""
    first = max(0, -(offset // stride))
    last = min(coarse - 1, (fine - 1 - offset) // stride)
    if last < first:
        return slice(0, 0), slice(0, 0)
    start = first * stride + offset
    return slice(start, (last * stride + offset) + 1, stride), slice(first, last + 1)


def shown(values: np.ndarray, name: Filter) -> np.ndarray:
    """Results of `filtered` as colours (h, w, 3) uint8.

    "average" and "sharpen" are brightness as it is. The others have negative values: grey stands for 0, and the largest
    value, but for 1 % of the pixels, is as far from grey as can be.
    """
    if name in ("average", "sharpen"):
        level = values
    else:
        largest = float(np.quantile(np.abs(values), 0.99)) if values.size else 0.0
        level = 0.5 + 0.5 * values / (largest if largest > 1e-9 else 1.0)  # rounding errors are no edges
    return np.rint(255 * np.clip(level, 0, 1)).astype(np.uint8)
