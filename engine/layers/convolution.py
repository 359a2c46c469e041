"""The kinds of convolution the house is built of, and the block that puts a norm and an activation behind one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

ConvolutionKind = Literal["standard", "dilated", "transposed", "separable"]


def same_padding(kernel: int, dilation: int = 1) -> int:
    """Zeros per side that keep the size at stride 1: half the effective kernel. `kernel` must be odd."""
    return dilation * (kernel - 1) // 2


class DepthwiseSeparableConv2d(nn.Sequential):
    """One filter per channel, then a 1x1 convolution that mixes channels: K^2 C + C C' weights instead of K^2 C C'.

    Chollet 2017, "Xception". (B, in_channels, H, W) -> (B, out_channels, ceil(H / stride), ceil(W / stride)).
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int = 3, *, stride: int = 1, dilation: int = 1,
                 bias: bool = True) -> None:  # fmt: skip
        super().__init__(
            nn.Conv2d(
                in_channels,
                in_channels,
                kernel,
                stride,
                same_padding(kernel, dilation),
                dilation,
                groups=in_channels,
                bias=False,
            ),
            nn.Conv2d(in_channels, out_channels, 1, bias=bias),
        )


def convolution(
    kind: ConvolutionKind,
    in_channels: int,
    out_channels: int,
    kernel: int = 3,
    *,
    stride: int = 1,
    dilation: int = 1,
    bias: bool = True,
) -> nn.Module:
    """A convolution of the given kind with zero padding such that sizes change by the stride alone.

    Args:
        kind: "standard" (dilation 1), "dilated", "transposed" (enlarges by `stride`) or "separable"
            (depthwise, then 1x1).
        kernel: side of the kernel; odd, except for "transposed", where kernel - stride must be even.
        stride: step of the kernel, or the enlargement of a transposed convolution.
        dilation: distance between neighbouring taps; 1 means none.

    Raises:
        ValueError: the numbers do not go together, for example a dilation with "standard".
    """
    if kind == "transposed":
        if dilation != 1 or (kernel - stride) % 2 or kernel < stride:
            raise ValueError(
                f"transposed needs dilation 1, kernel >= stride, kernel - stride even; got {kernel}, {stride}"
            )
        return nn.ConvTranspose2d(in_channels, out_channels, kernel, stride, (kernel - stride) // 2, bias=bias)
    if kernel % 2 == 0:
        raise ValueError(f"{kind} needs an odd kernel to keep pictures in place; got {kernel}")
    if kind == "separable":
        return DepthwiseSeparableConv2d(in_channels, out_channels, kernel, stride=stride, dilation=dilation, bias=bias)
    if kind == "standard" and dilation != 1:
        raise ValueError(f"standard means dilation 1; got {dilation}")
    return nn.Conv2d(in_channels, out_channels, kernel, stride, same_padding(kernel, dilation), dilation, bias=bias)


class ConvNormActivation(nn.Sequential):
    """Convolution without bias, batch norm, ReLU: the unit of every segmentation network here.

    The two batch norms of a separable convolution are left at one, behind the 1x1: half the memory traffic, and the
    depthwise part alone is too small to need its own.

    Args:
        activation: False leaves the ReLU out, for the last unit of a residual branch.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int = 3, *, kind: ConvolutionKind = "standard",
                 stride: int = 1, dilation: int = 1, activation: bool = True) -> None:  # fmt: skip
        layers: list[nn.Module] = [
            convolution(kind, in_channels, out_channels, kernel, stride=stride, dilation=dilation, bias=False)
        ]
        if isinstance(layers[0], nn.Sequential):
            layers = list(layers[0])
        layers.append(nn.BatchNorm2d(out_channels))
        if activation:
            layers.append(nn.ReLU(inplace=True))
        super().__init__(*layers)


class ParallelDilatedConv2d(nn.Module):
    """Depthwise 3x3 convolutions side by side, each with its own dilation rate on its own share of the channels.

    A small rate beside every large one keeps the pixels between the taps in view, so no gridding appears
    (Yu & Koltun 2016; the split is that of RegSeg, Gao 2021). (B, C, H, W) -> (B, C, H, W).
    """

    def __init__(self, channels: int, rates: Sequence[int], *, stride: int = 1) -> None:
        super().__init__()
        share, rest = divmod(channels, len(rates))
        self.shares = [share + (index < rest) for index in range(len(rates))]
        self.branches = nn.ModuleList(
            nn.Conv2d(width, width, 3, stride, rate, rate, groups=width, bias=False)
            for width, rate in zip(self.shares, rates, strict=True)
        )

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, ceil(H / stride), ceil(W / stride))."""
        if len(self.branches) == 1:
            return self.branches[0](features)
        parts = features.split(self.shares, dim=1)
        return torch.cat([branch(part) for branch, part in zip(self.branches, parts, strict=True)], dim=1)


class DilatedBlock(nn.Module):
    """Residual block: 1x1, parallel depthwise convolutions at several rates, 1x1, added to its input.

    (B, C, H, W) -> (B, C', ceil(H / stride), ceil(W / stride)); where the shape changes, the shortcut is an average
    pooling and a 1x1 convolution.
    """

    def __init__(self, in_channels: int, out_channels: int, rates: Sequence[int], *, stride: int = 1) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            ConvNormActivation(in_channels, out_channels, 1),
            nn.Sequential(
                ParallelDilatedConv2d(out_channels, rates, stride=stride),
                nn.BatchNorm2d(out_channels),
                nn.ReLU(inplace=True),
            ),
            ConvNormActivation(out_channels, out_channels, 1, activation=False),
        )
        shortcut: list[nn.Module] = []
        if stride > 1:
            shortcut.append(nn.AvgPool2d(stride, ceil_mode=True, count_include_pad=False))
        if in_channels != out_channels:
            shortcut.append(ConvNormActivation(in_channels, out_channels, 1, activation=False))
        self.shortcut = nn.Sequential(*shortcut)

    def forward(self, features: Tensor) -> Tensor:
        """See the class."""
        return torch.relu(self.shortcut(features) + self.branch(features))
