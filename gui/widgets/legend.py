"""The legend of a segmentation: colour, name and area of every class; a click isolates one, the eye hides it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QRectF, QSize, Qt, Signal, Slot
from PySide6.QtGui import QColor, QEnterEvent, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QAbstractButton, QHBoxLayout, QToolButton, QVBoxLayout, QWidget

from gui.controllers.wording import percent

if TYPE_CHECKING:
    from PySide6.QtCore import QEvent

    from engine.segmentation import ClassArea
    from gui.controllers.segment_controller import SegmentState
    from gui.services.context import Services
    from gui.services.theme import Theme

SWATCH = 16
ROW_HEIGHT = 44


class LegendRow(QAbstractButton):
    """One class. Click or Space isolates it, Alt-click or Alt+Space hides it.

    Signals:
        isolate_wished(int), hide_wished(int): with the class number.
    """

    isolate_wished = Signal(int)
    hide_wished = Signal(int)

    def __init__(self, number: int, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._number = number
        self._theme = theme
        self._color = QColor()
        self._name = self._details = ""
        self._visible_in_overlay = True
        self._isolated = False
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setToolTip("Click: show only this class. Alt-click: hide it.")

    def show_area(self, area: ClassArea, picture_pixels: int, visible: bool, isolated: bool) -> None:
        """Show name, colour and area of the class and whether the overlay shows it."""
        self._color = QColor(*area.color)
        self._name = area.name
        regions = f"{area.regions:,} region{'' if area.regions == 1 else 's'}"
        self._details = f"{percent(area.pixels, picture_pixels)} · {area.pixels:,} px · {regions}"
        self._visible_in_overlay, self._isolated = visible, isolated
        state = "shown alone" if isolated else "shown" if visible else "hidden"
        self.setAccessibleName(f"{self._name}: {self._details}, {state}")
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(220, ROW_HEIGHT)

    def minimumSizeHint(self) -> QSize:
        return QSize(120, ROW_HEIGHT)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        inside = self.rect().contains(event.position().toPoint()) and event.button() == Qt.MouseButton.LeftButton
        alt = bool(event.modifiers() & Qt.KeyboardModifier.AltModifier)
        super().mouseReleaseEvent(event)
        if inside:
            self._wish(alt)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Space, Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._wish(bool(event.modifiers() & Qt.KeyboardModifier.AltModifier))
        else:
            super().keyPressEvent(event)

    def enterEvent(self, event: QEnterEvent) -> None:
        super().enterEvent(event)
        self.update()

    def leaveEvent(self, event: QEvent) -> None:
        super().leaveEvent(event)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        theme = self._theme
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        frame = QRectF(self.rect()).adjusted(1, 1, -1, -1)
        if self._isolated or self.underMouse():
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme.color("accent_soft" if self._isolated else "hover"))
            painter.drawRoundedRect(frame, 6, 6)
        if self.hasFocus():
            painter.setPen(QPen(theme.color("accent"), 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(frame, 6, 6)
        swatch = QRectF(10, (self.height() - SWATCH) / 2, SWATCH, SWATCH)
        painter.setPen(QPen(theme.color("border_strong"), 1))
        painter.setBrush(self._color if self._visible_in_overlay else Qt.BrushStyle.NoBrush)
        painter.drawRoundedRect(swatch, 4, 4)
        left = swatch.right() + 10
        width = self.width() - left - 6
        font = self.font()
        font.setBold(self._isolated)
        painter.setFont(font)
        painter.setPen(theme.color("text" if self._visible_in_overlay else "muted"))
        name = painter.fontMetrics().elidedText(self._name.capitalize(), Qt.TextElideMode.ElideRight, int(width))
        painter.drawText(QRectF(left, 4, width, self.height() / 2 - 4), Qt.AlignmentFlag.AlignVCenter, name)
        small = self.font()
        small.setPointSizeF(max(7.5, small.pointSizeF() - 1.5))
        painter.setFont(small)
        painter.setPen(theme.color("muted"))
        details = painter.fontMetrics().elidedText(self._details, Qt.TextElideMode.ElideRight, int(width))
        painter.drawText(
            QRectF(left, self.height() / 2, width, self.height() / 2 - 4), Qt.AlignmentFlag.AlignVCenter, details
        )

    def _wish(self, alt: bool) -> None:
        (self.hide_wished if alt else self.isolate_wished).emit(self._number)


class Legend(QWidget):
    """A row per class.

    Signals:
        isolate_wished(int), hide_wished(int): with the class number.
    """

    isolate_wished = Signal(int)
    hide_wished = Signal(int)

    def __init__(self, services: Services, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = services.theme
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(2)
        self.rows: list[LegendRow] = []
        self.eyes: list[QToolButton] = []
        self._theme.changed.connect(self._on_theme_changed)

    def show_state(self, state: SegmentState) -> None:
        """Show the areas of `state`; rows are made anew only when the classes are others."""
        if len(self.rows) != len(state.areas):
            self._make_rows(len(state.areas))
        if state.picture is None:
            return
        pixels = state.picture.width * state.picture.height
        for number, area in enumerate(state.areas):
            visible = number not in state.invisible
            self.rows[number].show_area(area, pixels, visible, state.isolated == number)
            eye = self.eyes[number]
            eye.setChecked(number in state.hidden)
            eye.setAccessibleName(f"Hide {area.name}")
            eye.setToolTip(f"{'Show' if number in state.hidden else 'Hide'} {area.name}")
            self._theme.bind_icon(eye, "eye-off" if number in state.hidden else "eye", "muted", 16)

    def _make_rows(self, count: int) -> None:
        while (item := self._layout.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.deleteLater()
        self.rows, self.eyes = [], []
        for number in range(count):
            line = QWidget()
            row = LegendRow(number, self._theme)
            row.isolate_wished.connect(self.isolate_wished)
            row.hide_wished.connect(self.hide_wished)
            eye = QToolButton()
            eye.setProperty("look", "flat")
            eye.setCheckable(True)
            eye.setProperty("class_number", number)
            eye.clicked.connect(self._on_eye_clicked)
            layout = QHBoxLayout(line)
            layout.setContentsMargins(0, 0, 0, 0)
            layout.setSpacing(0)
            layout.addWidget(row, 1)
            layout.addWidget(eye)
            self._layout.addWidget(line)
            self.rows.append(row)
            self.eyes.append(eye)

    @Slot()
    def _on_eye_clicked(self) -> None:
        self.hide_wished.emit(self.sender().property("class_number"))

    @Slot()
    def _on_theme_changed(self) -> None:
        for row in self.rows:
            row.update()
