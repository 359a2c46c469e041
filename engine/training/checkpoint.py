"""Checkpoints: everything a run needs to go on as if it had never stopped, as safetensors plus JSON inside it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialise
from torch import Tensor, nn

from engine.errors import TrainingError
from engine.files import write_bytes

CHECKPOINT_NAME = "checkpoint.safetensors"
_STATE_KEY = "latent_studio_run"


@dataclass(frozen=True)
class RunState:
    """Where a run stands.

    Attributes:
        stage: index of the current stage.
        step: steps done in it.
        recipe: TOML of the recipe, to notice when another one is resumed by mistake.
        least_psnr: dB below which the validation PSNR ends the stage, where the stage has such a limit.
    """

    stage: int
    step: int
    recipe: str
    least_psnr: float | None = None


def save_checkpoint(
    folder: Path,
    state: RunState,
    network: nn.Module,
    average: nn.Module,
    optimizer: torch.optim.Optimizer,
    kept: dict[str, Tensor] | None = None,
) -> None:
    """Write the checkpoint of a run atomically. Random numbers need no state: they derive from seed, stage and step.

    Args:
        kept: averaged weights that a stage with a limit falls back to.
    """
    tensors = {f"network.{name}": value for name, value in network.state_dict().items()}
    tensors |= {f"average.{name}": value for name, value in average.state_dict().items()}
    tensors |= {f"kept.{name}": value for name, value in (kept or {}).items()}
    for index, values in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": torch.as_tensor(value) for name, value in values.items()}
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    write_bytes(folder / CHECKPOINT_NAME, serialise(tensors, metadata={_STATE_KEY: json.dumps(asdict(state))}))


def read_state(folder: Path) -> RunState | None:
    """Where the run in `folder` stands, or None if it has no checkpoint. Raises `TrainingError` for a damaged one."""
    path = folder / CHECKPOINT_NAME
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            return RunState(**json.loads((file.metadata() or {})[_STATE_KEY]))
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        raise TrainingError(f"{path} is no checkpoint ({error}).", "Delete it or start without resuming.") from error


def restore(
    folder: Path, network: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer
) -> dict[str, Tensor] | None:
    """Load the checkpoint in `folder` into network, averaged weights and optimiser.

    Returns:
        The averaged weights that a stage with a limit falls back to, if it has any.

    Raises:
        TrainingError: it belongs to another network.
    """
    parts: dict[str, dict[str, Tensor]] = {"network": {}, "average": {}, "optimizer": {}, "kept": {}}
    with safe_open(folder / CHECKPOINT_NAME, framework="pt") as file:
        for name in file.keys():  # noqa: SIM118
            part, _, rest = name.partition(".")
            parts[part][rest] = file.get_tensor(name)
    try:
        network.load_state_dict(parts["network"])
        average.load_state_dict(parts["average"])
    except RuntimeError as error:
        problem = f"The checkpoint in {folder} belongs to another network."
        raise TrainingError(problem, "Start without resuming.") from error
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in parts["optimizer"].items():
        index, _, key = name.partition(".")
        state.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return parts["kept"] or None
