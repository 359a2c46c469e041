"""The batch below the picture: a sortable table of files with sizes, quality and state, and what can be done."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QSortFilterProxyModel, Qt, QUrl, Signal, Slot
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from gui.controllers.wording import bytes_short, decibels, percent
from gui.widgets.elided_label import ElidedLabel

if TYPE_CHECKING:
    from gui.controllers.batch_controller import BatchController, BatchRow
    from gui.services.context import Services

COLUMNS = ("Name", "Before", "After", "Share", "PSNR", "State")
NAME, BEFORE, AFTER, SHARE, PSNR, STATE = range(len(COLUMNS))
SORT_ROLE = Qt.ItemDataRole.UserRole
STATE_WORDS = {
    "waiting": "Waiting",
    "running": "Running…",
    "done": "Done",
    "failed": "Failed",
    "cancelled": "Cancelled",
}
STATE_COLORS = {"done": "success", "failed": "danger", "running": "accent"}


class BatchTableModel(QAbstractTableModel):
    """The rows of a `BatchController` as Qt's views read them."""

    def __init__(self, controller: BatchController, services: Services, parent: QWidget) -> None:
        super().__init__(parent)
        self._controller = controller
        self._theme = services.theme
        controller.rows_reset.connect(self._on_reset)
        controller.row_changed.connect(self._on_row_changed)

    def rowCount(self, parent: Any = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        return 0 if parent.isValid() else len(self._controller.rows)

    def columnCount(self, parent: Any = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        return 0 if parent.isValid() else len(COLUMNS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if orientation == Qt.Orientation.Horizontal:
            if role == Qt.ItemDataRole.DisplayRole:
                return COLUMNS[section]
            if role == Qt.ItemDataRole.TextAlignmentRole:
                return _alignment(section)
        return None

    def data(self, index: Any, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        row, column = self._controller.rows[index.row()], index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            return _text(row, column)
        if role == SORT_ROLE:
            return _key(row, column)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _alignment(column)
        if role == Qt.ItemDataRole.ToolTipRole:
            return row.problem or str(row.target or row.source)
        if role == Qt.ItemDataRole.ForegroundRole and column == STATE and row.state in STATE_COLORS:
            return self._theme.color(STATE_COLORS[row.state])
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f"{COLUMNS[column]}: {_text(row, column)}"
        return None

    @Slot()
    def _on_reset(self) -> None:
        self.beginResetModel()
        self.endResetModel()

    @Slot(int)
    def _on_row_changed(self, row: int) -> None:
        self.dataChanged.emit(self.index(row, 0), self.index(row, len(COLUMNS) - 1))


class BatchPanel(QFrame):
    """Table, target folder, start, cancel.

    Signals:
        start_requested(): compress with the settings of the page.
        row_opened(Path): a finished row was double-clicked.
        closed(): the panel is to be put away.
    """

    start_requested = Signal()
    row_opened = Signal(object)
    closed = Signal()

    def __init__(self, controller: BatchController, services: Services, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._controller = controller
        self.setProperty("look", "panel")
        self.model = BatchTableModel(controller, services, self)
        self._sorted = QSortFilterProxyModel(self)
        self._sorted.setSourceModel(self.model)
        self._sorted.setSortRole(SORT_ROLE)

        title = QLabel("Batch")
        title.setProperty("look", "heading")
        self._summary = ElidedLabel()
        self._summary.setProperty("look", "muted")
        self._target = QPushButton()
        self._target.setProperty("look", "flat")
        self._target.clicked.connect(self._on_choose_target)
        self.start_button = QPushButton("Start")
        self.start_button.setProperty("look", "primary")
        self.start_button.setAccessibleName("Start the batch")
        self.start_button.setToolTip("Compress every file with the model, quality and metadata choice at the right")
        self.start_button.clicked.connect(self.start_requested)
        self.cancel_button = QPushButton("Cancel")
        self.cancel_button.setAccessibleName("Cancel the batch")
        self.cancel_button.clicked.connect(controller.cancel)
        self._open_folder = QPushButton("Open folder")
        self._open_folder.setAccessibleName("Open the folder of the results")
        self._open_folder.clicked.connect(self._on_open_folder)
        self._close = QPushButton("Close")
        self._close.setProperty("look", "flat")
        self._close.setAccessibleName("Close the batch and empty its table")
        self._close.clicked.connect(self._on_close)

        head = QHBoxLayout()
        head.setSpacing(8)
        head.addWidget(title)
        head.addWidget(self._summary, 1)
        for widget in (self._target, self._open_folder, self.start_button, self.cancel_button, self._close):
            head.addWidget(widget)

        self._progress = QProgressBar()
        self._progress.setRange(0, 1000)
        self._progress.setTextVisible(False)
        self._progress.setAccessibleName("Progress of the batch")

        self.table = QTableView()
        self.table.setModel(self._sorted)
        self.table.setAccessibleName("Files of the batch")
        self.table.setSortingEnabled(True)
        self.table.sortByColumn(-1, Qt.SortOrder.AscendingOrder)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setShowGrid(False)
        self.table.setMinimumHeight(132)
        self.table.setTabKeyNavigation(False)
        self.table.setWordWrap(False)
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setDefaultSectionSize(28)
        header = self.table.horizontalHeader()
        header.setHighlightSections(False)
        header.setStretchLastSection(True)
        for column, width in ((NAME, 150), (BEFORE, 76), (AFTER, 76), (SHARE, 68), (PSNR, 86)):
            header.resizeSection(column, width)
        self.table.activated.connect(self._on_activated)

        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 8, 12, 12)
        layout.setSpacing(6)
        layout.addLayout(head)
        layout.addWidget(self._progress)
        layout.addWidget(self.table, 1)
        controller.changed.connect(self.refresh)
        controller.rows_reset.connect(self.refresh)
        controller.row_changed.connect(self._on_row_changed)
        self.refresh()

    @Slot()
    def refresh(self) -> None:
        """Show the controller's state in everything but the table."""
        controller = self._controller
        self._summary.setText(controller.summary())
        target = controller.target
        self._target.setText(f"To: {target.name}" if target else "Choose a folder…")
        self._target.setToolTip(f"{target}\nClick to choose another folder." if target else "")
        self._target.setAccessibleName(f"Target folder: {target}" if target else "Choose the target folder")
        self._target.setEnabled(not controller.running)
        fresh = any(row.state == "waiting" for row in controller.rows)
        self.start_button.setText("Start" if fresh or not controller.waiting else f"Retry {controller.waiting}")
        self.start_button.setVisible(not controller.running)
        self.start_button.setEnabled(controller.waiting > 0 and target is not None)
        self.cancel_button.setVisible(controller.running)
        self._close.setEnabled(not controller.running)
        self._open_folder.setVisible(any(row.state == "done" for row in controller.rows))
        # Kept in the layout while idle, so that the table does not jump.
        self._progress.setValue(round(1000 * controller.fraction))

    @Slot(int)
    def _on_row_changed(self, _row: int) -> None:
        self._summary.setText(self._controller.summary())

    @Slot()
    def _on_choose_target(self) -> None:
        start = self._controller.target or Path.home()
        while not start.is_dir() and start != start.parent:
            start = start.parent
        folder = QFileDialog.getExistingDirectory(self, "Folder for the compressed files", str(start))
        if folder:
            self._controller.set_target(Path(folder))

    @Slot()
    def _on_open_folder(self) -> None:
        if self._controller.target is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._controller.target)))

    @Slot()
    def _on_close(self) -> None:
        self._controller.clear()
        self.closed.emit()

    @Slot(QModelIndex)
    def _on_activated(self, index: QModelIndex) -> None:
        row = self._controller.rows[self._sorted.mapToSource(index).row()]
        self.row_opened.emit(row.target or row.source)


def _text(row: BatchRow, column: int) -> str:
    if column == NAME:
        return row.source.name
    if column == BEFORE:
        return "" if row.before is None else bytes_short(row.before)
    if column == AFTER:
        return "" if row.after is None else bytes_short(row.after)
    if column == SHARE:
        return "" if row.after is None or row.before is None else percent(row.after, row.before)
    if column == PSNR:
        return "" if row.psnr is None else decibels(row.psnr)
    # The name stands in the row already; the tooltip has the whole sentence.
    problem = row.problem.replace(str(row.source), "It")
    return STATE_WORDS[row.state] + (f": {problem}" if problem else "")


def _key(row: BatchRow, column: int) -> Any:
    """What a column is sorted by: numbers as numbers, unknown ones first."""
    if column == NAME:
        return row.source.name.lower()
    if column == BEFORE:
        return -1 if row.before is None else row.before
    if column == AFTER:
        return -1 if row.after is None else row.after
    if column == SHARE:
        return -1.0 if row.after is None or not row.before else row.after / row.before
    if column == PSNR:
        return -1.0 if row.psnr is None else row.psnr
    return STATE_WORDS[row.state]


def _alignment(column: int) -> Qt.AlignmentFlag:
    side = Qt.AlignmentFlag.AlignRight if BEFORE <= column <= PSNR else Qt.AlignmentFlag.AlignLeft
    return side | Qt.AlignmentFlag.AlignVCenter
