"""What the fuzzing calls with hostile input, and what must hold where the input is taken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import torch

from engine.compression import DEFAULT_MODEL, decode
from engine.compression.codec_model import CodecModel, open_codec
from engine.compression.container import (
    LATENT_STRIDE,
    MAX_PIXELS,
    MAX_SIDE,
    Header,
    Region,
    group_stream,
    read_container,
    section_payload,
)
from engine.compression.entropy import MAX_ESCAPE_BITS, GroupDecoder
from engine.compression.groups import encode_group
from engine.compression.quality_map import QualityMap
from engine.compression.side_data import clean_exif, open_preview, unpack_alpha
from engine.compression.walk import decode_group
from engine.errors import DamagedFile
from engine.image import WRITABLE_SUFFIXES, Picture, open_picture, save_picture
from engine.paths import resources
from tests.engine.codec_fixtures import write_small_model
from tests.fuzz.mutation import Draft, camera_exif, hostile_stream, mutate, mutate_deep, scramble, with_symbol_checksums

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
# Opacity and EXIF; two groups; neither. Golden files stay readable for ever, and are far below 4 kB.
SEEDS = tuple(GOLDEN / f"{DEFAULT_MODEL}.{case}.lsi" for case in ("framed", "groups", "plain"))

_PICTURE_PIXELS = 2**18
_PICTURE_GROUPS = 4


@dataclass(frozen=True)
class Step:
    """A kind of run.

    Attributes:
        make: hostile input from a generator of random numbers.
        check: reads it; raises an error of our family where the input is refused, and nothing else.
    """

    name: str
    make: Callable[[Random], bytes]
    check: Callable[[Random, bytes], None]


class Targets:
    """The kinds of runs, with the models that they need.

    Args:
        folder: for a small model with random weights, and for pictures that are saved.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seeds = [Draft.of(path.read_bytes()) for path in SEEDS]
        self._streams = [stream for seed in self._seeds for stream, _ in seed.groups()]
        self._shipped = open_codec(resources() / "models" / f"{DEFAULT_MODEL}.safetensors", "cpu")
        path = folder / "small.safetensors"
        write_small_model(path, name="small")
        self._small = CodecModel(path, torch.device("cpu"))
        self._small_streams = _streams_of(self._small)
        self.file = Step("file", lambda rng: mutate(rng, self._seeds), read_file)
        self.symbols = Step("symbols", lambda rng: hostile_stream(rng, rng.choice(self._streams)), self._symbols)
        self.group = Step("group", lambda rng: hostile_stream(rng, rng.choice(self._small_streams)), self._group)
        self.metadata = Step("metadata", _hostile_exif, self._metadata)
        self.picture = Step("picture", lambda rng: mutate_deep(rng, self._seeds), self._picture)

    def warm_up(self) -> None:
        """Use everything once on sound input, so that all is loaded."""
        rng = Random(0)
        for path in SEEDS:
            data = path.read_bytes()
            read_file(rng, data)
            self._picture(rng, data)
        for suffix in WRITABLE_SUFFIXES:
            self._save(suffix, camera_exif())
        for level in range(self._shipped.entropy_network.config.quality_levels):
            self._shipped.hyper_tables(level)

    def step(self, number: int) -> Step:
        """What a run does: quick kinds often, slow ones seldom."""
        if number % 500 == 0:
            return self.picture
        if number % 100 == 1:
            return self.metadata
        if number % 40 == 2:
            return self.group
        return self.symbols if number % 5 == 3 else self.file

    def _symbols(self, rng: Random, stream: bytes) -> None:
        """The range decoder with the shipped model's tables, the bins at random."""
        decoder = GroupDecoder(stream)
        choose = np.random.default_rng(rng.randrange(2**32))
        hyper = self._shipped.hyper_tables(rng.randrange(self._shipped.entropy_network.config.quality_levels))
        for tables in (hyper, self._shipped.latent_tables, self._shipped.latent_tables):
            used = choose.integers(0, len(tables), 6)
            bins = choose.choice(used, rng.choice((1, 30, 2000))).astype(np.uint8)
            values = decoder.read(bins, tables)
            assert values.shape == bins.shape
            assert np.abs(values).max() <= 2 ** (MAX_ESCAPE_BITS - 1)

    def _group(self, rng: Random, stream: bytes) -> None:
        """The walk of `decode_group` on a small network."""
        height, width = (rng.choice((1, 2, 3, 5, 8, 8, 8, 8, 8, 32)) for _ in range(2))
        level = rng.randrange(self._small.entropy_network.config.quality_levels)
        latents, _ = decode_group(self._small, stream, height, width, level)
        assert latents.shape == (self._small.entropy_network.config.latent_channels, height, width)
        assert latents.dtype == np.int16

    def _metadata(self, rng: Random, exif: bytes) -> None:
        self._save(rng.choice(WRITABLE_SUFFIXES), exif)

    def _save(self, suffix: str, exif: bytes) -> None:
        """A decoded picture is saved with the EXIF block of its file, and opened again."""
        path = self._folder / f"picture{suffix}"
        pixels = np.full((5, 7, 3), 200, dtype=np.uint8)
        save_picture(Picture(pixels, exif=exif), path)
        saved = open_picture(path).pixels
        assert sorted(saved.shape) == sorted(pixels.shape)  # the block may say that it is to be turned
        assert np.abs(saved.astype(int) - 200).max() <= 3

    def _picture(self, rng: Random, data: bytes) -> None:
        """A whole decoding with the shipped model, the checksums of its symbols made right too."""
        header = read_container(data)
        if len(header.groups) > _PICTURE_GROUPS or header.width * header.height > _PICTURE_PIXELS:
            return  # takes as long as so many pixels take
        checksums = [self._checksum(data, header, number) for number in range(len(header.groups))]
        data = with_symbol_checksums(data, checksums)
        region = _region(rng, header) if rng.random() < 0.5 else None
        strict = rng.random() < 0.5
        result = decode(data, region=region, strict=strict, device="cpu")
        assert result.intact or not strict
        picture, wanted = result.picture, region or Region(0, 0, header.width, header.height)
        assert picture.pixels.shape == (wanted.height, wanted.width, 3)
        assert picture.alpha is None or picture.alpha.shape == (wanted.height, wanted.width)

    def _checksum(self, data: bytes, header: Header, number: int) -> int:
        group = header.groups[number]
        tall, wide = -(-group.height // LATENT_STRIDE), -(-group.width // LATENT_STRIDE)
        try:
            stream = group_stream(data, group)
            return decode_group(self._shipped, stream, tall, wide, self._shipped.level(header.quality))[1]
        except DamagedFile:
            return 0


def read_file(rng: Random, data: bytes) -> None:
    """Everything that reads a file but the decoding of symbols: parser, opacity, EXIF, preview."""
    max_pixels = rng.choice((2**16, MAX_PIXELS, MAX_PIXELS, MAX_SIDE * MAX_SIDE))
    check_streams = rng.random() < 0.5
    header = read_container(data, max_pixels=max_pixels, check_streams=check_streams)
    _check_header(header, max_pixels)
    for group in header.groups:
        with suppress(DamagedFile):
            assert len(group_stream(data, group)) == group.bytes
    for section in header.sections:
        payload = section_payload(data, header, section.name)
        assert payload is None or len(payload) <= section.bytes
    assert open_preview(header.preview) is None or header.section("prev") is not None
    exif = section_payload(data, header, "exif")
    cleaned = clean_exif(exif) if exif is not None else None
    assert cleaned is None or len(cleaned) <= 2**16
    packed = section_payload(data, header, "QMAP")
    if packed is not None:
        local = QualityMap.unpack(packed, header.width, header.height).qualities(header.quality, 0, 3, 0, 2)
        assert local.min() >= 0 and local.max() <= 10_000
    alpha = section_payload(data, header, "ALPH")
    if alpha is not None:
        region = _region(rng, header) if rng.random() < 0.5 else None
        plane = unpack_alpha(alpha, header.width, header.height, region)
        wanted = region or Region(0, 0, header.width, header.height)
        assert plane.shape == (wanted.height, wanted.width)


def _check_header(header: Header, max_pixels: int) -> None:
    assert 1 <= header.width <= MAX_SIDE and 1 <= header.height <= MAX_SIDE
    assert header.width * header.height <= max_pixels
    assert sum(group.width * group.height for group in header.groups) == header.width * header.height
    assert 0 <= header.quality <= 100 and header.bits_per_pixel > 0
    assert header.model_name.isprintable() and len(header.model_hash) == 64
    # Names are printed, also on terminals.
    assert all(section.name.isascii() and section.name.isalpha() for section in header.sections)
    assert len({section.name for section in header.sections}) == len(header.sections)
    for before, after in zip(header.sections, header.sections[1:], strict=False):
        assert after.offset == before.offset + before.bytes


def _region(rng: Random, header: Header) -> Region:
    x, y = rng.randrange(header.width), rng.randrange(header.height)
    return Region(x, y, rng.randint(1, header.width - x), rng.randint(1, header.height - y))


def _hostile_exif(rng: Random) -> bytes:
    block = rng.choice((camera_exif(), camera_exif()[6:]))
    return rng.choice((block, scramble(rng, block), scramble(rng, block), rng.randbytes(30)))


def _streams_of(codec: CodecModel) -> Sequence[bytes]:
    """Streams that the codec takes: random latents, weak and strong."""
    channels = codec.entropy_network.config.latent_channels
    generator = torch.Generator().manual_seed(0)
    sizes = ((8, 8, 1.0), (8, 8, 60.0), (3, 5, 500.0), (32, 32, 2.0))
    return [
        encode_group(codec, torch.randn(channels, height, width, generator=generator) * scale, 1).stream
        for height, width, scale in sizes
    ]
