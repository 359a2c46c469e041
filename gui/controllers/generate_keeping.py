"""What goes from the Generate page into the gallery: grids that were asked for, samples with a star."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot

from engine.errors import LatentStudioError
from engine.paths import user_folder

if TYPE_CHECKING:
    from engine.generation import Sample
    from gui.controllers.generate_controller import GenerateController

LANE = "gallery"  # the thread that the gallery writes on: what was given first is written first
AT_ONCE = 16


@dataclass(eq=False)
class _Kept:
    """A sample of this session in the gallery: its number there, which only the thread that writes touches."""

    number: int | None = None
    starred: bool = False


class GenerateKeeping(QObject):
    """Puts samples into the gallery and remembers which of them are there.

    Signals:
        changed(): a star was given or taken, or samples were kept.
    """

    changed = Signal()

    def __init__(self, controller: GenerateController) -> None:
        super().__init__(controller)
        self.folder: Path = user_folder("gallery")
        self._host = controller.services.host
        self._notices = controller.services.notices
        self._kept: dict[int, _Kept] = {}

    def starred(self, sample: Sample) -> bool:
        """Whether a sample has a star."""
        kept = self._kept.get(id(sample))
        return kept is not None and kept.starred

    def keep(self, samples: Sequence[Sample]) -> None:
        """Put samples into the gallery; those that are there already are left out."""
        new = [sample for sample in samples if id(sample) not in self._kept]
        for sample in new:
            self._kept[id(sample)] = _Kept()
            # Samples are known by their identity, which another one may have after they are gone.
            weakref.finalize(sample, self._kept.pop, id(sample), None).atexit = False
        for start in range(0, len(new), AT_ONCE):
            some = new[start : start + AT_ONCE]
            kept = [self._kept[id(sample)] for sample in some]
            self._write(partial(_add, self.folder, some, kept), partial(self._forget, kept))

    def star(self, samples: Sequence[Sample], starred: bool) -> None:
        """Give samples a star, which puts them into the gallery, or take it from them."""
        self.keep(samples)
        kept = [self._kept[id(sample)] for sample in samples]
        for one in kept:
            one.starred = starred
        self.changed.emit()
        self._write(partial(_star, self.folder, kept, starred), partial(self._take_back, kept, not starred))

    def trash(self, samples: Sequence[Sample]) -> None:
        """Move those that are in the gallery to its trash."""
        self._write(partial(_trash, self.folder, self._known(samples)))

    def restore(self, samples: Sequence[Sample]) -> None:
        """Take those that were in the gallery out of its trash."""
        self._write(partial(_restore, self.folder, self._known(samples)))

    def _known(self, samples: Sequence[Sample]) -> list[_Kept]:
        return [self._kept[id(sample)] for sample in samples if id(sample) in self._kept]

    def _forget(self, kept: Sequence[_Kept]) -> None:
        """They are not in the gallery: the next wish to keep them tries again."""
        lost = {id(one) for one in kept}
        for key in [key for key, one in list(self._kept.items()) if id(one) in lost]:
            self._kept.pop(key, None)

    def _take_back(self, kept: Sequence[_Kept], starred: bool) -> None:
        """Stars are as they were before."""
        for one in kept:
            one.starred = starred

    def _write(self, function: Callable[[], object], undo: Callable[[], None] | None = None) -> None:
        task = self._host.run(function, engine=False, lane=LANE, finish=True)
        task.succeeded.connect(self._on_written)
        if undo is not None:
            task.failed.connect(lambda _error: undo())
        task.failed.connect(self._on_failed)

    @Slot(object)
    def _on_written(self, _ids: object) -> None:
        self.changed.emit()

    @Slot(object)
    def _on_failed(self, error: LatentStudioError) -> None:
        self.changed.emit()
        self._notices.error(error, self.tr("Gallery"))


# What runs in the gallery's thread, in order: whatever is added has its number when a star is given to it.


def _add(folder: Path, samples: Sequence[Sample], kept: Sequence[_Kept]) -> None:
    from engine.generation.gallery import Gallery

    for one, number in zip(kept, Gallery(folder).add(samples), strict=True):
        one.number = number


def _star(folder: Path, kept: Sequence[_Kept], starred: bool) -> None:
    from engine.generation.gallery import Gallery

    Gallery(folder).star(_numbers(kept), starred)


def _trash(folder: Path, kept: Sequence[_Kept]) -> None:
    from engine.generation.gallery import Gallery

    Gallery(folder).trash(_numbers(kept))


def _restore(folder: Path, kept: Sequence[_Kept]) -> None:
    from engine.generation.gallery import Gallery

    Gallery(folder).restore(_numbers(kept))


def _numbers(kept: Sequence[_Kept]) -> list[int]:
    return [one.number for one in kept if one.number is not None]
