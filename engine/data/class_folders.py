"""Pictures sorted into one folder per class, in a folder or a zip: the fruits, and the user's own.

Layout: CLASS/PICTURE, or train/CLASS/PICTURE, test/CLASS/PICTURE and, where it exists, val/CLASS/PICTURE. Without a
val part, validation is carved out of train by a hash of the file name, about 1 in 16.
"""

from __future__ import annotations

import numpy as np

from engine.data.augmentation import square
from engine.data.dataset import UniformPictures
from engine.data.parts import is_part_folder, names_of_split
from engine.data.settings import DataSettings
from engine.data.source import FileSource, picture_names, read_many
from engine.errors import DataError
from engine.models.card import Attribute

DEFAULT_SIZE = 64


def open_class_folders(
    settings: DataSettings, source: FileSource, *, name: str, licence: str, attribute: str = "class"
) -> UniformPictures:
    """Open the classes below `source`; each picture becomes a square of `settings.size` (64 where none is given).

    Raises:
        DataError: no class folder holds a picture, or a picture is broken.
    """
    parts = names_of_split(picture_names(source.names()), settings.split, source.label, depth=2)
    classes = sorted({_class_of(file) for file in parts.all})
    if not classes:
        raise DataError(
            f"{source.label} holds no class folders with pictures.", "Put each class in a folder of its own."
        )
    size = settings.size or DEFAULT_SIZE
    images = np.stack([square(pixels, size) for pixels in read_many(source, parts.chosen)])
    labels = np.array([[classes.index(_class_of(file))] for file in parts.chosen], dtype=np.int64)
    return UniformPictures(
        settings,
        images,
        parts.chosen,
        name=name,
        licence=licence,
        labels=labels,
        attributes=(Attribute(name=attribute, values=tuple(classes)),),
    )


def has_classes(names: list[str]) -> bool:
    """True when most pictures lie in class folders: below the top, and not just in train/, val/ or test/."""
    sorted_in = sum(name.count("/") - is_part_folder(name.split("/")[0]) >= 1 for name in names)
    return 2 * sorted_in > len(names)


def _class_of(file: str) -> str:
    return file.split("/")[-2]
