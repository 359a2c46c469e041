"""The codec network: exact integers everywhere, tables that fit, receptive fields that fit their halos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from engine.losses.rate_distortion import lambda_of_quality, laplace_bits, logistic_bits
from engine.models.card import ModelCard
from engine.models.hyperprior_codec import (
    HYPER_TOTAL,
    LATENT_TOTAL,
    HyperpriorCodec,
    HyperpriorCodecConfig,
    IntegerConv,
    compand,
)
from engine.models.network import Batch, TrainingMoment
from engine.models.store import load_network
from tests.engine.codec_fixtures import SMALL, scene, small_network, write_small_model


def entropy_path(network: HyperpriorCodec, dtype: torch.dtype = torch.float32, channels_last: bool = False) -> list:
    """All integers that the entropy decoder would use for fixed latents."""
    generator = torch.Generator().manual_seed(5)
    config = network.config
    z = torch.randint(-70, 70, (1, config.hyper_channels, 8, 8), generator=generator).to(dtype)
    y = torch.randn(1, config.latent_channels, 32, 32, generator=generator).mul(20).to(dtype)
    if channels_last:
        z, y = (value.contiguous(memory_format=torch.channels_last) for value in (z, y))
    with torch.inference_mode():
        features = network.hyper_synthesis(z)
        prepared = network.context.prepare(features, torch.tensor([1]))
        half = compand((y * 16).round())[:, : config.latent_channels // 2]
        results = [features, prepared * 256]
        for step in range(4):
            distribution = network.context(prepared, half, half if step == 3 else None, step)
            results += [distribution.mean, distribution.scale]
    return [result.double() for result in results]


def test_the_entropy_path_is_exact_in_any_precision_layout_and_thread_count() -> None:
    network = small_network()
    reference = entropy_path(small_network().double(), torch.float64)
    assert all(torch.equal(value, value.round()) for value in reference)
    assert reference[-1].unique().numel() > 10, "the path must depend on its input for this test to mean anything"
    threads = torch.get_num_threads()
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            for channels_last in (False, True):
                for value, expected in zip(entropy_path(network, channels_last=channels_last), reference, strict=True):
                    assert torch.equal(value, expected)
    finally:
        torch.set_num_threads(threads)


def test_the_largest_codec_that_the_config_allows_keeps_every_sum_exact() -> None:
    config = HyperpriorCodecConfig(latent_channels=256, context_channels=192, hyper_channels=192)
    with torch.device("meta"):
        network = HyperpriorCodec(config)
    for module in network.modules():
        if isinstance(module, IntegerConv):
            fan_in = module.weight[0].numel()
            assert fan_in * 127 * 255 + 255 * 2**module.shift < 2**24


def test_a_saved_and_loaded_model_has_the_same_integers_and_tables(tmp_path: Path) -> None:
    network = small_network()
    network.finish([], ModelCard(name="codec", family="hyperprior-codec"))
    write_small_model(tmp_path / "codec.safetensors")
    loaded = load_network(tmp_path / "codec.safetensors", HyperpriorCodec).network
    for before, after in zip(entropy_path(network), entropy_path(loaded), strict=True):
        assert torch.equal(before, after)
    assert torch.equal(network.latent_frequencies, loaded.latent_frequencies)
    assert torch.equal(network.hyper_frequencies, loaded.hyper_frequencies)


def test_finishing_a_loaded_model_again_changes_nothing(tmp_path: Path) -> None:
    first = write_small_model(tmp_path / "codec.safetensors")
    network = load_network(tmp_path / "codec.safetensors", HyperpriorCodec).network
    from engine.models.store import save_model

    again = network.finish([], ModelCard(name="codec", family="hyperprior-codec"))
    assert save_model(tmp_path / "again.safetensors", network, again).weights_sha256 == first.weights_sha256


def test_frequency_tables_are_positive_and_sum_to_a_power_of_two() -> None:
    network = small_network()
    network.finish([], ModelCard(name="codec", family="hyperprior-codec"))
    assert (network.latent_frequencies.sum(dim=-1) == LATENT_TOTAL).all()
    assert (network.hyper_frequencies.sum(dim=-1) == HYPER_TOTAL).all()
    assert (network.latent_frequencies >= 0).all() and (network.latent_frequencies[:, -1] > 0).all()


def test_tables_follow_the_pictures_they_are_made_from() -> None:
    pixels = np.stack([scene(64, 64, seed).pixels for seed in range(4)])
    batch = Batch(torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255)
    plain, fitted = small_network(), small_network()
    plain.finish([], ModelCard(name="codec", family="hyperprior-codec"))
    card = fitted.finish([batch], ModelCard(name="codec", family="hyperprior-codec"))
    assert card.notes["halo"] == fitted.synthesis_halo
    assert not torch.equal(plain.latent_frequencies, fitted.latent_frequencies)
    assert (fitted.latent_frequencies.sum(dim=-1) == LATENT_TOTAL).all()
    for table in fitted.latent_frequencies[:, :-1]:
        places = table.nonzero()
        assert (table[places.min() : places.max() + 1] > 0).all(), "a table has no gaps"


@pytest.mark.parametrize("part", ["analysis", "synthesis"])
def test_the_halo_is_the_receptive_field(part: str) -> None:
    """Found by gradient: what lies beyond the halo has none, what lies on its rim has some."""
    network = small_network()
    size, middle = 24, 12
    if part == "synthesis":
        halo = network.synthesis_halo
        given = torch.randn(1, SMALL.latent_channels, size, size, requires_grad=True)
        output = network.synthesis(given, torch.ones(1, SMALL.high_channels, 1, 1))
        output[..., middle * 16 : middle * 16 + 16, middle * 16 : middle * 16 + 16].square().sum().backward()
        assert given.grad is not None
        touched = given.grad.abs().sum(dim=(0, 1)) > 0
    else:
        halo = network.analysis_halo
        given = torch.rand(1, 3, size * 16, size * 16, requires_grad=True)
        network.analysis(given)[..., middle, middle].square().sum().backward()
        assert given.grad is not None
        touched = given.grad.abs().sum(dim=(0, 1)).reshape(size, 16, size, 16).amax(dim=(1, 3)) > 0
    places = touched.nonzero()
    assert int((places - middle).abs().max()) == halo


def test_gains_are_log_interpolated_between_knots() -> None:
    network = small_network()
    quantise = network.gains(torch.tensor([0.0, 25.0, 50.0, 100.0])).quantise[:, :, 0, 0]
    assert torch.allclose(quantise[1], (quantise[0] * quantise[2]).sqrt())
    assert (quantise[3] > quantise[0]).all()


def test_a_few_steps_of_training_lower_the_loss() -> None:
    torch.manual_seed(1)
    network = HyperpriorCodec(SMALL)
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=0.0)
    pixels = np.stack([scene(64, 64, seed).pixels for seed in range(8)])
    batch = Batch(torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255)
    before = network.validation_figures(batch)["loss"]
    for step in range(40):
        terms = network.training_loss(batch, TrainingMoment("main", step, 40))
        optimizer.zero_grad()
        terms["loss"].backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
    assert {"loss", "bpp", "mse", "psnr"} <= set(terms)
    assert network.validation_figures(batch)["loss"] < 0.7 * before
    preview = network.preview(batch)
    assert preview is not None and preview.shape == (16, 3, 64, 64)


def test_hyper_latents_cost_nothing_at_first_where_the_recipe_says_so() -> None:
    pixels = torch.from_numpy(scene(64, 64).pixels).permute(2, 0, 1)[None].float() / 255
    network = HyperpriorCodec(SMALL.model_copy(update={"hyper_warm_up": 0.5}))

    def bpp(moment: TrainingMoment) -> float:
        torch.manual_seed(2)
        return float(network.training_loss(Batch(pixels), moment)["bpp"])

    free, half, full = (bpp(TrainingMoment("main", step, 100)) for step in (0, 25, 50))
    assert free < half < full
    assert half == pytest.approx((free + full) / 2)
    assert bpp(TrainingMoment("main", 99, 100)) == full == bpp(TrainingMoment("later", 0, 100, 1))


def test_bits_are_minus_log_of_the_integrated_density() -> None:
    values = torch.arange(-400, 401, dtype=torch.float32)
    for scale in (0.11, 1.0, 7.0):
        for bits in (laplace_bits, logistic_bits):
            mass = torch.exp2(-bits(values, torch.full_like(values, scale)))
            assert mass.sum().item() == pytest.approx(1.0, abs=2e-3)
    assert laplace_bits(torch.tensor([60.0]), torch.tensor([1.0])).item() > 20


def test_quality_maps_to_the_range_of_lambda() -> None:
    weights = lambda_of_quality(torch.tensor([0.0, 50.0, 100.0]))
    assert weights[0].item() == pytest.approx(0.0009) and weights[2].item() == pytest.approx(0.18)
    assert weights[1].item() == pytest.approx((0.0009 * 0.18) ** 0.5, rel=1e-4)
