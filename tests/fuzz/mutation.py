"""Structure-aware mutations of .lsi files: a file is taken apart, its parts are changed, and its checksums made right.

A random flip is stopped by the first checksum. These files are what an attacker would write: they get past all
checksums, so that what reads them next has to hold. See docs/format.md for the parts.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from random import Random

from PIL import Image

from engine.compression.container import MAGIC, group_grid

_PREAMBLE = struct.Struct("<8sBBHIIHBBB3s")
_FIELDS = ("magic", "major", "minor", "features", "width", "height", "quality", "group_log2", "halo", "count", "spare")
_ENTRY = struct.Struct("<4sII")
_GROUP = struct.Struct("<III")

# A mutated file stays in the order of the seeds' size.
MAX_BYTES = 16 * 1024
_MAX_GROUPS = 200

_NUMBERS = (0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 127, 128, 255, 256, 511, 512, 513, 0x7FFF, 0x8000, 0xFFFF, 0x10000)
_LARGE = (2**24, 2**28, 2**28 + 1, 2**31 - 1, 2**31, 2**32 - 1)
_SIDES = (0, 1, 15, 16, 17, 511, 512, 513, 1024, 4096, 16_384, 65_535, 65_536, 2**31, 2**32 - 1)
_NAMES = (
    b"MODL", b"QMAP", b"GRPI", b"GRPS", b"ALPH", b"exif", b"prev", b"note", b"more", b"Need", b"\0\0\0\0", b"a\x1b[2",
    b"\xe4\xf6\xfc\xdf",
)  # fmt: skip
_MODEL_NAMES = (
    b"", b"\0", b"x" * 64, b"x" * 65, b"../../etc/passwd", b"[/red]", b"\xff\xfe", b"\xe2\x80\xae", b"a\nb", b"\x1b[2J",
)  # fmt: skip


@dataclass
class Part:
    """A section: its type, its bytes, and the length that the table states (None is the true one)."""

    kind: bytes
    payload: bytes
    length: int | None = None


@dataclass
class Draft:
    """A file taken apart.

    Attributes:
        fields: of the preamble, by name.
        parts: in file order.
        tail: bytes after the last part.
        count: how many sections the preamble states; None is as many as there are.
    """

    fields: dict[str, int | bytes]
    parts: list[Part]
    tail: bytes = b""
    count: int | None = None

    @classmethod
    def of(cls, data: bytes) -> Draft:
        """Take an intact file apart."""
        fields = dict(zip(_FIELDS, _PREAMBLE.unpack_from(data), strict=True))
        position = _PREAMBLE.size + 4
        entries = [_ENTRY.unpack_from(data, position + 12 * i) for i in range(fields["count"])]
        position += 12 * len(entries) + 4
        parts = []
        for kind, length, _ in entries:
            parts.append(Part(kind, data[position : position + length]))
            position += length
        return cls(fields, parts)

    def copy(self) -> Draft:
        """One that can be changed."""
        return Draft(dict(self.fields), [replace(part) for part in self.parts], self.tail, self.count)

    def assemble(self) -> bytes:
        """The file, every checksum that of the bytes which a reader will compare with it."""
        body = b"".join(part.payload for part in self.parts) + self.tail
        table, position = bytearray(), 0
        for part in self.parts:
            length = len(part.payload) if part.length is None else part.length
            table += _ENTRY.pack(part.kind, length, zlib.crc32(body[position : position + length]))
            position += length
        count = len(self.parts) if self.count is None else self.count
        head = _PREAMBLE.pack(*({**self.fields, "count": count & 0xFF}[name] for name in _FIELDS))
        return b"".join([head, _crc(head), table, _crc(table), body])

    def find(self, kind: bytes) -> Part | None:
        """The first part of that type."""
        return next((part for part in self.parts if part.kind == kind), None)

    def put(self, kind: bytes, payload: bytes) -> None:
        """Replace the part of that type, or insert one where it belongs."""
        found = self.find(kind)
        if found is not None:
            found.payload = payload
            return
        order = [b"MODL", b"QMAP", b"prev", b"exif", b"ALPH", b"GRPI", b"GRPS"]
        before = sum(part.kind in order[: order.index(kind)] for part in self.parts)
        self.parts.insert(before, Part(kind, payload))

    @property
    def size(self) -> tuple[int, int]:
        """Width and height that the preamble states."""
        return int(self.fields["width"]), int(self.fields["height"])

    def groups(self) -> list[tuple[bytes, int]]:
        """Stream and symbol checksum of every group, as far as index and streams fit together."""
        index, streams = self.find(b"GRPI"), self.find(b"GRPS")
        if index is None or streams is None:
            return []
        found, position = [], 0
        for start in range(0, len(index.payload) - 11, 12):
            length, _, symbols = _GROUP.unpack_from(index.payload, start)
            found.append((streams.payload[position : position + length], symbols))
            position += length
        return found

    def put_groups(self, groups: Sequence[tuple[bytes, int]]) -> None:
        """Write index and streams of groups, with right checksums of the streams."""
        self.put(b"GRPI", b"".join(_GROUP.pack(len(s), zlib.crc32(s), symbols) for s, symbols in groups))
        self.put(b"GRPS", b"".join(stream for stream, _ in groups))


def _crc(data: bytes | bytearray) -> bytes:
    return struct.pack("<I", zlib.crc32(data))


def scramble(rng: Random, data: bytes) -> bytes:
    """Change bytes at one to four places: flips, numbers at the edges of their ranges, pieces cut, doubled, moved."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        place, span = rng.randrange(len(changed) + 1), rng.choice((1, 2, 4, 8, 12, 64, 300))
        match rng.randrange(8):
            case 0 if changed:
                changed[place % len(changed)] ^= 1 << rng.randrange(8)
            case 1 if changed:
                changed[place % len(changed)] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
            case 2 | 3 if len(changed) >= 4:
                form = rng.choice(("<H", ">H", "<I", ">I"))
                value = _number(rng) & (0xFFFF if form[1] == "H" else 0xFFFFFFFF)
                struct.pack_into(form, changed, place % (len(changed) - 3), value)
            case 4:
                del changed[place : place + span]
            case 5:
                changed[place:place] = changed[rng.randrange(len(changed) + 1) :][:span]
            case 6:
                changed[place:place] = rng.randbytes(span)
            case _:
                changed[place : place + span] = bytes([rng.choice((0, 0xFF))]) * span
    return bytes(changed)


