"""Numbers as colours: a palette from dark to light whose steps look equally large."""

from __future__ import annotations

from functools import cache

import numpy as np

# From OKLab (Björn Ottosson, "A perceptual color space for image processing", 2020) to linear sRGB.
_CONES = np.array(
    [[1, 0.3963377774, 0.2158037573], [1, -0.1055613458, -0.0638541728], [1, -0.0894841775, -1.2914855480]]
)
_RGB = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)


@cache
def heat_colours() -> np.ndarray:
    """(256, 3) uint8: from nearly black over purple, red and orange to a pale yellow.

    The lightness of OKLab rises evenly, so that it reads the same without colour; the hue turns once, evenly too.
    """
    share = np.linspace(0, 1, 256)
    lightness = 0.22 + 0.74 * share
    hue = np.radians(285 + 180 * share)
    wish = 0.19 * np.sin(np.pi * (0.12 + 0.76 * share))
    chroma = np.zeros(256)
    for candidate in np.linspace(0, 1, 101):  # as much of the wish as the screen can show
        inside = _linear(lightness, candidate * wish, hue)
        fits = ((inside >= 0) & (inside <= 1)).all(axis=1)
        chroma = np.where(fits, candidate * wish, chroma)
    light = np.clip(_linear(lightness, chroma, hue), 0, 1)
    values = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    colours = np.round(255 * values).astype(np.uint8)
    colours.setflags(write=False)
    return colours


def heat_picture(values: np.ndarray, largest: float) -> np.ndarray:
    """Numbers (h, w) from 0 to `largest` as colours (h, w, 3) uint8; larger ones get the lightest colour."""
    shares = np.clip(np.nan_to_num(values) / largest, 0, 1) if largest > 0 else np.zeros_like(values)
    return heat_colours()[np.round(255 * shares).astype(np.uint8)]


def _linear(lightness: np.ndarray, chroma: np.ndarray, hue: np.ndarray) -> np.ndarray:
    """Linear sRGB (N, 3), outside 0..1 where no screen shows it."""
    cones = np.stack([lightness, chroma * np.cos(hue), chroma * np.sin(hue)], axis=1) @ _CONES.T
    return cones**3 @ _RGB.T
