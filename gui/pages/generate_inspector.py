"""The inspector of the Generate page: the model by its picture, how many samples of which seed, and how they are drawn.

It is built in two steps, so that no turn of the event loop is long.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QSignalBlocker, Signal, Slot
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import (
    QButtonGroup,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QMenu,
    QPushButton,
    QSpinBox,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from gui.controllers.generate_controller import GenerateController
from gui.controllers.generate_settings import (
    FLOW,
    GUIDANCES,
    MAX_COUNT,
    NORMAL,
    TEMPERATURES,
    GenerateSettings,
    Prior,
    attribute_words,
    prior_reason,
)
from gui.services.context import Services
from gui.services.theme import Theme
from gui.widgets.inspector_column import prepare_controls
from gui.widgets.labeled_slider import LabeledSlider
from gui.widgets.section import Section
from gui.widgets.seed_field import SeedField
from gui.widgets.tile_picker import TilePicker

if TYPE_CHECKING:
    from engine.models.card import Attribute


class GenerateInspector(QWidget):
    """Shows the settings of a `GenerateController` and forwards what the person changes.

    Signals:
        generate_wanted(): make a new grid.
    """

    generate_wanted = Signal()

    def __init__(self, controller: GenerateController, services: Services, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.controller = controller
        self._services = services
        self.models: TilePicker | None = None
        self._model_names: list[str] = []
        self._models_box = QVBoxLayout()
        self.summary = _caption()
        model = Section(self.tr("Model"))
        model.add(self._models_box)
        model.add(self.summary)
        samples = Section(self.tr("Samples"))
        samples.add(self._count_row())
        samples.add(self._seed_row())
        samples.add(self._generate_row())
        self.drawing = Section(self.tr("How they are drawn"), resettable=True)
        self.drawing.reset_requested.connect(self._on_reset)
        self.mixing = Section(self.tr("Mix two"))
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        for section in (model, samples, self.mixing, self.drawing):
            column.addWidget(section)
        column.addStretch(1)
        self._complete = False
        controller.models_changed.connect(self._show_models)
        controller.tiles.models_changed.connect(self._show_models)
        controller.model_changed.connect(self._on_model_changed)
        controller.settings_changed.connect(self._show_settings)
        self._show_models()
        self._show_settings()

    def complete(self) -> None:
        """Build the lower half; the window has this done in a turn of its own."""
        if self._complete:
            return
        self._complete = True
        self._fill_drawing()
        self._fill_mixing()
        prepare_controls(self)
        self._on_model_changed()

    def showEvent(self, event: QShowEvent) -> None:
        self.complete()
        super().showEvent(event)

    # Building

    def _count_row(self) -> QHBoxLayout:
        self.count = QSpinBox()
        self.count.setRange(1, MAX_COUNT)
        self.count.setKeyboardTracking(False)
        self.count.setAccessibleName(self.tr("Number of samples"))
        self.count.valueChanged.connect(self._on_count)
        return _row(self.tr("Count"), self.count)

    def _seed_row(self) -> QHBoxLayout:
        self.seed = SeedField()
        self.seed.seed_edited.connect(self.controller.set_seed)
        self.seed.rolled.connect(self.controller.roll_seed)
        self.seed.lock_changed.connect(self.controller.lock_seed)
        self.seed_menu = QMenu(self)
        self.seed_menu.aboutToShow.connect(self.fill_seeds)
        self.past_seeds = QToolButton()
        self.past_seeds.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.past_seeds.setMenu(self.seed_menu)
        self.past_seeds.setToolTip(self.tr("Seeds of earlier grids"))
        self.past_seeds.setAccessibleName(self.tr("Seeds of earlier grids"))
        Theme.current().bind_icon(self.past_seeds, "history", "text", 18)
        row = _row(self.tr("Seed"), self.seed)
        row.setSpacing(4)
        row.addWidget(self.past_seeds)
        return row

    def _generate_row(self) -> QHBoxLayout:
        self.generate = QPushButton(self.tr("Generate"))
        self.generate.setProperty("look", "primary")
        self.generate.clicked.connect(self.generate_wanted)
        self.cancel = QPushButton(self.tr("Cancel"))
        self.cancel.setEnabled(False)
        self.cancel.setToolTip(self.tr("Stop; what is done stays"))
        self.cancel.clicked.connect(self.controller.cancel)
        self.controller.busy_changed.connect(self._on_busy_changed)
        self.controller.queue.changed.connect(self._on_queue_changed)
        row = QHBoxLayout()
        row.addWidget(self.generate, 1)
        row.addWidget(self.cancel)
        self._on_queue_changed()
        return row

    def _fill_drawing(self) -> None:
        self.priors = QButtonGroup(self)
        row = QHBoxLayout()
        row.setSpacing(6)
        self.prior_buttons: dict[str, QPushButton] = {}
        names: tuple[tuple[Prior, str], ...] = ((FLOW, self.tr("Learned flow")), (NORMAL, self.tr("Plain N(0, I)")))
        for prior, text in names:
            button = self.prior_buttons[prior] = QPushButton(text)
            button.setCheckable(True)
            button.setStyleSheet("QPushButton { padding-left: 6px; padding-right: 6px; }")
            button.clicked.connect(partial(self.controller.set_prior, prior))
            self.priors.addButton(button)
            row.addWidget(button, 1)
        self.reason = _caption()
        learned = self.tr("1 is what the model learned; less is more typical, more is more varied")
        self.temperature = self._slider(
            self.tr("Temperature"), TEMPERATURES, 1.0, learned, self.controller.set_temperature
        )
        strict = self.tr("How strictly the choice is followed; 1 is what the model learned")
        self.guidance = self._slider(self.tr("Strength"), GUIDANCES, 1.0, strict, self.controller.set_guidance)
        spread = self.tr("Above 0, the pictures of a grid are chosen to differ from one another")
        self.diversity = self._slider(self.tr("Diversity"), (0.0, 1.0), 0.0, spread, self.controller.set_diversity)
        self.drawing.add(row)
        self.drawing.add(self.reason)
        for slider in (self.guidance, self.temperature, self.diversity):
            self.drawing.add(slider)

    def _slider(self, name: str, limits: tuple[float, float], default: float, hint: str, changed) -> LabeledSlider:
        slider = LabeledSlider(name, *limits, default, 2, hint=hint)
        slider.value_changed.connect(changed)
        slider.slider_released.connect(self.controller.end_gesture)
        return slider

    def _fill_mixing(self) -> None:
        self.mix_attribute = _combo(self.tr("Attribute to mix"))
        self.mix_attribute.activated.connect(self._on_mix_attribute)
        self.mix_value = _combo(self.tr("Mix with"))
        self.mix_value.activated.connect(self._on_mix_value)
        self._mix_label = QLabel(self.tr("Mix with"))
        self._mix_label.setBuddy(self.mix_value)
        row = QHBoxLayout()
        row.setSpacing(6)
        row.addWidget(self.mix_attribute, 1)
        row.addWidget(self._mix_label)
        row.addWidget(self.mix_value, 1)
        hint = self.tr("0 is the chosen one alone, 1 the other alone")
        self.mix_weight = LabeledSlider(self.tr("Share"), 0.0, 1.0, 0.5, 2, hint=hint)
        self.mix_weight.value_changed.connect(self._on_mix_weight)
        self.mix_weight.slider_released.connect(self.controller.end_gesture)
        note = _caption(self.tr("A tile clicked with Ctrl held is mixed, too."))
        self.mixing.add(row)
        self.mixing.add(self.mix_weight)
        self.mixing.add(note)

    # Showing

    @Slot()
    def _show_models(self) -> None:
        state = self.controller.state
        names = [card.name for card in state.models]
        if self.models is None or self._model_names != names:
            if self.models is not None:
                self.models.hide()
                self.models.deleteLater()
            self._model_names = names
            self.models = TilePicker(self.tr("Model"), names)
            self.models.picked.connect(self.controller.choose_model)
            self._models_box.addWidget(self.models)
            for card in state.models:
                self.models.button(card.name).setToolTip(f"{card.name}: {card.summary}")
        drawn = {name: pixels for name, pixels in self.controller.tiles.models.items() if pixels is not None}
        self.models.set_pictures(drawn)
        self._show_model()

    def _show_model(self) -> None:
        card = self.controller.state.card
        if self.models is not None and card is not None:
            self.models.set_value(card.name)
        self.summary.setText("" if card is None else card.summary)

    @Slot()
    def _on_model_changed(self) -> None:
        self._show_model()
        self._on_queue_changed()
        if not self._complete:
            return
        attributes = self.controller.state.attributes
        self.reason.setText(prior_reason(self.controller.state.card))
        self.mixing.setVisible(any(len(attribute.values) > 1 for attribute in attributes))
        self.mix_attribute.clear()
        for attribute in attributes:
            self.mix_attribute.addItem(attribute_words(attribute.name), attribute.name)
        self.mix_attribute.setVisible(len(attributes) > 1)
        self._mix_label.setVisible(len(attributes) == 1)
        self._fill_mix_values()
        self._show_settings()

    def _fill_mix_values(self) -> None:
        attribute = self._mix_of()
        self.mix_value.clear()
        self.mix_value.addItem(self.tr("Nothing"), None)
        for value in attribute.values if attribute is not None else ():
            self.mix_value.addItem(value, value)

    @Slot()
    def _show_settings(self) -> None:
        settings = self.controller.state.settings
        with QSignalBlocker(self.count):
            self.count.setValue(settings.count)
        self.seed.show_seed(settings.seed, settings.seed_locked)
        self.past_seeds.setEnabled(bool(self.controller.state.seeds))
        if not self._complete:
            return
        self.prior_buttons[settings.prior].setChecked(True)
        self.guidance.set_value(settings.guidance, emit=False)
        self.guidance.setEnabled(settings.prior == FLOW)
        self.temperature.set_value(settings.temperature, emit=False)
        self.diversity.set_value(settings.diversity, emit=False)
        self.drawing.set_at_default(_drawn_as_usual(settings))
        mix = settings.mix
        if mix is not None and self.mix_attribute.currentData() != mix.attribute:
            self.mix_attribute.setCurrentIndex(self.mix_attribute.findData(mix.attribute))
            self._fill_mix_values()
        self.mix_value.setCurrentIndex(0 if mix is None else max(0, self.mix_value.findData(mix.value)))
        self.mix_weight.setVisible(mix is not None)
        if mix is not None:
            self.mix_weight.set_value(mix.weight, emit=False)

    @Slot(bool)
    def _on_busy_changed(self, busy: bool) -> None:
        self.cancel.setEnabled(busy)

    @Slot()
    def _on_queue_changed(self) -> None:
        self.generate.setEnabled(self.controller.generator is not None)
        again = bool(self.controller.queue.jobs)
        words = self.tr("Queue another grid (Ctrl+Return)") if again else self.tr("Make a new grid (Ctrl+Return)")
        self.generate.setToolTip(words)
        self.generate.setText(self.tr("Queue another") if again else self.tr("Generate"))

    @Slot()
    def fill_seeds(self) -> None:
        """List the seeds of earlier grids, newest first."""
        self.seed_menu.clear()
        for seed in self.controller.state.seeds:
            self.seed_menu.addAction(str(seed)).triggered.connect(partial(self.controller.set_seed, seed))

    # What the person does

    def _on_count(self, count: int) -> None:
        self.controller.set_count(count)
        self.controller.end_gesture()

    def _on_reset(self) -> None:
        self.controller.reset_drawing()

    def _mix_of(self) -> Attribute | None:
        attributes, place = self.controller.state.attributes, self.mix_attribute.currentIndex()
        return attributes[place] if 0 <= place < len(attributes) else None

    def _on_mix_attribute(self, _index: int) -> None:
        self._fill_mix_values()
        attribute = self._mix_of()
        if attribute is not None:
            self.controller.set_mix(attribute.name, None)

    def _on_mix_value(self, index: int) -> None:
        attribute = self._mix_of()
        if attribute is not None:
            self.controller.set_mix(attribute.name, self.mix_value.itemData(index))

    def _on_mix_weight(self, weight: float) -> None:
        mix = self.controller.state.settings.mix
        if mix is not None:
            self.controller.set_mix(mix.attribute, mix.value, weight)


def _drawn_as_usual(settings: GenerateSettings) -> bool:
    usual = GenerateSettings()
    return (settings.prior, settings.guidance, settings.temperature, settings.diversity) == (
        usual.prior,
        usual.guidance,
        usual.temperature,
        usual.diversity,
    )


def _caption(text: str = "") -> QLabel:
    label = QLabel(text)
    label.setProperty("look", "caption")
    label.setWordWrap(True)
    return label


def _combo(name: str) -> QComboBox:
    combo = QComboBox()
    combo.setAccessibleName(name)
    combo.setToolTip(name)
    combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    combo.setMinimumContentsLength(6)
    return combo


def _row(text: str, field: QWidget) -> QHBoxLayout:
    label = QLabel(text)
    label.setBuddy(field)
    row = QHBoxLayout()
    row.addWidget(label)
    row.addStretch(1)
    row.addWidget(field)
    return row
