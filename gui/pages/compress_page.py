"""The Compress page: a photo and its compressed file under one divider, exact figures, rivals, the batch below."""

from __future__ import annotations

from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, QTimer, Slot
from PySide6.QtGui import QAction, QKeySequence, QShowEvent
from PySide6.QtWidgets import QComboBox, QFileDialog, QHBoxLayout, QLabel, QSplitter, QVBoxLayout, QWidget

from gui.controllers.batch_controller import BatchController
from gui.controllers.compress_controller import ORIGINAL, CompressController, CompressState
from gui.controllers.wording import bytes_short, size_in_pixels
from gui.pages.actions import make_action
from gui.pages.clipboard import NOTHING, clipboard_files, clipboard_image
from gui.pages.compress_inspector import CompressInspector
from gui.pages.samples import sample_paths
from gui.widgets.batch_panel import BatchPanel
from gui.widgets.divider_view import DividerView
from gui.widgets.elided_label import ElidedLabel
from gui.widgets.pyramid import Pyramid, PyramidShelf
from gui.widgets.qimage import to_picture
from gui.widgets.sample_strip import SampleStrip
from gui.widgets.zoom_bar import ZoomBar

if TYPE_CHECKING:
    from engine.image import Picture
    from gui.services.context import Services

SIDES = {
    ORIGINAL: "Original",
    "jpeg": "JPEG at same size",
    "webp": "WebP at same size",
    "avif": "AVIF at same size",
    "jxl": "JPEG XL at same size",
}
RIVAL_NAMES = {"jpeg": "JPEG", "webp": "WebP", "avif": "AVIF", "jxl": "JPEG XL"}
EXPORT_FILTERS = "PNG, lossless (*.png);;JPEG (*.jpg);;WebP (*.webp);;AVIF (*.avif)"
OPEN_FILTER = (
    "Pictures and compressed files"
    " (*.lsi *.jpg *.jpeg *.png *.webp *.avif *.tif *.tiff *.bmp *.gif *.heic *.heif *.jxl);;All files (*)"
)


