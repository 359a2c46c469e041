"""TrainingProcess: a training run as a child process, so that it can be killed and cannot take the window along."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QObject, QProcess, QProcessEnvironment, QTimer, Signal, Slot

import gui

STOP_FILE = "stop"
OUTPUT_LOG = "output.log"
GRACE_SECONDS = 30.0
"""How long a run may take to write its checkpoint after it was asked to stop."""


def training_command(recipe: str | Path, run_folder: Path, data_roots: Sequence[Path] = ()) -> list[str]:
    """The command line that a terminal or a cluster would use: program first, then its arguments.

    `main.py` lies beside the package `gui` in a checkout as well as in an installation.
    """
    main = Path(gui.__file__).resolve().parent.parent / "main.py"
    roots = [part for root in data_roots for part in ("--data-root", str(root))]
    return [sys.executable, str(main), "train", str(recipe), "--run-dir", str(run_folder), "--events", *roots]


class TrainingProcess(QObject):
    """One run at a time of `main.py train`.

    Signals:
        reported(dict): a line of the run's log as the trainer printed it.
        ended(str, str): outcome "finished", "stopped" or "failed", and for a failure one sentence.
    """

    reported = Signal(dict)
    ended = Signal(str, str)

    def __init__(self, parent: QObject | None = None, *, grace_seconds: float = GRACE_SECONDS) -> None:
        super().__init__(parent)
        self._process: QProcess | None = None
        self._run_folder = Path()
        self._pending = b""
        self._stopping = False
        self._last_event: dict[str, object] = {}
        self._patience = QTimer(self)
        self._patience.setSingleShot(True)
        self._patience.setInterval(int(grace_seconds * 1000))
        self._patience.timeout.connect(self._on_patience_over)

    @property
    def running(self) -> bool:
        """True from `start` until `ended`."""
        return self._process is not None

    @property
    def stopping(self) -> bool:
        """True from `stop` until `ended`."""
        return self._process is not None and self._stopping

    def start(self, recipe: str | Path, run_folder: Path, data_roots: Sequence[Path] = ()) -> None:
        """Start, or resume where `run_folder` holds a checkpoint. Only while no run is on."""
        assert self._process is None, "a run is on already"
        self._run_folder = run_folder
        self._pending = b""
        self._stopping = False
        self._last_event = {}
        (run_folder / STOP_FILE).unlink(missing_ok=True)
        program, *arguments = training_command(recipe, run_folder, data_roots)
        process = QProcess(self)
        environment = QProcessEnvironment.systemEnvironment()
        environment.insert("PYTHONUNBUFFERED", "1")
        environment.insert("PYTHONIOENCODING", "utf-8")
        process.setProcessEnvironment(environment)
        # What a run says beside its events (a traceback, a warning) is kept for the log link of a failure.
        process.setStandardErrorFile(str(run_folder / OUTPUT_LOG))
        process.readyReadStandardOutput.connect(self._on_output)
        process.finished.connect(self._on_finished)
        process.errorOccurred.connect(self._on_error)
        self._process = process
        process.start(program, arguments)

    def stop(self) -> None:
        """Ask the run to write its checkpoint and end; it is terminated when it does not within the grace period."""
        if self._process is None or self._stopping:
            return
        self._stopping = True
        try:
            (self._run_folder / STOP_FILE).touch()
        except OSError:
            self._process.terminate()
        self._patience.start()

    def shut_down(self, milliseconds: int = 5000) -> None:
        """End the run before the program ends: ask, wait, then kill. The last checkpoint stays."""
        process = self._process
        if process is None:
            return
        with contextlib.suppress(OSError):
            (self._run_folder / STOP_FILE).touch()
        self._stopping = True
        if not process.waitForFinished(milliseconds):
            process.kill()
            process.waitForFinished(milliseconds)

    @Slot()
    def _on_output(self) -> None:
        process = self._process
        if process is None:
            return
        self._pending += process.readAllStandardOutput().data()
        *lines, self._pending = self._pending.split(b"\n")
        for line in lines:
            event = parse_event(line)
            if event is not None:
                self._last_event = event
                self.reported.emit(event)

    @Slot()
    def _on_patience_over(self) -> None:
        if self._process is None:
            return
        if self._process.state() == QProcess.ProcessState.Running and not self._process.property("terminated"):
            self._process.setProperty("terminated", True)
            self._process.terminate()
            self._patience.start()
        else:
            self._process.kill()

    @Slot(QProcess.ProcessError)
    def _on_error(self, error: QProcess.ProcessError) -> None:
        # Every other kind of error is followed by `finished`.
        if error == QProcess.ProcessError.FailedToStart and self._process is not None:
            self._conclude("failed", f"The training process did not start: {self._process.errorString()}.")

    @Slot(int, QProcess.ExitStatus)
    def _on_finished(self, code: int, status: QProcess.ExitStatus) -> None:
        self._on_output()
        kind = self._last_event.get("event")
        if kind == "finished":
            self._conclude("finished", "")
        elif kind == "failed":
            self._conclude("failed", failure_sentence(self._last_event))
        elif self._stopping or (code == 0 and status == QProcess.ExitStatus.NormalExit):
            self._conclude("stopped", "")
        else:
            self._conclude("failed", f"The training process ended unexpectedly (exit code {code}).")

    def _conclude(self, outcome: str, message: str) -> None:
        self._patience.stop()
        process, self._process = self._process, None
        if process is not None:
            process.deleteLater()
        with contextlib.suppress(OSError):
            (self._run_folder / STOP_FILE).unlink(missing_ok=True)
        self.ended.emit(outcome, message)


def parse_event(line: bytes | str) -> dict[str, object] | None:
    """The event in one line of a run's log; None for anything else that was printed or cut short."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and isinstance(event.get("event"), str) else None


def failure_sentence(event: dict[str, object]) -> str:
    """What a "failed" event says to people."""
    text = " ".join(str(event[key]) for key in ("problem", "remedy") if event.get(key))
    return text or str(event.get("message") or event.get("error") or "The training run failed.")
