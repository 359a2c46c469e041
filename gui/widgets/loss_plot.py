"""LossPlot: training and validation loss over steps, in the theme's colours.

Import this module in a background thread: pyqtgraph takes a moment that would be felt as a stall.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pyqtgraph as pg
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QVBoxLayout, QWidget

from gui.controllers.run_record import columns, smooth, split_at
from gui.services.theme import Theme

Points = Sequence[tuple[int, float]]


class LossPlot(QWidget):
    """Curves of one run.

    Attributes:
        smoothing: 0 shows the training loss as it is; towards 1 it is averaged over more steps.
        log_scale: whether the losses are shown on a logarithmic axis. Losses of 0 and below are left out of it.
    """

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.smoothing, self.log_scale = 0.6, False
        self._train: Points = ()
        self._validation: Points = ()
        self._stages: Sequence[tuple[int, str]] = ()
        self._borders: list[pg.InfiniteLine] = []
        self._widget = pg.PlotWidget(self)
        self._widget.setAccessibleName(name)
        self._widget.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._plot: Any = self._widget.getPlotItem()
        self._plot.setMenuEnabled(False)
        self._plot.hideButtons()
        self._plot.setLabel("bottom", self.tr("step"))
        self._legend = self._plot.addLegend(offset=(-8, 8))
        self._raw = self._plot.plot()
        self._smoothed = self._plot.plot(name=self.tr("training"))
        self._held_out = self._plot.plot(name=self.tr("validation"))
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self._widget)
        Theme.current().changed.connect(self._on_theme_changed)
        self._on_theme_changed()

    def show_curves(self, train: Points, validation: Points, stages: Sequence[tuple[int, str]] = ()) -> None:
        """Show other points: (step, loss), in step order.

        Args:
            stages: (step after which it begins, name) of the run's stages, whose losses are different things: lines
                break between them, and the border is named.
        """
        self._train, self._validation = train, validation
        if list(stages) != list(self._stages):
            self._stages = list(stages)
            self._mark_stages()
        self._draw()

    def set_smoothing(self, smoothing: float) -> None:
        """0 .. below 1."""
        self.smoothing = smoothing
        self._draw()

    def set_log_scale(self, log_scale: bool) -> None:
        """Logarithmic or linear losses."""
        self.log_scale = log_scale
        self._draw()

    def shown(self) -> tuple[list[float], list[float]]:
        """The losses of the two lines as drawn, training and validation."""
        return tuple(  # type: ignore[return-value]
            [] if line.yData is None else [float(value) for value in line.yData if not math.isnan(value)]
            for line in (self._smoothed, self._held_out)
        )

    def _draw(self) -> None:
        train, validation = self._train, self._validation
        if self.log_scale:
            train = [point for point in train if point[1] > 0]
            validation = [point for point in validation if point[1] > 0]
        self._plot.setLogMode(y=self.log_scale)
        borders = [step for step, _ in self._stages[1:]]
        self._show(self._raw, train, borders)
        self._show(self._smoothed, train, borders, self.smoothing)
        self._show(self._held_out, validation, borders)
        self._plot.enableAutoRange()

    @staticmethod
    def _show(line: Any, points: Points, borders: list[int], smoothing: float = 0.0) -> None:
        steps: list[float] = []
        losses: list[float] = []
        for piece in split_at(points, borders):
            own, values = columns(piece)
            # A point that is no number breaks the line.
            steps += [*own, own[-1]]
            losses += [*smooth(values, smoothing), math.nan]
        line.setData(steps[:-1], losses[:-1], connect="finite")

    def _mark_stages(self) -> None:
        for line in self._borders:
            self._plot.removeItem(line)
        self._borders = [
            pg.InfiniteLine(step, angle=90, label=name, labelOpts={"position": 0.96, "anchors": [(0, 0), (0, 0)]})
            for step, name in self._stages[1:]
        ]
        for line in self._borders:
            self._plot.addItem(line, ignoreBounds=True)
        self._color_borders()

    def _color_borders(self) -> None:
        theme = Theme.current()
        for line in self._borders:
            line.setPen(pg.mkPen(theme.color("border_strong"), style=Qt.PenStyle.DashLine))
            line.label.setColor(theme.color("muted"))

    def _on_theme_changed(self) -> None:
        theme = Theme.current()
        self._widget.setBackground(theme.color("panel"))
        for side in ("left", "bottom"):
            axis = self._plot.getAxis(side)
            axis.setPen(theme.color("border_strong"))
            axis.setTextPen(theme.color("muted"))
        faint = theme.color("accent")
        faint.setAlphaF(0.3)
        self._raw.setPen(pg.mkPen(faint, width=1))
        self._smoothed.setPen(pg.mkPen(theme.color("accent"), width=2))
        self._held_out.setPen(pg.mkPen(theme.color("warning"), width=2))
        self._held_out.setSymbol("o")
        self._held_out.setSymbolSize(6)
        self._held_out.setSymbolBrush(theme.color("warning"))
        self._held_out.setSymbolPen(None)
        for _, label in self._legend.items:
            label.setText(label.text, color=theme.color("text"))
        self._color_borders()
        # No ground of its own: it must not hide the curve behind it.
        self._legend.setBrush(None)
