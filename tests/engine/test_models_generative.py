"""The generative networks: their losses against closed forms, the flow's inverse, what training achieves."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from engine.losses.kl import kl_per_dimension, warm_up, with_free_bits
from engine.losses.reconstruction import optimal_scale_laplace_nll, optimal_sigma_nll
from engine.models.autoencoder import Autoencoder, AutoencoderConfig
from engine.models.card import Figure, ModelCard
from engine.models.conditional_vae import ConditionalVAE, ConditionalVaeConfig
from engine.models.latent_flow import LatentFlow
from engine.models.latent_statistics import principal_moves
from engine.models.registry import load_model
from engine.models.store import read_card, save_card, save_model
from tests.engine.generative_models import discs, train_some_steps


def test_kl_equals_torch_distributions() -> None:
    mean, log_variance = torch.randn(8, 5), torch.randn(8, 5)
    posterior = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
    expected = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.0))
    assert torch.allclose(kl_per_dimension(mean, log_variance), expected, atol=1e-5)


def test_kl_agrees_with_monte_carlo() -> None:
    torch.manual_seed(0)
    mean, log_variance = torch.tensor([[0.7, -1.2]]), torch.tensor([[-0.5, 0.4]])
    posterior = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
    z = posterior.sample((100_000,))
    terms = posterior.log_prob(z) - torch.distributions.Normal(0.0, 1.0).log_prob(z)
    standard_error = terms.std(0) / math.sqrt(len(z))
    assert ((terms.mean(0) - kl_per_dimension(mean, log_variance)).abs() < 4 * standard_error).all()


def test_free_bits_cost_a_constant_below_the_limit() -> None:
    kl = torch.tensor([[0.01, 2.0], [0.03, 4.0]])
    assert with_free_bits(kl, 0.05).item() == pytest.approx(0.05 + 3.0)
    assert with_free_bits(kl, 0.0).item() == pytest.approx(0.02 + 3.0)


def test_warm_up_grows_linearly_and_stays_at_one() -> None:
    assert [warm_up(f, 0.2) for f in (0.0, 0.1, 0.2, 1.0)] == pytest.approx([0.0, 0.5, 1.0, 1.0])
    assert warm_up(0.0, 0.0) == 1.0


def test_warm_up_from_a_dear_start_falls_by_equal_factors() -> None:
    assert [warm_up(f, 0.5, 100.0) for f in (0.0, 0.125, 0.25, 0.5, 0.9)] == pytest.approx(
        [100.0, 100**0.75, 10.0, 1.0, 1.0]
    )


def test_optimal_sigma_is_the_gaussian_likelihood_at_the_best_variance() -> None:
    prediction, target = torch.rand(4, 3, 8, 8), torch.rand(4, 3, 8, 8)
    best = (prediction - target).square().mean().sqrt()

    def nll(sigma: torch.Tensor) -> float:
        return -torch.distributions.Normal(prediction, sigma).log_prob(target).mean().item()

    assert optimal_sigma_nll(prediction, target).item() == pytest.approx(nll(best), abs=1e-4)
    assert nll(best) < min(nll(best * 0.9), nll(best * 1.1))


def test_optimal_laplace_scale_is_the_laplace_likelihood_at_the_best_scale() -> None:
    prediction, target = torch.rand(4, 3, 8, 8), torch.rand(4, 3, 8, 8)
    best = (prediction - target).abs().mean()

    def nll(scale: torch.Tensor) -> float:
        return -torch.distributions.Laplace(prediction, scale).log_prob(target).mean().item()

    assert optimal_scale_laplace_nll(prediction, target).item() == pytest.approx(nll(best), abs=2e-3)
    assert nll(best) < min(nll(best * 0.9), nll(best * 1.1))


def test_losses_stay_finite_when_the_reconstruction_is_perfect() -> None:
    image = torch.rand(2, 1, 4, 4)
    assert math.isfinite(optimal_sigma_nll(image, image).item())
    assert math.isfinite(optimal_scale_laplace_nll(image, image).item())


def test_flow_round_trip() -> None:
    torch.manual_seed(0)
    flow = LatentFlow(latent_size=6, condition_size=4, width=32, layers=2)
    for parameter in flow.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    u, condition = torch.randn(64, 6), torch.randn(64, 4)
    with torch.no_grad():
        z = flow.to_latent(u, condition, steps=8)
        assert (z - u).abs().mean() > 0.05
        assert torch.allclose(flow.to_style(z, condition, steps=8), u, atol=1e-3)


def test_untrained_flow_is_the_identity() -> None:
    flow = LatentFlow(latent_size=6, condition_size=4, width=32, layers=2)
    u = torch.randn(5, 6)
    assert torch.equal(flow.to_latent(u, torch.randn(5, 4), steps=3), u)


def test_flow_learns_a_shifted_gaussian() -> None:
    torch.manual_seed(0)
    flow = LatentFlow(latent_size=2, condition_size=1, width=32, layers=2)
    optimizer = torch.optim.Adam(flow.parameters(), lr=3e-3)
    for _ in range(400):
        condition = torch.randint(0, 2, (256, 1)).float()
        z = torch.randn(256, 2) * 0.3 + 4 * condition - 2
        loss = flow.loss(z, condition)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        for value, mean in ((0.0, -2.0), (1.0, 2.0)):
            z = flow.to_latent(torch.randn(2000, 2), torch.full((2000, 1), value), steps=8)
            assert torch.allclose(z.mean(0), torch.full((2,), mean), atol=0.15)
            assert torch.allclose(z.std(0), torch.full((2,), 0.3), atol=0.1)


def test_principal_moves_finds_the_visible_direction() -> None:
    torch.manual_seed(0)
    basis = torch.linalg.qr(torch.randn(3, 3)).Q
    strengths = torch.tensor([0.01, 0.5, 0.1])

    def decode(u: torch.Tensor) -> torch.Tensor:
        return ((u @ basis) * strengths)[:, None, None, :]

    rotation, visibility = principal_moves(decode, torch.randn(10, 3))
    assert torch.allclose(rotation.T @ rotation, torch.eye(3), atol=1e-5)
    assert torch.allclose((rotation.T @ basis).abs(), torch.eye(3)[[1, 2, 0]], atol=1e-3)
    assert torch.allclose(visibility, torch.tensor([0.5, 0.1, 0.01]) / math.sqrt(3), atol=1e-4)


@pytest.mark.parametrize(
    ("size", "widths", "channels"), [(28, (16, 8), 1), (64, (16, 16, 8, 8), 3), (128, (8,) * 5, 3)]
)
def test_networks_keep_the_picture_size(size: int, widths: tuple[int, ...], channels: int) -> None:
    config = ConditionalVaeConfig.model_validate(
        {
            "image_size": size,
            "channels": channels,
            "widths": widths,
            "latent_size": 5,
            "attribute_sizes": (3, 2),
            "features": 16,
        }
    )
    network = ConditionalVAE(config)
    images = torch.rand(2, channels, size, size)
    posterior = network.encode(images, network.open_labels(2))
    assert posterior.mean.shape == posterior.log_variance.shape == (2, 5)
    assert network.decode(posterior.mean, torch.tensor([[0, 1], [2, 0]])).shape == images.shape


def test_a_network_without_attributes_works() -> None:
    network = ConditionalVAE(ConditionalVaeConfig(attribute_sizes=(), widths=(16, 8), features=16))
    losses = network.validation_figures(discs(2, 0)._replace(images=torch.rand(2, 1, 28, 28), labels=None))
    assert all(math.isfinite(value.item()) for value in losses.values())


def test_config_refuses_what_makes_no_sense() -> None:
    with pytest.raises(ValidationError, match="halved"):
        ConditionalVaeConfig(image_size=28, widths=(16, 16, 16))
    with pytest.raises(ValidationError, match="as large as the picture"):
        AutoencoderConfig(image_size=28, channels=1, latent_size=784, widths=(16, 8))


def test_hidden_labels_are_marked_open() -> None:
    network = ConditionalVAE(ConditionalVaeConfig(attribute_sizes=(3, 2), drop_all=1.0, widths=(16, 8), features=16))
    labels = torch.tensor([[0, 1], [2, 0]])
    assert network.hide_labels(labels).tolist() == [[3, 2], [3, 2]]
    network = ConditionalVAE(ConditionalVaeConfig(attribute_sizes=(3, 2), drop_all=0.0, widths=(16, 8), features=16))
    assert torch.equal(network.hide_labels(labels), labels)


def test_the_flow_stage_gives_gradients_to_the_flow_only() -> None:
    network = ConditionalVAE(ConditionalVaeConfig(image_size=32, channels=3, attribute_sizes=(3, 2), widths=(16, 8)))
    train_some_steps(network, "flow", 1)
    touched = {name.partition(".")[0] for name, p in network.named_parameters() if p.grad is not None}
    assert touched == {"flow"}


def test_training_teaches_size_and_shade(vae_path) -> None:
    network = load_model(vae_path).network
    assert isinstance(network, ConditionalVAE)
    torch.manual_seed(0)
    labels = torch.tensor([[0, 0], [0, 1], [2, 0], [2, 1]]).repeat_interleave(16, 0)
    with torch.no_grad():
        style = torch.randn(64, 4)
        mass = network.decode(network.style_to_latent(style, labels), labels).clamp(0, 1).sum((1, 2, 3))
    small_dark, small_bright, large_dark, large_bright = mass.reshape(4, 16).median(1).values.tolist()
    assert small_dark < small_bright < large_bright
    assert small_dark < large_dark < large_bright


def test_style_round_trip_on_a_trained_network(vae_path) -> None:
    network = load_model(vae_path).network
    assert isinstance(network, ConditionalVAE)
    labels = torch.tensor([[1, 1]]).expand(16, -1)
    with torch.no_grad():
        style = torch.randn(16, 4)
        back = network.latent_to_style(network.style_to_latent(style, labels), labels)
    # Weights are stored as float16: the rotation is orthonormal to 1e-3 only.
    assert torch.allclose(back, style, atol=2e-2)


def test_finish_describes_every_latent_dimension(vae_path, autoencoder_path) -> None:
    for path, attributes in ((vae_path, 2), (autoencoder_path, 0)):
        card = load_model(path).card
        assert [dimension.index for dimension in card.latent_dimensions] == [0, 1, 2, 3]
        assert all(d.low < d.high and d.importance >= 0 for d in card.latent_dimensions)
        assert len(card.attributes) == attributes


def test_autoencoder_beats_the_mean_picture(autoencoder_path) -> None:
    network = load_model(autoencoder_path).network
    assert isinstance(network, Autoencoder)
    images = discs(64, 5000).images
    with torch.no_grad():
        error = (network.decode(network.encode(images)) - images).square().mean()
    assert error < 0.5 * (images.mean(0) - images).square().mean()


def test_a_figure_that_is_no_number_does_not_make_a_model_unreadable(tmp_path: Path) -> None:
    config = ConditionalVaeConfig(attribute_sizes=(), widths=(16, 8), features=16)
    figures = (Figure(name="lost", value=math.nan, data="test"), Figure(name="kept", value=0.5, data="test"))
    path = tmp_path / "small.safetensors"
    save_model(path, ConditionalVAE(config), ModelCard(name="small", family="conditional-vae", figures=figures))
    assert [figure.name for figure in read_card(path).figures] == ["kept"]
    save_card(path, read_card(path).model_copy(update={"figures": figures}))
    assert [figure.name for figure in read_card(path).figures] == ["kept"]
