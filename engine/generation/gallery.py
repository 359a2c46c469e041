"""Gallery: every generated picture that is kept, as PNG files in one folder, with an index that finds them quickly.

The files are the truth. Each PNG carries its latent, and its place says the rest: `NAME.png` lies in the gallery,
`NAME.starred.png` is starred as well, and `trash/2026-11-23/NAME.png` was deleted on that day. Every change is a single
rename, so that nothing is lost wherever the program ends, and two programs can work on one gallery. The index, an
SQLite file, holds the same once more for searching; it is made anew from the files when it is missing or damaged.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from engine.errors import LatentStudioError, OutputError, PictureError
from engine.files import write_bytes
from engine.generation.generator import Sample
from engine.generation.latent import Latent
from engine.generation.provenance import read_latent, save_sample
from engine.image import open_picture
from engine.paths import user_folder
from engine.progress import CancelToken, Progress, ProgressCallback, ignore_progress

KEEP = 10_000  # pictures that are not starred
TRASH_DAYS = 30
INDEX = "index.sqlite"
TRASH = "trash"
STARRED = ".starred"
_VERSION = 1
_WAIT = 20.0  # seconds for another program that writes to the index
_CHUNK = 200  # files read between two commits
_ROUNDS = 3  # of reading what arrived meanwhile
_MANY = 500  # numbers in one SQL statement; SQLite takes at least 999
_MAX_NAME = 100
_MAX_WORDS = 16
_SQL_INTEGERS = range(-(2**63), 2**63)

T = TypeVar("T")


@dataclass(frozen=True)
class GalleryQuery:
    """Which pictures are wanted; what is left at its default does not matter.

    Attributes:
        text: words that all occur: the beginning of a word of the model's name or of a chosen value, or a whole number,
            which may be a value or the seed. Capitals do not matter.
        model: its registry name.
        values: chosen value by attribute name.
        seed: of the sample.
        starred: only those with a star.
        trashed: those in the trash instead of those in the gallery.
    """

    text: str = ""
    model: str | None = None
    values: Mapping[str, str] = field(default_factory=dict)
    seed: int | None = None
    starred: bool = False
    trashed: bool = False


@dataclass(frozen=True)
class GalleryEntry:
    """What the index knows of a picture.

    Attributes:
        id: stays the same for as long as the file exists, also when the index is made anew.
        path: of the PNG file, at the time of asking.
        model, attributes, seed, temperature: as in its `Latent`.
        starred: whether it has a star.
        trashed: the day on which it was deleted, None while it was not.
        made: when it was made, in UTC.
    """

    id: int
    path: Path
    model: str
    attributes: dict[str, str]
    seed: int | None
    temperature: float
    starred: bool
    trashed: date | None
    made: datetime


@dataclass(frozen=True)
class Overview:
    """Counts of what a gallery holds.

    Attributes:
        kept: pictures in the gallery.
        starred: those of them with a star.
        trashed: pictures in the trash.
        models: pictures in the gallery by model.
        skipped: reason by name of the PNG files in the folder that are no pictures of ours.
    """

    kept: int = 0
    starred: int = 0
    trashed: int = 0
    models: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Place:
    """What the place and the name of a file say."""

    id: int
    file: str  # below the gallery's folder, with slashes
    starred: bool
    trashed: str  # ISO day, "" outside the trash


class Gallery:
    """The pictures of one folder. Holds nothing open: every method may be called from any thread.

    Every method raises `OutputError` where the folder or its index cannot be written.

    Args:
        folder: made when it is missing; the user's own gallery by default.
        keep: so many of the newest pictures without a star stay; older ones go to the trash.
    """

    def __init__(self, folder: Path | None = None, *, keep: int = KEEP) -> None:
        self.folder = Path(folder) if folder is not None else user_folder("gallery")
        self.keep = keep

    # Reading

    def search(self, query: GalleryQuery | None = None) -> list[int]:
        """Ids of the pictures that fit, newest first (in the trash: those deleted last first)."""
        where, given = _conditions(query or GalleryQuery())
        sql = f"SELECT id FROM pictures WHERE {where} ORDER BY trashed DESC, made DESC, id DESC"  # noqa: S608 - own text
        return [row[0] for row in self._with_index(lambda index: index.execute(sql, given).fetchall())]

    def entries(self, ids: Iterable[int]) -> list[GalleryEntry]:
        """What the index knows of these pictures, in their order; those that are gone are left out."""
        wanted = list(ids)
        rows = self._with_index(lambda index: _rows(index, "id", wanted))
        found = {row["id"]: self._entry(row) for row in rows}
        return [found[one] for one in wanted if one in found]

    def entry(self, id: int) -> GalleryEntry:
        """What the index knows of a picture.

        Raises:
            PictureError: it is gone.
        """
        found = self.entries([id])
        if not found:
            raise PictureError("The picture is not in the gallery any more.", "Another program may have deleted it.")
        return found[0]

    def sample(self, id: int) -> Sample:
        """The picture, (H, W, 3) uint8, and its latent.

        Raises:
            PictureError: it is gone, or its file is damaged.
        """
        path = self.entry(id).path
        return Sample(open_picture(path).pixels, read_latent(path))

    def overview(self) -> Overview:
        """Counts for the person's filters, and what was skipped."""

        def count(index: sqlite3.Connection) -> Overview:
            models: dict[str, int] = {}
            kept = starred = trashed = 0
            groups = "SELECT model, trashed <> '', COUNT(*), SUM(starred) FROM pictures GROUP BY 1, 2 ORDER BY 1"
            for model, gone, number, stars in index.execute(groups):
                if gone:
                    trashed += number
                else:
                    kept, starred, models[model] = kept + number, starred + stars, number
            skipped = dict(index.execute("SELECT file, reason FROM skipped ORDER BY file").fetchall())
            return Overview(kept, starred, trashed, models, skipped)

        return self._with_index(count)

    # Changing

    def add(self, samples: Sequence[Sample]) -> list[int]:
        """Keep samples; the id of each. One that is in the gallery already becomes its newest instead."""
        digests = [_digest(sample.latent) for sample in samples]
        known = self._known(digests)
        # The first of the samples shall stand first among the newest.
        now = time.time_ns()
        times = [now - 1000 * number for number in range(len(samples))]
        rows: dict[str, dict[str, Any]] = {}
        for sample, digest, made in zip(samples, digests, times, strict=True):
            if digest in known or digest in rows:
                continue
            path = self.folder / f"{_stem(sample.latent)}-{secrets.token_hex(6)}.png"
            save_sample(sample, path)
            _set_time(path, made)
            place = _place(path.name)
            rows[digest] = _row(place, sample.latent, made)

        def insert(index: sqlite3.Connection) -> None:
            with _writing(index):
                _insert(index, rows.values())
                for digest, made in zip(digests, times, strict=True):
                    if digest in known:
                        self._renew(index, known[digest], made)
                self._tidy(index)

        self._with_index(insert)
        return [known[digest] if digest in known else rows[digest]["id"] for digest in digests]

    def star(self, ids: Iterable[int], starred: bool = True) -> list[int]:
        """Give or take stars; the ids of those that changed."""
        return self._move(ids, lambda place: place.starred != starred, starred=starred)

    def trash(self, ids: Iterable[int]) -> list[int]:
        """Move pictures to the trash; the ids of those that were not there before."""
        return self._move(ids, lambda place: not place.trashed, trashed=_today().isoformat())

    def restore(self, ids: Iterable[int]) -> list[int]:
        """Take pictures out of the trash, back to their places; the ids of those that were in it.

        Where the gallery is full they become the newest ones: the oldest go to the trash, and these are wanted back.
        """
        restored = self._move(ids, lambda place: bool(place.trashed), trashed="")
        now = time.time_ns()

        def renew(index: sqlite3.Connection) -> None:
            query = "SELECT COUNT(*) FROM pictures WHERE trashed = '' AND starred = 0"
            if index.execute(query).fetchone()[0] <= self.keep:
                return
            with _writing(index):
                for place, id in enumerate(restored):
                    self._renew(index, id, now - 1000 * place)

        self._with_index(renew)
        return restored

    def delete_for_good(self, ids: Iterable[int]) -> list[int]:
        """Delete pictures that are in the trash; their ids. What is not in the trash stays."""
        wanted = list(ids)

        def delete(index: sqlite3.Connection) -> list[int]:
            with _writing(index):
                return self._delete(index, [row for row in _rows(index, "id", wanted) if row["trashed"]])

        return self._with_index(delete)

    def refresh(self, *, progress: ProgressCallback = ignore_progress, cancel: CancelToken | None = None) -> Overview:
        """Make the index agree with the files, delete what has been in the trash for too long, and count.

        Checks the index and makes it anew where it is damaged. With an index that is right this takes a moment, without
        one every file is read.

        Raises:
            Cancelled: by `cancel`; what has been read is kept.
        """

        def agree(index: sqlite3.Connection) -> None:
            # One row, "ok", from a sound index; an error that says so is raised like any other damage.
            found = index.execute("PRAGMA quick_check(1)").fetchone()
            if found is None or found[0] != "ok":
                raise _IndexDamagedError(str(found))
            self._read_folder(index, progress, cancel)
            oldest = (_today() - timedelta(days=TRASH_DAYS)).isoformat()
            with _writing(index):
                old = index.execute("SELECT * FROM pictures WHERE trashed <> '' AND trashed < ?", (oldest,)).fetchall()
                self._delete(index, old)
                self._tidy(index)

        self._with_index(agree, progress, cancel)
        return self.overview()

    def export(
        self,
        ids: Iterable[int],
        folder: Path,
        *,
        progress: ProgressCallback = ignore_progress,
        cancel: CancelToken | None = None,
    ) -> list[Path]:
        """Copy pictures, with what they carry, to `folder`; nothing that lies there is replaced.

        Raises:
            PictureError: a picture is gone or cannot be read.
            OutputError: a copy cannot be written.
            Cancelled: by `cancel`.
        """
        wanted, written = self.entries(ids), []
        for number, entry in enumerate(wanted):
            if cancel is not None:
                cancel.raise_if_cancelled()
            progress(Progress(number, len(wanted), f"Copying {entry.path.name}"))
            target = _free(Path(folder) / f"{_base(entry.path.name)}.png")
            write_bytes(target, _read(entry.path), overwrite=False)
            written.append(target)
        return written

    # The index

    def _with_index(
        self,
        work: Callable[[sqlite3.Connection], T],
        progress: ProgressCallback = ignore_progress,
        cancel: CancelToken | None = None,
    ) -> T:
        """`work` with the index open; where that is damaged, with a new one. `progress`, `cancel`: of reading files."""
        for attempt in (1, 2):
            try:
                with self._index(progress, cancel) as index:
                    return work(index)
            except sqlite3.Error as error:
                if attempt == 2 or not _is_damage(error):
                    raise OutputError(
                        f"The index of the gallery {self.folder} cannot be used: {error}.",
                        "Close other programs that use it, and see that the folder can be written.",
                    ) from error
                self._discard_index()
        raise AssertionError("unreachable")

    @contextlib.contextmanager
    def _index(self, progress: ProgressCallback, cancel: CancelToken | None) -> Iterator[sqlite3.Connection]:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"The gallery {self.folder} cannot be made: {error.strerror or error}.",
                "See that the folder can be written.",
            ) from error
        index = sqlite3.connect(self.folder / INDEX, timeout=_WAIT, isolation_level=None)
        try:
            index.row_factory = sqlite3.Row
            # A power cut may cost the index its last change; the files tell it again.
            index.execute("PRAGMA synchronous=NORMAL")
            if index.execute("PRAGMA user_version").fetchone()[0] != _VERSION:
                self._begin_index(index)
                self._read_folder(index, progress, cancel)
            yield index
        finally:
            index.close()

    def _discard_index(self) -> None:
        for name in (INDEX, f"{INDEX}-journal"):
            try:
                (self.folder / name).unlink(missing_ok=True)
            except OSError as error:
                raise OutputError(
                    f"The damaged index {self.folder / name} cannot be replaced: {error.strerror or error}.",
                    "Close other programs that use it, or delete it.",
                ) from error

    def _begin_index(self, index: sqlite3.Connection) -> None:
        with _writing(index):
            if index.execute("PRAGMA user_version").fetchone()[0] not in (0, _VERSION):
                # Of another version of the program.
                index.execute("DROP TABLE IF EXISTS pictures")
                index.execute("DROP TABLE IF EXISTS skipped")
                index.execute("PRAGMA user_version=0")
            for statement in _TABLES:
                index.execute(statement)

    def _read_folder(self, index: sqlite3.Connection, progress: ProgressCallback, cancel: CancelToken | None) -> None:
        """Make the index agree with the files; only those that it does not know are read."""
        for _ in range(_ROUNDS):
            unknown = self._agree(index)
            if not unknown:
                return
            self._learn(index, unknown, progress, cancel)
        index.execute(f"PRAGMA user_version={_VERSION}")

    def _agree(self, index: sqlite3.Connection) -> list[_Place]:
        """Write down where known pictures are now and which are gone; the files that have yet to be read."""
        with _writing(index):
            # Files are moved only under this lock, so the list holds for as long as the index is written.
            files = self._files()
            known = dict(index.execute("SELECT file, id FROM pictures").fetchall())
            passed = dict(index.execute("SELECT file, changed FROM skipped").fetchall())
            other = {place.id: place for place in (_place(file) for file in files if file not in known)}
            there = set(files)
            for file, id in known.items():
                if file in there:
                    # A second file of this name, a copy in the trash, is none of its own.
                    other.pop(id, None)
                elif id in other:
                    self._update(index, other.pop(id))
                else:
                    index.execute("DELETE FROM pictures WHERE id = ?", (id,))
            index.executemany("DELETE FROM skipped WHERE file = ?", [(file,) for file in passed if file not in there])
            unread = [place for place in other.values() if passed.get(place.file, -1) != self._changed(place)]
            if not unread:
                # A new index counts from now on; whoever meets it earlier reads what is missing.
                index.execute(f"PRAGMA user_version={_VERSION}")
        return unread

    def _learn(
        self,
        index: sqlite3.Connection,
        unknown: Sequence[_Place],
        progress: ProgressCallback,
        cancel: CancelToken | None,
    ) -> None:
        """Read files into the index."""
        for start in range(0, len(unknown), _CHUNK):
            rows, skipped = [], []
            for number, place in enumerate(unknown[start : start + _CHUNK], start):
                if cancel is not None:
                    cancel.raise_if_cancelled()
                progress(Progress(number, len(unknown), "Reading the gallery"))
                changed = self._changed(place)
                try:
                    rows.append(_row(place, read_latent(self._path(place.file)), changed))
                except LatentStudioError as error:
                    skipped.append((place.file, changed, error.problem))
            with _writing(index):
                _insert(index, rows)
                index.executemany("DELETE FROM skipped WHERE file = ?", [(row["file"],) for row in rows])
                index.executemany("INSERT OR REPLACE INTO skipped VALUES (?, ?, ?)", skipped)

    def _files(self) -> list[str]:
        """The PNG files of trash and gallery, below the gallery's folder."""
        trash = [
            f"{TRASH}/{day}/{name}" for day in self._trash_days() for name in _png_names(self.folder / TRASH / day)
        ]
        return [*trash, *_png_names(self.folder)]

    def _trash_days(self) -> list[str]:
        try:
            with os.scandir(self.folder / TRASH) as entries:
                return sorted(entry.name for entry in entries if _is_day(entry.name) and entry.is_dir())
        except OSError:
            return []

    def _path(self, file: str) -> Path:
        """A picture's path; the index is a file that others may have written."""
        if Path(file).is_absolute() or ".." in Path(file).parts:
            raise _IndexDamagedError(file)
        return self.folder / file

    def _changed(self, place: _Place) -> int:
        try:
            return self._path(place.file).stat().st_mtime_ns
        except OSError:
            return 0

    def _known(self, digests: Sequence[str]) -> dict[str, int]:
        """Ids of the pictures in the gallery, outside the trash, by the digest of their latent."""
        rows = self._with_index(lambda index: _rows(index, "digest", digests))
        return {row["digest"]: row["id"] for row in rows if not row["trashed"] and self._path(row["file"]).is_file()}

    def _entry(self, row: sqlite3.Row) -> GalleryEntry:
        return GalleryEntry(
            id=row["id"],
            path=self._path(row["file"]),
            model=row["model"],
            attributes=json.loads(row["attributes"]),
            seed=row["seed"],
            temperature=row["temperature"],
            starred=bool(row["starred"]),
            trashed=date.fromisoformat(row["trashed"]) if row["trashed"] else None,
            made=datetime.fromtimestamp(row["made"] / 1e9, UTC),
        )

    # Moving files. All of it under the lock of a transaction.

    def _move(
        self,
        ids: Iterable[int],
        concerns: Callable[[_Place], bool],
        *,
        starred: bool | None = None,
        trashed: str | None = None,
    ) -> list[int]:
        wanted = list(ids)

        def move(index: sqlite3.Connection) -> list[int]:
            with _writing(index):
                return self._move_rows(index, _rows(index, "id", wanted), concerns, starred, trashed)

        return self._with_index(move)

    def _move_rows(
        self,
        index: sqlite3.Connection,
        rows: Sequence[sqlite3.Row],
        concerns: Callable[[_Place], bool],
        starred: bool | None,
        trashed: str | None,
    ) -> list[int]:
        moved = []
        for row in rows:
            place = _Place(row["id"], row["file"], bool(row["starred"]), row["trashed"])
            if not concerns(place):
                continue
            star = place.starred if starred is None else starred
            day = place.trashed if trashed is None else trashed
            name = f"{_base(Path(place.file).name)}{STARRED if star else ''}.png"
            target = _free(self.folder / TRASH / day / name if day else self.folder / name)
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                (self._path(place.file)).rename(target)
            except FileNotFoundError:
                # Deleted by hand.
                index.execute("DELETE FROM pictures WHERE id = ?", (place.id,))
                continue
            except OSError as error:
                raise OutputError(
                    f"{self._path(place.file)} cannot be moved: {error.strerror or error}.",
                    "See that the gallery's folder can be written.",
                ) from error
            self._update(index, _Place(place.id, target.relative_to(self.folder).as_posix(), star, day))
            if place.trashed and place.trashed != day:
                self._remove_empty(place.trashed)
            moved.append(place.id)
        return moved

    def _update(self, index: sqlite3.Connection, place: _Place) -> None:
        index.execute(
            "UPDATE pictures SET file = ?, starred = ?, trashed = ? WHERE id = ?",
            (place.file, place.starred, place.trashed, place.id),
        )

    def _renew(self, index: sqlite3.Connection, id: int, made: int) -> None:
        row = index.execute("SELECT file FROM pictures WHERE id = ?", (id,)).fetchone()
        if row is not None:
            _set_time(self._path(row["file"]), made)
            index.execute("UPDATE pictures SET made = ? WHERE id = ?", (made, id))

    def _tidy(self, index: sqlite3.Connection) -> None:
        """Move what is beyond the newest `keep` without a star to the trash."""
        older = index.execute(
            "SELECT * FROM pictures WHERE trashed = '' AND starred = 0 ORDER BY made DESC, id DESC LIMIT -1 OFFSET ?",
            (self.keep,),
        ).fetchall()
        self._move_rows(index, older, lambda place: True, None, _today().isoformat())

    def _delete(self, index: sqlite3.Connection, rows: Sequence[sqlite3.Row]) -> list[int]:
        deleted = []
        for row in rows:
            path = self._path(row["file"])
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise OutputError(
                    f"{path} cannot be deleted: {error.strerror or error}.", "See that the folder can be written."
                ) from error
            index.execute("DELETE FROM pictures WHERE id = ?", (row["id"],))
            deleted.append(row["id"])
        for day in {row["trashed"] for row in rows if row["trashed"]}:
            self._remove_empty(day)
        return deleted

    def _remove_empty(self, day: str) -> None:
        with contextlib.suppress(OSError):  # something else lies in it
            (self.folder / TRASH / day).rmdir()


