"""Writing files so that a reader finds either the old content or the whole new one, never half of it."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from engine.errors import OutputError


def _explain(path: Path, error: OSError) -> OutputError:
    if error.errno == errno.ENOSPC:
        return OutputError(f"No space is left to write {path}.", "Free some space or choose another folder.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return OutputError(f"No permission to write {path}.", "Choose a folder that you may write to.")
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return OutputError(f"The folder of {path} does not exist.", "Create it or choose another one.")
    return OutputError(f"{path} cannot be written: {error.strerror or error}.", "Choose another place.")


@contextlib.contextmanager
def atomic_writer(path: Path, *, overwrite: bool = True) -> Iterator[IO[bytes]]:
    """Open `path` for binary writing; the file appears, complete, when the block ends without an error.

    The bytes go to a temporary file in the same folder, are flushed to the disk and then renamed into place.

    Args:
        path: the file to write. Missing parent folders are created.
        overwrite: False refuses to replace a file that exists already.

    Raises:
        OutputError: no rights, no space, or the file exists and `overwrite` is False.
    """
    import tempfile  # takes a hundredth of a second, which the start of the window need not wait for

    path = Path(path)
    if not overwrite and path.exists():
        raise OutputError(f"{path} exists already.", "Choose another name or allow overwriting.")
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name[:40]}.", suffix=".part", dir=path.parent)
        with os.fdopen(descriptor, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        # mkstemp makes files private; a result has the rights of any new file of this user.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
        temporary = None
        _sync_folder(path.parent)
    except OSError as error:
        raise _explain(path, error) from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def write_bytes(path: Path, data: bytes, *, overwrite: bool = True) -> None:
    """Write `data` to `path` atomically. Raises `OutputError`."""
    with atomic_writer(path, overwrite=overwrite) as stream:
        stream.write(data)


def write_text(path: Path, text: str, *, overwrite: bool = True) -> None:
    """Write `text` as UTF-8 to `path` atomically. Raises `OutputError`."""
    write_bytes(path, text.encode("utf-8"), overwrite=overwrite)


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable where the system can (POSIX)."""
    if os.name != "posix":
        return
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
