"""The codecs that people have already, behind one call: JPEG, WebP, AVIF and JPEG XL."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from engine.errors import PictureError, UsageError
from engine.image import Picture, open_picture
from engine.progress import CancelToken, never_cancelled

RIVALS = ("jpeg", "webp", "avif", "jxl")
RIVAL_NAMES = {"jpeg": "JPEG", "webp": "WebP", "avif": "AVIF", "jxl": "JPEG XL"}
_MAX_SIDE = {"jpeg": 65_500, "webp": 16_383, "avif": 65_535, "jxl": 65_535}


def encode_rival(codec: str, picture: Picture, quality: float, *, tune_psnr: bool = False) -> bytes:
    """Compress the colours of a picture, without metadata.

    Args:
        codec: one of `RIVALS`, with the settings that a careful user takes: JPEG progressive with optimised tables,
            WebP method 6, AVIF speed 6, JPEG XL effort 7.
        quality: 0..100 on that codec's own scale, rounded to a whole number.
        tune_psnr: AVIF only: 4:4:4 and tuned for PSNR instead of the default 4:2:0 tuned for the eye.

    Raises:
        UsageError: an unknown codec, or one that is not in this installation.
        PictureError: the codec cannot hold the picture.
    """
    if codec not in RIVALS:
        raise UsageError(f"There is no codec {codec!r} to compare with.", f"Choose one of {', '.join(RIVALS)}.")
    if max(picture.width, picture.height) > _MAX_SIDE[codec]:
        raise PictureError(
            f"{RIVAL_NAMES[codec]} holds at most {_MAX_SIDE[codec]} pixels a side.", "Shrink the picture."
        )
    level = int(np.clip(round(quality), 0, 100))
    image = Image.fromarray(picture.pixels)
    buffer = io.BytesIO()
    try:
        if codec == "jpeg":
            image.save(buffer, "JPEG", quality=max(1, level), progressive=True, optimize=True)
        elif codec == "webp":
            image.save(buffer, "WEBP", quality=level, method=6)
        elif codec == "avif":
            extra = {"subsampling": "4:4:4", "advanced": {"tune": "psnr"}} if tune_psnr else {}
            image.save(buffer, "AVIF", quality=level, speed=6, **extra)
        else:
            import pillow_jxl  # noqa: F401 - registers the format

            image.save(buffer, "JXL", quality=level, effort=7, lossless=False)
    except (ImportError, KeyError) as error:
        raise UsageError(
            f"{RIVAL_NAMES[codec]} is not in this installation.", "Install the missing package."
        ) from error
    except (OSError, ValueError, RuntimeError) as error:
        raise PictureError(f"{RIVAL_NAMES[codec]} could not compress the picture ({error}).") from error
    return buffer.getvalue()


def decode_rival(data: bytes) -> Picture:
    """The picture in the bytes of any common format. Raises `PictureError`."""
    return open_picture(data)


def encode_rival_to_size(
    codec: str,
    picture: Picture,
    target_bytes: int,
    *,
    tune_psnr: bool = False,
    cancel: CancelToken | None = None,
) -> bytes:
    """The best file of a rival that is not larger than `target_bytes`; its smallest one where none is small enough.

    Args:
        tune_psnr: as `encode_rival`.

    Raises:
        UsageError, PictureError: as `encode_rival`.
        Cancelled: `cancel` was set.
    """
    cancel = cancel or never_cancelled()
    low, high = 0, 100
    best = encode_rival(codec, picture, low, tune_psnr=tune_psnr)
    while low < high:
        cancel.raise_if_cancelled()
        middle = (low + high + 1) // 2
        data = encode_rival(codec, picture, middle, tune_psnr=tune_psnr)
        if len(data) <= target_bytes:
            best, low = data, middle
        else:
            high = middle - 1
    return best