def _number(rng: Random) -> int:
    return rng.choice((rng.choice(_NUMBERS), rng.choice(_LARGE), rng.randrange(2**32), rng.randrange(600)))


# What can be done to a file. Each changes a draft in place.


def _change_field(rng: Random, draft: Draft) -> None:
    name = rng.choice(_FIELDS)
    limits = {"major": 8, "minor": 8, "group_log2": 8, "halo": 8, "features": 16, "quality": 16}
    if name == "magic":
        draft.fields[name] = scramble(rng, MAGIC)[:8].ljust(8, b"\0")
    elif name == "spare":
        draft.fields[name] = rng.randbytes(3)
    elif name == "count":
        draft.count = rng.choice((0, 1, len(draft.parts) - 1, len(draft.parts) + 1, 16, 17, 255))
    elif name in limits:
        draft.fields[name] = _number(rng) & (2 ** limits[name] - 1)
    else:
        draft.fields[name] = rng.choice((rng.choice(_SIDES), _number(rng)))


def _change_size(rng: Random, draft: Draft) -> None:
    """Another size with as many groups as it needs: consistent, and still nonsense."""
    width, height = (rng.choice((rng.choice(_SIDES[1:11]), rng.randint(1, 1200))) for _ in range(2))
    columns, rows = group_grid(width, height)
    if columns * rows > _MAX_GROUPS:
        height = 1
        columns, rows = group_grid(width, height)
    draft.fields["width"], draft.fields["height"] = width, height
    room = MAX_BYTES // 2 // (columns * rows)
    groups = [(stream, symbols) for stream, symbols in draft.groups() if len(stream) <= room] or [(b"", 0)]
    draft.put_groups([rng.choice(groups) for _ in range(columns * rows)])


