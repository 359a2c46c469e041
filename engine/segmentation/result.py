"""What a segmentation is: class numbers per pixel, how sure the network was, and the areas that follow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.models.card import SegmentationClass
from engine.segmentation.regions import count_regions


@dataclass(frozen=True)
class ClassArea:
    """How much of a picture one class covers.

    Attributes:
        name, color: of the class; the colour is (R, G, B) in 0..255.
        pixels: how many pixels belong to it.
        percent: share of the picture, 0..100.
        regions: connected regions (by sides); for objects of an instance model, how many objects.
    """

    name: str
    color: tuple[int, int, int]
    pixels: int
    percent: float
    regions: int


@dataclass(frozen=True)
class Segmentation:
    """The classes of every pixel of a picture.

    Attributes:
        mask: (H, W) uint8 class numbers in the order of `classes`.
        confidence: (H, W) float32 probability of the chosen class, 0..1; None where it is unknown (a loaded mask).
        classes: name and colour per class number.
        objects: (H, W) int32 object numbers 1..n, 0 = background; None where the model tells no objects apart.
    """

    mask: np.ndarray
    confidence: np.ndarray | None
    classes: tuple[SegmentationClass, ...]
    objects: np.ndarray | None = None

    @property
    def object_count(self) -> int | None:
        """Number of objects; None where the model tells no objects apart."""
        return None if self.objects is None else int(self.objects.max(initial=0))

    def areas(self) -> list[ClassArea]:
        """Pixels, percent and regions of every class, in class order."""
        count = len(self.classes)
        pixels = np.bincount(self.mask.reshape(-1), minlength=count)
        regions = count_regions(self.mask, count)
        if self.object_count is not None:
            # What people count is nuclei, not the pieces into which borders cut their inside.
            regions[1] = self.object_count
        return [
            ClassArea(entry.name, entry.color, int(size), 100.0 * int(size) / max(1, self.mask.size), number)
            for entry, size, number in zip(self.classes, pixels, regions, strict=False)
        ]
