"""The aggregate posterior beside the prior: histograms, Q-Q, Kolmogorov-Smirnov, active units, correlations, holes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from engine.errors import UsageError
from engine.latent.neighbours import nearest_to, neighbour_table
from engine.latent.points import checked_points
from engine.progress import CancelToken

Prior = Literal["standard", "fitted"]

# Burda, Grosse and Salakhutdinov, "Importance Weighted Autoencoders" (2016): a unit whose posterior mean varies less
# than this from picture to picture carries nothing.
ACTIVE_VARIANCE = 0.01
# Farther from the prior than this, a dimension is marked. 5 % significance would mark any dimension of a large set.
MARKED_DISTANCE = 0.1

_BINS = 48
_QUANTILES = 99
_RANGE = 4.0
_HOLE_SHARE = 0.2
_LEAST_HOLE = 0.01
_HOLE_QUANTILE = 0.99
_MOST_FOR_HOLES = 5000


@dataclass(frozen=True)
class EmptyStretch:
    """A stretch of one dimension that the prior visits and the data do not, with the prior's share of it."""

    low: float
    high: float
    prior_share: float


@dataclass(frozen=True)
class DimensionStatistics:
    """One dimension of the aggregate posterior.

    Attributes:
        index: of the dimension.
        mean, deviation: of the draws.
        edges: (B + 1,) of the histogram.
        density: (B,) of the draws; sums to 1 with the widths of the bins, up to what lies outside.
        prior_density: (B,) of the prior, its mean over each bin.
        quantiles: (99,) the 1 % to 99 % quantiles of the draws.
        prior_quantiles: (99,) those of the prior: both together are the Q-Q plot.
        quantile_distance: root of the mean squared difference of the two.
        ks: Kolmogorov-Smirnov distance, the largest difference of the two distribution functions, 0..1.
        activity: variance of the posterior means from picture to picture.
        active: whether that is above 0.01.
        marked: whether it is far from the prior.
        holes: stretches that the prior visits and the draws do not.
    """

    index: int
    mean: float
    deviation: float
    edges: np.ndarray
    density: np.ndarray
    prior_density: np.ndarray
    quantiles: np.ndarray
    prior_quantiles: np.ndarray
    quantile_distance: float
    ks: float
    activity: float
    active: bool
    marked: bool
    holes: tuple[EmptyStretch, ...]


@dataclass(frozen=True)
class Holes:
    """Where prior and aggregate posterior miss each other in all dimensions together.

    Attributes:
        prior_off_data: share of the prior's draws that lie farther from the data's than 99 % of the data's from each
            other: what a decoder has never seen. About 0.01 where the two are alike.
        data_off_prior: the same with the roles exchanged: pictures that the prior would hardly draw.
    """

    prior_off_data: float
    data_off_prior: float


@dataclass(frozen=True)
class LatentStatistics:
    """The aggregate posterior of a data set.

    Attributes:
        prior: "standard" for N(0, 1) in every dimension, "fitted" for Gaussians with the draws' means and deviations.
        dimensions: one entry each, in order.
        covariance, correlation: (D, D) float64 of the posterior means; correlations with a dimension that never moves
            are 0.
        holes: in all dimensions together.
    """

    prior: Prior
    dimensions: tuple[DimensionStatistics, ...]
    covariance: np.ndarray
    correlation: np.ndarray
    holes: Holes

    @property
    def active_units(self) -> int:
        """Dimensions that carry something."""
        return sum(one.active for one in self.dimensions)

    def most_correlated(self, count: int) -> list[tuple[int, int, float]]:
        """The pairs of dimensions with the largest correlations, as (first, second, correlation)."""
        rows, columns = np.triu_indices(len(self.correlation), 1)
        values = self.correlation[rows, columns]
        order = np.argsort(-np.abs(values), kind="stable")[:count]
        return [(int(rows[i]), int(columns[i]), float(values[i])) for i in order]


def latent_statistics(
    means: np.ndarray,
    log_variances: np.ndarray | None = None,
    *,
    prior: Prior = "standard",
    seed: int = 0,
    cancel: CancelToken | None = None,
) -> LatentStatistics:
    """Compare the aggregate posterior, the mixture of all pictures' posteriors, with the prior.

    Args:
        means: (N, D) of the posteriors.
        log_variances: (N, D); one draw is then taken of each posterior. None takes the means themselves.
        prior: "standard" for variational models; "fitted" for autoencoders, which have none of their own.
        seed: of the draws.
        cancel: as everywhere.

    Raises:
        AnalysisError: fewer than 10 points, all equal, or values that are not finite.
        UsageError: tables of different shapes.
        Cancelled: by `cancel`.
    """
    table = checked_points(means, 10, "A comparison with the prior")
    rng = np.random.default_rng(seed)
    draws = table.astype(np.float64)
    if log_variances is not None:
        if np.shape(log_variances) != table.shape:
            raise UsageError("Means and variances are not of the same latents.", "Encode the data again.")
        spread = np.exp(0.5 * checked_points(log_variances, 10, "A comparison with the prior", varied=False))
        draws = draws + spread * rng.standard_normal(table.shape)
    size = table.shape[1]
    centre, scale = np.zeros(size), np.ones(size)
    if prior == "fitted":
        centre, scale = draws.mean(axis=0), np.maximum(draws.std(axis=0), 1e-9)
    dimensions = []
    for index in range(size):
        if cancel is not None:
            cancel.raise_if_cancelled()
        activity = float(table[:, index].var(dtype=np.float64))
        dimensions.append(_one(index, draws[:, index], float(centre[index]), float(scale[index]), activity))
    covariance = np.cov(table.T.astype(np.float64)).reshape(size, size)
    standard = (draws - centre) / scale
    return LatentStatistics(
        prior, tuple(dimensions), covariance, _correlation(covariance), holes_between(standard, rng, cancel=cancel)
    )


