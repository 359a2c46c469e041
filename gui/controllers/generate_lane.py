"""Work of the Generate page of which only the newest counts, with its parts and its progress as they come."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from PySide6.QtCore import QObject, Signal, Slot

from engine.progress import CancelToken, Progress, ProgressCallback
from gui.services.context import Services
from gui.services.gui_thread import GuiThread
from gui.services.jobs import PROGRESS_INTERVAL

Work = Callable[[ProgressCallback, CancelToken], Any]


class GenerateLane(QObject):
    """Runs one call of the engine; a newer one replaces it, and nothing of the older arrives any more.

    Signals (all in the GUI thread):
        started(): the engine was asked.
        partial(object): a part of the result, none is lost.
        progressed(object): the `Progress`, a few times a second.
        done(object): what the call returned.
        failed(object): a `LatentStudioError`.
        ended(): done, failed or cancelled; not when a newer call replaces it.
    """

    started = Signal()
    partial = Signal(object)
    progressed = Signal(object)
    done = Signal(object)
    failed = Signal(object)
    ended = Signal()

    def __init__(self, services: Services, parent: QObject) -> None:
        super().__init__(parent)
        self._gui = GuiThread(self)
        self._live = services.host.live(self)
        self._live.result.connect(self._on_done)
        self._live.failed.connect(self._on_failed)
        self._run = 0  # number of the newest call; what older ones report is dropped
        self._began = 0.0

    @property
    def busy(self) -> bool:
        """True while the newest call has not ended."""
        return self._live.busy

    def remaining_seconds(self, progress: Progress) -> float | None:
        """Estimated time left, by the pace since the newest call was asked for; None while too little is known."""
        passed = time.monotonic() - self._began
        if passed < 1.0 or progress.fraction < 0.01:
            return None
        return passed * (1.0 - progress.fraction) / progress.fraction

    def request(self, work: Work) -> None:
        """Have `work(progress, cancel)` run; what runs now is cancelled."""
        self._run += 1
        self._began = time.monotonic()
        report = partial(self._report, self._run, [0.0])
        self._live.request(lambda cancel: work(partial(report, cancel), cancel))
        self.started.emit()

    def cancel(self) -> None:
        """Stop at once: nothing of it arrives any more."""
        if self.busy:
            self._run += 1
            self._live.cancel()
            self.ended.emit()

    def _report(self, run: int, last: list[float], cancel: CancelToken, progress: Progress) -> None:
        """Called in the engine's thread."""
        cancel.raise_if_cancelled()
        now = time.monotonic()
        if progress.partial is not None or now - last[0] >= PROGRESS_INTERVAL:
            last[0] = now
            self._gui.post(partial(self._on_report, run, progress))

    def _on_report(self, run: int, progress: Progress) -> None:
        if run == self._run:
            if progress.partial is not None:
                self.partial.emit(progress.partial)
            self.progressed.emit(progress)

    @Slot(object, int)
    def _on_done(self, value: object, _stamp: int) -> None:
        self.done.emit(value)
        if not self.busy:
            self.ended.emit()

    @Slot(object, int)
    def _on_failed(self, error: Exception, _stamp: int) -> None:
        self.failed.emit(error)
        if not self.busy:
            self.ended.emit()
