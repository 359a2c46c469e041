"""The layer-stack editor: layers in order, their figures, and what one output of any of them sees of the photo."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal, Slot

from engine.errors import LatentStudioError
from gui.controllers.history import History

if TYPE_CHECKING:
    import numpy as np

    from engine.image import Picture
    from engine.laboratory.layers import Facts, Layer
    from engine.laboratory.presets import Stack
    from engine.progress import CancelToken
    from gui.services.context import Services

FIRST = "Rates 2-2-2"
OWN = "My stack"
MAX_STRENGTH = 768  # values a side of the map laid over the photo


@dataclass(frozen=True, eq=False)
class SeenField:
    """What one output sees of the photo.

    Attributes:
        output: its (row, column) in the output of the chosen layer.
        box: (left, top, width, height) in pixels of the photo; may reach beyond it.
        strength: (h, w) float32, the share of paths over the photo, 1 at its largest; 0 = not seen.
        block: pixels of the photo per value of `strength`, along a side; of several pixels the largest value.
        pixels: how many pixels of the photo are seen.
    """

    output: tuple[int, int]
    box: tuple[int, int, int, int]
    strength: np.ndarray
    block: int
    pixels: int


@dataclass(frozen=True, eq=False)
class StackState:
    """Everything the stack editor shows.

    Attributes:
        name, note: of the preset that the stack came from; `OWN` once it was changed.
        in_channels: of the input.
        layers: in order.
        chosen: index of the layer whose field is shown and that is edited; -1 while there is none.
        facts: figures of the layers, on the photo; empty where `problem` says why.
        problem: what is wrong with the stack, or "".
        seen: the field of the chosen layer's output at `place`, or None.
        place: (x, y) in the photo that the field is looked at from.
        own_stacks: stacks of the models at hand.
        can_undo, can_redo: whether there are steps.
    """

    name: str = ""
    note: str = ""
    in_channels: int = 3
    layers: tuple[Layer, ...] = ()
    chosen: int = -1
    facts: tuple[Facts, ...] = ()
    problem: str = ""
    seen: SeenField | None = None
    place: tuple[int, int] = (0, 0)
    own_stacks: tuple[Stack, ...] = ()
    can_undo: bool = False
    can_redo: bool = False


class StackController(QObject):
    """State and verbs of the stack editor.

    Signals:
        changed(StackState): something on show differs now.
        picture_changed(Picture): another photo is on show.
    """

    changed = Signal(object)
    picture_changed = Signal(object)

    def __init__(self, services: Services, parent: QObject | None = None) -> None:
        super().__init__(parent)
        from engine.laboratory.presets import PRESETS, preset

        self._services = services
        self.presets = PRESETS
        self.picture: Picture | None = None
        self._state = StackState()
        self._history: History[StackState] = History()
        self._looking = services.host.live(self, follow=True)
        self._looking.result.connect(self._on_seen)
        self._looking.failed.connect(self._on_failed)
        self.take(preset(FIRST))
        self._history.clear()

    @property
    def state(self) -> StackState:
        """What is on show now."""
        return self._state

    def load_models(self) -> None:
        """Ask for the stacks of the models at hand; they appear in `state.own_stacks`."""
        task = self._services.host.run(_own_stacks)
        task.succeeded.connect(self._on_own_stacks)
        task.failed.connect(self._on_models_failed)

    def set_picture(self, picture: Picture) -> None:
        """Take another photo; figures and field follow its size."""
        self.picture = picture
        self.picture_changed.emit(picture)
        self._set(place=(picture.width // 2, picture.height // 2), seen=None)
        self._find_facts()

    def take(self, stack: Stack) -> None:
        """Edit another stack."""
        self._history.record(self._state)
        self._set(
            name=stack.name,
            note=stack.note,
            in_channels=stack.in_channels,
            layers=stack.layers,
            chosen=len(stack.layers) - 1,
        )
        self._find_facts()

    def choose(self, index: int) -> None:
        """Show the field of a layer and edit it."""
        if 0 <= index < len(self._state.layers) and index != self._state.chosen:
            self._set(chosen=index)
            self._look()

    def look_from(self, x: int, y: int) -> None:
        """Show what the output over a pixel of the photo sees."""
        self._set(place=(x, y))
        self._look()

    # -- editing

    def edit(self, *, gesture: object = None, **changes: Any) -> None:
        """Change fields of the chosen layer; one `gesture` is one step of undo."""
        chosen = self._state.chosen
        if chosen < 0:
            return
        layers = list(self._state.layers)
        try:
            layers[chosen] = _changed(layers[chosen], changes)
        except LatentStudioError as error:
            self._services.notices.error(error, "The layer cannot be changed")
            self.changed.emit(self._state)
            return
        self._edit(layers, chosen, gesture)

    def add(self) -> None:
        """A standard 3x3 convolution after the chosen layer, with as many channels."""
        from engine.laboratory.layers import Layer

        chosen, facts = self._state.chosen, self._state.facts
        channels = facts[chosen].channels if 0 <= chosen < len(facts) else 64
        layers = list(self._state.layers)
        layers.insert(chosen + 1, Layer(channels=channels))
        self._edit(layers, chosen + 1)

    def duplicate(self) -> None:
        """The chosen layer once more, after itself."""
        chosen = self._state.chosen
        if chosen >= 0:
            layers = list(self._state.layers)
            layers.insert(chosen + 1, layers[chosen])
            self._edit(layers, chosen + 1)

    def remove(self) -> None:
        """Take the chosen layer out; the last one stays."""
        if len(self._state.layers) > 1:
            layers = list(self._state.layers)
            del layers[self._state.chosen]
            self._edit(layers, min(self._state.chosen, len(layers) - 1))

    def move(self, by: int) -> None:
        """Move the chosen layer up (-1) or down (1)."""
        here = self._state.chosen
        there = here + by
        if here >= 0 and 0 <= there < len(self._state.layers):
            layers = list(self._state.layers)
            layers[here], layers[there] = layers[there], layers[here]
            self._edit(layers, there)

    def end_gesture(self) -> None:
        """The slider was let go."""
        self._history.close_gesture()

    def undo(self) -> None:
        """Back by one step."""
        if self._history.can_undo:
            self._restore(self._history.undo(self._state))

    def redo(self) -> None:
        """On by one undone step."""
        if self._history.can_redo:
            self._restore(self._history.redo(self._state))

    def code(self) -> str:
        """The stack as a PyTorch program; why there is none where it does not fit the photo."""
        from engine.laboratory.torch_code import code

        try:
            return code(self._state.layers, self._state.in_channels, *self._size())
        except LatentStudioError as error:
            return f"# {error.problem}\n"

    def _edit(self, layers: list[Layer], chosen: int, gesture: object = None) -> None:
        self._history.record(self._state, gesture)
        self._set(name=OWN, note="", layers=tuple(layers), chosen=chosen)
        self._find_facts()

    def _restore(self, state: StackState) -> None:
        self._set(
            name=state.name,
            note=state.note,
            in_channels=state.in_channels,
            layers=state.layers,
            chosen=min(state.chosen, len(state.layers) - 1),
        )
        self._find_facts()

    # -- figures and field

    def _size(self) -> tuple[int, int]:
        """Height and width that the figures are for."""
        return (480, 640) if self.picture is None else (self.picture.height, self.picture.width)

    def _find_facts(self) -> None:
        from engine.laboratory.layers import facts

        try:
            found, problem = facts(self._state.layers, self._state.in_channels, *self._size()), ""
        except LatentStudioError as error:
            found, problem = [], str(error)
        self._set(facts=tuple(found), problem=problem, can_undo=self._history.can_undo, can_redo=self._history.can_redo)
        self._look()

    def _look(self) -> None:
        state = self._state
        if state.problem or self.picture is None or state.chosen < 0:
            self._looking.cancel()
            self._set(seen=None)
            return
        layers = state.layers[: state.chosen + 1]
        self._looking.request(partial(_seen, layers, state.in_channels, *self._size(), state.place))

    @Slot(object, int)
    def _on_seen(self, seen: SeenField, _stamp: int) -> None:
        self._set(seen=seen)

    @Slot(object, int)
    def _on_failed(self, error: Exception, _stamp: int) -> None:
        self._services.notices.error(error, "The field cannot be shown")

    @Slot(object)
    def _on_own_stacks(self, stacks: tuple[Stack, ...]) -> None:
        self._set(own_stacks=stacks)

    @Slot(object)
    def _on_models_failed(self, error: Exception) -> None:
        self._services.notices.error(error, "The models cannot be listed")

    def _set(self, **changes: Any) -> None:
        self._state = dataclasses.replace(self._state, **changes)
        self.changed.emit(self._state)


def _changed(layer: Layer, changes: Mapping[str, Any]) -> Layer:
    """The layer with some fields changed; what another kind has no use for goes back to its default."""
    if "kind" in changes:
        kind = changes["kind"]
        changes = {"rates": layer.rates if kind in ("dilated", "separable") else (1,), **changes}
        changes = {"groups": layer.groups if kind in ("standard", "dilated", "transposed") else 1, **changes}
        if kind in ("pool", "transposed", "resize") and layer.stride == 1:
            changes = {"stride": 2, **changes}
        if len(changes["rates"]) > 1 and kind != layer.kind:
            changes["rates"] = changes["rates"][-1:]
    return dataclasses.replace(layer, **changes)


def _own_stacks() -> tuple[Stack, ...]:
    from engine.laboratory.presets import model_stack
    from engine.models.registry import list_models

    return tuple(stack for stack in map(model_stack, list_models()) if stack is not None)


def _seen(
    layers: tuple[Layer, ...], in_channels: int, height: int, width: int, place: tuple[int, int], token: CancelToken
) -> SeenField:
    import numpy as np

    from engine.laboratory.layers import all_steps, reach, sources, span

    steps = all_steps(layers, in_channels)
    sizes = []
    for size in (height, width):
        for step in steps:
            size = step.output_size(size)
        sizes.append(size)
    field = reach(steps)
    output = []
    for wanted, count in zip((place[1], place[0]), sizes, strict=True):
        middle = (wanted - field.start - (field.size - 1) / 2) / field.jump
        output.append(min(count - 1, max(0, round(middle))))
    lines, spans = [], []
    for position, size in zip(output, (height, width), strict=True):
        token.raise_if_cancelled()
        line = np.zeros(size)
        for pixel, count in sources(steps, position, size).items():
            line[pixel] = count
        lines.append(line / (line.max() or 1.0))
        spans.append(span(steps, position) or (position, position))
    pixels = int(np.prod([(line > 0).sum() for line in lines]))
    block = -(-max(height, width) // MAX_STRENGTH)
    strength = np.outer(*(_largest(line, block) for line in lines)).astype(np.float32)
    (top, bottom), (left, right) = spans
    box = (left, top, right - left + 1, bottom - top + 1)
    return SeenField((output[0], output[1]), box, strength, block, pixels)


def _largest(line: np.ndarray, block: int) -> np.ndarray:
    """The largest of every `block` values; what is missing at the end counts as 0."""
    import numpy as np

    return np.pad(line, (0, -len(line) % block)).reshape(-1, block).max(1)
