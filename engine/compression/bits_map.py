"""Where the bits of an .lsi file go: what every place of the picture costs, by the tables of the entropy coder.

Only the entropy layer is decoded, no pixels.
"""

from __future__ import annotations

import numpy as np

from engine.compression.byte_source import ByteSource, as_source
from engine.compression.codec_model import DeviceWish, open_codec_by_hash
from engine.compression.container import LATENT_STRIDE, MAX_PIXELS, group_stream, read_container, section_payload
from engine.compression.decoding import GROUP_LATENTS, Window, latent_grid, quality_in
from engine.compression.entropy import GroupDecoder, symbol_bits
from engine.compression.quality_map import QualityMap
from engine.compression.walk import EntropyModel, read_hyper, symbol_checksum, walk
from engine.errors import DamagedFile
from engine.progress import CancelToken, Progress, ProgressCallback, ignore_progress, never_cancelled

# Hyper-latents stand for so many latents either way.
_HYPER_STRIDE = 4


def bits_map(
    data: bytes | ByteSource,
    *,
    device: DeviceWish = None,
    max_pixels: int = MAX_PIXELS,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> np.ndarray:
    """What each 16 x 16 pixels of a file cost.

    The hyper-latents' share of 4 x 4 places is spread over them. Headers, metadata and opacity are left out; the sum
    over the map, times 256, is that of the streams to within the percent by which a coder exceeds its tables.

    Returns:
        (latent rows, latent columns) float32 in bits per pixel, also at the right and lower border, where the 16 x 16
        pixels reach beyond the picture.

    Raises:
        NotACompressedFile, UnsupportedVersion, ModelMismatch, LimitError: it cannot be decoded at all.
        DamagedFile: a part of it is damaged.
        Cancelled: `cancel` was set; it is read between groups.
    """
    cancel = cancel or never_cancelled()
    source = as_source(data)
    header = read_container(source, max_pixels=max_pixels)
    model = open_codec_by_hash(header.model_name, header.model_hash, device)
    packed = section_payload(source, header, "QMAP")
    quality_map = None if packed is None else QualityMap.unpack(packed, header.width, header.height)
    rows, columns = latent_grid(header.width, header.height)
    bits = np.zeros((rows, columns), dtype=np.float32)
    for done, group in enumerate(header.groups):
        cancel.raise_if_cancelled()
        progress(Progress(done, len(header.groups), "Counting bits"))
        top, left = group.y // LATENT_STRIDE, group.x // LATENT_STRIDE
        box = Window(top, min(rows, top + GROUP_LATENTS), left, min(columns, left + GROUP_LATENTS))
        levels = model.local_levels(quality_in(box, header.quality, quality_map))
        costs, checksum = _group_bits(model, group_stream(source, group), box, model.level(header.quality), levels)
        if checksum != group.symbol_crc:
            raise DamagedFile(
                f"The part at {group.x}, {group.y} decodes to other values than were encoded.", "Get the file again."
            )
        bits[box.top : box.bottom, box.left : box.right] = costs
    progress(Progress(len(header.groups), len(header.groups), "Done"))
    return bits / np.float32(LATENT_STRIDE**2)


def smoothed(bits: np.ndarray) -> np.ndarray:
    """A bits map for looking at: every place shares with its neighbours, a quarter each way; the sum stays.

    Every second place, like the white squares of a chessboard, is coded with the knowledge of those around it, so it
    costs less than they do, although it holds as much. What it holds is what people ask for.
    """
    for axis in (0, 1):
        padded = np.pad(bits, [(1, 1) if own == axis else (0, 0) for own in (0, 1)], mode="edge")
        before, after = (np.take(padded, range(first, first + bits.shape[axis]), axis) for first in (0, 2))
        bits = (before + 2 * bits + after) / 4
    return bits


def _group_bits(
    model: EntropyModel, stream: bytes, box: Window, level: int, local: np.ndarray | None
) -> tuple[np.ndarray, int]:
    """Bits (h, w) of each place of a group, and the checksum of its symbols."""
    height, width = box.bottom - box.top, box.right - box.left
    decoder = GroupDecoder(stream)
    hyper, bins = read_hyper(decoder, model, height, width, level)
    shares = symbol_bits(hyper.ravel(), bins, model.hyper_tables(level)).reshape(hyper.shape).sum(0)
    bits = np.zeros((height, width))
    for row, column in np.ndindex(shares.shape):
        part = bits[
            _HYPER_STRIDE * row : _HYPER_STRIDE * (row + 1), _HYPER_STRIDE * column : _HYPER_STRIDE * (column + 1)
        ]
        part += shares[row, column] / part.size

    def visit(_step: int, places: np.ndarray, _mean: np.ndarray, bins: np.ndarray) -> np.ndarray:
        symbols = decoder.read(bins, model.latent_tables)
        bits[places] += symbol_bits(symbols, bins, model.latent_tables).reshape(-1, int(places.sum())).sum(0)
        return symbols

    latents = walk(model, hyper, height, width, level, local, visit)
    return bits, symbol_checksum(hyper, latents)
