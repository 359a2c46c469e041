"""Logs, hooks and what a crash leaves for the next start."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from gui.services.context import Services
from gui.services.diagnostics import Diagnostics

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def diagnostics(tmp_path: Path, qapp) -> Iterator[Diagnostics]:
    made = Diagnostics(tmp_path / "logs")
    made.start()
    yield made
    made.stop()


def test_a_crash_is_told_once_at_the_next_start(tmp_path: Path, services: Services) -> None:
    folder = tmp_path / "logs"
    code = f"""
import faulthandler
from pathlib import Path
from gui.services.diagnostics import Diagnostics
Diagnostics(Path({str(folder)!r})).start()
faulthandler._sigsegv()
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, timeout=120, check=False)
    assert done.returncode != 0
    for told in (1, 0):
        diagnostics = Diagnostics(folder)
        diagnostics.start()
        diagnostics.show_in(services.notices)
        assert services.notices.errors == told
        if told:
            assert services.notices.last_error is not None
            assert "Segmentation fault" in services.notices.last_error.details
            services.notices.clear_errors()
        diagnostics.stop()
    assert (folder / "last-crash.txt").is_file()
    assert not list(folder.glob("crash-*.txt")), "a run that ended well leaves nothing"


def test_an_error_that_nobody_caught_becomes_a_notice(
    diagnostics: Diagnostics, services: Services, qtbot: QtBot
) -> None:
    diagnostics.show_in(services.notices)
    sys.excepthook(ValueError, ValueError("in a slot"), None)
    assert services.notices.last_error is not None
    assert "in a slot" in services.notices.last_error.text

    def fail() -> None:
        raise RuntimeError("in a thread")

    with qtbot.waitSignal(services.notices.posted, timeout=20_000):
        thread = threading.Thread(target=fail)
        thread.start()
        thread.join()
    assert services.notices.errors == 2
    assert "in a thread" in services.notices.last_error.text


def test_what_is_logged_reaches_the_file(diagnostics: Diagnostics) -> None:
    logging.getLogger("latent_studio").info("a line for the log")
    assert "a line for the log" in (diagnostics.folder / "latent-studio.log").read_text()


def test_a_folder_without_rights_costs_only_the_log(tmp_path: Path, capsys: pytest.CaptureFixture[str], qapp) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    diagnostics = Diagnostics(blocked / "logs")
    diagnostics.start()
    diagnostics.stop()
    assert "No log is written" in capsys.readouterr().err
