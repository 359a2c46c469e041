"""GeneratePage: choose a class or attributes, and a grid of new pictures appears; assembly of its parts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QPoint, QSignalBlocker, QSize, Qt, Slot
from PySide6.QtGui import QAction, QKeyEvent, QKeySequence, QResizeEvent, QShowEvent
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QMenu,
    QPushButton,
    QStackedWidget,
    QTabBar,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from gui.controllers.generate_controller import GenerateController
from gui.controllers.generate_edits import COMPARE
from gui.controllers.generate_export import file_stem
from gui.controllers.generate_settings import latent_words
from gui.pages.actions import make_action
from gui.pages.clipboard import NOTHING, clipboard_files, clipboard_image
from gui.pages.generate_actions import SampleActions
from gui.pages.generate_choice import ChoicePanel
from gui.pages.generate_inspector import GenerateInspector
from gui.pages.generate_provenance import ProvenanceCard
from gui.pages.generate_sample import SamplePanel
from gui.pages.generate_strip import WorkStrip
from gui.services.context import Services
from gui.widgets.elided_label import ElidedLabel
from gui.widgets.empty_state import EmptyState
from gui.widgets.file_dialogs import ask_folder, ask_open, ask_save
from gui.widgets.flow_grid import Thumbnail
from gui.widgets.inspector_column import prepare_controls
from gui.widgets.qimage import to_picture, to_qimage
from gui.widgets.sample_grid import SampleGrid

if TYPE_CHECKING:
    from engine.generation import Latent, Sample
    from gui.pages.generate_morph import MorphPanel
    from gui.pages.generate_own import OwnPanel

PNG_FILTER = "PNG (*.png)"
OPEN_FILTER = "Pictures (*.png *.jpg *.jpeg *.webp *.avif *.tif *.tiff *.bmp *.gif *.heic *.heif *.jxl);;All files (*)"
LOW_HEIGHT = 620
SAMPLES, GALLERY, OWN = range(3)


class GeneratePage(QWidget):
    """Shows the state of a `GenerateController` and forwards what the person does."""

    title = "Generate"
    icon_name = "generate"

    def __init__(self, controller: GenerateController, services: Services, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.controller = controller
        self._services = services
        self._inspector: GenerateInspector | None = None
        self.sample_actions = SampleActions(controller, services, self)
        self.sample_actions.save_wanted.connect(self._on_save)
        self._build_actions()
        self._build_canvas()
        controller.model_changed.connect(self._on_model_changed)
        controller.tiles.values_changed.connect(self._on_tiles_changed)
        controller.settings_changed.connect(self._on_settings_changed)
        controller.samples_reset.connect(self._on_samples_reset)
        controller.sample_added.connect(self._on_sample_added)
        controller.sample_changed.connect(self._on_sample_changed)
        controller.selection_changed.connect(self._on_selection_changed)
        controller.dropped.provenance_changed.connect(self._on_provenance_changed)
        controller.dropped.picture_opened.connect(self._on_picture_opened)
        controller.latent_wanted.connect(self._on_latent_wanted)
        controller.keeping.changed.connect(self.sample_actions.show_stars)
        controller.edits.purpose_changed.connect(self._on_purpose_changed)
        controller.edits.morph_changed.connect(self._on_morph_changed)
        services.host.state_changed.connect(self._on_engine_changed)
        self._show_state()
        self._on_settings_changed()
        self._on_selection_changed()

    # What the window asks of a page

    def page_actions(self) -> list[QAction]:
        """Actions for the toolbar and the menus."""
        return self._actions

    def inspector(self) -> GenerateInspector:
        """The right column, built when it is first asked for."""
        if self._inspector is None:
            self._inspector = GenerateInspector(self.controller, self._services)
        return self._inspector

    def open_paths(self, paths: list[Path]) -> None:
        """A picture was dropped: one made here tells where it comes from, any other is taken as one's own."""
        if paths:
            self._services.settings.remember_file(paths[0])
            self.controller.dropped.open_file(paths[0])

    def paste(self) -> None:
        """Open the copied file, or the picture, from the clipboard."""
        paths, image = clipboard_files(), clipboard_image()
        if paths:
            self.open_paths(paths)
        elif image is not None:
            self.controller.dropped.open_picture(to_picture(image, self.tr("from the clipboard")))
        else:
            self._services.notices.info(NOTHING)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._share_height()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if not event.spontaneous():
            self.controller.activate()

    # Building

    def _build_actions(self) -> None:
        keys, theme = QKeySequence.StandardKey, self._services.theme
        make = partial(make_action, self, theme)
        self.generate_action = make(self.tr("Generate"), "generate", self._on_generate, "Ctrl+Return")
        self.open_action = make(self.tr("Open picture…"), "open", self._on_open, keys.Open)
        self.undo_action = make(self.tr("Undo"), "undo", self.controller.undo, keys.Undo)
        self.redo_action = make(self.tr("Redo"), "redo", self.controller.redo, keys.Redo)
        self.save_all_action = make(self.tr("Save all…"), "save", self._on_save_all, "Ctrl+Shift+S")
        self.sheet_action = make(self.tr("Contact sheet…"), "grid", self._on_save_sheet, "Ctrl+G")
        self.set_action = make(self.tr("Labelled set…"), "folder", self._on_labelled_set)
        cancel = make(self.tr("Cancel what is being made"), "cancel", self.controller.cancel, "Ctrl+.")
        back = make(self.tr("Earlier grid"), "chevron-left", self.controller.go_back, keys.Back)
        forward = make(self.tr("Later grid"), "chevron-right", self.controller.go_forward, keys.Forward)
        self.back_action, self.forward_action = back, forward
        self._actions = [
            self.generate_action,
            self.open_action,
            self.undo_action,
            self.redo_action,
            self.save_all_action,
            self.sheet_action,
            self.set_action,
        ]
        # Not in the toolbar, yet behind their keys.
        self.addActions([cancel, back, forward, *self.sample_actions.menu])

    def _build_canvas(self) -> None:
        self.empty = EmptyState("generate", "", "")
        self.tabs = QTabBar()
        self.tabs.setAccessibleName(self.tr("What is shown"))
        self.tabs.setDrawBase(False)
        for text in (self.tr("Samples"), self.tr("Gallery"), self.tr("Own picture")):
            self.tabs.addTab(text)
        self.tabs.currentChanged.connect(self._on_tab)
        self.strip = WorkStrip(self.controller)
        top = QHBoxLayout()
        top.setSpacing(16)
        top.addWidget(self.tabs)
        top.addWidget(self.strip, 1)
        self._views = QStackedWidget()
        self._views.addWidget(self._build_samples())
        # The other tabs are built when they are first opened.
        self._views.addWidget(QWidget())
        self._views.addWidget(QWidget())
        self.provenance = ProvenanceCard(self.controller, self._services)
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(16, 6, 16, 12)
        column.setSpacing(8)
        column.addLayout(top)
        column.addWidget(self.provenance)
        column.addWidget(self._views, 1)
        self._stack = QStackedWidget()
        self._stack.addWidget(self.empty)
        self._stack.addWidget(content)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self._stack)

    def _build_samples(self) -> QWidget:
        self.choice = ChoicePanel()
        self.choice.picked.connect(self.controller.choose)
        self.choice.cleared.connect(self._on_choice_cleared)
        self.choice.mix_wanted.connect(self.controller.set_mix)
        self.grid = SampleGrid(thumbnail_side=96, multiple=True, name=self.tr("Samples"))
        self.grid.setMinimumWidth(224)
        self.grid.selection_changed.connect(self._on_grid_selection)
        self.grid.menu_requested.connect(self._on_menu)
        self.sample = SamplePanel(self.controller, self.sample_actions, self._services)
        self.sample.setMinimumWidth(288)
        self.sample.setMaximumWidth(440)
        left = QVBoxLayout()
        left.setSpacing(4)
        left.addLayout(self._build_heading())
        left.addWidget(self._build_banner())
        left.addWidget(self.grid, 1)
        across = QHBoxLayout()
        across.setSpacing(12)
        across.addLayout(left, 3)
        across.addWidget(self.sample, 2)
        samples = QWidget()
        self._samples_column = QVBoxLayout(samples)
        self._samples_column.setContentsMargins(0, 0, 0, 0)
        self._samples_column.setSpacing(10)
        self._samples_column.addWidget(self.choice)
        self._samples_column.addLayout(across, 1)
        return samples

    def _build_heading(self) -> QHBoxLayout:
        """Which grid is shown, and the way to the others."""
        self.heading = ElidedLabel()
        self.heading.setProperty("look", "caption")
        row = QHBoxLayout()
        row.setSpacing(2)
        for action in (self.back_action, self.forward_action):
            button = QToolButton()
            button.setDefaultAction(action)
            button.setProperty("look", "flat")
            button.setAccessibleName(action.text())
            button.setIconSize(QSize(16, 16))
            button.setStyleSheet("padding: 2px;")
            row.addWidget(button)
        row.addSpacing(4)
        row.addWidget(self.heading, 1)
        return row

    def _build_banner(self) -> QFrame:
        """Says that a second sample is to be chosen."""
        self.banner = QFrame()
        self.banner.setProperty("look", "card")
        self._banner_text = QLabel()
        self._banner_text.setWordWrap(True)
        leave = QPushButton(self.tr("Never mind"))
        leave.setProperty("look", "flat")
        leave.clicked.connect(self.controller.edits.drop_purpose)
        row = QHBoxLayout(self.banner)
        row.setContentsMargins(12, 4, 4, 4)
        row.addWidget(self._banner_text, 1)
        row.addWidget(leave)
        self.banner.hide()
        return self.banner

    @cached_property
    def own(self) -> OwnPanel:
        """The tab of one's own picture, built when it is first needed."""
        from gui.pages.generate_own import OwnPanel

        panel = OwnPanel(self.controller)
        panel.open_wanted.connect(self._on_open)
        panel.save_wanted.connect(self._save_one)
        panel.shown_in_grid.connect(self._show_samples)
        self._put_tab(OWN, panel)
        return panel

    @cached_property
    def morph(self) -> MorphPanel:
        """The filmstrip below the grid, built when it is first needed."""
        from gui.pages.generate_morph import MorphPanel

        panel = MorphPanel(self.controller, self._services)
        prepare_controls(panel)
        self._samples_column.addWidget(panel)
        return panel

    def _put_tab(self, place: int, panel: QWidget) -> None:
        prepare_controls(panel)
        before = self._views.widget(place)
        if before is not None:
            self._views.removeWidget(before)
            before.deleteLater()
        self._views.insertWidget(place, panel)

    # The controller's signals

    @Slot(str, str)
    def _on_engine_changed(self, _state: str, _text: str) -> None:
        self._show_state()

    def _show_state(self) -> None:
        state, host = self.controller.state, self._services.host
        self._stack.setCurrentIndex(1 if state.model else 0)
        if not state.model:
            if host.state == "loading":
                text = self.tr("The first pictures appear here in a few seconds.")
                self.empty.set_text(self.tr("The engine is loading…"), text)
            elif host.state == "failed":
                self.empty.set_text(self.tr("The engine could not start"), host.state_text)
            elif state.loading:
                self.empty.set_text(self.tr("The model is loading…"), "")
            else:
                text = self.tr("Train one on the Train page, or put a model file into the models folder.")
                self.empty.set_text(self.tr("There is no model that generates pictures"), text)
        ready = self.controller.generator is not None
        for action in (self.generate_action, self.open_action):
            action.setEnabled(ready)
        for action in (self.save_all_action, self.sheet_action):
            action.setEnabled(bool(state.samples))
        self.set_action.setEnabled(ready and bool(state.attributes))
        self._show_heading()

    def _show_heading(self) -> None:
        shelf = self.controller.state.shelf
        count = len(shelf.current.samples)
        parts = [shelf.current.title, self.tr("{n} pictures").format(n=count) if count > 1 else ""]
        if len(shelf.sheets) > 1:
            parts.append(self.tr("grid {place} of {n}").format(place=shelf.place + 1, n=len(shelf.sheets)))
        self.heading.setText(" · ".join(part for part in parts if part))
        self.back_action.setEnabled(shelf.can_go_back)
        self.forward_action.setEnabled(shelf.can_go_forward)

    @Slot()
    def _on_model_changed(self) -> None:
        self.choice.set_attributes(self.controller.state.attributes)
        prepare_controls(self.choice)
        self._on_settings_changed()
        self._show_state()

    @Slot(str)
    def _on_tiles_changed(self, attribute: str) -> None:
        self.choice.set_pictures(attribute, self.controller.tiles.values[attribute])

    @Slot()
    def _on_settings_changed(self) -> None:
        self.choice.show_settings(self.controller.state.settings)
        self.undo_action.setEnabled(self.controller.can_undo)
        self.redo_action.setEnabled(self.controller.can_redo)

    @Slot()
    def _on_samples_reset(self) -> None:
        sheet = self.controller.state.sheet
        self.grid.captions = bool(sheet.captions)
        with QSignalBlocker(self.grid):
            self.grid.set_items(self._thumbnail(index) for index in range(len(sheet.samples)))
        self.grid.fit()
        self._show_state()

    @Slot(int)
    def _on_sample_added(self, index: int) -> None:
        with QSignalBlocker(self.grid):
            self.grid.append(self._thumbnail(index))
        self.grid.fit()
        self._show_state()

    @Slot(int)
    def _on_sample_changed(self, index: int) -> None:
        self.grid.change(index, self._thumbnail(index))
        if index == 0:
            self._show_heading()

    def _thumbnail(self, index: int) -> Thumbnail:
        sheet = self.controller.state.sheet
        sample = sheet.samples[index]
        caption = sheet.captions[index] if index < len(sheet.captions) else ""
        seed = "" if sample.latent.seed is None else self.tr("Seed {seed}").format(seed=sample.latent.seed)
        lines = [", ".join(sample.latent.attributes.values()), seed, ", ".join(latent_words(sample.latent))]
        return Thumbnail(to_qimage(sample.pixels), caption, sample, "\n".join(line for line in lines if line))

    @Slot()
    def _on_selection_changed(self) -> None:
        sheet = self.controller.state.sheet
        rows = self.grid.selected_rows()
        if 0 <= sheet.selected < len(self.grid.items) and sheet.selected not in rows:
            with QSignalBlocker(self.grid):
                self.grid.select_row(sheet.selected)
        self._show_selected()

    def _show_selected(self) -> None:
        """Give the actions what is selected, the sample shown large first."""
        sheet = self.controller.state.sheet
        rows = [row for row in self.grid.selected_rows() if row < len(sheet.samples)]
        rows.sort(key=lambda row: row != sheet.selected)
        large = sheet.selected_sample
        self.sample_actions.set_selected([sheet.samples[row] for row in rows] or ([large] if large else []))

    @Slot()
    def _on_provenance_changed(self) -> None:
        if self.controller.dropped.provenance is not None and self.tabs.currentIndex() == OWN:
            self._show_samples()

    @Slot(object)
    def _on_picture_opened(self, _picture: object) -> None:
        self.own.show_own()
        self.tabs.setCurrentIndex(OWN)

    @Slot()
    def _on_purpose_changed(self) -> None:
        purpose = self.controller.edits.purpose
        compare = self.tr("Choose the picture to compare with; it may be in another grid.")
        morph = self.tr("Choose the picture to morph into; it may be in another grid.")
        self._banner_text.setText(compare if purpose == COMPARE else morph)
        self.banner.setVisible(bool(purpose))

    @Slot()
    def _on_morph_changed(self) -> None:
        self.morph.show_morph()
        self._share_height()

    def _share_height(self) -> None:
        """A morph needs the room that the choice has where the window is low."""
        low = self.height() < LOW_HEIGHT and self.controller.edits.morph is not None
        self.choice.setVisible(not low)

    @Slot(object)
    def _on_latent_wanted(self, latent: Latent) -> None:
        # The window knows the other pages; a page shown alone, as in a test, has none.
        find_page = getattr(self.window(), "page", None)
        if find_page is not None:
            find_page("latents").open_latent(latent)

    # What the person does

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape and self.controller.edits.purpose:
            self.controller.edits.drop_purpose()
        else:
            super().keyPressEvent(event)

    def _on_tab(self, place: int) -> None:
        if place == OWN:
            self.own.show_own()
        self._views.setCurrentIndex(place)

    @Slot()
    def _show_samples(self) -> None:
        self.tabs.setCurrentIndex(SAMPLES)

    def _on_generate(self) -> None:
        self._show_samples()
        self.controller.generate()

    def _on_choice_cleared(self) -> None:
        self.controller.choose_all({})

    @Slot()
    def _on_grid_selection(self) -> None:
        rows, sheet = self.grid.selected_rows(), self.controller.state.sheet
        current = self.grid.currentIndex().row()
        row = current if current in rows else (rows[0] if rows else -1)
        if 0 <= row < len(sheet.samples):
            self.controller.edits.take_second(sheet.samples[row])
            if row != sheet.selected:
                self.controller.select(row)
        self._show_selected()

    def _on_menu(self, row: int, position: QPoint) -> None:
        if row not in self.grid.selected_rows():
            self.grid.select_row(row)
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addActions(self.sample_actions.menu)
        menu.popup(position)

    def _on_save(self) -> None:
        samples = self.sample_actions.selected
        if len(samples) > 1:
            self._save_many(samples)
        elif samples:
            self._save_one(samples[0])

    @Slot(object)
    def _save_one(self, sample: Sample) -> None:
        name = f"{file_stem(sample.latent)}.png"
        path = ask_save(self, self._services.settings, self.tr("Save sample"), name, PNG_FILTER)
        if path is not None:
            self.controller.export.save_sample(sample, path)

    def _on_save_all(self) -> None:
        self._save_many(self.controller.state.samples)

    def _save_many(self, samples: Sequence[Sample]) -> None:
        title = self.tr("Save {n} samples to a folder").format(n=len(samples))
        folder = ask_folder(self, self._services.settings, title)
        if folder is not None:
            self.controller.export.save_all(samples, folder)

    def _on_save_sheet(self) -> None:
        samples = self.controller.state.samples
        name = f"{self.controller.state.model}-sheet.png"
        path = ask_save(self, self._services.settings, self.tr("Save the contact sheet"), name, PNG_FILTER)
        if path is not None:
            self.controller.export.save_sheet(samples, path, math.ceil(math.sqrt(len(samples))))

    def _on_labelled_set(self) -> None:
        from gui.pages.generate_dataset import DatasetDialog

        dialog = DatasetDialog(self.controller.state.attributes, self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.wanted.connect(self._on_set_wanted)
        dialog.open()

    @Slot(str, int)
    def _on_set_wanted(self, attribute: str, per_class: int) -> None:
        folder = ask_folder(self, self._services.settings, self.tr("An empty folder for the labelled set"))
        if folder is not None:
            self.controller.export.save_labelled_set(folder, per_class, attribute)

    def _on_open(self) -> None:
        path = ask_open(self, self._services.settings, self.tr("Open a picture"), OPEN_FILTER)
        if path is not None:
            self.open_paths([path])
