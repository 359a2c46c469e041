"""The grids that were made in this session: one is shown, the others can be gone back to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.generation import Sample

MOST_SHEETS = 40
MOST_SAMPLES = 4096  # of all sheets together: some 50 MB of 64x64 pictures


@dataclass(eq=False)
class Sheet:
    """One grid.

    Attributes:
        title: what it holds, for people.
        samples: in the order of the grid.
        selected: index of the sample shown large, or -1.
        captions: one for each sample where they differ in more than chance, else empty.
        follows: it follows every change of the settings; False for one that was asked for and is kept.
    """

    title: str
    samples: list[Sample] = field(default_factory=list)
    selected: int = -1
    captions: list[str] = field(default_factory=list)
    follows: bool = False

    @property
    def selected_sample(self) -> Sample | None:
        """The sample shown large, or None."""
        return self.samples[self.selected] if 0 <= self.selected < len(self.samples) else None

    def put(self, index: int, sample: Sample) -> bool:
        """Put a sample at a place, at most one beyond the last; True where another was there before."""
        there = index < len(self.samples)
        if there:
            self.samples[index] = sample
        else:
            self.samples.append(sample)
        return there

    def take(self, indexes: list[int]) -> list[tuple[int, Sample, str]]:
        """Take samples out; returns what `give_back` needs to put them back."""
        taken = []
        for index in sorted(set(indexes), reverse=True):
            caption = self.captions.pop(index) if index < len(self.captions) else ""
            taken.append((index, self.samples.pop(index), caption))
        self.selected = min(self.selected, len(self.samples) - 1)
        return taken[::-1]

    def give_back(self, taken: list[tuple[int, Sample, str]]) -> None:
        """Put back what `take` took out, each at its former place."""
        for index, sample, caption in taken:
            self.samples.insert(min(index, len(self.samples)), sample)
            if caption:
                self.captions.insert(index, caption)


class SheetShelf:
    """Sheets in the order they were made, and the one in view.

    Attributes:
        sheets: oldest first.
        current: the one in view.
    """

    def __init__(self) -> None:
        self.sheets: list[Sheet] = []
        self.current = Sheet("")

    @property
    def place(self) -> int:
        """Index of the sheet in view; -1 before the first."""
        return next((index for index, sheet in enumerate(self.sheets) if sheet is self.current), -1)

    @property
    def can_go_back(self) -> bool:
        """True where an older sheet is there."""
        return self.place > 0

    @property
    def can_go_forward(self) -> bool:
        """True where a newer sheet is there."""
        return self.place < len(self.sheets) - 1

    def open(self, sheet: Sheet) -> None:
        """Put a new sheet at the end and show it; the oldest are forgotten when there are too many."""
        # A sheet that follows the settings has the place of the one that did before.
        if sheet.follows:
            self.sheets = [other for other in self.sheets if not other.follows]
        self.sheets.append(sheet)
        self.current = sheet
        while len(self.sheets) > MOST_SHEETS or (len(self.sheets) > 1 and self._samples() > MOST_SAMPLES):
            self.sheets.pop(0)

    def go(self, step: int) -> None:
        """Show the sheet `step` places on; nothing happens beyond either end."""
        place = self.place + step
        if 0 <= place < len(self.sheets):
            self.current = self.sheets[place]

    def _samples(self) -> int:
        return sum(len(sheet.samples) for sheet in self.sheets)
