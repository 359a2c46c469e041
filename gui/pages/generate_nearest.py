"""NearestPanel: the real pictures nearest to the selected sample, and a sentence on what they mean."""

from __future__ import annotations

from PySide6.QtCore import Qt, Slot
from PySide6.QtGui import QAction, QPixmap
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from engine.progress import Progress
from gui.controllers.generate_nearest import COUNT, GenerateNearest
from gui.services.jobs import remaining_text
from gui.widgets.tile_picker import picture_icon
from gui.widgets.wait_bar import WaitBar

SIDE = 44


class NearestPanel(QWidget):
    """Shows what a `GenerateNearest` found."""

    def __init__(self, nearest: GenerateNearest, find: QAction, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._nearest, self._find = nearest, find
        self.find_button = QPushButton(self.tr("Find them"))
        self.find_button.setToolTip(self.tr("Look through the training pictures: is the sample new, or a copy?"))
        self.find_button.clicked.connect(find.trigger)
        self.wait = WaitBar(self.tr("search"), keep_place=False)
        self.wait.cancelled.connect(nearest.lane.cancel)
        nearest.lane.progressed.connect(self._on_progressed)
        self.pictures: list[QLabel] = []
        row = QHBoxLayout()
        row.setSpacing(6)
        for _ in range(COUNT):
            label = QLabel()
            label.setFixedSize(SIDE, SIDE)
            self.pictures.append(label)
            row.addWidget(label)
        row.addStretch(1)
        self._strip = QWidget()
        self._strip.setLayout(row)
        row.setContentsMargins(0, 0, 0, 0)
        self.sentence = QLabel()
        self.sentence.setProperty("look", "caption")
        self.sentence.setWordWrap(True)
        self.sentence.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addWidget(self.find_button)
        column.addWidget(self.wait)
        column.addWidget(self._strip)
        column.addWidget(self.sentence)
        nearest.changed.connect(self.show_found)
        find.changed.connect(self.show_found)
        self.show_found()

    @Slot(object)
    def _on_progressed(self, progress: Progress) -> None:
        self.wait.show_progress(progress)
        parts = (progress.message, remaining_text(self._nearest.lane.remaining_seconds(progress)))
        self.sentence.setText(" · ".join(part for part in parts if part))
        self.sentence.show()

    @Slot()
    def show_found(self) -> None:
        """Show what is known of the sample that was asked about."""
        nearest = self._nearest
        found = nearest.found
        self.wait.set_busy(nearest.lane.busy)
        self.find_button.setEnabled(self._find.isEnabled() and not nearest.lane.busy)
        self._strip.setVisible(found is not None)
        neighbours = [] if found is None else found.neighbours
        for label, neighbour in zip(self.pictures, neighbours, strict=False):
            icon = picture_icon(neighbour.pixels, SIDE)
            label.setPixmap(icon.pixmap(SIDE, SIDE) if not icon.isNull() else QPixmap())
            values = ", ".join(neighbour.values.values())
            words = self.tr("{name}: {values}; differs by {distance:.3f}")
            label.setToolTip(words.format(name=neighbour.name, values=values or "—", distance=neighbour.distance))
            label.setAccessibleName(label.toolTip())
        text = found.sentence if found is not None else nearest.problem
        self.sentence.setText(text)
        self.sentence.setVisible(bool(text))
