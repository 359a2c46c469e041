"""Progress and cancellation: what every long call of the engine takes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from engine.errors import Cancelled


@dataclass(frozen=True)
class Progress:
    """How far a call has come.

    Attributes:
        done: units finished, 0..total.
        total: units in all; 0 when not known yet.
        message: what is being done, for people.
        partial: an intermediate result worth showing (a finished sample, a decoded tile), or None.
    """

    done: int
    total: int
    message: str = ""
    partial: Any = None

    @property
    def fraction(self) -> float:
        """Share done, 0..1; 0 while the total is unknown."""
        return min(1.0, self.done / self.total) if self.total > 0 else 0.0


ProgressCallback = Callable[[Progress], None]


def ignore_progress(_: Progress) -> None:
    """The default `ProgressCallback`: nobody is watching."""


class CancelToken:
    """A flag that one thread sets and a long call reads between units of work."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        """Ask the call to stop; it does so at its next check."""
        self._event.set()

    @property
    def cancelled(self) -> bool:
        """True once `cancel` was called."""
        return self._event.is_set()

    def raise_if_cancelled(self) -> None:
        """Raise `Cancelled` if `cancel` was called."""
        if self._event.is_set():
            raise Cancelled


def never_cancelled() -> CancelToken:
    """A token for callers that do not offer cancelling."""
    return CancelToken()
