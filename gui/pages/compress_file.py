"""A compressed file that was opened on the Compress page: what it says of itself, and what can be done with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from gui.controllers.compress_controller import FILE, CompressController, CompressState
from gui.controllers.wording import bytes_exact, bytes_short, size_in_pixels
from gui.pages.compress_side import BPP, FIGURES, SIZE
from gui.widgets.figure_table import FigureTable
from gui.widgets.wait_bar import WaitBar

if TYPE_CHECKING:
    from engine.progress import Progress

HEADER_FIGURES = {
    SIZE: "Exact size of the compressed file",
    "Picture": "Width and height in pixels",
    BPP: FIGURES[BPP],
    "Quality": "The setting the file was made with, 0 to 100",
    "Model": "The codec model that made the file",
    "Model hash": "First digits of the hash of the model's weights",
    "Tiles": "Pieces that are coded on their own",
    "Sections": "What the file holds, with sizes",
}


class FilePanel(QWidget):
    """The header of the file on show.

    Signals:
        save_wished(): save a copy.
        export_wished(): save the decoded picture.
    """

    save_wished = Signal()
    export_wished = Signal()

    def __init__(self, controller: CompressController, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.header = FigureTable(HEADER_FIGURES)
        self._status = QLabel()
        self._status.setWordWrap(True)
        self._status.setProperty("look", "caption")
        self.wait = WaitBar("decoding", keep_place=False)
        self.wait.cancelled.connect(controller.cancel_opening)
        self.save_button = QPushButton("Save a copy…")
        self.save_button.clicked.connect(self.save_wished)
        self.export_button = QPushButton("Export picture…")
        self.export_button.clicked.connect(self.export_wished)
        self.adopt_button = QPushButton("Compress again…")
        self.adopt_button.setToolTip("Take the decoded picture as a new original")
        self.adopt_button.clicked.connect(controller.adopt_decoded)
        buttons = QHBoxLayout()
        buttons.addWidget(self.save_button, 1)
        buttons.addWidget(self.export_button, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(12)
        for widget in (self.header, self._status, self.wait):
            layout.addWidget(widget)
        layout.addLayout(buttons)
        layout.addWidget(self.adopt_button)
        controller.changed.connect(self._show_state)
        controller.progressed.connect(self._on_progressed)
        self._show_state(controller.state)

    @Slot(object)
    def _show_state(self, state: CompressState) -> None:
        file = state.file
        if file is None:
            self.wait.set_busy(False)
            return
        header = file.header
        self.wait.set_busy(not file.complete and bool(state.opening))
        text = "The whole picture is decoded and on show."
        if not file.complete:
            text = "The small preview in the file is on show, enlarged."
            text += " The picture follows…" if state.opening else " Decoding was stopped; open the file again."
        self._status.setText(text)
        for button in (self.export_button, self.adopt_button):
            button.setEnabled(file.complete)
        self.header.set_values(
            {
                SIZE: bytes_exact(len(file.data)),
                "Picture": size_in_pixels(header.width, header.height),
                BPP: f"{header.bits_per_pixel:.3f}",
                "Quality": f"{header.quality:g}",
                "Model": header.model_name,
                "Model hash": header.model_hash[:12],
                "Tiles": f"{header.tiles[0]} × {header.tiles[1]}",
                "Sections": "\n".join(f"{section.name}: {bytes_short(section.bytes)}" for section in header.sections),
            }
        )

    @Slot(str, object)
    def _on_progressed(self, what: str, progress: Progress) -> None:
        if what == FILE:
            self.wait.show_progress(progress)
