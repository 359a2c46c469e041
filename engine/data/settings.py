"""DataSettings: which pictures a model is trained or measured on, and how they are prepared."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Split = Literal["train", "validation", "test", "all"]
Kind = Literal["classes", "photos", "pairs"]

FOLDER = "folder"


class DataSettings(BaseModel):
    """The `[data]` table of a recipe.

    Attributes:
        set: name of a data set (`engine.data.set_names`), or "folder" for the user's own pictures in `path`.
        path: folder or zip of the user's own pictures; only with set = "folder".
        kind: how the user's own pictures are laid out: "classes" (a folder per class), "photos" (pictures only) or
            "pairs" (images/ beside labels/ or masks/); None finds out by looking.
        split: the part of the set.
        size: pictures become squares of this side: the central square, scaled with an area filter. Not for pairs.
        crop: side of the square that is cut out: at random when augmenting, from the centre otherwise. Pictures
            smaller than the crop are continued by reflection.
        channels: 1 (luma) or 3; None keeps what the set stores.
        limit: at most this many pictures, a fixed choice spread over the whole set.
        free_licence_only: of sets with a licence per picture, take only those that allow commercial use.
        flip: mirror left-right with probability 1/2 when augmenting.
        flip_vertical: mirror top-bottom with probability 1/2 when augmenting.
        rotate: turn by a random multiple of 90 degrees when augmenting.
        scale: range of the random enlargement before cropping, log-uniform; (1, 1) is none. Needs `crop`.
        brightness: up to this much is added to all values (which are in 0..1), uniformly in -b..b, when augmenting.
        contrast: values are spread around their mean by a factor in 1-c..1+c when augmenting.
        invert: probability of turning a picture into its negative when augmenting.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    set: str
    path: Path | None = None
    kind: Kind | None = None
    split: Split = "train"
    size: int | None = Field(default=None, ge=4, le=4096)
    crop: int | None = Field(default=None, ge=4, le=4096)
    channels: Literal[1, 3] | None = None
    limit: int | None = Field(default=None, ge=1)
    free_licence_only: bool = True
    flip: bool = False
    flip_vertical: bool = False
    rotate: bool = False
    scale: tuple[float, float] = (1.0, 1.0)
    brightness: float = Field(default=0.0, ge=0.0, le=1.0)
    contrast: float = Field(default=0.0, ge=0.0, lt=1.0)
    invert: float = Field(default=0.0, ge=0.0, le=1.0)

    @model_validator(mode="after")
    def _fits_together(self) -> DataSettings:
        if (self.path is not None) != (self.set == FOLDER):
            raise ValueError('"path" belongs to set = "folder" and to nothing else')
        if self.kind is not None and self.set != FOLDER:
            raise ValueError('"kind" belongs to set = "folder" and to nothing else')
        low, high = self.scale
        if not 0.1 <= low <= high <= 10.0:
            raise ValueError("scale must be a range (low, high) within 0.1 to 10")
        if self.scale != (1.0, 1.0) and self.crop is None:
            raise ValueError("scale needs crop")
        return self
