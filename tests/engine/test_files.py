"""A file is written whole or not at all, and a disk that refuses is explained in one sentence."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from engine.errors import OutputError
from engine.files import atomic_writer, write_bytes


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "result.bin"
    write_bytes(target, b"old")
    with pytest.raises(ValueError, match="stop"), atomic_writer(target) as stream:
        stream.write(b"half of the new")
        raise ValueError("stop")
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_missing_folders_are_made(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a" / "b" / "file", b"x")
    assert (tmp_path / "a" / "b" / "file").read_bytes() == b"x"


def test_an_existing_file_is_kept_unless_overwriting_is_allowed(tmp_path: Path) -> None:
    target = tmp_path / "file"
    write_bytes(target, b"first")
    with pytest.raises(OutputError, match="exists already"):
        write_bytes(target, b"second", overwrite=False)
    assert target.read_bytes() == b"first"


@pytest.mark.parametrize(
    ("number", "sentence"),
    [(errno.ENOSPC, "No space is left"), (errno.EACCES, "No permission"), (errno.EROFS, "No permission")],
)
def test_a_disk_that_refuses_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, sentence: str
) -> None:
    target = tmp_path / "file"
    write_bytes(target, b"old")

    def refuse(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OutputError, match=sentence) as raised:
        write_bytes(target, b"new")
    assert raised.value.remedy
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_file_in_the_place_of_a_folder_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match=r"does not exist|cannot be written"):
        write_bytes(tmp_path / "file" / "result", b"x")
