"""A grid of chosen places over a picture, and the shapes that are drawn into it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF, QRectF, QSize
from PySide6.QtGui import QPainterPath

if TYPE_CHECKING:
    import numpy as np

LONGEST = 1024  # cells along the longer side at most: finer than what is drawn by hand, and quick to redraw


class RegionMask:
    """Which cells of a grid over a picture are chosen.

    Attributes:
        cells: (rows, columns) bool. A cell is a square of picture pixels, one pixel where the picture is small.
    """

    def __init__(self, picture: QSize) -> None:
        """Args: picture: its size in pixels."""
        import numpy as np

        share = min(1.0, LONGEST / max(1, picture.width(), picture.height()))
        rows, columns = (max(1, round(share * side)) for side in (picture.height(), picture.width()))
        self.cells = np.zeros((rows, columns), bool)
        self._across = columns / max(1, picture.width())
        self._down = rows / max(1, picture.height())

    @property
    def size(self) -> QSize:
        """Columns and rows."""
        return QSize(self.cells.shape[1], self.cells.shape[0])

    def to_cells(self, point: QPointF) -> QPointF:
        """The place of a picture point in the grid."""
        return QPointF(point.x() * self._across, point.y() * self._down)

    def draw_line(self, start: QPointF, end: QPointF, radius: float, chosen: bool) -> tuple[slice, slice]:
        """Choose, or take out, everything within `radius` of a line; all in cells.

        At least the cells that the line's ends lie in are drawn, however small the radius. Returns the rows and the
        columns that may have changed.
        """
        import numpy as np

        radius = max(radius, 0.5)
        box = self._clipped(
            min(start.x(), end.x()) - radius - 1,
            min(start.y(), end.y()) - radius - 1,
            max(start.x(), end.x()) + radius + 1,
            max(start.y(), end.y()) + radius + 1,
        )
        rows, columns = box
        y = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None] + 0.5 - start.y()
        x = np.arange(columns.start, columns.stop, dtype=np.float32)[None, :] + 0.5 - start.x()
        along = (end.x() - start.x(), end.y() - start.y())
        length = along[0] ** 2 + along[1] ** 2
        share = np.clip((x * along[0] + y * along[1]) / length, 0.0, 1.0) if length > 0 else np.float32(0.0)
        near = (x - share * along[0]) ** 2 + (y - share * along[1]) ** 2 <= radius**2
        for point in (start, end):
            row, column = int(point.y() // 1) - rows.start, int(point.x() // 1) - columns.start
            if 0 <= row < near.shape[0] and 0 <= column < near.shape[1]:
                near[row, column] = True
        self.cells[box][near] = chosen
        return box

    def draw_rectangle(self, corner: QPointF, opposite: QPointF, chosen: bool) -> tuple[slice, slice]:
        """Choose, or take out, every cell that a rectangle touches; its corners are given in cells."""
        box = self._clipped(
            min(corner.x(), opposite.x()),
            min(corner.y(), opposite.y()),
            max(corner.x(), opposite.x()),
            max(corner.y(), opposite.y()),
        )
        self.cells[box] = chosen
        return box

    def take(self, mask: np.ndarray) -> None:
        """Choose what a mask (H, W) bool of the same picture at any resolution chooses."""
        import numpy as np

        rows, columns = self.cells.shape
        places = (np.arange(side) * 2 + 1 for side in (rows, columns))
        row, column = (
            place * given // (2 * side) for place, given, side in zip(places, mask.shape, (rows, columns), strict=True)
        )
        self.cells[:] = mask.astype(bool)[np.ix_(row, column)]

    def packed(self) -> bytes:
        """The cells, eight to a byte."""
        import numpy as np

        return np.packbits(self.cells).tobytes()

    def unpack(self, packed: bytes) -> None:
        """Go back to what `packed` returned."""
        import numpy as np

        bits = np.unpackbits(np.frombuffer(packed, np.uint8), count=self.cells.size)
        self.cells[:] = bits.reshape(self.cells.shape)

    def outline(self) -> QPainterPath:
        """The border between chosen and other cells, in cells, as long straight lines as possible."""
        import numpy as np

        path = QPainterPath()
        for at, start, end in _runs(_borders(self.cells)):
            path.moveTo(start, at)
            path.lineTo(end, at)
        for at, start, end in _runs(_borders(np.ascontiguousarray(self.cells.T))):
            path.moveTo(at, start)
            path.lineTo(at, end)
        return path

    def _clipped(self, left: float, top: float, right: float, bottom: float) -> tuple[slice, slice]:
        rows, columns = self.cells.shape
        box = QRectF(QPointF(left, top), QPointF(right, bottom)).toAlignedRect()
        x, y = max(0, min(columns, box.left())), max(0, min(rows, box.top()))
        return (
            slice(y, max(y, min(rows, box.top() + box.height()))),
            slice(x, max(x, min(columns, box.left() + box.width()))),
        )


def _borders(cells: np.ndarray) -> np.ndarray:
    """(rows + 1, columns) bool: whether the line above a cell parts chosen from other ones."""
    import numpy as np

    padded = np.pad(cells, ((1, 1), (0, 0)))
    return padded[1:] != padded[:-1]


def _runs(borders: np.ndarray) -> list[list[int]]:
    """[row, first, behind the last] of every run of True along the rows."""
    import numpy as np

    columns = borders.shape[1]
    places = np.flatnonzero(borders)
    if not places.size:
        return []
    # A run ends where the next place is not the neighbour, or begins another row.
    breaks = np.flatnonzero((np.diff(places) != 1) | (places[1:] % columns == 0)) + 1
    starts = places[np.concatenate([[0], breaks])]
    ends = places[np.concatenate([breaks - 1, [places.size - 1]])]
    return np.column_stack([starts // columns, starts % columns, ends % columns + 1]).tolist()
