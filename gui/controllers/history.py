"""History: undo and redo of whole states, where the many small changes of one gesture count as one step."""

from __future__ import annotations

from typing import Generic, TypeVar

StateT = TypeVar("StateT")


class History(Generic[StateT]):
    """Remembers states that can be gone back to.

    A drag of a slider makes hundreds of changes that a person takes for one. Changes recorded under the same `gesture`
    without a `close_gesture` between them therefore keep only the state before the first of them.

    Args:
        limit: number of steps kept; the oldest are forgotten.
    """

    def __init__(self, limit: int = 200) -> None:
        self._limit = limit
        self._past: list[StateT] = []
        self._future: list[StateT] = []
        self._gesture: object = None

    @property
    def can_undo(self) -> bool:
        """True where there is a step to go back."""
        return bool(self._past)

    @property
    def can_redo(self) -> bool:
        """True where a step was undone and nothing was changed since."""
        return bool(self._future)

    def record(self, before: StateT, gesture: object = None) -> None:
        """Remember the state `before` a change; a running gesture of the same name is continued instead."""
        if gesture is not None and gesture == self._gesture:
            return
        self._gesture = gesture
        self._past.append(before)
        del self._past[: -self._limit]
        self._future.clear()

    def close_gesture(self) -> None:
        """The slider was let go: the next change is a step of its own."""
        self._gesture = None

    def undo(self, current: StateT) -> StateT:
        """The state before the last step. Only where `can_undo`."""
        self._gesture = None
        self._future.append(current)
        return self._past.pop()

    def redo(self, current: StateT) -> StateT:
        """The state that the last undo left. Only where `can_redo`."""
        self._gesture = None
        self._past.append(current)
        return self._future.pop()

    def clear(self) -> None:
        """Forget everything, as after loading another model."""
        self._past.clear()
        self._future.clear()
        self._gesture = None
