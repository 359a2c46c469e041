"""What the Compress page is asked for: a codec with settings on either side, and what both sides share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from engine.compression.settings import DEFAULT_MODEL, Target

if TYPE_CHECKING:
    import numpy as np

LEFT, RIGHT = "left", "right"
SIDES = (LEFT, RIGHT)
ORIGINAL, OURS = "original", "lsi"
CODEC_NAMES = {
    ORIGINAL: "Original",
    OURS: "Latent Studio",
    "jpeg": "JPEG",
    "webp": "WebP",
    "avif": "AVIF",
    "jxl": "JPEG XL",
    "png": "PNG",
}
SUFFIXES = {OURS: ".lsi", "jpeg": ".jpg", "webp": ".webp", "avif": ".avif", "jxl": ".jxl", "png": ".png"}
# Where each scale gives good pictures of photos; people find their own from there.
USUAL_QUALITY = {ORIGINAL: 50.0, OURS: 50.0, "jpeg": 75.0, "webp": 75.0, "avif": 60.0, "jxl": 75.0, "png": 100.0}


@dataclass(frozen=True)
class SideSettings:
    """What one side shows.

    Attributes:
        codec: a key of `CODEC_NAMES`.
        quality: 0..100 on the codec's own scale.
        model: registry name of our codec's model; None = default.
        effort: the codec's own; None = what it takes as a rule (ours: 0).
        subsampling: "4:2:0" or "4:4:4", of JPEG and AVIF.
        lossless: of WebP and JPEG XL.
        target: what the file is to reach, instead of the quality.
        same_size: the best file that is not larger than that of the other side, instead of quality and target.
    """

    codec: str = OURS
    quality: float = USUAL_QUALITY[OURS]
    model: str | None = None
    effort: int | None = None
    subsampling: str = "4:2:0"
    lossless: bool = False
    target: Target | None = None
    same_size: bool = False

    @property
    def makes_file(self) -> bool:
        """False for the original, which is shown as it is."""
        return self.codec != ORIGINAL

    @property
    def model_name(self) -> str:
        """Registry name of the wanted model of ours."""
        return self.model or DEFAULT_MODEL

    @property
    def by_quality(self) -> bool:
        """True where the quality counts: no target, no other side's size, and not lossless."""
        return self.target is None and not self.same_size and not self.exact

    @property
    def exact(self) -> bool:
        """True where the file keeps every value."""
        return self.codec == "png" or (self.lossless and self.codec in ("webp", "jxl"))


@dataclass(frozen=True, eq=False)
class Focus:
    """Parts of the photo that get more of the bits; compared by identity, since masks are large.

    Attributes:
        mask: (H, W) bool in a grid of at most 1024 a side over the picture as it is compressed, cropped.
        drop: by how many points of quality all else is coded worse.
    """

    mask: np.ndarray
    drop: float = 30.0


@dataclass(frozen=True)
class Crop:
    """A part of the photo in its pixels."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class SharedSettings:
    """What holds for both sides.

    Attributes:
        keep_metadata: keep EXIF and XMP.
        keep_place: keep in them where the photo was taken.
        keep_profile: keep colours beyond sRGB and their profile, else convert them.
        crop: the part that is compressed; None = all.
        longest_side: shrink to that many pixels on the longer side; None = as it is.
        width, height, percent: sizes that only presets ask for, see `engine.compression.preparation.Preparation`.
        resample: the filter that shrinks, "lanczos", "bicubic", "box" or "nearest".
        focus: parts that get more of the bits of our codec; None = every part the same.
    """

    keep_metadata: bool = True
    keep_place: bool = False
    keep_profile: bool = True
    crop: Crop | None = None
    longest_side: int | None = None
    width: int | None = None
    height: int | None = None
    percent: float | None = None
    resample: str = "lanczos"
    focus: Focus | None = None

    @property
    def prepares(self) -> SharedSettings:
        """Only what changes the pixels before they are compressed."""
        return replace(self, keep_metadata=True, keep_place=False, focus=None)

    @property
    def size(self) -> tuple[int | None, int | None, int | None, float | None]:
        """All wishes for the size."""
        return self.longest_side, self.width, self.height, self.percent


@dataclass(frozen=True)
class PageSettings:
    """All that undo and redo bring back."""

    left: SideSettings = field(default_factory=lambda: SideSettings(codec=ORIGINAL))
    right: SideSettings = field(default_factory=SideSettings)
    shared: SharedSettings = field(default_factory=SharedSettings)

    def side(self, side: str) -> SideSettings:
        """The settings of "left" or "right"."""
        return self.left if side == LEFT else self.right

    def with_side(self, side: str, settings: SideSettings) -> PageSettings:
        """The same with other settings on one side; only one side can follow the size of the other."""
        left, right = (settings, self.right) if side == LEFT else (self.left, settings)
        if settings.same_size:
            if side == LEFT:
                right = replace(right, same_size=False)
            else:
                left = replace(left, same_size=False)
        return PageSettings(left, right, self.shared)

    def swapped(self) -> PageSettings:
        """Left and right exchanged."""
        return PageSettings(self.right, self.left, self.shared)


def other(side: str) -> str:
    """The opposite side."""
    return RIGHT if side == LEFT else LEFT


def with_codec(settings: SideSettings, codec: str, qualities: Mapping[str, float]) -> SideSettings:
    """Settings of another codec: its own quality, of those last used, and nothing that only the old one knew."""
    quality = qualities.get(codec, USUAL_QUALITY[codec])
    model = settings.model if codec == OURS else None
    return SideSettings(codec, quality, model, target=settings.target, same_size=settings.same_size)


def remembered(stored: Mapping[str, Any]) -> PageSettings:
    """The settings of the last session; what makes no sense is left at its default. Crop and focus are the photo's."""
    settings = PageSettings()
    for side in SIDES:
        codec, quality = stored.get(f"{side}_codec"), stored.get(f"{side}_quality")
        found = settings.side(side)
        if codec in CODEC_NAMES:
            found = replace(found, codec=codec, quality=USUAL_QUALITY[codec])
        if isinstance(quality, int | float) and not isinstance(quality, bool) and 0 <= quality <= 100:
            found = replace(found, quality=float(quality))
        if isinstance(same := stored.get(f"{side}_same_size"), bool):
            found = replace(found, same_size=same and found.makes_file)
        settings = settings.with_side(side, found)
    kept = {
        name: stored[name]
        for name in ("keep_metadata", "keep_place", "keep_profile")
        if isinstance(stored.get(name), bool)
    }
    return replace(settings, shared=replace(settings.shared, **kept))


def to_remember(settings: PageSettings) -> dict[str, Any]:
    """What `remembered` reads."""
    kept: dict[str, Any] = {}
    for side in SIDES:
        found = settings.side(side)
        kept |= {
            f"{side}_codec": found.codec,
            f"{side}_quality": found.quality,
            f"{side}_same_size": found.same_size,
        }
    shared = settings.shared
    return kept | {
        "keep_metadata": shared.keep_metadata,
        "keep_place": shared.keep_place,
        "keep_profile": shared.keep_profile,
    }