_TABLES = (
    """CREATE TABLE IF NOT EXISTS pictures (
        id INTEGER PRIMARY KEY, file TEXT NOT NULL, starred INTEGER NOT NULL, trashed TEXT NOT NULL,
        made INTEGER NOT NULL, model TEXT NOT NULL, seed INTEGER, temperature REAL NOT NULL, attributes TEXT NOT NULL,
        words TEXT NOT NULL, digest TEXT NOT NULL
    )""",
    # Holds all that is searched, in the order in which it is shown: the table itself need not be read.
    "CREATE INDEX IF NOT EXISTS by_time ON pictures (trashed, made, id, starred, model, seed, words)",
    "CREATE INDEX IF NOT EXISTS by_digest ON pictures (digest)",
    "CREATE TABLE IF NOT EXISTS skipped (file TEXT PRIMARY KEY, changed INTEGER NOT NULL, reason TEXT NOT NULL)",
)
_COLUMNS = (
    "id", "file", "starred", "trashed", "made", "model", "seed", "temperature", "attributes", "words", "digest",
)  # fmt: skip


class _IndexDamagedError(sqlite3.DatabaseError):
    """The check of the index found something."""


def _is_damage(error: sqlite3.Error) -> bool:
    """Whether a new index would help; not where it is only busy or the disk is full."""
    name = getattr(error, "sqlite_errorname", "")
    # SQLITE_ERROR: a table or a column is missing.
    return isinstance(error, _IndexDamagedError) or name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_ERROR"))


