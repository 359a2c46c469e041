"""What can be done with the selected samples: one set of actions for the panel, the menu of the grid and the keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QAction, QGuiApplication, QKeySequence
from PySide6.QtWidgets import QWidget

from gui.controllers.generate_controller import GenerateController
from gui.controllers.generate_edits import COMPARE, MORPH
from gui.pages.actions import make_action
from gui.services.context import Services

if TYPE_CHECKING:
    from engine.generation import Sample


class SampleActions(QObject):
    """The actions, each for the samples that are selected in the grid.

    Attributes:
        selected: the samples that are selected, the one shown large among them.

    Signals:
        save_wanted(): ask where, and save the selected sample.
    """

    save_wanted = Signal()

    def __init__(self, controller: GenerateController, services: Services, page: QWidget) -> None:
        super().__init__(page)
        self.controller = controller
        self.selected: list[Sample] = []
        self._services = services
        self._page = page
        make = self._make
        self.star = make(self.tr("Star"), "star", self._on_star, "S")
        self.star.setCheckable(True)
        self.save = make(self.tr("Save…"), "save", self._on_save, QKeySequence.StandardKey.Save)
        self.copy_seed = make(self.tr("Copy seed"), "copy", self._on_copy_seed)
        self.use = make(self.tr("Use all settings"), "generate", self._on_use)
        self.latents = make(self.tr("Open in Latents"), "latents", self._on_latents)
        self.vary = make(self.tr("Vary"), "dice", self._on_vary, "V")
        self.more_like = make(self.tr("More like this"), "plus", self._on_more_like)
        self.morph = make(self.tr("Morph into…"), "swap", self._on_morph)
        self.compare = make(self.tr("Compare with…"), "compare", self._on_compare, "M")
        self.nearest = make(self.tr("Nearest real pictures"), "search", self._on_nearest)
        self.delete = make(self.tr("Delete"), "trash", self._on_delete, QKeySequence.StandardKey.Delete)
        self.menu = [
            self.vary, self.more_like, self.morph, self.compare, self.nearest, self.use, self.copy_seed, self.latents,
            self.star, self.save, self.delete,
        ]  # fmt: skip
        for action in self.menu:
            if action is not self.save:
                action.setShortcutContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        self.set_selected([])

    def _make(self, text: str, icon: str, slot, shortcut: str | QKeySequence.StandardKey = "") -> QAction:
        action = make_action(self._page, self._services.theme, text, icon, slot, shortcut)
        keys = action.shortcut().toString(QKeySequence.SequenceFormat.NativeText)
        action.setToolTip(f"{text.rstrip('…')} ({keys})" if keys else text.rstrip("…"))
        return action

    def set_selected(self, samples: list[Sample]) -> None:
        """Other samples are selected."""
        self.selected = samples
        for action in self.menu:
            action.setEnabled(bool(samples))
        two = len(samples) == 2
        several = len(samples) > 1
        for action in (self.vary, self.nearest, self.use, self.latents):
            action.setEnabled(len(samples) == 1)
        for action in (self.morph, self.compare):
            action.setEnabled(len(samples) in (1, 2))
        seed = samples[0].latent.seed if len(samples) == 1 else None
        self.copy_seed.setEnabled(seed is not None)
        self.morph.setText(self.tr("Morph the two") if two else self.tr("Morph into…"))
        self.compare.setText(self.tr("Compare the two") if two else self.tr("Compare with…"))
        self.more_like.setText(self.tr("More like these") if several else self.tr("More like this"))
        self.show_stars()

    def show_stars(self) -> None:
        """Stars were given or taken."""
        keeping = self.controller.keeping
        self.star.setChecked(bool(self.selected) and all(keeping.starred(sample) for sample in self.selected))

    def _on_star(self) -> None:
        self.controller.keeping.star(self.selected, self.star.isChecked())

    def _on_save(self) -> None:
        self.save_wanted.emit()

    def _on_copy_seed(self) -> None:
        if self.selected and self.selected[0].latent.seed is not None:
            seed = self.selected[0].latent.seed
            QGuiApplication.clipboard().setText(str(seed))
            self._services.notices.info(self.tr("Seed {seed} copied.").format(seed=seed))

    def _on_use(self) -> None:
        self.controller.use_settings()

    def _on_latents(self) -> None:
        self.controller.open_in_latents()

    def _on_vary(self) -> None:
        if self.selected:
            self.controller.edits.vary(self.selected[0].latent)

    def _on_more_like(self) -> None:
        if self.selected:
            self.controller.edits.more_like([sample.latent for sample in self.selected])

    def _on_morph(self) -> None:
        self._pair(MORPH)

    def _on_compare(self) -> None:
        self._pair(COMPARE)

    def _pair(self, purpose: str) -> None:
        if self.selected:
            second = self.selected[1] if len(self.selected) == 2 else None
            self.controller.edits.pair(purpose, self.selected[0], second)

    def _on_nearest(self) -> None:
        if self.selected:
            self.controller.nearest.find(self.selected[0])

    def _on_delete(self) -> None:
        self.controller.grids.delete(self.selected)
