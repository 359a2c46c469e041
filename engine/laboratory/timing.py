"""How long layers take on this machine: parameters and multiplications tell only half of it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from engine.laboratory.layers import Layer
from engine.laboratory.networks import network
from engine.progress import CancelToken, never_cancelled

WARM_UPS = 2
MIN_ROUNDS, MAX_ROUNDS = 3, 200


@dataclass(frozen=True)
class Timing:
    """Time of one layer on one picture.

    Attributes:
        best: of all rounds, in milliseconds: the figure that other work on the machine disturbs least.
        median: of all rounds, in milliseconds.
        rounds: how often it was run.
    """

    best: float
    median: float
    rounds: int


def measure(
    layers: Sequence[Layer],
    in_channels: int,
    height: int,
    width: int,
    *,
    seconds: float = 1.0,
    device: torch.device | None = None,
    cancel: CancelToken | None = None,
) -> list[Timing]:
    """Run every layer by itself, in turns, so that whatever else the machine does disturbs all of them alike.

    Args:
        layers: each is measured on its own input of `in_channels` x `height` x `width`.
        seconds: time to spend on all of them; every layer runs at least `MIN_ROUNDS` times.
        device: where; the processor by default.
        cancel: read between two runs.

    Raises:
        UsageError: the numbers of a layer do not go together.
        Cancelled: `cancel` was set.
    """
    device, cancel = device or torch.device("cpu"), cancel or never_cancelled()
    picture = torch.rand(1, in_channels, height, width, device=device).to(memory_format=torch.channels_last)
    networks = [network([layer], in_channels).to(device=device, memory_format=torch.channels_last) for layer in layers]  # type: ignore[call-overload]
    spent: list[list[float]] = [[] for _ in layers]
    with torch.inference_mode():
        for one in networks:
            for _ in range(WARM_UPS):
                cancel.raise_if_cancelled()
                one(picture)
        end = time.perf_counter() + seconds
        for turn in range(MAX_ROUNDS):
            if turn >= MIN_ROUNDS and time.perf_counter() > end:
                break
            for one, times in zip(networks, spent, strict=True):
                cancel.raise_if_cancelled()
                _wait(device)
                start = time.perf_counter()
                one(picture)
                _wait(device)
                times.append(1000 * (time.perf_counter() - start))
    return [Timing(min(times), statistics.median(times), len(times)) for times in spent]


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
