"""Convolutional halves that the generative families share: picture -> features, latent -> picture."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_GROUP = 8


def stem_size(image_size: int, widths: Sequence[int]) -> int:
    """Side of the coarsest feature map. Raises `ValueError` where the picture cannot be halved that often."""
    factor = 2 ** len(widths)
    if image_size % factor:
        raise ValueError(f"a picture of {image_size} pixels cannot be halved {len(widths)} times")
    return image_size // factor


def _norm(width: int) -> nn.GroupNorm:
    # Group instead of batch statistics: what one slider shows must not depend on what else is in the batch.
    return nn.GroupNorm(max(1, width // _GROUP), width)


class PictureEncoder(nn.Module):
    """(B, C, S, S) in 0..1 -> (B, features).

    2x2 pixels are folded into channels first: at full resolution a convolution costs four times as much and sees no
    more.

    Args:
        channels: of the picture, 1 or 3.
        image_size: side S in pixels.
        widths: channels from the coarsest feature map to the finest (the order of the decoder).
        features: length of the result.
    """

    def __init__(self, channels: int, image_size: int, widths: Sequence[int], features: int) -> None:
        super().__init__()
        fine_to_coarse = list(reversed(widths))
        layers: list[nn.Module] = [nn.PixelUnshuffle(2), nn.Conv2d(channels * 4, fine_to_coarse[0], 3, padding=1)]
        for width, next_width in pairwise(fine_to_coarse):
            layers += [_norm(width), nn.SiLU(), nn.Conv2d(width, next_width, 4, stride=2, padding=1)]
        layers += [_norm(widths[0]), nn.SiLU(), nn.Flatten()]
        self.convolutions = nn.Sequential(*layers)
        self.linear = nn.Linear(widths[0] * stem_size(image_size, widths) ** 2, features)

    def forward(self, images: Tensor) -> Tensor:
        return F.silu(self.linear(self.convolutions(images * 2 - 1)))


class FilmBlock(nn.Module):
    """Residual block of two 3x3 convolutions, scaled and shifted per channel by a condition.

    FiLM: Perez et al., "Visual Reasoning with a General Conditioning Layer" (2018).
    """

    def __init__(self, width: int, condition: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = _norm(width), _norm(width)
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.film = nn.Linear(condition, 2 * width)
        # The block starts as the identity; depth then costs nothing at the start of training.
        nn.init.zeros_(self.conv2.weight)

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.film(condition)[:, :, None, None].chunk(2, dim=1)
        hidden = self.conv1(F.silu(self.norm1(features)))
        hidden = self.norm2(hidden) * (1 + scale) + shift
        return features + self.conv2(F.silu(hidden))


class PictureDecoder(nn.Module):
    """(B, condition) -> (B, C, S, S) picture, about 0..1 and not clamped.

    Every enlargement is a 1x1 convolution and a pixel shuffle: each pixel has weights of its own, so edges come out
    sharp, without the checkerboard of strided transposed convolutions. The last shuffle makes the picture itself.

    Args:
        condition: length of the input, which also steers every block.
        channels, image_size, widths: as `PictureEncoder`.
    """

    def __init__(self, condition: int, channels: int, image_size: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.start = (widths[0], stem_size(image_size, widths))
        self.linear = nn.Linear(condition, widths[0] * self.start[1] ** 2)
        self.blocks = nn.ModuleList(FilmBlock(width, condition) for width in widths)
        self.enlarge = nn.ModuleList(nn.Conv2d(width, next_width * 4, 1) for width, next_width in pairwise(widths))
        self.norm = _norm(widths[-1])
        self.head = nn.Conv2d(widths[-1], channels * 4, 3, padding=1)

    def forward(self, condition: Tensor) -> Tensor:
        width, side = self.start
        features = self.linear(condition).reshape(-1, width, side, side)
        features = features.contiguous(memory_format=torch.channels_last)
        for index, block in enumerate(self.blocks):
            features = block(features, condition)
            if index < len(self.enlarge):
                features = F.pixel_shuffle(self.enlarge[index](features), 2)
        return F.pixel_shuffle(self.head(F.silu(self.norm(features))), 2) + 0.5
