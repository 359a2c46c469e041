"""Random changes to pictures and, in step, their masks: crop, scale, flips, turns, brightness, contrast, negative."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from engine.data.settings import DataSettings


def pad_to(pixels: np.ndarray, side: int) -> np.ndarray:
    """Continue an (H, W, ...) array by reflection so that both sides reach `side`; the original stays central."""
    height, width = pixels.shape[:2]
    if height >= side and width >= side:
        return pixels
    down, right = max(0, side - height), max(0, side - width)
    widths = [(down // 2, down - down // 2), (right // 2, right - right // 2)] + [(0, 0)] * (pixels.ndim - 2)
    return np.pad(pixels, widths, mode="symmetric")


def central_crop(pixels: np.ndarray, mask: np.ndarray | None, side: int) -> tuple[np.ndarray, np.ndarray | None]:
    """The central square of `side` pixels of an (H, W, C) picture and its (H, W) mask, after `pad_to`."""
    pixels = pad_to(pixels, side)
    top, left = (pixels.shape[0] - side) // 2, (pixels.shape[1] - side) // 2
    window = np.s_[top : top + side, left : left + side]
    return pixels[window], None if mask is None else pad_to(mask, side)[window]


def augment_picture(
    pixels: np.ndarray, mask: np.ndarray | None, settings: DataSettings, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray | None]:
    """Crop, scale, flip and turn an (H, W, C) uint8 picture and its (H, W) mask alike, as `settings` ask for.

    Masks are resampled to the nearest pixel, pictures by an antialiased bilinear filter.
    """
    if settings.crop is not None:
        pixels, mask = _random_crop(pixels, mask, settings.crop, settings.scale, rng)
    if settings.flip and rng.random() < 0.5:
        pixels, mask = pixels[:, ::-1], None if mask is None else mask[:, ::-1]
    if settings.flip_vertical and rng.random() < 0.5:
        pixels, mask = pixels[::-1], None if mask is None else mask[::-1]
    if settings.rotate:
        # Half turns keep the shape; quarter turns only fit into a batch of squares.
        square = pixels.shape[0] == pixels.shape[1]
        turns = int(rng.integers(4)) if square else 2 * int(rng.integers(2))
        pixels, mask = np.rot90(pixels, turns), None if mask is None else np.rot90(mask, turns)
    return pixels, mask


def _random_crop(
    pixels: np.ndarray, mask: np.ndarray | None, side: int, scale: tuple[float, float], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray | None]:
    factor = 1.0 if scale == (1.0, 1.0) else math.exp(rng.uniform(math.log(scale[0]), math.log(scale[1])))
    source = max(1, round(side / factor))
    # Shrinking beyond what the picture holds would only show reflections: take all of its shorter side instead.
    source = min(source, max(side, min(pixels.shape[:2])))
    pixels = pad_to(pixels, source)
    top = int(rng.integers(pixels.shape[0] - source + 1))
    left = int(rng.integers(pixels.shape[1] - source + 1))
    window = np.s_[top : top + source, left : left + source]
    mask = None if mask is None else pad_to(mask, source)[window]
    pixels = pixels[window]
    if source != side:
        pixels = resize(pixels, side, side, Image.Resampling.BILINEAR)
        if mask is not None:
            nearest = ((np.arange(side) + 0.5) * (source / side)).astype(np.intp)
            mask = mask[nearest[:, None], nearest]
    return pixels, mask


def resize(pixels: np.ndarray, height: int, width: int, filter_: Image.Resampling) -> np.ndarray:
    """Resample an (H, W, 1 or 3) uint8 picture with Pillow's antialiased filters."""
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else np.ascontiguousarray(pixels))
    return np.asarray(picture.resize((width, height), filter_)).reshape(height, width, pixels.shape[2])


def square(pixels: np.ndarray, size: int) -> np.ndarray:
    """The central square of an (H, W, C) uint8 picture, resampled to `size` pixels.

    Whole-number reductions use an exact box filter (128 to 64 is the mean of 2x2 pixels), others Lanczos.
    """
    side = min(pixels.shape[:2])
    pixels, _ = central_crop(pixels, None, side)
    if side == size:
        return pixels
    return resize(pixels, size, size, Image.Resampling.BOX if side % size == 0 else Image.Resampling.LANCZOS)


def jitter(values: np.ndarray, settings: DataSettings, rng: np.random.Generator) -> None:
    """Change brightness, contrast and sign of each picture of a float32 batch (B, C, H, W) in 0..1, in place."""
    if not (settings.brightness or settings.contrast or settings.invert):
        return
    for picture in values:
        if settings.contrast:
            mean = picture.mean()
            picture -= mean
            picture *= np.float32(1.0 + rng.uniform(-settings.contrast, settings.contrast))
            picture += mean
        if settings.brightness:
            picture += np.float32(rng.uniform(-settings.brightness, settings.brightness))
        if settings.invert and rng.random() < settings.invert:
            np.subtract(np.float32(1.0), picture, out=picture)
    np.clip(values, 0.0, 1.0, out=values)
