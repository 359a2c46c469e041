"""How figures are written for people: the same everywhere, with their units."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.compression.settings import Target


def bytes_exact(count: int) -> str:
    """Every byte counted: "41,732 bytes"."""
    return f"{count:,} byte{'' if count == 1 else 's'}"


def bytes_short(count: int) -> str:
    """Three significant figures in decimal units, as file managers show sizes: "41.7 kB"."""
    value = float(count)
    for unit in ("bytes", "kB", "MB"):
        if value < 999.5:
            return f"{count} bytes" if unit == "bytes" else f"{value:.3g} {unit}"
        value /= 1000.0
    return f"{value:.3g} GB"


def percent(part: float, whole: float) -> str:
    """`part` as a share of `whole`: "3.4 %"; a dash where there is no whole."""
    if whole <= 0:
        return "–"
    share = 100.0 * part / whole
    return f"{share:.2f} %" if share < 1 else f"{share:.1f} %"


def decibels(value: float) -> str:
    """A PSNR: "31.82 dB"; identical pictures have an infinite one."""
    return "∞ (identical)" if math.isinf(value) else f"{value:.2f} dB"


def seconds(value: float) -> str:
    """A duration: "0.42 s", "12.3 s", "2 min 05 s"."""
    if value < 10:
        return f"{value:.2f} s"
    if value < 100:
        return f"{value:.1f} s"
    return f"{int(value) // 60} min {int(value) % 60:02d} s"


def size_in_pixels(width: int, height: int) -> str:
    """ "768 × 512", with megapixels once they help: "6000 × 4000 (24.0 MP)"."""
    megapixels = width * height / 1e6
    return f"{width} × {height}" + (f" ({megapixels:.1f} MP)" if megapixels >= 1 else "")


def target_in_words(target: Target) -> str:
    """What a file is to reach: "200 kB", "1 bit per pixel", "38 dB", "MS-SSIM 0.98"."""
    if target.kind == "size":
        return bytes_short(round(target.value))
    if target.kind == "bpp":
        return f"{target.value:g} bit{'' if target.value == 1 else 's'} per pixel"
    return f"{target.value:g} dB" if target.kind == "psnr" else f"MS-SSIM {target.value:g}"


def count_short(count: int) -> str:
    """A large number in three significant figures with a unit: "36,864", "398 M", "1.2 G"."""
    for unit, size in (("G", 1e9), ("M", 1e6)):
        if count >= 0.9995 * size:
            return f"{count / size:.3g} {unit}"
    return f"{count:,}"
