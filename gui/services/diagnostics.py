"""Log files, hooks for errors that nobody caught, and the traces that a crash leaves for the next start."""

from __future__ import annotations

import faulthandler
import logging
import os
import sys
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TextIO

from PySide6.QtCore import QMessageLogContext, QtMsgType, qInstallMessageHandler

from engine.paths import user_folder
from gui.services.failures import as_latent_error
from gui.services.notices import Notice, Notices

LOG = logging.getLogger("latent_studio")
LEVELS = {
    QtMsgType.QtDebugMsg: logging.DEBUG,
    QtMsgType.QtInfoMsg: logging.INFO,
    QtMsgType.QtWarningMsg: logging.WARNING,
    QtMsgType.QtCriticalMsg: logging.ERROR,
    QtMsgType.QtFatalMsg: logging.CRITICAL,
}
# Qt says this on every start without a real screen; it means nothing to anybody.
NOISE = ("This plugin does not support propagateSizeHints",)


class _LogFile(logging.Handler):
    """A rotating log that is opened with its first record: most starts write none, and logging.handlers takes long to
    import."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._file: logging.Handler | None = None

    def emit(self, record: logging.LogRecord) -> None:
        if self._file is None:
            from logging.handlers import RotatingFileHandler

            self._file = RotatingFileHandler(
                self._path, maxBytes=1_000_000, backupCount=3, encoding="utf-8", delay=True
            )
            self._file.setFormatter(self.formatter)
        self._file.emit(record)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        super().close()


class Diagnostics:
    """Switched on at the start of the window, off at its end.

    Every running window writes native crashes to a file of its own. The file disappears when the window ends well;
    one that is left over by a process that no longer exists is the crash that the next start reports.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or user_folder("logs")
        self.previous_crash = ""
        self._crash_path = self.folder / f"crash-{os.getpid()}.txt"
        self._crash_file: TextIO | None = None
        self._handler: logging.Handler | None = None
        self._notices: Notices | None = None
        self._inside = threading.local()

    def start(self) -> None:
        """Open the log, look for traces of a crash, install the hooks. A folder without rights only costs the log."""
        LOG.setLevel(logging.INFO)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._handler = _LogFile(self.folder / "latent-studio.log")
            self._handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(threadName)s %(message)s"))
            LOG.addHandler(self._handler)
            LOG.propagate = False
            self.previous_crash = self._collect_crashes()
            self._crash_file = self._crash_path.open("w", encoding="utf-8")
            faulthandler.enable(self._crash_file)
        except OSError as error:
            print(f"No log is written: {error}", file=sys.stderr)
        sys.excepthook = self._on_exception
        threading.excepthook = self._on_thread_exception
        sys.unraisablehook = self._on_unraisable
        qInstallMessageHandler(self._on_qt_message)

    def show_in(self, notices: Notices) -> None:
        """From now on uncaught errors become notices; a crash of the last run is told at once."""
        self._notices = notices
        if self.previous_crash:
            notices.report(
                Notice(
                    "error",
                    "Latent Studio ended unexpectedly the last time.",
                    "Crash report",
                    "Nothing was sent anywhere. The details help when you report it.",
                    self.previous_crash,
                )
            )

    def stop(self) -> None:
        """Take the hooks away and remove the crash file: this run ended well."""
        self._notices = None
        qInstallMessageHandler(None)
        sys.excepthook = sys.__excepthook__
        threading.excepthook = threading.__excepthook__
        sys.unraisablehook = sys.__unraisablehook__
        if self._crash_file is not None:
            faulthandler.disable()
            self._crash_file.close()
            with suppress(OSError):
                self._crash_path.unlink()
        if self._handler is not None:
            LOG.removeHandler(self._handler)
            self._handler.close()

    def _collect_crashes(self) -> str:
        """The newest trace of a crash. Read ones are renamed, so that they are told once; empty ones are removed."""
        text = ""
        for path in sorted(self.folder.glob("crash-*.txt"), key=lambda item: item.stat().st_mtime):
            if _is_running(path.stem.partition("-")[2]):
                continue
            content = path.read_text(encoding="utf-8", errors="replace")
            if content.strip():
                text = content
                path.replace(self.folder / "last-crash.txt")
            else:
                path.unlink()
        return text

    def _report(self, error: BaseException) -> None:
        # A hook that fails must not call itself.
        if getattr(self._inside, "hook", False):
            return
        self._inside.hook = True
        try:
            if self._notices is not None:
                self._notices.error(error, "Unexpected error")
            else:
                print(f"error: {as_latent_error(error)}", file=sys.stderr)
        finally:
            self._inside.hook = False

    def _on_exception(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)
            return
        self._report(error)

    def _on_thread_exception(self, arguments: threading.ExceptHookArgs) -> None:
        if arguments.exc_value is not None and not isinstance(arguments.exc_value, SystemExit):
            self._report(arguments.exc_value)

    def _on_unraisable(self, arguments: sys.UnraisableHookArgs) -> None:
        LOG.error("error that nobody could catch: %s %r", arguments.err_msg or "", arguments.exc_value)

    def _on_qt_message(self, kind: QtMsgType, context: QMessageLogContext, text: str) -> None:
        if not text.startswith(NOISE):
            LOG.log(LEVELS.get(kind, logging.INFO), "Qt: %s", text)


def _is_running(pid: str) -> bool:
    if not pid.isdigit():
        return False
    if os.name == "nt":
        # os.kill would end the process there; a file that another process holds open cannot be removed anyway.
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return int(pid) != os.getpid()
