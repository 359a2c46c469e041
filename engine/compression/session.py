"""PhotoSession: one photo, compressed again and again while a quality slider moves."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from engine.compression.codec import analyse, decode, encode_latents
from engine.compression.codec_model import DeviceWish, open_codec
from engine.compression.container import check_size
from engine.compression.decoding import Decoded, Window
from engine.compression.settings import EncodeSettings
from engine.evaluation.image_quality import ms_ssim, psnr
from engine.image import Picture
from engine.progress import CancelToken, Progress, ProgressCallback, ignore_progress, never_cancelled

# Latents take 4 bytes a pixel; beyond this the analysis runs again each time instead of being kept.
_KEPT_PIXELS = 2**25


@dataclass(frozen=True)
class Encoded:
    """A photo at one quality: the file, what it decodes to, and what that cost.

    Attributes:
        data: the .lsi file.
        decoded: the picture that this very file decodes to.
        seconds_encode: the analysis included, also where it was done for an earlier quality.
        seconds_decode: of the whole decoding.
        psnr: dB; infinite where nothing changed.
        ms_ssim: 0..1.
        bits_per_pixel: of the whole file.
    """

    data: bytes
    decoded: Picture
    seconds_encode: float
    seconds_decode: float
    psnr: float
    ms_ssim: float
    bits_per_pixel: float


class PhotoSession:
    """Keeps what does not depend on the quality, so that moving the slider costs half of an encoding.

    Args:
        picture: the photo.
        model: registry name or path of a codec; None is the default one.
        device: where the transforms run.
    """

    def __init__(self, picture: Picture, model: str | Path | None = None, device: DeviceWish = None) -> None:
        check_size(picture.width, picture.height)
        self.picture = picture
        self._device = device
        self._codec = open_codec(model, device)
        self._kept: list[tuple[Window, Tensor]] | None = None
        self._seconds_analysis = 0.0

    def encode(
        self,
        quality: float,
        *,
        progress: ProgressCallback = ignore_progress,
        cancel: CancelToken | None = None,
        keep_metadata: bool = True,
    ) -> Encoded:
        """Compress at a quality of 0..100, decode the result and measure it.

        Raises:
            UsageError: the quality is out of range.
            Cancelled: `cancel` was set.
        """
        cancel = cancel or never_cancelled()
        settings = EncodeSettings(quality=quality, keep_metadata=keep_metadata)

        def part(first: float, share: float) -> ProgressCallback:
            def report(step: Progress) -> None:
                progress(replace(step, done=round(1000 * (first + share * step.fraction)), total=1000))

            return report

        analysed = self._analysed(cancel)
        started = time.perf_counter()
        data = encode_latents(self._codec, self.picture, settings, analysed, part(0.0, 0.5), cancel)
        encoded = time.perf_counter()
        result: Decoded = decode(data, device=self._device, progress=part(0.5, 0.45), cancel=cancel)
        decoded = time.perf_counter()
        cancel.raise_if_cancelled()
        original, restored = self.picture.pixels, result.picture.pixels
        figures = psnr(original, restored), ms_ssim(original, restored)
        progress(Progress(1000, 1000, "Done"))
        return Encoded(
            data,
            replace(result.picture, name=self.picture.name),
            self._seconds_analysis + encoded - started,
            decoded - encoded,
            *figures,
            result.header.bits_per_pixel,
        )

    def _analysed(self, cancel: CancelToken) -> Iterable[tuple[Window, Tensor]]:
        """The latents of all windows: kept from the first call on, or made anew for photos too large to keep them."""
        if self.picture.width * self.picture.height > _KEPT_PIXELS:
            return analyse(self._codec, self.picture)
        if self._kept is None:
            started = time.perf_counter()
            kept = []
            for item in analyse(self._codec, self.picture):
                cancel.raise_if_cancelled()
                kept.append(item)
            self._kept = kept
            self._seconds_analysis = time.perf_counter() - started
        return self._kept
