"""A sentence and, above it, the layers of a causal stack: which places feed the one that is looked at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFont, QFontDatabase, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from gui.services.theme import Theme

if TYPE_CHECKING:
    import numpy as np

MARGIN = 20.0
BARS = 64.0  # room for the bars below the characters


class CausalView(QWidget):
    """Columns are characters, rows are layers. The cursor or the arrow keys choose a character.

    Signals:
        looked_at(int): a character was clicked, pointed at with the button held, or reached with an arrow key.
    """

    looked_at = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._text = ""
        self._levels: Sequence[Sequence[int]] = ()
        self._rates: Sequence[int] = ()
        self._kernel = 2
        self._influence: np.ndarray | None = None
        self._position = 0
        self.setAccessibleName("Characters and the layers above them")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(320, 200)
        Theme.current().changed.connect(self.update)

    def show_reading(
        self,
        text: str,
        position: int,
        levels: Sequence[Sequence[int]],
        rates: Sequence[int],
        kernel: int,
        influence: np.ndarray | None,
    ) -> None:
        """Show who feeds `position`.

        Args:
            text: the characters.
            levels: places that feed it, from the top layer down to the text.
            rates: of the layers, from the text on.
            kernel: taps of every layer.
            influence: (len(text),) in 0..1 for the bars, or None.
        """
        self._text, self._position, self._levels = text, position, levels
        self._rates, self._kernel, self._influence = rates, kernel, influence
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(640, 400)

    def column_width(self) -> float:
        """Screen pixels of a character."""
        return min(28.0, (self.width() - 2 * MARGIN) / max(1, len(self._text)))

    def column_at(self, x: float) -> int | None:
        """The character at a place of the widget, or None."""
        column = int((x - self._left()) // self.column_width())
        return column if 0 <= column < len(self._text) else None

    def _left(self) -> float:
        return (self.width() - self.column_width() * len(self._text)) / 2

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        theme = Theme.current()
        if not self._text:
            painter.setPen(theme.color("muted"))
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, "Type a sentence above.")
        else:
            self._paint_stack(painter, theme)
            self._paint_characters(painter, theme)
        if self.hasFocus():
            painter.setPen(QPen(theme.color("accent"), 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(self.rect().adjusted(1, 1, -1, -1))
        painter.end()

    def _bottom(self) -> float:
        """Height of the line of characters."""
        return self.height() - MARGIN - BARS - 28.0

    def _node(self, level: int, column: int) -> QPointF:
        """Where a place is painted; level 0 is the text."""
        layers = max(1, len(self._rates))
        step = min(96.0, (self._bottom() - 2 * MARGIN) / layers)
        return QPointF(self._left() + (column + 0.5) * self.column_width(), self._bottom() - 22.0 - level * step)

    def _paint_stack(self, painter: QPainter, theme: Theme) -> None:
        layers = len(self._rates)
        radius = min(5.0, 0.32 * self.column_width())
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.color("border"))
        for level in range(layers + 1):
            for column in range(len(self._text)):
                painter.drawEllipse(self._node(level, column), 0.6 * radius, 0.6 * radius)
        line = QColor(theme.color("accent"))
        line.setAlphaF(0.65)
        painter.setPen(QPen(line, 1.4))
        for depth, level in enumerate(self._levels[:-1]):
            rate = self._rates[layers - 1 - depth]
            for place in level:
                for tap in range(self._kernel):
                    source = place - tap * rate
                    if source >= 0:
                        painter.drawLine(self._node(layers - depth, place), self._node(layers - depth - 1, source))
        painter.setPen(Qt.PenStyle.NoPen)
        for depth, level in enumerate(self._levels):
            painter.setBrush(theme.color("accent" if depth else "series_1"))
            for place in level:
                painter.drawEllipse(self._node(layers - depth, place), radius, radius)

    def _paint_characters(self, painter: QPainter, theme: Theme) -> None:
        width = self.column_width()
        font = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont)
        font.setPixelSize(max(9, min(20, int(1.25 * width))))
        bold = QFont(font)
        bold.setBold(True)
        seen = set(self._levels[-1]) if self._levels else set()
        for column, character in enumerate(self._text):
            box = QRectF(self._left() + column * width, self._bottom() - 12.0, width, 30.0)
            if column == self._position:
                painter.setPen(Qt.PenStyle.NoPen)
                painter.setBrush(theme.color("accent_soft"))
                painter.drawRoundedRect(box.adjusted(0.5, 1, -0.5, -1), 4, 4)
            painter.setFont(bold if column in seen else font)
            painter.setPen(theme.color("text" if column in seen else "disabled"))
            painter.drawText(box, Qt.AlignmentFlag.AlignCenter, character if character != " " else "·")
            if self._influence is not None and column < len(self._influence):
                height = BARS * float(self._influence[column])
                if height > 0:
                    painter.setPen(Qt.PenStyle.NoPen)
                    painter.setBrush(theme.color("series_1"))
                    bar = QRectF(box.left() + 0.2 * width, box.bottom() + 4, 0.6 * width, max(1.0, height))
                    painter.drawRoundedRect(bar, 1.5, 1.5)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self._follow(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if event.buttons() & Qt.MouseButton.LeftButton:
            self._follow(event)

    def _follow(self, event: QMouseEvent) -> None:
        column = self.column_at(event.position().x())
        if column is not None:
            self.looked_at.emit(column)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        moves = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}
        if event.key() in moves:
            self.looked_at.emit(self._position + moves[Qt.Key(event.key())])
        else:
            super().keyPressEvent(event)

    def event(self, event: QEvent) -> bool:
        if event.type() in (QEvent.Type.FocusIn, QEvent.Type.FocusOut):
            self.update()
        return super().event(event)
