"""A bar with a Cancel button that appears when work takes longer than a moment."""

from __future__ import annotations

from PySide6.QtCore import QTimer, Signal, Slot
from PySide6.QtWidgets import QHBoxLayout, QProgressBar, QPushButton, QWidget

from engine.progress import Progress

# Shorter waits than this never show a bar: it would only flicker.
DELAY_MILLISECONDS = 300


class WaitBar(QWidget):
    """Invisible while nothing takes long.

    Signals:
        cancelled(): the person wants the work stopped.
        appeared(bool): it is shown now, or gone again.
    """

    cancelled = Signal()
    appeared = Signal(bool)

    def __init__(self, what: str, parent: QWidget | None = None, *, keep_place: bool = True) -> None:
        """Args:
        what: the work, for screen readers, such as "compression".
        keep_place: keep the room in the layout while invisible, so that nothing jumps.
        """
        super().__init__(parent)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName(f"Progress of the {what}")
        self.cancel_button = QPushButton("Cancel")
        self.cancel_button.setAccessibleName(f"Cancel the {what}")
        self.cancel_button.clicked.connect(self.cancelled)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        layout.addWidget(self.bar, 1)
        layout.addWidget(self.cancel_button)
        policy = self.sizePolicy()
        policy.setRetainSizeWhenHidden(keep_place)
        self.setSizePolicy(policy)
        self._delay = QTimer(self)
        self._delay.setSingleShot(True)
        self._delay.setInterval(DELAY_MILLISECONDS)
        self._delay.timeout.connect(self._on_delay_over)
        self.hide()

    def set_busy(self, busy: bool) -> None:
        """Work begins or has ended."""
        if not busy:
            self._delay.stop()
            self._show(False)
        elif self.isHidden() and not self._delay.isActive():
            self.bar.setRange(0, 0)
            self._delay.start()

    @Slot(object)
    def show_progress(self, progress: Progress) -> None:
        """Show how far the work is; without a total the bar says only that it goes on."""
        if progress.total > 0:
            self.bar.setRange(0, 1000)
            self.bar.setValue(round(1000 * progress.fraction))

    @Slot()
    def _on_delay_over(self) -> None:
        self._show(True)

    def _show(self, visible: bool) -> None:
        if visible == self.isHidden():
            self.setVisible(visible)
            self.appeared.emit(visible)
