"""WorkStrip: what the Generate page is busy with: how far, how long still, Cancel, and what waits behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QTimer, Slot
from PySide6.QtWidgets import QHBoxLayout, QMenu, QProgressBar, QPushButton, QSizePolicy, QToolButton, QWidget

from gui.controllers.generate_controller import GenerateController
from gui.services.jobs import remaining_text
from gui.widgets.elided_label import ElidedLabel

if TYPE_CHECKING:
    from gui.services.jobs import Job

DELAY = 300  # milliseconds; what is faster needs no sign, it would only flicker
NARROW = "padding: 2px 8px; min-height: 16px;"


class WorkStrip(QWidget):
    """Empty while nothing takes longer than a moment; its place in the layout stays.

    Attributes:
        cancel_button: stops what runs.
        waiting_button: opens the list of what waits.
    """

    def __init__(self, controller: GenerateController, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.controller = controller
        self.label = ElidedLabel()
        self.label.setProperty("look", "caption")
        self.label.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setFixedWidth(72)
        self.bar.setAccessibleName(self.tr("Progress"))
        self.cancel_button = QPushButton(self.tr("Cancel"))
        self.cancel_button.setStyleSheet(NARROW)
        self.cancel_button.setToolTip(self.tr("Stop; what is done stays"))
        self.cancel_button.clicked.connect(controller.cancel)
        self.waiting_button = QToolButton()
        self.waiting_button.setStyleSheet(NARROW)
        self.waiting_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.menu = QMenu(self)
        self.menu.aboutToShow.connect(self.fill_menu)
        self.waiting_button.setMenu(self.menu)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        row.addWidget(self.label, 1)
        row.addWidget(self.bar)
        row.addWidget(self.cancel_button)
        row.addWidget(self.waiting_button)
        self._parts = (self.bar, self.cancel_button)
        self._delay = QTimer(self)
        self._delay.setSingleShot(True)
        self._delay.setInterval(DELAY)
        self._delay.timeout.connect(self._appear)
        self._shown = False
        controller.queue.changed.connect(self.show_work)
        controller.busy_changed.connect(self.show_work)
        controller.progressed.connect(self.show_work)
        self.show_work()

    @Slot()
    def show_work(self) -> None:
        """Show what is being done now."""
        busy = self.controller.busy
        if not busy:
            self._delay.stop()
            self._shown = False
        elif not self._shown and not self._delay.isActive():
            self._delay.start()
        waiting = self.controller.queue.waiting
        shown = busy and (self._shown or bool(waiting))
        for part in self._parts:
            part.setVisible(shown)
        self.waiting_button.setVisible(bool(waiting))
        self.waiting_button.setText(f"+{len(waiting)}")
        words = self.tr("{n} waiting").format(n=len(waiting))
        self.waiting_button.setAccessibleName(words)
        self.waiting_button.setToolTip(self.tr("{words}; press to take one out").format(words=words))
        if not shown:
            self.label.setText("")
            return
        job = self.controller.queue.first
        if job is not None:
            self._show_job(job)
        else:
            progress = self.controller.progress
            self._show_fraction(progress.fraction if progress is not None else 0.0)
            words = progress.message if progress is not None else self.tr("Working…")
            left = remaining_text(self.controller.remaining_seconds)
            self.label.setText(" · ".join(part for part in (left, words) if part))

    def _show_job(self, job: Job) -> None:
        self._show_fraction(job.fraction)
        # How far and how long first: of what is too long for the strip, the end is cut.
        parts = [job.title]
        if job.state == "waiting":
            # Jobs of other pages run in the same queue.
            running = self.controller.services.jobs.running
            behind = "" if running is None or running is job else running.title
            parts.append(self.tr("waits for: {other}").format(other=behind) if behind else self.tr("waiting"))
        elif job.cancelling:
            parts.append(self.tr("stopping…"))
        else:
            parts = [remaining_text(job.eta_seconds), job.message, job.title]
        self.label.setText(" · ".join(part for part in parts if part))

    def _show_fraction(self, fraction: float) -> None:
        self.bar.setRange(0, 0 if fraction == 0.0 else 1000)
        self.bar.setValue(round(1000 * fraction))

    @Slot()
    def fill_menu(self) -> None:
        """List what waits."""
        self.menu.clear()
        for job in self.controller.queue.waiting:
            action = self.menu.addAction(self.tr("Take out: {title}").format(title=job.title))
            action.triggered.connect(job.cancel)
        self.menu.addSeparator()
        self.menu.addAction(self.tr("Cancel everything")).triggered.connect(self.controller.cancel_all)

    @Slot()
    def _appear(self) -> None:
        self._shown = True
        self.show_work()
