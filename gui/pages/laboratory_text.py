"""Text read by a causal stack of dilated 1-D convolutions: which characters one position knows of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Slot
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QCheckBox, QLabel, QLineEdit, QVBoxLayout, QWidget

from gui.controllers.laboratory_text import LONGEST, TextController, TextState
from gui.widgets.causal_view import CausalView
from gui.widgets.figure_table import FigureTable
from gui.widgets.labeled_slider import LabeledSlider
from gui.widgets.section import Section

if TYPE_CHECKING:
    from gui.services.context import Services

FIGURES = {
    "Sees": "Characters that one position can know of: 1 + (k − 1) (d₁ + d₂ + …)",
    "Rates": "Dilation rate of each layer, from the text on",
    "Weights": "Of all layers with 32 channels; the rates cost none",
    "With rates of 1": "Layers that as many taps without dilation need to see as far",
}


class TextView(QWidget):
    """Shows a `TextController`."""

    def __init__(self, controller: TextController, services: Services, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.controller = controller
        self.field = QLineEdit(controller.state.text)
        self.field.setMaxLength(LONGEST)
        self.field.setAccessibleName("Sentence")
        self.field.setPlaceholderText("Type a sentence")
        self.field.textEdited.connect(controller.set_text)
        self.view = CausalView()
        self.view.looked_at.connect(controller.look_at)
        self._caption = QLabel()
        self._caption.setProperty("look", "muted")
        self._caption.setWordWrap(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(16, 8, 16, 12)
        layout.addWidget(self.field)
        layout.addWidget(self.view, 1)
        layout.addWidget(self._caption)
        controller.changed.connect(self._show_state)
        self._show_state(controller.state)

    @property
    def caption(self) -> str:
        """The sentence below the drawing."""
        return self._caption.text()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if not event.spontaneous() and self.controller.state.influence is None:
            self.controller.refresh()

    @Slot(object)
    def _show_state(self, state: TextState) -> None:
        stack = state.stack
        levels = stack.tree(state.position) if state.text else []
        self.view.show_reading(state.text, state.position, levels, stack.rates, stack.kernel, state.influence)
        if not state.text:
            self._caption.setText("")
            return
        seen = levels[-1]
        cut = " (the sentence begins there)" if seen[0] == 0 and stack.field > state.position + 1 else ""
        characters = "1 character" if len(seen) == 1 else f"{len(seen)} characters"
        self._caption.setText(
            f"The output over “{state.text[state.position]}” reads {characters}, back to “{state.text[seen[0]]}”{cut}."
            " Bars: how strongly each moves it, by gradient at random weights."
        )


class TextPanel(QWidget):
    """The settings of a `TextController`."""

    def __init__(self, controller: TextController, services: Services, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.controller = controller
        state = controller.state
        layers = Section("Layers")
        self.kernel = LabeledSlider("Kernel", 2, 4, state.kernel, decimals=0, hint="Taps; the last one is the present")
        self.kernel.value_changed.connect(lambda value: controller.change(kernel=round(value)))
        self.layers = LabeledSlider("Layers", 1, 6, state.layers, decimals=0)
        self.layers.value_changed.connect(lambda value: controller.change(layers=round(value)))
        self.doubling = QCheckBox("Double the rate with every layer")
        self.doubling.setChecked(state.doubling)
        self.doubling.toggled.connect(lambda doubling: controller.change(doubling=doubling))
        for part in (self.kernel, self.layers, self.doubling):
            layers.add(part)
        figures = Section("Figures")
        self.table = FigureTable(FIGURES)
        figures.add(self.table)
        note = QLabel(
            "Causal: a place reads itself and what came before, never what follows. Click a character, or use the arrow"
            " keys. The weights are random: this shows what such a network can know, not what it has learned."
        )
        note.setProperty("look", "caption")
        note.setWordWrap(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        for part in (layers, figures, note):
            layout.addWidget(part)
        controller.changed.connect(self._show_state)
        self._show_state(controller.state)

    @Slot(object)
    def _show_state(self, state: TextState) -> None:
        stack = state.stack
        plain = -(-(stack.field - 1) // (stack.kernel - 1))
        self.table.set_values(
            {
                "Sees": f"{stack.field} characters",
                "Rates": ", ".join(map(str, stack.rates)),
                "Weights": f"{stack.parameters:,}",
                "With rates of 1": f"{plain} layers",
            }
        )
