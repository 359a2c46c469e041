"""The inspector of the Compress page: the codec's settings, and the figures of what is on show."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QCheckBox, QComboBox, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from engine.compression.settings import DEFAULT_MODEL
from gui.controllers.compress_controller import (
    ORIGINAL,
    CompressController,
    CompressState,
    Order,
    Result,
    Rival,
)
from gui.controllers.wording import bytes_exact, bytes_short, decibels, percent, seconds, size_in_pixels
from gui.widgets.figure_table import FigureTable
from gui.widgets.labeled_slider import LabeledSlider
from gui.widgets.section import Section
from gui.widgets.wait_bar import WaitBar

if TYPE_CHECKING:
    from engine.progress import Progress
    from gui.services.context import Services

SIZE, SHARE, BPP, PSNR, MS_SSIM, VISIBLE, ENCODE, DECODE, MODEL = (
    "File size", "Of the original", "Bits per pixel", "PSNR", "MS-SSIM", "SSIMULACRA2", "Encoding took",
    "Decoding took", "Model",
)  # fmt: skip
RESULT_FIGURES = {
    SIZE: "Exact size of the compressed file; Save writes these very bytes",
    SHARE: "Share of the size of the file that was opened",
    BPP: "Size of the compressed file in bits, divided by the number of pixels",
    PSNR: "Peak signal-to-noise ratio between original and result, in decibels: higher is closer",
    MS_SSIM: "Multi-scale structural similarity between original and result: 1 is identical",
    VISIBLE: (
        "How little of the damage people see, measured after the other figures: "
        "90 looks the same, 70 is high quality, 50 medium, 30 low; it can be below 0"
    ),
    ENCODE: "Seconds from pixels to file",
    DECODE: "Seconds from file to pixels",
    MODEL: "The codec model that made the file",
}
HEADER_FIGURES = {
    SIZE: "Exact size of the compressed file",
    "Picture": "Width and height in pixels",
    BPP: RESULT_FIGURES[BPP],
    "Quality": "The setting the file was made with, 0 to 100",
    MODEL: "The codec model that made the file",
    "Model hash": "First digits of the hash of the model's weights",
    "Tiles": "Pieces that are coded on their own",
    "Sections": "What the file holds, with sizes",
}
RIVAL_FIGURES = {name: RESULT_FIGURES[name] for name in (SIZE, PSNR, MS_SSIM, VISIBLE)} | {
    SIZE: "Exact size of the rival's file"
}


class CompressInspector(QWidget):
    """Shows the settings and figures of a `CompressController` and forwards what the user changes.

    Signals:
        save_wished(): save the compressed file.
        export_wished(): export the decoded picture.
    """

    save_wished = Signal()
    export_wished = Signal()

    def __init__(self, controller: CompressController, services: Services, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.controller = controller
        self._services = services
        self._make_codec()
        self._make_result()
        self._make_saving()
        self._lay_out()
        controller.changed.connect(self._show_state)
        controller.progressed.connect(self._on_progressed)
        services.host.state_changed.connect(self._on_engine_changed)
        self._show_state(controller.state)

    # -- making

    def _make_codec(self) -> None:
        controller = self.controller
        self.model_box = QComboBox()
        self.model_box.setAccessibleName("Codec model")
        self.model_box.setToolTip("The learned codec that makes the file")
        self.model_box.currentIndexChanged.connect(self._on_model_chosen)
        self.quality = LabeledSlider("Quality", 0.0, 100.0, Order.quality, decimals=0)
        self.quality.set_value(controller.state.order.quality, emit=False)
        self.quality.value_changed.connect(self._on_quality)
        self.quality.slider_released.connect(partial(controller.set_dragging, False))
        self.metadata = QCheckBox("Keep metadata")
        self.metadata.setChecked(controller.state.order.keep_metadata)
        self.metadata.setToolTip("Keep the photo's EXIF data, such as camera and date. The place is always left out.")
        self.metadata.toggled.connect(controller.set_keep_metadata)

    def _make_result(self) -> None:
        controller = self.controller
        self._status = QLabel()
        self._status.setWordWrap(True)
        self._status.setProperty("look", "caption")
        self.wait = WaitBar("compression")
        self.wait.cancelled.connect(controller.cancel)
        self.again_button = QPushButton("Compress now")
        self.again_button.clicked.connect(controller.encode_now)
        self.adopt_button = QPushButton("Compress again…")
        self.adopt_button.setToolTip("Take the decoded picture as a new original")
        self.adopt_button.clicked.connect(controller.adopt_decoded)
        self.figures = FigureTable(RESULT_FIGURES)
        self.header = FigureTable(HEADER_FIGURES)
        self.rival_figures = FigureTable(RIVAL_FIGURES)

    def _make_saving(self) -> None:
        self.save_button = QPushButton("Save .lsi…")
        self.save_button.setProperty("look", "primary")
        self.save_button.clicked.connect(self.save_wished)
        self.export_button = QPushButton("Export picture…")
        self.export_button.setToolTip("Save the decoded picture as PNG, JPEG, WebP or AVIF")
        self.export_button.clicked.connect(self.export_wished)

    def _lay_out(self) -> None:
        self._codec_section = Section("Codec")
        for widget in (self.model_box, self.quality, self.metadata):
            self._codec_section.add(widget)
        self._result_section = Section("Result")
        for widget in (self.figures, self._status, self.wait, self.again_button):
            self._result_section.add(widget)
        self._header_section = Section("Compressed file")
        for widget in (self.header, self.adopt_button):
            self._header_section.add(widget)
        self._rival_section = Section("Left side")
        self._rival_section.add(self.rival_figures)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(12)
        for section in (self._codec_section, self._result_section, self._header_section, self._rival_section):
            layout.addWidget(section)
        buttons = QHBoxLayout()
        buttons.addWidget(self.save_button, 1)
        buttons.addWidget(self.export_button, 1)
        layout.addLayout(buttons)
        layout.addStretch(1)

    # -- showing

    @Slot(object)
    def _show_state(self, state: CompressState) -> None:
        self._show_codec(state)
        self._show_result(state)
        self._show_header(state)
        self._show_rival(state)
        self._show_wait(state)
        for button in (self.save_button, self.export_button):
            button.setEnabled(state.saveable)

    def _show_codec(self, state: CompressState) -> None:
        editable = state.file is None
        known = tuple(self.model_box.itemData(index) for index in range(self.model_box.count()))
        self.model_box.blockSignals(True)
        if known != state.models:
            self.model_box.clear()
            for name in state.models:
                self.model_box.addItem(name, name)
        self.model_box.setCurrentIndex(self.model_box.findData(state.model))
        self.model_box.blockSignals(False)
        self.quality.set_value(state.order.quality, emit=False)
        self._codec_section.setVisible(editable)

    def _show_result(self, state: CompressState) -> None:
        self._result_section.setVisible(state.file is None)
        result, picture = state.result, state.picture
        if result is None or picture is None:
            self.figures.set_values({})
        else:
            encoded, size = result.encoded, len(result.encoded.data)
            self.figures.set_values(
                {
                    SIZE: bytes_exact(size),
                    SHARE: percent(size, picture.stored_bytes) if picture.stored_bytes else "",
                    BPP: f"{encoded.bits_per_pixel:.3f}",
                    PSNR: decibels(encoded.psnr),
                    MS_SSIM: f"{encoded.ms_ssim:.4f}",
                    VISIBLE: _visible(state, result),
                    ENCODE: seconds(encoded.seconds_encode),
                    DECODE: seconds(encoded.seconds_decode),
                    MODEL: result.order.model or DEFAULT_MODEL,
                }
            )
        self.figures.set_stale(not state.current)
        self._status.setText(self._status_text(state))

    def _status_text(self, state: CompressState, doing: str = "") -> str:
        if state.busy:
            if self._services.host.state == "loading":
                return "Waiting for the engine to load…"
            doing = f"{doing.rstrip('.…')}…" if doing else "Compressing…" if state.result is None else "Updating…"
            old = "" if state.result is None else f" The figures above are of quality {state.result.order.quality:.0f}."
            return doing + old
        if state.result is None:
            return "Not compressed yet." if state.picture is not None else "Open, drop or paste a photo."
        if state.stopped:
            return f"Stopped. Picture and figures are of quality {state.result.order.quality:.0f}."
        judgement = state.judgement_of(state.result)
        if judgement is not None and judgement.lossless is not None:
            return judgement.lossless.sentence
        text = "Exact figures of the whole picture and file on show."
        return text + " A large photo is compressed again when the slider rests." if state.large else text

    def _show_header(self, state: CompressState) -> None:
        file = state.file
        self._header_section.setVisible(file is not None)
        if file is None:
            return
        header = file.header
        self.header.set_values(
            {
                SIZE: bytes_exact(len(file.data)),
                "Picture": size_in_pixels(header.width, header.height),
                BPP: f"{header.bits_per_pixel:.3f}",
                "Quality": f"{header.quality:g}",
                MODEL: header.model_name,
                "Model hash": header.model_hash[:12],
                "Tiles": f"{header.tiles[0]} × {header.tiles[1]}",
                "Sections": "\n".join(f"{section.name}: {bytes_short(section.bytes)}" for section in header.sections),
            }
        )

    def _show_rival(self, state: CompressState) -> None:
        rival = state.rival if state.rival is not None and state.rival.codec == state.left_side else None
        self._rival_section.setVisible(state.file is None and state.left_side != ORIGINAL)
        if rival is None:
            self.rival_figures.set_values({})
        else:
            self.rival_figures.set_values(
                {
                    SIZE: bytes_exact(rival.size),
                    PSNR: decibels(rival.psnr),
                    MS_SSIM: f"{rival.ms_ssim:.4f}",
                    VISIBLE: _visible(state, rival),
                }
            )
        self.rival_figures.set_stale(not state.rival_current)

    def _show_wait(self, state: CompressState) -> None:
        self.again_button.setVisible(state.stopped and not state.busy and state.picture is not None)
        self.wait.set_busy(state.busy)

    @Slot(object)
    def _on_progressed(self, progress: Progress) -> None:
        self.wait.show_progress(progress)
        self._status.setText(self._status_text(self.controller.state, progress.message))

    @Slot()
    def _on_engine_changed(self) -> None:
        self._show_result(self.controller.state)

    # -- what the user does

    @Slot(float)
    def _on_quality(self, quality: float) -> None:
        self.controller.set_dragging(self.quality.dragging)
        self.controller.set_quality(quality)

    @Slot(int)
    def _on_model_chosen(self, index: int) -> None:
        self.controller.set_model(self.model_box.itemData(index))


def _visible(state: CompressState, subject: Result | Rival) -> str:
    """SSIMULACRA2 of exactly this result or rival; a dash where it is not defined or was not measured in time."""
    judgement = state.judgement_of(subject)
    if judgement is None:
        return "measuring…" if state.current else ""
    return "" if judgement.ssimulacra2 is None else f"{judgement.ssimulacra2:.1f}"
