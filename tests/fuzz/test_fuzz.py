"""Bad input: every cut and every flipped bit is noticed, hostile files end in our errors and take no memory first."""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc
import zlib
from itertools import product
from pathlib import Path
from random import Random

import constriction
import numpy as np
import pytest

from engine.compression import decode, inspect
from engine.compression.container import MAX_PIXELS, group_grid, read_container
from engine.compression.side_data import unpack_alpha
from engine.errors import DamagedFile, LatentStudioError, LimitError
from tests.fuzz.mutation import MAX_BYTES, Draft, Part, mutate, with_symbol_checksums
from tests.fuzz.run import MEMORY_LIMIT_MB, ROOT, fuzz
from tests.fuzz.targets import SEEDS, Step, Targets

CI_RUNS = 20_000
SMALL_PEAK = 2**20

seeds = pytest.mark.parametrize("seed", SEEDS, ids=lambda path: path.stem)


def test_the_seeds_are_small_and_hold_every_kind_of_part() -> None:
    headers = [inspect(path.read_bytes()) for path in SEEDS]
    assert all(header.file_bytes <= 4096 and not header.problems for header in headers)
    assert {section.name for section in headers[0].sections} == {"MODL", "exif", "ALPH", "GRPI", "GRPS"}
    assert [len(header.groups) for header in headers] == [1, 2, 1]


@seeds
def test_every_prefix_is_noticed(seed: Path) -> None:
    data = seed.read_bytes()
    for length in range(len(data)):
        with pytest.raises(LatentStudioError):
            decode(data[:length], strict=True, device="cpu")


@seeds
def test_every_flipped_bit_is_noticed(seed: Path) -> None:
    data = bytearray(seed.read_bytes())
    for position in range(len(data)):
        for bit in range(8):
            data[position] ^= 1 << bit
            with pytest.raises(LatentStudioError):
                decode(bytes(data), strict=True, device="cpu")
            data[position] ^= 1 << bit


@seeds
def test_a_file_taken_apart_is_the_same_when_assembled(seed: Path) -> None:
    data = seed.read_bytes()
    draft = Draft.of(data)
    draft.put_groups(draft.groups())
    assert draft.assemble() == data
    assert with_symbol_checksums(data, [crc for _, crc in draft.groups()]) == data


def test_mutations_are_repeatable_small_and_mostly_have_right_checksums() -> None:
    drafts = [Draft.of(path.read_bytes()) for path in SEEDS]
    files = [mutate(Random(number), drafts) for number in range(500)]
    assert files == [mutate(Random(number), drafts) for number in range(500)]
    assert len(set(files)) > 450 and max(map(len, files)) <= MAX_BYTES
    right = [data for data in files if len(data) >= 32 and zlib.crc32(data[:28]).to_bytes(4, "little") == data[28:32]]
    assert len(right) > 450


@pytest.mark.slow
def test_hostile_files_and_streams_end_in_our_errors_within_bounded_memory(tmp_path: Path) -> None:
    """In a process of its own, whose peak memory is not that of other tests. How long a run takes is not asserted."""
    report_file, failures = tmp_path / "report.json", tmp_path / "failures"
    command = [sys.executable, "tests/fuzz/run.py", "--runs", str(CI_RUNS), "--json", str(report_file)]
    done = subprocess.run(
        [*command, "--out", str(failures)], cwd=ROOT, capture_output=True, text=True, timeout=280, check=False
    )
    assert report_file.exists(), done.stderr
    report = json.loads(report_file.read_text())
    assert report["failures"] == []
    assert report["runs"] == CI_RUNS
    assert report["peak_mb"] is None or report["peak_mb"] < MEMORY_LIMIT_MB
    # Neither are all inputs refused at once, nor does nothing reach the checks.
    outcomes = report["outcomes"]
    assert outcomes["file"]["taken"] > 2000 and outcomes["file"]["DamagedFile"] > 2000
    assert {"LimitError", "UnsupportedVersion", "NotACompressedFile"} <= outcomes["file"].keys()
    for kind in ("symbols", "group", "picture"):
        assert outcomes[kind]["taken"] >= 10 and outcomes[kind]["DamagedFile"] >= 5
    assert outcomes["metadata"]["taken"] >= 100


class _Panicking(Targets):
    """Calls the range coder without the guard that the program puts around it."""

    def step(self, number: int) -> Step:
        return Step("panic", lambda rng: rng.randbytes(3), lambda _rng, _data: self._panic())

    def _panic(self) -> None:
        constriction.stream.model.QuantizedGaussian(-5, 5, 0.0, -1.0)  # type: ignore[attr-defined]


