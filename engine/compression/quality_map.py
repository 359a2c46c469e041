"""QualityMap: parts of a picture that are coded at a higher or lower quality than the rest.

The map belongs to the file (section QMAP), coarse and packed, so that any decoder undoes the gains of every place.
Between the middles of its squares it is interpolated: a step of quality would be seen as a line.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

import numpy as np

from engine.compression.container import LATENT_STRIDE
from engine.errors import DamagedFile, UsageError

# Squares of 32 pixels follow what people draw; larger ones take over where the map would cost too much.
BLOCK_LOG2 = (5, 6, 7, 8, 9)
# A map may make a file longer by at most this share of it.
MAP_SHARE = 0.01
LARGEST_OFFSET = 100

_HEAD = struct.Struct("<B")


@dataclass(frozen=True)
class QualityMap:
    """How much the quality of each square of a picture differs from that of the whole.

    Attributes:
        block_log2: log2 of the side of a square in pixels, one of `BLOCK_LOG2`.
        rows, columns: of squares; those at the right and lower border may be cut by it.
        offsets: rows x columns signed bytes in raster order, whole points of quality, -100..100.
    """

    block_log2: int
    rows: int
    columns: int
    offsets: bytes

    @staticmethod
    def of(offsets: np.ndarray, block_log2: int = BLOCK_LOG2[0]) -> QualityMap:
        """A map of an array (rows, columns) of offsets.

        Raises:
            UsageError: an offset beyond -100..100.
        """
        if np.abs(offsets).max(initial=0) > LARGEST_OFFSET:
            raise UsageError("A quality differs by more than 100 points.", "Use differences from -100 to 100.")
        rows, columns = offsets.shape
        return QualityMap(block_log2, rows, columns, np.rint(offsets).astype(np.int8).tobytes())

    @staticmethod
    def from_mask(mask: np.ndarray, inside: float, outside: float) -> QualityMap:
        """A map from a mask (H, W) of the picture's own size: boolean, or weights 0..1 (0 outside, 1 inside).

        A square is taken as inside as the most inside pixel of it and its neighbours, so that nothing inside loses
        quality where squares are interpolated.

        Raises:
            UsageError: an offset beyond -100..100.
        """
        side = 1 << BLOCK_LOG2[0]
        height, width = mask.shape
        missing = ((0, -height % side), (0, -width % side))
        weights = np.pad(mask.astype(np.float32), missing)
        blocks = weights.reshape(weights.shape[0] // side, side, weights.shape[1] // side, side).max(axis=(1, 3))
        around = np.pad(blocks, 1)
        blocks = np.lib.stride_tricks.sliding_window_view(around, (3, 3)).max(axis=(2, 3))
        return QualityMap.of(np.rint(outside + (inside - outside) * blocks))

    @property
    def array(self) -> np.ndarray:
        """(rows, columns) int8."""
        return np.frombuffer(self.offsets, np.int8).reshape(self.rows, self.columns)

    def check_fits(self, width: int, height: int) -> None:
        """Raise `UsageError` unless it covers a picture of that size exactly."""
        if (self.rows, self.columns) != grid(width, height, self.block_log2):
            raise UsageError(
                f"The quality map has {self.columns} x {self.rows} squares of {1 << self.block_log2} pixels, which "
                f"does not fit a picture of {width} x {height}.",
                "Make the mask as large as the picture.",
            )

    def coarser(self) -> QualityMap:
        """The same with squares of twice the side, each as good as the best of its four."""
        best = np.pad(self.array, ((0, self.rows % 2), (0, self.columns % 2)), mode="edge")
        best = best.reshape(best.shape[0] // 2, 2, best.shape[1] // 2, 2).max(axis=(1, 3))
        return QualityMap.of(best, self.block_log2 + 1)

    def within(self, budget: float) -> QualityMap | None:
        """The finest version that packs into so many bytes; None where no version does, or where it says nothing."""
        fitted = self
        while len(fitted.pack()) > budget:
            if fitted.block_log2 == BLOCK_LOG2[-1]:
                return None
            fitted = fitted.coarser()
        return fitted if fitted.array.any() else None

    def qualities(self, quality: float, top: int, bottom: int, left: int, right: int) -> np.ndarray:
        """Quality (bottom - top, right - left) of each latent of a box, in whole hundredths 0..10,000 (int64).

        Bilinear between the middles of squares, in integers: every machine finds the same.

        Args:
            quality: of the whole picture, 0..100 in whole hundredths.
            top, bottom, left, right: the box in latents.
        """
        unit = 2 * (1 << self.block_log2) // LATENT_STRIDE
        upper, lower, down = _between(top, bottom, unit, self.rows)
        before, after, across = _between(left, right, unit, self.columns)
        offsets = self.array.astype(np.int64)
        wide = (unit - across) * offsets[:, before] + across * offsets[:, after]
        mixed = (unit - down)[:, None] * wide[upper] + down[:, None] * wide[lower]
        return np.clip(round(quality * 100) + (100 * mixed + unit**2 // 2) // unit**2, 0, 10_000)

    def pack(self) -> bytes:
        """Payload of the section: log2 of the side, then the differences to the left neighbour, deflated."""
        offsets = self.array.view(np.uint8)
        differences = offsets.copy()
        differences[:, 1:] -= offsets[:, :-1]
        return _HEAD.pack(self.block_log2) + zlib.compress(differences.tobytes(), 9)

    @staticmethod
    def unpack(payload: bytes, width: int, height: int) -> QualityMap:
        """The inverse of `pack` for a picture of that size; never inflates more than its squares.

        Raises:
            DamagedFile: it is no map of such a picture.
        """
        block_log2 = payload[0] if payload else 0
        if block_log2 not in BLOCK_LOG2:
            raise _damaged()
        rows, columns = grid(width, height, block_log2)
        inflater = zlib.decompressobj()
        try:
            raw = inflater.decompress(payload[1:], rows * columns + 1)
        except zlib.error as error:
            raise _damaged() from error
        if len(raw) != rows * columns or not inflater.eof or inflater.unused_data:
            raise _damaged()
        offsets = np.cumsum(np.frombuffer(raw, np.uint8).reshape(rows, columns), axis=1, dtype=np.uint8)
        if np.abs(offsets.view(np.int8).astype(np.int16)).max() > LARGEST_OFFSET:
            raise _damaged()
        return QualityMap(block_log2, rows, columns, offsets.tobytes())


def grid(width: int, height: int, block_log2: int) -> tuple[int, int]:
    """Rows and columns of squares of a picture."""
    side = 1 << block_log2
    return -(-height // side), -(-width // side)


def _between(start: int, stop: int, unit: int, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For latents start..stop - 1: the squares whose middles lie before and after, and how far between, 0..unit - 1.

    Args:
        unit: twice the side of a square in latents.
        count: of squares.
    """
    place = 2 * np.arange(start, stop) + 1 - unit // 2
    square = place // unit
    return np.clip(square, 0, count - 1), np.clip(square + 1, 0, count - 1), place % unit


def _damaged() -> DamagedFile:
    return DamagedFile("The quality map is damaged.", "Get the file again.")
