"""Step back, play or pause, step on, stop, with a slider for the place and one for the speed."""

from __future__ import annotations

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QSlider, QToolButton, QWidget

from gui.services.theme import Theme

SPEEDS = (2, 8, 25, 60)  # outputs per second


class PlayBar(QWidget):
    """Shows where an animation is and forwards what the person does with it.

    Signals:
        play_wished(), pause_wished(), stop_wished(): buttons.
        step_wished(int): one back (-1) or on (1).
        moment_wished(int): the slider was moved.
        speed_changed(float): steps per second.
    """

    play_wished = Signal()
    pause_wished = Signal()
    stop_wished = Signal()
    step_wished = Signal(int)
    moment_wished = Signal(int)
    speed_changed = Signal(float)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._playing = False
        self.back_button = self._button("chevron-left", "One output back")
        self.back_button.clicked.connect(lambda: self.step_wished.emit(-1))
        self.play_button = self._button("play", "Slide the window over the picture (P)")
        self.play_button.setShortcut("P")
        self.play_button.clicked.connect(self._on_play)
        self.on_button = self._button("chevron-right", "One output on")
        self.on_button.clicked.connect(lambda: self.step_wished.emit(1))
        self.stop_button = self._button("stop", "Show the whole output again")
        self.stop_button.clicked.connect(self.stop_wished)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName("Place of the window")
        self.slider.setToolTip("Output that the window is at, line by line")
        self.slider.valueChanged.connect(self.moment_wished)
        self._text = QLabel()
        self._text.setProperty("look", "caption")
        self._text.setMinimumWidth(84)
        self.speed = QComboBox()
        self.speed.setAccessibleName("Speed")
        self.speed.setToolTip("Outputs per second")
        for value in SPEEDS:
            self.speed.addItem(f"{value} / s", value)
        self.speed.setCurrentIndex(1)
        self.speed.activated.connect(lambda: self.speed_changed.emit(float(self.speed.currentData())))
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(2)
        for part in (self.back_button, self.play_button, self.on_button, self.stop_button):
            row.addWidget(part)
        row.addSpacing(6)
        row.addWidget(self.slider, 1)
        row.addSpacing(6)
        row.addWidget(self._text)
        row.addWidget(self.speed)

    def show_state(self, count: int, moment: int | None, playing: bool) -> None:
        """Show an animation of `count` moments that is at `moment`, or at none."""
        with QSignalBlocker(self.slider):
            self.slider.setRange(0, max(0, count - 1))
            self.slider.setValue(0 if moment is None else moment)
        self._text.setText(f"{count:,} outputs" if moment is None else f"{moment + 1:,} of {count:,}")
        for part in (self.back_button, self.play_button, self.on_button, self.slider):
            part.setEnabled(count > 0)
        self.stop_button.setEnabled(moment is not None)
        if playing != self._playing:
            self._playing = playing
            Theme.current().bind_icon(self.play_button, "pause" if playing else "play", "text", 18)
            self.play_button.setAccessibleName("Pause" if playing else "Play")

    def _on_play(self) -> None:
        (self.pause_wished if self._playing else self.play_wished).emit()

    def _button(self, icon: str, text: str) -> QToolButton:
        button = QToolButton()
        button.setProperty("look", "flat")
        button.setToolTip(text)
        button.setAccessibleName(text.partition(" (")[0])
        Theme.current().bind_icon(button, icon, "text", 18)
        return button
