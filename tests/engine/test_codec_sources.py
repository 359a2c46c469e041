"""Reading of open files: only what is needed is read; files that end early or change meanwhile end in our errors."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.compression import Decoded, EncodeSettings, Header, Region, decode, encode, inspect, open_compressed
from engine.compression.byte_source import ByteSource, FileSource
from engine.compression.container import MAX_FILE_BYTES
from engine.compression.files import decode_file
from engine.errors import CodecError, DamagedFile, LatentStudioError, LimitError, PictureError
from tests.engine.codec_fixtures import install_small_model, scene
from viewer.__main__ import run as run_viewer

WIDTH, HEIGHT = 1700, 1200


class WatchedFile(io.BytesIO):
    """A file that keeps what was read of it, and may change after some reads.

    Attributes:
        read_bytes: for each byte of the file whether it was read.
        before_read: called before every read with the number of reads so far.
    """

    def __init__(self, data: bytes, before_read: Callable[[WatchedFile, int], None] | None = None) -> None:
        super().__init__(data)
        self.read_bytes = np.zeros(len(data), dtype=bool)
        self.reads = 0
        self.before_read = before_read

    def read(self, size: int | None = -1, /) -> bytes:
        assert size is not None and size >= 0  # nobody asks for all that there is
        if self.before_read is not None:
            self.before_read(self, self.reads)
        self.reads += 1
        start = self.tell()
        data = super().read(size)
        self.read_bytes[start : start + len(data)] = True
        return data


class HesitantFile(io.BytesIO):
    """Gives at most seven bytes a call, as pipes and raw files may."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(7, size or 0))


@cache
def large_file() -> bytes:
    """Twelve groups, with opacity and EXIF; encoded once."""
    exif = Image.Exif()
    exif[0x010F] = "Camera maker"
    alpha = np.full((HEIGHT, WIDTH), 200, dtype=np.uint8)
    picture = replace(scene(WIDTH, HEIGHT, noise=30), alpha=alpha, exif=exif.tobytes())
    return encode(picture, EncodeSettings(quality=40), device="cpu")


@pytest.fixture(autouse=True)
def small_codec() -> None:
    install_small_model()


def needed_bytes(header: Header, region: Region) -> np.ndarray:
    """For each byte of the file whether a decoder of the region needs it: all but the streams of other groups."""
    needed = np.ones(header.file_bytes, dtype=bool)
    halo = header.halo * 16
    left, right = region.x // 16 * 16 - halo, -(-region.right // 16) * 16 + halo
    top, bottom = region.y // 16 * 16 - halo, -(-region.bottom // 16) * 16 + halo
    for group in header.groups:
        beside = group.x >= right or group.x + group.width <= left
        apart = group.y >= bottom or group.y + group.height <= top
        if beside or apart:
            needed[group.offset : group.offset + group.bytes] = False
    return needed


@pytest.mark.parametrize("region", [Region(10, 20, 100, 80), Region(1650, 1100, 50, 100), Region(700, 650, 200, 200)])
def test_of_a_file_only_what_a_region_needs_is_read(region: Region) -> None:
    data = large_file()
    file = WatchedFile(data)
    result = decode(FileSource(file), region=region, strict=True, device="cpu")
    whole = decode(data, region=region, strict=True, device="cpu")
    assert np.array_equal(result.picture.pixels, whole.picture.pixels)
    assert result.header == whole.header
    assert result.picture.alpha is not None and result.picture.exif == whole.picture.exif
    needed = needed_bytes(result.header, region)
    assert needed.sum() < len(data) * 0.6  # there is something to be saved
    assert np.array_equal(file.read_bytes, needed)


def test_a_whole_picture_and_its_description_are_the_same_from_a_file_as_from_memory(tmp_path: Path) -> None:
    data = large_file()
    path = tmp_path / "large.lsi"
    path.write_bytes(data)
    with open_compressed(path) as source:
        assert inspect(source) == inspect(data)
        from_file = decode(source, strict=True, device="cpu").picture
    from_memory = decode(data, strict=True, device="cpu").picture
    assert np.array_equal(from_file.pixels, from_memory.pixels)
    assert (from_file.exif, from_file.stored_bytes) == (from_memory.exif, len(data))
    report = decode_file(path, tmp_path / "part.png", region=Region(5, 6, 70, 80), device="cpu")
    assert (report.width, report.height, report.compressed_bytes) == (70, 80, len(data))
    with Image.open(tmp_path / "part.png") as image:
        assert np.array_equal(np.asarray(image)[..., :3], from_memory.pixels[6:86, 5:75])


def test_a_file_that_hands_out_few_bytes_a_call_is_read_all_the_same() -> None:
    data = encode(scene(90, 70), device="cpu")
    result = decode(FileSource(HesitantFile(data)), strict=True, device="cpu")
    assert np.array_equal(result.picture.pixels, decode(data, device="cpu").picture.pixels)


def outcome(data: bytes | ByteSource, region: Region | None) -> tuple[str, Decoded | None]:
    try:
        return "", decode(data, region=region, device="cpu")
    except LatentStudioError as error:
        return str(error), None


