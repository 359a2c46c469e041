"""A slider with a name, a number that can be typed, and a way back to its default."""

from __future__ import annotations

from PySide6.QtCore import QSignalBlocker, Qt, Signal
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


class LabeledSlider(QWidget):
    """A number between `low` and `high`.

    Attributes:
        name: what the number is, for people and screen readers.
        value: the current number.
        default: where Reset goes.

    Signals:
        value_changed(float): the number changed, by whatever cause.
        slider_released(): the person let go of the slider or finished typing: the moment for costly work and undo.
    """

    value_changed = Signal(float)
    slider_released = Signal()

    def __init__(
        self,
        name: str,
        low: float,
        high: float,
        value: float,
        decimals: int = 2,
        *,
        suffix: str = "",
        hint: str = "",
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.name, self.low, self.high, self.default = name, float(low), float(high), float(value)
        self._factor = 10**decimals
        self._value = float(value)

        self._label = QLabel(name, self)
        self._label.setToolTip(hint)
        self._spin = QDoubleSpinBox(self)
        self._spin.setDecimals(decimals)
        self._spin.setRange(low, high)
        self._spin.setSuffix(suffix)
        self._spin.setProperty("look", "number")
        self._spin.setAlignment(Qt.AlignmentFlag.AlignRight)
        self._spin.setKeyboardTracking(False)
        self._spin.setAccessibleName(f"{name}, number")
        self._spin.setSingleStep(max((high - low) / 100, 1 / self._factor))
        self._spin.setFixedWidth(
            max(64, self._spin.fontMetrics().horizontalAdvance(f"{-abs(high):.{decimals}f}{suffix}") + 28)
        )
        self._reset = QToolButton(self)
        self._reset.setProperty("look", "flat")
        self._reset.setToolTip(f"Reset {name.lower()}")
        self._reset.setAccessibleName(f"Reset {name}")
        Theme.current().bind_icon(self._reset, "reset", "muted", 16)
        self._slider = QSlider(Qt.Orientation.Horizontal, self)
        self._slider.setRange(round(low * self._factor), round(high * self._factor))
        self._slider.setPageStep(max(1, (self._slider.maximum() - self._slider.minimum()) // 10))
        self._slider.setSingleStep(max(1, (self._slider.maximum() - self._slider.minimum()) // 100))
        self._slider.setAccessibleName(name)
        self._slider.setAccessibleDescription(hint)
        self._slider.setToolTip(hint)
        self._label.setBuddy(self._slider)

        top = QHBoxLayout()
        top.setSpacing(4)
        top.addWidget(self._label, 1)
        top.addWidget(self._spin)
        top.addWidget(self._reset)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addLayout(top)
        column.addWidget(self._slider)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self.setFocusProxy(self._slider)

        self._show()
        self._slider.valueChanged.connect(self._on_slider_moved)
        self._slider.sliderReleased.connect(self.slider_released)
        self._slider.actionTriggered.connect(self._on_slider_action)
        self._spin.valueChanged.connect(self._on_typed)
        self._reset.clicked.connect(self.reset)

    @property
    def value(self) -> float:
        """The current number."""
        return self._value

    @property
    def dragging(self) -> bool:
        """True while the person holds the slider."""
        return self._slider.isSliderDown()

    def set_value(self, value: float, *, emit: bool = True) -> None:
        """Set the number, kept between `low` and `high`; `emit` False sets it without a signal."""
        value = min(self.high, max(self.low, float(value)))
        if value == self._value:
            return
        self._value = value
        self._show()
        if emit:
            self.value_changed.emit(value)

    def set_range(self, low: float, high: float, default: float) -> None:
        """Another range and default; the value is kept inside it."""
        self.low, self.high, self.default = float(low), float(high), float(default)
        with QSignalBlocker(self._slider), QSignalBlocker(self._spin):
            self._slider.setRange(round(low * self._factor), round(high * self._factor))
            self._spin.setRange(low, high)
        self.set_value(self._value)
        self._show()

    def reset(self) -> None:
        """Back to the default."""
        if self._value != self.default:
            self.set_value(self.default)
            self.slider_released.emit()

    def _show(self) -> None:
        with QSignalBlocker(self._slider), QSignalBlocker(self._spin):
            self._slider.setValue(round(self._value * self._factor))
            self._spin.setValue(self._value)
        self._reset.setEnabled(abs(self._value - self.default) >= 0.5 / self._factor)

    def _on_slider_moved(self, position: int) -> None:
        self.set_value(position / self._factor)

    def _on_slider_action(self, action: int) -> None:
        # Keys and clicks on the groove have no release of their own.
        if not self._slider.isSliderDown() and action != QSlider.SliderAction.SliderMove.value:
            self.set_value(self._slider.sliderPosition() / self._factor)
            self.slider_released.emit()

    def _on_typed(self, value: float) -> None:
        self.set_value(value)
        self.slider_released.emit()
