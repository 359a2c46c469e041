"""Preparation: what is cut out of a picture, and to what size it is brought, before it is compressed."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from engine.compression.container import Region
from engine.errors import UsageError
from engine.image import MAX_SIDE, Picture, check_size

RESAMPLINGS = {
    "lanczos": Image.Resampling.LANCZOS,
    "bicubic": Image.Resampling.BICUBIC,
    "box": Image.Resampling.BOX,
    "nearest": Image.Resampling.NEAREST,
}
_SIZE_TAGS = {0x0100: "width", 0x0101: "height", 0xA002: "width", 0xA003: "height"}
_EXIF_INFO, _THUMBNAIL_START, _THUMBNAIL_LENGTH = 0x8769, 0x0201, 0x0202


@dataclass(frozen=True)
class Preparation:
    """Crop first, then a size; at most one wish for the size.

    Attributes:
        crop: in pixels of the upright picture; None is all of it.
        width, height: in pixels, 1..65,535. Where only one is given, the other follows the aspect; where both are, the
            picture is stretched to them.
        resample: "lanczos" (sharpest), "bicubic", "box" (the mean of what a pixel covers) or "nearest" (no new values).
        longest: the longer side gets at most so many pixels; smaller pictures stay as they are.
        percent: of either side; 100 changes nothing.

    Raises:
        UsageError: a value is out of range, or two wishes exclude one another.
    """

    crop: Region | None = None
    width: int | None = None
    height: int | None = None
    resample: str = "lanczos"
    longest: int | None = None
    percent: float | None = None

    def __post_init__(self) -> None:
        if self.resample not in RESAMPLINGS:
            raise UsageError(f"There is no filter {self.resample!r}.", f"Use one of {', '.join(RESAMPLINGS)}.")
        for name in ("width", "height", "longest"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, int) and 1 <= value <= MAX_SIDE):
                raise UsageError(f"The wished {name} is {value}.", f"Use a whole number from 1 to {MAX_SIDE}.")
        if self.percent is not None and not (math.isfinite(self.percent) and 0 < self.percent <= 10_000):
            raise UsageError(f"The wished size is {self.percent:g} %.", "Use a number above 0, up to 10000.")
        sides = self.width is not None or self.height is not None
        if sum((sides, self.longest is not None, self.percent is not None)) > 1:
            raise UsageError("Two sizes are wished for.", "Give the sides, or the longest one, or a percentage.")

    def result_size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of what a picture of that size becomes.

        Raises:
            UsageError: the crop does not lie in the picture.
            LimitError: the result is larger than the program agrees to take into memory.
        """
        if self.crop is not None:
            self.crop.check_inside(width, height)
            width, height = self.crop.width, self.crop.height
        if self.width is not None or self.height is not None:
            wide = self.width or _follow(self.height or 1, width, height)
            high = self.height or _follow(self.width or 1, height, width)
        elif self.longest is not None and max(width, height) > self.longest:
            wide = self.longest if width >= height else _follow(self.longest, width, height)
            high = self.longest if height >= width else _follow(self.longest, height, width)
        elif self.percent is not None:
            wide, high = (max(1, round(side * self.percent / 100)) for side in (width, height))
        else:
            wide, high = width, height
        check_size(wide, high, "The wished picture")
        return wide, high

    def apply(self, picture: Picture) -> Picture:
        """The picture cropped and resized; profile and metadata stay, sizes in the EXIF block follow, the small preview
        in it, which shows what was cut away, goes.

        Raises:
            UsageError, LimitError: as `result_size`.
        """
        size = self.result_size(picture.width, picture.height)
        pixels, alpha = picture.pixels, picture.alpha
        if self.crop is not None:
            box = slice(self.crop.y, self.crop.bottom), slice(self.crop.x, self.crop.right)
            pixels = np.ascontiguousarray(pixels[box])
            alpha = None if alpha is None else np.ascontiguousarray(alpha[box])
        if size != (pixels.shape[1], pixels.shape[0]):
            pixels, alpha = _resized(pixels, alpha, size, RESAMPLINGS[self.resample])
        elif pixels.shape == picture.pixels.shape:
            return picture
        if alpha is not None and alpha.min() == 255:
            alpha = None
        exif = None if picture.exif is None else _with_size(picture.exif, *size)
        return replace(picture, pixels=pixels, alpha=alpha, exif=exif)


def parse_resize(text: str, *, crop: Region | None = None, resample: str = "lanczos") -> Preparation:
    """A wish such as "1600x", "x1200", "1600x1200", "50%" or "2048" (the longest side) with a crop and a filter.

    Raises:
        UsageError: the text is no size.
    """
    text = text.strip().lower()
    sides = re.fullmatch(r"(\d*)x(\d*)", text)
    if sides and (sides[1] or sides[2]):
        return Preparation(crop, *(int(side) if side else None for side in sides.groups()), resample=resample)
    if text.isdecimal():
        return Preparation(crop, longest=int(text), resample=resample)
    share = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", text)
    if share is None:
        raise UsageError(
            f"{text!r} is no size.", "Write 1600x, x1200, 1600x1200, 50%, or 2048 for the longest side."
        )  # fmt: skip
    return Preparation(crop, percent=float(share[1]), resample=resample)


