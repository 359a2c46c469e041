"""The bar above a page: its name, its actions, the command palette and the switch of the inspector."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QStackedWidget,
    QToolBar,
    QToolButton,
)

from gui.services.theme import Theme

HEIGHT = 56


class Header(QFrame):
    """One toolbar a page; only that of the shown page is there, so that its shortcuts are the ones that work.

    Signals:
        palette_requested(): open the command palette.
    """

    palette_requested = Signal()

    def __init__(self, theme: Theme, inspector_action: QAction, parent=None) -> None:
        super().__init__(parent)
        self._theme = theme
        self.setProperty("look", "header")
        self.setFixedHeight(HEIGHT)
        self._title = QLabel(self)
        self._title.setProperty("look", "title")
        self._bars: dict[str, QToolBar] = {}
        self._stack = QStackedWidget(self)
        self._stack.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self._no_actions = QToolBar(self)
        self._stack.addWidget(self._no_actions)
        palette = QPushButton("Search actions", self)
        palette.setProperty("look", "search")
        palette.setToolTip("Every action by its name (Ctrl+K)")
        theme.bind_icon(palette, "search", "muted", 16)
        palette.clicked.connect(self.palette_requested)
        inspector = QToolButton(self)
        inspector.setDefaultAction(inspector_action)
        inspector.setProperty("look", "flat")
        inspector.setAccessibleName("Inspector")
        inspector.setIconSize(QSize(20, 20))
        row = QHBoxLayout(self)
        row.setContentsMargins(16, 0, 12, 0)
        row.setSpacing(12)
        row.addWidget(self._title)
        row.addWidget(self._stack, 1)
        row.addWidget(palette)
        row.addWidget(inspector)

    def add_page(self, key: str, actions: list[QAction]) -> None:
        """Make the toolbar of a page."""
        bar = QToolBar(self)
        # Wider than the icons: room between icon and text, which a style sheet cannot give.
        bar.setIconSize(QSize(24, 18))
        bar.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        for action in actions:
            bar.addAction(action)
        for button in bar.findChildren(QToolButton):
            if not button.accessibleName():
                button.setAccessibleName(button.text() or "More actions")
            # Tab reaches every action, not only the arrow keys.
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            if button.objectName() == "qt_toolbar_ext_button":
                # Qt's own sign for "there is more" cannot be seen on a dark ground. It is 12 pixels wide.
                self._theme.bind_icon(button, "chevron-right", "text", 12)
                button.setToolTip("More actions")
        self._bars[key] = bar
        self._stack.addWidget(bar)

    def show_page(self, key: str, title: str) -> None:
        """Show title and toolbar of a page."""
        self._title.setText(title)
        self._stack.setCurrentWidget(self._bars.get(key, self._no_actions))
