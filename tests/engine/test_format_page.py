"""docs/format.md is enough to write a reader: this one was, from the page alone, and shares no code with the program's.

It trusts every file: checks and damage are the business of other tests.
"""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from engine.compression import EncodeSettings, decode, encode
from engine.compression.quality_map import QualityMap
from engine.paths import resources
from tests.engine.codec_fixtures import SHIPPED, scene

GOLDEN = Path(__file__).parents[1] / "golden"
FILES = sorted(GOLDEN.glob("*.lsi"))


class RangeDecoder:
    """The section on the range coder."""

    def __init__(self, stream: bytes) -> None:
        self.words = [word for (word,) in struct.iter_unpack("<I", stream)]
        self.low, self.range = 0, 2**64 - 1
        self.point = self.next_word() << 32 | self.next_word()

    def next_word(self) -> int:
        return self.words.pop(0) if self.words else 0

    def symbol(self, bounds: list[int]) -> int:
        unit = self.range // 2**24
        place = (self.point - self.low) % 2**64 // unit
        found = int(np.searchsorted(bounds, place, side="right")) - 1
        self.low = (self.low + unit * bounds[found]) % 2**64
        self.range = unit * (bounds[found + 1] - bounds[found])
        if self.range < 2**32:
            self.low = self.low * 2**32 % 2**64
            self.range *= 2**32
            self.point = (self.point * 2**32 + self.next_word()) % 2**64
        return found

    def values(self, frequencies: np.ndarray, count: int) -> list[int]:
        """A run of one table."""
        radius = len(frequencies) // 2 - 1
        used = np.flatnonzero(frequencies[:-1])
        first, last = (used[0], used[-1]) if len(used) else (radius, radius)
        inside = [*frequencies[first : last + 1].tolist(), int(frequencies[-1])]
        before = np.cumsum([0, *inside[:-1]]).astype(np.float32) / np.float32(sum(inside))
        spread = before * np.float32(2**24 - len(inside))
        bounds = [k + int(value) for k, value in enumerate(spread)] + [2**24]
        run = [self.symbol(bounds) for _ in range(count)]
        return [self.escaped() if k == len(inside) - 1 else k + int(first) - radius for k in run]

    def escaped(self) -> int:
        bits = self.symbol(uniform(21))
        folded = bits and 2 ** (bits - 1)
        if bits > 1:
            folded += self.symbol(uniform(2 ** (bits - 1)))
        return folded // 2 if folded % 2 == 0 else -(folded + 1) // 2


