"""The journal of a batch: what was planned and what is finished, so that a killed batch goes on where it was.

JSON lines. The head and the plan are written first, in one go; then a line is added, and brought to the disk, for each
file that is begun and for each that is finished. A line that is damaged or half written is passed over: the file that
it told of is done again, nothing else is lost.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from engine.batch.plan import Row, Task, normal, stem_of
from engine.batch.reports import FileResult, RowReport
from engine.batch.settings import BatchSettings
from engine.errors import LatentStudioError, OutputError, UsageError
from engine.files import write_bytes
from engine.paths import user_folder

try:
    import fcntl
except ImportError:  # Windows; there two programs at one journal are not told from one
    fcntl = None

VERSION = 1
NAME = ".latent-studio-batch"
_PARTS = ".part"


def journal_path(folder: Path | None, inputs: Iterable[Path] = (), shard: tuple[int, int] | None = None) -> Path:
    """Where the journal of a batch lies: hidden in its target folder, or where there is none in the user's journals.

    Args:
        inputs: what was given, which names the journal where there is no target folder.
        shard: each shard has its own journal, so that many machines can write to one folder.
    """
    part = f"-{shard[0]}-of-{shard[1]}" if shard is not None else ""
    if folder is not None:
        return folder / f"{NAME}{part}.jsonl"
    given = "\n".join(sorted(normal(path) for path in inputs))
    digest = hashlib.sha256(given.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return user_folder("journals") / f"batch-{digest}{part}.jsonl"


@dataclass(frozen=True)
class Entry:
    """The end of one row as a journal tells it.

    Attributes:
        digest: of the settings it was done with.
        size: bytes of the original then.
    """

    digest: str
    size: int
    state: str
    result: FileResult | None
    problem: str
    seconds: float

    def still_holds(self, source: Path, digest: str) -> bool:
        """Whether the result is there and neither the original nor the settings changed since."""
        result = self.result
        if result is None or self.digest != digest:
            return False
        try:
            original, written = source.stat(), result.target.stat()
        except OSError:
            return False
        return (original.st_size, original.st_mtime_ns) == (self.size, result.modified_ns) and (
            written.st_size == result.after
        )


@dataclass
class Record:
    """What a journal says.

    Attributes:
        path: of the journal.
        settings: of the batch; None where its head is damaged.
        begun: when its last run began, ISO 8601.
        complete: the batch came to its end, whatever became of single rows.
        rows: the plan.
        stems: by `Row.key`, the full path of each row's result without ending.
        ended: by `Row.key`, the newest end of each row, one with a result before all others.
        end_lines: their lines.
        open_targets: results that were begun and not ended.
        missing: rows of the plan that could not be read.
    """

    path: Path
    settings: BatchSettings | None = None
    begun: str = ""
    complete: bool = False
    rows: list[Row] = field(default_factory=list)
    stems: dict[str, Path] = field(default_factory=dict)
    ended: dict[str, Entry] = field(default_factory=dict)
    end_lines: dict[str, dict[str, Any]] = field(default_factory=dict)
    open_targets: dict[str, Path] = field(default_factory=dict)
    missing: int = 0

    def finished(self, rows: Sequence[Row], settings: BatchSettings) -> list[RowReport]:
        """The rows that need not be done again: same original, same settings, and the result is there."""
        reports = []
        for index, row in enumerate(rows):
            entry = self.ended.get(row.key)
            if entry is not None and entry.still_holds(row.source, settings.digest):
                state = "copied" if entry.result is not None and entry.result.copied else "done"
                reports.append(RowReport(index, state, entry.result, entry.problem, entry.seconds, earlier=True))
        return reports

    def ours(self) -> set[str]:
        """Normalised paths of files that the batch wrote, as far as they are as it left them; and of those that it was
        writing when it ended."""
        found = {normal(target) for target in self.open_targets.values()}
        for entry in self.ended.values():
            if entry.result is not None:
                with contextlib.suppress(OSError):
                    if entry.result.target.stat().st_size == entry.result.after:
                        found.add(normal(entry.result.target))
        # An original that stayed where it lay was never written.
        return found - {normal(key) for key in self.ended}


def read_journal(path: Path) -> Record | None:
    """What the journal at `path` says; None where there is none. Lines that make no sense are passed over.

    Raises:
        OutputError: it is there and cannot be read.
    """
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise OutputError(
            f"The journal {path} cannot be read: {error.strerror or error}.", "Check the disk."
        ) from error
    record, planned = Record(path), 0
    for line in data.split(b"\n"):
        with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError, LatentStudioError):
            entry = json.loads(line)
            if "journal" in entry and entry["journal"] == VERSION:
                record.settings = BatchSettings.from_plain(entry["settings"])
                record.begun, planned = str(entry["begun"]), int(entry["rows"])
            elif "row" in entry:
                size = None if entry["size"] is None else int(entry["size"])
                row = Row(Path(entry["row"]), Path(entry["stem"]), size)
                record.rows.append(row)
                record.stems[row.key] = _absolute(path, entry["result"])
            elif "begin" in entry:
                record.open_targets[entry["begin"]] = _absolute(path, entry["target"])
            elif "end" in entry:
                key, found = _entry_of(path, entry)
                record.open_targets.pop(key, None)
                # A later failure does not undo a result: whether that still holds, its file tells.
                if found.result is not None or key not in record.ended:
                    record.ended[key], record.end_lines[key] = found, entry
            elif "complete" in entry:
                record.complete = bool(entry["complete"])
    record.missing = max(0, planned - len(record.rows))
    return record


class Journal:
    """The journal of the batch that runs now. Made by `Journal.begin`."""

    def __init__(self, path: Path, digest: str, stream: IO[bytes]) -> None:
        self.path = path
        self._digest = digest
        self._stream = stream
        self._clean = True

    @classmethod
    def begin(
        cls,
        path: Path,
        settings: BatchSettings,
        rows: Sequence[Row],
        tasks: Sequence[Task],
        finished: Iterable[RowReport] = (),
        earlier: Record | None = None,
    ) -> Journal:
        """Write head, plan and what is finished already in place of any older journal, and keep it open.

        Args:
            tasks: of all rows, in their order.
            finished: rows that an earlier run did; they count as done with these settings.
            earlier: what the older journal says; it stays true of the files that this run does not come to.

        Raises:
            UsageError: another program works at this journal.
            OutputError: it cannot be written.
        """
        _refuse_second(path)
        begun = datetime.now(UTC).isoformat(timespec="seconds")
        lines: list[dict[str, Any]] = [
            {"journal": VERSION, "begun": begun, "rows": len(rows), "settings": settings.to_plain()}
        ]
        for row, task in zip(rows, tasks, strict=True):
            result = _relative(path, stem_of(task, settings))
            lines.append({"row": row.key, "stem": str(row.stem), "size": row.size, "result": result})
        known = {rows[report.index].key: report for report in finished}
        if earlier is not None:
            lines += [line for key, line in earlier.end_lines.items() if key not in known]
        lines += [_end_line(path, rows[report.index], report, settings.digest) for report in known.values()]
        write_bytes(path, b"".join(_line(line) for line in lines))
        try:
            stream = path.open("ab", buffering=0)
            _lock(stream)
        except OSError as error:
            raise OutputError(f"The journal {path} cannot be written: {error.strerror or error}.") from error
        return cls(path, settings.digest, stream)

    def began(self, row: Row, target: Path) -> None:
        """A row is being worked on. Raises `OutputError`."""
        self._add({"begin": row.key, "target": _relative(self.path, target)})

    def ended(self, row: Row, report: RowReport) -> None:
        """A row is done, copied or failed. Raises `OutputError`."""
        self._add(_end_line(self.path, row, report, self._digest), durable=True)

    def close(self, *, complete: bool) -> None:
        """The batch ends, for now or for good."""
        with contextlib.suppress(OutputError):
            if complete:
                self._add({"complete": True})
        with contextlib.suppress(OSError):
            self._stream.close()

    def _add(self, entry: dict[str, Any], durable: bool = False) -> None:
        # After a write that failed half of a line may stand there; it must not swallow this one.
        data = _line(entry) if self._clean else b"\n" + _line(entry)
        try:
            self._clean = self._stream.write(data) == len(data)
            if not self._clean:
                raise OSError("the disk took only a part of a line")
            if durable:
                os.fsync(self._stream.fileno())
        except OSError as error:
            self._clean = False
            raise OutputError(
                f"The journal {self.path} cannot be written: {error.strerror or error}.",
                "Free some space or bring its disk back, then go on.",
            ) from error


def remove_parts(targets: Iterable[Path]) -> None:
    """Remove what killed processes left of unfinished files. Only while nobody writes to these targets."""
    for target in targets:
        prefix = f".{target.name[:40]}."  # as `engine.files.atomic_writer` names them
        with contextlib.suppress(OSError):
            for path in target.parent.iterdir():
                if path.name.startswith(prefix) and path.name.endswith(_PARTS):
                    path.unlink(missing_ok=True)


def _line(entry: Mapping[str, Any]) -> bytes:
    return json.dumps(entry, allow_nan=False).encode("ascii") + b"\n"


def _relative(journal: Path, path: Path) -> str:
    """Below the folder of the journal as a place in it, so that the folder can be moved; else the whole path."""
    folder, whole = os.path.abspath(journal.parent), os.path.abspath(path)  # noqa: PTH100 - see `Row.key`
    return os.path.relpath(whole, folder) if Path(whole).is_relative_to(folder) else whole


def _absolute(journal: Path, text: str) -> Path:
    return Path(os.path.abspath(journal.parent / text))  # noqa: PTH100 - see `Row.key`


def _end_line(path: Path, row: Row, report: RowReport, digest: str) -> dict[str, Any]:
    result = report.result
    plain = None if result is None else result.to_plain() | {"target": _relative(path, result.target)}
    size = row.size if result is None else result.before
    return {
        "end": row.key, "digest": digest, "size": size, "state": report.state, "result": plain,
        "problem": report.problem, "seconds": report.seconds,
    }  # fmt: skip


def _entry_of(path: Path, entry: dict[str, Any]) -> tuple[str, Entry]:
    result = None if entry["result"] is None else FileResult.from_plain(entry["result"])
    if result is not None:
        result = replace(result, target=_absolute(path, str(result.target)))
    seconds = float(entry["seconds"])
    size = -1 if entry["size"] is None else int(entry["size"])
    return str(entry["end"]), Entry(
        str(entry["digest"]), size, str(entry["state"]), result, str(entry["problem"]), seconds
    )


def _refuse_second(path: Path) -> None:
    """Raise `UsageError` while another program has the journal open."""
    try:
        stream = path.open("rb")
    except OSError:  # none there, or not to be read: writing it will say what is wrong
        return
    with stream:
        _lock(stream)


def _lock(stream: IO[bytes]) -> None:
    if fcntl is None:
        return
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise UsageError(
            f"Another batch works at {stream.name} already.", "Let it end, or choose another folder."
        ) from error
    except OSError:
        return  # some network disks know no locks


def unfinished(path: Path) -> Record | None:
    """The record of a batch that did not come to its end; None where there is nothing to go on with."""
    try:
        record = read_journal(path)
    except LatentStudioError:
        return None
    if record is None or record.complete or record.settings is None or not record.rows:
        return None
    return record
