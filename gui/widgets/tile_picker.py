"""TilePicker: choose one value by its picture, or leave the choice to chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QIcon, QKeyEvent, QPixmap, QResizeEvent
from PySide6.QtWidgets import QButtonGroup, QToolButton, QWidget

from gui.services.theme import Theme
from gui.widgets.flow_panel import FlowPanel
from gui.widgets.qimage import to_qimage

if TYPE_CHECKING:
    import numpy as np

ICON_SIDES = (64, 56, 48, 40, 36, 32)  # the largest with which all tiles fit into one line
TILE_FRAME = 11  # around the icon: padding and border
SPACING = 5
ANY = ""


class TilePicker(FlowPanel):
    """One tile per value and one for "any"; arrow keys move, Tab leaves.

    Signals:
        picked(str): the value, or ANY.
    """

    picked = Signal(str)

    def __init__(self, name: str, values: Sequence[str], any_text: str, parent: QWidget | None = None) -> None:
        super().__init__(SPACING, parent)
        self.setAccessibleName(name)
        self._buttons: dict[str, QToolButton] = {}
        self._group = QButtonGroup(self)
        self._group.setExclusive(True)
        self._icon_side = ICON_SIDES[-1]
        for value in (ANY, *values):
            button = _Tile(self)
            button.setCheckable(True)
            # Ten tiles fit side by side only where their frames are narrow.
            button.setStyleSheet("padding: 3px;")
            button.setText(value or any_text)
            button.setAccessibleName(f"{name}: {value or any_text}")
            button.setToolTip(value or any_text)
            button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextUnderIcon)
            button.setIconSize(QSize(self._icon_side, self._icon_side))
            self._group.addButton(button)
            self._buttons[value] = button
            self.add(button)
        Theme.current().bind_icon(self._buttons[ANY], "dice", "muted", 32)
        self._buttons[ANY].setChecked(True)
        self._group.buttonClicked.connect(self._on_clicked)
        self.setFocusProxy(self._buttons[ANY])

    @property
    def value(self) -> str:
        """The picked value, or ANY."""
        return next(value for value, button in self._buttons.items() if button.isChecked())

    def button(self, value: str) -> QToolButton:
        """The tile of a value."""
        return self._buttons[value]

    def set_value(self, value: str | None) -> None:
        """Check the tile of `value` without a signal; None or an unknown one checks "any"."""
        button = self._buttons.get(value or ANY, self._buttons[ANY])
        button.setChecked(True)
        self.setFocusProxy(button)

    def set_pictures(self, pictures: Mapping[str, np.ndarray]) -> None:
        """Give tiles their pictures, (H, W, 3) uint8."""
        for value, pixels in pictures.items():
            if value in self._buttons:
                self._buttons[value].setIcon(picture_icon(pixels, ICON_SIDES[0]))

    def resizeEvent(self, event: QResizeEvent) -> None:
        room = (self.width() + SPACING) // max(1, len(self._buttons)) - SPACING - TILE_FRAME
        side = next((side for side in ICON_SIDES if side <= room), ICON_SIDES[3])
        if side != self._icon_side:
            self._icon_side = side
            for button in self._buttons.values():
                button.setIconSize(QSize(side, side))
        super().resizeEvent(event)

    def step_from(self, button: QToolButton, step: int) -> None:
        """Go to the tile `step` places after `button` and pick it."""
        buttons = list(self._buttons.values())
        target = buttons[(buttons.index(button) + step) % len(buttons)]
        target.setFocus(Qt.FocusReason.TabFocusReason)
        target.click()

    def _on_clicked(self, _button: QToolButton) -> None:
        self.picked.emit(self.value)


class _Tile(QToolButton):
    def keyPressEvent(self, event: QKeyEvent) -> None:
        steps = {Qt.Key.Key_Left: -1, Qt.Key.Key_Up: -1, Qt.Key.Key_Right: 1, Qt.Key.Key_Down: 1}
        picker = self.parentWidget()
        if event.key() in steps and isinstance(picker, TilePicker):
            picker.step_from(self, steps[Qt.Key(event.key())])
        else:
            super().keyPressEvent(event)


def picture_icon(pixels: np.ndarray, side: int) -> QIcon:
    """An icon from (H, W, 3) uint8 pixels, sharp on screens with up to three device pixels a pixel."""
    image = to_qimage(pixels)
    larger = max(image.width(), image.height()) > 3 * side
    mode = Qt.TransformationMode.SmoothTransformation if larger else Qt.TransformationMode.FastTransformation
    scaled = image.scaled(3 * side, 3 * side, Qt.AspectRatioMode.KeepAspectRatio, mode)
    return QIcon(QPixmap.fromImage(scaled))
