"""The .lsi container, version 1: what the bytes mean, and every check that comes before memory is allocated.

docs/format.md is the description for people. This module imports neither torch nor a picture library, so that a file's
header can be read at once.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.compression.byte_source import ByteSource, as_source, checksum
from engine.errors import DamagedFile, LimitError, NotACompressedFile, UnsupportedVersion, UsageError

MAGIC = b"\x8aLSI\r\n\x1a\n"
MAJOR, MINOR = 1, 1
DEFAULT_SUFFIX = ".lsi"
MIME_TYPE = "image/x-latent-studio"

MAX_PIXELS = 2**28
MAX_SIDE = 65_535
# More than any file of the largest picture that the format allows.
MAX_FILE_BYTES = 2**31
MAX_SECTIONS = 16
GROUP_LOG2 = 9
GROUP_SIZE = 1 << GROUP_LOG2
LATENT_STRIDE = 16
# Means and decoded latents are integers in steps of so much.
MEAN_STEPS = 16

# magic | major u8 | minor u8 | features u16 | width u32 | height u32 | quality*100 u16 | log2 of group u8 | halo u8
# | sections u8 | 3 zero bytes | CRC-32 of all before
_PREAMBLE = struct.Struct("<8sBBHIIHBBB3sI")
_ENTRY = struct.Struct("<4sII")  # type | length | CRC-32 of the payload
_GROUP = struct.Struct("<III")  # length | CRC-32 of the stream | CRC-32 of the decoded symbols
_CRC = struct.Struct("<I")

# Feature bits of the low byte change how a file must be read; those of the high byte may be ignored.
_KNOWN_FEATURES = 0
_DISPLAY_P3 = 0x0100

# Sections with a capital first letter must be understood; others may be skipped. In file order, with their limits.
SECTION_LIMITS: dict[str, int] = {
    "MODL": 32 + 64,
    "QMAP": 2**19,
    "prev": 64 * 1024,
    "exif": 64 * 1024,
    "xmpk": 64 * 1024,
    "iccp": 2**20,
    "ALPH": 2**29,
    "GRPI": 12 * (MAX_PIXELS // GROUP_SIZE + 2 * MAX_SIDE),
    "GRPS": 2**31,
}
_REQUIRED = ("MODL", "GRPI", "GRPS")
# Without these, where they are present, nothing can be decoded.
_CRITICAL = ("MODL", "QMAP", "GRPI")


@dataclass(frozen=True)
class Region:
    """A box of a picture, in pixels; x and y are its upper left corner."""

    x: int
    y: int
    width: int
    height: int

    @staticmethod
    def parse(text: str, option: str = "--region") -> Region:
        """X,Y,WIDTH,HEIGHT as a region. Raises `UsageError` unless it is four whole numbers."""
        try:
            x, y, width, height = map(int, text.split(","))
        except ValueError as error:
            raise UsageError(
                f"{text!r} is no region.", f"Write X,Y,WIDTH,HEIGHT in pixels, for example {option} 200,100,640,480."
            ) from error
        return Region(x, y, width, height)

    @property
    def right(self) -> int:
        """The first column beyond it."""
        return self.x + self.width

    @property
    def bottom(self) -> int:
        """The first row below it."""
        return self.y + self.height

    def check_inside(self, width: int, height: int) -> None:
        """Raise `UsageError` unless it has pixels, all of them within a picture of that size."""
        if self.x < 0 or self.y < 0 or self.width < 1 or self.height < 1 or self.right > width or self.bottom > height:
            raise UsageError(
                f"The region of {self.width} x {self.height} pixels at {self.x}, {self.y} does not lie in the picture.",
                f"The picture has {width} x {height} pixels; choose a region inside.",
            )


@dataclass(frozen=True)
class Section:
    """A part of the file.

    Attributes:
        name: four letters.
        bytes: its length.
        offset: where it starts in the file.
        crc: CRC-32 of its payload.
        intact: whether its checksum holds; False too when the file ends before it does. Of GRPS read without
            `check_streams`, only that the file does not end before it does.
    """

    name: str
    bytes: int
    offset: int
    crc: int
    intact: bool


@dataclass(frozen=True)
class GroupEntry:
    """A group of 512 x 512 pixels (less at the right and lower border) that is coded by itself.

    Attributes:
        index: in raster order.
        x, y, width, height: what it covers of the picture, in pixels.
        bytes: length of its stream.
        offset: where the stream starts in the file.
        stream_crc, symbol_crc: CRC-32 of the stream and of the symbols it decodes to.
    """

    index: int
    x: int
    y: int
    width: int
    height: int
    bytes: int
    offset: int
    stream_crc: int
    symbol_crc: int


@dataclass(frozen=True)
class Header:
    """Everything that a file says of itself.

    Attributes:
        width, height: in pixels.
        quality: 0..100.
        model_name, model_hash: registry name and SHA-256 (hexadecimal) of the model that decodes it.
        halo: how many latents beyond a group its pixels depend on.
        sections: in file order.
        groups: in raster order.
        preview: a small JPEG or WebP file, or None.
        file_bytes: length of the whole file.
        problems: what is damaged, in words, empty for an intact file.
        display_p3: whether the colours are those of Display P3; else they are those of the profile in the section
            `iccp`, or sRGB where there is none.
    """

    version: tuple[int, int]
    width: int
    height: int
    quality: float
    model_name: str
    model_hash: str
    halo: int
    sections: tuple[Section, ...]
    groups: tuple[GroupEntry, ...]
    preview: bytes | None
    file_bytes: int
    problems: tuple[str, ...] = ()
    display_p3: bool = False

    @property
    def bits_per_pixel(self) -> float:
        """Of the whole file."""
        return 8.0 * self.file_bytes / (self.width * self.height)

    @property
    def tiles(self) -> tuple[int, int]:
        """Columns and rows of groups."""
        return group_grid(self.width, self.height)

    def section(self, name: str) -> Section | None:
        """The section of that name, or None."""
        return next((section for section in self.sections if section.name == name), None)

    @property
    def colours(self) -> str:
        """The space of the pixels, for people."""
        if self.display_p3:
            return "Display P3"
        return "sRGB" if self.section("iccp") is None else "own profile"

    def facts(self) -> dict[str, Any]:
        """What `info` tells of a file, by name, in values that JSON knows."""
        columns, rows = self.tiles
        return {
            "version": ".".join(map(str, self.version)),
            "width": self.width,
            "height": self.height,
            "quality": self.quality,
            "bytes": self.file_bytes,
            "bits_per_pixel": self.bits_per_pixel,
            "model": self.model_name,
            "model_sha256": self.model_hash,
            "colours": self.colours,
            "tiles": columns * rows,
            "tile_bits": [8 * group.bytes for group in self.groups],
            "sections": {section.name: section.bytes for section in self.sections},
            "problems": list(self.problems),
        }


def group_grid(width: int, height: int) -> tuple[int, int]:
    """Columns and rows of groups of a picture."""
    return -(-width // GROUP_SIZE), -(-height // GROUP_SIZE)


def group_box(index: int, width: int, height: int) -> tuple[int, int, int, int]:
    """x, y, width, height in pixels of a group."""
    columns, _ = group_grid(width, height)
    x, y = index % columns * GROUP_SIZE, index // columns * GROUP_SIZE
    return x, y, min(GROUP_SIZE, width - x), min(GROUP_SIZE, height - y)


def check_size(width: int, height: int, max_pixels: int = MAX_PIXELS) -> None:
    """Raise `LimitError` for a picture that the format or the limit does not allow."""
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
        raise LimitError(f"The picture is {width} x {height} pixels.", f"Sides from 1 to {MAX_SIDE} are possible.")
    if width * height > max_pixels:
        raise LimitError(
            f"The picture has {width * height / 1e6:.0f} megapixels, more than the limit of {max_pixels / 1e6:.0f}.",
            "Raise the limit if you trust where it comes from.",
        )


@dataclass(frozen=True)
class EncodedGroup:
    """What the writer needs of a group."""

    stream: bytes
    symbol_crc: int


def write_container(
    *,
    width: int,
    height: int,
    quality: float,
    halo: int,
    model_name: str,
    model_hash: str,
    groups: Sequence[EncodedGroup],
    quality_map: bytes | None = None,
    preview: bytes | None = None,
    exif: bytes | None = None,
    xmp: bytes | None = None,
    profile: bytes | None = None,
    alpha: bytes | None = None,
    display_p3: bool = False,
) -> bytes:
    """Assemble a file.

    Args:
        width, height: in pixels.
        quality: 0..100, stored in hundredths.
        halo: in latents, 0..255.
        model_name: at most 64 bytes as UTF-8.
        model_hash: SHA-256 in hexadecimal.
        groups: in raster order, as many as `group_grid` says.
        quality_map, preview, exif, xmp, profile, alpha: section payloads or None.
        display_p3: see `Header`.
    """
    check_size(width, height)
    columns, rows = group_grid(width, height)
    if len(groups) != columns * rows:
        raise ValueError(f"{columns * rows} groups are needed, not {len(groups)}")
    index = b"".join(_GROUP.pack(len(g.stream), zlib.crc32(g.stream), g.symbol_crc) for g in groups)
    payloads = {
        "MODL": bytes.fromhex(model_hash) + model_name.encode("utf-8"),
        "QMAP": quality_map,
        "prev": preview,
        "exif": exif,
        "xmpk": xmp,
        "iccp": profile,
        "ALPH": alpha,
        "GRPI": index,
        "GRPS": b"".join(group.stream for group in groups),
    }
    present = [(name, payload) for name, payload in payloads.items() if payload is not None]
    for name, payload in present:
        if len(payload) > SECTION_LIMITS[name]:
            raise LimitError(f"The {name} section would take {len(payload)} bytes.", "Leave it out.")
    head = _PREAMBLE.pack(
        MAGIC,
        MAJOR,
        MINOR,
        _DISPLAY_P3 if display_p3 else 0,
        width,
        height,
        round(quality * 100),
        GROUP_LOG2,
        halo,
        len(present),
        bytes(3),
        0,
    )[: -_CRC.size]
    table = b"".join(_ENTRY.pack(name.encode(), len(data), zlib.crc32(data)) for name, data in present)
    parts = [head, _CRC.pack(zlib.crc32(head)), table, _CRC.pack(zlib.crc32(table)), *(data for _, data in present)]
    return b"".join(parts)


def read_container(data: bytes | ByteSource, *, max_pixels: int = MAX_PIXELS, check_streams: bool = True) -> Header:
    """Read and verify everything but the symbols themselves. Damage outside the necessary parts lands in `problems`.

    Args:
        data: the bytes of an .lsi file, or an open one (`open_compressed`).
        max_pixels: refuse larger pictures.
        check_streams: False reads nothing of the groups' streams and says nothing of damage to them; `group_stream`
            verifies each that is needed.

    Raises:
        NotACompressedFile: the bytes do not start as such a file does.
        UnsupportedVersion: the file uses something that this program does not know.
        LimitError: the picture is larger than allowed.
        DamagedFile: a part without which nothing can be decoded is damaged.
        PictureError: an open file cannot be read.
    """
    source = as_source(data)
    width, height, quality, halo, count, version, features = _read_preamble(source)
    check_size(width, height, max_pixels)
    sections, problems = _read_table(source, count, check_streams)
    found = {section.name: section for section in sections}
    name, digest = _read_model(_payload(source, found["MODL"]))
    groups = _read_groups(_payload(source, found["GRPI"]), width, height, found["GRPS"])
    preview = found.get("prev")
    return Header(
        version=version,
        width=width,
        height=height,
        quality=quality,
        model_name=name,
        model_hash=digest,
        halo=halo,
        sections=tuple(sections),
        groups=groups,
        preview=_payload(source, preview) if preview is not None and preview.intact else None,
        file_bytes=source.size,
        problems=tuple(problems),
        display_p3=bool(features & _DISPLAY_P3),
    )


def section_payload(data: bytes | ByteSource, header: Header, name: str) -> bytes | None:
    """The bytes of an intact section; None where there is none or it is damaged.

    Raises:
        DamagedFile: it was intact when the header was read and is not now.
        PictureError: an open file cannot be read.
    """
    section = header.section(name)
    return _payload(as_source(data), section) if section is not None and section.intact else None


def group_stream(data: bytes | ByteSource, group: GroupEntry) -> bytes:
    """The verified stream of one group; reads no other part of the file. Raises `DamagedFile`, `PictureError`."""
    stream = as_source(data).read(group.offset, group.bytes)
    if len(stream) != group.bytes or zlib.crc32(stream) != group.stream_crc:
        raise _damaged(f"The part at {group.x}, {group.y} ({group.width} x {group.height} pixels)")
    return stream


def _read_preamble(source: ByteSource) -> tuple[int, int, float, int, int, tuple[int, int], int]:
    data = source.read(0, _PREAMBLE.size)
    if len(data) == 0:
        raise NotACompressedFile("The file is empty.", "Choose another file.")
    if not data.startswith(MAGIC[: min(len(data), len(MAGIC))]):
        raise NotACompressedFile(
            "This is not a Latent Studio image: its first bytes are different.", "Choose an .lsi file."
        )
    if len(data) < _PREAMBLE.size:
        raise _damaged("The file ends within its header and", "cut short")
    fields = _PREAMBLE.unpack(data)
    _, major, minor, features, width, height, quality, group_log2, halo, count, spare, crc = fields
    if zlib.crc32(data[: -_CRC.size]) != crc:
        raise _damaged("The header of the file")
    if major != MAJOR or features & 0xFF & ~_KNOWN_FEATURES:
        raise UnsupportedVersion(
            f"The file has format version {major}.{minor} (features {features:#06x}); this program reads {MAJOR}.",
            "Install a newer Latent Studio.",
        )
    if quality > 10_000 or group_log2 != GROUP_LOG2 or not 1 <= count <= MAX_SECTIONS or any(spare):
        raise _damaged("The header of the file")
    return width, height, quality / 100.0, halo, count, (major, minor), features


def _read_table(source: ByteSource, count: int, check_streams: bool) -> tuple[list[Section], list[str]]:
    size = count * _ENTRY.size
    data = source.read(_PREAMBLE.size, size + _CRC.size)
    if len(data) < size + _CRC.size:
        raise _damaged("The file ends within its table of sections and", "cut short")
    table = data[:size]
    if zlib.crc32(table) != _CRC.unpack_from(data, size)[0]:
        raise _damaged("The table of sections")
    order = list(SECTION_LIMITS)
    sections: list[Section] = []
    problems: list[str] = []
    offset = _PREAMBLE.size + len(data)
    last = -1
    for kind, length, crc in _ENTRY.iter_unpack(table):
        name = kind.decode("latin-1")
        # ASCII letters, for names are shown, also on terminals; and none of them twice, see docs/format.md.
        if not kind.isalpha() or any(section.name == name for section in sections):
            raise _damaged("The table of sections")
        if name not in SECTION_LIMITS:
            if not name[:1].islower():
                raise UnsupportedVersion(f"The file needs a section {name!r}.", "Install a newer Latent Studio.")
        elif order.index(name) <= last or length > SECTION_LIMITS[name]:
            raise _damaged("The table of sections")
        else:
            last = order.index(name)
        checked = check_streams or name != "GRPS"
        intact = offset + length <= source.size
        if checked and intact:
            intact = checksum(source, offset, length) == crc
        if checked and not intact:
            problems.append(f"The section {name} is damaged.")
        sections.append(Section(name, length, offset, crc, intact))
        offset += length
    for name in _REQUIRED:
        section = next((section for section in sections if section.name == name), None)
        if section is None:
            raise _damaged(f"The section {name}")
    for section in sections:
        if section.name in _CRITICAL and not section.intact:
            raise _damaged(f"The section {section.name}")
    if offset > source.size:
        if check_streams:
            problems.append(f"The file is cut short: {offset - source.size} of {offset} bytes are missing.")
    elif offset < source.size:
        problems.append(f"{source.size - offset} unknown bytes follow the end of the picture.")
    return sections, problems


def _read_model(payload: bytes) -> tuple[str, str]:
    try:
        name = payload[32:].decode("utf-8")
    except UnicodeDecodeError as error:
        raise _damaged("The name of the model") from error
    if len(payload) < 33 or not name.isprintable():
        raise _damaged("The name of the model")
    return name, payload[:32].hex()


def _read_groups(index: bytes, width: int, height: int, streams: Section) -> tuple[GroupEntry, ...]:
    columns, rows = group_grid(width, height)
    if len(index) != columns * rows * _GROUP.size:
        raise _damaged("The index of parts")
    groups: list[GroupEntry] = []
    offset = streams.offset
    for number, (length, stream_crc, symbol_crc) in enumerate(_GROUP.iter_unpack(index)):
        box = group_box(number, width, height)
        groups.append(GroupEntry(number, *box, length, offset, stream_crc, symbol_crc))
        offset += length
    if offset != streams.offset + streams.bytes:
        raise _damaged("The index of parts")
    return tuple(groups)


def _payload(source: ByteSource, section: Section) -> bytes:
    """Verified again: an open file may have changed since its table was read."""
    payload = source.read(section.offset, section.bytes)
    if len(payload) != section.bytes or zlib.crc32(payload) != section.crc:
        raise _damaged(f"The section {section.name}", "damaged, or changed while it was read")
    return payload


def _damaged(what: str, how: str = "damaged") -> DamagedFile:
    return DamagedFile(f"{what} is {how}.", "Get the file again from where it came from.")
