"""Masks on disk: palette PNG whose index is the class number, and 16-bit PNG with one number per object."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from pydantic import TypeAdapter, ValidationError

from engine.errors import LimitError, OutputError, PictureError, UsageError
from engine.files import write_bytes
from engine.image import check_size, encode_png
from engine.models.card import SegmentationClass
from engine.segmentation.drawing import class_colors
from engine.segmentation.result import Segmentation

CLASSES_KEY = "latent-studio-classes"
_CLASSES = TypeAdapter(tuple[SegmentationClass, ...])


def save_mask(segmentation: Segmentation, path: Path) -> None:
    """Write the mask as a palette PNG whose index is the class number; names and colours go along as a text chunk.

    Raises:
        UsageError: the file name does not end in .png.
        OutputError: the file cannot be written.
    """
    path = _png_path(path)
    names = json.dumps([entry.model_dump() for entry in segmentation.classes], ensure_ascii=False)
    write_bytes(path, encode_png(segmentation.mask, palette=class_colors(segmentation), text={CLASSES_KEY: names}))


def load_mask(path: Path, classes: Sequence[SegmentationClass] = ()) -> Segmentation:
    """Read a mask back: a palette or grey PNG of class numbers.

    Args:
        classes: names and colours for masks that do not carry their own; without them the classes are named by
            number and coloured by the file's palette.

    Raises:
        PictureError: not a PNG with one 8-bit number per pixel, damaged, or with numbers that are no class.
        LimitError: too large.
    """
    path = Path(path)
    try:
        with Image.open(path) as opened:
            if opened.format != "PNG" or opened.mode not in ("P", "L", "1"):
                raise PictureError(
                    f"{path} is no mask: it holds {opened.mode} pixels as {opened.format}.",
                    "Choose a palette or grey PNG with one class number per pixel.",
                )
            check_size(opened.width, opened.height, str(path))
            opened.load()
            text = str(getattr(opened, "text", {}).get(CLASSES_KEY, ""))
            palette = opened.getpalette() if opened.mode == "P" else None
            mask = np.array(opened, np.uint8)
    except PictureError:
        raise
    except FileNotFoundError as error:
        raise PictureError(f"There is no file {path}.", "Check the name.") from error
    except Exception as error:  # Pillow's decoders raise what they please on damaged files
        raise PictureError(f"{path} cannot be read as a mask ({error}).", "Choose a PNG mask.") from error
    known = _stored_classes(text, path) or tuple(classes) or _numbered_classes(palette, int(mask.max(initial=0)) + 1)
    highest = int(mask.max(initial=0))
    if highest >= len(known):
        raise PictureError(
            f"{path} holds the number {highest}, but there are only {len(known)} classes (0 to {len(known) - 1}).",
            "Choose a mask made for these classes.",
        )
    return Segmentation(mask, None, known)


def save_objects(segmentation: Segmentation, path: Path) -> None:
    """Write object numbers as a 16-bit grey PNG, 0 = background: the layout the nuclei data set uses.

    Raises:
        UsageError: the segmentation has no objects, or the file name does not end in .png.
        LimitError: more than 65,535 objects.
        OutputError: the file cannot be written.
    """
    path = _png_path(path)
    if segmentation.objects is None:
        raise UsageError("This model tells no objects apart.", "Save the class mask instead.")
    count = int(segmentation.objects.max(initial=0))
    if count > 65535:
        raise LimitError(f"{count} objects are more than 16 bits can number.", "Cut the picture into parts.")
    stream = io.BytesIO()
    Image.fromarray(segmentation.objects.astype(np.uint16)).save(stream, "PNG")
    write_bytes(path, stream.getvalue())


def _png_path(path: Path) -> Path:
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise UsageError(f"A mask cannot be written to {path.name}.", "Use a file name that ends in .png.")
    if path.is_dir():
        raise OutputError(f"{path} is a folder.", "Choose a file name.")
    return path


def _stored_classes(text: str, path: Path) -> tuple[SegmentationClass, ...]:
    if not text:
        return ()
    try:
        return _CLASSES.validate_json(text)
    except ValidationError as error:
        raise PictureError(f"The class names in {path} are damaged.", "Save the mask again.") from error


def _numbered_classes(palette: list[int] | None, count: int) -> tuple[SegmentationClass, ...]:
    """Classes of a foreign mask, named by number; without a palette in shades of grey."""
    values = np.zeros((count, 3), np.uint8)
    if palette is None:
        values[:] = np.linspace(0, 255, count, dtype=np.uint8)[:, None]
    else:
        stored = np.array(palette, np.uint8).reshape(-1, 3)[:count]
        values[: len(stored)] = stored
    return tuple(
        SegmentationClass(name=f"class {number}", color=(int(red), int(green), int(blue)))
        for number, (red, green, blue) in enumerate(values)
    )
