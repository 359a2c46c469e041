"""A small table of figures, a row per thing that can be chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QButtonGroup, QGridLayout, QLabel, QPushButton, QSizePolicy, QWidget

EMPTY = "–"


class ComparisonTable(QWidget):
    """Rows are buttons, one of them chosen; columns are figures.

    Signals:
        chosen(str): key of the row that was pressed.
    """

    chosen = Signal(str)

    def __init__(
        self, rows: Mapping[str, str], columns: Sequence[tuple[str, str]], parent: QWidget | None = None
    ) -> None:
        """Args: rows: key -> text. columns: (name, tooltip) in order."""
        super().__init__(parent)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(12)
        grid.setVerticalSpacing(1)
        self._cells: dict[tuple[str, str], QLabel] = {}
        self._hints = dict(columns)
        self.buttons: dict[str, QPushButton] = {}
        group = QButtonGroup(self)
        group.setExclusive(True)
        for place, (name, hint) in enumerate(columns, start=1):
            head = QLabel(name)
            head.setProperty("look", "caption")
            head.setToolTip(hint)
            head.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            grid.addWidget(head, 0, place)
            grid.setColumnStretch(place, 1)
        for line, (key, text) in enumerate(rows.items(), start=1):
            button = QPushButton(text)
            button.setCheckable(True)
            button.setProperty("look", "flat")
            button.setStyleSheet("padding: 1px 8px; min-height: 17px; text-align: left")
            button.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
            button.setMinimumWidth(104)
            button.clicked.connect(lambda _=False, key=key: self.chosen.emit(key))
            group.addButton(button)
            self.buttons[key] = button
            grid.addWidget(button, line, 0)
            for place, (name, hint) in enumerate(columns, start=1):
                cell = QLabel(EMPTY)
                cell.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                cell.setToolTip(hint)
                self._cells[key, name] = cell
                grid.addWidget(cell, line, place)

    def choose(self, key: str) -> None:
        """Mark a row as the chosen one."""
        self.buttons[key].setChecked(True)

    def set_row(self, key: str, values: Mapping[str, str], hint: str = "") -> None:
        """Show a row's figures; those not named show a dash. `hint` replaces the tooltips of the columns."""
        for (row, name), cell in self._cells.items():
            if row == key:
                cell.setText(values.get(name, EMPTY))
                cell.setToolTip(hint or self._hints[name])
                cell.setAccessibleName(f"{self.buttons[key].text()}, {name}: {cell.text()}")

    def value(self, key: str, name: str) -> str:
        """The text of a cell."""
        return self._cells[key, name].text()
