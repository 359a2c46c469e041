"""A small turning ring that says: being worked on."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt, QTimer
from PySide6.QtGui import QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from gui.services.theme import Theme

DELAY = 300  # milliseconds; what is faster needs no sign, it would only flicker
FRAME = 40


class Busy(QWidget):
    """Invisible while idle; keeps its place in the layout so that nothing jumps."""

    def __init__(self, parent: QWidget | None = None, *, side: int = 18, text: str = "Working") -> None:
        super().__init__(parent)
        self._side, self._angle, self._shown = side, 0, False
        self._delay = QTimer(self)
        self._delay.setSingleShot(True)
        self._delay.setInterval(DELAY)
        self._delay.timeout.connect(self._appear)
        self._turn = QTimer(self)
        self._turn.setInterval(FRAME)
        self._turn.timeout.connect(self._step)
        self.setFixedSize(QSize(side, side))
        self.setAccessibleName(text)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)

    def set_busy(self, busy: bool) -> None:
        """Start or stop; the ring appears only when it takes a while."""
        if busy and not self._shown and not self._delay.isActive():
            self._delay.start()
        elif not busy:
            self._delay.stop()
            self._turn.stop()
            self._shown = False
            self.update()

    def hideEvent(self, event) -> None:
        # Nobody sees it turn: no timer runs for it.
        self._turn.stop()

    def showEvent(self, event) -> None:
        if self._shown:
            self._turn.start()

    def paintEvent(self, event: QPaintEvent) -> None:
        if not self._shown:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        pen = QPen(Theme.current().color("accent"), 2.2)
        pen.setCapStyle(Qt.PenCapStyle.RoundCap)
        painter.setPen(pen)
        painter.drawArc(QRectF(2, 2, self._side - 4, self._side - 4), -self._angle * 16, 270 * 16)
        painter.end()

    def _appear(self) -> None:
        self._shown = True
        if self.isVisible():
            self._turn.start()
        self.update()

    def _step(self) -> None:
        self._angle = (self._angle + 15) % 360
        self.update()