def _change_table(rng: Random, draft: Draft) -> None:
    parts = draft.parts
    if not parts:
        return
    one, other = rng.randrange(len(parts)), rng.randrange(len(parts))
    match rng.randrange(6):
        case 0:
            del parts[one]
        case 1:
            parts.insert(other, replace(parts[one]))
        case 2:
            parts[one], parts[other] = parts[other], parts[one]
        case 3:
            parts[one].kind = rng.choice((*_NAMES, rng.randbytes(4)))
        case 4:
            parts[one].length = max(0, rng.choice((len(parts[one].payload) + rng.choice((-1, 1, 12)), _number(rng))))
        case _:
            parts.insert(other, Part(rng.choice(_NAMES), rng.randbytes(rng.choice((0, 1, 40)))))


def _change_index(rng: Random, draft: Draft) -> None:
    index = draft.find(b"GRPI")
    if index is None or len(index.payload) < 12:
        return
    changed = bytearray(index.payload)
    place = 4 * rng.randrange(len(changed) // 4)
    match rng.randrange(4):
        case 0:
            changed += changed[-12:]
        case 1:
            del changed[-12:]
        case 2 if len(changed) >= 24:  # lengths that still add up
            first, second = struct.unpack_from("<I", changed, 0)[0], struct.unpack_from("<I", changed, 12)[0]
            moved = rng.randint(0, first)
            struct.pack_into("<I", changed, 0, first - moved)
            struct.pack_into("<I", changed, 12, (second + moved) & 0xFFFFFFFF)
        case _:
            struct.pack_into("<I", changed, place, _number(rng))
    index.payload = bytes(changed)


def _change_stream(rng: Random, draft: Draft) -> None:
    groups = draft.groups()
    if not groups:
        return
    chosen = rng.randrange(len(groups))
    groups[chosen] = hostile_stream(rng, groups[chosen][0]), groups[chosen][1]
    draft.put_groups(groups)


def hostile_stream(rng: Random, stream: bytes) -> bytes:
    """A group's stream changed, mostly to a length that the coder takes."""
    match rng.randrange(6):
        case 0:
            return stream[: 4 * rng.randrange(len(stream) // 4 + 1)]
        case 1:
            return rng.choice((b"\0", b"\xff", b"\x80\0\0\0")) * rng.choice((0, 4, 8, 400))
        case 2:
            return rng.randbytes(4 * rng.randrange(100))
        case 3:
            return scramble(rng, stream)
        case _:
            changed = scramble(rng, stream)
            return changed[: len(changed) // 4 * 4]


def _change_model(rng: Random, draft: Draft) -> None:
    model = draft.find(b"MODL")
    if model is not None:
        name = rng.choice((*_MODEL_NAMES, scramble(rng, model.payload[32:])))
        digest = rng.choice((model.payload[:32], rng.randbytes(32), b""))
        model.payload = digest + name


def _change_alpha(rng: Random, draft: Draft) -> None:
    width, height = draft.size
    if not (width * height <= 2**16 and width and height):
        width, height = 30, 20
    height = max(1, height + rng.choice((0, 0, 0, -1, 1)))
    sound = bytes([rng.randrange(3)]) + zlib.compress(rng.randbytes(width) * height, 1)
    match rng.randrange(6):
        case 0:
            alpha = sound
        case 1:
            alpha = scramble(rng, sound)
        case 2:
            alpha = bytes([rng.choice((3, 255))]) + sound[1:]
        case 3:  # several megabytes out of a few thousand bytes
            alpha = bytes([rng.randrange(3)]) + _bomb(rng.choice((20, 22, 23)))
        case 4:
            alpha = sound + rng.choice((b"x", zlib.compress(b"another")))
        case _:
            alpha = rng.randbytes(rng.choice((0, 1, 2, 50)))
    draft.put(b"ALPH", alpha)


def _change_map(rng: Random, draft: Draft) -> None:
    width, height = draft.size
    block_log2 = rng.randint(5, 9)
    squares = min(2**16, max(1, -(-width >> block_log2) * -(-height >> block_log2) + rng.choice((0, 0, 0, -1, 1))))
    sound = bytes([block_log2]) + zlib.compress(rng.randbytes(squares), 1)
    match rng.randrange(5):
        case 0:
            packed = sound
        case 1:
            packed = scramble(rng, sound)
        case 2:
            packed = bytes([rng.choice((0, 4, 10, 255))]) + sound[1:]
        case 3:
            packed = bytes([block_log2]) + _bomb(22)
        case _:
            packed = rng.randbytes(rng.choice((0, 1, 2, 50)))
    draft.put(b"QMAP", packed)


@cache
def _bomb(log2_bytes: int) -> bytes:
    return zlib.compress(bytes(2**log2_bytes), 9)


def _change_exif(rng: Random, draft: Draft) -> None:
    block = rng.choice((camera_exif(), camera_exif()[6:]))
    draft.put(b"exif", rng.choice((block, scramble(rng, block), scramble(rng, block), rng.randbytes(30))))


@cache
def camera_exif() -> bytes:
    """A block as cameras write it, with a place, a maker's note and a directory within the first."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0112], exif[0x011A] = "Latent Studio", 6, 72.0
    inner = exif.get_ifd(0x8769)
    inner[0x829A], inner[0x927C], inner[0x9003] = 0.01, b"maker note" * 3, "2026:01:02 03:04:05"
    place = exif.get_ifd(0x8825)
    place[1], place[2] = "N", (1.0, 2.0, 3.0)
    return exif.tobytes()


def _change_preview(rng: Random, draft: Draft) -> None:
    picture = _preview(rng.choice(("WEBP", "JPEG", "JPEG", "PNG")))
    draft.put(b"prev", rng.choice((picture, scramble(rng, picture), scramble(rng, picture), rng.randbytes(40))))


@cache
def _preview(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((24, 16)).convert("RGB").save(buffer, kind)
    return buffer.getvalue()


def _change_bytes(rng: Random, draft: Draft) -> None:
    if draft.parts:
        part = rng.choice(draft.parts)
        part.payload = scramble(rng, part.payload)


def _change_tail(rng: Random, draft: Draft) -> None:
    draft.tail = rng.randbytes(rng.choice((1, 4, 100)))


MUTATIONS: tuple[Callable[[Random, Draft], None], ...] = (
    _change_field, _change_size, _change_table, _change_index, _change_stream, _change_stream, _change_model,
    _change_alpha, _change_map, _change_exif, _change_preview, _change_bytes, _change_tail,
)  # fmt: skip


# Those after which a file can still be decoded, so that the change reaches what comes after the parser.
DEEP_MUTATIONS = (
    _change_stream,
    _change_stream,
    _change_size,
    _change_alpha,
    _change_map,
    _change_exif,
    _change_preview,
)


def mutate(rng: Random, seeds: Sequence[Draft]) -> bytes:
    """A hostile file of at most `MAX_BYTES`, made of one of the seeds by one to four mutations.

    Mostly the checksums are right; a tenth of the files is damaged after they were made, as a bad disk would.
    """
    draft = rng.choice(seeds).copy()
    for _ in range(rng.choice((1, 1, 2, 2, 3, 4))):
        rng.choice(MUTATIONS)(rng, draft)
    data = draft.assemble()
    if rng.random() < 0.1:
        data = rng.choice((scramble(rng, data), data[: rng.randrange(len(data) + 1)]))
    return data[:MAX_BYTES]


def mutate_deep(rng: Random, seeds: Sequence[Draft]) -> bytes:
    """A hostile file whose header and table are in order."""
    draft = rng.choice(seeds).copy()
    for _ in range(rng.randint(1, 2)):
        rng.choice(DEEP_MUTATIONS)(rng, draft)
    return draft.assemble()


def with_symbol_checksums(data: bytes, checksums: Sequence[int]) -> bytes:
    """A file whose index says that its groups decode to symbols of these checksums."""
    draft = Draft.of(data)
    draft.put_groups([(stream, crc) for (stream, _), crc in zip(draft.groups(), checksums, strict=True)])
    return draft.assemble()
