"""Pictures to .lsi files and back, in windows and groups, so that memory stays flat for photos of any size.

The transforms run on windows of 2 x 2 groups plus a halo of their receptive field: every window gives the latents and
pixels that the whole picture would give, so there are no seams. Groups of 512 x 512 pixels are coded by themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from engine.colour_profile import is_display_p3
from engine.compression.codec_model import CodecModel, DeviceWish, open_codec, open_codec_by_hash
from engine.compression.container import (
    GROUP_SIZE,
    LATENT_STRIDE,
    MAX_PIXELS,
    EncodedGroup,
    GroupEntry,
    Header,
    Region,
    check_size,
    group_grid,
    group_stream,
    read_container,
    section_payload,
    write_container,
)
from engine.compression.groups import ZERO_MARGIN, decode_group, encode_group
from engine.compression.quality_map import MAP_SHARE, QualityMap
from engine.compression.refinement import GroupRefiner
from engine.compression.settings import EFFORT_PASSES, EncodeSettings
from engine.compression.side_data import (
    clean_exif,
    clean_xmp,
    make_preview,
    open_preview,
    pack_alpha,
    profile_of,
    unpack_alpha,
)
from engine.errors import DamagedFile
from engine.image import Picture
from engine.progress import CancelToken, Progress, ProgressCallback, ignore_progress, never_cancelled

GROUP_LATENTS = GROUP_SIZE // LATENT_STRIDE
WINDOW_GROUPS = 2
WINDOW_LATENTS = WINDOW_GROUPS * GROUP_LATENTS

# Latents of all windows, before any gain; each call goes through them anew.
Analysed = Callable[[], Iterable[tuple["Window", Tensor]]]


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
    for top in range(box.top, box.bottom, WINDOW_LATENTS):
        for left in range(box.left, box.right, WINDOW_LATENTS):
            yield Window(top, min(box.bottom, top + WINDOW_LATENTS), left, min(box.right, left + WINDOW_LATENTS))


def latent_grid(width: int, height: int) -> tuple[int, int]:
    """Rows and columns of latents of a picture."""
    return -(-height // LATENT_STRIDE), -(-width // LATENT_STRIDE)


def encode(
    picture: Picture,
    settings: EncodeSettings = EncodeSettings(),  # noqa: B008 - frozen
    *,
    device: DeviceWish = None,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
    enough: CancelToken | None = None,
) -> bytes:
    """Compress a picture.

    Args:
        picture: any size from 1 x 1 to the format's limits.
        settings: quality or target, quality map, model, metadata, effort.
        device: where the transforms run; the entropy path and any refinement always run on the CPU.
        enough: once set, refinement ends with the best that it has found; the file is whole all the same. Not read
            while a target is searched for.

    Returns:
        The bytes of an .lsi file.

    Raises:
        UsageError, ModelError: the model is not at hand or no codec, or the quality map does not fit the picture.
        LimitError: the picture is too large.
        TargetNotReached: no quality gives what `settings.target` asks for.
        Cancelled: `cancel` was set; it is read between windows, groups and passes of refinement.
    """
    if settings.target is not None:
        from engine.compression.targeting import encode_to_target  # it builds on this module

        return encode_to_target(picture, settings, device=device, progress=progress, cancel=cancel).data
    check_size(picture.width, picture.height)
    codec = open_codec(settings.model, device)
    cancel = cancel or never_cancelled()
    return encode_latents(codec, picture, settings, lambda: analyse(codec, picture), progress, cancel, enough)


def analyse(codec: CodecModel, picture: Picture) -> Iterator[tuple[Window, Tensor]]:
    """Latents (M, h, w) of each window, before any gain: the part of encoding that every quality shares."""
    rows, columns = latent_grid(picture.width, picture.height)
    for window in windows(Window(0, rows, 0, columns)):
        yield window, _latents_of(codec, picture, window)


def _latents_of(codec: CodecModel, picture: Picture, window: Window) -> Tensor:
    """Latents (M, h, w) of a window as the whole picture has them, before any gain."""
    seen = window.grown(codec.entropy_network.analysis_halo, *latent_grid(picture.width, picture.height))
    latents = codec.analyse(_pixels_of(picture.pixels, seen))
    top, left = window.top - seen.top, window.left - seen.left
    return latents[:, top : top + window.bottom - window.top, left : left + window.right - window.left]


def encode_latents(
    codec: CodecModel,
    picture: Picture,
    settings: EncodeSettings,
    analysed: Analysed,
    progress: ProgressCallback,
    cancel: CancelToken,
    enough: CancelToken | None = None,
) -> bytes:
    """The part of encoding that depends on the quality: gains, refinement, entropy coding, file."""
    quality, quality_map = round(settings.quality * 100) / 100, settings.quality_map
    if quality_map is not None:
        quality_map.check_fits(picture.width, picture.height)
    while True:
        groups = encode_groups(
            codec, picture, quality, analysed(), progress, cancel,
            quality_map=quality_map, effort=settings.effort, enough=enough,
        )  # fmt: skip
        size = sum(len(group.stream) for group in groups)
        fitted = None if quality_map is None else quality_map.within(MAP_SHARE * size)
        if fitted == quality_map:
            break
        quality_map = fitted  # small files: squares become larger until the map is cheap enough
    beside = side_data(picture, settings)
    return assemble(codec, picture, quality, groups, beside, make_preview(picture, size), quality_map)


def encode_groups(
    codec: CodecModel,
    picture: Picture,
    quality: float,
    analysed: Iterable[tuple[Window, Tensor]],
    progress: ProgressCallback,
    cancel: CancelToken,
    zero_margin: float = ZERO_MARGIN,
    quality_map: QualityMap | None = None,
    effort: int = 0,
    enough: CancelToken | None = None,
) -> list[EncodedGroup]:
    """All groups of a picture in raster order, coded at a quality of whole hundredths; see `encode` for the rest."""
    columns, rows = group_grid(picture.width, picture.height)
    level = codec.level(quality)
    groups: list[EncodedGroup | None] = [None] * (columns * rows)
    done, passes = 0, EFFORT_PASSES[effort]
    total = len(groups) * (passes + 1)
    progress(Progress(0, total, "Compressing"))
    cancel.raise_if_cancelled()
    for window, latents in analysed:
        local = quality_in(window, quality, quality_map)
        scaled, levels = latents * codec.quantising_gain(local), codec.local_levels(local)
        for top in range(window.top, window.bottom, GROUP_LATENTS):
            for left in range(window.left, window.right, GROUP_LATENTS):
                cancel.raise_if_cancelled()
                y, x = top - window.top, left - window.left
                place = (slice(y, y + GROUP_LATENTS), slice(x, x + GROUP_LATENTS))
                part = scaled[:, place[0], place[1]].contiguous()
                number = top // GROUP_LATENTS * columns + left // GROUP_LATENTS
                if passes:
                    message = f"Refining: part {done + 1} of {len(groups)}"

                    def step(count: int, before: int = done * (passes + 1), message: str = message) -> None:
                        progress(Progress(before + count, total, message))

                    box = Window(top, top + part.shape[1], left, left + part.shape[2])
                    refiner = _refiner(codec, picture, box, part, quality, quality_map)
                    groups[number] = refiner.run(passes, step, cancel, enough or never_cancelled())
                else:
                    own = None if levels is None else np.ascontiguousarray(levels[place])
                    groups[number] = encode_group(codec, part, level, zero_margin, own)
                done += 1
                progress(Progress(done * (passes + 1), total, f"Compressing: part {done} of {len(groups)}"))
    return [group for group in groups if group is not None]


def quality_in(box: Window, quality: float, quality_map: QualityMap | None) -> float | np.ndarray:
    """The quality of a box of latents: one for all, or (h, w) in hundredths where there is a map."""
    if quality_map is None:
        return quality
    return quality_map.qualities(quality, box.top, box.bottom, box.left, box.right)


@dataclass(frozen=True)
class SideData:
    """What stands in a file beside the latents and is the same at every quality: payloads of sections, or None."""

    exif: bytes | None
    xmp: bytes | None
    profile: bytes | None
    alpha: bytes | None
    display_p3: bool

    @property
    def size(self) -> int:
        """Bytes of all payloads."""
        return sum(len(part) for part in (self.exif, self.xmp, self.profile, self.alpha) if part is not None)


def side_data(picture: Picture, settings: EncodeSettings) -> SideData:
    """What the settings and the picture put beside the latents."""
    keep, place, profile = settings.keep_metadata, settings.keep_place, picture.profile
    known = profile is not None and is_display_p3(profile)
    return SideData(
        exif=clean_exif(picture.exif, place) if keep and picture.exif else None,
        xmp=clean_xmp(picture.xmp, place) if keep and picture.xmp else None,
        profile=None if known else profile,
        alpha=pack_alpha(picture.alpha) if picture.alpha is not None else None,
        display_p3=known,
    )


def assemble(
    codec: CodecModel,
    picture: Picture,
    quality: float,
    groups: Sequence[EncodedGroup],
    beside: SideData,
    preview: bytes | None,
    quality_map: QualityMap | None = None,
) -> bytes:
    """The file of coded groups."""
    return write_container(
        width=picture.width,
        height=picture.height,
        quality=quality,
        halo=codec.entropy_network.synthesis_halo,
        model_name=codec.card.name,
        model_hash=codec.card.weights_sha256,
        groups=groups,
        quality_map=None if quality_map is None else quality_map.pack(),
        preview=preview,
        exif=beside.exif,
        xmp=beside.xmp,
        profile=beside.profile,
        alpha=beside.alpha,
        display_p3=beside.display_p3,
    )


def _refiner(
    codec: CodecModel,
    picture: Picture,
    box: Window,
    latents: Tensor,
    quality: float,
    quality_map: QualityMap | None,
) -> GroupRefiner:
    """The refiner of the group in `box` with these latents, after the quantising gain."""
    seen = box.grown(codec.entropy_network.synthesis_halo, *latent_grid(picture.width, picture.height))
    local = quality_in(seen, quality, quality_map)
    region = _latents_of(codec, picture, seen) * codec.quantising_gain(local)
    top, left = box.top - seen.top, box.left - seen.left
    region[:, top : top + latents.shape[1], left : left + latents.shape[2]] = latents
    return GroupRefiner(
        codec, _pixels_of(picture.pixels, seen), region, top=top, left=left, height=latents.shape[1],
        width=latents.shape[2], quality=quality, local=local if isinstance(local, np.ndarray) else None,
    )  # fmt: skip


def decode(
    data: bytes,
    *,
    region: Region | None = None,
    strict: bool = False,
    device: DeviceWish = None,
    max_pixels: int = MAX_PIXELS,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> Decoded:
    """Decode a file, or a region of it.

    A region reads only the groups under it and under its halo; damage to others is neither noticed nor of any effect.
    It gives the very pixels that the whole picture has there; only where a library chooses its order of summation by
    the size of its input, as on GPUs, may one differ by a level. Memory follows the size of the region.

    Args:
        data: the bytes of an .lsi file.
        region: what to decode; None is all of it.
        strict: any damage is an error; otherwise what is sound is decoded, and the rest is drawn hatched over the
            preview or grey, and listed.
        device: where the synthesis runs.
        max_pixels: refuse larger pictures.

    Raises:
        NotACompressedFile, UnsupportedVersion, ModelMismatch, LimitError: it cannot be decoded at all.
        UsageError: the region does not lie in the picture.
        DamagedFile: nothing of what was asked for can be saved, or it is damaged and `strict` is set.
        Cancelled: `cancel` was set; it is read between groups and windows.
    """
    header = read_container(data, max_pixels=max_pixels, check_streams=region is None)
    if region is None:
        region = Region(0, 0, header.width, header.height)
    region.check_inside(header.width, header.height)
    if strict and header.problems:
        raise DamagedFile(header.problems[0], "Get the file again, or decode it without strict mode to save the rest.")
    codec = open_codec_by_hash(header.model_name, header.model_hash, device)
    if header.halo != codec.entropy_network.synthesis_halo:
        raise DamagedFile("The header of the file does not fit its model.", "Get the file again.")
    notes = list(header.problems)
    reader = _LatentReader(codec, data, header, region, strict)
    pixels = _decode_pixels(reader, region, progress, cancel or never_cancelled())
    if reader.damaged:
        count = len(reader.groups)
        notes.append(f"{len(reader.damaged)} of {count} parts of the picture are damaged and drawn hatched.")
    alpha = _decode_alpha(data, header, region, strict, notes)
    picture = Picture(
        pixels,
        alpha,
        section_payload(data, header, "exif"),
        notes=tuple(notes),
        stored_bytes=len(data),
        xmp=section_payload(data, header, "xmpk"),
        profile=profile_of(data, header),
    )
    return Decoded(picture, header, tuple(reader.damaged))


def _decode_pixels(
    reader: _LatentReader, region: Region, progress: ProgressCallback, cancel: CancelToken
) -> np.ndarray:
    """(height, width, 3) uint8 of the region, damaged parts hatched."""
    header, under = reader.header, [group for group in reader.groups if _overlap(group, region)]
    if not any(_sound(reader.data, group) for group in under):
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
        decoded = reader.codec.synthesise(reader.window(seen), quality_in(seen, header.quality, reader.quality_map))
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


def _sound(data: bytes, group: GroupEntry) -> bool:
    try:
        group_stream(data, group)
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

    def __init__(self, codec: CodecModel, data: bytes, header: Header, region: Region, strict: bool) -> None:
        self.codec, self.data, self.header = codec, data, header
        self.halo = codec.entropy_network.synthesis_halo
        self._strict = strict
        self._level = codec.level(header.quality)
        packed = section_payload(data, header, "QMAP")
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
            channels = self.codec.entropy_network.config.latent_channels
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
            stream = group_stream(self.data, group)
            top, left = group.y // LATENT_STRIDE, group.x // LATENT_STRIDE
            box = Window(top, top + height, left, left + width)
            local = self.codec.local_levels(quality_in(box, self.header.quality, self.quality_map))
            latents, checksum = decode_group(self.codec, stream, height, width, self._level, local)
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


def _pixels_of(pixels: np.ndarray, box: Window) -> np.ndarray:
    """The pixels under a box of latents, the picture continued by its last row and column."""
    height, width = pixels.shape[:2]
    bottom, right = box.bottom * LATENT_STRIDE, box.right * LATENT_STRIDE
    part = pixels[box.top * LATENT_STRIDE : min(bottom, height), box.left * LATENT_STRIDE : min(right, width)]
    missing = ((0, max(0, bottom - height)), (0, max(0, right - width)), (0, 0))
    return np.ascontiguousarray(np.pad(part, missing, mode="edge"))


def _decode_alpha(data: bytes, header: Header, region: Region, strict: bool, notes: list[str]) -> np.ndarray | None:
    payload = section_payload(data, header, "ALPH")
    if payload is None:
        return None
    try:
        return unpack_alpha(payload, header.width, header.height, region)
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
