"""One side of the Compress page: how its file is made, its figures, and what can be done with it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from engine.compression.settings import EFFORT_PASSES, EFFORTS, Target
from gui.controllers.compress_controller import CompressController, CompressState
from gui.controllers.compress_settings import (
    CODEC_NAMES,
    LEFT,
    ORIGINAL,
    OURS,
    USUAL_QUALITY,
    SideSettings,
)
from gui.controllers.compress_work import Part, Result
from gui.controllers.rate_curves import RateCurves
from gui.controllers.wording import bytes_exact, bytes_short, decibels, percent, seconds, size_in_pixels
from gui.widgets.figure_table import FigureTable
from gui.widgets.labeled_slider import LabeledSlider
from gui.widgets.wait_bar import WaitBar

if TYPE_CHECKING:
    from engine.progress import Progress
    from gui.services.context import Services

SIZE, SHARE, BPP, PSNR, MS_SSIM, VISIBLE, ENCODE, DECODE, MADE = (
    "File size", "Of the original", "Bits per pixel", "PSNR", "MS-SSIM", "SSIMULACRA2", "Encoding took",
    "Decoding took", "Made with",
)  # fmt: skip
FIGURES = {
    SIZE: "Exact size of the compressed file; Save writes these very bytes",
    SHARE: "Share of the size of the file that was opened",
    BPP: "Size of the compressed file in bits, divided by the number of pixels",
    PSNR: "Peak signal-to-noise ratio between original and result, in decibels: higher is closer",
    MS_SSIM: "Multi-scale structural similarity between original and result: 1 is identical",
    VISIBLE: (
        "How little of the damage people see, measured after the other figures: "
        "90 looks the same, 70 is high quality, 50 medium, 30 low; it can be below 0"
    ),
    ENCODE: "Seconds from pixels to file, the search for a target included",
    DECODE: "Seconds from file to pixels",
    MADE: "The codec or model that made the file, and the quality on its own scale",
}

QUALITY, SAME, LOSSLESS = "quality", "same", "lossless"
MODES = {
    QUALITY: "By quality",
    "size": "To a file size",
    "bpp": "To bits per pixel",
    "psnr": "To a PSNR",
    "ms-ssim": "To an MS-SSIM",
    SAME: "Same size as the other side",
    LOSSLESS: "Lossless",
}
# Of a target: lowest and highest value, decimals, unit, step, and what one unit is in those of `Target`.
FIELDS = {
    "size": (0.1, 2_000_000.0, 1, " kB", 10.0, 1000.0),
    "bpp": (0.01, 24.0, 3, " bpp", 0.05, 1.0),
    "psnr": (10.0, 70.0, 2, " dB", 0.5, 1.0),
    "ms-ssim": (0.5, 1.0, 4, "", 0.002, 1.0),
}
STARTING_TARGETS = {"size": 200.0, "bpp": 0.5, "psnr": 35.0, "ms-ssim": 0.98}
OUR_EFFORTS = ("Fast", "A little smaller, slow", "Smaller, slower", "Smallest, slowest")
LOSSLESS_CODECS, SUBSAMPLED_CODECS = ("webp", "jxl"), ("jpeg", "avif")


class CompressSide(QWidget):
    """Shows one side of a `CompressController` and forwards what the user changes.

    Signals:
        save_wished(): save the file of this side.
        export_wished(): save its decoded picture.
    """

    save_wished = Signal()
    export_wished = Signal()

    def __init__(
        self,
        controller: CompressController,
        side: str,
        curves: RateCurves,
        services: Services,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.controller, self.side = controller, side
        self._curves = curves
        self._services = services
        self._letter = "A" if side == LEFT else "B"
        self._codec = ""  # whose settings the boxes offer now
        self._make_settings()
        self._make_result()
        self._lay_out()
        controller.changed.connect(self.show_state)
        controller.progressed.connect(self._on_progressed)
        services.host.state_changed.connect(self._on_engine_changed)
        self.show_state(controller.state)

    # -- making

    def _make_settings(self) -> None:
        controller, side, letter = self.controller, self.side, self._letter
        self.model_box = QComboBox()
        self.model_box.setAccessibleName(f"Codec model of side {letter}")
        self.model_box.setToolTip("The learned codec that makes the file")
        self.model_box.activated.connect(self._on_model_chosen)
        self.mode_box = QComboBox()
        self.mode_box.setAccessibleName(f"How side {letter} is made")
        self.mode_box.setToolTip("What decides how much is left out: a quality, or something to reach")
        self.mode_box.activated.connect(self._on_mode_chosen)
        self.quality = LabeledSlider("Quality", 0.0, 100.0, USUAL_QUALITY[OURS], decimals=0)
        self.quality.value_changed.connect(self._on_quality)
        self.quality.slider_released.connect(partial(controller.set_dragging, False))
        self.target = QDoubleSpinBox()
        self.target.setAccessibleName(f"Target of side {letter}")
        self.target.setKeyboardTracking(False)
        self.target.setProperty("look", "number")
        self.target.setAlignment(Qt.AlignmentFlag.AlignRight)
        self.target.valueChanged.connect(self._on_target)
        self.effort_box = QComboBox()
        self.effort_box.setAccessibleName(f"Effort of side {letter}")
        self.effort_box.activated.connect(self._on_effort_chosen)
        self.colour_box = QComboBox()
        self.colour_box.setAccessibleName(f"Colour resolution of side {letter}")
        self.colour_box.setToolTip("Colour at half the resolution is smaller and rarely seen; text and reds need full")
        for value, text in (("4:2:0", "Half (4:2:0)"), ("4:4:4", "Full (4:4:4)")):
            self.colour_box.addItem(text, value)
        self.colour_box.activated.connect(self._on_colour_chosen)
        self.copy_button = QPushButton(f"Copy to side {'B' if side == LEFT else 'A'}")
        self.copy_button.setToolTip("Give the other side the same settings; Ctrl+Z takes it back")
        self.copy_button.clicked.connect(partial(controller.copy_to_other, side))

    def _make_result(self) -> None:
        letter = self._letter
        self.figures = FigureTable(FIGURES)
        self.status = QLabel()
        self.status.setWordWrap(True)
        self.status.setProperty("look", "caption")
        self.wait = WaitBar(f"compression of side {letter}")
        self.wait.cancelled.connect(partial(self.controller.cancel, self.side))
        self.again_button = QPushButton("Compress now")
        self.again_button.setAccessibleName(f"Compress side {letter} now")
        self.again_button.clicked.connect(partial(self.controller.compress_now, self.side))
        self.save_button = QPushButton("Save…")
        self.save_button.setAccessibleName(f"Save the file of side {letter}")
        self.save_button.setProperty("look", "primary" if self.side != LEFT else "")
        self.save_button.clicked.connect(self.save_wished)
        self.export_button = QPushButton("Export picture…")
        self.export_button.setAccessibleName(f"Export the decoded picture of side {letter}")
        self.export_button.setToolTip("Save the decoded picture as PNG, JPEG, WebP or AVIF")
        self.export_button.clicked.connect(self.export_wished)

    def _lay_out(self) -> None:
        grid = QGridLayout()
        grid.setHorizontalSpacing(12)
        grid.setVerticalSpacing(8)
        grid.setColumnStretch(1, 1)
        self._rows: dict[QWidget, QLabel] = {}
        rows = (("Model", self.model_box), ("Made", self.mode_box), ("Target", self.target),
                ("Effort", self.effort_box), ("Colour", self.colour_box))  # fmt: skip
        for row, (text, control) in enumerate(rows):
            label = QLabel(text)
            label.setProperty("look", "muted")
            label.setBuddy(control)
            grid.addWidget(label, row, 0)
            grid.addWidget(control, row, 1)
            self._rows[control] = label
        buttons = QHBoxLayout()
        buttons.addWidget(self.save_button, 1)
        buttons.addWidget(self.export_button, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(12)
        layout.addLayout(grid)
        for widget in (self.quality, self.figures, self.status, self.wait, self.again_button):
            layout.addWidget(widget)
        layout.addLayout(buttons)
        layout.addWidget(self.copy_button)

    # -- showing

    @Slot(object)
    def show_state(self, state: CompressState) -> None:
        """Show settings, figures and what is under way."""
        settings, found = state.settings.side(self.side), state.side(self.side)
        if settings.codec == ORIGINAL:
            self.wait.set_busy(False)
            return
        self._show_settings(state, settings)
        self._show_figures(state)
        self.status.setText(self._status_text(state))
        self.again_button.setVisible(found.stopped and not found.busy and state.picture is not None)
        self.wait.set_busy(found.busy)
        for button in (self.save_button, self.export_button):
            button.setEnabled(state.saveable(self.side))

    def _show_settings(self, state: CompressState, settings: SideSettings) -> None:
        known = tuple(self.model_box.itemData(index) for index in range(self.model_box.count()))
        if known != state.models:
            self.model_box.clear()
            for name in state.models:
                self.model_box.addItem(name, name)
        self.model_box.setCurrentIndex(self.model_box.findData(settings.model_name))
        if settings.codec != self._codec:
            self._offer(settings.codec)
        mode = _mode(settings)
        self.mode_box.setCurrentIndex(self.mode_box.findData(mode))
        self.effort_box.setCurrentIndex(max(0, self.effort_box.findData(settings.effort)))
        self.colour_box.setCurrentIndex(self.colour_box.findData(settings.subsampling))
        self.quality.set_value(settings.quality, emit=False)
        self.quality.setVisible(mode == QUALITY and settings.codec != "png")
        self._show_row(self.model_box, settings.codec == OURS)
        self._show_row(self.mode_box, settings.codec != "png")
        self._show_row(self.colour_box, settings.codec in SUBSAMPLED_CODECS)
        self._show_row(self.target, settings.target is not None)
        if settings.target is not None:
            self._show_target(settings.target)

    def _show_row(self, control: QWidget, visible: bool) -> None:
        control.setVisible(visible)
        self._rows[control].setVisible(visible)

    def _offer(self, codec: str) -> None:
        """Fill the boxes with what a codec has to offer."""
        self._codec = codec
        self.mode_box.clear()
        for mode, text in MODES.items():
            if mode != LOSSLESS or codec in LOSSLESS_CODECS:
                self.mode_box.addItem(text, mode)
        self.effort_box.clear()
        if codec == OURS:
            for effort in range(len(EFFORT_PASSES)):
                self.effort_box.addItem(OUR_EFFORTS[effort], effort or None)
            self.effort_box.setToolTip(
                "Refining what is coded makes files about 3 to 5 % smaller at the same quality, and takes 40 to 300 "
                "times as long; decoding stays as fast"
            )
            return
        efforts = EFFORTS[codec]
        self.effort_box.addItem("As usual", None)
        for effort in range(efforts.low, efforts.high + 1):
            self.effort_box.addItem(f"{effort} of {efforts.high}", effort)
        self.effort_box.setToolTip(f"More takes longer and makes smaller files ({efforts.meaning})")

    def _show_target(self, target: Target) -> None:
        low, high, decimals, unit, step, scale = FIELDS[target.kind]
        self.target.blockSignals(True)
        self.target.setDecimals(decimals)
        self.target.setRange(low, high)
        self.target.setSingleStep(step)
        self.target.setSuffix(unit)
        self.target.setValue(target.value / scale)
        self.target.setAccessibleName(f"{MODES[target.kind]}, side {self._letter}")
        self.target.blockSignals(False)

    def _show_figures(self, state: CompressState) -> None:
        found = state.side(self.side)
        result, source = found.result, state.source
        if result is None or source is None:
            self.figures.set_values({})
        else:
            encoded = result.encoded
            self.figures.set_values(
                {
                    SIZE: bytes_exact(result.size),
                    SHARE: percent(result.size, source.stored_bytes) if source.stored_bytes else "",
                    BPP: f"{encoded.bits_per_pixel:.3f}",
                    PSNR: decibels(encoded.psnr),
                    MS_SSIM: f"{encoded.ms_ssim:.4f}",
                    VISIBLE: _visible(state, result, found.current),
                    ENCODE: seconds(encoded.seconds_encode),
                    DECODE: seconds(encoded.seconds_decode),
                    MADE: made_with(result),
                }
            )
        self.figures.set_stale(not found.current)

    def _status_text(self, state: CompressState, doing: str = "") -> str:
        found = state.side(self.side)
        result = found.result
        if found.busy:
            if self._services.host.state == "loading":
                return "Waiting for the engine to load…"
            if found.wish is None:
                return "Waiting for the size of the other side…"
            doing = f"{doing.rstrip('.…')}…" if doing else "Compressing…" if result is None else "Updating…"
            parts = [doing, self._estimate(state) if found.part is None else _part_text(found.part)]
            parts += [f"The figures above are of {made_with(result)}."] if result is not None else []
            return " ".join(filter(None, parts))
        if result is None:
            return "Not compressed yet." if state.picture is not None else "Open, drop or paste a photo."
        if found.stopped:
            return f"Stopped. Picture and figures are of {made_with(result)}."
        parts = [result.encoded.note] if result.encoded.note else []
        judgement = state.judgement_of(result)
        if judgement is not None and judgement.lossless is not None:
            parts.append(judgement.lossless.sentence)
        if not parts:
            parts.append("Exact figures of the whole picture and file on show.")
        if state.large:
            parts.append("A large photo is compressed again when the slider rests.")
        return " ".join(parts)

    def _estimate(self, state: CompressState) -> str:
        """What the file will be about, as far as files of other qualities tell; "" else."""
        picture = state.picture
        if picture is None or self._curves.excerpt:
            return ""
        found = self._curves.estimate(state.settings.side(self.side), picture.width * picture.height)
        return "" if found is None else f"Estimate: about {bytes_short(found.size)} and {decibels(found.psnr)}."

    @Slot(str, object)
    def _on_progressed(self, side: str, progress: Progress) -> None:
        if side == self.side:
            self.wait.show_progress(progress)
            self.status.setText(self._status_text(self.controller.state, progress.message))

    @Slot()
    def _on_engine_changed(self) -> None:
        self.show_state(self.controller.state)

    # -- what the user does

    @Slot(float)
    def _on_quality(self, quality: float) -> None:
        self.controller.set_dragging(self.quality.dragging)
        self.controller.set_quality(quality, self.side, gesture=f"quality of {self.side}")

    @Slot(int)
    def _on_model_chosen(self, index: int) -> None:
        self.controller.set_model(self.side, self.model_box.itemData(index))

    @Slot(int)
    def _on_mode_chosen(self, index: int) -> None:
        mode = self.mode_box.itemData(index)
        if mode == SAME:
            self.controller.set_same_size(self.side, True)
        elif mode in FIELDS:
            self.controller.set_target(self.side, self._starting_target(mode))
        else:
            self.controller.change_side(self.side, target=None, same_size=False, lossless=mode == LOSSLESS)

    def _starting_target(self, mode: str) -> Target:
        """What the file on show reaches, rounded, so that the choice alone changes little."""
        scale, decimals = FIELDS[mode][5], FIELDS[mode][2]
        value = STARTING_TARGETS[mode]
        result = self.controller.state.side(self.side).result
        if result is not None:
            encoded = result.encoded
            found = {"size": result.size / scale, "bpp": encoded.bits_per_pixel, "psnr": encoded.psnr,
                     "ms-ssim": encoded.ms_ssim}[mode]  # fmt: skip
            low, high = FIELDS[mode][:2]
            value = round(min(high, max(low, found)), decimals)
        return Target(mode, value * scale)  # type: ignore[arg-type]

    @Slot(float)
    def _on_target(self, value: float) -> None:
        target = self.controller.state.settings.side(self.side).target
        if target is not None:
            scale = FIELDS[target.kind][5]
            self.controller.change_side(self.side, target=Target(target.kind, value * scale))

    @Slot(int)
    def _on_effort_chosen(self, index: int) -> None:
        self.controller.change_side(self.side, effort=self.effort_box.itemData(index))

    @Slot(int)
    def _on_colour_chosen(self, index: int) -> None:
        self.controller.change_side(self.side, subsampling=self.colour_box.itemData(index))


def made_with(result: Result) -> str:
    """Codec or model and quality of a result, in words."""
    settings = result.wish.settings
    name = settings.model_name if settings.codec == OURS else CODEC_NAMES[settings.codec]
    return f"{name}, lossless" if settings.exact else f"{name}, quality {result.encoded.quality:g}"


def side_label(state: CompressState, side: str) -> str:
    """What the corner of the view says of a side."""
    settings, found = state.settings.side(side), state.side(side)
    if not settings.makes_file:
        size = state.source.stored_bytes if state.source is not None else None
        return f"Original, {bytes_short(size)}" if size else "Original"
    result = found.result
    if found.part is not None:
        return f"{CODEC_NAMES[settings.codec]}, visible part · the whole follows…"
    if result is None:
        return CODEC_NAMES[settings.codec]
    label = f"{CODEC_NAMES[result.wish.settings.codec]}, {bytes_short(result.size)}"
    return f"{label} · updating…" if found.busy else label


def _part_text(part: Part) -> str:
    """The figures of the visible part of a large photo, which are not those of the whole."""
    encoded = part.encoded
    size = f"{size_in_pixels(part.box.width, part.box.height)} pixels"
    return (
        f"Visible part only, {size}: {encoded.bits_per_pixel:.3f} bits per pixel, {decibels(encoded.psnr)}. "
        "The whole photo follows."
    )


def _mode(settings: SideSettings) -> str:
    if settings.same_size:
        return SAME
    if settings.target is not None:
        return settings.target.kind
    return LOSSLESS if settings.lossless and settings.codec in LOSSLESS_CODECS else QUALITY


def _visible(state: CompressState, result: Result, current: bool) -> str:
    """SSIMULACRA2 of exactly this result; a dash where it is not defined or was not measured in time."""
    judgement = state.judgement_of(result)
    if judgement is None:
        return "measuring…" if current else ""
    return "" if judgement.ssimulacra2 is None else f"{judgement.ssimulacra2:.1f}"
