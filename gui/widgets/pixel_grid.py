"""A picture of few pixels, each large enough to be pointed at, with some of them lit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFocusEvent, QImage, QKeyEvent, QMouseEvent, QPainter, QPainterPath, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from gui.services.qimage import to_qimage
from gui.services.theme import Theme

if TYPE_CHECKING:
    import numpy as np

Cell = tuple[int, int]

LINES_FROM = 7  # from this many screen pixels a side on, cells are told apart by lines
MARGIN_CELLS = 8  # of padding that are drawn at most
SMALLEST = QSize(96, 64)


class PixelGrid(QWidget):
    """Shows pixels as squares. The cursor, or the arrow keys, points at one; a click, or Enter, picks it.

    Signals:
        pointed(object): (row, column) under the cursor, or None when it left.
        picked(object): (row, column) that was clicked, or chosen with Enter or Space.
        released(): Escape was pressed.
    """

    pointed = Signal(object)
    picked = Signal(object)
    released = Signal()

    def __init__(self, name: str, parent: QWidget | None = None, *, at_top: bool = True) -> None:
        """Args: at_top: put the picture at the top of its room, else in the middle."""
        super().__init__(parent)
        self._at_top = at_top
        self._image: QImage | None = None
        self._placeholder = ""
        self._margin = 0
        self._marks: Mapping[Cell, float] = {}
        self._role = "series_1"
        self._held = False
        self._covered_after: int | None = None
        self._cursor: Cell | None = None
        self._by_keyboard = False
        self.setAccessibleName(name)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(SMALLEST)
        Theme.current().changed.connect(self.update)

    @property
    def cells(self) -> tuple[int, int]:
        """Rows and columns; (0, 0) without a picture."""
        return (0, 0) if self._image is None else (self._image.height(), self._image.width())

    @property
    def marks(self) -> Mapping[Cell, float]:
        """The lit cells with their strength, 0..1."""
        return self._marks

    def show_pixels(self, pixels: np.ndarray | None) -> None:
        """Show (h, w, 3) uint8 pixels, or the placeholder."""
        self.show_image(None if pixels is None else to_qimage(pixels))

    def show_image(self, image: QImage | None) -> None:
        """Show an image whose pixels are the cells, or the placeholder."""
        self._image = image if image is not None and not image.isNull() else None
        if self._cursor is not None and not self._inside(*self._cursor):
            self._cursor = None
        self.update()

    def set_placeholder(self, text: str) -> None:
        """What stands here while there is no picture."""
        self._placeholder = text
        self.update()

    def set_margin(self, cells: int) -> None:
        """Cells of padding to draw around the picture."""
        cells = min(MARGIN_CELLS, max(0, cells))
        if cells != self._margin:
            self._margin = cells
            self.update()

    def set_marks(self, marks: Mapping[Cell, float], role: str = "series_1", *, held: bool = False) -> None:
        """Light up cells, the others are dimmed; none lights all.

        Args:
            marks: strength 0..1 by (row, column); cells outside the picture are drawn in its margin.
            role: colour of their outlines.
            held: whether they stay when the cursor leaves.
        """
        self._marks, self._role, self._held = dict(marks), role, held
        self.update()

    def cover_after(self, index: int | None) -> None:
        """Hide the cells after number `index`, counted line by line; None hides none."""
        if index != self._covered_after:
            self._covered_after = index
            self.update()

    def sizeHint(self) -> QSize:
        return QSize(240, 160)

    # Geometry

    def side(self) -> float:
        """Screen pixels of a cell's side."""
        rows, columns = self.cells
        if not rows:
            return 0.0
        around = 2 * self._margin
        side = min((self.width() - 2) / (columns + around), (self.height() - 2) / (rows + around))
        # Whole numbers keep all cells equally large, where the loss is small.
        return float(int(side)) if side >= 4 else side

    def picture_rect(self) -> QRectF:
        """Where the picture without its margin is painted."""
        rows, columns = self.cells
        side = self.side()
        width, height = columns * side, rows * side
        top = 1 + self._margin * side if self._at_top else (self.height() - height) / 2
        return QRectF(round((self.width() - width) / 2), round(top), width, height)

    def cell_rect(self, row: int, column: int) -> QRectF:
        """Where a cell is painted."""
        rect, side = self.picture_rect(), self.side()
        return QRectF(rect.left() + column * side, rect.top() + row * side, side, side)

    def cell_at(self, position: QPointF) -> Cell | None:
        """The cell under a point of the widget, or None outside the picture."""
        rect, side = self.picture_rect(), self.side()
        if side <= 0:
            return None
        row, column = int((position.y() - rect.top()) // side), int((position.x() - rect.left()) // side)
        return (row, column) if self._inside(row, column) else None

    def _inside(self, row: int, column: int) -> bool:
        rows, columns = self.cells
        return 0 <= row < rows and 0 <= column < columns

    # Painting

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        theme = Theme.current()
        if self._image is None:
            painter.setPen(theme.color("muted"))
            flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
            painter.drawText(self.rect().adjusted(8, 4, -8, -4), flags, self._placeholder)
        else:
            self._paint_picture(painter, theme)
        if self.hasFocus() and self._by_keyboard:
            painter.setPen(QPen(theme.color("accent"), 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(self.rect().adjusted(1, 1, -1, -1))
        painter.end()

    def _paint_picture(self, painter: QPainter, theme: Theme) -> None:
        assert self._image is not None
        rect, side = self.picture_rect(), self.side()
        if self._margin:
            around = rect.adjusted(*(factor * self._margin * side for factor in (-1, -1, 1, 1)))
            painter.fillRect(around, theme.color("sunken"))
            painter.setPen(QPen(theme.color("border_strong"), 1, Qt.PenStyle.DotLine))
            painter.drawRect(around.adjusted(0, 0, -1, -1))
        painter.drawImage(rect, self._image, QRectF(self._image.rect()))
        self._paint_cover(painter, theme, rect, side)
        if side >= LINES_FROM:
            self._paint_lines(painter, rect, side)
        painter.setPen(QPen(theme.color("border_strong"), 1))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRect(rect.adjusted(0, 0, -1, -1))
        if self._marks:
            self._paint_marks(painter, theme, rect, side)
        if self._by_keyboard and self.hasFocus() and self._cursor is not None:
            painter.setPen(QPen(theme.color("accent"), 2))
            painter.drawRect(self.cell_rect(*self._cursor))

    def _paint_cover(self, painter: QPainter, theme: Theme, rect: QRectF, side: float) -> None:
        if self._covered_after is None:
            return
        rows, columns = self.cells
        row, column = divmod(self._covered_after, columns)
        ground = theme.color("sunken")
        top = rect.top() + row * side
        painter.fillRect(QRectF(rect.left() + (column + 1) * side, top, (columns - column - 1) * side, side), ground)
        painter.fillRect(QRectF(rect.left(), top + side, rect.width(), (rows - row - 1) * side), ground)

    def _paint_lines(self, painter: QPainter, rect: QRectF, side: float) -> None:
        rows, columns = self.cells
        painter.setPen(QPen(QColor(0, 0, 0, 40), 1))
        for column in range(1, columns):
            x = rect.left() + column * side
            painter.drawLine(QPointF(x, rect.top()), QPointF(x, rect.bottom() - 1))
        for row in range(1, rows):
            y = rect.top() + row * side
            painter.drawLine(QPointF(rect.left(), y), QPointF(rect.right() - 1, y))

    def _paint_marks(self, painter: QPainter, theme: Theme, rect: QRectF, side: float) -> None:
        veil = QPainterPath()
        veil.addRect(rect)
        lit = QPainterPath()
        for row, column in self._marks:
            if self._inside(row, column):
                lit.addRect(QRectF(rect.left() + column * side, rect.top() + row * side, side, side))
        painter.fillPath(veil.subtracted(lit), QColor(0, 0, 0, 110))
        color = theme.color(self._role)
        reach = self._margin
        rows, columns = self.cells
        width = 2.0 if side >= LINES_FROM else 1.0
        for (row, column), strength in self._marks.items():
            if not (-reach <= row < rows + reach and -reach <= column < columns + reach):
                continue
            cell = QRectF(rect.left() + column * side, rect.top() + row * side, side, side)
            fill = QColor(color)
            fill.setAlphaF(0.10 + 0.35 * strength if self._inside(row, column) else 0.25)
            if side < LINES_FROM:
                fill.setAlphaF(0.45 + 0.4 * strength)
            painter.fillRect(cell, fill)
            style = Qt.PenStyle.SolidLine if self._inside(row, column) else Qt.PenStyle.DashLine
            if self._held and side >= LINES_FROM:
                painter.setPen(QPen(theme.color("panel"), width + 2))
                painter.drawRect(cell.adjusted(0.5, 0.5, -0.5, -0.5))
            painter.setPen(QPen(color, width, style))
            painter.drawRect(cell.adjusted(0.5, 0.5, -0.5, -0.5))

    # Pointing

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        self.pointed.emit(self.cell_at(event.position()))

    def leaveEvent(self, event: QEvent) -> None:
        self.pointed.emit(None)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        cell = self.cell_at(event.position())
        if event.button() == Qt.MouseButton.LeftButton and cell is not None:
            self._cursor = cell
            self.picked.emit(cell)
        else:
            super().mousePressEvent(event)

    def focusInEvent(self, event: QFocusEvent) -> None:
        self._by_keyboard = event.reason() in (Qt.FocusReason.TabFocusReason, Qt.FocusReason.BacktabFocusReason)
        super().focusInEvent(event)
        self.update()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        if self._by_keyboard:
            self.pointed.emit(None)
        self.update()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        moves = {
            Qt.Key.Key_Left: (0, -1),
            Qt.Key.Key_Right: (0, 1),
            Qt.Key.Key_Up: (-1, 0),
            Qt.Key.Key_Down: (1, 0),
        }
        rows, columns = self.cells
        if event.key() in moves and rows:
            down, right = moves[Qt.Key(event.key())]
            row, column = self._cursor or (rows // 2, columns // 2)
            self._cursor = (min(rows - 1, max(0, row + down)), min(columns - 1, max(0, column + right)))
            self._by_keyboard = True
            self.pointed.emit(self._cursor)
            self.update()
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space) and self._cursor is not None:
            self.picked.emit(self._cursor)
        elif event.key() == Qt.Key.Key_Escape:
            self.released.emit()
        else:
            super().keyPressEvent(event)
