"""What is known of the files of a batch: a result each, a report a row, totals, and a table for other programs."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from engine.batch.plan import Row
from engine.files import write_text

State = Literal["waiting", "running", "done", "copied", "failed", "cancelled"]
FINISHED: tuple[State, ...] = ("done", "copied")


@dataclass(frozen=True)
class FileResult:
    """What compressing one file gave.

    Attributes:
        target: the file that holds the result; the original itself where nothing had to be written.
        copied: the original was kept instead, because the result would not have been small enough.
        before, after: bytes of the original and of `target`.
        modified_ns: when the original was last changed, as it was read.
        width, height: in pixels.
        quality: 0..100, given or found for a target.
        bits_per_pixel: of the whole file.
        psnr: dB; infinite where nothing changed.
        ms_ssim: 0..1.
        ssimulacra2: None where it was not asked for or is not defined.
        seconds_encode, seconds_decode: the search for a target included in the first.
        notes: what had to be converted when the original was read.
        lossless: format and bytes of a classic lossless file that would be smaller, or None.
        remark: why a target is not hit closely, or why the original was kept.
    """

    target: Path
    copied: bool
    before: int
    after: int
    modified_ns: int
    width: int
    height: int
    quality: float
    bits_per_pixel: float
    psnr: float
    ms_ssim: float
    ssimulacra2: float | None = None
    seconds_encode: float = 0.0
    seconds_decode: float = 0.0
    notes: tuple[str, ...] = ()
    lossless: tuple[str, int] | None = None
    remark: str = ""

    def to_plain(self) -> dict[str, Any]:
        """As JSON can hold it; `from_plain` reads it."""
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        plain["target"] = str(self.target)
        plain["psnr"] = None if math.isinf(self.psnr) else self.psnr  # JSON knows no infinity
        return plain

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> FileResult:
        """The inverse of `to_plain`. Raises ValueError, TypeError or KeyError for anything else."""
        given = {field.name: plain[field.name] for field in fields(cls)}
        given["target"] = Path(given["target"])
        given["psnr"] = math.inf if given["psnr"] is None else float(given["psnr"])
        given["notes"] = tuple(given["notes"])
        given["lossless"] = (
            None if given["lossless"] is None else (str(given["lossless"][0]), int(given["lossless"][1]))
        )
        if not all(isinstance(given[name], int) for name in ("before", "after", "modified_ns")):
            raise ValueError("sizes and times are whole numbers")
        return cls(**given)


@dataclass(frozen=True)
class RowReport:
    """How a row stands now.

    Attributes:
        index: of the row.
        result: of a finished row.
        problem: why it failed, and what to do about it; also why a copy was kept.
        seconds: that the row took in all.
        earlier: an earlier run of the same batch finished it.
    """

    index: int
    state: State
    result: FileResult | None = None
    problem: str = ""
    seconds: float = 0.0
    earlier: bool = False


class Totals:
    """Sums over the newest report of each row.

    Attributes:
        before, after: bytes of the finished rows.
    """

    def __init__(self) -> None:
        self.before = 0
        self.after = 0
        self._states: dict[State, int] = {}
        self._newest: dict[int, RowReport] = {}

    def count(self, *states: State) -> int:
        """Rows in any of these states."""
        return sum(self._states.get(state, 0) for state in states)

    @property
    def finished(self) -> int:
        """Rows whose result, or copy, is there."""
        return self.count(*FINISHED)

    @property
    def saved(self) -> int:
        """Bytes that the finished files take less than their originals."""
        return self.before - self.after

    def add(self, report: RowReport) -> None:
        """Count a report instead of the earlier one of its row."""
        self._count(self._newest.get(report.index), -1)
        self._newest[report.index] = report
        self._count(report, 1)

    def reports(self) -> list[RowReport]:
        """The newest report of each row that there was one of, in the order of the rows."""
        return [self._newest[index] for index in sorted(self._newest)]

    def _count(self, report: RowReport | None, sign: int) -> None:
        if report is None:
            return
        self._states[report.state] = self._states.get(report.state, 0) + sign
        if report.result is not None:
            self.before += sign * report.result.before
            self.after += sign * report.result.after


COLUMNS = (
    "source", "target", "state", "bytes before", "bytes after", "percent", "PSNR dB", "MS-SSIM", "quality", "seconds",
    "problem",
)  # fmt: skip


def write_table(path: Path, rows: Sequence[Row], reports: Iterable[RowReport]) -> None:
    """Write a CSV file with one line a row, in UTF-8. Rows without a report are left out. Raises `OutputError`."""
    stream = io.StringIO()
    table = csv.writer(stream)
    table.writerow(COLUMNS)
    for report in reports:
        source, result = rows[report.index].source, report.result
        figures: list[object] = [""] * 7
        if result is not None:
            share = 100 * result.after / result.before if result.before else 100.0
            psnr = "inf" if math.isinf(result.psnr) else f"{result.psnr:.3f}"
            figures = [result.target, result.before, result.after, f"{share:.2f}", psnr, f"{result.ms_ssim:.5f}"]
            figures.append("" if result.copied else f"{result.quality:g}")
        target, *rest = figures
        seconds = f"{report.seconds:.3f}"
        line = [source, target, report.state, *rest, seconds, report.problem]
        # Names that are no UTF-8 are written as the nearest that is.
        table.writerow([str(value).encode("utf-8", "replace").decode() for value in line])
    write_text(path, stream.getvalue())
