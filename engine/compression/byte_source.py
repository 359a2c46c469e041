"""Where the bytes of a file come from: memory, or an open file of which only the asked-for parts are read.

Files are read by seek and read, never mapped into memory: a mapped file that someone else cuts short ends the program
with a signal that nothing can catch, while a read merely gives fewer bytes, which the checksums notice.
"""

from __future__ import annotations

import zlib
from typing import Protocol

from engine.errors import PictureError

# Checksums are taken in pieces of so many bytes, so that memory stays flat.
_PIECE_BYTES = 2**20


class BinaryFile(Protocol):
    """What `FileSource` needs of a file object."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """As in `io.IOBase`."""
        ...

    def read(self, size: int, /) -> bytes | None:
        """As in `io.RawIOBase`: at most `size` bytes, none only at the end."""
        ...


class ByteSource(Protocol):
    """The bytes of one file."""

    @property
    def size(self) -> int:
        """How many there are."""
        ...

    def read(self, offset: int, length: int) -> bytes:
        """Those from `offset` on; fewer than `length` only where the file ends. Raises `PictureError`."""
        ...


class BytesSource:
    """A file in memory."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    @property
    def size(self) -> int:
        """See `ByteSource`."""
        return len(self._data)

    def read(self, offset: int, length: int) -> bytes:
        """See `ByteSource`."""
        return self._data[offset : offset + length]


class FileSource:
    """An open file; nothing of it is kept, and one thread at a time may read it.

    Args:
        file: opened for reading bytes, with any position.
        name: what errors call it.

    Raises:
        PictureError: its length cannot be found.
    """

    def __init__(self, file: BinaryFile, name: str = "The file") -> None:
        self._file, self._name = file, name
        try:
            self._size = file.seek(0, 2)
        except OSError as error:
            raise self._unreadable(error) from error

    @property
    def size(self) -> int:
        """Its length when it was opened. What is appended later is not read; what is cut off then is missing."""
        return self._size

    def read(self, offset: int, length: int) -> bytes:
        """See `ByteSource`."""
        # Lengths come from the file itself: never ask for memory that the file cannot fill.
        missing = min(length, self._size - offset)
        pieces: list[bytes] = []
        try:
            if missing > 0:
                self._file.seek(offset)
            while missing > 0:
                piece = self._file.read(missing)
                if not piece:
                    break
                pieces.append(piece)
                missing -= len(piece)
        except OSError as error:
            raise self._unreadable(error) from error
        return b"".join(pieces)

    def _unreadable(self, error: OSError) -> PictureError:
        return PictureError(f"{self._name} cannot be read: {error.strerror or error}.", "Check the disk.")


def as_source(data: bytes | ByteSource) -> ByteSource:
    """Bytes, or what holds such, as a source; a source as it is."""
    return BytesSource(bytes(data)) if isinstance(data, bytes | bytearray | memoryview) else data


def checksum(source: ByteSource, offset: int, length: int) -> int:
    """CRC-32 of a part, read piece by piece."""
    crc, end = 0, offset + length
    while offset < end:
        piece = source.read(offset, min(_PIECE_BYTES, end - offset))
        if not piece:
            break
        crc = zlib.crc32(piece, crc)
        offset += len(piece)
    return crc
