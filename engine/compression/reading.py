"""Getting the bytes of an .lsi file, and saying which file an error is about."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.compression.container import MAX_FILE_BYTES
from engine.errors import LatentStudioError, LimitError, PictureError, UsageError


def read_compressed(source: Path) -> bytes:
    """The bytes of an .lsi file. Raises `PictureError` or `LimitError` where it cannot be read."""
    source = Path(source)
    try:
        size = source.stat().st_size
        if source.is_dir():
            raise PictureError(f"{source} is a folder.", "Choose a file.")
        if size > MAX_FILE_BYTES:
            raise LimitError(f"{source} has {size} bytes, more than any compressed picture.", "Choose another file.")
        return source.read_bytes()
    except FileNotFoundError as error:
        raise PictureError(f"There is no file {source}.", "Check its name.") from error
    except OSError as error:
        raise PictureError(f"{source} cannot be read: {error.strerror or error}.", "Check its rights.") from error


@contextmanager
def naming(source: Path) -> Iterator[None]:
    """Errors that leave the block say which file they are about, unless the call itself was wrong."""
    try:
        yield
    except LatentStudioError as error:
        if str(source) not in error.problem and not isinstance(error, UsageError):
            error.problem = f"{source}: {error.problem}"
            error.args = (f"{error.problem} {error.remedy}".strip(),)
        raise
