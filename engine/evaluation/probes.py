"""Probes: how much of the classes simple classifiers read from frozen latents, with a 95 % interval."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
import torch

from engine.errors import AnalysisError, UsageError
from engine.latent.map_quality import majority
from engine.latent.neighbours import nearest_to
from engine.latent.points import checked_points
from engine.progress import CancelToken

# What every model is given to learn from, so that figures of different models can be compared.
TRAINING_POINTS = 15_000
NEIGHBOURS = 10

_SEED = 11
_Z95 = 1.959963984540054


@dataclass(frozen=True)
class Share:
    """A share of successes, with the interval that holds the true one in 95 % of all cases (Wilson 1927).

    Attributes:
        value, low, high: 0..1.
        count: trials.
    """

    value: float
    low: float
    high: float
    count: int


@dataclass(frozen=True)
class Probes:
    """Accuracies on test latents, and what guessing the most frequent class would give."""

    linear: Share
    neighbours: Share
    chance: float
    training_points: int


def wilson(successes: int, count: int) -> Share:
    """The share and its 95 % interval. Raises `UsageError` unless 0 <= successes <= count and count > 0."""
    if not 0 <= successes <= count or count < 1:
        raise UsageError(f"{successes} of {count} is no share.", "Count again.")
    share, z2 = successes / count, _Z95**2
    centre = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = _Z95 * math.sqrt(share * (1 - share) / count + z2 / (4 * count**2)) / (1 + z2 / count)
    # At 0 and at all the formula is exact but for rounding.
    return Share(share, min(share, max(0.0, centre - half)), max(share, min(1.0, centre + half)), count)


def measure_probes(
    train: np.ndarray,
    train_classes: np.ndarray,
    test: np.ndarray,
    test_classes: np.ndarray,
    *,
    cancel: CancelToken | None = None,
) -> Probes:
    """A linear probe (logistic regression) and a nearest-neighbour probe on latents of one model.

    Latents are scaled by the training part's means and deviations; both probes have no setting that is tuned.

    Args:
        train: (N, D) latents; a fixed draw of 15,000 where there are more.
        train_classes: (N,) integers.
        test: (M, D).
        test_classes: (M,) integers.
        cancel: as everywhere.

    Raises:
        AnalysisError: too few latents, one class only, or values that are not finite.
        UsageError: tables that do not fit each other.
        Cancelled: by `cancel`.
    """
    known = checked_points(train, NEIGHBOURS, "A probe")
    asked = checked_points(test, 1, "A probe", varied=False)
    if known.shape[1] != asked.shape[1] or len(known) != len(train_classes) or len(asked) != len(test_classes):
        raise UsageError("The latents and classes of the probe do not fit each other.", "Encode both parts again.")
    classes, numbers = np.unique(train_classes, return_inverse=True)
    if len(classes) < 2:
        raise AnalysisError("A probe needs pictures of two classes or more.", "Choose a set with classes.")
    if len(known) > TRAINING_POINTS:
        chosen = np.sort(np.random.default_rng(_SEED).permutation(len(known))[:TRAINING_POINTS])
        known, numbers = known[chosen], numbers[chosen]
    mean, deviation = known.mean(axis=0, dtype=np.float64), known.std(axis=0, dtype=np.float64)
    # A dimension that never moves says nothing, and must not be blown up by its own smallness.
    scale = np.where(deviation > 1e-9, 1 / np.maximum(deviation, 1e-9), 0)
    known, asked = ((part - mean) * scale for part in (known, asked))
    by_line = classes[_logistic(known, numbers, asked)]
    near = nearest_to(known.astype(np.float32), asked.astype(np.float32), NEIGHBOURS, cancel=cancel).indices
    by_neighbours = classes[majority(torch.from_numpy(numbers[near]), len(classes)).numpy()]
    truth = np.asarray(test_classes)
    most_frequent = classes[np.bincount(numbers).argmax()]
    return Probes(
        linear=wilson(int((by_line == truth).sum()), len(truth)),
        neighbours=wilson(int((by_neighbours == truth).sum()), len(truth)),
        chance=float((truth == most_frequent).mean()),
        training_points=len(known),
    )


def _logistic(known: np.ndarray, numbers: np.ndarray, asked: np.ndarray) -> np.ndarray:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        # Separable classes have no finite optimum; the accuracy has settled long before.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return LogisticRegression(max_iter=500).fit(known, numbers).predict(asked)
