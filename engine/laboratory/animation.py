"""The sliding window as pictures: one PNG of a moment, or a GIF of the whole way."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from engine.errors import OutputError
from engine.files import write_bytes
from engine.image import encode_png
from engine.laboratory.layers import Step, sources
from engine.progress import CancelToken, Progress, ProgressCallback, ignore_progress, never_cancelled

MAX_FRAMES = 240
_GAP = 24
_MARGIN = 16


@dataclass(frozen=True)
class Ink:
    """Colours of a drawing, each (R, G, B) 0..255."""

    ground: tuple[int, int, int] = (255, 255, 255)
    covered: tuple[int, int, int] = (231, 233, 238)
    mark: tuple[int, int, int] = (213, 94, 0)


def frame(
    steps: Sequence[Step], before: np.ndarray, after: np.ndarray, index: int, *, ink: Ink | None = None, cell: int = 0
) -> np.ndarray:
    """The moment at which output number `index`, counted line by line, is computed.

    Args:
        steps: of one layer.
        before: (h, w, 3) uint8, its input.
        after: (h', w', 3) uint8, its output; what comes after `index` is covered.
        index: 0..h' w' - 1.
        cell: pixels of the drawing per pixel of the larger of both pictures; 0 chooses one.

    Returns:
        (H, W, 3) uint8: the input with the pixels that are read marked, beside the output.
    """
    ink = ink or Ink()
    cell = cell or max(3, 360 // max(before.shape[1], after.shape[1]))
    big = max(1, cell * max(1, round(after.shape[1] / before.shape[1])))
    left, right = _enlarged(before, big), _enlarged(after, cell)
    height = max(left.shape[0], right.shape[0]) + 2 * _MARGIN
    sheet = Image.new("RGB", (left.shape[1] + right.shape[1] + _GAP + 2 * _MARGIN, height), ink.ground)
    y_left, y_right = (height - left.shape[0]) // 2, (height - right.shape[0]) // 2
    x_right = _MARGIN + left.shape[1] + _GAP
    sheet.paste(Image.fromarray(left), (_MARGIN, y_left))
    sheet.paste(Image.fromarray(right), (x_right, y_right))
    draw = ImageDraw.Draw(sheet)
    row, column = divmod(index, after.shape[1])
    _cover(draw, after, row, column, cell, (x_right, y_right), ink)
    rows, columns = (
        sources(steps, row, before.shape[0]),
        sources(steps, column, before.shape[1]),
    )
    for y in rows:
        for x in columns:
            _box(draw, _MARGIN + x * big, y_left + y * big, big, ink)
    _box(draw, x_right + column * cell, y_right + row * cell, cell, ink)
    return np.asarray(sheet)


def _enlarged(pixels: np.ndarray, factor: int) -> np.ndarray:
    return np.ascontiguousarray(pixels.repeat(factor, 0).repeat(factor, 1))


def _cover(
    draw: ImageDraw.ImageDraw, after: np.ndarray, row: int, column: int, cell: int, corner: tuple[int, int], ink: Ink
) -> None:
    """Hide the outputs that are not computed yet."""
    x, y = corner
    wide, tall = after.shape[1] * cell, after.shape[0] * cell
    if column + 1 < after.shape[1]:
        draw.rectangle((x + (column + 1) * cell, y + row * cell, x + wide - 1, y + (row + 1) * cell - 1), ink.covered)
    if row + 1 < after.shape[0]:
        draw.rectangle((x, y + (row + 1) * cell, x + wide - 1, y + tall - 1), ink.covered)


def _box(draw: ImageDraw.ImageDraw, x: int, y: int, side: int, ink: Ink) -> None:
    draw.rectangle((x, y, x + side - 1, y + side - 1), outline=ink.mark, width=max(2, side // 8) if side > 4 else 1)


def moments(outputs: int) -> list[int]:
    """Numbers of the outputs that an animation shows: all, or `MAX_FRAMES` of them evenly spread."""
    if outputs <= MAX_FRAMES:
        return list(range(outputs))
    return [round(number * (outputs - 1) / (MAX_FRAMES - 1)) for number in range(MAX_FRAMES)]


def save_gif(
    path: Path,
    steps: Sequence[Step],
    before: np.ndarray,
    after: np.ndarray,
    *,
    milliseconds: int = 60,
    ink: Ink | None = None,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> int:
    """Write the sliding window as a GIF that repeats; returns the number of its frames.

    Args:
        steps, before, after, ink: see `frame`.
        milliseconds: per frame, at least 20, which is as fast as programs show GIFs. The last one stays for a second.

    Raises:
        OutputError: the file cannot be written.
        Cancelled: `cancel` was set.
    """
    cancel = cancel or never_cancelled()
    shown = moments(after.shape[0] * after.shape[1])
    images = []
    if not shown:
        raise OutputError("There is no output to animate.", "Choose a layer with an output.")
    # One palette for all frames: the first one has what is covered, the last one all of the picture.
    ends = [frame(steps, before, after, index, ink=ink) for index in (shown[0], shown[-1])]
    palette = Image.fromarray(np.concatenate(ends)).quantize(256)
    for number, index in enumerate(shown):
        cancel.raise_if_cancelled()
        progress(Progress(number, len(shown), "Drawing"))
        drawn = Image.fromarray(frame(steps, before, after, index, ink=ink))
        images.append(drawn.quantize(palette=palette, dither=Image.Dither.NONE))
    durations = [max(20, milliseconds)] * (len(images) - 1) + [1000]
    stream = io.BytesIO()
    images[0].save(stream, "GIF", save_all=True, append_images=images[1:], duration=durations, loop=0)
    write_bytes(path, stream.getvalue())
    progress(Progress(len(shown), len(shown), "Drawing"))
    return len(images)


def save_png(
    path: Path, steps: Sequence[Step], before: np.ndarray, after: np.ndarray, index: int, *, ink: Ink | None = None
) -> None:
    """Write the moment at which output `index` is computed as a PNG. Raises `OutputError`."""
    write_bytes(path, encode_png(frame(steps, before, after, index, ink=ink)))
