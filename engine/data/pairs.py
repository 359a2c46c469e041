"""Pictures with a mask each: street scenes (classes), cell nuclei (single objects) and the user's own.

Layout: images/NAME.* beside labels/NAME.png or masks/NAME.png, or the same below train/, val/ and test/. A set without
a val part holds out about 1 in 16 of its training pictures by a hash of the file name.
"""

from __future__ import annotations

import csv
import io

import numpy as np
from PIL import Image

from engine.data.dataset import VariedPictures
from engine.data.parts import names_of_split
from engine.data.settings import DataSettings
from engine.data.source import FileSource, open_text, picture_names, read_many
from engine.errors import DataError
from engine.image import MAX_PIXELS
from engine.models.card import SegmentationClass

_CAMVID = (
    ("Sky", (128, 128, 128)),
    ("Building", (128, 0, 0)),
    ("Pole", (192, 192, 128)),
    ("Road", (128, 64, 128)),
    ("Pavement", (60, 40, 222)),
    ("Tree", (128, 128, 0)),
    ("Sign", (192, 128, 128)),
    ("Fence", (64, 64, 128)),
    ("Car", (64, 0, 128)),
    ("Pedestrian", (64, 64, 0)),
    ("Cyclist", (0, 128, 192)),
)
CAMVID_CLASSES = tuple(SegmentationClass(name=name, color=color) for name, color in _CAMVID)
CAMVID_VOID = 11
NUCLEI_CLASSES = (
    SegmentationClass(name="Background", color=(24, 24, 32)),
    SegmentationClass(name="Nucleus", color=(255, 140, 0)),
)
_MASK_FOLDERS = ("labels", "masks")
_TABLE = "classes.csv"
# Colours of the user's classes where no classes.csv names them; the hues of Okabe and Ito, told apart by all eyes.
_PALETTE = (
    (24, 24, 32),
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
)


def open_camvid(settings: DataSettings, source: FileSource) -> VariedPictures:
    """Street scenes with eleven classes; 11 in a mask is void and ignored. Parts: train and val.

    Raises:
        DataError: a file is missing or broken.
    """
    return _open(settings, source, "CamVid", "CC BY-NC 4.0, research use", CAMVID_CLASSES, CAMVID_VOID)


def open_nuclei(settings: DataSettings, source: FileSource) -> VariedPictures:
    """Cell nuclei numbered one by one, 0 = background. Parts: train, val, test.

    Raises:
        DataError: a file is missing or broken.
    """
    return _open(settings, source, "nuclei (BBBC038)", "CC0", NUCLEI_CLASSES, instances=True)


def open_pairs(settings: DataSettings, source: FileSource) -> VariedPictures:
    """The user's own pairs. The mask holds class numbers; classes.csv (number,name,red,green,blue) may name them.

    Raises:
        DataError: a picture without a mask, a mask of another size, a broken file.
    """
    return _open(settings, source, source.label, "the user's own", None)


def has_pairs(names: list[str]) -> bool:
    """True when the files are laid out as pictures with masks."""
    folders = {part.lower() for name in names for part in name.split("/")[:-1][-1:]}
    return "images" in folders and bool(folders & set(_MASK_FOLDERS))


