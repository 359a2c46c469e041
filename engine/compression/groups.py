"""One group's latents to a stream and back: four steps of integer networks and range coding, see `ContextModel`."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from engine.compression.codec_model import CodecModel
from engine.compression.container import EncodedGroup
from engine.compression.entropy import BitCounter, GroupDecoder, GroupEncoder, Table
from engine.errors import DamagedFile
from engine.models.hyperprior_codec import MEAN_STEPS, HyperpriorCodec, checkerboard, compand

# Decoded latents are kept as int16 in 1/16 steps; hyper-latents never need more either.
_LARGEST = 2**15 - 1
_LARGEST_SYMBOL = _LARGEST // MEAN_STEPS - 256  # the mean itself reaches 255

# Values up to this far beyond the rounding border still become 0: costs little quality and saves 1.4 % of the bits.
ZERO_MARGIN = 0.1

# (values wanted at these places?, means in 1/16 steps, bins) -> symbols; all flat arrays in the same order.
Visit = Callable[[int, np.ndarray, np.ndarray, np.ndarray], np.ndarray]

# (distances of the latents from their means, their bins, their places in the flattened group) -> symbols, all flat.
Decide = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def encode_group(
    codec: CodecModel,
    latents: Tensor,
    level: int,
    zero_margin: float = ZERO_MARGIN,
    local: np.ndarray | None = None,
) -> EncodedGroup:
    """Code latents.

    Args:
        latents: (M, h, w), h and w up to 32, float on the CPU, after the quantising gain.
        level: of the entropy model, see `CodecModel.level`.
        zero_margin: 0 or more, the encoder's choice alone: a smaller one gives a larger and better file, and decoders
            need not know it.
        local: levels (h, w) where a quality map differs from place to place.
    """
    return code_group(codec, latents.numpy(), hyper_symbols(codec, latents), level, nearest(zero_margin), local)[0]


def estimate_group(
    codec: CodecModel,
    latents: Tensor,
    level: int,
    zero_margin: float = ZERO_MARGIN,
    local: np.ndarray | None = None,
) -> tuple[float, np.ndarray]:
    """What `encode_group` would give: the bits that the tables promise, and the decoded latents in 1/16 steps."""
    counter = BitCounter()
    hyper = hyper_symbols(codec, latents)
    decoded = _write_group(counter, codec, latents.numpy(), hyper, level, nearest(zero_margin), local)
    return counter.bits, decoded


def hyper_symbols(codec: CodecModel, latents: Tensor) -> np.ndarray:
    """Hyper-latents (Cz, ceil(h / 4), ceil(w / 4)) int32 of latents as `encode_group` takes them."""
    with torch.inference_mode():
        hyper = codec.entropy_network.hyper_analysis(latents[None])[0].round().nan_to_num(0.0)
    return hyper.clamp(-_LARGEST, _LARGEST).numpy().astype(np.int32)


def nearest(zero_margin: float = ZERO_MARGIN) -> Decide:
    """The `Decide` of plain encoding: the nearest symbol, 0 also so far beyond its border."""

    def decide(distance: np.ndarray, _bins: np.ndarray, _index: np.ndarray) -> np.ndarray:
        return np.where(np.abs(distance) < 0.5 + zero_margin, 0.0, np.rint(distance))

    return decide


def code_group(
    codec: CodecModel,
    latents: np.ndarray,
    hyper: np.ndarray,
    level: int,
    decide: Decide,
    local: np.ndarray | None = None,
) -> tuple[EncodedGroup, np.ndarray]:
    """Code latents (M, h, w) float under given hyper-latents; `decide` chooses the symbols.

    Returns:
        The stream, and what it decodes to: (M, h, w) int16 in 1/16 steps.
    """
    encoder = GroupEncoder()
    decoded = _write_group(encoder, codec, latents, hyper, level, decide, local)
    return EncodedGroup(encoder.finish(), symbol_checksum(hyper, decoded)), decoded


def _write_group(
    encoder: GroupEncoder | BitCounter,
    codec: CodecModel,
    latents: np.ndarray,
    hyper: np.ndarray,
    level: int,
    decide: Decide,
    local: np.ndarray | None,
) -> np.ndarray:
    """Write hyper-latents and the symbols that `decide` chooses; returns the decoded latents."""
    _write_hyper(encoder, hyper, codec.hyper_tables(level))
    half = len(latents) // 2
    order = np.arange(latents.size).reshape(latents.shape)

    def visit(step: int, places: np.ndarray, mean: np.ndarray, bins: np.ndarray) -> np.ndarray:
        channels = slice(0, half) if step < 2 else slice(half, None)
        distance = latents[channels][:, places].reshape(-1) - mean / np.float32(MEAN_STEPS)
        decided = decide(distance, bins, order[channels][:, places].reshape(-1))
        symbols = np.clip(np.nan_to_num(decided), -_LARGEST_SYMBOL, _LARGEST_SYMBOL).astype(np.int32)
        encoder.write(symbols, bins, codec.latent_tables)
        return symbols

    with torch.inference_mode():
        return _code(codec.entropy_network, torch.from_numpy(hyper), latents.shape, level, local, visit)


def decode_group(
    codec: CodecModel, stream: bytes, height: int, width: int, level: int, local: np.ndarray | None = None
) -> tuple[np.ndarray, int]:
    """Decode a stream.

    Args:
        height, width: of the group in latents.
        level, local: as for `encode_group`.

    Returns:
        Latents (M, height, width) int16 in 1/16 steps, and the checksum of all symbols.

    Raises:
        DamagedFile: the stream holds values that no encoder writes.
    """
    decoder = GroupDecoder(stream)
    network = codec.entropy_network
    config = network.config
    tables = codec.hyper_tables(level)
    shape = (config.hyper_channels, -(-height // 4), -(-width // 4))
    bins = np.repeat(np.arange(shape[0], dtype=np.uint8), shape[1] * shape[2])
    hyper = decoder.read(bins, tables).reshape(shape)
    if np.abs(hyper).max() > _LARGEST:
        raise DamagedFile("A stream in the file holds an impossible value.", "Get the file again.")

    def visit(_step: int, _places: np.ndarray, _mean: np.ndarray, bins: np.ndarray) -> np.ndarray:
        return decoder.read(bins, codec.latent_tables)

    with torch.inference_mode():
        latents = _code(network, torch.from_numpy(hyper), (config.latent_channels, height, width), level, local, visit)
    return latents, symbol_checksum(hyper, latents)


def symbol_checksum(hyper: np.ndarray, latents: np.ndarray) -> int:
    """CRC-32 over hyper-latents and latents as little-endian int16."""
    return zlib.crc32(latents.astype("<i2").tobytes(), zlib.crc32(hyper.astype("<i2").tobytes()))


def _write_hyper(encoder: GroupEncoder | BitCounter, symbols: np.ndarray, tables: list[Table]) -> None:
    bins = np.repeat(np.arange(len(symbols), dtype=np.uint8), symbols[0].size)
    encoder.write(symbols.reshape(-1), bins, tables)


def _code(
    network: HyperpriorCodec,
    hyper: Tensor,
    shape: tuple[int, ...],
    level: int,
    local: np.ndarray | None,
    visit: Visit,
) -> np.ndarray:
    """The walk that encoder and decoder share; `visit` writes or reads the symbols of each step.

    Returns:
        Decoded latents `shape` int16 in 1/16 steps.
    """
    channels, height, width = shape
    half = channels // 2
    features = network.hyper_synthesis(hyper[None].float())[..., :height, :width]
    levels = torch.tensor([level]) if local is None else torch.from_numpy(local)[None]
    prepared = network.context.prepare(features, levels)
    even = checkerboard(height, width).numpy()
    latents = np.zeros(shape, dtype=np.int16)
    seen: list[Tensor | None] = [None, None]
    for step in range(4):
        places = even if step % 2 == 0 else ~even
        if not places.any():
            continue
        part = latents[:half] if step < 2 else latents[half:]
        distribution = network.context(prepared, seen[0], seen[1], step)
        mean = distribution.mean[0].numpy()[:, places].reshape(-1)
        bins = network.scale_bin(distribution.scale)[0].numpy()[:, places].reshape(-1).astype(np.uint8)
        symbols = visit(step, places, mean, bins)
        values = symbols * MEAN_STEPS + mean.astype(np.int32)
        if values.size and np.abs(values).max() > _LARGEST:
            raise DamagedFile("A stream in the file holds an impossible value.", "Get the file again.")
        part[:, places] = values.reshape(half, -1)
        seen[step // 2] = compand(torch.from_numpy(part.astype(np.float32))[None])
    return latents
