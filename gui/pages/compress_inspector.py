"""The inspector of the Compress page: either side, the photo that both compress, or the file that was opened.

Only the panel of the right side is built at once; the others when a person opens their section, or needs them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from typing import TYPE_CHECKING

from PySide6.QtCore import Signal, Slot
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QVBoxLayout, QWidget

from gui.controllers.compress_controller import CompressController, CompressState
from gui.controllers.compress_settings import CODEC_NAMES, LEFT, ORIGINAL, RIGHT, SIDES
from gui.controllers.rate_curves import RateCurves
from gui.pages.compress_presets import PresetBar
from gui.pages.compress_side import CompressSide
from gui.widgets.inspector_column import prepare_controls
from gui.widgets.section import Section

if TYPE_CHECKING:
    from gui.pages.compress_curves import CurvesPanel
    from gui.pages.compress_file import FilePanel
    from gui.pages.compress_photo import PhotoPanel
    from gui.pages.compress_tools import FocusPanel
    from gui.services.context import Services
    from gui.widgets.region_tool import RegionTool

DRAWING = ("rectangle", "brush", "eraser")


class CompressInspector(QWidget):
    """Shows the settings and figures of a `CompressController` and forwards what the user changes.

    Attributes:
        panels: the sides whose settings were shown so far; that of a side that shows the original is not built.
        curves: what every codec would make of the photo.

    Signals:
        save_wished(str): save the compressed file of a side.
        export_wished(str): export the decoded picture of a side.
        cropping(bool): the whole photo is to be shown, with the crop's frame; or no longer.
    """

    save_wished = Signal(str)
    export_wished = Signal(str)
    cropping = Signal(bool)

    def __init__(
        self, controller: CompressController, region: RegionTool, services: Services, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.controller, self.region = controller, region
        self._services = services
        self.panels: dict[str, CompressSide] = {}
        self.curves = RateCurves(controller, services)
        self.preset_bar = PresetBar(controller, services)
        self._sections = {side: Section("") for side in SIDES}
        self._curves_section = self._folded("Rate and distortion", lambda: self.curves_panel)
        self._photo_section = self._folded("Photo: crop, size, metadata", lambda: self.photo)
        self._focus_section = self._folded("Focus: more bits for a part", lambda: self.focus_panel)
        self._focus_section.toggled.connect(self._on_focus_toggled)
        self._file_section = Section("Compressed file")
        self._of_photos = (self.preset_bar, self._curves_section, self._photo_section, self._focus_section)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(12)
        for part in (self.preset_bar, self._sections[RIGHT], self._sections[LEFT], *self._of_photos[1:]):
            layout.addWidget(part)
        layout.addWidget(self._file_section)
        layout.addStretch(1)
        self._complete = False

    def complete(self) -> None:
        """Build what is in view from the start; the window has this done in a turn of its own."""
        if not self._complete:
            self._complete = True
            self.controller.changed.connect(self._show_state)
            self._show_state(self.controller.state)

    def showEvent(self, event: QShowEvent) -> None:
        self.complete()
        super().showEvent(event)

    def _folded(self, title: str, content: Callable[[], QWidget]) -> Section:
        """A section whose content is built when it is first opened."""
        section = Section(title, expanded=False)
        section.toggled.connect(lambda opened: content() if opened else None)
        return section

    def _fill(self, section: Section, panel: QWidget) -> None:
        prepare_controls(panel)
        section.add(panel)

    def panel(self, side: str) -> CompressSide:
        """The settings of a side."""
        if side not in self.panels:
            panel = self.panels[side] = CompressSide(
                self.controller, side, self.curves, self._services, self._sections[side].body
            )
            panel.save_wished.connect(partial(self.save_wished.emit, side))
            panel.export_wished.connect(partial(self.export_wished.emit, side))
            self._fill(self._sections[side], panel)
        return self.panels[side]

    @cached_property
    def curves_panel(self) -> CurvesPanel:
        """The plot of the photo."""
        from gui.pages.compress_curves import CurvesPanel

        panel = CurvesPanel(self.controller, self.curves, self._services)
        self._fill(self._curves_section, panel)
        return panel

    @cached_property
    def photo(self) -> PhotoPanel:
        """Crop, size, metadata."""
        from gui.pages.compress_photo import PhotoPanel

        panel = PhotoPanel(self.controller, self.region)
        panel.crop_panel.cropping.connect(self.cropping)
        self._fill(self._photo_section, panel)
        return panel

    @cached_property
    def focus_panel(self) -> FocusPanel:
        """The tools that draw what matters."""
        from gui.pages.compress_tools import FocusPanel

        panel = FocusPanel(self.controller, self.region, self._services)
        self._fill(self._focus_section, panel)
        return panel

    @cached_property
    def file_panel(self) -> FilePanel:
        """The file that was opened."""
        from gui.pages.compress_file import FilePanel

        panel = FilePanel(self.controller)
        panel.save_wished.connect(partial(self.save_wished.emit, RIGHT))
        panel.export_wished.connect(partial(self.export_wished.emit, RIGHT))
        self._fill(self._file_section, panel)
        return panel

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
        for part in self._of_photos:
            part.setVisible(state.file is None)
        if state.file is not None:
            self.file_panel.show()
        self._file_section.setVisible(state.file is not None)

    @Slot(bool)
    def _on_focus_toggled(self, opened: bool) -> None:
        if not opened and self.region.mode in DRAWING:
            self.region.set_mode("none")
