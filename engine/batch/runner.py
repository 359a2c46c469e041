"""The run of a batch: rows are handed to workers, what becomes of them is written down and told."""

from __future__ import annotations

import os
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from engine.batch.journal import Journal, Record, read_journal, remove_parts
from engine.batch.plan import Existing, Row, Task, plan_tasks, shard_of
from engine.batch.reports import RowReport, Totals
from engine.batch.settings import BatchSettings
from engine.batch.workers import Event, OwnProcess, Workers, choose_workers
from engine.errors import OutputError
from engine.progress import CancelToken, Progress, ProgressCallback, ignore_progress, never_cancelled

# Seconds between two looks at whether the batch is to pause or to stop.
_LOOK_SECONDS = 0.1
_FRACTION_UNITS = 100_000


class Pause:
    """A switch that one thread turns and a batch obeys: files in work are brought to their end, no new one is begun."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self._open.set()

    @property
    def paused(self) -> bool:
        """True from `pause` until `resume`."""
        return not self._open.is_set()

    def pause(self) -> None:
        """Begin no new file."""
        self._open.clear()

    def resume(self) -> None:
        """Go on."""
        self._open.set()

    def wait(self, seconds: float) -> None:
        """Return once it goes on, after `seconds` at the latest."""
        self._open.wait(seconds)


@dataclass(frozen=True)
class Prepared:
    """Rows with their tasks, and those of them that an earlier run has done.

    Attributes:
        rows: all of them, or those of one shard.
        tasks: one for each row, in the same order.
        finished: reports of the rows that need not be done.
        journal: where the run is written down; None is nowhere.
        earlier: what that journal says of earlier runs.
    """

    rows: Sequence[Row]
    tasks: Sequence[Task]
    finished: Sequence[RowReport] = ()
    journal: Path | None = None
    earlier: Record | None = None


def prepare(
    rows: Sequence[Row],
    settings: BatchSettings,
    *,
    existing: Existing,
    journal: Path | None = None,
    resume: bool = False,
    shard: tuple[int, int] | None = None,
    done: Sequence[RowReport] = (),
) -> Prepared:
    """Names for the results of all rows, and what is left to do.

    Args:
        rows: of the whole batch, each file once, also where there is a shard: all shards must come to the same names.
        existing: see `plan_tasks`.
        journal: path of the batch's journal.
        resume: leave out what the journal says is finished.
        shard: do only every n-th row (`shard_of`).
        done: reports of rows that are known to be done, whatever the journal says.

    Raises:
        OutputError: the journal is there and cannot be read.
    """
    record = None if journal is None else read_journal(journal)
    if record is None or not resume:
        tasks = plan_tasks(rows, settings, existing)
        found = []
    else:
        same_names = record.settings is None or record.settings.suffix == settings.suffix
        stems = record.stems if same_names else {}
        tasks = plan_tasks(rows, settings, existing, stems=stems, ours=record.ours())
        found = record.finished(rows, settings)
    known = {report.index: report for report in found} | {report.index: report for report in done}
    if shard is None:
        return Prepared(rows, tasks, list(known.values()), journal, record)
    chosen = shard_of(len(rows), shard)
    return Prepared(
        [rows[index] for index in chosen],
        [replace(tasks[index], index=place) for place, index in enumerate(chosen)],
        [replace(known[index], index=place) for place, index in enumerate(chosen) if index in known],
        journal,
        record,
    )


class BatchRunner:
    """Does the tasks of a prepared batch. One bad file, or one killed process, never stops it.

    Args:
        jobs: files at a time: 1 works in this process, more start so many processes.
        device, threads: see `FileWorker`; `threads` of each process, 1 by default where there are several.
        report: given the rows whose state is another now, in the thread of `run`.
        workers: who does the tasks instead of what `jobs` names.
        only: rows to work on, of those that are not finished; None is all of them.

    Attributes:
        totals: over all rows, those finished earlier included.
        stopped: why the run ended before its last row, although nobody asked for it; "" where it did not.
    """

    def __init__(
        self,
        prepared: Prepared,
        settings: BatchSettings,
        *,
        jobs: int = 1,
        device: str | None = None,
        threads: int | None = None,
        report: Callable[[list[RowReport]], None] = lambda reports: None,
        progress: ProgressCallback = ignore_progress,
        cancel: CancelToken | None = None,
        pause: Pause | None = None,
        workers: Workers | None = None,
        only: Collection[int] | None = None,
    ) -> None:
        self._prepared, self._settings = prepared, settings
        self._report, self._progress = report, progress
        self._cancel, self._pause = cancel or never_cancelled(), pause or Pause()
        done = {report.index for report in prepared.finished}
        chosen = set(range(len(prepared.tasks)) if only is None else only) - done
        self._queue = deque(task for task in prepared.tasks if task.index in chosen)
        count = max(1, min(jobs, len(self._queue)))
        self.workers = workers or choose_workers(settings, count, device, threads, self._cancel)
        if isinstance(self.workers, OwnProcess):
            self.workers.tell = self._on_progress
        self._held: dict[int, Task] = {}
        self._fractions: dict[int, float] = {}
        self._lost: set[int] = set()
        self._journal: Journal | None = None
        self._weight = sum(self._weigh(task) for task in self._queue)
        self._weight_done = 0.0
        self._begun = 0
        self._pending = len(self._queue)
        self.totals = Totals()
        self.stopped = ""

    def run(self) -> Totals:
        """Do all rows that are not finished.

        Raises:
            Cancelled: `cancel` was set; what is finished stays, and the journal knows it.
            UsageError: another batch works at the same journal, or the settings name what is not there.
            ModelError, DeviceError: the model or the device cannot be used.
        """
        for row in self._prepared.finished:
            self.totals.add(row)
        if self._prepared.finished:
            self._report(list(self._prepared.finished))
        complete = False
        try:
            if self._begin():
                if self._queue:
                    self.workers.start()
                self._loop()
            complete = self.totals.finished + self.totals.count("failed") == len(self._prepared.rows)
        finally:
            broken = self.workers.stop()
            remove_parts(path for task in broken for path in (task.target, task.copy))
            if self._journal is not None:
                self._journal.close(complete=complete)
        return self.totals

    def _begin(self) -> bool:
        """Make the target folder and the journal; False where that fails, which the first row then tells."""
        prepared, folder = self._prepared, self._settings.folder
        try:
            if folder is not None:
                _make_folder(folder)
            if prepared.journal is not None:
                self._journal = Journal.begin(
                    prepared.journal, self._settings, prepared.rows, prepared.tasks, prepared.finished, prepared.earlier
                )
        except OutputError as error:
            self.stopped = str(error)
            if self._queue:
                self._tell(RowReport(self._queue.popleft().index, "failed", problem=self.stopped))
            return False
        if prepared.earlier is not None:
            remove_parts(prepared.earlier.open_targets.values())
        return True

    def _loop(self) -> None:
        while self._queue or self._held:
            self._cancel.raise_if_cancelled()
            if not self._held and self.stopped:
                return
            if not self._pause.paused and not self.stopped:
                self._hand_out()
            if self._pause.paused and not self._held:
                self._progress(self._now("Paused"))
                self._pause.wait(_LOOK_SECONDS)
                continue
            for event in self.workers.events(_LOOK_SECONDS):
                self._on_event(event)

    def _hand_out(self) -> None:
        for worker in self.workers.idle():
            if not self._queue or self.stopped:
                return
            task = self._queue.popleft()
            if not self._write_down(lambda journal, task=task: journal.began(self._row(task), task.target)):
                self._queue.appendleft(task)
                return
            self._held[task.index] = task
            self._begun += 1
            self._report([RowReport(task.index, "running")])
            self._progress(self._now(f"{task.source.name} ({self._begun} of {self._pending})"))
            self.workers.give(worker, task)

    def _on_event(self, event: Event) -> None:
        if event.kind == "progress":
            self._on_progress(event)
            return
        task = self._held.pop(event.index)
        self._fractions.pop(event.index, None)
        if event.kind == "lost":
            self._on_lost(task)
            return
        self._finish(task, event)

    def _on_progress(self, event: Event) -> None:
        self._fractions[event.index] = event.fraction
        self._progress(self._now())

    def _on_lost(self, task: Task) -> None:
        """Its process was killed, or crashed: it may have been this file's doing, but need not."""
        remove_parts((task.target, task.copy))
        if task.index not in self._lost:
            self._lost.add(task.index)
            self._begun -= 1
            self._queue.appendleft(task)
            return
        problem = (
            f"The process that compressed {task.source} ended twice. "
            "There may be too little memory: use fewer jobs, then retry."
        )
        self._finish(task, Event(0, "done", task.index, problem=problem))

    def _finish(self, task: Task, event: Event) -> None:
        result = event.result
        if result is None:
            report = RowReport(task.index, "failed", problem=event.problem, seconds=event.seconds)
        else:
            state = "copied" if result.copied else "done"
            report = RowReport(task.index, state, result, result.remark, event.seconds)
        self._weight_done += self._weigh(task)
        self._write_down(lambda journal: journal.ended(self._row(task), report))
        self._tell(report)
        if event.output_failed and not self.stopped and not self._target_works():
            self.stopped = event.problem
        self._progress(self._now())

    def _write_down(self, action: Callable[[Journal], None]) -> bool:
        """Write to the journal; a journal that cannot be written stops the batch: it could not be resumed."""
        if self._journal is None:
            return True
        try:
            action(self._journal)
        except OutputError as error:
            self.stopped = self.stopped or str(error)
            return False
        return True

    def _target_works(self) -> bool:
        """Whether the target folder can be written to at all; if not, all further files would fail as this one did."""
        folder = self._settings.folder
        if folder is None:
            return True
        try:
            with tempfile.NamedTemporaryFile(dir=folder, prefix=".latent-studio-") as probe:
                probe.write(bytes(2**16))
                probe.flush()
                os.fsync(probe.fileno())
        except OSError:
            return False
        return True

    def _tell(self, report: RowReport) -> None:
        self.totals.add(report)
        self._report([report])

    def _now(self, message: str = "") -> Progress:
        within = sum(self._weigh(self._held[index]) * part for index, part in self._fractions.items())
        share = (self._weight_done + within) / self._weight if self._weight else 1.0
        return Progress(round(min(1.0, share) * _FRACTION_UNITS), _FRACTION_UNITS, message)

    def _row(self, task: Task) -> Row:
        return self._prepared.rows[task.index]

    def _weigh(self, task: Task) -> float:
        """What a file counts in the progress: its bytes, and something for its being one."""
        return 10_000.0 + (self._prepared.rows[task.index].size or 0)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"The folder {folder} cannot be made: {error.strerror or error}.", "Choose another folder."
        ) from error
