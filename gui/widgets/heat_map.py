"""Numbers over a picture as colours: one scale from dark (little) to light (much) for every heat map."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF, QRect, QRectF, QSizeF, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPen
from PySide6.QtWidgets import QWidget

from gui.services.theme import Theme

if TYPE_CHECKING:
    import numpy as np

    from engine.progress import CancelToken
    from gui.widgets.view_transform import ViewTransform

DIFFERENCE_GAIN = 8  # a difference of 32 steps of 255 is as light as the scale becomes
BITS_BLOCK = 16  # side of the square of picture pixels that one number of a map of bits stands for

_BAND_PIXELS = 1 << 20  # compared at a time: the arrays of a larger piece no longer fit the processor's cache
_BAR = QSizeF(132.0, 8.0)
_PADDING = 10.0


@lru_cache(maxsize=1)
def heat_colors() -> np.ndarray:
    """The 256 colours (256, 3) uint8 sRGB: violet, red, yellow, with evenly growing lightness.

    Lightness alone carries the value, so that the scale reads the same whatever colours an eye tells apart. Made in
    Oklab (B. Ottosson, 2020), in which equal steps look equal.
    """
    import numpy as np

    share = np.linspace(0.0, 1.0, 256)
    lightness = 0.14 + 0.82 * share
    hue = np.radians(-85.0 + 190.0 * share)
    chroma = 0.17 * np.sin(np.pi * np.clip(share * 0.9 + 0.08, 0.0, 1.0)) ** 0.8
    a, b = chroma * np.cos(hue), chroma * np.sin(hue)
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    middle = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    linear = np.stack(
        [
            4.0767416621 * long - 3.3077115913 * middle + 0.2309699292 * short,
            -1.2684380046 * long + 2.6097574011 * middle - 0.3413193965 * short,
            -0.0041960863 * long - 0.7034186147 * middle + 1.7076147010 * short,
        ],
        axis=1,
    ).clip(0.0, 1.0)
    curved = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.rint(255 * curved).astype(np.uint8)


def heat_image(levels: np.ndarray) -> QImage:
    """Levels (H, W) uint8, 0 = nothing, as an opaque image of its own memory in the colours of the scale."""
    import numpy as np

    red, green, blue = heat_colors().astype(np.uint32).T
    table = 0xFF000000 | red << 16 | green << 8 | blue
    height, width = levels.shape
    colored = table[levels]
    return QImage(colored.data, width, height, 4 * width, QImage.Format.Format_RGB32)


def difference_levels(
    first: QImage, second: QImage, region: QRect, factor: int, cancel: CancelToken | None = None
) -> np.ndarray | None:
    """Where two pictures differ, as levels of the heat scale.

    Args:
        first, second: of one size, in a 32-bit format, as pyramids keep them.
        region: of the pictures, in pixels.
        factor: a power of two; a level stands for factor x factor pixels and is the mean over them. The pictures are
            compared before: a comparison of shrunken ones would hide all that is finer than the shrinking.
        cancel: read between bands.

    Returns:
        (ceil(height / factor), ceil(width / factor)) uint8: `DIFFERENCE_GAIN` times the largest difference of the
        channels, at most 255. None when cancelled.
    """
    import numpy as np
    from PIL import Image

    here, there = _channels(first), _channels(second)
    left, right = region.left(), region.left() + region.width()
    bottom = region.top() + region.height()
    gained = np.minimum(np.arange(256) * DIFFERENCE_GAIN, 255).astype(np.uint8)
    bands = []
    step = max(1, _BAND_PIXELS // max(1, region.width()) // factor) * factor
    for top in range(region.top(), bottom, step):
        if cancel is not None and cancel.cancelled:
            return None
        one, other = (pixels[top : min(top + step, bottom), left:right] for pixels in (here, there))
        apart = np.maximum(one, other) - np.minimum(one, other)
        largest = np.maximum(np.maximum(apart[..., 0], apart[..., 1]), np.maximum(apart[..., 2], apart[..., 3]))
        levels = gained[largest]
        bands.append(levels if factor == 1 else np.asarray(Image.fromarray(levels).reduce(factor)))
    return np.ascontiguousarray(np.concatenate(bands))


def difference_at(first: QImage, second: QImage, x: int, y: int) -> int:
    """The largest difference of the channels of one pixel, 0..255."""
    one, other = first.pixelColor(x, y), second.pixelColor(x, y)
    return max(abs(here - there) for here, there in zip(one.getRgb(), other.getRgb(), strict=True))  # type: ignore[arg-type]


def _channels(image: QImage) -> np.ndarray:
    """(H, W, 4) uint8 on the image's own memory."""
    import numpy as np

    lines = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    return lines[:, : 4 * image.width()].reshape(image.height(), image.width(), 4)