def kolmogorov_smirnov(draws: np.ndarray, mean: float = 0.0, deviation: float = 1.0) -> float:
    """Largest difference between the distribution functions of draws (N,) and of a Gaussian, 0..1."""
    ordered = np.sort(np.asarray(draws, np.float64))
    below = torch.special.ndtr(torch.from_numpy((ordered - mean) / deviation)).numpy()
    steps = np.arange(len(ordered) + 1) / len(ordered)
    return float(max((steps[1:] - below).max(), (below - steps[:-1]).max()))


def holes_between(draws: np.ndarray, rng: np.random.Generator, *, cancel: CancelToken | None = None) -> Holes:
    """Shares of the prior N(0, I) off the draws (N, D) of the aggregate posterior, and of these off the prior.

    A point is off a cloud when its nearest point there is farther than 99 % of the cloud's points have theirs.
    """
    chosen = draws[np.sort(rng.permutation(len(draws))[:_MOST_FOR_HOLES])].astype(np.float32)
    prior = rng.standard_normal(chosen.shape).astype(np.float32)
    return Holes(_share_off(prior, chosen, cancel), _share_off(chosen, prior, cancel))


def _share_off(points: np.ndarray, cloud: np.ndarray, cancel: CancelToken | None) -> float:
    own = neighbour_table(torch.from_numpy(cloud), 1, cancel=cancel)[1][:, 0]
    limit = float(torch.quantile(own, _HOLE_QUANTILE))
    return float((nearest_to(cloud, points, 1, cancel=cancel).distances[:, 0] > limit).mean())


def _one(index: int, draws: np.ndarray, centre: float, scale: float, activity: float) -> DimensionStatistics:
    probabilities = np.arange(1, _QUANTILES + 1) / (_QUANTILES + 1)
    standard = torch.special.ndtri(torch.from_numpy(probabilities)).numpy()
    quantiles, expected = np.quantile(draws, probabilities), centre + scale * standard
    edges = np.linspace(centre - _RANGE * scale, centre + _RANGE * scale, _BINS + 1)
    counts, _ = np.histogram(draws, edges)
    width = edges[1] - edges[0]
    share = np.diff(torch.special.ndtr(torch.from_numpy((edges - centre) / scale)).numpy())
    distance = kolmogorov_smirnov(draws, centre, scale)
    active = activity > ACTIVE_VARIANCE
    return DimensionStatistics(
        index=index,
        mean=float(draws.mean()),
        deviation=float(draws.std()),
        edges=edges,
        density=counts / len(draws) / width,
        prior_density=share / width,
        quantiles=quantiles,
        prior_quantiles=expected,
        quantile_distance=float(np.sqrt(np.square(quantiles - expected).mean())),
        ks=distance,
        activity=activity,
        active=active,
        marked=distance > MARKED_DISTANCE,
        holes=_empty_stretches(edges, counts / len(draws), share, len(draws)),
    )


def _empty_stretches(edges: np.ndarray, found: np.ndarray, share: np.ndarray, count: int) -> tuple[EmptyStretch, ...]:
    """Runs of bins where the data have less than a fifth of the prior's share, of 1 % of the prior or more."""
    # Bins in which the prior itself would hardly have two of so many draws prove nothing.
    empty = (found < _HOLE_SHARE * share) & (share * count > 2)
    stretches, start = [], None
    for index, is_empty in enumerate([*empty, False]):
        if is_empty and start is None:
            start = index
        elif not is_empty and start is not None:
            total = float(share[start:index].sum())
            if total >= _LEAST_HOLE:
                stretches.append(EmptyStretch(float(edges[start]), float(edges[index]), total))
            start = None
    return tuple(stretches)


def _correlation(covariance: np.ndarray) -> np.ndarray:
    deviation = np.sqrt(np.diag(covariance))
    scale = np.outer(deviation, deviation)
    moving = scale > 1e-20
    return np.clip(np.divide(covariance, scale, out=np.zeros_like(covariance), where=moving), -1, 1)
