"""The effective receptive field: which pixels of the photo a trained model really uses for one output."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QPoint, QPointF, QRect, Slot
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QComboBox, QLabel, QVBoxLayout, QWidget

from gui.controllers.laboratory_field import FieldController, FieldState
from gui.widgets.busy import Busy
from gui.widgets.field_canvas import FieldCanvas
from gui.widgets.figure_table import FigureTable
from gui.widgets.labeled_slider import LabeledSlider
from gui.widgets.section import Section

if TYPE_CHECKING:
    import numpy as np

    from engine.image import Picture
    from gui.services.context import Services

DECADES = 3.5  # of the gradient's strength that are coloured: it falls off within a few pixels to a hundredth
FIGURES = {
    "Could see": "Box of all pixels with any gradient at all: the field that the layers allow, within this window",
    "Really uses": "Side of the smallest square around the place that holds 95 % of the gradient's energy",
    "Share": "The square as a share of the box, by area",
    "Step": "Photo pixels between neighbouring outputs",
}


class FieldView(QWidget):
    """Shows a `FieldController`."""

    def __init__(self, controller: FieldController, services: Services, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.controller = controller
        self._shown: object = None
        self.canvas = FieldCanvas("Photo with what the model uses", services)
        self.canvas.clicked.connect(self._on_clicked)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.canvas)
        self._busy = Busy(self, text="Following the gradient")
        self._busy.move(12, 12)
        controller.changed.connect(self._show_state)
        controller.picture_changed.connect(self._show_picture)
        if controller.picture is not None:
            self._show_picture(controller.picture)
        self._show_state(controller.state)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        # Every time: a model may have been trained or installed since.
        if not event.spontaneous():
            self.controller.load_models()

    @Slot(object)
    def _show_picture(self, picture: Picture) -> None:
        self.canvas.show_picture(picture)

    @Slot(object)
    def _show_state(self, state: FieldState) -> None:
        self.canvas.set_field_opacity(state.opacity)
        self._busy.set_busy(state.busy)
        field = state.field
        if field is self._shown:
            return
        self._shown = field
        if field is None:
            self.canvas.clear_field()
            return
        text = f"{state.found_by}: 95 % within {_pixels(field.used, field.scale)} pixels"
        self.canvas.show_field(_shares(field.strength), QPoint(field.left, field.top), field.scale, text)
        place = QPointF(field.left + (field.column + 0.5) * field.scale, field.top + (field.row + 0.5) * field.scale)
        side = field.used * field.scale
        box = QRect(round(place.x() - side / 2), round(place.y() - side / 2), round(side), round(side))
        self.canvas.show_box(box, place)

    @Slot(QPoint)
    def _on_clicked(self, pixel: QPoint) -> None:
        self.controller.look_from(pixel.x(), pixel.y())


def _shares(strength: np.ndarray) -> np.ndarray:
    """Strengths 0..1 on a logarithmic scale of `DECADES`."""
    import numpy as np

    return np.clip(1 + np.log10(np.maximum(strength, 1e-9)) / DECADES, 0, 1)


def _pixels(side: int, scale: float) -> str:
    shown = round(side * scale)
    return f"{shown:,} × {shown:,}"


class FieldPanel(QWidget):
    """The settings of a `FieldController`."""

    def __init__(self, controller: FieldController, services: Services, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.controller = controller
        self._services = services
        model = Section("Model")
        self.model_box = QComboBox()
        self.model_box.setAccessibleName("Model")
        self.model_box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.model_box.setMinimumContentsLength(16)
        self.model_box.activated.connect(lambda: controller.set_model(self.model_box.currentData()))
        self._summary = QLabel()
        self._summary.setProperty("look", "caption")
        self._summary.setWordWrap(True)
        model.add(self.model_box)
        model.add(self._summary)
        figures = Section("Field")
        self.table = FigureTable(FIGURES)
        self.opacity = LabeledSlider("Opacity", 0.0, 100.0, 100 * controller.state.opacity, decimals=0, suffix=" %")
        self.opacity.value_changed.connect(lambda percent: controller.set_opacity(percent / 100))
        figures.add(self.table)
        figures.add(self.opacity)
        self._note = QLabel(
            "Click the photo to look from there. The colours are the gradient of one output (a latent of a codec, the"
            " scores of a segmenter, the last feature map of an encoder) by every pixel, on a logarithmic scale. Layers"
            " allow a wide field; training decides how much of it is used."
        )
        self._note.setProperty("look", "caption")
        self._note.setWordWrap(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        for part in (model, figures, self._note):
            layout.addWidget(part)
        controller.changed.connect(self._show_state)
        self._show_state(controller.state)

    @Slot(object)
    def _show_state(self, state: FieldState) -> None:
        names = [card.name for card in state.models]
        if names != [self.model_box.itemData(index) for index in range(self.model_box.count())]:
            self.model_box.clear()
            for name in names:
                self.model_box.addItem(name, name)
        self.model_box.setCurrentIndex(self.model_box.findData(state.model))
        card = next((card for card in state.models if card.name == state.model), None)
        self._summary.setText(card.summary if card is not None else "Looking for models…")
        field = state.field
        self.table.set_stale(state.busy)
        if field is None:
            self.table.set_values({})
            return
        height, width = field.seen
        whole = self.controller.picture
        # Where the window ends before the photo does, the gradient may reach on.
        cut = whole is not None and field.scale == 1 and max(field.seen) >= max(field.strength.shape)
        more = "at least " if cut and field.strength.shape != whole.pixels.shape[:2] else ""
        allowed = max(1, height * width)
        self.table.set_values(
            {
                "Could see": f"{more}{round(width * field.scale):,} × {round(height * field.scale):,} pixels",
                "Really uses": f"{_pixels(field.used, field.scale)} pixels",
                "Share": f"{100 * min(1.0, field.used**2 / allowed):.0f} %",
                "Step": f"{round(field.output_stride * field.scale)} pixels",
            }
        )
