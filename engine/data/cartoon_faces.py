"""Cartoon faces with ten known attributes: a zip of pictures and attributes.csv.

The set has a train and a test part; validation is carved out of train by a hash of the file name, about 1 in 16.
"""

from __future__ import annotations

import csv

import numpy as np

from engine.data.augmentation import square
from engine.data.dataset import UniformPictures
from engine.data.parts import names_of_split
from engine.data.settings import DataSettings
from engine.data.source import FileSource, open_text, read_many
from engine.errors import DataError
from engine.models.card import Attribute

DEFAULT_SIZE = 64
# Under these the hair, and so its colour, is not seen; a bald head shows it only in its beard.
_COVERED = ("hat", "hijab", "turban")
_TABLE = "attributes.csv"


def open_cartoon_faces(settings: DataSettings, source: FileSource) -> UniformPictures:
    """Open the faces; 128 to 64 pixels is the mean of 2x2. Attribute values are in alphabetical order.

    Raises:
        DataError: a picture or the table is missing or broken.
    """
    rows = list(csv.DictReader(open_text(source, _TABLE).splitlines()))
    if not rows or "file" not in rows[0] or len(rows[0]) < 2 or any(None in row.values() for row in rows):
        raise DataError(
            f"{_TABLE} in {source.label} has no columns file, ATTRIBUTE... or an incomplete row.", "Copy the set again."
        )
    table = {row.pop("file"): row for row in rows}
    names = [name for name in rows[0] if name is not None]
    attributes = tuple(Attribute(name=name, values=tuple(sorted({row[name] for row in rows}))) for name in names)
    chosen = names_of_split(sorted(table), settings.split, source.label, depth=1).chosen
    size = settings.size or DEFAULT_SIZE
    images = np.stack([square(pixels, size) for pixels in read_many(source, chosen)])
    numbers = [{value: number for number, value in enumerate(attribute.values)} for attribute in attributes]
    labels = [[number[table[file][name]] for name, number in zip(names, numbers, strict=True)] for file in chosen]
    return UniformPictures(
        settings,
        images,
        chosen,
        name="cartoon faces",
        licence="Avataaars by Pablo Stanley, free for personal and commercial use",
        labels=np.array(labels, dtype=np.int64),
        attributes=attributes,
        hidden=np.array([[name == "hair_color" and _no_hair(table[file]) for name in names] for file in chosen]),
    )


def _no_hair(row: dict[str, str]) -> bool:
    hair = row.get("hair")
    return hair in _COVERED or (hair == "bald" and row.get("facial_hair") == "none")
