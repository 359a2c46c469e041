"""What a caller can choose when compressing. Free of torch, so that a window can build it before torch is there."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from engine.errors import UsageError

if TYPE_CHECKING:
    from engine.compression.quality_map import QualityMap

TargetKind = Literal["size", "bpp", "psnr", "ms-ssim"]

DEFAULT_MODEL = "photo-codec-m2"


_BYTES_OF_UNIT = {"": 1000, "b": 1, "bytes": 1, "kb": 1000, "kib": 1024, "mb": 1000**2, "mib": 1024**2}


@dataclass(frozen=True)
class Target:
    """What a file is to reach; the quality that gives it is found by a search.

    Attributes:
        kind: "size" and "bpp" are never exceeded: the file is the best that is not larger. "psnr" and "ms-ssim" are
            never missed: the file is the smallest that is not worse.
        value: bytes of the whole file; bits of the whole file per pixel; dB; or 0..1.
    """

    kind: TargetKind
    value: float

    def __post_init__(self) -> None:
        if self.kind not in get_args(TargetKind):
            raise UsageError(f"There is no target {self.kind!r}.", f"Use one of {', '.join(get_args(TargetKind))}.")
        if not (math.isfinite(self.value) and self.value > 0):
            raise UsageError(f"The target {self.kind} is {self.value:g}.", "Use a number above 0.")
        if self.kind == "ms-ssim" and self.value > 1:
            raise UsageError(f"The target MS-SSIM is {self.value:g}.", "Use a number from 0 to 1, such as 0.98.")

    def most_bytes(self, width: int, height: int) -> int | None:
        """The largest file allowed for a picture of that many pixels; None where the target is no size."""
        if self.kind == "size":
            return math.floor(self.value)
        return math.floor(self.value * width * height / 8) if self.kind == "bpp" else None


def parse_size(text: str) -> int:
    """Bytes in a text such as "200kB", "1.5 MB", "64KiB" or "9000 bytes"; a bare number is in kB (1,000 bytes).

    Raises:
        UsageError: the text is no size.
    """
    found = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)\s*([a-z]*)", text.strip().lower())
    if found is None or found[2] not in _BYTES_OF_UNIT:
        raise UsageError(f"{text!r} is no file size.", "Write, for example, 200kB, 1.5MB, 64KiB or 9000bytes.")
    return round(float(found[1]) * _BYTES_OF_UNIT[found[2]])


# Passes of refinement of our codec at most, by effort.
EFFORT_PASSES = (0, 8, 24, 60)


@dataclass(frozen=True)
class EffortRange:
    """The efforts of a codec: more takes longer and makes smaller files.

    Attributes:
        low, high: whole numbers, both allowed.
        usual: what a careful user takes.
        meaning: the codec's own name for it.
    """

    low: int
    high: int
    usual: int
    meaning: str


EFFORTS = {
    "jpeg": EffortRange(0, 2, 2, "0 standard tables, 1 optimised tables, 2 progressive too"),
    "webp": EffortRange(0, 6, 6, "method"),
    "avif": EffortRange(0, 10, 4, "10 less the speed"),
    "jxl": EffortRange(1, 9, 7, "effort"),
    "png": EffortRange(0, 9, 9, "level of deflate"),
}


@dataclass(frozen=True)
class EncodeSettings:
    """How to compress.

    Attributes:
        quality: 0..100, continuous; higher is better and larger.
        model: registry name or path of a codec model; None is the default one.
        keep_metadata: keep the EXIF block and the XMP packet.
        keep_place: keep in them where the photo was taken (GPS), too.
        quality_map: parts of the picture that are coded better or worse than the rest
            (`engine.compression.quality_map`).
        target: what the file is to reach; the quality is then found instead of given.
        effort: 0 encodes at once. 1, 2 and 3 refine what is coded (`engine.compression.refinement`) in 8, 24 and 60
            passes, each of which takes longer than a plain encoding: smaller files at the same PSNR for whoever has
            the time. Decoding is as fast as ever. benchmarks/effort.py measures what each gives and costs.
    """

    quality: float = 50.0
    model: str | None = None
    keep_metadata: bool = True
    keep_place: bool = False
    quality_map: QualityMap | None = None
    target: Target | None = None
    effort: int = 0

    def __post_init__(self) -> None:
        if not 0.0 <= self.quality <= 100.0:
            raise UsageError(f"The quality is {self.quality:g}.", "Use a number from 0 to 100.")
        if self.effort not in range(len(EFFORT_PASSES)):
            raise UsageError(f"The effort is {self.effort}.", f"Use a whole number from 0 to {len(EFFORT_PASSES) - 1}.")
