"""How good a map is: trustworthiness, and whether neighbours on it are of one class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from engine.errors import AnalysisError
from engine.latent.neighbours import neighbour_table
from engine.latent.points import checked_points
from engine.progress import CancelToken

NEIGHBOURS = 10

_BLOCK = 256
_SEED = 5


@dataclass(frozen=True)
class MapQuality:
    """Both figures of a map, each 0..1, higher is better.

    Attributes:
        trustworthiness: 1 where all neighbours on the map are neighbours in the latent space, too.
        neighbour_accuracy: share of points whose class is that of most of their neighbours; None without classes.
        neighbours: how many.
    """

    trustworthiness: float
    neighbour_accuracy: float | None
    neighbours: int


def map_quality(
    points: np.ndarray,
    positions: np.ndarray,
    labels: np.ndarray | None = None,
    *,
    neighbours: int = NEIGHBOURS,
    sample: int | None = None,
    cancel: CancelToken | None = None,
) -> MapQuality:
    """Both figures of a map of `points` (N, D) at `positions` (N, 2), with classes `labels` (N,) where known.

    Args:
        neighbours: fewer are taken where there are fewer than twice as many points.
        sample: see `trustworthiness`.

    Raises:
        AnalysisError: fewer than 4 points, all equal, or values that are not finite.
        Cancelled: by `cancel`.
    """
    checked_points(points, 4, "The quality of a map")
    fitting = max(1, min(neighbours, (len(points) - 1) // 2))
    trusted = trustworthiness(points, positions, fitting, sample=sample, cancel=cancel)
    accuracy = None if labels is None else neighbour_accuracy(positions, labels, fitting, cancel=cancel)
    return MapQuality(trusted, accuracy, fitting)


def trustworthiness(
    points: np.ndarray,
    positions: np.ndarray,
    neighbours: int = NEIGHBOURS,
    *,
    sample: int | None = None,
    cancel: CancelToken | None = None,
) -> float:
    """Trustworthiness of a map, Venna and Kaski, "Neighborhood preservation in nonlinear projection methods" (2001).

    1 - 2 / (n k (2N - 3k - 1)) * sum over n points i and their k neighbours j on the map of max(0, r(i, j) - k), where
    r is the rank of j among the neighbours of i in the latent space.

    Args:
        points: (N, D) latents.
        positions: (N, 2) on the map.
        neighbours: k, less than N / 2.
        sample: points i that are looked at, a fixed draw; None takes all. Ranks are always among all points.
        cancel: as everywhere.

    Raises:
        AnalysisError: k is not less than N / 2, or values that are not finite.
        Cancelled: by `cancel`.
    """
    table = torch.from_numpy(checked_points(points, 4, "Trustworthiness", varied=False)).double()
    spots = torch.from_numpy(checked_points(positions, 4, "Trustworthiness", varied=False))
    count = len(table)
    if not 1 <= neighbours < count / 2:
        raise AnalysisError(
            f"Trustworthiness by {neighbours} neighbours needs more than {2 * neighbours} latents; {count} were given.",
            "Use fewer neighbours.",
        )
    near, _ = neighbour_table(spots, neighbours, cancel=cancel)
    table = table - table.mean(0)
    squares = table.square().sum(1)
    chosen = torch.arange(count)
    if sample is not None and sample < count:
        chosen = torch.from_numpy(np.sort(np.random.default_rng(_SEED).permutation(count)[:sample]))
    penalty = 0
    for rows in chosen.split(_BLOCK):
        if cancel is not None:
            cancel.raise_if_cancelled()
        distance = torch.addmm(squares, table[rows], table.T, alpha=-2)
        distance[torch.arange(len(rows)), rows] = torch.inf
        # Rank 1 is the nearest: one more than the points that are strictly nearer; counting beats sorting.
        for own in distance.gather(1, near[rows]).T:
            rank = (distance < own[:, None]).sum(dim=1) + 1
            penalty += int((rank - neighbours).clamp_min(0).sum())
    return 1 - 2 * penalty / (len(chosen) * neighbours * (2 * count - 3 * neighbours - 1))


def neighbour_accuracy(
    positions: np.ndarray, labels: np.ndarray, neighbours: int = NEIGHBOURS, *, cancel: CancelToken | None = None
) -> float:
    """Share of points whose class is the one most of their k neighbours have, the point itself left out.

    Args:
        positions: (N, 2) on a map, or (N, D) latents.
        labels: (N,) integers; of several classes with as many neighbours the lowest number wins.
        neighbours: k, less than N.
        cancel: as everywhere.

    Raises:
        AnalysisError: no more than k points, or values that are not finite.
        Cancelled: by `cancel`.
    """
    purpose = f"Accuracy by {neighbours} neighbours"
    spots = torch.from_numpy(checked_points(positions, neighbours + 1, purpose, varied=False))
    _, classes = np.unique(labels, return_inverse=True)
    known = torch.from_numpy(classes)
    near, _ = neighbour_table(spots, neighbours, cancel=cancel)
    return float((majority(known[near], int(known.max()) + 1) == known).double().mean())


def majority(votes: torch.Tensor, classes: int) -> torch.Tensor:
    """The most frequent class (N,) of votes (N, k) int64; of several the lowest number."""
    counts = torch.zeros(len(votes), classes, dtype=torch.int64)
    counts.scatter_add_(1, votes, torch.ones_like(votes))
    return counts.argmax(1)
