"""The segmentation network and what it learns from: targets, losses, cards."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from engine.losses.segmentation import IGNORE, lovasz_softmax, weighted_cross_entropy
from engine.models.card import ModelCard
from engine.models.dilated_segmenter import (
    NUCLEUS_CLASSES,
    DilatedSegmenter,
    DilatedSegmenterConfig,
    border_classes,
    picture_statistics,
)
from engine.models.network import Batch, TrainingMoment
from engine.models.registry import load_model
from engine.models.store import save_model
from engine.training import load_recipe

MOMENT = TrainingMoment("fit", 0, 1)
SMALL = {"widths": (8, 12, 16, 16), "depths": (1, 1), "rates": ((1, 2), (1, 4)), "decoder_width": 12}


def test_only_pixels_that_touch_another_object_are_border() -> None:
    instances = torch.tensor([[[1, 1, 2, 2, 0, 3, 3], [1, 1, 2, 2, 0, 3, 3]]])
    assert border_classes(instances, 1).tolist() == [[[1, 2, 2, 1, 0, 1, 1]] * 2]
    assert border_classes(instances, 2).tolist() == [[[2, 2, 2, 2, 0, 2, 1]] * 2]


def test_border_of_unknown_pixels_is_ignored() -> None:
    assert border_classes(torch.tensor([[[1, -1, 0]]]), 1).tolist() == [[[1, IGNORE, 0]]]


def test_number_255_is_an_object_like_any_other() -> None:
    assert border_classes(torch.tensor([[[255, 255, 0]]]), 1).tolist() == [[[1, 1, 0]]]


def test_perfect_and_worst_answers_bound_the_losses() -> None:
    target = torch.tensor([[[0, 1], [2, IGNORE]]])
    right = torch.full((1, 3, 2, 2), -20.0)
    for row, column in ((0, 0), (0, 1), (1, 0)):
        right[0, target[0, row, column], row, column] = 20.0
    assert weighted_cross_entropy(right, target, (1.0, 2.0, 4.0)) < 1e-6
    assert lovasz_softmax(right, target) < 1e-6
    assert lovasz_softmax(-right, target) > 0.6


def test_lovasz_of_hard_answers_is_one_minus_iou() -> None:
    """The Lovász extension equals the Jaccard loss at the corners of the cube."""
    rng = np.random.default_rng(3)
    truth = torch.from_numpy(rng.integers(0, 3, (1, 9, 9)))
    answer = torch.from_numpy(rng.integers(0, 3, (1, 9, 9)))
    logits = torch.nn.functional.one_hot(answer, 3).movedim(-1, 1).float() * 200.0
    losses = []
    for number in range(3):
        both = ((truth == number) & (answer == number)).sum()
        either = ((truth == number) | (answer == number)).sum()
        losses.append(1.0 - both / either)
    torch.testing.assert_close(lovasz_softmax(logits, truth), torch.stack(losses).mean())


def test_a_batch_without_known_pixels_costs_nothing() -> None:
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    target = torch.full((1, 4, 4), IGNORE)
    (weighted_cross_entropy(logits, target) + lovasz_softmax(logits, target)).backward()
    assert logits.grad is not None and float(logits.grad.abs().sum()) == 0.0


@pytest.mark.parametrize("config", [{}, {"output_stride": 16}, {"decoder_stride": 4}])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 70), (33, 47)])
def test_every_size_gives_a_score_per_pixel(config: dict[str, int], height: int, width: int) -> None:
    network = DilatedSegmenter(DilatedSegmenterConfig(**SMALL, **config)).eval()  # type: ignore[arg-type]
    assert network(torch.rand(1, 3, height, width)).shape == (1, 3, height, width)
    assert network(torch.rand(1, 1, height, width)).shape == (1, 3, height, width)


def test_answers_do_not_depend_on_exposure() -> None:
    """A picture of half the brightness and contrast is labelled the same: its statistics are taken out first."""
    torch.manual_seed(0)
    network = DilatedSegmenter(DilatedSegmenterConfig(**SMALL)).eval()  # type: ignore[arg-type]
    picture = torch.rand(1, 3, 40, 40)
    mean, deviation = picture_statistics(picture)
    torch.testing.assert_close(
        network(picture, (mean, deviation)), network(picture * 0.5 + 0.2, (mean * 0.5 + 0.2, deviation * 0.5 - 0.01))
    )


def test_it_learns_two_pictures_by_heart() -> None:
    torch.manual_seed(0)
    network = DilatedSegmenter(DilatedSegmenterConfig(**SMALL, instances=True))  # type: ignore[arg-type]
    masks = torch.zeros(2, 48, 48, dtype=torch.int64)
    masks[0, 8:24, 8:20], masks[0, 8:24, 20:34], masks[1, 20:40, 10:40] = 1, 2, 1
    images = (masks > 0).float().unsqueeze(1) * 0.6 + 0.1 * torch.rand(2, 1, 48, 48)
    batch = Batch(images, None, masks)
    optimizer = torch.optim.AdamW(network.parameters(), 5e-3)
    for _ in range(35):
        optimizer.zero_grad()
        network.training_loss(batch, MOMENT)["loss"].backward()
        optimizer.step()
    network.eval()
    with torch.no_grad():
        figures = network.validation_figures(batch)
        sheet = network.preview(batch)
    assert figures["dice"] > 0.9
    assert sheet is not None and sheet.shape == (6, 3, 48, 48) and sheet.min() >= 0 and sheet.max() <= 1


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"instances": True, "class_count": 5}, "instances"),
        ({"class_weights": (1.0, 2.0)}, "class_weights"),
        ({"rates": ((0,),)}, "greater"),
        ({"widths": (8, 8, 8, 100_000)}, "less"),
    ],
)
def test_impossible_configs_are_refused(wrong: dict[str, object], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        DilatedSegmenterConfig(**wrong)  # type: ignore[arg-type]


def test_the_recipe_builds_a_network_below_a_million_parameters() -> None:
    recipe = load_recipe("nuclei-segmenter")
    network = DilatedSegmenter(DilatedSegmenterConfig.model_validate(recipe.config))
    assert sum(value.numel() for value in network.parameters()) <= 1_000_000


def test_a_saved_network_answers_the_same_and_its_card_shows_classes_and_rates(tmp_path) -> None:  # type: ignore[no-untyped-def]
    torch.manual_seed(0)
    network = DilatedSegmenter(DilatedSegmenterConfig(**SMALL, instances=True)).eval()  # type: ignore[arg-type]
    card = network.finish([], ModelCard(name="nuclei", family="dilated-segmenter"))
    assert card.classes == NUCLEUS_CLASSES
    assert card.notes["rates"] == [[1, 2], [1, 4]]
    save_model(tmp_path / "nuclei.safetensors", network, card)
    loaded = load_model(tmp_path / "nuclei.safetensors")
    picture = torch.rand(1, 3, 32, 32)
    # Weights are stored in half precision.
    torch.testing.assert_close(loaded.network(picture), network(picture), rtol=0.02, atol=0.02)
