"""From a spot on a map back to a latent: interpolated between those around it, and how far to believe it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.errors import UsageError
from engine.latent.points import checked_points

_NEIGHBOURS = 8


@dataclass(frozen=True)
class Recovered:
    """What a spot on the map stands for.

    Attributes:
        values: (D,) float32, the interpolated latent.
        confidence: 0..1, the product of the two below.
        closeness: 1 among the points of the map, falling to 0 far from all of them.
        agreement: 1 where the latents around are one and the same, 0 where they differ as any two of the data do.
        neighbours: (k,) int64 rows that it was interpolated from, nearest first.
        weights: (k,) float32 that sum to 1.
    """

    values: np.ndarray
    confidence: float
    closeness: float
    agreement: float
    neighbours: np.ndarray
    weights: np.ndarray


class MapInverse:
    """Answers what lies at any spot of a map, by Shepard's interpolation: weights 1 / distance² of the nearest points.

    A map folds many dimensions into two, so that the answer is a guess; the confidence says how good a one.

    Args:
        positions: (N, 2) on the map.
        latents: (N, D) of the same points.

    Raises:
        AnalysisError: fewer than 2 points, or values that are not finite.
        UsageError: tables of different lengths.
    """

    def __init__(self, positions: np.ndarray, latents: np.ndarray) -> None:
        self._positions = checked_points(positions, 2, "A map that is asked for a spot", varied=False)
        self._latents = checked_points(latents, 2, "A map that is asked for a spot", varied=False)
        if len(self._positions) != len(self._latents) or self._positions.shape[1] != 2:
            raise UsageError("The map and the latents are not of the same points.", "Draw the map again.")
        self._count = min(_NEIGHBOURS, len(self._positions) - 1)
        self._variance = max(float(self._latents.var(axis=0, dtype=np.float64).sum()), 1e-20)
        self._spacing = self._typical_spacing()

    def at(self, x: float, y: float) -> Recovered:
        """The latent at a spot. Raises `UsageError` for coordinates that are not finite."""
        if not (np.isfinite(x) and np.isfinite(y)):
            raise UsageError("This spot of the map has no finite coordinates.", "Click inside the map.")
        squares = np.square(self._positions - np.array([x, y], np.float32)).sum(axis=1)
        nearest = np.argpartition(squares, self._count - 1)[: self._count]
        nearest = nearest[np.argsort(squares[nearest], kind="stable")]
        distance = np.sqrt(squares[nearest].astype(np.float64))
        weights = 1 / np.square(np.maximum(distance, 1e-6 * self._spacing))
        weights /= weights.sum()
        around = self._latents[nearest].astype(np.float64)
        values = weights @ around
        spread = float(weights @ np.square(around - values).sum(axis=1))
        agreement = max(0.0, 1 - spread / self._variance)
        # Among the points the nearest lies within about one spacing; three of them away little is left.
        closeness = float(np.exp(-0.5 * np.square(max(0.0, distance[0] / self._spacing - 1))))
        return Recovered(
            values.astype(np.float32), closeness * agreement, closeness, agreement, nearest, weights.astype(np.float32)
        )

    def _typical_spacing(self) -> float:
        """How far the last of the neighbours of a point lies, at the median of some points; never 0."""
        step = max(1, len(self._positions) // 500)
        found = []
        for spot in self._positions[::step]:
            squares = np.square(self._positions - spot).sum(axis=1)
            found.append(np.sqrt(np.partition(squares, self._count)[self._count]))
        extent = float(np.ptp(self._positions, axis=0).max())
        return max(float(np.median(found)), 1e-6 * extent, 1e-12)
