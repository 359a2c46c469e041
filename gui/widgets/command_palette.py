"""Every action of the window by typing a few letters of its name."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import shiboken6
from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QAction, QKeyEvent, QKeySequence
from PySide6.QtWidgets import (
    QApplication,
    QFrame,
    QLabel,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QVBoxLayout,
    QWidget,
)

WIDTH = 560
ROWS = 9


def match(query: str, title: str) -> int | None:
    """How well the letters of `query` occur in order in `title`: smaller is better, None if they do not."""
    wanted, text = query.casefold().replace(" ", ""), title.casefold()
    if not wanted:
        return 0
    if query.casefold().strip() in text:
        return text.index(query.casefold().strip())
    place, gaps = -1, 0
    for letter in wanted:
        found = text.find(letter, place + 1)
        if found < 0:
            return None
        gaps += found - place - 1
        place = found
    return 100 + gaps


class CommandPalette(QFrame):
    """A field and a list below it, over the window; arrow keys choose, Enter runs, Escape and a click elsewhere leave.

    A child of the window, not a window of its own: popups can neither be placed nor get the keyboard everywhere.
    """

    def __init__(self, actions: Callable[[], Sequence[tuple[str, QAction]]], parent: QWidget) -> None:
        """Args: actions: gives (group, action) of everything that can be done now."""
        super().__init__(parent)
        self._source = actions
        self._before: QWidget | None = None
        self.setProperty("look", "toast")
        self.setAccessibleName("Command palette")
        self.field = QLineEdit(self)
        self.field.setPlaceholderText("Type what you want to do")
        self.field.setAccessibleName("Search actions")
        self.field.setClearButtonEnabled(True)
        self.list = QListWidget(self)
        self.list.setAccessibleName("Actions")
        self.list.setProperty("look", "plain")
        self.list.setUniformItemSizes(True)
        self.list.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._none = QLabel("Nothing matches.", self)
        self._none.setProperty("look", "muted")
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 12, 12, 12)
        column.setSpacing(8)
        column.addWidget(self.field)
        column.addWidget(self.list)
        column.addWidget(self._none)
        self.field.textChanged.connect(self._filter)
        self.field.returnPressed.connect(self._run)
        self.field.installEventFilter(self)
        self.list.itemClicked.connect(self._run)
        self.hide()

    def show_over(self, window: QWidget) -> None:
        """Open at the top of `window` with an empty field."""
        self._before = QApplication.focusWidget()
        self.field.clear()
        self.setFixedWidth(min(WIDTH, window.width() - 64))
        self._filter("")
        self.move((window.width() - self.width()) // 2, 72)
        self.show()
        self.raise_()
        self.field.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def leave(self) -> None:
        """Close and give the keyboard back to where it was."""
        self.hide()
        if self._before is not None and shiboken6.isValid(self._before):
            self._before.setFocus(Qt.FocusReason.OtherFocusReason)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if watched is not self.field:
            return False
        if event.type() == QEvent.Type.FocusOut and self.isVisible():
            self.hide()
        elif isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            moves = {Qt.Key.Key_Down: 1, Qt.Key.Key_Up: -1, Qt.Key.Key_PageDown: ROWS, Qt.Key.Key_PageUp: -ROWS}
            step = moves.get(Qt.Key(event.key()))
            if step is not None and self.list.count():
                self.list.setCurrentRow(max(0, min(self.list.count() - 1, self.list.currentRow() + step)))
                return True
            if event.key() == Qt.Key.Key_Escape:
                self.leave()
                return True
        return False

    def _filter(self, query: str) -> None:
        found = []
        for group, action in self._source():
            if not action.isEnabled() or not action.isVisible():
                continue
            title = action.text().replace("&", "")
            score = match(query, f"{group}: {title}")
            if score is not None:
                found.append((score, len(found), f"{group}: {title}", action))
        self.list.clear()
        for _, _, text, action in sorted(found, key=lambda entry: entry[:2]):
            shortcut = action.shortcut().toString(QKeySequence.SequenceFormat.NativeText)
            item = QListWidgetItem(action.icon(), f"{text}    {shortcut}".rstrip())
            item.setData(Qt.ItemDataRole.UserRole, action)
            self.list.addItem(item)
        self.list.setCurrentRow(0)
        rows = min(ROWS, max(1, self.list.count()))
        self.list.setFixedHeight(rows * max(30, self.list.sizeHintForRow(0)) + 8)
        self.list.setVisible(bool(found))
        self._none.setVisible(not found)
        self.adjustSize()

    def _run(self) -> None:
        item = self.list.currentItem()
        if item is not None:
            self.leave()
            item.data(Qt.ItemDataRole.UserRole).trigger()
