"""The arithmetic of a crop: a rectangle in a picture that is dragged by its handles, free or of a fixed aspect."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRect, QRectF, QSize

INSIDE = (0, 0)
# Each handle by the side it pulls: -1 left or top, 1 right or bottom, 0 neither.
GRIPS = tuple((across, down) for down in (-1, 0, 1) for across in (-1, 0, 1) if (across, down) != INSIDE)
Grip = tuple[int, int]


def grip_point(rect: QRectF, grip: Grip) -> QPointF:
    """Where a handle is; `INSIDE` is the middle."""
    middle = rect.center()
    return QPointF(middle.x() + grip[0] * rect.width() / 2, middle.y() + grip[1] * rect.height() / 2)


def spanned(anchor: QPointF, point: QPointF, bounds: QSize, aspect: float | None) -> QRectF:
    """The rectangle from a fixed corner towards `point`, within a picture of size `bounds`.

    Args:
        aspect: width / height, or None; the rectangle then reaches `point` on at least one of its sides.
    """
    across = 1 if point.x() >= anchor.x() else -1
    down = 1 if point.y() >= anchor.y() else -1
    room_x = bounds.width() - anchor.x() if across > 0 else anchor.x()
    room_y = bounds.height() - anchor.y() if down > 0 else anchor.y()
    width = min(abs(point.x() - anchor.x()), room_x)
    height = min(abs(point.y() - anchor.y()), room_y)
    if aspect is not None:
        width = min(max(width, height * aspect), room_x, room_y * aspect)
        height = width / aspect
    return QRectF(anchor, anchor + QPointF(across * width, down * height)).normalized()


def pulled(rect: QRectF, grip: Grip, point: QPointF, bounds: QSize, aspect: float | None) -> QRectF:
    """`rect` after its handle was dragged to `point`; the opposite side stays where it is."""
    anchor = grip_point(rect, (-grip[0], -grip[1]))
    if grip[0] and grip[1]:
        return spanned(anchor, point, bounds, aspect)
    left, top, right, bottom = rect.left(), rect.top(), rect.right(), rect.bottom()
    if grip[0]:
        left, right = sorted((anchor.x(), min(max(point.x(), 0.0), float(bounds.width()))))
        if aspect is not None:
            # The other sides move away from the middle evenly, as far as there is room.
            height = min((right - left) / aspect, 2 * min(anchor.y(), bounds.height() - anchor.y()))
            width = height * aspect
            left, right = (left, left + width) if left == anchor.x() else (right - width, right)
            top, bottom = anchor.y() - height / 2, anchor.y() + height / 2
    else:
        top, bottom = sorted((anchor.y(), min(max(point.y(), 0.0), float(bounds.height()))))
        if aspect is not None:
            width = min((bottom - top) * aspect, 2 * min(anchor.x(), bounds.width() - anchor.x()))
            height = width / aspect
            top, bottom = (top, top + height) if top == anchor.y() else (bottom - height, bottom)
            left, right = anchor.x() - width / 2, anchor.x() + width / 2
    return QRectF(QPointF(left, top), QPointF(right, bottom))


def moved(rect: QRectF, by: QPointF, bounds: QSize) -> QRectF:
    """`rect` shifted as far as the picture allows."""
    x = min(max(rect.left() + by.x(), 0.0), bounds.width() - rect.width())
    y = min(max(rect.top() + by.y(), 0.0), bounds.height() - rect.height())
    return QRectF(QPointF(x, y), rect.size())


def largest_inside(rect: QRectF, aspect: float) -> QRectF:
    """The largest rectangle of an aspect within `rect`, around the same middle."""
    width = min(rect.width(), rect.height() * aspect)
    height = width / aspect
    return QRectF(rect.center().x() - width / 2, rect.center().y() - height / 2, width, height)


def whole_pixels(rect: QRectF, bounds: QSize, aspect: float | None) -> QRect:
    """The nearest rectangle of whole pixels, at least one each way and within the picture."""
    width = min(max(1, round(rect.width())), bounds.width())
    height = round(width / aspect) if aspect is not None else round(rect.height())
    height = min(max(1, height), bounds.height())
    left = min(max(0, round(rect.left())), bounds.width() - width)
    top = min(max(0, round(rect.top())), bounds.height() - height)
    return QRect(left, top, width, height)
