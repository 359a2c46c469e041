"""The codecs that people have already as rivals at the same size: the colours alone, without metadata or opacity."""

from __future__ import annotations

from engine.compression.classic import CODEC_NAMES, ClassicSettings, classic_file, classic_file_of_size
from engine.errors import TargetNotReached, UsageError
from engine.image import Picture, open_picture
from engine.progress import CancelToken, never_cancelled

RIVALS = ("jpeg", "webp", "avif", "jxl")
RIVAL_NAMES = {codec: CODEC_NAMES[codec] for codec in RIVALS}


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
    settings = _settings(codec, min(100, max(0, round(quality))), "4:4:4" if tune_psnr else "4:2:0")
    return classic_file(Picture(picture.pixels), settings, tune_psnr=tune_psnr)


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
    if tune_psnr:
        return _tuned_to_size(codec, picture, target_bytes, cancel or never_cancelled())
    settings = _settings(codec, 0, "4:2:0")
    colours = Picture(picture.pixels)
    try:
        return classic_file_of_size(colours, settings, target_bytes, cancel=cancel)
    except TargetNotReached:
        return classic_file(colours, settings)


def _tuned_to_size(codec: str, picture: Picture, target_bytes: int, cancel: CancelToken) -> bytes:
    """By whole numbers of quality: what lies between them turns knobs that this tuning does not have."""
    low, high = 0, 100
    best = encode_rival(codec, picture, low, tune_psnr=True)
    while low < high:
        cancel.raise_if_cancelled()
        middle = (low + high + 1) // 2
        data = encode_rival(codec, picture, middle, tune_psnr=True)
        if len(data) <= target_bytes:
            best, low = data, middle
        else:
            high = middle - 1
    return best


def _settings(codec: str, quality: int, subsampling: str) -> ClassicSettings:
    if codec not in RIVALS:
        raise UsageError(f"There is no codec {codec!r} to compare with.", f"Choose one of {', '.join(RIVALS)}.")
    return ClassicSettings(codec, quality, subsampling=subsampling)
