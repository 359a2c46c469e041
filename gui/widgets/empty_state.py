"""What a place without content says: what belongs here and what to do next."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QPushButton, QVBoxLayout, QWidget

from gui.services.theme import Theme


class _Mark(QLabel):
    """A large icon; `Theme.bind_icon` re-tints it."""

    def setIcon(self, icon) -> None:
        self.setPixmap(icon.pixmap(48, 48))


class EmptyState(QWidget):
    """Icon, title, one sentence and at most one action, centred."""

    def __init__(
        self,
        icon: str,
        title: str,
        text: str = "",
        action: str = "",
        on_action: Callable[[], object] | None = None,
        parent: QWidget | None = None,
        *,
        text_width: int = 400,
    ) -> None:
        """Args: text_width: of the sentence, in logical pixels."""
        super().__init__(parent)
        mark = _Mark(self)
        mark.setAlignment(Qt.AlignmentFlag.AlignCenter)
        Theme.current().bind_icon(mark, icon, "muted", 48)
        self._title = QLabel(title, self)
        self._title.setProperty("look", "heading")
        self._title.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._text = QLabel(text, self)
        self._text.setProperty("look", "muted")
        self._text.setWordWrap(True)
        self._text.setAlignment(Qt.AlignmentFlag.AlignCenter)
        # A fixed width lets the layout work out how many lines the text takes.
        self._text.setFixedWidth(text_width)
        column = QVBoxLayout(self)
        column.setSpacing(8)
        column.addStretch(2)
        column.addWidget(mark)
        column.addWidget(self._title)
        column.addWidget(self._text, 0, Qt.AlignmentFlag.AlignHCenter)
        if action and on_action is not None:
            button = QPushButton(action, self)
            button.setProperty("look", "primary")
            button.clicked.connect(on_action)
            column.addSpacing(8)
            column.addWidget(button, 0, Qt.AlignmentFlag.AlignHCenter)
        column.addStretch(3)

    def set_text(self, title: str, text: str) -> None:
        """Say something else."""
        self._title.setText(title)
        self._text.setText(text)
        # Qt gives a centred label the height of its old text; of an empty one it knows none.
        self._text.setMinimumHeight(max(0, self._text.heightForWidth(self._text.minimumWidth())))
