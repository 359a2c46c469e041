"""The grids of the Generate page: what is in view, what is selected of it, what is taken out and brought back."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from gui.controllers.generate_sheets import Sheet, SheetShelf

if TYPE_CHECKING:
    from engine.generation import Sample
    from gui.controllers.generate_controller import GenerateController


class GenerateGrids(QObject):
    """Holds the sheets of samples.

    Attributes:
        shelf: all of them.

    Signals:
        reset(): another grid is in view, or this one changed as a whole.
        added(int): a sample was put at this index.
        replaced(int): the sample at this index is another one.
        selection_changed(): another sample is selected.
    """

    reset = Signal()
    added = Signal(int)
    replaced = Signal(int)
    selection_changed = Signal()

    def __init__(self, controller: GenerateController) -> None:
        super().__init__(controller)
        self.shelf = SheetShelf()
        self._controller = controller

    @property
    def sheet(self) -> Sheet:
        """The grid in view."""
        return self.shelf.current

    @property
    def samples(self) -> list[Sample]:
        """Those of the grid in view."""
        return self.shelf.current.samples

    @property
    def selected(self) -> Sample | None:
        """The sample shown large, or None."""
        return self.shelf.current.selected_sample

    def open(self, sheet: Sheet) -> None:
        """Show a new grid, which may still be empty."""
        self.shelf.open(sheet)
        if sheet.samples and sheet.selected < 0:
            sheet.selected = 0
        self.changed(sheet)

    def put(self, sheet: Sheet, index: int, sample: Sample) -> None:
        """A sample of a grid has arrived; the first brings the grid into view."""
        if index == 0 and sheet not in self.shelf.sheets:
            self.open(sheet)
        replaced = sheet.put(index, sample)
        first = sheet.selected < 0
        if first:
            sheet.selected = 0
        if sheet is self.sheet:
            (self.replaced if replaced else self.added).emit(index)
            if first or index == sheet.selected:
                self.selection_changed.emit()

    def cut(self, sheet: Sheet, count: int) -> None:
        """Keep only the first samples of a grid."""
        if len(sheet.samples) > count > 0:
            del sheet.samples[count:]
            sheet.selected = min(sheet.selected, count - 1)
            self.changed(sheet)

    def changed(self, sheet: Sheet) -> None:
        """A grid changed as a whole."""
        if sheet is self.sheet:
            self.reset.emit()
            self.selection_changed.emit()

    def go_back(self) -> None:
        """Show the grid before this one."""
        self._turn(-1)

    def go_forward(self) -> None:
        """Show the grid after this one."""
        self._turn(1)

    def _turn(self, step: int) -> None:
        before = self.sheet
        self.shelf.go(step)
        if self.sheet is not before:
            self.changed(self.sheet)

    def select(self, index: int) -> None:
        """Show the sample at `index` large."""
        self.sheet.selected = index if 0 <= index < len(self.samples) else -1
        self.selection_changed.emit()

    def delete(self, samples: Sequence[Sample]) -> None:
        """Take samples out of the grid, and out of the gallery; a notice offers to bring them back."""
        sheet, gone = self.sheet, {id(sample) for sample in samples}
        taken = sheet.take([index for index, sample in enumerate(sheet.samples) if id(sample) in gone])
        if not taken:
            return
        self._controller.keeping.trash(samples)
        self.changed(sheet)
        text = self.tr("{n} pictures deleted.").format(n=len(taken)) if len(taken) > 1 else self.tr("Picture deleted.")
        bring_back = partial(self._bring_back, sheet, taken)
        self._controller.services.notices.info(text, (self.tr("Undo"), bring_back))

    def _bring_back(self, sheet: Sheet, taken: list[tuple[int, Sample, str]]) -> None:
        sheet.give_back(taken)
        sheet.selected = taken[0][0]
        self._controller.keeping.restore([sample for _, sample, _ in taken])
        self.changed(sheet)
