"""What samples are worth as training pictures: alone (CAS), and beside a few real ones."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from engine.evaluation.judge import BATCH, Judge, as_floats, fit_classifier, judge_pictures
from engine.progress import CancelToken, ProgressCallback

FEW_PER_VALUE = 20
_SEED = 21


class LabelledPictures(NamedTuple):
    """Pictures (N, C, S, S), uint8 or in 0..1, their labels (N, A), and which labels they show, (N, A) bool; None where
    they show all."""

    images: Tensor
    labels: Tensor
    showing: Tensor | None = None


class Gain(NamedTuple):
    """Share of right answers on real pictures, (A,) by attribute: without and with samples in training."""

    without: Tensor
    with_samples: Tensor


def classification_accuracy(
    train: LabelledPictures,
    test: LabelledPictures,
    sizes: tuple[int, ...],
    steps: int,
    message: str,
    progress: ProgressCallback,
    cancel: CancelToken | None,
    extra: LabelledPictures | None = None,
) -> Tensor:
    """Train a classifier on `train` and count its right answers on `test`.

    With samples as `train` and real pictures as `test` this is the classification accuracy score of Ravuri and Vinyals
    (2019), which sees what the accuracy of samples overlooks: a model that draws one perfect picture per class.

    Args:
        train, test: of one size.
        sizes: values per attribute.
        steps: of 64 pictures.
        message, progress, cancel: as `fit_classifier`.
        extra: half of every batch is drawn from these.

    Returns:
        (A,) share of right answers, 0..1, by attribute.
    """
    channels, side = train.images.shape[1], train.images.shape[2]
    sources = [train] if extra is None else [train, extra]
    rngs = [np.random.default_rng((_SEED, index)) for index in range(len(sources))]

    def draw(_: int) -> tuple[Tensor, Tensor]:
        rows = [
            torch.from_numpy(rng.integers(len(source.images), size=BATCH // len(sources)))
            for source, rng in zip(sources, rngs, strict=True)
        ]
        images = torch.cat([as_floats(source.images[row]) for source, row in zip(sources, rows, strict=True)])
        return images, torch.cat([source.labels[row] for source, row in zip(sources, rows, strict=True)])

    judge = fit_classifier(Judge(channels, side, sizes), draw, steps, message, progress, cancel)
    _, values = judge_pictures(judge, test.images)
    showing = torch.ones_like(values, dtype=torch.bool) if test.showing is None else test.showing
    right = (values == test.labels) & showing
    return right.double().sum(0) / showing.sum(0).clamp_min(1)


def gain_by_samples(
    few: LabelledPictures,
    samples: LabelledPictures,
    test: LabelledPictures,
    sizes: tuple[int, ...],
    steps: int,
    progress: ProgressCallback,
    cancel: CancelToken | None,
) -> Gain:
    """What samples add to a few real training pictures, with the same steps and the same first weights."""
    message = "Training classifiers on a few real pictures, without and with samples"
    without = classification_accuracy(few, test, sizes, steps, message, progress, cancel)
    return Gain(without, classification_accuracy(few, test, sizes, steps, message, progress, cancel, extra=samples))
