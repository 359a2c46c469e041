"""The work for one side of the Compress page: the newest wish wins, and large photos wait for the slider to rest."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from gui.services.gui_thread import GuiThread

if TYPE_CHECKING:
    from engine.image import Picture
    from engine.progress import Progress
    from gui.controllers.compress_settings import Crop
    from gui.controllers.compress_work import Part, Result, Wish, Worker
    from gui.services.context import Services

# Above this many pixels an encode takes seconds: it starts when the slider rests, not while it moves.
LARGE_PIXELS = 4_000_000
REST_MILLISECONDS = 350
# Encodes shorter than this are left to finish while the slider is held, so that the picture follows the drag.
WORTH_FINISHING_SECONDS = 3.0


def is_large(picture: Picture) -> bool:
    """Whether a photo takes seconds to compress."""
    return picture.width * picture.height > LARGE_PIXELS


class CompressLane(QObject):
    """Has one file after the other made by the engine.

    Attributes:
        visible: says which part of the prepared picture is in view, or None; asked when the work begins.

    Signals:
        part_made(Part): what is in view of a large photo; the whole follows.
        started(): the engine begins with a file.
        made(Result, bool): a file is finished, and whether it is the one wanted last.
        failed(Exception): the file wanted last cannot be made.
        progressed(Progress): how far the running work has come.
    """

    started = Signal()
    part_made = Signal(object)
    made = Signal(object, bool)
    failed = Signal(object)
    progressed = Signal(object)

    def __init__(self, worker: Worker, services: Services, parent: QObject) -> None:
        super().__init__(parent)
        self.visible: Callable[[], Crop | None] = lambda: None
        self._worker = worker
        self._live = services.host.live(self)
        self._gui = GuiThread(self)
        self._run = 0  # number of the newest piece of work; reports of older ones are dropped
        self._running = False
        self._held = False
        self._waiting: tuple[Picture, Wish] | None = None  # for the running work to end, or for the slider to rest
        self._started = 0.0
        self._last_duration = float("inf")
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(REST_MILLISECONDS)
        self._rest.timeout.connect(self._on_rest)
        self._live.result.connect(self._on_done)
        self._live.failed.connect(self._on_failed)

    @property
    def running(self) -> bool:
        """Whether the engine works for this side."""
        return self._running

    def request(self, picture: Picture, wish: Wish, at_once: bool = False) -> None:
        """Have a file made of a prepared picture; `at_once` does not wait for the slider to rest."""
        if is_large(picture) and not at_once:
            self._waiting = picture, wish
            self._rest.start()
        elif self._running and self._held and self._last_duration < WORTH_FINISHING_SECONDS:
            self._waiting = picture, wish
        else:
            self._start(picture, wish)

    def set_held(self, held: bool) -> None:
        """A slider is held, or was let go: then what waits begins."""
        self._held = held
        if not held and self._waiting is not None:
            self._start(*self._waiting)

    def forget(self) -> None:
        """Whatever is under way is no longer wanted."""
        self._rest.stop()
        self._run += 1
        self._running, self._waiting = False, None
        self._live.cancel()

    def forget_pace(self) -> None:
        """How long the last file took says nothing about the next: it is of another photo."""
        self._last_duration = float("inf")

    @Slot()
    def _on_rest(self) -> None:
        if self._held:
            self._rest.start()
        elif self._waiting is not None:
            self._start(*self._waiting)

    def _start(self, picture: Picture, wish: Wish) -> None:
        self._rest.stop()
        self._run += 1
        self._running, self._waiting = True, None
        self._started = time.perf_counter()
        self.started.emit()
        report = partial(self._report, self._run)
        # Only where a quality is given does a part say what the whole will be like: a target is of the whole.
        visible = self.visible() if is_large(picture) and wish.settings.by_quality else None
        if visible is None:
            self._live.request(partial(self._worker.compress, picture, wish, report))
        else:
            show = partial(self._show_part, self._run)
            self._live.request(partial(self._worker.compress_part_first, picture, wish, visible, show, report))

    def _report(self, run: int, progress: Progress) -> None:
        """Called on the engine thread."""
        self._gui.post(partial(self._on_progress, run, progress))

    def _show_part(self, run: int, part: Part) -> None:
        """Called on the engine thread."""
        self._gui.post(partial(self._on_part, run, part))

    def _on_part(self, run: int, part: Part) -> None:
        if run == self._run and self._running:
            self.part_made.emit(part)

    def _on_progress(self, run: int, progress: Progress) -> None:
        if run == self._run and self._running:
            self.progressed.emit(progress)

    @Slot(object, int)
    def _on_done(self, result: Result, _stamp: int) -> None:
        self._running = False
        self._last_duration = time.perf_counter() - self._started
        waiting = self._waiting
        if waiting is not None and not self._rest.isActive():
            self._start(*waiting)
        self.made.emit(result, waiting is None)

    @Slot(object, int)
    def _on_failed(self, error: Exception, _stamp: int) -> None:
        self._running = False
        if self._waiting is None:
            self.failed.emit(error)
        elif not self._rest.isActive():
            self._start(*self._waiting)
