"""Maps: latents as points on a plane, by PCA at once, by PaCMAP in seconds, by t-SNE and UMAP where installed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from engine.errors import UsageError
from engine.latent.apart import is_installed, run_apart
from engine.latent.pacmap import LEAST_POINTS, Pacmap
from engine.latent.points import checked_points
from engine.latent.principal import principal_components
from engine.progress import CancelToken, Progress, ProgressCallback, ignore_progress

# Distances in more dimensions are hardly sharper, but cost as many times more; PaCMAP and t-SNE are used so.
_MOST_DIMENSIONS = 100


@dataclass(frozen=True)
class MapMethod:
    """A way to draw a map.

    Attributes:
        key: for commands and settings.
        label: for people.
        least: points that it needs.
        installed: False where its package is not at hand.
    """

    key: str
    label: str
    least: int
    installed: bool


def map_methods() -> tuple[MapMethod, ...]:
    """The ways to draw a map, the quickest first."""
    return (
        MapMethod("pca", "PCA", 2, True),
        MapMethod("pacmap", "PaCMAP", LEAST_POINTS, True),
        MapMethod("tsne", "t-SNE", 5, is_installed("tsne")),
        MapMethod("umap", "UMAP", 5, is_installed("umap")),
    )


def make_map(
    points: np.ndarray,
    method: str,
    *,
    seed: int = 0,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> np.ndarray:
    """Positions (N, 2) float32 of points (N, D) on a map.

    Args:
        points: latents.
        method: "pca", "pacmap", "tsne" or "umap".
        seed: 0 or more; the same one gives the same map on one machine.
        progress: `partial` carries the map so far, (N, 2), every few steps of PaCMAP and t-SNE.
        cancel: as everywhere. `Pacmap` itself can go on afterwards.

    Raises:
        UsageError: no such method, or a seed out of range.
        AnalysisError: too few points, all equal, values that are not finite, or a package that is not installed.
        Cancelled: by `cancel`.
    """
    known = {one.key: one for one in map_methods()}
    if method not in known:
        raise UsageError(f"There is no map {method!r}.", f"Use one of: {', '.join(known)}.")
    if not 0 <= seed < 2**31:
        raise UsageError(f"The seed {seed} is out of range.", "Use a number from 0 to 2,000,000,000.")
    table = checked_points(points, known[method].least, f"A map by {known[method].label}")
    if method == "pca":
        positions = pca_map(table)
        progress(Progress(1, 1, "Map drawn", positions))
        return positions
    if table.shape[1] > _MOST_DIMENSIONS:
        table = principal_components(table, _MOST_DIMENSIONS).project(table)
    if method == "pacmap":
        return Pacmap(table, seed).run(progress, cancel)
    settings = {"seed": seed, "threads": torch.get_num_threads()}
    return run_apart(method, table, settings, progress=progress, cancel=cancel)


def pca_map(points: np.ndarray) -> np.ndarray:
    """The first two principal components (N, 2) float32; the second is 0 where there is only one dimension."""
    spots = principal_components(points, 2).project(points)
    if spots.shape[1] < 2:
        spots = np.hstack([spots, np.zeros((len(spots), 1), np.float32)])
    return np.ascontiguousarray(spots, np.float32)
