"""TilePicker: choose one value by its picture, or leave the choice to chance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QIcon, QKeyEvent, QMouseEvent, QPixmap, QResizeEvent, QShowEvent
from PySide6.QtWidgets import QButtonGroup, QFrame, QLineEdit, QScrollArea, QToolButton, QVBoxLayout, QWidget

from gui.services.qimage import to_qimage
from gui.services.theme import Theme
from gui.widgets.flow_panel import FlowPanel

if TYPE_CHECKING:
    import numpy as np

ICON_SIDES = (64, 56, 48, 40, 36)  # the largest with which the tiles fit into the lines they may take
TILE_FRAME = 11  # around the icon: padding and border
TEXT_WIDTH = 76  # longer names are cut
SPACING = 5
FILTER_FROM = 13  # with so many values a field to filter them is shown
FILTER_WIDTH = 240
HINT_WIDTH = 200
ANY = ""


class TilePicker(QWidget):
    """One tile per value and, unless `any_text` is None, one for "any".

    Arrow keys move, Tab leaves, letters find a value by its name: with many values they filter the tiles.

    Args:
        name: what is chosen, for screen readers.
        values: the choices.
        any_text: of the tile that leaves the choice to chance.
        lines: more lines of tiles than this scroll.

    Signals:
        picked(str): the value, or ANY.
        mix_wanted(str): a value was clicked with the control key held.
    """

    picked = Signal(str)
    mix_wanted = Signal(str)

    def __init__(
        self,
        name: str,
        values: Sequence[str],
        any_text: str | None = None,
        parent: QWidget | None = None,
        *,
        lines: int = 2,
    ) -> None:
        super().__init__(parent)
        self.setAccessibleName(name)
        self._lines = lines
        self._left_out: set[_Tile] = set()  # by the filter
        self._filter: QLineEdit | None = None
        self._flow = FlowPanel(SPACING)
        # Ten tiles fit side by side only where their frames are narrow.
        self._flow.setStyleSheet(
            "QToolButton { padding: 3px; } QToolButton[mixed='true'] { border: 2px dashed palette(highlight); }"
        )
        self._group = QButtonGroup(self)
        self._group.setExclusive(True)
        self._buttons: dict[str, _Tile] = {}
        choices = list(values) if any_text is None else [ANY, *values]
        for value in choices:
            text = value or any_text or ""
            button = _Tile(self, text)
            button.setAccessibleName(f"{name}: {text}")
            self._group.addButton(button)
            self._buttons[value] = button
            self._flow.add(button)
        if ANY in self._buttons:
            Theme.current().bind_icon(self._buttons[ANY], "dice", "muted", 32)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        if len(values) >= FILTER_FROM:
            self._filter = QLineEdit()
            self._filter.setPlaceholderText(self.tr("Type to find one of {n}").format(n=len(values)))
            self._filter.setAccessibleName(self.tr("Find: {name}").format(name=name))
            self._filter.setClearButtonEnabled(True)
            self._filter.textChanged.connect(self._on_filter)
            self._filter.returnPressed.connect(self._on_filter_accepted)
            self._filter.setFixedWidth(FILTER_WIDTH)
            column.addWidget(self._filter)
        self._area = QScrollArea()
        self._area.setWidget(self._flow)
        self._area.setWidgetResizable(True)
        self._area.setFrameShape(QFrame.Shape.NoFrame)
        self._area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        column.addWidget(self._area)
        first = next(iter(self._buttons.values()), None)
        if first is not None:
            first.setChecked(True)
            self.setFocusProxy(first)
        self._group.buttonClicked.connect(self._on_clicked)
        self._fit()

    @property
    def value(self) -> str:
        """The picked value, or ANY."""
        return next((value for value, button in self._buttons.items() if button.isChecked()), ANY)

    def button(self, value: str) -> _Tile:
        """The tile of a value."""
        return self._buttons[value]

    def set_value(self, value: str | None) -> None:
        """Check the tile of `value` without a signal; None or an unknown one checks "any" where it exists."""
        button = self._buttons.get(value or ANY) or self._buttons.get(ANY)
        if button is not None:
            button.setChecked(True)
            self.setFocusProxy(button)

    def set_mixed(self, value: str | None) -> None:
        """Mark the value that the picked one is mixed with."""
        for known, button in self._buttons.items():
            button.set_marked(known == value and bool(known))

    def set_pictures(self, pictures: Mapping[str, np.ndarray]) -> None:
        """Give tiles their pictures, (H, W, 3) uint8."""
        for value, pixels in pictures.items():
            if value in self._buttons:
                self._buttons[value].setIcon(picture_icon(pixels, ICON_SIDES[0]))

    def sizeHint(self) -> QSize:
        # A wide wish would make what stands above and below it believe in long lines, and reckon too low.
        return QSize(HINT_WIDTH, super().sizeHint().height())

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        # Only now have the tiles the font, and with it the size, that they will have.
        self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def step_from(self, button: _Tile, key: Qt.Key) -> None:
        """Go from a tile to the next in the direction of an arrow key, and pick it."""
        shown = [other for other in self._buttons.values() if other not in self._left_out]
        if key in (Qt.Key.Key_Left, Qt.Key.Key_Right):
            step = 1 if key == Qt.Key.Key_Right else -1
            target = shown[(shown.index(button) + step) % len(shown)] if button in shown else shown[0]
        else:
            centre = button.geometry().center()
            down = key == Qt.Key.Key_Down
            others = [other for other in shown if (other.y() > button.y() if down else other.y() < button.y())]
            if not others:
                return
            nearest_line = min((other.y() for other in others), key=lambda y: abs(y - button.y()))
            line = [other for other in others if other.y() == nearest_line]
            target = min(line, key=lambda other: abs(other.geometry().center().x() - centre.x()))
        self._go_to(target)

    def find(self, letters: str) -> None:
        """Letters were typed on a tile: filter, or go to the next value that begins with them."""
        if self._filter is not None:
            self._filter.setFocus(Qt.FocusReason.ShortcutFocusReason)
            self._filter.setText(letters)
            return
        names = [value for value in self._buttons if value.casefold().startswith(letters.casefold()) and value]
        if names:
            after = names[(names.index(self.value) + 1) % len(names)] if self.value in names else names[0]
            self._go_to(self._buttons[after])

    def clicked_with_control(self, button: _Tile) -> None:
        """A tile was clicked with the control key held."""
        value = next(known for known, other in self._buttons.items() if other is button)
        if value:
            self.mix_wanted.emit(value)

    def _go_to(self, button: _Tile) -> None:
        button.setFocus(Qt.FocusReason.TabFocusReason)
        self._area.ensureWidgetVisible(button, 0, 0)
        button.click()

    def _on_clicked(self, button: QToolButton) -> None:
        self.setFocusProxy(button)
        self.picked.emit(self.value)

    def _on_filter(self, text: str) -> None:
        wanted = text.casefold().strip()
        self._left_out = {b for value, b in self._buttons.items() if wanted and wanted not in value.casefold()}
        self._flow.leave_out(self._left_out)
        self._fit()

    def _on_filter_accepted(self) -> None:
        """Enter takes the first of the values left, and all are shown again."""
        assert self._filter is not None
        first = next((b for value, b in self._buttons.items() if value and b not in self._left_out), None)
        if self._filter.text().strip() and first is not None:
            self._filter.clear()
            self._go_to(first)

    def _fit(self) -> None:
        """The largest pictures with which the tiles fit into few lines; what is left over scrolls."""
        text = max((button.text_width for button in self._buttons.values()), default=0)
        side, per_line, lines = self._best(self._area.width(), text)
        for button in self._buttons.values():
            button.set_icon_side(side, max(side, text))
        needed = max(1, math.ceil((len(self._buttons) - len(self._left_out)) / per_line))
        line = next((button.maximumHeight() for button in self._buttons.values()), 0)
        shown_lines = min(needed, lines)
        self._area.setFixedHeight(shown_lines * line + (shown_lines - 1) * SPACING)

    def _best(self, width: int, text: int) -> tuple[int, int, int]:
        """Side of the pictures, tiles in a line, and lines that are shown at once."""
        for lines in range(1, self._lines + 1):
            for side in ICON_SIDES:
                per_line = max(1, (width + SPACING) // (max(side, text) + TILE_FRAME + SPACING))
                if per_line * lines >= len(self._buttons):
                    return side, per_line, lines
        # They scroll in any case: then they may as well be large enough to be seen.
        side = ICON_SIDES[3]
        inner = width - self._area.verticalScrollBar().sizeHint().width()
        return side, max(1, (inner + SPACING) // (max(side, text) + TILE_FRAME + SPACING)), self._lines


class _Tile(QToolButton):
    def __init__(self, picker: TilePicker, text: str) -> None:
        super().__init__()
        self._picker = picker
        self._marked = False
        self.setCheckable(True)
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextUnderIcon)
        self.setToolTip(text)
        self.ensurePolished()
        shown = self.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, TEXT_WIDTH)
        self.setText(shown)
        self.text_width = self.fontMetrics().horizontalAdvance(shown) + 2

    def set_icon_side(self, side: int, width: int) -> None:
        """Picture and tile of this size."""
        size = QSize(width + TILE_FRAME, side + self.fontMetrics().height() + TILE_FRAME + 3)
        if side != self.iconSize().width() or size != self.minimumSize():
            self.setIconSize(QSize(side, side))
            self.setFixedSize(size)

    def set_marked(self, marked: bool) -> None:
        """The mark of the second value of a mix."""
        if marked != self._marked:
            self._marked = marked
            self.setProperty("mixed", marked)
            self.style().unpolish(self)
            self.style().polish(self)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        arrows = (Qt.Key.Key_Left, Qt.Key.Key_Right, Qt.Key.Key_Up, Qt.Key.Key_Down)
        plain = event.modifiers() in (Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ShiftModifier)
        if event.key() in arrows:
            self._picker.step_from(self, Qt.Key(event.key()))
        elif plain and event.text().isprintable() and event.text().strip():
            self._picker.find(event.text())
        else:
            super().keyPressEvent(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier and self.rect().contains(event.position().toPoint()):
            self.setDown(False)
            self._picker.clicked_with_control(self)
        else:
            super().mouseReleaseEvent(event)


def picture_icon(pixels: np.ndarray, side: int) -> QIcon:
    """An icon from (H, W, 3) uint8 pixels, sharp on screens with up to three device pixels a pixel."""
    image = to_qimage(pixels)
    larger = max(image.width(), image.height()) > 3 * side
    mode = Qt.TransformationMode.SmoothTransformation if larger else Qt.TransformationMode.FastTransformation
    scaled = image.scaled(3 * side, 3 * side, Qt.AspectRatioMode.KeepAspectRatio, mode)
    return QIcon(QPixmap.fromImage(scaled))
