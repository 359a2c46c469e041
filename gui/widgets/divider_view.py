"""Two pictures under one divider and one zoom: the original on its left, the result on its right.

Over them, when asked for: where they differ from the original, where the bits of the file went, and a lens.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from PySide6.QtCore import QPoint, QPointF, QRect, QRectF, QSizeF, Qt, Signal, Slot
from PySide6.QtGui import (
    QBrush,
    QColor,
    QFocusEvent,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPainterPath,
    QPaintEvent,
    QPen,
    QPixmap,
)

from gui.services.theme import Theme
from gui.widgets.chip import Chip
from gui.widgets.difference_map import DifferenceMap
from gui.widgets.heat_map import BITS_BLOCK, DIFFERENCE_GAIN, HeatTile, Scale, ScaleChip, difference_at, heat_image
from gui.widgets.image_canvas import ImageCanvas
from gui.widgets.pyramid import Background, Pyramid

if TYPE_CHECKING:
    import numpy as np
    from PySide6.QtWidgets import QWidget

GRAB_DISTANCE = 14.0  # logical pixels beside the line that still take hold of it
KNOB_RADIUS = 17.0
CHIP_MARGIN = 12.0
CHIP_FADE = 36.0
CHECKER = 8
KEY_STEP = 0.05
POSITIONS = {Qt.Key.Key_1: 0.0, Qt.Key.Key_2: 0.5, Qt.Key.Key_3: 1.0}
OVERLAYS = ("", "difference", "bits")
OVERLAY_KEYS = {Qt.Key.Key_D: "difference", Qt.Key.Key_B: "bits"}
BITS_OPACITY = 0.6
PART_SHADE = 0.35  # over what lies beyond a part
LENS_RADIUS = 112.0  # logical pixels
LENS_ZOOM = 4  # screen pixels per picture pixel
DESCRIPTION = (
    "Keys 1, 2 and 3 put the divider left, in the middle and right, Shift with the arrow keys moves it. "
    "Hold Space to see the original. D shows the difference to the original, B the bits spent per region, each "
    "again hides it. Hold L for a lens. "
    "Plus and minus zoom, 0 fits the picture, Control and 0 shows 100 percent."
)
SHOWN = {
    "": "",
    "difference": " The difference to the original is shown.",
    "bits": " The bits spent per region are shown.",
}


class Part(NamedTuple):
    """A piece of a picture: its pixels, and where they lie in the picture."""

    image: QImage
    box: QRect


class DividerView(ImageCanvas):
    """Paints `left` up to the divider and `right` beyond it, both at full size under the canvas's one transform.

    Attributes:
        position: of the divider, 0..1 of the width of the view.
        overlay: what lies over the pictures: "" for nothing, "difference" or "bits".

    Signals:
        position_changed(float): the divider was moved.
        overlay_changed(str): another overlay, by key or by call.
        lens_changed(bool): the lens was switched on or off by `set_lens`; not while its key is held.
        bits_wanted(): the overlay "bits" is on and there is no map of the pictures shown: answer by `set_bits_map`.
    """

    position_changed = Signal(float)
    overlay_changed = Signal(str)
    lens_changed = Signal(bool)
    bits_wanted = Signal()

    def __init__(
        self,
        parent: QWidget | None = None,
        *,
        name: str = "Original and result under one divider",
        background: Background | None = None,
        failed: Callable[[Exception], None] | None = None,
    ) -> None:
        """Args: background, failed: as for a `PyramidShelf`; they compute the difference beside the window."""
        super().__init__(parent, name=name)
        self.setAccessibleDescription(DESCRIPTION)
        self.position = 0.5
        self.overlay = ""
        # What each side differs from the original by; a side that is the original is shown as it is.
        self._differences = tuple(DifferenceMap(background, failed, self) for _ in range(2))
        for difference in self._differences:
            difference.changed.connect(self.update)
        self._bits: tuple[_BitsMap | None, _BitsMap | None] = (None, None)
        self._bits_known = self._bits_stale = False
        self._lens = self._lens_held = False
        self._cursor: QPointF | None = None
        self._here: QPoint | None = None
        self._left: Pyramid | None = None
        self._right: Pyramid | None = None
        self._original: Pyramid | None = None
        self._left_label = self._right_label = ""
        self._original_label = "Original"
        self._waiting_text = ""
        self._parts: tuple[Part | None, Part | None] = (None, None)
        self._grabbed = False
        self._over_divider = False
        self._holding = False
        self._checker = _checkerboard()
        self.hovered.connect(self._on_hovered)
        self.hover_left.connect(self._on_hover_left)
        self.transform.changed.connect(self._look_at_difference)
        Theme.current().changed.connect(self.update)

    def set_pictures(self, left: Pyramid | None, right: Pyramid | None, original: Pyramid | None = None) -> None:
        """Show these; None for a side that has nothing (yet): the other one then fills the view.

        Args:
            original: what Space shows, where it is not `left`.
        """
        others = left is not self._left or right is not self._right
        before = self.transform.image_size
        self._left, self._right = left, right
        self._original = original or left
        # The canvas itself needs one picture for its size and for the mouse.
        self._pyramid = right or left
        if self._pyramid is not None:
            size = self._pyramid.image.size()
            self.transform.set_image_size(size.width(), size.height())
            if before != self.transform.image_size:
                self._here = None  # a pixel of the picture before
        self._pair_differences()
        if others:
            self._forget_bits(other_size=before != self.transform.image_size)
        self._show_cursor()
        self.update()

    def set_overlay(self, overlay: str) -> None:
        """Lay "difference", "bits" or nothing ("") over the pictures.

        "difference": `DIFFERENCE_GAIN` times the largest absolute difference of the colour channels of each side to
        the original, averaged where a screen pixel shows several; a side that is the original is shown as it is.
        "bits": the map given to `set_bits_map`.
        """
        assert overlay in OVERLAYS
        if overlay == self.overlay:
            return
        self.overlay = overlay
        self.setAccessibleDescription(DESCRIPTION + SHOWN[overlay])
        self._pair_differences()
        self.update()
        self.overlay_changed.emit(overlay)
        if overlay == "bits" and not self._bits_known:
            self.bits_wanted.emit()

    def set_bits_map(self, values: np.ndarray | None, left: np.ndarray | None = None) -> None:
        """Say where the bits of the pictures on show went. Call it after `set_pictures`: a map belongs to its pictures.

        Args:
            values: of the right side, (rows, columns) float32 bits per pixel, each of a square of `BITS_BLOCK`
                picture pixels from the top left on; None where its codec does not tell.
            left: the same of the left side.
        """
        high = _round_up(max((_almost_largest(side) for side in (values, left) if side is not None), default=1.0))
        self._bits = tuple(None if side is None else _BitsMap(side, high) for side in (left, values))  # type: ignore[assignment]
        self._bits_known, self._bits_stale = True, False
        self.update()

    @property
    def lens(self) -> bool:
        """Whether the lens is shown, switched on or by its key."""
        return self._lens or self._lens_held

    def set_lens(self, shown: bool) -> None:
        """Switch a round magnifier at the mouse on or off: `LENS_ZOOM` screen pixels per picture pixel, unblurred.

        Its left half shows the left picture, its right half the right one, both around the place under the mouse.
        """
        if shown != self._lens:
            self._lens = shown
            self.update()
            self.lens_changed.emit(shown)

    def set_parts(self, left: Part | None, right: Part | None) -> None:
        """Lay a part that is ready over a picture that is not: what lies beyond it is dimmed, since it is older."""
        if (left, right) != self._parts:
            self._parts = left, right
            self.update()

    def visible_part(self) -> QRect:
        """The picture pixels in view; those that are only partly in view count."""
        ratio = self.devicePixelRatioF()
        corners = (QPointF(0, 0), QPointF(self.width() * ratio, self.height() * ratio))
        first, last = (self.transform.to_image(corner) for corner in corners)
        found = QRect(
            QPoint(math.floor(first.x()), math.floor(first.y())),
            QPoint(math.ceil(last.x()) - 1, math.ceil(last.y()) - 1),
        )
        return found.intersected(QRect(QPoint(0, 0), self.transform.image_size))

    def set_labels(self, left: str, right: str, waiting: str = "") -> None:
        """Texts of the two corners; `waiting` is shown at the right while there is nothing on that side."""
        if (left, right, waiting) != (self._left_label, self._right_label, self._waiting_text):
            self._left_label, self._right_label, self._waiting_text = left, right, waiting
            self.update()

    @property
    def left(self) -> Pyramid | None:
        """What is shown at the left."""
        return self._left

    @property
    def right(self) -> Pyramid | None:
        """What is shown at the right."""
        return self._right

    @property
    def divided(self) -> bool:
        """True while both sides have a picture, so that there is something to divide."""
        return self._left is not None and self._right is not None

    @property
    def showing_original(self) -> bool:
        """True while Space is held."""
        return self._holding and self._original is not None

    def set_position(self, position: float) -> None:
        """Put the divider at a share 0..1 of the width."""
        position = min(1.0, max(0.0, position))
        if position != self.position:
            self.position = position
            self.position_changed.emit(position)
            self.update()

    # -- painting

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        self.paint_background(painter)
        whole = QRectF(self.rect())
        if self.showing_original:
            self._paint_picture(painter, self._original, whole)
            self._paint_chip(painter, "A", self._original_label, at_left=True, room=whole.width())
        elif self.divided:
            line = self._line()
            self._paint_side(painter, 0, QRectF(0, 0, line, self.height()))
            self._paint_side(painter, 1, QRectF(line, 0, self.width() - line, self.height()))
            self.paint_over(painter)
            self._paint_divider(painter, line)
            self._paint_chip(painter, "A", self._left_label, at_left=True, room=line)
            self._paint_chip(painter, "B", self._right_label, at_left=False, room=self.width() - line)
        elif self._right is not None:
            self._paint_side(painter, 1, whole)
            self.paint_over(painter)
            self._paint_chip(painter, "", self._right_label, at_left=True, room=whole.width())
        elif self._left is not None:
            self._paint_side(painter, 0, whole)
            self.paint_over(painter)
            self._paint_chip(painter, "A", self._left_label, at_left=True, room=whole.width())
            self._paint_chip(painter, "", self._waiting_text, at_left=False, room=whole.width() / 2)
        if self.overlay and not self.showing_original and self._pyramid is not None:
            self._paint_legend(painter)
        if self.lens and self._pyramid is not None:
            self._paint_lens(painter)
        self.paint_focus(painter)
        painter.end()

    def _line(self) -> float:
        """Where the divider stands, in logical pixels on a border of two physical ones."""
        ratio = self.devicePixelRatioF()
        return round(self.position * self.width() * ratio) / ratio

    def _paint_side(self, painter: QPainter, side: int, area: QRectF) -> None:
        """One side, 0 = left, and the overlay on it."""
        self._paint_picture(painter, (self._left, self._right)[side], area)
        part = self._parts[side]
        if part is not None and not area.isEmpty():
            self._paint_part(painter, part, area)
        tile = self._tile(side)
        if tile is None or area.isEmpty():
            return
        painter.save()
        painter.setClipRect(area)
        if self.overlay == "bits":
            painter.setOpacity(BITS_OPACITY)
        tile.paint(painter, self.transform, self.devicePixelRatioF(), smooth=self.transform.zoom * tile.factor < 1.0)
        painter.restore()

    def _paint_part(self, painter: QPainter, part: Part, area: QRectF) -> None:
        ratio = self.devicePixelRatioF()
        first, last = (
            self.transform.to_view(QPointF(corner)) / ratio
            for corner in (part.box.topLeft(), part.box.bottomRight() + QPoint(1, 1))
        )
        place = QRectF(first, last)
        beyond = QPainterPath()
        beyond.addRect(area)
        inside = QPainterPath()
        inside.addRect(place)
        painter.save()
        painter.setClipRect(area)
        shade = QColor(Qt.GlobalColor.black)
        shade.setAlphaF(PART_SHADE)
        painter.fillPath(beyond.subtracted(inside), shade)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, self.transform.zoom < 1.0)
        painter.drawImage(place, part.image)
        painter.setPen(QPen(Theme.current().color("accent"), 1.0))
        painter.drawRect(place)
        painter.restore()

    def _tile(self, side: int) -> HeatTile | None:
        """What lies over a side."""
        if self.overlay == "difference":
            return self._differences[side].tile
        bits = self._bits[side]
        return bits.tile if self.overlay == "bits" and bits is not None else None

    def _paint_picture(self, painter: QPainter, pyramid: Pyramid | None, area: QRectF) -> None:
        if pyramid is None or area.isEmpty():
            return
        ratio = self.devicePixelRatioF()
        painter.save()
        painter.setClipRect(area)
        if pyramid.image.hasAlphaChannel():
            target = self.transform.target()
            painter.fillRect(
                QRectF(target.topLeft() / ratio, target.size() / ratio).intersected(area), QBrush(self._checker)
            )
        # From 100 % on every pixel is shown as it is.
        pyramid.paint(painter, self.transform, ratio, smooth=self.transform.zoom < 1.0)
        painter.restore()

    def _paint_divider(self, painter: QPainter, line: float) -> None:
        theme = Theme.current()
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        shade = QColor(theme.color("window" if theme.is_dark else "tooltip"))
        shade.setAlphaF(0.35)
        painter.fillRect(QRectF(line - 2, 0, 4, self.height()), shade)
        painter.fillRect(QRectF(line - 1, 0, 2, self.height()), theme.color("text" if theme.is_dark else "panel"))
        center = QPointF(line, self.height() / 2)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(shade)
        painter.drawEllipse(center + QPointF(0, 1), KNOB_RADIUS + 2, KNOB_RADIUS + 2)
        active = self._grabbed or self._over_divider
        painter.setPen(QPen(theme.color("accent"), 2.0) if active else QPen(theme.color("border"), 1.0))
        painter.setBrush(theme.color("raised"))
        painter.drawEllipse(center, KNOB_RADIUS, KNOB_RADIUS)
        pen = QPen(theme.color("accent" if active else "text"), 2.2)
        pen.setCapStyle(Qt.PenCapStyle.RoundCap)
        pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
        painter.setPen(pen)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for side in (-1, 1):
            arrow = QPainterPath(center + QPointF(side * 4.5, -4.5))
            arrow.lineTo(center + QPointF(side * 9.0, 0))
            arrow.lineTo(center + QPointF(side * 4.5, 4.5))
            painter.drawPath(arrow)
        painter.restore()

    def _paint_chip(self, painter: QPainter, letter: str, text: str, *, at_left: bool, room: float) -> None:
        """A label in a top corner; it fades away where the divider leaves no room for it."""
        if not text:
            return
        chip = Chip(self, text, letter=letter)
        opacity = min(1.0, max(0.0, (room - chip.width - CHIP_MARGIN + CHIP_FADE - 6) / CHIP_FADE))
        if opacity > 0.0:
            x = CHIP_MARGIN if at_left else self.width() - CHIP_MARGIN - chip.width
            chip.paint(painter, QPointF(x, CHIP_MARGIN), opacity)

    def _paint_legend(self, painter: QPainter) -> None:
        """What the colours of the overlay mean, or why there are none, in the lower left corner."""
        text = self._missing()
        chip = Chip(self, text) if text else ScaleChip(self, self._scale())
        chip.paint(painter, QPointF(CHIP_MARGIN, self.height() - CHIP_MARGIN - chip.height))

    def _missing(self) -> str:
        """Why the overlay has nothing to show, or ""."""
        if self.overlay == "bits":
            if not self._bits_known and not self._bits_stale:
                return "Counting the bits of each region…"
            return "" if any(self._bits) else "Neither side tells where its bits went"
        if self._original is None:
            return "Nothing to compare with: the original is not open"
        if self._right is None and self._left is self._original:
            return "Nothing to compare yet"
        if any(difference.images for difference in self._differences):
            return ""
        return "Nothing to compare: the sizes differ"

    def _scale(self) -> Scale:
        """The legend of the overlay, with the value under the cursor."""
        value = self._value_here()
        here = "" if value is None else f"{value:.3g}"
        if self.overlay == "bits":
            high = max(bits.high for bits in self._bits if bits is not None)
            waiting = " · updating…" if self._bits_stale else ""
            return Scale(f"Bits per pixel{waiting}", "0", f"≥ {high:g}", here, (value or 0.0) / high)
        high = math.ceil(255 / DIFFERENCE_GAIN)
        waiting = " · computing…" if any(difference.busy for difference in self._differences) else ""
        title = f"Difference × {DIFFERENCE_GAIN}, steps of 255{waiting}"
        return Scale(title, "0", f"≥ {high}", here, (value or 0.0) / high)

    def _value_here(self) -> float | None:
        """The number under the cursor, of the side it is on."""
        if self._here is None or self._cursor is None:
            return None
        side = 1 if self._left is None or (self.divided and self._cursor.x() >= self._line()) else 0
        if self.overlay == "bits":
            bits = self._bits[side]
            return None if bits is None else bits.at(self._here)
        images = self._differences[side].images
        return None if images is None else difference_at(*images, self._here.x(), self._here.y())

    def _paint_lens(self, painter: QPainter) -> None:
        ratio, theme = self.devicePixelRatioF(), Theme.current()
        spot = self._lens_spot()
        center = QPoint(round(spot.x() * ratio), round(spot.y() * ratio))
        radius = round(LENS_RADIUS * ratio)
        sides = (self._original, self._original) if self.showing_original else (self._left, self._right)
        left, right = sides[0] or sides[1], sides[1] or sides[0]
        assert left is not None and right is not None
        painter.save()
        painter.scale(1 / ratio, 1 / ratio)
        round_clip = QPainterPath()
        round_clip.addEllipse(QPointF(center), radius, radius)
        painter.setClipPath(round_clip)
        painter.fillPath(round_clip, theme.color("sunken"))
        for pyramid, half in (
            (left, QRect(center.x() - radius, center.y() - radius, radius, 2 * radius)),
            (right, QRect(center.x(), center.y() - radius, radius, 2 * radius)),
        ):
            painter.save()
            painter.setClipRect(half, Qt.ClipOperation.IntersectClip)
            self._paint_magnified(painter, pyramid, QPointF(center), QRectF(half))
            painter.restore()
        painter.setClipping(False)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if left is not right:
            for color, width in ((theme.color("raised"), 3.0), (theme.color("text"), 1.0)):
                painter.setPen(QPen(color, width * ratio))
                painter.drawLine(QPointF(center.x(), center.y() - radius), QPointF(center.x(), center.y() + radius))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for color, width in ((theme.color("raised"), 6.0), (theme.color("border_strong"), 1.5)):
            painter.setPen(QPen(color, width * ratio))
            painter.drawEllipse(QPointF(center), radius, radius)
        painter.restore()
        chip = Chip(self, f"{100 * LENS_ZOOM} %")
        chip.paint(painter, spot + QPointF(-chip.width / 2, LENS_RADIUS - chip.height / 2))

    def _paint_magnified(self, painter: QPainter, pyramid: Pyramid, center: QPointF, area: QRectF) -> None:
        """A picture in the lens, in physical pixels: `center` shows what the view shows there."""
        size, image = self.transform.image_size, pyramid.image
        # A picture of another size is stretched as in the view.
        stretch = QSizeF(size.width() / image.width(), size.height() / image.height())
        across, down = LENS_ZOOM * stretch.width(), LENS_ZOOM * stretch.height()
        middle = self.transform.to_image(center)
        corner = QPointF(round(center.x() - middle.x() * LENS_ZOOM), round(center.y() - middle.y() * LENS_ZOOM))
        source = QRectF(
            (area.left() - corner.x()) / across,
            (area.top() - corner.y()) / down,
            area.width() / across,
            area.height() / down,
        )
        pixels = source.toAlignedRect().intersected(image.rect())
        if pixels.isEmpty():
            return
        target = QRectF(
            corner.x() + pixels.left() * across,
            corner.y() + pixels.top() * down,
            pixels.width() * across,
            pixels.height() * down,
        )
        if image.hasAlphaChannel():
            painter.fillRect(target, QBrush(self._checker))
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, False)
        painter.drawImage(target, image, QRectF(pixels))

    def _lens_spot(self) -> QPointF:
        """The middle of the lens: the mouse, or the middle of the view while the mouse is elsewhere."""
        return self._cursor if self._cursor is not None else QPointF(self.width() / 2, self.height() / 2)

    # -- overlays

    def _pair_differences(self) -> None:
        """Compare what is on show with the original, if that is wanted."""
        for difference, side in zip(self._differences, (self._left, self._right), strict=True):
            wanted = self.overlay == "difference" and side is not None and side is not self._original
            fits = side is not None and side.image.size() == self.transform.image_size
            difference.set_pair(self._original if wanted and fits else None, side)
        self._look_at_difference()

    @Slot()
    def _look_at_difference(self) -> None:
        if self.overlay == "difference":
            ratio = self.devicePixelRatioF()
            for difference in self._differences:
                difference.look_at(self.transform, QRectF(0, 0, self.width() * ratio, self.height() * ratio))

    def _forget_bits(self, other_size: bool) -> None:
        """The map is not of the pictures that are now on show."""
        shown = self.overlay == "bits"
        # Until the new one is there the old one stays, and the legend says so.
        self._bits_stale = shown and any(self._bits) and not other_size
        if not self._bits_stale:
            self._bits = (None, None)
        self._bits_known = False
        if shown and self._pyramid is not None:
            self.bits_wanted.emit()

    @Slot(QPoint)
    def _on_hovered(self, pixel: QPoint) -> None:
        self._here = pixel
        if self.overlay:
            self.update()

    @Slot()
    def _on_hover_left(self) -> None:
        self._here = None
        if self.overlay:
            self.update()

    def _move_cursor(self, position: QPointF | None) -> None:
        before = self._lens_spot()
        self._cursor = position
        if self.lens:
            side = LENS_RADIUS + 24.0
            for spot in (before, self._lens_spot()):
                self.update(QRectF(spot.x() - side, spot.y() - side, 2 * side, 2 * side).toAlignedRect())

    # -- mouse and keys

    def keeps_press(self, position: QPointF) -> bool:
        """The knob of the divider can be dragged even while a tool draws."""
        knob = QPointF(self._line(), self.height() / 2)
        away = position - knob
        return not self._lent_wholly and self._near_divider(position) and math.hypot(away.x(), away.y()) <= KNOB_RADIUS

    def _near_divider(self, position: QPointF) -> bool:
        return self.divided and not self.showing_original and abs(position.x() - self._line()) <= GRAB_DISTANCE

    def _show_cursor(self) -> None:
        if self._grabbed or self._over_divider:
            self.setCursor(Qt.CursorShape.SplitHCursor)
        else:
            super()._show_cursor()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton and self._near_divider(event.position()):
            self._grabbed = True
            self._offset = event.position().x() - self._line()
            self._show_cursor()
            self.update()
            event.accept()
            return
        super().mousePressEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        self._move_cursor(event.position())
        if self._grabbed:
            self.set_position((event.position().x() - self._offset) / max(1, self.width()))
            return
        holds = self.keeps_press if self._tool_cursor is not None else self._near_divider
        over = holds(event.position()) and event.buttons() == Qt.MouseButton.NoButton
        if over != self._over_divider:
            self._over_divider = over
            self._show_cursor()
            self.update()
        super().mouseMoveEvent(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if self._grabbed:
            self._grabbed = False
            self._over_divider = self._near_divider(event.position())
            self._show_cursor()
            self.update()
            return
        super().mouseReleaseEvent(event)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        if self._near_divider(event.position()):
            self.set_position(0.5)
        elif self.transform.fitting:
            self.transform.set_zoom(1.0, event.position() * self.devicePixelRatioF())
        else:
            self.transform.fit()

    def leaveEvent(self, event) -> None:
        self._move_cursor(None)
        super().leaveEvent(event)
        if self._over_divider:
            self._over_divider = False
            self._show_cursor()
            self.update()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key, modifiers = event.key(), event.modifiers()
        plain = not modifiers & (Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.AltModifier)
        if key == Qt.Key.Key_Space:
            if not event.isAutoRepeat():
                self._hold(True)
        elif plain and key in POSITIONS:
            self.set_position(POSITIONS[Qt.Key(key)])
        elif plain and key in OVERLAY_KEYS:
            overlay = OVERLAY_KEYS[Qt.Key(key)]
            self.set_overlay("" if self.overlay == overlay else overlay)
        elif plain and key == Qt.Key.Key_L:
            self._hold_lens(True)
        elif modifiers & Qt.KeyboardModifier.ShiftModifier and key in (Qt.Key.Key_Left, Qt.Key.Key_Right):
            self.set_position(self.position + (KEY_STEP if key == Qt.Key.Key_Right else -KEY_STEP))
        else:
            super().keyPressEvent(event)

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Space:
            if not event.isAutoRepeat():
                self._hold(False)
        elif event.key() == Qt.Key.Key_L:
            if not event.isAutoRepeat():
                self._hold_lens(False)
        else:
            super().keyReleaseEvent(event)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        # The release of the key goes to whoever has the focus then.
        self._hold(False)
        self._hold_lens(False)
        super().focusOutEvent(event)

    def _hold(self, holding: bool) -> None:
        if holding != self._holding:
            self._holding = holding
            self.update()

    def _hold_lens(self, holding: bool) -> None:
        if holding != self._lens_held:
            self._lens_held = holding
            self.update()


class _BitsMap:
    """Bits per pixel of each square of a picture, with their colours up to `high`."""

    def __init__(self, values: np.ndarray, high: float) -> None:
        import numpy as np

        self._values, self.high = values, high
        levels = np.clip(np.nan_to_num(values) * (255.0 / high) + 0.5, 0, 255).astype(np.uint8)
        rows, columns = levels.shape
        region = QRect(0, 0, columns * BITS_BLOCK, rows * BITS_BLOCK)
        self.tile = HeatTile(region, BITS_BLOCK, heat_image(levels))

    def at(self, pixel: QPoint) -> float | None:
        """The number at a picture pixel, None where the map does not reach."""
        row, column = pixel.y() // BITS_BLOCK, pixel.x() // BITS_BLOCK
        rows, columns = self._values.shape
        return float(self._values[row, column]) if row < rows and column < columns else None


def _almost_largest(values: np.ndarray) -> float:
    """The upper end of a scale for `values`: above it are so few that a longer scale would only darken the others."""
    import numpy as np

    return float(np.nanpercentile(values, 99.5)) if values.size else 0.0


def _round_up(value: float) -> float:
    """The next number of 1, 2, 2.5, 4, 5 or 8 times a power of ten; 1 for 0 and below."""
    if not value > 0.0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next((step * power for step in (1, 2, 2.5, 4, 5, 8) if step * power >= value), 10.0 * power)


def _checkerboard() -> QPixmap:
    """What is seen through a transparent picture: the same neutral greys in every theme, as in every image editor."""
    tile = QPixmap(2 * CHECKER, 2 * CHECKER)
    tile.fill(QColor(Qt.GlobalColor.white))
    painter = QPainter(tile)
    for x, y in ((0, 0), (CHECKER, CHECKER)):
        painter.fillRect(x, y, CHECKER, CHECKER, QColor(Qt.GlobalColor.lightGray))
    painter.end()
    return tile
