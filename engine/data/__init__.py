"""Data sets: built in, folders of classes, folders of photos, pictures with masks; checks that name the bad file."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.data.catalogue import data_settings, find_data, measuring_split, open_data, set_names
    from engine.data.dataset import DataSet, UniformPictures, VariedPictures
    from engine.data.settings import DataSettings

__all__ = [
    "DataSet",
    "DataSettings",
    "UniformPictures",
    "VariedPictures",
    "data_settings",
    "find_data",
    "measuring_split",
    "open_data",
    "set_names",
]

_HOMES = {
    "DataSettings": "settings",
    "DataSet": "dataset",
    "UniformPictures": "dataset",
    "VariedPictures": "dataset",
    "data_settings": "catalogue",
    "find_data": "catalogue",
    "measuring_split": "catalogue",
    "open_data": "catalogue",
    "set_names": "catalogue",
}


def __getattr__(name: str) -> Any:
    """Import on first use: recipes read `DataSettings` in programs that have not loaded torch yet."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
