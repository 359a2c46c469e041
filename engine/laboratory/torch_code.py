"""Stacks as the text of a PyTorch program; the program needs torch, this module does not."""

from __future__ import annotations

from collections.abc import Sequence

from engine.laboratory.layers import Facts, Layer, facts
from engine.layers.receptive_field import Convolution

_SIDE_BY_SIDE = '''

class SideBySide(nn.Module):
    """Convolutions of several dilation rates, each on its share of the channels."""

    def __init__(self, *branches):
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, features):
        parts = features.split([branch.in_channels for branch in self.branches], dim=1)
        return torch.cat([branch(part) for branch, part in zip(self.branches, parts)], dim=1)
'''


def code(layers: Sequence[Layer], in_channels: int, height: int, width: int) -> str:
    """A Python program that makes the stack, as `networks.network` does, and runs it on a random picture.

    Raises:
        UsageError: the stack does not fit that picture.
    """
    known = facts(layers, in_channels, height, width)
    several = any(len(layer.rates) > 1 for layer in layers)
    lines = ["import torch", "from torch import nn", _SIDE_BY_SIDE if several else "", "network = nn.Sequential("]
    for fact in known:
        lines.append(f"    # {_comment(fact)}")
        lines += [f"    {text}," for text in _calls(fact.layer, fact.in_channels)]
    lines += [
        ")",
        "",
        f"picture = torch.rand(1, {in_channels}, {height}, {width})",
        "output = network(picture)",
        'print("output", tuple(output.shape))',
        'print("weights", sum(weight.numel() for weight in network.parameters()))',
        "",
    ]
    return "\n".join(lines)


def _comment(fact: Facts) -> str:
    return (
        f"{fact.layer.kind}: {fact.channels} x {fact.height} x {fact.width}, {fact.parameters:,} weights,"
        f" {fact.multiplications:,} multiply-adds, sees {fact.reach.size} x {fact.reach.size}"
    )


def _calls(layer: Layer, in_channels: int) -> list[str]:
    steps = layer.steps(in_channels)
    if layer.kind == "pool":
        branch = steps[0].branches[0]
        return [f"nn.MaxPool2d({branch.kernel}, stride={branch.stride}, padding={branch.padding})"]
    if layer.kind == "resize":
        return [f'nn.Upsample(scale_factor={layer.stride}, mode="nearest")']
    calls = []
    for step in steps:
        made = [_call(branch) for branch in step.branches]
        calls.append(made[0] if len(made) == 1 else f"SideBySide({', '.join(made)})")
    return calls


def _call(one: Convolution) -> str:
    named = {
        "stride": (one.stride, 1),
        "padding": (one.padding, 0),
        "output_padding": (one.output_padding, 0),
        "dilation": (one.dilation, 1),
        "groups": (one.groups, 1),
    }
    extra = "".join(f", {name}={value}" for name, (value, usual) in named.items() if value != usual)
    kind = "ConvTranspose2d" if one.transposed else "Conv2d"
    return f"nn.{kind}({one.in_channels}, {one.out_channels}, {one.kernel}{extra}, bias=False)"
