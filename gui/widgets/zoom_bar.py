"""Zoom out, the zoom in percent, zoom in, fit and 100 %, for one `ViewTransform`."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import QDoubleSpinBox, QHBoxLayout, QToolButton, QWidget

from gui.services.theme import Theme
from gui.widgets.view_transform import MAX_ZOOM, MIN_ZOOM, STEP, ViewTransform


class ZoomBar(QWidget):
    """Buttons around a number that can be typed."""

    def __init__(self, transform: ViewTransform, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._transform = transform
        self.percent = QDoubleSpinBox()
        self.percent.setRange(100 * MIN_ZOOM, 100 * MAX_ZOOM)
        self.percent.setDecimals(0)
        self.percent.setSuffix(" %")
        self.percent.setKeyboardTracking(False)
        self.percent.setAccessibleName("Zoom in percent")
        self.percent.setToolTip("Screen pixels per picture pixel; type a number")
        self.percent.setAlignment(Qt.AlignmentFlag.AlignRight)
        self.percent.setProperty("look", "number")
        self.percent.setFixedWidth(76)
        self.percent.valueChanged.connect(self._on_typed)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self._button("zoom-out", "Zoom out (-)", lambda: transform.zoom_by(1 / STEP)))
        layout.addWidget(self.percent)
        layout.addWidget(self._button("zoom-in", "Zoom in (+)", lambda: transform.zoom_by(STEP)))
        layout.addWidget(self._button("fit", "Fit the picture (0)", transform.fit))
        layout.addWidget(self._button("actual-size", "100 % (Ctrl+0)", transform.actual_size))
        transform.changed.connect(self._show)
        self._show()

    def _button(self, icon: str, text: str, call: Callable[[], None]) -> QToolButton:
        button = QToolButton()
        button.setProperty("look", "flat")
        button.setToolTip(text)
        button.setAccessibleName(text.partition(" (")[0])
        button.clicked.connect(lambda: call())
        Theme.current().bind_icon(button, icon, "text", 18)
        return button

    @Slot()
    def _show(self) -> None:
        self.percent.blockSignals(True)
        self.percent.setValue(100 * self._transform.zoom)
        self.percent.blockSignals(False)

    @Slot(float)
    def _on_typed(self, value: float) -> None:
        self._transform.set_zoom(value / 100)