@contextlib.contextmanager
def _writing(index: sqlite3.Connection) -> Iterator[None]:
    """A transaction that other programs wait for. What was moved before an error stays moved, and is written down."""
    index.execute("BEGIN IMMEDIATE")
    try:
        yield
    except sqlite3.Error:
        if index.in_transaction:
            index.execute("ROLLBACK")
        raise
    except BaseException:
        index.execute("COMMIT")
        raise
    index.execute("COMMIT")


def _rows(index: sqlite3.Connection, column: str, wanted: Sequence[Any]) -> list[sqlite3.Row]:
    """The rows whose `column` is one of `wanted`, in that order."""
    found: list[sqlite3.Row] = []
    for start in range(0, len(wanted), _MANY):
        some = wanted[start : start + _MANY]
        marks = ",".join("?" * len(some))
        found += index.execute(f"SELECT * FROM pictures WHERE {column} IN ({marks})", some).fetchall()  # noqa: S608
    order = {value: place for place, value in enumerate(wanted)}
    return sorted(found, key=lambda row: order[row[column]])


def _insert(index: sqlite3.Connection, rows: Iterable[Mapping[str, Any]]) -> None:
    """Add rows. Another program may have added the same ones meanwhile, and moved their files since: its rows stay."""
    marks = ",".join("?" * len(_COLUMNS))
    sql = f"INSERT OR IGNORE INTO pictures ({','.join(_COLUMNS)}) VALUES ({marks})"  # noqa: S608 - own text
    index.executemany(sql, [tuple(row[name] for name in _COLUMNS) for row in rows])


