"""Colour profiles of pictures that are not sRGB: telling them apart, writing Display P3, converting for a screen."""

from __future__ import annotations

import io
import struct
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageCms

if TYPE_CHECKING:
    from engine.image import Picture

# Display P3 in the connection space of ICC (D50), columns X Y Z of red, green and blue: SMPTE RP 431-2 primaries, D65,
# adapted by Bradford; and the curve of sRGB as ICC's parametric type 3.
_P3_PRIMARIES = ((0.515102, 0.241182, -0.001050), (0.291965, 0.692236, 0.041882), (0.157153, 0.066582, 0.784378))
_D50 = (0.9642, 1.0, 0.8249)
_SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
_P3_TITLE = "Display P3"


def is_srgb(title: str) -> bool:
    """Whether a profile of that description is sRGB."""
    return title.lower().startswith(("srgb", "iec 61966-2", "iec61966-2"))


def is_display_p3(profile: bytes) -> bool:
    """Whether the profile is Display P3, by its description."""
    return (describe(profile) or "").lower().startswith("display p3")


def describe(profile: bytes) -> str | None:
    """What an RGB profile calls itself; None where it is damaged or of another kind than RGB."""
    try:
        core: Any = ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile
        if core.xcolor_space.strip() != "RGB":
            return None
        return (core.profile_description or "").strip() or "unnamed profile"
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


@cache
def display_p3() -> bytes:
    """An ICC profile (version 4) of Display P3."""

    def fixed(*values: float) -> bytes:
        return b"".join(struct.pack(">i", round(value * 65536)) for value in values)

    def text(value: str) -> bytes:
        encoded = value.encode("utf-16-be")
        return b"mluc" + struct.pack(">IIIHHII", 0, 1, 12, 0x656E, 0x5553, len(encoded), 28) + encoded

    curve = b"para" + struct.pack(">IHH", 0, 3, 0) + fixed(*_SRGB_CURVE)
    tags = {
        b"desc": text(_P3_TITLE),
        b"cprt": text("CC0"),
        b"wtpt": b"XYZ " + bytes(4) + fixed(*_D50),
        **{
            name: b"XYZ " + bytes(4) + fixed(*primary)
            for name, primary in zip((b"rXYZ", b"gXYZ", b"bXYZ"), _P3_PRIMARIES, strict=True)
        },
        b"rTRC": curve,
        b"gTRC": curve,
        b"bTRC": curve,
    }
    offset = 128 + 4 + 12 * len(tags)
    places: dict[bytes, int] = {}
    table, body = b"", b""
    for name, content in tags.items():
        if content not in places:  # the three curves are one
            places[content] = offset + len(body)
            body += content + bytes(-len(content) % 4)
        table += name + struct.pack(">II", places[content], len(content))
    head = struct.pack(
        ">I4sI4s4s4s6H4s4sI4s4sQI12s4s",
        offset + len(body), bytes(4), 0x04200000, b"mntr", b"RGB ", b"XYZ ", 2024, 1, 1, 0, 0, 0, b"acsp", bytes(4), 0,
        bytes(4), bytes(4), 0, 0, fixed(*_D50), bytes(4),
    ) + bytes(44)  # fmt: skip
    return head + struct.pack(">I", len(tags)) + table + body


def to_srgb(picture: Picture) -> Picture:
    """The picture in sRGB, for screens and for whatever knows nothing of profiles; itself where it is sRGB already."""
    from dataclasses import replace

    if picture.profile is None:
        return picture
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(picture.profile))
        converted = np.array(through_profile(Image.fromarray(picture.pixels), profile))
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return replace(picture, profile=None, notes=(*picture.notes, "damaged colour profile ignored"))
    return replace(picture, pixels=converted, profile=None)


def through_profile(image: Image.Image, profile: ImageCms.ImageCmsProfile) -> Image.Image:
    """An image in sRGB: relative colorimetric, black point compensated."""
    converted = ImageCms.profileToProfile(
        image,
        profile,
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    assert converted is not None  # only None when converting in place
    return converted
