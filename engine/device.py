"""The one place that chooses where computing happens: device, threads, precision."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from engine.errors import DeviceError, UsageError


@dataclass(frozen=True)
class ComputeDevice:
    """A device that exists on this machine.

    Attributes:
        torch_device: what tensors are moved to.
        description: for the status bar, for example "CPU, 2 threads" or "NVIDIA H200".
    """

    torch_device: torch.device
    description: str

    @property
    def is_cpu(self) -> bool:
        """True where computing happens on the processor."""
        return self.torch_device.type == "cpu"

    @contextlib.contextmanager
    def autocast(self) -> Iterator[None]:
        """bfloat16 mixed precision on CUDA. Elsewhere full precision: CPUs without bf16 units run it slower."""
        if self.torch_device.type == "cuda":
            with torch.autocast("cuda", dtype=torch.bfloat16):
                yield
        else:
            yield


def choose_device(wish: str | None = None, threads: int | None = None) -> ComputeDevice:
    """Choose device and CPU threads for this process.

    Args:
        wish: "auto", "cpu", "cuda", "cuda:N" or "mps"; None reads LATENT_STUDIO_DEVICE, then "auto"
            (CUDA, then MPS, then CPU).
        threads: CPU threads for torch; None reads LATENT_STUDIO_THREADS, then one per core.

    Raises:
        UsageError: the wish names no known kind of device, or the thread count is no positive number.
        DeviceError: the device does not exist on this machine.
    """
    threads = threads if threads is not None else _threads_from_environment()
    if threads is not None:
        if threads < 1:
            raise UsageError(f"{threads} CPU threads were asked for.", "Use a number of 1 or more.")
        torch.set_num_threads(threads)
    wish = wish or os.environ.get("LATENT_STUDIO_DEVICE") or "auto"
    kind = wish.partition(":")[0]
    if kind not in ("auto", "cpu", "cuda", "mps"):
        raise UsageError(f"There is no device {wish!r}.", "Use auto, cpu, cuda, cuda:N or mps.")
    if kind in ("auto", "cuda") and torch.cuda.is_available():
        return _cuda(wish)
    if kind in ("auto", "mps") and torch.backends.mps.is_available():
        return ComputeDevice(torch.device("mps"), "Apple GPU (MPS)")
    if kind in ("cuda", "mps"):
        raise DeviceError(f"This machine has no usable {wish} device.", "Use --device auto or --device cpu.")
    count = torch.get_num_threads()
    return ComputeDevice(torch.device("cpu"), f"CPU, {count} thread{'s' if count != 1 else ''}")


def _cuda(wish: str) -> ComputeDevice:
    index = wish.partition(":")[2] or "0"
    if not index.isdigit() or int(index) >= torch.cuda.device_count():
        raise DeviceError(
            f"There is no device {wish!r}.",
            f"This machine has {torch.cuda.device_count()} CUDA device(s), from cuda:0.",
        )
    device = torch.device("cuda", int(index))
    return ComputeDevice(device, torch.cuda.get_device_name(device))


def _threads_from_environment() -> int | None:
    value = os.environ.get("LATENT_STUDIO_THREADS")
    if not value:
        return None
    if not value.isdigit():
        raise UsageError(f"LATENT_STUDIO_THREADS is {value!r}.", "Set it to a whole number of 1 or more.")
    return int(value)
