"""What is drawn on the photo of the Compress page: the parts that get more of the bits, and the crop."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QRect, Signal, Slot
from PySide6.QtWidgets import (
    QButtonGroup,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from gui.controllers.compress_controller import CompressController, CompressState
from gui.controllers.compress_settings import OURS, SIDES, Crop, Focus
from gui.controllers.wording import size_in_pixels
from gui.widgets.labeled_slider import LabeledSlider
from gui.widgets.region_tool import RegionTool

if TYPE_CHECKING:
    import numpy as np

    from engine.image import Picture
    from gui.services.context import Services

TOOLS = {"rectangle": "Rectangle", "brush": "Brush", "eraser": "Eraser"}
ASPECTS = {
    "Free": None,
    "1 : 1": 1.0,
    "4 : 3": 4 / 3,
    "3 : 2": 3 / 2,
    "16 : 9": 16 / 9,
    "3 : 4": 3 / 4,
    "2 : 3": 2 / 3,
    "9 : 16": 9 / 16,
}


class FocusPanel(QWidget):
    """Tools that draw what matters, and by how much the rest is worse."""

    def __init__(
        self, controller: CompressController, region: RegionTool, services: Services, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._controller, self._region, self._services = controller, region, services
        self._shown: Focus | None = None  # what the region shows of the settings
        self._following = False  # the region is being told, and tells nothing new
        self._hint = QLabel()
        self._hint.setWordWrap(True)
        self._hint.setProperty("look", "caption")
        self.tools: dict[str, QToolButton] = {}
        tools = QHBoxLayout()
        tools.setSpacing(4)
        self._group = QButtonGroup(self)
        self._group.setExclusive(False)
        for mode, text in TOOLS.items():
            button = self.tools[mode] = self._tool(mode, text)
            button.setCheckable(True)
            button.clicked.connect(lambda checked, mode=mode: self._on_tool(mode, checked))
            tools.addWidget(button)
        tools.addStretch(1)
        self.clear_button = QPushButton("Clear")
        self.clear_button.setAccessibleName("Clear the focus")
        self.clear_button.clicked.connect(region.clear)
        self.invert_button = QPushButton("Invert")
        self.invert_button.setAccessibleName("Invert the focus")
        self.invert_button.clicked.connect(region.invert)
        tools.addWidget(self.invert_button)
        tools.addWidget(self.clear_button)
        self.model_box = QComboBox()
        self.model_box.setAccessibleName("Find the focus by a segmentation model")
        self.model_box.setToolTip("What the model finds gets more of the bits")
        self.model_box.addItem("Find by a model…", None)
        self.model_box.activated.connect(self._on_model_chosen)
        self.drop = LabeledSlider(
            "The rest is worse by",
            5.0,
            80.0,
            Focus.drop,
            decimals=0,
            hint="Points of quality, for all that is not marked",
        )
        self.drop.value_changed.connect(self._on_drop)
        self.drop.slider_released.connect(partial(controller.set_dragging, False))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(10)
        layout.addLayout(tools)
        for widget in (self.model_box, self.drop, self._hint):
            layout.addWidget(widget)
        region.changed.connect(self._on_region)
        region.mode_changed.connect(self._on_mode)
        controller.changed.connect(self._show_state)
        controller.opened.connect(self._load_models)
        self._load_models()
        self._show_state(controller.state)

    def _tool(self, icon: str, text: str) -> QToolButton:
        button = QToolButton()
        button.setProperty("look", "flat")
        button.setToolTip(text)
        button.setAccessibleName(text)
        self._services.theme.bind_icon(button, icon, "text", 20)
        return button

    @Slot(object)
    def _show_state(self, state: CompressState) -> None:
        focus = state.settings.shared.focus
        if focus is not self._shown:
            # Undo, redo or another photo: the drawing follows the settings.
            self._shown, self._following = focus, True
            self._region.set_mask(None if focus is None else focus.mask)
            self._following = False
        if focus is not None:
            self.drop.set_value(focus.drop, emit=False)
        for button in (self.clear_button, self.invert_button):
            button.setEnabled(focus is not None)
        self._say()

    def _say(self) -> None:
        """What can be done now, or what is chosen."""
        state = self._controller.state
        if self._region.mode in TOOLS:
            self._hint.setText(self._region.hint)
        elif state.settings.shared.focus is None:
            self._hint.setText("Mark what matters: it keeps its quality, and all else gets fewer bits.")
        else:
            ours = any(state.settings.side(side).codec == OURS for side in SIDES)
            text = f"{100 * self._region.coverage():.0f} % of the picture keeps its quality."
            self._hint.setText(text if ours else f"{text} Only Latent Studio's codec can do that.")

    @Slot()
    def _on_region(self) -> None:
        if self._region.mode == "crop" or self._following:
            return
        mask = self._region.mask()
        self._shown = None if mask is None else Focus(mask, self.drop.value)
        self._controller.change_shared(focus=self._shown)

    @Slot(str)
    def _on_mode(self, mode: str) -> None:
        for key, button in self.tools.items():
            button.setChecked(key == mode)
        self._say()

    def _on_tool(self, mode: str, checked: bool) -> None:
        self._region.set_mode(mode if checked else "none")

    @Slot(float)
    def _on_drop(self, drop: float) -> None:
        focus = self._controller.state.settings.shared.focus
        if focus is not None:
            self._controller.set_dragging(self.drop.dragging)
            self._shown = Focus(focus.mask, drop)
            self._controller.change_shared(gesture="drop", focus=self._shown)

    # -- what a model finds

    @Slot()
    def _load_models(self) -> None:
        task = self._services.host.run(_segmenters)
        task.succeeded.connect(self._on_models)

    @Slot(object)
    def _on_models(self, names: tuple[str, ...]) -> None:
        known = tuple(self.model_box.itemData(index) for index in range(1, self.model_box.count()))
        if known != names:
            while self.model_box.count() > 1:
                self.model_box.removeItem(1)
            for name in names:
                self.model_box.addItem(name, name)
        self.model_box.setEnabled(bool(names))

    @Slot(int)
    def _on_model_chosen(self, index: int) -> None:
        name, picture = self.model_box.itemData(index), self._controller.state.picture
        self.model_box.setCurrentIndex(0)
        if name is None or picture is None:
            return
        self._hint.setText(f"{name} looks for what matters…")
        task = self._services.host.run(partial(_found_by, name, picture))
        task.succeeded.connect(partial(self._on_found, name, picture))
        task.failed.connect(self._on_not_found)

    def _on_found(self, name: str, picture: Picture, mask: np.ndarray) -> None:
        if picture is not self._controller.state.picture:
            return
        if not mask.any():
            self._services.notices.info(f"{name} finds nothing in this photo.")
        self._region.set_mask(mask)
        self._say()

    @Slot(object)
    def _on_not_found(self, error: Exception) -> None:
        self._say()
        self._services.notices.error(error, "The focus cannot be found")


class CropPanel(QWidget):
    """Takes up the crop tool, and gives its frame to the settings.

    Signals:
        cropping(bool): the whole photo is to be shown, with the frame; or no longer.
    """

    cropping = Signal(bool)

    def __init__(self, controller: CompressController, region: RegionTool, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._controller, self._region = controller, region
        self.active = False
        self.crop_button = QPushButton("Crop…")
        self.crop_button.clicked.connect(self._on_crop)
        self.whole_button = QPushButton("Whole photo")
        self.whole_button.setToolTip("Crop nothing")
        self.whole_button.clicked.connect(partial(controller.change_shared, crop=None))
        self.aspect_box = QComboBox()
        self.aspect_box.setAccessibleName("Aspect of the crop")
        for text, aspect in ASPECTS.items():
            self.aspect_box.addItem(text, aspect)
        self.aspect_box.activated.connect(self._on_aspect)
        self.apply_button = QPushButton("Apply crop")
        self.apply_button.setProperty("look", "primary")
        self.apply_button.clicked.connect(self._on_apply)
        self.cancel_button = QPushButton("Cancel")
        self.cancel_button.setAccessibleName("Cancel cropping")
        self.cancel_button.clicked.connect(self._leave)
        self._size = QLabel()
        self._size.setProperty("look", "muted")
        upper, middle, lower = QHBoxLayout(), QHBoxLayout(), QHBoxLayout()
        upper.addWidget(self.crop_button, 1)
        upper.addWidget(self.whole_button, 1)
        middle.addWidget(self.aspect_box)
        middle.addWidget(self._size, 1)
        lower.addWidget(self.apply_button, 1)
        lower.addWidget(self.cancel_button, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        for row in (upper, middle, lower):
            layout.addLayout(row)
        region.changed.connect(self._show_size)
        region.drawing.connect(self._show_size)
        region.mode_changed.connect(self._on_mode)
        controller.changed.connect(self._show_state)
        self._show_state(controller.state)

    @Slot(object)
    def _show_state(self, state: CompressState) -> None:
        if self.active and state.source is None:
            self._leave()
        for button in (self.crop_button, self.whole_button):
            button.setVisible(not self.active)
        for control in (self.aspect_box, self._size, self.apply_button, self.cancel_button):
            control.setVisible(self.active)
        self.crop_button.setEnabled(state.source is not None)
        self.whole_button.setEnabled(state.settings.shared.crop is not None)

    @Slot()
    def _on_crop(self) -> None:
        self.active = True
        self.cropping.emit(True)  # the whole photo is in view from here on
        crop = self._controller.state.settings.shared.crop
        self._region.set_mode("crop")
        self._region.set_crop_rect(None if crop is None else QRect(crop.x, crop.y, crop.width, crop.height))
        self._show_state(self._controller.state)
        self._show_size()

    @Slot(int)
    def _on_aspect(self, index: int) -> None:
        self._region.set_aspect(self.aspect_box.itemData(index))

    @Slot()
    def _on_apply(self) -> None:
        rect = self._region.crop_rect()
        self._leave()
        crop = None if rect is None else Crop(rect.x(), rect.y(), rect.width(), rect.height())
        self._controller.change_shared(crop=crop)

    @Slot()
    def _leave(self) -> None:
        if self.active:
            self.active = False
            self._region.set_mode("none")
            self._region.set_crop_rect(None)
            self.cropping.emit(False)
            self._show_state(self._controller.state)

    @Slot(str)
    def _on_mode(self, mode: str) -> None:
        if self.active and mode != "crop":  # Escape, or another tool
            self._leave()

    @Slot()
    def _show_size(self) -> None:
        rect, source = self._region.crop_rect(), self._controller.state.source
        if source is not None:
            width, height = (source.width, source.height) if rect is None else (rect.width(), rect.height())
            self._size.setText(size_in_pixels(width, height))


def _segmenters() -> tuple[str, ...]:
    from engine.models.registry import list_models

    return tuple(card.name for card in list_models("dilated-segmenter"))


def _found_by(name: str, picture: Picture) -> np.ndarray:
    from engine.segmentation import Segmenter

    return Segmenter.load(name).segment(picture).mask > 0
