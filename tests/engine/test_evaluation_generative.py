"""Figures of generative models: known answers, and the whole evaluation of small models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from engine.data.dataset import UniformPictures
from engine.data.settings import DataSettings
from engine.errors import Cancelled, UsageError
from engine.evaluation.feature_distances import frechet_distance, precision_recall_density_coverage
from engine.evaluation.generative import evaluate_generative, measure_autoencoder, measure_vae, pca_reconstruction
from engine.models.autoencoder import Autoencoder
from engine.models.conditional_vae import ConditionalVAE
from engine.models.registry import load_model
from engine.progress import CancelToken
from tests.engine.generative_models import ATTRIBUTES, discs


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


def disc_set(count: int, seed: int) -> UniformPictures:
    """A data set of drawn discs."""
    batch = discs(count, seed)
    assert batch.labels is not None
    images = (batch.images.permute(0, 2, 3, 1).numpy() * 255).round().astype(np.uint8)
    names = [str(index) for index in range(count)]
    settings = DataSettings(set="discs")
    labels = batch.labels.numpy()
    return UniformPictures(
        settings, images, names, name="discs", licence="CC0 1.0", labels=labels, attributes=ATTRIBUTES
    )


def test_figures_of_a_vae_stand_beside_ceiling_floor_and_plain_prior(vae_path: Path) -> None:
    network = load_model(vae_path).network
    assert isinstance(network, ConditionalVAE)
    figures = measure_vae(network, disc_set(400, 1), disc_set(150, 2), judge_steps=60)
    value = {figure.name: figure.value for figure in figures}
    assert value["mean attribute accuracy of real pictures (ceiling)"] > 0.8
    assert value["size accuracy of samples"] > 0.45  # chance is 0.33
    assert value["feature Fréchet distance, train against test (floor)"] < value["feature Fréchet distance of samples"]
    assert 0 <= value["coverage of samples"] <= 1
    assert value["feature KID, train against test (floor)"] < value["feature KID of samples"]
    assert 0.2 < value["sharpness of samples, real pictures 1"] < 1.2
    assert value["nearest training picture in pixels: share of samples nearer than 99 % of test pictures"] < 0.5
    assert value["CAS after training on 400 real pictures (ceiling)"] > 0.8
    assert value["accuracy after training on 60 real pictures"] > 0.5
    assert value["CAS of size"] > 0.4
    assert value["reconstruction PSNR"] == pytest.approx(-10 * np.log10(value["reconstruction MSE"]), abs=0.05)
    assert all(figure.data == "discs test, 150 pictures" for figure in figures)


def test_figures_repeat(autoencoder_path: Path) -> None:
    network = load_model(autoencoder_path).network
    assert isinstance(network, Autoencoder)
    first, second = (measure_autoencoder(network, disc_set(200, 1), disc_set(50, 2)) for _ in range(2))
    assert first == second
    assert [figure.name for figure in first][2:] == [
        "reconstruction MSE of PCA with 4 components",
        "reconstruction PSNR of PCA with 4 components",
    ]


def test_evaluation_can_be_cancelled(vae_path: Path) -> None:
    network = load_model(vae_path).network
    assert isinstance(network, ConditionalVAE)
    token = CancelToken()
    with pytest.raises(Cancelled):
        measure_vae(network, disc_set(100, 1), disc_set(20, 2), progress=lambda _: token.cancel(), cancel=token)
