"""Labelled figures, one a row, that say when they are out of date."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QLabel, QWidget

EMPTY = "–"


class FigureTable(QWidget):
    """Names on the left, values on the right.

    Rows are fixed at the start, so that figures do not jump about. While `set_stale(True)` holds, values are greyed:
    they belong to something older than what is being computed.
    """

    def __init__(self, names: Mapping[str, str], parent: QWidget | None = None) -> None:
        """Args: names: row name -> tooltip that explains it, in order."""
        super().__init__(parent)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(12)
        grid.setVerticalSpacing(4)
        grid.setColumnStretch(1, 1)
        self._names: dict[str, QLabel] = {}
        self._values: dict[str, QLabel] = {}
        self._stale = False
        for row, (name, explanation) in enumerate(names.items()):
            label = QLabel(name)
            label.setProperty("look", "muted")
            value = QLabel(EMPTY)
            value.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            value.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            value.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            value.setWordWrap(True)
            for part in (label, value):
                part.setToolTip(explanation)
            grid.addWidget(label, row, 0, Qt.AlignmentFlag.AlignTop)
            grid.addWidget(value, row, 1)
            self._names[name], self._values[name] = label, value
            self._say(name)

    def set_value(self, name: str, text: str) -> None:
        """Show `text` in row `name`; "" shows a dash."""
        self._values[name].setText(text or EMPTY)
        self._say(name)

    def set_values(self, values: Mapping[str, str]) -> None:
        """Show several at once; rows that are not named show a dash."""
        for name in self._values:
            self.set_value(name, values.get(name, ""))

    def value(self, name: str) -> str:
        """The text shown in row `name`."""
        return self._values[name].text()

    def set_stale(self, stale: bool) -> None:
        """Grey the values, or show them as current again."""
        if stale == self._stale:
            return
        self._stale = stale
        for value in self._values.values():
            value.setProperty("look", "muted" if stale else "")
            value.style().unpolish(value)
            value.style().polish(value)

    @property
    def stale(self) -> bool:
        """Whether the values belong to something older than what is wanted."""
        return self._stale

    def _say(self, name: str) -> None:
        self._values[name].setAccessibleName(f"{name}: {self._values[name].text()}")
