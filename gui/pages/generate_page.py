"""GeneratePage: choose a class or attributes, and a grid of new pictures appears."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QPoint, QSignalBlocker, QSize, Qt, Slot
from PySide6.QtGui import QAction, QGuiApplication, QShowEvent
from PySide6.QtWidgets import (
    QComboBox,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QMenu,
    QPushButton,
    QSpinBox,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from gui.controllers.generate_controller import MAX_COUNT, TEMPERATURES, GenerateController, file_stem
from gui.pages.actions import make_action
from gui.services.context import Services
from gui.widgets.busy import Busy
from gui.widgets.empty_state import EmptyState
from gui.widgets.file_dialogs import ask_folder, ask_open, ask_save
from gui.widgets.flow_grid import Thumbnail
from gui.widgets.flow_panel import FlowPanel
from gui.widgets.inspector_column import prepare_controls
from gui.widgets.labeled_slider import LabeledSlider
from gui.widgets.picture_view import PictureView
from gui.widgets.qimage import to_qimage
from gui.widgets.sample_grid import SampleGrid
from gui.widgets.section import Section
from gui.widgets.seed_field import SeedField
from gui.widgets.tile_picker import ANY, TilePicker, picture_icon

if TYPE_CHECKING:
    from engine.generation import Latent, Sample
    from engine.models.card import Attribute

PNG_FILTER = "PNG (*.png)"
COMBO_ICON = 28


class GeneratePage(QWidget):
    """Shows the state of a `GenerateController` and forwards what the person does."""

    title = "Generate"
    icon_name = "generate"

    def __init__(self, controller: GenerateController, services: Services, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.controller = controller
        self._services = services
        self._picked_by: QWidget | None = None
        self._tiles: TilePicker | None = None
        self._combos: dict[str, QComboBox] = {}
        self._build_actions()
        self._build_canvas()
        self._inspector = self._build_inspector()
        controller.models_changed.connect(self._on_models_changed)
        controller.model_changed.connect(self._on_model_changed)
        controller.tiles_changed.connect(self._on_tiles_changed)
        controller.settings_changed.connect(self._on_settings_changed)
        controller.samples_reset.connect(self._on_samples_reset)
        controller.sample_added.connect(self._on_sample_added)
        controller.selection_changed.connect(self._on_selection_changed)
        controller.busy_changed.connect(self._on_busy_changed)
        controller.latent_wanted.connect(self._on_latent_wanted)
        services.host.state_changed.connect(self._on_engine_changed)
        self._show_state()
        self._on_settings_changed()
        self._on_selection_changed()

    # What the window asks of a page

    def page_actions(self) -> list[QAction]:
        """Actions for the toolbar and the menus."""
        return [self._generate_action, self._open_action, self._save_all_action, self._save_grid_action]

    def inspector(self) -> QWidget:
        """The right column."""
        return self._inspector

    def open_paths(self, paths: list[Path]) -> None:
        """A picture made here was dropped: restore its settings."""
        if paths:
            self.controller.open_file(paths[0])

    def paste(self) -> None:
        """A copied picture file made here restores its settings."""
        urls = [url for url in QGuiApplication.clipboard().mimeData().urls() if url.isLocalFile()]
        if urls:
            self.controller.open_file(Path(urls[0].toLocalFile()))
        else:
            self._services.notices.info(self.tr("Copy a picture file that was saved here, then paste it."))

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.controller.activate()

    # Building

    def _build_actions(self) -> None:
        theme = self._services.theme
        self._generate_action = make_action(
            self, theme, self.tr("Generate"), "generate", self._on_generate, "Ctrl+Return"
        )
        self._open_action = make_action(self, theme, self.tr("Open picture…"), "open", self._on_open, "Ctrl+O")
        self._save_all_action = make_action(
            self, theme, self.tr("Save all…"), "save", self._on_save_all, "Ctrl+Shift+S"
        )
        self._save_grid_action = make_action(self, theme, self.tr("Save grid…"), "grid", self._on_save_grid, "Ctrl+G")
        self._copy_seed_action = make_action(self, theme, self.tr("Copy seed"), "copy", self._on_copy_seed)
        self._use_action = make_action(self, theme, self.tr("Use all settings"), "reset", self._on_use_settings)
        self._latents_action = make_action(self, theme, self.tr("Open in Latents"), "latents", self._on_open_in_latents)
        self._save_action = make_action(self, theme, self.tr("Save…"), "save", self._on_save)
        self._sample_actions = [self._copy_seed_action, self._use_action, self._latents_action, self._save_action]

    def _build_canvas(self) -> None:
        self._empty = EmptyState("generate", "", "")
        self._picker = QWidget()
        self._picker_layout = QVBoxLayout(self._picker)
        self._picker_layout.setContentsMargins(0, 0, 0, 0)
        self._grid = SampleGrid(thumbnail_side=96, name=self.tr("Samples"))
        self._grid.selection_changed.connect(self._on_grid_selection)
        self._grid.menu_requested.connect(self._on_menu)

        self._large = PictureView(self.tr("Selected sample"))
        self._large.set_placeholder(self.tr("Select a sample to see it large"))
        self._caption = QLabel()
        self._caption.setWordWrap(True)
        self._caption.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._details = QLabel()
        self._details.setProperty("look", "caption")
        self._details.setWordWrap(True)
        buttons = QGridLayout()
        buttons.setSpacing(6)
        self._sample_buttons: list[QPushButton] = []
        for place, action in enumerate(self._sample_actions):
            button = QPushButton(action.text())
            button.setStyleSheet("QPushButton { padding-left: 6px; padding-right: 6px; }")
            button.clicked.connect(action.trigger)
            action.changed.connect(self._on_sample_actions_changed)
            buttons.addWidget(button, place // 2, place % 2)
            self._sample_buttons.append(button)
        detail = QFrame()
        detail.setProperty("look", "card")
        column = QVBoxLayout(detail)
        column.setContentsMargins(12, 12, 12, 12)
        column.addWidget(self._large, 1)
        column.addWidget(self._caption)
        column.addWidget(self._details)
        column.addLayout(buttons)

        self._grid.setMinimumWidth(224)
        detail.setMinimumWidth(288)
        detail.setMaximumWidth(480)
        across = QHBoxLayout()
        across.setSpacing(12)
        across.addWidget(self._grid, 3)
        across.addWidget(detail, 2)
        content = QWidget()
        layout = QVBoxLayout(content)
        layout.setContentsMargins(16, 12, 16, 16)
        layout.setSpacing(12)
        layout.addWidget(self._picker)
        layout.addLayout(across, 1)
        self._stack = QStackedWidget()
        self._stack.addWidget(self._empty)
        self._stack.addWidget(content)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self._stack)

    def _build_inspector(self) -> QWidget:
        panel = QWidget()
        self._model = QComboBox()
        self._model.setAccessibleName(self.tr("Model"))
        self._model.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self._model.setMinimumContentsLength(12)
        self._model.activated.connect(self._on_model_picked)
        self._summary = QLabel()
        self._summary.setProperty("look", "caption")
        self._summary.setWordWrap(True)
        model = Section(self.tr("Model"))
        model.add(self._model)
        model.add(self._summary)

        self._count = QSpinBox()
        self._count.setRange(1, MAX_COUNT)
        self._count.setKeyboardTracking(False)
        self._count.setAccessibleName(self.tr("Number of samples"))
        self._count.valueChanged.connect(self.controller.set_count)
        self._seed = SeedField()
        self._seed.seed_edited.connect(self.controller.set_seed)
        self._seed.rolled.connect(self.controller.roll_seed)
        self._seed.lock_changed.connect(self.controller.lock_seed)
        hint = self.tr("1 is what the model learned; less is more typical, more is more varied")
        low, high = TEMPERATURES
        self._temperature = LabeledSlider(self.tr("Temperature"), low, high, 1.0, 2, hint=hint)
        self._temperature.value_changed.connect(self.controller.set_temperature)
        self._generate = QPushButton(self.tr("Generate"))
        self._generate.setProperty("look", "primary")
        self._generate.setToolTip(self.tr("Make a new grid (Ctrl+Return)"))
        self._generate.clicked.connect(self._on_generate)
        self._cancel = QPushButton(self.tr("Cancel"))
        self._cancel.setEnabled(False)
        self._cancel.clicked.connect(self.controller.cancel)
        self._busy = Busy(text=self.tr("Making samples"))
        run = QHBoxLayout()
        run.addWidget(self._generate, 1)
        run.addWidget(self._cancel)
        run.addWidget(self._busy)
        samples = Section(self.tr("Samples"))
        samples.add(_row(self.tr("Count"), self._count))
        samples.add(_row(self.tr("Seed"), self._seed))
        samples.add(self._temperature)
        samples.add(run)

        column = QVBoxLayout(panel)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(model)
        column.addWidget(samples)
        column.addStretch(1)
        return panel

    def _build_picker(self) -> None:
        """Tiles for a single attribute; for several, a labelled list each."""
        if self._picked_by is not None:
            self._picked_by.hide()
            self._picked_by.deleteLater()
        self._picked_by, self._tiles, self._combos = None, None, {}
        attributes = self.controller.state.attributes
        if len(attributes) == 1:
            attribute = attributes[0]
            self._tiles = TilePicker(attribute.name.capitalize(), attribute.values, self.tr("Any"))
            self._tiles.picked.connect(self._on_tile_picked)
            self._picked_by = self._tiles
        elif attributes:
            lists = FlowPanel(8)
            for attribute in attributes:
                lists.add(self._attribute_list(attribute))
            self._picked_by = lists
        if self._picked_by is not None:
            prepare_controls(self._picked_by)
            self._picker_layout.addWidget(self._picked_by)

    def _attribute_list(self, attribute: Attribute) -> QWidget:
        words = attribute.name.replace("_", " ").capitalize()
        combo = QComboBox()
        combo.setAccessibleName(words)
        combo.setIconSize(QSize(COMBO_ICON, COMBO_ICON))
        combo.setFixedWidth(108)
        combo.addItem(self.tr("Any"), ANY)
        for value in attribute.values:
            combo.addItem(value, value)
        combo.view().setMinimumWidth(200)
        combo.activated.connect(lambda _index, name=attribute.name: self._on_value_picked(name))
        self._combos[attribute.name] = combo
        label = QLabel(words)
        label.setProperty("look", "caption")
        label.setBuddy(combo)
        box = QWidget()
        column = QVBoxLayout(box)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addWidget(label)
        column.addWidget(combo)
        return box

    # The controller's signals

    @Slot(str, str)
    def _on_engine_changed(self, _state: str, _text: str) -> None:
        self._show_state()

    def _show_state(self) -> None:
        state, host = self.controller.state, self._services.host
        if state.model:
            self._stack.setCurrentIndex(1)
        else:
            self._stack.setCurrentIndex(0)
            if host.state == "loading":
                text = self.tr("The first pictures appear here in a few seconds.")
                self._empty.set_text(self.tr("The engine is loading…"), text)
            elif host.state == "failed":
                self._empty.set_text(self.tr("The engine could not start"), host.state_text)
            elif state.loading:
                self._empty.set_text(self.tr("The model is loading…"), "")
            else:
                text = self.tr("Train one on the Train page, or put a model file into the models folder.")
                self._empty.set_text(self.tr("There is no model that generates pictures"), text)
        ready = bool(state.model)
        for widget in (self._generate, self._generate_action, self._open_action):
            widget.setEnabled(ready)
        for action in (self._save_all_action, self._save_grid_action):
            action.setEnabled(bool(state.samples))

    @Slot()
    def _on_models_changed(self) -> None:
        with QSignalBlocker(self._model):
            self._model.clear()
            for card in self.controller.state.models:
                self._model.addItem(card.name, card.name)
                self._model.setItemData(self._model.count() - 1, card.summary, Qt.ItemDataRole.ToolTipRole)
        self._show_model()

    def _show_model(self) -> None:
        state = self.controller.state
        with QSignalBlocker(self._model):
            self._model.setCurrentIndex(self._model.findData(state.model))
        self._summary.setText(next((card.summary for card in state.models if card.name == state.model), ""))

    @Slot()
    def _on_model_changed(self) -> None:
        self._build_picker()
        self._on_tiles_changed()
        self._show_model()
        self._on_settings_changed()
        self._show_state()

    @Slot()
    def _on_tiles_changed(self) -> None:
        for name, pictures in self.controller.state.tiles.items():
            if self._tiles is not None:
                self._tiles.set_pictures(pictures)
            elif name in self._combos:
                combo = self._combos[name]
                for value, pixels in pictures.items():
                    combo.setItemIcon(combo.findData(value), picture_icon(pixels, COMBO_ICON))

    @Slot()
    def _on_settings_changed(self) -> None:
        state = self.controller.state
        if self._tiles is not None:
            self._tiles.set_value(next(iter(state.choice.values()), None))
        for name, combo in self._combos.items():
            combo.setCurrentIndex(max(0, combo.findData(state.choice.get(name, ANY))))
        with QSignalBlocker(self._count):
            self._count.setValue(state.count)
        self._seed.show_seed(state.seed, state.seed_locked)
        self._temperature.set_value(state.temperature, emit=False)

    @Slot()
    def _on_samples_reset(self) -> None:
        state = self.controller.state
        with QSignalBlocker(self._grid):
            self._grid.set_items(_thumbnail(sample) for sample in state.samples)
        self._grid.fit()
        self._show_state()

    @Slot(int)
    def _on_sample_added(self, index: int) -> None:
        self._grid.append(_thumbnail(self.controller.state.samples[index]))
        self._grid.fit()

    @Slot()
    def _on_selection_changed(self) -> None:
        state, sample = self.controller.state, self.controller.selected_sample
        if sample is not None and self._grid.selected_rows() != [state.selected]:
            with QSignalBlocker(self._grid):
                self._grid.select_row(state.selected)
        self._large.show_pixels(None if sample is None else sample.pixels)
        for action in self._sample_actions:
            action.setEnabled(sample is not None)
        if sample is None:
            self._caption.clear()
            self._details.clear()
            return
        latent = sample.latent
        self._caption.setText(self.tr("Seed {seed}").format(seed="—" if latent.seed is None else latent.seed))
        values = " · ".join(latent.attributes.values())
        temperature = self.tr("temperature {t:.2f}").format(t=latent.temperature)
        self._details.setText(" · ".join(part for part in (values, temperature, latent.model) if part))

    @Slot(bool)
    def _on_busy_changed(self, busy: bool) -> None:
        self._busy.set_busy(busy)
        self._cancel.setEnabled(busy)
        self._show_state()

    @Slot(object)
    def _on_latent_wanted(self, latent: Latent) -> None:
        # The window knows the other pages; a page shown alone, as in a test, has none.
        find_page = getattr(self.window(), "page", None)
        if find_page is not None:
            find_page("latents").open_latent(latent)

    # What the person does

    def _on_generate(self) -> None:
        self.controller.generate()

    def _on_model_picked(self, index: int) -> None:
        self.controller.choose_model(self._model.itemData(index))

    def _on_tile_picked(self, value: str) -> None:
        self.controller.choose(self.controller.state.attributes[0].name, value or None)

    def _on_value_picked(self, name: str) -> None:
        self.controller.choose(name, self._combos[name].currentData() or None)

    def _on_grid_selection(self) -> None:
        rows = self._grid.selected_rows()
        if rows and rows[0] != self.controller.state.selected:
            self.controller.select(rows[0])

    def _on_menu(self, row: int, position: QPoint) -> None:
        self.controller.select(row)
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addActions(self._sample_actions)
        menu.popup(position)

    def _on_sample_actions_changed(self) -> None:
        for action, button in zip(self._sample_actions, self._sample_buttons, strict=True):
            button.setEnabled(action.isEnabled())

    def _on_copy_seed(self) -> None:
        sample = self.controller.selected_sample
        if sample is not None and sample.latent.seed is not None:
            QGuiApplication.clipboard().setText(str(sample.latent.seed))
            self._services.notices.info(self.tr("Seed {seed} copied.").format(seed=sample.latent.seed))

    def _on_use_settings(self) -> None:
        self.controller.use_settings()

    def _on_open_in_latents(self) -> None:
        self.controller.open_in_latents()

    def _on_save(self) -> None:
        sample = self.controller.selected_sample
        if sample is not None:
            name = f"{file_stem(sample.latent)}.png"
            path = ask_save(self, self._services.settings, self.tr("Save sample"), name, PNG_FILTER)
            if path is not None:
                self.controller.save_sample(path)

    def _on_save_all(self) -> None:
        folder = ask_folder(self, self._services.settings, self.tr("Save all samples to a folder"))
        if folder is not None:
            self.controller.save_all(folder)

    def _on_save_grid(self) -> None:
        name = f"{self.controller.state.model}-grid.png"
        path = ask_save(self, self._services.settings, self.tr("Save the grid"), name, PNG_FILTER)
        if path is not None:
            self.controller.save_grid(path, math.ceil(math.sqrt(len(self.controller.state.samples))))

    def _on_open(self) -> None:
        path = ask_open(self, self._services.settings, self.tr("Open a picture made here"), PNG_FILTER)
        if path is not None:
            self.controller.open_file(path)


def _thumbnail(sample: Sample) -> Thumbnail:
    latent = sample.latent
    hint = "\n".join([*latent.attributes.values(), f"Seed {latent.seed}"])
    return Thumbnail(to_qimage(sample.pixels), data=latent, hint=hint)


def _row(text: str, field: QWidget) -> QHBoxLayout:
    label = QLabel(text)
    label.setBuddy(field)
    row = QHBoxLayout()
    row.addWidget(label)
    row.addStretch(1)
    row.addWidget(field)
    return row
