"""A map as a picture: a dot for each point in the colour of its group, and a legend."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from engine.errors import UsageError

SIDE = 900

_MARGIN = 24
_LEGEND = 230
_MOST_NAMES = 34
_SMOOTHING = 3
_INK, _FAINT, _PAPER = "#111111", "#777777", "#ffffff"
_NOISE_COLOUR = (176, 176, 176)
# Okabe and Ito's, for people who tell fewer colours apart; more groups get evenly spaced hues.
_FEW = (
    (0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (230, 159, 0), (86, 180, 233), (0, 0, 0),
    (153, 112, 36),
)  # fmt: skip


def group_colours(count: int) -> list[tuple[int, int, int]]:
    """`count` colours that differ as far as so many can."""
    if count <= len(_FEW):
        return list(_FEW[:count])
    colours = []
    for index in range(count):
        # Neighbouring hues differ in lightness, so that they are told apart where the eye is weak in hues.
        red, green, blue = colorsys.hls_to_rgb(index / count, (0.36, 0.56, 0.46)[index % 3], 0.75)
        colours.append((round(255 * red), round(255 * green), round(255 * blue)))
    return colours


def draw_map(positions: np.ndarray, groups: np.ndarray, names: Sequence[str], title: str) -> np.ndarray:
    """Draw a map.

    Args:
        positions: (N, 2).
        groups: (N,) integers, -1 (drawn grey, below the others) or an index of `names`.
        names: of the groups, for the legend; those without points are left out of it.
        title: above the map.

    Returns:
        (H, W, 3) uint8.

    Raises:
        UsageError: positions that are not finite, or tables that do not fit.
    """
    spots = np.asarray(positions, np.float64)
    if spots.ndim != 2 or spots.shape[1:] != (2,) or len(spots) != len(groups) or not np.isfinite(spots).all():
        raise UsageError("The positions of the map do not fit its groups.", "Draw the map again.")
    low, high = spots.min(axis=0), spots.max(axis=0)
    # One scale for both axes: distances on the map mean something.
    scale = (SIDE - 2 * _MARGIN) / max(float((high - low).max()), 1e-12)
    pixels = (spots - (low + high) / 2) * scale * (1, -1) + SIDE / 2
    radius = float(np.clip(90 / np.sqrt(len(spots)), 1.2, 5.0))
    large = Image.new("RGB", (SIDE * _SMOOTHING, SIDE * _SMOOTHING), _PAPER)
    pen = ImageDraw.Draw(large)
    colours = group_colours(len(names))
    # Drawn in a random order, or the last group would cover all the others; noise first.
    order = np.random.default_rng(0).permutation(len(spots))
    order = order[np.argsort(groups[order] >= 0, kind="stable")]
    for index in order:
        x, y = pixels[index] * _SMOOTHING
        reach = radius * _SMOOTHING
        colour = colours[groups[index]] if groups[index] >= 0 else _NOISE_COLOUR
        pen.ellipse((x - reach, y - reach, x + reach, y + reach), fill=colour)
    sheet = Image.new("RGB", (SIDE + _LEGEND, SIDE + 2 * _MARGIN), _PAPER)
    sheet.paste(large.resize((SIDE, SIDE), Image.Resampling.BOX), (0, 2 * _MARGIN))
    _write(sheet, groups, names, colours, title)
    return np.asarray(sheet)


def _write(
    sheet: Image.Image,
    groups: np.ndarray,
    names: Sequence[str],
    colours: list[tuple[int, int, int]],
    title: str,
) -> None:
    pen = ImageDraw.Draw(sheet)
    large, small = (ImageFont.load_default(size) for size in (18, 14))
    pen.text((_MARGIN, _MARGIN), title, _INK, large, anchor="lm")
    present = [number for number in range(len(names)) if (groups == number).any()]
    rows: list[tuple[str, tuple[int, int, int] | None]] = [
        (f"{names[number]}  ({int((groups == number).sum()):,})", colours[number]) for number in present[:_MOST_NAMES]
    ]
    if len(present) > _MOST_NAMES:
        rows.append((f"and {len(present) - _MOST_NAMES} more", None))
    if names and (groups < 0).any():
        rows.append((f"none  ({int((groups < 0).sum()):,})", _NOISE_COLOUR))
    for row, (text, colour) in enumerate(rows):
        y = 3 * _MARGIN + 25 * row
        if colour is not None:
            pen.ellipse((SIDE + 2, y - 6, SIDE + 14, y + 6), fill=colour)
        pen.text((SIDE + 22, y), text, _INK if colour is not None else _FAINT, small, anchor="lm")