def _open(
    settings: DataSettings,
    source: FileSource,
    name: str,
    licence: str,
    classes: tuple[SegmentationClass, ...] | None,
    ignored: int | None = None,
    instances: bool = False,
) -> VariedPictures:
    if settings.size is not None:
        raise DataError(f"Pictures with masks ({name}) are cropped, not resized.", 'Use "crop" instead of "size".')
    files = picture_names(source.names())
    images = [file for file in files if _folder(file) == "images"]
    mask_files = {_key(file): file for file in files if _folder(file) in _MASK_FOLDERS}
    chosen = names_of_split(images, settings.split, source.label, depth=2).chosen
    lonely = next((file for file in chosen if _key(file) not in mask_files), None)
    if lonely is not None:
        raise DataError(
            f"{source.label}/{lonely} has no mask of the same name in {' or '.join(_MASK_FOLDERS)}/.", "Add it."
        )
    pictures = read_many(source, chosen)
    masks = [_read_mask(source, mask_files[_key(file)]) for file in chosen]
    for file, picture, mask in zip(chosen, pictures, masks, strict=True):
        if picture.shape[:2] != mask.shape:
            sizes = f"{mask.shape[1]}x{mask.shape[0]} pixels, its picture {picture.shape[1]}x{picture.shape[0]}"
            raise DataError(f"The mask of {source.label}/{file} has {sizes}.", "Make both the same size.")
    if classes is None:
        classes = _user_classes(source, max(int(mask.max()) for mask in masks))
    elif not instances:
        highest = max(len(classes) - 1, ignored or 0)
        for file, mask in zip(chosen, masks, strict=True):
            if mask.max() > highest:
                raise DataError(
                    f"The mask of {source.label}/{file} holds the class {mask.max()}.", f"The highest is {highest}."
                )
    return VariedPictures(
        settings,
        pictures,
        chosen,
        name=name,
        licence=licence,
        masks=masks,
        classes=classes,
        ignored=ignored,
        instances=instances,
    )


def _folder(file: str) -> str:
    parts = file.split("/")
    return parts[-2].lower() if len(parts) > 1 else ""


def _key(file: str) -> tuple[str, ...]:
    """What a picture and its mask have in common: the part's folder and the stem."""
    *folders, name = file.split("/")
    return (*folders[:-1], name.rpartition(".")[0])


def _read_mask(source: FileSource, file: str) -> np.ndarray:
    """Numbers of a mask, (H, W) uint8 or uint16: grey values or palette indices, never colours."""
    label = f"{source.label}/{file}"
    try:
        with Image.open(io.BytesIO(source.read(file))) as opened:
            if opened.width * opened.height > MAX_PIXELS:
                raise DataError(f"The mask {label} has more than {MAX_PIXELS} pixels.", "Cut it into smaller ones.")
            if opened.mode not in ("L", "P", "1", "I", "I;16", "I;16B"):
                raise DataError(
                    f"The mask {label} is a colour picture.", "Save class numbers as grey or palette values."
                )
            numbers = np.asarray(opened)
    except DataError:
        raise
    except Exception as error:  # Pillow's decoders raise what they please on damaged files
        raise DataError(f"The mask {label} cannot be read ({error}).", "Replace it.") from error
    return numbers.astype(np.uint8 if opened.mode in ("L", "P", "1") else np.uint16)


def _user_classes(source: FileSource, highest: int) -> tuple[SegmentationClass, ...]:
    if highest > 255:
        raise DataError(f"The masks in {source.label} hold class numbers up to {highest}.", "Use 0 to 255.")
    if _TABLE in source.names():
        return _named_classes(source, highest)
    names = ["Background", *(f"Class {number}" for number in range(1, highest + 1))]
    return tuple(SegmentationClass(name=name, color=_PALETTE[i % len(_PALETTE)]) for i, name in enumerate(names))


def _named_classes(source: FileSource, highest: int) -> tuple[SegmentationClass, ...]:
    try:
        rows = sorted(
            (int(row["number"]), row["name"], (int(row["red"]), int(row["green"]), int(row["blue"])))
            for row in csv.DictReader(open_text(source, _TABLE).splitlines())
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{_TABLE} in {source.label} is not a table number,name,red,green,blue.", "Correct it."
        ) from error
    if [number for number, _, _ in rows] != list(range(len(rows))) or len(rows) <= highest:
        raise DataError(f"{_TABLE} in {source.label} does not name each class from 0 to {highest} once.", "Correct it.")
    return tuple(SegmentationClass(name=name, color=color) for _, name, color in rows)
