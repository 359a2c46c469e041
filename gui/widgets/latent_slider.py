"""LatentSlider: one latent dimension in one line: how much it matters, where it stands, what its two ends look like."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QRectF, QSignalBlocker, QSize, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent, QPixmap
from PySide6.QtWidgets import (
    QDoubleSpinBox,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QSlider,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from gui.services.theme import Theme
from gui.widgets.tile_picker import picture_icon

if TYPE_CHECKING:
    import numpy as np

STEPS = 1000  # of the slider between its two ends
END_SIDE = 30


class _ImportanceBar(QWidget):
    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._importance = 0.0
        self.setFixedSize(QSize(48, 5))
        Theme.current().changed.connect(self.update)

    def show_importance(self, importance: float) -> None:
        self._importance = min(1.0, max(0.0, importance))
        self.setToolTip(f"Importance {self._importance:.0%} of the most important dimension")
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        frame = QRectF(self.rect())
        painter.setBrush(Theme.current().color("border"))
        painter.drawRoundedRect(frame, 2, 2)
        if self._importance > 0:
            painter.setBrush(Theme.current().color("accent"))
            frame.setWidth(max(3.0, frame.width() * self._importance))
            painter.drawRoundedRect(frame, 2, 2)
        painter.end()


class LatentSlider(QWidget):
    """A latent dimension.

    Values outside of the slider's range can be shown and typed; the slider then stands at its end.

    Signals:
        moved(int, float): the person changed the value of this dimension.
        released(): the person let go.
        reset_wanted(int): back to the origin.
    """

    moved = Signal(int, float)
    released = Signal()
    reset_wanted = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.dimension = 0
        self._low, self._high = 0.0, 1.0
        self._title = QLabel(self)
        self._title.setMinimumWidth(self._title.fontMetrics().horizontalAdvance("Style 128"))
        self._bar = _ImportanceBar(self)
        self._slider = QSlider(Qt.Orientation.Horizontal, self)
        self._slider.setRange(0, STEPS)
        self._slider.setSingleStep(STEPS // 100)
        self._slider.setPageStep(STEPS // 10)
        self._slider.setMinimumWidth(72)
        self._spin = QDoubleSpinBox(self)
        self._spin.setDecimals(2)
        self._spin.setProperty("look", "number")
        self._spin.setAlignment(Qt.AlignmentFlag.AlignRight)
        self._spin.setKeyboardTracking(False)
        self._spin.setFixedWidth(58)
        self._reset = QToolButton(self)
        self._reset.setProperty("look", "flat")
        self._reset.setStyleSheet("padding: 3px;")
        Theme.current().bind_icon(self._reset, "reset", "muted", 14)
        self._title.setBuddy(self._slider)
        self._ends = (_end_label(self), _end_label(self))
        named = QVBoxLayout()
        named.setSpacing(1)
        named.addWidget(self._title)
        named.addWidget(self._bar)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(6)
        row.addLayout(named)
        row.addWidget(self._ends[0])
        row.addWidget(self._slider, 1)
        row.addWidget(self._ends[1])
        row.addWidget(self._spin)
        row.addWidget(self._reset)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self.setFocusProxy(self._slider)
        self._slider.valueChanged.connect(self._on_slid)
        self._slider.sliderReleased.connect(self.released)
        self._slider.actionTriggered.connect(self._on_action)
        self._spin.valueChanged.connect(self._on_typed)
        self._reset.clicked.connect(self._on_reset)

    def show_dimension(self, dimension: int, name: str, importance: float, low: float, high: float) -> None:
        """Stand for another dimension: its index, its name, its relative importance 0..1 and the slider's range."""
        self.dimension = dimension
        self._low, self._high = low, max(high, low + 1e-6)
        span = self._high - self._low
        with QSignalBlocker(self._spin):
            self._spin.setRange(self._low - 2 * span, self._high + 2 * span)
        self._spin.setSingleStep(span / 100)
        self._spin.setAccessibleName(f"{name}, number")
        self._slider.setAccessibleName(name)
        self._reset.setToolTip(f"Reset {name}")
        self._reset.setAccessibleName(f"Reset {name}")
        self._title.setText(name)
        self._bar.show_importance(importance)
        self.clear_ends()

    @property
    def value(self) -> float:
        """The value as shown, to two decimals."""
        return self._spin.value()

    def show_value(self, value: float, origin: float) -> None:
        """Show a value without a signal; `origin` is where Reset goes."""
        with QSignalBlocker(self._slider), QSignalBlocker(self._spin):
            if not self._slider.isSliderDown():
                self._slider.setValue(round((value - self._low) / (self._high - self._low) * STEPS))
            self._spin.setValue(value)
        self._reset.setEnabled(abs(value - origin) > 1e-6)

    def show_ends(self, low: np.ndarray, high: np.ndarray) -> None:
        """Show what the picture becomes at the two ends of the slider."""
        for label, pixels in zip(self._ends, (low, high), strict=True):
            label.setPixmap(picture_icon(pixels, END_SIDE).pixmap(QSize(END_SIDE, END_SIDE)))

    def clear_ends(self) -> None:
        """Forget the pictures of the ends."""
        for label in self._ends:
            label.setPixmap(QPixmap())

    def _on_slid(self, step: int) -> None:
        value = self._low + (self._high - self._low) * step / STEPS
        with QSignalBlocker(self._spin):
            self._spin.setValue(value)
        self.moved.emit(self.dimension, value)

    def _on_action(self, action: int) -> None:
        # Keys and clicks on the groove have no release of their own; their value is set only after this signal.
        if not self._slider.isSliderDown() and action != QSlider.SliderAction.SliderMove.value:
            self._slider.setValue(self._slider.sliderPosition())
            self.released.emit()

    def _on_reset(self) -> None:
        self.reset_wanted.emit(self.dimension)

    def _on_typed(self, value: float) -> None:
        self.moved.emit(self.dimension, value)
        self.released.emit()


def _end_label(parent: QWidget) -> QLabel:
    label = QLabel(parent)
    label.setFixedSize(QSize(END_SIDE, END_SIDE))
    return label
