"""The line at the foot of the window: engine, the job that runs, errors."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QProgressBar, QPushButton, QSizePolicy, QWidget

from gui.services.context import Services
from gui.services.jobs import remaining_text

HEIGHT = 32
DOTS = {"loading": "warning", "ready": "success", "failed": "danger"}


class _Dot(QLabel):
    def setIcon(self, icon) -> None:
        self.setPixmap(icon.pixmap(10, 10))


class StatusLine(QFrame):
    """Listens to the services and says what goes on.

    Signals:
        jobs_clicked(): show the jobs.
        errors_clicked(): show the last error.
    """

    jobs_clicked = Signal()
    errors_clicked = Signal()

    def __init__(self, services: Services, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._services = services
        self.setProperty("look", "status")
        self.setFixedHeight(HEIGHT)
        self.setAccessibleName("Status")
        self._dot = _Dot(self)
        self._engine = QLabel(self)
        self._engine.setProperty("look", "caption")
        self._job = QPushButton(self)
        self._job.setProperty("look", "status")
        self._job.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        self._job.setToolTip("Show the jobs")
        self._job.clicked.connect(self.jobs_clicked)
        self._bar = QProgressBar(self)
        self._bar.setRange(0, 1000)
        self._bar.setTextVisible(False)
        self._bar.setFixedWidth(140)
        self._bar.setAccessibleName("Progress of the running job")
        self._errors = QPushButton(self)
        self._errors.setProperty("look", "status")
        self._errors.setToolTip("Show the last error")
        self._errors.clicked.connect(self.errors_clicked)
        row = QHBoxLayout(self)
        row.setContentsMargins(16, 0, 12, 0)
        row.setSpacing(8)
        row.addWidget(self._dot, 0, Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(self._engine)
        row.addStretch(1)
        row.addWidget(self._job)
        row.addWidget(self._bar)
        row.addSpacing(8)
        row.addWidget(self._errors)
        services.host.state_changed.connect(self._on_engine)
        services.jobs.changed.connect(self._on_jobs)
        services.notices.errors_changed.connect(self._on_errors)
        self._on_engine(services.host.state, services.host.state_text)
        self._on_jobs()
        self._on_errors(services.notices.errors)

    def _on_engine(self, state: str, text: str) -> None:
        self._engine.setText(text)
        self._services.theme.bind_icon(self._dot, "dot", DOTS[state], 10)

    def _on_jobs(self) -> None:
        active = self._services.jobs.active
        job = self._services.jobs.running or (active[0] if active else None)
        self._job.setVisible(job is not None)
        self._bar.setVisible(job is not None)
        if job is None:
            return
        more = f"  +{len(active) - 1} waiting" if len(active) > 1 else ""
        left = remaining_text(job.eta_seconds)
        title = self._job.fontMetrics().elidedText(job.title, Qt.TextElideMode.ElideRight, 260)
        self._job.setText(f"{title}{'  ' + left if left else ''}{more}")
        self._bar.setRange(0, 0 if job.state == "running" and job.fraction == 0.0 else 1000)
        self._bar.setValue(round(1000 * job.fraction))

    def _on_errors(self, count: int) -> None:
        self._errors.setText(f"{count} error{'' if count == 1 else 's'}")
        self._errors.setVisible(count > 0)
