"""The curves of the photo on the Compress page: what every codec would make of it, to choose from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Slot
from PySide6.QtGui import QHideEvent, QShowEvent
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from gui.controllers.compress_controller import CompressController, CompressState
from gui.controllers.compress_settings import CODEC_NAMES, LEFT, RIGHT, SideSettings
from gui.controllers.rate_curves import CODECS, CurvePoint, RateCurves
from gui.widgets.rate_plot import Curve, RatePlot, RatePoint

if TYPE_CHECKING:
    from gui.services.context import Services

PSNR, MS_SSIM = "psnr", "ms-ssim"
PLOT_HEIGHT = 240


class CurvesPanel(QWidget):
    """Shows `RateCurves`, which are measured while this is in view."""

    def __init__(
        self, controller: CompressController, curves: RateCurves, services: Services, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._controller, self._curves = controller, curves
        self.metric_box = QComboBox()
        self.metric_box.setAccessibleName("Figure of the curves")
        self.metric_box.addItem("PSNR", PSNR)
        self.metric_box.addItem("MS-SSIM", MS_SSIM)
        self.metric_box.activated.connect(self._show)
        self.side_box = QComboBox()
        self.side_box.setAccessibleName("Side that a chosen point is loaded into")
        self.side_box.addItem("Load into B", RIGHT)
        self.side_box.addItem("Load into A", LEFT)
        self.plot = RatePlot(services)
        self.plot.setMinimumHeight(PLOT_HEIGHT)
        self.plot.point_chosen.connect(self._on_chosen)
        self._hint = QLabel()
        self._hint.setWordWrap(True)
        self._hint.setProperty("look", "caption")
        row = QHBoxLayout()
        row.addWidget(self.metric_box, 1)
        row.addWidget(self.side_box, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        layout.addLayout(row)
        layout.addWidget(self.plot)
        layout.addWidget(self._hint)
        curves.changed.connect(self._show)
        controller.changed.connect(self._show_current)
        self._show()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._curves.set_wanted(True)

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self._curves.set_wanted(False)

    @Slot()
    def _show(self) -> None:
        ms_ssim = self.metric_box.currentData() == MS_SSIM
        self.plot.set_metric("MS-SSIM" if ms_ssim else "PSNR", "" if ms_ssim else "dB", 4 if ms_ssim else 2)
        points = self._curves.points
        picture = self._controller.state.picture
        pixels = 0 if picture is None or self._curves.excerpt else picture.width * picture.height
        curves = [
            Curve(codec, CODEC_NAMES[codec], [self._point(point) for point in points if point.codec == codec])
            for codec in CODECS
        ]
        self.plot.set_curves(curves, pixels)
        self._show_current(self._controller.state)
        where = "the middle of this photo" if self._curves.excerpt else "this photo"
        doing = "Measured" if self._curves.complete else "Being measured"
        self._hint.setText(f"{doing} on {where}. Click a point to load it; a name hides its curve.")

    def _point(self, point: CurvePoint) -> RatePoint:
        value = point.ms_ssim if self.metric_box.currentData() == MS_SSIM else point.psnr
        return RatePoint(point.bits_per_pixel, value, point, setting=f"quality {point.quality:g}")

    @Slot(object)
    def _show_current(self, state: CompressState) -> None:
        """Mark where both sides are; on an excerpt that would compare unlike things."""
        marks: list[tuple[str, RatePoint] | None] = []
        for side in (LEFT, RIGHT):
            result = state.side(side).result
            if result is None or self._curves.excerpt:
                marks.append(None)
                continue
            encoded, codec = result.encoded, result.wish.settings.codec
            point = CurvePoint(codec, encoded.quality, encoded.bits_per_pixel, encoded.psnr, encoded.ms_ssim, False)
            marks.append((codec, self._point(point)))
        self.plot.set_current(marks[0], marks[1])

    @Slot(object)
    def _on_chosen(self, point: CurvePoint) -> None:
        self._controller.choose(self.side_box.currentData(), SideSettings(point.codec, point.quality))
