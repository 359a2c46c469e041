"""Zoom and pan as an object of their own, so that several views of one picture can share them."""

from __future__ import annotations

from PySide6.QtCore import QObject, QPointF, QRectF, QSize, QSizeF, Signal

MIN_ZOOM, MAX_ZOOM = 1 / 64, 64.0
MAX_FIT_ZOOM = 8.0  # a picture of 64 pixels becomes large enough to see, not a mosaic that fills the screen
STEP = 1.25


class ViewTransform(QObject):
    """Where a picture lies in a viewport.

    Attributes:
        zoom: physical screen pixels per picture pixel; 1.0 is 100 % and pixel-exact on every screen.
        center: the picture point, in picture pixels, in the middle of the viewport.
        fitting: whether the whole picture is kept in view when the viewport changes.

    Signals:
        changed(): repaint.
    """

    changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.fitting = True
        self._image = QSize(0, 0)
        self._viewport = QSizeF(1.0, 1.0)
        self._zoom = 1.0
        self._center = QPointF(0.0, 0.0)

    @property
    def image_size(self) -> QSize:
        """Size of the picture in pixels."""
        return self._image

    @property
    def zoom(self) -> float:
        """Physical pixels per picture pixel."""
        return self._fit_zoom() if self.fitting else self._zoom

    @property
    def center(self) -> QPointF:
        """The picture point in the middle of the viewport."""
        if self.fitting:
            return QPointF(self._image.width() / 2, self._image.height() / 2)
        return QPointF(self._center)

    def set_image_size(self, width: int, height: int) -> None:
        """Tell the size of the picture; another size than before fits it into view."""
        size = QSize(width, height)
        if size != self._image:
            self._image = size
            self.fitting = True
            self.changed.emit()

    def set_viewport(self, width: float, height: float) -> None:
        """Tell the size of the views in physical pixels."""
        size = QSizeF(max(1.0, width), max(1.0, height))
        if size != self._viewport:
            self._viewport = size
            self._clamp()
            self.changed.emit()

    def fit(self) -> None:
        """Show the whole picture."""
        self.fitting = True
        self.changed.emit()

    def actual_size(self) -> None:
        """100 %: one picture pixel per screen pixel."""
        self.set_zoom(1.0)

    def set_zoom(self, zoom: float, anchor: QPointF | None = None) -> None:
        """Zoom; `anchor`, in physical viewport pixels, stays where it is (default: the middle)."""
        zoom = min(MAX_ZOOM, max(MIN_ZOOM, zoom))
        offset = anchor - self._middle() if anchor is not None else QPointF(0.0, 0.0)
        fixed = self.center + offset / self.zoom
        self._zoom, self._center = zoom, fixed - offset / zoom
        self.fitting = False
        self._clamp()
        self.changed.emit()

    def zoom_by(self, factor: float, anchor: QPointF | None = None) -> None:
        """Multiply the zoom, `anchor` staying where it is."""
        self.set_zoom(self.zoom * factor, anchor)

    def pan_by(self, x: float, y: float) -> None:
        """Move the picture by physical pixels."""
        center = self.center - QPointF(x, y) / self.zoom
        self._zoom, self._center = self.zoom, center
        self.fitting = False
        self._clamp()
        self.changed.emit()

    def target(self) -> QRectF:
        """Where the whole picture lies, in physical viewport pixels, snapped to whole ones."""
        corner = self._middle() - self.center * self.zoom
        width, height = self._image.width() * self.zoom, self._image.height() * self.zoom
        return QRectF(round(corner.x()), round(corner.y()), max(1.0, round(width)), max(1.0, round(height)))

    def to_image(self, point: QPointF) -> QPointF:
        """The picture point under a physical viewport point."""
        return (point - self.target().topLeft()) / self.zoom

    def to_view(self, point: QPointF) -> QPointF:
        """The physical viewport point of a picture point."""
        return self.target().topLeft() + point * self.zoom

    def _middle(self) -> QPointF:
        return QPointF(self._viewport.width() / 2, self._viewport.height() / 2)

    def _fit_zoom(self) -> float:
        if self._image.isEmpty():
            return 1.0
        room = min(self._viewport.width() / self._image.width(), self._viewport.height() / self._image.height())
        return min(MAX_FIT_ZOOM, max(MIN_ZOOM, room))

    def _clamp(self) -> None:
        """Keep the middle of the viewport on the picture."""
        self._center = QPointF(
            min(max(self._center.x(), 0.0), float(self._image.width())),
            min(max(self._center.y(), 0.0), float(self._image.height())),
        )
