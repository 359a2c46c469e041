"""The drawing of a rate-distortion plot: quality over bits per pixel of one photo, a curve for each codec."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise, product
from typing import Any

from PySide6.QtCore import QLineF, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPainterPath, QPen, QPolygonF

from gui.services.theme import LIGHT, Theme

MARKERS = ("circle", "square", "diamond", "triangle", "cross", "wedge", "pentagon")
# Every codec keeps its colour and its marker, whichever others are shown; any other codec is our own.
LOOKS = {
    "avif": ("series_2", "square"),
    "jxl": ("series_3", "diamond"),
    "webp": ("series_4", "triangle"),
    "jpeg": ("series_5", "cross"),
}
OWN_LOOK = ("series_1", "circle")

RATE_TITLE = "bits per pixel"

_NARROW, _WIDE = 420.0, 760.0  # widths below and above which the text is smaller and larger
# Where the legend may stand, as shares of the room it has: where it covers least, the lower right if that is equal.
_PLACES = tuple(product((1.0, 0.0, 0.75, 0.5, 0.25), (1.0, 0.0, 0.8, 0.6, 0.4, 0.2)))


@dataclass(frozen=True)
class RatePoint:
    """One encoded version of the photo.

    Attributes:
        bpp: bits per pixel, above 0.
        value: of the metric.
        payload: what `RatePlot.point_chosen` says when it is chosen.
        measured: False for an estimate, which is drawn hollow.
        size: bytes of the file; 0 if not known.
        setting: what made it, for people: "quality 40".
    """

    bpp: float
    value: float
    payload: Any = None
    measured: bool = True
    size: int = 0
    setting: str = ""

    @property
    def drawable(self) -> bool:
        """Whether it has a place: identical pictures have an infinite PSNR."""
        return math.isfinite(self.value) and math.isfinite(self.bpp) and self.bpp > 0.0


@dataclass(frozen=True)
class Curve:
    """The versions of one codec.

    Attributes:
        codec: key.
        label: name for people.
        points: in any order.
        color: a role of the theme or any colour Qt knows; "" for the codec's own, see `LOOKS`.
        marker: one of `MARKERS`; "" for the codec's own.
    """

    codec: str
    label: str
    points: Sequence[RatePoint] = ()
    color: str = ""
    marker: str = ""

    @property
    def drawn(self) -> list[RatePoint]:
        """The points that have a place, by rate."""
        return sorted((point for point in self.points if point.drawable), key=lambda point: point.bpp)

    @property
    def shape(self) -> str:
        """The marker."""
        return self.marker or LOOKS.get(self.codec, OWN_LOOK)[1]

    def paint_color(self, theme: Theme) -> QColor:
        """The colour in the theme in use."""
        wanted = self.color or LOOKS.get(self.codec, OWN_LOOK)[0]
        return theme.color(wanted) if wanted in LIGHT else QColor(wanted)


@dataclass(frozen=True)
class RateData:
    """Everything that is drawn, apart from what the mouse does.

    Attributes:
        curves: in the order of the legend.
        hidden: codecs whose curves are switched off.
        metric, unit: for the axis: "PSNR", "dB".
        current: the sides' present settings: letter, codec, point.
        note: a few words in the upper right corner, for example how far measuring has come.
    """

    curves: tuple[Curve, ...] = ()
    hidden: frozenset[str] = frozenset()
    metric: str = "PSNR"
    unit: str = "dB"
    current: tuple[tuple[str, str, RatePoint], ...] = ()
    note: str = ""

    @property
    def shown(self) -> list[Curve]:
        """The curves that are switched on and have points."""
        return [curve for curve in self.curves if curve.codec not in self.hidden and curve.drawn]

    @property
    def marks(self) -> list[tuple[str, str, RatePoint]]:
        """Those of `current` that are drawn."""
        return [mark for mark in self.current if mark[1] not in self.hidden and mark[2].drawable]


@dataclass
class RateFigure:
    """A plot laid out for one size. Pure geometry until `paint`.

    Attributes:
        plot: the rectangle between the axes.
        legend: the row of each curve, in the order of the data.
    """

    data: RateData
    width: float
    height: float
    font: QFont
    plot: QRectF = field(init=False)
    legend: list[QRectF] = field(init=False)

    def __post_init__(self) -> None:
        size = 8.0 if self.width < _NARROW else 10.0 if self.width > _WIDE else 9.0
        self.font = QFont(self.font)
        self.font.setPointSizeF(size)
        self._metrics = QFontMetricsF(self.font)
        line = self._metrics.height()
        points = [point for curve in self.data.shown for point in curve.drawn] + [mark[2] for mark in self.data.marks]
        values = [point.value for point in points]
        least = 0.02 * max((abs(value) for value in values), default=0.0) or 1.0
        self._low, self._high = _padded([math.log10(point.bpp) for point in points], 0.05, 0.30, (-1.0, 0.3))
        self._bottom, self._top = _padded(values, 0.07, least, (25.0, 45.0))
        top, bottom = 1.6 * line + 6, 2.5 * line + 8
        rows = max(1.0, (self.height - top - bottom) / (2.2 * line))
        self.value_ticks = linear_ticks(self._bottom, self._top, rows)
        self._digits = _digits(self.value_ticks)
        left = max((self._metrics.horizontalAdvance(self.value_text(tick)) for tick in self.value_ticks), default=0.0)
        self.plot = QRectF(
            left + 18, top, max(20.0, self.width - left - 18 - 14), max(20.0, self.height - top - bottom)
        )
        self.rate_ticks = self._rate_ticks()
        self.legend = self._lay_out_legend(points)

    # -- places

    def x(self, bpp: float) -> float:
        """Where a rate lies."""
        return self.plot.left() + (math.log10(bpp) - self._low) / (self._high - self._low) * self.plot.width()

    def y(self, value: float) -> float:
        """Where a value of the metric lies."""
        return self.plot.bottom() - (value - self._bottom) / (self._top - self._bottom) * self.plot.height()

    def place(self, point: RatePoint) -> QPointF:
        """Where a point lies."""
        return QPointF(self.x(point.bpp), self.y(point.value))

    def rate_at(self, x: float) -> float:
        """The rate at a place, in bits per pixel."""
        return 10.0 ** (self._low + (x - self.plot.left()) / self.plot.width() * (self._high - self._low))

    def nearest(self, place: QPointF, within: float) -> tuple[Curve, RatePoint] | None:
        """The shown point that is nearest to a place, at most `within` away."""
        found, best = None, within
        for curve in self.data.shown:
            for point in curve.drawn:
                away = QLineF(self.place(point), place).length()
                if away <= best:
                    found, best = (curve, point), away
        return found

    @property
    def below(self) -> QRectF:
        """The room below the axis that its title leaves."""
        line = self._metrics.height()
        title = self._bold_width(RATE_TITLE) + 12
        return QRectF(8.0, self.height - line - 4, self.plot.right() - title - 8.0, line)

    def _bold_width(self, text: str) -> float:
        bold = QFont(self.font)
        bold.setWeight(QFont.Weight.DemiBold)
        return QFontMetricsF(bold).horizontalAdvance(text)

    def _tags(self) -> list[tuple[QPointF, QPointF]]:
        """Of each mark, where its point lies and how far from it the letter stands.

        Two letters stand away from each other: that of the point further up and left is above and left of it.
        """
        places = [self.place(mark[2]) for mark in self.data.marks]
        first = min((place.x() + place.y() for place in places), default=0.0)
        away = 5.0 + 0.6 * (self._metrics.height() + 3)
        signs = [-1 if place.x() + place.y() == first else 1 for place in places]
        if signs == [-1, -1]:
            signs = [-1, 1]
        return [(place, QPointF(away, away) * sign) for place, sign in zip(places, signs, strict=True)]

    def value_text(self, value: float) -> str:
        """A value as the axis writes it."""
        return f"{value:.{self._digits}f}"

    def _rate_ticks(self) -> list[tuple[float, bool]]:
        """Rates with a line on the axis, and whether they are written out."""
        room = 14.0
        low, high = 10.0**self._low, 10.0**self._high
        minor = [
            step * 10.0**power
            for power in range(math.floor(self._low), math.ceil(self._high) + 1)
            for step in range(1, 10)
            if low <= step * 10.0**power <= high
        ]
        choices = [linear_ticks(low, high, 6)] if high / low < 3 else []
        choices += [
            [tick for tick in minor if _leading(tick) in steps] for steps in ((1, 2, 3, 5), (1, 2, 5), (1, 3), (1,))
        ]
        written: list[float] = []
        for written in choices:
            spans = [(self.x(tick), self._metrics.horizontalAdvance(rate_text(tick)) / 2) for tick in written]
            if all(second[0] - first[0] >= first[1] + second[1] + room for first, second in pairwise(spans)):
                break
        return [(tick, False) for tick in minor if tick not in written] + [(tick, True) for tick in written]

    def _lay_out_legend(self, points: list[RatePoint]) -> list[QRectF]:
        if not self.data.curves:
            return []
        row = max(16.0, self._metrics.height() + 2)
        widths = [24 + self._metrics.horizontalAdvance(curve.label) for curve in self.data.curves]
        room = self.plot.adjusted(6, 4, -4 - max(widths), -5 - row * len(widths))
        busy = [self.place(point) for point in points]
        for place, away in self._tags():
            busy += [place, place + away * 0.5, place + away, place + away * 1.5]
        for curve in self.data.shown:
            for first, second in pairwise(curve.drawn):
                line = QLineF(self.place(first), self.place(second))
                busy += [line.pointAt(step / 8) for step in range(1, 8)]

        def rows(share: tuple[float, float]) -> list[QRectF]:
            left = room.left() + share[0] * max(0.0, room.width())
            top = room.top() + share[1] * max(0.0, room.height())
            return [QRectF(left, top + number * row, width, row) for number, width in enumerate(widths)]

        def covered(share: tuple[float, float]) -> int:
            areas = [area.adjusted(-5, -5, 5, 5) for area in rows(share)]
            return sum(any(area.contains(place) for area in areas) for place in busy)

        return rows(min(_PLACES, key=covered))

    # -- painting

    def paint(self, painter: QPainter, theme: Theme) -> None:
        """Draw everything but the ground."""
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(self.font)
        self._paint_axes(painter, theme)
        painter.save()
        painter.setClipRect(self.plot.adjusted(-6, -6, 6, 6))
        for curve in reversed(self.data.shown):
            self._paint_curve(painter, theme, curve)
        painter.restore()
        self._paint_legend(painter, theme)
        self._paint_marks(painter, theme)
        painter.restore()

    def _paint_axes(self, painter: QPainter, theme: Theme) -> None:
        plot, line = self.plot, self._metrics.height()
        grid, axis, muted = theme.color("border"), theme.color("border_strong"), theme.color("muted")
        faint = QColor(grid)
        faint.setAlphaF(0.55)
        for tick in self.value_ticks:
            y = round(self.y(tick)) + 0.5
            painter.setPen(QPen(grid, 1.0))
            painter.drawLine(QLineF(plot.left(), y, plot.right(), y))
            painter.setPen(muted)
            where = QRectF(0, y - line / 2, plot.left() - 7, line)
            painter.drawText(where, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, self.value_text(tick))
        for tick, written in self.rate_ticks:
            x = round(self.x(tick)) + 0.5
            painter.setPen(QPen(grid if written else faint, 1.0))
            painter.drawLine(QLineF(x, plot.top(), x, plot.bottom()))
            painter.setPen(QPen(axis, 1.0))
            painter.drawLine(QLineF(x, plot.bottom(), x, plot.bottom() + (5 if written else 3)))
            if written:
                text = rate_text(tick)
                half = self._metrics.horizontalAdvance(text) / 2
                left = min(max(x - half, 2.0), self.width - 2 * half - 2)
                painter.setPen(muted)
                painter.drawText(QPointF(left, plot.bottom() + 6 + self._metrics.ascent()), text)
        painter.setPen(QPen(axis, 1.25))
        bottom = round(plot.bottom()) + 0.5
        painter.drawLine(QLineF(plot.left(), bottom, plot.right(), bottom))
        bold = QFont(self.font)
        bold.setWeight(QFont.Weight.DemiBold)
        painter.setFont(bold)
        painter.setPen(theme.color("text"))
        title = f"{self.data.metric} ({self.data.unit})" if self.data.unit else self.data.metric
        painter.drawText(QPointF(8.0, 4 + self._metrics.ascent()), title)
        below = QRectF(plot.left(), self.height - line - 4, plot.width(), line)
        painter.drawText(below, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, RATE_TITLE)
        painter.setFont(self.font)
        if self.data.note:
            painter.setPen(muted)
            above = QRectF(plot.left(), 4, plot.width(), line)
            painter.drawText(above, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, self.data.note)

    def _paint_curve(self, painter: QPainter, theme: Theme, curve: Curve) -> None:
        color, points = curve.paint_color(theme), curve.drawn
        for first, second in pairwise(points):
            pen = QPen(color, 2.0)
            pen.setCapStyle(Qt.PenCapStyle.RoundCap)
            if not (first.measured and second.measured):
                pen.setDashPattern([2.0, 2.5])
            painter.setPen(pen)
            painter.drawLine(QLineF(self.place(first), self.place(second)))
        for point in points:
            self.paint_marker(painter, theme, curve, self.place(point), hollow=not point.measured)

    def paint_marker(
        self,
        painter: QPainter,
        theme: Theme,
        curve: Curve,
        place: QPointF,
        *,
        hollow: bool = False,
        radius: float = 0.0,
    ) -> None:
        """The marker of a curve, with a rim of the ground so that neighbours stay apart."""
        radius = radius or (3.6 if self.width < _NARROW else 4.4)
        color, ground = curve.paint_color(theme), theme.color("panel")
        painter.setBrush(ground if hollow else color)
        painter.setPen(QPen(color, 1.6) if hollow else QPen(ground, 1.0))
        painter.drawPath(marker_path(curve.shape, radius).translated(place))
        painter.setBrush(Qt.BrushStyle.NoBrush)

    def _paint_legend(self, painter: QPainter, theme: Theme) -> None:
        if not self.legend:
            return
        ground = theme.color("panel")
        ground.setAlphaF(0.86)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(ground)
        for row in self.legend:
            painter.drawRect(row)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        struck = QFont(self.font)
        struck.setStrikeOut(True)
        for curve, row in zip(self.data.curves, self.legend, strict=True):
            hidden = curve.codec in self.data.hidden
            middle = row.center().y()
            sample = replace(curve, color="border_strong") if hidden else curve
            self.paint_marker(painter, theme, sample, QPointF(row.left() + 9, middle), hollow=hidden)
            painter.setFont(struck if hidden else self.font)
            painter.setPen(theme.color("muted" if hidden else "text"))
            painter.drawText(row.adjusted(20, 0, 0, 0), Qt.AlignmentFlag.AlignVCenter, curve.label)
        painter.setFont(self.font)

    def _paint_marks(self, painter: QPainter, theme: Theme) -> None:
        """A ring and a letter where the two sides are."""
        curves = {curve.codec: curve for curve in self.data.curves}
        bold = QFont(self.font)
        bold.setBold(True)
        side = self._metrics.height() + 3
        for (letter, codec, point), (place, away) in zip(self.data.marks, self._tags(), strict=True):
            if codec in curves:
                self.paint_marker(painter, theme, curves[codec], place, hollow=not point.measured)
            painter.setPen(QPen(theme.color("text"), 1.6))
            painter.drawEllipse(place, 8.5, 8.5)
            tag = QRectF(0, 0, side, side)
            tag.moveCenter(place + away)
            tag.moveLeft(min(max(tag.left(), self.plot.left() + 2), self.plot.right() - side))
            tag.moveTop(min(max(tag.top(), 2.0), self.plot.bottom() - side))
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme.color("text"))
            painter.drawRoundedRect(tag, 4, 4)
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(theme.color("panel"))
            painter.setFont(bold)
            painter.drawText(tag, Qt.AlignmentFlag.AlignCenter, letter)
        painter.setFont(self.font)


def marker_path(shape: str, radius: float) -> QPainterPath:
    """A marker around the origin; all look equally large."""
    path = QPainterPath()
    if shape == "circle":
        path.addEllipse(QPointF(0, 0), radius, radius)
        return path
    if shape == "square":
        side = 0.9 * radius
        path.addRect(QRectF(-side, -side, 2 * side, 2 * side))
        return path
    if shape == "cross":
        arm, half = 1.25 * radius, 0.42 * radius
        corners = [(half, half), (half, arm), (-half, arm), (-half, half), (-arm, half), (-arm, -half)]
        corners += [(-half, -half), (-half, -arm), (half, -arm), (half, -half), (arm, -half), (arm, half)]
        turn = math.sqrt(0.5)
        ring = [QPointF(turn * (x - y), turn * (x + y)) for x, y in corners]
    else:
        count, first, scale = {
            "diamond": (4, -90.0, 1.25),
            "triangle": (3, -90.0, 1.35),
            "wedge": (3, 90.0, 1.35),
            "pentagon": (5, -90.0, 1.15),
        }[shape]
        angles = [math.radians(first + 360.0 * corner / count) for corner in range(count)]
        ring = [QPointF(math.cos(angle), math.sin(angle)) * (scale * radius) for angle in angles]
    path.addPolygon(QPolygonF(ring))
    path.closeSubpath()
    return path


def rate_text(bpp: float) -> str:
    """A rate as the axis writes it: "0.05", "0.2", "1"."""
    return f"{bpp:.3g}"


def linear_ticks(low: float, high: float, count: float) -> list[float]:
    """Round values of 1, 2, 2.5 or 5 times a power of ten between `low` and `high`, about `count` of them at most."""
    rough = (high - low) / max(1.0, count)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next((factor * power for factor in (1, 2, 2.5, 5) if factor * power >= rough), 10 * power)
    first = math.ceil(low / step - 1e-9)
    return [round(number * step, 12) for number in range(first, math.floor(high / step + 1e-9) + 1)]


def _digits(ticks: Sequence[float]) -> int:
    """Decimals that tell the ticks apart without saying more."""
    return next((digits for digits in range(6) if all(abs(round(tick, digits) - tick) < 1e-9 for tick in ticks)), 6)


def _leading(tick: float) -> int:
    """The first digit of a tick that is a digit times a power of ten."""
    return round(tick / 10.0 ** math.floor(math.log10(tick) + 1e-9))


def _padded(values: list[float], share: float, least: float, empty: tuple[float, float]) -> tuple[float, float]:
    """The ends of an axis: the values and some room beside them, at least `least` long."""
    if not values:
        return empty
    low, high = min(values), max(values)
    room = max(share * (high - low), (least - (high - low)) / 2)
    return low - room, high + room
