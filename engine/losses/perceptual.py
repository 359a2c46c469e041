"""Perceptual distance: how differently a network sees two pictures, layer by layer, instead of pixel by pixel."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def perceptual_distance(first: Sequence[Tensor], second: Sequence[Tensor]) -> Tensor:
    """Squared distance of two stacks of feature maps, each (B, C, H, W) with equal shapes; summed over the layers.

    Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric" (2018), eq. 1 with equal
    weights: the features of a place are brought to length 1 first, so that strong layers do not outshout the others.

    Returns:
        Scalar, 0 for equal maps, at most 4 per layer.
    """
    layers = [(_unit(one) - _unit(other)).square().sum(1).mean() for one, other in zip(first, second, strict=True)]
    return torch.stack(layers).sum()


def _unit(features: Tensor) -> Tensor:
    features = features.float()
    return features / (features.square().sum(1, keepdim=True) + 1e-8).sqrt()
