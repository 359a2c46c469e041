"""Where two pictures differ, as a heat map of what is in view, computed beside the window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from PySide6.QtCore import QObject, QRect, QRectF, Signal, Slot
from PySide6.QtGui import QImage

from engine.progress import CancelToken
from gui.widgets.heat_map import HeatTile, difference_levels, heat_image
from gui.widgets.pyramid import Background, Pyramid
from gui.widgets.view_transform import ViewTransform

MARGIN = 0.25  # of the view on each side, computed with it so that a short pan finds it there


class DifferenceMap(QObject):
    """The heat map of one pair of pictures of the same size.

    At most one computation of a map runs; when it is done and something else is in view, the next one begins. So
    neither zooming nor dragging piles up work, and the map follows.

    Attributes:
        tile: what is there to be painted, or None.

    Signals:
        changed(): there is another tile.
    """

    changed = Signal()

    def __init__(
        self, background: Background | None, failed: Callable[[Exception], None] | None, parent: QObject | None = None
    ) -> None:
        """Args: background, failed: as for a `PyramidShelf`; without them the map is computed at once."""
        super().__init__(parent)
        self._background, self._failed = background, failed
        self._pair: tuple[Pyramid, Pyramid] | None = None
        self._running: _Request | None = None
        self._wanted: _Part | None = None
        self.tile: HeatTile | None = None

    @property
    def busy(self) -> bool:
        """True while the tile is not that of the pictures or of the view asked for last."""
        return self._running is not None

    @property
    def images(self) -> tuple[QImage, QImage] | None:
        """The two pictures that are compared."""
        return None if self._pair is None else (self._pair[0].image, self._pair[1].image)

    def set_pair(self, first: Pyramid | None, second: Pyramid | None) -> None:
        """Compare other pictures. Nothing is compared where one is None or the sizes differ."""
        pair = None
        if first is not None and second is not None and first.image.size() == second.image.size():
            pair = (first, second)
        if self._pair is not None and pair is not None and all(map(_same, self._pair, pair)):
            return
        if pair is self._pair is None:
            return
        same_size = pair is not None and self.images is not None and pair[0].image.size() == self.images[0].size()
        self._pair = pair
        if self._running is not None:
            self._running.cancel.cancel()
            self._running = None
        self._wanted = None
        if not same_size:
            self.tile = None  # that of the pictures before stays until the new one is there, if it lies on them
        self.changed.emit()

    def look_at(self, transform: ViewTransform, viewport: QRectF) -> None:
        """Have what is in view, in physical pixels of the viewport, ready soon."""
        # While pictures of another size are being put on show, the view may be that of the old ones.
        if self._pair is None or self._pair[0].image.size() != transform.image_size:
            return
        part = _part_in_view(transform, viewport)
        if part is None or (self._wanted is not None and self._wanted.serves(part)):
            return
        self._wanted = part.with_margin(transform)
        if self._running is None:
            self._begin()

    def _begin(self) -> None:
        assert self._pair is not None and self._wanted is not None
        request = _Request(self._pair[0].image, self._pair[1].image, self._wanted)
        if self._background is None:
            self._on_made(_compute(request))
            return
        self._running = request
        answer = self._background(partial(_compute, request))
        answer.succeeded.connect(self._on_made)
        answer.failed.connect(self._on_failed)

    @Slot(object)
    def _on_made(self, made: tuple[_Request, HeatTile | None]) -> None:
        request, tile = made
        if request.cancel.cancelled or tile is None:
            return
        self._running = None
        self.tile = tile
        self.changed.emit()
        if self._wanted is not request.part:
            self._begin()

    @Slot(object)
    def _on_failed(self, error: Exception) -> None:
        self._running = self._wanted = None
        if self._failed is not None:
            self._failed(error)


@dataclass(frozen=True)
class _Part:
    """Picture pixels, and how many of them along a side become one of the map."""

    region: QRect
    factor: int

    def serves(self, other: _Part) -> bool:
        """Whether a map of this part shows the other one as finely as is needed, and is not needlessly fine."""
        return self.factor == other.factor and self.region.contains(other.region)

    def with_margin(self, transform: ViewTransform) -> _Part:
        """The part and what lies around it, beginning on whole squares of `factor` pixels."""
        size = transform.image_size
        aside, above = int(self.region.width() * MARGIN), int(self.region.height() * MARGIN)
        grown = self.region.adjusted(-aside, -above, aside, above).intersected(QRect(0, 0, size.width(), size.height()))
        grown.setLeft(grown.left() // self.factor * self.factor)
        grown.setTop(grown.top() // self.factor * self.factor)
        return _Part(grown, self.factor)


@dataclass(frozen=True, eq=False)
class _Request:
    first: QImage
    second: QImage
    part: _Part
    cancel: CancelToken = field(default_factory=CancelToken)


def _part_in_view(transform: ViewTransform, viewport: QRectF) -> _Part | None:
    size = transform.image_size
    corners = QRectF(transform.to_image(viewport.topLeft()), transform.to_image(viewport.bottomRight()))
    region = corners.toAlignedRect().intersected(QRect(0, 0, size.width(), size.height()))
    if region.isEmpty():
        return None
    factor = 1
    while factor * transform.zoom <= 0.5:
        factor *= 2
    return _Part(region, factor)


def _compute(request: _Request) -> tuple[_Request, HeatTile | None]:
    part = request.part
    levels = difference_levels(request.first, request.second, part.region, part.factor, request.cancel)
    return request, None if levels is None else HeatTile(part.region, part.factor, heat_image(levels))


def _same(one: Pyramid, other: Pyramid) -> bool:
    return one is other
