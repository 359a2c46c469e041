"""Compressing and decoding files: what the command line and batches call for each one."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from engine.colour_profile import to_srgb
from engine.compression.classic import ClassicSettings, encode_classic
from engine.compression.codec import decode, encode
from engine.compression.codec_model import DeviceWish
from engine.compression.container import MAX_PIXELS, Region
from engine.compression.decoding import DamagedTile
from engine.compression.lossless import LosslessFile, smaller_lossless
from engine.compression.preparation import Preparation
from engine.compression.quality_map import QualityMap
from engine.compression.reading import open_compressed
from engine.compression.settings import EncodeSettings
from engine.compression.targeting import encode_to_target
from engine.errors import UsageError
from engine.evaluation.image_quality import ms_ssim, psnr
from engine.evaluation.ssimulacra2 import has_ssimulacra2, ssimulacra2
from engine.files import write_bytes
from engine.image import Picture, flatten, open_picture, save_picture
from engine.progress import CancelToken, ProgressCallback, ignore_progress


@dataclass(frozen=True)
class FileReport:
    """What compressing one file gave.

    Attributes:
        quality: 0..100, given or found for a target.
        ssimulacra2: None where it was not asked for or is not defined.
        lossless: a classic lossless file that would be smaller than this one, or None.
        target_note: where a target was asked for and is not hit, why the file is smaller than allowed or better than
            wished.
    """

    source: Path
    target: Path
    original_bytes: int
    compressed_bytes: int
    width: int
    height: int
    quality: float
    bits_per_pixel: float
    psnr: float
    ms_ssim: float
    ssimulacra2: float | None
    seconds_encode: float
    seconds_decode: float
    notes: tuple[str, ...] = ()
    lossless: LosslessFile | None = None
    target_note: str = ""


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


def compress_file(
    source: Path,
    target: Path,
    settings: EncodeSettings | ClassicSettings = EncodeSettings(),  # noqa: B008 - frozen
    *,
    perceptual: bool = False,
    overwrite: bool = True,
    device: DeviceWish = None,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
    enough: CancelToken | None = None,
    focus: Callable[[Picture], QualityMap] | None = None,
    keep_profile: bool = True,
    preparation: Preparation | None = None,
) -> FileReport:
    """Compress a picture file; the result is decoded once, which checks it and gives the figures, before it is kept.

    Args:
        perceptual: measure SSIMULACRA2 too, which takes nearly as long as encoding.
        enough: once set, refinement (`EncodeSettings.effort`) ends with the best that it has found.
        keep_profile: keep colours that are not sRGB, such as Display P3, and their profile; else they are converted.
        focus: makes the quality map of each photo, instead of that of `settings`.
        preparation: crop and size before; the figures compare with what it gives.

        Our own codec alone looks at `enough`, `focus` and `device`.

    Raises:
        PictureError, LimitError: the source cannot be read.
        OutputError: the target cannot be written.
        UsageError: source and target are the same file.
        TargetNotReached: no quality gives what `settings.target` asks for.
        Cancelled.
    """
    source, target = Path(source), Path(target)
    _refuse_same(source, target)
    picture = open_picture(source, keep_profile=keep_profile)
    if preparation is not None:
        picture = preparation.apply(picture)
    if isinstance(settings, ClassicSettings):
        return _compress_classic(source, target, picture, settings, perceptual, overwrite, progress, cancel)
    started = time.perf_counter()
    if focus is not None:
        settings = replace(settings, quality_map=focus(picture))
    if settings.target is None:
        data, note = encode(picture, settings, device=device, progress=progress, cancel=cancel, enough=enough), ""
    else:
        found = encode_to_target(picture, settings, device=device, progress=progress, cancel=cancel)
        data, note = found.data, found.note
    encoded = time.perf_counter()
    result = decode(data, strict=True, device=device, cancel=cancel)
    decoded = result.picture
    finished = time.perf_counter()
    figures = psnr(picture.pixels, decoded.pixels), ms_ssim(picture.pixels, decoded.pixels)
    visible = None
    if perceptual and has_ssimulacra2(picture.width, picture.height):
        visible = ssimulacra2(picture.pixels, decoded.pixels, cancel=cancel)
    exact = smaller_lossless(picture, len(data), cancel)
    write_bytes(target, data, overwrite=overwrite)
    return FileReport(
        source=source,
        target=target,
        original_bytes=picture.stored_bytes or source.stat().st_size,
        compressed_bytes=len(data),
        width=picture.width,
        height=picture.height,
        quality=result.header.quality,
        bits_per_pixel=8.0 * len(data) / (picture.width * picture.height),
        psnr=figures[0],
        ms_ssim=figures[1],
        ssimulacra2=visible,
        seconds_encode=encoded - started,
        seconds_decode=finished - encoded,
        notes=picture.notes,
        lossless=exact,
        target_note=note,
    )


def _compress_classic(
    source: Path,
    target: Path,
    picture: Picture,
    settings: ClassicSettings,
    perceptual: bool,
    overwrite: bool,
    progress: ProgressCallback,
    cancel: CancelToken | None,
) -> FileReport:
    """The part of `compress_file` after preparation, for a codec that people have already."""
    encoded = encode_classic(picture, settings, progress=progress, cancel=cancel)
    visible = None
    if perceptual and has_ssimulacra2(picture.width, picture.height):
        given = picture if encoded.decoded.profile == picture.profile else to_srgb(picture)
        visible = ssimulacra2(flatten(given), flatten(encoded.decoded), cancel=cancel)
    write_bytes(target, encoded.data, overwrite=overwrite)
    return FileReport(
        source=source,
        target=target,
        original_bytes=picture.stored_bytes or source.stat().st_size,
        compressed_bytes=len(encoded.data),
        width=picture.width,
        height=picture.height,
        quality=encoded.quality,
        bits_per_pixel=encoded.bits_per_pixel,
        psnr=encoded.psnr,
        ms_ssim=encoded.ms_ssim,
        ssimulacra2=visible,
        seconds_encode=encoded.seconds_encode,
        seconds_decode=encoded.seconds_decode,
        notes=picture.notes,
        target_note=encoded.note,
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
    _refuse_same(source, target)
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


def _refuse_same(source: Path, target: Path) -> None:
    if target.exists() and source.exists() and target.samefile(source):
        raise UsageError(f"{source} would be overwritten by its own result.", "Choose another name.")
