"""The engine's background thread: it loads torch after first paint and answers live and one-off requests."""

from __future__ import annotations

import gc
import itertools
import os
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakValueDictionary

from PySide6.QtCore import QObject, Signal
from shiboken6 import isValid

from engine.errors import Cancelled, DeviceError, LatentStudioError
from engine.progress import CancelToken
from gui.services.failures import as_latent_error
from gui.services.gui_thread import GuiThread, assert_gui_thread
from gui.services.worker_thread import WorkerThread

if TYPE_CHECKING:
    from engine.device import ComputeDevice

T = TypeVar("T")
LOADING_TEXT = "Loading engine…"


class Task(QObject):
    """A one-off request. Exactly one of the two signals is emitted, in the GUI thread.

    Signals:
        succeeded(object): the function's result.
        failed(object): a `LatentStudioError`.
    """

    succeeded = Signal(object)
    failed = Signal(object)


class _Mailbox:
    """The part of a live channel that the engine thread sees: one slot for the newest request."""

    def __init__(self, key: int, follow: bool) -> None:
        self.key = key
        self.follow = follow
        self._lock = threading.Lock()
        self._waiting: tuple[int, Callable[[CancelToken], Any], CancelToken] | None = None
        self._running: CancelToken | None = None
        self._queued = False

    def put(self, stamp: int, function: Callable[[CancelToken], Any]) -> bool:
        """Replace what waits. True if the engine thread has to be told to look here."""
        with self._lock:
            self._waiting = (stamp, function, CancelToken())
            if self._running is not None and not self.follow:
                self._running.cancel()
            wake = not self._queued
            self._queued = True
            return wake

    def take(self) -> tuple[int, Callable[[CancelToken], Any], CancelToken] | None:
        with self._lock:
            request, self._waiting = self._waiting, None
            self._queued = False
            self._running = request[2] if request else None
            return request

    def finished(self) -> None:
        with self._lock:
            self._running = None

    def cancel(self) -> None:
        with self._lock:
            self._waiting = None
            if self._running is not None:
                self._running.cancel()


class LiveChannel(QObject):
    """Requests of which only the newest counts: a slider being dragged, a quality being changed.

    A newer request replaces the one that waits and cancels the token of the one that runs; results of older requests
    are dropped. With `follow` a running request is left to finish and its result is delivered even if a newer one
    waits already: a picture that follows the drag. Results then still arrive in order, and the newest always arrives.

    Signals (all in the GUI thread):
        result(object, int): what the function returned, and the stamp of its request.
        failed(object, int): a `LatentStudioError`, and the stamp.
        busy_changed(bool): True from a request until the newest one is answered.
    """

    result = Signal(object, int)
    failed = Signal(object, int)
    busy_changed = Signal(bool)

    def __init__(self, host: EngineHost, key: int, follow: bool, parent: QObject) -> None:
        super().__init__(parent)
        self._host = host
        self._mailbox = _Mailbox(key, follow)
        self._newest = 0
        self._busy = False

    @property
    def busy(self) -> bool:
        """True while the newest request is not answered."""
        return self._busy

    @property
    def newest_stamp(self) -> int:
        """The stamp of the newest request; 0 before the first."""
        return self._newest

    def request(self, function: Callable[[CancelToken], Any]) -> int:
        """Have `function(cancel_token)` run in the engine thread; returns the stamp its result will carry."""
        assert_gui_thread()
        self._newest += 1
        if self._mailbox.put(self._newest, function):
            self._host._look_at(self._mailbox)
        self._set_busy(True)
        return self._newest

    def cancel(self) -> None:
        """Forget every request; nothing that is still on its way will arrive."""
        assert_gui_thread()
        self._newest += 1
        self._mailbox.cancel()
        self._set_busy(False)

    def _deliver(self, stamp: int, value: Any, error: LatentStudioError | None) -> None:
        assert_gui_thread()
        newest = stamp == self._newest
        if not newest and not (self._mailbox.follow and self._busy and error is None):
            return
        if newest:
            self._set_busy(False)
        if error is None:
            self.result.emit(value, stamp)
        elif not isinstance(error, Cancelled):
            self.failed.emit(error, stamp)

    def _set_busy(self, busy: bool) -> None:
        if busy != self._busy:
            self._busy = busy
            self.busy_changed.emit(busy)
            if busy:
                self._host._note_activity()


