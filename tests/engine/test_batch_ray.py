"""A batch on a local Ray cluster of two workers: the same files as without it, and a lost worker costs one retry."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from engine.batch.plan import Task
from engine.batch.ray_workers import LOCAL, RayWorkers
from engine.batch.settings import BatchSettings
from engine.errors import UsageError
from tests.engine.batch_fixtures import contents, listed, runner_for, write_mixed, write_photo

ray = pytest.importorskip("ray", reason="the extra `cluster` is not installed")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


class TwoWorkers(RayWorkers):
    """A cluster of two CPUs that lives as long as the batch."""

    def start(self) -> None:
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        self._address = "auto"
        self._join()


class KillsOnce(TwoWorkers):
    """Kills the process that gets the first task."""

    killed = False

    def give(self, worker: int, task: Task) -> None:
        super().give(worker, task)
        if not self.killed:
            self.killed = True
            os.kill(self.process_ids[worker], signal.SIGKILL)


def test_a_cluster_gives_the_same_files_as_one_process(tmp_path: Path) -> None:
    write_mixed(tmp_path / "in")
    rows = listed(tmp_path / "in")
    alone, spread = (BatchSettings(quality=55, folder=tmp_path / name) for name in ("alone", "spread"))
    first = runner_for(rows, alone).run()
    workers = TwoWorkers(spread, LOCAL, "cpu")
    second = runner_for(rows, spread, workers=workers).run()
    assert contents(tmp_path / "alone") == contents(tmp_path / "spread")
    assert [report.state for report in first.reports()] == [report.state for report in second.reports()]
    assert not ray.is_initialized()


def test_a_worker_that_is_lost_costs_one_retry(tmp_path: Path) -> None:
    for number in range(6):
        write_photo(tmp_path / f"in/{number}.png", number)
    settings = BatchSettings(folder=tmp_path / "out")
    workers = KillsOnce(settings, LOCAL, "cpu")
    totals = runner_for(listed(tmp_path / "in"), settings, workers=workers).run()
    assert workers.killed
    assert [report.state for report in totals.reports()] == ["done"] * 6


def test_a_model_that_is_not_there_is_told(tmp_path: Path) -> None:
    settings = BatchSettings(model="photo-codek", folder=tmp_path / "out")
    rows = listed(write_photo(tmp_path / "a.png"), write_photo(tmp_path / "b.png"))
    with pytest.raises(UsageError, match="no model 'photo-codek'"):
        runner_for(rows, settings, workers=TwoWorkers(settings, LOCAL, "cpu")).run()
    assert not ray.is_initialized()
