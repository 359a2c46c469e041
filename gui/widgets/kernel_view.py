"""The weights of a kernel as squares at the places that it reads, with gaps where it is dilated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from gui.services.theme import Theme

if TYPE_CHECKING:
    import numpy as np

SIDE = 116
NUMBERS_FROM = 30.0  # screen pixels of a square from which its weight is written in it


class KernelView(QWidget):
    """Positive weights in one colour, negative ones in another, the stronger the larger the weight."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._weights: np.ndarray | None = None
        self._rate = 1
        self.setFixedSize(QSize(SIDE, SIDE))
        self.setAccessibleName("Weights of the kernel")
        Theme.current().changed.connect(self.update)

    def show_weights(self, weights: np.ndarray | None, rate: int) -> None:
        """Show weights (k, k) whose taps lie `rate` pixels apart."""
        self._weights, self._rate = weights, rate
        if weights is not None:
            self.setToolTip("\n".join("  ".join(f"{value:+.2f}" for value in row) for row in weights))
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        if self._weights is not None:
            self._paint(painter, self._weights)
        painter.end()

    def _paint(self, painter: QPainter, weights: np.ndarray) -> None:
        theme = Theme.current()
        count = len(weights)
        span = self._rate * (count - 1) + 1
        side = (SIDE - 2) / span
        largest = float(abs(weights).max()) or 1.0
        painter.fillRect(QRectF(1, 1, SIDE - 2, SIDE - 2), theme.color("sunken"))
        font = painter.font()
        font.setPixelSize(max(9, min(12, round(0.32 * side))))
        painter.setFont(font)
        for row in range(count):
            for column in range(count):
                value = float(weights[row, column])
                color = QColor(theme.color("series_1" if value >= 0 else "series_2"))
                color.setAlphaF(0.12 + 0.68 * abs(value) / largest)
                box = QRectF(1 + column * self._rate * side, 1 + row * self._rate * side, side, side)
                painter.fillRect(box, theme.color("panel"))
                painter.fillRect(box, color)
                if side >= 5:
                    painter.setPen(QPen(theme.color("panel"), 1))
                    painter.drawRect(box)
                if side >= NUMBERS_FROM:
                    painter.setPen(theme.color("text"))
                    painter.drawText(box, Qt.AlignmentFlag.AlignCenter, f"{value:.2f}".replace("0.", ".", 1))
        painter.setPen(QPen(theme.color("border_strong"), 1))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRect(QRectF(0.5, 0.5, SIDE - 1, SIDE - 1))