def uniform(count: int) -> list[int]:
    return [k * (2**24 // count) for k in range(count)] + [2**24]


def qualities(payload: bytes | None, quality: int, width: int, height: int) -> np.ndarray:
    """The quality of each latent in hundredths."""
    rows, columns = -(-height // 16), -(-width // 16)
    if payload is None:
        return np.full((rows, columns), quality)
    side = 1 << payload[0]
    squares = np.frombuffer(zlib.decompress(payload[1:]), np.uint8).reshape(-(-height // side), -(-width // side))
    offsets = squares.cumsum(axis=1).astype(np.uint8).view(np.int8).astype(int)
    unit = 2 * side // 16
    found = np.empty((rows, columns), dtype=int)
    for row in range(rows):
        for column in range(columns):
            total = 0
            down, right = 2 * row + 1 - unit // 2, 2 * column + 1 - unit // 2
            for y, below in ((down // unit, unit - down % unit), (down // unit + 1, down % unit)):
                for x, beside in ((right // unit, unit - right % unit), (right // unit + 1, right % unit)):
                    y_, x_ = min(max(y, 0), len(offsets) - 1), min(max(x, 0), offsets.shape[1] - 1)
                    total += below * beside * offsets[y_, x_]
            found[row, column] = min(max(quality + (100 * total + unit**2 // 2) // unit**2, 0), 10_000)
    return found


def gains(logarithms: np.ndarray, quality: np.ndarray) -> np.ndarray:
    """(1, channels, h, w) of qualities (h, w) in hundredths."""
    knots = np.linspace(0, 10_000, len(logarithms))
    each = [np.interp(quality.ravel(), knots, column) for column in logarithms.T]
    return np.exp(np.array(each)).reshape(1, -1, *quality.shape).astype(np.float32)


def read(data: bytes) -> tuple[np.ndarray, np.ndarray | None]:
    """Pixels and opacity of a file."""
    width, height, quality = struct.unpack_from("<IIH", data, 12)
    sections, offset = {}, 32 + 12 * data[24] + 4
    for number in range(data[24]):
        name, length, crc = struct.unpack_from("<4sII", data, 32 + 12 * number)
        sections[name.decode()] = data[offset : offset + length]
        assert zlib.crc32(sections[name.decode()]) == crc
        offset += length
    assert offset == len(data)
    archive = np.load(resources() / "viewer" / f"{sections['MODL'][32:].decode()}.npz", allow_pickle=False)
    card = json.loads(archive["card"].tobytes())
    assert card["weights_sha256"] == sections["MODL"][:32].hex() and card["synthesis_halo"] == data[23]
    graphs = {name: onnxruntime.InferenceSession(archive[name].tobytes()) for name in ("prepare", "distribution")}
    local = qualities(sections.get("QMAP"), quality, width, height)
    latents = np.zeros((card["latent_channels"], *local.shape), dtype=np.int16)
    start, columns = 0, -(-width // 512)
    for number, (length, crc, symbols_crc) in enumerate(struct.iter_unpack("<III", sections["GRPI"])):
        stream = sections["GRPS"][start : start + length]
        assert zlib.crc32(stream) == crc
        start += length
        top, left = number // columns * 32, number % columns * 32
        part, own = latents[:, top : top + 32, left : left + 32], local[top : top + 32, left : left + 32]
        levels = own if "QMAP" in sections else np.array([[quality]])
        symbols = read_group(stream, part, quality, levels, archive, card, graphs)
        assert zlib.crc32(part.astype("<i2").tobytes(), zlib.crc32(symbols.astype("<i2").tobytes())) == symbols_crc
    pixels = synthesise(latents, local if "QMAP" in sections else np.array([[quality]]), archive)[:height, :width]
    return pixels, opacity(sections["ALPH"], width, height) if "ALPH" in sections else None


def read_group(
    stream: bytes, latents: np.ndarray, quality: int, local: np.ndarray, archive: Any, card: dict, graphs: dict
) -> np.ndarray:
    """Fills `latents` (M, h, w) in 1/16 steps and returns the hyper-latents."""
    coder, highest = RangeDecoder(stream), card["quality_levels"] - 1
    channels, height, width = latents.shape
    tall, wide = -(-height // 4), -(-width // 4)
    tables = archive["hyper_frequencies"][(2 * quality * highest + 10_000) // 20_000]
    hyper = np.array([coder.values(table, tall * wide) for table in tables]).reshape(-1, tall, wide)
    levels = (2 * local * highest + 10_000) // 20_000
    if levels.size > 1:
        levels = np.pad(levels, ((0, 4 * tall - height), (0, 4 * wide - width)), mode="edge")
    (prepared,) = graphs["prepare"].run(None, {"hyper": hyper[None].astype(np.float32), "levels": levels})
    prepared = np.ascontiguousarray(prepared[:, :, :height, :width])
    parity = np.add.outer(np.arange(height), np.arange(width)) % 2
    for step in range(4):
        places = parity == step % 2
        if not places.any():
            continue
        known = {"prepared": prepared, "latents": latents[None].astype(np.float32), "step": np.array([[step]])}
        mean, bins = (part[0][:, places].ravel().astype(int) for part in graphs["distribution"].run(None, known))
        symbols = np.empty(len(mean), dtype=int)
        for number in range(64):
            chosen = np.flatnonzero(bins == number)
            symbols[chosen] = coder.values(archive["latent_frequencies"][number], len(chosen))
        half = latents[: channels // 2] if step < 2 else latents[channels // 2 :]
        half[:, places] = (16 * symbols + mean).reshape(len(half), -1)
    return hyper


def synthesise(latents: np.ndarray, local: np.ndarray, archive: Any) -> np.ndarray:
    filtering = gains(archive["log_filter"], local)
    if local.size > 1:
        filtering = filtering.repeat(2, axis=2).repeat(2, axis=3)
    inputs = {
        "latents": latents[None].astype(np.float32), "restore": gains(archive["log_restore"], local),
        "filter": filtering,
    }  # fmt: skip
    return onnxruntime.InferenceSession(archive["synthesis"].tobytes()).run(None, inputs)[0][0]


def opacity(payload: bytes, width: int, height: int) -> np.ndarray:
    plane = np.frombuffer(zlib.decompress(payload[1:]), np.uint8).reshape(height, width)
    return plane if payload[0] == 0 else plane.cumsum(axis=payload[0] % 2, dtype=np.uint8)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_golden_files_are_read_as_the_page_says(file: Path) -> None:
    pixels, alpha = read(file.read_bytes())
    expected = decode(file.read_bytes(), device="cpu").picture
    assert np.abs(pixels.astype(int) - expected.pixels).max() <= 1
    assert (alpha is None) == (expected.alpha is None)
    assert alpha is None or np.array_equal(alpha, expected.alpha)  # type: ignore[arg-type]
    with Image.open(file.with_suffix(".png")) as golden:
        assert golden.size == (pixels.shape[1], pixels.shape[0])


def test_a_quality_map_is_read_as_the_page_says() -> None:
    if not SHIPPED.is_file():
        pytest.skip("no trained codec is shipped yet")
    rows, columns = np.mgrid[0:5, 0:18]
    quality_map = QualityMap.of(((rows * 7 + columns * 5) % 40 - 30).astype(float))
    picture = scene(570, 150, noise=40)
    data = encode(picture, EncodeSettings(quality=85.5, quality_map=quality_map, model=str(SHIPPED)), device="cpu")
    assert b"QMAP" in data[:200]
    expected = decode(data, strict=True, device="cpu").picture.pixels
    assert np.abs(read(data)[0].astype(int) - expected).max() <= 1
