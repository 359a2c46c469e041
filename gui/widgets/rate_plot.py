"""RatePlot: what every codec makes of one photo, as curves of quality over bits per pixel, to choose from."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QBuffer, QEvent, QIODevice, QLineF, QPointF, QRectF, QSize, Qt, Signal, Slot
from PySide6.QtGui import (
    QAccessible,
    QAccessibleEvent,
    QColor,
    QContextMenuEvent,
    QFocusEvent,
    QFontMetricsF,
    QGuiApplication,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
)
from PySide6.QtWidgets import QMenu, QSizePolicy, QWidget

from engine.errors import LatentStudioError
from engine.files import write_bytes, write_text
from gui.controllers.wording import bytes_short
from gui.widgets.file_dialogs import ask_save
from gui.widgets.rate_figure import Curve, RateData, RateFigure, RatePoint, rate_text

if TYPE_CHECKING:
    from gui.services.context import Services

__all__ = ["Curve", "RatePlot", "RatePoint"]

REACH = 18.0  # logical pixels from which the mouse takes a point
PRINT_RATIO = 3.0  # pixels of a saved picture per pixel of the screen
DESCRIPTION = (
    "Left and Right walk along a curve, Up and Down change to the next one, Enter loads the point. "
    "Keys 1 to 9 hide and show the curves in the order of the legend."
)
EMPTY = "The curves appear here while the photo is measured"


class RatePlot(QWidget):
    """Curves of one photo. A click, or Enter, chooses a point; a click on a name of the legend hides its curve.

    Signals:
        point_chosen(object): the payload of a point.
        hidden_changed(object): the frozenset of the codecs whose curves are hidden.
    """

    point_chosen = Signal(object)
    hidden_changed = Signal(object)

    def __init__(self, services: Services, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._services = services
        self._data = RateData()
        self._decimals = 2
        self._pixels = 0
        self._figure: RateFigure | None = None
        # What is pointed at, by mouse or keys: kept by codec and payload, since curves are given anew as they grow.
        self._pointed: tuple[str, Any] | None = None
        self._mouse: QPointF | None = None
        self._by_mouse = False
        self._by_keyboard = False
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(220, 150)
        self._describe()
        services.theme.changed.connect(self.update)

    # -- what is shown

    def set_curves(self, curves: Sequence[Curve], pixels: int = 0) -> None:
        """Show these curves. What is hidden and pointed at stays so.

        Args:
            curves: in the order of the legend; one without points yet is only named there.
            pixels: of the photo, so that the rate under the mouse can be told as a size; 0 if not known.
        """
        self._pixels = pixels
        self._set(replace(self._data, curves=tuple(curves)))

    def set_metric(self, name: str, unit: str = "", decimals: int = 2) -> None:
        """Name the vertical axis: "PSNR" in "dB"; `decimals` are those of a single value."""
        self._decimals = decimals
        self._set(replace(self._data, metric=name, unit=unit))

    def set_current(self, left: tuple[str, RatePoint] | None, right: tuple[str, RatePoint] | None) -> None:
        """Mark where side A and side B are: codec and point, which need not be one of a curve."""
        sides = (("A", left), ("B", right))
        marks = tuple((letter, *side) for letter, side in sides if side is not None)
        self._set(replace(self._data, current=marks))

    def set_note(self, note: str) -> None:
        """A few words in the upper right corner: "9 of 24 measured"."""
        self._set(replace(self._data, note=note))

    def set_hidden(self, codec: str, hidden: bool) -> None:
        """Hide or show the curve of a codec."""
        if hidden != (codec in self._data.hidden):
            self._set(replace(self._data, hidden=self._data.hidden ^ {codec}))
            self.hidden_changed.emit(self._data.hidden)

    @property
    def hidden(self) -> frozenset[str]:
        """The codecs whose curves are hidden."""
        return self._data.hidden

    @property
    def pointed(self) -> RatePoint | None:
        """The point under the mouse or walked to by the keys."""
        found = self._find()
        return None if found is None else found[1]

    @property
    def figure(self) -> RateFigure:
        """The plot laid out for the size of the widget."""
        if self._figure is None:
            self._figure = RateFigure(self._data, self.width(), self.height(), self.font())
        return self._figure

    # -- keeping

    def image(self, size: QSize | None = None, ratio: float = PRINT_RATIO) -> QImage:
        """The plot as a picture in the colours in use, without what the mouse adds.

        Args:
            size: in logical pixels; that of the widget if None.
            ratio: pixels of the picture per logical pixel.
        """
        size = size or self.size()
        image = QImage(size * ratio, QImage.Format.Format_RGB32)
        image.setDevicePixelRatio(ratio)
        theme = self._services.theme
        image.fill(theme.color("panel"))
        painter = QPainter(image)
        RateFigure(replace(self._data, note=""), size.width(), size.height(), self.font()).paint(painter, theme)
        painter.end()
        return image

    def table(self) -> str:
        """All points as comma-separated values, those of hidden curves as well."""
        text = io.StringIO()
        metric = f"{self._data.metric} ({self._data.unit})" if self._data.unit else self._data.metric
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["codec", "setting", "bytes", "bits per pixel", metric, "measured"])
        for curve in self._data.curves:
            for point in sorted(curve.points, key=lambda point: point.bpp):
                size = point.size or ""
                measured = "yes" if point.measured else "estimate"
                writer.writerow([curve.label, point.setting, size, f"{point.bpp:.6g}", f"{point.value:.6g}", measured])
        return text.getvalue()

    def save(self, path: Path) -> None:
        """Write the plot as PNG, or its points as CSV, by the suffix of `path`.

        Raises:
            OutputError: the file cannot be written.
        """
        if path.suffix.lower() == ".csv":
            write_text(path, self.table())
        else:
            buffer = QBuffer()
            buffer.open(QIODevice.OpenModeFlag.WriteOnly)
            self.image().save(buffer, "PNG")  # type: ignore[call-overload]
            write_bytes(path, bytes(buffer.data().data()))

    def menu(self) -> QMenu:
        """The context menu."""
        menu = QMenu(self)
        menu.addAction("Save as PNG…", self._save_picture)
        menu.addAction("Save points as CSV…", self._save_points)
        menu.addAction("Copy picture", self._copy)
        for action in menu.actions():
            action.setEnabled(any(curve.points for curve in self._data.curves))
        return menu

    @Slot()
    def _save_picture(self) -> None:
        self._ask_and_save("Save the plot", "rate-distortion.png", "PNG (*.png)")

    @Slot()
    def _save_points(self) -> None:
        self._ask_and_save("Save the points", "rate-distortion.csv", "Comma-separated values (*.csv)")

    @Slot()
    def _copy(self) -> None:
        QGuiApplication.clipboard().setImage(self.image())

    def _ask_and_save(self, title: str, name: str, name_filter: str) -> None:
        path = ask_save(self, self._services.settings, title, name, name_filter)
        if path is not None:
            try:
                self.save(path)
            except LatentStudioError as error:
                self._services.notices.error(error)

    # -- state

    def _set(self, data: RateData) -> None:
        if data != self._data:
            self._data = data
            self._figure = None
            if self._find() is None:
                self._pointed = None
            self._describe()
            self.update()

    def _find(self) -> tuple[Curve, RatePoint] | None:
        if self._pointed is None:
            return None
        codec, payload = self._pointed
        for curve in self._data.shown:
            if curve.codec == codec:
                return next(((curve, point) for point in curve.drawn if point.payload == payload), None)
        return None

    def _point(self, found: tuple[Curve, RatePoint] | None) -> None:
        pointed = None if found is None else (found[0].codec, found[1].payload)
        if pointed != self._pointed:
            self._pointed = pointed
            self._describe()
            self.update()

    def _value(self, value: float) -> str:
        unit = f" {self._data.unit}" if self._data.unit else ""
        return f"{self._data.metric} {value:.{self._decimals}f}{unit}"

    def _lines(self, curve: Curve, point: RatePoint) -> list[str]:
        """What is said of a point."""
        size = bytes_short(point.size) if point.size else ""
        return [
            " · ".join(part for part in (curve.label, point.setting) if part),
            " · ".join(part for part in (size, f"{point.bpp:.3f} bpp") if part),
            self._value(point.value) + ("" if point.measured else " · estimate"),
        ]

    def _describe(self) -> None:
        """Tell screen readers what is shown and what is pointed at."""
        data = self._data
        name = f"{data.metric} over bits per pixel"
        found = self._find()
        if found is not None:
            curve, point = found
            number = 1 + [other.payload for other in curve.drawn].index(point.payload)
            name = f"{', '.join(self._lines(curve, point))}, point {number} of {len(curve.drawn)}"
        shown = ", ".join(f"{curve.label} {len(curve.drawn)} points" for curve in data.shown) or "No points yet"
        sides = "".join(
            f" Side {letter}: {point.bpp:.3f} bits per pixel, {self._value(point.value)}."
            for letter, _, point in data.marks
        )
        texts = (name, f"{shown}.{sides} {DESCRIPTION}")
        if texts != (self.accessibleName(), self.accessibleDescription()):
            self.setAccessibleName(texts[0])
            self.setAccessibleDescription(texts[1])
            QAccessible.updateAccessibility(QAccessibleEvent(self, QAccessible.Event.NameChanged))

    # -- painting

    def sizeHint(self) -> QSize:
        return QSize(420, 280)

    def paintEvent(self, event: QPaintEvent) -> None:
        theme = self._services.theme
        painter = QPainter(self)
        painter.fillRect(self.rect(), theme.color("panel"))
        figure = self.figure
        figure.paint(painter, theme)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(figure.font)
        found = self._find()
        if not self._data.shown and not self._data.marks:
            self._paint_ground(painter, EMPTY, figure)
        elif found is not None:
            self._paint_pointed(painter, figure, *found)
        elif self._mouse is not None and figure.plot.contains(self._mouse):
            self._paint_rate(painter, figure, self._mouse)
        if self.hasFocus() and self._by_keyboard:
            painter.setPen(QPen(theme.color("accent"), 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(1, 1, -1, -1), 4, 4)
        painter.end()

    def _paint_ground(self, painter: QPainter, text: str, figure: RateFigure) -> None:
        painter.setPen(self._services.theme.color("muted"))
        room = figure.plot.adjusted(12, 0, -12, -figure.plot.height() / 3 if figure.legend else 0)
        painter.drawText(room, Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap, text)

    def _paint_pointed(self, painter: QPainter, figure: RateFigure, curve: Curve, point: RatePoint) -> None:
        place = figure.place(point)
        line = QColor(self._services.theme.color("border_strong"))
        painter.setPen(QPen(line, 1.0, Qt.PenStyle.DotLine))
        painter.drawLine(QLineF(place.x(), place.y(), place.x(), figure.plot.bottom()))
        painter.drawLine(QLineF(figure.plot.left(), place.y(), place.x(), place.y()))
        figure.paint_marker(painter, self._services.theme, curve, place, hollow=not point.measured, radius=6.5)
        self._paint_box(painter, figure, place, self._lines(curve, point))

    def _paint_rate(self, painter: QPainter, figure: RateFigure, mouse: QPointF) -> None:
        """The rate under the mouse, and the size it means for this photo."""
        rate = figure.rate_at(mouse.x())
        painter.setPen(QPen(self._services.theme.color("border_strong"), 1.0, Qt.PenStyle.DotLine))
        painter.drawLine(QLineF(mouse.x(), figure.plot.top(), mouse.x(), figure.plot.bottom()))
        size = f" ≈ {bytes_short(round(rate * self._pixels / 8))}" if self._pixels else ""
        # Below the axis, left of its title: there it hides nothing.
        text = f"{rate_text(rate)} bpp{size}"
        width, room = QFontMetricsF(figure.font).horizontalAdvance(text), figure.below
        left = min(max(mouse.x() - width / 2, 8.0), room.right() - width)
        painter.setPen(self._services.theme.color("text"))
        painter.drawText(QRectF(left, room.top(), width + 2, room.height()), Qt.AlignmentFlag.AlignVCenter, text)

    def _paint_box(self, painter: QPainter, figure: RateFigure, place: QPointF, lines: list[str]) -> None:
        """Lines of text on a rounded ground beside a place, the first one bold; off the legend if that can be."""
        near = QRectF(place - QPointF(7, 7), place + QPointF(7, 7))
        theme = self._services.theme
        bold = painter.font()
        bold.setBold(True)
        fonts = [bold if number == 0 and len(lines) > 1 else figure.font for number in range(len(lines))]
        metrics = [QFontMetricsF(font) for font in fonts]
        width = 16 + max(metric.horizontalAdvance(text) for metric, text in zip(metrics, lines, strict=True))
        height = 10 + sum(metric.height() for metric in metrics)
        # Above and left of the place, or below and right of it: there a curve that rises to the right does not go.
        room = QRectF(self.rect()).adjusted(4, 4, -4 - width, -4 - height)
        boxes = [
            QRectF(min(max(x, room.left()), room.right()), min(max(y, room.top()), room.bottom()), width, height)
            for x, y in (
                (place.x() - width - 12, place.y() - height - 12),
                (place.x() + 12, place.y() + 12),
                (place.x() - width - 12, place.y() + 12),
            )
        ]
        box = next((box for box in boxes if not any(map(box.intersects, [*figure.legend, near]))), boxes[0])
        ground = theme.color("raised")
        ground.setAlphaF(0.96)
        painter.setPen(QPen(theme.color("border_strong"), 1.0))
        painter.setBrush(ground)
        painter.drawRoundedRect(box, 6, 6)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        top = box.top() + 5
        for font, metric, text in zip(fonts, metrics, lines, strict=True):
            painter.setFont(font)
            painter.setPen(theme.color("text"))
            painter.drawText(QPointF(box.left() + 8, top + metric.ascent()), text)
            top += metric.height()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._figure = None

    def resizeEvent(self, event) -> None:
        self._figure = None

    # -- mouse and keys

    def _legend_at(self, place: QPointF) -> str | None:
        for curve, row in zip(self._data.curves, self.figure.legend, strict=True):
            if row.contains(place):
                return curve.codec
        return None

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        self._mouse = event.position()
        named = self._legend_at(self._mouse)
        found = None if named is not None else self.figure.nearest(self._mouse, REACH)
        # A point that the keys walked to stays while the mouse is at none.
        if found is not None or self._by_mouse:
            self._by_mouse = True
            self._point(found)
        choosable = named is not None or found is not None
        self.setCursor(Qt.CursorShape.PointingHandCursor if choosable else Qt.CursorShape.ArrowCursor)
        self.update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() != Qt.MouseButton.LeftButton:
            return
        codec = self._legend_at(event.position())
        if codec is not None:
            self.set_hidden(codec, codec not in self._data.hidden)
            return
        found = self.figure.nearest(event.position(), REACH)
        if found is not None:
            self._point(found)
            self.point_chosen.emit(found[1].payload)

    def leaveEvent(self, event: QEvent) -> None:
        self._mouse = None
        if self._by_mouse:
            self._point(None)
        self.update()

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        menu = self.menu()
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(event.globalPos())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key, found = event.key(), self._find()
        self._by_mouse = False
        if event.modifiers() & (Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.AltModifier):
            super().keyPressEvent(event)
        elif key in (Qt.Key.Key_Left, Qt.Key.Key_Right, Qt.Key.Key_Home, Qt.Key.Key_End):
            self._walk(found, Qt.Key(key))
        elif key in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            self._change_curve(found, -1 if key == Qt.Key.Key_Up else 1)
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and found is not None:
            self.point_chosen.emit(found[1].payload)
        elif Qt.Key.Key_1 <= key <= Qt.Key.Key_9 and key - Qt.Key.Key_1 < len(self._data.curves):
            codec = self._data.curves[key - Qt.Key.Key_1].codec
            self.set_hidden(codec, codec not in self._data.hidden)
        elif key == Qt.Key.Key_Escape and found is not None:
            self._point(None)
        else:
            super().keyPressEvent(event)

    def _walk(self, found: tuple[Curve, RatePoint] | None, key: Qt.Key) -> None:
        curves = self._data.shown
        if not curves:
            return
        curve = curves[0] if found is None else found[0]
        points = curve.drawn
        last = len(points) - 1
        if key in (Qt.Key.Key_Home, Qt.Key.Key_End):
            index = 0 if key == Qt.Key.Key_Home else last
        elif found is None:
            index = 0 if key == Qt.Key.Key_Right else last
        else:
            index = points.index(found[1]) + (1 if key == Qt.Key.Key_Right else -1)
        self._point((curve, points[min(max(index, 0), last)]))

    def _change_curve(self, found: tuple[Curve, RatePoint] | None, step: int) -> None:
        """To the point of the next curve of the legend that has nearly the same rate."""
        curves = self._data.shown
        if not curves:
            return
        if found is None:
            self._point((curves[0], curves[0].drawn[0]))
            return
        curve = curves[(curves.index(found[0]) + step) % len(curves)]
        rate = found[1].bpp
        self._point((curve, min(curve.drawn, key=lambda point: max(point.bpp / rate, rate / point.bpp))))

    def focusInEvent(self, event: QFocusEvent) -> None:
        self._by_keyboard = event.reason() in (Qt.FocusReason.TabFocusReason, Qt.FocusReason.BacktabFocusReason)
        super().focusInEvent(event)
        self.update()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self.update()
