"""Saving and loading models as safetensors: one file, card inside, every shape checked before weights are read."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from safetensors.torch import save as serialise
from torch import Tensor

from engine.errors import ModelError
from engine.files import write_bytes
from engine.models.card import ModelCard
from engine.models.network import Network

CARD_KEY = "latent_studio_card"
MAX_MODEL_BYTES = 512 * 2**20

NetworkT = TypeVar("NetworkT", bound=Network)


@dataclass(frozen=True)
class Model(Generic[NetworkT]):
    """A network ready for use and the card that came with it."""

    card: ModelCard
    network: NetworkT
    device: torch.device


def hash_weights(weights: dict[str, Tensor]) -> str:
    """SHA-256 over names, types, shapes and bytes of all tensors in name order: the identity of a model."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        tensor = weights[name].detach().cpu().contiguous()
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def stored_weights(network: Network) -> dict[str, Tensor]:
    """The network's state as it is stored: floating point as float16, integers as they are."""
    return {
        # A contiguous clone: safetensors refuses tensors that share memory.
        name: (value.half() if value.is_floating_point() else value).detach().cpu().contiguous().clone()
        for name, value in network.state_dict().items()
    }


def save_model(path: Path, network: Network, card: ModelCard) -> ModelCard:
    """Write `network` and `card` to `path` atomically; returns the card with the hash of the weights filled in.

    Raises:
        OutputError: the file cannot be written.
    """
    weights = stored_weights(network)
    config = json.loads(network.config.model_dump_json())
    card = _readable(card).model_copy(
        update={"weights_sha256": hash_weights(weights), "family": network.family, "config": config}
    )
    write_bytes(path, serialise(weights, metadata={CARD_KEY: card.model_dump_json()}))
    return card


def save_card(path: Path, card: ModelCard) -> None:
    """Replace the card of a model file atomically, leaving the weights and their hash as they are.

    Raises:
        ModelError: the file is not a model.
        OutputError: it cannot be written.
    """
    kept = read_card(path)
    card = _readable(card).model_copy(
        update={"weights_sha256": kept.weights_sha256, "family": kept.family, "config": kept.config}
    )
    weights = load_file(path)
    write_bytes(path, serialise(weights, metadata={CARD_KEY: card.model_dump_json()}))


def read_card(path: Path) -> ModelCard:
    """Read only the card of a model file.

    Raises:
        ModelError: the file is missing, too large, not a safetensors file, or carries no valid card.
    """
    path = Path(path)
    _check_file(path)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(f"{path} is not a model file ({error}).", "Choose a file made by Latent Studio.") from error
    return _parse_card(path, metadata)


def load_network(path: Path, network_class: type[NetworkT], device: torch.device | None = None) -> Model[NetworkT]:
    """Load a model file into a network of the given class, in evaluation mode, float32.

    Names and shapes of all tensors are compared with the network's own before any weight is read.

    Raises:
        ModelError: the file is no model file, or its tensors do not fit the network its card describes.
    """
    path = Path(path)
    card = read_card(path)
    device = device or torch.device("cpu")
    try:
        config = network_class.Config.model_validate(card.config)
    except ValidationError as error:
        problem = error.errors()[0]["msg"]
        raise ModelError(f"The card of {path} describes no {network_class.family} network: {problem}.") from error
    with torch.device("meta"):
        network = network_class(config)
    expected = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    try:
        with safe_open(path, framework="pt") as file:
            found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
            if found != expected:
                raise ModelError(_difference(path, expected, found), "The file is damaged or from another version.")
            weights = {name: file.get_tensor(name) for name in expected}
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read ({error}).", "Copy or download the model again.") from error
    if card.weights_sha256 and hash_weights(weights) != card.weights_sha256:
        raise ModelError(f"The weights in {path} are not the ones its card names.", "Copy or download the model again.")
    network = network_class(config)
    network.load_state_dict(
        {name: value.float() if value.is_floating_point() else value for name, value in weights.items()}
    )
    network.eval().requires_grad_(False)
    network = network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]  (torch lacks it)
    return Model(card, network, device)


def _readable(card: ModelCard) -> ModelCard:
    """The card without figures that are no numbers: JSON has none for them, and the card could not be read again."""
    return card.model_copy(update={"figures": tuple(one for one in card.figures if math.isfinite(one.value))})


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise ModelError(f"There is no model file {path}.", "`main.py models` lists the models at hand.")
    size = path.stat().st_size
    if size > MAX_MODEL_BYTES:
        raise ModelError(f"{path} has {size} bytes, more than any model of this program.", "Choose another file.")


def _parse_card(path: Path, metadata: dict[str, str]) -> ModelCard:
    if CARD_KEY not in metadata:
        raise ModelError(f"{path} carries no model card.", "Choose a .safetensors file made by Latent Studio.")
    try:
        return ModelCard.model_validate_json(metadata[CARD_KEY])
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise ModelError(f"The card in {path} is not valid: {field}: {first['msg']}.") from error


def _difference(path: Path, expected: dict[str, tuple[int, ...]], found: dict[str, tuple[int, ...]]) -> str:
    for name, shape in expected.items():
        if name not in found:
            return f"{path} lacks the tensor {name}."
        if found[name] != shape:
            return f"{path} holds {name} with shape {found[name]} where {shape} is expected."
    extra = next(name for name in found if name not in expected)
    return f"{path} holds an unknown tensor {extra}."
