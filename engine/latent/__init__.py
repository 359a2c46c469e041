"""Looking into latent spaces: sliders and traversals; maps, clusters and statistics of a whole data set's latents."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.latent.encodings import Encodings, encode_data, open_for
    from engine.latent.explorer import Dimension, LatentExplorer
    from engine.latent.maps import make_map, map_methods

__all__ = ["Dimension", "Encodings", "LatentExplorer", "encode_data", "make_map", "map_methods", "open_for"]

_HOMES = {
    "Dimension": "explorer",
    "LatentExplorer": "explorer",
    "Encodings": "encodings",
    "encode_data": "encodings",
    "open_for": "encodings",
    "make_map": "maps",
    "map_methods": "maps",
}


def __getattr__(name: str) -> Any:
    """Import on first use: a process that draws a map beside the program's own needs no torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
