"""A grid of thumbnails that flows with the width; only what is in view is painted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol, cast

from PySide6.QtCore import QAbstractListModel, QModelIndex, QPersistentModelIndex, QPoint, QRect, QSize, Qt, Signal
from PySide6.QtGui import QImage, QPainter, QPen
from PySide6.QtWidgets import QListView, QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from gui.services.theme import Theme

CAPTION_HEIGHT = 22
MARGIN = 6


@dataclass(frozen=True)
class Thumbnail:
    """One cell: a picture, a short caption (may be empty) and whatever the page wants to find again."""

    image: QImage
    caption: str = ""
    data: Any = None
    hint: str = ""


class _Model(QAbstractListModel):
    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.items: list[Thumbnail] = []

    def rowCount(self, parent: QModelIndex | QPersistentModelIndex = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self.items)

    def data(self, index: QModelIndex | QPersistentModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        item = self.items[index.row()]
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            return item.caption or f"Picture {index.row() + 1}"
        if role == Qt.ItemDataRole.ToolTipRole:
            return item.hint or None
        return item if role == Qt.ItemDataRole.UserRole else None

    def replace(self, items: Iterable[Thumbnail]) -> None:
        self.beginResetModel()
        self.items = list(items)
        self.endResetModel()

    def append(self, items: list[Thumbnail]) -> None:
        self.beginInsertRows(QModelIndex(), len(self.items), len(self.items) + len(items) - 1)
        self.items += items
        self.endInsertRows()

    def change(self, row: int, item: Thumbnail) -> None:
        self.items[row] = item
        self.dataChanged.emit(self.index(row), self.index(row))


class Grid(Protocol):
    """What a `CellDelegate` asks of the view it paints for, which is a `QListView`."""

    thumbnail_side: int
    captions: bool

    def cell_size(self) -> QSize:
        """Size of one cell in logical pixels."""
        ...

    def hasFocus(self) -> bool:
        """Whether the keyboard is here."""
        ...


class CellDelegate(QStyledItemDelegate):
    """Paints the cells of a grid whose model gives a `Thumbnail` as its user role."""

    def __init__(self, grid: Grid) -> None:
        super().__init__(cast(QListView, grid))
        self._grid = grid

    def paint_picture(self, painter: QPainter, frame: QRect, item: Thumbnail) -> None:
        """The picture within `frame`, in logical pixels."""
        if item.image.isNull():
            return
        size = item.image.size().scaled(frame.size(), Qt.AspectRatioMode.KeepAspectRatio)
        target = QRect(QPoint(0, 0), size)
        target.moveCenter(frame.center())
        # Small generated pictures are shown as they are, without blurring their pixels away.
        enlarged = size.width() > 2 * item.image.width()
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, not enlarged)
        painter.drawImage(target, item.image)

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> QSize:
        return self._grid.cell_size()

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        item: Thumbnail = index.data(Qt.ItemDataRole.UserRole)
        theme = Theme.current()
        state, rect = option.state, QRect(option.rect).adjusted(2, 2, -2, -2)  # type: ignore[attr-defined]
        selected = bool(state & QStyle.StateFlag.State_Selected)
        focused = bool(state & QStyle.StateFlag.State_HasFocus) and self._grid.hasFocus()
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if selected or state & QStyle.StateFlag.State_MouseOver:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme.color("accent_soft" if selected else "hover"))
            painter.drawRoundedRect(rect, 6, 6)
        side = self._grid.thumbnail_side
        frame = QRect(rect.center().x() - side // 2, rect.top() + MARGIN - 2, side, side)
        self.paint_picture(painter, frame, item)
        if self._grid.captions and item.caption:
            line = QRect(rect.left() + 4, frame.bottom() + 3, rect.width() - 8, CAPTION_HEIGHT - 2)
            painter.setPen(theme.color("text"))
            text = painter.fontMetrics().elidedText(item.caption, Qt.TextElideMode.ElideMiddle, line.width())
            painter.drawText(line, Qt.AlignmentFlag.AlignCenter, text)
        if selected or focused:
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(theme.color("accent"), 2 if focused or selected else 1))
            painter.drawRoundedRect(rect, 6, 6)
        painter.restore()


class FlowGrid(QListView):
    """Thumbnails with selection by mouse and keys.

    Attributes:
        thumbnail_side: length of the square for a picture, in logical pixels.
        captions: whether room for captions is kept.

    Signals:
        selection_changed(): ask `selected_rows`.
        opened(int): double click or Enter on a row.
        menu_requested(int, QPoint): right click or menu key on a row, with the global position.
    """

    selection_changed = Signal()
    opened = Signal(int)
    menu_requested = Signal(int, QPoint)

    def __init__(
        self,
        parent: QWidget | None = None,
        *,
        thumbnail_side: int = 96,
        captions: bool = False,
        multiple: bool = False,
        name: str = "Pictures",
    ) -> None:
        super().__init__(parent)
        self.thumbnail_side, self.captions = thumbnail_side, captions
        self._model = _Model(self)
        self.setModel(self._model)
        self.setItemDelegate(CellDelegate(self))
        self.setViewMode(QListView.ViewMode.IconMode)
        self.setResizeMode(QListView.ResizeMode.Adjust)
        self.setMovement(QListView.Movement.Static)
        self.setUniformItemSizes(True)
        self.setSpacing(0)
        self.setFrameShape(QListView.Shape.NoFrame)
        self.setMouseTracking(True)
        self.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        modes = QListView.SelectionMode
        self.setSelectionMode(modes.ExtendedSelection if multiple else modes.SingleSelection)
        self.setAccessibleName(name)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.customContextMenuRequested.connect(self._on_menu)
        self.activated.connect(self._on_activated)
        self.selectionModel().selectionChanged.connect(self._on_selection)

    @property
    def items(self) -> list[Thumbnail]:
        """What is shown, in order."""
        return list(self._model.items)

    def set_items(self, items: Iterable[Thumbnail]) -> None:
        """Show other pictures; the selection is empty afterwards."""
        self._model.replace(items)
        self.selection_changed.emit()

    def append(self, *items: Thumbnail) -> None:
        """Add pictures at the end."""
        if items:
            self._model.append(list(items))

    def change(self, row: int, item: Thumbnail) -> None:
        """Replace one picture, keeping the selection."""
        self._model.change(row, item)

    def selected_rows(self) -> list[int]:
        """Numbers of the selected pictures, ascending."""
        return sorted(index.row() for index in self.selectionModel().selectedIndexes())

    def select_row(self, row: int) -> None:
        """Select one picture and bring it into view."""
        self.setCurrentIndex(self._model.index(row))

    def set_thumbnail_side(self, side: int) -> None:
        """Larger or smaller thumbnails."""
        self.thumbnail_side = side
        self.scheduleDelayedItemsLayout()

    def cell_size(self) -> QSize:
        """Size of one cell in logical pixels."""
        side = self.thumbnail_side + 2 * MARGIN
        return QSize(side, side + (CAPTION_HEIGHT if self.captions else 0))

    def _on_selection(self) -> None:
        self.selection_changed.emit()

    def _on_activated(self, index: QModelIndex) -> None:
        self.opened.emit(index.row())

    def _on_menu(self, position: QPoint) -> None:
        index = self.indexAt(position)
        if index.isValid():
            self.menu_requested.emit(index.row(), self.viewport().mapToGlobal(position))
