"""A picture under the coloured classes of its pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QPoint, QPointF, Qt, Signal, Slot
from PySide6.QtGui import QColor, QFocusEvent, QKeyEvent, QMouseEvent, QPainter

from gui.services.theme import Theme
from gui.widgets.chip import Chip
from gui.widgets.image_canvas import ImageCanvas
from gui.widgets.pyramid import LARGE_PIXELS, Background, Pyramid, PyramidShelf

if TYPE_CHECKING:
    from PySide6.QtWidgets import QWidget

    from engine.image import Picture
    from engine.segmentation.result import Segmentation
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

    def __init__(
        self, background: Background, failed: Callable[[Exception], None], parent: QWidget | None = None
    ) -> None:
        """Args: background, failed: as for a `PyramidShelf`; they make large pictures and overlays ready."""
        super().__init__(parent, name="Picture with coloured classes")
        self._background, self._failed = background, failed
        self._pictures = PyramidShelf(background, self._show_picture, failed, self)
        self.setAccessibleDescription(DESCRIPTION)
        self._state: SegmentState | None = None
        self._picture: Picture | None = None
        self._overlay: Pyramid | None = None
        self._overlay_look: _Look | None = None
        self._wanted_look: _Look | None = None
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
            self._show_picture()
        self._make_overlay(state)
        self.update()

    def paint_over(self, painter: QPainter) -> None:
        self._paint_overlay(painter)
        super().paint_over(painter)
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

    def _show_picture(self) -> None:
        picture = self._picture
        self._pictures.keep([] if picture is None else [picture])
        self.set_pyramid(None if picture is None else self._pictures.get(picture))

    def _make_overlay(self, state: SegmentState) -> None:
        """Colour the mask; only when mask, hidden classes or the kind of overlay differ from the last time."""
        segmentation = state.segmentation
        if segmentation is None:
            self._overlay = self._overlay_look = self._wanted_look = None
            return
        colors = tuple(None if number in state.invisible else area.color for number, area in enumerate(state.areas))
        look = _Look(segmentation, colors, state.contours)
        if look.same(self._wanted_look):
            return
        if self._overlay_look is None or self._overlay_look.segmentation is not segmentation:
            self._overlay = self._overlay_look = None  # that of another picture
        self._wanted_look = look
        if segmentation.mask.size <= LARGE_PIXELS:
            self._overlay, self._overlay_look = look.paint(), look
        else:
            answer = self._background(partial(_painted, look))
            answer.succeeded.connect(self._on_painted)
            answer.failed.connect(self._on_overlay_failed)

    @Slot(object)
    def _on_painted(self, painted: tuple[_Look, Pyramid]) -> None:
        if painted[0] is self._wanted_look:
            self._overlay_look, self._overlay = painted
            self.update()

    @Slot(object)
    def _on_overlay_failed(self, error: Exception) -> None:
        self._failed(error)

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


@dataclass(frozen=True, eq=False)
class _Look:
    """An overlay: the segmentation, the colour of every class (None: invisible), outlines or areas."""

    segmentation: Segmentation
    colors: tuple[tuple[int, int, int] | None, ...]
    contours: bool

    def same(self, other: _Look | None) -> bool:
        """Whether both look alike on the same segmentation."""
        return (
            other is not None
            and self.segmentation is other.segmentation
            and ((self.colors, self.contours) == (other.colors, other.contours))
        )

    def paint(self) -> Pyramid:
        """The overlay, ready for painting. For any thread."""
        # Not at the top: a tenth of a second, which opening the page must not take.
        import numpy as np

        table = np.zeros((256, 3), np.uint8)
        shown = np.zeros(256, np.uint8)
        for number, color in enumerate(self.colors):
            if color is not None:
                table[number], shown[number] = color, 255
        mask, objects = self.segmentation.mask, self.segmentation.objects
        veil = shown[mask]
        if self.contours:
            # The saved overlay has the same outlines. Imported here: the model cards behind it would delay the window.
            from engine.segmentation.drawing import contour_pixels

            veil[~contour_pixels(mask if objects is None else objects)] = 0
        return Pyramid.of_pixels(table[mask], veil)


def _painted(look: _Look) -> tuple[_Look, Pyramid]:
    return look, look.paint()
