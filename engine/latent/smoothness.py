"""Is a latent space smooth? How far interpolations wander in feature space, and whether what lies between is likely."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from engine.errors import AnalysisError
from engine.latent.explorer import LatentExplorer
from engine.latent.neighbours import nearest_to, neighbour_table
from engine.latent.paths import PATH_KINDS, PathKind, path
from engine.latent.points import checked_points
from engine.progress import CancelToken, Progress, ProgressCallback, ignore_progress

Features = Callable[[np.ndarray], np.ndarray]
"""Pictures (N, H, W, 3) uint8 -> features (N, F) float32."""

STEPS = 8

_ACCEPTED = 0.95
_NEIGHBOUR = 3
_SIDES = (16, 8, 4)


@dataclass(frozen=True)
class Smoothness:
    """Interpolations of one kind between pairs of pictures.

    Attributes:
        kind: of the paths.
        detour: mean over pairs of the path's length in feature space over the distance of its ends; 1 is straight.
        detour_error: its standard error.
        largest_step: mean over pairs of the longest step over the mean one; 1 is even, large is a jump.
        midpoints_accepted: share of the pictures halfway that lie where real pictures do.
        ends_accepted: the same of the reconstructed ends, what the midpoints can reach at best.
        pairs: how many were measured.
    """

    kind: PathKind
    detour: float
    detour_error: float
    largest_step: float
    midpoints_accepted: float
    ends_accepted: float
    pairs: int


class LikelyPictures:
    """A density model of real pictures in feature space: the distance to the third nearest, calibrated on themselves.

    A picture is accepted when that distance is within what 95 % of the real ones have to the others.

    Args:
        features: (N, F) of real pictures, N of 10 or more.

    Raises:
        AnalysisError: too few, all equal, or values that are not finite.
    """

    def __init__(self, features: np.ndarray) -> None:
        self._features = checked_points(features, 10, "A density model")
        _, distances = neighbour_table(torch.from_numpy(self._features), _NEIGHBOUR)
        self.limit = float(torch.quantile(distances[:, -1], _ACCEPTED))

    def accepts(self, features: np.ndarray) -> np.ndarray:
        """Which of features (M, F) are likely, (M,) bool."""
        return nearest_to(self._features, features, _NEIGHBOUR).distances[:, -1] <= self.limit


def pyramid_features(pictures: np.ndarray) -> np.ndarray:
    """Features (N, F) of pictures (N, H, W, 3) uint8 without any network: colours and edges at three coarse scales.

    Squared distances of these add up the differences of mean colours and of gradients in 16, 8 and 4 cells a side;
    unlike pixels, they change little when an edge moves by a pixel.
    """
    parts = []
    for chunk in torch.from_numpy(np.ascontiguousarray(pictures)).split(256):
        images = chunk.permute(0, 3, 1, 2).float() / 255
        grey = images.mean(1, keepdim=True)
        across, down = F.pad(grey.diff(dim=3), (0, 1, 0, 0)), F.pad(grey.diff(dim=2), (0, 0, 0, 1))
        # Bright to dark and dark to bright apart: averaged together they would cancel.
        edges = torch.cat([across.relu(), (-across).relu(), down.relu(), (-down).relu()], dim=1)
        planes = torch.cat([images, 4 * edges], dim=1)
        pooled = [F.adaptive_avg_pool2d(planes, side).flatten(1) / side for side in _SIDES]
        parts.append(torch.cat(pooled, dim=1))
    return torch.cat(parts).numpy()


def measure_smoothness(
    explorer: LatentExplorer,
    latents: np.ndarray,
    real: np.ndarray,
    *,
    space: str = "raw",
    choice: Mapping[str, str] | None = None,
    pairs: int = 100,
    features: Features = pyramid_features,
    seed: int = 0,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> list[Smoothness]:
    """Measure every kind of path that a model has, between random pairs of a data set's latents.

    Args:
        explorer: of the model.
        latents: (N, D) of the data in `space`.
        real: (M, H, W, 3) uint8 real pictures of the model's size, for the density model.
        space: of the latents.
        choice: of attributes, those the latents were encoded with.
        pairs: how many; the same ones for every kind.
        features: the feature space.
        seed: of the pairs.
        progress, cancel: as everywhere.

    Raises:
        AnalysisError: fewer than 10 latents or pictures, all equal, or not finite.
        UsageError: the latents do not fit the model.
        Cancelled: by `cancel`.
    """
    table = checked_points(latents, 10, "Smoothness")
    chosen = dict(choice or {})
    likely = LikelyPictures(features(real))
    rng = np.random.default_rng(seed)
    ends = [rng.choice(len(table), 2, replace=False) for _ in range(pairs)]
    kinds: list[PathKind] = [kind for kind in PATH_KINDS if kind != "flow" or "style" in explorer.spaces]
    results = []
    for kind in kinds:
        lengths, steps, middles, outer = [], [], [], []
        for number, (first, second) in enumerate(ends):
            if cancel is not None:
                cancel.raise_if_cancelled()
            way = path(explorer, space, table[[first, second]], STEPS, kind, chosen)
            seen = features(explorer.decode_many(space, way, chosen))
            step = np.linalg.norm(np.diff(seen, axis=0), axis=1)
            distance = float(np.linalg.norm(seen[-1] - seen[0]))
            if distance > 1e-9:  # two pictures that look the same have no way between them
                lengths.append(float(step.sum()) / distance)
                steps.append(float(step.max() / step.mean()))
            middles.append(seen[STEPS // 2])
            outer += [seen[0], seen[-1]]
            done = kinds.index(kind) * pairs + number + 1
            progress(Progress(done, len(kinds) * pairs, f"Walking {kind} paths"))
        if not lengths:
            raise AnalysisError("All decoded pictures look the same.", "The latent of this model has collapsed.")
        results.append(
            Smoothness(
                kind=kind,
                detour=float(np.mean(lengths)),
                detour_error=float(np.std(lengths) / np.sqrt(len(lengths))),
                largest_step=float(np.mean(steps)),
                midpoints_accepted=float(likely.accepts(np.stack(middles)).mean()),
                ends_accepted=float(likely.accepts(np.stack(outer)).mean()),
                pairs=len(lengths),
            )
        )
    return results


def features_of(network: Callable[[Tensor], Tensor], channels: int) -> Features:
    """Features by a network that takes pictures (N, C, H, W) in 0..1, such as a judge's, C of 1 or 3."""

    @torch.inference_mode()
    def extract(pictures: np.ndarray) -> np.ndarray:
        images = torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 255
        return torch.cat([network(part[:, :channels]).float() for part in images.split(256)]).cpu().numpy()

    return extract
