""".lsi files to pictures, in windows and groups, so that memory stays flat for photos of any size.

The synthesis runs on windows of about 2 x 2 groups plus a halo of its receptive field: every window gives the pixels
that the whole picture would give, so there are no seams. What computes the networks is the caller's choice: PyTorch
(`engine.compression.codec.decode`) or ONNX Runtime (`engine.compression.onnx_codec.decode`); this module needs neither.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from engine.compression.byte_source import ByteSource, as_source
from engine.compression.container import (
    GROUP_SIZE,
    LATENT_STRIDE,
    MAX_PIXELS,
    GroupEntry,
    Header,
    Region,
    group_stream,
    read_container,
    section_payload,
)
from engine.compression.quality_map import QualityMap
from engine.compression.side_data import open_preview, profile_of, unpack_alpha
from engine.compression.walk import EntropyModel, decode_group
from engine.errors import DamagedFile
from engine.image import Picture
from engine.progress import CancelToken, Progress, ProgressCallback, ignore_progress, never_cancelled

GROUP_LATENTS = GROUP_SIZE // LATENT_STRIDE
WINDOW_GROUPS = 2
WINDOW_LATENTS = WINDOW_GROUPS * GROUP_LATENTS


class DecodingModel(EntropyModel, Protocol):
    """What the decoder needs of a codec model."""

    @property
    def synthesis_halo(self) -> int:
        """How many latents beyond a window its pixels depend on."""
        ...

    def level(self, quality: float) -> int:
        """Entropy-model level of a quality 0..100."""
        ...

    def local_levels(self, quality: float | np.ndarray) -> np.ndarray | None:
        """Entropy-model levels (h, w) int64 of a quality map in hundredths; None where the quality is one number."""
        ...

    def synthesise(self, latents: np.ndarray, quality: float | np.ndarray) -> np.ndarray:
        """Decoded latents (M, h, w) int16 in 1/16 steps -> pixels (16h, 16w, 3) uint8.

        Args:
            quality: 0..100, or a map (h, w) in hundredths.
        """
        ...


@dataclass(frozen=True)
class DamagedTile:
    """A part of the picture that could not be decoded: its box in pixels of the whole picture, and why."""

    x: int
    y: int
    width: int
    height: int
    reason: str


@dataclass(frozen=True)
class Decoded:
    """A decoded file.

    Attributes:
        picture: the whole picture or the region asked for; damaged parts are hatched; its notes say in words what is
            wrong.
        header: what the file says of itself. For a region, its problems are those that concern the region.
        damaged_tiles: empty for an intact file. For a region, also those that its border pixels depend on.
    """

    picture: Picture
    header: Header
    damaged_tiles: tuple[DamagedTile, ...] = ()

    @property
    def intact(self) -> bool:
        """True where every byte of the file is as it was written; for a region, every byte that it needs."""
        return not self.damaged_tiles and not self.header.problems


@dataclass(frozen=True)
class Window:
    """A box of the latent grid: rows top..bottom, columns left..right."""

    top: int
    bottom: int
    left: int
    right: int

    def grown(self, halo: int, height: int, width: int) -> Window:
        """The box with a halo, as far as the grid reaches."""
        return Window(
            max(0, self.top - halo), min(height, self.bottom + halo),
            max(0, self.left - halo), min(width, self.right + halo),
        )  # fmt: skip


def windows(box: Window) -> Iterator[Window]:
    """A box of the latent grid cut into windows, in raster order."""
    tall, wide = _window_side(box.bottom - box.top), _window_side(box.right - box.left)
    for top in range(box.top, box.bottom, tall):
        for left in range(box.left, box.right, wide):
            yield Window(top, min(box.bottom, top + tall), left, min(box.right, left + wide))


def _window_side(length: int) -> int:
    """Latents of a window's side, whole groups: a little over `WINDOW_LATENTS` where a narrow window would remain, most
    of whose work is its halo."""
    count = max(1, round(length / WINDOW_LATENTS))
    return -(-length // (count * GROUP_LATENTS)) * GROUP_LATENTS


def latent_grid(width: int, height: int) -> tuple[int, int]:
    """Rows and columns of latents of a picture."""
    return -(-height // LATENT_STRIDE), -(-width // LATENT_STRIDE)


def quality_in(box: Window, quality: float, quality_map: QualityMap | None) -> float | np.ndarray:
    """The quality of a box of latents: one for all, or (h, w) in hundredths where there is a map."""
    if quality_map is None:
        return quality
    return quality_map.qualities(quality, box.top, box.bottom, box.left, box.right)


def decode_with(
    open_model: Callable[[str, str], DecodingModel],
    data: bytes | ByteSource,
    *,
    region: Region | None = None,
    strict: bool = False,
    max_pixels: int = MAX_PIXELS,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> Decoded:
    """Decode a file, or a region of it.

    A region reads only the groups under it and under its halo; damage to others is neither noticed nor of any effect.
    It gives the very pixels that the whole picture has there; only where a library chooses its order of summation by
    the size of its input, as on GPUs, may one differ by a level. Memory follows the size of the region. Of an open file
    only the header, its sections and the streams of those groups are read.

    Args:
        open_model: name and hash of the model that the file names -> that model.
        data: the bytes of an .lsi file, or an open one (`open_compressed`).
        region: what to decode; None is all of it.
        strict: any damage is an error; otherwise what is sound is decoded, and the rest is drawn hatched over the
            preview or grey, and listed.
        max_pixels: refuse larger pictures.

    Raises:
        NotACompressedFile, UnsupportedVersion, ModelMismatch, LimitError: it cannot be decoded at all.
        UsageError: the region does not lie in the picture.
        DamagedFile: nothing of what was asked for can be saved, or it is damaged and `strict` is set.
        PictureError: an open file cannot be read.
        Cancelled: `cancel` was set; it is read between groups and windows.
    """
    source = as_source(data)
    header = read_container(source, max_pixels=max_pixels, check_streams=region is None)
    if region is None:
        region = Region(0, 0, header.width, header.height)
    region.check_inside(header.width, header.height)
    if strict and header.problems:
        raise DamagedFile(header.problems[0], "Get the file again, or decode it without strict mode to save the rest.")
    model = open_model(header.model_name, header.model_hash)
    if header.halo != model.synthesis_halo:
        raise DamagedFile("The header of the file does not fit its model.", "Get the file again.")
    notes = list(header.problems)
    reader = _LatentReader(model, source, header, region, strict)
    pixels = _decode_pixels(reader, region, progress, cancel or never_cancelled())
    if reader.damaged:
        count = len(reader.groups)
        notes.append(f"{len(reader.damaged)} of {count} parts of the picture are damaged and drawn hatched.")
    alpha = _decode_alpha(source, header, region, strict, notes)
    picture = Picture(
        pixels,
        alpha,
        section_payload(source, header, "exif"),
        notes=tuple(notes),
        stored_bytes=source.size,
        xmp=section_payload(source, header, "xmpk"),
        profile=profile_of(source, header),
    )
    return Decoded(picture, header, tuple(reader.damaged))


def _decode_pixels(
    reader: _LatentReader, region: Region, progress: ProgressCallback, cancel: CancelToken
) -> np.ndarray:
    """(height, width, 3) uint8 of the region, damaged parts hatched."""
    header, under = reader.header, [group for group in reader.groups if _overlap(group, region)]
    if not any(_sound(reader.source, group) for group in under):
        # Found before memory for the picture is taken.
        raise _all_damaged(header, region)
    grid = list(windows(reader.box))
    total = len(reader.groups) + len(grid)
    pixels = np.empty((region.height, region.width, 3), dtype=np.uint8)
    progress(Progress(0, total, "Decoding"))
    for finished, window in enumerate(grid):
        seen = reader.seen(window)
        for _ in reader.read_rows(seen.bottom):
            cancel.raise_if_cancelled()
            progress(Progress(reader.done + finished, total, f"Decoding: part {reader.done} of {len(reader.groups)}"))
        cancel.raise_if_cancelled()
        decoded = reader.model.synthesise(reader.window(seen), quality_in(seen, header.quality, reader.quality_map))
        top, left = max(region.y, window.top * LATENT_STRIDE), max(region.x, window.left * LATENT_STRIDE)
        bottom = min(region.bottom, window.bottom * LATENT_STRIDE)
        right = min(region.right, window.right * LATENT_STRIDE)
        y, x = top - seen.top * LATENT_STRIDE, left - seen.left * LATENT_STRIDE
        part = decoded[y : y + bottom - top, x : x + right - left]
        pixels[top - region.y : bottom - region.y, left - region.x : right - region.x] = part
        if window.right == reader.box.right:
            reader.forget_rows(window.bottom - reader.halo)
        progress(Progress(reader.done + finished + 1, total, "Decoding"))
    if reader.damaged:
        if {(group.x, group.y) for group in under} <= {(tile.x, tile.y) for tile in reader.damaged}:
            raise _all_damaged(header, region)
        _hatch(pixels, region, header, reader.damaged)
    return pixels


def _all_damaged(header: Header, region: Region) -> DamagedFile:
    whole = (region.width, region.height) == (header.width, header.height)
    return DamagedFile(f"All of the {'picture' if whole else 'region'} is damaged.", "Get the file again.")


def _sound(source: ByteSource, group: GroupEntry) -> bool:
    try:
        group_stream(source, group)
    except DamagedFile:
        return False
    return True


def _overlap(part: GroupEntry | DamagedTile, region: Region) -> Region | None:
    """What a part of the picture and a region share; None where that is nothing."""
    left, right = max(part.x, region.x), min(part.x + part.width, region.right)
    top, bottom = max(part.y, region.y), min(part.y + part.height, region.bottom)
    return Region(left, top, right - left, bottom - top) if left < right and top < bottom else None


class _LatentReader:
    """Decodes the groups under a region and its halo, row by row, and keeps only the rows that windows still need.

    Attributes:
        box: the latents under the region.
        quality_map: that of the file, or None.
        groups: those that the region needs, in raster order.
        done: how many of them were decoded.
        damaged: those that could not be decoded.
    """

    def __init__(self, model: DecodingModel, source: ByteSource, header: Header, region: Region, strict: bool) -> None:
        self.model, self.source, self.header = model, source, header
        self.halo = model.synthesis_halo
        self._strict = strict
        self._level = model.level(header.quality)
        packed = section_payload(source, header, "QMAP")
        self.quality_map = None if packed is None else QualityMap.unpack(packed, header.width, header.height)
        self._grid = latent_grid(header.width, header.height)
        self.box = Window(
            region.y // LATENT_STRIDE, -(-region.bottom // LATENT_STRIDE),
            region.x // LATENT_STRIDE, -(-region.right // LATENT_STRIDE),
        )  # fmt: skip
        needed = self.seen(self.box)
        columns, _ = header.tiles
        first, last = needed.left // GROUP_LATENTS, -(-needed.right // GROUP_LATENTS)
        self._left = first * GROUP_LATENTS
        self._next = needed.top // GROUP_LATENTS
        self._groups = {
            row: header.groups[row * columns + first : row * columns + last]
            for row in range(self._next, -(-needed.bottom // GROUP_LATENTS))
        }
        self.groups = [group for row in self._groups.values() for group in row]
        self._rows: dict[int, np.ndarray] = {}
        self.done = 0
        self.damaged: list[DamagedTile] = []

    def seen(self, window: Window) -> Window:
        """The latents that the pixels of a window depend on."""
        return window.grown(self.halo, *self._grid)

    def read_rows(self, bottom: int) -> Iterator[None]:
        """Decode all needed groups above latent row `bottom`; yields before each."""
        height, width = self._grid
        while self._next in self._groups and self._next * GROUP_LATENTS < bottom:
            row = self._next
            tall = min(GROUP_LATENTS, height - row * GROUP_LATENTS)
            channels = self.model.latent_channels
            parts = []
            for group in self._groups[row]:
                yield
                wide = min(GROUP_LATENTS, width - group.x // LATENT_STRIDE)
                parts.append(self._read(group, channels, tall, wide))
                self.done += 1
            self._rows[row] = np.concatenate(parts, axis=2)
            self._next += 1

    def _read(self, group: GroupEntry, channels: int, height: int, width: int) -> np.ndarray:
        try:
            stream = group_stream(self.source, group)
            top, left = group.y // LATENT_STRIDE, group.x // LATENT_STRIDE
            box = Window(top, top + height, left, left + width)
            local = self.model.local_levels(quality_in(box, self.header.quality, self.quality_map))
            latents, checksum = decode_group(self.model, stream, height, width, self._level, local)
            if checksum != group.symbol_crc:
                raise DamagedFile(
                    f"The part at {group.x}, {group.y} decodes to other values than were encoded.",
                    "Get the file again; if that does not help, please report it.",
                )
            return latents
        except DamagedFile as error:
            if self._strict:
                raise
            self.damaged.append(DamagedTile(group.x, group.y, group.width, group.height, error.problem))
            return np.zeros((channels, height, width), dtype=np.int16)

    def window(self, box: Window) -> np.ndarray:
        """Latents (M, h, w) int16 of a box whose rows were read."""
        first, last = box.top // GROUP_LATENTS, (box.bottom - 1) // GROUP_LATENTS
        left, right = box.left - self._left, box.right - self._left
        strip = np.concatenate([self._rows[row][:, :, left:right] for row in range(first, last + 1)], axis=1)
        start = first * GROUP_LATENTS
        return strip[:, box.top - start : box.bottom - start]

    def forget_rows(self, above: int) -> None:
        """Drop the rows of groups that end at or above latent row `above`."""
        for row in [row for row in self._rows if (row + 1) * GROUP_LATENTS <= above]:
            del self._rows[row]


def _decode_alpha(
    source: ByteSource, header: Header, region: Region, strict: bool, notes: list[str]
) -> np.ndarray | None:
    try:
        payload = section_payload(source, header, "ALPH")
        return None if payload is None else unpack_alpha(payload, header.width, header.height, region)
    except DamagedFile as error:
        if strict:
            raise
        notes.append(error.problem)
        return None


def _hatch(pixels: np.ndarray, region: Region, header: Header, damaged: list[DamagedTile]) -> None:
    """Draw damaged parts of a region from the preview, or grey, with diagonal stripes."""
    preview = open_preview(header.preview)
    for tile in damaged:
        part = _overlap(tile, region)
        if part is None:  # only the halo needs it
            continue
        y, x = np.ogrid[part.y : part.bottom, part.x : part.right]
        area = np.full((part.height, part.width, 3), 128, dtype=np.uint8)
        if preview is not None:
            area = preview[y * preview.shape[0] // header.height, x * preview.shape[1] // header.width]
        stripes = (x + y) // 6 % 4 == 0
        drawn = np.where(stripes[..., None], 32, area)
        pixels[part.y - region.y : part.bottom - region.y, part.x - region.x : part.right - region.x] = drawn
