"""The few facts of a many-process run that the trainer needs: rank, world, device, sums over processes.

`python main.py train RECIPE` is a world of one; `torchrun --nproc-per-node N main.py train RECIPE` (also over many
nodes) sets the environment that makes it more. Nothing else changes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel

from engine.device import ComputeDevice, choose_device


@dataclass(frozen=True)
class World:
    """The processes of a run, seen from one of them."""

    rank: int
    size: int
    device: ComputeDevice

    @property
    def is_leader(self) -> bool:
        """True in the one process that writes files and logs."""
        return self.rank == 0

    def wrap(self, module: nn.Module) -> nn.Module:
        """The module with gradients averaged over all processes; the module itself in a world of one."""
        if self.size == 1:
            return module
        ids = None if self.device.is_cpu else [self.device.torch_device.index]
        return DistributedDataParallel(module, device_ids=ids)

    def mean(self, value: Tensor) -> Tensor:
        """The mean of a tensor over all processes."""
        if self.size == 1:
            return value
        value = value.detach().clone()
        dist.all_reduce(value)
        return value / self.size

    def any(self, flag: bool) -> bool:
        """True in every process if it is true in one."""
        if self.size == 1:
            return flag
        value = torch.tensor(float(flag), device=self.device.torch_device)
        dist.all_reduce(value, op=dist.ReduceOp.MAX)
        return bool(value.item())


@contextmanager
def join_world(device: str | None = None) -> Iterator[World]:
    """Join the processes that torchrun started, or be a world of one; leaves it again at the end.

    Raises:
        DeviceError, UsageError: as `choose_device`.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield World(0, 1, choose_device(device))
        return
    if torch.cuda.is_available() and device in (None, "auto", "cuda"):
        device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    chosen = choose_device(device)
    if not chosen.is_cpu:
        torch.cuda.set_device(chosen.torch_device)
    dist.init_process_group("gloo" if chosen.is_cpu else "nccl")
    try:
        yield World(dist.get_rank(), size, chosen)
    finally:
        dist.destroy_process_group()
