"""Fixtures of the window's tests: services with fresh settings, a window, and nothing left running afterwards."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
import shiboken6
from PySide6.QtCore import QEvent, QObject, QThread, QTimer
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from gui.main_window import MainWindow
from gui.services.context import Services

T = TypeVar("T", bound=QObject)


def running_threads() -> set[str]:
    """Names of the threads of ours that are alive."""
    ours = ("engine", "files", "jobs", "gallery", "pictures")
    return {thread.name for thread in threading.enumerate() if thread.name in ours}


def running_timers() -> list[str]:
    """Where the timers that would still fire hang."""
    return [
        f"{timer.objectName() or 'timer'} of {type(timer.parent()).__name__}"
        for timer in living(QTimer)
        if timer.isActive()
    ]


def living(kind: type[T]) -> list[T]:
    """All objects of a Qt class whose C++ half exists."""
    # By type, not isinstance: that asks every object for its __class__, and some of torch's answer with a warning.
    return [thing for thing in gc.get_objects() if issubclass(type(thing), kind) and shiboken6.isValid(thing)]


@pytest.fixture(autouse=True)
def nothing_left(qapp: QApplication) -> Iterator[None]:
    """Fails a test that leaves a worker thread, a QThread or a timer running."""
    yield
    for widget in QApplication.topLevelWidgets():
        widget.close()
        widget.deleteLater()
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
    gc.collect()
    assert not [thread for thread in living(QThread) if thread.isRunning() and thread is not qapp.thread()]
    assert not running_threads(), "a test left a thread running: shut its services down"
    assert not running_timers(), "a test left a timer running"


@pytest.fixture
def services(qapp: QApplication, tmp_path: Path) -> Iterator[Services]:
    """Services of one test with settings of their own; the engine is not loaded before `services.host.start()`."""
    made = Services.create(tmp_path / "settings.toml")
    made.theme.set_mode("light")
    yield made
    made.shutdown()


@pytest.fixture
def show(qtbot: QtBot) -> Callable[[QWidget], QWidget]:
    """Shows a widget and waits until it is on the screen."""

    def shown(widget: QWidget) -> QWidget:
        qtbot.addWidget(widget)
        with qtbot.waitExposed(widget):
            widget.show()
        return widget

    return shown


@pytest.fixture
def window(services: Services, qtbot: QtBot) -> Iterator[MainWindow]:
    """The whole window with its first page built; the engine loads."""
    made = MainWindow(services)
    with qtbot.waitSignal(made.page_shown, timeout=20_000):
        made.show()
    yield made
    made.close_without_asking()
