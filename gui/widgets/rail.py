"""The column of pages at the left."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import QButtonGroup, QFrame, QLabel, QToolButton, QVBoxLayout, QWidget

from gui.page_registry import PageEntry, shortcuts
from gui.services.theme import Theme

WIDTH = 88
ICON = 24


class _Mark(QLabel):
    def setIcon(self, icon) -> None:
        self.setPixmap(icon.pixmap(28, 28))


class Rail(QFrame):
    """One button a page, the jobs button at the foot.

    Signals:
        chosen(str): key of a page.
        jobs_toggled(): the jobs button was pressed.
    """

    chosen = Signal(str)
    jobs_toggled = Signal()

    def __init__(self, pages: Sequence[PageEntry], theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._group = QButtonGroup(self)
        self._group.setExclusive(True)
        self._buttons: dict[str, QToolButton] = {}
        self._icons = {page.key: page.icon for page in pages}
        self.setProperty("look", "rail")
        self.setFixedWidth(WIDTH)
        self.setAccessibleName("Pages")
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 12, 8, 8)
        column.setSpacing(4)
        mark = _Mark(self)
        mark.setAlignment(Qt.AlignmentFlag.AlignCenter)
        theme.bind_icon(mark, "mark", "accent", 28)
        column.addWidget(mark)
        column.addSpacing(8)
        keys = shortcuts(pages)
        for page in pages:
            button = self._button(page.title, page.icon, f"{page.hint} ({keys[page.key]})")
            button.setCheckable(True)
            button.toggled.connect(self._on_toggled)
            button.setProperty("page", page.key)
            self._group.addButton(button)
            self._buttons[page.key] = button
            column.addWidget(button)
        self._group.buttonClicked.connect(self._on_clicked)
        column.addStretch(1)
        self._jobs = self._button("Jobs", "jobs", "Show or hide the jobs (Ctrl+J)")
        self._jobs.clicked.connect(self.jobs_toggled)
        column.addWidget(self._jobs)

    def show_chosen(self, key: str) -> None:
        """Mark the page that is shown."""
        self._buttons[key].setChecked(True)

    def show_jobs(self, active: int) -> None:
        """Say how many jobs are not finished."""
        self._jobs.setText(f"Jobs ({active})" if active else "Jobs")
        self._theme.bind_icon(self._jobs, "jobs", "accent" if active else "muted", ICON)

    def _button(self, text: str, icon: str, hint: str) -> QToolButton:
        button = QToolButton(self)
        button.setText(text)
        button.setToolTip(hint)
        button.setAccessibleName(text)
        button.setProperty("look", "rail")
        button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextUnderIcon)
        button.setFixedSize(QSize(WIDTH - 16, 60))
        self._theme.bind_icon(button, icon, "muted", ICON)
        return button

    def _on_toggled(self, checked: bool) -> None:
        button = self.sender()
        assert isinstance(button, QToolButton)
        self._theme.bind_icon(button, self._icons[button.property("page")], "accent" if checked else "muted", ICON)

    def _on_clicked(self, button: QToolButton) -> None:
        self.chosen.emit(button.property("page"))
