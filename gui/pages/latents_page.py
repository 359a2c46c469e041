"""LatentsPage: sliders through a latent space, with the picture following the drag."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QSignalBlocker, QSize, Qt, QTimer, Slot
from PySide6.QtGui import QAction, QGuiApplication, QKeySequence, QShowEvent
from PySide6.QtWidgets import (
    QButtonGroup,
    QComboBox,
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QSpinBox,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from gui.controllers.latents_controller import EDGE_OF_DATA, OFF_DATA, RAW, STYLE, LatentsController
from gui.pages.actions import make_action
from gui.services.context import Services
from gui.services.qimage import to_picture
from gui.widgets.empty_state import EmptyState
from gui.widgets.file_dialogs import ask_open, ask_save
from gui.widgets.inspector_column import prepare_controls
from gui.widgets.lamp import Lamp
from gui.widgets.latent_slider import LatentSlider
from gui.widgets.picture_view import PictureView
from gui.widgets.section import Section
from gui.widgets.seed_field import SeedField

if TYPE_CHECKING:
    from engine.generation import Latent
    from engine.latent import Dimension

PNG_FILTER = "PNG (*.png)"
PICTURE_FILTER = "Pictures (*.png *.jpg *.jpeg *.webp *.avif *.tif *.tiff *.bmp *.heic *.jxl)"
CHUNK = 24  # sliders shown until more are asked for
AT_ONCE = 1


class LatentsPage(QWidget):
    """Shows the state of a `LatentsController` and forwards what the person does."""

    title = "Latents"
    icon_name = "latents"

    def __init__(self, controller: LatentsController, services: Services, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.controller = controller
        self._services = services
        self._sliders: dict[int, LatentSlider] = {}  # by dimension
        self._pool: list[LatentSlider] = []  # of active dimensions, from top to bottom; some may be hidden
        self._wanted, self._assigned = CHUNK, 0  # how many of them shall stand, and do stand, for a dimension
        self._builder = QTimer(self)
        self._builder.setSingleShot(True)
        self._builder.setInterval(0)
        self._builder.timeout.connect(self._add_sliders)
        self._folded: Section | None = None
        self._combos: dict[str, QComboBox] = {}
        self._build_actions()
        self._build_canvas()
        self._inspector = self._build_inspector()
        controller.models_changed.connect(self._on_models_changed)
        controller.model_changed.connect(self._on_model_changed)
        controller.space_changed.connect(self._on_space_changed)
        controller.position_changed.connect(self._on_position_changed)
        controller.picture_changed.connect(self._on_picture_changed)
        controller.source_changed.connect(self._on_source_changed)
        controller.traversal_changed.connect(self._on_traversal_changed)
        controller.ends_changed.connect(self._on_ends_changed)
        controller.history_changed.connect(self._on_history_changed)
        controller.latent_text.connect(self._on_latent_text)
        services.host.state_changed.connect(self._on_engine_changed)
        self._on_source_changed()
        self._on_history_changed()
        self._show_state()

    # What the window asks of a page

    def page_actions(self) -> list[QAction]:
        """Actions for the toolbar and the menus."""
        return [self._open_action, self._undo_action, self._redo_action, self._save_action]

    def inspector(self) -> QWidget:
        """The right column."""
        return self._inspector

    def open_paths(self, paths: list[Path]) -> None:
        """A picture was dropped: start from it."""
        if paths:
            self.controller.open_file(paths[0])

    def open_latent(self, latent: Latent) -> None:
        """Another page hands over a latent."""
        self.controller.open_latent(latent)

    def paste(self) -> None:
        """Start from the clipboard: a picture, a picture file, or a latent as JSON."""
        mime = QGuiApplication.clipboard().mimeData()
        urls = [url for url in mime.urls() if url.isLocalFile()]
        if urls:
            self.controller.open_file(Path(urls[0].toLocalFile()))
        elif mime.hasImage():
            self.controller.open_picture(to_picture(QGuiApplication.clipboard().image()))
        elif mime.hasText():
            self.controller.paste_text(mime.text())
        else:
            self._services.notices.info(self.tr("The clipboard holds neither a picture nor a latent."))

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.controller.activate()

    # Building

    def _build_actions(self) -> None:
        keys, theme = QKeySequence.StandardKey, self._services.theme
        self._open_action = make_action(self, theme, self.tr("Open picture…"), "open", self._on_open, "Ctrl+O")
        self._undo_action = make_action(self, theme, self.tr("Undo"), "undo", self.controller.undo, keys.Undo)
        self._redo_action = make_action(self, theme, self.tr("Redo"), "redo", self.controller.redo, "Ctrl+Shift+Z")
        self._save_action = make_action(self, theme, self.tr("Save picture…"), "save", self._on_save, keys.Save)

    def _build_canvas(self) -> None:
        self._empty = EmptyState("latents", "", "")
        self._picture = PictureView(self.tr("Decoded picture; drag or use the arrow keys"), draggable=True)
        self._picture.dragged.connect(self.controller.move_pad)
        self._picture.drag_ended.connect(self.controller.end_gesture)
        self._pad_hint = QLabel()
        self._pad_hint.setProperty("look", "caption")
        self._pad_hint.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._pad_hint.setWordWrap(True)
        self._compare = self._build_compare()
        live = QWidget()
        column = QVBoxLayout(live)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self._picture, 1)
        column.addWidget(self._pad_hint)
        column.addWidget(self._compare)

        self._views = QStackedWidget()
        self._views.addWidget(live)
        self._views.addWidget(self._build_traversal())
        self._view_buttons = _switch(self, [self.tr("Picture"), self.tr("Traversal grid")])
        self._view_buttons.idClicked.connect(self._on_view_picked)
        left = QFrame()
        left.setProperty("look", "card")
        left.setMinimumWidth(224)
        column = QVBoxLayout(left)
        column.setContentsMargins(12, 12, 12, 12)
        column.addLayout(_in_row(*self._view_buttons.buttons()))
        column.addWidget(self._views, 1)

        self._rows = QWidget()
        self._rows_layout = QVBoxLayout(self._rows)
        self._rows_layout.setContentsMargins(0, 0, 8, 0)
        self._rows_layout.setSpacing(2)
        self._inactive = QVBoxLayout()
        self._more = QPushButton()
        self._more.setProperty("look", "flat")
        self._more.clicked.connect(self._on_more)
        self._more.hide()
        scrolled = QWidget()
        column = QVBoxLayout(scrolled)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self._rows)
        column.addWidget(self._more)
        column.addLayout(self._inactive)
        column.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidget(scrolled)
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setMinimumWidth(344)
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)

        self._seed = SeedField(bare=True)
        self._seed.seed_edited.connect(self.controller.randomise)
        self._random = QPushButton(self.tr("Random"))
        self._random.clicked.connect(self._on_random)
        self._reset = QPushButton(self.tr("Reset"))
        self._reset.setToolTip(self.tr("All sliders to the centre of the space"))
        self._reset.clicked.connect(self.controller.reset)
        moves = QHBoxLayout()
        moves.setSpacing(6)
        moves.addWidget(self._random)
        moves.addWidget(self._seed, 1)
        moves.addWidget(self._reset)
        right = QVBoxLayout()
        right.setSpacing(8)
        right.addLayout(moves)
        right.addWidget(scroll, 1)
        across = QHBoxLayout()
        across.setSpacing(12)
        across.addWidget(left, 1)
        across.addLayout(right, 1)
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(16, 12, 16, 16)
        column.addLayout(across)
        self._stack = QStackedWidget()
        self._stack.addWidget(self._empty)
        self._stack.addWidget(content)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self._stack)

    def _build_compare(self) -> QWidget:
        """The own picture beside what the model makes of it."""
        self._original = PictureView(self.tr("Own picture as the model sees it"))
        self._reconstruction = PictureView(self.tr("Reconstruction by the model"))
        compare = QWidget()
        row = QHBoxLayout(compare)
        row.setContentsMargins(0, 0, 0, 0)
        for view, text in ((self._original, self.tr("Yours")), (self._reconstruction, self.tr("Reconstruction"))):
            view.setFixedHeight(96)
            label = QLabel(text)
            label.setProperty("look", "caption")
            label.setAlignment(Qt.AlignmentFlag.AlignCenter)
            column = QVBoxLayout()
            column.addWidget(view)
            column.addWidget(label)
            row.addLayout(column, 1)
        return compare

    def _build_traversal(self) -> QWidget:
        self._grid = PictureView(self.tr("Traversal grid: a line per dimension, from its low to its high end"))
        self._grid.set_placeholder(self.tr("Drawing…"))
        self._grid_rows = QSpinBox()
        self._grid_rows.setRange(1, 16)
        self._grid_rows.setValue(self.controller.state.traversal_rows)
        self._grid_rows.setAccessibleName(self.tr("Dimensions in the grid"))
        self._grid_rows.valueChanged.connect(self.controller.set_traversal_rows)
        self._grid_save = QPushButton(self.tr("Export…"))
        self._grid_save.clicked.connect(self._on_save_traversal)
        label = QLabel(self.tr("Dimensions"))
        label.setBuddy(self._grid_rows)
        box = QWidget()
        column = QVBoxLayout(box)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self._grid, 1)
        row = _in_row(label, self._grid_rows)
        row.addWidget(self._grid_save)
        column.addLayout(row)
        return box

    def _build_inspector(self) -> QWidget:
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

        self._space_buttons = _switch(self, [self.tr("Style"), self.tr("Raw z")])
        style, raw = self._space_buttons.buttons()
        style.setToolTip(self.tr("Every position is a likely picture: sliders cannot leave the data"))
        raw.setToolTip(self.tr("The encoder's own numbers; a lamp warns when they describe nothing real"))
        self._space_buttons.idClicked.connect(self._on_space_picked)
        self._lamp = Lamp(self.tr("Distance from the data"))
        self._space_section = Section(self.tr("Space"))
        self._space_section.add(_in_row(style, raw))
        self._space_section.add(self._lamp)

        self._choice_section = Section(self.tr("Choice"))
        self._choice = QWidget()
        self._choice_layout = QFormLayout(self._choice)
        self._choice_layout.setContentsMargins(0, 0, 0, 0)
        self._choice_layout.setVerticalSpacing(6)
        self._choice_section.add(self._choice)

        position = Section(self.tr("Latent"))
        copy, paste = QPushButton(self.tr("Copy latent")), QPushButton(self.tr("Paste"))
        copy.setToolTip(self.tr("Copy the numbers as JSON"))
        copy.clicked.connect(self.controller.copy_text)
        paste.setToolTip(self.tr("Paste a latent or a picture"))
        paste.clicked.connect(self.paste)
        position.add(_in_row(copy, paste))

        self._again = QPushButton(self.tr("Encode again"))
        self._again.setToolTip(self.tr("Find the sliders anew, as after choosing the right class"))
        self._again.clicked.connect(self.controller.encode_again)
        self._close = QPushButton(self.tr("Let go"))
        self._close.setToolTip(self.tr("Compare no longer"))
        self._close.clicked.connect(self.controller.close_source)
        open_button = QPushButton(self.tr("Open picture…"))
        open_button.clicked.connect(self._on_open)
        own = Section(self.tr("Own picture"))
        own.add(open_button)
        own.add(_in_row(self._again, self._close))
        self._own_section = own

        panel = QWidget()
        column = QVBoxLayout(panel)
        column.setContentsMargins(0, 0, 0, 0)
        for section in (model, self._space_section, self._choice_section, position, own):
            column.addWidget(section)
        column.addStretch(1)
        return panel

    def _build_choice(self) -> None:
        while self._choice_layout.rowCount():
            self._choice_layout.removeRow(0)
        self._combos = {}
        attributes = self.controller.state.attributes
        self._choice_section.setVisible(bool(attributes))
        for attribute in attributes:
            words = attribute.name.replace("_", " ").capitalize()
            combo = QComboBox()
            combo.setAccessibleName(words)
            combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            combo.setMinimumContentsLength(8)
            combo.addItem(self.tr("Left open"), None)
            combo.setItemData(0, self.tr("The sliders decide"), Qt.ItemDataRole.ToolTipRole)
            for value in attribute.values:
                combo.addItem(value, value)
            combo.activated.connect(lambda _index, name=attribute.name: self._on_value_picked(name))
            self._combos[attribute.name] = combo
            self._choice_layout.addRow(words, combo)

    # Sliders

    def _show_space(self) -> None:
        """Let the sliders stand for the dimensions of another space."""
        space = self.controller.state.space
        self._sliders = {}
        self._wanted, self._assigned = CHUNK, 0
        if self._folded is not None:
            self._folded.hide()
            self._folded.deleteLater()
            self._folded = None
        if space is None:
            return
        if space.inactive:
            self._folded = Section(self.tr("Inactive ({n})").format(n=len(space.inactive)), expanded=False)
            self._folded.toggled.connect(self._on_inactive_toggled)
            self._inactive.addWidget(self._folded)
        top = space.active[:2]
        text = self.tr("Drag on the picture: across moves {first}, up and down {second}")
        self._pad_hint.setText(text.format(first=top[0].name, second=top[1].name) if len(top) == 2 else "")
        self._add_sliders()

    def _add_sliders(self) -> None:
        """Give dimensions their sliders. New ones are built a few at a time: the window stays responsive."""
        space = self.controller.state.space
        if space is None:
            return
        wanted = space.active[: self._wanted]
        built = 0
        for place in range(self._assigned, len(wanted)):
            if place == len(self._pool):
                if built == AT_ONCE:
                    break
                self._pool.append(self._new_slider())
                self._rows_layout.addWidget(self._pool[place])
                built += 1
            self._assign(self._pool[place], wanted[place])
            self._assigned = place + 1
        for slider in self._pool[self._assigned :]:
            slider.hide()
        self._on_position_changed()
        self._on_ends_changed()
        left = len(space.active) - self._wanted
        self._more.setVisible(left > 0)
        self._more.setText(self.tr("Show {n} more dimensions").format(n=min(left, CHUNK)))
        if self._assigned < len(wanted):
            self._builder.start()

    def _on_more(self) -> None:
        self._wanted += CHUNK
        self._add_sliders()

    def _on_inactive_toggled(self, expanded: bool) -> None:
        space = self.controller.state.space
        if expanded and space is not None and self._folded is not None:
            for dimension in space.inactive:
                if dimension.index not in self._sliders:
                    slider = self._new_slider()
                    self._folded.add(slider)
                    self._assign(slider, dimension)
            self._on_position_changed()

    def _new_slider(self) -> LatentSlider:
        slider = LatentSlider()
        slider.moved.connect(self.controller.set_value)
        slider.released.connect(self.controller.end_gesture)
        slider.reset_wanted.connect(self.controller.reset_value)
        prepare_controls(slider)
        return slider

    def _assign(self, slider: LatentSlider, dimension: Dimension) -> None:
        slider.show_dimension(dimension.index, dimension.name, dimension.importance, dimension.low, dimension.high)
        slider.show()
        self._sliders[dimension.index] = slider

    # The controller's signals

    @Slot(str, str)
    def _on_engine_changed(self, _state: str, _text: str) -> None:
        self._show_state()

    def _show_state(self) -> None:
        state, host = self.controller.state, self._services.host
        ready = bool(state.model)
        self._stack.setCurrentIndex(1 if ready else 0)
        if not ready:
            if host.state == "loading":
                text = self.tr("Sliders appear here in a few seconds.")
                self._empty.set_text(self.tr("The engine is loading…"), text)
            elif host.state == "failed":
                self._empty.set_text(self.tr("The engine could not start"), host.state_text)
            elif state.loading:
                self._empty.set_text(self.tr("The model is loading…"), "")
            else:
                text = self.tr("Train one on the Train page, or put a model file into the models folder.")
                self._empty.set_text(self.tr("There is no model with a latent space"), text)
        for widget in (self._open_action, self._save_action, self._random, self._seed):
            widget.setEnabled(ready)

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
        self._show_model()
        self._build_choice()
        self._space_section.setVisible(STYLE in self.controller.state.spaces)
        self._on_space_changed()
        self._show_state()

    @Slot()
    def _on_space_changed(self) -> None:
        style, raw = self._space_buttons.buttons()
        (style if self.controller.state.position.space == STYLE else raw).setChecked(True)
        self._show_space()

    @Slot()
    def _on_position_changed(self) -> None:
        state = self.controller.state
        values, origin = state.position.values, state.origin
        for index, slider in self._sliders.items():
            if index < len(values):
                slider.show_value(values[index], origin[index])
        for name, combo in self._combos.items():
            combo.setCurrentIndex(max(0, combo.findData(state.position.choice.get(name))))
        if state.position.seed is not None:
            self._seed.show_seed(state.position.seed)
        self._reset.setEnabled(not self.controller.at_origin)

    @Slot()
    def _on_picture_changed(self) -> None:
        state = self.controller.state
        self._picture.show_pixels(state.picture)
        if state.position.space == STYLE:
            self._lamp.set_state("success", self.tr("Always on the data"))
        elif state.off_data < EDGE_OF_DATA:
            self._lamp.set_state("success", self.tr("On the data"))
        elif state.off_data < OFF_DATA:
            self._lamp.set_state("warning", self.tr("At the edge of the data"))
        else:
            self._lamp.set_state("danger", self.tr("Off the data"))

    @Slot()
    def _on_source_changed(self) -> None:
        source = self.controller.state.source
        self._compare.setVisible(source is not None)
        self._again.setEnabled(source is not None)
        self._close.setEnabled(source is not None)
        if source is not None:
            self._original.show_pixels(source.prepared)
            self._reconstruction.show_pixels(source.reconstruction)

    @Slot()
    def _on_traversal_changed(self) -> None:
        grid = self.controller.state.traversal
        self._grid.show_pixels(grid)
        self._grid_save.setEnabled(grid is not None)

    @Slot()
    def _on_ends_changed(self) -> None:
        for index, slider in self._sliders.items():
            ends = self.controller.state.ends.get(index)
            if ends is None:
                slider.clear_ends()
            else:
                slider.show_ends(*ends)

    @Slot()
    def _on_history_changed(self) -> None:
        self._undo_action.setEnabled(self.controller.can_undo)
        self._redo_action.setEnabled(self.controller.can_redo)

    @Slot(str)
    def _on_latent_text(self, text: str) -> None:
        QGuiApplication.clipboard().setText(text)
        self._services.notices.info(self.tr("Latent copied as JSON."))

    # What the person does

    def _on_model_picked(self, index: int) -> None:
        self.controller.choose_model(self._model.itemData(index))

    def _on_space_picked(self, index: int) -> None:
        self.controller.choose_space((STYLE, RAW)[index])

    def _on_value_picked(self, name: str) -> None:
        self.controller.choose(name, self._combos[name].currentData())

    def _on_random(self) -> None:
        self.controller.randomise()

    def _on_view_picked(self, index: int) -> None:
        self._views.setCurrentIndex(index)
        self.controller.show_traversal(index == 1)

    def _on_open(self) -> None:
        path = ask_open(self, self._services.settings, self.tr("Start from a picture"), PICTURE_FILTER)
        if path is not None:
            self.controller.open_file(path)

    def _on_save(self) -> None:
        name = f"{self.controller.state.model}-latent.png"
        path = ask_save(self, self._services.settings, self.tr("Save picture"), name, PNG_FILTER)
        if path is not None:
            self.controller.save_picture(path)

    def _on_save_traversal(self) -> None:
        name = f"{self.controller.state.model}-traversal.png"
        path = ask_save(self, self._services.settings, self.tr("Export the traversal grid"), name, PNG_FILTER)
        if path is not None:
            self.controller.save_traversal(path)


def _switch(parent: QWidget, texts: list[str]) -> QButtonGroup:
    """Buttons of which exactly one is down; the first one at first."""
    group = QButtonGroup(parent)
    group.setExclusive(True)
    for place, text in enumerate(texts):
        button = QToolButton()
        button.setText(text)
        button.setCheckable(True)
        button.setMinimumSize(QSize(72, 0))
        button.setAccessibleName(text)
        group.addButton(button, place)
    group.buttons()[0].setChecked(True)
    return group


def _in_row(*widgets: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    row.setSpacing(6)
    for widget in widgets:
        row.addWidget(widget)
    row.addStretch(1)
    return row
