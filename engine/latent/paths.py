"""Ways between latents: straight, on the sphere, and along the flow, where every point on the way lies on the data."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Literal

import numpy as np

from engine.errors import UsageError
from engine.latent.explorer import LatentExplorer

PathKind = Literal["linear", "spherical", "flow"]
PATH_KINDS: tuple[PathKind, ...] = ("linear", "spherical", "flow")

MOST_FRAMES = 10_000
# Nearly the same or opposite directions have no arc of their own between them.
_LEAST_SINE = 1e-4


def interpolate(
    keys: np.ndarray, steps: int, kind: Literal["linear", "spherical"], *, loop: bool = False
) -> np.ndarray:
    """Points on the way through any number of key latents.

    Args:
        keys: (K, D), K of 2 or more.
        steps: from each key to the next, 1 or more; the keys themselves are among the points.
        kind: "linear", or "spherical": the direction turns evenly while the length changes evenly (Shoemake 1985), so
            that the way between two draws of a Gaussian does not pass through its centre, where no data lie.
        loop: True goes back to the first key at the end.

    Returns:
        ((K - 1) * steps + 1, D) float32; K * steps points in a loop, which does not repeat the first one.

    Raises:
        UsageError: fewer than two keys, values that are not finite, an unknown kind, or too many points.
    """
    table = np.asarray(keys, np.float64)
    if table.ndim != 2 or len(table) < 2:
        raise UsageError("A path needs two key pictures or more.", "Add another one.")
    if not np.isfinite(table).all():
        raise UsageError("A key of the path holds a value that is not a finite number.", "Choose another key.")
    if kind not in ("linear", "spherical"):
        raise UsageError(f"There is no path {kind!r}.", f"Use one of: {', '.join(PATH_KINDS)}.")
    if not 1 <= steps <= MOST_FRAMES or steps * len(table) > MOST_FRAMES:
        raise UsageError(f"A path of {steps} steps between {len(table)} keys is out of range.", "Use fewer steps.")
    between = _spherical if kind == "spherical" else _linear
    ends = np.vstack([table, table[:1]]) if loop else table
    shares = np.arange(steps) / steps
    parts = [between(start, end, shares) for start, end in pairwise(ends)]
    if not loop:
        parts.append(table[-1:])
    return np.concatenate(parts).astype(np.float32)


def path(
    explorer: LatentExplorer,
    space: str,
    keys: np.ndarray,
    steps: int,
    kind: PathKind,
    choice: Mapping[str, str],
    *,
    loop: bool = False,
) -> np.ndarray:
    """Points of a model's space on the way through key latents, as `interpolate`, also along the model's flow.

    "flow" turns the keys into style, where the data are Gaussian, goes on the sphere there and comes back: of all three
    the way that stays on the data.

    Args:
        explorer: of the model.
        space: that the keys and the result are in.
        keys: (K, D).
        steps, loop: as in `interpolate`.
        kind: "flow" needs a model with a style space.
        choice: of attributes.

    Raises:
        UsageError: as `interpolate`, and for "flow" with a model that has none.
    """
    if kind != "flow":
        return interpolate(keys, steps, kind, loop=loop)
    if "style" not in explorer.spaces:
        raise UsageError(f"{explorer.card.name} has no flow to go along.", "Use a linear or a spherical path.")
    there = explorer.convert_many(keys, space, "style", choice)
    return explorer.convert_many(interpolate(there, steps, "spherical", loop=loop), "style", space, choice)


def _linear(start: np.ndarray, end: np.ndarray, shares: np.ndarray) -> np.ndarray:
    return start + shares[:, None] * (end - start)


def _spherical(start: np.ndarray, end: np.ndarray, shares: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(start), np.linalg.norm(end)
    if min(lengths) < 1e-12:
        return _linear(start, end, shares)
    first, second = start / lengths[0], end / lengths[1]
    angle = np.arccos(np.clip(first @ second, -1, 1))
    if np.sin(angle) < _LEAST_SINE:
        return _linear(start, end, shares)
    weights = np.sin((1 - shares) * angle)[:, None], np.sin(shares * angle)[:, None]
    turned = (weights[0] * first + weights[1] * second) / np.sin(angle)
    return turned * (lengths[0] + shares * (lengths[1] - lengths[0]))[:, None]
