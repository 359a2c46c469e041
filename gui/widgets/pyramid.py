"""Pictures made ready for painting, without holding up the window however large they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QRectF, QSize, Qt, Slot
from PySide6.QtGui import QImage, QPainter

if TYPE_CHECKING:
    import numpy as np

    from engine.image import Picture
    from gui.services.engine_host import Task
    from gui.widgets.view_transform import ViewTransform

# Above this many pixels a picture is made ready in the background: below, it takes a few milliseconds.
LARGE_PIXELS = 4_000_000

_BAND = 256  # rows that are converted at a time
_COARSE_ENOUGH = 1024  # a level whose longer side is at most this makes the finer ones unnecessary for a fitted view


class Pyramid:
    """A picture and its halves, made when first needed: shrinking a large picture in one step would flicker."""

    def __init__(self, image: QImage) -> None:
        # The format that the raster painter draws without converting.
        opaque = QImage.Format.Format_RGB32
        format_ = QImage.Format.Format_ARGB32_Premultiplied if image.hasAlphaChannel() else opaque
        self._levels = [image.convertToFormat(format_)]

    @classmethod
    def of_pixels(cls, pixels: np.ndarray, alpha: np.ndarray | None = None) -> Pyramid:
        """A pyramid with its halves, from (H, W, 3) uint8 pixels and alpha (H, W) uint8 or None.

        For threads beside the window's: Qt's conversions hold the interpreter's lock for their whole length, those of
        numpy and Pillow release it.
        """
        import numpy as np
        from PIL import Image

        level = _painted(pixels, alpha)
        made = cls.__new__(cls)
        made._levels = [_image(level, alpha is not None)]
        while max(level.shape[:2]) > _COARSE_ENOUGH:
            # As RGBX: Pillow would divide by alpha, which the colours are multiplied by already.
            whole = Image.frombuffer("RGBX", (level.shape[1], level.shape[0]), level, "raw", "RGBX", 0, 1)
            level = np.ascontiguousarray(whole.reduce(2))
            made._levels.append(_image(level, alpha is not None))
        return made

    @property
    def image(self) -> QImage:
        """The picture at full size."""
        return self._levels[0]

    def level(self, zoom: float) -> QImage:
        """The smallest level that still has at least as many pixels as are shown at `zoom`."""
        index = 0
        while zoom <= 0.5 and min(self._levels[index].width(), self._levels[index].height()) > 1:
            if index + 1 == len(self._levels):
                last = self._levels[index]
                half = QSize(max(1, last.width() // 2), max(1, last.height() // 2))
                mode = Qt.TransformationMode.SmoothTransformation
                self._levels.append(last.scaled(half, Qt.AspectRatioMode.IgnoreAspectRatio, mode))
            index += 1
            zoom *= 2
        return self._levels[index]

    def paint(self, painter: QPainter, transform: ViewTransform, ratio: float, smooth: bool = True) -> None:
        """Draw with `painter` in logical pixels; `ratio` is the screen's device pixel ratio."""
        target = transform.target()
        level = self.level(transform.zoom)
        # Beyond 200 % people want to see pixels.
        smooth = smooth and transform.zoom < 2.0 and transform.zoom != 1.0
        painter.save()
        painter.scale(1 / ratio, 1 / ratio)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, smooth)
        painter.drawImage(target, level, QRectF(level.rect()))
        painter.restore()


# Runs a function beside the window and answers in it.
Background = Callable[[Callable[[], Any]], "Task"]


class PyramidShelf(QObject):
    """Pyramids of the pictures on show: small ones are made at once, large ones in the background.

    Args:
        background: runs a function beside the window and answers in it.
        ready: called when a pyramid that `get` had to answer None for is there.
        failed: called with what went wrong instead.
    """

    def __init__(
        self,
        background: Background,
        ready: Callable[[], None],
        failed: Callable[[Exception], None],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._background, self._ready, self._failed = background, ready, failed
        # By identity, each with its picture, so that no other picture can take its place in memory.
        self._made: dict[int, tuple[Picture, Pyramid]] = {}
        self._awaited: dict[int, Picture] = {}

    def keep(self, pictures: Iterable[Picture]) -> None:
        """Forget the pyramids of all other pictures."""
        kept = {id(picture) for picture in pictures}
        self._made = {key: made for key, made in self._made.items() if key in kept}
        self._awaited = {key: picture for key, picture in self._awaited.items() if key in kept}

    def get(self, picture: Picture) -> Pyramid | None:
        """The picture ready for painting, or None while it is being made."""
        key = id(picture)
        if key in self._made:
            return self._made[key][1]
        if picture.width * picture.height <= LARGE_PIXELS:
            self._made[key] = _make(picture)
            return self._made[key][1]
        if key not in self._awaited:
            self._awaited[key] = picture
            answer = self._background(partial(_make, picture))
            answer.succeeded.connect(self._on_made)
            answer.failed.connect(self._on_failed)
        return None

    @Slot(object)
    def _on_made(self, made: tuple[Picture, Pyramid]) -> None:
        if self._awaited.pop(id(made[0]), None) is not None:
            self._made[id(made[0])] = made
            self._ready()

    @Slot(object)
    def _on_failed(self, error: Exception) -> None:
        self._failed(error)


def _make(picture: Picture) -> tuple[Picture, Pyramid]:
    shown = picture
    if picture.profile is not None:
        # Imported here: Pillow's colour management would delay the window.
        from engine.colour_profile import to_srgb

        shown = to_srgb(picture)
    return picture, Pyramid.of_pixels(shown.pixels, shown.alpha)


def _painted(pixels: np.ndarray, alpha: np.ndarray | None) -> np.ndarray:
    """Blue, green, red, alpha (H, W, 4) uint8, multiplied by alpha: what the raster painter draws unconverted."""
    import sys

    import numpy as np

    height, width = pixels.shape[:2]
    made = np.empty((height, width, 4), np.uint8)
    # Qt's 32-bit formats are numbers: the bytes lie in the machine's order.
    red, green, blue, veil = (2, 1, 0, 3) if sys.byteorder == "little" else (1, 2, 3, 0)
    for top in range(0, height, _BAND):
        rows = slice(top, top + _BAND)
        band = pixels[rows]
        if alpha is not None:
            share = alpha[rows, :, None].astype(np.uint16)
            band = ((band * share + 127) // 255).astype(np.uint8)
        for place, channel in ((red, 0), (green, 1), (blue, 2)):
            made[rows, :, place] = band[..., channel]
        made[rows, :, veil] = 255 if alpha is None else alpha[rows]
    return made


def _image(level: np.ndarray, veiled: bool) -> QImage:
    """An image on the array's own memory, which it keeps alive."""
    height, width = level.shape[:2]
    format_ = QImage.Format.Format_ARGB32_Premultiplied if veiled else QImage.Format.Format_RGB32
    return QImage(level.data, width, height, 4 * width, format_)
