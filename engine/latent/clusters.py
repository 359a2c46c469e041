"""Clusters of latents: K-means, DBSCAN, HDBSCAN and Gaussian mixtures, and figures that judge them.

scikit-learn does the clustering; it is imported only here, when one is asked for.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.errors import AnalysisError, UsageError
from engine.latent.apart import run_apart
from engine.latent.neighbours import neighbour_table
from engine.latent.points import checked_points
from engine.progress import CancelToken, Progress, ProgressCallback, ignore_progress

NOISE = -1
SILHOUETTE_SAMPLE = 2000
METHODS = {"kmeans": "K-means", "dbscan": "DBSCAN", "hdbscan": "HDBSCAN", "mixture": "Gaussian mixture"}

_RESTARTS = 4
# With more dimensions than this, a full covariance of each cluster has more numbers than its points determine.
_MOST_FULL_DIMENSIONS = 64
_SEED_STEP = 1000


@dataclass(frozen=True)
class Clustering:
    """Which cluster each point belongs to.

    Attributes:
        method: key of `METHODS`.
        settings: those it was made with, also those that were chosen by the program.
        labels: (N,) int64, clusters from 0, the largest first; -1 is noise.
        sizes: (K,) points in each.
        means: (K, D) float32, the mean point of each.
        score: what the method itself minimises: sum of squared distances for K-means, BIC for a mixture; None else.
    """

    method: str
    settings: dict[str, Any]
    labels: np.ndarray
    sizes: np.ndarray
    means: np.ndarray
    score: float | None = None

    @property
    def count(self) -> int:
        """Clusters, without noise."""
        return len(self.sizes)

    @property
    def noise(self) -> int:
        """Points that belong to no cluster."""
        return int((self.labels == NOISE).sum())


@dataclass(frozen=True)
class Silhouette:
    """How well points fit their own cluster compared with the next one, -1..1 (Rousseeuw 1987).

    Attributes:
        total: mean over points.
        per_cluster: (K,) mean over each cluster's points; NaN for one of which none was drawn.
        points: how many it was measured on.
        sampled: True when that was not all.
    """

    total: float
    per_cluster: np.ndarray
    points: int
    sampled: bool


@dataclass(frozen=True)
class CountCurve:
    """K-means with growing numbers of clusters.

    Attributes:
        counts: (M,) numbers of clusters.
        scores: (M,) sums of squared distances.
        silhouettes: (M,) totals, NaN for one cluster.
        elbow: the number where the curve of scores bends most.
        best: the number with the highest silhouette; None when none was measured.
    """

    counts: np.ndarray
    scores: np.ndarray
    silhouettes: np.ndarray
    elbow: int
    best: int | None


@dataclass(frozen=True)
class Agreement:
    """How far clusters agree with known classes; noise counts as one more cluster, whose points are all wrong.

    Attributes:
        ari: adjusted Rand index; 1 the same, 0 as by chance.
        nmi: normalised mutual information, 0..1.
        purity: share of points that are of the most frequent class of their cluster.
    """

    ari: float
    nmi: float
    purity: float


def k_means(
    points: np.ndarray,
    count: int,
    *,
    seed: int = 0,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> Clustering:
    """K-means (Lloyd), the best of several starts by k-means++.

    Args:
        points: (N, D).
        count: clusters, 1 or more.
        seed: 0 or more; the same one gives the same clusters.
        progress, cancel: between starts.

    Raises:
        UsageError: `count` is less than 1.
        AnalysisError: fewer different points than clusters, all equal, or values that are not finite.
        Cancelled: by `cancel`.
    """
    from sklearn.cluster import KMeans

    # In double precision: squares of large latents overflow otherwise.
    table = _table(points, "kmeans", count).astype(np.float64)
    best, lowest = None, np.inf
    for start in range(_RESTARTS):
        if cancel is not None:
            cancel.raise_if_cancelled()
        found = KMeans(count, n_init=1, random_state=seed + _SEED_STEP * start).fit(table)  # pyright: ignore[reportArgumentType]
        if float(found.inertia_ or 0.0) < lowest:
            best, lowest = found.labels_, float(found.inertia_ or 0.0)
        progress(Progress(start + 1, _RESTARTS, "Clustering"))
    assert best is not None
    settings = {"count": count, "seed": seed}
    return clustering_of(table, best, "kmeans", settings, score=lowest)


def gaussian_mixture(
    points: np.ndarray,
    count: int,
    *,
    seed: int = 0,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> Clustering:
    """A mixture of Gaussians by expectation maximisation; each point goes to its most probable one.

    Covariances are full up to 64 dimensions and where there are points enough for them, diagonal otherwise.

    Raises:
        As `k_means`.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    table = _table(points, "mixture", count)
    size = table.shape[1]
    full = size <= _MOST_FULL_DIMENSIONS and len(table) >= 2 * count * size
    kind = "full" if full else "diag"
    if cancel is not None:
        cancel.raise_if_cancelled()
    progress(Progress(0, 1, "Fitting Gaussians"))
    # float64: the covariances of nearly equal points lose their positive eigenvalues in float32.
    rows = table.astype(np.float64)
    scale = float(rows.var(axis=0).max())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = GaussianMixture(count, covariance_type=kind, reg_covar=1e-6 * scale, random_state=seed).fit(rows)
    labels = model.predict(rows)
    settings = {"count": count, "seed": seed, "covariance": kind}
    progress(Progress(1, 1, "Fitting Gaussians"))
    return clustering_of(table, labels, "mixture", settings, score=float(model.bic(rows)))


