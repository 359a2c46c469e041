"""Labelling pictures: tiled prediction, objects, areas, overlays, masks on disk."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.segmentation.drawing import overlay
    from engine.segmentation.files import load_mask, save_mask, save_objects
    from engine.segmentation.result import ClassArea, Segmentation
    from engine.segmentation.segmenter import Segmenter

__all__ = ["ClassArea", "Segmentation", "Segmenter", "load_mask", "overlay", "save_mask", "save_objects"]

_HOMES = {
    "ClassArea": "result",
    "Segmentation": "result",
    "Segmenter": "segmenter",
    "load_mask": "files",
    "overlay": "drawing",
    "save_mask": "files",
    "save_objects": "files",
}


def __getattr__(name: str) -> Any:
    """Import on first use: drawing an overlay or reading a mask needs no torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
