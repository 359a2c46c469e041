"""The polish of a decoder: its losses on known answers, what it moves, resuming, and the limit that ends it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from engine.losses.adversarial import (
    balanced_weight,
    hinge_discriminator_loss,
    hinge_generator_loss,
    r1_penalty,
)
from engine.losses.perceptual import perceptual_distance
from engine.models.conditional_vae import ConditionalVAE, ConditionalVaeConfig
from engine.models.network import TrainingMoment
from engine.models.polish import PictureFeatures
from engine.models.registry import load_model
from engine.models.store import read_card
from engine.progress import CancelToken
from engine.training import Recipe, read_log, train
from engine.training.recipe import parse_recipe
from tests.engine.generative_models import discs

RECIPE = """
name = "round-things"
family = "conditional-vae"
seed = 3
[config]
image_size = 32
channels = 3
latent_size = 4
attribute_sizes = [2]
widths = [16, 8]
features = 32
attribute_width = 8
flow_width = 16
flow_layers = 1
[data]
set = "folder"
path = {path}
kind = "classes"
size = 32
[[stages]]
name = "vae"
steps = 60
batch_size = 8
learning_rate = 3e-3
[[stages]]
name = "flow"
steps = 4
batch_size = 8
learning_rate = 1e-3
parameters = ["flow."]
[[stages]]
name = "features"
steps = 6
batch_size = 8
learning_rate = 1e-3
parameters = ["polish.features."]
[[stages]]
name = "polish"
steps = 8
batch_size = 8
learning_rate = {rate}
parameters = ["decoder.", "condition.", "polish.discriminator."]
largest_psnr_fall = {fall}
[training]
ema = 0.5
validate_every = 2
checkpoint_every = 3
preview_every = 100
"""


def test_perceptual_distance_of_equal_and_of_orthogonal_features() -> None:
    torch.manual_seed(0)
    maps = [torch.rand(2, 4, 8, 8), torch.rand(2, 6, 4, 4)]
    assert float(perceptual_distance(maps, maps)) == 0
    # Length does not count, and unit vectors at a right angle have a squared distance of 2.
    assert float(perceptual_distance([maps[0]], [3 * maps[0]])) == pytest.approx(0, abs=1e-6)
    one, other = torch.zeros(2, 4, 8, 8), torch.zeros(2, 4, 8, 8)
    one[:, 0], other[:, 1] = 1, 5
    assert float(perceptual_distance([one, one], [other, other])) == pytest.approx(4, abs=1e-5)


def test_hinge_losses_by_hand() -> None:
    real, fake = torch.tensor([2.0, 0.5]), torch.tensor([-3.0, 0.0])
    assert float(hinge_discriminator_loss(real, fake)) == pytest.approx(0.5 * (0.25 + 0.5))
    assert float(hinge_generator_loss(fake)) == pytest.approx(1.5)


def test_r1_of_a_linear_discriminator_is_the_square_of_its_weights() -> None:
    weight = torch.randn(3, 8, 8, requires_grad=True)
    penalty = r1_penalty(lambda x: (x * weight).sum((1, 2, 3))[:, None], torch.rand(5, 3, 8, 8))
    assert penalty.item() == pytest.approx(weight.square().sum().item(), rel=1e-5)
    (gradient,) = torch.autograd.grad(penalty, weight)
    assert torch.allclose(gradient, 2 * weight, rtol=1e-4)


def test_balanced_weight_makes_both_losses_pull_alike() -> None:
    anchor, gradient = torch.full((2, 3, 4, 4), 3.0), torch.full((2, 3, 4, 4), -0.5)
    assert float(balanced_weight(anchor, gradient)) == pytest.approx(6, rel=1e-4)
    assert float(balanced_weight(anchor, 0 * gradient)) == 10_000


def test_attributes_left_open_are_not_asked_for() -> None:
    torch.manual_seed(0)
    features, pictures = PictureFeatures(3, (3, 2)), torch.rand(4, 3, 32, 32)
    labels = torch.tensor([[0, 1], [1, 0], [2, 1], [0, 0]])
    with torch.no_grad():
        maps = features(pictures)
        first = features.recognition_loss(maps, torch.stack([labels[:, 0], torch.full((4,), 2)], dim=1))
        second = features.recognition_loss(maps, torch.stack([torch.full((4,), 3), labels[:, 1]], dim=1))
        assert float(features.recognition_loss(maps, torch.tensor([[3, 2]] * 4))) == 0
        assert float(features.recognition_loss(maps, labels)) == pytest.approx(float(first + second), rel=1e-5)


def test_the_features_learn_to_tell_classes_and_the_discriminator_real_from_fake() -> None:
    torch.manual_seed(0)
    network = ConditionalVAE(
        ConditionalVaeConfig(image_size=32, channels=3, latent_size=4, attribute_sizes=(3, 2), widths=(16, 8))
    )
    for stage, term in (("features", "loss"), ("polish", "discriminator")):
        network.enter_stage(stage)
        assert network.polish is not None
        optimizer = torch.optim.Adam(network.polish.parameters(), lr=2e-3)
        values = []
        for step in range(40):
            losses = network.training_loss(discs(16, step), TrainingMoment(stage, step, 40))
            optimizer.zero_grad()
            losses["loss"].backward()
            optimizer.step()
            values.append(float(losses[term].detach()))
        assert np.mean(values[-5:]) < 0.8 * np.mean(values[:5]), stage


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Discs in two class folders, by their shade."""
    folder = tmp_path_factory.mktemp("round")
    batch = discs(64, 5)
    assert batch.labels is not None
    for index, (image, (_, shade)) in enumerate(zip(batch.images, batch.labels.tolist(), strict=True)):
        place = folder / ("dark", "bright")[shade] / f"{index:02d}.png"
        place.parent.mkdir(exist_ok=True)
        Image.fromarray((image.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)).save(place)
    return folder


