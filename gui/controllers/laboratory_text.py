"""Text read by a causal stack of dilated convolutions: which characters one position knows of."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal, Slot

from engine.progress import Progress

if TYPE_CHECKING:
    import numpy as np

    from engine.laboratory.causal_text import CausalStack
    from engine.laboratory.text_field import CausalNetwork
    from engine.progress import CancelToken, ProgressCallback
    from gui.services.context import Services
    from gui.services.jobs import Job

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
        influence: (len(text),) how strongly each character moves the output, or None.
        network: trained with these layers; None while the weights are random.
        bits: of the trained network, per character of text that it has not seen.
        next_characters: what it expects after the character looked at, with probabilities.
        training: a training is under way.
    """

    text: str = SENTENCE
    position: int = len(SENTENCE) - 1
    kernel: int = 2
    layers: int = 4
    doubling: bool = True
    influence: np.ndarray | None = None
    network: CausalNetwork | None = None
    bits: float = 0.0
    next_characters: tuple[tuple[str, float], ...] = ()
    training: bool = False

    @property
    def stack(self) -> CausalStack:
        """The stack that these settings describe."""
        from engine.laboratory.causal_text import CausalStack, rates_of

        return CausalStack(self.kernel, rates_of(self.layers, self.doubling))


class TextController(QObject):
    """State and verbs of the text view.

    Signals:
        changed(TextState): something on show differs now.
        progressed(Progress): how far the training has come.
    """

    changed = Signal(object)
    progressed = Signal(object)

    def __init__(self, services: Services, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._services = services
        self._state = TextState()
        self._live = services.host.live(self, follow=True)
        self._live.result.connect(self._on_influence)
        self._live.failed.connect(self._on_failed)
        self._job: Job | None = None

    @property
    def state(self) -> TextState:
        """What is on show now."""
        return self._state

    def refresh(self) -> None:
        """Ask for the influence of the characters."""
        state = self._state
        if state.text:
            self._live.request(partial(_influence, state.text, state.stack, state.position, state.network))

    def set_text(self, text: str) -> None:
        """Another sentence; its last character is looked at."""
        text = text[:LONGEST]
        self._set(text=text, position=max(0, len(text) - 1), influence=None, next_characters=())
        self.refresh()

    def look_at(self, position: int) -> None:
        """Another character."""
        if 0 <= position < len(self._state.text) and position != self._state.position:
            self._set(position=position, influence=None, next_characters=())
            self.refresh()

    def change(self, **changes: Any) -> None:
        """Change kernel, layers or doubling; what was trained with other layers is let go."""
        self.cancel()
        self._set(**changes, influence=None, network=None, next_characters=())
        self.refresh()

    def train(self) -> None:
        """Teach a network of these layers to predict the next character of Python's manual, as a job."""
        if self._job is None:
            job = self._job = self._services.jobs.submit("Learn to read", partial(_train, self._state.stack))
            job.changed.connect(self._on_job_changed)
            job.finished.connect(self._on_trained)
            job.failed.connect(self._on_training_failed)
            job.cancelled.connect(self._on_training_cancelled)
            self._set(training=True)

    def cancel(self) -> None:
        """Stop the training; what was trained before stays."""
        if self._job is not None:
            self._job.cancel()
            self._job = None
            self._set(training=False)

    def forget(self) -> None:
        """Back to random weights."""
        self._set(network=None, next_characters=(), influence=None)
        self.refresh()

    @Slot()
    def _on_job_changed(self) -> None:
        job = self._job
        if job is not None and job is self.sender():
            self.progressed.emit(Progress(round(1000 * job.fraction), 1000, job.message))

    @Slot(object)
    def _on_trained(self, trained: tuple[CausalStack, CausalNetwork, float]) -> None:
        if self.sender() is self._job:
            self._job = None
            self._set(training=False, network=trained[1], bits=trained[2], influence=None)
            self.refresh()

    @Slot(object)
    def _on_training_failed(self, error: Exception) -> None:
        if self.sender() is self._job:
            self._job = None
            self._set(training=False)
        self._services.notices.error(error, "The network cannot be trained")

    @Slot()
    def _on_training_cancelled(self) -> None:
        if self.sender() is self._job:
            self._job = None
            self._set(training=False)

    @Slot(object, int)
    def _on_influence(self, found: _Found, _stamp: int) -> None:
        state = self._state
        if (found.text, found.position, found.network) == (state.text, state.position, state.network):
            self._set(influence=found.influence, next_characters=found.next_characters)

    @Slot(object, int)
    def _on_failed(self, error: Exception, _stamp: int) -> None:
        self._services.notices.error(error, "The text cannot be read")

    def _set(self, **changes: Any) -> None:
        self._state = dataclasses.replace(self._state, **changes)
        self.changed.emit(self._state)


@dataclass(frozen=True, eq=False)
class _Found:
    """What the engine brings back."""

    text: str
    position: int
    network: CausalNetwork | None
    influence: np.ndarray
    next_characters: tuple[tuple[str, float], ...]


def _influence(
    text: str, stack: CausalStack, position: int, network: CausalNetwork | None, _token: CancelToken
) -> _Found:
    from engine.laboratory.text_field import influence, next_characters, random_network

    strength = influence(text, network or random_network(stack), position)
    expected = tuple(next_characters(text, network, position)) if network is not None else ()
    return _Found(text, position, network, strength, expected)


def _train(
    stack: CausalStack, progress: ProgressCallback, cancel: CancelToken | None
) -> tuple[CausalStack, CausalNetwork, float]:
    from engine.laboratory.text_field import train

    return stack, *train(stack, progress=progress, cancel=cancel)
