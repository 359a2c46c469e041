"""Principal components of latents: the axes along which they vary most."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from engine.latent.points import checked_points

# Above this, the exact eigenvectors of the smaller side take many seconds and a randomised SVD takes their place.
_LARGEST_EXACT = 1500
_SEED = 3


@dataclass(frozen=True)
class Principal:
    """The principal components of a table of points.

    Attributes:
        mean: (D,) float32.
        axes: (k, D) float32, orthonormal rows, the most varied first; the largest entry of each is positive.
        variance: (k,) float32 along each axis, divided by N - 1.
        share: (k,) float32 of the whole variance, 0..1.
    """

    mean: np.ndarray
    axes: np.ndarray
    variance: np.ndarray
    share: np.ndarray

    def project(self, points: np.ndarray) -> np.ndarray:
        """Coordinates (N, k) float32 of points (N, D)."""
        return (np.asarray(points, np.float32) - self.mean) @ self.axes.T

    def restore(self, coordinates: np.ndarray) -> np.ndarray:
        """The points (N, D) float32 at coordinates (N, k)."""
        return np.asarray(coordinates, np.float32) @ self.axes + self.mean


def principal_components(points: np.ndarray, count: int) -> Principal:
    """The `count` first principal components of points (N, D); fewer where the points have fewer dimensions.

    Raises:
        AnalysisError: fewer than 2 points, all equal, or values that are not finite.
    """
    table = torch.from_numpy(checked_points(points, 2, "PCA")).double()
    mean = table.mean(0)
    centred = table - mean
    total = float(centred.square().sum()) / (len(table) - 1)
    count = min(count, *table.shape)
    rows, columns = table.shape
    if min(rows, columns) > _LARGEST_EXACT:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(_SEED)
            _, singular, right = torch.svd_lowrank(centred, q=min(count + 16, rows, columns), niter=4)
        axes, variance = right.T[:count], singular[:count].square() / (rows - 1)
    elif columns <= rows:
        values, vectors = torch.linalg.eigh(centred.T @ centred / (rows - 1))
        axes, variance = vectors.T.flip(0)[:count], values.flip(0)[:count]
    else:
        _, singular, right = torch.linalg.svd(centred, full_matrices=False)
        axes, variance = right[:count], singular[:count].square() / (rows - 1)
    # An axis has no sign of its own: fix it, so that a map is never mirrored from one run to the next.
    largest = axes.gather(1, axes.abs().argmax(1, keepdim=True))
    axes = axes * torch.where(largest < 0, -1.0, 1.0)
    variance = variance.clamp_min(0)
    parts = (mean, axes, variance, variance / total)
    return Principal(*(np.ascontiguousarray(part.float().numpy()) for part in parts))
