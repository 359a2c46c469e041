"""Stacks as PyTorch modules."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from engine.laboratory.layers import Layer, Step
from engine.layers.receptive_field import Convolution


class SideBySide(nn.Module):
    """Convolutions of several dilation rates, each on its share of the channels, (B, C, H, W) -> (B, C', H', W')."""

    def __init__(self, branches: Sequence[nn.Conv2d]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)
        self.shares = [branch.in_channels for branch in branches]

    def forward(self, features: Tensor) -> Tensor:
        """See the class."""
        parts = features.split(self.shares, dim=1)
        return torch.cat([branch(part) for branch, part in zip(self.branches, parts, strict=True)], dim=1)


def network(layers: Sequence[Layer], in_channels: int) -> nn.Sequential:
    """The stack as a module without activations and biases: what the figures of `facts` describe.

    Raises:
        UsageError: the numbers of a layer do not go together.
    """
    made: list[nn.Module] = []
    for layer in layers:
        if layer.kind == "pool":
            branch = layer.steps(in_channels)[0].branches[0]
            made.append(nn.MaxPool2d(branch.kernel, branch.stride, branch.padding))
        elif layer.kind == "resize":
            made.append(nn.Upsample(scale_factor=layer.stride, mode="nearest"))
        else:
            made += [_module(step) for step in layer.steps(in_channels)]
        in_channels = layer.out_channels(in_channels)
    return nn.Sequential(*made)


def _module(step: Step) -> nn.Module:
    branches = [_convolution(branch) for branch in step.branches]
    if len(branches) == 1:
        return branches[0]
    return SideBySide([branch for branch in branches if isinstance(branch, nn.Conv2d)])


def _convolution(one: Convolution) -> nn.Module:
    if one.transposed:
        return nn.ConvTranspose2d(
            one.in_channels, one.out_channels, one.kernel, one.stride, one.padding, one.output_padding, one.groups,
            bias=False, dilation=one.dilation,
        )  # fmt: skip
    return nn.Conv2d(
        one.in_channels, one.out_channels, one.kernel, one.stride, one.padding, one.dilation, one.groups, bias=False
    )
