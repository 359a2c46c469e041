"""What a polish stage trains a decoder against: a classifier's features and a patch discriminator. Never shipped."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_FEATURE_WIDTHS = (24, 48, 64)
_PATCH_WIDTHS = (32, 64, 64)


class PictureFeatures(nn.Module):
    """A small classifier of real pictures whose feature maps a perceptual distance compares.

    Not the judge of the evaluation: its shape and its first weights are others, so that polish is no training on the
    test.

    Args:
        channels: 1 or 3.
        attribute_sizes: values per attribute.
    """

    def __init__(self, channels: int, attribute_sizes: Sequence[int]) -> None:
        super().__init__()
        widths = (channels, *_FEATURE_WIDTHS)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, 3, stride=1 if index == 0 else 2, padding=1)
            for index, (before, after) in enumerate(pairwise(widths))
        )
        self.norms = nn.ModuleList(nn.GroupNorm(width // 8, width) for width in _FEATURE_WIDTHS)
        self.heads = nn.ModuleList(nn.Linear(16 * _FEATURE_WIDTHS[-1], size) for size in attribute_sizes)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Pictures (B, C, S, S) in 0..1 -> feature maps at 1, 1/2 and 1/4 of their size, from fine to coarse."""
        maps, features = [], images * 2 - 1
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            features = F.relu(norm(convolution(features)))
            maps.append(features)
        return maps

    def recognition_loss(self, maps: Sequence[Tensor], labels: Tensor) -> Tensor:
        """Cross entropy of the attributes that `maps`, of `forward`, show; summed, in nats.

        Args:
            maps: feature maps of B pictures.
            labels: (B, A); a number beyond an attribute's values stands for "left open" and costs nothing.
        """
        pooled = F.adaptive_avg_pool2d(maps[-1], 4).flatten(1)
        losses = []
        for index, head in enumerate(self.heads):
            logits = head(pooled).float()
            known = labels[:, index] < logits.shape[1]
            target = torch.where(known, labels[:, index], 0)
            each = F.cross_entropy(logits, target, reduction="none") * known
            losses.append(each.sum() / known.sum().clamp_min(1))
        return torch.stack(losses).sum()


class PatchDiscriminator(nn.Module):
    """(B, C, S, S) in about 0..1 -> logits (B, 1, S/8, S/8): is this patch of a real picture?

    Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks" (2017). Each logit sees 38x38
    pixels. No norms: they would let fakes and real pictures of a batch look at each other.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = channels
        for width in _PATCH_WIDTHS:
            layers += [nn.Conv2d(before, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
            before = width
        self.layers = nn.Sequential(*layers, nn.Conv2d(before, 1, 3, padding=1))

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images * 2 - 1)


class Polish(nn.Module):
    """Both, as one part of a network that comes with a stage "features" or "polish" and goes after it."""

    def __init__(self, channels: int, attribute_sizes: Sequence[int]) -> None:
        super().__init__()
        self.features = PictureFeatures(channels, attribute_sizes)
        self.discriminator = PatchDiscriminator(channels)
