"""DatasetDialog: how many pictures of every class a labelled set shall hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QDialog, QDialogButtonBox, QFormLayout, QLabel, QSpinBox, QVBoxLayout, QWidget

from gui.controllers.generate_export import MOST_PER_CLASS
from gui.controllers.generate_settings import attribute_words
from gui.widgets.inspector_column import prepare_controls

if TYPE_CHECKING:
    from engine.models.card import Attribute


class DatasetDialog(QDialog):
    """Asks for the size of a labelled set.

    Signals:
        wanted(str, int): the attribute that sorts the pictures, and how many of each value.
    """

    wanted = Signal(str, int)

    def __init__(self, attributes: Sequence[Attribute], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("Labelled data set"))
        self._attributes = attributes
        self.attribute = QComboBox()
        self.attribute.setAccessibleName(self.tr("Sorted by"))
        for attribute in attributes:
            self.attribute.addItem(attribute_words(attribute.name), attribute.name)
        self.attribute.currentIndexChanged.connect(self._show_total)
        self.per_class = QSpinBox()
        self.per_class.setRange(1, MOST_PER_CLASS)
        self.per_class.setValue(100)
        self.per_class.setAccessibleName(self.tr("Pictures of every class"))
        self.per_class.valueChanged.connect(self._show_total)
        self.total = QLabel()
        self.total.setProperty("look", "caption")
        text = QLabel(
            self.tr(
                "Makes a folder for every class, with the settings of the page, and a manifest that names the seed and "
                "the values of every picture. The Train page opens it as a folder of classes."
            )
        )
        text.setWordWrap(True)
        form = QFormLayout()
        form.setVerticalSpacing(8)
        form.addRow(self.tr("Sorted by"), self.attribute)
        form.addRow(self.tr("Pictures of each"), self.per_class)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        go = buttons.addButton(self.tr("Choose folder…"), QDialogButtonBox.ButtonRole.AcceptRole)
        go.setProperty("look", "primary")
        go.setDefault(True)
        buttons.accepted.connect(self._on_accepted)
        buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 16, 16, 16)
        column.setSpacing(12)
        column.addWidget(text)
        column.addLayout(form)
        column.addWidget(self.total)
        column.addWidget(buttons)
        self.setFixedWidth(420)
        prepare_controls(self)
        self._show_total()

    def _show_total(self) -> None:
        values = len(self._attributes[self.attribute.currentIndex()].values)
        total = values * self.per_class.value()
        words = self.tr("{values} classes × {each} = {total} pictures")
        self.total.setText(words.format(values=values, each=self.per_class.value(), total=f"{total:,}"))

    def _on_accepted(self) -> None:
        self.accept()
        self.wanted.emit(self.attribute.currentData(), self.per_class.value())
