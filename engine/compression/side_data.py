"""What travels beside the latents: the opacity plane, the EXIF block without its place, the preview."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from engine.colour_profile import describe, display_p3, to_srgb
from engine.compression.byte_source import ByteSource
from engine.compression.container import Header, Region, section_payload
from engine.errors import DamagedFile

if TYPE_CHECKING:
    from engine.image import Picture

_GPS_INFO = 0x8825
_MAKER_NOTE = 0x927C
_EXIF_INFO = 0x8769
_MAX_EXIF = 64 * 1024
_MAX_XMP = 64 * 1024

# The opacity plane is inflated in bands of about so many pixels, from pieces of so many bytes.
_BAND_PIXELS = 2**20
_PIECE_BYTES = 2**16
# Deflate never gives more: 258 bytes for a length and a distance of one bit each.
_MOST_PER_BYTE = 258 * 8 // 2

_PREVIEW_SIDE = 160
_PREVIEW_MIN_PIXELS = 2**20
# A preview may make a file longer by at most this share.
_PREVIEW_SHARE = 0.03


def pack_alpha(alpha: np.ndarray) -> bytes:
    """(H, W) uint8 -> a byte that names the prediction (0 none, 1 left, 2 above), then the differences, deflated."""
    left, above = alpha.copy(), alpha.copy()
    left[:, 1:] -= alpha[:, :-1]
    above[1:] -= alpha[:-1]
    packed = (bytes([kind]) + zlib.compress(plane.tobytes(), 9) for kind, plane in enumerate((alpha, left, above)))
    return min(packed, key=len)


def unpack_alpha(data: bytes, width: int, height: int, region: Region | None = None) -> np.ndarray:
    """The inverse of `pack_alpha`; never inflates more than the picture's size, nor takes memory for a plane that so
    few bytes cannot hold.

    Args:
        data: payload of the section.
        width, height: of the whole picture.
        region: what to return; None is all of it. Rows below it are not inflated.

    Raises:
        DamagedFile: it is no opacity plane of that size.
    """
    region = region or Region(0, 0, width, height)
    prediction = data[0] if data else -1
    if prediction not in (0, 1, 2) or width * region.bottom > _MOST_PER_BYTE * len(data):
        raise _damaged_alpha()
    plane = np.empty((region.height, region.width), dtype=np.uint8)
    above = np.zeros(region.width, dtype=np.uint8)
    top = 0
    for band in _inflated_bands(data, width, height, region.bottom):
        if prediction == 1:
            band = np.cumsum(band[:, : region.right], axis=1, dtype=np.uint8)
        band = band[:, region.x : region.right]
        if prediction == 2:
            band = np.cumsum(band, axis=0, dtype=np.uint8) + above
            above = band[-1]
        first, last = max(region.y, top), min(region.bottom, top + len(band))
        if first < last:
            plane[first - region.y : last - region.y] = band[first - top : last - top]
        top += len(band)
    return plane


def _inflated_bands(data: bytes, width: int, height: int, bottom: int) -> Iterator[np.ndarray]:
    """The differences (rows, width) uint8 of an opacity plane, band by band, down to row `bottom` at least."""
    inflater = zlib.decompressobj()
    position = 1

    def inflate(limit: int) -> bytes:
        """Up to `limit` further bytes; none only at the end of the data."""
        nonlocal position
        while not inflater.eof:
            piece = inflater.unconsumed_tail
            if not piece:
                piece = data[position : position + _PIECE_BYTES]
                position += len(piece)
            raw = inflater.decompress(piece, limit)
            if raw or not piece:
                return raw
        return b""

    rows = max(1, _BAND_PIXELS // width)
    try:
        for top in range(0, bottom, rows):
            wanted = min(rows, height - top) * width
            raw = bytearray()
            while len(raw) < wanted:
                more = inflate(wanted - len(raw))
                if not more:
                    raise _damaged_alpha()
                raw += more
            yield np.frombuffer(raw, dtype=np.uint8).reshape(-1, width)
        if bottom == height and (inflate(1) or not inflater.eof or inflater.unused_data or position != len(data)):
            raise _damaged_alpha()
    except zlib.error as error:
        raise _damaged_alpha() from error


def _damaged_alpha() -> DamagedFile:
    return DamagedFile("The opacity plane is damaged.", "Get the file again.")


def clean_exif(exif: bytes, keep_place: bool = False) -> bytes | None:
    """The EXIF block, without GPS data unless they are to be kept; None where it cannot be read or stays larger than
    the format allows."""
    block = Image.Exif()
    try:
        block.load(exif)
        block.get_ifd(_EXIF_INFO)
        if keep_place:
            block.get_ifd(_GPS_INFO)
        elif _GPS_INFO in block:
            del block[_GPS_INFO]
        cleaned = block.tobytes()
        if len(cleaned) > _MAX_EXIF:
            block.get_ifd(_EXIF_INFO).pop(_MAKER_NOTE, None)
            cleaned = block.tobytes()
    except Exception:  # Pillow raises whatever its parser meets in broken blocks
        return None
    return cleaned if len(cleaned) <= _MAX_EXIF else None


def clean_xmp(packet: bytes, keep_place: bool = False) -> bytes | None:
    """The XMP packet, without GPS properties unless they are to be kept; None where it cannot be read or is larger than
    the format allows."""
    if b"<!" in packet:  # entities and document types: XMP has none, attacks do
        return None
    try:
        root = ElementTree.fromstring(packet.strip(b"\0 \n\r\t"))  # noqa: S314 - nothing but elements is left
    except (ElementTree.ParseError, ValueError, LookupError):
        return None
    if not keep_place:
        for element in list(root.iter()):
            for name in [name for name in element.attrib if _is_place(name)]:
                del element.attrib[name]
            for child in [child for child in element if _is_place(child.tag)]:
                element.remove(child)
    cleaned = ElementTree.tostring(root, encoding="utf-8")
    return cleaned if len(cleaned) <= _MAX_XMP else None


def _is_place(name: str) -> bool:
    space, _, local = name.rpartition("}")
    return "exif" in space and local.startswith("GPS")


def profile_of(data: bytes | ByteSource, header: Header) -> bytes | None:
    """The ICC profile of a file's pixels; None for sRGB, and for a profile that no program could use."""
    if header.display_p3:
        return display_p3()
    profile = section_payload(data, header, "iccp")
    return profile if profile is not None and describe(profile) is not None else None


