"""The drawer that lists jobs: what waits, what runs, what came of it."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from gui.services.failures import UnexpectedError
from gui.services.jobs import Job, Jobs, remaining_text
from gui.services.notices import Notice
from gui.services.theme import Theme
from gui.widgets.toast import DetailsDialog

STATES = {
    "waiting": ("pause", "muted", "Waiting"),
    "running": ("play", "accent", "Running"),
    "done": ("check", "success", "Done"),
    "failed": ("warning", "danger", "Failed"),
    "cancelled": ("cancel", "muted", "Cancelled"),
}


class _Mark(QLabel):
    def setIcon(self, icon) -> None:
        self.setPixmap(icon.pixmap(18, 18))


class JobRow(QFrame):
    """One job."""

    remove_requested = Signal(object)

    def __init__(self, job: Job, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.job = job
        self._theme = theme
        self._state = ""
        self.setProperty("look", "row")
        self.setAccessibleName(job.title)
        self._mark = _Mark(self)
        title = QLabel(job.title, self)
        title.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        title.setToolTip(job.title)
        self._text = QLabel(self)
        self._text.setProperty("look", "caption")
        self._text.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self._text.setTextFormat(Qt.TextFormat.PlainText)
        self._bar = QProgressBar(self)
        self._bar.setTextVisible(False)
        self._bar.setFixedWidth(200)
        self._bar.setAccessibleName(f"Progress of {job.title}")
        self._left = QLabel(self)
        self._left.setProperty("look", "caption")
        self._left.setFixedWidth(96)
        self._left.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self._details = QPushButton("Details…", self)
        self._details.setAccessibleName(f"Details of {job.title}")
        self._details.clicked.connect(self._on_details)
        self._cancel = QPushButton("Cancel", self)
        self._cancel.setAccessibleName(f"Cancel {job.title}")
        self._cancel.clicked.connect(job.cancel)
        self._remove = QToolButton(self)
        self._remove.setProperty("look", "flat")
        self._remove.setToolTip("Take off the list")
        self._remove.setAccessibleName(f"Take {job.title} off the list")
        theme.bind_icon(self._remove, "close", "muted", 16)
        self._remove.clicked.connect(self._on_remove)

        words = QVBoxLayout()
        words.setSpacing(0)
        words.addWidget(title)
        words.addWidget(self._text)
        row = QHBoxLayout(self)
        row.setContentsMargins(16, 6, 12, 6)
        row.setSpacing(12)
        row.addWidget(self._mark)
        row.addLayout(words, 1)
        row.addWidget(self._bar)
        row.addWidget(self._left)
        row.addWidget(self._details)
        row.addWidget(self._cancel)
        row.addWidget(self._remove)
        job.changed.connect(self._show)
        self._show()

    def _show(self) -> None:
        job = self.job
        icon, role, word = STATES[job.state]
        if job.state != self._state:
            self._state = job.state
            self._theme.bind_icon(self._mark, icon, role, 18)
        if job.cancelling:
            text = "Stopping…"
        elif job.error is not None:
            text = f"{job.error.problem} {job.error.remedy}".strip()
        else:
            text = job.message if job.state == "running" and job.message else word
        self._text.setText(text)
        self._text.setToolTip(text)
        self._bar.setVisible(job.active)
        # Without a known total the bar moves to and fro.
        self._bar.setRange(0, 0 if job.state == "running" and job.fraction == 0.0 else 1000)
        self._bar.setValue(round(1000 * job.fraction))
        self._left.setText(remaining_text(job.eta_seconds) if job.active else f"{job.elapsed_seconds:.1f} s")
        self._details.setVisible(job.state == "failed")
        self._cancel.setVisible(job.active)
        self._cancel.setEnabled(not job.cancelling)
        self._remove.setVisible(not job.active)

    def _on_details(self) -> None:
        error = self.job.error
        if error is not None:
            details = error.details if isinstance(error, UnexpectedError) else ""
            DetailsDialog(Notice("error", error.problem, self.job.title, error.remedy, details), self.window()).open()

    def _on_remove(self) -> None:
        self.remove_requested.emit(self.job)


class JobsDrawer(QFrame):
    """All jobs of the window, the newest at the top.

    Signals:
        close_requested(): hide the drawer.
    """

    close_requested = Signal()

    def __init__(self, jobs: Jobs, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._jobs, self._theme = jobs, theme
        self._rows: dict[Job, JobRow] = {}
        self.setProperty("look", "panel")
        self.setAccessibleName("Jobs")
        self.setMinimumHeight(120)
        title = QLabel("Jobs", self)
        title.setProperty("look", "heading")
        self._clear = QPushButton("Clear finished", self)
        self._clear.setProperty("look", "flat")
        self._clear.clicked.connect(jobs.clear_ended)
        self._stop = QPushButton("Cancel all", self)
        self._stop.setProperty("look", "flat")
        self._stop.clicked.connect(jobs.cancel_all)
        close = QToolButton(self)
        close.setProperty("look", "flat")
        close.setToolTip("Hide (Ctrl+J)")
        close.setAccessibleName("Hide jobs")
        theme.bind_icon(close, "close", "muted", 16)
        close.clicked.connect(self.close_requested)
        head = QHBoxLayout()
        head.setContentsMargins(16, 8, 12, 4)
        head.addWidget(title)
        head.addStretch(1)
        head.addWidget(self._stop)
        head.addWidget(self._clear)
        head.addWidget(close)
        self._empty = QLabel(
            "No jobs yet. What takes longer than a moment is listed here, with a way to stop it.", self
        )
        self._empty.setProperty("look", "muted")
        self._empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._list = QWidget(self)
        self._column = QVBoxLayout(self._list)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(0)
        self._column.addStretch(1)
        area = QScrollArea(self)
        area.setWidgetResizable(True)
        area.setWidget(self._list)
        area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 8)
        column.setSpacing(0)
        column.addLayout(head)
        column.addWidget(self._empty, 1)
        column.addWidget(area, 1)
        self._area = area
        jobs.added.connect(self._on_added)
        jobs.removed.connect(self._on_removed)
        jobs.changed.connect(self._show)
        for job in jobs.jobs:
            self._on_added(job)
        self._show()

    def _on_added(self, job: Job) -> None:
        row = JobRow(job, self._theme, self._list)
        row.remove_requested.connect(self._jobs.remove)
        self._rows[job] = row
        self._column.insertWidget(0, row)
        self._show()

    def _on_removed(self, job: Job) -> None:
        row = self._rows.pop(job, None)
        if row is not None:
            row.hide()
            row.deleteLater()
        self._show()

    def _show(self) -> None:
        self._empty.setVisible(not self._rows)
        self._area.setVisible(bool(self._rows))
        self._clear.setEnabled(any(not job.active for job in self._rows))
        self._stop.setEnabled(any(job.active for job in self._rows))
