"""Figures of generative models: known answers, and the whole evaluation on real data where it is at hand."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from engine.errors import UsageError
from engine.evaluation.feature_distances import frechet_distance, precision_recall_density_coverage
from engine.evaluation.generative import evaluate_generative, pca_reconstruction


def test_frechet_distance_of_gaussians_is_the_closed_form() -> None:
    torch.manual_seed(0)
    a = torch.randn(20_000, 3)
    b = torch.randn(20_000, 3) * 2 + torch.tensor([1.0, 0.0, -1.0])
    # Means differ by sqrt(2), each of three standard deviations by 1.
    assert frechet_distance(a, b) == pytest.approx(2 + 3, abs=0.15)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-6)


def test_prdc_of_equal_and_of_distant_sets() -> None:
    torch.manual_seed(0)
    real, same, far = torch.randn(300, 4), torch.randn(300, 4), torch.randn(300, 4) + 50
    near = precision_recall_density_coverage(real, same)
    assert near.precision > 0.8 and near.recall > 0.8 and near.coverage > 0.8
    assert near.density == pytest.approx(1, abs=0.2)
    assert tuple(precision_recall_density_coverage(real, far)) == (0, 0, 0, 0)


def test_collapse_to_one_mode_lowers_coverage_and_recall_only() -> None:
    torch.manual_seed(0)
    real = torch.cat([torch.randn(200, 2), torch.randn(200, 2) + 20])
    found = precision_recall_density_coverage(real, torch.randn(400, 2))
    assert found.precision > 0.8
    assert found.recall < 0.6 and found.coverage < 0.6


def test_pca_equals_the_exact_one() -> None:
    torch.manual_seed(0)
    train = torch.rand(200, 1, 8, 8) * torch.linspace(1, 0.1, 64).reshape(1, 8, 8) * 0.5
    test = train[:20]
    flat = train.flatten(1).double()
    mean = flat.mean(0)
    directions = torch.linalg.svd(flat - mean, full_matrices=False).Vh[:8].T
    exact = (test.flatten(1).double() - mean) @ directions @ directions.T + mean
    found = pca_reconstruction(train, test, 8).flatten(1).double()
    error, best = (found - test.flatten(1)).square().mean(), (exact.clamp(0, 1) - test.flatten(1)).square().mean()
    assert error == pytest.approx(float(best), rel=1e-3)


def test_attributes_of_another_set_are_refused(vae_path: Path) -> None:
    with pytest.raises(UsageError, match="Name the data set"):
        evaluate_generative(vae_path)
