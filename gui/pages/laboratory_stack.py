"""The layer-stack editor: the photo with what one output sees, and the layers with their figures below."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import (
    QAbstractTableModel,
    QItemSelectionModel,
    QModelIndex,
    QPersistentModelIndex,
    QPoint,
    QRect,
    QRectF,
    QSignalBlocker,
    Qt,
    Slot,
)
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QSplitter,
    QTableView,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from engine.errors import LatentStudioError
from gui.controllers.laboratory_maps import parse_rates
from gui.controllers.laboratory_stack import OWN, StackController, StackState
from gui.controllers.wording import count_short
from gui.widgets.field_canvas import FieldCanvas
from gui.widgets.figure_table import FigureTable
from gui.widgets.labeled_slider import LabeledSlider
from gui.widgets.section import Section

if TYPE_CHECKING:
    from engine.laboratory.layers import Facts
    from gui.services.context import Services

KIND_NAMES = {
    "standard": "Standard",
    "dilated": "Dilated",
    "transposed": "Transposed",
    "separable": "Separable",
    "pool": "Max pooling",
    "resize": "Resize",
}
HEADS = (
    ("Layer", "Kind of the layer"),
    ("k", "Kernel: taps along a side"),
    ("s", "Stride, or the enlargement"),
    ("d", "Dilation rates; several stand side by side"),
    ("Output", "Channels × width × height on this photo"),
    ("Sees", "Photo pixels across that one output depends on"),
    ("Step", "Photo pixels between neighbouring outputs"),
    ("Weights", "Parameters without biases"),
    ("MACs", "Multiply-accumulates on this photo"),
)
WIDEST = ("15", "8", "1, 2, 4, 8", "1024 × 768 × 512", "Sees 0", "Step 0", "9,437,184", "99.9 M0")  # a text a column
TOTALS = {
    "Output": "Channels × width × height of the last layer",
    "Sees": "Photo pixels across that one output of the last layer depends on",
    "Weights": "Of all layers, without biases",
    "MACs": "Multiply-accumulates of all layers on this photo",
}
GROUPS = (1, 2, 3, 4, 8, 11, 16, 24, 32, 48, 64, 96, 128, 192, 256, 512)


def step_text(jump: Fraction) -> str:
    """ "4", or "1/2" behind enlargements."""
    return str(jump.numerator) if jump.denominator == 1 else f"{jump.numerator}/{jump.denominator}"


class LayerTable(QAbstractTableModel):
    """The layers of a `StackState` as rows."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._state = StackState()

    def show_state(self, state: StackState) -> None:
        """Show other layers."""
        if (state.layers, state.facts) == (self._state.layers, self._state.facts):
            self._state = state
            return
        if len(state.layers) == len(self._state.layers):
            self._state = state
            self.dataChanged.emit(self.index(0, 0), self.index(len(state.layers) - 1, len(HEADS) - 1))
        else:
            self.beginResetModel()
            self._state = state
            self.endResetModel()

    def rowCount(self, parent: QModelIndex | QPersistentModelIndex = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self._state.layers)

    def columnCount(self, parent: QModelIndex | QPersistentModelIndex = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(HEADS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if orientation == Qt.Orientation.Horizontal:
            if role == Qt.ItemDataRole.DisplayRole:
                return HEADS[section][0]
            if role == Qt.ItemDataRole.ToolTipRole:
                return HEADS[section][1]
            if role == Qt.ItemDataRole.TextAlignmentRole and section == 0:
                return Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
        return None

    def data(self, index: QModelIndex | QPersistentModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if role == Qt.ItemDataRole.TextAlignmentRole and index.column():
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        if role != Qt.ItemDataRole.DisplayRole:
            return None
        layer = self._state.layers[index.row()]
        fact: Facts | None = self._state.facts[index.row()] if index.row() < len(self._state.facts) else None
        name = KIND_NAMES[layer.kind]
        if layer.groups > 1 and fact is not None:
            name = f"{name}, depthwise" if layer.groups == fact.in_channels else f"{name}, {layer.groups} groups"
        left = (
            f"{index.row() + 1}  {name}",
            "" if layer.kind == "resize" else str(layer.kernel),
            str(layer.stride),
            ", ".join(map(str, layer.rates)) if layer.kind in ("dilated", "separable") else "",
        )
        if index.column() < len(left):
            return left[index.column()]
        if fact is None:
            return "–"
        return (
            f"{fact.channels} × {fact.width} × {fact.height}",
            f"{fact.reach.size:,}",
            step_text(fact.reach.jump),
            f"{fact.parameters:,}" if fact.parameters else "–",
            count_short(fact.multiplications) if fact.multiplications else "–",
        )[index.column() - len(left)]


class StackView(QWidget):
    """Shows a `StackController`."""

    def __init__(self, controller: StackController, services: Services, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.controller = controller
        self._shown_field: object = None
        self._zoomed_for = ""
        self.canvas = FieldCanvas("Photo with what one output sees", services)
        self.canvas.clicked.connect(self._on_clicked)
        self._rows = LayerTable(self)
        self.table = QTableView()
        self.table.setModel(self._rows)
        self.table.setAccessibleName("Layers")
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setShowGrid(False)
        self.table.setWordWrap(False)
        self.table.setTabKeyNavigation(False)
        self.table.setStyleSheet("font-size: 9pt")
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setDefaultSectionSize(26)
        head = self.table.horizontalHeader()
        head.setHighlightSections(False)
        head.setDefaultAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        head.setMinimumSectionSize(28)
        # Fixed widths: to measure the texts of a hundred rows takes longer than all the rest.
        head.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        head.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        metrics = self.table.fontMetrics()
        for column, widest in enumerate(WIDEST, start=1):
            self.table.setColumnWidth(column, metrics.horizontalAdvance(widest) + 10)
        self.table.selectionModel().currentRowChanged.connect(self._on_row)
        split = QSplitter(Qt.Orientation.Vertical)
        split.setChildrenCollapsible(False)
        split.addWidget(self.canvas)
        split.addWidget(self.table)
        split.setStretchFactor(0, 3)
        split.setStretchFactor(1, 2)
        split.setSizes([360, 220])
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(split)
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

    def zoom_to_field(self, box: QRect) -> None:
        """Show a small field large, and otherwise the whole photo."""
        transform = self.canvas.transform
        size = transform.image_size
        if size.isEmpty() or 6 * max(box.width(), box.height()) > max(size.width(), size.height()):
            transform.fit()
            return
        ratio = self.canvas.devicePixelRatioF()
        room = ratio * min(self.canvas.width(), self.canvas.height())
        transform.set_zoom(room / (1.8 * max(box.width(), box.height())))
        off = transform.to_view(transform.center) - transform.to_view(QRectF(box).center())
        transform.pan_by(off.x(), off.y())

    @Slot(object)
    def _show_picture(self, picture) -> None:
        self._zoomed_for = ""
        self.canvas.show_picture(picture)

    @Slot(object)
    def _show_state(self, state: StackState) -> None:
        self._rows.show_state(state)
        current = self.table.currentIndex().row()
        if state.chosen != current and 0 <= state.chosen < len(state.layers):
            selection = self.table.selectionModel()
            flags = QItemSelectionModel.SelectionFlag
            with QSignalBlocker(selection):
                selection.setCurrentIndex(self._rows.index(state.chosen, 0), flags.ClearAndSelect | flags.Rows)
            self.table.scrollTo(self._rows.index(state.chosen, 0))
            self.table.viewport().update()
        seen = state.seen
        if seen is self._shown_field:
            return
        self._shown_field = seen
        if seen is None:
            self.canvas.clear_field()
            return
        left, top, width, height = seen.box
        allowed = width * height
        share = f", {100 * seen.pixels / allowed:.0f} % of it" if 0 < seen.pixels < allowed else ""
        text = f"Layer {state.chosen + 1} sees {width:,} × {height:,}{share}"
        if state.name != self._zoomed_for and state.name != OWN:
            # A field of few pixels would be a dot on the photo: bring it near when another stack is taken.
            self._zoomed_for = state.name
            self.zoom_to_field(QRect(left, top, width, height))
        # The root makes small shares of the paths visible: they fall off like a bell.
        self.canvas.show_field(seen.strength**0.5, QPoint(0, 0), float(seen.block), text)
        self.canvas.show_box(QRect(left, top, width, height))

    @Slot(QPoint)
    def _on_clicked(self, pixel: QPoint) -> None:
        self.controller.look_from(pixel.x(), pixel.y())

    def _on_row(self, current: QModelIndex, _previous: QModelIndex) -> None:
        self.controller.choose(current.row())


class StackPanel(QWidget):
    """The settings of a `StackController`."""

    def __init__(self, controller: StackController, services: Services, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.controller = controller
        preset = Section("Stack")
        self.preset_box = QComboBox()
        self.preset_box.setAccessibleName("Stack")
        self.preset_box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.preset_box.setMinimumContentsLength(16)
        self.preset_box.activated.connect(self._on_preset)
        self._listed: tuple[str, ...] = ()
        self._note = QLabel()
        self._note.setProperty("look", "caption")
        self._note.setWordWrap(True)
        self._problem = QLabel()
        self._problem.setProperty("look", "error")
        self._problem.setWordWrap(True)
        self.totals = FigureTable(TOTALS)
        for part in (self.preset_box, self._note, self._problem, self.totals):
            preset.add(part)

        self._layer = Section("Layer")
        self.kind_box = QComboBox()
        self.kind_box.setAccessibleName("Kind of layer")
        for key, text in KIND_NAMES.items():
            self.kind_box.addItem(text, key)
        self.kind_box.activated.connect(lambda: controller.edit(kind=self.kind_box.currentData()))
        self._layer.add(self.kind_box)
        self.sliders: dict[str, LabeledSlider] = {}
        for name, text, low, high, hint in (
            ("kernel", "Kernel", 1, 9, "Taps along a side"),
            ("stride", "Stride", 1, 4, "Step of the window, or the enlargement of transposed and resize"),
            ("rate", "Dilation", 1, 32, "Distance between neighbouring taps; of several rates the last one"),
        ):
            slider = self.sliders[name] = LabeledSlider(text, low, high, low, decimals=0, hint=hint)
            slider.value_changed.connect(lambda value, name=name: self._on_slider(name, round(value)))
            slider.slider_released.connect(controller.end_gesture)
            self._layer.add(slider)
        self.rates_field = QLineEdit()
        self.rates_field.setAccessibleName("Dilation rates side by side")
        self.rates_field.setToolTip("Rates side by side, each on its share of the channels, such as 1, 4")
        self.rates_field.editingFinished.connect(self._on_rates)
        self.channels_box, self.groups_box = QComboBox(), QComboBox()
        self.channels_box.setAccessibleName("Channels of the output")
        self.groups_box.setAccessibleName("Groups")
        self.groups_box.setToolTip("Channels of one group see only that group")
        self.channels_box.activated.connect(lambda: controller.edit(channels=self.channels_box.currentData()))
        self.groups_box.activated.connect(lambda: controller.edit(groups=self.groups_box.currentData()))
        for text, field in (
            ("Rates", self.rates_field),
            ("Channels", self.channels_box),
            ("Groups", self.groups_box),
        ):
            label = QLabel(text)
            label.setBuddy(field)
            label.setFixedWidth(72)
            row = QHBoxLayout()
            row.addWidget(label)
            row.addWidget(field, 1)
            self._layer.add(row)

        buttons = QHBoxLayout()
        buttons.setSpacing(2)
        theme = services.theme
        self.buttons: dict[str, QToolButton] = {}
        for key, icon, text, call in (
            ("add", "plus", "Add a layer after this one", controller.add),
            ("duplicate", "copy", "Duplicate this layer", controller.duplicate),
            ("remove", "trash", "Remove this layer", controller.remove),
            ("up", "arrow-up", "Move this layer up", lambda: controller.move(-1)),
            ("down", "arrow-down", "Move this layer down", lambda: controller.move(1)),
            ("undo", "undo", "Undo (Ctrl+Z)", controller.undo),
            ("redo", "redo", "Redo (Ctrl+Shift+Z)", controller.redo),
        ):
            button = self.buttons[key] = QToolButton()
            button.setProperty("look", "flat")
            button.setToolTip(text)
            button.setAccessibleName(text.partition(" (")[0])
            theme.bind_icon(button, icon, "text", 18)
            button.clicked.connect(call)
            buttons.addWidget(button)
        self.buttons["undo"].setShortcut("Ctrl+Z")
        self.buttons["redo"].setShortcut("Ctrl+Shift+Z")
        buttons.addStretch(1)
        edit = Section("Edit")
        edit.add(buttons)

        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        for section in (preset, self._layer, edit):
            layout.addWidget(section)
        controller.changed.connect(self._show_state)
        self._show_state(controller.state)

    @Slot(object)
    def _show_state(self, state: StackState) -> None:
        self._show_presets(state)
        self._note.setText(state.note)
        self._note.setVisible(bool(state.note))
        self._problem.setText(state.problem)
        self._problem.setVisible(bool(state.problem))
        if state.facts:
            last = state.facts[-1]
            self.totals.set_values(
                {
                    "Output": f"{last.channels} × {last.width} × {last.height}",
                    "Sees": f"{last.reach.size:,} × {last.reach.size:,} pixels",
                    "Weights": f"{sum(fact.parameters for fact in state.facts):,}",
                    "MACs": count_short(sum(fact.multiplications for fact in state.facts)),
                }
            )
        else:
            self.totals.set_values({})
        self._show_layer(state)
        self.buttons["undo"].setEnabled(state.can_undo)
        self.buttons["redo"].setEnabled(state.can_redo)
        self.buttons["remove"].setEnabled(len(state.layers) > 1)
        self.buttons["up"].setEnabled(state.chosen > 0)
        self.buttons["down"].setEnabled(0 <= state.chosen < len(state.layers) - 1)

    def _show_presets(self, state: StackState) -> None:
        stacks = (*self.controller.presets, *state.own_stacks)
        names = tuple(stack.name for stack in stacks)
        if names != self._listed:
            self._listed = names
            self.preset_box.clear()
            for stack in self.controller.presets:
                self.preset_box.addItem(stack.name, stack)
            if state.own_stacks:
                self.preset_box.insertSeparator(self.preset_box.count())
            for stack in state.own_stacks:
                self.preset_box.addItem(stack.name, stack)
        place = self.preset_box.findText(state.name)
        self.preset_box.setCurrentIndex(place)
        self.preset_box.setPlaceholderText(OWN)

    def _show_layer(self, state: StackState) -> None:
        self._layer.setVisible(0 <= state.chosen < len(state.layers))
        if not 0 <= state.chosen < len(state.layers):
            return
        layer = state.layers[state.chosen]
        self._layer.set_title(f"Layer {state.chosen + 1}")
        self.kind_box.setCurrentIndex(self.kind_box.findData(layer.kind))
        self.sliders["kernel"].set_value(layer.kernel, emit=False)
        self.sliders["kernel"].setEnabled(layer.kind != "resize")
        self.sliders["stride"].set_value(layer.stride, emit=False)
        self.sliders["rate"].set_value(layer.rates[-1], emit=False)
        dilated = layer.kind in ("dilated", "separable")
        self.sliders["rate"].setEnabled(dilated)
        self.rates_field.setEnabled(dilated)
        self.rates_field.setText(", ".join(map(str, layer.rates)))
        weighted = layer.kind not in ("pool", "resize")
        self.channels_box.setEnabled(weighted)
        self.groups_box.setEnabled(weighted and layer.kind != "separable")
        known = state.chosen < len(state.facts)
        inputs = state.facts[state.chosen].in_channels if known else layer.channels
        _fill(self.channels_box, {1, 3, 8, 11, 16, 32, 48, 64, 96, 128, 192, 256, 320, 512, 1024, layer.channels})
        fitting = {count for count in GROUPS if inputs % count == 0 and layer.channels % count == 0}
        _fill(self.groups_box, {*fitting, layer.groups})
        self.channels_box.setCurrentIndex(self.channels_box.findData(layer.channels))
        self.groups_box.setCurrentIndex(self.groups_box.findData(layer.groups))

    def _on_preset(self) -> None:
        stack = self.preset_box.currentData()
        if stack is not None:
            self.controller.take(stack)

    def _on_slider(self, name: str, value: int) -> None:
        if name == "rate":
            rates = self.controller.state.layers[self.controller.state.chosen].rates
            self.controller.edit(gesture="rate", rates=(*rates[:-1], value))
        else:
            self.controller.edit(gesture=name, **{name: value})

    def _on_rates(self) -> None:
        layer = self.controller.state.layers[self.controller.state.chosen]
        try:
            rates = parse_rates(self.rates_field.text())
        except LatentStudioError:
            rates = layer.rates
        if rates != layer.rates:
            self.controller.edit(rates=rates)
        else:
            self.rates_field.setText(", ".join(map(str, layer.rates)))


def _fill(box: QComboBox, numbers: set[int]) -> None:
    """Offer these numbers, in order; nothing is done where they are offered already."""
    wanted = sorted(numbers)
    if [box.itemData(index) for index in range(box.count())] != wanted:
        box.clear()
        for number in wanted:
            box.addItem(str(number), number)
