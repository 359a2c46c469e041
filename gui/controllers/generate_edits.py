"""What can be made of a sample: variations, more like it, the same in every class, one thing changed, a morph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot

from engine.errors import LatentStudioError
from gui.controllers import generate_work as work
from gui.controllers.generate_lane import GenerateLane
from gui.controllers.generate_settings import attribute_words
from gui.controllers.generate_sheets import Sheet

if TYPE_CHECKING:
    from engine.generation import Latent, Sample
    from gui.controllers.generate_controller import GenerateController

EDIT_COUNT = 16
MORPH_STEPS = (3, 120)
MORPH, COMPARE = "morph", "compare"


@dataclass
class Morph:
    """The way between two samples.

    Attributes:
        first, second: the ends.
        steps: pictures in all.
        frames: those that have arrived, in order.
        complete: whether all have.
    """

    first: Sample
    second: Sample
    steps: int = 24
    frames: list[Sample] = field(default_factory=list)
    complete: bool = False


class GenerateEdits(QObject):
    """Makes grids and morphs of samples.

    Attributes:
        radius: 0..1, how far variations go from their original.
        morph: the morph in view, or None.
        purpose: MORPH or COMPARE while a second sample is to be chosen, else "".

    Signals:
        purpose_changed(): a second sample is to be chosen, or no longer.
        morph_changed(): another morph, or none.
        frame_added(int): a picture of the morph arrived.
        compare_wanted(object, object): two `Sample`s are to be shown beside one another.
    """

    purpose_changed = Signal()
    morph_changed = Signal()
    frame_added = Signal(int)
    compare_wanted = Signal(object, object)

    def __init__(self, controller: GenerateController) -> None:
        super().__init__(controller)
        self.radius = 0.4
        self.morph: Morph | None = None
        self.purpose = ""
        self._controller = controller
        self._first: Sample | None = None
        self._sheet = Sheet("")
        self._wanted = 0  # which sample of it to select once it is there
        self._rounds = 0  # of variations: each gets seeds of its own
        self._lane = self._lane_of(self._on_part, self._on_sheet_done)
        self._morph_lane = self._lane_of(self._on_frame, self._on_morph_done)
        self._morph_lane.failed.connect(self._on_morph_failed)

    def _lane_of(self, on_part: Callable, on_done: Callable) -> GenerateLane:
        lane = GenerateLane(self._controller.services, self)
        lane.partial.connect(on_part)
        lane.done.connect(on_done)
        lane.failed.connect(self._on_failed)
        return lane

    @property
    def lanes(self) -> Sequence[GenerateLane]:
        """Where the work is done: what a strip of progress listens to."""
        return self._lane, self._morph_lane

    @property
    def busy(self) -> bool:
        """True while something is being made."""
        return any(lane.busy for lane in self.lanes)

    def cancel(self) -> None:
        """Stop at once; what has arrived stays."""
        for lane in self.lanes:
            lane.cancel()

    # Grids

    def vary(self, latent: Latent) -> None:
        """A grid of variations; pressed again it gives others."""
        self._rounds += 1
        title = self.tr("Variations of {words}, radius {radius:.2f}")
        self._make(
            title.format(words=sample_words(latent), radius=self.radius),
            partial(work.vary, self._generators, latent, self.radius, EDIT_COUNT, (self._rounds - 1) * EDIT_COUNT),
        )

    def more_like(self, latents: Sequence[Latent]) -> None:
        """A grid of pictures that take after one or several."""
        self._rounds += 1
        one = self.tr("More like {words}").format(words=sample_words(latents[0]))
        title = one if len(latents) == 1 else self.tr("More like {n} pictures").format(n=len(latents))
        self._make(
            title,
            partial(work.more_like, self._generators, list(latents), EDIT_COUNT, (self._rounds - 1) * EDIT_COUNT),
        )

    def in_every_class(self, latent: Latent, attribute: str) -> None:
        """A grid of the same style with every value of an attribute."""
        card = next((card for card in self._controller.state.models if card.name == latent.model), None)
        known = {} if card is None else {one.name: list(one.values) for one in card.attributes}
        title = self.tr("{words}: every {attribute}")
        words = attribute_words(attribute).lower()
        self._make(
            title.format(words=sample_words(latent), attribute=words),
            partial(work.in_every_class, self._generators, latent, attribute),
            known.get(attribute, []),
        )

    def change(self, latent: Latent, attribute: str, value: str | None) -> None:
        """The picture, and the same with another value of one attribute, as a grid of two."""
        words = value if value is not None else self.tr("any {name}").format(name=attribute_words(attribute).lower())
        title = self.tr("{before}: {after} instead").format(before=sample_words(latent), after=words)
        self._make(
            title,
            partial(work.with_value, self._generators, latent, attribute, value),
            [self.tr("before"), words],
            selected=1,
        )

    def show_samples(self, title: str, samples: list[Sample], captions: Sequence[str] = ()) -> None:
        """Show samples that are there already as a grid."""
        self._controller.grids.open(Sheet(title, list(samples), captions=list(captions)))

    @property
    def _generators(self) -> work.Generators:
        return self._controller.generators

    def _make(self, title: str, job: Callable, captions: Sequence[str] = (), selected: int = 0) -> None:
        self._sheet = Sheet(title[:1].upper() + title[1:], captions=list(captions))
        self._wanted = selected
        self._lane.request(job)

    @Slot(object)
    def _on_part(self, sample: Sample) -> None:
        # The former grid stays until the first picture is there: an error leaves it untouched.
        self._controller.grids.put(self._sheet, len(self._sheet.samples), sample)

    @Slot(object)
    def _on_sheet_done(self, _samples: list[Sample]) -> None:
        if self._wanted and self._controller.grids.sheet is self._sheet:
            self._controller.grids.select(self._wanted)

    # Two samples

    def pair(self, purpose: str, first: Sample, second: Sample | None) -> None:
        """Morph or compare two samples; without a second one the next that is selected is taken."""
        if second is None:
            self._first, self.purpose = first, purpose
            self.purpose_changed.emit()
        elif purpose == COMPARE:
            self.compare_wanted.emit(first, second)
        else:
            self.start_morph(first, second)

    def take_second(self, sample: Sample) -> bool:
        """A sample was selected: True where it was waited for as the second one."""
        first, purpose = self._first, self.purpose
        if not purpose or first is None or sample is first:
            return False
        self.drop_purpose()
        self.pair(purpose, first, sample)
        return True

    def drop_purpose(self) -> None:
        """No second sample is wanted any more."""
        if self.purpose:
            self._first, self.purpose = None, ""
            self.purpose_changed.emit()

    # Morph

    def start_morph(self, first: Sample, second: Sample) -> None:
        """Make the way between two samples."""
        steps = self.morph.steps if self.morph is not None else Morph.steps
        self._make_morph(Morph(first, second, steps))

    def set_morph_steps(self, steps: int) -> None:
        """Make the same morph with another number of pictures."""
        morph = self.morph
        steps = min(MORPH_STEPS[1], max(MORPH_STEPS[0], steps))
        if morph is not None and steps != morph.steps:
            self._make_morph(Morph(morph.first, morph.second, steps))

    def turn_morph(self) -> None:
        """The way back."""
        morph = self.morph
        if morph is not None:
            self._make_morph(Morph(morph.second, morph.first, morph.steps))

    def close_morph(self) -> None:
        """Put the morph away."""
        self._morph_lane.cancel()
        self.morph = None
        self.morph_changed.emit()

    def _make_morph(self, morph: Morph) -> None:
        self.morph = morph
        self.morph_changed.emit()
        self._morph_lane.request(
            partial(work.morph, self._generators, morph.first.latent, morph.second.latent, morph.steps)
        )

    @Slot(object)
    def _on_frame(self, sample: Sample) -> None:
        if self.morph is not None:
            self.morph.frames.append(sample)
            self.frame_added.emit(len(self.morph.frames) - 1)

    @Slot(object)
    def _on_morph_done(self, _frames: list[Sample]) -> None:
        if self.morph is not None:
            self.morph.complete = True
            self.morph_changed.emit()

    @Slot(object)
    def _on_morph_failed(self, _error: LatentStudioError) -> None:
        self.morph = None
        self.morph_changed.emit()

    @Slot(object)
    def _on_failed(self, error: LatentStudioError) -> None:
        self._controller.services.notices.error(error, self.tr("Generate"))


def sample_words(latent: Latent) -> str:
    """A sample for people: its class where it has few, and its seed where it has one."""
    values = list(latent.attributes.values())
    words = ", ".join(values) if 0 < len(values) <= 2 else ""
    seed = "" if latent.seed is None else f"seed {latent.seed}"
    return ", ".join(part for part in (words, seed) if part) or "this picture"
