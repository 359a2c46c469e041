"""SOAP beside AdamW on problems whose answers are known."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from engine.training.soap import BASIS_EVERY, Soap


def distance(optimizer_class: type[Soap] | type[torch.optim.AdamW], steps: int = 400) -> float:
    """What is left of the loss of a valley that is long, narrow and lies across the weights, from the same start."""
    generator = torch.Generator().manual_seed(3)
    sides = [torch.linalg.qr(torch.randn(24, 24, generator=generator))[0] for _ in range(2)]
    stretch = torch.logspace(0, -3, 24)
    rows, columns = (side @ torch.diag(stretch) @ side.T for side in sides)
    kernel = nn.Parameter(torch.randn(24, 24, 1, 1, generator=generator))

    def loss() -> torch.Tensor:
        matrix = kernel[:, :, 0, 0]
        return 0.5 * (matrix * (rows @ matrix @ columns)).sum()

    first = loss().item()
    optimizer = optimizer_class([kernel], lr=0.02)
    for _ in range(steps):
        value = loss()
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    return loss().item() / first


def test_it_goes_along_a_valley_that_lies_across_the_weights() -> None:
    assert distance(Soap) < 0.1 * distance(torch.optim.AdamW)


@pytest.mark.parametrize("shape", [(300, 20, 1, 1), (20, 300), (32, 1, 5, 5), (7,), (4, 64), (40, 40)])
def test_parameters_of_every_shape_reach_their_minimum(shape: tuple[int, ...]) -> None:
    wanted = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    wanted = wanted / wanted.norm()
    parameter = nn.Parameter(torch.zeros(shape))
    optimizer = Soap([parameter], lr=0.02)
    for step in range(20 * BASIS_EVERY):
        optimizer.param_groups[0]["lr"] = 0.02 * (1.0 - step / (20 * BASIS_EVERY))
        loss = (parameter - wanted).square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (parameter - wanted).abs().max() < 0.01


def test_a_layer_that_is_silent_stays_as_it_is() -> None:
    parameter = nn.Parameter(torch.ones(32, 32))
    optimizer = Soap([parameter], lr=0.02)
    for _ in range(2 * BASIS_EVERY):
        (parameter * 0.0).sum().backward()
        optimizer.step()
    assert torch.equal(parameter, torch.ones(32, 32))
