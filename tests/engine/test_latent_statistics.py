"""Statistics of the aggregate posterior: equal to scipy's, dead and non-Gaussian dimensions found, holes measured."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest, norm

from engine.errors import AnalysisError, UsageError
from engine.latent.statistics import holes_between, kolmogorov_smirnov, latent_statistics
from tests.engine.latent_points import ALL_EQUAL, NOT_FINITE, ONE_POINT


def gaussian(count: int = 4000, size: int = 4, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, size))


def test_the_distance_is_scipys() -> None:
    rng = np.random.default_rng(0)
    for draws in (rng.standard_normal(500), rng.random(77), np.repeat(rng.standard_normal(20), 3)):
        assert kolmogorov_smirnov(draws) == pytest.approx(kstest(draws, "norm").statistic, abs=1e-12)
    draws = rng.random(50)
    assert kolmogorov_smirnov(draws, 0.5, 2) == pytest.approx(kstest(draws, norm(0.5, 2).cdf).statistic, abs=1e-12)


def test_a_gaussian_posterior_matches_the_prior() -> None:
    found = latent_statistics(gaussian())
    assert found.active_units == 4
    for one in found.dimensions:
        assert one.ks < 0.03 and not one.marked and one.holes == ()
        assert one.quantile_distance < 0.08
        widths = np.diff(one.edges)
        assert one.density @ widths == pytest.approx(1, abs=1e-3)
        assert one.prior_density @ widths == pytest.approx(1, abs=1e-3)
    assert found.holes.prior_off_data < 0.03 and found.holes.data_off_prior < 0.03


def test_a_planted_dead_dimension_is_found_in_every_trial() -> None:
    for trial in range(20):
        rng = np.random.default_rng(trial)
        means, log_variances = rng.standard_normal((400, 6)), np.full((400, 6), -3.0)
        dead = trial % 6
        means[:, dead] = 0.03 * rng.standard_normal(400)
        log_variances[:, dead] = 0.0
        found = latent_statistics(means, log_variances)
        assert [one.index for one in found.dimensions if not one.active] == [dead]
        assert found.active_units == 5
        # Dead as it is, its draws are those of the prior.
        assert found.dimensions[dead].ks < 0.1


def test_draws_add_the_posteriors_own_variance() -> None:
    means = 0.6 * gaussian(20_000, 2, seed=9)
    found = latent_statistics(means, np.full(means.shape, np.log(0.64)))
    assert [one.deviation for one in found.dimensions] == pytest.approx([1, 1], abs=0.02)
    assert [one.activity for one in found.dimensions] == pytest.approx([0.36, 0.36], abs=0.02)
    assert all(one.ks < 0.02 for one in found.dimensions)


def test_a_shifted_and_a_two_peaked_dimension_are_marked() -> None:
    means = gaussian(3000, 3)
    means[:, 1] += 1
    means[:, 2] = np.where(means[:, 2] > 0, 2, -2) + 0.3 * gaussian(3000, 1, seed=1)[:, 0]
    found = latent_statistics(means)
    assert [one.marked for one in found.dimensions] == [False, True, True]
    # A shift by 1 moves every quantile by 1, and the distribution function by 2 Phi(1/2) - 1 at most.
    assert found.dimensions[1].quantile_distance == pytest.approx(1, abs=0.06)
    assert found.dimensions[1].ks == pytest.approx(2 * norm.cdf(0.5) - 1, abs=0.03)
    assert len(found.dimensions[2].holes) == 1
    hole = found.dimensions[2].holes[0]
    assert hole.low < -0.9 and hole.high > 0.9
    assert hole.prior_share == pytest.approx(norm.cdf(hole.high) - norm.cdf(hole.low), abs=1e-6)


def test_holes_in_all_dimensions_are_the_priors_mass_there() -> None:
    draws = gaussian(20_000, 2)
    without_middle = draws[np.abs(draws[:, 0]) > 1][:5000]
    found = holes_between(without_middle, np.random.default_rng(0))
    # The prior has 68 % of its mass where |x| < 1; near the rim of the hole the data are not far away yet.
    assert 0.5 < found.prior_off_data < 0.69
    assert found.data_off_prior < 0.03


def test_pictures_outside_the_prior_are_counted() -> None:
    draws = gaussian(4000, 3)
    draws[:1000] += 8
    found = holes_between(draws, np.random.default_rng(0))
    assert found.data_off_prior == pytest.approx(0.25, abs=0.02)


def test_correlation_and_covariance_are_numpys() -> None:
    rng = np.random.default_rng(0)
    means = (gaussian(500, 3) @ rng.standard_normal((3, 3))).astype(np.float32)
    found = latent_statistics(means)
    assert found.covariance == pytest.approx(np.cov(means.T.astype(float)), rel=1e-5)
    assert found.correlation == pytest.approx(np.corrcoef(means.T), abs=1e-5)
    first, second, value = found.most_correlated(1)[0]
    others = np.abs(found.correlation[np.triu_indices(3, 1)])
    assert abs(value) == others.max() and found.correlation[first, second] == value


def test_a_dimension_that_never_moves_has_no_correlation() -> None:
    means = gaussian(100, 3)
    means[:, 1] = 4
    found = latent_statistics(means)
    assert np.isfinite(found.correlation).all()
    assert found.correlation[1, [0, 2]] == pytest.approx([0, 0])
    assert found.active_units == 2


def test_an_autoencoder_is_compared_with_the_gaussian_that_fits_it() -> None:
    means = 50 + 7 * gaussian(3000, 2)
    assert latent_statistics(means).dimensions[0].ks > 0.9
    fitted = latent_statistics(means, prior="fitted")
    assert all(one.ks < 0.03 for one in fitted.dimensions)
    assert fitted.holes.prior_off_data < 0.04
    assert fitted.dimensions[0].edges[[0, -1]] == pytest.approx([50 - 28, 50 + 28], abs=1)


def test_the_seed_decides_the_draws() -> None:
    means = gaussian(200, 2)
    first, again = (latent_statistics(means, np.zeros_like(means), seed=3) for _ in range(2))
    assert first.dimensions[0].ks == again.dimensions[0].ks and first.holes == again.holes


def test_hopeless_latents_are_explained() -> None:
    for points, sentence in (
        (np.eye(3), "at least 10 latents; 3 were given"),
        (ONE_POINT, "one was given"),
        (ALL_EQUAL, "are equal"),
        (NOT_FINITE, "not finite"),
    ):
        with pytest.raises(AnalysisError, match=sentence):
            latent_statistics(points)
    with pytest.raises(UsageError, match="not of the same latents"):
        latent_statistics(gaussian(50), gaussian(40))
