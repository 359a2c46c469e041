"""The formats that people have already, as a batch calls them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from engine.batch.settings import FORMAT_NAMES, LOSSLESS_FORMATS, BatchSettings
from engine.compression.rivals import decode_rival, encode_rival
from engine.compression.session import Encoded
from engine.compression.settings import Target
from engine.errors import TargetNotReached
from engine.evaluation.image_quality import ms_ssim, psnr
from engine.image import Picture, encode_png
from engine.progress import CancelToken, Progress, ProgressCallback, never_cancelled


def encode_classic(
    picture: Picture, settings: BatchSettings, *, progress: ProgressCallback, cancel: CancelToken | None
) -> Encoded:
    """Compress a picture in the format of `settings`, decode and judge it.

    Raises:
        UsageError: the format is not in this installation.
        PictureError: it cannot hold the picture.
        TargetNotReached: no quality gives what the settings ask for.
        Cancelled.
    """
    cancel = cancel or never_cancelled()
    cancel.raise_if_cancelled()
    started = time.perf_counter()
    quality = settings.quality
    if settings.format in LOSSLESS_FORMATS:
        data, quality = encode_png(picture.pixels, exif=picture.exif if settings.keep_metadata else None), 100.0
    elif settings.target is None:
        data = encode_rival(settings.format, picture, quality)
    else:
        data, quality = _search(picture, settings.format, settings.target, cancel)
    encoded = time.perf_counter()
    progress(Progress(8, 10))
    decoded = decode_rival(data)
    finished = time.perf_counter()
    figures = psnr(picture.pixels, decoded.pixels), ms_ssim(picture.pixels, decoded.pixels)
    rate = 8.0 * len(data) / (picture.width * picture.height)
    return Encoded(data, decoded, quality, encoded - started, finished - encoded, *figures, rate)


def _search(picture: Picture, codec: str, target: Target, cancel: CancelToken) -> tuple[bytes, float]:
    """The best file that is not too large, or the smallest that is not too poor, by halving whole qualities."""
    most = target.most_bytes(picture.width, picture.height)
    found: dict[int, tuple[bytes, float]] = {}

    def trial(quality: int) -> float:
        """How far a file is beyond the wish: above 0 it is larger, or better, than asked for."""
        cancel.raise_if_cancelled()
        data = encode_rival(codec, picture, quality)
        if most is not None:
            value, excess = float(len(data)), len(data) - most
        else:
            measure: Callable[..., float] = psnr if target.kind == "psnr" else ms_ssim
            value = measure(picture.pixels, decode_rival(data).pixels)
            excess = value - target.value
        found[quality] = data, value
        return excess

    low, high = 0, 100
    while low < high:
        middle = (low + high + (1 if most is not None else 0)) // 2
        excess = trial(middle)
        if most is not None:
            low, high = (middle, high) if excess <= 0 else (low, middle - 1)
        else:
            low, high = (low, middle) if excess >= 0 else (middle + 1, high)
    excess = trial(low)
    data, value = found[low]
    if (excess > 0) if most is not None else (excess < 0):
        unit = {"size": "bytes", "bpp": "bits per pixel", "psnr": "dB", "ms-ssim": "MS-SSIM"}[target.kind]
        nearest = 8 * value / (picture.width * picture.height) if target.kind == "bpp" else value
        shown = math.ceil(nearest) if target.kind == "size" else round(nearest, 4)
        raise TargetNotReached(
            f"The nearest that {FORMAT_NAMES[codec]} can do is {shown:,} {unit}; {target.value:g} were asked for.",
            "Ask for that, or choose another format.",
            nearest,
        )
    return data, float(low)
