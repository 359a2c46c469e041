"""The Compress page: a photo and its compressed file under one divider, exact figures, rivals, the batch below."""

from __future__ import annotations

from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QRect, Qt, QTimer, Slot
from PySide6.QtGui import QAction, QKeySequence, QShowEvent
from PySide6.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QSplitter,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from gui.controllers.batch_controller import BatchController, BatchOrder
from gui.controllers.compress_controller import CompressController, CompressState
from gui.controllers.compress_settings import CODEC_NAMES, LEFT, ORIGINAL, OURS, RIGHT, SIDES, SUFFIXES, Crop
from gui.controllers.wording import bytes_short, size_in_pixels
from gui.pages.actions import make_action
from gui.pages.clipboard import NOTHING, clipboard_files, clipboard_image
from gui.pages.compress_side import side_label
from gui.pages.samples import sample_paths
from gui.services.qimage import to_picture, to_qimage
from gui.widgets.divider_view import DividerView, Part
from gui.widgets.elided_label import ElidedLabel
from gui.widgets.inspector_column import prepare_controls
from gui.widgets.pyramid import Pyramid, PyramidShelf
from gui.widgets.region_tool import RegionTool
from gui.widgets.sample_strip import SampleStrip
from gui.widgets.zoom_bar import ZoomBar

