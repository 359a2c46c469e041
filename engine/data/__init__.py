"""Data sets: built in, folders of classes, folders of photos, pictures with masks; checks that name the bad file.

Names that need torch are imported on first use, so that recipes are read without it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from engine.data.settings import DataSettings

if TYPE_CHECKING:
    from engine.data.catalogue import data_settings, measuring_split, open_data, set_names
    from engine.data.dataset import DataSet, UniformPictures, VariedPictures

_LATER = {
    "data_settings": "engine.data.catalogue",
    "measuring_split": "engine.data.catalogue",
    "open_data": "engine.data.catalogue",
    "set_names": "engine.data.catalogue",
    "DataSet": "engine.data.dataset",
    "UniformPictures": "engine.data.dataset",
    "VariedPictures": "engine.data.dataset",
}

__all__ = [
    "DataSet",
    "DataSettings",
    "UniformPictures",
    "VariedPictures",
    "data_settings",
    "measuring_split",
    "open_data",
    "set_names",
]


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LATER[name]), name)