@dataclass(frozen=True, eq=False)
class HeatTile:
    """A painted part of a heat map.

    Attributes:
        region: the picture pixels it covers; its right and lower border may lie beyond the picture.
        factor: picture pixels per pixel of the image, along a side.
        image: the colours.
    """

    region: QRect
    factor: int
    image: QImage

    def paint(self, painter: QPainter, transform: ViewTransform, ratio: float, *, smooth: bool) -> None:
        """Draw onto the picture; `ratio` is the screen's device pixel ratio."""
        whole = transform.target()
        scale = QPointF(
            whole.width() / max(1, transform.image_size.width()), whole.height() / max(1, transform.image_size.height())
        )
        target = QRectF(
            whole.left() + self.region.left() * scale.x(),
            whole.top() + self.region.top() * scale.y(),
            self.image.width() * self.factor * scale.x(),
            self.image.height() * self.factor * scale.y(),
        )
        painter.save()
        painter.scale(1 / ratio, 1 / ratio)
        painter.setClipRect(whole, Qt.ClipOperation.IntersectClip)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, smooth)
        painter.drawImage(target, self.image, QRectF(self.image.rect()))
        painter.restore()


@dataclass(frozen=True)
class Scale:
    """What a legend says of a heat map.

    Attributes:
        title: what is shown, with its unit.
        low, high: texts of the two ends.
        here: the value under the cursor as text, or "".
        place: the same as a share 0..1 of the scale.
    """

    title: str
    low: str
    high: str
    here: str = ""
    place: float = 0.0


class ScaleChip:
    """A legend on a rounded ground: the title, the colours, the texts of the two ends and the value at the cursor."""

    def __init__(self, widget: QWidget, scale: Scale) -> None:
        self._scale = scale
        self._font, self._small = widget.font(), widget.font()
        self._small.setPointSizeF(max(7.5, self._small.pointSizeF() - 1.5))
        self._line = float(widget.fontMetrics().height())
        self.width = max(_BAR.width(), float(widget.fontMetrics().horizontalAdvance(scale.title))) + 2 * _PADDING
        self.height = 2 * self._line + _BAR.height() + 14.0

    def paint(self, painter: QPainter, corner: QPointF) -> None:
        """Paint with the top left at `corner`, in logical pixels."""
        theme, scale = Theme.current(), self._scale
        box = QRectF(corner.x(), corner.y(), self.width, self.height)
        ground = theme.color("raised")
        ground.setAlphaF(0.92)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(theme.color("border"), 1.0))
        painter.setBrush(ground)
        painter.drawRoundedRect(box, 6, 6)
        line = QRectF(box.left() + _PADDING, box.top() + 4, box.width() - 2 * _PADDING, self._line)
        painter.setFont(self._font)
        painter.setPen(theme.color("text"))
        painter.drawText(line, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, scale.title)
        bar = QRectF(line.left(), line.bottom() + 3, line.width(), _BAR.height())
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawImage(bar, _bar_image())
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(theme.color("border_strong"), 1.0))
        painter.drawRect(bar)
        below = QRectF(line.left(), bar.bottom() + 3, line.width(), self._line)
        painter.setFont(self._small)
        painter.setPen(theme.color("muted"))
        painter.drawText(below, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, scale.low)
        painter.drawText(below, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, scale.high)
        if scale.here:
            painter.setPen(theme.color("text"))
            painter.drawText(below, Qt.AlignmentFlag.AlignCenter, scale.here)
            x = bar.left() + min(1.0, max(0.0, scale.place)) * bar.width()
            for color, width in ((theme.color("raised"), 4.0), (theme.color("text"), 2.0)):
                painter.setPen(QPen(QColor(color), width))
                painter.drawLine(QPointF(x, bar.top() - 2), QPointF(x, bar.bottom() + 2))
        painter.restore()


@lru_cache(maxsize=1)
def _bar_image() -> QImage:
    import numpy as np

    return heat_image(np.arange(256, dtype=np.uint8)[None]).copy()