class EngineHost(QObject):
    """Owns the engine thread.

    Attributes:
        state: "loading", "ready" or "failed".
        state_text: the same for the status bar, for example "Engine: CPU, 1 thread".
        device: the `ComputeDevice` in use once the state is "ready".

    Signals:
        state_changed(str, str): state and text.
        busy_changed(bool): some request is not answered yet (True), or all are.
        closing(): the program ends: cancel what runs on another thread and takes long.
    """

    state_changed = Signal(str, str)
    busy_changed = Signal(bool)
    closing = Signal()

    def __init__(self, device: str = "auto", threads: int | None = None, parent: QObject | None = None) -> None:
        """Args: device: the wish from the settings; LATENT_STUDIO_DEVICE wins. threads: likewise; None = cores - 1."""
        super().__init__(parent)
        self.state = "loading"
        self.state_text = LOADING_TEXT
        self.device: ComputeDevice | None = None
        self.loaded = threading.Event()  # set when loading ended, well or not; for other workers
        self._wish, self._threads = device, threads
        self._failure: LatentStudioError | None = None
        self._gui = GuiThread(self)
        self._engine = WorkerThread("engine")
        self._engine.submit(self._load)
        self._lanes: dict[str, WorkerThread] = {}
        self._keys = itertools.count()
        self._tasks: dict[int, Task] = {}
        self._channels: WeakValueDictionary[int, LiveChannel] = WeakValueDictionary()
        self._closed = False
        self._busy = False

    @property
    def busy(self) -> bool:
        """True while a one-off or a live request waits or runs."""
        return bool(self._tasks) or any(channel.busy for channel in self._channels.values() if isValid(channel))

    def start(self) -> None:
        """Start loading the engine; call it after the first paint. Requests made before wait."""
        if not self._closed:
            self._engine.start()

    def shutdown(self) -> None:
        """Cancel what runs, drop what waits and join the threads. Nothing is delivered afterwards."""
        self._closed = True
        self.closing.emit()
        self._gui.close()
        for channel in list(self._channels.values()):
            channel._mailbox.cancel()
        self._engine.stop()
        for lane in self._lanes.values():
            lane.stop()
        self._tasks.clear()
        self.loaded.set()

    def live(self, parent: QObject, *, follow: bool = False) -> LiveChannel:
        """A channel on which the latest request wins; it lives as long as `parent`.

        Args:
            follow: deliver results also while newer requests wait (see `LiveChannel`).
        """
        channel = LiveChannel(self, next(self._keys), follow, parent)
        self._channels[channel._mailbox.key] = channel
        return channel

    def run(self, function: Callable[[], T], *, engine: bool = True, lane: str = "files", finish: bool = False) -> Task:
        """Run a short request: loading a model, opening a picture. Requests are answered in order.

        Args:
            engine: False for work that computes nothing (reading a picture): it runs on another thread and need not
                wait for the engine to load.
            lane: which other thread, by name; work that others must not wait for has one of its own.
            finish: on another thread, do it even if the program ends before: it writes what must not be lost.
        """
        assert_gui_thread()
        task = Task(self)
        key = next(self._keys)
        self._tasks[key] = task
        self._note_activity()
        if engine:
            self._engine.submit(partial(self._run_task, key, function, True))
        else:
            self._lane(lane).submit(partial(self._run_task, key, function, False), finish=finish)
        return task

    def _lane(self, name: str) -> WorkerThread:
        lane = self._lanes.get(name)
        if lane is None:
            lane = self._lanes[name] = WorkerThread(name)
            if not self._closed:
                lane.start()
        return lane

    def _look_at(self, mailbox: _Mailbox) -> None:
        self._engine.submit(partial(self._run_live, mailbox))

    # In the worker threads. They never hold a QObject of a page, only keys: it could be destroyed meanwhile.

    def _load(self) -> None:
        try:
            device, text = load_engine(self._wish, self._threads)
        except BaseException as error:
            cause = as_latent_error(error)
            self._failure = LatentStudioError(
                f"The engine could not start: {cause.problem}", cause.remedy or "Install the program again."
            )
            self._gui.post(partial(self._on_loaded, "failed", "Engine failed to start", None))
        else:
            self._gui.post(partial(self._on_loaded, "ready", text, device))
        self.loaded.set()

    def _run_task(self, key: int, function: Callable[[], Any], engine: bool) -> None:
        try:
            if engine and self._failure is not None:
                raise self._failure
            value, error = function(), None
        except Exception as problem:
            value, error = None, as_latent_error(problem)
        self._gui.post(partial(self._on_task_done, key, value, error))

    def _run_live(self, mailbox: _Mailbox) -> None:
        request = mailbox.take()
        if request is None:
            return
        stamp, function, token = request
        try:
            if self._failure is not None:
                raise self._failure
            value, error = function(token), None
        except Exception as problem:
            value, error = None, as_latent_error(problem)
        mailbox.finished()
        self._gui.post(partial(self._on_live_done, mailbox.key, stamp, value, error))

    # In the GUI thread.

    def _on_loaded(self, state: str, text: str, device: ComputeDevice | None) -> None:
        self.state, self.state_text, self.device = state, text, device
        self.state_changed.emit(state, text)

    def _on_task_done(self, key: int, value: Any, error: LatentStudioError | None) -> None:
        task = self._tasks.pop(key, None)
        if task is None:
            return
        # From here on the task belongs to whoever still refers to it.
        task.setParent(None)
        if error is None:
            task.succeeded.emit(value)
        else:
            task.failed.emit(error)
        # Afterwards: what the result led to may have asked for more.
        self._note_activity()

    def _on_live_done(self, key: int, stamp: int, value: Any, error: LatentStudioError | None) -> None:
        channel = self._channels.get(key)
        if channel is not None and isValid(channel):
            channel._deliver(stamp, value, error)
        self._note_activity()

    def _note_activity(self) -> None:
        busy = self.busy
        if busy != self._busy:
            self._busy = busy
            self.busy_changed.emit(busy)


