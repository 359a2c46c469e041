"""Two pictures under one divider and one zoom: the original on its left, the result on its right."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF, QRectF, Qt, Signal
from PySide6.QtGui import (
    QBrush,
    QColor,
    QFocusEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPainterPath,
    QPaintEvent,
    QPen,
    QPixmap,
)

from gui.services.theme import Theme
from gui.widgets.chip import Chip
from gui.widgets.image_canvas import ImageCanvas
from gui.widgets.pyramid import Pyramid

if TYPE_CHECKING:
    from PySide6.QtWidgets import QWidget

GRAB_DISTANCE = 14.0  # logical pixels beside the line that still take hold of it
KNOB_RADIUS = 17.0
CHIP_MARGIN = 12.0
CHIP_FADE = 36.0
CHECKER = 8
KEY_STEP = 0.05
POSITIONS = {Qt.Key.Key_1: 0.0, Qt.Key.Key_2: 0.5, Qt.Key.Key_3: 1.0}
DESCRIPTION = (
    "Keys 1, 2 and 3 put the divider left, in the middle and right, Shift with the arrow keys moves it. "
    "Hold Space to see the original. Plus and minus zoom, 0 fits the picture, Control and 0 shows 100 percent."
)


class DividerView(ImageCanvas):
    """Paints `left` up to the divider and `right` beyond it, both at full size under the canvas's one transform.

    Attributes:
        position: of the divider, 0..1 of the width of the view.

    Signals:
        position_changed(float): the divider was moved.
    """

    position_changed = Signal(float)

    def __init__(self, parent: QWidget | None = None, *, name: str = "Original and result under one divider") -> None:
        super().__init__(parent, name=name)
        self.setAccessibleDescription(DESCRIPTION)
        self.position = 0.5
        self._left: Pyramid | None = None
        self._right: Pyramid | None = None
        self._original: Pyramid | None = None
        self._left_label = self._right_label = ""
        self._original_label = "Original"
        self._waiting_text = ""
        self._grabbed = False
        self._over_divider = False
        self._holding = False
        self._checker = _checkerboard()
        Theme.current().changed.connect(self.update)

    def set_pictures(self, left: Pyramid | None, right: Pyramid | None, original: Pyramid | None = None) -> None:
        """Show these; None for a side that has nothing (yet): the other one then fills the view.

        Args:
            original: what Space shows, where it is not `left`.
        """
        self._left, self._right = left, right
        self._original = original or left
        # The canvas itself needs one picture for its size and for the mouse.
        self._pyramid = right or left
        if self._pyramid is not None:
            size = self._pyramid.image.size()
            self.transform.set_image_size(size.width(), size.height())
        self._show_cursor()
        self.update()

    def set_labels(self, left: str, right: str, waiting: str = "") -> None:
        """Texts of the two corners; `waiting` is shown at the right while there is nothing on that side."""
        if (left, right, waiting) != (self._left_label, self._right_label, self._waiting_text):
            self._left_label, self._right_label, self._waiting_text = left, right, waiting
            self.update()

    @property
    def left(self) -> Pyramid | None:
        """What is shown at the left."""
        return self._left

    @property
    def right(self) -> Pyramid | None:
        """What is shown at the right."""
        return self._right

    @property
    def divided(self) -> bool:
        """True while both sides have a picture, so that there is something to divide."""
        return self._left is not None and self._right is not None

    @property
    def showing_original(self) -> bool:
        """True while Space is held."""
        return self._holding and self._original is not None

    def set_position(self, position: float) -> None:
        """Put the divider at a share 0..1 of the width."""
        position = min(1.0, max(0.0, position))
        if position != self.position:
            self.position = position
            self.position_changed.emit(position)
            self.update()

    # -- painting

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        self.paint_background(painter)
        whole = QRectF(self.rect())
        if self.showing_original:
            self._paint_side(painter, self._original, whole)
            self._paint_chip(painter, "A", self._original_label, at_left=True, room=whole.width())
        elif self.divided:
            line = self._line()
            self._paint_side(painter, self._left, QRectF(0, 0, line, self.height()))
            self._paint_side(painter, self._right, QRectF(line, 0, self.width() - line, self.height()))
            self._paint_divider(painter, line)
            self._paint_chip(painter, "A", self._left_label, at_left=True, room=line)
            self._paint_chip(painter, "B", self._right_label, at_left=False, room=self.width() - line)
        elif self._right is not None:
            self._paint_side(painter, self._right, whole)
            self._paint_chip(painter, "", self._right_label, at_left=True, room=whole.width())
        elif self._left is not None:
            self._paint_side(painter, self._left, whole)
            self._paint_chip(painter, "A", self._left_label, at_left=True, room=whole.width())
            self._paint_chip(painter, "", self._waiting_text, at_left=False, room=whole.width() / 2)
        self.paint_focus(painter)
        painter.end()

    def _line(self) -> float:
        """Where the divider stands, in logical pixels on a border of two physical ones."""
        ratio = self.devicePixelRatioF()
        return round(self.position * self.width() * ratio) / ratio

    def _paint_side(self, painter: QPainter, pyramid: Pyramid | None, area: QRectF) -> None:
        if pyramid is None or area.isEmpty():
            return
        ratio = self.devicePixelRatioF()
        painter.save()
        painter.setClipRect(area)
        if pyramid.image.hasAlphaChannel():
            target = self.transform.target()
            painter.fillRect(
                QRectF(target.topLeft() / ratio, target.size() / ratio).intersected(area), QBrush(self._checker)
            )
        # From 100 % on every pixel is shown as it is.
        pyramid.paint(painter, self.transform, ratio, smooth=self.transform.zoom < 1.0)
        painter.restore()

    def _paint_divider(self, painter: QPainter, line: float) -> None:
        theme = Theme.current()
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        shade = QColor(theme.color("window" if theme.is_dark else "tooltip"))
        shade.setAlphaF(0.35)
        painter.fillRect(QRectF(line - 2, 0, 4, self.height()), shade)
        painter.fillRect(QRectF(line - 1, 0, 2, self.height()), theme.color("text" if theme.is_dark else "panel"))
        center = QPointF(line, self.height() / 2)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(shade)
        painter.drawEllipse(center + QPointF(0, 1), KNOB_RADIUS + 2, KNOB_RADIUS + 2)
        active = self._grabbed or self._over_divider
        painter.setPen(QPen(theme.color("accent"), 2.0) if active else QPen(theme.color("border"), 1.0))
        painter.setBrush(theme.color("raised"))
        painter.drawEllipse(center, KNOB_RADIUS, KNOB_RADIUS)
        pen = QPen(theme.color("accent" if active else "text"), 2.2)
        pen.setCapStyle(Qt.PenCapStyle.RoundCap)
        pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
        painter.setPen(pen)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for side in (-1, 1):
            arrow = QPainterPath(center + QPointF(side * 4.5, -4.5))
            arrow.lineTo(center + QPointF(side * 9.0, 0))
            arrow.lineTo(center + QPointF(side * 4.5, 4.5))
            painter.drawPath(arrow)
        painter.restore()

    def _paint_chip(self, painter: QPainter, letter: str, text: str, *, at_left: bool, room: float) -> None:
        """A label in a top corner; it fades away where the divider leaves no room for it."""
        if not text:
            return
        chip = Chip(self, text, letter=letter)
        opacity = min(1.0, max(0.0, (room - chip.width - CHIP_MARGIN + CHIP_FADE - 6) / CHIP_FADE))
        if opacity > 0.0:
            x = CHIP_MARGIN if at_left else self.width() - CHIP_MARGIN - chip.width
            chip.paint(painter, QPointF(x, CHIP_MARGIN), opacity)

    # -- mouse and keys

    def _near_divider(self, position: QPointF) -> bool:
        return self.divided and not self.showing_original and abs(position.x() - self._line()) <= GRAB_DISTANCE

    def _show_cursor(self) -> None:
        if self._grabbed or self._over_divider:
            self.setCursor(Qt.CursorShape.SplitHCursor)
        elif self._pyramid is not None:
            self.setCursor(Qt.CursorShape.OpenHandCursor)
        else:
            self.setCursor(Qt.CursorShape.ArrowCursor)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton and self._near_divider(event.position()):
            self._grabbed = True
            self._offset = event.position().x() - self._line()
            self._show_cursor()
            self.update()
            event.accept()
            return
        super().mousePressEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._grabbed:
            self.set_position((event.position().x() - self._offset) / max(1, self.width()))
            return
        over = self._near_divider(event.position()) and event.buttons() == Qt.MouseButton.NoButton
        if over != self._over_divider:
            self._over_divider = over
            self._show_cursor()
            self.update()
        super().mouseMoveEvent(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if self._grabbed:
            self._grabbed = False
            self._over_divider = self._near_divider(event.position())
            self._show_cursor()
            self.update()
            return
        super().mouseReleaseEvent(event)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        if self._near_divider(event.position()):
            self.set_position(0.5)
        elif self.transform.fitting:
            self.transform.set_zoom(1.0, event.position() * self.devicePixelRatioF())
        else:
            self.transform.fit()

    def leaveEvent(self, event) -> None:
        super().leaveEvent(event)
        if self._over_divider:
            self._over_divider = False
            self._show_cursor()
            self.update()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key, modifiers = event.key(), event.modifiers()
        plain = not modifiers & (Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.AltModifier)
        if key == Qt.Key.Key_Space:
            if not event.isAutoRepeat():
                self._hold(True)
        elif plain and key in POSITIONS:
            self.set_position(POSITIONS[Qt.Key(key)])
        elif modifiers & Qt.KeyboardModifier.ShiftModifier and key in (Qt.Key.Key_Left, Qt.Key.Key_Right):
            self.set_position(self.position + (KEY_STEP if key == Qt.Key.Key_Right else -KEY_STEP))
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


def _checkerboard() -> QPixmap:
    """What is seen through a transparent picture: the same neutral greys in every theme, as in every image editor."""
    tile = QPixmap(2 * CHECKER, 2 * CHECKER)
    tile.fill(QColor(Qt.GlobalColor.white))
    painter = QPainter(tile)
    for x, y in ((0, 0), (CHECKER, CHECKER)):
        painter.fillRect(x, y, CHECKER, CHECKER, QColor(Qt.GlobalColor.lightGray))
    painter.end()
    return tile
