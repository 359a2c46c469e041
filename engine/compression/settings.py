"""What a caller can choose when compressing. Free of torch, so that a window can build it before torch is there."""

from __future__ import annotations

from dataclasses import dataclass

from engine.errors import UsageError

DEFAULT_MODEL = "photo-codec-s2"


@dataclass(frozen=True)
class EncodeSettings:
    """How to compress.

    Attributes:
        quality: 0..100, continuous; higher is better and larger.
        model: registry name or path of a codec model; None is the default one.
        keep_metadata: keep the EXIF block. The place where a photo was taken (GPS) is removed always.
    """

    quality: float = 50.0
    model: str | None = None
    keep_metadata: bool = True

    def __post_init__(self) -> None:
        if not 0.0 <= self.quality <= 100.0:
            raise UsageError(f"The quality is {self.quality:g}.", "Use a number from 0 to 100.")
