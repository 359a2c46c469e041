"""Photos, hostile files and runs of batches for tests."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
from PIL import Image

from engine.batch.journal import journal_path
from engine.batch.plan import Row, list_rows
from engine.batch.runner import BatchRunner, prepare
from engine.batch.settings import BatchSettings
from engine.image import PICTURE_SUFFIXES
from tests.engine.codec_fixtures import scene


def write_photo(path: Path, seed: int = 0, size: tuple[int, int] = (64, 48), **options: object) -> Path:
    """A small picture of slopes, edges and grain in the format of its suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(scene(*size, seed=seed).pixels).save(path, **options)
    return path


def write_mixed(folder: Path) -> dict[str, str]:
    """Good and hostile files in a tree; what each is to come to, by its place in the tree."""
    write_photo(folder / "plain.png", 1)
    write_photo(folder / "trip/sea.jpg", 2, quality=92)
    write_photo(folder / "trip/sea.png", 3)
    write_photo(folder / "trip/Ærø è 图.webp", 4)
    write_photo(folder / "trip/deep/grey.png", 5)
    whole = write_photo(folder / "cut.jpg", 6, size=(200, 150), quality=95)
    whole.write_bytes(whole.read_bytes()[:700])
    (folder / "empty.jpg").touch()
    (folder / "text.png").write_text("no picture at all")
    bomb = bytearray(write_photo(folder / "bomb.png", 7).read_bytes())
    bomb[16:24] = (60_000).to_bytes(4, "big") * 2
    (folder / "bomb.png").write_bytes(bytes(bomb))
    (folder / "broken-link.png").symlink_to(folder / "nowhere.png")
    os.mkfifo(folder / "trip/pipe.png")
    write_photo(folder / ".hidden.png")
    write_photo(folder / ".cache/thumb.png")
    (folder / "notes.txt").write_text("no picture by its name")
    good = ("plain.png", "trip/sea.jpg", "trip/sea.png", "trip/Ærø è 图.webp", "trip/deep/grey.png")
    bad = ("cut.jpg", "empty.jpg", "text.png", "bomb.png")
    return dict.fromkeys(good, "done") | dict.fromkeys(bad, "failed")


def listed(*paths: Path) -> list[Row]:
    """The rows of files and folders."""
    return [row for portion in list_rows(paths, PICTURE_SUFFIXES) for row in portion]


def runner_for(rows: list[Row], settings: BatchSettings, *, resume: bool = False, **options: object) -> BatchRunner:
    """A runner with a journal in the target folder."""
    prepared = prepare(rows, settings, existing="refuse", journal=journal_path(settings.folder), resume=resume)
    return BatchRunner(prepared, settings, device="cpu", threads=1, **options)  # type: ignore[arg-type]


def contents(folder: Path) -> dict[str, str]:
    """The hash of every file below a folder, hidden ones other than the journal included."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(".jsonl"))
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def noise(path: Path, side: int = 64) -> Path:
    """A picture of pure noise, which no codec makes much smaller at a high quality."""
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, quality=20)
    return path
