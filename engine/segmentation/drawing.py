"""Class colours laid over a picture: filled areas or contours, some classes hidden."""

from __future__ import annotations

import numpy as np

from engine.image import Picture
from engine.segmentation.result import Segmentation

# Rows blended at a time: large enough for fast array steps, small enough that 12 megapixels need no second picture.
_BAND = 256


def class_colors(segmentation: Segmentation) -> np.ndarray:
    """Colours (classes, 3) uint8 in class order."""
    return np.array([entry.color for entry in segmentation.classes], np.uint8).reshape(-1, 3)


def contour_pixels(numbers: np.ndarray) -> np.ndarray:
    """(H, W) bool: pixels with a side neighbour of another number, so lines are two pixels wide, one on each side."""
    edge = np.zeros(numbers.shape, bool)
    across = numbers[:, 1:] != numbers[:, :-1]
    down = numbers[1:] != numbers[:-1]
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    edge[1:] |= down
    edge[:-1] |= down
    return edge


def overlay(
    picture: Picture,
    segmentation: Segmentation,
    opacity: float = 0.5,
    hidden: frozenset[int] = frozenset(),
    contours: bool = False,
) -> np.ndarray:
    """The picture with its classes in colour.

    Args:
        opacity: of the colours, 0 (the picture alone) to 1 (the colours alone).
        hidden: class numbers that are left out.
        contours: draw outlines only; with objects, the outline of every object.

    Returns:
        (H, W, 3) uint8, a new array.
    """
    mask = segmentation.mask
    if picture.pixels.shape[:2] != mask.shape:
        raise ValueError(f"the picture is {picture.pixels.shape[:2]} and the mask {mask.shape}")
    colors = class_colors(segmentation).astype(np.float32)
    strength = np.full(len(colors), min(1.0, max(0.0, opacity)), np.float32)
    strength[[number for number in hidden if 0 <= number < len(colors)]] = 0.0
    edges = None
    if contours:
        edges = contour_pixels(mask if segmentation.objects is None else segmentation.objects)
    result = picture.pixels.copy()
    for top in range(0, mask.shape[0], _BAND):
        rows = slice(top, top + _BAND)
        weight = strength[mask[rows]]
        if edges is not None:
            weight = weight * edges[rows]
        changed = weight > 0
        if changed.any():
            share = weight[changed][:, None]
            blended = result[rows][changed] * (1.0 - share) + colors[mask[rows][changed]] * share
            result[rows][changed] = np.rint(blended).astype(np.uint8)
    return result