def _follow(side: int, other: int, given: int) -> int:
    """The side that keeps the aspect: `side` belongs to `given`, the result to `other`."""
    return max(1, round(side * other / given))


def _resized(
    pixels: np.ndarray, alpha: np.ndarray | None, size: tuple[int, int], kind: Image.Resampling
) -> tuple[np.ndarray, np.ndarray | None]:
    """Colours (H, W, 3) and opacity (H, W) uint8 in another size (width, height).

    Reduced, values are mixed as light: a chessboard of black and white becomes the grey that it looks like from afar
    (188), where mixing the numbers makes it too dark (128), as foliage, gravel and lettering become. Enlarged, numbers
    are mixed: what Lanczos and bicubic add along edges would be drawn far too strong into dark areas if it were light.
    Profiles of photos have a curve so like that of sRGB that it serves for all. Colours count by their opacity, so that
    what is transparent leaves no fringe.
    """
    if kind == Image.Resampling.NEAREST:
        colours = np.asarray(Image.fromarray(pixels).resize(size, kind))
        opacity = None if alpha is None else np.asarray(Image.fromarray(alpha).resize(size, kind))
        return colours.copy(), None if opacity is None else opacity.copy()
    reduced = size[0] * size[1] < pixels.shape[0] * pixels.shape[1]
    levels = np.arange(256) / 255
    table = (_light(levels) if reduced else levels).astype(np.float32)

    def scaled(plane: np.ndarray) -> np.ndarray:
        return np.asarray(Image.fromarray(plane).resize(size, kind))

    weights = None if alpha is None else alpha.astype(np.float32) / 255
    opacity = None if weights is None else scaled(weights)
    result = np.empty((size[1], size[0], 3), dtype=np.uint8)
    for channel in range(3):  # one at a time: floating point takes four times the memory
        plane = table[pixels[..., channel]]
        mixed = scaled(plane if weights is None else plane * weights)
        if opacity is not None:  # before it is cut to 0..1: the colours go beyond in the same way
            mixed = np.divide(mixed, opacity, out=np.zeros_like(mixed), where=opacity > 1 / 1024)
        values = _number(mixed) if reduced else mixed
        result[..., channel] = np.round(255 * np.clip(values, 0, 1))
    return result, None if opacity is None else np.round(255 * np.clip(opacity, 0, 1)).astype(np.uint8)


def _light(values: np.ndarray) -> np.ndarray:
    """Numbers 0..1 of sRGB -> light 0..1 (IEC 61966-2-1)."""
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def _number(light: np.ndarray) -> np.ndarray:
    """The inverse of `_light`; what lies outside 0..1 is cut."""
    light = np.clip(light, 0, 1)
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


def _with_size(block: bytes, width: int, height: int) -> bytes:
    """An EXIF block whose size tags say that size, its preview blanked.

    Patched in place, since writing the block anew would lose the makers' notes; a block that cannot be read stays.
    """
    start = 6 if block.startswith(b"Exif\x00\x00") else 0
    order = {b"II": "<", b"MM": ">"}.get(block[start : start + 2])
    if order is None:
        return block
    patched = bytearray(block)
    sizes = {"width": width, "height": height}
    try:
        first = struct.unpack_from(f"{order}I", block, start + 4)[0]
        info = 0
        for tag, kind, place in _entries(block, start, first, order):
            if tag in _SIZE_TAGS:
                _patch(patched, kind, place, order, sizes[_SIZE_TAGS[tag]])
            elif tag == _EXIF_INFO:
                info = struct.unpack_from(f"{order}I", block, place)[0]
        if info:
            for tag, kind, place in _entries(block, start, info, order):
                if tag in _SIZE_TAGS:
                    _patch(patched, kind, place, order, sizes[_SIZE_TAGS[tag]])
        link = start + first + 2 + 12 * struct.unpack_from(f"{order}H", block, start + first)[0]
        second = struct.unpack_from(f"{order}I", block, link)[0]
        if second:
            preview = {
                tag: struct.unpack_from(f"{order}I", block, place)[0]
                for tag, _, place in _entries(block, start, second, order)
            }
            begin = start + preview.get(_THUMBNAIL_START, len(block))
            end = min(len(block), begin + preview.get(_THUMBNAIL_LENGTH, 0))
            if begin < end:
                patched[begin:end] = bytes(end - begin)
            struct.pack_into(f"{order}I", patched, link, 0)
    except struct.error:
        return bytes(patched)
    return bytes(patched)


def _entries(block: bytes, start: int, directory: int, order: str) -> Iterator[tuple[int, int, int]]:
    """Tag, kind and place of the value of each entry of a directory of an EXIF block."""
    begin = start + directory
    for entry in range(struct.unpack_from(f"{order}H", block, begin)[0]):
        position = begin + 2 + 12 * entry
        tag, kind = struct.unpack_from(f"{order}HH", block, position)
        yield tag, kind, position + 8


def _patch(block: bytearray, kind: int, place: int, order: str, value: int) -> None:
    """Write a whole number of kind SHORT or LONG in its place."""
    if kind in (3, 4):
        struct.pack_into(f"{order}{'H' if kind == 3 else 'I'}", block, place, value)
