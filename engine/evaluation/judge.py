"""The judge: a small classifier trained on real pictures only, whose opinions and features measure generated ones."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.data import DataSet
from engine.progress import CancelToken, Progress, ProgressCallback

FEATURES = 128
_SEED = 20
BATCH = 64
_PEAK_RATE = 3e-3


class Judge(nn.Module):
    """Convolutional classifier with one head per attribute, for pictures whose side is a multiple of 4.

    Args:
        channels: 1 or 3.
        image_size: side in pixels.
        attribute_sizes: values per attribute.
    """

    def __init__(self, channels: int, image_size: int, attribute_sizes: tuple[int, ...]) -> None:
        super().__init__()
        fold = 1 if image_size < 48 else 2
        side = math.ceil(math.ceil(image_size / fold / 2) / 2)
        self.convolutions = nn.Sequential(
            nn.PixelUnshuffle(fold),
            *_convolution(channels * fold * fold, 24, stride=1),
            *_convolution(24, 48, stride=2),
            *_convolution(48, 64, stride=2),
            nn.Flatten(),
        )
        self.features = nn.Sequential(nn.Linear(64 * side * side, FEATURES), nn.BatchNorm1d(FEATURES), nn.ReLU())
        self.heads = nn.ModuleList(nn.Linear(FEATURES, size) for size in attribute_sizes)

    def forward(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Pictures (B, C, S, S) in 0..1 -> features (B, 128) and logits (B, values) per attribute."""
        features = self.features(self.convolutions(images - 0.5))
        return features, [head(features) for head in self.heads]


def _convolution(width: int, next_width: int, stride: int) -> tuple[nn.Module, ...]:
    return (
        nn.Conv2d(width, next_width, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(next_width),
        nn.ReLU(),
    )


def train_judge(
    data: DataSet, image_size: int, channels: int, steps: int, progress: ProgressCallback, cancel: CancelToken | None
) -> Judge:
    """Train a judge on real pictures with labels, always from the same seed. Raises `Cancelled`."""
    rng = np.random.default_rng(_SEED)
    order = np.concatenate([rng.permutation(len(data)) for _ in range(math.ceil(steps * BATCH / len(data)))])

    def draw(step: int) -> tuple[Tensor, Tensor]:
        batch = data.batch(order[step * BATCH : (step + 1) * BATCH], rng, augment=False)
        assert batch.labels is not None
        return batch.images, batch.labels

    judge = Judge(channels, image_size, tuple(len(a.values) for a in data.attributes))
    return fit_classifier(judge, draw, steps, "Training a classifier on real pictures", progress, cancel)


def fit_classifier(
    judge: Judge,
    draw: Callable[[int], tuple[Tensor, Tensor]],
    steps: int,
    message: str,
    progress: ProgressCallback,
    cancel: CancelToken | None,
) -> Judge:
    """Train a classifier from fresh weights, always the same ones for one shape.

    Args:
        judge: gives the shape; its weights are drawn anew.
        draw: pictures (B, C, S, S) in 0..1 and labels (B, A) of a step.
        steps: of AdamW.
        message: for `progress`.

    Returns:
        The same object, in evaluation mode and without gradients.

    Raises:
        Cancelled: by `cancel`.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        for module in judge.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear, nn.BatchNorm1d, nn.BatchNorm2d)):
                module.reset_parameters()
    judge = judge.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(judge.parameters(), lr=_PEAK_RATE, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _PEAK_RATE, total_steps=steps)
    for step in range(steps):
        if cancel is not None:
            cancel.raise_if_cancelled()
        images, labels = draw(step)
        _, logits = judge(images)
        loss = torch.stack([F.cross_entropy(each, labels[:, i]) for i, each in enumerate(logits)]).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        progress(Progress(step + 1, steps, message))
    return judge.eval().requires_grad_(False)


def judge_pictures(judge: Judge, images: Tensor) -> tuple[Tensor, Tensor]:
    """Features (N, 128) of pictures (N, C, S, S) and the values (N, A) that the judge sees in them.

    Pictures are in 0..1, or uint8 in 0..255.
    """
    features, values = [], []
    with torch.inference_mode():
        for part in images.split(256):
            seen, logits = judge(as_floats(part))
            features.append(seen)
            values.append(torch.stack([each.argmax(1) for each in logits], dim=1))
    return torch.cat(features), torch.cat(values)


def as_floats(images: Tensor) -> Tensor:
    """Pictures in 0..1 from uint8; others as they are."""
    return images.float() / 255 if images.dtype == torch.uint8 else images
