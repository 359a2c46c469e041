"""The presets of the Compress page: to choose, to add, to remove."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QInputDialog, QLabel, QToolButton, QWidget

from gui.controllers.compress_controller import CompressController
from gui.controllers.compress_presets import as_preset, with_preset

if TYPE_CHECKING:
    from engine.compression.presets import Preset, PresetShelf
    from gui.controllers.compress_settings import PageSettings
    from gui.services.context import Services


class PresetBar(QWidget):
    """A list of presets that sets the right side and what both sides share."""

    def __init__(self, controller: CompressController, services: Services, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._controller, self._services = controller, services
        self._own: set[str] = set()
        self.box = QComboBox()
        self.box.setAccessibleName("Preset")
        self.box.setToolTip("Settings by name, for the right side")
        self.box.activated.connect(self._on_chosen)
        self.add_button = self._button("plus", "Add these settings as a preset", self._on_add)
        self.remove_button = self._button("trash", "Remove this preset of yours", self._on_remove)
        label = QLabel("Preset")
        label.setProperty("look", "muted")
        label.setBuddy(self.box)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addWidget(label)
        layout.addWidget(self.box, 1)
        layout.addWidget(self.add_button)
        layout.addWidget(self.remove_button)
        controller.changed.connect(self._show_choice)
        self._presets: dict[str, Preset] = {}
        self._load()

    def _button(self, icon: str, text: str, call: object) -> QToolButton:
        button = QToolButton()
        button.setProperty("look", "flat")
        button.setToolTip(text)
        button.setAccessibleName(text)
        button.clicked.connect(call)
        self._services.theme.bind_icon(button, icon, "text", 18)
        return button

    @property
    def names(self) -> tuple[str, ...]:
        """Of all presets."""
        return tuple(self._presets)

    def _load(self) -> None:
        # Reading them needs the image libraries, which the window does not wait for.
        task = self._services.host.run(_load, engine=False)
        task.succeeded.connect(self._on_loaded)

    @Slot(object)
    def _on_loaded(self, found: tuple[PresetShelf, set[str]]) -> None:
        shelf, self._own = found
        for problem in shelf.problems:
            self._services.notices.info(problem)
        self._presets = {preset.name: preset for preset in shelf.presets}
        self.box.clear()
        self.box.addItem("Own settings", None)
        for preset in shelf.presets:
            self.box.addItem(preset.name, preset.name)
            self.box.setItemData(self.box.count() - 1, preset.about, Qt.ItemDataRole.ToolTipRole)
        self._show_choice()

    @Slot()
    def _show_choice(self) -> None:
        """Show the preset that the settings are, or that they are none."""
        settings = self._controller.state.settings
        chosen = next(
            (name for name, preset in self._presets.items() if with_preset(settings, preset) == settings), None
        )
        self.box.setCurrentIndex(max(0, self.box.findData(chosen)))
        self.remove_button.setEnabled(chosen in self._own)

    @Slot(int)
    def _on_chosen(self, index: int) -> None:
        preset = self._presets.get(self.box.itemData(index))
        if preset is not None:
            self._controller.apply(with_preset(self._controller.state.settings, preset))
        self._show_choice()

    @Slot()
    def _on_add(self) -> None:
        name, accepted = QInputDialog.getText(self, "Add a preset", "Name of the preset:")
        if accepted and name.strip():
            self.add(name.strip())

    def add(self, name: str) -> None:
        """Keep the present settings under a name; an older preset of that name is replaced."""
        task = self._services.host.run(partial(_add, name, self._controller.state.settings), engine=False)
        task.succeeded.connect(self._load)
        task.failed.connect(self._on_failed)

    @Slot()
    def _on_remove(self) -> None:
        task = self._services.host.run(partial(_remove, self.box.currentData()), engine=False)
        task.succeeded.connect(self._load)
        task.failed.connect(self._on_failed)

    @Slot(object)
    def _on_failed(self, error: Exception) -> None:
        self._services.notices.error(error, "The presets cannot be changed")


def _load() -> tuple[PresetShelf, set[str]]:
    from engine.compression.presets import BUILT_IN, load_presets

    shelf = load_presets()
    return shelf, {preset.name for preset in shelf.presets if preset not in BUILT_IN}


def _add(name: str, settings: PageSettings) -> None:
    from engine.compression.presets import save_preset

    save_preset(as_preset(name, settings))


def _remove(name: str) -> None:
    from engine.compression.presets import delete_preset

    delete_preset(name)
