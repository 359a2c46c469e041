"""The column at the right that holds the inspector of the page in view."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QComboBox,
    QFrame,
    QLineEdit,
    QScrollArea,
    QSlider,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

WIDTH = 328  # 320 for the controls' column with its margins, and the line at its left


class InspectorColumn(QStackedWidget):
    """Scrolls what does not fit; as wide as its name says on every screen."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._areas: dict[str, QScrollArea] = {}
        self.setProperty("look", "inspector")
        self.setFixedWidth(WIDTH)
        self.setAccessibleName("Inspector")
        self._empty = QWidget()
        self.addWidget(self._empty)

    def add_page(self, key: str, panel: QWidget) -> None:
        """Take in the panel of a page."""
        prepare_controls(panel)
        # From the outside in: every change of a widget's parent goes through the style of all that is below it.
        area = self._areas[key] = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.addWidget(area)
        frame = QWidget()
        column = QVBoxLayout(frame)
        column.setContentsMargins(16, 12, 16, 16)
        area.setWidget(frame)
        layout = panel.layout()
        if layout is not None:
            layout.setContentsMargins(0, 0, 0, 0)
        column.addWidget(panel)

    def show_page(self, key: str) -> None:
        """Show the panel of a page; none of a page that has none yet."""
        self.setCurrentWidget(self._areas.get(key, self._empty))


class _WheelGuard(QObject):
    """Lets the wheel scroll the column instead of changing a value that the cursor happens to be over."""

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Wheel and isinstance(watched, QWidget) and not watched.hasFocus():
            event.ignore()
            return True
        return False


def prepare_controls(root: QWidget) -> None:
    """Give the controls below `root` what a style sheet cannot: room at the left of numbers, and the wheel guard."""
    guard = _WheelGuard(root)
    for spin in root.findChildren(QAbstractSpinBox):
        if spin.buttonSymbols() == QAbstractSpinBox.ButtonSymbols.NoButtons:
            # WORKAROUND: with a style sheet Qt then leaves the number no room at all. This look hides the buttons.
            spin.setButtonSymbols(QAbstractSpinBox.ButtonSymbols.UpDownArrows)
            spin.setProperty("look", "number")
        edit = spin.findChild(QLineEdit)
        if edit is not None:
            edit.setTextMargins(6, 0, 2, 0)
    for kind in (QAbstractSpinBox, QSlider, QComboBox):
        for control in root.findChildren(kind):
            control.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            control.installEventFilter(guard)
