"""Text read by a causal stack of dilated convolutions: which characters one position knows of."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal, Slot

if TYPE_CHECKING:
    import numpy as np

    from engine.laboratory.causal_text import CausalStack
    from engine.progress import CancelToken
    from gui.services.context import Services

SENTENCE = "Dilated convolutions read far back with few layers."
LONGEST = 64  # characters that fit on the screen


@dataclass(frozen=True, eq=False)
class TextState:
    """Everything the text view shows.

    Attributes:
        text: what was typed.
        position: the character whose output is looked at.
        kernel: taps of every layer.
        layers: how many.
        doubling: rates 1, 2, 4, ... instead of 1, 1, 1, ...
        influence: (len(text),) how strongly each character moves the output at random weights, or None.
    """

    text: str = SENTENCE
    position: int = len(SENTENCE) - 1
    kernel: int = 2
    layers: int = 4
    doubling: bool = True
    influence: np.ndarray | None = None

    @property
    def stack(self) -> CausalStack:
        """The stack that these settings describe."""
        from engine.laboratory.causal_text import CausalStack, rates_of

        return CausalStack(self.kernel, rates_of(self.layers, self.doubling))


class TextController(QObject):
    """State and verbs of the text view.

    Signals:
        changed(TextState): something on show differs now.
    """

    changed = Signal(object)

    def __init__(self, services: Services, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._services = services
        self._state = TextState()
        self._live = services.host.live(self, follow=True)
        self._live.result.connect(self._on_influence)
        self._live.failed.connect(self._on_failed)

    @property
    def state(self) -> TextState:
        """What is on show now."""
        return self._state

    def refresh(self) -> None:
        """Ask for the influence of the characters."""
        state = self._state
        if state.text:
            self._live.request(partial(_influence, state.text, state.stack, state.position))

    def set_text(self, text: str) -> None:
        """Another sentence; its last character is looked at."""
        text = text[:LONGEST]
        self._set(text=text, position=max(0, len(text) - 1), influence=None)
        self.refresh()

    def look_at(self, position: int) -> None:
        """Another character."""
        if 0 <= position < len(self._state.text) and position != self._state.position:
            self._set(position=position, influence=None)
            self.refresh()

    def change(self, **changes: Any) -> None:
        """Change kernel, layers or doubling."""
        self._set(**changes, influence=None)
        self.refresh()

    @Slot(object, int)
    def _on_influence(self, found: tuple[str, int, np.ndarray], _stamp: int) -> None:
        text, position, influence = found
        if (text, position) == (self._state.text, self._state.position):
            self._set(influence=influence)

    @Slot(object, int)
    def _on_failed(self, error: Exception, _stamp: int) -> None:
        self._services.notices.error(error, "The text cannot be read")

    def _set(self, **changes: Any) -> None:
        self._state = dataclasses.replace(self._state, **changes)
        self.changed.emit(self._state)


def _influence(text: str, stack: CausalStack, position: int, _token: CancelToken) -> tuple[str, int, np.ndarray]:
    from engine.laboratory.text_field import influence

    return text, position, influence(text, stack, position)