@pytest.mark.parametrize("region", [None, Region(3, 4, 20, 10)], ids=str)
def test_every_prefix_and_every_flipped_byte_end_as_from_memory(region: Region | None) -> None:
    data = encode(replace(scene(40, 30), alpha=np.full((30, 40), 9, dtype=np.uint8)), device="cpu")
    flipped = [data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :] for place in range(0, len(data), 7)]
    for broken in [data[:length] for length in range(0, len(data), 5)] + flipped:
        told, from_memory = outcome(broken, region)
        again, from_file = outcome(FileSource(io.BytesIO(broken)), region)
        assert told == again
        if from_memory is not None and from_file is not None:
            assert from_file.header == from_memory.header and from_file.damaged_tiles == from_memory.damaged_tiles
            assert np.array_equal(from_file.picture.pixels, from_memory.picture.pixels)


@pytest.mark.parametrize("strict", [True, False])
def test_a_file_that_shrinks_while_it_is_read_ends_in_our_errors(strict: bool) -> None:
    data = encode(replace(scene(700, 90), alpha=np.full((90, 700), 9, dtype=np.uint8)), device="cpu")
    unharmed = WatchedFile(data)
    whole = decode(FileSource(unharmed), device="cpu").picture.pixels
    failed = 0
    for when in range(unharmed.reads):
        for left in (0, 20, 140, len(data) // 2, len(data) - 1):

            def shrink(file: WatchedFile, reads: int, when: int = when, left: int = left) -> None:
                if reads == when:
                    position = file.tell()
                    file.truncate(left)
                    file.seek(position)

            try:
                result = decode(FileSource(WatchedFile(data, shrink)), strict=strict, device="cpu")
            except (CodecError, PictureError) as error:
                assert error.problem
                failed += 1
                continue
            if result.damaged_tiles or result.picture.alpha is None:
                assert not strict and result.picture.notes
            else:  # what was cut off had been read
                assert np.array_equal(result.picture.pixels, whole)
    assert failed > unharmed.reads


def test_a_file_that_changes_after_its_header_was_verified_is_damaged() -> None:
    """The sections are verified when they are used, not only when the header is."""
    data = large_file()
    section = inspect(data).section("exif")
    assert section is not None

    def spoil(file: WatchedFile, _reads: int) -> None:
        if file.read_bytes[section.offset : section.offset + section.bytes].all():
            file.getbuffer()[section.offset + 9] ^= 1
            file.before_read = None

    with pytest.raises(DamagedFile, match="exif is damaged, or changed while it was read"):
        decode(FileSource(WatchedFile(data, spoil)), region=Region(0, 0, 9, 9), device="cpu")


class BrokenDisk(io.BytesIO):
    """Fails as a disk or a network drive does."""

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() > 100:
            raise OSError(5, "Input/output error")
        return super().read(size)


def test_a_disk_that_fails_is_an_error_of_ours() -> None:
    with pytest.raises(PictureError, match="Input/output error"):
        decode(FileSource(BrokenDisk(large_file())), device="cpu")


def test_what_cannot_be_opened_is_said_with_its_name(tmp_path: Path) -> None:
    huge = tmp_path / "huge.lsi"
    with huge.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)  # sparse: it takes no room
    other = tmp_path / "other.lsi"
    other.write_bytes(b"no picture at all")
    for path, kind in ((tmp_path / "none.lsi", PictureError), (tmp_path, PictureError), (huge, LimitError)):
        with pytest.raises(kind, match=path.name), open_compressed(path):
            pass
    with pytest.raises(LatentStudioError, match=r"other\.lsi: This is not"), open_compressed(other) as source:
        inspect(source)


def test_pillow_opens_a_large_file_by_its_header_alone() -> None:
    import engine.compression.pillow_plugin  # noqa: F401 - registers .lsi

    data = large_file()
    file = WatchedFile(data)
    with Image.open(file) as image:
        assert (image.size, image.mode) == ((WIDTH, HEIGHT), "RGBA")
    streams = inspect(data).section("GRPS")
    assert streams is not None and not file.read_bytes[streams.offset :].any()


def test_the_viewer_converts_a_region(tmp_path: Path) -> None:
    from viewer import decode as view

    golden = Path(__file__).parents[1] / "golden" / "photo-codec-s.groups.lsi"
    target = tmp_path / "part.png"
    assert run_viewer([str(golden), "--region", "3,4,50,30", "--out", str(target)]) == 0
    file = WatchedFile(golden.read_bytes())
    part = view(FileSource(file), region=Region(3, 4, 50, 30)).picture.pixels
    with Image.open(target) as image:
        assert np.array_equal(np.asarray(image), part)
    assert np.array_equal(part, view(golden.read_bytes()).picture.pixels[4:34, 3:53])
    needed = needed_bytes(inspect(golden.read_bytes()), Region(3, 4, 50, 30))
    assert not (file.read_bytes & ~needed).any() and not needed.all()
