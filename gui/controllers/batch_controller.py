"""A batch in the window: its rows, what is to be done with them, and the job that does it."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from engine.batch.journal import Record, journal_path, unfinished
from engine.batch.plan import Row, list_rows
from engine.batch.reports import FINISHED, RowReport, Totals
from engine.batch.settings import FORMATS, LOSSLESS_FORMATS, BatchSettings
from engine.compression.settings import Target, TargetKind
from engine.errors import LatentStudioError
from engine.progress import CancelToken, ProgressCallback
from gui.controllers.compress_settings import CODEC_NAMES, SharedSettings, SideSettings
from gui.controllers.wording import target_in_words
from gui.services.jobs import remaining_text

if TYPE_CHECKING:
    from engine.batch.runner import Pause
    from gui.services.context import Services
    from gui.services.jobs import Job

SETTINGS_KEY = "batch"
# In place of a format: side B of the page as it is set.
PAGE = "page"
# What a batch aims at, with the value that a new choice of it begins with.
AIMS = {"quality": 75.0, "size": 200.0, "bpp": 1.0, "psnr": 38.0, "ms-ssim": 0.98}
# Milliseconds between two looks at what workers have told; whatever they tell, the window is not asked more often.
LOOK_INTERVAL = 100
# Rows that are put into the table at one look, so that the window goes on answering.
MOST_AT_ONCE = 1000


@dataclass(frozen=True)
class BatchOrder:
    """How the page compresses: what its side B is set to, and what holds for both sides. Of the latter a batch takes
    all but crop and focus, which belong to one photo."""

    side: SideSettings = SideSettings()  # noqa: RUF009 - frozen
    shared: SharedSettings = SharedSettings()  # noqa: RUF009 - frozen

    def summary(self, codec: bool) -> str:
        """In words; `codec`: with what the side is set to."""
        side, shared = self._own_side, self.shared
        parts = []
        if codec:
            parts.append(CODEC_NAMES[side.codec])
            if side.target is not None:
                parts.append(f"to {target_in_words(side.target)}")
            else:
                parts.append("lossless" if side.exact else f"quality {side.quality:g}")
            if side.effort is not None:
                parts.append(f"effort {side.effort}")
        if shared.longest_side is not None:
            parts.append(f"at most {shared.longest_side:,} pixels a side")
        elif any(shared.size):
            parts.append("resized")
        parts.append("metadata kept" if shared.keep_metadata else "no metadata")
        if shared.keep_metadata and shared.keep_place:
            parts.append("place kept")
        if not shared.keep_profile:
            parts.append("sRGB")
        return ", ".join(parts)

    def settings(self) -> BatchSettings:
        """The settings of a batch that does what the page does. Raises `UsageError` for what makes no sense."""
        side = self._own_side
        return replace(
            self.shared_settings(side.codec),
            quality=side.quality,
            target=side.target,
            model=side.model,
            effort=side.effort,
            subsampling=side.subsampling,
            lossless=side.lossless,
        )

    def shared_settings(self, format: str) -> BatchSettings:
        """The settings of a batch in a format of its own."""
        from engine.compression.preparation import Preparation

        shared = self.shared
        longest, width, height, percent = shared.size
        return BatchSettings(
            format=format,
            keep_metadata=shared.keep_metadata,
            keep_place=shared.keep_place,
            keep_profile=shared.keep_profile,
            preparation=Preparation(None, width, height, shared.resample, longest, percent)
            if any(shared.size)
            else None,
        )

    @property
    def _own_side(self) -> SideSettings:
        """Side B, as far as it makes files and follows nothing but itself."""
        return replace(self.side, same_size=False) if self.side.makes_file else SideSettings()


@dataclass(frozen=True)
class BatchRow:
    """One file of the batch.

    Attributes:
        source: the photo; never changed.
        relative: where its result goes below the target folder, without suffix; keeps the tree of a dropped folder.
        state: "waiting", "running", "done", "copied", "failed" or "cancelled".
        before, after: bytes of the photo and of its result; None until known.
        psnr: decibels of the decoded result; None until known.
        ms_ssim: 0..1; None until known.
        target: the file written.
        problem: why it failed, or what else is to be said of it.
    """

    source: Path
    relative: Path
    state: str = "waiting"
    before: int | None = None
    after: int | None = None
    psnr: float | None = None
    ms_ssim: float | None = None
    target: Path | None = None
    problem: str = ""


@dataclass(frozen=True)
class BatchChoice:
    """What the person chose for the batch.

    Attributes:
        format: `PAGE` or one of `FORMATS`.
        aim: one of `AIMS`; without effect for `PAGE`.
        value: what is aimed at: a quality, kB, bits per pixel, dB, or 0..1.
        suffix: put between names and endings.
        skip_gain: percent; originals are copied where they would not become smaller by so much. Below 0: never.
        jobs: files at a time.
    """

    format: str = PAGE
    aim: str = "quality"
    value: float = AIMS["quality"]
    suffix: str = ""
    skip_gain: float = -1.0
    jobs: int = 1

    def settings(self, order: BatchOrder, folder: Path | None) -> BatchSettings:
        """The batch's settings with what the page adds. Raises `UsageError` for what makes no sense."""
        gain = None if self.skip_gain < 0 else self.skip_gain
        where = {"folder": folder, "suffix": self.suffix, "skip_gain": gain}
        if self.format == PAGE:
            return replace(order.settings(), **where)
        wanted = order.shared_settings(self.format)
        if self.aim == "quality" or self.format in LOSSLESS_FORMATS:
            return replace(wanted, quality=self.value if self.aim == "quality" else wanted.quality, **where)
        value = self.value * 1000 if self.aim == "size" else self.value
        return replace(wanted, target=Target(cast(TargetKind, self.aim), value), **where)


