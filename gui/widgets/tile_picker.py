"""TilePicker: choose one value by its picture, or leave the choice to chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QPoint, QRect, QSize, Qt, Signal
from PySide6.QtGui import QIcon, QKeyEvent, QPixmap
from PySide6.QtWidgets import QButtonGroup, QLayout, QLayoutItem, QSizePolicy, QToolButton, QWidget

from gui.services.theme import Theme
from gui.widgets.qimage import to_qimage

if TYPE_CHECKING:
    import numpy as np

ICON_SIDE = 40
ANY = ""


class FlowLayout(QLayout):
    """Places widgets in lines and breaks a line where the width ends."""

    def __init__(self, parent: QWidget | None = None, spacing: int = 6) -> None:
        super().__init__(parent)
        self._items: list[QLayoutItem] = []
        self.setSpacing(spacing)
        self.setContentsMargins(0, 0, 0, 0)

    def addItem(self, item: QLayoutItem) -> None:
        self._items.append(item)

    def count(self) -> int:
        return len(self._items)

    def itemAt(self, index: int) -> QLayoutItem | None:  # type: ignore[override]
        return self._items[index] if 0 <= index < len(self._items) else None

    def takeAt(self, index: int) -> QLayoutItem | None:  # type: ignore[override]
        return self._items.pop(index) if 0 <= index < len(self._items) else None

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        return self._place(QRect(0, 0, width, 0), move=False)

    def setGeometry(self, rect: QRect) -> None:
        super().setGeometry(rect)
        self._place(rect, move=True)

    def sizeHint(self) -> QSize:
        return self.minimumSize()

    def minimumSize(self) -> QSize:
        size = QSize()
        for item in self._items:
            size = size.expandedTo(item.minimumSize())
        return size

    def _place(self, rect: QRect, *, move: bool) -> int:
        left, top, line = rect.left(), rect.top(), 0
        for item in self._items:
            hint = item.sizeHint()
            if left > rect.left() and left + hint.width() > rect.right() + 1:
                left, top, line = rect.left(), top + line + self.spacing(), 0
            if move:
                item.setGeometry(QRect(QPoint(left, top), hint))
            left += hint.width() + self.spacing()
            line = max(line, hint.height())
        return top + line - rect.top()


class TilePicker(QWidget):
    """One tile per value and one for "any"; arrow keys move, Tab leaves.

    Signals:
        picked(str): the value, or ANY.
    """

    picked = Signal(str)

    def __init__(self, name: str, values: Sequence[str], any_text: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(name)
        self._buttons: dict[str, QToolButton] = {}
        self._group = QButtonGroup(self)
        self._group.setExclusive(True)
        flow = FlowLayout(self)
        for value in (ANY, *values):
            button = _Tile(self)
            button.setCheckable(True)
            button.setProperty("look", "tile")
            button.setText(value or any_text)
            button.setAccessibleName(f"{name}: {value or any_text}")
            button.setToolTip(value or any_text)
            button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextUnderIcon)
            button.setIconSize(QSize(ICON_SIDE, ICON_SIDE))
            self._group.addButton(button)
            self._buttons[value] = button
            flow.addWidget(button)
        Theme.current().bind_icon(self._buttons[ANY], "dice", "muted", ICON_SIDE)
        self._buttons[ANY].setChecked(True)
        self._group.buttonClicked.connect(self._on_clicked)
        self.setFocusProxy(self._buttons[ANY])
        policy = QSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)

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
                self._buttons[value].setIcon(picture_icon(pixels, ICON_SIDE))

    def move(self, button: QToolButton, step: int) -> None:
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
            picker.move(self, steps[Qt.Key(event.key())])
        else:
            super().keyPressEvent(event)


def picture_icon(pixels: np.ndarray, side: int) -> QIcon:
    """An icon from (H, W, 3) uint8 pixels, sharp on screens with up to three device pixels a pixel."""
    image = to_qimage(pixels)
    larger = max(image.width(), image.height()) > 3 * side
    mode = Qt.TransformationMode.SmoothTransformation if larger else Qt.TransformationMode.FastTransformation
    scaled = image.scaled(3 * side, 3 * side, Qt.AspectRatioMode.KeepAspectRatio, mode)
    return QIcon(QPixmap.fromImage(scaled))
