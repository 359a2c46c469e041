"""The effective receptive field of a model at hand, at a place of the photo."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal, Slot

if TYPE_CHECKING:
    from engine.image import Picture
    from engine.laboratory.effective_field import EffectiveField
    from engine.models.card import ModelCard
    from engine.progress import CancelToken
    from gui.services.context import Services


@dataclass(frozen=True, eq=False)
class FieldState:
    """Everything the view of the effective field shows.

    Attributes:
        models: cards of the models at hand.
        model: name of the chosen one; "" while none is known.
        place: (x, y) in the photo.
        field: what the output there depends on, or None.
        found_by: the model that `field` belongs to.
        opacity: of the heat over the photo, 0..1.
        busy: a field is being computed.
    """

    models: tuple[ModelCard, ...] = ()
    model: str = ""
    place: tuple[int, int] = (0, 0)
    field: EffectiveField | None = None
    found_by: str = ""
    opacity: float = 0.8
    busy: bool = False


class FieldController(QObject):
    """State and verbs of the effective field.

    Signals:
        changed(FieldState): something on show differs now.
        picture_changed(Picture): another photo is on show.
    """

    changed = Signal(object)
    picture_changed = Signal(object)

    def __init__(self, services: Services, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._services = services
        self.picture: Picture | None = None
        self._state = FieldState()
        self._live = services.host.live(self)
        self._live.result.connect(self._on_found)
        self._live.failed.connect(self._on_failed)

    @property
    def state(self) -> FieldState:
        """What is on show now."""
        return self._state

    def load_models(self) -> None:
        """Ask for the models at hand."""
        task = self._services.host.run(_cards)
        task.succeeded.connect(self._on_models)
        task.failed.connect(self._on_models_failed)

    def set_picture(self, picture: Picture) -> None:
        """Take another photo; its middle is looked at."""
        self.picture = picture
        self._set(place=(picture.width // 2, picture.height // 2), field=None)
        self.picture_changed.emit(picture)
        self._ask()

    def set_model(self, name: str) -> None:
        """Choose the model."""
        if name != self._state.model:
            self._set(model=name, field=None)
            self._ask()

    def look_from(self, x: int, y: int) -> None:
        """Look at the output over a pixel of the photo."""
        self._set(place=(x, y))
        self._ask()

    def set_opacity(self, opacity: float) -> None:
        """Opacity of the heat, 0..1."""
        self._set(opacity=min(1.0, max(0.0, opacity)))

    def _ask(self) -> None:
        state = self._state
        if self.picture is not None and state.model:
            self._live.request(partial(_found, self.picture, state.model, state.place))
            self._set(busy=True)

    @Slot(object, int)
    def _on_found(self, found: tuple[str, EffectiveField], _stamp: int) -> None:
        self._set(found_by=found[0], field=found[1], busy=False)

    @Slot(object, int)
    def _on_failed(self, error: Exception, _stamp: int) -> None:
        self._set(busy=False)
        self._services.notices.error(error, "The field cannot be found")

    @Slot(object)
    def _on_models(self, cards: tuple[ModelCard, ...]) -> None:
        self._set(models=cards)
        names = [card.name for card in cards]
        if names and self._state.model not in names:
            segmenters = [card.name for card in cards if card.family == "dilated-segmenter"]
            self.set_model((segmenters or names)[0])

    @Slot(object)
    def _on_models_failed(self, error: Exception) -> None:
        self._services.notices.error(error, "The models cannot be listed")

    def _set(self, **changes: Any) -> None:
        self._state = dataclasses.replace(self._state, **changes)
        self.changed.emit(self._state)


def _cards() -> tuple[ModelCard, ...]:
    from engine.models.registry import list_models

    return tuple(list_models())


def _found(picture: Picture, model: str, place: tuple[int, int], token: CancelToken) -> tuple[str, EffectiveField]:
    from engine.device import choose_device
    from engine.laboratory.effective_field import effective_field
    from engine.models.registry import load_model

    network = load_model(model, choose_device().torch_device).network
    return model, effective_field(network, picture, place[1], place[0], cancel=token)
