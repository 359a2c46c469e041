"""A picture under the coloured classes of its pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QPoint, QPointF, Qt, Signal, Slot
from PySide6.QtGui import QColor, QFocusEvent, QKeyEvent, QMouseEvent, QPainter

from gui.services.theme import Theme
from gui.widgets.chip import Chip
from gui.widgets.image_canvas import ImageCanvas, Pyramid
from gui.widgets.qimage import to_qimage

if TYPE_CHECKING:
    from PySide6.QtWidgets import QWidget

    from engine.image import Picture
    from gui.controllers.segment_controller import SegmentState

CHIP_MARGIN = 12.0
DESCRIPTION = (
    "Hold Space to hide the overlay. Plus and minus zoom, 0 fits the picture, Control and 0 shows 100 percent."
)


class SegmentationCanvas(ImageCanvas):
    """Paints the overlay itself, so that opacity and hidden classes follow a slider without asking the engine.

    Signals:
        pointed(str): what lies under the cursor, as painted in the lower left corner; "" outside the picture.
    """

    pointed = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent, name="Picture with coloured classes")
        self.setAccessibleDescription(DESCRIPTION)
        self._state: SegmentState | None = None
        self._picture: Picture | None = None
        self._overlay: Pyramid | None = None
        self._overlay_key: tuple[object, ...] = ()
        self._holding = False
        self._pointed_text = ""
        self._pointed_color: QColor | None = None
        self.hovered.connect(self._on_hovered)
        self.hover_left.connect(self._on_hover_left)
        Theme.current().changed.connect(self.update)

    @property
    def overlay_hidden(self) -> bool:
        """True while Space is held."""
        return self._holding

    def show_state(self, state: SegmentState) -> None:
        """Show picture and overlay of `state`."""
        self._state = state
        if state.picture is not self._picture:
            self._point("", None)
            self._picture = state.picture
            picture = state.picture
            self.set_image(None if picture is None else to_qimage(picture.pixels, picture.alpha))
        self._make_overlay(state)
        self.update()

    def paint_over(self, painter: QPainter) -> None:
        self._paint_overlay(painter)
        self._paint_pointed(painter)

    def _paint_overlay(self, painter: QPainter) -> None:
        overlay = self._overlay
        if overlay is None or self._holding or self._state is None:
            return
        painter.save()
        painter.setOpacity(self._state.opacity)
        overlay.paint(painter, self.transform, self.devicePixelRatioF(), smooth=self.transform.zoom < 1.0)
        painter.restore()

    def _paint_pointed(self, painter: QPainter) -> None:
        if self._pointed_text:
            chip = Chip(self, self._pointed_text, swatch=self._pointed_color)
            chip.paint(painter, QPointF(CHIP_MARGIN, self.height() - CHIP_MARGIN - chip.height))

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        if self.transform.fitting:
            self.transform.set_zoom(1.0, event.position() * self.devicePixelRatioF())
        else:
            self.transform.fit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Space:
            if not event.isAutoRepeat():
                self._hold(True)
        else:
            super().keyPressEvent(event)

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Space:
            if not event.isAutoRepeat():
                self._hold(False)
        else:
            super().keyReleaseEvent(event)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        # The release of the key goes to whoever has the focus then.
        self._hold(False)
        super().focusOutEvent(event)

    def _hold(self, holding: bool) -> None:
        if holding != self._holding:
            self._holding = holding
            self.update()

    def _make_overlay(self, state: SegmentState) -> None:
        """Colour the mask; only when mask, hidden classes or the kind of overlay differ from the last time."""
        segmentation = state.segmentation
        if segmentation is None:
            self._overlay, self._overlay_key = None, ()
            return
        key = (segmentation, state.invisible, state.contours)
        if self._overlay_key and self._overlay_key[0] is segmentation and self._overlay_key[1:] == key[1:]:
            return
        table = np.zeros((256, 4), np.uint8)
        for number, area in enumerate(state.areas):
            if number not in state.invisible:
                table[number] = (*area.color, 255)
        colored = table[segmentation.mask]
        if state.contours:
            # The saved overlay has the same outlines. Imported here: the model cards behind it would delay the window.
            from engine.segmentation.drawing import contour_pixels

            objects = segmentation.objects
            colored[~contour_pixels(segmentation.mask if objects is None else objects)] = 0
        self._overlay = Pyramid(to_qimage(colored[..., :3], colored[..., 3]))
        self._overlay_key = key

    @Slot(QPoint)
    def _on_hovered(self, pixel: QPoint) -> None:
        state = self._state
        if state is None or state.segmentation is None:
            self._point(f"{pixel.x()}, {pixel.y()}", None)
            return
        number = int(state.segmentation.mask[pixel.y(), pixel.x()])
        area = state.areas[number]
        confidence = state.segmentation.confidence
        sure = "" if confidence is None else f", confidence {100 * float(confidence[pixel.y(), pixel.x()]):.0f} %"
        objects = state.segmentation.objects
        index = 0 if objects is None else int(objects[pixel.y(), pixel.x()])
        which = f" {index}" if index else ""
        self._point(f"{area.name.capitalize()}{which}{sure}  ({pixel.x()}, {pixel.y()})", QColor(*area.color))

    @Slot()
    def _on_hover_left(self) -> None:
        self._point("", None)

    def _point(self, text: str, color: QColor | None) -> None:
        self._pointed_color = color
        if text != self._pointed_text:
            self._pointed_text = text
            self.pointed.emit(text)
            self.update()
