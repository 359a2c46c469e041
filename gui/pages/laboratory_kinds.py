"""Four kinds of convolution side by side on one photo, with a linked cursor, a sliding window and their figures."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QSignalBlocker, Qt, Slot
from PySide6.QtGui import QHideEvent, QShowEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from gui.controllers.laboratory_kinds import FOUR, INPUT, MAPS, TITLES, Cell, KindsController, KindsState, Links
from gui.controllers.wording import count_short
from gui.widgets.comparison_table import ComparisonTable
from gui.widgets.elided_label import ElidedLabel
from gui.widgets.kernel_view import KernelView
from gui.widgets.labeled_slider import LabeledSlider
from gui.widgets.pixel_grid import PixelGrid
from gui.widgets.play_bar import PlayBar
from gui.widgets.section import Section

if TYPE_CHECKING:
    from gui.services.context import Services

COLUMNS = (
    ("Output", "Width × height of the output, for the feature map chosen at the right"),
    ("Kernel spans", "Pixels from the first to the last tap: k + (k − 1)(d − 1)"),
    ("Sees", "Input pixels across that one output depends on: the receptive field of this one layer"),
    ("Weights", "Parameters without biases"),
    ("MACs", "Multiply-accumulates on the feature map chosen at the right"),
    ("Time", "Best run on this machine, in milliseconds: few MACs are not always fast"),
)
FILTER_NAMES = {"average": "Average", "edges": "Edges", "sharpen": "Sharpen", "random": "Random"}
CHANNELS = (1, 3, 8, 16, 32, 64, 128, 256, 512)
HINT = "Point at a pixel of any picture to see who reads it. A click holds it, Escape lets go."
ROLES = {"standard": "series_2", "dilated": "series_1", "transposed": "series_6", "separable": "series_7"}


class KindsView(QWidget):
    """Shows a `KindsController`."""

    def __init__(self, controller: KindsController, services: Services, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.controller = controller
        self.input = self._grid("Photo in few pixels", INPUT)
        self.outputs: dict[str, PixelGrid] = {}
        self._titles: dict[str, QLabel] = {}
        self._shown: tuple[object, ...] = ()
        self._input_title = QLabel("Input")
        self._input_title.setProperty("look", "caption")
        self.readout = QLabel(HINT)
        self.readout.setProperty("look", "muted")
        self.readout.setWordWrap(True)
        self.readout.setMinimumHeight(3 * self.readout.fontMetrics().height() + 4)
        self.readout.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.kernel = KernelView()
        self._kernel_text = QLabel()
        self._kernel_text.setProperty("look", "caption")
        self._kernel_text.setWordWrap(True)
        weights = QHBoxLayout()
        weights.setSpacing(10)
        weights.addWidget(self.kernel)
        weights.addWidget(self._kernel_text, 1)
        left = QVBoxLayout()
        left.setSpacing(4)
        left.addWidget(self._input_title)
        left.addWidget(self.input, 1)
        left.addWidget(self.readout)
        left.addLayout(weights)
        right = QGridLayout()
        right.setSpacing(4)
        right.setHorizontalSpacing(12)
        for place, kind in enumerate(FOUR):
            title = self._titles[kind] = ElidedLabel()
            title.setProperty("look", "caption")
            grid = self.outputs[kind] = self._grid(f"Output, {TITLES[kind].lower()} convolution", kind)
            row, column = divmod(place, 2)
            right.addWidget(title, 2 * row, column)
            right.addWidget(grid, 2 * row + 1, column)
            right.setRowStretch(2 * row + 1, 1)
            right.setColumnStretch(column, 1)
        pictures = QHBoxLayout()
        pictures.setSpacing(16)
        pictures.addLayout(left, 10)
        pictures.addLayout(right, 15)
        self.play_bar = PlayBar()
        self.play_bar.play_wished.connect(controller.play)
        self.play_bar.pause_wished.connect(controller.pause)
        self.play_bar.stop_wished.connect(controller.stop)
        self.play_bar.step_wished.connect(controller.step)
        self.play_bar.moment_wished.connect(controller.go_to)
        self.play_bar.speed_changed.connect(controller.set_speed)
        self.table = ComparisonTable(TITLES, COLUMNS)
        self.table.chosen.connect(controller.choose)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(16, 4, 16, 12)
        layout.setSpacing(6)
        layout.addLayout(pictures, 1)
        layout.addWidget(self.play_bar)
        layout.addWidget(self.table)
        controller.changed.connect(self._show_state)
        controller.linked.connect(self._show_links)
        self._show_state(controller.state)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.controller.wake()

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self.controller.rest()

    def _grid(self, name: str, place: str) -> PixelGrid:
        grid = PixelGrid(name)
        grid.setToolTip("")
        grid.pointed.connect(partial(self.controller.point, place))
        grid.picked.connect(partial(self.controller.pin, place))
        grid.released.connect(self.controller.unpin)
        return grid

    @Slot(object)
    def _show_state(self, state: KindsState) -> None:
        self._show_pictures(state)
        shape = state.outputs[state.active].shape if state.active in state.outputs else (0, 0)
        self.play_bar.show_state(shape[0] * shape[1], state.moment, state.playing)
        self.table.choose(state.active)
        for kind, grid in self.outputs.items():
            grid.cover_after(state.moment if kind == state.active else None)
            self._show_figures(state, kind)
        if state.pixels is not None:
            height, width = state.pixels.shape[:2]
            self._input_title.setText(f"Input, {width} × {height} pixels")
        self._show_kernel(state)

    def _show_kernel(self, state: KindsState) -> None:
        """The weights of the active kind, where it reads."""
        weights = self.controller.weights()
        settings = state.settings
        rate = settings.dilation if state.active == "dilated" else 1
        self.kernel.show_weights(weights, rate)
        span = rate * (settings.kernel - 1) + 1
        spread = f", spread over {span} × {span}" if rate > 1 and span > 1 else ""
        self._kernel_text.setText(
            f"{TITLES[state.active]}, {FILTER_NAMES[settings.filter].lower()}:"
            f" {settings.kernel} × {settings.kernel} weights{spread}; their sum is {round(float(weights.sum()), 2):g}."
        )

    def _show_pictures(self, state: KindsState) -> None:
        margin = self._margin(state)
        self.input.set_margin(margin)
        shown = (state.pixels, *(state.outputs.get(kind) for kind in FOUR))
        if self._shown and all(one is other for one, other in zip(shown, self._shown, strict=True)):
            return
        self._shown = shown
        self.input.show_pixels(state.pixels)
        for kind, grid in self.outputs.items():
            output = state.outputs.get(kind)
            grid.show_pixels(output)
            size = "" if output is None else f", {output.shape[1]} × {output.shape[0]}"
            self._titles[kind].setText(f"{TITLES[kind]}{size}")
            grid.set_placeholder(state.problems.get(kind, ""))

    def _margin(self, state: KindsState) -> int:
        """Zeros around the input of the active kind."""
        if state.active in state.problems:
            return 0
        branch = state.settings.layer(state.active).steps(state.settings.in_channels)[0].branches[0]
        return 0 if branch.transposed else branch.padding

    def _show_figures(self, state: KindsState, kind: str) -> None:
        fact = state.facts.get(kind)
        if fact is None:
            self.table.set_row(kind, {}, state.problems.get(kind, ""))
            return
        timing = state.timings.get(kind)
        spread = f"{fact.reach.smallest}–{fact.reach.size}" if fact.reach.smallest != fact.reach.size else ""
        self.table.set_row(
            kind,
            {
                "Output": f"{fact.width} × {fact.height}",
                "Kernel spans": f"{fact.effective_kernel}",
                "Sees": spread or f"{fact.reach.size}",
                "Weights": f"{fact.parameters:,}",
                "MACs": count_short(fact.multiplications),
                "Time": "…" if state.measuring else "–" if timing is None else f"{timing.best:.2f} ms",
            },
        )

    @Slot(object)
    def _show_links(self, links: Links | None) -> None:
        held = self.controller.pinned
        if links is None:
            self.input.set_marks({})
            for grid in self.outputs.values():
                grid.set_marks({})
            self.readout.setText(HINT)
            return
        kind = links.place if links.place != INPUT else ""
        self.input.set_marks(_strengths(links.inputs), ROLES.get(kind, "accent"), held=held)
        for name, grid in self.outputs.items():
            grid.set_marks(_strengths(links.outputs.get(name, {})), ROLES[name], held=held)
        self.readout.setText(self._sentence(links))

    def _sentence(self, links: Links) -> str:
        row, column = links.pixel
        if links.place == INPUT:
            counts = ", ".join(
                f"{len(links.outputs[kind])} of {TITLES[kind].lower()}" for kind in FOUR if kind in links.outputs
            )
            return f"Input pixel in row {row + 1}, column {column + 1} is read by outputs: {counts}."
        rows, columns = self.input.cells
        inside = sum(0 <= y < rows and 0 <= x < columns for y, x in links.inputs)
        outside = len(links.inputs) - inside
        padding = f" and {outside} zeros of the padding" if outside else ""
        pixels = "1 input pixel" if inside == 1 else f"{inside} input pixels"
        return (
            f"{TITLES[links.place]}: the output in row {row + 1}, column {column + 1} reads {pixels}{padding}"
            f"{_extent(links)}."
        )


def _extent(links: Links) -> str:
    if len(links.inputs) < 2:
        return ""
    rows, columns = ([pixel[axis] for pixel in links.inputs] for axis in (0, 1))
    return f", {max(columns) - min(columns) + 1} × {max(rows) - min(rows) + 1} across"


def _strengths(cells: Mapping[Cell, int]) -> dict[Cell, float]:
    """Taps on each cell as a share of the most."""
    most = max(cells.values(), default=1)
    return {cell: count / most for cell, count in cells.items()}


class KindsPanel(QWidget):
    """The settings of a `KindsController`."""

    def __init__(self, controller: KindsController, services: Services, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.controller = controller
        settings = controller.state.settings
        self.sliders: dict[str, LabeledSlider] = {}
        layer = Section("Layer")
        for name, text, low, high, hint in (
            ("kernel", "Kernel", 1, 7, "Taps along a side, k"),
            ("stride", "Stride", 1, 4, "Step of the window: standard, dilated, separable"),
            ("enlargement", "Stride of transposed", 1, 4, "How many times larger a transposed convolution makes it"),
            ("dilation", "Dilation", 1, 6, "Distance between neighbouring taps of the dilated kind, d"),
        ):
            layer.add(self._slider(name, text, low, high, getattr(settings, name), hint))
        self.keep_size = QCheckBox("Pad to keep the size")
        self.keep_size.setToolTip("Zeros around the picture, so that sizes change by the stride alone")
        self.keep_size.setChecked(settings.keep_size)
        self.keep_size.toggled.connect(lambda keep: controller.change(keep_size=keep))
        layer.add(self.keep_size)
        layer.add(
            self._slider("padding", "Padding", 0, 8, settings.padding, "Zeros per side; cut off per side if transposed")
        )

        weights = Section("Weights in the picture")
        self.filter_box = QComboBox()
        self.filter_box.setAccessibleName("Weights")
        for key, text in FILTER_NAMES.items():
            self.filter_box.addItem(text, key)
        self.filter_box.activated.connect(self._on_filter)
        self.seed_button = QPushButton("Draw others")
        self.seed_button.setToolTip("Other random weights")
        self.seed_button.clicked.connect(lambda: controller.change(seed=controller.state.settings.seed + 1))
        row = QHBoxLayout()
        row.addWidget(self.filter_box, 1)
        row.addWidget(self.seed_button)
        weights.add(row)
        weights.add(self._slider("across", "Pixels across", 8, 48, settings.across, "Pixels of the photo in a line"))

        figures = Section("Figures")
        boxes = QHBoxLayout()
        self.channel_boxes: dict[str, QComboBox] = {}
        for name, text in (("in_channels", "Channels in"), ("out_channels", "out")):
            box = self.channel_boxes[name] = QComboBox()
            box.setAccessibleName(f"Channels {text.removeprefix('Channels ')}")
            for count in CHANNELS:
                box.addItem(str(count), count)
            box.activated.connect(partial(self._on_channels, name))
            label = QLabel(text)
            label.setBuddy(box)
            boxes.addWidget(label)
            boxes.addWidget(box, 1)
        figures.add(boxes)
        figures.add(
            self._slider("groups", "Groups", 1, 64, settings.groups, "Channels of one group see only that group")
        )
        self.map_box = QComboBox()
        self.map_box.setAccessibleName("Feature map")
        self.map_box.setToolTip("Size of the feature map that the figures are for")
        for width, height in MAPS:
            self.map_box.addItem(f"On a map of {width} × {height}", (width, height))
        self.map_box.addItem("On the picture as drawn", (0, 0))
        self.map_box.activated.connect(self._on_map)
        self.measure_button = QPushButton("Measure again")
        self.measure_button.setToolTip("Run every kind on this machine for a moment")
        self.measure_button.clicked.connect(controller.measure)
        figures.add(self.map_box)
        figures.add(self.measure_button)

        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        for section in (layer, weights, figures):
            layout.addWidget(section)
        controller.changed.connect(self._show_state)
        self._show_state(controller.state)

    def _slider(self, name: str, text: str, low: int, high: int, value: int, hint: str) -> LabeledSlider:
        slider = self.sliders[name] = LabeledSlider(text, low, high, value, decimals=0, hint=hint)
        slider.value_changed.connect(lambda number: self.controller.change(**{name: round(number)}))
        return slider

    @Slot(object)
    def _show_state(self, state: KindsState) -> None:
        settings = state.settings
        common = min(settings.in_channels, settings.out_channels)
        groups = self.sliders["groups"]
        if groups.high != common:
            groups.set_range(1, max(1, common), 1)
        for name, slider in self.sliders.items():
            slider.set_value(getattr(settings, name), emit=False)
        self.sliders["padding"].setVisible(not settings.keep_size)
        with QSignalBlocker(self.keep_size):
            self.keep_size.setChecked(settings.keep_size)
        self.filter_box.setCurrentIndex(self.filter_box.findData(settings.filter))
        self.seed_button.setEnabled(settings.filter == "random")
        for name, box in self.channel_boxes.items():
            box.setCurrentIndex(box.findData(getattr(settings, name)))
        self.map_box.setCurrentIndex(max(0, self.map_box.findData((settings.map_width, settings.map_height))))
        self.measure_button.setEnabled(not state.measuring and bool(state.facts))
        again = "Measure again" if state.timings else "Measure"
        self.measure_button.setText("Measuring…" if state.measuring else again)

    def _on_filter(self) -> None:
        self.controller.change(filter=self.filter_box.currentData())

    def _on_channels(self, name: str) -> None:
        self.controller.change(**{name: self.channel_boxes[name].currentData()})

    def _on_map(self) -> None:
        width, height = self.map_box.currentData()
        self.controller.change(map_width=width, map_height=height)
