"""The training pictures nearest to a sample, and what they say: something new, or a copy?"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot

from engine.errors import DataError, LatentStudioError
from engine.progress import CancelToken, ProgressCallback
from gui.controllers.generate_lane import GenerateLane

if TYPE_CHECKING:
    import numpy as np

    from engine.generation import Sample
    from engine.generation.neighbours import NearestPictures, Neighbour
    from engine.models.card import ModelCard
    from gui.controllers.generate_controller import GenerateController

COUNT = 5
SUSPICIOUS, RARE = 0.01, 0.1  # shares of real pictures that are nearer to a training picture than the sample


@dataclass(frozen=True)
class Nearest:
    """What was found.

    Attributes:
        sample: whose neighbours.
        neighbours: the nearest first.
        among: number of training pictures.
        share: 0..1, of real pictures that the model never saw and that lie nearer to a training picture than it does.
    """

    sample: Sample
    neighbours: list[Neighbour]
    among: int
    share: float

    @property
    def sentence(self) -> str:
        """What the figures mean, for people."""
        distance = self.neighbours[0].distance
        facts = (
            f"The nearest of {self.among:,} training pictures differs by {distance:.3f} (root mean square, 0 to 1). "
            f"Of real pictures that the model never saw, {self.share:.0%} are nearer to one."
        )
        if self.share < SUSPICIOUS:
            return f"{facts} This may be a copy."
        if self.share < RARE:
            return f"{facts} Unusually near, yet no copy."
        return f"{facts} Nothing points to a copy."


class GenerateNearest(QObject):
    """Finds the nearest training pictures of a sample; those of one model are read once.

    Attributes:
        found: the last answer, or None.
        sample: whose neighbours are looked for or were found, or None.
        problem: why there is no answer; empty where there is none.

    Signals:
        changed(): searched, found, or not to be had.
    """

    changed = Signal()

    def __init__(self, controller: GenerateController) -> None:
        super().__init__(controller)
        self.found: Nearest | None = None
        self.sample: Sample | None = None
        self.problem = ""
        self._controller = controller
        self._shelf = _Shelf()
        self.lane = GenerateLane(controller.services, self)
        self.lane.done.connect(self._on_done)
        self.lane.failed.connect(self._on_failed)
        self.lane.ended.connect(self._on_ended)

    def find(self, sample: Sample) -> None:
        """Look for the neighbours of a sample."""
        card = next((one for one in self._controller.state.models if one.name == sample.latent.model), None)
        if card is None:
            return
        self.found, self.sample, self.problem = None, sample, ""
        self.lane.request(partial(_find, self._shelf, card, sample))
        self.changed.emit()

    def let_go(self, sample: Sample | None) -> None:
        """Another sample is selected: what was found of the one before says nothing about it."""
        if sample is not self.sample:
            self.found, self.sample, self.problem = None, None, ""
            self.lane.cancel()
            self.changed.emit()

    @Slot(object)
    def _on_done(self, found: Nearest) -> None:
        self.found = found
        self.changed.emit()

    @Slot(object)
    def _on_failed(self, error: LatentStudioError) -> None:
        if isinstance(error, DataError):
            # Not having the pictures is no fault; it is said where they would be.
            self.problem = f"{error.problem} {error.remedy}".strip()
        else:
            self._controller.services.notices.error(error, self.tr("Nearest real pictures"))
        self.changed.emit()

    @Slot()
    def _on_ended(self) -> None:
        self.changed.emit()


class _Shelf:
    """The training pictures of the last model that was asked for; touched by the engine's thread only."""

    def __init__(self) -> None:
        self.weights = ""
        self.pictures: NearestPictures | None = None
        self.held_out: np.ndarray | None = None


def _find(shelf: _Shelf, card: ModelCard, sample: Sample, progress: ProgressCallback, cancel: CancelToken) -> Nearest:
    from engine.generation.neighbours import NearestPictures, share_nearer

    pictures, held_out = shelf.pictures, shelf.held_out
    if pictures is None or held_out is None or shelf.weights != card.weights_sha256:
        shelf.pictures = shelf.held_out = None
        pictures = NearestPictures.open(card, progress=progress, cancel=cancel)
        held_out = pictures.held_out_distances(progress=progress, cancel=cancel)
        shelf.weights, shelf.pictures, shelf.held_out = card.weights_sha256, pictures, held_out
    neighbours = pictures.nearest(sample.pixels, COUNT)
    return Nearest(sample, neighbours, len(pictures), share_nearer(neighbours[0].distance, held_out))