def make_preview(picture: Picture, file_bytes: int) -> bytes | None:
    """A small WebP picture in sRGB for a file of `file_bytes`; None for small pictures and where it would weigh too
    much."""
    pixels = picture.pixels
    if pixels.shape[0] * pixels.shape[1] < _PREVIEW_MIN_PIXELS:
        return None
    # Every n-th pixel is enough to shrink by n/2 first: the thumbnail filter then works on few pixels.
    step = max(1, max(pixels.shape[:2]) // (4 * _PREVIEW_SIDE))
    few = replace(picture, pixels=np.ascontiguousarray(pixels[::step, ::step]))
    small = Image.fromarray(to_srgb(few).pixels)
    small.thumbnail((_PREVIEW_SIDE, _PREVIEW_SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "WEBP", quality=30, method=4)
    return buffer.getvalue() if buffer.tell() <= _PREVIEW_SHARE * file_bytes else None


def open_preview(preview: bytes | None) -> np.ndarray | None:
    """The preview's pixels (h, w, 3), or None where there is none or it cannot be read."""
    if preview is None:
        return None
    try:
        with Image.open(io.BytesIO(preview), formats=("WEBP", "JPEG")) as image:
            if max(image.size) > 1024:
                return None
            return np.asarray(image.convert("RGB"))
    except Exception:  # any fault of a decoder means: no preview
        return None
