"""What a batch does with every file. Free of torch, so that a window can build it before torch is there."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.compression.container import DEFAULT_SUFFIX
from engine.compression.settings import DEFAULT_MODEL, EFFORT_PASSES, EncodeSettings, Target
from engine.errors import UsageError

if TYPE_CHECKING:
    from engine.compression.classic import ClassicSettings
    from engine.compression.preparation import Preparation

OURS = "lsi"
# Suffix of the files of each format, ours first.
FORMATS = {OURS: DEFAULT_SUFFIX, "jpeg": ".jpg", "webp": ".webp", "avif": ".avif", "jxl": ".jxl", "png": ".png"}
FORMAT_NAMES = {OURS: "Latent Studio", "jpeg": "JPEG", "webp": "WebP", "avif": "AVIF", "jxl": "JPEG XL", "png": "PNG"}
LOSSLESS_FORMATS = ("png",)


@dataclass(frozen=True)
class BatchSettings:
    """How all files of a batch are compressed, and where the results go.

    Attributes:
        format: one of `FORMATS`.
        quality: 0..100 on the scale of that format; without effect where there is a target, and for PNG.
        target: what every file is to reach.
        model: registry name or path of our codec; None is the default one.
        effort: of ours 0..3, see `EncodeSettings`; of the others as in `engine.compression.settings.EFFORTS`; None is
            what each takes as a rule.
        subsampling, lossless: of the formats that know them, see `ClassicSettings`.
        keep_metadata, keep_place: see `EncodeSettings`.
        keep_profile: keep colours that are not sRGB, and their profile; else they are converted.
        folder: where the results go, with the tree of the folders that were given; None is beside each original.
        suffix: put between a name and its ending: "-small" makes photo-small.lsi of photo.jpg.
        skip_gain: percent that a file must become smaller by; where it does not, the original is copied instead. None
            keeps every result.
        perceptual: measure SSIMULACRA2 too.
        preparation: crop and size before; figures compare with what that gives.
        focus, drop: what keeps its quality, and how many points all else loses (`engine.batch.focus`); ours only.
    """

    format: str = OURS
    quality: float = 50.0
    target: Target | None = None
    model: str | None = None
    effort: int | None = None
    subsampling: str = "4:2:0"
    lossless: bool = False
    keep_metadata: bool = True
    keep_place: bool = False
    keep_profile: bool = True
    folder: Path | None = None
    suffix: str = ""
    skip_gain: float | None = None
    perceptual: bool = False
    focus: str | None = None
    drop: float = 30.0
    preparation: Preparation | None = None

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise UsageError(f"There is no output format {self.format!r}.", f"Use one of {', '.join(FORMATS)}.")
        if not 0.0 <= self.quality <= 100.0:
            raise UsageError(f"The quality is {self.quality:g}.", "Use a number from 0 to 100.")
        if self.format == OURS and self.effort is not None and self.effort not in range(len(EFFORT_PASSES)):
            raise UsageError(f"The effort is {self.effort}.", f"Use a whole number from 0 to {len(EFFORT_PASSES) - 1}.")
        if self.skip_gain is not None and not 0.0 <= self.skip_gain < 100.0:
            raise UsageError(f"The least gain is {self.skip_gain:g} %.", "Use a number from 0 to below 100.")
        if any(sign in self.suffix for sign in '/\\:*?"<>|\0'):
            raise UsageError(f"{self.suffix!r} cannot be part of a file name.", "Use a suffix such as -small.")
        if self.target is not None and self.format in LOSSLESS_FORMATS:
            raise UsageError(
                f"{FORMAT_NAMES[self.format]} loses nothing and has one size, so it can reach no target.",
                "Choose another format, or no target.",
            )
        if self.focus is not None and self.format != OURS:
            raise UsageError(f"{FORMAT_NAMES[self.format]} knows no focus.", "Leave it out or use the format lsi.")

    @property
    def ending(self) -> str:
        """What names of results end in, such as ".lsi"."""
        return FORMATS[self.format]

    def encode_settings(self) -> EncodeSettings:
        """The part that concerns our codec."""
        return EncodeSettings(
            quality=self.quality,
            model=self.model,
            keep_metadata=self.keep_metadata,
            keep_place=self.keep_place,
            target=self.target,
            effort=self.effort or 0,
        )

    def classic_settings(self) -> ClassicSettings:
        """The part that concerns the other codecs. Raises `UsageError` where they do not know it."""
        from engine.compression.classic import ClassicSettings

        return ClassicSettings(
            self.format,
            self.quality,
            effort=self.effort,
            subsampling=self.subsampling,
            lossless=self.lossless,
            target=self.target,
            keep_metadata=self.keep_metadata,
            keep_place=self.keep_place,
            keep_profile=self.keep_profile,
        )

    def to_plain(self) -> dict[str, Any]:
        """As texts, numbers and tables that JSON can hold; `from_plain` reads them."""
        plain = asdict(self)
        plain["folder"] = None if self.folder is None else str(self.folder)
        return plain

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> BatchSettings:
        """The inverse of `to_plain`. Raises `UsageError`, ValueError, TypeError or KeyError for anything else."""
        known = {field.name for field in fields(cls)}
        given = {name: value for name, value in plain.items() if name in known}
        if given.get("folder") is not None:
            given["folder"] = Path(given["folder"])
        if given.get("target") is not None:
            given["target"] = Target(given["target"]["kind"], given["target"]["value"])
        if given.get("preparation") is not None:
            given["preparation"] = _preparation(given["preparation"])
        return cls(**given)

    @property
    def digest(self) -> str:
        """The same for settings that give the same files; where they are written does not count."""
        plain = self.to_plain() | {"folder": None, "model": self.model or DEFAULT_MODEL}
        return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]


def _preparation(plain: dict[str, Any]) -> Preparation:
    from engine.compression.container import Region
    from engine.compression.preparation import Preparation

    given = dict(plain)
    if given.get("crop") is not None:
        given["crop"] = Region(**given["crop"])
    return Preparation(**given)
