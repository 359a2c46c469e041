"""Labelling pictures of any size in tiles: overlapping windows whose weights add up to one everywhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Window:
    """Where one tile lies along one axis, and how much each of its positions counts.

    Attributes:
        start, stop: range along the axis, multiples of the grid.
        weights: (stop - start,) float32, 0..1; over all windows of the axis they add up to 1 at every position.
    """

    start: int
    stop: int
    weights: np.ndarray


def windows(size: int, tile: int, margin: int, ramp: int, grid: int) -> list[Window]:
    """Cut an axis of `size` positions into windows of at most `tile`, evenly spread.

    The outer `margin` of a window, where its own zero padding reaches, counts nothing; next to it the weight rises over
    `ramp` positions as a raised cosine while that of the neighbour falls. The picture's own ends are not cut.

    Args:
        size, tile, margin, ramp: multiples of `grid`; tile > 2 (2 margin + ramp).
    """
    overlap = 2 * margin + ramp
    if size <= tile:
        return [Window(0, size, np.ones(size, np.float32))]
    count = -(-(size - overlap) // (tile - overlap))
    last = size - tile
    starts = [round(number * last / (count - 1) / grid) * grid for number in range(count)]
    rise = 0.5 - 0.5 * np.cos(np.pi * (np.arange(ramp) + 0.5) / ramp)
    raw = np.zeros((count, size))
    for number, start in enumerate(starts):
        weights = np.ones(tile)
        if number > 0:
            weights[:margin] = 0.0
            weights[margin : margin + ramp] = rise
        if number < count - 1:
            weights[tile - margin :] = 0.0
            weights[tile - margin - ramp : tile - margin] = rise[::-1]
        raw[number, start : start + tile] = weights
    # Even spreading makes overlaps a little wider than asked for, so the sum is brought to one explicitly.
    raw /= raw.sum(axis=0)
    return [
        Window(start, start + tile, raw[number, start : start + tile].astype(np.float32))
        for number, start in enumerate(starts)
    ]
