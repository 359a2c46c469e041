"""Disentanglement with known factors: the mutual information gap, and DCI."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.errors import AnalysisError, UsageError
from engine.latent.points import checked_points
from engine.progress import CancelToken, Progress, ProgressCallback, ignore_progress

_BINS = 20
_TREES = 50
_SEED = 17
_TRAINING_SHARE = 0.7
_LEAST_POINTS = 50


@dataclass(frozen=True)
class MutualInformationGap:
    """Chen et al., "Isolating Sources of Disentanglement in Variational Autoencoders" (2018).

    Attributes:
        total: mean over factors, 0..1; 1 where each factor is known fully by one dimension and by no other.
        per_factor: (K,); NaN for a factor that never changes in the data.
        information: (D, K) mutual information in nats of dimension d, cut into 20 bins, and factor k.
        entropy: (K,) of the factors, in nats.
    """

    total: float
    per_factor: np.ndarray
    information: np.ndarray
    entropy: np.ndarray


@dataclass(frozen=True)
class Dci:
    """Eastwood and Williams, "A Framework for the Quantitative Evaluation of Disentangled Representations" (2018).

    Attributes:
        disentanglement: 0..1, 1 where each dimension matters for one factor only.
        completeness: 0..1, 1 where each factor needs one dimension only.
        informativeness: mean accuracy on held-out points of random forests that tell the factors from all dimensions.
        chance: what guessing the most frequent value gives, in the mean.
        importance: (D, K) of the forests; each column sums to 1.
    """

    disentanglement: float
    completeness: float
    informativeness: float
    chance: float
    importance: np.ndarray


def mutual_information_gap(latents: np.ndarray, factors: np.ndarray) -> MutualInformationGap:
    """MIG of latents (N, D) and factors (N, K) of small integers.

    Raises:
        AnalysisError: fewer than 50 points, all equal, not finite, or no factor changes.
        UsageError: tables that do not fit.
    """
    table, known = _checked(latents, factors, "The mutual information gap")
    binned = np.stack([_bins(column) for column in table.T], axis=1)
    information = np.array([[_information(d, k) for k in known.T] for d in binned.T])
    entropy = np.array([_information(k, k) for k in known.T])
    ordered = np.sort(information, axis=0)
    # With a single dimension nothing competes with it.
    second = ordered[-2] if len(ordered) > 1 else np.zeros(known.shape[1])
    changing = entropy > 1e-12
    gaps = np.full(known.shape[1], np.nan)
    gaps[changing] = (ordered[-1] - second)[changing] / entropy[changing]
    return MutualInformationGap(float(np.nanmean(gaps)), gaps, information, entropy)


def dci(
    latents: np.ndarray,
    factors: np.ndarray,
    *,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> Dci:
    """DCI of latents (N, D) and factors (N, K) of small integers, by random forests; seeded.

    Factors that never change are left out.

    Raises:
        AnalysisError, UsageError: as `mutual_information_gap`.
        Cancelled: by `cancel`, between factors.
    """
    from sklearn.ensemble import RandomForestClassifier

    table, known = _checked(latents, factors, "DCI")
    changing = [k for k in range(known.shape[1]) if len(np.unique(known[:, k])) > 1]
    order = np.random.default_rng(_SEED).permutation(len(table))
    cut = round(_TRAINING_SHARE * len(table))
    train, test = order[:cut], order[cut:]
    importance, accuracy, chance = [], [], []
    for done, factor in enumerate(changing):
        if cancel is not None:
            cancel.raise_if_cancelled()
        values = known[:, factor]
        # Every split may choose among all dimensions, and leaves hold some points: else noise would look important.
        forest = RandomForestClassifier(_TREES, max_features=None, min_samples_leaf=5, random_state=_SEED)
        forest.fit(table[train], values[train])
        importance.append(np.asarray(forest.feature_importances_))
        accuracy.append(float((forest.predict(table[test]) == values[test]).mean()))
        found, counts = np.unique(values[train], return_counts=True)
        chance.append(float((values[test] == found[counts.argmax()]).mean()))
        progress(Progress(done + 1, len(changing), "Fitting forests"))
    matrix = np.stack(importance, axis=1)
    by_dimension = 1 - _entropy(matrix, axis=1) / np.log(max(2, matrix.shape[1]))
    weight = matrix.sum(axis=1) / max(float(matrix.sum()), 1e-12)
    by_factor = 1 - _entropy(matrix, axis=0) / np.log(max(2, matrix.shape[0]))
    return Dci(
        disentanglement=float(weight @ by_dimension),
        completeness=float(by_factor.mean()),
        informativeness=float(np.mean(accuracy)),
        chance=float(np.mean(chance)),
        importance=matrix,
    )


def _checked(latents: np.ndarray, factors: np.ndarray, purpose: str) -> tuple[np.ndarray, np.ndarray]:
    table = checked_points(latents, _LEAST_POINTS, purpose)
    known = np.asarray(factors)
    if known.ndim != 2 or len(known) != len(table) or known.shape[1] == 0:
        raise UsageError(f"{purpose} needs the known factors of every picture.", "Choose a set with attributes.")
    if not (known != known[0]).any():
        raise AnalysisError(f"{purpose} needs factors that change from picture to picture.", "Choose another set.")
    return table, known


def _bins(values: np.ndarray) -> np.ndarray:
    """Bin numbers of values (N,): 20 of equal width between the smallest and the largest."""
    edges = np.linspace(values.min(), values.max(), _BINS + 1)
    return np.digitize(values, edges[1:-1])


def _information(first: np.ndarray, second: np.ndarray) -> float:
    """Mutual information in nats of two lists of integers; of one with itself, its entropy."""
    _, a = np.unique(first, return_inverse=True)
    _, b = np.unique(second, return_inverse=True)
    joint = np.zeros((a.max() + 1, b.max() + 1))
    np.add.at(joint, (a, b), 1 / len(a))
    outer = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    filled = joint > 0
    return max(0.0, float((joint[filled] * np.log(joint[filled] / outer[filled])).sum()))


def _entropy(table: np.ndarray, axis: int) -> np.ndarray:
    """Entropy in nats along an axis of a table of weights; 0 weights count as equal ones."""
    total = table.sum(axis=axis, keepdims=True)
    count = table.shape[axis]
    shares = np.divide(table, total, out=np.full_like(table, 1 / count), where=total > 0)
    return -np.sum(shares * np.log(np.maximum(shares, 1e-300)), axis=axis)
