"""Probes, robustness, disentanglement and anomalies: closed forms, constructed cases, and scikit-learn's figures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import mutual_info_score, roc_auc_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from engine.errors import AnalysisError, Cancelled, UsageError
from engine.evaluation.anomaly import auroc, error_auroc, mahalanobis_score, one_class_out, pca_score
from engine.evaluation.disentanglement import dci, mutual_information_gap
from engine.evaluation.probes import measure_probes, wilson
from engine.evaluation.robustness import CORRUPTIONS, measure_robustness
from engine.models.registry import load_model
from engine.progress import CancelToken
from tests.engine.generative_models import discs
from tests.engine.latent_points import ALL_EQUAL, NOT_FINITE, blobs

BY_KEY = {corruption.key: corruption for corruption in CORRUPTIONS}


# --- probes -----------------------------------------------------------------------------------------------------------


def test_the_interval_is_wilsons() -> None:
    # Known values: 81 of 263 (Newcombe 1998, method 3), and the ends.
    share = wilson(81, 263)
    assert (share.low, share.high) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson(0, 20).low == 0 and wilson(0, 20).high == pytest.approx(0.1611, abs=1e-4)
    assert wilson(20, 20).high == 1 and wilson(20, 20).low == pytest.approx(1 - 0.1611, abs=1e-4)
    with pytest.raises(UsageError, match="no share"):
        wilson(3, 2)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    drawn = np.random.default_rng(0).binomial(200, 0.9, 2000)
    inside = [wilson(int(one), 200).low <= 0.9 <= wilson(int(one), 200).high for one in drawn]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.02)


def test_probes_are_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    points, kind = rng.standard_normal((600, 8)) * 3, rng.integers(0, 3, 600)
    points[:, 0] += 2 * kind
    points[:, 1] -= 3 * (kind == 1)
    points = points.astype(np.float32)
    found = measure_probes(points[:400], kind[:400], points[400:], kind[400:])
    scaler = StandardScaler().fit(points[:400])
    train, test = scaler.transform(points[:400]), scaler.transform(points[400:])
    linear = LogisticRegression(max_iter=500).fit(train, kind[:400]).score(test, kind[400:])
    near = KNeighborsClassifier(10).fit(train, kind[:400]).score(test, kind[400:])
    assert found.linear.value == pytest.approx(linear, abs=0.006)
    assert found.neighbours.value == pytest.approx(near, abs=0.006)
    assert found.linear.low < found.linear.value < found.linear.high and found.linear.count == 200
    assert found.chance == pytest.approx(np.mean(kind[400:] == np.bincount(kind[:400]).argmax()))


def test_separate_clouds_are_read_and_noise_is_not() -> None:
    points, kind = blobs(400)
    assert measure_probes(points[:300], kind[:300], points[300:], kind[300:]).linear.value == 1
    noise = np.random.default_rng(0).standard_normal((400, 6)).astype(np.float32)
    nothing = measure_probes(noise[:300], kind[:300], noise[300:], kind[300:])
    assert nothing.linear.low < 0.45 and nothing.neighbours.low < 0.45


def test_a_dimension_that_never_moves_does_not_disturb() -> None:
    points, kind = blobs(300)
    points[:, 2] = 7
    asked = points[200:].copy()
    asked[:, 2] = 7.5
    assert measure_probes(points[:200], kind[:200], asked, kind[200:]).neighbours.value > 0.99


def test_hopeless_probes_are_explained() -> None:
    points, kind = blobs(60)
    with pytest.raises(AnalysisError, match="two classes"):
        measure_probes(points, np.zeros(60), points, kind)
    with pytest.raises(AnalysisError, match="at least 10 latents; 3 were given"):
        measure_probes(points[:3], kind[:3], points, kind)
    with pytest.raises(AnalysisError, match="are equal"):
        measure_probes(ALL_EQUAL, np.arange(40) % 2, ALL_EQUAL, np.arange(40) % 2)
    with pytest.raises(UsageError, match="do not fit"):
        measure_probes(points, kind, points[:, :2], kind)


# --- robustness -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def curves(vae_path: Path) -> dict:
    found = measure_robustness(load_model(vae_path), discs(60, 77).images)
    return {curve.corruption: curve for curve in found}


def test_curves_start_at_rest_and_rise(curves: dict) -> None:
    assert list(curves) == ["noise", "blur", "rotation", "occlusion", "jpeg"]
    at_rest = {curve.errors[0] for curve in curves.values()}
    assert len(at_rest) == 1
    for curve in curves.values():
        assert curve.strengths[0] == 0 and curve.damage[0] == 0
        assert curve.shifts[0] == pytest.approx(0, abs=1e-6)
        assert curve.damage[-1] > curve.damage[1] > 0
        assert curve.shifts[-1] > curve.shifts[1] > 0
    assert curves["noise"].shifts[-1] < 3 and curves["noise"].errors[-1] > curves["noise"].errors[0]


def test_strong_noise_is_repaired_in_part(curves: dict) -> None:
    noise = curves["noise"]
    assert noise.errors[-1] < noise.damage[-1]
    # Clipped to 0..1, noise of deviation s adds s² at most and half of it at least.
    assert (noise.damage[1:] <= np.square(noise.strengths[1:]) * 1.01).all()
    assert (noise.damage[1:] >= 0.4 * np.square(noise.strengths[1:])).all()


def test_each_corruption_does_what_it_says() -> None:
    rng = np.random.default_rng(0)
    pictures = np.zeros((3, 24, 24, 1), np.uint8)
    pictures[:, 4:8, 10:14] = 255
    covered = BY_KEY["occlusion"].apply(pictures, 0.25, rng)
    assert ((covered == 128).sum(axis=(1, 2, 3)) == 144).all()
    turned = BY_KEY["rotation"].apply(pictures, 90.0, rng)
    assert np.abs(turned[0, ..., 0].astype(int) - np.rot90(pictures[0, ..., 0])).mean() < 12
    blurred = BY_KEY["blur"].apply(pictures, 2.0, rng)
    assert blurred.max() < 200 and blurred.sum() == pytest.approx(pictures.sum(), rel=0.05)
    for corruption in CORRUPTIONS:
        for channels in (1, 3):
            shown = np.repeat(pictures, channels, axis=-1)
            damaged = corruption.apply(shown, corruption.strengths[-1], np.random.default_rng(0))
            assert damaged.shape == shown.shape and damaged.dtype == np.uint8
            assert not np.array_equal(damaged, shown)
            again = corruption.apply(shown, corruption.strengths[-1], np.random.default_rng(0))
            assert np.array_equal(damaged, again)


def test_bad_calls_of_robustness_are_explained(vae_path: Path) -> None:
    model = load_model(vae_path)
    with pytest.raises(UsageError, match=r"takes \(3, 32, 32\)"):
        measure_robustness(model, torch.zeros(4, 3, 16, 16))
    with pytest.raises(AnalysisError, match="at least 2 pictures"):
        measure_robustness(model, discs(1, 0).images)
    with pytest.raises(AnalysisError, match="All latents of discs are equal"):
        measure_robustness(model, torch.zeros(4, 3, 32, 32))
    token = CancelToken()
    with pytest.raises(Cancelled):
        measure_robustness(model, discs(4, 0).images, progress=lambda _: token.cancel(), cancel=token)


# --- disentanglement --------------------------------------------------------------------------------------------------


def known_factors(count: int = 2500) -> np.ndarray:
    """Three independent factors of 4, 3 and 5 values."""
    rng = np.random.default_rng(0)
    return np.stack([rng.integers(0, values, count) for values in (4, 3, 5)], axis=1)


def test_a_code_that_is_its_factors_scores_one() -> None:
    factors = known_factors()
    noise = np.random.default_rng(1).standard_normal((len(factors), 1))
    code = np.hstack([factors * 3.0, noise])
    gap = mutual_information_gap(code, factors)
    assert gap.total == pytest.approx(1, abs=0.03)
    assert gap.entropy == pytest.approx(np.log([4, 3, 5]), abs=0.01)
    found = dci(code, factors)
    assert found.disentanglement > 0.9 and found.completeness > 0.9 and found.informativeness > 0.99
    assert found.importance.sum(axis=0) == pytest.approx(np.ones(3))
    assert found.importance.argmax(axis=0).tolist() == [0, 1, 2]
    assert found.chance == pytest.approx(np.mean([1 / 4, 1 / 3, 1 / 5]), abs=0.05)


def test_mixed_and_doubled_codes_score_low_each_in_its_way() -> None:
    factors = known_factors()
    standard = (factors - factors.mean(axis=0)) / factors.std(axis=0)
    mixed = standard @ np.array([[2, 2, -1], [-1, 2, 2], [2, -1, 2]]) / 3  # orthogonal
    assert mutual_information_gap(mixed, factors).total < 0.15
    assert dci(mixed, factors).disentanglement < 0.4
    doubled = np.hstack([standard, standard])
    assert mutual_information_gap(doubled, factors).total == pytest.approx(0, abs=1e-9)
    twice = dci(doubled, factors)
    assert twice.disentanglement > 0.9 and twice.completeness < 0.8


def test_mutual_information_is_scikit_learns() -> None:
    factors = known_factors(500)
    code = np.random.default_rng(0).standard_normal((500, 2)) + factors[:, :2]
    information = mutual_information_gap(code, factors).information
    edges = np.linspace(code[:, 1].min(), code[:, 1].max(), 21)
    binned = np.digitize(code[:, 1].astype(np.float32), edges[1:-1])
    assert information[1, 2] == pytest.approx(mutual_info_score(binned, factors[:, 2]), abs=2e-3)
    assert information[1, 1] == pytest.approx(mutual_info_score(binned, factors[:, 1]), abs=2e-3)


def test_a_factor_that_never_changes_is_left_out() -> None:
    factors = known_factors(400)
    factors[:, 1] = 2
    gap = mutual_information_gap(factors * 1.0, factors)
    assert np.isnan(gap.per_factor[1]) and gap.total == pytest.approx(1, abs=0.05)
    assert dci(factors * 1.0, factors).importance.shape == (3, 2)


def test_hopeless_factors_are_explained() -> None:
    points, kind = blobs(100)
    for figure in (mutual_information_gap, dci):
        with pytest.raises(AnalysisError, match="at least 50"):
            figure(points[:3], kind[:3, None])
        with pytest.raises(AnalysisError, match="change from picture to picture"):
            figure(points, np.ones((100, 2)))
        with pytest.raises(UsageError, match="known factors"):
            figure(points, kind)
        with pytest.raises(AnalysisError, match="are equal"):
            figure(np.ones((60, 3)), np.arange(60)[:, None] % 3)
    token = CancelToken()
    with pytest.raises(Cancelled):
        dci(points, np.stack([kind, kind], axis=1), progress=lambda _: token.cancel(), cancel=token)


# --- anomalies --------------------------------------------------------------------------------------------------------


def test_auroc_is_scikit_learns_also_with_ties() -> None:
    rng = np.random.default_rng(0)
    for scores in (rng.standard_normal(300), rng.integers(0, 5, 300).astype(float), np.zeros(300)):
        strange = rng.random(300) < 0.2 + 0.1 * (scores > 0)
        assert auroc(scores, strange) == pytest.approx(roc_auc_score(strange, scores), abs=1e-12)
    assert auroc(np.array([1.0, 2, 3, 4]), np.array([0, 0, 1, 1])) == 1
    errors = np.array([0.1, 0.2, 0.9, 0.3])
    assert error_auroc(errors, np.array([4, 4, 7, 4]), 7) == 1


def test_hopeless_scores_are_explained() -> None:
    with pytest.raises(AnalysisError, match="both strange and normal"):
        auroc(np.arange(4.0), np.ones(4, bool))
    with pytest.raises(AnalysisError, match="not finite"):
        auroc(np.array([1.0, np.nan]), np.array([True, False]))
    with pytest.raises(UsageError, match="same pictures"):
        auroc(np.arange(4.0), np.ones(3, bool))
    with pytest.raises(AnalysisError, match="not finite"):
        mahalanobis_score(NOT_FINITE)
    with pytest.raises(AnalysisError, match="two classes"):
        one_class_out(ALL_EQUAL, np.zeros(40), ALL_EQUAL, np.zeros(40), mahalanobis_score)


def test_a_class_left_out_is_strange_to_what_was_fitted_to_the_others() -> None:
    points, kind = blobs(600, kinds=3)
    found = one_class_out(points[:400], kind[:400], points[400:], kind[400:], _own_blob)
    assert [one.value for one in found] == [0, 1, 2]
    assert sum(one.pictures for one in found) == 200
    assert all(one.auroc > 0.99 for one in found)


def _own_blob(normal: np.ndarray):
    """Distance to the nearest normal point."""
    return lambda points: np.sqrt(np.square(points[:, None] - normal[None]).sum(axis=2)).min(axis=1)


def test_pca_finds_what_leaves_the_plane_and_mahalanobis_what_goes_far_in_it() -> None:
    rng = np.random.default_rng(0)
    plane = rng.standard_normal((500, 2)) @ rng.standard_normal((2, 10))
    normal = (plane + 0.01 * rng.standard_normal((500, 10))).astype(np.float32)
    off = normal[:100] + rng.standard_normal((100, 10)).astype(np.float32)
    strange = np.arange(200) < 100
    assert auroc(pca_score(normal, 2)(np.concatenate([off, normal[:100]])), strange) > 0.99
    far = (20 * plane[:100]).astype(np.float32)
    both = np.concatenate([far, normal[:100]])
    assert auroc(mahalanobis_score(normal)(both), strange) > 0.95
    exact = np.linalg.inv(np.cov(normal.T.astype(float)))
    centred = normal[:5] - normal.mean(axis=0)
    expected = np.einsum("nd,de,ne->n", centred, exact, centred)
    assert mahalanobis_score(normal)(normal[:5]) == pytest.approx(expected, rel=0.05)
