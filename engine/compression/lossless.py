"""Whether a classic lossless file would be smaller than a compressed one: then it is better in every way."""

from __future__ import annotations

from dataclasses import dataclass

from engine.compression.classic import CODEC_NAMES, ClassicSettings, classic_file
from engine.errors import PictureError, UsageError
from engine.image import Picture
from engine.progress import CancelToken, never_cancelled

# Squares whose lossless size tells roughly that of the whole picture, and how rough that is.
_SQUARE = 192
_SQUARES = 9
_SURE = 1.5
# Quick settings: a file that is smaller with them is smaller with better ones too.
_QUICK_EFFORTS = {"webp": 2, "jxl": 3}


@dataclass(frozen=True)
class LosslessFile:
    """What a lossless format would take.

    Attributes:
        format: its name for people.
        bytes: of the whole file.
    """

    format: str
    bytes: int

    @property
    def sentence(self) -> str:
        """What to say of it."""
        return f"A lossless {self.format} takes only {self.bytes:,} bytes, and nothing is lost: use that instead."


def smaller_lossless(picture: Picture, file_bytes: int, cancel: CancelToken | None = None) -> LosslessFile | None:
    """The smaller one of a lossless WebP and a lossless JPEG XL, where it is smaller than a file of `file_bytes`.

    Photos are settled by a sample: at the usual qualities their lossless files are several times as large.

    Raises:
        Cancelled: `cancel` was set.
    """
    cancel = cancel or never_cancelled()
    if _estimate(picture, cancel) > _SURE * file_bytes:
        return None
    found = []
    for codec in _QUICK_EFFORTS:
        cancel.raise_if_cancelled()
        size = _size(picture, codec)
        if size is not None and size < file_bytes:
            found.append(LosslessFile(CODEC_NAMES[codec], size))
    return min(found, key=lambda file: file.bytes, default=None)


def _estimate(picture: Picture, cancel: CancelToken) -> float:
    """Bytes of a lossless WebP, from squares spread over the picture."""
    side = min(_SQUARE, picture.width, picture.height)
    pixels = size = 0
    for number in range(_SQUARES):
        cancel.raise_if_cancelled()
        top = (picture.height - side) * (number // 3) // 2
        left = (picture.width - side) * (number % 3) // 2
        part = slice(top, top + side), slice(left, left + side)
        alpha = None if picture.alpha is None else picture.alpha[part]
        size += _size(Picture(picture.pixels[part], alpha), "webp") or 0
        pixels += side * side
    return size * picture.width * picture.height / pixels


def _size(picture: Picture, codec: str) -> int | None:
    """Bytes of the picture in a lossless format; None where that format cannot hold it."""
    settings = ClassicSettings(codec, lossless=True, effort=_QUICK_EFFORTS[codec])
    try:
        return len(classic_file(Picture(picture.pixels, picture.alpha), settings))
    except (UsageError, PictureError):
        return None  # WebP ends at 16,383 pixels a side