def dbscan(
    points: np.ndarray, radius: float | None = None, least: int = 5, *, cancel: CancelToken | None = None
) -> Clustering:
    """DBSCAN: clusters are regions where `least` points (itself among them) lie within `radius` of each other.

    Args:
        points: (N, D).
        radius: None takes the one that `suggested_radius` gives.
        least: 2 or more.
        cancel: before the work and while a radius is looked for.

    Raises:
        UsageError: a radius or number out of range.
        AnalysisError: too few points, all equal, not finite, or all of them are noise.
        Cancelled: by `cancel`.
    """
    from sklearn.cluster import DBSCAN

    if least < 2 or (radius is not None and not (np.isfinite(radius) and radius > 0)):
        raise UsageError("The radius must be above 0 and the number of points 2 or more.", "Change them.")
    table = checked_points(points, least, f"DBSCAN with {least} points a neighbourhood")
    chosen = radius if radius is not None else suggested_radius(table, least, cancel=cancel)
    if cancel is not None:
        cancel.raise_if_cancelled()
    labels = DBSCAN(eps=chosen, min_samples=least).fit(table).labels_
    if (labels == NOISE).all():
        hint = suggested_radius(table, least, cancel=cancel)
        raise AnalysisError(
            f"With the radius {chosen:.3g} DBSCAN calls all {len(table)} latents noise.",
            f"Use a larger radius, about {hint:.3g}, or fewer points a neighbourhood.",
        )
    return clustering_of(table, labels, "dbscan", {"radius": float(chosen), "least": least})


def neighbour_distances(points: np.ndarray, least: int = 5, *, cancel: CancelToken | None = None) -> np.ndarray:
    """The distance (N,) of each point to its neighbour number `least` - 1, sorted: the curve a radius is read from."""
    import torch

    table = checked_points(points, least, "A radius for DBSCAN")
    _, distances = neighbour_table(torch.from_numpy(table), least - 1, cancel=cancel)
    return np.sort(distances[:, -1].numpy())


