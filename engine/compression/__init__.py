"""The codec's public face. Names are imported on first use, so that `inspect` and the settings need no torch."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from engine.compression.container import DEFAULT_SUFFIX, Header, Region
from engine.compression.container import read_container as inspect
from engine.compression.reading import open_compressed
from engine.compression.settings import DEFAULT_MODEL, EncodeSettings, Target

if TYPE_CHECKING:
    from engine.compression.codec import decode, encode
    from engine.compression.decoding import DamagedTile, Decoded
    from engine.compression.encoded import Encoded
    from engine.compression.session import PhotoSession

_LATER = {
    "DamagedTile": "engine.compression.decoding",
    "Decoded": "engine.compression.decoding",
    "decode": "engine.compression.codec",
    "encode": "engine.compression.codec",
    "Encoded": "engine.compression.encoded",
    "PhotoSession": "engine.compression.session",
}

__all__ = [
    "DEFAULT_MODEL",
    "DEFAULT_SUFFIX",
    "DamagedTile",
    "Decoded",
    "EncodeSettings",
    "Encoded",
    "Header",
    "PhotoSession",
    "Region",
    "Target",
    "decode",
    "encode",
    "inspect",
    "open_compressed",
]


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LATER[name]), name)
