"""PhotoSession: one photo, compressed again and again while a quality slider moves or targets are tried."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

from torch import Tensor

from engine.compression.codec import analyse, decode, encode_latents
from engine.compression.codec_model import DeviceWish, open_codec
from engine.compression.container import check_size
from engine.compression.decoding import Decoded, Window
from engine.compression.encoded import Encoded
from engine.compression.quality_map import QualityMap
from engine.compression.settings import EncodeSettings, Target
from engine.compression.targeting import search_target
from engine.evaluation.image_quality import ms_ssim, psnr
from engine.image import Picture
from engine.progress import CancelToken, Progress, ProgressCallback, ignore_progress, never_cancelled

# Latents take 4 bytes a pixel; beyond this the analysis runs again each time instead of being kept.
_KEPT_PIXELS = 2**25


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
        keep_place: bool = False,
        quality_map: QualityMap | None = None,
        effort: int = 0,
        enough: CancelToken | None = None,
    ) -> Encoded:
        """Compress at a quality of 0..100, decode the result and measure it.

        Args:
            keep_metadata, keep_place, quality_map, effort: see `EncodeSettings`.
            enough: once set, refinement ends with the best that it has found.

        Raises:
            UsageError: the quality or the effort is out of range.
            Cancelled: `cancel` was set.
        """
        cancel = cancel or never_cancelled()
        settings = EncodeSettings(
            quality=quality, keep_metadata=keep_metadata, keep_place=keep_place, quality_map=quality_map, effort=effort
        )
        self._analysed(cancel)
        started = time.perf_counter()
        share = 0.9 if effort else 0.5
        analysed, report = partial(self._analysed, cancel), _part(progress, 0.0, share)
        data = encode_latents(self._codec, self.picture, settings, analysed, report, cancel, enough)
        return self._measured(data, time.perf_counter() - started, progress, share, cancel)

    def encode_to(
        self,
        target: Target,
        *,
        progress: ProgressCallback = ignore_progress,
        cancel: CancelToken | None = None,
        keep_metadata: bool = True,
        keep_place: bool = False,
        quality_map: QualityMap | None = None,
        effort: int = 0,
    ) -> Encoded:
        """Find the quality whose file reaches a target, decode the result and measure it.

        Raises:
            TargetNotReached: even quality 0 is too large, or even quality 100 not good enough.
            Cancelled: `cancel` was set.
        """
        cancel = cancel or never_cancelled()
        settings = EncodeSettings(
            keep_metadata=keep_metadata, keep_place=keep_place, target=target, quality_map=quality_map, effort=effort
        )
        analysed = self._analysed(cancel)
        started = time.perf_counter()
        found = search_target(self._codec, self.picture, settings, analysed, _part(progress, 0.0, 0.8), cancel)
        return self._measured(found.data, time.perf_counter() - started, progress, 0.8, cancel, found.note)

    def _measured(
        self, data: bytes, seconds: float, progress: ProgressCallback, done: float, cancel: CancelToken, note: str = ""
    ) -> Encoded:
        """Decode and judge a file that took so many seconds and is that share of the work."""
        started = time.perf_counter()
        report = _part(progress, done, 0.95 - done)
        result: Decoded = decode(data, device=self._device, progress=report, cancel=cancel)
        decoded = time.perf_counter()
        cancel.raise_if_cancelled()
        original, restored = self.picture.pixels, result.picture.pixels
        figures = psnr(original, restored), ms_ssim(original, restored)
        progress(Progress(1000, 1000, "Done"))
        return Encoded(
            data,
            replace(result.picture, name=self.picture.name),
            result.header.quality,
            self._seconds_analysis + seconds,
            decoded - started,
            *figures,
            result.header.bits_per_pixel,
            note,
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


def _part(progress: ProgressCallback, first: float, share: float) -> ProgressCallback:
    """The callback of a part of the work that begins at `first` and is `share` of all."""
    return lambda step: progress(replace(step, done=round(1000 * (first + share * step.fraction)), total=1000))
