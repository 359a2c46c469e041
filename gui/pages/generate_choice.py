"""ChoicePanel: what the samples shall show. Tiles for one attribute; for several, chips that open tiles below them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QIcon, QKeyEvent
from PySide6.QtWidgets import QToolButton, QVBoxLayout, QWidget

from gui.controllers.generate_settings import GenerateSettings, attribute_words
from gui.widgets.flow_panel import FlowPanel
from gui.widgets.inspector_column import prepare_controls
from gui.widgets.tile_picker import TilePicker, picture_icon

if TYPE_CHECKING:
    import numpy as np

    from engine.models.card import Attribute

CHIP_ICON = 22


class AttributeChip(QToolButton):
    """One attribute and its value; pressed, its tiles are shown. Delete leaves it to chance.

    Signals:
        cleared(): back to "any".
    """

    cleared = Signal()

    def __init__(self, attribute: Attribute) -> None:
        super().__init__()
        self.words = attribute_words(attribute.name)
        self.value: str | None = None
        self.setCheckable(True)
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.setIconSize(QSize(CHIP_ICON, CHIP_ICON))
        self.show_value(None, None)

    def show_value(self, value: str | None, pixels: np.ndarray | None) -> None:
        """Show what is chosen, with its picture where there is one."""
        self.value = value
        self.setText(self.tr("{name}: {value}").format(name=self.words, value=value or self.tr("any")))
        self.setIcon(QIcon() if value is None or pixels is None else picture_icon(pixels, CHIP_ICON))
        self.setAccessibleName(self.text())
        clear = self.tr("Delete leaves it to chance") if value is not None else self.tr("Left to chance")
        self.setToolTip(self.tr("{clear}; press to choose").format(clear=clear))
        if self.property("chosen") != (value is not None):
            self.setProperty("chosen", value is not None)
            self.style().unpolish(self)
            self.style().polish(self)
        self.updateGeometry()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self.cleared.emit()
        else:
            super().keyPressEvent(event)


class ChoicePanel(QWidget):
    """Shows the choice and forwards what the person picks.

    Attributes:
        tiles: the picker that is shown, or None.
        chips: by attribute; empty where the model has a single one.

    Signals:
        picked(str, object): attribute, and the value or None for "any".
        cleared(): every attribute back to "any".
        mix_wanted(str, str): an attribute and the value to mix with.
    """

    picked = Signal(str, object)
    cleared = Signal()
    mix_wanted = Signal(str, str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.tiles: TilePicker | None = None
        self.chips: dict[str, AttributeChip] = {}
        self._attributes: dict[str, Attribute] = {}
        self._pictures: dict[str, Mapping[str, np.ndarray]] = {}
        self._settings = GenerateSettings()
        self._open = ""
        self._bar: FlowPanel | None = None
        self._all_any: QToolButton | None = None
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(8)

    def set_attributes(self, attributes: Sequence[Attribute]) -> None:
        """Another model: build chips or tiles anew."""
        for old in (self._bar, self.tiles):
            if old is not None:
                old.hide()
                old.deleteLater()
        self._bar, self._all_any, self.tiles, self.chips = None, None, None, {}
        self._attributes = {attribute.name: attribute for attribute in attributes}
        self._pictures = {}
        if len(attributes) == 1:
            self._show_tiles(attributes[0].name)
            return
        self._open = ""
        if attributes:
            self._build_chips(attributes)

    def set_pictures(self, attribute: str, pictures: Mapping[str, np.ndarray]) -> None:
        """Pictures (H, W, 3) uint8 of the values of an attribute."""
        self._pictures[attribute] = pictures
        if attribute == self._open and self.tiles is not None:
            self.tiles.set_pictures(pictures)
        self.show_settings(self._settings)

    def show_settings(self, settings: GenerateSettings) -> None:
        """Show the choice and the mix of these settings."""
        self._settings = settings
        for name, chip in self.chips.items():
            value = settings.choice.get(name)
            chip.show_value(value, None if value is None else self._pictures.get(name, {}).get(value))
        if self._all_any is not None:
            self._all_any.setEnabled(bool(settings.choice))
        if self.tiles is not None:
            self.tiles.set_value(settings.choice.get(self._open))
            mix = settings.mix
            self.tiles.set_mixed(mix.value if mix is not None and mix.attribute == self._open else None)

    def open_attribute(self, name: str) -> None:
        """Show the tiles of an attribute below the chips; of one that is open they are put away."""
        name = "" if name == self._open else name
        if self.tiles is not None:
            self.tiles.hide()
            self.tiles.deleteLater()
            self.tiles = None
        self._open = ""
        if name:
            self._show_tiles(name)
        for other, chip in self.chips.items():
            chip.setChecked(other == name)

    def _show_tiles(self, name: str) -> None:
        attribute = self._attributes[name]
        self._open = name
        tiles = TilePicker(attribute_words(name), attribute.values, self.tr("Any"))
        tiles.setToolTip("")
        tiles.picked.connect(partial(self._on_picked, name))
        tiles.mix_wanted.connect(partial(self.mix_wanted.emit, name))
        tiles.set_pictures(self._pictures.get(name, {}))
        prepare_controls(tiles)
        self._column.addWidget(tiles)
        self.tiles = tiles
        self.show_settings(self._settings)

    def _build_chips(self, attributes: Sequence[Attribute]) -> None:
        bar = FlowPanel(6)
        bar.setStyleSheet("QToolButton[chosen='true'] { border-color: palette(highlight); font-weight: 600; }")
        for attribute in attributes:
            chip = AttributeChip(attribute)
            chip.clicked.connect(partial(self._on_chip, attribute.name))
            chip.cleared.connect(partial(self.picked.emit, attribute.name, None))
            self.chips[attribute.name] = chip
            bar.add(chip)
        self._all_any = QToolButton()
        self._all_any.setText(self.tr("All any"))
        self._all_any.setProperty("look", "flat")
        self._all_any.setToolTip(self.tr("Leave every attribute to chance"))
        self._all_any.clicked.connect(self._on_all_any)
        bar.add(self._all_any)
        self._bar = bar
        self._column.addWidget(bar)

    def _on_chip(self, name: str, _checked: bool = False) -> None:
        self.open_attribute(name)

    def _on_picked(self, name: str, value: str) -> None:
        self.picked.emit(name, value or None)

    def _on_all_any(self) -> None:
        self.cleared.emit()
