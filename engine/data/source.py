"""The files of a data set, whether they lie in a folder or in a zip; every failure names the file."""

from __future__ import annotations

import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import numpy as np

from engine.errors import DataError, PictureError
from engine.image import PICTURE_SUFFIXES, open_picture

# A data set's single file is a picture or a table: a zip member that claims more is refused before it is unpacked.
MAX_MEMBER_BYTES = 2**28


class FileSource(Protocol):
    """Named files that can be read; names use forward slashes and are relative to the source's top."""

    label: str

    def names(self) -> list[str]:
        """All file names, sorted."""
        ...

    def read(self, name: str) -> bytes:
        """Content of a file. Raises `DataError` naming it."""
        ...


class FolderSource:
    """Files below a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.label = str(folder)

    def names(self) -> list[str]:
        try:
            found = [path.relative_to(self._folder).as_posix() for path in self._folder.rglob("*") if path.is_file()]
        except OSError as error:
            raise DataError(f"The folder {self._folder} cannot be read: {error.strerror or error}.") from error
        return sorted(name for name in found if not _hidden(name))

    def read(self, name: str) -> bytes:
        try:
            return (self._folder / name).read_bytes()
        except OSError as error:
            raise DataError(f"{self._folder / name} cannot be read: {error.strerror or error}.") from error


class ZipSource:
    """Files in a zip, read without unpacking it to the disk.

    Where a whole folder was packed (SET/CLASS/PICTURE), its name is left out of the files' names.
    """

    def __init__(self, path: Path) -> None:
        self.label = str(path)
        try:
            self._archive = zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile) as error:
            raise DataError(f"{path} is not a readable zip file ({error}).", "Copy or download it again.") from error

        found = [info.filename for info in self._archive.infolist() if not info.is_dir()]
        self._names = sorted(name for name in found if not _hidden(name))
        self._top = _packed_folder(self._names)
        self._names = [name.removeprefix(self._top) for name in self._names]

    def names(self) -> list[str]:
        return self._names

    def read(self, name: str) -> bytes:
        try:
            if self._archive.getinfo(self._top + name).file_size > MAX_MEMBER_BYTES:
                raise DataError(
                    f"{name} in {self.label} is larger than {MAX_MEMBER_BYTES // 2**20} MiB.", "Leave it out."
                )
            return self._archive.read(self._top + name)
        except KeyError as error:
            raise DataError(f"{self.label} holds no file {name}.", "Copy or download it again.") from error
        # RuntimeError: encrypted; NotImplementedError: a compression method of another program.
        except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError, ValueError) as error:
            raise DataError(
                f"{name} in {self.label} cannot be read ({error}).", "Copy or download the file again."
            ) from error


def open_source(path: Path) -> FolderSource | ZipSource:
    """A folder or a zip as a source. Raises `DataError` when it is neither."""
    if path.is_dir():
        return FolderSource(path)
    if path.is_file():
        return ZipSource(path)
    raise DataError(f"There is no folder or zip file {path}.", "Check the path.")


def picture_names(names: list[str]) -> list[str]:
    """Those names that end like a picture's."""
    return [name for name in names if name.lower().endswith(PICTURE_SUFFIXES)]


def read_pixels(source: FileSource, name: str) -> np.ndarray:
    """A picture of the source as (H, W, 3) uint8. Raises `DataError` naming the file."""
    data = source.read(name)
    try:
        return open_picture(data, name=f"{source.label}/{name}").pixels
    except PictureError as error:
        raise DataError(error.problem, "Replace the file or take it out of the data set.") from error


def read_many(source: FileSource, names: list[str]) -> list[np.ndarray]:
    """Pictures of the source in the order of `names`; decoded by two threads, as decoders release the lock."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        return list(pool.map(lambda name: read_pixels(source, name), names))


def open_text(source: FileSource, name: str) -> str:
    """A text file of the source, UTF-8. Raises `DataError` naming it."""
    try:
        return source.read(name).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{source.label}/{name} is not a UTF-8 text file.", "Save it as UTF-8.") from error


def _hidden(name: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in name.split("/"))


def _packed_folder(names: list[str]) -> str:
    """The folder, with its slash, that holds everything in further folders, or nothing where that is a part's name."""
    tops = {name.partition("/")[0] for name in names}
    pictures = picture_names(names)
    if len(tops) != 1 or not pictures or any(name.count("/") < 2 for name in pictures):
        return ""
    top = tops.pop()
    return "" if top.lower() in ("train", "val", "test") else f"{top}/"