def suggested_radius(points: np.ndarray, least: int = 5, *, cancel: CancelToken | None = None) -> float:
    """A radius for DBSCAN: where the sorted distances to the neighbour number `least` - 1 begin to rise steeply.

    Raises:
        AnalysisError: too few points, all equal, or values that are not finite.
        Cancelled: by `cancel`.
    """
    curve = neighbour_distances(points, least, cancel=cancel)
    bend = curve[_bend(np.arange(len(curve)), curve)]
    positive = curve[curve > 0]
    return float(bend if bend > 0 else positive[0] if len(positive) else np.ptp(points))


def hdbscan(
    points: np.ndarray,
    smallest: int | None = None,
    samples: int | None = None,
    *,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> Clustering:
    """HDBSCAN: density clusters without a radius. It runs in a process of its own, for it holds the interpreter.

    In 32 dimensions 10,000 points take long and are mostly noise: then use the positions on a map.

    Args:
        points: (N, D).
        smallest: points of the smallest cluster; None takes a hundredth of all, 5 at least.
        samples: how many neighbours make a point dense; None takes `smallest`.
        progress, cancel: as everywhere; cancelling kills the process.

    Raises:
        UsageError: a number below its least.
        AnalysisError: too few points, all equal, not finite, or all of them are noise.
        Cancelled: by `cancel`.
    """
    wanted = max(5, len(points) // 100) if smallest is None else smallest
    if wanted < 2 or (samples is not None and samples < 1):
        raise UsageError("The smallest cluster needs 2 points or more, and the samples 1 or more.", "Change them.")
    table = checked_points(points, max(wanted, samples or 1), f"HDBSCAN with clusters of {wanted}")
    settings = {"smallest": wanted, "samples": samples}
    labels = run_apart("hdbscan", table, settings, progress=progress, cancel=cancel)
    if (labels == NOISE).all():
        raise AnalysisError(
            f"HDBSCAN calls all {len(table)} latents noise.",
            "Use a smaller smallest cluster, or the positions on a map instead of the latents.",
        )
    return clustering_of(table, labels, "hdbscan", settings)


def clustering_of(
    points: np.ndarray, labels: np.ndarray, method: str, settings: dict[str, Any], *, score: float | None = None
) -> Clustering:
    """A clustering from any labels: numbered by size, with means taken over `points` (N, D)."""
    labels = np.asarray(labels)
    found, counts = np.unique(labels[labels != NOISE], return_counts=True)
    found = found[np.argsort(-counts, kind="stable")]
    renumbered = np.full(len(labels), NOISE, np.int64)
    for number, label in enumerate(found):
        renumbered[labels == label] = number
    sizes = np.array([int((renumbered == number).sum()) for number in range(len(found))], np.int64)
    return Clustering(method, settings, renumbered, sizes, cluster_means(points, renumbered), score)


def cluster_means(points: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The mean (K, D) float32 of each cluster's points: decoded, it is the picture that stands for the cluster."""
    count = int(labels.max(initial=NOISE)) + 1
    means = [points[labels == number].mean(axis=0, dtype=np.float64) for number in range(count)]
    return np.array(means, np.float32).reshape(count, points.shape[1])


def silhouette(
    points: np.ndarray, labels: np.ndarray, *, sample: int | None = SILHOUETTE_SAMPLE, seed: int = 0
) -> Silhouette:
    """Silhouette in total and per cluster; noise is left out.

    Args:
        points: (N, D).
        labels: (N,) integers, -1 for noise.
        sample: points it is measured on, drawn from each cluster by its share; None takes all.
        seed: of the draw.

    Raises:
        AnalysisError: fewer than two clusters, or every point is a cluster of its own.
    """
    from sklearn.metrics import silhouette_samples

    table = checked_points(points, 3, "A silhouette")
    inside = np.flatnonzero(labels != NOISE)
    clusters = np.unique(labels[inside])
    if not 2 <= len(clusters) < len(inside):
        what = "there is only one cluster" if len(clusters) < 2 else "every point is a cluster of its own"
        raise AnalysisError(f"A silhouette compares clusters with one another, and {what}.", "Change their number.")
    chosen = inside
    if sample is not None and sample < len(inside):
        rng = np.random.default_rng(seed)
        share = sample / len(inside)
        # At least two of each: alone, a point's silhouette is 0 by definition.
        drawn = []
        for cluster in clusters:
            own = inside[labels[inside] == cluster]
            drawn.append(rng.permutation(own)[: max(2, round(share * len(own)))])
        chosen = np.sort(np.concatenate(drawn))
    values = np.asarray(silhouette_samples(table[chosen], labels[chosen]))
    per_cluster = np.full(int(labels.max()) + 1, np.nan)
    for cluster in clusters:
        per_cluster[cluster] = values[labels[chosen] == cluster].mean()
    return Silhouette(float(values.mean()), per_cluster, len(chosen), len(chosen) < len(inside))


def count_curve(
    points: np.ndarray,
    counts: range,
    *,
    seed: int = 0,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> CountCurve:
    """K-means for each number of clusters, with the elbow and the best silhouette.

    Args:
        points: (N, D).
        counts: three or more rising numbers, each less than the number of different points.
        seed: as in `k_means`.
        progress: once for each number.
        cancel: as everywhere.

    Raises:
        UsageError: fewer than three numbers.
        AnalysisError, Cancelled: as `k_means`.
    """
    if len(counts) < 3 or counts.step < 1:
        raise UsageError("A curve over the number of clusters needs three rising numbers.", "Give a wider range.")
    table = _table(points, "kmeans", counts[-1])
    scores, silhouettes = [], []
    for done, count in enumerate(counts):
        found = k_means(table, count, seed=seed, cancel=cancel)
        scores.append(found.score)
        measurable = 2 <= found.count < len(table)
        silhouettes.append(silhouette(table, found.labels, seed=seed).total if measurable else np.nan)
        progress(Progress(done + 1, len(counts), f"{count} clusters"))
    values = np.array(silhouettes)
    best = None if np.isnan(values).all() else int(counts[int(np.nanargmax(values))])
    return CountCurve(
        counts=np.array(counts),
        scores=np.array(scores),
        silhouettes=values,
        elbow=int(counts[_bend(np.array(counts), np.array(scores))]),
        best=best,
    )


def agreement(labels: np.ndarray, classes: np.ndarray) -> Agreement:
    """How clusters (N,), -1 for noise, agree with known classes (N,).

    Raises:
        UsageError: of different lengths, or none.
    """
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    if len(labels) != len(classes) or not len(labels):
        raise UsageError("Clusters and classes are not of the same pictures.", "Cluster again.")
    right = sum(
        int(np.unique(classes[labels == cluster], return_counts=True)[1].max())
        for cluster in np.unique(labels[labels != NOISE])
    )
    return Agreement(
        ari=float(adjusted_rand_score(classes, labels)),
        nmi=float(normalized_mutual_info_score(classes, labels)),
        purity=right / len(labels),
    )


def _table(points: np.ndarray, method: str, count: int) -> np.ndarray:
    """Checked points for a method with a given number of clusters."""
    if count < 1:
        raise UsageError(f"{count} clusters were asked for.", "Ask for 1 or more.")
    table = checked_points(points, max(2, count), f"{METHODS[method]} with {count} clusters")
    different = len(np.unique(table, axis=0))
    if different < count:
        raise AnalysisError(
            f"{count} clusters were asked for, but only {different} latents differ from one another.", "Ask for fewer."
        )
    return table


def _bend(x: np.ndarray, y: np.ndarray) -> int:
    """Where a curve bends most: the place farthest from the straight line between its ends, both axes scaled to 0..1.

    Satopää et al., "Finding a 'Kneedle' in a Haystack" (2011), without its smoothing.
    """
    across = (x - x[0]) / max(x[-1] - x[0], 1e-12)
    height = np.ptp(y)
    if height <= 0:
        return 0
    along = (y - y[0]) / height
    chord = along[-1] * across
    return int(np.argmax(np.abs(along - chord)))
