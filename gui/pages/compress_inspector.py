"""The inspector of the Compress page: either side, the photo that both compress, or the file that was opened."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QCheckBox, QComboBox, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from gui.controllers.compress_controller import FILE, CompressController, CompressState
from gui.controllers.compress_settings import CODEC_NAMES, LEFT, ORIGINAL, RIGHT, SIDES, SharedSettings
from gui.controllers.rate_curves import RateCurves
from gui.controllers.wording import bytes_exact, bytes_short, size_in_pixels
from gui.pages.compress_curves import CurvesPanel
from gui.pages.compress_presets import PresetBar
from gui.pages.compress_side import BPP, FIGURES, SIZE, CompressSide
from gui.pages.compress_tools import TOOLS, CropPanel, FocusPanel
from gui.widgets.figure_table import FigureTable
from gui.widgets.region_tool import RegionTool
from gui.widgets.section import Section
from gui.widgets.wait_bar import WaitBar

if TYPE_CHECKING:
    from engine.progress import Progress
    from gui.services.context import Services

HEADER_FIGURES = {
    SIZE: "Exact size of the compressed file",
    "Picture": "Width and height in pixels",
    BPP: FIGURES[BPP],
    "Quality": "The setting the file was made with, 0 to 100",
    "Model": "The codec model that made the file",
    "Model hash": "First digits of the hash of the model's weights",
    "Tiles": "Pieces that are coded on their own",
    "Sections": "What the file holds, with sizes",
}
LONGEST_SIDES = (None, 4096, 3840, 2560, 2048, 1920, 1600, 1280, 1024, 800, 640)
RESAMPLES = {
    "lanczos": "Lanczos, sharp",
    "bicubic": "Bicubic",
    "box": "Box, plain mean",
    "nearest": "Nearest pixel",
}


class CompressInspector(QWidget):
    """Shows the settings and figures of a `CompressController` and forwards what the user changes.

    Attributes:
        panels: the sides whose settings were shown so far; that of a side that shows the original is not built.

    Signals:
        save_wished(str): save the compressed file of a side.
        export_wished(str): export the decoded picture of a side.
    """

    save_wished = Signal(str)
    export_wished = Signal(str)

    def __init__(
        self, controller: CompressController, region: RegionTool, services: Services, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.controller, self.region = controller, region
        self._services = services
        self.panels: dict[str, CompressSide] = {}
        self.focus_panel: FocusPanel | None = None
        self.curves_panel: CurvesPanel | None = None
        self.curves = RateCurves(controller, services)
        self._sections = {side: Section("") for side in SIDES}
        self._make_photo()
        self._make_file()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(12)
        self._focus_section = Section("Focus", expanded=False)
        self._focus_section.toggled.connect(self._on_focus_toggled)
        self._curves_section = Section("Rate and distortion", expanded=False)
        self._curves_section.toggled.connect(self._on_curves_toggled)
        self.preset_bar = PresetBar(controller, services)
        self._parts = (
            self.preset_bar,
            self._sections[RIGHT],
            self._sections[LEFT],
            self._curves_section,
            self._photo_section,
            self._focus_section,
            self._file_section,
        )
        for section in self._parts:
            layout.addWidget(section)
        layout.addStretch(1)
        controller.changed.connect(self._show_state)
        self._show_state(controller.state)

    # -- making

    def _make_photo(self) -> None:
        controller = self.controller
        self._photo_section = Section("Photo, both sides")
        self.crop_panel = CropPanel(controller, self.region)
        self._photo_section.add(self.crop_panel)
        self.size_box = QComboBox()
        self.size_box.setAccessibleName("Longest side")
        self.size_box.setToolTip("Shrink the photo before it is compressed; it is never enlarged")
        for pixels in LONGEST_SIDES:
            self.size_box.addItem("As it is" if pixels is None else f"{pixels} pixels", pixels)
        self.size_box.activated.connect(self._on_size_chosen)
        self.filter_box = QComboBox()
        self.filter_box.setAccessibleName("Resize filter")
        for key, text in RESAMPLES.items():
            self.filter_box.addItem(text, key)
        self.filter_box.activated.connect(self._on_filter_chosen)
        for text, box in (("Longest side", self.size_box), ("Filter", self.filter_box)):
            row = QHBoxLayout()
            label = QLabel(text)
            label.setProperty("look", "muted")
            label.setBuddy(box)
            row.addWidget(label)
            row.addWidget(box, 1)
            self._photo_section.add(row)
            if box is self.filter_box:
                self._filter_label = label
        self.metadata = QCheckBox("Keep metadata")
        self.metadata.setToolTip("Keep EXIF and XMP data, such as camera, date and author")
        self.metadata.toggled.connect(lambda keep: controller.change_shared(keep_metadata=keep))
        self.place = QCheckBox("Keep the place it was taken")
        self.place.setToolTip("Keep the GPS position, which tells whoever gets the file where you were")
        self.place.toggled.connect(lambda keep: controller.change_shared(keep_place=keep))
        self.profile = QCheckBox("Keep wide colours")
        self.profile.setToolTip(
            "Keep colours beyond sRGB, such as Display P3, with their profile; else convert to sRGB"
        )
        self.profile.toggled.connect(lambda keep: controller.change_shared(keep_profile=keep))
        for widget in (self.metadata, self.place, self.profile):
            self._photo_section.add(widget)

    def _make_file(self) -> None:
        self._file_section = Section("Compressed file")
        self.header = FigureTable(HEADER_FIGURES)
        self.adopt_button = QPushButton("Compress again…")
        self.adopt_button.setToolTip("Take the decoded picture as a new original")
        self.adopt_button.clicked.connect(self.controller.adopt_decoded)
        self.save_button = QPushButton("Save a copy…")
        self.save_button.clicked.connect(partial(self.save_wished.emit, RIGHT))
        self.export_button = QPushButton("Export picture…")
        self.export_button.clicked.connect(partial(self.export_wished.emit, RIGHT))
        buttons = QHBoxLayout()
        buttons.addWidget(self.save_button, 1)
        buttons.addWidget(self.export_button, 1)
        self.wait = WaitBar("decoding", keep_place=False)
        self.wait.cancelled.connect(self.controller.cancel_opening)
        self._file_status = QLabel()
        self._file_status.setWordWrap(True)
        self._file_status.setProperty("look", "caption")
        for item in (self.header, self._file_status, self.wait, buttons, self.adopt_button):
            self._file_section.add(item)
        self.controller.progressed.connect(self._on_progressed)

    def panel(self, side: str) -> CompressSide:
        """The settings of a side, built when they are first asked for."""
        if side not in self.panels:
            panel = self.panels[side] = CompressSide(self.controller, side, self.curves, self._services)
            panel.save_wished.connect(partial(self.save_wished.emit, side))
            panel.export_wished.connect(partial(self.export_wished.emit, side))
            self._sections[side].add(panel)
        return self.panels[side]

    # -- showing

    @Slot(object)
    def _show_state(self, state: CompressState) -> None:
        for side in SIDES:
            codec = state.settings.side(side).codec
            visible = state.file is None and codec != ORIGINAL
            if visible:
                self.panel(side)
            letter, place = ("A", "left") if side == LEFT else ("B", "right")
            self._sections[side].set_title(f"{letter}, {place}: {CODEC_NAMES[codec]}")
            self._sections[side].setVisible(visible)
        for section in (self.preset_bar, self._photo_section, self._focus_section, self._curves_section):
            section.setVisible(state.file is None)
        self._file_section.setVisible(state.file is not None)
        self._show_photo(state)
        self._show_file(state)

    def _show_photo(self, state: CompressState) -> None:
        shared = state.settings.shared
        self._show_size(shared)
        self.filter_box.setCurrentIndex(self.filter_box.findData(shared.resample))
        for widget in (self.filter_box, self._filter_label):
            widget.setVisible(any(shared.size))
        wide = state.source is not None and state.source.profile is not None
        for box, wanted, there in (
            (self.metadata, shared.keep_metadata, True),
            (self.place, shared.keep_place, shared.keep_metadata),
            (self.profile, shared.keep_profile, wide),
        ):
            box.blockSignals(True)
            box.setChecked(wanted)
            box.blockSignals(False)
            box.setEnabled(there)

    def _show_size(self, shared: SharedSettings) -> None:
        """Choose what is wished for; a size that the list does not have, such as a preset's, is added to it."""
        index = 0
        if any(shared.size):
            longest, width, height, percent = shared.size
            sides = f"{width or 'any'} × {height or 'any'} pixels" if width or height else f"{percent or 100:g} %"
            index = self.size_box.findData(longest) if longest else -1
            if index < 0:
                if self.size_box.count() > len(LONGEST_SIDES):
                    self.size_box.removeItem(len(LONGEST_SIDES))
                self.size_box.addItem(f"{longest} pixels" if longest else sides, longest)
                index = len(LONGEST_SIDES)
        self.size_box.setCurrentIndex(index)

    def _show_file(self, state: CompressState) -> None:
        file = state.file
        if file is None:
            return
        header = file.header
        self.wait.set_busy(not file.complete and bool(state.opening))
        text = "The whole picture is decoded and on show."
        if not file.complete:
            text = "The small preview in the file is on show, enlarged."
            text += " The picture follows…" if state.opening else " Decoding was stopped; open the file again."
        self._file_status.setText(text)
        for button in (self.export_button, self.adopt_button):
            button.setEnabled(file.complete)
        self.header.set_values(
            {
                SIZE: bytes_exact(len(file.data)),
                "Picture": size_in_pixels(header.width, header.height),
                BPP: f"{header.bits_per_pixel:.3f}",
                "Quality": f"{header.quality:g}",
                "Model": header.model_name,
                "Model hash": header.model_hash[:12],
                "Tiles": f"{header.tiles[0]} × {header.tiles[1]}",
                "Sections": "\n".join(f"{section.name}: {bytes_short(section.bytes)}" for section in header.sections),
            }
        )

    @Slot(str, object)
    def _on_progressed(self, what: str, progress: Progress) -> None:
        if what == FILE:
            self.wait.show_progress(progress)

    # -- what the user does

    @Slot(bool)
    def _on_curves_toggled(self, opened: bool) -> None:
        if opened and self.curves_panel is None:
            self.curves_panel = CurvesPanel(self.controller, self.curves, self._services)
            self._curves_section.add(self.curves_panel)

    @Slot(bool)
    def _on_focus_toggled(self, opened: bool) -> None:
        if opened and self.focus_panel is None:
            self.focus_panel = FocusPanel(self.controller, self.region, self._services)
            self._focus_section.add(self.focus_panel)
        elif not opened and self.region.mode in TOOLS:
            self.region.set_mode("none")

    @Slot(int)
    def _on_size_chosen(self, index: int) -> None:
        if index < len(LONGEST_SIDES):
            longest = self.size_box.itemData(index)
            self.controller.change_shared(longest_side=longest, width=None, height=None, percent=None)

    @Slot(int)
    def _on_filter_chosen(self, index: int) -> None:
        self.controller.change_shared(resample=self.filter_box.itemData(index))