def recipe_of(folder: Path, fall: float = 20.0, rate: float = 1e-3) -> Recipe:
    return parse_recipe(RECIPE.format(path=json.dumps(str(folder)), fall=fall, rate=rate))


@pytest.fixture(scope="module")
def run(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole run in one go."""
    place = tmp_path_factory.mktemp("run")
    assert train(recipe_of(folder), place, device="cpu") is not None
    return place


def test_a_polished_model_holds_nothing_of_its_polish_and_the_old_encoder(
    run: Path, folder: Path, tmp_path: Path
) -> None:
    recipe = recipe_of(folder)
    plain_recipe = recipe.model_copy(update={"stages": recipe.stages[:2]})
    plain = train(plain_recipe, tmp_path / "plain", device="cpu")
    assert plain is not None
    before, after = (dict(load_model(path).network.state_dict()) for path in (plain, run / "round-things.safetensors"))
    assert before.keys() == after.keys()
    for name, value in after.items():
        if name.startswith(("encoder.", "posterior.", "attributes.", "flow.")):
            assert torch.equal(value, before[name]), name
    assert not torch.equal(after["decoder.head.weight"], before["decoder.head.weight"])


def test_a_polish_resumes_to_the_same_model(run: Path, folder: Path, tmp_path: Path) -> None:
    cancel = CancelToken()

    def stop_in_the_polish(event: dict) -> None:
        if event["event"] == "validation" and event["stage"] == "polish" and event["step"] >= 74:
            cancel.cancel()

    place = tmp_path / "parts"
    assert train(recipe_of(folder), place, device="cpu", on_event=stop_in_the_polish, cancel=cancel) is None
    with safe_open(place / "checkpoint.safetensors", framework="pt") as file:
        assert any(name.startswith("kept.") for name in file.keys())  # noqa: SIM118
    parts = train(recipe_of(folder), place, device="cpu")
    assert parts is not None
    assert read_card(parts).weights_sha256 == read_card(run / "round-things.safetensors").weights_sha256


def test_a_polish_that_costs_too_much_psnr_ends_and_leaves_the_earlier_weights(folder: Path, tmp_path: Path) -> None:
    path = train(recipe_of(folder, fall=0.5, rate=0.2), tmp_path / "run", device="cpu")
    assert path is not None
    events = read_log(tmp_path / "run")
    limit = next(event for event in events if event["event"] == "limit")
    assert limit["psnr"] < limit["least_psnr"]
    figure = read_card(path).figure("psnr")
    assert figure is not None
    assert figure.value >= limit["least_psnr"]
    assert max(event["step"] for event in events if event["event"] == "step") < 78
