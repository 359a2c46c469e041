"""The batch below the picture: a sortable table of files with sizes, quality and state, and what can be done."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QSignalBlocker, Qt, QTimer, QUrl, Signal, Slot
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QSpinBox,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from engine.batch.settings import FORMAT_NAMES, LOSSLESS_FORMATS
from gui.controllers.batch_controller import PAGE
from gui.controllers.wording import bytes_short, decibels, percent
from gui.widgets.elided_label import ElidedLabel
from gui.widgets.flow_panel import FlowPanel

if TYPE_CHECKING:
    from gui.controllers.batch_controller import BatchController, BatchRow
    from gui.services.context import Services

COLUMNS = ("Name", "Before", "After", "%", "PSNR", "MS-SSIM", "State")
NAME, BEFORE, AFTER, SHARE, PSNR, MS_SSIM, STATE = range(len(COLUMNS))
STATE_WORDS = {
    "waiting": "Waiting",
    "running": "Running…",
    "done": "Done",
    "copied": "Copied",
    "failed": "Failed",
    "cancelled": "Cancelled",
}
STATE_COLORS = {"done": "success", "copied": "success", "failed": "danger", "running": "accent"}
# What a batch aims at: its name, the unit, the range, the decimals and the step of its value.
AIM_FIELDS = {
    "quality": ("Quality", "", 0.0, 100.0, 0, 1.0),
    "size": ("File size", " kB", 0.1, 1e6, 1, 10.0),
    "bpp": ("Bits per pixel", " bpp", 0.01, 24.0, 2, 0.1),
    "psnr": ("PSNR", " dB", 10.0, 80.0, 1, 0.5),
    "ms-ssim": ("MS-SSIM", "", 0.5, 1.0, 4, 0.005),
}
# Milliseconds until a table that is sorted by figures is sorted anew after some of them changed.
SORT_DELAY = 500
# So that fields and buttons of different heights stand on one line.
_LINE_HEIGHT = 32


class BatchTableModel(QAbstractTableModel):
    """The rows of a `BatchController` as Qt's views read them, sorted here.

    A `QSortFilterProxyModel` would ask this class for every comparison; ten thousand rows would take it a second.
    """

    def __init__(self, controller: BatchController, services: Services, parent: QWidget) -> None:
        super().__init__(parent)
        self._controller = controller
        self._theme = services.theme
        self._column, self._descending = -1, False
        self._order: list[int] = list(range(len(controller.rows)))
        self._places: list[int] = list(self._order)
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(SORT_DELAY)
        self._later.timeout.connect(self._sort_again)
        controller.rows_reset.connect(self._on_reset)
        controller.rows_added.connect(self._on_added)
        controller.rows_changed.connect(self._on_changed)

    def row_at(self, index: QModelIndex) -> BatchRow:
        """The row of the batch at a place of the table."""
        return self._controller.rows[self._order[index.row()]]

    def rowCount(self, parent: Any = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        return 0 if parent.isValid() else len(self._order)

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
        row, column = self._controller.rows[self._order[index.row()]], index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            return _text(row, column)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _alignment(column)
        if role == Qt.ItemDataRole.ToolTipRole:
            return row.problem or str(row.target or row.source)
        if role == Qt.ItemDataRole.ForegroundRole and column == STATE and row.state in STATE_COLORS:
            return self._theme.color(STATE_COLORS[row.state])
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f"{COLUMNS[column]}: {_text(row, column)}"
        return None

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        self._column, self._descending = column, order == Qt.SortOrder.DescendingOrder
        self._sort_again()

    @Slot()
    def _sort_again(self) -> None:
        self._later.stop()
        self.layoutAboutToBeChanged.emit()
        kept = self.persistentIndexList()
        rows = [self._order[index.row()] for index in kept]
        self._order = self._sorted()
        self._find_places()
        moved = [self.index(self._places[row], index.column()) for row, index in zip(rows, kept, strict=True)]
        self.changePersistentIndexList(kept, moved)
        self.layoutChanged.emit()

    def _sorted(self) -> list[int]:
        rows = self._controller.rows
        order = list(range(len(self._order)))
        if self._column >= 0:
            order.sort(key=lambda place: _key(rows[place], self._column), reverse=self._descending)
        return order

    def _find_places(self) -> None:
        self._places = [0] * len(self._order)
        for place, row in enumerate(self._order):
            self._places[row] = place

    @Slot()
    def _on_reset(self) -> None:
        self.beginResetModel()
        self._later.stop()
        self._order = list(range(len(self._controller.rows)))
        self._order = self._sorted()
        self._find_places()
        self.endResetModel()

    @Slot(int, int)
    def _on_added(self, first: int, last: int) -> None:
        self.beginInsertRows(QModelIndex(), first, last)
        self._order += range(first, last + 1)
        self._places += range(first, last + 1)
        self.endInsertRows()
        if self._column >= 0:
            self._later.start()

    @Slot(object)
    def _on_changed(self, rows: list[int]) -> None:
        # One signal for all of them: the view repaints the lines of it that are visible, however many there are.
        places = [self._places[row] for row in rows]
        self.dataChanged.emit(self.index(min(places), 0), self.index(max(places), len(COLUMNS) - 1))
        if self._column > NAME and not self._later.isActive():
            self._later.start()


class BatchPanel(QFrame):
    """Table, choices, target folder, start, pause, cancel.

    Signals:
        start_requested(): compress what is not done.
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

        self._progress = QProgressBar()
        self._progress.setRange(0, 1000)
        self._progress.setTextVisible(False)
        self._progress.setAccessibleName("Progress of the batch")
        self._trouble = QLabel()
        self._trouble.setProperty("look", "error")
        self._trouble.setWordWrap(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 8, 12, 12)
        layout.setSpacing(6)
        layout.addLayout(self._make_head())
        layout.addWidget(self._make_choices())
        layout.addWidget(self.order_label)
        layout.addWidget(self._progress)
        layout.addWidget(self._trouble)
        layout.addWidget(self._make_table(), 1)
        controller.changed.connect(self.refresh)
        controller.rows_reset.connect(self.refresh)
        self.refresh()

    # -- making

    def _make_head(self) -> QHBoxLayout:
        controller = self._controller
        title = QLabel("Batch")
        title.setProperty("look", "heading")
        self._summary = ElidedLabel()
        self._summary.setProperty("look", "muted")
        self.start_button = QPushButton("Start")
        self.start_button.setProperty("look", "primary")
        self.start_button.setAccessibleName("Start the batch")
        self.start_button.clicked.connect(self.start_requested)
        self.retry_button = _button("Retry failed", "Retry the files that failed", controller.retry_failed)
        self.pause_button = _button("Pause", "Pause the batch", self._on_pause)
        self.cancel_button = _button("Cancel", "Cancel the batch", controller.cancel)
        self._open_folder = _button("Open folder", "Open the folder of the results", self._on_open_folder)
        self._close = _button("Close", "Close the batch and empty its table", self._on_close)
        self._close.setProperty("look", "flat")
        head = QHBoxLayout()
        head.setSpacing(8)
        head.addWidget(title)
        head.addWidget(self._summary, 1)
        for button in (self._open_folder, self.retry_button, self.start_button, self.pause_button, self.cancel_button):
            head.addWidget(button)
        head.addWidget(self._close)
        return head

    def _make_choices(self) -> FlowPanel:
        self.format_box = QComboBox()
        self.format_box.addItem("As on the page", PAGE)
        self.format_box.setItemData(0, "What side B of the page is set to", Qt.ItemDataRole.ToolTipRole)
        for key, name in FORMAT_NAMES.items():
            self.format_box.addItem(name, key)
        self.format_box.activated.connect(self._on_format)
        self.aim_box = QComboBox()
        for key, (name, *_) in AIM_FIELDS.items():
            self.aim_box.addItem(name, key)
        self.aim_box.setAccessibleName("What every file is to reach")
        self.aim_box.setToolTip("A quality, or what every file is to reach; the quality is then found for each.")
        self.aim_box.activated.connect(self._on_aim)
        self.value_box = QDoubleSpinBox()
        self.value_box.setAccessibleName("Quality or target")
        self.value_box.setKeyboardTracking(False)
        self.value_box.valueChanged.connect(self._on_value)
        self.suffix_field = QLineEdit()
        self.suffix_field.setPlaceholderText("none")
        self.suffix_field.setFixedWidth(84)
        self.suffix_field.setToolTip("Put before the ending of names: -small makes photo-small.lsi of photo.jpg.")
        self.suffix_field.editingFinished.connect(self._on_suffix)
        self.gain_box = QSpinBox()
        self.gain_box.setRange(-1, 99)
        self.gain_box.setSpecialValueText("never")
        self.gain_box.setSuffix(" %")
        self.gain_box.setToolTip("Where a result is not smaller by so much, the original is copied instead.")
        self.gain_box.setKeyboardTracking(False)
        self.gain_box.valueChanged.connect(self._on_gain)
        self.jobs_box = QSpinBox()
        self.jobs_box.setRange(1, 64)
        self.jobs_box.setToolTip("More than one file at a time is compressed in processes of their own.")
        self.jobs_box.setKeyboardTracking(False)
        self.jobs_box.valueChanged.connect(self._on_jobs)
        self._target = _button("", "", self._on_choose_target)
        self._choices = FlowPanel(8)
        self._choices.add(_named("Format", self.format_box))
        self._aim = _named("", self.aim_box, self.value_box)
        self.order_label = ElidedLabel()
        self.order_label.setProperty("look", "muted")
        self._choices.add(self._aim)
        self._choices.add(_named("Suffix", self.suffix_field))
        self._choices.add(_named("Copy if gain under", self.gain_box))
        self._choices.add(_named("At once", self.jobs_box))
        self._choices.add(self._target)
        self.gain_box.setAccessibleName("Copy the original if the gain is under")
        self.jobs_box.setAccessibleName("Files at a time")
        self.suffix_field.setAccessibleName("Suffix of names")
        return self._choices

    def _make_table(self) -> QTableView:
        self.table = QTableView()
        self.table.setModel(self.model)
        self.table.setAccessibleName("Files of the batch")
        header = self.table.horizontalHeader()
        header.setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        header.setSortIndicatorClearable(True)
        self.table.setSortingEnabled(True)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setShowGrid(False)
        self.table.setMinimumHeight(132)
        self.table.setTabKeyNavigation(False)
        self.table.setWordWrap(False)
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setDefaultSectionSize(28)
        header.setHighlightSections(False)
        header.setStretchLastSection(True)
        for column, width in ((NAME, 170), (BEFORE, 80), (AFTER, 80), (SHARE, 72), (PSNR, 84), (MS_SSIM, 76)):
            header.resizeSection(column, width)
        self.table.activated.connect(self._on_activated)
        return self.table

    # -- showing

    @Slot()
    def refresh(self) -> None:
        """Show the controller's state in everything but the table."""
        controller, totals = self._controller, self._controller.totals
        running, cancelled, failed = controller.running, totals.count("cancelled"), totals.count("failed")
        self._summary.setText(controller.summary())
        target = controller.target
        self._target.setText(f"To: {target.name}" if target else "Choose a folder…")
        self._target.setToolTip(f"{target}\nClick to choose another folder." if target else "")
        self._target.setAccessibleName(f"Target folder: {target}" if target else "Choose the target folder")
        fresh = controller.waiting - cancelled - failed
        begun = totals.finished or cancelled
        word = "Continue" if begun and (fresh or cancelled) else "Start" if fresh or not failed else f"Retry {failed}"
        self.start_button.setText(word)
        self.start_button.setToolTip("Compress every file that is not done, with the choices below")
        self.start_button.setVisible(not running)
        self.start_button.setEnabled(controller.waiting > 0 and target is not None and not controller.listing)
        self.retry_button.setVisible(not running and failed > 0 and bool(fresh or cancelled))
        self.pause_button.setVisible(running)
        self.pause_button.setText("Continue" if controller.paused else "Pause")
        self.pause_button.setAccessibleName("Continue the batch" if controller.paused else "Pause the batch")
        self.cancel_button.setVisible(running)
        self._close.setEnabled(not running)
        self._open_folder.setVisible(totals.finished > 0)
        self._trouble.setText(f"Stopped. {controller.stopped}" if controller.stopped else "")
        self._trouble.setVisible(bool(controller.stopped))
        self._show_choice()
        self._choices.setEnabled(not running)
        # Kept in the layout while idle, so that the table does not jump.
        self._progress.setValue(round(1000 * controller.fraction))

    def _show_choice(self) -> None:
        choice = self._controller.choice
        fields = (self.format_box, self.aim_box, self.value_box, self.suffix_field, self.gain_box, self.jobs_box)
        blockers = [QSignalBlocker(field) for field in fields]
        self.format_box.setCurrentIndex(self.format_box.findData(choice.format))
        as_page = choice.format == PAGE
        self.order_label.setText(self._controller.order_words)
        self.aim_box.setCurrentIndex(self.aim_box.findData(choice.aim))
        self._aim.setVisible(not as_page and choice.format not in LOSSLESS_FORMATS)
        _, unit, least, most, decimals, step = AIM_FIELDS[choice.aim]
        if not self.value_box.hasFocus() or self.value_box.suffix() != unit:
            self.value_box.setDecimals(decimals)
            self.value_box.setRange(least, most)
            self.value_box.setSingleStep(step)
            self.value_box.setSuffix(unit)
            self.value_box.setValue(choice.value)
        if not self.suffix_field.hasFocus():
            self.suffix_field.setText(choice.suffix)
        self.gain_box.setValue(round(choice.skip_gain))
        self.jobs_box.setValue(choice.jobs)
        for blocker in blockers:
            blocker.unblock()

    # -- what the person does

    @Slot(int)
    def _on_format(self, index: int) -> None:
        self._controller.set_choice(format=self.format_box.itemData(index))

    @Slot(int)
    def _on_aim(self, index: int) -> None:
        self._controller.set_choice(aim=self.aim_box.itemData(index))

    @Slot(float)
    def _on_value(self, value: float) -> None:
        self._controller.set_choice(value=value)

    @Slot()
    def _on_suffix(self) -> None:
        self._controller.set_choice(suffix=self.suffix_field.text().strip())

    @Slot(int)
    def _on_gain(self, value: int) -> None:
        self._controller.set_choice(skip_gain=float(value))

    @Slot(int)
    def _on_jobs(self, value: int) -> None:
        self._controller.set_choice(jobs=value)

    @Slot()
    def _on_pause(self) -> None:
        if self._controller.paused:
            self._controller.resume()
        else:
            self._controller.pause()

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
        row = self.model.row_at(index)
        self.row_opened.emit(row.target or row.source)


def _button(text: str, name: str, action: Any) -> QPushButton:
    button = QPushButton(text)
    button.setAccessibleName(name)
    button.clicked.connect(lambda: action())
    return button


def _named(name: str, *fields: QWidget) -> QWidget:
    """Fields with their name before them, as one piece that no line break parts."""
    piece = QWidget()
    line = QHBoxLayout(piece)
    line.setContentsMargins(0, 0, 0, 0)
    line.setSpacing(6)
    piece.setMinimumHeight(_LINE_HEIGHT)
    if name:
        label = QLabel(name)
        label.setBuddy(fields[0])
        line.addWidget(label)
        fields[0].setAccessibleName(name)
    for field in fields:
        line.addWidget(field)
    return piece


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
    if column == MS_SSIM:
        return "" if row.ms_ssim is None else f"{row.ms_ssim:.4f}"
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
    if column == MS_SSIM:
        return -1.0 if row.ms_ssim is None else row.ms_ssim
    return STATE_WORDS[row.state]


def _alignment(column: int) -> Qt.AlignmentFlag:
    side = Qt.AlignmentFlag.AlignRight if BEFORE <= column <= MS_SSIM else Qt.AlignmentFlag.AlignLeft
    return side | Qt.AlignmentFlag.AlignVCenter
