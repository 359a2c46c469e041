"""A background thread that runs calls one after the other."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue


class WorkerThread:
    """One Python thread with a queue. Calls given before `start` wait for it.

    The calls handle their own errors; one that raises anyway reaches `threading.excepthook` and the thread goes on.
    """

    def __init__(self, name: str) -> None:
        self._queue: SimpleQueue[tuple[Callable[[], None], bool] | None] = SimpleQueue()
        self._stopping = threading.Event()
        # A daemon: a call that cannot be interrupted must not keep the process alive after the window is gone.
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)

    @property
    def started(self) -> bool:
        """True once `start` was called."""
        return self._thread.ident is not None

    def start(self) -> None:
        """Start the thread; a second call does nothing."""
        if not self.started:
            self._thread.start()

    def submit(self, call: Callable[[], None], *, finish: bool = False) -> None:
        """Put `call` at the end of the queue. With `finish` it is done also when the thread is told to stop before."""
        self._queue.put((call, finish))

    def stop(self, timeout: float = 20.0) -> bool:
        """Drop what waits, except what must be finished, let the running call end and join.

        Returns:
            False when it did not end within `timeout` seconds.
        """
        self._stopping.set()
        self._queue.put(None)
        if not self.started:
            return True
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _loop(self) -> None:
        while True:
            entry = self._queue.get()
            if entry is None:
                return
            call, finish = entry
            entry = None
            if self._stopping.is_set() and not finish:
                continue
            try:
                call()
            except Exception:  # the border of the thread: report and go on
                import sys

                threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), threading.current_thread())))  # type: ignore[arg-type]
            call = None  # what the call refers to must not live until the next one arrives