class BatchController(QObject):
    """Rows, choice, target folder and the running job of a batch.

    Attributes:
        totals: over the rows that something is known of.

    Signals:
        rows_reset(): the rows are others now.
        rows_added(int, int): rows were added, from the first to the last of these indices.
        rows_changed(object): a list of the indices of rows that differ now; at most ten times a second.
        changed(): choice, target folder or the state of the run differ now.
    """

    rows_reset = Signal()
    rows_added = Signal(int, int)
    rows_changed = Signal(object)
    changed = Signal()

    def __init__(self, services: Services, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._services = services
        self._rows: list[BatchRow] = []
        self._reports: dict[int, RowReport] = {}
        self._known: set[Path] = set()
        self._target: Path | None = None
        self._suggested: Path | None = None
        self._choice = self._stored_choice()
        self._resumed: BatchSettings | None = None
        self._order = BatchOrder()
        self._job: Job | None = None
        self._pause: Pause | None = None
        self._listing: CancelToken | None = None
        self._stopped = ""
        self.totals = Totals()
        # Filled by worker threads, emptied by the timer: they need not know this object.
        self._found: deque[list[Row]] = deque()
        self._told: deque[RowReport] = deque()
        self._timer = QTimer(self)
        self._timer.setInterval(LOOK_INTERVAL)
        self._timer.timeout.connect(self._look)
        self._look_for_unfinished()

    @property
    def rows(self) -> list[BatchRow]:
        """The files of the batch, in the order they were added."""
        return self._rows

    @property
    def target(self) -> Path | None:
        """The folder that results go to."""
        return self._target

    @property
    def order_words(self) -> str:
        """What the page has a part in: all, or all but the format."""
        if self._resumed is not None:
            return "Goes on as it began"
        codec = self._choice.format == PAGE
        return f"{'As side B: ' if codec else ''}{self._order.summary(codec)}; crop and focus are left out"

    @property
    def choice(self) -> BatchChoice:
        """What the person chose."""
        return self._choice

    @property
    def running(self) -> bool:
        """True while the job works or waits for its turn."""
        return self._job is not None

    @property
    def paused(self) -> bool:
        """True from `pause` until it goes on."""
        return self._job is not None and self._pause is not None and self._pause.paused

    @property
    def listing(self) -> bool:
        """True while folders are read."""
        return self._listing is not None

    @property
    def fraction(self) -> float:
        """Share of the running job that is done, 0..1."""
        return self._job.fraction if self._job is not None else 0.0

    @property
    def waiting(self) -> int:
        """Rows that a start would work on."""
        return len(self._rows) - self.totals.finished

    @property
    def stopped(self) -> str:
        """Why the last run ended before its time, for example a full disk; "" where it did not."""
        return self._stopped

    def summary(self) -> str:
        """One line on the whole batch: counts, total saving, time left."""
        totals = self.totals
        parts = [f"{len(self._rows):,} file{'' if len(self._rows) == 1 else 's'}{'…' if self.listing else ''}"]
        if totals.finished:
            copied = f" ({totals.count('copied'):,} copied)" if totals.count("copied") else ""
            parts.append(f"{totals.finished:,} done{copied}")
        if totals.count("failed"):
            parts.append(f"{totals.count('failed'):,} failed")
        if totals.before:
            parts.append(f"{100 * totals.after / totals.before:.1f} % of {totals.before / 1e6:.2f} MB")
        if self.paused:
            parts.append("paused" if not totals.count("running") else "pausing after the files in work")
        elif self._job is not None:
            parts.append(remaining_text(self._job.eta_seconds) or "working")
        return " · ".join(parts)

    # -- what the person does

    def add_paths(self, paths: Iterable[Path]) -> None:
        """Add files, and every picture below folders. Folders are read in the background, rows appear as they come."""
        token = self._listing = CancelToken()
        task = self._services.host.run(partial(_list, tuple(paths), self._found, token), engine=False)
        task.succeeded.connect(self._on_listed)
        task.failed.connect(self._on_list_failed)
        self._timer.start()
        self.changed.emit()

    def set_target(self, folder: Path) -> None:
        """Choose the folder that results go to; it is created when the batch starts."""
        self._target = folder
        self._resumed = None if self._resumed is None else replace(self._resumed, folder=folder)
        self.changed.emit()

    def set_choice(self, **changes: Any) -> None:
        """Change fields of the choice; a new format or aim brings the value it begins with."""
        wanted = replace(self._choice, **changes)
        if wanted.aim != self._choice.aim and "value" not in changes:
            wanted = replace(wanted, value=AIMS[wanted.aim])
        if wanted != self._choice:
            if set(changes) - {"jobs"}:
                self._resumed = None
            self._choice = wanted
            self._services.settings.set_page(SETTINGS_KEY, **asdict(wanted))
            self.changed.emit()

    def clear(self) -> None:
        """Empty the table, and do not offer this batch again. Not while the job runs."""
        if not self.running:
            if self._listing is not None:
                self._listing.cancel()
            self._found.clear()
            self._replace_rows([], {})
            self._stopped, self._resumed = "", None
            self._remember(None)

    def set_order(self, order: BatchOrder) -> None:
        """The page is set like this now; a batch that is running goes on as it began."""
        if order != self._order:
            self._order = order
            self.changed.emit()

    def start(self, *, failed_only: bool = False) -> None:
        """Work on every row that is not done; `failed_only` leaves out rows that nothing was tried with yet."""
        chosen = [
            index
            for index, row in enumerate(self._rows)
            if row.state not in FINISHED and (not failed_only or row.state == "failed")
        ]
        if self.running or self._target is None or not chosen:
            return
        try:
            settings = self._resumed or self._choice.settings(self._order, self._target)
        except LatentStudioError as error:
            self._services.notices.error(error, "The batch cannot start")
            return
        from engine.batch.runner import Pause

        self._stopped, self._pause = "", Pause()
        self._apply([RowReport(index, "waiting") for index in chosen])
        journal = journal_path(self._target)
        rows = [Row(row.source, row.relative, row.before) for row in self._rows]
        done = [report for report in self._reports.values() if report.state in FINISHED]
        work = partial(_run, rows, settings, done, chosen, self._choice.jobs, journal, self._pause, self._told)
        self._remember(journal)
        job = self._services.jobs.submit(f"Compress {len(chosen)} photo{'' if len(chosen) == 1 else 's'}", work)
        self._job = job
        job.changed.connect(self._on_job_changed)
        job.finished.connect(self._on_finished)
        job.failed.connect(self._on_failed)
        job.cancelled.connect(self._on_cancelled)
        self._timer.start()
        self.changed.emit()

    def retry_failed(self) -> None:
        """Work on the rows that failed, with the settings of the last start."""
        self.start(failed_only=True)

    def pause(self) -> None:
        """Begin no new file; those in work are brought to their end."""
        if self._job is not None and self._pause is not None:
            self._pause.pause()
            self.changed.emit()

    def resume(self) -> None:
        """Go on after `pause`."""
        if self._pause is not None:
            self._pause.resume()
            self.changed.emit()

    def cancel(self) -> None:
        """Stop after at most one unit of work; finished rows stay."""
        if self._job is not None:
            self._job.cancel()

    # -- a batch that an earlier run of the program did not finish

    def _look_for_unfinished(self) -> None:
        path = self._services.settings.page(SETTINGS_KEY).get("journal")
        if isinstance(path, str) and path:
            task = self._services.host.run(partial(_find_unfinished, Path(path)), engine=False)
            task.succeeded.connect(self._on_unfinished)

    @Slot(object)
    def _on_unfinished(self, found: tuple[Record, list[RowReport]] | None) -> None:
        if found is None:
            self._remember(None)
            return
        record, done = found
        text = f"{len(done):,} of {len(record.rows):,} files are done. Results go to {record.path.parent}."
        take_up, forget = partial(self._take_up, record, done), partial(self._remember, None)
        self._services.notices.info(text, ("Show", take_up), ("Forget", forget), title="A batch was not finished")

    def _take_up(self, record: Record, done: list[RowReport]) -> None:
        """Fill the table with an unfinished batch; start then goes on with its own settings."""
        settings = record.settings
        if self.running or settings is None:
            return
        rows = [BatchRow(row.source, row.stem, before=row.size) for row in record.rows]
        self._choice = _choice_of(settings, self._choice.jobs)
        self._target, self._resumed = settings.folder, settings
        self._replace_rows(rows, {report.index: report for report in done})

    def _remember(self, journal: Path | None) -> None:
        self._services.settings.set_page(SETTINGS_KEY, journal="" if journal is None else str(journal))

    def _stored_choice(self) -> BatchChoice:
        stored = self._services.settings.page(SETTINGS_KEY)
        plain: dict[str, Any] = {"jobs": default_jobs()}
        plain |= {field.name: stored[field.name] for field in fields(BatchChoice) if field.name in stored}
        try:
            choice = BatchChoice(**plain)
            known = choice.format in (PAGE, *FORMATS) and choice.aim in AIMS and choice.jobs >= 1 and choice.value >= 0
            if known and choice.skip_gain < 100 and isinstance(choice.suffix, str):
                return choice
        except TypeError:  # an older version stored something else
            pass
        return BatchChoice(jobs=default_jobs())

    # -- what comes from the background

    @Slot()
    def _look(self) -> None:
        """Take in what was found and told since the last look."""
        self._take_in(MOST_AT_ONCE)
        told = [self._told.popleft() for _ in range(len(self._told))]
        if told:
            self._apply(told)
            self.changed.emit()
        if self._job is None and self._listing is None and not self._found:
            self._timer.stop()

    def _take_in(self, most: int) -> None:
        first = len(self._rows)
        while self._found and len(self._rows) - first < most:
            for row in self._found.popleft():
                if self._target is None:
                    self._target = self._suggested = row.source.parent / "compressed"
                # Neither a file that is there already nor what an earlier batch wrote into the suggested folder.
                if row.source not in self._known and self._suggested not in row.source.parents:
                    self._known.add(row.source)
                    self._rows.append(BatchRow(row.source, row.stem, before=row.size))
        if len(self._rows) > first:
            if first:
                self.rows_added.emit(first, len(self._rows) - 1)
            else:
                self.rows_reset.emit()
            self.changed.emit()

    @Slot(object)
    def _on_listed(self, outcome: tuple[CancelToken, int, list[LatentStudioError]]) -> None:
        token, count, problems = outcome
        if token is self._listing:
            self._listing = None
        for problem in problems:
            self._services.notices.error(problem)
        if not count and not token.cancelled:
            self._services.notices.info("No pictures were found there.")
        self._take_in(MOST_AT_ONCE)
        self.changed.emit()

    @Slot(object)
    def _on_list_failed(self, error: Exception) -> None:
        self._listing = None
        self._services.notices.error(error, "The files cannot be listed")
        self.changed.emit()

    @Slot()
    def _on_job_changed(self) -> None:
        self.changed.emit()

    @Slot()
    def _on_cancelled(self) -> None:
        self._end("cancelled")

    @Slot(object)
    def _on_finished(self, stopped: str) -> None:
        self._stopped = stopped
        self._end("waiting")
        if stopped:
            self._services.notices.error(LatentStudioError(stopped), "The batch stopped")
            return
        if not self.waiting or self.totals.finished + self.totals.count("failed") == len(self._rows):
            self._remember(None)
        text = f"Batch finished: {self.summary()}."
        if self.totals.count("failed"):
            self._services.notices.info(text)
        else:
            self._services.notices.success(text)

    @Slot(object)
    def _on_failed(self, error: Exception) -> None:
        self._stopped = str(error)
        self._end("waiting")
        self._services.notices.error(error, "The batch stopped")

    def _end(self, state: str) -> None:
        """The job is over: rows it was at are marked, and after a cancel those it did not come to."""
        self._job = self._pause = None
        self._apply([self._told.popleft() for _ in range(len(self._told))])
        left = ("running", "waiting") if state == "cancelled" else ("running",)
        marked = [RowReport(i, cast(Any, state)) for i, row in enumerate(self._rows) if row.state in left]
        self._apply(marked)
        self.changed.emit()

    # -- rows

    def _replace_rows(self, rows: list[BatchRow], reports: dict[int, RowReport]) -> None:
        self._rows = rows
        self._known = {row.source for row in rows}
        self._reports, self.totals = {}, Totals()
        self._put(list(reports.values()))
        self.rows_reset.emit()
        self.changed.emit()

    def _apply(self, reports: list[RowReport]) -> None:
        if reports:
            self.rows_changed.emit(self._put(reports))

    def _put(self, reports: list[RowReport]) -> list[int]:
        """Bring reports into the rows; the indices of those that differ now."""
        changed: dict[int, None] = {}
        for report in reports:
            row, result = self._rows[report.index], report.result
            row = replace(row, state=report.state, problem=report.problem, after=None, psnr=None, ms_ssim=None)
            if result is not None:
                row = replace(
                    row, before=result.before, after=result.after, psnr=result.psnr, ms_ssim=result.ms_ssim,
                    target=result.target,
                )  # fmt: skip
            self._rows[report.index] = row
            self._reports[report.index] = report
            self.totals.add(report)
            changed[report.index] = None
        return list(changed)


def default_jobs() -> int:
    """Files at a time that leave the window a core; at most 4, as each process holds a model and a photo."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(4, max(1, cores - 1))


def _choice_of(settings: BatchSettings, jobs: int) -> BatchChoice:
    """The choice that gives these settings."""
    target = settings.target
    aim, value = ("quality", settings.quality) if target is None else (target.kind, target.value)
    value = value / 1000 if aim == "size" else value
    gain = -1.0 if settings.skip_gain is None else settings.skip_gain
    return BatchChoice(settings.format, aim, value, settings.suffix, gain, jobs)


# In the background: nothing here knows an object of the window.


def _list(
    paths: tuple[Path, ...], found: deque[list[Row]], cancel: CancelToken
) -> tuple[CancelToken, int, list[LatentStudioError]]:
    """Put the rows of `paths` into `found` as they come; returns the token, how many there were, and problems."""
    from engine.image import PICTURE_SUFFIXES

    count, problems = 0, []
    for portion in list_rows(paths, PICTURE_SUFFIXES, keep_root=True, unreadable=problems.append):
        if cancel.cancelled:
            break
        found.append(portion)
        count += len(portion)
    return cancel, count, problems


def _find_unfinished(path: Path) -> tuple[Record, list[RowReport]] | None:
    """An unfinished batch and what of it is done."""
    record = unfinished(path)
    if record is None or record.settings is None:
        return None
    return record, record.finished(record.rows, record.settings)


def _run(
    rows: list[Row],
    settings: BatchSettings,
    done: list[RowReport],
    chosen: list[int],
    jobs: int,
    journal: Path,
    pause: Pause,
    told: deque[RowReport],
    progress: ProgressCallback,
    cancel: CancelToken,
) -> str:
    """The job: returns why it ended before its time, or ""."""
    from engine.batch.runner import BatchRunner, prepare

    prepared = prepare(rows, settings, existing="number", journal=journal, resume=True, done=done)
    runner = BatchRunner(
        prepared, settings, jobs=jobs, report=told.extend, progress=progress, cancel=cancel, pause=pause, only=chosen
    )
    runner.run()
    return runner.stopped
