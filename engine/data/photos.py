"""Photos without labels: the training photos with a licence per file, the Kodak test photos, and the user's own.

Validation is held out by a hash of the file name, about 1 in 16, where there is no val/ folder. Pictures stay in memory
as uint8.
"""

from __future__ import annotations

import csv

import numpy as np

from engine.data.augmentation import square
from engine.data.dataset import UniformPictures, VariedPictures
from engine.data.parts import names_of_split
from engine.data.settings import DataSettings
from engine.data.source import FileSource, open_text, picture_names, read_many
from engine.errors import DataError

_TABLE = "sources.csv"


def open_photos(
    settings: DataSettings, source: FileSource, *, name: str, licence: str
) -> VariedPictures | UniformPictures:
    """Open a folder of photos of any size.

    A sources.csv with a column free_for_commercial_use restricts them to free ones when `settings.free_licence_only`.

    Raises:
        DataError: no photo is there, a photo is broken, or the table lacks a photo that it should vouch for.
    """
    names = source.names()
    pictures = picture_names(names)
    if _TABLE in names and settings.free_licence_only:
        free = _free_files(source)
        pictures = [file for file in pictures if file in free]
    chosen = names_of_split(pictures, settings.split, source.label, depth=1).chosen
    return _held(settings, read_many(source, chosen), chosen, name, licence)


def open_kodak(settings: DataSettings, source: FileSource) -> VariedPictures | UniformPictures:
    """Open the 24 Kodak photos: for measuring only, so there is no train part.

    Raises:
        DataError: another part than test was asked for, or a photo is missing or broken.
    """
    if settings.split not in ("test", "all"):
        raise DataError(
            f"The Kodak photos have no {settings.split} part: models are measured on them, never trained.",
            'Use split = "test".',
        )
    chosen = picture_names(source.names())
    if not chosen:
        raise DataError(f"{source.label} holds no photos.", "Copy the Kodak photos there.")
    return _held(settings, read_many(source, chosen), chosen, "Kodak", "released by Kodak for unrestricted usage")


def open_samples(settings: DataSettings, source: FileSource) -> VariedPictures | UniformPictures:
    """Open the photos that come with the program; the last one by name is the validation part, and the test part too.

    Raises:
        DataError: a photo is missing or broken.
    """
    names = picture_names(source.names())
    parts = {"train": names[:-1], "all": names}
    chosen = parts.get(settings.split, names[-1:])
    return _held(settings, read_many(source, chosen), chosen, "samples", "CC BY-SA 3.0 and 4.0, see CREDITS.md")


def _held(
    settings: DataSettings, images: list[np.ndarray], names: list[str], name: str, licence: str
) -> VariedPictures | UniformPictures:
    if settings.size is not None:
        side = settings.size
        return UniformPictures(
            settings, np.stack([square(image, side) for image in images]), names, name=name, licence=licence
        )
    return VariedPictures(settings, images, names, name=name, licence=licence)


def _free_files(source: FileSource) -> set[str]:
    rows = list(csv.DictReader(open_text(source, _TABLE).splitlines()))
    if not rows or not {"file", "free_for_commercial_use"} <= rows[0].keys():
        raise DataError(
            f"{_TABLE} in {source.label} has no columns file and free_for_commercial_use.", "Copy the set again."
        )
    return {row["file"] for row in rows if row["free_for_commercial_use"] == "yes"}
