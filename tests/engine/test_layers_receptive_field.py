"""The arithmetic of convolution stacks equals what autograd and torch say of the real layers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from engine.layers.receptive_field import (
    Convolution,
    contributions,
    multiplications,
    output_size,
    parameters,
    receptive_field,
)


def random_layer(rng: np.random.Generator, transposed: bool) -> Convolution:
    kernel, stride, dilation = int(rng.integers(1, 5)), int(rng.integers(1, 4)), int(rng.integers(1, 4))
    reach = dilation * (kernel - 1)
    if transposed:
        limit = max(stride, dilation)
        return Convolution(
            kernel, stride, dilation, int(rng.integers(0, reach // 2 + 1)), True, int(rng.integers(0, limit))
        )
    return Convolution(kernel, stride, dilation, int(rng.integers(0, reach + 1)))


def torch_layer(layer: Convolution) -> nn.Module:
    """The layer on one channel and one axis, all weights one, in double precision so that path counts are exact."""
    if layer.transposed:
        made = nn.ConvTranspose1d(
            1, 1, layer.kernel, layer.stride, layer.padding, layer.output_padding, dilation=layer.dilation, bias=False
        )
    else:
        made = nn.Conv1d(1, 1, layer.kernel, layer.stride, layer.padding, layer.dilation, bias=False)
    nn.init.ones_(made.weight)
    return made.double()


def gradient(layers: list[Convolution], output: int, size: int) -> dict[int, int]:
    signal = torch.zeros(1, 1, size, dtype=torch.float64, requires_grad=True)
    nn.Sequential(*map(torch_layer, layers))(signal)[0, 0, output].backward()
    assert signal.grad is not None
    values = signal.grad[0, 0].round().long().tolist()
    return {position: value for position, value in enumerate(values) if value}


@pytest.mark.parametrize("seed", range(30))
def test_contributions_equal_the_gradient_of_random_stacks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = int(rng.integers(60, 120))
    layers: list[Convolution] = []
    for _ in range(int(rng.integers(1, 6))):
        layer = random_layer(rng, transposed=bool(rng.random() < 0.3))
        try:
            output_size([*layers, layer], size)
        except ValueError:
            continue
        layers.append(layer)
    outputs = output_size(layers, size)
    assert nn.Sequential(*map(torch_layer, layers))(torch.zeros(1, 1, size).double()).shape[-1] == outputs
    for output in {0, outputs // 2, outputs - 1}:
        assert contributions(layers, output, size) == gradient(layers, output, size)


@pytest.mark.parametrize("seed", range(30))
def test_closed_form_spans_exactly_the_pixels_with_a_gradient(seed: int) -> None:
    rng = np.random.default_rng(1000 + seed)
    layers = [random_layer(rng, transposed=False) for _ in range(int(rng.integers(1, 5)))]
    field = receptive_field(layers)
    # An output whose field, and those of the layers between, lie inside: only there the padding takes nothing away.
    size = 3 * field.size + 8 * field.stride + 64
    output = output_size(layers, size) // 2
    seen = gradient(layers, output, size)
    assert (min(seen), max(seen)) == field.span(output)
    assert field.stride == math.prod(layer.stride for layer in layers)


def test_equal_rates_leave_holes_and_mixed_rates_do_not() -> None:
    def rates(*values: int) -> dict[int, int]:
        return contributions([Convolution(3, dilation=rate, padding=rate) for rate in values], 50, 101)

    assert set(rates(2, 2, 2)) == set(range(44, 57, 2))
    assert set(rates(1, 2, 5)) == set(range(42, 59))


def test_transposed_convolution_shows_the_checkerboard() -> None:
    """A 3x3 kernel at stride 2 feeds every second output by two inputs and the others by one; 4x4 feeds all alike."""

    def paths(kernel: int) -> list[int]:
        layer = Convolution(kernel, stride=2, padding=1, transposed=True)
        return [sum(contributions([layer], output, 20).values()) for output in range(10, 16)]

    assert paths(3) == [1, 2, 1, 2, 1, 2]
    assert paths(4) == [2, 2, 2, 2, 2, 2]


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("transposed", [False, True])
def test_parameters_and_multiplications_equal_those_of_torch(groups: int, transposed: bool) -> None:
    layer = Convolution(3, 2, 1, 1, transposed, 0, 8, 12, groups, bias=True)
    kind = nn.ConvTranspose2d if transposed else nn.Conv2d
    made = kind(8, 12, 3, 2, 1, groups=groups)
    picture = torch.zeros(1, 8, 14, 17)
    assert layer.parameters() == sum(value.numel() for value in made.parameters())
    # Each multiplication is one tap of one output (one input where transposed): count them by a convolution of ones.
    positions = picture[0, 0].numel() if transposed else made(picture)[0, 0].numel()
    assert layer.multiplications(14, 17) == positions * made.weight.numel()


def test_totals_of_a_separable_stack() -> None:
    stack = [
        Convolution(3, padding=1, in_channels=32, out_channels=32, groups=32),
        Convolution(1, in_channels=32, out_channels=64),
    ]
    assert parameters(stack) == 9 * 32 + 32 * 64
    assert multiplications(stack, 10, 20) == 200 * (9 * 32 + 32 * 64)


@pytest.mark.parametrize(
    "wrong",
    [
        {"kernel": 0},
        {"kernel": 3, "padding": -1},
        {"kernel": 3, "in_channels": 3, "groups": 2},
        {"kernel": 3, "output_padding": 1},
    ],
)
def test_impossible_layers_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"."):
        Convolution(**wrong)