class CompressPage(QWidget):
    """Shows a `CompressController` and forwards what the user does."""

    title = "Compress"
    icon_name = "compress"

    def __init__(self, controller: CompressController, services: Services, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.controller = controller
        self._services = services
        self._inspector: CompressInspector | None = None
        self.batch = BatchController(services, self)
        self._pyramids = PyramidShelf(
            partial(services.host.run, engine=False), self._show_pictures_again, services.notices.error, self
        )

        self.view = DividerView()
        self.side_box = QComboBox()
        self.side_box.setAccessibleName("Left side")
        self.side_box.setToolTip("What the compressed picture is compared with")
        for key, text in SIDES.items():
            self.side_box.addItem(text, key)
        self.side_box.currentIndexChanged.connect(self._on_side_chosen)
        self._caption = ElidedLabel()
        self._caption.setProperty("look", "muted")
        self.samples = SampleStrip(services, "Samples")
        self.samples.chosen.connect(controller.open_path)
        self.batch.rows_reset.connect(self._on_batch_rows)

        self._lay_out()
        self._make_actions()

        controller.changed.connect(self._show_state)
        controller.opened.connect(self._on_opened)
        self._show_state(controller.state)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if event.spontaneous():
            return
        # Every time: a model may have been trained or installed since.
        self.controller.load_models()
        if not self.samples.buttons:
            # In a turn of the event loop of its own, so that the page is drawn and answers before.
            QTimer.singleShot(0, self, self._show_samples)

    @Slot()
    def _show_samples(self) -> None:
        """Fill the strip and, when nothing else is open or being opened, open the first sample."""
        paths = sample_paths("photos")
        self.samples.set_paths(paths)
        state = self.controller.state
        if paths and state.picture is None and state.file is None and not state.opening:
            self.controller.open_path(paths[0])

    @cached_property
    def batch_panel(self) -> BatchPanel:
        """The batch below the picture, built when it is first needed."""
        panel = BatchPanel(self.batch, self._services)
        panel.start_requested.connect(self._on_batch_start)
        panel.row_opened.connect(self.controller.open_path)
        panel.closed.connect(partial(self._show_batch, False))
        self._split.addWidget(panel)
        self._split.setStretchFactor(0, 3)
        self._split.setStretchFactor(1, 2)
        return panel

    # -- what the window asks for

    def page_actions(self) -> list[QAction]:
        """Actions for the toolbar."""
        return self._actions

    def inspector(self) -> CompressInspector:
        """The panel at the right, built when it is first asked for."""
        if self._inspector is None:
            self._inspector = CompressInspector(self.controller, self._services)
            self._inspector.save_wished.connect(self._on_save)
            self._inspector.export_wished.connect(self._on_export)
        return self._inspector

    def open_paths(self, paths: list[Path]) -> None:
        """One file opens here; several, or a folder, go to the batch."""
        if len(paths) == 1 and not paths[0].is_dir():
            self._services.settings.remember_file(paths[0])
            self.controller.open_path(paths[0])
        elif paths:
            self.batch.add_paths(paths)

    def paste(self) -> None:
        """Open the picture, or the copied files, from the clipboard."""
        paths, image = clipboard_files(), clipboard_image()
        if paths:
            self.open_paths(paths)
        elif image is not None:
            self.controller.open_picture(to_picture(image))
        else:
            self._services.notices.info(NOTHING)

    # -- making

    def _lay_out(self) -> None:
        bar = QHBoxLayout()
        bar.setContentsMargins(12, 8, 12, 8)
        bar.setSpacing(8)
        label = QLabel("Left side")
        label.setBuddy(self.side_box)
        bar.addWidget(label)
        bar.addWidget(self.side_box)
        bar.addWidget(self._caption, 1)
        self.zoom_bar = ZoomBar(self.view.transform)
        bar.addWidget(self.zoom_bar)
        below = QHBoxLayout()
        below.setContentsMargins(12, 2, 12, 2)
        below.addWidget(self.samples)
        upper = QWidget()
        column = QVBoxLayout(upper)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(bar)
        column.addWidget(self.view, 1)
        column.addLayout(below)
        self._split = QSplitter(Qt.Orientation.Vertical)
        self._split.addWidget(upper)
        self._split.setCollapsible(0, False)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._split)
        self.setFocusProxy(self.view)

    def _make_actions(self) -> None:
        keys, theme = QKeySequence.StandardKey, self._services.theme
        self._save_action = make_action(self, theme, "Save .lsi…", "save", self._on_save, keys.Save)
        self._export_action = make_action(self, theme, "Export picture…", "export", self._on_export, "Ctrl+E")
        self._actions = [
            make_action(self, theme, "Open…", "open", self._on_open, keys.Open),
            self._save_action,
            self._export_action,
            make_action(self, theme, "Batch…", "batch", self._on_batch, "Ctrl+B"),
        ]

    # -- showing

    @Slot(object)
    def _show_state(self, state: CompressState) -> None:
        self._show_pictures(state)
        self.side_box.setEnabled(state.file is None)
        self.side_box.blockSignals(True)
        self.side_box.setCurrentIndex(self.side_box.findData(state.left_side))
        self.side_box.blockSignals(False)
        picture = state.picture or (state.file.picture if state.file else None)
        parts = [f"Opening {state.opening}…"] if state.opening else []
        if picture is not None:
            size = state.picture.stored_bytes if state.picture else None
            parts += [state.title, size_in_pixels(picture.width, picture.height)]
            parts += [bytes_short(size)] if size else []
            parts += list(state.picture.notes) if state.picture else []
        self._caption.setText(" · ".join(parts))
        for action in (self._save_action, self._export_action):
            action.setEnabled(state.saveable)

    def _show_pictures(self, state: CompressState) -> None:
        """Give the view its two pictures."""
        original = left = state.picture
        left_label = "Original"
        if state.left_side != ORIGINAL and state.rival is not None and state.rival.codec == state.left_side:
            left = state.rival.picture
            left_label = f"{RIVAL_NAMES[state.rival.codec]}, {bytes_short(state.rival.size)}"
            if not state.rival_current:
                left_label += " · updating…"
            elif state.result is not None and state.rival.size > len(state.result.encoded.data):
                left_label += ", its smallest"
        elif state.picture is not None and state.picture.stored_bytes:
            left_label = f"Original, {bytes_short(state.picture.stored_bytes)}"
        if state.file is not None:
            right, right_label = state.file.picture, f"{state.title}, {bytes_short(len(state.file.data))}"
        elif state.result is not None:
            encoded = state.result.encoded
            right, right_label = encoded.decoded, f"Latent Studio, {bytes_short(len(encoded.data))}"
            right_label += " · updating…" if state.busy else ""
        else:
            right, right_label = None, ""
        self._pyramids.keep(picture for picture in (original, left, right) if picture is not None)
        right_pyramid = self._pyramid(right)
        if right is not None and right_pyramid is None:
            right_pyramid = self.view.right  # until the new one is ready
        self.view.set_pictures(self._pyramid(left), right_pyramid, self._pyramid(original))
        self.view.set_labels(left_label, right_label, "Compressing…" if state.busy else "")

    def _pyramid(self, picture: Picture | None) -> Pyramid | None:
        """The picture ready for painting; a large one is made ready in the background: None until then."""
        return None if picture is None else self._pyramids.get(picture)

    def _show_pictures_again(self) -> None:
        self._show_pictures(self.controller.state)

    @Slot()
    def _on_opened(self) -> None:
        self.view.transform.fit()
        state = self.controller.state
        names = {path.name: path for path in self.samples.buttons}
        self.samples.mark(names.get(state.title))

    # -- what the user does

    @Slot(int)
    def _on_side_chosen(self, index: int) -> None:
        self.controller.set_left_side(self.side_box.itemData(index))

    @Slot()
    def _on_open(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Open a photo or a compressed file", self._folder(), OPEN_FILTER)
        if path:
            self.open_paths([Path(path)])

    @Slot()
    def _on_save(self) -> None:
        suggestion = str(Path(self._folder()) / f"{self.controller.suggested_stem()}.lsi")
        path, _ = QFileDialog.getSaveFileName(
            self, "Save the compressed file", suggestion, "Latent Studio image (*.lsi)"
        )
        if path:
            self.controller.save_file(Path(path) if Path(path).suffix else Path(path).with_suffix(".lsi"))

    @Slot()
    def _on_export(self) -> None:
        # Another name than the photo's own, which often lies in the same folder.
        suggestion = str(Path(self._folder()) / f"{self.controller.suggested_stem()}-decoded.png")
        path, chosen = QFileDialog.getSaveFileName(self, "Export the decoded picture", suggestion, EXPORT_FILTERS)
        if path:
            suffix = chosen[chosen.rindex("*.") + 1 : -1] if "*." in chosen else ".png"
            self.controller.export_picture(Path(path) if Path(path).suffix else Path(path).with_suffix(suffix))

    @Slot()
    def _on_batch(self) -> None:
        paths, _ = QFileDialog.getOpenFileNames(self, "Choose photos to compress", self._folder(), OPEN_FILTER)
        if paths:
            self.batch.add_paths(Path(path) for path in paths)

    @Slot()
    def _on_batch_start(self) -> None:
        self.batch.start(self.controller.state.order)

    @Slot()
    def _on_batch_rows(self) -> None:
        if self.batch.rows:
            self._show_batch(True)

    def _show_batch(self, visible: bool) -> None:
        """The batch takes the room of the samples."""
        self.batch_panel.setVisible(visible)
        self.samples.setVisible(not visible)

    def _folder(self) -> str:
        return self._services.settings.current.last_folder or str(Path.home())
