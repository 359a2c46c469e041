"""How alike two sets of pictures are in features: Fréchet and kernel distance, precision, recall, density, coverage."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


def frechet_distance(real: Tensor, generated: Tensor) -> float:
    """Fréchet distance of the Gaussians fitted to two sets of features, each (N, F) with N > 1.

    Heusel et al., "GANs Trained by a Two Time-Scale Update Rule" (2017):
    |m1 - m2|² + tr(C1 + C2 - 2 (C1^1/2 C2 C1^1/2)^1/2). It depends on the features and on N: compare only figures of
    one feature network and size.
    """
    first, second = real.double(), generated.double()
    gap = (first.mean(0) - second.mean(0)).square().sum()
    cov1, cov2 = torch.cov(first.T), torch.cov(second.T)
    values, vectors = torch.linalg.eigh(cov1)
    root = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
    cross = torch.linalg.eigvalsh(root @ cov2 @ root).clamp_min(0).sqrt().sum()
    return float(gap + cov1.trace() + cov2.trace() - 2 * cross)


def kernel_distance(real: Tensor, generated: Tensor) -> float:
    """Kernel distance (KID): the squared maximum mean discrepancy of two sets of features, (N, F) and (M, F), N, M > 1.

    Bińkowski et al., "Demystifying MMD GANs" (2018): kernel (x·y / F + 1)³, the unbiased estimate over all pairs. It is
    0 on average for two draws of one distribution, so that single values may be negative; `kernel_distance_error` says
    how far it may be off.
    """
    first, second = real.double(), generated.double()
    return float(_mean_of_others(first) + _mean_of_others(second) - 2 * _kernel(first, second).mean())


def kernel_distance_error(real: Tensor, generated: Tensor, parts: int = 10) -> float:
    """Standard error of `kernel_distance`, from its spread over `parts` disjoint parts of both sets.

    The parts are taken in turns (rows 0, parts, 2 parts, ...), so sets sorted by class are divided evenly. The values
    of parts scatter more widely by about sqrt(parts) than the one of the whole sets.
    """
    values = [kernel_distance(real[part::parts], generated[part::parts]) for part in range(parts)]
    return float(torch.tensor(values, dtype=torch.float64).std() / parts**0.5)


def _kernel(first: Tensor, second: Tensor) -> Tensor:
    return (first @ second.T / first.shape[1] + 1) ** 3


def _mean_of_others(features: Tensor) -> Tensor:
    """Mean of the kernel over pairs of different rows."""
    kernel = _kernel(features, features)
    count = len(features)
    return (kernel.sum() - kernel.diagonal().sum()) / (count * (count - 1))


def nearest_distances(queries: Tensor, references: Tensor, chunk: int = 512) -> Tensor:
    """Euclidean distance (N,) of each of `queries` (N, F) to the nearest of `references` (M, F)."""
    squares = references.square().sum(1)
    # Written out instead of cdist: one matrix product, and no (N, M) table in memory.
    found = [
        (part.square().sum(1) + (squares - 2 * (part @ references.T)).min(1).values).clamp_min(0).sqrt()
        for part in queries.split(chunk)
    ]
    return torch.cat(found)


class Memorisation(NamedTuple):
    """How near generated pictures lie to training pictures, beside held-out real ones.

    Attributes:
        ratio: median distance of generated pictures over that of held-out real ones; far below 1 means copies.
        copies: share of generated pictures that lie nearer than all but 1 % of the held-out ones; 0.01 is what new
            real pictures would have.
    """

    ratio: float
    copies: float


def memorisation(generated: Tensor, held_out: Tensor) -> Memorisation:
    """Compare distances to the nearest training picture (`nearest_distances`): generated (N,), held-out real (M,)."""
    near = torch.quantile(held_out.double(), 0.01)
    ratio = generated.double().median() / held_out.double().median().clamp_min(1e-12)
    return Memorisation(float(ratio), float((generated.double() < near).double().mean()))


class Prdc(NamedTuple):
    """Shares, 0..1 (density may exceed 1)."""

    precision: float
    recall: float
    density: float
    coverage: float


def precision_recall_density_coverage(real: Tensor, generated: Tensor, neighbours: int = 5) -> Prdc:
    """Fidelity and diversity of generated features (M, F) beside real ones (N, F), N and M > `neighbours`.

    Kynkäänniemi et al. (2019) for precision and recall; Naeem et al., "Reliable Fidelity and Diversity Metrics" (2020)
    for density and coverage.
    """
    real, generated = real.double(), generated.double()
    real_radius = torch.cdist(real, real).kthvalue(neighbours + 1, dim=1).values
    generated_radius = torch.cdist(generated, generated).kthvalue(neighbours + 1, dim=1).values
    distance = torch.cdist(real, generated)
    inside_real = distance < real_radius[:, None]
    return Prdc(
        precision=float(inside_real.any(0).double().mean()),
        recall=float((distance < generated_radius[None]).any(1).double().mean()),
        density=float(inside_real.double().sum(0).mean() / neighbours),
        coverage=float((distance.min(1).values < real_radius).double().mean()),
    )
