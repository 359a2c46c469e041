"""How alike two sets of pictures are in features: Fréchet distance, precision, recall, density and coverage."""

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
