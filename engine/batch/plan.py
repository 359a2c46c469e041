"""From files and folders to rows, and from rows to tasks: which file is read, and which names its result may take."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from engine.batch.settings import BatchSettings
from engine.errors import DataError, LatentStudioError, UsageError

PORTION = 256

# What becomes of a row whose result's name is taken by a file that no earlier run of this batch wrote.
Existing = Literal["refuse", "number", "replace"]


@dataclass(frozen=True)
class Row:
    """A file of a batch.

    Attributes:
        source: the original; never changed.
        stem: where its result goes below the target folder, without ending; keeps the tree of a folder.
        size: bytes of the original when it was listed; None where it could not be asked.
    """

    source: Path
    stem: Path
    size: int | None = None

    @property
    def key(self) -> str:
        """What the file is called in a journal, whatever the working folder is."""
        return os.path.abspath(self.source)  # noqa: PTH100 - Path.absolute keeps "..", and these are compared


@dataclass(frozen=True)
class Task:
    """What is to be done with a row.

    Attributes:
        index: of the row.
        source: the original.
        target: where the result goes.
        copy: where a copy of the original goes when the result is not small enough; `source` itself where it lies there
            already.
        replace: whether a file may lie there and is replaced.
    """

    index: int
    source: Path
    target: Path
    copy: Path
    replace: bool = False

    def to_plain(self) -> dict[str, Any]:
        """As texts and numbers; `from_plain` reads them."""
        return {name: str(value) if isinstance(value, Path) else value for name, value in vars(self).items()}

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Task:
        """The inverse of `to_plain`."""
        paths = {name: Path(plain[name]) for name in ("source", "target", "copy")}
        return cls(index=plain["index"], replace=plain["replace"], **paths)


def list_rows(
    paths: Iterable[Path],
    suffixes: Collection[str],
    *,
    keep_root: bool = False,
    portion: int = PORTION,
    unreadable: Callable[[LatentStudioError], None] | None = None,
) -> Iterator[list[Row]]:
    """Rows for `paths`, in portions as they are found: files as they are, folders walked, hidden entries left out.

    Folders are read one at a time, so that the first rows come at once, however many follow. The order is the same
    each time: the files of a folder by name, then the folders in it.

    Args:
        suffixes: in lower case, of the files taken from folders.
        keep_root: put the name of each folder of `paths` before the places in it.
        portion: rows at most in one list.
        unreadable: told of each folder that cannot be read; the rest goes on.
    """
    ready: list[Row] = []
    for path in paths:
        found = _walk(path, suffixes, keep_root, unreadable) if path.is_dir() else iter((_single(path),))
        for row in found:
            ready.append(row)
            if len(ready) >= portion:
                yield ready
                ready = []
    if ready:
        yield ready


def _single(path: Path) -> Row:
    try:
        size = path.stat().st_size
    except OSError:
        size = None  # reading it will say why
    return Row(path, Path(path.stem), size)


def _walk(
    root: Path,
    suffixes: Collection[str],
    keep_root: bool,
    unreadable: Callable[[LatentStudioError], None] | None,
) -> Iterator[Row]:
    waiting = [(root, Path(root.name) if keep_root else Path())]
    while waiting:
        folder, place = waiting.pop()
        inside = []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        inside.append((entry.name, None))
                    elif os.path.splitext(entry.name)[1].lower() in suffixes and entry.is_file():  # noqa: PTH122
                        inside.append((entry.name, entry.stat().st_size))
        except OSError as error:
            if unreadable is not None:
                reason = error.strerror or str(error)
                unreadable(DataError(f"The folder {folder} cannot be read: {reason}.", "Check its rights."))
        inside.sort()
        waiting += [(folder / name, place / name) for name, size in reversed(inside) if size is None]
        for name, size in inside:
            if size is not None:
                yield Row(folder / name, place / Path(name).stem, size)


def distinct(rows: Iterable[Row]) -> list[Row]:
    """The rows without those whose file was named before."""
    return list({row.key: row for row in reversed(list(rows))}.values())[::-1]


def shard_of(count: int, shard: tuple[int, int] | None) -> range:
    """The rows of `count` that belong to shard (i, n), 1 <= i <= n; all of them without a shard."""
    return range(count) if shard is None else range(shard[0] - 1, count, shard[1])


def parse_shard(text: str) -> tuple[int, int]:
    """ "2/8" as (2, 8). Raises `UsageError`."""
    first, sign, last = text.partition("/")
    if sign and first.strip().isdigit() and last.strip().isdigit():
        number, count = int(first), int(last)
        if 1 <= number <= count:
            return number, count
    raise UsageError(f"{text!r} is no shard.", "Write, for example, 2/8 for the second of eight parts.")


def plan_tasks(
    rows: Sequence[Row],
    settings: BatchSettings,
    existing: Existing,
    *,
    stems: Mapping[str, Path] | None = None,
    ours: Collection[str] = (),
) -> list[Task]:
    """Give every row names that no other row, no original and, as `existing` says, no other file has.

    Names that differ in nothing but case are taken for the same, as many disks do.

    Args:
        stems: by `Row.key`, full paths without ending that rows had in an earlier run of the batch; they keep them.
        ours: normalised paths (`normal`) of files that an earlier run of this batch wrote: they are replaced.
    """
    stems = stems or {}
    originals = {normal(row.source) for row in rows}
    taken = {normal(stem) for stem in stems.values()}
    tasks = []
    for index, row in enumerate(rows):
        stem = stems.get(row.key)
        if stem is None:
            stem = _free_stem(row, settings, taken, originals, existing, ours)
            taken.add(normal(stem))
        target, copy = _names(row, stem, settings)
        replace = existing == "replace" or normal(target) in ours or normal(copy) in ours
        tasks.append(Task(index, row.source, target, copy, replace))
    return tasks


def stem_of(task: Task, settings: BatchSettings) -> Path:
    """The full path of a task's result without its ending."""
    return Path(str(task.target).removesuffix(settings.ending))


def normal(path: Path | str) -> str:
    """A path as it is compared with others: absolute and without regard to case."""
    return os.path.abspath(path).casefold()  # noqa: PTH100 - see `Row.key`


def _free_stem(
    row: Row,
    settings: BatchSettings,
    taken: Collection[str],
    originals: Collection[str],
    existing: Existing,
    ours: Collection[str],
) -> Path:
    base = row.source.with_suffix("") if settings.folder is None else settings.folder / row.stem
    base = base.with_name(base.name + settings.suffix)
    stem, number = base, 0
    while True:
        target, copy = _names(row, stem, settings)
        names = [target] if copy == row.source or settings.skip_gain is None else [target, copy]
        blocked = normal(stem) in taken or any(normal(name) in originals for name in names)
        if existing == "number" and not blocked:
            blocked = any(name.exists() and normal(name) not in ours for name in names)
        if not blocked:
            return stem
        number += 1
        stem = base.with_name(f"{base.name}-{number}")


def _names(row: Row, stem: Path, settings: BatchSettings) -> tuple[Path, Path]:
    """Where the result and where a copy of the original would go."""
    target = Path(f"{stem}{settings.ending}")
    if settings.folder is None and not settings.suffix:
        return target, row.source  # a copy beside the original would help nobody
    return target, Path(f"{stem}{row.source.suffix}")