def default_threads() -> int:
    """One CPU thread fewer than cores, so that the window keeps one; at least 1."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores - 1)


def load_engine(wish: str, threads: int | None) -> tuple[ComputeDevice, str]:
    """Import torch, choose the device and run one tiny convolution. Returns the device and a text for the status bar.

    A device that was wished for but does not exist is replaced by the processor, and the text says so.
    """
    # Every later call of the engine that names no device must come to the same choice.
    if wish != "auto":
        os.environ.setdefault("LATENT_STUDIO_DEVICE", wish)
    # Importing torch makes a million objects that stay for ever. Looking through them for garbage, then or later,
    # would only stop the window, so they are put where the collector does not look.
    collecting = gc.isenabled()
    gc.disable()
    try:
        from engine.device import choose_device
    finally:
        gc.freeze()
        if collecting:
            gc.enable()

    # None lets the device module read the environment, which wins over the settings.
    threads = None if os.environ.get("LATENT_STUDIO_THREADS") else threads or default_threads()
    note = ""
    try:
        device = choose_device(None, threads)
    except DeviceError:
        note = f" ({os.environ.get('LATENT_STUDIO_DEVICE')} is not available)"
        os.environ["LATENT_STUDIO_DEVICE"] = "cpu"
        device = choose_device("cpu", threads)
    import torch

    with torch.inference_mode():
        picture = torch.zeros(1, 3, 32, 32, device=device.torch_device)
        kernel = torch.zeros(4, 3, 3, 3, device=device.torch_device)
        torch.nn.functional.conv2d(picture, kernel)
    return device, f"Engine: {device.description}{note}"
