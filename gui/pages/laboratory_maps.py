"""Two maps of evenness: what stacks of dilation rates read, and what three ways to double a picture leave on it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QComboBox, QGridLayout, QHBoxLayout, QLabel, QLineEdit, QPushButton, QVBoxLayout, QWidget

from engine.errors import LatentStudioError
from gui.controllers.laboratory_maps import (
    LEFT,
    RIGHT,
    SIDES,
    CheckerboardController,
    CheckerboardState,
    GriddingController,
    GriddingState,
    RateMap,
    parse_rates,
)
from gui.pages.laboratory_kinds import FILTER_NAMES
from gui.widgets.elided_label import ElidedLabel
from gui.widgets.figure_table import FigureTable
from gui.widgets.heat_map import heat_image
from gui.widgets.labeled_slider import LabeledSlider
from gui.widgets.pixel_grid import PixelGrid
from gui.widgets.section import Section

if TYPE_CHECKING:
    import numpy as np

    from gui.services.context import Services

SIDE_TITLES = {LEFT: "Left", RIGHT: "Right"}
RATE_FIGURES = {
    "Field": "Pixels across from the first to the last one seen",
    "Read": "Pixels of the field that at least one path reaches",
    "Most paths": "Paths from the pixel that counts most; an even field is a better one",
    "Weights": "Of one channel: k × k a layer, whatever the rate",
}


def level_image(values: np.ndarray):
    """Values (h, w) from 0 on as an image in the colours of the heat scale, the largest one the lightest."""
    import numpy as np

    largest = float(values.max()) if values.size else 0.0
    return heat_image(np.rint(255 * values / (largest or 1.0)).astype(np.uint8)).copy()


def rates_text(rates: tuple[int, ...]) -> str:
    """ "1-2-5"."""
    return "-".join(map(str, rates))


class GriddingView(QWidget):
    """Shows the maps of a `GriddingController` side by side."""

    def __init__(self, controller: GriddingController, services: Services, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.controller = controller
        self.grids: dict[str, PixelGrid] = {}
        self.titles: dict[str, ElidedLabel] = {}
        self._shown: dict[str, RateMap] = {}
        row = QHBoxLayout()
        row.setSpacing(16)
        for side in SIDES:
            title = self.titles[side] = ElidedLabel()
            title.setProperty("look", "heading")
            grid = self.grids[side] = PixelGrid(f"Paths from every pixel, {side}")
            grid.pointed.connect(partial(self._on_pointed, side))
            column = QVBoxLayout()
            column.addWidget(title)
            column.addWidget(grid, 1)
            row.addLayout(column, 1)
        self._readout = QLabel()
        self._readout.setProperty("look", "muted")
        self._readout.setWordWrap(True)
        self._readout.setMinimumHeight(2 * self._readout.fontMetrics().height() + 4)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(16, 8, 16, 12)
        layout.addLayout(row, 1)
        layout.addWidget(self._readout)
        controller.changed.connect(self._show_state)
        self._on_pointed(LEFT, None)
        self._show_state(controller.state)

    @property
    def readout(self) -> str:
        """The sentence below the maps."""
        return self._readout.text()

    @Slot(object)
    def _show_state(self, state: GriddingState) -> None:
        for side, found in state.maps.items():
            if self._shown.get(side) is found:
                continue
            self._shown[side] = found
            share = f": {100 * found.read / found.field**2:.0f} % of the field is read" if found.field else ""
            self.titles[side].setText(f"Rates {rates_text(found.rates)}{share if found.counts is not None else ''}")
            self.grids[side].set_placeholder(found.problem)
            self.grids[side].show_image(None if found.counts is None else level_image(found.counts))

    def _on_pointed(self, side: str, cell: tuple[int, int] | None) -> None:
        found = self.controller.state.maps[side]
        if cell is None or found.counts is None:
            self._readout.setText(
                "Brightness: how many paths lead from an input pixel to one output in the middle. Black is never read."
            )
            return
        count = int(found.counts[cell])
        paths = "no path" if count == 0 else "1 path" if count == 1 else f"{count:,} paths"
        middle = found.counts.shape[0] // 2
        down, right = cell[0] - middle, cell[1] - middle
        self._readout.setText(f"{SIDE_TITLES[side]}: {paths} from {right:+d} across, {down:+d} down of the output.")


class GriddingPanel(QWidget):
    """The settings of a `GriddingController`."""

    def __init__(self, controller: GriddingController, services: Services, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.controller = controller
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        common = Section("Layers")
        self.kernel = LabeledSlider("Kernel", 2, 5, controller.state.kernel, decimals=0, hint="Taps along a side")
        self.kernel.value_changed.connect(lambda value: controller.set_kernel(round(value)))
        common.add(self.kernel)
        layout.addWidget(common)
        self.fields: dict[str, QLineEdit] = {}
        self.tables: dict[str, FigureTable] = {}
        for side in SIDES:
            section = Section(SIDE_TITLES[side])
            field = self.fields[side] = QLineEdit()
            field.setAccessibleName(f"Dilation rates, {side}")
            field.setToolTip("One rate a layer, from the picture on, such as 1-2-5")
            field.editingFinished.connect(partial(self._on_rates, side))
            label = QLabel("Rates")
            label.setBuddy(field)
            row = QHBoxLayout()
            row.addWidget(label)
            row.addWidget(field, 1)
            section.add(row)
            table = self.tables[side] = FigureTable(RATE_FIGURES)
            section.add(table)
            layout.addWidget(section)
        note = QLabel(
            "Rates with a common factor leave holes: neighbouring outputs then know nothing of each other's pixels, and"
            " a grid shows in the result. Rates such as 1-2-5 see farther with as many weights, and leave none."
        )
        note.setProperty("look", "caption")
        note.setWordWrap(True)
        layout.addWidget(note)
        controller.changed.connect(self._show_state)
        self._show_state(controller.state)

    @Slot(object)
    def _show_state(self, state: GriddingState) -> None:
        for side, found in state.maps.items():
            if not self.fields[side].hasFocus() or found.counts is not None:
                self.fields[side].setText(rates_text(found.rates))
            weights = len(found.rates) * state.kernel**2
            shown = {"Field": f"{found.field:,} × {found.field:,}" if found.field else "", "Weights": str(weights)}
            if found.counts is not None:
                shown["Read"] = f"{found.read:,} of {found.field**2:,} pixels"
                shown["Most paths"] = f"{int(found.counts.max()):,}"
            self.tables[side].set_values(shown)

    def _on_rates(self, side: str) -> None:
        try:
            self.controller.set_rates(side, parse_rates(self.fields[side].text()))
        except LatentStudioError:
            self.fields[side].setText(rates_text(self.controller.state.maps[side].rates))


class CheckerboardView(QWidget):
    """Shows the doublings of a `CheckerboardController`: the photo above, what each does to an even ground below."""

    def __init__(self, controller: CheckerboardController, services: Services, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.controller = controller
        self.pictures: list[PixelGrid] = []
        self.strengths: list[PixelGrid] = []
        self._titles: list[ElidedLabel] = []
        self._captions: list[ElidedLabel] = []
        grid = QGridLayout(self)
        grid.setContentsMargins(16, 8, 16, 12)
        grid.setHorizontalSpacing(16)
        grid.setVerticalSpacing(4)
        for column in range(3):
            title, caption = ElidedLabel(), ElidedLabel()
            title.setProperty("look", "heading")
            caption.setProperty("look", "muted")
            picture = PixelGrid(f"Photo doubled, way {column + 1}")
            strength = PixelGrid(f"How strongly each pixel is written, way {column + 1}")
            for row, widget in enumerate((title, picture, caption, strength)):
                grid.addWidget(widget, row, column)
            grid.setColumnStretch(column, 1)
            self.pictures.append(picture)
            self.strengths.append(strength)
            self._titles.append(title)
            self._captions.append(caption)
        grid.setRowStretch(1, 1)
        grid.setRowStretch(3, 1)
        controller.changed.connect(self._show_state)
        self._show_state(controller.state)

    @Slot(object)
    def _show_state(self, state: CheckerboardState) -> None:
        import numpy as np

        for index, made in enumerate(state.doublings):
            self._titles[index].setText(made.name)
            self.pictures[index].show_pixels(made.picture)
            self.strengths[index].show_image(level_image(np.clip(made.strength, 0, None)))
            if made.ratio == 1:
                text = "Every pixel is written equally strongly"
            elif np.isfinite(made.ratio):
                text = f"Strongest : weakest pixel = {made.ratio:.3g} : 1"
            else:
                text = "Weights of both signs: some pixels are turned around"
            self._captions[index].setText(text)

    def captions(self) -> list[str]:
        """What is said of each way."""
        return [caption.text() for caption in self._captions]


class CheckerboardPanel(QWidget):
    """The settings of a `CheckerboardController`."""

    def __init__(self, controller: CheckerboardController, services: Services, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.controller = controller
        section = Section("Weights")
        self.filter_box = QComboBox()
        self.filter_box.setAccessibleName("Weights")
        for key in ("average", "random"):
            self.filter_box.addItem(FILTER_NAMES[key], key)
        self.filter_box.activated.connect(lambda: controller.change(filter=self.filter_box.currentData()))
        self.seed_button = QPushButton("Draw others")
        self.seed_button.setToolTip("Other random weights")
        self.seed_button.clicked.connect(lambda: controller.change(seed=controller.state.seed + 1))
        row = QHBoxLayout()
        row.addWidget(self.filter_box, 1)
        row.addWidget(self.seed_button)
        section.add(row)
        self.across = LabeledSlider("Pixels across", 8, 48, controller.state.across, decimals=0)
        self.across.value_changed.connect(lambda value: controller.change(across=round(value)))
        section.add(self.across)
        note = QLabel(
            "Above: the photo, doubled. Below: an even ground, doubled the same way.\n\n"
            "A 3×3 kernel with stride 2 writes some outputs with one tap and others with four, so even an average"
            " leaves a checkerboard. A 4×4 kernel writes all with four taps; its weights must still learn to agree."
            " Resizing first and convolving after cannot leave one, whatever the weights."
        )
        note.setProperty("look", "caption")
        note.setWordWrap(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        layout.addWidget(section)
        layout.addWidget(note)
        controller.changed.connect(self._show_state)
        self._show_state(controller.state)

    @Slot(object)
    def _show_state(self, state: CheckerboardState) -> None:
        self.filter_box.setCurrentIndex(self.filter_box.findData(state.filter))
        self.seed_button.setEnabled(state.filter == "random")
