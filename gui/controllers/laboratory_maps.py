"""Two maps of evenness: the holes that dilation rates leave, and the checkerboard that enlarging leaves."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal, Slot

from engine.errors import LatentStudioError, UsageError

if TYPE_CHECKING:
    import numpy as np

    from engine.image import Picture
    from engine.laboratory.checkerboard import Doubling
    from engine.progress import CancelToken
    from gui.services.context import Services

LEFT, RIGHT = "left", "right"
SIDES = (LEFT, RIGHT)
MAX_FIELD = 127  # pixels a side; larger maps cannot be looked at pixel by pixel


@dataclass(frozen=True, eq=False)
class RateMap:
    """What a stack of dilated convolutions reads.

    Attributes:
        rates: of its layers, in order.
        counts: (n, n) float64, paths from each pixel to the middle output; empty where `problem` says why.
        field: side of the field in pixels.
        read: pixels of the field with at least one path.
        problem: why there is no map, or "".
    """

    rates: tuple[int, ...]
    counts: np.ndarray | None
    field: int = 0
    read: int = 0
    problem: str = ""


@dataclass(frozen=True, eq=False)
class GriddingState:
    """Everything the gridding view shows: the taps a side of every layer, and both stacks."""

    kernel: int
    maps: dict[str, RateMap]


class GriddingController(QObject):
    """State and verbs of the gridding view; everything is arithmetic, and there at once.

    Signals:
        changed(GriddingState): something on show differs now.
    """

    changed = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._state = GriddingState(3, {LEFT: rate_map((2, 2, 2), 3), RIGHT: rate_map((1, 2, 5), 3)})

    @property
    def state(self) -> GriddingState:
        """What is on show now."""
        return self._state

    def set_kernel(self, kernel: int) -> None:
        """Taps a side of every layer."""
        if kernel != self._state.kernel:
            self._state = GriddingState(
                kernel, {side: rate_map(known.rates, kernel) for side, known in self._state.maps.items()}
            )
            self.changed.emit(self._state)

    def set_rates(self, side: str, rates: tuple[int, ...]) -> None:
        """The dilation rates of one stack, from the picture on."""
        if rates != self._state.maps[side].rates:
            maps = {**self._state.maps, side: rate_map(rates, self._state.kernel)}
            self._state = GriddingState(self._state.kernel, maps)
            self.changed.emit(self._state)


def rate_map(rates: tuple[int, ...], kernel: int) -> RateMap:
    """The map of a stack of dilated convolutions."""
    from engine.laboratory.layers import Layer, all_steps, contribution_map, reach

    try:
        steps = all_steps([Layer("dilated", kernel, rates=(rate,), channels=1) for rate in rates], 1)
        field = reach(steps).size
        if field > MAX_FIELD:
            return RateMap(rates, None, field, 0, f"{field} × {field} pixels are too many to draw one by one.")
        counts = contribution_map(steps)
    except LatentStudioError as error:
        return RateMap(rates, None, problem=str(error))
    return RateMap(rates, counts, field, int((counts > 0).sum()))


def parse_rates(text: str) -> tuple[int, ...]:
    """Rates as a person types them: "1, 2, 5", "1-2-5" or "1 2 5".

    Raises:
        UsageError: there is none, or something that is no whole number from 1 on.
    """
    parts = text.replace(",", " ").replace("-", " ").replace(";", " ").split()
    if not parts or not all(part.isascii() and part.isdigit() and 0 < int(part) < 1000 for part in parts):
        raise UsageError(f"{text!r} is no list of dilation rates.", "Write whole numbers from 1 on, such as 1, 2, 5.")
    return tuple(int(part) for part in parts)


@dataclass(frozen=True, eq=False)
class CheckerboardState:
    """Everything the checkerboard view shows.

    Attributes:
        filter: the weights.
        seed: of random ones.
        across: pixels of the photo in a line, before it is doubled.
        doublings: the ways to double it; empty while there is no photo.
    """

    filter: str = "average"
    seed: int = 0
    across: int = 20
    doublings: tuple[Doubling, ...] = ()


class CheckerboardController(QObject):
    """State and verbs of the checkerboard view.

    Signals:
        changed(CheckerboardState): something on show differs now.
    """

    changed = Signal(object)

    def __init__(self, services: Services, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._services = services
        self._picture: Picture | None = None
        self._state = CheckerboardState()
        self._live = services.host.live(self, follow=True)
        self._live.result.connect(self._on_made)
        self._live.failed.connect(self._on_failed)

    @property
    def state(self) -> CheckerboardState:
        """What is on show now."""
        return self._state

    def set_picture(self, picture: Picture) -> None:
        """Take another photo."""
        self._picture = picture
        self._ask()

    def change(self, **changes: Any) -> None:
        """Change filter, seed or pixels across."""
        self._set(**changes)
        self._ask()

    def _ask(self) -> None:
        if self._picture is not None:
            state = self._state
            self._live.request(partial(_doubled, self._picture, state.filter, state.seed, state.across))

    @Slot(object, int)
    def _on_made(self, made: tuple[Doubling, ...], _stamp: int) -> None:
        self._set(doublings=made)

    @Slot(object, int)
    def _on_failed(self, error: Exception, _stamp: int) -> None:
        self._services.notices.error(error, "The picture cannot be doubled")

    def _set(self, **changes: Any) -> None:
        self._state = dataclasses.replace(self._state, **changes)
        self.changed.emit(self._state)


def _doubled(picture: Picture, name: str, seed: int, across: int, _token: CancelToken) -> tuple[Doubling, ...]:
    from engine.laboratory.checkerboard import doublings
    from engine.laboratory.pictures import small_picture

    return tuple(doublings(small_picture(picture, across), name, seed))  # type: ignore[arg-type]
