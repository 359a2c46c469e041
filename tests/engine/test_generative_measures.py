"""Measures of generated pictures on known answers: kernel distance, sharpness, copies, worth as training pictures."""

from __future__ import annotations

import pytest
import torch

from engine.evaluation.feature_distances import (
    kernel_distance,
    kernel_distance_error,
    memorisation,
    nearest_distances,
)
from engine.evaluation.sharpness import gradient_energy
from engine.evaluation.usefulness import LabelledPictures, classification_accuracy, gain_by_samples
from engine.progress import ignore_progress
from tests.engine.generative_models import discs


def test_kernel_distance_of_two_small_sets_by_hand() -> None:
    # Kernel (xy + 1)³: within 1 and 27, across the mean of 1, 1, 8 and 27.
    assert kernel_distance(torch.tensor([[0.0], [1.0]]), torch.tensor([[1.0], [2.0]])) == pytest.approx(1 + 27 - 18.5)


def test_kernel_distance_is_zero_on_average_for_one_distribution_and_its_error_says_how_far() -> None:
    torch.manual_seed(0)
    pairs = [(torch.randn(400, 8), torch.randn(400, 8)) for _ in range(20)]
    found = torch.tensor([kernel_distance(*pair) for pair in pairs])
    errors = torch.tensor([kernel_distance_error(*pair) for pair in pairs])
    assert found.min() < 0 < found.max()
    assert abs(float(found.mean())) < 3 * float(found.std()) / 20**0.5
    assert 0.3 < float(errors.mean() / found.std()) < 10
    assert kernel_distance(torch.randn(400, 8), torch.randn(400, 8) + 1) > 10 * float(errors.mean())


def test_nearest_distances_are_those_of_all_pairs() -> None:
    torch.manual_seed(0)
    queries, references = torch.rand(50, 12), torch.rand(200, 12)
    expected = torch.cdist(queries.double(), references.double()).min(1).values
    assert torch.allclose(nearest_distances(queries, references, chunk=16).double(), expected, atol=1e-5)
    assert float(nearest_distances(references[:5], references).max()) < 1e-3


def test_copies_are_told_from_new_pictures() -> None:
    torch.manual_seed(0)
    known, held_out, new = (torch.rand(count, 16) for count in (500, 400, 400))
    distances = nearest_distances(held_out, known)
    honest = memorisation(nearest_distances(new, known), distances)
    assert honest.ratio == pytest.approx(1, abs=0.1)
    assert honest.copies < 0.05
    # Half of the pictures are training pictures with a little noise.
    mixed = torch.cat([known[:200] + 0.001 * torch.randn(200, 16), new[:200]])
    assert memorisation(nearest_distances(mixed, known), distances).copies == pytest.approx(0.5, abs=0.03)


def test_gradient_energy_of_a_ramp_and_of_a_blurred_picture() -> None:
    ramp = torch.arange(8).float() / 10
    assert gradient_energy(ramp.expand(2, 3, 8, 8)) == pytest.approx(0.01)
    both = ramp[None, None, :, None] + ramp[None, None, None, :]
    assert gradient_energy(both) == pytest.approx(0.02)
    sharp = discs(32, 0).images
    blurred = torch.nn.functional.avg_pool2d(sharp, 3, stride=1, padding=1)
    assert gradient_energy(blurred) < 0.7 * gradient_energy(sharp)


def labelled(count: int, seed: int) -> LabelledPictures:
    batch = discs(count, seed)
    assert batch.labels is not None
    return LabelledPictures((batch.images * 255).round().byte(), batch.labels)


def accuracy(train: LabelledPictures, test: LabelledPictures) -> float:
    found = classification_accuracy(train, test, (3, 2), 40, "", ignore_progress, None)
    assert found.shape == (2,)
    return float(found.mean())


def test_samples_that_all_look_alike_teach_a_classifier_less_than_varied_ones() -> None:
    varied, test = labelled(600, 1), labelled(300, 2)
    # One good picture of each class, repeated: an accuracy of samples would call it perfect.
    first = [int((varied.labels == torch.tensor([a, b])).all(1).nonzero()[0]) for a in range(3) for b in range(2)]
    rows = torch.tensor(first).repeat(100)
    alike = LabelledPictures(varied.images[rows], varied.labels[rows])
    good = accuracy(varied, test)
    assert good > 0.9
    assert accuracy(alike, test) < good - 0.1


def test_good_samples_add_to_a_few_real_pictures() -> None:
    gain = gain_by_samples(labelled(12, 3), labelled(600, 1), labelled(300, 2), (3, 2), 40, ignore_progress, None)
    assert float(gain.with_samples.mean()) > float(gain.without.mean()) + 0.05
