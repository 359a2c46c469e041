"""SeedField: the number that makes a picture repeatable, with dice and lock."""

from __future__ import annotations

from PySide6.QtCore import QSignalBlocker, Signal
from PySide6.QtWidgets import QHBoxLayout, QSpinBox, QToolButton, QWidget

from gui.services.theme import Theme

MAX_SEED = 2**31 - 1


class SeedField(QWidget):
    """A seed, 0..MAX_SEED.

    Signals:
        seed_edited(int): the person typed a seed.
        rolled(): the dice was pressed.
        lock_changed(bool): the lock was pressed.

    A `bare` field is the number alone.
    """

    seed_edited = Signal(int)
    rolled = Signal()
    lock_changed = Signal(bool)

    def __init__(self, parent: QWidget | None = None, *, bare: bool = False) -> None:
        super().__init__(parent)
        self.spin = QSpinBox(self)
        self.spin.setRange(0, MAX_SEED)
        self.spin.setKeyboardTracking(False)
        self.spin.setMinimumWidth(112)
        self.spin.setAccessibleName(self.tr("Seed"))
        self.spin.setToolTip(self.tr("The same seed makes the same pictures"))
        self.dice = QToolButton(self)
        self.dice.setToolTip(self.tr("Roll another seed"))
        self.dice.setAccessibleName(self.tr("Roll another seed"))
        Theme.current().bind_icon(self.dice, "dice", "text", 18)
        self.lock = QToolButton(self)
        self.lock.setCheckable(True)
        self.lock.setAccessibleName(self.tr("Keep the seed"))
        self.lock.setVisible(not bare)
        self.dice.setVisible(not bare)
        self._show_lock(False)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        row.addWidget(self.spin, 1)
        row.addWidget(self.dice)
        row.addWidget(self.lock)
        self.setFocusProxy(self.spin)
        self.spin.valueChanged.connect(self.seed_edited)
        self.dice.clicked.connect(self.rolled)
        self.lock.toggled.connect(self._on_lock)

    def show_seed(self, seed: int, locked: bool = False) -> None:
        """Show a seed and the lock without a signal."""
        with QSignalBlocker(self.spin), QSignalBlocker(self.lock):
            self.spin.setValue(seed)
            self.lock.setChecked(locked)
        self._show_lock(locked)

    def _on_lock(self, locked: bool) -> None:
        self._show_lock(locked)
        self.lock_changed.emit(locked)

    def _show_lock(self, locked: bool) -> None:
        Theme.current().bind_icon(self.lock, "lock" if locked else "unlock", "accent" if locked else "text", 18)
        kept, drawn = self.tr("The seed is kept"), self.tr("Each grid gets a new seed; press to keep this one")
        self.lock.setToolTip(kept if locked else drawn)
