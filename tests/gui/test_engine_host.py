"""The engine thread: latest wins, order, errors, delivery in the GUI thread, shutdown."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from PySide6.QtCore import QObject, QThread, Slot
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from engine.errors import DataError, LatentStudioError
from engine.progress import CancelToken
from gui.services.context import Services
from gui.services.engine_host import EngineHost, LiveChannel, default_threads
from gui.services.failures import UnexpectedError


class Listener(QObject):
    """Collects what a channel or a task delivers, and in which thread."""

    def __init__(self) -> None:
        super().__init__()
        self.results: list[Any] = []
        self.errors: list[LatentStudioError] = []
        self.in_gui_thread: list[bool] = []

    def _note_thread(self) -> None:
        application = QApplication.instance()
        assert application is not None
        self.in_gui_thread.append(QThread.currentThread() is application.thread())

    @Slot(object, int)
    def on_live(self, value: Any, stamp: int) -> None:
        self._note_thread()
        self.results.append((value, stamp))

    @Slot(object)
    def on_result(self, value: Any) -> None:
        self._note_thread()
        self.results.append(value)

    @Slot(object)
    def on_error(self, error: LatentStudioError) -> None:
        self._note_thread()
        self.errors.append(error)


@pytest.fixture
def host(services: Services) -> EngineHost:
    return services.host


def listen(channel: LiveChannel) -> Listener:
    listener = Listener()
    channel.result.connect(listener.on_live)
    return listener


def test_engine_loads_in_the_background_and_says_so(host: EngineHost, qtbot: QtBot) -> None:
    assert (host.state, host.state_text) == ("loading", "Loading engine…")
    with qtbot.waitSignal(host.state_changed, timeout=60_000) as signal:
        host.start()
    assert signal.args == ["ready", host.state_text]
    assert host.state_text.startswith("Engine: ")
    assert host.device is not None


def test_a_device_that_is_not_there_falls_back_to_the_processor(qtbot: QtBot, monkeypatch) -> None:
    monkeypatch.setenv("LATENT_STUDIO_DEVICE", "cuda:99")
    host = EngineHost()
    with qtbot.waitSignal(host.state_changed, timeout=60_000):
        host.start()
    host.shutdown()
    assert host.state == "ready"
    assert host.state_text.startswith("Engine: CPU") and "cuda:99 is not available" in host.state_text


def test_an_engine_that_cannot_start_fails_every_request(qtbot: QtBot, monkeypatch) -> None:
    monkeypatch.setenv("LATENT_STUDIO_THREADS", "many")
    host, listener = EngineHost(), Listener()
    task = host.run(lambda: 1)
    task.failed.connect(listener.on_error)
    with qtbot.waitSignals([host.state_changed, task.failed], timeout=60_000):
        host.start()
    host.shutdown()
    assert host.state == "failed"
    assert "LATENT_STUDIO_THREADS" in listener.errors[0].problem


def test_only_the_newest_of_many_requests_is_answered(host: EngineHost, qtbot: QtBot) -> None:
    """Before the engine runs nothing can be taken out: all but the last request must have been replaced."""
    channel = host.live(host)
    listener, ran = listen(channel), []

    def work(number: int) -> int:
        ran.append(number)
        return number

    stamps = [channel.request(lambda _, number=number: work(number)) for number in range(50)]
    assert stamps == sorted(set(stamps)) and channel.busy
    with qtbot.waitSignal(channel.result, timeout=60_000):
        host.start()
    assert ran == [49]
    assert listener.results == [(49, stamps[-1])]
    assert listener.in_gui_thread == [True]
    assert not channel.busy


def test_a_newer_request_cancels_the_running_one_whose_result_never_arrives(host: EngineHost, qtbot: QtBot) -> None:
    host.start()
    channel = host.live(host)
    listener, running = listen(channel), threading.Event()
    seen: list[CancelToken] = []

    def patient(token: CancelToken) -> str:
        seen.append(token)
        running.set()
        while not token.cancelled:
            threading.Event().wait(0.005)
        return "stale"

    channel.request(patient)
    assert running.wait(60)
    with qtbot.waitSignal(channel.result, timeout=20_000):
        newest = channel.request(lambda _: "fresh")
    assert seen[0].cancelled
    assert listener.results == [("fresh", newest)]


def test_following_delivers_the_running_result_too_and_in_order(host: EngineHost, qtbot: QtBot) -> None:
    host.start()
    channel = host.live(host, follow=True)
    listener, running, go = listen(channel), threading.Event(), threading.Event()

    def first(token: CancelToken) -> str:
        running.set()
        go.wait(20)
        return "cancelled" if token.cancelled else "first"

    channel.request(first)
    assert running.wait(60)
    channel.request(lambda _: "replaced")
    channel.request(lambda _: "last")
    with qtbot.waitSignals([channel.result, channel.result], timeout=20_000):
        go.set()
    assert [value for value, _ in listener.results] == ["first", "last"]


def test_nothing_arrives_after_cancel(host: EngineHost, qtbot: QtBot) -> None:
    channel = host.live(host)
    listener = listen(channel)
    channel.request(lambda _: "gone")
    channel.cancel()
    after = host.run(lambda: "later")
    with qtbot.waitSignal(after.succeeded, timeout=60_000):
        host.start()
    assert listener.results == [] and not channel.busy


def test_a_channel_whose_owner_is_gone_is_quiet(host: EngineHost, qtbot: QtBot) -> None:
    owner = QObject()
    channel = host.live(owner)
    channel.request(lambda _: "nobody listens")
    del channel, owner
    after = host.run(lambda: "still works")
    with qtbot.waitSignal(after.succeeded, timeout=60_000):
        host.start()


def test_requests_are_answered_in_order_and_an_error_does_not_stop_the_next(host: EngineHost, qtbot: QtBot) -> None:
    listener = Listener()

    def broken() -> None:
        raise DataError("The folder holds no pictures.", "Choose another one.")

    def surprising() -> None:
        raise ValueError("surprise")

    tasks = [host.run(lambda: "a"), host.run(broken), host.run(surprising), host.run(lambda: "b")]
    for task in tasks:
        task.succeeded.connect(listener.on_result)
        task.failed.connect(listener.on_error)
    with qtbot.waitSignal(tasks[-1].succeeded, timeout=60_000):
        host.start()
    assert listener.results == ["a", "b"]
    assert listener.errors[0].problem == "The folder holds no pictures."
    assert isinstance(listener.errors[1], UnexpectedError)
    assert "ValueError: surprise" in listener.errors[1].details
    assert all(listener.in_gui_thread)


def test_the_host_says_when_every_request_is_answered(host: EngineHost, qtbot: QtBot) -> None:
    channel, heard = host.live(host), []
    host.busy_changed.connect(heard.append)
    channel.request(lambda _: 1)
    host.run(lambda: 2)
    assert host.busy and heard == [True]
    with qtbot.waitSignal(host.busy_changed, timeout=60_000):
        host.start()
    assert heard == [True, False]


def test_work_without_torch_need_not_wait_for_the_engine(host: EngineHost, qtbot: QtBot) -> None:
    task = host.run(lambda: threading.current_thread().name, engine=False)
    with qtbot.waitSignal(task.succeeded, timeout=20_000) as signal:
        pass
    assert signal.args == ["files"]
    assert host.state == "loading"


def test_shutdown_joins_the_threads_and_cancels_what_runs(services: Services, qtbot: QtBot) -> None:
    host = services.host
    host.start()
    channel, running = host.live(host), threading.Event()
    listener = listen(channel)

    def patient(token: CancelToken) -> str:
        running.set()
        while not token.cancelled:
            threading.Event().wait(0.005)
        return "too late"

    channel.request(patient)
    assert running.wait(60)
    services.shutdown()
    assert not {"engine", "files", "jobs"} & {thread.name for thread in threading.enumerate()}
    QApplication.processEvents()
    assert listener.results == []


def test_one_core_is_left_to_the_window() -> None:
    assert default_threads() >= 1
