"""One group's latents to a stream: four steps of integer networks and range coding, see `ContextModel` and `walk`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from engine.compression.codec_model import CodecModel
from engine.compression.container import MEAN_STEPS, EncodedGroup
from engine.compression.entropy import BitCounter, GroupEncoder, Table
from engine.compression.walk import LARGEST, symbol_checksum, walk

_LARGEST_SYMBOL = LARGEST // MEAN_STEPS - 256  # the mean itself reaches 255

# Values up to this far beyond the rounding border still become 0: costs little quality and saves 1.4 % of the bits.
ZERO_MARGIN = 0.1

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
    return hyper.clamp(-LARGEST, LARGEST).numpy().astype(np.int32)


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

    return walk(codec, hyper, latents.shape[1], latents.shape[2], level, local, visit)


def _write_hyper(encoder: GroupEncoder | BitCounter, symbols: np.ndarray, tables: list[Table]) -> None:
    bins = np.repeat(np.arange(len(symbols), dtype=np.uint8), symbols[0].size)
    encoder.write(symbols.reshape(-1), bins, tables)
