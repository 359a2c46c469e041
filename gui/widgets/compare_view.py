"""CompareView: two pictures under a slider, side by side, or taking turns; or one picture, large."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QPointF, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QHideEvent, QImage, QKeyEvent, QPainter, QShowEvent
from PySide6.QtWidgets import QApplication, QButtonGroup, QHBoxLayout, QStackedWidget, QToolButton, QVBoxLayout, QWidget

from gui.services.theme import Theme
from gui.widgets.chip import Chip
from gui.widgets.divider_view import DividerView
from gui.widgets.elided_label import ElidedLabel
from gui.widgets.image_canvas import ImageCanvas
from gui.widgets.pyramid import Background, Pyramid
from gui.widgets.view_transform import ViewTransform

MODES = ("slider", "side", "flicker")
TURN = 500  # milliseconds; slower than three flashes a second, which can harm
LARGE = 256  # small pictures are enlarged to about this many pixels, whole steps, so that one can see them
CHIP_MARGIN = 12.0


class _Labelled(ImageCanvas):
    """A canvas with a letter and a text in its corner."""

    def __init__(self, name: str, transform: ViewTransform | None = None) -> None:
        super().__init__(transform=transform, name=name)
        self.letter, self.label = "", ""
        self.setMinimumSize(80, 80)
        self.add_layer(self._paint_label)

    def show_picture(self, pyramid: Pyramid, letter: str, label: str) -> None:
        """Show another picture under its letter."""
        self.letter, self.label = letter, label
        self.set_pyramid(pyramid)

    def _paint_label(self, painter: QPainter) -> None:
        if self.label:
            Chip(self, self.label, letter=self.letter).paint(painter, QPointF(CHIP_MARGIN, CHIP_MARGIN))


class CompareView(QWidget):
    """Compares two pictures; of different sizes, the smaller one is enlarged.

    Keys: M goes to the next way of comparing, C swaps the pictures, Space stops them taking turns, Escape leaves.

    Attributes:
        mode: "slider", "side" or "flicker".

    Signals:
        left(): the person wants back.
    """

    left = Signal()

    def __init__(
        self,
        background: Background | None = None,
        failed: Callable[[Exception], None] | None = None,
        parent: QWidget | None = None,
    ) -> None:
        """Args: background, failed: as for `DividerView`."""
        super().__init__(parent)
        self.mode = "slider"
        self._pictures: list[tuple[Pyramid, str]] = []
        self._turn = 0
        self._paused = False
        self._turning = QTimer(self)
        self._turning.setInterval(TURN)
        self._turning.timeout.connect(self._on_turn)
        self._divider = DividerView(
            name=self.tr("Two pictures under one divider"), background=background, failed=failed
        )
        self._divider.setMinimumSize(160, 80)
        shared = ViewTransform(self)
        self._first = _Labelled(self.tr("First picture"), shared)
        self._second = _Labelled(self.tr("Second picture"), shared)
        self._flicker = _Labelled(self.tr("Two pictures taking turns"))
        beside = QWidget()
        across = QHBoxLayout(beside)
        across.setContentsMargins(0, 0, 0, 0)
        across.setSpacing(2)
        across.addWidget(self._first)
        across.addWidget(self._second)
        self._stack = QStackedWidget()
        for widget in (self._divider, beside, self._flicker):
            self._stack.addWidget(widget)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addLayout(self._build_bar())
        column.addWidget(self._stack, 1)
        self._show()

    def _build_bar(self) -> QHBoxLayout:
        self._back = QToolButton()
        Theme.current().bind_icon(self._back, "close", "text", 18)
        self._back.setToolTip(self.tr("Back to the grid (Esc)"))
        self._back.setAccessibleName(self.tr("Back to the grid"))
        self._back.clicked.connect(self.left)
        self._title = ElidedLabel()
        self._title.setProperty("look", "muted")
        texts = {
            "slider": (self.tr("Slider"), self.tr("Both under one divider that you drag")),
            "side": (self.tr("Side by side"), self.tr("Beside each other, moved and zoomed together")),
            "flicker": (self.tr("Flicker"), self.tr("Taking turns in one place, twice a second")),
        }
        self._group = QButtonGroup(self)
        self._buttons: dict[str, QToolButton] = {}
        bar = QHBoxLayout()
        bar.setSpacing(4)
        bar.addWidget(self._title, 1)
        for mode, (text, hint) in texts.items():
            button = QToolButton()
            button.setText(text)
            button.setCheckable(True)
            button.setToolTip(f"{hint} (M)")
            button.clicked.connect(self._on_mode_clicked)
            self._group.addButton(button)
            self._buttons[mode] = button
            bar.addWidget(button)
        self._pause = QToolButton()
        self._pause.setCheckable(True)
        self._pause.setToolTip(self.tr("Stop them taking turns (Space)"))
        self._pause.setAccessibleName(self.tr("Stop them taking turns"))
        self._pause.toggled.connect(self._on_pause)
        Theme.current().bind_icon(self._pause, "pause", "text", 18)
        self._swap = QToolButton()
        self._swap.setToolTip(self.tr("Swap the two pictures (C)"))
        self._swap.setAccessibleName(self.tr("Swap the two pictures"))
        self._swap.clicked.connect(self.swap)
        Theme.current().bind_icon(self._swap, "swap", "text", 18)
        bar.addWidget(self._pause)
        bar.addWidget(self._swap)
        bar.addWidget(self._back)
        return bar

    def show_two(self, first: tuple[QImage, str], second: tuple[QImage, str]) -> None:
        """Compare two pictures, each with its label."""
        side = max(max(image.width(), image.height()) for image, _ in (first, second))
        size = max((first[0].size(), second[0].size()), key=lambda one: one.width() * one.height())
        scale = max(1, round(LARGE / side))
        self._pictures = [
            (Pyramid(image.scaled(size.width() * scale, size.height() * scale)), label)
            for image, label in (first, second)
        ]
        self._turn = 0
        self._show()

    def show_one(self, image: QImage, label: str) -> None:
        """Show one picture, large."""
        scale = max(1, round(LARGE / max(image.width(), image.height(), 1)))
        self._pictures = [(Pyramid(image.scaled(image.width() * scale, image.height() * scale)), label)]
        self._show()

    def show_nothing(self) -> None:
        """Forget the pictures; others are on their way."""
        self._pictures = []
        self._show()

    def set_mode(self, mode: str) -> None:
        """Another way of comparing."""
        assert mode in MODES
        self.mode = mode
        self._show()

    def take_focus(self) -> None:
        """Give the keyboard to what is shown."""
        (self._divider, self._first, self._flicker)[self._stack.currentIndex()].setFocus()

    def swap(self) -> None:
        """Let the pictures change places."""
        if len(self._pictures) == 2:
            self._pictures.reverse()
            self._show()

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of what is shown, the first one first."""
        return tuple(label for _, label in self._pictures)

    @property
    def turning(self) -> bool:
        """Whether the pictures take turns just now."""
        return self._turning.isActive()

    def _show(self) -> None:
        pair = len(self._pictures) == 2
        shown, focused = self._stack.currentWidget(), QApplication.focusWidget()
        keyboard = focused is not None and (focused is shown or shown.isAncestorOf(focused))
        for widget in (*self._buttons.values(), self._swap):
            widget.setVisible(pair)
        self._pause.setVisible(pair and self.mode == "flicker")
        self._buttons[self.mode].setChecked(True)
        self._title.setText("" if pair or not self._pictures else self._pictures[0][1])
        if pair:
            (first, first_label), (second, second_label) = self._pictures
            self._stack.setCurrentIndex(MODES.index(self.mode))
            self._divider.set_pictures(first, second)
            self._divider.set_labels(first_label, second_label)
            self._first.show_picture(first, "A", first_label)
            self._second.show_picture(second, "B", second_label)
            picture, label = self._pictures[self._turn]
            self._flicker.show_picture(picture, "AB"[self._turn], label)
        elif self._pictures:
            self._stack.setCurrentIndex(0)
            self._divider.set_pictures(None, self._pictures[0][0])
            self._divider.set_labels("", "")
        else:
            self._stack.setCurrentIndex(0)
            self._divider.set_pictures(None, None)
        if keyboard and self._stack.currentWidget() is not shown:
            # It would go to whatever comes next in the window.
            self.take_focus()
        self._see_to_turning()

    def _see_to_turning(self) -> None:
        wanted = len(self._pictures) == 2 and self.mode == "flicker" and not self._paused and self.isVisible()
        if wanted != self._turning.isActive():
            self._turning.start() if wanted else self._turning.stop()

    @Slot()
    def _on_turn(self) -> None:
        self._turn = 1 - self._turn
        self._show()

    @Slot()
    def _on_mode_clicked(self) -> None:
        self.set_mode(next(mode for mode, button in self._buttons.items() if button.isChecked()))

    @Slot(bool)
    def _on_pause(self, paused: bool) -> None:
        self._paused = paused
        Theme.current().bind_icon(self._pause, "play" if paused else "pause", "text", 18)
        self._see_to_turning()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._see_to_turning()

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self._turning.stop()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key, pair = event.key(), len(self._pictures) == 2
        if key == Qt.Key.Key_Escape:
            self.left.emit()
        elif pair and key == Qt.Key.Key_M:
            self.set_mode(MODES[(MODES.index(self.mode) + 1) % len(MODES)])
        elif pair and key == Qt.Key.Key_C:
            self.swap()
        elif pair and key == Qt.Key.Key_Space and self.mode == "flicker":
            self._pause.toggle()
        else:
            super().keyPressEvent(event)
