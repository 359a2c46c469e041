"""A photo with a field laid over it: how strongly every pixel counts, the box around, the place it belongs to."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QPoint, QPointF, QRect, QRectF, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPainterPath, QPen

from gui.services.theme import Theme
from gui.widgets.chip import Chip
from gui.widgets.heat_map import heat_colors
from gui.widgets.image_canvas import ImageCanvas
from gui.widgets.pyramid import PyramidShelf

if TYPE_CHECKING:
    import numpy as np

    from engine.image import Picture
    from gui.services.context import Services

CHIP_MARGIN = 12.0
VEIL = 120  # of 255: how much darker a pixel is that does not count


@lru_cache(maxsize=1)
def _table() -> np.ndarray:
    """(256,) uint32: colours for shares, premultiplied by alpha; number 0 is the veil."""
    import numpy as np

    share = np.arange(256) / 255
    levels = np.rint(255 * (0.2 + 0.8 * share)).astype(np.uint8)  # the darkest colours would look like the veil
    colors = heat_colors()[levels].astype(np.uint32)
    colors[0] = 0
    alpha = (VEIL + (220 - VEIL) * share).astype(np.uint32)
    red, green, blue = (colors * alpha[:, None] + 127).T // 255
    return (alpha << 24 | red << 16 | green << 8 | blue).astype(np.uint32)


def field_image(share: np.ndarray) -> QImage:
    """Shares (h, w) in 0..1 as an image to lay over a photo.

    A pixel that counts is coloured by the heat scale, the more it counts the less of the photo shows through; one whose
    share is 0 is darkened.
    """
    import numpy as np

    levels = np.ceil(255 * share).clip(0, 255).astype(np.uint8)  # however little counts is told apart from nothing
    packed = _table()[levels]
    height, width = share.shape
    return QImage(packed.data, width, height, 4 * width, QImage.Format.Format_ARGB32_Premultiplied).copy()


class FieldCanvas(ImageCanvas):
    """An `ImageCanvas` for photos of any size, with a field over it. A click asks for the field of another place."""

    def __init__(self, name: str, services: Services) -> None:
        super().__init__(name=name)
        self.setToolTip("Click where to look from; the wheel zooms, dragging moves the photo")
        self._picture: Picture | None = None
        self._pictures = PyramidShelf(
            partial(services.host.run, engine=False), self._show_again, services.notices.error, self
        )
        self._field: QImage | None = None
        self._corner, self._block = QPoint(), 1.0
        self._box: QRect | None = None
        self._place: QPointF | None = None
        self._text = ""
        self._opacity = 1.0

    @property
    def text(self) -> str:
        """What the label over the photo says."""
        return self._text

    @property
    def box(self) -> QRect | None:
        """The box around the field, in pixels of the photo."""
        return self._box

    def show_picture(self, picture: Picture) -> None:
        """Show another photo, without a field."""
        self._picture = picture
        self.clear_field()
        self._show_again()

    def show_field(self, share: np.ndarray, corner: QPoint, block: float, text: str) -> None:
        """Lay a field over the photo.

        Args:
            share: (h, w) in 0..1; 0 is darkened.
            corner: top left of the field, in pixels of the photo.
            block: pixels of the photo per value, along a side.
            text: a label at the bottom left.
        """
        self._field, self._corner, self._block, self._text = field_image(share), corner, block, text
        self.update()

    def show_box(self, box: QRect | None, place: QPointF | None = None) -> None:
        """Frame a part of the photo, and mark a place, both in pixels of the photo."""
        self._box, self._place = box, place
        self.update()

    def set_field_opacity(self, opacity: float) -> None:
        """Opacity of the field, 0..1."""
        self._opacity = opacity
        self.update()

    def clear_field(self) -> None:
        """Only the photo."""
        self._field = self._box = self._place = None
        self._text = ""
        self.update()

    def paint_over(self, painter: QPainter) -> None:
        ratio = self.devicePixelRatioF()
        if self._field is not None:
            painter.save()
            painter.scale(1 / ratio, 1 / ratio)
            painter.setClipRect(self.transform.target())
            painter.setOpacity(self._opacity)
            target = self._on_screen(QRectF(QPointF(self._corner), self._field.size().toSizeF() * self._block))
            around = QPainterPath()
            around.addRect(QRectF(self.transform.target()))
            inside = QPainterPath()
            inside.addRect(target)
            painter.fillPath(around.subtracted(inside), QColor(0, 0, 0, VEIL))
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, self.transform.zoom * self._block < 2)
            painter.drawImage(target, self._field, QRectF(self._field.rect()))
            painter.restore()
        self._paint_box(painter, ratio)
        super().paint_over(painter)
        if self._text:
            chip = Chip(self, self._text)
            chip.paint(painter, QPointF(CHIP_MARGIN, self.height() - CHIP_MARGIN - chip.height))

    def _paint_box(self, painter: QPainter, ratio: float) -> None:
        painter.save()
        painter.scale(1 / ratio, 1 / ratio)
        color = Theme.current().color("series_1")
        if self._box is not None:
            target = self._on_screen(QRectF(self._box))
            for pen in (QPen(QColor(255, 255, 255, 200), 4 * ratio), QPen(color, 2 * ratio)):
                painter.setPen(pen)
                painter.setBrush(Qt.BrushStyle.NoBrush)
                painter.drawRect(target)
        if self._place is not None:
            point = self.transform.to_view(self._place)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(QPen(QColor(255, 255, 255), 2 * ratio))
            painter.setBrush(color)
            painter.drawEllipse(point, 5 * ratio, 5 * ratio)
        painter.restore()

    def _on_screen(self, rect: QRectF) -> QRectF:
        return QRectF(self.transform.to_view(rect.topLeft()), self.transform.to_view(rect.bottomRight()))

    def _show_again(self) -> None:
        picture = self._picture
        self._pictures.keep([] if picture is None else [picture])
        self.set_pyramid(None if picture is None else self._pictures.get(picture))
