"""What a caller can choose when compressing. Free of torch, so that a window can build it before torch is there."""

from __future__ import annotations

from dataclasses import dataclass

from engine.errors import UsageError

DEFAULT_MODEL = "photo-codec-s"

# Passes of refinement at most, by effort.
EFFORT_PASSES = (0, 3, 8, 20)


@dataclass(frozen=True)
class EncodeSettings:
    """How to compress.

    Attributes:
        quality: 0..100, continuous; higher is better and larger.
        model: registry name or path of a codec model; None is the default one.
        keep_metadata: keep the EXIF block. The place where a photo was taken (GPS) is removed always.
        effort: 0 encodes at once. 1, 2 and 3 refine what is coded (`engine.compression.refinement`) in 3, 8 and 20
            passes, each of which takes longer than a plain encoding: smaller files at the same PSNR for whoever has
            the time. Decoding is as fast as ever. benchmarks/effort.py measures what each gives and costs.
    """

    quality: float = 50.0
    model: str | None = None
    keep_metadata: bool = True
    effort: int = 0

    def __post_init__(self) -> None:
        if not 0.0 <= self.quality <= 100.0:
            raise UsageError(f"The quality is {self.quality:g}.", "Use a number from 0 to 100.")
        if self.effort not in range(len(EFFORT_PASSES)):
            raise UsageError(f"The effort is {self.effort}.", f"Use a whole number from 0 to {len(EFFORT_PASSES) - 1}.")
