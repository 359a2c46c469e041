"""A collapsible part of the inspector with a heading and, where it makes sense, a Reset."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QLayout, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from gui.services.theme import Theme


class Section(QWidget):
    """Heading above `body`; add widgets with `add`.

    Signals:
        reset_requested(): the person wants the defaults of this section back.
        toggled(bool): the section was opened (True) or closed.
    """

    reset_requested = Signal()
    toggled = Signal(bool)

    def __init__(
        self, title: str, parent: QWidget | None = None, *, resettable: bool = False, expanded: bool = True
    ) -> None:
        super().__init__(parent)
        self.title = title
        self._header = QToolButton(self)
        self._header.setText(title)
        self._header.setProperty("look", "section")
        self._header.setCheckable(True)
        self._header.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        # A long heading is cut rather than making the whole column wider than there is room.
        self._header.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self._header.setAccessibleName(f"{title}, section")
        self._reset = QToolButton(self)
        self._reset.setText("Reset")
        self._reset.setProperty("look", "flat")
        self._reset.setAccessibleName(f"Reset {title}")
        self._reset.setVisible(resettable)
        self._reset.setEnabled(False)
        self.body = QWidget(self)
        self._content = QVBoxLayout(self.body)
        self._content.setContentsMargins(0, 4, 0, 8)
        self._content.setSpacing(12)

        top = QHBoxLayout()
        top.setContentsMargins(0, 0, 0, 0)
        top.addWidget(self._header, 1)
        top.addWidget(self._reset)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(top)
        column.addWidget(self.body)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)

        self._header.setChecked(expanded)
        self._show(expanded)
        self._header.toggled.connect(self._on_toggled)
        self._reset.clicked.connect(self.reset_requested)

    def set_title(self, title: str) -> None:
        """Give the section another heading."""
        if title != self.title:
            self.title = title
            self._header.setText(title)
            self._header.setAccessibleName(f"{title}, section")
            self._reset.setAccessibleName(f"Reset {title}")

    @property
    def expanded(self) -> bool:
        """Whether the body is shown."""
        return self._header.isChecked()

    def set_expanded(self, expanded: bool) -> None:
        """Show or fold the body."""
        self._header.setChecked(expanded)

    def set_at_default(self, at_default: bool) -> None:
        """Reset is offered only while something differs from its default."""
        self._reset.setEnabled(not at_default)

    def add(self, item: QWidget | QLayout) -> None:
        """Put a widget or a layout at the end of the body."""
        if isinstance(item, QWidget):
            self._content.addWidget(item)
        else:
            self._content.addLayout(item)

    def _on_toggled(self, expanded: bool) -> None:
        self._show(expanded)
        self.toggled.emit(expanded)

    def _show(self, expanded: bool) -> None:
        self.body.setVisible(expanded)
        Theme.current().bind_icon(self._header, "chevron-down" if expanded else "chevron-right", "muted", 16)
