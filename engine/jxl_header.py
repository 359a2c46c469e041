"""Width and height of a JPEG XL file from its first bytes: its decoder unpacks all at once, so limits must come first.

Size header and container as in ISO/IEC 18181-1 (D.2) and 18181-2.
"""

from __future__ import annotations

_SIGNATURE = b"\x00\x00\x00\x0cJXL \x0d\x0a\x87\x0a"
_CODESTREAM = b"\xff\x0a"
_RATIOS = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}


def is_jxl(data: bytes) -> bool:
    """True when `data` starts as a JPEG XL codestream or container does."""
    return data.startswith((_CODESTREAM, _SIGNATURE))


def jxl_size(data: bytes) -> tuple[int, int] | None:
    """(width, height) in pixels, or None when no size header can be found."""
    stream = data if data.startswith(_CODESTREAM) else _codestream_box(data)
    if stream is None or not stream.startswith(_CODESTREAM):
        return None
    bits = _Bits(stream[2:18])
    small = bits.take(1)
    height = _side(bits, small)
    ratio = bits.take(3)
    if ratio == 0:
        return _side(bits, small), height
    numerator, denominator = _RATIOS[ratio]
    return height * numerator // denominator, height


class _Bits:
    """Reads bit fields, least significant bit first; zeros beyond the end."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "little")

    def take(self, count: int) -> int:
        field = self._value & ((1 << count) - 1)
        self._value >>= count
        return field


def _side(bits: _Bits, small: int) -> int:
    if small:
        return (bits.take(5) + 1) * 8
    return bits.take((9, 13, 18, 30)[bits.take(2)]) + 1


def _codestream_box(data: bytes) -> bytes | None:
    position = 0
    while position + 8 <= len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        kind, start = data[position + 4 : position + 8], position + 8
        if length == 1:
            length, start = int.from_bytes(data[start : start + 8], "big"), start + 8
        if kind == b"jxlc":
            return data[start : start + 32]
        if kind == b"jxlp":
            return data[start + 4 : start + 36]
        if length < 8:  # 0 means "to the end of the file"; smaller than its own header is damage
            return None
        position += length
    return None
