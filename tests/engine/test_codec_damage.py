"""Damaged and hostile files: everything is noticed, what is sound is saved, nothing but our own errors leaves."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.compression import EncodeSettings, decode, encode, inspect
from engine.compression.codec_model import open_codec
from engine.compression.container import (
    MAGIC,
    MAX_PIXELS,
    EncodedGroup,
    group_grid,
    group_stream,
    read_container,
    section_payload,
    write_container,
)
from engine.compression.entropy import GroupDecoder, GroupEncoder, Table, guarded
from engine.compression.side_data import pack_alpha, unpack_alpha
from engine.errors import (
    DamagedFile,
    LatentStudioError,
    LimitError,
    ModelError,
    NotACompressedFile,
    UnsupportedVersion,
)
from engine.models.card import ModelCard
from engine.models.hyperprior_codec import HYPER_TOTAL, LATENT_TOTAL
from engine.models.store import save_model
from tests.engine.codec_fixtures import install_small_model, scene, small_network

PREAMBLE = 32


@pytest.fixture(autouse=True)
def small_codec() -> None:
    install_small_model()


def small_file() -> bytes:
    picture = scene(40, 30)
    return encode(picture, EncodeSettings(quality=30), device="cpu")


def repaired(data: bytearray) -> bytes:
    """The checksums of header and table made right again, as an attacker would."""
    struct.pack_into("<I", data, PREAMBLE - 4, zlib.crc32(data[: PREAMBLE - 4]))
    count = data[24]
    end = PREAMBLE + 12 * count
    offset = end + 4
    for entry in range(count):
        place = PREAMBLE + 12 * entry
        if place + 12 > len(data):
            break
        length = struct.unpack_from("<I", data, place + 4)[0]
        struct.pack_into("<I", data, place + 8, zlib.crc32(data[offset : offset + length]))
        offset += length
    if end + 4 <= len(data):
        struct.pack_into("<I", data, end, zlib.crc32(data[PREAMBLE:end]))
    return bytes(data)


def test_bytes_after_the_end_are_noticed() -> None:
    data = small_file() + b"extra"
    assert "5 unknown bytes" in inspect(data).problems[0]
    with pytest.raises(DamagedFile):
        decode(data, strict=True, device="cpu")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_hostile_headers_with_right_checksums_end_in_our_errors(draw: st.DataObject) -> None:
    data = bytearray(small_file_once())
    head = PREAMBLE + 12 * data[24] + 4
    for _ in range(draw.draw(st.integers(1, 3))):
        position = draw.draw(st.integers(8, head + 70))
        data[position] = draw.draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]) | st.integers(0, 255))
    try:
        decode(repaired(data), device="cpu", max_pixels=2**20)
    except LatentStudioError as error:
        assert error.problem.endswith((".", ")"))


_ONCE: list[bytes] = []


def small_file_once() -> bytes:
    if not _ONCE:
        _ONCE.append(small_file())
    return _ONCE[0]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    size=st.tuples(st.integers(1, 1100), st.integers(1, 1100)),
    quality=st.integers(0, 10_000),
    streams=st.lists(st.binary(max_size=40), min_size=9, max_size=9),
    exif=st.none() | st.binary(min_size=1, max_size=50),
    name=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=64),
)
def test_a_container_reads_back_as_written(
    size: tuple[int, int], quality: int, streams: list[bytes], exif: bytes | None, name: str
) -> None:
    columns, rows = group_grid(*size)
    groups = [EncodedGroup(stream, number) for number, stream in enumerate(streams[: columns * rows])]
    data = write_container(
        width=size[0], height=size[1], quality=quality / 100, halo=5, model_name=name, model_hash="ab" * 32,
        groups=groups, exif=exif,
    )  # fmt: skip
    header = read_container(data)
    assert (header.width, header.height, header.halo, header.tiles) == (*size, 5, (columns, rows))
    assert round(header.quality * 100) == quality
    assert (header.model_name, header.model_hash, header.problems) == (name, "ab" * 32, ())
    assert [group_stream(data, entry) for entry in header.groups] == [group.stream for group in groups]
    assert [entry.symbol_crc for entry in header.groups] == list(range(columns * rows))
    assert section_payload(data, header, "exif") == exif
    assert sum(entry.width * entry.height for entry in header.groups) == size[0] * size[1]


def test_other_files_are_told_apart() -> None:
    for data in (b"", b"\x89PNG\r\n\x1a\n" + bytes(50), b"text"):
        with pytest.raises(NotACompressedFile):
            inspect(data)
    newer = bytearray(small_file())
    newer[8] = 2
    with pytest.raises(UnsupportedVersion):
        inspect(repaired(newer))
    feature = bytearray(small_file())
    feature[10] = 1
    with pytest.raises(UnsupportedVersion):
        inspect(repaired(feature))
    ignorable = bytearray(small_file())
    ignorable[11] = 1
    assert inspect(repaired(ignorable)).width == 40


def test_giant_dimensions_are_refused_from_the_header_alone() -> None:
    for width, height in ((65_535, 65_535), (0, 5), (70_000, 1), (2**32 - 1, 2**32 - 1)):
        data = bytearray(small_file())
        struct.pack_into("<II", data, 12, width, height)
        with pytest.raises(LimitError):
            decode(repaired(data), device="cpu")
    assert MAX_PIXELS == 2**28 and len(MAGIC) == 8


def test_a_damaged_part_is_drawn_hatched_and_the_rest_is_saved() -> None:
    picture = scene(1400, 300)
    data = bytearray(encode(picture, EncodeSettings(quality=60), device="cpu"))
    clean = decode(bytes(data), device="cpu").picture.pixels
    group = inspect(bytes(data)).groups[0]
    data[group.offset + 3] ^= 0x40
    result = decode(bytes(data), device="cpu")
    assert [(tile.x, tile.y, tile.width, tile.height) for tile in result.damaged_tiles] == [(0, 0, 512, 300)]
    assert not result.intact and any("hatched" in note for note in result.picture.notes)
    halo = result.header.halo * 16
    assert np.array_equal(result.picture.pixels[:, 512 + halo :], clean[:, 512 + halo :])
    assert not np.array_equal(result.picture.pixels[:, :512], clean[:, :512])
    with pytest.raises(DamagedFile):
        decode(bytes(data), strict=True, device="cpu")


def test_a_file_cut_short_keeps_the_parts_that_are_there() -> None:
    data = encode(scene(1400, 100), device="cpu")
    last = inspect(data).groups[-1]
    result = decode(data[: last.offset + last.bytes // 2], device="cpu")
    assert [tile.x for tile in result.damaged_tiles] == [1024]
    assert any("cut short" in note for note in result.picture.notes)


def test_a_stream_that_decodes_to_other_values_is_noticed() -> None:
    """Right checksums of the bytes, wrong symbols: what a decoder on a faulty machine would produce."""
    data = bytearray(small_file())
    header = inspect(bytes(data))
    index = header.section("GRPI")
    assert index is not None
    data[index.offset + 8] ^= 1
    with pytest.raises(DamagedFile, match="other values"):
        decode(repaired(data), strict=True, device="cpu")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stream=st.binary(max_size=80), seed=st.integers(0, 100))
def test_random_streams_decode_to_something_or_to_our_error(stream: bytes, seed: int) -> None:
    tables = [
        Table.from_frequencies(np.array([1, 4, 6, 3, 1, 1]), 2),
        Table.from_frequencies(np.array([0, 0, 0, 0, 0, 1]), 2),
    ]
    bins = np.random.default_rng(seed).integers(0, 2, 200).astype(np.uint8)
    try:
        values = GroupDecoder(stream).read(bins, tables)
    except DamagedFile:
        return
    assert values.shape == (200,) and np.abs(values).max() < 2**20


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.lists(st.integers(-(2**18), 2**18) | st.integers(-3, 3), min_size=1, max_size=100),
    seed=st.integers(0, 9),
)
def test_the_coder_returns_what_was_written(values: list[int], seed: int) -> None:
    tables = [
        Table.from_frequencies(np.array([1, 4, 6, 3, 1, 1]), 2),
        Table.from_frequencies(np.array([0, 1, 65_531, 1, 0, 3]), 2),
    ]
    bins = np.random.default_rng(seed).integers(0, 2, len(values)).astype(np.uint8)
    encoder = GroupEncoder()
    encoder.write(np.array(values, dtype=np.int32), bins, tables)
    assert GroupDecoder(encoder.finish()).read(bins, tables).tolist() == values


def test_streams_are_as_long_as_their_tables_say() -> None:
    counts = np.array([60, 300, 40_000, 25_000, 170, 6])
    table = Table.from_frequencies(counts, 2)
    values = np.random.default_rng(0).choice([-2, -1, 0, 1, 2], 50_000, p=counts[:-1] / counts[:-1].sum())
    encoder = GroupEncoder()
    encoder.write(values.astype(np.int32), np.zeros(50_000, dtype=np.uint8), [table])
    bits = -np.log2(counts[values + 2] / counts.sum()).sum()
    assert len(encoder.finish()) * 8 == pytest.approx(bits, rel=0.002, abs=64)


@pytest.mark.parametrize(
    ("name", "total"), [("latent_frequencies", LATENT_TOTAL), ("hyper_frequencies", HYPER_TOTAL)], ids=["y", "z"]
)
@pytest.mark.parametrize(("second", "escape"), [(0, 1), (-1, 1), (0, 0)], ids=["sum", "negative", "no escape"])
def test_tables_that_the_coder_cannot_use_are_refused(
    tmp_path: Path, name: str, total: int, second: int, escape: int
) -> None:
    network = small_network()
    card = network.finish([], ModelCard(name="hostile", family="hyperprior-codec"))
    row = getattr(network, name).flatten(0, -2)[3]
    row.zero_()
    row[0], row[1], row[-1] = total, second, escape
    path = tmp_path / "hostile.safetensors"
    save_model(path, network, card)
    with pytest.raises(ModelError, match="no sound frequency tables"):
        open_codec(path, "cpu")


def test_panics_of_the_coder_become_our_errors() -> None:
    import constriction

    with pytest.raises(DamagedFile):
        guarded(lambda: constriction.stream.model.QuantizedGaussian(-5, 5, 0.0, -1.0))


def test_an_opacity_plane_never_inflates_beyond_its_size() -> None:
    plane = (np.arange(600).reshape(20, 30) % 251).astype(np.uint8)
    assert np.array_equal(unpack_alpha(pack_alpha(plane), 30, 20), plane)
    bomb = b"\0" + zlib.compress(bytes(10**7))
    for data in (bomb, b"\0", b"\x05" + pack_alpha(plane)[1:], pack_alpha(plane) + b"x", pack_alpha(plane)[:-3]):
        with pytest.raises(DamagedFile):
            unpack_alpha(data, 30, 20)


def test_reading_a_header_needs_no_torch() -> None:
    code = (
        "import sys; from engine.compression import EncodeSettings, inspect; "
        "from engine.errors import LatentStudioError\n"
        "try: inspect(b'nothing')\nexcept LatentStudioError: pass\n"
        "sys.exit('torch' in sys.modules or 'PIL' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