if TYPE_CHECKING:
    import numpy as np

    from engine.image import Picture
    from gui.controllers.compress_work import FilePart
    from gui.controllers.compress_work import Part as CompressedPart
    from gui.pages.compress_inspector import CompressInspector
    from gui.services.context import Services
    from gui.widgets.batch_panel import BatchPanel

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
        background = partial(services.host.run, engine=False)
        self.view = DividerView(background=background, failed=services.notices.error)
        self._pyramids = PyramidShelf(background, self._show_pictures_again, services.notices.error, self)
        self.region = RegionTool(self.view)
        self._part_images: dict[CompressedPart | FilePart, Part] = {}
        controller.show_first(self._visible)
        self.view.transform.changed.connect(controller.view_moved)
        self._cropping = False
        self.view.bits_wanted.connect(self._on_bits_wanted)
        self.codec_boxes = {side: self._codec_box(side) for side in SIDES}
        self.swap_button = QToolButton()
        self.swap_button.setProperty("look", "flat")
        self.swap_button.setAccessibleName("Swap the sides")
        self.swap_button.setToolTip("Swap the sides (X)")
        self.swap_button.setShortcut("X")
        services.theme.bind_icon(self.swap_button, "swap", "text", 18)
        self.swap_button.clicked.connect(controller.swap)
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
        if paths and state.source is None and state.file is None and not state.opening:
            self.controller.open_path(paths[0])

    @cached_property
    def batch_panel(self) -> BatchPanel:
        """The batch below the picture, built when it is first needed."""
        from gui.widgets.batch_panel import BatchPanel

        panel = BatchPanel(self.batch, self._services)
        panel.start_requested.connect(self.batch.start)
        panel.row_opened.connect(self.controller.open_path)
        panel.closed.connect(partial(self._show_batch, False))
        prepare_controls(panel)  # the window did so with the page before this was there
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
            from gui.pages.compress_inspector import CompressInspector

            self._inspector = CompressInspector(self.controller, self.region, self._services)
            self._inspector.cropping.connect(self._on_cropping)
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
        bar.setSpacing(4)
        for side, letter in ((LEFT, "A"), (RIGHT, "B")):
            label = QLabel(letter)
            label.setProperty("look", "muted")
            label.setBuddy(self.codec_boxes[side])
            bar.addWidget(label)
            bar.addWidget(self.codec_boxes[side])
            if side == LEFT:
                bar.addWidget(self.swap_button)
        bar.addWidget(self._caption, 1)
        self.zoom_bar = ZoomBar(self.view.transform)
        bar.addWidget(self.zoom_bar)
        below = QHBoxLayout()
        below.setContentsMargins(12, 2, 12, 2)
        below.setSpacing(2)
        below.addWidget(self.samples, 1)
        below.addStretch(0)
        self._add_view_buttons(below)
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

    def _add_view_buttons(self, bar: QHBoxLayout) -> None:
        view = self.view
        self.overlay_buttons: dict[str, QToolButton] = {}
        for overlay, icon, text, key in (
            ("difference", "difference", "Difference to the original", "D"),
            ("bits", "bits", "Bits spent per region", "B"),
        ):
            button = self.overlay_buttons[overlay] = self._view_button(icon, f"{text} ({key})")
            button.clicked.connect(lambda shown, overlay=overlay: self._on_overlay(overlay, shown))
            bar.addWidget(button)
        self.lens_button = self._view_button("search", "Lens (L)")
        self.lens_button.clicked.connect(view.set_lens)
        bar.addWidget(self.lens_button)
        view.overlay_changed.connect(self._show_overlay)
        view.lens_changed.connect(self.lens_button.setChecked)

    def _view_button(self, icon: str, text: str) -> QToolButton:
        button = QToolButton()
        button.setCheckable(True)
        button.setProperty("look", "flat")
        button.setToolTip(text)
        button.setAccessibleName(text.partition(" (")[0])
        self._services.theme.bind_icon(button, icon, "text", 18)
        return button

    def _codec_box(self, side: str) -> QComboBox:
        box = QComboBox()
        name = "left" if side == LEFT else "right"
        box.setAccessibleName(f"Codec of the {name} side")
        box.setToolTip(f"What is shown at the {name} of the divider")
        for codec, text in CODEC_NAMES.items():
            if codec != ORIGINAL or side == LEFT:
                box.addItem(text, codec)
        box.activated.connect(partial(self._on_codec_chosen, side))
        return box

    def _make_actions(self) -> None:
        keys, theme = QKeySequence.StandardKey, self._services.theme
        self._save_action = make_action(self, theme, "Save B…", "save", partial(self._on_save, RIGHT), keys.Save)
        self._export_action = make_action(
            self, theme, "Export picture B…", "export", partial(self._on_export, RIGHT), "Ctrl+E"
        )
        self._undo = make_action(self, theme, "Undo", "undo", self.controller.undo, keys.Undo)
        self._redo = make_action(self, theme, "Redo", "redo", self.controller.redo, keys.Redo)
        self._actions = [
            make_action(self, theme, "Open…", "open", self._on_open, keys.Open),
            self._save_action,
            self._export_action,
            self._undo,
            self._redo,
            make_action(self, theme, "Batch…", "batch", self._on_batch, "Ctrl+B"),
        ]

    # -- showing

    @Slot(object)
    def _show_state(self, state: CompressState) -> None:
        self._show_pictures(state)
        self.batch.set_order(BatchOrder(state.settings.right, state.settings.shared))
        for side, box in self.codec_boxes.items():
            box.setEnabled(state.file is None)
            box.setCurrentIndex(box.findData(state.settings.side(side).codec))
        self.swap_button.setEnabled(state.file is None and state.settings.left.makes_file)
        self._caption.setText(" · ".join(_caption(state)))
        for action in (self._save_action, self._export_action):
            action.setEnabled(state.saveable(RIGHT))
        self._undo.setEnabled(state.can_undo)
        self._redo.setEnabled(state.can_redo)

    def _show_pictures(self, state: CompressState) -> None:
        """Give the view its two pictures."""
        self.view.set_parts(None, None)
        if self._cropping and state.source is not None:
            whole = self._pyramid(state.source)
            self._pyramids.keep([state.source])
            self.view.set_pictures(None, whole, whole)
            self.view.set_labels("", "The whole photo")
            return
        original = state.picture
        if state.file is not None:
            self._pyramids.keep([state.file.picture])
            self.view.set_pictures(None, self._pyramid(state.file.picture), None)
            label = f"{state.title}, {bytes_short(len(state.file.data))}"
            self.view.set_labels("", label if state.file.complete else f"{label} · preview")
            self.view.set_parts(None, self._file_part(state))
            return
        shown: dict[str, Picture | None] = {}
        for side in SIDES:
            result = state.side(side).result
            decoded = None if result is None else result.encoded.decoded
            # A result from before the photo was cropped or shrunk has another size.
            fits = decoded is not None and original is not None and decoded.pixels.shape == original.pixels.shape
            shown[side] = (decoded if fits else None) if state.settings.side(side).makes_file else original
        self._pyramids.keep(picture for picture in (original, *shown.values()) if picture is not None)
        ready = {side: self._pyramid(picture) for side, picture in shown.items()}
        for side, before in ((LEFT, self.view.left), (RIGHT, self.view.right)):
            if shown[side] is not None and ready[side] is None:
                ready[side] = before  # until the new one is ready
        if state.right.part is not None and ready[RIGHT] is None:
            ready[RIGHT] = self._pyramid(original)  # around the part, until there is a result
        waiting = "Compressing…" if state.right.busy else ""
        left = ready[LEFT] or self._pyramid(original)
        self.view.set_pictures(left, ready[RIGHT], self._pyramid(original))
        self.view.set_parts(*self._parts(state))
        self.view.set_labels(side_label(state, LEFT), side_label(state, RIGHT), waiting)

    def _file_part(self, state: CompressState) -> Part | None:
        """What is in view of a file, as the view takes it, converted once."""
        part = state.file_part
        known = self._part_images
        self._part_images = {} if part is None else {part: known.get(part) or _part_image(part.box, part.picture)}
        return None if part is None else self._part_images[part]

    def _parts(self, state: CompressState) -> tuple[Part | None, Part | None]:
        """The visible parts of both sides as the view takes them, each converted once."""
        parts = {side: state.side(side).part for side in SIDES}
        known = self._part_images
        self._part_images = {
            part: known.get(part) or _part_image(part.box, part.encoded.decoded)
            for part in parts.values()
            if part is not None
        }
        left, right = (None if part is None else self._part_images[part] for part in parts.values())
        return left, right

    def _visible(self) -> Crop | None:
        """What is in view, in pixels of the picture."""
        box = self.view.visible_part()
        return None if box.isEmpty() else Crop(box.x(), box.y(), box.width(), box.height())

    def _pyramid(self, picture: Picture | None) -> Pyramid | None:
        """The picture ready for painting; a large one is made ready in the background: None until then."""
        return None if picture is None else self._pyramids.get(picture)

    def _show_pictures_again(self) -> None:
        self._show_pictures(self.controller.state)

    @Slot()
    def _on_opened(self) -> None:
        self.view.transform.fit()
        if self.controller.state.settings.shared.focus is None:
            self.region.reset()
        state = self.controller.state
        names = {path.name: path for path in self.samples.buttons}
        self.samples.mark(names.get(state.title))

    # -- overlays, crop

    @Slot(bool)
    def _on_cropping(self, cropping: bool) -> None:
        self._cropping = cropping
        self._show_pictures(self.controller.state)
        self.view.transform.fit()

    def _on_overlay(self, overlay: str, shown: bool) -> None:
        self.view.set_overlay(overlay if shown else "")

    @Slot(str)
    def _show_overlay(self, overlay: str) -> None:
        for key, button in self.overlay_buttons.items():
            button.setChecked(key == overlay)

    @Slot()
    def _on_bits_wanted(self) -> None:
        state = self.controller.state
        task = self._services.host.run(partial(_bits_maps, _our_files(state)))
        task.succeeded.connect(partial(self._on_bits, _results(state)))
        task.failed.connect(self._on_bits_failed)

    def _on_bits(self, mapped: tuple[object, ...], maps: dict[str, np.ndarray | None]) -> None:
        if mapped == _results(self.controller.state):
            self.view.set_bits_map(maps[RIGHT], maps[LEFT])

    @Slot(object)
    def _on_bits_failed(self, error: Exception) -> None:
        self.view.set_overlay("")
        self._services.notices.error(error, "The bits cannot be shown")

    # -- what the user does

    def _on_codec_chosen(self, side: str, index: int) -> None:
        self.controller.set_codec(side, self.codec_boxes[side].itemData(index))

    @Slot()
    def _on_open(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Open a photo or a compressed file", self._folder(), OPEN_FILTER)
        if path:
            self.open_paths([Path(path)])

    def _on_save(self, side: str) -> None:
        suffix = self.controller.suffix(side)
        name = f"{self.controller.suggested_stem()}{suffix}"
        if suffix != SUFFIXES["lsi"]:
            # Another name than the photo's own, which often lies in the same folder.
            name = f"{self.controller.suggested_stem()}-compressed{suffix}"
        codec = next(text for codec, text in CODEC_NAMES.items() if SUFFIXES.get(codec) == suffix)
        path, _ = QFileDialog.getSaveFileName(
            self, "Save the compressed file", str(Path(self._folder()) / name), f"{codec} (*{suffix})"
        )
        if path:
            self.controller.save_file(Path(path) if Path(path).suffix else Path(path).with_suffix(suffix), side)

    def _on_export(self, side: str) -> None:
        suggestion = str(Path(self._folder()) / f"{self.controller.suggested_stem()}-decoded.png")
        path, chosen = QFileDialog.getSaveFileName(self, "Export the decoded picture", suggestion, EXPORT_FILTERS)
        if path:
            suffix = chosen[chosen.rindex("*.") + 1 : -1] if "*." in chosen else ".png"
            self.controller.export_picture(Path(path) if Path(path).suffix else Path(path).with_suffix(suffix), side)

    @Slot()
    def _on_batch(self) -> None:
        paths, _ = QFileDialog.getOpenFileNames(self, "Choose photos to compress", self._folder(), OPEN_FILTER)
        if paths:
            self.batch.add_paths(Path(path) for path in paths)

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


def _caption(state: CompressState) -> list[str]:
    """What is open, in parts: name, size in pixels (before and after it was cropped or shrunk), bytes, notes."""
    parts = [f"Opening {state.opening}…"] if state.opening else []
    if state.file is not None:
        return [*parts, state.title, size_in_pixels(state.file.picture.width, state.file.picture.height)]
    source, picture = state.source, state.picture
    if source is None:
        return parts
    size = size_in_pixels(source.width, source.height)
    if picture is not None and (picture.width, picture.height) != (source.width, source.height):
        size = f"{size} → {size_in_pixels(picture.width, picture.height)}"
    parts += [state.title, size]
    parts += [bytes_short(source.stored_bytes)] if source.stored_bytes else []
    return [*parts, *source.notes]


def _part_image(box: Crop, picture: Picture) -> Part:
    return Part(to_qimage(picture.pixels), QRect(box.x, box.y, box.width, box.height))


def _results(state: CompressState) -> tuple[object, ...]:
    """What is on show, to tell whether it is still the same."""
    return state.left.result, state.right.result, state.file


def _our_files(state: CompressState) -> dict[str, bytes | None]:
    """The files on show that our codec has made; None for others."""
    if state.file is not None:
        return {LEFT: None, RIGHT: state.file.data}
    files: dict[str, bytes | None] = {}
    for side in SIDES:
        result = state.side(side).result
        ours = result is not None and result.wish.settings.codec == OURS
        files[side] = result.encoded.data if result is not None and ours else None
    return files


def _bits_maps(files: dict[str, bytes | None]) -> dict[str, np.ndarray | None]:
    from engine.compression.bits_map import bits_map, smoothed

    return {side: None if data is None else smoothed(bits_map(data)) for side, data in files.items()}
