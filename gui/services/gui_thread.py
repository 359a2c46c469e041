"""The one way from a worker thread into the window: calls that arrive in the GUI thread as queued events."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QCoreApplication, QObject, Qt, QThread, Signal, Slot


def in_gui_thread() -> bool:
    """True in the thread that runs the window."""
    application = QCoreApplication.instance()
    return application is None or QThread.currentThread() is application.thread()


def assert_gui_thread() -> None:
    """Debug check for everything that touches widgets or the state behind them."""
    assert in_gui_thread(), "called outside the GUI thread"


class GuiThread(QObject):
    """Delivers calls to the thread it was made in.

    A plain function connected to a worker's signal runs in the worker's thread and can deadlock with the window;
    a queued connection to a slot of an object of the GUI thread cannot. So workers only ever use `post`.
    """

    _posted = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._closed = False
        self._posted.connect(self._on_posted, Qt.ConnectionType.QueuedConnection)

    def post(self, call: Callable[[], None]) -> None:
        """Run `call` in the GUI thread, soon. Safe from every thread."""
        if not self._closed:
            self._posted.emit(call)

    def close(self) -> None:
        """Drop everything that has not been delivered yet."""
        self._closed = True

    @Slot(object)
    def _on_posted(self, call: Callable[[], None]) -> None:
        assert_gui_thread()
        if not self._closed:
            call()
