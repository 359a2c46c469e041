"""Connected regions of a mask: labelling by runs, and giving border pixels to the nearest object."""

from __future__ import annotations

import numpy as np

# Chosen on the validation part of the nuclei: smaller seeds are noise of the border, smaller objects are specks.
SMALLEST_SEED = 8
SMALLEST_OBJECT = 16


def label_regions(mask: np.ndarray, connectivity: int = 4) -> tuple[np.ndarray, int]:
    """Number the connected regions of equal, non-zero value.

    Each row is cut into runs; runs that touch in neighbouring rows are joined by hooking and pointer jumping, all in
    whole-array steps, so 12 megapixels take about a second.

    Args:
        mask: (H, W) integers or bool; 0 belongs to no region.
        connectivity: 4 (sides) or 8 (corners too).

    Returns:
        (H, W) int32 with 0 outside and 1..n inside, numbered in reading order of the first pixel, and n.
    """
    height, width = mask.shape
    labels = np.zeros((height, width), np.int32)
    if mask.size == 0:
        return labels, 0
    starts = np.ones((height, width), bool)
    starts[:, 1:] = mask[:, 1:] != mask[:, :-1]
    flat_start = np.flatnonzero(starts)
    flat_stop = np.append(flat_start[1:], mask.size)
    values = mask.reshape(-1)[flat_start]
    kept = values != 0
    first, stop, values = flat_start[kept], flat_stop[kept], values[kept]
    count = first.size
    if count == 0:
        return labels, 0
    above, below = _touching_runs(first, stop, values, width, reach=int(connectivity == 8))
    parent = _join(count, above, below)
    roots, numbers = np.unique(parent, return_inverse=True)
    # Paint runs by differences: +label where a run starts, -label where it stops, then one running sum.
    steps = np.zeros(mask.size + 1, np.int32)
    steps[first] += (numbers + 1).astype(np.int32)
    steps[stop] -= (numbers + 1).astype(np.int32)
    np.cumsum(steps[:-1], out=labels.reshape(-1), dtype=np.int32)
    return labels, int(roots.size)


def _touching_runs(
    first: np.ndarray, stop: np.ndarray, values: np.ndarray, width: int, reach: int
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of runs (upper, lower) of equal value in neighbouring rows whose columns overlap; reach 1: or touch."""
    # A run is compared with the row above by moving it up one row; rows are padded apart so corners never wrap.
    row = first // width
    pitch = width + 2
    begin = row * pitch + (first - row * width)
    end = begin + (stop - first)
    low = np.searchsorted(end, begin - pitch - reach, side="right")
    high = np.searchsorted(begin, end - pitch + reach, side="left")
    number = np.maximum(high - low, 0)
    lower = np.repeat(np.arange(first.size), number)
    offset = np.arange(lower.size) - np.repeat(np.cumsum(number) - number, number)
    upper = np.repeat(low, number) + offset
    equal = values[upper] == values[lower]
    return upper[equal], lower[equal]


def _join(count: int, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Smallest member of each run's connected component, given the pairs that touch."""
    parent = np.arange(count)
    while left.size:
        a, b = parent[left], parent[right]
        apart = a != b
        left, right, a, b = left[apart], right[apart], a[apart], b[apart]
        if not left.size:
            break
        np.minimum.at(parent, np.maximum(a, b), np.minimum(a, b))
        while True:
            shorter = parent[parent]
            if np.array_equal(shorter, parent):
                break
            parent = shorter
    return parent


def fill_nearest(labels: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Give unlabelled pixels of `where` the label nearest to them along paths inside `where`.

    Args:
        labels: (H, W) int32, 0 = none.
        where: (H, W) bool, the pixels that may be filled.

    Returns:
        (H, W) int32; pixels of `where` with no path to a label stay 0.
    """
    height, width = labels.shape
    # One row and column of margin all round make the four neighbours plain offsets.
    pitch = width + 2
    grown = np.zeros((height + 2, pitch), np.int32)
    grown[1:-1, 1:-1] = labels
    flat = grown.reshape(-1)
    open_ = np.zeros((height + 2, pitch), bool)
    open_[1:-1, 1:-1] = where & (labels == 0)
    waiting = np.flatnonzero(open_)
    while waiting.size:
        found = np.zeros(waiting.size, np.int32)
        for offset in (-pitch, -1, 1, pitch):
            neighbour = flat[waiting + offset]
            found = np.where(found == 0, neighbour, found)
        reached = found > 0
        if not reached.any():
            break
        flat[waiting[reached]] = found[reached]
        waiting = waiting[~reached]
    return np.ascontiguousarray(grown[1:-1, 1:-1])


def count_regions(mask: np.ndarray, classes: int, connectivity: int = 4) -> list[int]:
    """Number of connected regions per class number 0..classes-1 of an (H, W) mask."""
    # Class 0 is a class like the others here, so everything moves up by one.
    numbered, count = label_regions(mask.astype(np.int32) + 1, connectivity)
    if count == 0:
        return [0] * classes
    first = np.unique(numbered.reshape(-1), return_index=True)[1]
    return np.bincount(mask.reshape(-1)[first], minlength=classes)[:classes].tolist()


def keep_large(labels: np.ndarray, count: int, smallest: int) -> tuple[np.ndarray, int]:
    """Drop regions of fewer than `smallest` pixels and number the others anew, 1..n in the same order."""
    kept = np.bincount(labels.reshape(-1), minlength=count + 1) >= smallest
    kept[0] = False
    numbers = np.where(kept, np.cumsum(kept), 0).astype(np.int32)
    return numbers[labels], int(kept.sum())


def separate_objects(mask: np.ndarray, inside: int = 1, border: int = 2) -> np.ndarray:
    """Objects of a mask with a class for their inside and one for where they touch.

    Connected regions of the inside are seeds; border pixels, and seeds too small to be an object, go to the nearest
    seed along paths inside the foreground. Foreground without a seed makes objects of its own, and specks are dropped.

    Returns:
        (H, W) int32 object numbers 1..n, 0 = background.
    """
    foreground = (mask == inside) | (mask == border)
    seeds, count = keep_large(*label_regions(mask == inside), SMALLEST_SEED)
    objects = fill_nearest(seeds, foreground)
    orphans, more = label_regions(foreground & (objects == 0))
    if more:
        objects = np.where(orphans > 0, orphans + count, objects).astype(np.int32)
    return keep_large(objects, count + more, SMALLEST_OBJECT)[0]
