"""SampleGrid: thumbnails as large as whole columns allow."""

from __future__ import annotations

from PySide6.QtGui import QResizeEvent

from gui.widgets.flow_grid import MARGIN, FlowGrid

COLUMN = 112  # wanted width of a column
MAX_SIDE = 224


class SampleGrid(FlowGrid):
    """A `FlowGrid` without a gap at its right; a few samples are shown larger."""

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.fit()

    def fit(self) -> None:
        """Choose the size of the thumbnails for the present width and number of samples."""
        width = self.width() - self.verticalScrollBar().sizeHint().width() - 4
        columns = max(3, width // COLUMN)
        count = len(self.items)
        if 0 < count < 10:
            columns = min(columns, 1 if count == 1 else 2 if count <= 4 else 3)
        side = min(MAX_SIDE, width // columns - 2 * MARGIN)
        if side != self.thumbnail_side and side > 16:
            self.set_thumbnail_side(side)
