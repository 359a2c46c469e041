"""Folding batch norms into the convolutions before them: the same function with fewer passes over memory."""

from __future__ import annotations

import copy
import itertools
from typing import TypeVar

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from engine.layers.convolution import ParallelDilatedConv2d

ModuleT = TypeVar("ModuleT", bound=nn.Module)


def fold_batch_norms(network: ModuleT) -> ModuleT:
    """A copy of `network`, in evaluation mode, whose batch norms are folded into the convolutions right before them.

    Only pairs that follow one another inside an `nn.Sequential` are folded, so the order of calls is known.
    """
    folded = copy.deepcopy(network).eval()
    for module in folded.modules():
        if isinstance(module, nn.Sequential):
            _fold_sequential(module)
    return folded


def _fold_sequential(block: nn.Sequential) -> None:
    names = list(block._modules)
    for first, second in itertools.pairwise(names):
        layer, norm = block._modules[first], block._modules[second]
        if not isinstance(norm, nn.BatchNorm2d):
            continue
        if isinstance(layer, nn.Conv2d):
            block._modules[first] = fuse_conv_bn_eval(layer, norm)
            block._modules[second] = nn.Identity()
        elif isinstance(layer, ParallelDilatedConv2d):
            _fold_parallel(layer, norm)
            block._modules[second] = nn.Identity()


def _fold_parallel(layer: ParallelDilatedConv2d, norm: nn.BatchNorm2d) -> None:
    """Each branch takes the part of the norm that belongs to its channels."""
    assert norm.running_mean is not None and norm.running_var is not None
    start = 0
    for index, width in enumerate(layer.shares):
        part = nn.BatchNorm2d(width, eps=norm.eps).to(norm.weight.device).eval()
        stop = start + width
        with torch.no_grad():
            part.weight.copy_(norm.weight[start:stop])
            part.bias.copy_(norm.bias[start:stop])
            part.running_mean.copy_(norm.running_mean[start:stop])  # type: ignore[union-attr]
            part.running_var.copy_(norm.running_var[start:stop])  # type: ignore[union-attr]
        branch = layer.branches[index]
        assert isinstance(branch, nn.Conv2d)
        layer.branches[index] = fuse_conv_bn_eval(branch, part)
        start = stop
