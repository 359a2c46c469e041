"""One file of a batch, from the original to the result or the copy beside it, checked and written whole."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image

from engine.batch.focus import focus_maker
from engine.batch.plan import Task
from engine.batch.reports import FileResult
from engine.batch.settings import OURS, BatchSettings
from engine.colour_profile import to_srgb
from engine.compression.classic import encode_classic
from engine.compression.codec_model import open_codec
from engine.compression.encoded import Encoded
from engine.compression.files import compress_opened
from engine.compression.lossless import smaller_lossless
from engine.compression.quality_map import QualityMap
from engine.device import choose_device
from engine.errors import OutputError, PictureError
from engine.evaluation.ssimulacra2 import has_ssimulacra2, ssimulacra2
from engine.files import write_bytes
from engine.image import Picture, flatten, open_picture
from engine.progress import CancelToken, ProgressCallback, ignore_progress

_GPS_INFO = 0x8825


class FileWorker:
    """Does tasks one after the other, with the model loaded once.

    Args:
        settings: of the batch.
        device: what `choose_device` takes; for several workers on a machine with several GPUs one of them each.
        threads: CPU threads; None leaves them as they are.
        number: of this worker, from 0.

    Raises:
        UsageError, ModelError, DeviceError: the settings name a model, mask or device that is not there.
    """

    def __init__(
        self, settings: BatchSettings, device: str | None = None, threads: int | None = None, number: int = 0
    ) -> None:
        self._settings = settings
        self._device = choose_device(_share(device, number), threads)
        self._focus: Callable[[Picture], QualityMap] | None = None
        if settings.format == OURS:
            open_codec(settings.model, self._device)
        else:
            settings.classic_settings()  # what it does not know is told before the first file
        if settings.focus is not None:
            self._focus = focus_maker(settings.focus, settings.drop, self._device)

    def run(
        self, task: Task, progress: ProgressCallback = ignore_progress, cancel: CancelToken | None = None
    ) -> FileResult:
        """Do one task. The original is only read; the result appears whole or not at all.

        Raises:
            PictureError, LimitError: the original cannot be read, or changed meanwhile.
            OutputError: the result cannot be written.
            TargetNotReached: no quality gives what the settings ask for.
            Cancelled.
        """
        settings = self._settings
        for path in {task.target, task.copy} - {task.source}:
            if path.exists() and not task.replace:
                raise OutputError(f"{path} exists already.", "Use --overwrite to replace it, or choose another folder.")
        stamp = _stamp(task.source)
        picture = open_picture(task.source, keep_profile=settings.keep_profile)
        if settings.preparation is not None:
            picture = settings.preparation.apply(picture)
        encoded = self._encode(picture, progress, cancel)
        remark = encoded.note
        now = _stamp(task.source)
        if now is None:
            remark = " ".join(filter(None, (remark, "The original was removed while it was compressed.")))
        elif stamp is None or now != stamp:
            raise PictureError(f"{task.source} changed while it was compressed.", "Retry it once it rests.")
        before, after = picture.stored_bytes or 0, len(encoded.data)
        result = FileResult(
            target=task.target,
            copied=False,
            before=before,
            after=after,
            modified_ns=0 if stamp is None else stamp[1],
            width=picture.width,
            height=picture.height,
            quality=encoded.quality,
            bits_per_pixel=encoded.bits_per_pixel,
            psnr=encoded.psnr,
            ms_ssim=encoded.ms_ssim,
            seconds_encode=encoded.seconds_encode,
            seconds_decode=encoded.seconds_decode,
            notes=picture.notes,
            remark=remark,
        )
        if now is not None and settings.skip_gain is not None and after > before * (1 - settings.skip_gain / 100):
            return self._keep_original(task, picture, result, now)
        if settings.perceptual and has_ssimulacra2(picture.width, picture.height):
            given = picture if encoded.decoded.profile == picture.profile else to_srgb(picture)
            seen = ssimulacra2(flatten(given), flatten(encoded.decoded), cancel=cancel)
            result = replace(result, ssimulacra2=seen)
        if settings.format == OURS:
            exact = smaller_lossless(picture, after, cancel)
            result = replace(result, lossless=None if exact is None else (exact.format, exact.bytes))
        self._write(task.target, encoded.data, task)
        return result

    def _encode(self, picture: Picture, progress: ProgressCallback, cancel: CancelToken | None) -> Encoded:
        settings = self._settings
        if settings.format != OURS:
            return encode_classic(picture, settings.classic_settings(), progress=progress, cancel=cancel)
        wishes = settings.encode_settings()
        if self._focus is not None:
            wishes = replace(wishes, quality_map=self._focus(picture))
        return compress_opened(picture, wishes, device=self._device, progress=progress, cancel=cancel)

    def _keep_original(self, task: Task, picture: Picture, result: FileResult, stamp: tuple[int, int]) -> FileResult:
        """Copy the original, byte for byte, to where the result would have gone."""
        percent = 100 * (1 - result.after / result.before) if result.before else 0.0
        change = f"only {percent:.1f} % smaller" if percent > 0 else "no smaller"
        remark = f"The original was kept, as the result would be {change}."
        if _tells_more(picture, self._settings):
            remark += " Its metadata is in it."
        if task.copy != task.source:
            try:
                data = task.source.read_bytes()
            except OSError as error:
                raise PictureError(f"{task.source} cannot be read again: {error.strerror or error}.") from error
            if _stamp(task.source) != stamp:
                raise PictureError(f"{task.source} changed while it was compressed.", "Retry it once it rests.")
            self._write(task.copy, data, task)
        return replace(
            result, target=task.copy, copied=True, after=result.before, psnr=float("inf"), ms_ssim=1.0, remark=remark,
            bits_per_pixel=8.0 * result.before / (result.width * result.height),
        )  # fmt: skip

    def _write(self, target: Path, data: bytes, task: Task) -> None:
        folder = self._settings.folder
        if folder is not None and not folder.is_dir():
            # Made once, when the batch began: a disk that was taken away must not be replaced by a folder of its name.
            raise OutputError(f"The folder {folder} is not there any more.", "Bring its disk back, then retry.")
        if target.exists() and task.source.exists() and target.samefile(task.source):
            raise OutputError(f"{task.source} would be overwritten by its own result.", "Choose another folder.")
        write_bytes(target, data, overwrite=task.replace)


def _stamp(path: Path) -> tuple[int, int] | None:
    """Bytes and time of the last change in nanoseconds; None where the file is not there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def _tells_more(picture: Picture, settings: BatchSettings) -> bool:
    """Whether the original holds metadata that the settings leave out of results."""
    if not settings.keep_metadata:
        return picture.exif is not None or picture.xmp is not None
    if settings.keep_place:
        return False
    block = Image.Exif()
    try:
        block.load(picture.exif or b"")
    except Exception:  # Pillow raises whatever its parser meets in broken blocks
        return True
    return _GPS_INFO in block or b"GPS" in (picture.xmp or b"")


def _share(device: str | None, number: int) -> str | None:
    """One of several GPUs for each worker, in turn."""
    wish = device or os.environ.get("LATENT_STUDIO_DEVICE") or "auto"
    if wish in ("auto", "cuda") and torch.cuda.device_count() > 1:
        return f"cuda:{number % torch.cuda.device_count()}"
    return device
