"""The queue of jobs: order, progress, cancel, errors that do not stop the next."""

from __future__ import annotations

import threading

import pytest
from PySide6.QtWidgets import QPushButton
from pytestqt.qtbot import QtBot

from engine.errors import OutputError
from engine.progress import CancelToken, Progress, ProgressCallback
from gui.services.context import Services
from gui.services.jobs import Job, Jobs, remaining_text
from gui.widgets.jobs_drawer import JobRow, JobsDrawer


@pytest.fixture
def jobs(services: Services) -> Jobs:
    services.host.start()
    return services.jobs


def wait_for_end(qtbot: QtBot, *some: Job) -> None:
    qtbot.waitUntil(lambda: not any(job.active for job in some), timeout=60_000)


def test_jobs_run_one_at_a_time_in_order(jobs: Jobs, qtbot: QtBot) -> None:
    order: list[str] = []

    def work(name: str) -> str:
        order.append(f"{name} begins")
        threading.Event().wait(0.01)
        order.append(f"{name} ends")
        return name

    some = [jobs.submit(name, lambda _, __, name=name: work(name)) for name in ("a", "b", "c")]
    wait_for_end(qtbot, *some)
    assert order == ["a begins", "a ends", "b begins", "b ends", "c begins", "c ends"]
    assert [job.result for job in some] == ["a", "b", "c"]
    assert [job.state for job in some] == ["done"] * 3


def test_progress_and_every_partial_result_arrive(jobs: Jobs, qtbot: QtBot) -> None:
    partials: list[int] = []

    def work(progress: ProgressCallback, cancel: CancelToken) -> str:
        for number in range(20):
            progress(Progress(number + 1, 20, f"sample {number + 1}", partial=number))
        return "done"

    job = jobs.submit("Generate", work)
    job.partial.connect(partials.append)
    with qtbot.waitSignal(job.finished, timeout=60_000) as signal:
        pass
    assert signal.args == ["done"]
    assert partials == list(range(20))
    assert (job.fraction, job.message) == (1.0, "sample 20")


def test_a_failed_job_does_not_stop_the_next(jobs: Jobs, qtbot: QtBot) -> None:
    def broken(progress: ProgressCallback, cancel: CancelToken) -> None:
        raise OutputError("No space is left.", "Free some.")

    first, second = jobs.submit("first", broken), jobs.submit("second", lambda _, __: 2)
    with qtbot.waitSignal(first.failed, timeout=60_000) as signal:
        pass
    wait_for_end(qtbot, first, second)
    assert isinstance(first.error, OutputError) and signal.args == [first.error]
    assert (first.state, second.state, second.result) == ("failed", "done", 2)


def test_cancel_reaches_a_job_even_if_it_only_reports_progress(jobs: Jobs, qtbot: QtBot) -> None:
    running = threading.Event()

    def deaf(progress: ProgressCallback, cancel: CancelToken) -> None:
        for number in range(1_000_000):
            running.set()
            progress(Progress(number, 1_000_000))
            threading.Event().wait(0.002)

    job, waiting, last = jobs.submit("deaf", deaf), jobs.submit("waits", deaf), jobs.submit("last", lambda _, __: 3)
    assert running.wait(60)
    qtbot.waitUntil(lambda: job.state == "running", timeout=20_000)
    waiting.cancel()
    assert waiting.state == "cancelled"
    with qtbot.waitSignal(job.cancelled, timeout=20_000):
        job.cancel()
        assert job.cancelling
    wait_for_end(qtbot, last)
    assert (job.state, last.state) == ("cancelled", "done")
    assert waiting.elapsed_seconds == 0.0, "a job cancelled while it waited must never start"


def test_ended_jobs_are_cleared_and_active_ones_stay(jobs: Jobs, qtbot: QtBot) -> None:
    hold = threading.Event()
    done = jobs.submit("done", lambda _, __: 1)
    held = jobs.submit("held", lambda _, __: hold.wait(20))
    wait_for_end(qtbot, done)
    jobs.clear_ended()
    assert jobs.jobs == [held]
    hold.set()
    wait_for_end(qtbot, held)


def test_the_drawer_shows_state_and_cancels(services: Services, jobs: Jobs, qtbot: QtBot, show) -> None:
    drawer = show(JobsDrawer(jobs, services.theme))
    started = threading.Event()

    def work(progress: ProgressCallback, cancel: CancelToken) -> None:
        progress(Progress(1, 4, "tile 1"))
        started.set()
        while True:
            cancel.raise_if_cancelled()
            threading.Event().wait(0.005)

    job = jobs.submit("Compress photo.png", work)
    assert started.wait(60)
    row = drawer.findChild(JobRow)
    assert row is not None and row.accessibleName() == "Compress photo.png"
    qtbot.waitUntil(lambda: job.state == "running", timeout=20_000)
    cancel = next(button for button in row.findChildren(QPushButton) if button.text() == "Cancel")
    with qtbot.waitSignal(job.cancelled, timeout=20_000):
        cancel.click()
    assert not cancel.isVisible()
    jobs.clear_ended()
    assert drawer.findChild(JobRow) is None or not drawer.findChild(JobRow).isVisible()


def test_remaining_time_reads_as_people_say_it() -> None:
    assert remaining_text(None) == ""
    assert remaining_text(41.2) == "00:41 left"
    assert remaining_text(3723) == "1:02:03 left"
