"""Opening an .lsi file on the disk, and saying which file an error is about."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from engine.compression.byte_source import FileSource
from engine.compression.container import MAX_FILE_BYTES
from engine.errors import LatentStudioError, LimitError, PictureError, UsageError


@contextmanager
def open_compressed(source: Path) -> Iterator[FileSource]:
    """An .lsi file to read from; only what is asked for is read. Errors that leave the block say which file.

    Raises:
        PictureError, LimitError: it cannot be opened, or is larger than any such file.
    """
    source = Path(source)
    with ExitStack() as opened:
        try:
            if source.is_dir():
                raise PictureError(f"{source} is a folder.", "Choose a file.")
            # Unbuffered: a buffer would read on beyond what is asked for.
            file = opened.enter_context(source.open("rb", buffering=0))
        except FileNotFoundError as error:
            raise PictureError(f"There is no file {source}.", "Check its name.") from error
        except OSError as error:
            raise PictureError(f"{source} cannot be read: {error.strerror or error}.", "Check its rights.") from error
        data = FileSource(file, str(source))
        if data.size > MAX_FILE_BYTES:
            raise LimitError(
                f"{source} has {data.size} bytes, more than any compressed picture.", "Choose another file."
            )
        with naming(source):
            yield data


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
