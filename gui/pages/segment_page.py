"""The Segment page: a picture, the classes that a dilated-convolution model finds in it, and their legend."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Slot
from PySide6.QtGui import QAction, QKeySequence, QShowEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from gui.controllers.segment_controller import SegmentController, SegmentState
from gui.controllers.wording import size_in_pixels
from gui.pages.actions import make_action
from gui.pages.clipboard import NOTHING, clipboard_files, clipboard_image
from gui.pages.samples import sample_paths
from gui.services.qimage import to_picture
from gui.widgets.elided_label import ElidedLabel
from gui.widgets.labeled_slider import LabeledSlider
from gui.widgets.legend import Legend
from gui.widgets.sample_strip import SampleStrip
from gui.widgets.section import Section
from gui.widgets.segmentation_canvas import SegmentationCanvas
from gui.widgets.wait_bar import WaitBar
from gui.widgets.zoom_bar import ZoomBar

if TYPE_CHECKING:
    from gui.services.context import Services

OPEN_FILTER = "Pictures (*.jpg *.jpeg *.png *.webp *.avif *.tif *.tiff *.bmp *.gif *.heic *.heif *.jxl);;All files (*)"


class SegmentPage(QWidget):
    """Shows a `SegmentController` and forwards what the user does."""

    title = "Segment"
    icon_name = "segment"

    def __init__(self, controller: SegmentController, services: Services, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.controller = controller
        self._services = services
        self.canvas = SegmentationCanvas(partial(services.host.run, engine=False), services.notices.error)
        self._caption = ElidedLabel()
        self._caption.setProperty("look", "muted")
        self.samples = SampleStrip(services, "Samples")
        self.samples.chosen.connect(controller.open_path)
        self._make_inspector()
        self._lay_out()
        self._make_actions()

        controller.changed.connect(self._show_state)
        controller.opened.connect(self._on_opened)
        controller.progressed.connect(self.wait.show_progress)
        services.host.state_changed.connect(self._on_engine_changed)
        self._show_state(controller.state)
        paths = sample_paths("nuclei")
        self.samples.set_paths(paths)
        if paths and controller.state.picture is None:
            controller.open_path(paths[0])

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        # Every time: a model may have been trained or installed since.
        if not event.spontaneous():
            self.controller.load_models()

    # -- what the window asks for

    def page_actions(self) -> list[QAction]:
        """Actions for the toolbar."""
        return self._actions

    def inspector(self) -> QWidget:
        """The panel at the right."""
        return self._inspector

    def open_paths(self, paths: list[Path]) -> None:
        """Open the first picture."""
        if paths:
            self._services.settings.remember_file(paths[0])
            self.controller.open_path(paths[0])

    def paste(self) -> None:
        """Open the picture, or the copied file, from the clipboard."""
        paths, image = clipboard_files(), clipboard_image()
        if paths:
            self.open_paths(paths)
        elif image is not None:
            self.controller.open_picture(to_picture(image))
        else:
            self._services.notices.info(NOTHING)

    # -- making

    def _make_inspector(self) -> None:
        controller = self.controller
        state = controller.state
        self._inspector = QWidget()
        self.model_box = QComboBox()
        self.model_box.setAccessibleName("Segmentation model")
        self.model_box.currentIndexChanged.connect(self._on_model_chosen)
        self._summary = QLabel()
        self._summary.setProperty("look", "caption")
        self._summary.setWordWrap(True)
        self.run_button = QPushButton("Segment")
        self.run_button.setProperty("look", "primary")
        self.run_button.clicked.connect(controller.run)
        self._status = QLabel()
        self._status.setProperty("look", "caption")
        self._status.setWordWrap(True)
        # Takes the place of the button while it is shown.
        self.wait = WaitBar("segmentation", keep_place=False)
        self.wait.appeared.connect(self.run_button.setHidden)
        self.wait.cancelled.connect(controller.cancel)
        self.opacity = LabeledSlider("Opacity", 0.0, 100.0, 100 * SegmentState.opacity, decimals=0, suffix=" %")
        self.opacity.set_value(100 * state.opacity, emit=False)
        self.opacity.value_changed.connect(self._on_opacity)
        self.contours = QCheckBox("Outlines only")
        self.contours.setChecked(state.contours)
        self.contours.toggled.connect(self._on_contours)
        self.legend = Legend(self._services)
        self.legend.isolate_wished.connect(controller.toggle_isolated)
        self.legend.hide_wished.connect(controller.toggle_hidden)
        self._hint = QLabel("Click a class to show it alone, Alt-click to hide it. Hold Space to hide the overlay.")
        self._hint.setProperty("look", "caption")
        self._hint.setWordWrap(True)
        self.mask_button = QPushButton("Save mask…")
        self.mask_button.setToolTip("Palette PNG: the index of a pixel is its class number")
        self.mask_button.clicked.connect(self._on_save_mask)
        self.overlay_button = QPushButton("Save overlay…")
        self.overlay_button.setToolTip("The picture with the overlay as it is shown")
        self.overlay_button.clicked.connect(self._on_save_overlay)

        layout = QVBoxLayout(self._inspector)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(12)
        for title, widgets in (
            (
                "Model",
                (self.model_box, self._summary, self.run_button, self.wait, self._status),
            ),
            ("Overlay", (self.opacity, self.contours)),
            ("Legend", (self.legend, self._hint)),
        ):
            section = Section(title)
            for widget in widgets:
                section.add(widget)
            layout.addWidget(section)
        buttons = QHBoxLayout()
        buttons.addWidget(self.mask_button, 1)
        buttons.addWidget(self.overlay_button, 1)
        layout.addLayout(buttons)
        layout.addStretch(1)

    def _lay_out(self) -> None:
        bar = QHBoxLayout()
        bar.setContentsMargins(12, 8, 12, 8)
        bar.setSpacing(8)
        bar.addWidget(self._caption, 1)
        self.zoom_bar = ZoomBar(self.canvas.transform)
        bar.addWidget(self.zoom_bar)
        below = QHBoxLayout()
        below.setContentsMargins(12, 2, 12, 2)
        below.addWidget(self.samples)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(bar)
        layout.addWidget(self.canvas, 1)
        layout.addLayout(below)
        self.setFocusProxy(self.canvas)

    def _make_actions(self) -> None:
        keys, theme = QKeySequence.StandardKey, self._services.theme
        self._run_action = make_action(self, theme, "Segment", "play", self.controller.run, "Ctrl+Return")
        self._mask_action = make_action(self, theme, "Save mask…", "save", self._on_save_mask, keys.Save)
        self._overlay_action = make_action(self, theme, "Save overlay…", "export", self._on_save_overlay, "Ctrl+E")
        self._actions = [
            make_action(self, theme, "Open…", "open", self._on_open, keys.Open),
            self._run_action,
            self._mask_action,
            self._overlay_action,
        ]

    # -- showing

    @Slot(object)
    def _show_state(self, state: SegmentState) -> None:
        self.canvas.show_state(state)
        self.legend.show_state(state)
        self._show_models(state)
        picture = state.picture
        parts = [f"Opening {state.opening}…"] if state.opening else []
        if picture is not None:
            parts += [state.title, size_in_pixels(picture.width, picture.height), *picture.notes]
        self._caption.setText(" · ".join(parts))
        for target in (self.run_button, self._run_action):
            target.setEnabled(picture is not None and bool(state.model) and not state.busy)
        for target in (self.mask_button, self.overlay_button, self._mask_action, self._overlay_action):
            target.setEnabled(state.segmentation is not None and not state.busy)
        self._status.setText(self._status_text(state))
        self._status.setVisible(bool(self._status.text()))
        self.wait.set_busy(state.busy)

    def _show_models(self, state: SegmentState) -> None:
        names = tuple(card.name for card in state.models)
        known = tuple(self.model_box.itemData(index) for index in range(self.model_box.count()))
        self.model_box.blockSignals(True)
        if known != names:
            self.model_box.clear()
            for name in names:
                self.model_box.addItem(name, name)
        self.model_box.setCurrentIndex(self.model_box.findData(state.model))
        self.model_box.blockSignals(False)
        card = next((card for card in state.models if card.name == state.model), None)
        self._summary.setText(card.summary if card is not None else "")
        self._summary.setVisible(bool(self._summary.text()))

    def _status_text(self, state: SegmentState) -> str:
        if state.busy:
            return "Waiting for the engine to load…" if self._services.host.state == "loading" else "Segmenting…"
        if state.picture is None:
            return "Open, drop or paste a picture."
        if not state.model:
            return (
                "Looking for models…" if self._services.host.state == "loading" else "There is no segmentation model."
            )
        if state.segmentation is None:
            return "Large picture: press Segment to start." if not state.automatic else "Not segmented yet."
        if state.segmented_by != state.model:
            return f"On show: the result of {state.segmented_by}. Press Segment to use {state.model}."
        return ""

    @Slot()
    def _on_opened(self) -> None:
        self.canvas.transform.fit()
        names = {path.name: path for path in self.samples.buttons}
        self.samples.mark(names.get(self.controller.state.title))

    @Slot()
    def _on_engine_changed(self) -> None:
        self._show_state(self.controller.state)

    # -- what the user does

    @Slot(int)
    def _on_model_chosen(self, index: int) -> None:
        self.controller.set_model(self.model_box.itemData(index))

    @Slot(float)
    def _on_opacity(self, percent: float) -> None:
        self.controller.set_opacity(percent / 100)

    @Slot(bool)
    def _on_contours(self, contours: bool) -> None:
        self.controller.set_contours(contours)

    @Slot()
    def _on_open(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Open a picture", self._folder(), OPEN_FILTER)
        if path:
            self.open_paths([Path(path)])

    @Slot()
    def _on_save_mask(self) -> None:
        path = self._ask_target("Save the mask", "mask")
        if path is not None:
            self.controller.save_mask(path)

    @Slot()
    def _on_save_overlay(self) -> None:
        path = self._ask_target("Save the overlay", "overlay")
        if path is not None:
            self.controller.save_overlay(path)

    def _ask_target(self, title: str, kind: str) -> Path | None:
        stem = Path(self.controller.state.title).stem or "picture"
        path, _ = QFileDialog.getSaveFileName(
            self, title, str(Path(self._folder()) / f"{stem}-{kind}.png"), "PNG (*.png)"
        )
        return Path(path).with_suffix(".png") if path else None

    def _folder(self) -> str:
        return self._services.settings.current.last_folder or str(Path.home())
