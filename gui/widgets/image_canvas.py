"""A picture with zoom at the cursor and panning; several canvases can share one `ViewTransform`."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QPoint, QPointF, QSize, Qt, Signal
from PySide6.QtGui import (
    QCursor,
    QFocusEvent,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QNativeGestureEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QSizePolicy, QStyle, QStyleOption, QWidget

from gui.widgets.pyramid import Pyramid
from gui.widgets.view_transform import STEP, ViewTransform

__all__ = ["ImageCanvas", "ViewTransform"]


class ImageCanvas(QWidget):
    """Paints one picture.

    The wheel zooms at the cursor, dragging and the arrow keys pan, "+" and "-" zoom, "0" fits, Ctrl+0 shows 100 %.
    Subclasses draw more by overriding `paint_over`.

    Attributes:
        transform: zoom and pan; give the same object to several canvases to move them together.

    Signals:
        hovered(QPoint): the picture pixel under the cursor.
        hover_left(): the cursor is not over the picture.
        clicked(QPoint): the picture pixel that was clicked without dragging.
    """

    hovered = Signal(QPoint)
    hover_left = Signal()
    clicked = Signal(QPoint)

    def __init__(
        self, parent: QWidget | None = None, *, transform: ViewTransform | None = None, name: str = "Picture"
    ) -> None:
        super().__init__(parent)
        self.transform = transform or ViewTransform(self)
        self.transform.changed.connect(self.update)
        self._pyramid: Pyramid | None = None
        self._pressed: QPointF | None = None
        self._dragged = False
        self._by_keyboard = False
        self._layers: list[Callable[[QPainter], None]] = []
        self._tool_cursor: QCursor | None = None
        self._lent_wholly = False
        self.setAccessibleName(name)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(160, 120)

    @property
    def image(self) -> QImage | None:
        """The picture at full size, or None."""
        return self._pyramid.image if self._pyramid else None

    def set_image(self, image: QImage | None) -> None:
        """Show another picture. The view stays as it is if the size is the same."""
        self.set_pyramid(Pyramid(image) if image is not None and not image.isNull() else None)

    def set_pyramid(self, pyramid: Pyramid | None) -> None:
        """Show another picture that is ready for painting. The view stays as it is if the size is the same."""
        self._pyramid = pyramid
        if self._pyramid is not None:
            size = self._pyramid.image.size()
            self.transform.set_image_size(size.width(), size.height())
        self._show_cursor()
        self.update()

    def add_layer(self, paint: Callable[[QPainter], None]) -> None:
        """Have `paint` draw over the picture, in logical pixels of the widget, below the canvas's own signs."""
        self._layers.append(paint)
        self.update()

    def lend_left_button(self, cursor: QCursor | None, *, wholly: bool = False) -> None:
        """Show the cursor of a tool that takes the presses of the left button; the right one pans meanwhile.

        Args:
            cursor: None takes the button back.
            wholly: whether the tool gets also those presses that would be the canvas's own.
        """
        self._tool_cursor, self._lent_wholly = cursor, wholly and cursor is not None
        self._show_cursor()

    def keeps_press(self, position: QPointF) -> bool:
        """Whether a press there is the canvas's own, even while a tool has the left button."""
        return False

    def pixel_at(self, position: QPointF) -> QPoint | None:
        """The picture pixel under a point of the widget, or None outside the picture."""
        point = self.transform.to_image(position * self.devicePixelRatioF())
        pixel = QPoint(int(point.x() // 1), int(point.y() // 1))
        inside = 0 <= pixel.x() < self.transform.image_size.width() and (
            0 <= pixel.y() < self.transform.image_size.height()
        )
        return pixel if inside else None

    def paint_over(self, painter: QPainter) -> None:
        """Draw on top of the picture, in logical pixels of the widget."""
        for paint in self._layers:
            paint(painter)

    def sizeHint(self) -> QSize:
        return QSize(640, 480)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        self.paint_background(painter)
        if self._pyramid is not None:
            self._pyramid.paint(painter, self.transform, self.devicePixelRatioF())
        self.paint_over(painter)
        self.paint_focus(painter)
        painter.end()

    def paint_background(self, painter: QPainter) -> None:
        """Fill with the colour that the style sheet gives to canvases."""
        option = QStyleOption()
        option.initFrom(self)
        self.style().drawPrimitive(QStyle.PrimitiveElement.PE_Widget, option, painter, self)

    def paint_focus(self, painter: QPainter) -> None:
        """Show where the keyboard is."""
        if self.hasFocus() and self._by_keyboard:
            painter.setPen(QPen(self.palette().highlight().color(), 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(self.rect().adjusted(1, 1, -1, -1))

    def focusInEvent(self, event: QFocusEvent) -> None:
        # A frame around the picture after every click would only disturb.
        self._by_keyboard = event.reason() in (Qt.FocusReason.TabFocusReason, Qt.FocusReason.BacktabFocusReason)
        super().focusInEvent(event)
        self.update()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self.update()

    def resizeEvent(self, event: QResizeEvent) -> None:
        ratio = self.devicePixelRatioF()
        self.transform.set_viewport(self.width() * ratio, self.height() * ratio)

    def wheelEvent(self, event: QWheelEvent) -> None:
        pixels = event.pixelDelta()
        control = bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier)
        # A touchpad scrolls in pixels and in phases: two fingers move the picture, pinching zooms.
        if not control and not pixels.isNull() and event.phase() != Qt.ScrollPhase.NoScrollPhase:
            self.transform.pan_by(pixels.x(), pixels.y())
            event.accept()
            return
        steps = event.angleDelta().y() / 120
        self.transform.zoom_by(STEP**steps, event.position() * self.devicePixelRatioF())
        event.accept()

    def event(self, event):
        if isinstance(event, QNativeGestureEvent) and event.gestureType() == Qt.NativeGestureType.ZoomNativeGesture:
            self.transform.zoom_by(1.0 + event.value(), event.position() * self.devicePixelRatioF())
            return True
        return super().event(event)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        buttons = [Qt.MouseButton.LeftButton, Qt.MouseButton.MiddleButton]
        if self._tool_cursor is not None:
            buttons.append(Qt.MouseButton.RightButton)
        if event.button() in buttons:
            self._pressed, self._dragged = event.position(), False
            self._start = event.position()
            self._show_cursor()
            event.accept()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._pressed is not None and self._pyramid is not None:
            moved = event.position() - self._pressed
            if self._dragged or (event.position() - self._start).manhattanLength() > 3:
                self._dragged = True
                self._pressed = event.position()
                ratio = self.devicePixelRatioF()
                self.transform.pan_by(moved.x() * ratio, moved.y() * ratio)
            return
        pixel = self.pixel_at(event.position()) if self._pyramid else None
        if pixel is None:
            self.hover_left.emit()
        else:
            self.hovered.emit(pixel)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if self._pressed is None:
            return
        self._pressed = None
        self._show_cursor()
        pixel = self.pixel_at(event.position())
        if not self._dragged and event.button() == Qt.MouseButton.LeftButton and self._pyramid and pixel is not None:
            self.clicked.emit(pixel)

    def _show_cursor(self) -> None:
        """The cursor that tells what a drag would do."""
        if self._pressed is not None and self._pyramid is not None:
            self.setCursor(Qt.CursorShape.ClosedHandCursor)
        elif self._tool_cursor is not None:
            self.setCursor(self._tool_cursor)
        else:
            self.setCursor(Qt.CursorShape.OpenHandCursor if self._pyramid else Qt.CursorShape.ArrowCursor)

    def leaveEvent(self, event) -> None:
        self.hover_left.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        control = bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier)
        key, step = event.key(), 64.0 * self.devicePixelRatioF()
        pans = {
            Qt.Key.Key_Left: (step, 0.0),
            Qt.Key.Key_Right: (-step, 0.0),
            Qt.Key.Key_Up: (0.0, step),
            Qt.Key.Key_Down: (0.0, -step),
        }
        if key == Qt.Key.Key_0:
            self.transform.actual_size() if control else self.transform.fit()
        elif key in (Qt.Key.Key_Plus, Qt.Key.Key_Equal):
            self.transform.zoom_by(STEP)
        elif key == Qt.Key.Key_Minus:
            self.transform.zoom_by(1 / STEP)
        elif key in pans and not control:
            self.transform.pan_by(*pans[Qt.Key(key)])
        else:
            super().keyPressEvent(event)
