"""What the Segment page knows and does: one picture, the classes a model finds in it, how the overlay is shown."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal, Slot

from engine.progress import CancelToken, Progress, ProgressCallback
from gui.services.gui_thread import GuiThread

if TYPE_CHECKING:
    from engine.image import Picture
    from engine.models.card import ModelCard
    from engine.segmentation import ClassArea, Segmentation
    from gui.services.context import Services
    from gui.services.jobs import Job

PAGE = "segment"
FAMILY = "dilated-segmenter"
# Up to this many pixels a segmentation takes about a second: it runs by itself as soon as a picture is open.
AUTOMATIC_PIXELS = 1_000_000
# Classes that mean "nothing of interest" start hidden, so that the overlay does not darken the whole picture.
UNREMARKABLE = frozenset({"background", "void", "unlabelled", "unlabeled"})


@dataclass(frozen=True)
class SegmentState:
    """Everything the page shows.

    Attributes:
        title: file name of what is open.
        picture: the picture on show.
        models: cards of the segmentation models at hand.
        model: registry name of the chosen one; "" while none is known.
        segmentation: classes of `picture` by `segmented_by`, or None.
        areas: pixels, percent and regions per class, in class order.
        segmented_by: the model that made `segmentation`.
        opacity: of the overlay, 0..1.
        contours: outlines in place of filled areas.
        hidden: class numbers the user switched off.
        isolated: the only class to show, or None for all that are not hidden.
        opening: name of the file being opened, or "".
        busy: a segmentation is under way.
    """

    title: str = ""
    picture: Picture | None = None
    models: tuple[ModelCard, ...] = ()
    model: str = ""
    segmentation: Segmentation | None = None
    areas: tuple[ClassArea, ...] = ()
    segmented_by: str = ""
    opacity: float = 0.5
    contours: bool = False
    hidden: frozenset[int] = frozenset()
    isolated: int | None = None
    opening: str = ""
    busy: bool = False

    @property
    def invisible(self) -> frozenset[int]:
        """Class numbers that the overlay leaves out."""
        if self.isolated is None:
            return self.hidden
        return frozenset(range(len(self.areas))) - {self.isolated}

    @property
    def automatic(self) -> bool:
        """True for pictures small enough to be segmented without being asked."""
        return self.picture is not None and self.picture.width * self.picture.height <= AUTOMATIC_PIXELS


@dataclass(frozen=True)
class _Found:
    """What the engine brings back."""

    picture: Picture
    model: str
    segmentation: Segmentation
    areas: tuple[ClassArea, ...]


class SegmentController(QObject):
    """State and verbs of the Segment page.

    Signals:
        changed(SegmentState): something on show differs now.
        opened(): another picture is on show; views fit it.
        progressed(Progress): how far the running segmentation has come.
    """

    changed = Signal(object)
    opened = Signal()
    progressed = Signal(object)

    def __init__(self, services: Services, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._services = services
        self._state = _remembered(services.settings.page(PAGE))
        self._gui = GuiThread(self)
        self._opens = 0  # number of the newest wish to open something; what older ones bring is dropped
        self._runs = 0
        self._live = services.host.live(self)
        self._live.result.connect(self._on_segmented)
        self._live.failed.connect(self._on_segment_failed)
        self._job: Job | None = None

    @property
    def state(self) -> SegmentState:
        """What is on show now."""
        return self._state

    def load_models(self) -> None:
        """Ask for the models at hand; they appear in `state.models`."""
        task = self._services.host.run(_cards)
        task.succeeded.connect(self._on_models)
        task.failed.connect(self._on_models_failed)

    def open_path(self, path: Path) -> None:
        """Open a picture; what is on show stays until it is read."""
        self._opens += 1
        self._set(opening=path.name)
        task = self._services.host.run(partial(_read, path), engine=False)
        task.succeeded.connect(partial(self._on_read, self._opens))
        task.failed.connect(partial(self._on_read_failed, self._opens))

    def open_picture(self, picture: Picture) -> None:
        """Show `picture`, for example one from the clipboard."""
        self._opens += 1
        self._stop()
        self._set(
            opening="",
            title=picture.name or "Pasted picture",
            picture=picture,
            segmentation=None,
            areas=(),
            segmented_by="",
            isolated=None,
        )
        self.opened.emit()
        self._run_if_small()

    def set_model(self, name: str) -> None:
        """Choose the model; a small picture is segmented again at once."""
        if name == self._state.model:
            return
        self._stop()
        self._set(model=name, hidden=self._unremarkable(name), isolated=None)
        self._services.settings.set_page(PAGE, model=name)
        self._run_if_small()

    def set_opacity(self, opacity: float) -> None:
        """Opacity of the overlay, 0..1."""
        self._set(opacity=min(1.0, max(0.0, opacity)))
        self._services.settings.set_page(PAGE, opacity=self._state.opacity)

    def set_contours(self, contours: bool) -> None:
        """Outlines in place of filled areas."""
        self._set(contours=contours)
        self._services.settings.set_page(PAGE, contours=contours)

    def toggle_isolated(self, number: int) -> None:
        """Show only class `number`; once more shows the others again."""
        self._set(isolated=None if self._state.isolated == number else number)

    def toggle_hidden(self, number: int) -> None:
        """Hide class `number`, or show it again."""
        self._set(hidden=self._state.hidden ^ {number}, isolated=None)

    def run(self) -> None:
        """Segment the picture on show: a large one as a job, a small one at once."""
        state = self._state
        if state.picture is None or not state.model or state.busy:
            return
        self._runs += 1
        if state.automatic:
            self._live.request(partial(_segment_live, state.picture, state.model, partial(self._report, self._runs)))
        else:
            job = self._services.jobs.submit(f"Segment {state.title}", partial(_segment, state.picture, state.model))
            job.changed.connect(self._on_job_changed)
            job.finished.connect(self._on_job_finished)
            job.failed.connect(self._on_job_failed)
            job.cancelled.connect(self._on_job_cancelled)
            self._job = job
        self._set(busy=True)

    def cancel(self) -> None:
        """Stop the running segmentation; what is on show stays."""
        self._stop()

    def save_mask(self, path: Path) -> None:
        """Write a palette PNG whose index is the class number."""
        if self._state.segmentation is not None:
            self._save(path, partial(_write_mask, self._state.segmentation, path))

    def save_overlay(self, path: Path) -> None:
        """Write the picture with the overlay as it is shown."""
        if self._state.segmentation is not None:
            self._save(path, partial(_write_overlay, self._state, path))

    # -- opening

    def _on_read(self, number: int, picture: Picture) -> None:
        if number == self._opens:
            self.open_picture(picture)

    def _on_read_failed(self, number: int, error: Exception) -> None:
        if number == self._opens:
            name = self._state.opening
            self._set(opening="")
            self._services.notices.error(error, f"{name} cannot be opened")

    @Slot(object)
    def _on_models(self, cards: tuple[ModelCard, ...]) -> None:
        self._set(models=cards)
        names = [card.name for card in cards]
        if names and self._state.model not in names:
            remembered = self._services.settings.page(PAGE).get("model")
            self.set_model(remembered if remembered in names else names[0])

    @Slot(object)
    def _on_models_failed(self, error: Exception) -> None:
        self._services.notices.error(error, "The models cannot be listed")

    def _unremarkable(self, name: str) -> frozenset[int]:
        card = next((card for card in self._state.models if card.name == name), None)
        classes = () if card is None else card.classes
        quiet = frozenset(number for number, known in enumerate(classes) if known.name.lower() in UNREMARKABLE)
        return quiet if len(quiet) < len(classes) else frozenset()

    # -- segmenting

    def _run_if_small(self) -> None:
        if self._state.automatic and self._state.model:
            self.run()

    def _stop(self) -> None:
        self._runs += 1
        self._live.cancel()
        if self._job is not None:
            self._job.cancel()
            self._job = None
        if self._state.busy:
            self._set(busy=False)

    def _report(self, run: int, progress: Progress) -> None:
        """Called on the engine thread."""
        self._gui.post(partial(self._on_progress, run, progress))

    def _on_progress(self, run: int, progress: Progress) -> None:
        if run == self._runs and self._state.busy:
            self.progressed.emit(progress)

    @Slot(object, int)
    def _on_segmented(self, found: _Found, _stamp: int) -> None:
        self._show(found)

    @Slot(object, int)
    def _on_segment_failed(self, error: Exception, _stamp: int) -> None:
        self._set(busy=False)
        self._services.notices.error(error, "The picture cannot be segmented")

    @Slot()
    def _on_job_changed(self) -> None:
        job = self._job
        if job is not None and job is self.sender():
            self.progressed.emit(Progress(round(1000 * job.fraction), 1000, job.message))

    @Slot(object)
    def _on_job_finished(self, found: _Found) -> None:
        # A job that was cancelled too late brings a result for a picture that is no longer on show.
        if found.picture is self._state.picture and found.model == self._state.model:
            self._job = None
            self._show(found)

    @Slot(object)
    def _on_job_failed(self, error: Exception) -> None:
        if self.sender() is self._job:
            self._job = None
            self._set(busy=False)
        self._services.notices.error(error, "The picture cannot be segmented")

    @Slot()
    def _on_job_cancelled(self) -> None:
        if self.sender() is self._job:
            self._job = None
            self._set(busy=False)

    def _show(self, found: _Found) -> None:
        self._set(segmentation=found.segmentation, areas=found.areas, segmented_by=found.model, busy=False)

    # -- saving

    def _save(self, path: Path, write: Callable[[], object]) -> None:
        def saved() -> Path:
            write()
            return path

        task = self._services.host.run(saved)
        task.succeeded.connect(self._on_saved)
        task.failed.connect(self._on_save_failed)

    @Slot(object)
    def _on_saved(self, path: Path) -> None:
        self._services.notices.success(f"Saved {path.name} in {path.parent}.")

    @Slot(object)
    def _on_save_failed(self, error: Exception) -> None:
        self._services.notices.error(error, "The file cannot be saved")

    def _set(self, **changes: Any) -> None:
        self._state = dataclasses.replace(self._state, **changes)
        self.changed.emit(self._state)


def _remembered(stored: dict[str, Any]) -> SegmentState:
    """How the overlay was shown in the last session; what makes no sense is left at its default."""
    opacity, contours = stored.get("opacity"), stored.get("contours")
    valid = isinstance(opacity, int | float) and 0 <= opacity <= 1
    return SegmentState(
        opacity=float(opacity) if valid and opacity is not None else SegmentState.opacity,
        contours=contours if isinstance(contours, bool) else SegmentState.contours,
    )


def _cards() -> tuple[ModelCard, ...]:
    from engine.models.registry import list_models

    return tuple(list_models(FAMILY))


def _read(path: Path) -> Picture:
    from engine.image import open_picture

    return open_picture(path)


def _segment(picture: Picture, model: str, progress: ProgressCallback, cancel: CancelToken | None) -> _Found:
    from engine.segmentation import Segmenter

    segmentation = Segmenter.load(model).segment(picture, progress=progress, cancel=cancel)
    return _Found(picture, model, segmentation, tuple(segmentation.areas()))


def _segment_live(picture: Picture, model: str, report: Callable[[Progress], None], token: CancelToken) -> _Found:
    return _segment(picture, model, report, token)


def _write_mask(segmentation: Segmentation, path: Path) -> None:
    from engine.segmentation import save_mask

    save_mask(segmentation, path)


def _write_overlay(state: SegmentState, path: Path) -> None:
    from engine.image import Picture, save_picture
    from engine.segmentation import overlay

    if state.picture is None or state.segmentation is None:
        return
    pixels = overlay(
        state.picture, state.segmentation, opacity=state.opacity, hidden=state.invisible, contours=state.contours
    )
    save_picture(Picture(pixels), path)