def test_a_panic_of_the_coder_fails_a_run_and_its_input_is_kept(tmp_path: Path) -> None:
    report = fuzz(_Panicking(tmp_path), seed=3, first=7, runs=2, seconds=None, out=tmp_path / "kept")
    assert [(number, kind) for number, kind, _ in report.failures] == [(7, "panic"), (8, "panic")]
    assert not report.passed
    assert (tmp_path / "kept" / "3-7-panic.bin").read_bytes() == Random("3:7").randbytes(3)
    assert "--seed 3 --first 7" in (tmp_path / "kept" / "3-7-panic.txt").read_text()


def hostile_headers() -> list[bytes]:
    """Right checksums, impossible numbers: sizes, lengths of sections, lengths of streams."""
    drafts = [Draft.of(path.read_bytes()) for path in SEEDS]
    files = []
    sides = (0, 1, 40, 513, 16_384, 65_535, 65_536, 2**31 - 1, 2**32 - 1)
    lengths = (2**20, 2**24, 2**28, 2**31 - 1, 2**31, 2**32 - 1)
    for draft in drafts:
        groups = len(draft.groups())
        for width, height in product(sides, sides):
            columns, rows = group_grid(width, height)
            if columns * rows != groups or width * height > MAX_PIXELS:
                hostile = draft.copy()
                hostile.fields["width"], hostile.fields["height"] = width, height
                files.append(hostile.assemble())
        for number, length in product(range(len(draft.parts)), lengths):
            hostile = draft.copy()
            hostile.parts[number].length = length
            files.append(hostile.assemble())
        for place, length in product(range(0, 12 * groups, 12), lengths):
            hostile = draft.copy()
            index = hostile.find(b"GRPI")
            assert index is not None
            index.payload = index.payload[:place] + length.to_bytes(4, "little") + index.payload[place + 4 :]
            files.append(hostile.assemble())
    return files


def test_hostile_headers_are_refused_before_memory_is_taken() -> None:
    files = hostile_headers()
    assert len(files) > 250
    with pytest.raises(LatentStudioError):
        decode(files[0], device="cpu")  # what is imported at first use is no matter here
    tracemalloc.start()
    try:
        for data in files:
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            with pytest.raises((DamagedFile, LimitError)):
                decode(data, strict=True, device="cpu")
            assert tracemalloc.get_traced_memory()[1] - before < SMALL_PEAK
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("width", "height"),
    [
        (115, 83),  # 64 MB for a plane of 9,545 bytes
        (16_384, 16_384),  # 64 MB for a plane of 256 MB
    ],
)
def test_a_bomb_in_the_opacity_plane_is_refused_before_memory_is_taken(width: int, height: int) -> None:
    bombs = [bytes([prediction]) + zlib.compress(bytes(2**26), 9) for prediction in range(3)]
    assert max(map(len, bombs)) < 70_000
    tracemalloc.start()
    try:
        for bomb in bombs:
            with pytest.raises(DamagedFile):
                unpack_alpha(bomb, width, height)
        assert tracemalloc.get_traced_memory()[1] < SMALL_PEAK
    finally:
        tracemalloc.stop()


def test_the_densest_opacity_plane_is_still_read() -> None:
    """Deflate's limit of 1,032 bytes for one is what the check above rests on."""
    plane = bytes(2**24)
    packed = b"\0" + zlib.compress(plane, 9)
    assert len(plane) > 1000 * len(packed)
    assert not np.any(unpack_alpha(packed, 4096, 4096))


@pytest.mark.parametrize("kind", [b"a\x1b[2", b"\xe4\xf6\xfc\xdf", b"no e", b"no-1"])
def test_names_of_sections_are_letters(kind: bytes) -> None:
    """They are printed: `main.py info` would send them to the terminal."""
    draft = Draft.of(SEEDS[0].read_bytes())
    draft.parts.insert(1, Part(kind, b"12"))
    with pytest.raises(DamagedFile, match="table of sections"):
        read_container(draft.assemble())
    draft.parts[1].kind = b"note"
    assert read_container(draft.assemble()).problems == ()


def test_no_section_occurs_twice() -> None:
    draft = Draft.of(SEEDS[0].read_bytes())
    draft.parts.insert(1, Part(b"note", b"12"))
    assert read_container(draft.assemble()).problems == ()
    draft.parts.append(Part(b"note", b"34"))
    with pytest.raises(DamagedFile, match="table of sections"):
        read_container(draft.assemble())
