"""Notices as small cards at the bottom right, with actions and details."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, QPoint, Qt, QTimer
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from engine.paths import user_folder
from gui.services.notices import Notice, Notices
from gui.services.theme import Theme

WIDTH = 360
MARGIN = 16
SECONDS = {"info": 6, "success": 6, "error": 15}
MOST = 4  # more would cover the window; the oldest goes first
ICONS = {"info": ("info", "accent"), "success": ("check", "success"), "error": ("warning", "danger")}


class _Mark(QLabel):
    def setIcon(self, icon) -> None:
        self.setPixmap(icon.pixmap(20, 20))


class Toast(QFrame):
    """One notice. It goes by itself after a while, not while the cursor is over it."""

    def __init__(self, notice: Notice, area: ToastArea) -> None:
        super().__init__(area.window_widget)
        self.notice = notice
        self._area = area
        self.setProperty("look", "toast")
        self.setAccessibleName(f"{notice.kind}: {notice.text}")
        mark = _Mark(self)
        Theme.current().bind_icon(mark, *ICONS[notice.kind], 20)
        self._title = QLabel(self)
        self._title.setProperty("look", "heading")
        self._title.setWordWrap(True)
        text = QLabel(notice.text, self)
        text.setWordWrap(True)
        text.setTextFormat(Qt.TextFormat.PlainText)
        text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        close = QToolButton(self)
        close.setProperty("look", "flat")
        close.setAccessibleName("Close notice")
        close.setToolTip("Close")
        Theme.current().bind_icon(close, "close", "muted", 16)
        close.clicked.connect(self.leave)

        body = QVBoxLayout()
        body.setSpacing(4)
        body.addWidget(self._title)
        body.addWidget(text)
        if notice.remedy:
            remedy = QLabel(notice.remedy, self)
            remedy.setProperty("look", "muted")
            remedy.setWordWrap(True)
            remedy.setTextFormat(Qt.TextFormat.PlainText)
            body.addWidget(remedy)
        buttons = QHBoxLayout()
        buttons.setSpacing(8)
        for label, call in notice.actions:
            button = QPushButton(label, self)
            button.clicked.connect(call)
            button.clicked.connect(self.leave)
            buttons.addWidget(button)
        if notice.details:
            button = QPushButton("Details…", self)
            button.clicked.connect(self._show_details)
            buttons.addWidget(button)
        if buttons.count():
            buttons.addStretch(1)
            body.addSpacing(4)
            body.addLayout(buttons)
        row = QHBoxLayout(self)
        row.setContentsMargins(14, 12, 8, 12)
        row.setSpacing(10)
        row.addWidget(mark, 0, Qt.AlignmentFlag.AlignTop)
        row.addLayout(body, 1)
        row.addWidget(close, 0, Qt.AlignmentFlag.AlignTop)
        self.setFixedWidth(WIDTH)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(1000 * SECONDS[notice.kind])
        self._timer.timeout.connect(self.leave)
        self.refresh()

    def refresh(self) -> None:
        """Show how often the notice came, and start its time anew."""
        count = f"  ×{self.notice.count}" if self.notice.count > 1 else ""
        self._title.setText(f"{self.notice.title}{count}".strip())
        self._title.setVisible(bool(self._title.text()))
        self._timer.start()

    def leave(self) -> None:
        """Go away."""
        self._timer.stop()
        self._area.remove(self)

    def enterEvent(self, event) -> None:
        self._timer.stop()

    def leaveEvent(self, event) -> None:
        self._timer.start()

    def _show_details(self) -> None:
        self._timer.stop()
        DetailsDialog(self.notice, self.window()).open()


class DetailsDialog(QDialog):
    """The whole story of an error, to read or to copy into a report."""

    def __init__(self, notice: Notice, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(notice.title or "Details")
        self.resize(720, 440)
        head = QLabel(f"{notice.text}\n{notice.remedy}".strip(), self)
        head.setWordWrap(True)
        head.setTextFormat(Qt.TextFormat.PlainText)
        self._text = QPlainTextEdit(notice.details or "There are no further details.", self)
        self._text.setReadOnly(True)
        self._text.setAccessibleName("Details")
        log = QLabel(f"Log files: {user_folder('logs')}", self)
        log.setProperty("look", "caption")
        log.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close, self)
        copy = buttons.addButton("Copy", QDialogButtonBox.ButtonRole.ActionRole)
        copy.clicked.connect(self._copy)
        buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 16, 16, 16)
        column.setSpacing(12)
        column.addWidget(head)
        column.addWidget(self._text, 1)
        column.addWidget(log)
        column.addWidget(buttons)

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self._text.toPlainText())


class ToastArea(QObject):
    """Keeps the toasts of a window in its bottom right corner."""

    def __init__(self, window: QWidget, notices: Notices, bottom: int = 32) -> None:
        """Args: window: where they appear. notices: what is listened to. bottom: pixels kept free for a status bar."""
        super().__init__(window)
        self.window_widget = window
        self.toasts: list[Toast] = []
        self._bottom = bottom
        notices.posted.connect(self._on_posted)
        notices.repeated.connect(self._on_repeated)
        window.installEventFilter(self)

    def remove(self, toast: Toast) -> None:
        """Take a toast away."""
        if toast in self.toasts:
            self.toasts.remove(toast)
            toast.hide()
            toast.deleteLater()
            self._place()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if watched is self.window_widget and event.type() == QEvent.Type.Resize:
            self._place()
        return False

    def _on_posted(self, notice: Notice) -> None:
        toast = Toast(notice, self)
        self.toasts.append(toast)
        while len(self.toasts) > MOST:
            self.remove(self.toasts[0])
        toast.show()
        self._place()

    def _on_repeated(self, notice: Notice) -> None:
        for toast in self.toasts:
            if toast.notice is notice:
                toast.refresh()
                self._place()
                return
        self._on_posted(notice)

    def _place(self) -> None:
        bottom = self.window_widget.height() - self._bottom - MARGIN
        for toast in reversed(self.toasts):
            toast.setFixedHeight(
                toast.heightForWidth(WIDTH) if toast.hasHeightForWidth() else toast.sizeHint().height()
            )
            toast.move(QPoint(self.window_widget.width() - WIDTH - MARGIN, bottom - toast.height()))
            toast.raise_()
            bottom -= toast.height() + 8
