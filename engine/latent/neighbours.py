"""Neighbourhoods: the nearest latents, exactly; the same in pixel space beside them; and samples around a point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from engine.errors import AnalysisError, UsageError
from engine.latent.points import checked_points
from engine.progress import CancelToken, Progress, ProgressCallback, ignore_progress

# Rows of the distance table that are held at once: 10,000 points take 40 MB.
_BLOCK = 1024
# On a map, distances one by one are as quick as by a product of matrices, and exact.
_FEW_COLUMNS = 3


@dataclass(frozen=True)
class Nearest:
    """Neighbours, the nearest first.

    Attributes:
        indices: (Q, k) int64 rows of the table that was searched.
        distances: (Q, k) float32, Euclidean.
    """

    indices: np.ndarray
    distances: np.ndarray


@dataclass(frozen=True)
class BothSpaces:
    """The neighbours of one picture in latent and in pixel space.

    Attributes:
        latent: (k,) int64, nearest first.
        latent_distances: (k,) float32.
        pixels: (k,) int64, nearest first.
        pixel_distances: (k,) float32, root of the mean squared difference of pixel values, 0..255.
        shared: how many are in both.
    """

    latent: np.ndarray
    latent_distances: np.ndarray
    pixels: np.ndarray
    pixel_distances: np.ndarray

    @property
    def shared(self) -> int:
        return len(np.intersect1d(self.latent, self.pixels))


def nearest_to(known: np.ndarray, queries: np.ndarray, count: int, *, cancel: CancelToken | None = None) -> Nearest:
    """The `count` rows of `known` (N, D) nearest to each of `queries` (Q, D), found exactly.

    Raises:
        AnalysisError: fewer than `count` rows, or values that are not finite.
        UsageError: the two have different numbers of columns, or `count` is less than 1.
        Cancelled: by `cancel`.
    """
    if count < 1:
        raise UsageError(f"{count} neighbours were asked for.", "Ask for 1 or more.")
    rows = torch.from_numpy(checked_points(known, count, f"A search for {count} neighbours", varied=False))
    wanted = torch.from_numpy(checked_points(queries, 0, "A search for neighbours", varied=False))
    if rows.shape[1] != wanted.shape[1]:
        raise UsageError(
            f"The point has {wanted.shape[1]} values, the latents have {rows.shape[1]}.", "Use a point of this model."
        )
    distances, indices = [torch.zeros(0, count)], [torch.zeros(0, count, dtype=torch.int64)]
    for part in wanted.split(_BLOCK):
        if cancel is not None:
            cancel.raise_if_cancelled()
        # The quick way by a product of matrices would lose the last digits of small distances.
        table = torch.cdist(part, rows, compute_mode="donot_use_mm_for_euclid_dist")
        found = table.topk(count, largest=False)
        distances.append(found.values)
        indices.append(found.indices)
    return Nearest(torch.cat(indices).numpy(), torch.cat(distances).numpy())


def neighbour_table(
    points: Tensor, count: int, *, progress: ProgressCallback = ignore_progress, cancel: CancelToken | None = None
) -> tuple[Tensor, Tensor]:
    """The `count` nearest other points of each of `points` (N, D), exactly, by blocks of the distance table.

    Returns:
        indices (N, count) int64 and distances (N, count) float32, the nearest first. A point is no neighbour of itself.
    """
    points = points - points.mean(0)  # far from the origin, the digits of the distances would drown in the squares
    squares = points.square().sum(1)
    indices, distances = [], []
    for start in range(0, len(points), _BLOCK):
        if cancel is not None:
            cancel.raise_if_cancelled()
        part = points[start : start + _BLOCK]
        if points.shape[1] <= _FEW_COLUMNS:
            table = torch.cdist(part, points, compute_mode="donot_use_mm_for_euclid_dist").square_()
        else:
            # |a - b|² = |a|² + |b|² - 2ab by one product of matrices.
            table = torch.addmm(squares, part, points.T, alpha=-2).add_(squares[start : start + _BLOCK, None])
        rows = torch.arange(len(part), device=points.device)
        table[rows, start + rows] = torch.inf
        found = table.topk(count, largest=False)
        indices.append(found.indices)
        distances.append(found.values.clamp_min_(0).sqrt_())
        progress(Progress(min(start + _BLOCK, len(points)), len(points), "Looking for neighbours"))
    return torch.cat(indices), torch.cat(distances)


def side_by_side(
    latents: np.ndarray,
    pictures: np.ndarray,
    values: np.ndarray,
    picture: np.ndarray,
    count: int,
    *,
    leave_out: int | None = None,
    cancel: CancelToken | None = None,
) -> BothSpaces:
    """The nearest pictures by latent and by pixels: where the two lists differ, one sees what the model has learned.

    Args:
        latents: (N, D).
        pictures: (N, H, W, C) uint8, of the same pictures.
        values: (D,) of the one whose neighbours are wanted.
        picture: (H, W, C) uint8, the same one's.
        count: neighbours in each list.
        leave_out: row of the picture itself where it is one of the N.
        cancel: as everywhere.

    Raises:
        AnalysisError: there are not so many pictures.
        UsageError: sizes that differ.
        Cancelled: by `cancel`.
    """
    extra = 0 if leave_out is None else 1
    if count + extra > len(latents):
        raise AnalysisError(
            f"{count} neighbours were asked for, there are {len(latents) - extra} other pictures.", "Ask for fewer."
        )
    if pictures.shape[1:] != np.shape(picture) or len(pictures) != len(latents):
        raise UsageError(
            f"The picture has the shape {np.shape(picture)}, the others {pictures.shape[1:]}.", "Scale it alike."
        )
    in_latent = nearest_to(latents, np.asarray(values)[None], count + extra, cancel=cancel)
    wanted = np.asarray(picture, np.float32).ravel()
    pixel_distance = np.empty(len(pictures), np.float32)
    for start in range(0, len(pictures), _BLOCK):
        if cancel is not None:
            cancel.raise_if_cancelled()
        block = pictures[start : start + _BLOCK].reshape(-1, wanted.size).astype(np.float32)
        pixel_distance[start : start + _BLOCK] = np.sqrt(np.square(block - wanted).mean(axis=1))
    by_pixels = np.argsort(pixel_distance, kind="stable")
    keep = in_latent.indices[0] != (-1 if leave_out is None else leave_out)
    by_pixels = by_pixels[by_pixels != (-1 if leave_out is None else leave_out)][:count]
    return BothSpaces(
        latent=in_latent.indices[0][keep][:count],
        latent_distances=in_latent.distances[0][keep][:count],
        pixels=by_pixels,
        pixel_distances=pixel_distance[by_pixels],
    )


def sample_around(values: np.ndarray, spread: np.ndarray, radius: float, count: int, seed: int) -> np.ndarray:
    """Random points around one, (count, D) float32: Gaussian, each dimension in units of the data's own spread there.

    Args:
        values: (D,) the point.
        spread: (D,) standard deviation of the data's latents in each dimension.
        radius: 0 or more; 1 moves each dimension as much as two pictures of the data differ from their mean.
        count: points.
        seed: 0 or more; the same one gives the same points.

    Raises:
        UsageError: a radius, count or seed out of range, or sizes that differ.
    """
    centre, scale = np.asarray(values, np.float32), np.asarray(spread, np.float32)
    if centre.ndim != 1 or centre.shape != scale.shape:
        raise UsageError(f"The point has {centre.size} values, the spread {scale.size}.", "Use those of one model.")
    if not (np.isfinite(radius) and radius >= 0) or count < 1 or seed < 0:
        raise UsageError("Radius and seed must be 0 or more, and the count 1 or more.", "Change them.")
    noise = np.random.default_rng(seed).standard_normal((count, len(centre)), np.float32)
    return centre + np.float32(radius) * scale * noise
