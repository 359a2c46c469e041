"""FlowPanel: widgets in lines that break where the width ends."""

from __future__ import annotations

from collections.abc import Collection

from PySide6.QtCore import QEvent, QPoint, QRect, QSize
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QSizePolicy, QWidget


class FlowPanel(QWidget):
    """Places its children that are not hidden one after the other and takes the height that they need.

    A layout with height for width would be the usual way, but it makes the window as high as the narrowest panel needs.
    """

    def __init__(self, spacing: int, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._spacing = spacing
        self._members: list[QWidget] = []
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    def add(self, member: QWidget) -> None:
        """Put a widget at the end."""
        member.setParent(self)
        self._members.append(member)
        self._place()

    def leave_out(self, members: Collection[QWidget]) -> None:
        """Hide these, and close the gaps; the others are shown."""
        for member in self._members:
            member.setVisible(member not in members)
        self._place()

    def clear(self) -> None:
        """Take all widgets away and delete them."""
        for member in self._members:
            member.hide()
            member.deleteLater()
        self._members = []
        self._place()

    def sizeHint(self) -> QSize:
        return QSize(480, self.height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._place()

    def event(self, event: QEvent) -> bool:
        handled = super().event(event)
        if event.type() == QEvent.Type.LayoutRequest:
            self._place()
        return handled

    def _place(self) -> None:
        left, top, line = 0, 0, 0
        for member in (member for member in self._members if not member.isHidden()):
            size = member.sizeHint().expandedTo(member.minimumSize()).boundedTo(member.maximumSize())
            if left > 0 and left + size.width() > self.width():
                left, top, line = 0, top + line + self._spacing, 0
            member.setGeometry(QRect(QPoint(left, top), size))
            left += size.width() + self._spacing
            line = max(line, size.height())
        if top + line != self.height():
            self.setFixedHeight(top + line)
