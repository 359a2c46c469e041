"""Pictures to .lsi files and back, in windows and groups, so that memory stays flat for photos of any size.

The analysis runs on windows of about 2 x 2 groups plus a halo of its receptive field: every window gives the latents
that the whole picture would give. Groups of 512 x 512 pixels are coded by themselves. `engine.compression.decoding` is
the way back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from engine.colour_profile import is_display_p3
from engine.compression.byte_source import ByteSource
from engine.compression.codec_model import CodecModel, DeviceWish, open_codec, open_codec_by_hash
from engine.compression.container import (
    LATENT_STRIDE,
    MAX_PIXELS,
    EncodedGroup,
    Region,
    check_size,
    group_grid,
    write_container,
)
from engine.compression.decoding import (
    GROUP_LATENTS,
    Decoded,
    Window,
    decode_with,
    latent_grid,
    quality_in,
    windows,
)
from engine.compression.groups import ZERO_MARGIN, encode_group
from engine.compression.quality_map import MAP_SHARE, QualityMap
from engine.compression.refinement import GroupRefiner
from engine.compression.settings import EFFORT_PASSES, EncodeSettings
from engine.compression.side_data import clean_exif, clean_xmp, make_preview, pack_alpha
from engine.image import Picture
from engine.progress import CancelToken, Progress, ProgressCallback, ignore_progress, never_cancelled

# Latents of all windows, before any gain; each call goes through them anew.
Analysed = Callable[[], Iterable[tuple[Window, Tensor]]]


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
                    refiner = _refiner(codec, picture, box, part, quality, quality_map, passes)
                    groups[number] = refiner.run(step, cancel, enough or never_cancelled())
                else:
                    own = None if levels is None else np.ascontiguousarray(levels[place])
                    groups[number] = encode_group(codec, part, level, zero_margin, own)
                done += 1
                progress(Progress(done * (passes + 1), total, f"Compressing: part {done} of {len(groups)}"))
    return [group for group in groups if group is not None]


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
    passes: int,
) -> GroupRefiner:
    """The refiner of the group in `box` with these latents, after the quantising gain."""
    seen = box.grown(codec.entropy_network.synthesis_halo, *latent_grid(picture.width, picture.height))
    local = quality_in(seen, quality, quality_map)
    region = _latents_of(codec, picture, seen) * codec.quantising_gain(local)
    top, left = box.top - seen.top, box.left - seen.left
    region[:, top : top + latents.shape[1], left : left + latents.shape[2]] = latents
    return GroupRefiner(
        codec, _pixels_of(picture.pixels, seen), region, top=top, left=left, height=latents.shape[1],
        width=latents.shape[2], quality=quality, passes=passes, local=local if isinstance(local, np.ndarray) else None,
    )  # fmt: skip


def decode(
    data: bytes | ByteSource,
    *,
    region: Region | None = None,
    strict: bool = False,
    device: DeviceWish = None,
    max_pixels: int = MAX_PIXELS,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> Decoded:
    """Decode a file, or a region of it; see `decode_with` for regions, damage, arguments and errors.

    Args:
        device: where the synthesis runs.
    """
    return decode_with(
        lambda name, digest: open_codec_by_hash(name, digest, device),
        data, region=region, strict=strict, max_pixels=max_pixels, progress=progress, cancel=cancel,
    )  # fmt: skip


def _pixels_of(pixels: np.ndarray, box: Window) -> np.ndarray:
    """The pixels under a box of latents, the picture continued by its last row and column."""
    height, width = pixels.shape[:2]
    bottom, right = box.bottom * LATENT_STRIDE, box.right * LATENT_STRIDE
    part = pixels[box.top * LATENT_STRIDE : min(bottom, height), box.left * LATENT_STRIDE : min(right, width)]
    missing = ((0, max(0, bottom - height)), (0, max(0, right - width)), (0, 0))
    return np.ascontiguousarray(np.pad(part, missing, mode="edge"))
