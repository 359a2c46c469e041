"""Actions of pages: what stands in the toolbar, in the command palette, and behind a shortcut."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QWidget

from gui.services.theme import Theme


def make_action(
    page: QWidget,
    theme: Theme,
    text: str,
    icon: str,
    slot: Callable[..., object],
    shortcut: str | QKeySequence.StandardKey = "",
) -> QAction:
    """An action of `page` with an icon that follows the theme.

    Args:
        text: as in a menu, with an ellipsis where a dialog follows.
        icon: name of the icon.
        slot: called when it is triggered.
        shortcut: keys, or the platform's own for a standard action.
    """
    action = QAction(text, page)
    action.setShortcut(QKeySequence(shortcut))
    action.triggered.connect(slot)
    theme.bind_icon(action, icon)
    return action
