"""Pictures for the tiles of the Generate page: one for every value of an attribute, and one for every model."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot

from engine.errors import LatentStudioError
from gui.controllers import generate_work as work

if TYPE_CHECKING:
    import numpy as np

    from gui.controllers.generate_controller import GenerateController


class GenerateTiles(QObject):
    """Draws them one after the other, so that other requests get their turn in between.

    Attributes:
        values: (H, W, 3) uint8 by attribute and value of the model in use, as far as they are drawn.
        models: (H, W, 3) uint8 by name of a model; None where it is not drawn yet, or cannot be.

    Signals:
        values_changed(str): the pictures of an attribute arrived.
        models_changed(): the picture of a model arrived.
    """

    values_changed = Signal(str)
    models_changed = Signal()

    def __init__(self, controller: GenerateController) -> None:
        super().__init__(controller)
        self.values: dict[str, dict[str, np.ndarray]] = {}
        self.models: dict[str, np.ndarray | None] = {}
        self._controller = controller

    def start(self) -> None:
        """Another model is in use."""
        self.values = {}
        self._draw_next()

    def _draw_next(self) -> None:
        generator, state = self._controller.generator, self._controller.state
        host = self._controller.services.host
        if generator is None:
            return
        for attribute in state.attributes:
            if attribute.name not in self.values:
                task = host.run(partial(work.draw_tiles, generator, attribute.name))
                task.succeeded.connect(self._on_values)
                task.failed.connect(self._on_failed)
                return
        for card in state.models:
            if card.name not in self.models:
                # Before it is there: a model that cannot be drawn is not tried again.
                self.models[card.name] = None
                task = host.run(partial(work.draw_model_picture, card.name))
                task.succeeded.connect(self._on_model)
                task.failed.connect(self._on_no_model)
                return

    @Slot(object)
    def _on_values(self, tiles: work.Tiles) -> None:
        if tiles.model == self._controller.state.model:
            self.values[tiles.attribute] = tiles.pictures
            self.values_changed.emit(tiles.attribute)
            self._draw_next()

    @Slot(object)
    def _on_model(self, drawn: tuple[str, np.ndarray]) -> None:
        self.models[drawn[0]] = drawn[1]
        self.models_changed.emit()
        self._draw_next()

    @Slot(object)
    def _on_no_model(self, _error: LatentStudioError) -> None:
        # Choosing the model says what is wrong with it.
        self._draw_next()

    @Slot(object)
    def _on_failed(self, error: LatentStudioError) -> None:
        self._controller.services.notices.error(error, self.tr("Generate"))
