"""Three ways to double a picture, and how evenly each of them writes its outputs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.laboratory.layers import Layer
from engine.laboratory.pictures import Filter, kernel_of, shown, spread

WAYS: tuple[tuple[str, tuple[Layer, ...]], ...] = (
    ("Transposed 3×3, stride 2", (Layer("transposed", 3, 2),)),
    ("Transposed 4×4, stride 2", (Layer("transposed", 4, 2),)),
    ("Resize ×2, then 3×3", (Layer("resize", stride=2), Layer(kernel=3))),
)


@dataclass(frozen=True, eq=False)
class Doubling:
    """One way to double a picture.

    Attributes:
        name: for people.
        picture: (2h, 2w, 3) uint8, the picture doubled with the weights asked for.
        strength: (2h, 2w) float64, what a picture of ones becomes, away from its border: 1 on average. Where it is
            uneven, every picture gets that pattern laid over it.
        ratio: largest to smallest strength; 1 means no checkerboard. Infinite where an output gets nothing, or where
            strengths of both signs occur.
    """

    name: str
    picture: np.ndarray
    strength: np.ndarray
    ratio: float


def doublings(pixels: np.ndarray, name: Filter, seed: int = 0) -> list[Doubling]:
    """The three ways with the weights of a filter on a small picture (h, w, 3) uint8."""
    made = []
    for title, layers in WAYS:
        values, ones = pixels / 255.0, np.ones((*pixels.shape[:2], 1))
        for layer in layers:
            step = layer.steps(1)[0]
            weights = _weights(layer, name, seed)
            values, ones = spread(step, values, weights), spread(step, ones, weights)
        inside = ones[4:-4, 4:-4, 0] if min(ones.shape[:2]) > 10 else ones[..., 0]
        mean = float(np.abs(inside).mean()) or 1.0
        low, high = float(inside.min()), float(inside.max())
        even = np.isclose(low, high)
        ratio = 1.0 if even else high / low if low > 0 else low / high if high < 0 else float("inf")
        made.append(Doubling(title, shown(values, name), ones[..., 0] / mean, ratio))
    return made


def _weights(layer: Layer, name: Filter, seed: int) -> np.ndarray:
    if layer.kind == "resize":
        return np.ones((layer.stride, layer.stride))
    return kernel_of(layer, name, seed)
