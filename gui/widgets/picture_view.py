"""PictureView: one picture as large as its place allows, which can be dragged on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QImage, QKeyEvent, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from gui.services.qimage import to_qimage
from gui.services.theme import Theme

if TYPE_CHECKING:
    import numpy as np

KEY_STEP = 0.05  # of the picture's width or height, for an arrow key
SHARP = 8  # from this enlargement on a picture is not smoothed: one wants to see its pixels
MAX_ENLARGEMENT = 12  # of a picture's pixel; larger ones show nothing more


class PictureView(QWidget):
    """Shows a picture scaled to fit, centred, or a line of text while there is none.

    Signals:
        dragged(float, float): the pointer moved with the button held, or an arrow key was pressed: distance across and
            down in widths and heights of the picture.
        drag_ended(): the button or key was let go.
    """

    dragged = Signal(float, float)
    drag_ended = Signal()

    def __init__(self, name: str, parent: QWidget | None = None, *, draggable: bool = False) -> None:
        super().__init__(parent)
        self._image: QImage | None = None
        self._placeholder = ""
        self._last: QPointF | None = None
        self._draggable = draggable
        self.setAccessibleName(name)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(64, 64)
        if draggable:
            self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            self.setCursor(Qt.CursorShape.OpenHandCursor)
        Theme.current().changed.connect(self.update)

    @property
    def image(self) -> QImage | None:
        """The picture that is shown."""
        return self._image

    def show_pixels(self, pixels: np.ndarray | None) -> None:
        """Show (H, W, 3) uint8 pixels; None shows the placeholder."""
        self.show_image(None if pixels is None else to_qimage(pixels))

    def show_image(self, image: QImage | None) -> None:
        """Show an image; None or an empty one shows the placeholder."""
        self._image = image if image is not None and not image.isNull() else None
        self.update()

    def set_placeholder(self, text: str) -> None:
        """What stands here while there is no picture."""
        self._placeholder = text
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(256, 256)

    def picture_rect(self) -> QRectF:
        """Where the picture is painted."""
        if self._image is None:
            return QRectF()
        width, height = self._image.width(), self._image.height()
        scale = min(self.width() / width, self.height() / height, MAX_ENLARGEMENT)
        if scale > SHARP:
            # Whole steps keep all pixels of a small picture equally large.
            scale = int(scale)
        shown = QSize(round(width * scale), round(height * scale))
        left, top = (self.width() - shown.width()) // 2, (self.height() - shown.height()) // 2
        return QRectF(left, top, shown.width(), shown.height())

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        if self._image is None:
            painter.setPen(Theme.current().color("muted"))
            flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
            painter.drawText(self.rect().adjusted(12, 12, -12, -12), flags, self._placeholder)
        else:
            target = self.picture_rect()
            smooth = target.width() < SHARP * self._image.width()
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, smooth)
            painter.drawImage(target, self._image)
            # White pictures on a white card need an edge.
            painter.setPen(Theme.current().color("border"))
            painter.drawRect(target.adjusted(0, 0, -1, -1))
        if self.hasFocus():
            painter.setPen(Theme.current().color("accent"))
            painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        painter.end()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if self._draggable and self._image is not None and event.button() == Qt.MouseButton.LeftButton:
            self._last = event.position()
            self.setCursor(Qt.CursorShape.ClosedHandCursor)
        else:
            super().mousePressEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._last is None:
            return
        move, self._last = event.position() - self._last, event.position()
        rect = self.picture_rect()
        self.dragged.emit(move.x() / max(1.0, rect.width()), move.y() / max(1.0, rect.height()))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if self._last is not None:
            self._last = None
            self.setCursor(Qt.CursorShape.OpenHandCursor)
            self.drag_ended.emit()
        else:
            super().mouseReleaseEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        moves = {
            Qt.Key.Key_Left: (-KEY_STEP, 0.0),
            Qt.Key.Key_Right: (KEY_STEP, 0.0),
            Qt.Key.Key_Up: (0.0, -KEY_STEP),
            Qt.Key.Key_Down: (0.0, KEY_STEP),
        }
        if self._draggable and event.key() in moves:
            self.dragged.emit(*moves[Qt.Key(event.key())])
        else:
            super().keyPressEvent(event)

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        arrows = (Qt.Key.Key_Left, Qt.Key.Key_Right, Qt.Key.Key_Up, Qt.Key.Key_Down)
        if self._draggable and event.key() in arrows and not event.isAutoRepeat():
            self.drag_ended.emit()
        else:
            super().keyReleaseEvent(event)
