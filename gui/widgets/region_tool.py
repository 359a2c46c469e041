"""RegionTool: a region of interest painted over a canvas by rectangle, brush and eraser, and a crop with handles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QLineF, QObject, QPointF, QRect, QRectF, QSize, Qt, Signal, Slot
from PySide6.QtGui import (
    QColor,
    QCursor,
    QImage,
    QKeyEvent,
    QKeySequence,
    QMouseEvent,
    QPainter,
    QPainterPath,
    QPen,
    QWheelEvent,
)

from gui.services.theme import Theme
from gui.widgets.chip import Chip
from gui.widgets.crop_frame import (
    GRIPS,
    INSIDE,
    Grip,
    grip_point,
    largest_inside,
    moved,
    pulled,
    spanned,
    whole_pixels,
)
from gui.widgets.image_canvas import ImageCanvas
from gui.widgets.region_mask import RegionMask

if TYPE_CHECKING:
    import numpy as np

MODES = ("none", "rectangle", "brush", "eraser", "crop")
SMALLEST_BRUSH, LARGEST_BRUSH, FIRST_BRUSH = 2, 400, 48  # diameters in logical screen pixels
BRUSH_STEP = 1.2
TINT = 0.42  # opacity of the mask
SHADE = 0.6  # opacity of what is cut away
GRIP_DISTANCE = 12.0  # logical pixels from which a handle or a side of the crop is taken hold of
HANDLE = 9.0
HISTORY = 200
SAME_SHAPE = 0.01  # two pictures whose aspects differ by at most this share are one picture in two sizes

PANNING = "The middle or the right button moves the picture, Escape leaves the tool."
HINTS = {
    "none": "",
    "rectangle": f"Drag a rectangle over what matters; with Control it is taken out. {PANNING}",
    "brush": f"Paint over what matters; with Control paint is taken off. [ and ] or Control with the wheel change "
    f"the size. {PANNING}",
    "eraser": f"Paint over what does not matter. [ and ] or Control with the wheel change the size. {PANNING}",
    "crop": "Drag the frame or its handles; the arrow keys move it, with Control they change its size, with Shift by "
    f"ten pixels. {PANNING}",
}
CURSORS = {
    (-1, -1): Qt.CursorShape.SizeFDiagCursor,
    (1, 1): Qt.CursorShape.SizeFDiagCursor,
    (1, -1): Qt.CursorShape.SizeBDiagCursor,
    (-1, 1): Qt.CursorShape.SizeBDiagCursor,
    (-1, 0): Qt.CursorShape.SizeHorCursor,
    (1, 0): Qt.CursorShape.SizeHorCursor,
    (0, -1): Qt.CursorShape.SizeVerCursor,
    (0, 1): Qt.CursorShape.SizeVerCursor,
    INSIDE: Qt.CursorShape.SizeAllCursor,
}
ARROWS = {
    Qt.Key.Key_Left: QPointF(-1, 0),
    Qt.Key.Key_Right: QPointF(1, 0),
    Qt.Key.Key_Up: QPointF(0, -1),
    Qt.Key.Key_Down: QPointF(0, 1),
}


class RegionTool(QObject):
    """Draws on one canvas. While a mode other than "none" is on, the left button draws instead of panning.

    Zooming stays as it is; the middle and the right button pan. Mask and crop are kept in the picture's own
    coordinates, so zoom and window size do not matter. `reset` when another photo is opened: a picture of the same
    shape keeps both, because a result or a smaller version of the same photo looks just like that.

    Attributes:
        mode: one of `MODES`.
        brush: diameter of brush and eraser in logical pixels of the screen: zooming in draws finer.

    Signals:
        changed(): mask or crop are other ones: a stroke ended, something was undone, cleared, set.
        drawing(): mask or crop follow the mouse right now.
        mode_changed(str): also when Escape left the tool.
        brush_changed(int): the diameter.
    """

    changed = Signal()
    drawing = Signal()
    mode_changed = Signal(str)
    brush_changed = Signal(int)

    def __init__(self, canvas: ImageCanvas) -> None:
        super().__init__(canvas)
        self._canvas = canvas
        self.mode = "none"
        self.brush = FIRST_BRUSH
        self._picture = QSize(0, 0)
        self._mask: RegionMask | None = None
        self._tint: np.ndarray | None = None
        self._outline: QPainterPath | None = None
        self._shown = True
        self._crop: QRectF | None = None
        self._aspect: float | None = None
        self._stroke: _Stroke | None = None
        self._spot: QPointF | None = None
        self._past: list[_Snapshot] = []
        self._future: list[_Snapshot] = []
        canvas.add_layer(self._paint)
        canvas.transform.changed.connect(self._follow_picture)
        Theme.current().changed.connect(self._on_theme_changed)
        self._follow_picture()

    # -- what the page uses

    def set_mode(self, mode: str) -> None:
        """Take up another tool, or none. A stroke that is being drawn is given up."""
        assert mode in MODES
        if mode == self.mode:
            return
        self._give_up()
        if self.mode == "none":
            self._canvas.installEventFilter(self)
        elif mode == "none":
            self._canvas.removeEventFilter(self)
            self._spot = None
        self.mode = mode
        if mode == "crop" and self._crop is None:
            before = self._snapshot()
            self._crop = self._whole() if self._aspect is None else largest_inside(self._whole(), self._aspect)
            self._commit(before)
        self._show_cursor()
        self._canvas.update()
        self.mode_changed.emit(mode)

    @property
    def hint(self) -> str:
        """How the tool in use is used, in two or three sentences; "" for none."""
        return HINTS[self.mode]

    def set_brush(self, diameter: float) -> None:
        """Change the diameter of brush and eraser, in logical pixels of the screen."""
        brush = round(min(LARGEST_BRUSH, max(SMALLEST_BRUSH, diameter)))
        if brush != self.brush:
            self.brush = brush
            self._canvas.update()
            self.brush_changed.emit(brush)

    def mask(self) -> np.ndarray | None:
        """The chosen region of the whole picture, (height, width) bool of at most 1024 a side; None if it is empty."""
        return None if self._mask is None or not self._mask.cells.any() else self._mask.cells.copy()

    def set_mask(self, mask: np.ndarray | None) -> None:
        """Choose what a mask (H, W) bool of the same picture at any resolution chooses, for example a segment's."""
        if mask is None:
            self.clear()
        elif self._mask is not None:
            before = self._snapshot()
            self._mask.take(mask)
            self._commit(before)

    def clear(self) -> None:
        """Choose nothing. Can be undone."""
        if self._mask is not None:
            before = self._snapshot()
            self._mask.cells[:] = False
            self._commit(before)

    def invert(self) -> None:
        """Choose what was not chosen. Can be undone."""
        if self._mask is not None:
            before = self._snapshot()
            self._mask.cells[:] = ~self._mask.cells
            self._commit(before)

    def coverage(self) -> float:
        """The share of the picture that is chosen, 0..1."""
        return 0.0 if self._mask is None else float(self._mask.cells.mean())

    def set_shown(self, shown: bool) -> None:
        """Show or hide the mask; it counts either way."""
        self._shown = shown
        self._canvas.update()

    def crop_rect(self) -> QRect | None:
        """The crop in picture pixels; None if it is the whole picture."""
        if self._crop is None:
            return None
        rect = whole_pixels(self._crop, self._picture, self._aspect)
        return None if rect.size() == self._picture else rect

    def set_crop_rect(self, rect: QRect | None) -> None:
        """Crop to a rectangle of picture pixels, cut to the picture; None for no crop. Can be undone."""
        before = self._snapshot()
        self._crop = None if rect is None else QRectF(rect).intersected(self._whole())
        if self._crop is None or self._crop.isEmpty():
            self._crop = self._whole() if self.mode == "crop" else None
        self._commit(before)

    def set_aspect(self, aspect: float | None) -> None:
        """Fix width / height of the crop, or free it; the crop becomes the largest one of it within itself."""
        assert aspect is None or aspect > 0
        self._aspect = aspect
        if aspect is not None and self._crop is not None:
            before = self._snapshot()
            self._crop = largest_inside(self._crop, aspect)
            self._commit(before)

    @property
    def can_undo(self) -> bool:
        """Whether there is a stroke to take back."""
        return bool(self._past)

    @property
    def can_redo(self) -> bool:
        """Whether there is a stroke to bring back."""
        return bool(self._future)

    def undo(self) -> None:
        """Take the last stroke back."""
        self._go(self._past, self._future)

    def redo(self) -> None:
        """Bring a stroke back that was taken back."""
        self._go(self._future, self._past)

    def reset(self) -> None:
        """Forget mask, crop and history without telling: another photo is opened."""
        self._give_up()
        self._picture = QSize(0, 0)
        self._follow_picture()

    # -- state

    def _whole(self) -> QRectF:
        return QRectF(QPointF(0, 0), QRectF(0, 0, self._picture.width(), self._picture.height()).size())

    def _snapshot(self) -> _Snapshot:
        crop = None if self._crop is None or self.crop_rect() is None else QRectF(self._crop)
        return (b"" if self._mask is None else self._mask.packed(), crop)

    def _restore(self, snapshot: _Snapshot) -> None:
        packed, self._crop = snapshot
        if self._mask is not None:
            self._mask.unpack(packed)
        if self._crop is None and self.mode == "crop":
            self._crop = self._whole()
        self._redraw()

    def _commit(self, before: _Snapshot) -> None:
        """Something may have changed since `before`: remember it, show it, tell it."""
        self._redraw()
        if before != self._snapshot():
            self._past = [*self._past, before][-HISTORY:]
            self._future = []
            self.changed.emit()

    def _go(self, source: list[_Snapshot], target: list[_Snapshot]) -> None:
        self._give_up()
        if source:
            target.append(self._snapshot())
            self._restore(source.pop())
            self.changed.emit()

    @Slot()
    def _follow_picture(self) -> None:
        """Keep mask and crop where they are in the picture when it is shown in another size."""
        size = self._canvas.transform.image_size
        if size == self._picture:
            return
        before, old, crop = self._picture, self._mask, self._crop
        self._give_up()
        self._picture = QSize(size)
        self._past, self._future = [], []
        self._mask = None if size.isEmpty() else RegionMask(size)
        self._crop = None
        same_shape = not before.isEmpty() and not size.isEmpty()
        if same_shape:
            skew = before.width() * size.height() / (before.height() * size.width())
            same_shape = abs(skew - 1.0) <= SAME_SHAPE
        if same_shape and old is not None and self._mask is not None:
            self._mask.take(old.cells)
            if crop is not None:
                across, down = size.width() / before.width(), size.height() / before.height()
                self._crop = QRectF(
                    crop.x() * across, crop.y() * down, crop.width() * across, crop.height() * down
                ).intersected(self._whole())
        if self._crop is None and self.mode == "crop":
            self._crop = self._whole()
        self._redraw()
        if not before.isEmpty() and ((old is not None and old.cells.any()) or crop is not None):
            self.changed.emit()

    # -- strokes

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        kind = event.type()
        if isinstance(event, QMouseEvent):
            if kind in (QEvent.Type.MouseButtonPress, QEvent.Type.MouseButtonDblClick):
                return event.button() == Qt.MouseButton.LeftButton and self._press(event)
            if kind == QEvent.Type.MouseMove:
                return self._move(event)
            if kind == QEvent.Type.MouseButtonRelease:
                return event.button() == Qt.MouseButton.LeftButton and self._release(event)
        elif isinstance(event, QWheelEvent):
            return self._wheel(event)
        elif isinstance(event, QKeyEvent):
            if kind == QEvent.Type.ShortcutOverride and self._command(event) is not None:
                # These keys are the tool's as long as it is in use, whatever the window does with them otherwise.
                event.accept()
                return True
            return kind == QEvent.Type.KeyPress and self._key(event)
        elif kind == QEvent.Type.Leave:
            self._spot = None
            self._canvas.update()
        return False

    def _place(self, position: QPointF) -> QPointF:
        """The picture point under a point of the canvas."""
        return self._canvas.transform.to_image(position * self._canvas.devicePixelRatioF())

    def _on_screen(self, rect: QRectF) -> QRectF:
        """A rectangle of picture pixels in logical pixels of the canvas."""
        ratio, view = self._canvas.devicePixelRatioF(), self._canvas.transform
        return QRectF(view.to_view(rect.topLeft()) / ratio, view.to_view(rect.bottomRight()) / ratio)

    def _press(self, event: QMouseEvent) -> bool:
        if self._mask is None or self._canvas.keeps_press(event.position()):
            return False
        self._canvas.setFocus(Qt.FocusReason.MouseFocusReason)
        self._give_up()
        place = self._place(event.position())
        takes_out = self.mode == "eraser" or bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier)
        grip = self._grip_at(event.position()) if self.mode == "crop" else None
        self._stroke = _Stroke(self._snapshot(), place, event.position(), not takes_out, grip, self._crop)
        self._draw_to(place)
        return True

    def _move(self, event: QMouseEvent) -> bool:
        self._spot = event.position()
        if self._stroke is None:
            if event.buttons() == Qt.MouseButton.NoButton:
                self._show_cursor()
            self._canvas.update()
            return False
        self._draw_to(self._place(event.position()))
        self.drawing.emit()
        return True

    def _release(self, event: QMouseEvent) -> bool:
        stroke, self._stroke = self._stroke, None
        if stroke is None:
            return False
        drawn = stroke.rectangle
        if self.mode == "rectangle" and self._mask is not None and drawn is not None and not drawn.isEmpty():
            corners = (
                self._mask.to_cells(drawn.topLeft()),
                self._mask.to_cells(drawn.bottomRight()),
            )
            self._mask.draw_rectangle(*corners, stroke.chosen)
        if self.mode == "crop" and self._crop is not None:
            self._crop = QRectF(whole_pixels(self._crop, self._picture, self._aspect))
        self._commit(stroke.before)
        return True

    def _draw_to(self, place: QPointF) -> None:
        """Draw from where the stroke is to a picture point."""
        stroke, mask = self._stroke, self._mask
        assert stroke is not None and mask is not None
        if self.mode in ("brush", "eraser"):
            ratio = self._canvas.devicePixelRatioF()
            pixels = self.brush / 2 * ratio / self._canvas.transform.zoom
            radius = mask.to_cells(QPointF(pixels, 0)).x()
            box = mask.draw_line(mask.to_cells(stroke.last), mask.to_cells(place), radius, stroke.chosen)
            self._redraw(box)
        elif self.mode == "rectangle":
            stroke.rectangle = QRectF(stroke.start, place).normalized().intersected(self._whole())
        elif self.mode == "crop":
            self._pull_crop(stroke, place)
        stroke.last = place
        self._canvas.update()

    def _pull_crop(self, stroke: _Stroke, place: QPointF) -> None:
        if stroke.grip is None:
            whole = self._whole()
            anchor = QPointF(
                min(max(stroke.start.x(), 0.0), whole.right()), min(max(stroke.start.y(), 0.0), whole.bottom())
            )
            drawn = spanned(anchor, place, self._picture, self._aspect)
            # A click beside the frame is no wish for another one.
            self._crop = drawn if min(drawn.width(), drawn.height()) >= 1 else stroke.crop
        elif stroke.crop is not None and stroke.grip == INSIDE:
            self._crop = moved(stroke.crop, place - stroke.start, self._picture)
        elif stroke.crop is not None:
            # The handle stays as far from the mouse as it was when taken hold of.
            handle = grip_point(stroke.crop, stroke.grip) + place - stroke.start
            self._crop = pulled(stroke.crop, stroke.grip, handle, self._picture, self._aspect)

    def _give_up(self) -> None:
        """Forget the stroke that is being drawn."""
        stroke, self._stroke = self._stroke, None
        if stroke is not None:
            self._restore(stroke.before)

    def _grip_at(self, position: QPointF) -> Grip | None:
        """What of the crop is under a point of the canvas: a handle, a side, its inside, or nothing."""
        if self._crop is None:
            return None
        frame = self._on_screen(self._crop)
        if not frame.adjusted(-GRIP_DISTANCE, -GRIP_DISTANCE, GRIP_DISTANCE, GRIP_DISTANCE).contains(position):
            return None

        def side(value: float, low: float, high: float) -> int:
            near_low, near_high = abs(value - low), abs(value - high)
            if min(near_low, near_high) > min(GRIP_DISTANCE, (high - low) / 3):
                return 0 if low < value < high else (-1 if value < low else 1)
            return -1 if near_low < near_high else 1

        grip = side(position.x(), frame.left(), frame.right()), side(position.y(), frame.top(), frame.bottom())
        # The whole picture cannot be moved: a drag inside it draws another frame.
        return None if grip == INSIDE and self.crop_rect() is None else grip

    def _wheel(self, event: QWheelEvent) -> bool:
        control = bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier)
        if not control or self.mode not in ("brush", "eraser"):
            return False
        self._scale_brush(event.angleDelta().y() / 120)
        event.accept()
        return True

    def _scale_brush(self, steps: float) -> None:
        wanted = self.brush * BRUSH_STEP**steps
        # Small brushes grow too: rounding must not hold them at one size.
        self.set_brush(max(wanted, self.brush + 1) if steps > 0 else min(wanted, self.brush - 1))

    def _command(self, event: QKeyEvent) -> str | None:
        """What a key means to the tool in use."""
        if event.key() == Qt.Key.Key_Escape:
            return "leave"
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.mode == "crop":
            return "leave"
        if event.matches(QKeySequence.StandardKey.Undo):
            return "undo" if self.can_undo else None
        if event.matches(QKeySequence.StandardKey.Redo):
            return "redo" if self.can_redo else None
        if self.mode in ("brush", "eraser") and event.key() in (Qt.Key.Key_BracketLeft, Qt.Key.Key_BracketRight):
            return "smaller" if event.key() == Qt.Key.Key_BracketLeft else "larger"
        if self.mode == "crop" and event.key() in ARROWS:
            return "nudge"
        return None

    def _key(self, event: QKeyEvent) -> bool:
        command = self._command(event)
        if command == "leave":
            if self._stroke is not None:
                self._give_up()
            else:
                self.set_mode("none")
        elif command == "undo":
            self.undo()
        elif command == "redo":
            self.redo()
        elif command in ("smaller", "larger"):
            self._scale_brush(1 if command == "larger" else -1)
        elif command == "nudge":
            self._nudge(event)
        return command is not None

    def _nudge(self, event: QKeyEvent) -> None:
        if self._crop is None:
            return
        before = self._snapshot()
        step = ARROWS[Qt.Key(event.key())]
        if event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            step = step * 10
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            grip = (1, 0) if step.x() else (0, 1)
            corner = grip_point(self._crop, grip) + step
            corner = QPointF(max(corner.x(), self._crop.left() + 1), max(corner.y(), self._crop.top() + 1))
            self._crop = pulled(self._crop, grip, corner, self._picture, self._aspect)
        else:
            self._crop = moved(self._crop, step, self._picture)
        self._commit(before)

    # -- painting

    def _show_cursor(self) -> None:
        if self.mode == "none":
            self._canvas.lend_left_button(None)
            return
        shape = Qt.CursorShape.CrossCursor
        if self.mode in ("brush", "eraser"):
            shape = Qt.CursorShape.BlankCursor  # the ring shows the place, and the size
        elif self.mode == "crop" and self._spot is not None:
            grip = self._grip_at(self._spot)
            shape = shape if grip is None else CURSORS[grip]
        # The handles of a crop may lie where the divider's knob is.
        self._canvas.lend_left_button(QCursor(shape), wholly=self.mode == "crop")

    @Slot()
    def _on_theme_changed(self) -> None:
        self._redraw()

    def _redraw(self, box: tuple[slice, slice] | None = None) -> None:
        """Colour the mask anew, or only some rows and columns of it."""
        import numpy as np

        self._outline = None
        if self._mask is None:
            self._tint = None
        else:
            if self._tint is None or self._tint.shape != self._mask.cells.shape:
                self._tint, box = np.zeros(self._mask.cells.shape, np.uint32), None
            color = Theme.current().color("accent")
            veil = round(255 * TINT)
            channels = [round(channel * TINT) for channel in (color.red(), color.green(), color.blue())]
            value = np.uint32(veil << 24 | channels[0] << 16 | channels[1] << 8 | channels[2])
            place = box or (slice(None), slice(None))
            self._tint[place] = np.where(self._mask.cells[place], value, np.uint32(0))
        self._canvas.update()

    def _paint(self, painter: QPainter) -> None:
        if self._picture.isEmpty() or self._canvas.image is None:
            return
        painter.save()
        self._paint_mask(painter)
        stroke = self._stroke
        if self.mode == "rectangle" and stroke is not None and stroke.rectangle is not None:
            self._paint_frame(painter, self._on_screen(stroke.rectangle))
        if self.mode == "crop" and self._crop is not None:
            self._paint_crop(painter, self._crop)
        if self.mode in ("brush", "eraser") and self._spot is not None and not self._canvas.keeps_press(self._spot):
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            for pen in _pens(dashed=self.mode == "eraser"):
                painter.setPen(pen)
                painter.drawEllipse(self._spot, self.brush / 2, self.brush / 2)
        painter.restore()

    def _paint_mask(self, painter: QPainter) -> None:
        if not self._shown or self._mask is None or self._tint is None:
            return
        if self._outline is None:
            self._outline = self._mask.outline()
        if self._outline.isEmpty():
            return
        ratio = self._canvas.devicePixelRatioF()
        target, size = self._canvas.transform.target(), self._mask.size
        painter.save()
        painter.scale(1 / ratio, 1 / ratio)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, False)
        image_format = QImage.Format.Format_ARGB32_Premultiplied
        image = QImage(self._tint.data, size.width(), size.height(), 4 * size.width(), image_format)
        painter.drawImage(target, image, QRectF(image.rect()))
        painter.translate(target.topLeft())
        painter.scale(target.width() / size.width(), target.height() / size.height())
        for pen in _pens(ratio):
            painter.setPen(pen)
            painter.drawPath(self._outline)
        painter.restore()

    def _paint_frame(self, painter: QPainter, frame: QRectF) -> None:
        """A rectangle that is being drawn."""
        fill = Theme.current().color("accent")
        fill.setAlphaF(TINT)
        painter.fillRect(
            frame, fill if self._stroke is not None and self._stroke.chosen else Qt.GlobalColor.transparent
        )
        for pen in _pens():
            painter.setPen(pen)
            painter.drawRect(frame)

    def _paint_crop(self, painter: QPainter, crop: QRectF) -> None:
        frame, whole = self._on_screen(crop), self._on_screen(self._whole())
        shade = QColor(Qt.GlobalColor.black)
        shade.setAlphaF(SHADE)
        for rect in (
            QRectF(whole.left(), whole.top(), whole.width(), frame.top() - whole.top()),
            QRectF(whole.left(), frame.bottom(), whole.width(), whole.bottom() - frame.bottom()),
            QRectF(whole.left(), frame.top(), frame.left() - whole.left(), frame.height()),
            QRectF(frame.right(), frame.top(), whole.right() - frame.right(), frame.height()),
        ):
            painter.fillRect(rect, shade)
        if self._stroke is not None:
            thin = QColor(Qt.GlobalColor.white)
            thin.setAlphaF(0.55)
            painter.setPen(QPen(thin, 1.0))
            for third in (1 / 3, 2 / 3):
                x, y = frame.left() + third * frame.width(), frame.top() + third * frame.height()
                painter.drawLine(QLineF(x, frame.top(), x, frame.bottom()))
                painter.drawLine(QLineF(frame.left(), y, frame.right(), y))
        for pen in _pens():
            painter.setPen(pen)
            painter.drawRect(frame)
        painter.setPen(QPen(Qt.GlobalColor.black, 1.0))
        painter.setBrush(Qt.GlobalColor.white)
        half = QPointF(HANDLE / 2, HANDLE / 2)
        for grip in GRIPS:
            middle = grip_point(frame, grip)
            painter.drawRect(QRectF(middle - half, middle + half))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        pixels = whole_pixels(crop, self._picture, self._aspect)
        chip = Chip(self._canvas, f"{pixels.width()} × {pixels.height()}")
        if frame.width() > chip.width + 4 * HANDLE and frame.height() > chip.height + 4 * HANDLE:
            chip.paint(painter, QPointF(frame.center().x() - chip.width / 2, frame.bottom() - chip.height - 2 * HANDLE))


_Snapshot = tuple[bytes, QRectF | None]


class _Stroke:
    """What is being drawn: from the press of the button to its release."""

    def __init__(
        self,
        before: _Snapshot,
        start: QPointF,
        position: QPointF,
        chosen: bool,
        grip: Grip | None,
        crop: QRectF | None,
    ) -> None:
        self.before, self.start, self.last, self.chosen = before, start, start, chosen
        self.rectangle: QRectF | None = None
        self.grip, self.crop = grip, None if crop is None else QRectF(crop)


def _pens(ratio: float = 1.0, *, dashed: bool = False) -> tuple[QPen, QPen]:
    """A dark line and a light one on it: seen on every picture. Their widths do not scale with the painter."""
    dark, light = QColor(Qt.GlobalColor.black), QColor(Qt.GlobalColor.white)
    dark.setAlphaF(0.65)
    pens = QPen(dark, 3.0 * ratio), QPen(light, 1.25 * ratio)
    for pen in pens:
        pen.setCosmetic(True)
    if dashed:
        pens[1].setStyle(Qt.PenStyle.DashLine)
    return pens
