"""MorphPanel: the way from one sample to another as a filmstrip that plays and can be exported."""

from __future__ import annotations

import shutil
from functools import partial

from PySide6.QtCore import QSignalBlocker, QSize, Qt, QTimer, Slot
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QListView,
    QMenu,
    QPushButton,
    QSpinBox,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from gui.controllers.generate_controller import GenerateController
from gui.controllers.generate_edits import MORPH_STEPS, sample_words
from gui.controllers.generate_export import file_stem
from gui.services.context import Services
from gui.services.qimage import to_qimage
from gui.widgets.elided_label import ElidedLabel
from gui.widgets.file_dialogs import ask_save
from gui.widgets.flow_grid import CAPTION_HEIGHT, FlowGrid, Thumbnail
from gui.widgets.picture_view import PictureView

STRIP_SIDE = 60
FRAME_MILLISECONDS = 80
FORMATS = {".gif": "GIF", ".webp": "WebP", ".mp4": "MP4"}


class Filmstrip(FlowGrid):
    """Thumbnails in one line that scrolls sideways."""

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent, thumbnail_side=STRIP_SIDE, name=name)
        self.setWrapping(False)
        self.setFlow(QListView.Flow.LeftToRight)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFixedHeight(STRIP_SIDE + CAPTION_HEIGHT + 8)


class MorphPanel(QFrame):
    """Shows the morph of a `GenerateController`."""

    def __init__(self, controller: GenerateController, services: Services, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.controller, self.edits = controller, controller.edits
        self._services = services
        self._frame, self._step = 0, 1
        self.setProperty("look", "card")
        self.view = PictureView(self.tr("Picture of the morph"))
        self.view.setFixedSize(104, 104)
        self.title = ElidedLabel()
        self.strip = Filmstrip(self.tr("Filmstrip"))
        self.strip.selection_changed.connect(self._on_strip)
        self.steps = QSpinBox()
        self.steps.setRange(*MORPH_STEPS)
        self.steps.setSuffix(self.tr(" steps"))
        self.steps.setFixedWidth(96)
        self.steps.setKeyboardTracking(False)
        self.steps.setAccessibleName(self.tr("Pictures of the morph"))
        self.steps.setToolTip(self.tr("Pictures from one end to the other"))
        self.steps.valueChanged.connect(self.edits.set_morph_steps)
        self.play = self._tool("play", self.tr("Play"), self._on_play)
        self.play.setCheckable(True)
        turn = self._tool("swap", self.tr("Turn it round"), self.edits.turn_morph)
        grid = self._tool("grid", self.tr("Put its pictures into the grid"), self._on_grid)
        close = self._tool("close", self.tr("Close the morph"), self.edits.close_morph)
        self.export = QPushButton(self.tr("Export…"))
        self.menu = QMenu(self)
        self.menu.aboutToShow.connect(self.fill_menu)
        self.export.setMenu(self.menu)
        top = QHBoxLayout()
        top.setSpacing(6)
        top.addWidget(self.title, 1)
        for widget in (self.steps, self.play, turn, grid, self.export, close):
            top.addWidget(widget)
        right = QVBoxLayout()
        right.setSpacing(4)
        right.addLayout(top)
        right.addWidget(self.strip)
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 8, 8, 8)
        row.setSpacing(12)
        row.addWidget(self.view)
        row.addLayout(right, 1)
        self._clock = QTimer(self)
        self._clock.setInterval(FRAME_MILLISECONDS)
        self._clock.timeout.connect(self._on_tick)
        self.edits.morph_changed.connect(self.show_morph)
        self.edits.frame_added.connect(self._on_frame)
        self.show_morph()

    def _tool(self, icon: str, text: str, slot) -> QToolButton:
        button = QToolButton()
        button.setProperty("look", "flat")
        button.setToolTip(text)
        button.setAccessibleName(text)
        button.setIconSize(QSize(18, 18))
        self._services.theme.bind_icon(button, icon, "text", 18)
        button.clicked.connect(slot)
        return button

    @Slot()
    def show_morph(self) -> None:
        """Show another morph, or how it has come on; hidden while there is none."""
        morph = self.edits.morph
        self.setVisible(morph is not None)
        if morph is None:
            self._set_playing(False)
            self.strip.set_items([])
            return
        self.title.setText(f"{sample_words(morph.first.latent)} → {sample_words(morph.second.latent)}")
        with QSignalBlocker(self.steps):
            self.steps.setValue(morph.steps)
        if len(self.strip.items) > len(morph.frames) or not morph.frames:
            self._frame, self._step = 0, 1
            self.strip.set_items([])
            self.view.show_pixels(morph.first.pixels)
        self.export.setEnabled(morph.complete)

    @Slot(int)
    def _on_frame(self, index: int) -> None:
        morph = self.edits.morph
        if morph is not None:
            self.strip.append(Thumbnail(to_qimage(morph.frames[index].pixels), hint=f"{index + 1} / {morph.steps}"))

    @Slot()
    def _on_strip(self) -> None:
        rows, morph = self.strip.selected_rows(), self.edits.morph
        if rows and morph is not None and rows[0] < len(morph.frames):
            self._frame = rows[0]
            self.view.show_pixels(morph.frames[self._frame].pixels)

    def _on_play(self, playing: bool) -> None:
        self._set_playing(playing)

    def _set_playing(self, playing: bool) -> None:
        self.play.setChecked(playing)
        self._services.theme.bind_icon(self.play, "pause" if playing else "play", "text", 18)
        text = self.tr("Pause") if playing else self.tr("Play")
        self.play.setToolTip(text)
        self.play.setAccessibleName(text)
        if playing:
            self._clock.start()
        else:
            self._clock.stop()

    def hideEvent(self, event) -> None:
        # Nobody sees it move: no timer runs for it.
        self._set_playing(False)
        super().hideEvent(event)

    @Slot()
    def _on_tick(self) -> None:
        morph = self.edits.morph
        if morph is None or len(morph.frames) < 2:
            return
        if not 0 <= self._frame + self._step < len(morph.frames):
            self._step = -self._step
        self._frame += self._step
        # A frame may be gone since: the morph was made anew with fewer pictures.
        self._frame = min(max(0, self._frame), len(morph.frames) - 1)
        self.strip.select_row(self._frame)

    def _on_grid(self) -> None:
        morph = self.edits.morph
        if morph is not None and morph.frames:
            self.edits.show_samples(self.title.text(), morph.frames)

    @Slot()
    def fill_menu(self) -> None:
        """List the formats; MP4 needs a program that may be missing."""
        self.menu.clear()
        for suffix, name in FORMATS.items():
            missing = suffix == ".mp4" and shutil.which("ffmpeg") is None
            text = self.tr("{name} (needs the program ffmpeg)") if missing else self.tr("{name}…")
            action = self.menu.addAction(text.format(name=name))
            action.setEnabled(not missing)
            action.triggered.connect(partial(self.save_as, suffix))

    def save_as(self, suffix: str) -> None:
        """Ask where, and save the morph in this format."""
        morph = self.edits.morph
        if morph is None or not morph.complete:
            return
        name = f"{file_stem(morph.first.latent)}-morph{suffix}"
        filters = f"{FORMATS[suffix]} (*{suffix})"
        path = ask_save(self, self._services.settings, self.tr("Export the morph"), name, filters)
        if path is not None:
            self.controller.export.save_animation(morph.frames, path, FRAME_MILLISECONDS / 1000, there_and_back=True)
