"""Entropy coding of one group's symbols with constriction's range coder.

Symbols are sorted by scale bin, so that each bin is one call with one concrete table (39 and 16 million symbols a
second instead of 10 and 4). Tables are integer frequencies from the model file: nothing here depends on the machine's
mathematical library. Values outside a table are escaped: their number of bits, then the bits, all equally likely.

The coder itself notices no damage. Its input must be covered by checksums, and so must its output.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import constriction
import numpy as np

from engine.errors import DamagedFile

ResultT = TypeVar("ResultT")

_coding: Any = constriction.stream  # pyright: ignore[reportAttributeAccessIssue] - a compiled submodule

# Escaped values have at most so many bits after the sign was folded in.
MAX_ESCAPE_BITS = 20
_ESCAPE_LENGTHS = _coding.model.Uniform(MAX_ESCAPE_BITS + 1)


@dataclass(frozen=True)
class Table:
    """The distribution of one kind of symbol.

    Attributes:
        low, high: values that have a code of their own; all others use the escape symbol `high - low + 1`.
        model: constriction's Categorical over `high - low + 2` symbols.
        bits: what each of these symbols costs; for estimates, never for coding.
    """

    low: int
    high: int
    model: Any
    bits: np.ndarray

    @classmethod
    def from_frequencies(cls, frequencies: np.ndarray, radius: int) -> Table:
        """Build from integer frequencies (2 * radius + 2,) of -radius..radius and of the escape symbol."""
        used = np.flatnonzero(frequencies[:-1])
        low, high = (int(used[0]), int(used[-1])) if len(used) else (radius, radius)
        counts = np.append(frequencies[low : high + 1], frequencies[-1]).astype(np.float64)
        # Quotients by a power of two are exact in float32, so that every machine builds the same model.
        probabilities = (counts / counts.sum()).astype(np.float32)
        model = _coding.model.Categorical(probabilities, perfect=False, lazy=False)
        return cls(low - radius, high - radius, model, -np.log2(np.maximum(counts, 0.5) / counts.sum()))


class GroupEncoder:
    """Writes the symbols of one group in order."""

    def __init__(self) -> None:
        self._coder = _coding.queue.RangeEncoder()

    def write(self, values: np.ndarray, bins: np.ndarray, tables: list[Table]) -> None:
        """Write values (N,) int32 whose tables are named by bins (N,) uint8."""
        for run, table in _runs(values, bins, tables):
            self._write_run(run, table)

    def _write_run(self, values: np.ndarray, table: Table) -> None:
        outside = (values < table.low) | (values > table.high)
        symbols = np.where(outside, table.high - table.low + 1, values - table.low).astype(np.int32)
        self._coder.encode(symbols, table.model)
        for value in values[outside]:
            self._write_escape(int(value))

    def _write_escape(self, value: int) -> None:
        folded = _folded(value)
        length = folded.bit_length()
        if length > MAX_ESCAPE_BITS:
            raise ValueError(f"{value} is too large for an escape code")
        self._coder.encode(length, _ESCAPE_LENGTHS)
        if length > 1:
            self._coder.encode(folded - (1 << (length - 1)), _uniform(length - 1))

    def finish(self) -> bytes:
        """The stream, a multiple of 4 bytes."""
        return self._coder.get_compressed().astype("<u4").tobytes()


class BitCounter:
    """Takes symbols as `GroupEncoder` does and only adds up what the tables say that they cost.

    Attributes:
        bits: so far; a stream is up to 1 % longer.
    """

    def __init__(self) -> None:
        self.bits = 0.0

    def write(self, values: np.ndarray, bins: np.ndarray, tables: list[Table]) -> None:
        """Count values (N,) int32 whose tables are named by bins (N,) uint8."""
        for run, table in _runs(values, bins, tables):
            self.bits += float(_run_bits(run, table).sum())


def symbol_bits(values: np.ndarray, bins: np.ndarray, tables: list[Table]) -> np.ndarray:
    """What each of the values (N,) int32, whose tables are named by bins (N,) uint8, costs by the tables, (N,) float64
    in bits."""
    costs = np.empty(len(values))
    costs[np.argsort(bins, kind="stable")] = np.concatenate(
        [np.empty(0), *(_run_bits(run, table) for run, table in _runs(values, bins, tables))]
    )
    return costs


class GroupDecoder:
    """Reads what `GroupEncoder` wrote, given the same tables in the same order."""

    def __init__(self, stream: bytes) -> None:
        if len(stream) % 4:
            raise DamagedFile("A stream in the file has a length that no stream has.", "Get the file again.")
        words = np.frombuffer(stream, dtype="<u4").astype(np.uint32)
        self._coder = guarded(lambda: _coding.queue.RangeDecoder(words))

    def read(self, bins: np.ndarray, tables: list[Table]) -> np.ndarray:
        """Read len(bins) values (N,) int32. Raises `DamagedFile` where the stream cannot be one."""
        return guarded(lambda: self._read(bins, tables))

    def _read(self, bins: np.ndarray, tables: list[Table]) -> np.ndarray:
        order = np.argsort(bins, kind="stable")
        sorted_values = np.empty(len(bins), dtype=np.int32)
        ends = np.cumsum(np.bincount(bins, minlength=len(tables)))
        start = 0
        for table, end in zip(tables, ends, strict=True):
            if end > start:
                run = self._coder.decode(table.model, int(end) - start) + table.low
                for position in np.flatnonzero(run > table.high):
                    run[position] = self._read_escape()
                sorted_values[start:end] = run
            start = int(end)
        values = np.empty_like(sorted_values)
        values[order] = sorted_values
        return values

    def _read_escape(self) -> int:
        length = int(self._coder.decode(_ESCAPE_LENGTHS))
        folded = length and 1
        if length > 1:
            folded = (1 << (length - 1)) + int(self._coder.decode(_uniform(length - 1)))
        return folded // 2 if folded % 2 == 0 else -(folded + 1) // 2


def _runs(values: np.ndarray, bins: np.ndarray, tables: list[Table]) -> Iterator[tuple[np.ndarray, Table]]:
    """The values of each table in use, in the order of the tables and within each as given."""
    values = values[np.argsort(bins, kind="stable")].astype(np.int32)
    ends = np.cumsum(np.bincount(bins, minlength=len(tables)))
    start = 0
    for table, end in zip(tables, ends, strict=True):
        if end > start:
            yield values[start:end], table
        start = int(end)


def _run_bits(values: np.ndarray, table: Table) -> np.ndarray:
    """What each value of one table costs, escapes included."""
    outside = (values < table.low) | (values > table.high)
    costs = table.bits[np.where(outside, len(table.bits) - 1, values - table.low)]
    for place in np.flatnonzero(outside):
        costs[place] += math.log2(MAX_ESCAPE_BITS + 1) + max(0, _folded(int(values[place])).bit_length() - 1)
    return costs


def _folded(value: int) -> int:
    """The sign folded into the lowest bit: 0, -1, 1, -2, 2 -> 0, 1, 2, 3, 4."""
    return 2 * value if value >= 0 else -2 * value - 1


def guarded(call: Callable[[], ResultT]) -> ResultT:
    """Run a call into the coder; its panics, which are no `Exception`, become `DamagedFile`."""
    try:
        return call()
    except (ValueError, AssertionError, OverflowError) as error:
        raise _undecodable(error) from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise _undecodable(error) from None


def _undecodable(error: BaseException) -> DamagedFile:
    return DamagedFile(f"A stream in the file cannot be decoded ({error}).", "Get the file again.")


def _uniform(bits: int) -> Any:
    return _coding.model.Uniform(1 << bits)
