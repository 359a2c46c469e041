"""Small labels painted onto pictures."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen
from PySide6.QtWidgets import QWidget

from gui.services.theme import Theme

SWATCH = 11.0
PADDING = 10.0


class Chip:
    """A text on a rounded ground that stays readable on any picture, after a bold letter or a patch of colour."""

    def __init__(self, widget: QWidget, text: str, *, letter: str = "", swatch: QColor | None = None) -> None:
        self._font = widget.font()
        self._bold = widget.font()
        self._bold.setBold(True)
        self._letter, self._swatch = letter, swatch
        metrics = widget.fontMetrics()
        self._lead = SWATCH + 8.0 if swatch is not None else 0.0
        if letter:
            self._lead += 1.15 * metrics.horizontalAdvance(letter) + 8.0
        room = round(widget.width() - 2 * PADDING - self._lead - 40)
        self._text = metrics.elidedText(text, Qt.TextElideMode.ElideRight, max(40, room))
        self.width = self._lead + metrics.horizontalAdvance(self._text) + 2 * PADDING
        self.height = metrics.height() + 8.0

    def paint(self, painter: QPainter, corner: QPointF, opacity: float = 1.0) -> None:
        """Paint with the top left at `corner`, in logical pixels."""
        theme = Theme.current()
        box = QRectF(corner.x(), corner.y(), self.width, self.height)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setOpacity(opacity)
        ground = QColor(theme.color("raised"))
        ground.setAlphaF(0.92)
        painter.setPen(QPen(theme.color("border"), 1.0))
        painter.setBrush(ground)
        painter.drawRoundedRect(box, 6, 6)
        inner = box.adjusted(PADDING, 0, 0, 0)
        if self._swatch is not None:
            painter.setPen(QPen(theme.color("border_strong"), 1.0))
            painter.setBrush(self._swatch)
            painter.drawRoundedRect(QRectF(inner.left(), inner.center().y() - SWATCH / 2, SWATCH, SWATCH), 3, 3)
        if self._letter:
            painter.setFont(self._bold)
            painter.setPen(theme.color("accent"))
            painter.drawText(inner, Qt.AlignmentFlag.AlignVCenter, self._letter)
        painter.setFont(self._font)
        painter.setPen(theme.color("text"))
        painter.drawText(inner.adjusted(self._lead, 0, 0, 0), Qt.AlignmentFlag.AlignVCenter, self._text)
        painter.restore()
