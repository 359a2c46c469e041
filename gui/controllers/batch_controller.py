"""Compressing many photos into one folder: a table of rows and the job that fills it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot

from engine.errors import Cancelled, LatentStudioError
from engine.progress import CancelToken, Progress, ProgressCallback

if TYPE_CHECKING:
    from gui.services.context import Services
    from gui.services.jobs import Job

FILE_SUFFIX = ".lsi"


@dataclass(frozen=True)
class BatchRow:
    """One file of the batch.

    Attributes:
        source: the photo; never changed.
        relative: where its result goes below the target folder, without suffix; keeps the tree of a dropped folder.
        state: "waiting", "running", "done", "failed" or "cancelled".
        before, after: bytes of the photo and of its compressed file; None until known.
        psnr: decibels of the decoded result; None until known.
        target: the file written.
        problem: why it failed, for people.
    """

    source: Path
    relative: Path
    state: str = "waiting"
    before: int | None = None
    after: int | None = None
    psnr: float | None = None
    target: Path | None = None
    problem: str = ""


@dataclass(frozen=True)
class BatchOrder:
    """How to compress: quality 0..100, the model's registry name (None = default), metadata kept."""

    quality: float = 50.0
    model: str | None = None
    keep_metadata: bool = True


@dataclass(frozen=True)
class _RowReport:
    """How row `index` looks now; travels from the engine thread as a partial result."""

    index: int
    row: BatchRow


