"""Compressing opened pictures and decoding files: what the command line and batches call for each one."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from engine.compression.codec import decode, encode
from engine.compression.codec_model import DeviceWish
from engine.compression.container import MAX_PIXELS, Region
from engine.compression.decoding import DamagedTile
from engine.compression.encoded import Encoded
from engine.compression.reading import open_compressed
from engine.compression.settings import EncodeSettings
from engine.compression.targeting import encode_to_target
from engine.errors import UsageError
from engine.evaluation.image_quality import ms_ssim, psnr
from engine.image import Picture, save_picture
from engine.progress import CancelToken, ProgressCallback, ignore_progress


@dataclass(frozen=True)
class DecodedFileReport:
    """What decoding one file gave: width and height of what was written, a region or all; `damaged_tiles` and `notes`
    are empty for an intact file.
    """

    source: Path
    target: Path
    compressed_bytes: int
    width: int
    height: int
    seconds_decode: float
    damaged_tiles: tuple[DamagedTile, ...] = ()
    notes: tuple[str, ...] = ()


def compress_opened(
    picture: Picture,
    settings: EncodeSettings = EncodeSettings(),  # noqa: B008 - frozen
    *,
    device: DeviceWish = None,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
    enough: CancelToken | None = None,
) -> Encoded:
    """Compress a picture in memory, at a quality or to a target, and decode and judge what came of it.

    Args:
        enough: once set, refinement (`EncodeSettings.effort`) ends with the best that it has found.

    Raises:
        TargetNotReached: no quality gives what `settings.target` asks for.
        Cancelled.
    """
    started = time.perf_counter()
    if settings.target is None:
        data, note = encode(picture, settings, device=device, progress=progress, cancel=cancel, enough=enough), ""
    else:
        found = encode_to_target(picture, settings, device=device, progress=progress, cancel=cancel)
        data, note = found.data, found.note
    encoded = time.perf_counter()
    result = decode(data, strict=True, device=device, cancel=cancel)
    finished = time.perf_counter()
    restored = result.picture
    return Encoded(
        data=data,
        decoded=restored,
        quality=result.header.quality,
        seconds_encode=encoded - started,
        seconds_decode=finished - encoded,
        psnr=psnr(picture.pixels, restored.pixels),
        ms_ssim=ms_ssim(picture.pixels, restored.pixels),
        bits_per_pixel=8.0 * len(data) / (picture.width * picture.height),
        note=note,
    )


def decode_file(
    source: Path,
    target: Path,
    *,
    region: Region | None = None,
    strict: bool = False,
    overwrite: bool = True,
    device: DeviceWish = None,
    max_pixels: int = MAX_PIXELS,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> DecodedFileReport:
    """Decode an .lsi file, or a region of it, to a picture file whose format its suffix names.

    Of the source only what that takes is read.

    Raises:
        UsageError: the region does not lie in the picture, or source and target are the same file.
        CodecError: it cannot be decoded, or is damaged and `strict` is set.
        PictureError, OutputError: a file cannot be read or written.
        Cancelled.
    """
    source, target = Path(source), Path(target)
    if target.exists() and source.exists() and target.samefile(source):
        raise UsageError(f"{source} would be overwritten by its own result.", "Choose another name.")
    started = time.perf_counter()
    with open_compressed(source) as data:
        result = decode(
            data, region=region, strict=strict, device=device, max_pixels=max_pixels, progress=progress, cancel=cancel
        )
    seconds = time.perf_counter() - started
    save_picture(result.picture, target, overwrite=overwrite)
    return DecodedFileReport(
        source, target, data.size, result.picture.width, result.picture.height, seconds,
        result.damaged_tiles, result.picture.notes,
    )  # fmt: skip
