"""Lamp: a coloured dot with a word, so that it can be read without telling colours apart."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QWidget

from gui.services.theme import Theme

SIDE = 12


class _Dot(QWidget):
    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.role = "muted"
        self.setFixedSize(QSize(SIDE, SIDE))
        Theme.current().changed.connect(self.update)

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(Theme.current().color(self.role))
        painter.drawEllipse(QRectF(1, 1, SIDE - 2, SIDE - 2))
        painter.end()


class Lamp(QWidget):
    """Shows a state by a colour role and a text."""

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._name = name
        self._dot = _Dot(self)
        self._text = QLabel(self)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(6)
        row.addWidget(self._dot)
        row.addWidget(self._text, 1)

    @property
    def role(self) -> str:
        """The colour role of the dot."""
        return self._dot.role

    def set_state(self, role: str, text: str) -> None:
        """Show another state."""
        self._dot.role = role
        self._dot.update()
        self._text.setText(text)
        self.setAccessibleName(f"{self._name}: {text}")
