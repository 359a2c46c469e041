"""The gallery's grid: it knows ids, asks for what is in view, and paints what is there by now."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import (
    QAbstractListModel,
    QEvent,
    QItemSelection,
    QItemSelectionModel,
    QModelIndex,
    QPersistentModelIndex,
    QPoint,
    QPointF,
    QRect,
    QSignalBlocker,
    QSize,
    Qt,
    QTimer,
    Signal,
    Slot,
)
from PySide6.QtGui import (
    QAction,
    QGuiApplication,
    QImage,
    QKeyEvent,
    QKeySequence,
    QMouseEvent,
    QPainter,
    QPainterPath,
    QPaintEvent,
    QPen,
    QRegion,
    QResizeEvent,
    QShowEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QAbstractItemView, QListView, QStyle, QStyleOptionViewItem, QWidget

from gui.services.theme import Theme
from gui.widgets.flow_grid import MARGIN, CellDelegate, Thumbnail

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


class GalleryView(QListView):
    """Shows any number of pictures by id; the columns fill the width.

    Where a cell stands follows from its number alone: Qt's own layout visits every row, which takes longer than a
    frame from some thousand rows on.

    Attributes:
        thumbnail_side: length of the square for a picture, in logical pixels; follows from width and `column`.
        column: wanted width of a column in logical pixels.

    While the keyboard is here, the keys of the actions added to the view belong to them, whatever they mean elsewhere
    in the window.

    Signals:
        selection_changed(): ask `selected_ids`.
        column_changed(int): the wheel with Ctrl made the columns wider or narrower.
        opened(object): double click or Enter on the picture of this id.
        menu_requested(QPoint): right click or menu key on a picture, with the global position.
    """

    selection_changed = Signal()
    column_changed = Signal(int)
    opened = Signal(object)
    menu_requested = Signal(QPoint)

    captions = False

    def __init__(self, provider: Provider, parent: QWidget | None = None, *, name: str = "Gallery") -> None:
        super().__init__(parent)
        self.thumbnail_side = 96
        self.column = 112
        self._provider = provider
        self._columns = 1
        self._anchor = self._target = 0  # rows between which Shift selects
        self._hovered = -1
        self._band: QRect | None = None
        self._rows = GalleryModel(provider)
        self._rows.setParent(self)
        self.setModel(self._rows)
        self.setItemDelegate(_GalleryDelegate(self))
        self.setFrameShape(QListView.Shape.NoFrame)
        self.setMouseTracking(True)
        self.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSelectionMode(QListView.SelectionMode.ExtendedSelection)
        self.setAccessibleName(name)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.customContextMenuRequested.connect(self._on_menu)
        self.activated.connect(self._on_activated)
        self.entered.connect(self._on_entered)
        self.selectionModel().selectionChanged.connect(self._on_selection)
        self.selectionModel().currentChanged.connect(self._on_current)
        self.verticalScrollBar().valueChanged.connect(self._look_soon)
        self.verticalScrollBar().rangeChanged.connect(self._look_soon)
        self._looking = QTimer(self)
        self._looking.setSingleShot(True)
        self._looking.setInterval(0)
        self._looking.timeout.connect(self._look)
        Theme.current().changed.connect(self.viewport().update)

    # What is shown

    @property
    def ids(self) -> list[int]:
        """What is shown, in order."""
        return list(self._rows.ids)

    def set_ids(self, ids: Sequence[int]) -> None:
        """Show these; what was selected and is still there stays selected."""
        selected = self.selected_ids()
        if not self._rows.set_ids(ids):
            self.select_ids(selected)
        self.updateGeometries()
        self.viewport().update()
        self._look_soon()

    def changed(self, ids: Iterable[int]) -> None:
        """Paint these anew; they are in memory now, or have another star."""
        self._rows.changed(ids)

    def selected_ids(self) -> list[int]:
        """The selected pictures, in the order of the grid."""
        ids = self._rows.ids
        return [ids[row] for row in self.selected_rows()]

    def selected_rows(self) -> list[int]:
        """Numbers of the selected pictures, ascending."""
        rows: set[int] = set()
        selection = self.selectionModel().selection()
        for part in (selection.at(number) for number in range(selection.count())):
            rows.update(range(part.top(), part.bottom() + 1))
        return sorted(rows)

    def select_ids(self, ids: Iterable[int]) -> None:
        """Select these pictures, as far as they are shown, without a signal."""
        rows = {row for id in ids if (row := self._rows.row(id)) is not None}
        with QSignalBlocker(self):
            self._select_rows(sorted(rows), QItemSelectionModel.SelectionFlag.ClearAndSelect)
            if rows and self.currentIndex().row() not in rows:
                first = self._rows.index(min(rows))
                self.selectionModel().setCurrentIndex(first, QItemSelectionModel.SelectionFlag.NoUpdate)
        self.viewport().update()

    def select_row(self, row: int) -> None:
        """Select one picture and bring it into view."""
        self.setCurrentIndex(self._rows.index(row))

    def set_column(self, width: int) -> None:
        """How wide a column shall be, within MIN_COLUMN and MAX_COLUMN."""
        self.column = min(MAX_COLUMN, max(MIN_COLUMN, width))
        self._fit()

    # Where it is shown

    def cell_size(self) -> QSize:
        """Size of one cell in logical pixels."""
        side = self.thumbnail_side + 2 * MARGIN
        return QSize(side, side)

    def rows_in_view(self) -> range:
        """Numbers of the rows that are at least partly in view."""
        return self._rows_between(self.verticalOffset(), self.verticalOffset() + self.viewport().height() - 1)

    def visualRect(self, index: QModelIndex | QPersistentModelIndex) -> QRect:
        cell = self.cell_size()
        line, place = divmod(index.row(), self._columns)
        return QRect(QPoint(place * cell.width(), line * cell.height() - self.verticalOffset()), cell)

    def indexAt(self, point: QPoint) -> QModelIndex:
        cell = self.cell_size()
        place, line = point.x() // cell.width(), (point.y() + self.verticalOffset()) // cell.height()
        row = line * self._columns + place
        inside = 0 <= place < self._columns and 0 <= row < self._rows.rowCount()
        return self._rows.index(row) if inside else QModelIndex()

    def scrollTo(
        self,
        index: QModelIndex | QPersistentModelIndex,
        hint: QAbstractItemView.ScrollHint = QAbstractItemView.ScrollHint.EnsureVisible,
    ) -> None:
        rect, bar = self.visualRect(index), self.verticalScrollBar()
        if hint == QAbstractItemView.ScrollHint.PositionAtCenter:
            bar.setValue(bar.value() + rect.center().y() - self.viewport().height() // 2)
        elif rect.top() < 0 or hint == QAbstractItemView.ScrollHint.PositionAtTop:
            bar.setValue(bar.value() + rect.top())
        elif rect.bottom() >= self.viewport().height() or hint == QAbstractItemView.ScrollHint.PositionAtBottom:
            bar.setValue(bar.value() + rect.bottom() + 1 - self.viewport().height())

    def horizontalOffset(self) -> int:
        return 0

    def verticalOffset(self) -> int:
        return self.verticalScrollBar().value()

    def doItemsLayout(self) -> None:
        # Not that of QListView, see above.
        QAbstractItemView.doItemsLayout(self)

    def updateGeometries(self) -> None:
        lines, height = math.ceil(self._rows.rowCount() / self._columns), self.cell_size().height()
        bar = self.verticalScrollBar()
        bar.setSingleStep(max(8, height // 3))
        bar.setPageStep(self.viewport().height())
        bar.setRange(0, max(0, lines * height - self.viewport().height()))
        QAbstractItemView.updateGeometries(self)

    def _rows_between(self, top: int, bottom: int) -> range:
        """Rows of the lines between two heights of the whole grid."""
        height, count = self.cell_size().height(), self._rows.rowCount()
        first, last = max(0, top // height), max(-1, bottom // height)
        return range(min(count, first * self._columns), min(count, (last + 1) * self._columns))

    def _fit(self) -> None:
        """Make the columns fill the width that a scroll bar leaves: they must not jump when it comes."""
        room = self.width() - self.verticalScrollBar().sizeHint().width()
        columns = max(1, room // self.column)
        side = max(16, room // columns - 2 * MARGIN)
        if (side, columns) != (self.thumbnail_side, self._columns):
            before = self.rows_in_view().start
            self.thumbnail_side, self._columns = side, columns
            self.updateGeometries()
            # The same pictures stay in view.
            self.verticalScrollBar().setValue(before // columns * self.cell_size().height())
            self.viewport().update()
            self._look_soon()

    # Painting

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self.viewport())
        area, option = event.rect(), QStyleOptionViewItem()
        self.initViewItemOption(option)
        base, states = option.state, QStyle.StateFlag  # type: ignore[attr-defined]
        selection, current = self.selectionModel(), self.currentIndex().row()
        offset = self.verticalOffset()
        for row in self._rows_between(area.top() + offset, area.bottom() + offset):
            index = self._rows.index(row)
            state = base & ~states.State_HasFocus & ~states.State_MouseOver
            for holds, flag in (
                (selection.isSelected(index), states.State_Selected),
                (row == current, states.State_HasFocus),
                (row == self._hovered, states.State_MouseOver),
            ):
                if holds:
                    state |= flag
            option.state, option.rect = state, self.visualRect(index)  # type: ignore[attr-defined]
            self.itemDelegate().paint(painter, option, index)
        if self._band is not None:
            accent = Theme.current().color("accent")
            painter.setPen(QPen(accent, 1.0))
            accent.setAlphaF(0.15)
            painter.setBrush(accent)
            painter.drawRect(self._band.adjusted(0, 0, -1, -1))
        painter.end()

    def leaveEvent(self, event: QEvent) -> None:
        super().leaveEvent(event)
        self._hover(-1)

    def _on_entered(self, index: QModelIndex) -> None:
        self._hover(index.row())

    def _hover(self, row: int) -> None:
        if row != self._hovered:
            for one in (self._hovered, row):
                self.viewport().update(self.visualRect(self._rows.index(max(0, one))))
            self._hovered = row

    # Selecting

    def moveCursor(self, action: QAbstractItemView.CursorAction, modifiers: Qt.KeyboardModifier) -> QModelIndex:
        actions, count, row = QAbstractItemView.CursorAction, self._rows.rowCount(), self.currentIndex().row()
        if count == 0:
            return QModelIndex()
        page = max(1, self.viewport().height() // self.cell_size().height()) * self._columns
        steps = {
            actions.MoveLeft: -1,
            actions.MovePrevious: -1,
            actions.MoveRight: 1,
            actions.MoveNext: 1,
            actions.MoveUp: -self._columns,
            actions.MoveDown: self._columns,
            actions.MovePageUp: -page,
            actions.MovePageDown: page,
            actions.MoveHome: -count,
            actions.MoveEnd: count,
        }
        moved = max(0, row) + steps[action]
        if action in (actions.MoveUp, actions.MoveDown) and not 0 <= moved < count:
            moved = row  # there is nothing above or below
        self._target = min(count - 1, max(0, moved))
        return self._rows.index(self._target)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        index = self.indexAt(event.position().toPoint())
        if index.isValid():
            self._target = index.row()
            if not event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
                self._anchor = self._target
        super().mousePressEvent(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        super().mouseReleaseEvent(event)
        if self._band is not None:
            self._band = None
            self.viewport().update()

    def setSelection(self, rect: QRect, command: QItemSelectionModel.SelectionFlag) -> None:
        if self.state() == QAbstractItemView.State.DragSelectingState:
            cell, offset = self.cell_size(), self.verticalOffset()
            rect = rect.normalized()
            self._band = rect
            left, right = rect.left() // cell.width(), rect.right() // cell.width()
            rows = self._rows_between(rect.top() + offset, rect.bottom() + offset)
            self._select_rows([row for row in rows if left <= row % self._columns <= right], command)
            self.viewport().update()
        else:
            last_row = self._rows.rowCount() - 1  # the anchor may be from before the rows were fewer
            first, last = sorted((min(self._anchor, last_row), min(self._target, last_row)))
            self._select_rows(range(first, last + 1), command)

    def visualRegionForSelection(self, selection: QItemSelection) -> QRegion:
        return QRegion(self.viewport().rect())

    def _select_rows(self, rows: Sequence[int], command: QItemSelectionModel.SelectionFlag) -> None:
        """Args: rows: ascending."""
        chosen = QItemSelection()
        start = 0
        for place, row in enumerate(rows):
            # At the end of a stretch without a gap.
            if place + 1 == len(rows) or rows[place + 1] != row + 1:
                chosen.select(self._rows.index(rows[start]), self._rows.index(row))
                start = place + 1
        self.selectionModel().select(chosen, command)

    def _on_selection(self) -> None:
        self.selection_changed.emit()

    def _on_current(self, current: QModelIndex) -> None:
        if not QGuiApplication.keyboardModifiers() & Qt.KeyboardModifier.ShiftModifier:
            self._anchor = max(0, current.row())

    def _on_activated(self, index: QModelIndex) -> None:
        self.opened.emit(self._rows.ids[index.row()])

    def _on_menu(self, position: QPoint) -> None:
        if self.indexAt(position).isValid():
            self.menu_requested.emit(self.viewport().mapToGlobal(position))

    # Keys

    def event(self, event: QEvent) -> bool:
        # Accepted here, a key comes to keyPressEvent; otherwise an action of the page with the same key would have it.
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent) and self._action_of(event):
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        action = self._action_of(event)
        if action is None:
            super().keyPressEvent(event)
        elif not event.isAutoRepeat():
            action.trigger()

    def _action_of(self, event: QKeyEvent) -> QAction | None:
        keys = QKeySequence(event.keyCombination())
        own = (action for action in self.actions() if action.isEnabled() and action.isVisible())
        return next((action for action in own if keys in action.shortcuts()), None)

    # Coming into view

    def resizeEvent(self, event: QResizeEvent) -> None:
        # Not that of QListView, which would lay everything out anew.
        QAbstractItemView.resizeEvent(self, event)
        self._fit()
        self.updateGeometries()
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

    @Slot()
    def _look_soon(self) -> None:
        self._looking.start()

    @Slot()
    def _look(self) -> None:
        """Ask for what is in view, then for a screenful below and above it."""
        if not self.isVisible():
            return
        shown, ids = self.rows_in_view(), self._rows.ids
        more = len(shown)
        below = ids[shown.stop : shown.stop + more]
        above = ids[max(0, shown.start - more) : shown.start]
        self._provider.want([*ids[shown.start : shown.stop], *below, *reversed(above)])