def _row(place: _Place, latent: Latent, made: int) -> dict[str, Any]:
    """What the index keeps of a picture. Raises `PictureError` for a latent that no program of ours writes."""
    if latent.seed is not None and latent.seed not in _SQL_INTEGERS:
        raise PictureError(f"{place.file} carries a seed that is out of range.", "Choose another picture.")
    values = latent.attributes.values()
    words = _words(" ".join([latent.model, *values, "" if latent.seed is None else str(latent.seed)]))
    return {
        "id": place.id,
        "file": place.file,
        "starred": place.starred,
        "trashed": place.trashed,
        "made": made,
        "model": latent.model,
        "seed": latent.seed,
        "temperature": float(latent.temperature),
        "attributes": json.dumps(latent.attributes, ensure_ascii=False),
        "words": f" {' '.join(words)} ",
        "digest": _digest(latent),
    }


def _conditions(query: GalleryQuery) -> tuple[str, list[Any]]:
    """The WHERE clause of a query and what its marks stand for."""
    parts, given = ["trashed <> ''" if query.trashed else "trashed = ''"], []
    if query.starred:
        parts.append("starred = 1")
    if query.model is not None:
        parts.append("model = ?")
        given.append(query.model)
    if query.seed is not None:
        parts.append("seed = ?")
        given.append(min(max(query.seed, _SQL_INTEGERS[0]), _SQL_INTEGERS[-1]))
    for name, value in query.values.items():
        # Quotes within a name or a value are escaped, so that nothing else in the text looks like this.
        words = _words(value)
        parts += ["instr(words, ?) > 0"] * len(words) + ["instr(attributes, ?) > 0"]
        given += [f" {word} " for word in words]
        given.append(json.dumps({name: value}, ensure_ascii=False)[1:-1])
    for word in _words(query.text)[:_MAX_WORDS]:
        parts.append("instr(words, ?) > 0")
        # "7" means the class or the seed 7, not every seed that begins with it.
        given.append(f" {word} " if word.isdigit() else f" {word}")
    return " AND ".join(parts), given


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def _digest(latent: Latent) -> str:
    return hashlib.sha256(latent.to_json().encode()).hexdigest()[:32]


