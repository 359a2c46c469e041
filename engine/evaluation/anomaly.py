"""Anomalies: how well a model's errors tell pictures of a class it should not know from all others, beside PCA."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from engine.errors import AnalysisError, UsageError
from engine.latent.points import check_finite
from engine.latent.principal import principal_components
from engine.progress import CancelToken, Progress, ProgressCallback, ignore_progress

Score = Callable[[np.ndarray], np.ndarray]
"""Points (N, F) -> one number each, (N,): the higher, the stranger."""


@dataclass(frozen=True)
class LeftOut:
    """One class out: AUROC of telling its pictures from the others on the test part.

    Attributes:
        value: number of the class that was left out.
        auroc: 0..1, 0.5 by chance.
        pictures: of that class in the test part.
    """

    value: int
    auroc: float
    pictures: int


def auroc(scores: np.ndarray, strange: np.ndarray) -> float:
    """The probability that a strange point has a higher score than another; ties count half (Mann and Whitney 1947).

    Args:
        scores: (N,).
        strange: (N,) bool.

    Raises:
        AnalysisError: none or all are strange, or a score is not finite.
        UsageError: of different lengths.
    """
    values, marked = np.asarray(scores, np.float64), np.asarray(strange, bool)
    if values.shape != marked.shape or values.ndim != 1:
        raise UsageError("Scores and marks are not of the same pictures.", "Measure again.")
    check_finite(values[:, None])
    if marked.all() or not marked.any():
        raise AnalysisError("An AUROC needs both strange and normal pictures.", "Choose another class.")
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    # Equal values share the mean of the ranks they take together.
    last = np.cumsum(counts)
    ranks = (last - (counts - 1) / 2)[place]
    strangers = int(marked.sum())
    return float((ranks[marked].sum() - strangers * (strangers + 1) / 2) / (strangers * (len(values) - strangers)))


def pca_score(normal: np.ndarray, components: int) -> Score:
    """The rival of every detector: squared error of the projection on the principal components of normal points.

    Args:
        normal: (N, F).
        components: fewer than F.

    Raises:
        AnalysisError: fewer than 2 points, all equal, or not finite.
    """
    found = principal_components(normal, components)

    def score(points: np.ndarray) -> np.ndarray:
        return np.square(np.asarray(points, np.float32) - found.restore(found.project(points))).mean(axis=1)

    return score


def mahalanobis_score(normal: np.ndarray) -> Score:
    """Squared Mahalanobis distance from normal points (N, F): for latents, how far off their Gaussian.

    A direction in which the normal points do not vary counts as a millionth of the most varied one.

    Raises:
        AnalysisError: fewer than 2 points, all equal, or not finite.
    """
    found = principal_components(normal, np.shape(normal)[1])
    variance = np.maximum(found.variance, 1e-6 * found.variance[0])

    def score(points: np.ndarray) -> np.ndarray:
        return (np.square(found.project(points)) / variance).sum(axis=1)

    return score


def one_class_out(
    train: np.ndarray,
    train_classes: np.ndarray,
    test: np.ndarray,
    test_classes: np.ndarray,
    fit: Callable[[np.ndarray], Score],
    *,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> list[LeftOut]:
    """For each class: fit a detector to all training points but its own, and score the test part.

    Args:
        train: (N, F) points: pictures laid flat, or latents.
        train_classes: (N,) integers.
        test: (M, F).
        test_classes: (M,) integers.
        fit: makes a score of normal points, such as `mahalanobis_score`.
        progress, cancel: as everywhere.

    Raises:
        AnalysisError: fewer than two classes, or what `fit` raises.
        UsageError: tables that do not fit.
        Cancelled: by `cancel`.
    """
    if len(train) != len(train_classes) or len(test) != len(test_classes):
        raise UsageError("The points and classes do not fit each other.", "Encode both parts again.")
    classes = [int(value) for value in np.unique(test_classes)]
    if len(classes) < 2:
        raise AnalysisError("Leaving one class out needs two classes or more.", "Choose a set with classes.")
    results = []
    for done, value in enumerate(classes):
        if cancel is not None:
            cancel.raise_if_cancelled()
        strange = np.asarray(test_classes) == value
        scores = fit(train[np.asarray(train_classes) != value])(test)
        results.append(LeftOut(value, auroc(scores, strange), int(strange.sum())))
        progress(Progress(done + 1, len(classes), "Leaving one class out"))
    return results


def error_auroc(errors: np.ndarray, classes: np.ndarray, value: int) -> float:
    """AUROC of a model's reconstruction errors (N,) for the pictures of one class among `classes` (N,).

    It judges a detector when the model was trained without that class; of one trained on all of them it says how much
    harder the class is to reproduce. Raises as `auroc`.
    """
    return auroc(errors, np.asarray(classes) == value)