class BatchController(QObject):
    """Rows, target folder and the running job of a batch.

    Signals:
        rows_reset(): rows were added or removed.
        row_changed(int): the row with this index differs now.
        changed(): target folder or running state differ now.
    """

    rows_reset = Signal()
    row_changed = Signal(int)
    changed = Signal()

    def __init__(self, services: Services, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._services = services
        self._rows: list[BatchRow] = []
        self._target: Path | None = None
        self._job: Job | None = None

    @property
    def rows(self) -> list[BatchRow]:
        """The files of the batch, in the order they were added."""
        return self._rows

    @property
    def target(self) -> Path | None:
        """The folder that results go to."""
        return self._target

    @property
    def running(self) -> bool:
        """True while the job works or waits for its turn."""
        return self._job is not None

    @property
    def fraction(self) -> float:
        """Share of the running job that is done, 0..1."""
        return self._job.fraction if self._job is not None else 0.0

    @property
    def waiting(self) -> int:
        """Rows that a start would work on."""
        return sum(row.state != "done" for row in self._rows)

    def summary(self) -> str:
        """One line on the whole batch: counts and total saving."""
        done = [row for row in self._rows if row.state == "done"]
        failed = sum(row.state == "failed" for row in self._rows)
        parts = [f"{len(self._rows)} file{'' if len(self._rows) == 1 else 's'}"]
        if done:
            before, after = sum(row.before or 0 for row in done), sum(row.after or 0 for row in done)
            saving = f", {100 * after / before:.1f} % of {before / 1e6:.2f} MB" if before else ""
            parts.append(f"{len(done)} done{saving}")
        if failed:
            parts.append(f"{failed} failed")
        return " · ".join(parts)

    def add_paths(self, paths: Iterable[Path]) -> None:
        """Add files, and every picture below folders. The walk runs in the background."""
        task = self._services.host.run(partial(_collect, tuple(paths)), engine=False)
        task.succeeded.connect(self._on_collected)
        task.failed.connect(self._on_collect_failed)

    def set_target(self, folder: Path) -> None:
        """Choose the folder that results go to; it is created when the first result is written."""
        self._target = folder
        self.changed.emit()

    def clear(self) -> None:
        """Empty the table. Not while the job runs."""
        if not self.running:
            self._rows.clear()
            self.rows_reset.emit()
            self.changed.emit()

    def start(self, order: BatchOrder) -> None:
        """Compress every row that is not done, with the settings of `order`."""
        pending = [(index, row) for index, row in enumerate(self._rows) if row.state != "done"]
        if self.running or self._target is None or not pending:
            return
        for index, row in pending:
            self._rows[index] = replace(row, state="waiting", problem="")
        self.rows_reset.emit()
        taken = {row.target for row in self._rows if row.target is not None}
        work = partial(_compress_rows, pending, self._target, taken, order)
        count = len(pending)
        job = self._services.jobs.submit(f"Compress {count} photo{'' if count == 1 else 's'}", work)
        self._job = job
        job.partial.connect(self._on_partial)
        job.changed.connect(self._on_job_changed)
        job.finished.connect(self._on_finished)
        job.failed.connect(self._on_failed)
        job.cancelled.connect(self._on_cancelled)
        self.changed.emit()

    def cancel(self) -> None:
        """Stop after at most one unit of work; finished rows stay."""
        if self._job is not None:
            self._job.cancel()

    @Slot(object)
    def _on_collected(self, found: list[BatchRow]) -> None:
        known = {row.source for row in self._rows}
        added = [row for row in found if row.source not in known]
        if not found:
            self._services.notices.info("No pictures were found there.")
        self._rows.extend(added)
        if self._target is None and added:
            self._target = added[0].source.parent / "compressed"
        self.rows_reset.emit()
        self.changed.emit()

    @Slot(object)
    def _on_collect_failed(self, error: Exception) -> None:
        self._services.notices.error(error, "The files cannot be listed")

    @Slot(object)
    def _on_partial(self, report: object) -> None:
        if isinstance(report, _RowReport):
            self._rows[report.index] = report.row
            self.row_changed.emit(report.index)

    @Slot()
    def _on_job_changed(self) -> None:
        self.changed.emit()

    @Slot()
    def _on_cancelled(self) -> None:
        self._end()

    @Slot(object)
    def _on_finished(self, _result: object) -> None:
        self._end()
        failed = sum(row.state == "failed" for row in self._rows)
        text = f"Batch finished: {self.summary()}."
        if failed:
            self._services.notices.info(text)
        else:
            self._services.notices.success(text)

    @Slot(object)
    def _on_failed(self, error: Exception) -> None:
        self._end()
        self._services.notices.error(error, "The batch stopped")

    def _end(self) -> None:
        """The job is over: rows it did not come to are marked."""
        self._job = None
        for index, row in enumerate(self._rows):
            if row.state in ("waiting", "running"):
                self._rows[index] = replace(row, state="cancelled")
                self.row_changed.emit(index)
        self.changed.emit()


def _collect(paths: tuple[Path, ...]) -> list[BatchRow]:
    """Rows for `paths`: files as they are, folders walked for pictures, hidden entries left out."""
    from engine.image import PICTURE_SUFFIXES

    rows = []
    for path in paths:
        if not path.is_dir():
            rows.append(BatchRow(path, Path(path.stem)))
            continue
        for folder, children, names in os.walk(path):
            children[:] = sorted(name for name in children if not name.startswith("."))
            for name in sorted(names):
                source = Path(folder) / name
                if source.suffix.lower() in PICTURE_SUFFIXES and not name.startswith("."):
                    rows.append(BatchRow(source, Path(path.name) / source.relative_to(path).with_suffix("")))
    return rows


def _compress_rows(
    pending: list[tuple[int, BatchRow]],
    folder: Path,
    taken: set[Path],
    order: BatchOrder,
    progress: ProgressCallback,
    cancel: CancelToken,
) -> None:
    """The job: one file after the other; a file that fails is reported in its row and the next one follows."""
    from engine.compression import EncodeSettings
    from engine.compression.files import compress_file

    settings = EncodeSettings(quality=order.quality, model=order.model, keep_metadata=order.keep_metadata)
    units = 1000  # progress within a file is finer than whole files

    def tell(position: int, message: str, row: BatchRow | None = None, within: float = 0.0) -> None:
        partial_result = None if row is None else _RowReport(pending[position][0], row)
        done = int((position + within) * units)
        progress(Progress(done, len(pending) * units, message, partial_result))

    for position, (_, row) in enumerate(pending):
        cancel.raise_if_cancelled()
        message = f"{row.source.name} ({position + 1} of {len(pending)})"
        tell(position, message, replace(row, state="running", problem=""))
        target = _free_target(folder / row.relative, taken)
        taken.add(target)
        try:
            report = compress_file(
                row.source, target, settings, progress=_inner(tell, position, message), cancel=cancel
            )
        except Cancelled:
            raise
        except LatentStudioError as error:
            finished = replace(row, state="failed", problem=str(error))
        except Exception as error:  # a fault of ours in one file must not take the other files along
            finished = replace(row, state="failed", problem=f"Unexpected fault: {type(error).__name__}: {error}")
        else:
            finished = replace(
                row,
                state="done",
                before=report.original_bytes,
                after=report.compressed_bytes,
                psnr=report.psnr,
                target=target,
                problem="",
            )
        tell(position, message, finished, 1.0)


def _inner(tell: Callable[..., None], position: int, message: str) -> ProgressCallback:
    """Maps the progress within one file to progress of the batch."""

    def report(progress: Progress) -> None:
        tell(position, message, None, progress.fraction)

    return report


def _free_target(stem: Path, taken: set[Path]) -> Path:
    """A name that no file has and no other row will get: nothing is ever overwritten by a batch."""
    target = stem.with_name(stem.name + FILE_SUFFIX)
    number = 2
    while target in taken or target.exists():
        target = stem.with_name(f"{stem.name} ({number}){FILE_SUFFIX}")
        number += 1
    return target