def _place(file: str) -> _Place:
    """What a file's place below the gallery's folder says."""
    name = file.rpartition("/")[2]
    base = _base(name)
    # From the name, so that every program and every new index comes to the same id.
    number = int.from_bytes(hashlib.sha256(base.encode("utf-8", "surrogatepass")).digest()[:7], "big")
    day = file.split("/")[1] if "/" in file else ""
    return _Place(number, file, name.lower().endswith(f"{STARRED}.png"), day)


def _base(name: str) -> str:
    """A file's name without the endings that say what it is."""
    stem = name[: -len(".png")]
    return stem[: -len(STARRED)] if stem.lower().endswith(STARRED) else stem


def _stem(latent: Latent) -> str:
    """The readable part of a file name: model, short choice, seed."""
    values = list(latent.attributes.values()) if len(latent.attributes) <= 2 else []
    words = [latent.model, *values, "latent" if latent.seed is None else f"seed{latent.seed}"]
    return re.sub(r"[^\w.-]+", "-", "-".join(words))[:_MAX_NAME].lstrip(".") or "picture"


def _png_names(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.name.lower().endswith(".png")]
    except OSError:
        return []
    # A dot in front: being written just now. A name that is no text cannot be in the index.
    return [name for name in names if not name.startswith(".") and name.isprintable()]


def _is_day(name: str) -> bool:
    return re.fullmatch(r"\d{4}-\d\d-\d\d", name) is not None and _day_or_none(name) is not None


def _day_or_none(name: str) -> date | None:
    try:
        return date.fromisoformat(name)
    except ValueError:
        return None


def _today() -> date:
    return datetime.now(UTC).date()


def _free(path: Path) -> Path:
    """`path`, or the same name with a number where a file of that name exists."""
    number, candidate = 2, path
    while candidate.exists():
        candidate = path.with_name(f"{_base(path.name)}-{number}{path.name[len(_base(path.name)) :]}")
        number += 1
    return candidate


def _set_time(path: Path, made: int) -> None:
    with contextlib.suppress(OSError):  # only its place among the others depends on it
        os.utime(path, ns=(made, made))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise PictureError(
            f"{path} cannot be read: {error.strerror or error}.", "Another program may have deleted it."
        ) from error
