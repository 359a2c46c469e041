"""What `compress` does with the files it was given: lists them, runs the batch with a bar, prints what came of it."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.markup import escape
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Table

from engine.commands.console import Outcome, device_wish, errors, finish, output, print_json, table, threads_wish
from engine.errors import LatentStudioError, UsageError

if TYPE_CHECKING:
    from engine.batch.plan import Row
    from engine.batch.reports import FileResult, RowReport
    from engine.batch.runner import BatchRunner, Prepared
    from engine.batch.settings import BatchSettings
    from engine.progress import Progress

# A table of more files than this helps nobody in a terminal.
_MOST_SHOWN = 100


@dataclass(frozen=True)
class BatchOptions:
    """How a batch runs, apart from what it does with each file.

    Attributes:
        out: a folder, or for a single photo a file; None is beside each photo.
        jobs: files at a time.
        resume: leave out what an earlier run finished.
        shard: number and count of the part that this call does; None is everything.
        report: CSV file to write at the end.
        overwrite: replace results that exist.
        as_json: print JSON instead of a table.
        ray: address of a Ray cluster whose machines do the work; None is this one.
    """

    out: Path | None = None
    jobs: int = 1
    resume: bool = False
    shard: tuple[int, int] | None = None
    report: Path | None = None
    overwrite: bool = False
    as_json: bool = False
    ray: str | None = None


def run_batch(photos: Sequence[str], settings: BatchSettings, options: BatchOptions) -> None:
    """Compress photos and end the command with its exit code.

    Raises:
        UsageError: several photos and one file to write; or the settings name what is not there.
    """
    from engine.batch.runner import BatchRunner

    outcome = Outcome()
    prepared, settings = _prepare(photos, settings, options, outcome)
    shown = _Shown(prepared, outcome)
    workers = None
    if options.ray is not None:
        from engine.batch.ray_workers import RayWorkers

        workers = RayWorkers(settings, options.ray, device_wish(), threads_wish())
    runner = BatchRunner(
        prepared,
        settings,
        jobs=options.jobs,
        device=device_wish(),
        threads=threads_wish(),
        report=shown.on_reports,
        progress=shown.on_progress,
        workers=workers,
    )
    try:
        with shown.bars:
            runner.run()
    except KeyboardInterrupt:
        _conclude(runner, prepared, options, outcome)
        errors.print(f"Stopped after {runner.totals.finished} of {len(prepared.rows)} files; --resume goes on.")
        raise typer.Exit(1) from None
    left = len(prepared.rows) - runner.totals.finished - runner.totals.count("failed")
    if left:
        problem = LatentStudioError(f"The batch stopped, {left} files were not begun.", "Run it again with --resume.")
        outcome.fail(str(settings.folder or prepared.journal), problem)
    _conclude(runner, prepared, options, outcome)
    _print_figures(runner, prepared, settings, options, outcome)
    finish(outcome)


def _prepare(
    photos: Sequence[str], settings: BatchSettings, options: BatchOptions, outcome: Outcome
) -> tuple[Prepared, BatchSettings]:
    from engine.batch.journal import journal_path
    from engine.batch.runner import prepare

    out, inputs = options.out, [Path(photo) for photo in photos]
    is_file = out is not None and out.suffix.lower() == settings.ending and not out.is_dir()
    settings = replace(settings, folder=None if is_file else out)
    journal = journal_path(settings.folder, inputs, options.shard)
    rows = _list(photos, settings.folder, journal, outcome)
    if is_file and len(rows) > 1:
        raise UsageError(f"{len(rows)} files cannot all be written to {out}.", "Give a folder.")
    if is_file and (options.resume or options.shard):
        raise UsageError("--resume and --shard need a folder for the results.", "Give one by --out.")
    prepared = prepare(
        rows,
        settings,
        existing="replace" if options.overwrite else "refuse",
        journal=journal if len(rows) > 1 or options.resume else None,
        resume=options.resume,
        shard=options.shard,
    )
    if out is not None and is_file:
        tasks = [replace(task, target=out, copy=out.with_suffix(task.source.suffix)) for task in prepared.tasks]
        prepared = replace(prepared, tasks=tasks)
    return prepared, settings


def _list(photos: Iterable[str], folder: Path | None, journal: Path, outcome: Outcome) -> list[Row]:
    """The rows of a command line: files, folders and patterns. Results of the batch itself are left out of folders."""
    from engine.batch.journal import read_journal
    from engine.batch.plan import distinct, list_rows, normal
    from engine.image import PICTURE_SUFFIXES

    record = read_journal(journal)
    ours = set() if record is None else record.ours()
    rows: list[Row] = []
    for photo in photos:
        path, complaints = Path(photo), len(outcome.failed)
        if not path.exists() and glob.has_magic(photo):
            # Path.glob takes no absolute pattern.
            matches = sorted(Path(one) for one in glob.glob(photo, recursive=True))  # noqa: PTH207
            paths = [one for one in matches if one.is_file()]
            if not matches:
                outcome.fail(photo, LatentStudioError(f"No file matches {photo}.", "Check the pattern."))
        else:
            paths = [path]
        unreadable = partial(outcome.fail, photo)
        found = [row for part in list_rows(paths, PICTURE_SUFFIXES, unreadable=unreadable) for row in part]
        if path.is_dir():
            # A target folder inside the folder of the photos must not be compressed again and again.
            inside = folder is not None and normal(folder) != normal(path)
            below = Path(normal(folder)) if inside and folder is not None else None
            found = [
                row
                for row in found
                if normal(row.source) not in ours
                and not (below is not None and Path(normal(row.source)).is_relative_to(below))
            ]
            if not found and len(outcome.failed) == complaints:
                outcome.fail(path, LatentStudioError(f"The folder {path} holds no file that fits.", "Name a file."))
        rows += found
    return distinct(rows)


class _Shown:
    """The progress bar, and the lines that single files give rise to."""

    def __init__(self, prepared: Prepared, outcome: Outcome) -> None:
        from engine.batch.reports import Totals

        self._prepared, self._outcome = prepared, outcome
        self._totals = Totals()
        columns = (
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[files]}"),
            TextColumn("{task.fields[saved]}"), TimeRemainingColumn(),
        )  # fmt: skip
        self.bars = Bars(*columns, console=errors, transient=True, disable=not errors.is_terminal)
        self._task = self.bars.add_task("Compressing", total=None, files="", saved="")

    def on_reports(self, reports: list[RowReport]) -> None:
        """Count them, and say what is worth a line."""
        for report in reports:
            self._totals.add(report)
            source = self._prepared.rows[report.index].source
            if report.state == "failed":
                self._outcome.fail(source, LatentStudioError(report.problem))
            elif report.result is not None and not report.earlier:
                for sentence in _sentences(report.result):
                    errors.print(escape(f"{source}: {sentence}"), soft_wrap=True)
        self._refresh()

    def on_progress(self, now: Progress) -> None:
        """Move the bar."""
        self.bars.update(self._task, completed=now.done, total=now.total)
        self._refresh()

    def _refresh(self) -> None:
        ended = self._totals.finished + self._totals.count("failed")
        saved = f"{self._totals.saved / 1e6:.1f} MB saved"
        self.bars.update(self._task, files=f"{ended}/{len(self._prepared.rows)} files", saved=saved)


def _sentences(result: FileResult) -> list[str]:
    """What is to be said of a file that went well."""
    from engine.compression.lossless import LosslessFile

    found = [result.remark] if result.remark else []
    if result.lossless is not None:
        found.append(LosslessFile(*result.lossless).sentence)
    return found


def _conclude(runner: BatchRunner, prepared: Prepared, options: BatchOptions, outcome: Outcome) -> None:
    """Write the report, also of a batch that was stopped."""
    if options.report is None:
        return
    from engine.batch.reports import write_table

    try:
        write_table(options.report, prepared.rows, runner.totals.reports())
    except LatentStudioError as error:
        outcome.fail(options.report, error)


def _print_figures(
    runner: BatchRunner, prepared: Prepared, settings: BatchSettings, options: BatchOptions, outcome: Outcome
) -> None:
    totals = runner.totals
    finished = [
        (prepared.rows[report.index].source, report.result) for report in totals.reports() if report.result is not None
    ]
    if options.as_json:
        print_json({"files": [_as_plain(*entry) for entry in finished], "failed": outcome.failed})
        return
    if 0 < len(finished) <= _MOST_SHOWN:
        output.print(figures([result for _, result in finished], found_quality=settings.target is not None))
    if len(finished) > 1:
        share = f" ({100 * totals.after / totals.before:.1f} %)" if totals.before else ""
        copied = f", {totals.count('copied')} of them copied" if totals.count("copied") else ""
        failed = f", {totals.count('failed')} failed" if totals.count("failed") else ""
        sizes = f"{totals.before / 1e6:.2f} MB became {totals.after / 1e6:.2f} MB{share}"
        output.print(f"{totals.finished} files{copied}{failed}: {sizes}.", soft_wrap=True)


def _as_plain(source: Path, result: FileResult) -> dict[str, Any]:
    """A result as `--json` prints it."""
    return {
        "source": source,
        "target": result.target,
        "original_bytes": result.before,
        "compressed_bytes": result.after,
        "width": result.width,
        "height": result.height,
        "quality": result.quality,
        "bits_per_pixel": result.bits_per_pixel,
        "psnr": result.psnr,
        "ms_ssim": result.ms_ssim,
        "ssimulacra2": result.ssimulacra2,
        "seconds_encode": result.seconds_encode,
        "seconds_decode": result.seconds_decode,
        "notes": result.notes,
        "lossless": result.lossless and dict(zip(("format", "bytes"), result.lossless, strict=True)),
        "target_note": result.remark,
    }


def figures(results: Sequence[FileResult], found_quality: bool = False) -> Table:
    """The table of results; with the quality of each where it was searched for."""
    quality = ("quality",) if found_quality else ()
    shown = table(
        "file", "bytes before", "bytes", *quality, "bpp", "PSNR dB", "MS-SSIM", "SSIMULACRA2", "encode s", "decode s"
    )
    for result in results:
        shown.add_row(
            escape(str(result.target)),
            f"{result.before:,}",
            f"{result.after:,}",
            *([f"{result.quality:g}"] if found_quality else []),
            f"{result.bits_per_pixel:.3f}",
            f"{result.psnr:.2f}",
            f"{result.ms_ssim:.4f}",
            "-" if result.ssimulacra2 is None else f"{result.ssimulacra2:.1f}",
            f"{result.seconds_encode:.2f}",
            f"{result.seconds_decode:.2f}",
        )
    return shown
