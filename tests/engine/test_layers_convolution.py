"""The convolution kinds keep their promises: sizes, parameter counts, and the same function after folding."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from engine.layers import receptive_field as arithmetic
from engine.layers.convolution import ConvNormActivation, DilatedBlock, ParallelDilatedConv2d, convolution
from engine.layers.folding import fold_batch_norms


def count(module: nn.Module) -> int:
    return sum(value.numel() for value in module.parameters())


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 70), (16, 17)])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("kind", "dilation"), [("standard", 1), ("dilated", 3), ("separable", 2)])
def test_sizes_change_by_the_stride_alone(kind: str, dilation: int, stride: int, height: int, width: int) -> None:
    layer = convolution(kind, 4, 6, 3, stride=stride, dilation=dilation)  # type: ignore[arg-type]
    found = layer(torch.zeros(1, 4, height, width)).shape
    assert found == (1, 6, -(-height // stride), -(-width // stride))


def test_transposed_enlarges_by_its_stride() -> None:
    assert convolution("transposed", 4, 6, 4, stride=2)(torch.zeros(1, 4, 5, 9)).shape == (1, 6, 10, 18)


def test_parameters_follow_the_formulas() -> None:
    made = {
        kind: convolution(kind, 32, 64, 3, dilation=dilation, bias=False)  # type: ignore[arg-type]
        for kind, dilation in (("standard", 1), ("dilated", 4), ("separable", 1))
    }
    assert count(made["standard"]) == count(made["dilated"]) == 9 * 32 * 64
    assert count(made["separable"]) == 9 * 32 + 32 * 64
    depthwise = arithmetic.Convolution(3, padding=1, in_channels=32, out_channels=32, groups=32)
    pointwise = arithmetic.Convolution(1, in_channels=32, out_channels=64)
    assert count(made["separable"]) == arithmetic.parameters([depthwise, pointwise])


@pytest.mark.parametrize(
    ("kind", "kernel", "stride", "dilation"),
    [("standard", 3, 1, 2), ("standard", 4, 1, 1), ("transposed", 3, 2, 1), ("transposed", 2, 2, 2)],
)
def test_numbers_that_do_not_go_together_are_refused(kind: str, kernel: int, stride: int, dilation: int) -> None:
    with pytest.raises(ValueError, match=r"needs|means"):
        convolution(kind, 4, 4, kernel, stride=stride, dilation=dilation)  # type: ignore[arg-type]


def test_parallel_rates_see_what_their_rates_say() -> None:
    layer = ParallelDilatedConv2d(5, (1, 4))
    nn.init.ones_(layer.branches[0].weight)  # type: ignore[arg-type]
    nn.init.ones_(layer.branches[1].weight)  # type: ignore[arg-type]
    dot = torch.zeros(1, 5, 11, 11)
    dot[..., 5, 5] = 1.0
    seen = layer(dot)[0]
    assert seen[0].nonzero().amin(0).tolist() == [4, 4], "the first share has rate 1"
    assert seen[4].nonzero().amin(0).tolist() == [1, 1], "the last share has rate 4"


def test_folding_batch_norms_keeps_the_function() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        ConvNormActivation(3, 12, 3, stride=2),
        DilatedBlock(12, 12, (1, 2)),
        DilatedBlock(12, 20, (1, 2, 4), stride=2),
        ConvNormActivation(20, 8, 3, kind="separable"),
    )
    for _ in range(3):
        network(torch.randn(4, 3, 32, 32))
    network.eval()
    folded = fold_batch_norms(network)
    picture = torch.randn(2, 3, 37, 29)
    torch.testing.assert_close(folded(picture), network(picture), rtol=1e-4, atol=1e-5)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    assert any(isinstance(module, nn.BatchNorm2d) for module in network.modules()), "the original is left alone"
