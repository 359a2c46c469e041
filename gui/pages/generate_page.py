"""GeneratePage: choose a class or attributes, and a grid of new pictures appears; assembly of its tabs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, QTimer, Slot
from PySide6.QtGui import QAction, QKeySequence, QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QStackedWidget, QTabBar, QVBoxLayout, QWidget

from gui.controllers.generate_controller import GenerateController
from gui.controllers.generate_export import file_stem
from gui.pages.actions import make_action
from gui.pages.clipboard import NOTHING, clipboard_files, clipboard_image
from gui.pages.generate_actions import SampleActions
from gui.pages.generate_inspector import GenerateInspector
from gui.pages.generate_provenance import ProvenanceCard
from gui.pages.generate_samples import SamplesTab
from gui.pages.generate_strip import WorkStrip
from gui.services.context import Services
from gui.services.qimage import to_picture
from gui.widgets.empty_state import EmptyState
from gui.widgets.file_dialogs import ask_folder, ask_open, ask_save
from gui.widgets.inspector_column import prepare_controls

if TYPE_CHECKING:
    from engine.generation import Latent, Sample
    from gui.pages.gallery_panel import GalleryPanel
    from gui.pages.generate_own import OwnPanel

PNG_FILTER = "PNG (*.png)"
OPEN_FILTER = "Pictures (*.png *.jpg *.jpeg *.webp *.avif *.tif *.tiff *.bmp *.gif *.heic *.heif *.jxl);;All files (*)"
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
        self._steps: list[Callable[[], object]] = []  # of building that are left
        self._build_actions()
        self._build_canvas()
        controller.model_changed.connect(self._show_state)
        controller.settings_changed.connect(self._on_settings_changed)
        controller.grids.reset.connect(self._show_state)
        controller.grids.added.connect(self._show_state)
        controller.keeping.changed.connect(self._on_kept)
        controller.dropped.provenance_changed.connect(self._on_provenance_changed)
        controller.dropped.picture_opened.connect(self._on_picture_opened)
        controller.latent_wanted.connect(self._on_latent_wanted)
        services.host.state_changed.connect(self._show_state)
        self._show_state()
        self._on_settings_changed()
        # The rest in turns of the event loop of their own, while the model loads; asking for a part builds it at once.
        self._steps = [lambda: self.sample_actions, lambda: self.samples, lambda: self.samples.sample]
        self._builder = QTimer(self)
        self._builder.setSingleShot(True)
        self._builder.setInterval(0)
        self._builder.timeout.connect(self._build_next)
        self._builder.start()

    # What the window asks of a page

    def page_actions(self) -> list[QAction]:
        """Actions for the toolbar and the menus."""
        return self._actions

    def inspector(self) -> GenerateInspector:
        """The right column, built when it is first asked for."""
        if self._inspector is None:
            self._inspector = GenerateInspector(self.controller, self._services)
            self._inspector.generate_wanted.connect(self._on_generate)
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
        back = make(self.tr("Earlier grid"), "chevron-left", self.controller.grids.go_back, "Alt+Left")
        forward = make(self.tr("Later grid"), "chevron-right", self.controller.grids.go_forward, "Alt+Right")
        self._turn_actions = (back, forward)
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
        self.addActions([cancel, back, forward])

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
        # The tabs are built when they are first needed.
        for _ in (SAMPLES, GALLERY, OWN):
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

    def _build_next(self) -> None:
        if self._steps:
            self._steps.pop(0)()
            self._builder.start()
        else:
            self._show_state()

    @cached_property
    def sample_actions(self) -> SampleActions:
        """What can be done with the selected samples."""
        actions = SampleActions(self.controller, self._services, self)
        actions.save_wanted.connect(self._on_save)
        self.addAction(actions.save)
        return actions

    @cached_property
    def samples(self) -> SamplesTab:
        """The tab of the grids."""
        tab = SamplesTab(self.controller, self.sample_actions, self._turn_actions, self._services)
        self._put_tab(SAMPLES, tab)
        return tab

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
    def gallery(self) -> GalleryPanel:
        """The tab of the gallery, built when it is first needed."""
        from gui.controllers.gallery_controller import GalleryController
        from gui.pages.gallery_panel import GalleryPanel

        panel = GalleryPanel(self._services, GalleryController(self._services, self))
        panel.restore_wanted.connect(self._on_restore_wanted)
        panel.latents_wanted.connect(self.controller.latent_wanted)
        panel.vary_wanted.connect(self._on_vary_wanted)
        self._put_tab(GALLERY, panel)
        return panel

    def _put_tab(self, place: int, panel: QWidget) -> None:
        prepare_controls(panel)
        before = self._views.widget(place)
        if before is not None:
            self._views.removeWidget(before)
            before.deleteLater()
        self._views.insertWidget(place, panel)
        # Taking away the one in view brought another into it.
        self._views.setCurrentIndex(self.tabs.currentIndex())

    # The controller's signals

    @Slot()
    def _show_state(self) -> None:
        state, host = self.controller.state, self._services.host
        self._stack.setCurrentIndex(1 if state.model and not self._steps else 0)
        if not state.model:
            if host.state == "loading":
                text = self.tr("The first pictures appear here in a few seconds.")
                self.empty.set_text(self.tr("The engine is loading…"), text)
            elif host.state == "failed":
                self.empty.set_text(self.tr("The engine could not start"), host.state_text)
            elif state.loading:
                self.empty.set_text(self.tr("The model is loading…"), "")
            elif state.models:
                self.empty.set_text(self.tr("The model cannot be loaded"), self.tr("Choose another one at the right."))
            else:
                text = self.tr("Train one on the Train page, or put a model file into the models folder.")
                self.empty.set_text(self.tr("There is no model that generates pictures"), text)
        ready = self.controller.generator is not None
        for action in (self.generate_action, self.open_action):
            action.setEnabled(ready)
        for action in (self.save_all_action, self.sheet_action):
            action.setEnabled(bool(self.controller.grids.samples))
        self.set_action.setEnabled(ready and bool(state.attributes))

    @Slot()
    def _on_settings_changed(self) -> None:
        self.undo_action.setEnabled(self.controller.can_undo)
        self.redo_action.setEnabled(self.controller.can_redo)

    @Slot()
    def _on_kept(self) -> None:
        if self.tabs.currentIndex() == GALLERY:
            self.gallery.controller.activate()

    @Slot()
    def _on_provenance_changed(self) -> None:
        if self.controller.dropped.provenance is not None:
            self._show_samples()

    @Slot(object)
    def _on_picture_opened(self, _picture: object) -> None:
        self.own.show_own()
        self.tabs.setCurrentIndex(OWN)

    @Slot(object)
    def _on_latent_wanted(self, latent: Latent) -> None:
        # The window knows the other pages; a page shown alone, as in a test, has none.
        find_page = getattr(self.window(), "page", None)
        if find_page is not None:
            find_page("latents").open_latent(latent)

    # What the person does

    def _on_tab(self, place: int) -> None:
        # Asking for a tab builds it.
        if place == OWN:
            self.own.show_own()
        elif place == GALLERY:
            self.gallery.show()
        self._views.setCurrentIndex(place)

    @Slot()
    def _show_samples(self) -> None:
        self.tabs.setCurrentIndex(SAMPLES)

    def _on_generate(self) -> None:
        self._show_samples()
        self.controller.generate()

    @Slot(object)
    def _on_restore_wanted(self, latent: Latent) -> None:
        if self.controller.restore(latent):
            self._show_samples()

    @Slot(object)
    def _on_vary_wanted(self, latent: Latent) -> None:
        self._show_samples()
        self.controller.edits.vary(latent)

    def _on_save(self) -> None:
        samples = self.sample_actions.selected
        if self.tabs.currentIndex() == OWN:
            samples = [self.controller.own.current] if self.controller.own.current is not None else []
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
        self._save_many(self.controller.grids.samples)

    def _save_many(self, samples: Sequence[Sample]) -> None:
        title = self.tr("Save {n} samples to a folder").format(n=len(samples))
        folder = ask_folder(self, self._services.settings, title)
        if folder is not None:
            self.controller.export.save_all(samples, folder)

    def _on_save_sheet(self) -> None:
        samples = self.controller.grids.samples
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
