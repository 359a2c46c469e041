"""Starting the window as a program: what must hold before Qt runs, and what must be put right after it."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gui.screen import missing_library, missing_plugin_library, missing_screen

if TYPE_CHECKING:
    from gui.main_window import MainWindow


def run_window(paths: Sequence[Path | str] = ()) -> int:
    """Open the window and stay until it is closed.

    Args:
        paths: files or folders to open on the page that was open the last time.

    Returns:
        The exit code: 0 after a normal end, 1 if the window cannot be shown; one sentence on stderr says why.
    """
    problem = missing_screen()
    if not problem:
        try:
            # PySide6 is imported from here on: a missing system library shows as an ImportError.
            import PySide6.QtSvg
            import PySide6.QtWidgets  # noqa: F401
        except ImportError as error:
            problem = missing_library(error)
        else:
            problem = missing_plugin_library()
    if problem:
        print(problem, file=sys.stderr)
        return 1
    return _run([Path(path) for path in paths])


def _run(paths: list[Path]) -> int:
    from PySide6.QtWidgets import QApplication

    from gui.main_window import NAME, MainWindow
    from gui.services.context import Services
    from gui.services.diagnostics import Diagnostics

    diagnostics = Diagnostics()
    diagnostics.start()
    QApplication.setApplicationName(NAME)
    QApplication.setDesktopFileName("latent-studio")
    application = QApplication(sys.argv[:1])
    services = Services.create()
    services.theme.apply()
    application.setWindowIcon(services.theme.icon("mark", "accent", 64))
    window = MainWindow(services)
    diagnostics.show_in(services.notices)
    if paths:
        window.open_paths(paths)
    signals = _Signals(window)
    # After the first picture, which sockets need not keep waiting.
    window.first_painted.connect(signals.catch)
    window.show()
    try:
        return application.exec()
    finally:
        signals.close()
        # Without an event that closes it, for example when the session ends.
        services.shutdown()
        diagnostics.stop()


class _Signals:
    """SIGINT and SIGTERM end the window as its close button would, without asking about jobs.

    Python runs signal handlers only between two of its own instructions, which an idle event loop never executes; so
    the interpreter writes a byte to a socket that Qt watches.
    """

    def __init__(self, window: MainWindow) -> None:
        self._window = window
        self._undo = contextlib.ExitStack()

    def catch(self) -> None:
        """From now on the signals end the window; before, they end the process at once."""
        import socket

        from PySide6.QtCore import QSocketNotifier

        reader, writer = socket.socketpair()
        for end in (reader, writer):
            end.setblocking(False)
            self._undo.callback(end.close)
        for name in (signal.SIGINT, signal.SIGTERM):
            self._undo.callback(signal.signal, name, signal.signal(name, lambda *_: None))
        self._undo.callback(signal.set_wakeup_fd, signal.set_wakeup_fd(writer.fileno()))
        self._reader = reader
        self._notifier = QSocketNotifier(reader.fileno(), QSocketNotifier.Type.Read)
        self._notifier.activated.connect(self._on_signal)
        self._undo.callback(self._notifier.setEnabled, False)

    def _on_signal(self) -> None:
        self._reader.recv(16)
        self._window.close_without_asking()

    def close(self) -> None:
        """Put everything back."""
        self._undo.close()
