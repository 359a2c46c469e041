"""Rate-distortion points of the photo that is open, for every codec, measured while nothing else is to be done."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot

from gui.controllers.compress_settings import OURS, SIDES, Crop, SharedSettings, SideSettings
from gui.controllers.compress_work import Result, Wish, Worker, prepare

if TYPE_CHECKING:
    from engine.image import Picture
    from engine.progress import CancelToken
    from gui.controllers.compress_controller import CompressController, CompressState
    from gui.services.context import Services

CODECS = (OURS, "avif", "jxl", "webp", "jpeg")
# Coarse first: the outline of every curve is there before any of them is filled in.
ROUNDS = ((50.0,), (15.0, 85.0), (30.0, 70.0), (5.0, 95.0), (40.0, 60.0), (22.0, 78.0))
# Larger photos are measured on an excerpt, so that no single point holds up the slider for long.
MOST_PIXELS = 600_000


@dataclass(frozen=True)
class CurvePoint:
    """One file of the photo, or of its excerpt.

    Attributes:
        quality: on the codec's own scale.
        bits_per_pixel: of the whole file.
        psnr: dB; ms_ssim: 0..1.
        excerpt: measured on a part of the photo.
    """

    codec: str
    quality: float
    bits_per_pixel: float
    psnr: float
    ms_ssim: float
    excerpt: bool


@dataclass(frozen=True)
class Estimate:
    """What a file will be about, read off a curve: bytes and PSNR in dB."""

    size: int
    psnr: float


class RateCurves(QObject):
    """Fills the curves of a `CompressController`'s photo.

    Signals:
        changed(): there are other points now.
    """

    changed = Signal()

    def __init__(self, controller: CompressController, services: Services) -> None:
        super().__init__(controller)
        self._controller = controller
        self._worker = Worker()
        self._live = services.host.live(self)
        self._live.result.connect(self._on_measured)
        self._live.failed.connect(self._on_failed)
        self._points: dict[tuple[str, float], CurvePoint] = {}
        self._unmeasured: list[tuple[str, float]] = []
        self._picture: Picture | None = None
        self._sample: Picture | None = None
        self._wanted = False
        self._broken: set[str] = set()
        controller.changed.connect(self._on_state)

    @property
    def points(self) -> tuple[CurvePoint, ...]:
        """All points so far."""
        return tuple(self._points.values())

    @property
    def excerpt(self) -> bool:
        """Whether points are measured on a part of the photo."""
        return self._picture is not None and self._picture.width * self._picture.height > MOST_PIXELS

    @property
    def complete(self) -> bool:
        """Whether every point was measured that is going to be."""
        return self._picture is not None and not self._unmeasured

    def set_wanted(self, wanted: bool) -> None:
        """Measure while the curves are in view."""
        self._wanted = wanted
        if wanted:
            self._go_on()
        else:
            self._live.cancel()

    def estimate(self, settings: SideSettings, pixels: int) -> Estimate | None:
        """What a file at a quality will be about; None without points on both sides of it."""
        known = sorted((point for point in self._points.values() if point.codec == settings.codec), key=_quality)
        below = [point for point in known if point.quality <= settings.quality]
        above = [point for point in known if point.quality >= settings.quality]
        if not below or not above or not settings.by_quality:
            return None
        low, high = below[-1], above[0]
        span = high.quality - low.quality
        share = (settings.quality - low.quality) / span if span else 0.0
        bits = math.exp(_between(math.log(low.bits_per_pixel), math.log(high.bits_per_pixel), share))
        return Estimate(round(bits * pixels / 8), _between(low.psnr, high.psnr, share))

    @Slot(object)
    def _on_state(self, state: CompressState) -> None:
        if state.picture is not self._picture:
            self._live.cancel()
            self._picture, self._sample = state.picture, None
            self._points.clear()
            self._broken.clear()
            self._unmeasured = list(_plan()) if state.picture is not None else []
            self.changed.emit()
        if any(state.side(side).busy for side in SIDES):
            self._live.cancel()  # what the user waits for goes first
            return
        if not self.excerpt:
            for side in SIDES:
                result = state.side(side).result
                if result is not None and result.picture is state.picture and result.wish.shared.focus is None:
                    self._add(result)
        self._go_on()

    def _go_on(self) -> None:
        state = self._controller.state
        busy = self._live.busy or any(state.side(side).busy for side in SIDES)
        while self._unmeasured and (self._unmeasured[0][0] in self._broken or self._unmeasured[0] in self._points):
            self._unmeasured.pop(0)
        if not self._wanted or busy or self._picture is None or not self._unmeasured:
            return
        if self._sample is None:
            self._sample = _sample(self._picture)
        codec, quality = self._unmeasured[0]
        wish = Wish(SideSettings(codec, quality), SharedSettings(keep_metadata=False))
        self._live.request(partial(_measure, self._worker, self._sample, wish))

    @Slot(object, int)
    def _on_measured(self, result: Result, _stamp: int) -> None:
        self._unmeasured.pop(0)
        self._add(result)
        self._go_on()

    @Slot(object, int)
    def _on_failed(self, _error: Exception, _stamp: int) -> None:
        # A codec that cannot hold this photo has no curve; choosing it for a side says why.
        self._broken.add(self._unmeasured[0][0])
        self._go_on()

    def _add(self, result: Result) -> None:
        settings, encoded = result.wish.settings, result.encoded
        usual = settings.effort in (None, 0) and settings.model is None and settings.subsampling == "4:2:0"
        if settings.codec not in CODECS or settings.exact or not usual or not math.isfinite(encoded.psnr):
            return
        key = settings.codec, encoded.quality
        point = CurvePoint(*key, encoded.bits_per_pixel, encoded.psnr, encoded.ms_ssim, self.excerpt)
        if self._points.get(key) != point:
            self._points[key] = point
            self.changed.emit()


def _plan() -> Iterator[tuple[str, float]]:
    for qualities in ROUNDS:
        for codec in CODECS:
            for quality in qualities:
                yield codec, quality


def _sample(picture: Picture) -> Picture:
    """The photo without metadata, or, of a larger one, the middle of it."""
    bare = replace(picture, exif=None, xmp=None)
    if picture.width * picture.height <= MOST_PIXELS:
        return bare
    scale = math.sqrt(MOST_PIXELS / (picture.width * picture.height))
    width, height = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    crop = Crop((picture.width - width) // 2, (picture.height - height) // 2, width, height)
    return prepare(bare, SharedSettings(crop=crop))


def _measure(worker: Worker, picture: Picture, wish: Wish, token: CancelToken) -> Result:
    return worker.compress(picture, wish, lambda _progress: None, token)


def _quality(point: CurvePoint) -> float:
    return point.quality


def _between(low: float, high: float, share: float) -> float:
    return low + (high - low) * share
