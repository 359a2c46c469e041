"""What compressing one file gave. Free of torch, so that tables can be made of it anywhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.compression.lossless import LosslessFile


@dataclass(frozen=True)
class FileReport:
    """What compressing one file gave.

    Attributes:
        quality: 0..100, given or found for a target.
        ssimulacra2: None where it was not asked for or is not defined.
        lossless: a classic lossless file that would be smaller than this one, or None.
        target_note: where a target was asked for and is not hit, why the file is smaller than allowed or better than
            wished.
    """

    source: Path
    target: Path
    original_bytes: int
    compressed_bytes: int
    width: int
    height: int
    quality: float
    bits_per_pixel: float
    psnr: float
    ms_ssim: float
    ssimulacra2: float | None
    seconds_encode: float
    seconds_decode: float
    notes: tuple[str, ...] = ()
    lossless: LosslessFile | None = None
    target_note: str = ""
