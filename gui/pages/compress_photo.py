"""What is done to the photo on the Compress page before either side compresses it, and what is kept beside pixels."""

from __future__ import annotations

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QCheckBox, QComboBox, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from gui.controllers.compress_controller import CompressController, CompressState
from gui.controllers.compress_settings import SharedSettings
from gui.pages.compress_tools import CropPanel
from gui.widgets.region_tool import RegionTool

LONGEST_SIDES = (None, 4096, 3840, 2560, 2048, 1920, 1600, 1280, 1024, 800, 640)
RESAMPLES = {
    "lanczos": "Lanczos, sharp",
    "bicubic": "Bicubic",
    "box": "Box, plain mean",
    "nearest": "Nearest pixel",
}


class PhotoPanel(QWidget):
    """Crop, size, metadata and colours, for both sides."""

    def __init__(self, controller: CompressController, region: RegionTool, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._controller = controller
        self.crop_panel = CropPanel(controller, region)
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
        self._filter_label = QLabel("Filter")
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
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(12)
        layout.addWidget(self.crop_panel)
        for label, box in ((QLabel("Longest side"), self.size_box), (self._filter_label, self.filter_box)):
            row = QHBoxLayout()
            label.setProperty("look", "muted")
            label.setBuddy(box)
            row.addWidget(label)
            row.addWidget(box, 1)
            layout.addLayout(row)
        for widget in (self.metadata, self.place, self.profile):
            layout.addWidget(widget)
        controller.changed.connect(self._show_state)
        self._show_state(controller.state)

    @Slot(object)
    def _show_state(self, state: CompressState) -> None:
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

    @Slot(int)
    def _on_size_chosen(self, index: int) -> None:
        if index < len(LONGEST_SIDES):
            longest = self.size_box.itemData(index)
            self._controller.change_shared(longest_side=longest, width=None, height=None, percent=None)

    @Slot(int)
    def _on_filter_chosen(self, index: int) -> None:
        self._controller.change_shared(resample=self.filter_box.itemData(index))
