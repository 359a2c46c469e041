"""LossPlot: training and validation loss over steps, in the theme's colours.

Import this module in a background thread: pyqtgraph takes a moment that would be felt as a stall.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyqtgraph as pg
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QVBoxLayout, QWidget

from gui.controllers.run_record import columns, smooth
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

    def show_curves(self, train: Points, validation: Points) -> None:
        """Show other points: (step, loss), in step order."""
        self._train, self._validation = train, validation
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
            [] if line.yData is None else [float(value) for value in line.yData]
            for line in (self._smoothed, self._held_out)
        )

    def _draw(self) -> None:
        train, validation = self._train, self._validation
        if self.log_scale:
            train = [point for point in train if point[1] > 0]
            validation = [point for point in validation if point[1] > 0]
        self._plot.setLogMode(y=self.log_scale)
        steps, losses = columns(train)
        self._raw.setData(steps, losses)
        self._smoothed.setData(steps, smooth(losses, self.smoothing))
        self._held_out.setData(*columns(validation))
        self._plot.enableAutoRange()

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
        # No ground of its own: it must not hide the curve behind it.
        self._legend.setBrush(None)
