"""The gallery's grid: it knows ids, asks for what is in view, and paints what is there by now."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import (
    QAbstractListModel,
    QItemSelection,
    QItemSelectionModel,
    QModelIndex,
    QPersistentModelIndex,
    QPointF,
    QRect,
    QSignalBlocker,
    Qt,
    QTimer,
    Signal,
    Slot,
)
from PySide6.QtGui import QImage, QPainter, QPainterPath, QPen, QResizeEvent, QShowEvent, QWheelEvent
from PySide6.QtWidgets import QWidget

from gui.services.theme import Theme
from gui.widgets.flow_grid import MARGIN, CellDelegate, PictureGrid, Thumbnail

MOST_RUNS = 32  # of rows that came or went; beyond, everything is laid out anew
MIN_COLUMN, MAX_COLUMN = 64, 240
BADGE = 20.0  # diameter of the ground of a star
STAR = 6.5  # outer radius


@dataclass(frozen=True)
class Cell(Thumbnail):
    """What the grid paints of a picture.

    Attributes:
        starred: whether it has a star.
        broken: whether its file cannot be read.
    """

    starred: bool = False
    broken: bool = False


@dataclass(frozen=True)
class Provider:
    """Where the grid gets what it shows. Both answer at once, from memory.

    Attributes:
        cell: of an id; None while it is not there.
        words: of an id: its name, and more for the tooltip; None while they are not known.
        want: told the ids whose cells are wanted, those in view first.
    """

    cell: Callable[[int], Cell | None]
    words: Callable[[int], tuple[str, str] | None]
    want: Callable[[Iterable[int]], None]


class GalleryModel(QAbstractListModel):
    """Rows of ids. It never reads anything: a row whose picture is not in memory is empty."""

    def __init__(self, provider: Provider) -> None:
        super().__init__()
        self._provider = provider
        self._ids: list[int] = []
        self._rows: dict[int, int] = {}

    @property
    def ids(self) -> list[int]:
        """The id of each row."""
        return self._ids

    def row(self, id: int) -> int | None:
        """Where an id stands."""
        return self._rows.get(id)

    def rowCount(self, parent: QModelIndex | QPersistentModelIndex = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self._ids)

    def data(self, index: QModelIndex | QPersistentModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid() or not 0 <= index.row() < len(self._ids):
            return None
        id = self._ids[index.row()]
        if role == Qt.ItemDataRole.UserRole:
            return self._provider.cell(id) or Cell(QImage())
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole, Qt.ItemDataRole.ToolTipRole):
            words = self._provider.words(id)
            if role == Qt.ItemDataRole.ToolTipRole:
                return words[1] if words else None
            return words[0] if words else self.tr("Picture {n}").format(n=index.row() + 1)
        return None

    def set_ids(self, ids: Sequence[int]) -> bool:
        """Show these. Rows that stay keep their place and selection unless the order changed or too much did.

        Returns:
            False where everything was laid out anew and the selection is lost.
        """
        if ids == self._ids:
            return True
        new, old = set(ids), self._rows.keys()
        staying = [id for id in self._ids if id in new]
        gone = list(_runs(self._ids, lambda id: id not in new))
        come = list(_runs(ids, lambda id: id not in old))
        gradual = len(gone) + len(come) <= MOST_RUNS and staying == [id for id in ids if id in old]
        if gradual:
            for first, last in reversed(gone):
                self.beginRemoveRows(QModelIndex(), first, last)
                del self._ids[first : last + 1]
                self._number()
                self.endRemoveRows()
            for first, last in come:
                self.beginInsertRows(QModelIndex(), first, last)
                self._ids[first:first] = ids[first : last + 1]
                self._number()
                self.endInsertRows()
        else:
            self.beginResetModel()
            self._ids = list(ids)
            self._number()
            self.endResetModel()
        return gradual

    def changed(self, ids: Iterable[int]) -> None:
        """The cells of these ids are other ones."""
        rows = sorted(row for id in ids if (row := self._rows.get(id)) is not None)
        if rows:
            # A view paints what of it is in view, so that one signal for the whole stretch costs least.
            self.dataChanged.emit(self.index(rows[0]), self.index(rows[-1]))

    def _number(self) -> None:
        self._rows = {id: row for row, id in enumerate(self._ids)}


def _runs(ids: Sequence[int], wanted: Callable[[int], bool]) -> Iterator[tuple[int, int]]:
    """First and last place of each unbroken run of ids that are `wanted`."""
    first: int | None = None
    for place, id in enumerate(ids):
        if wanted(id):
            first = place if first is None else first
        elif first is not None:
            yield first, place - 1
            first = None
    if first is not None:
        yield first, len(ids) - 1


class _GalleryDelegate(CellDelegate):
    def paint_picture(self, painter: QPainter, frame: QRect, item: Thumbnail) -> None:
        theme = Theme.current()
        if item.image.isNull():
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme.color("sunken"))
            painter.drawRoundedRect(frame, 4, 4)
        super().paint_picture(painter, frame, item)
        if not isinstance(item, Cell):
            return
        if item.broken:
            theme.icon("warning", "muted", 24).paint(painter, frame)
        if item.starred:
            center = QPointF(frame.right() - BADGE / 2 - 1, frame.top() + BADGE / 2 + 2)
            ground = theme.color("raised")
            ground.setAlphaF(0.9)
            painter.setPen(QPen(theme.color("border"), 1.0))
            painter.setBrush(ground)
            painter.drawEllipse(center, BADGE / 2, BADGE / 2)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme.color("warning"))
            painter.drawPath(star_path(center, STAR))


def star_path(center: QPointF, radius: float) -> QPainterPath:
    """A five-pointed star around `center`."""
    path = QPainterPath()
    for point in range(10):
        angle, reach = math.pi * (point / 5 - 0.5), radius if point % 2 == 0 else radius * 0.45
        corner = center + QPointF(math.cos(angle) * reach, math.sin(angle) * reach)
        path.lineTo(corner) if point else path.moveTo(corner)
    path.closeSubpath()
    return path


class GalleryView(PictureGrid):
    """Shows any number of pictures by id; the columns fill the width.

    Attributes:
        column: wanted width of a column in logical pixels.

    Signals:
        column_changed(int): Ctrl and the wheel changed the wanted width of a column.
    """

    column_changed = Signal(int)

    def __init__(self, provider: Provider, parent: QWidget | None = None, *, name: str = "Gallery") -> None:
        self._provider = provider
        self._ids = GalleryModel(provider)
        super().__init__(self._ids, parent, multiple=True, name=name)
        self.setItemDelegate(_GalleryDelegate(self))
        self.column = 112
        # The scroll bar is always there: the columns would jump with the first picture that does not fit.
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)
        self.verticalScrollBar().valueChanged.connect(self._look_soon)
        self.verticalScrollBar().rangeChanged.connect(self._look_soon)
        self._looking = QTimer(self)
        self._looking.setSingleShot(True)
        self._looking.setInterval(0)
        self._looking.timeout.connect(self._look)
        Theme.current().changed.connect(self.viewport().update)

    @property
    def ids(self) -> list[int]:
        """What is shown, in order."""
        return list(self._ids.ids)

    def set_ids(self, ids: Sequence[int]) -> None:
        """Show these; what was selected and is still there stays selected."""
        selected = self.selected_ids()
        if not self._ids.set_ids(ids):
            self.select_ids(selected)
        self._look_soon()

    def selected_ids(self) -> list[int]:
        """The selected pictures, in the order of the grid."""
        return [self._ids.ids[row] for row in self.selected_rows()]

    def select_ids(self, ids: Iterable[int]) -> None:
        """Select these pictures, as far as they are shown, without a signal."""
        rows = [row for id in ids if (row := self._ids.row(id)) is not None]
        chosen = QItemSelection()
        for row in rows:
            chosen.select(self._ids.index(row), self._ids.index(row))
        flags = QItemSelectionModel.SelectionFlag
        with QSignalBlocker(self):
            self.selectionModel().select(chosen, flags.ClearAndSelect)
            if rows:
                self.selectionModel().setCurrentIndex(self._ids.index(rows[0]), flags.NoUpdate)
        self.viewport().update()

    def changed(self, ids: Iterable[int]) -> None:
        """Paint these anew; they are in memory now, or have another star."""
        self._ids.changed(ids)

    def set_column(self, width: int) -> None:
        """How wide a column shall be, within MIN_COLUMN and MAX_COLUMN."""
        self.column = min(MAX_COLUMN, max(MIN_COLUMN, width))
        self._fit()

    def rows_in_view(self) -> range:
        """Numbers of the rows that are at least partly in view."""
        cell, count = self.cell_size(), self._ids.rowCount()
        columns = max(1, self._room() // cell.width())
        first = self.verticalScrollBar().value() // cell.height()
        last = (self.verticalScrollBar().value() + self.viewport().height()) // cell.height()
        return range(min(count, first * columns), min(count, (last + 1) * columns))

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()
        self._look_soon()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._look_soon()

    def wheelEvent(self, event: QWheelEvent) -> None:
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self.set_column(self.column + (16 if event.angleDelta().y() > 0 else -16))
            self.column_changed.emit(self.column)
            event.accept()
        else:
            super().wheelEvent(event)

    def _room(self) -> int:
        return self.viewport().width()

    def _fit(self) -> None:
        """Make the columns fill the width."""
        room = self._room()
        columns = max(1, room // self.column)
        side = max(16, room // columns - 2 * MARGIN)
        if side != self.thumbnail_side:
            self.set_thumbnail_side(side)
            self._look_soon()

    @Slot()
    def _look_soon(self) -> None:
        self._looking.start()

    @Slot()
    def _look(self) -> None:
        """Ask for what is in view, then for a screenful below and above it."""
        if not self.isVisible():
            return
        shown, ids = self.rows_in_view(), self._ids.ids
        more = len(shown)
        below = ids[shown.stop : shown.stop + more]
        above = ids[max(0, shown.start - more) : shown.start]
        self._provider.want([*ids[shown.start : shown.stop], *below, *reversed(above)])
