"""Clusters of latents: equal to scikit-learn's, their figures, and what is said where there is nothing to cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.cluster import DBSCAN, HDBSCAN, KMeans
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score, silhouette_samples, silhouette_score
from sklearn.mixture import GaussianMixture

from engine.errors import AnalysisError, Cancelled, UsageError
from engine.latent.clusters import (
    NOISE,
    agreement,
    clustering_of,
    count_curve,
    dbscan,
    gaussian_mixture,
    hdbscan,
    k_means,
    silhouette,
    suggested_radius,
)
from engine.progress import CancelToken
from tests.engine.latent_points import ALL_EQUAL, NOT_FINITE, ONE_POINT, blobs

METHODS: dict[str, Callable[[np.ndarray], Any]] = {
    "kmeans": lambda points: k_means(points, 3),
    "mixture": lambda points: gaussian_mixture(points, 3),
    "dbscan": dbscan,
    "hdbscan": hdbscan,
}


@pytest.mark.parametrize("method", METHODS)
def test_every_method_finds_separate_clouds(method: str) -> None:
    points, kind = blobs()
    found = METHODS[method](points)
    assert found.method == method and found.count == 3
    inside = found.labels != NOISE
    assert inside.mean() > 0.9
    assert agreement(found.labels[inside], kind[inside]).ari > 0.99
    assert list(found.sizes) == sorted(found.sizes, reverse=True)
    assert found.sizes.sum() + found.noise == len(points)
    for number in range(3):
        assert found.means[number] == pytest.approx(points[found.labels == number].mean(axis=0), abs=1e-3)


def test_clusters_are_scikit_learns() -> None:
    points, _ = blobs(kinds=4, seed=3)
    theirs = [
        (k_means(points, 4), KMeans(4, n_init=10, random_state=5).fit_predict(points)),
        (gaussian_mixture(points, 4), GaussianMixture(4, random_state=0).fit_predict(points.astype(float))),
        (dbscan(points, 3.0, 4), DBSCAN(eps=3.0, min_samples=4).fit_predict(points)),
        (hdbscan(points, 12, 6), HDBSCAN(min_cluster_size=12, min_samples=6, copy=True).fit_predict(points)),
    ]
    for ours, reference in theirs:
        assert adjusted_rand_score(reference, ours.labels) == 1.0, ours.method
        assert np.array_equal(ours.labels == NOISE, reference == -1)


def test_the_score_of_k_means_is_scikit_learns_inertia() -> None:
    points, _ = blobs(kinds=5)
    assert k_means(points, 5).score == pytest.approx(
        KMeans(5, n_init=10, random_state=1).fit(points).inertia_, rel=1e-4
    )


def test_the_seed_decides_the_clusters() -> None:
    points = np.random.default_rng(0).standard_normal((200, 5)).astype(np.float32)
    assert np.array_equal(k_means(points, 6, seed=4).labels, k_means(points, 6, seed=4).labels)


def test_one_cluster_and_as_many_as_points_are_possible() -> None:
    points, _ = blobs(12)
    assert k_means(points, 1).count == 1
    assert k_means(points, 12).count == 12


def test_the_silhouette_is_scikit_learns() -> None:
    points, _ = blobs(240, kinds=4, seed=1)
    labels = k_means(points, 5).labels
    found = silhouette(points, labels, sample=None)
    values = silhouette_samples(points, labels)
    assert found.total == pytest.approx(silhouette_score(points, labels), abs=1e-6)
    assert found.per_cluster == pytest.approx([values[labels == number].mean() for number in range(5)], abs=1e-6)
    assert not found.sampled and found.points == 240


def test_a_sampled_silhouette_is_near_the_whole() -> None:
    points = np.random.default_rng(0).standard_normal((3000, 6)).astype(np.float32)
    labels = k_means(points, 6).labels
    part, whole = silhouette(points, labels, sample=1500), silhouette(points, labels, sample=None)
    assert part.sampled and abs(part.points - 1500) <= 6
    assert part.total == pytest.approx(whole.total, abs=0.01)


def test_noise_counts_neither_in_the_silhouette_nor_in_the_means() -> None:
    points, kind = blobs(200, kinds=2)
    labels = np.where(np.arange(200) % 10 == 0, NOISE, kind)
    far = points.copy()
    far[labels == NOISE] += 500
    inside = labels != NOISE
    expected = silhouette_score(points[inside], labels[inside])
    assert silhouette(far, labels, sample=None).total == pytest.approx(expected, abs=1e-5)
    assert np.abs(clustering_of(far, labels, "dbscan", {}).means).max() < 100


def test_the_curve_bends_and_peaks_at_the_true_number() -> None:
    points, _ = blobs(400, kinds=4, seed=2)
    curve = count_curve(points, range(1, 10))
    assert curve.best == 4 and curve.elbow == 4
    assert np.isnan(curve.silhouettes[0]) and np.isfinite(curve.silhouettes[1:]).all()
    assert (np.diff(curve.scores) < 0).all()
    with pytest.raises(UsageError, match="three rising numbers"):
        count_curve(points, range(2, 4))


def test_the_curve_can_be_cancelled() -> None:
    token = CancelToken()
    done: list[int] = []
    with pytest.raises(Cancelled):
        count_curve(
            blobs()[0], range(2, 9), progress=lambda now: (done.append(now.done), token.cancel())[0], cancel=token
        )
    assert done == [1]


def test_agreement_is_scikit_learns_and_purity_is_counted() -> None:
    classes = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2, 1])
    labels = np.array([0, 0, 1, 1, 1, 2, 2, 2, NOISE, NOISE])
    found = agreement(labels, classes)
    assert found.ari == pytest.approx(adjusted_rand_score(classes, labels))
    assert found.nmi == pytest.approx(normalized_mutual_info_score(classes, labels))
    assert found.purity == pytest.approx((2 + 2 + 3) / 10)
    assert vars(agreement(classes, classes)) == pytest.approx({"ari": 1, "nmi": 1, "purity": 1})
    with pytest.raises(UsageError, match="same pictures"):
        agreement(labels[:3], classes)


def test_the_suggested_radius_lies_between_near_and_far_points() -> None:
    rng = np.random.default_rng(0)
    dense, scattered = rng.standard_normal((200, 3)) * 0.1, rng.standard_normal((12, 3)) * 30
    radius = suggested_radius(np.concatenate([dense, scattered]))
    assert 0.03 < radius < 10
    found = dbscan(np.concatenate([dense, scattered]).astype(np.float32))
    assert found.noise >= 10 and found.sizes[0] > 180


@pytest.mark.parametrize("method", METHODS)
def test_hopeless_points_are_explained(method: str) -> None:
    with pytest.raises(AnalysisError, match="one was given"):
        METHODS[method](ONE_POINT)
    with pytest.raises(AnalysisError, match="All 40 latents are equal"):
        METHODS[method](ALL_EQUAL)
    with pytest.raises(AnalysisError, match="not finite"):
        METHODS[method](NOT_FINITE)


def test_three_points_are_clustered_or_explained() -> None:
    three = np.eye(3, dtype=np.float32)
    assert k_means(three, 2).count == 2
    assert gaussian_mixture(three, 2).count == 2
    for method in (dbscan, hdbscan):
        with pytest.raises(AnalysisError, match="3 were given"):
            method(three)
    with pytest.raises(AnalysisError, match="every point is a cluster of its own"):
        silhouette(three, np.arange(3))


def test_all_noise_is_explained_with_a_radius_that_helps() -> None:
    points, _ = blobs()
    with pytest.raises(AnalysisError, match="all 300 latents noise") as caught:
        dbscan(points, 1e-4)
    hint = float(caught.value.remedy.split("about ")[1].split(",")[0])
    assert dbscan(points, hint).count >= 1
    scattered = np.random.default_rng(0).random((60, 20)).astype(np.float32)
    with pytest.raises(AnalysisError, match="HDBSCAN calls all 60 latents noise"):
        hdbscan(scattered, 25)


def test_a_silhouette_of_one_cluster_or_none_is_explained() -> None:
    points, _ = blobs(30)
    for labels in (np.zeros(30, int), np.full(30, NOISE)):
        with pytest.raises(AnalysisError, match="only one cluster"):
            silhouette(points, labels)


def test_wrong_wishes_are_explained() -> None:
    points, _ = blobs(30)
    with pytest.raises(UsageError, match="0 clusters"):
        k_means(points, 0)
    with pytest.raises(UsageError, match="radius"):
        dbscan(points, -1.0)
    with pytest.raises(UsageError, match="smallest cluster"):
        hdbscan(points, 1)
    twins = np.repeat(points[:2], 10, axis=0)
    with pytest.raises(AnalysisError, match="only 2 latents differ"):
        k_means(twins, 3)
