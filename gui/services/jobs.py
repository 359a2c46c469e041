"""Long calls of the engine, one at a time, with progress, time left, cancel, and errors that do not stop the next."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from PySide6.QtCore import QObject, Signal

from engine.errors import Cancelled, LatentStudioError
from engine.progress import CancelToken, Progress, ProgressCallback
from gui.services.engine_host import EngineHost
from gui.services.failures import as_latent_error
from gui.services.gui_thread import GuiThread, assert_gui_thread
from gui.services.worker_thread import WorkerThread

JobFunction = Callable[[ProgressCallback, CancelToken], Any]
PROGRESS_INTERVAL = 0.05  # seconds between two progress events of one job; more would only load the window


class Job(QObject):
    """A running call of the engine.

    Attributes:
        title: what it does, for people.
        state: "waiting", "running", "done", "failed" or "cancelled".
        fraction: share done, 0..1. 0 while unknown.
        message: what is being done now.
        eta_seconds: estimated seconds left, or None while there is nothing to base it on.
        error: the `LatentStudioError` of a failed job.
        result: what the function returned, once the state is "done".

    Signals (all in the GUI thread):
        changed(): any attribute changed.
        partial(object): an intermediate result; none is lost.
        finished(object): the result.
        failed(object): the `LatentStudioError`.
        cancelled(): it stopped because it was asked to.
        cancel_asked(): `cancel` was called while it ran.
    """

    changed = Signal()
    partial = Signal(object)
    finished = Signal(object)
    failed = Signal(object)
    cancelled = Signal()
    cancel_asked = Signal()

    def __init__(self, title: str, token: CancelToken, parent: QObject) -> None:
        super().__init__(parent)
        self.title = title
        self.state = "waiting"
        self.fraction = 0.0
        self.message = ""
        self.eta_seconds: float | None = None
        self.elapsed_seconds = 0.0
        self.error: LatentStudioError | None = None
        self.result: Any = None
        self._token = token
        self._started = 0.0

    @property
    def active(self) -> bool:
        """True until the job has come to its end."""
        return self.state in ("waiting", "running")

    @property
    def cancelling(self) -> bool:
        """True from `cancel` until the job has stopped."""
        return self.active and self._token.cancelled

    def cancel(self) -> None:
        """Ask the job to stop; a waiting one is gone at once."""
        assert_gui_thread()
        if not self.active or self._token.cancelled:
            return
        self._token.cancel()
        if self.state == "waiting":
            self._end("cancelled")
        else:
            self.changed.emit()
            self.cancel_asked.emit()

    def begin(self) -> None:
        """It runs now."""
        if self.state == "waiting":
            self.state = "running"
            self._started = time.monotonic()
            self.changed.emit()

    def report(self, progress: Progress, eta_seconds: float | None = None) -> None:
        """It has come further; `eta_seconds` where its owner knows better than the pace since the beginning tells."""
        if self.state != "running":
            return
        self.fraction = progress.fraction
        self.message = progress.message or self.message
        self.elapsed_seconds = time.monotonic() - self._started
        if eta_seconds is not None:
            self.eta_seconds = eta_seconds
        elif self.fraction >= 0.01 and self.elapsed_seconds >= 1.0:
            self.eta_seconds = self.elapsed_seconds * (1.0 - self.fraction) / self.fraction
        if progress.partial is not None:
            self.partial.emit(progress.partial)
        self.changed.emit()

    def conclude(self, value: Any = None, error: LatentStudioError | None = None) -> None:
        """It has come to its end: done, or failed or cancelled where there is an error."""
        if not self.active:
            return
        if error is None:
            self.result, self.fraction = value, 1.0
            self._end("done")
            self.finished.emit(value)
        elif isinstance(error, Cancelled):
            self._end("cancelled")
        else:
            self.error = error
            self._end("failed")
            self.failed.emit(error)

    def _end(self, state: str) -> None:
        self.state = state
        self.eta_seconds = None
        if self._started:
            self.elapsed_seconds = time.monotonic() - self._started
        self.changed.emit()
        if state == "cancelled":
            self.cancelled.emit()


class Jobs(QObject):
    """The queue of jobs. They run one at a time on a thread of their own, beside the live requests.

    Work that runs elsewhere is listed beside them, see `follow`.

    Attributes:
        jobs: every job that was not cleared, oldest first.

    Signals:
        added(object), removed(object): the `Job`.
        changed(): any job changed.
    """

    added = Signal(object)
    removed = Signal(object)
    changed = Signal()

    def __init__(self, host: EngineHost, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.jobs: list[Job] = []
        self._host = host
        self._gui = GuiThread(self)
        self._worker = WorkerThread("jobs")
        self._keys = itertools.count()
        self._by_key: dict[int, Job] = {}
        self._closed = False

    @property
    def active(self) -> list[Job]:
        """Jobs that wait or run, in order."""
        return [job for job in self.jobs if job.active]

    @property
    def running(self) -> Job | None:
        """The job that runs now."""
        return next((job for job in self.jobs if job.state == "running"), None)

    def submit(self, title: str, function: JobFunction) -> Job:
        """Queue `function(progress, cancel)`. It runs once the engine is loaded and the jobs before it have ended."""
        token = CancelToken()
        job = self._add(title, token)
        key = next(self._keys)
        self._by_key[key] = job
        self._worker.submit(partial(self._run, key, function, token))
        if not self._closed:
            self._worker.start()
        return job

    def follow(self, title: str) -> Job:
        """A running job whose work is done elsewhere, for example in a process of its own.

        Its owner calls `report` and `conclude`, and stops the work on `cancel_asked`.
        """
        job = self._add(title, CancelToken())
        job.begin()
        return job

    def _add(self, title: str, token: CancelToken) -> Job:
        assert_gui_thread()
        job = Job(title, token, self)
        self.jobs.append(job)
        job.changed.connect(self.changed)
        self.added.emit(job)
        self.changed.emit()
        return job

    def clear_ended(self) -> None:
        """Take jobs that have ended off the list."""
        for job in [job for job in self.jobs if not job.active]:
            self.remove(job)

    def remove(self, job: Job) -> None:
        """Take one job that has ended off the list."""
        if job.active or job not in self.jobs:
            return
        self.jobs.remove(job)
        self._by_key = {key: other for key, other in self._by_key.items() if other is not job}
        self.removed.emit(job)
        self.changed.emit()
        job.setParent(None)

    def cancel_all(self) -> None:
        """Cancel every job that waits or runs, the last one first so that none starts in between."""
        for job in reversed(self.active):
            job.cancel()

    def shutdown(self) -> None:
        """Cancel everything and join the thread. Nothing is delivered afterwards."""
        self._closed = True
        self._gui.close()
        for job in reversed(self.active):
            job._token.cancel()
        self._worker.stop()

    # In the worker thread: only keys and tokens, never a QObject of a job.

    def _run(self, key: int, function: JobFunction, token: CancelToken) -> None:
        # Two threads importing torch at once would only slow each other down.
        while not self._host.loaded.wait(0.2):
            if token.cancelled:
                break
        if token.cancelled:
            self._gui.post(partial(self._on_ended, key, None, Cancelled()))
            return
        self._gui.post(partial(self._on_started, key))
        last = 0.0
        lock = threading.Lock()

        def progress(step: Progress) -> None:
            nonlocal last
            token.raise_if_cancelled()
            with lock:
                now = time.monotonic()
                if step.partial is None and now - last < PROGRESS_INTERVAL:
                    return
                last = now
            self._gui.post(partial(self._on_progress, key, step))

        try:
            value, error = function(progress, token), None
        except Exception as problem:
            value, error = None, as_latent_error(problem)
        self._gui.post(partial(self._on_ended, key, value, error))

    # In the GUI thread.

    def _on_started(self, key: int) -> None:
        if key in self._by_key:
            self._by_key[key].begin()

    def _on_progress(self, key: int, progress: Progress) -> None:
        if key in self._by_key:
            self._by_key[key].report(progress)

    def _on_ended(self, key: int, value: Any, error: LatentStudioError | None) -> None:
        if key in self._by_key:
            self._by_key[key].conclude(value, error)


def remaining_text(seconds: float | None) -> str:
    """ "00:41 left" or "1:02:03 left"; empty when unknown."""
    if seconds is None:
        return ""
    minutes, second = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{second:02} left" if hours else f"{minutes:02}:{second:02} left"
