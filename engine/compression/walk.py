"""The walk through one group's latents that encoder and decoder share, whatever computes the integer networks.

It needs numpy and the range coder, and neither torch nor onnxruntime: `CodecModel` runs the networks with the first,
`OnnxCodec` with the second, and both give the same integers.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from engine.compression.container import MEAN_STEPS
from engine.compression.entropy import GroupDecoder, Table
from engine.errors import DamagedFile

# Decoded latents are kept as int16 in 1/16 steps; hyper-latents never need more either.
LARGEST = 2**15 - 1

# (step, values wanted at these places?, means in 1/16 steps, bins) -> symbols; flat arrays in the same order.
Visit = Callable[[int, np.ndarray, np.ndarray, np.ndarray], np.ndarray]


class EntropyModel(Protocol):
    """The integer networks of a codec and its tables.

    Attributes:
        latent_channels, hyper_channels: of y and z.
        latent_tables: one table per scale bin.
    """

    @property
    def latent_channels(self) -> int: ...

    @property
    def hyper_channels(self) -> int: ...

    @property
    def latent_tables(self) -> list[Table]: ...

    def hyper_tables(self, level: int) -> list[Table]:
        """The tables of the hyper-latents, by channel, at a quality level."""
        ...

    def prepare(self, hyper: np.ndarray, levels: np.ndarray, height: int, width: int) -> Any:
        """What the steps of a group share, in a form of the model's own.

        Args:
            hyper: hyper-latents (Cz, ceil(height / 4), ceil(width / 4)) int32.
            levels: (1, 1) or, where they differ from place to place, (height, width) int64.
            height, width: of the group in latents.
        """
        ...

    def distribution(
        self, prepared: Any, latents: np.ndarray, step: int, places: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Means in 1/16 steps, int32, and scale bins, uint8, of the channel half that `step` codes, at some places.

        Args:
            prepared: result of `prepare`; the model may note in it what it has seen, so the steps come in order.
            latents: (M, height, width) int16 in 1/16 steps, 0 where not decoded yet.
            step: 0..3.
            places: (height, width) bool, those that the step codes.

        Returns:
            Two flat arrays, channel by channel, the places of each in raster order.
        """
        ...


def quality_level(quality: float, levels: int) -> int:
    """Entropy-model level of a quality, in integers so that every machine finds the same."""
    hundredths = round(quality * 100)
    return (2 * hundredths * (levels - 1) + 10_000) // 20_000


def local_levels(quality: float | np.ndarray, levels: int) -> np.ndarray | None:
    """`quality_level` (h, w) int64 of a quality map in hundredths; None where the quality is one number."""
    if not isinstance(quality, np.ndarray):
        return None
    return (2 * quality * (levels - 1) + 10_000) // 20_000


def decode_group(
    model: EntropyModel, stream: bytes, height: int, width: int, level: int, local: np.ndarray | None = None
) -> tuple[np.ndarray, int]:
    """Decode a stream.

    Args:
        height, width: of the group in latents.
        level: of the entropy model.
        local: levels (height, width) where a quality map differs from place to place.

    Returns:
        Latents (M, height, width) int16 in 1/16 steps, and the checksum of all symbols.

    Raises:
        DamagedFile: the stream holds values that no encoder writes.
    """
    decoder = GroupDecoder(stream)
    hyper, _ = read_hyper(decoder, model, height, width, level)

    def visit(_step: int, _places: np.ndarray, _mean: np.ndarray, bins: np.ndarray) -> np.ndarray:
        return decoder.read(bins, model.latent_tables)

    latents = walk(model, hyper, height, width, level, local, visit)
    return latents, symbol_checksum(hyper, latents)


def read_hyper(
    decoder: GroupDecoder, model: EntropyModel, height: int, width: int, level: int
) -> tuple[np.ndarray, np.ndarray]:
    """The hyper-latents (Cz, ceil(height / 4), ceil(width / 4)) int32 with which a stream begins, and the bins of their
    tables, flat. Raises `DamagedFile`."""
    shape = (model.hyper_channels, -(-height // 4), -(-width // 4))
    bins = np.repeat(np.arange(shape[0], dtype=np.uint8), shape[1] * shape[2])
    hyper = decoder.read(bins, model.hyper_tables(level)).reshape(shape)
    if np.abs(hyper).max() > LARGEST:
        raise DamagedFile("A stream in the file holds an impossible value.", "Get the file again.")
    return hyper, bins


def symbol_checksum(hyper: np.ndarray, latents: np.ndarray) -> int:
    """CRC-32 over hyper-latents and latents as little-endian int16."""
    return zlib.crc32(latents.astype("<i2").tobytes(), zlib.crc32(hyper.astype("<i2").tobytes()))


def walk(
    model: EntropyModel,
    hyper: np.ndarray,
    height: int,
    width: int,
    level: int,
    local: np.ndarray | None,
    visit: Visit,
) -> np.ndarray:
    """Four steps, even and odd squares of a checkerboard in either channel half; `visit` writes or reads the symbols.

    Args:
        hyper: hyper-latents (Cz, ceil(height / 4), ceil(width / 4)) int32.
        height, width: of the group in latents.
        level, local: as for `decode_group`.

    Returns:
        Decoded latents (M, height, width) int16 in 1/16 steps.

    Raises:
        DamagedFile: a symbol leads to a value that no encoder writes.
    """
    half = model.latent_channels // 2
    prepared = model.prepare(hyper, np.array([[level]]) if local is None else local, height, width)
    rows, columns = np.ogrid[0:height, 0:width]
    even = (rows + columns) % 2 == 0
    latents = np.zeros((2 * half, height, width), dtype=np.int16)
    for step in range(4):
        places = even if step % 2 == 0 else ~even
        if not places.any():
            continue
        part = latents[:half] if step < 2 else latents[half:]
        mean, bins = model.distribution(prepared, latents, step, places)
        symbols = visit(step, places, mean, bins)
        values = symbols * MEAN_STEPS + mean
        if values.size and np.abs(values).max() > LARGEST:
            raise DamagedFile("A stream in the file holds an impossible value.", "Get the file again.")
        part[:, places] = values.reshape(half, -1)
    return latents
