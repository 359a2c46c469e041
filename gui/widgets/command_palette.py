"""Every action of the window by typing a few letters of its name."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QAction, QKeyEvent, QKeySequence
from PySide6.QtWidgets import QDialog, QFrame, QLabel, QLineEdit, QListWidget, QListWidgetItem, QVBoxLayout, QWidget

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


class CommandPalette(QDialog):
    """A field and a list below it; arrow keys choose, Enter runs, Escape leaves."""

    def __init__(self, actions: Callable[[], Sequence[tuple[str, QAction]]], parent: QWidget) -> None:
        """Args: actions: gives (group, action) of everything that can be done now."""
        super().__init__(parent, Qt.WindowType.Popup | Qt.WindowType.FramelessWindowHint)
        self._source = actions
        self.setAccessibleName("Command palette")
        frame = QFrame(self)
        frame.setProperty("look", "toast")
        self.field = QLineEdit(frame)
        self.field.setPlaceholderText("Type what you want to do")
        self.field.setAccessibleName("Search actions")
        self.field.setClearButtonEnabled(True)
        self.list = QListWidget(frame)
        self.list.setAccessibleName("Actions")
        self.list.setProperty("look", "plain")
        self.list.setUniformItemSizes(True)
        self.list.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._none = QLabel("Nothing matches.", frame)
        self._none.setProperty("look", "muted")
        inner = QVBoxLayout(frame)
        inner.setContentsMargins(12, 12, 12, 12)
        inner.setSpacing(8)
        inner.addWidget(self.field)
        inner.addWidget(self.list)
        inner.addWidget(self._none)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(frame)
        self.field.textChanged.connect(self._filter)
        self.field.returnPressed.connect(self._run)
        self.field.installEventFilter(self)
        self.list.itemClicked.connect(self._run)

    def show_over(self, window: QWidget) -> None:
        """Open at the top of `window` with an empty field."""
        self.field.clear()
        self._filter("")
        self.setFixedWidth(min(WIDTH, window.width() - 64))
        self.move(window.mapToGlobal(window.rect().topLeft()).x() + (window.width() - self.width()) // 2,
                  window.mapToGlobal(window.rect().topLeft()).y() + 72)  # fmt: skip
        self.open()
        self.field.setFocus(Qt.FocusReason.PopupFocusReason)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if watched is self.field and isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            moves = {Qt.Key.Key_Down: 1, Qt.Key.Key_Up: -1, Qt.Key.Key_PageDown: ROWS, Qt.Key.Key_PageUp: -ROWS}
            step = moves.get(Qt.Key(event.key()))
            if step is not None and self.list.count():
                self.list.setCurrentRow(max(0, min(self.list.count() - 1, self.list.currentRow() + step)))
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
            self.accept()
            item.data(Qt.ItemDataRole.UserRole).trigger()
