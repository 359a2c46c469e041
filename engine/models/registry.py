"""Which model families exist and which model files are at hand."""

from __future__ import annotations

import difflib
from functools import lru_cache
from importlib import import_module
from pathlib import Path

import torch

from engine.errors import ModelError, UsageError
from engine.models.card import ModelCard
from engine.models.network import Network
from engine.models.store import Model, load_network, read_card
from engine.paths import model_folders

# family -> "module:class"; imported on first use, so that listing models costs no network code.
FAMILIES: dict[str, str] = {
    "hyperprior-codec": "engine.models.hyperprior_codec:HyperpriorCodec",
    "conditional-vae": "engine.models.conditional_vae:ConditionalVAE",
    "autoencoder": "engine.models.autoencoder:Autoencoder",
    "dilated-segmenter": "engine.models.dilated_segmenter:DilatedSegmenter",
}


def family_class(family: str) -> type[Network]:
    """The network class of a family. Raises `UsageError` for an unknown one."""
    if family not in FAMILIES:
        raise UsageError(f"There is no model family {family!r}.", f"Known families: {', '.join(FAMILIES)}.")
    module, _, name = FAMILIES[family].partition(":")
    return getattr(import_module(module), name)


def model_files() -> list[Path]:
    """Every model file at hand, the user's own first; several may have one name."""
    return [path for folder in model_folders() for path in sorted(folder.glob("*.safetensors"))]


def model_paths() -> dict[str, Path]:
    """Every model file at hand by registry name; the user's own shadow shipped ones."""
    found: dict[str, Path] = {}
    for path in model_files():
        found.setdefault(path.stem, path)
    return found


def list_models(family: str | None = None) -> list[ModelCard]:
    """Cards of all readable models, by name; those of one family if it is given. Unreadable files are left out."""
    cards = []
    for path in model_paths().values():
        try:
            card = read_card(path)
        except ModelError:
            continue
        if family in (None, card.family):
            cards.append(card)
    return sorted(cards, key=lambda card: card.name)


def resolve_model(name_or_path: str | Path) -> Path:
    """The file of a MODEL argument: a registry name or a path. Raises `UsageError` naming the nearest known name."""
    text = str(name_or_path)
    paths = model_paths()
    if text in paths:
        return paths[text]
    if Path(text).is_file():
        return Path(text)
    near = difflib.get_close_matches(text, paths, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else "`main.py models` lists the models at hand."
    raise UsageError(f"There is no model {text!r}.", hint)


def load_model(name_or_path: str | Path, device: torch.device | None = None) -> Model:
    """Load a model by registry name or path; a model already loaded from an unchanged file is shared.

    Raises:
        UsageError: no such model.
        ModelError: the file is not a valid model.
    """
    path = resolve_model(name_or_path)
    return _load_cached(path, path.stat().st_mtime_ns, device or torch.device("cpu"))


@lru_cache(maxsize=8)
def _load_cached(path: Path, _modified: int, device: torch.device) -> Model:
    return load_network(path, family_class(read_card(path).family), device)
