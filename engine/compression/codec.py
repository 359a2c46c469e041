"""Pictures to .lsi files and back, in windows and groups, so that memory stays flat for photos of any size.

The analysis runs on windows of 2 x 2 groups plus a halo of its receptive field: every window gives the latents that the
whole picture would give. Groups of 512 x 512 pixels are coded by themselves. `engine.compression.decoding` is the way
back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from torch import Tensor

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
from engine.compression.decoding import GROUP_LATENTS, Decoded, Window, decode_with, latent_grid, windows
from engine.compression.groups import encode_group
from engine.compression.settings import EncodeSettings
from engine.compression.side_data import clean_exif, make_preview, pack_alpha
from engine.image import Picture
from engine.progress import CancelToken, Progress, ProgressCallback, ignore_progress, never_cancelled


def encode(
    picture: Picture,
    settings: EncodeSettings = EncodeSettings(),  # noqa: B008 - frozen
    *,
    device: DeviceWish = None,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> bytes:
    """Compress a picture.

    Args:
        picture: any size from 1 x 1 to the format's limits.
        settings: quality, model, metadata.
        device: where the transforms run; the entropy path always runs on the CPU.

    Returns:
        The bytes of an .lsi file.

    Raises:
        UsageError, ModelError: the model is not at hand or no codec.
        LimitError: the picture is too large.
        Cancelled: `cancel` was set; it is read between windows and groups.
    """
    check_size(picture.width, picture.height)
    codec = open_codec(settings.model, device)
    return encode_latents(codec, picture, settings, analyse(codec, picture), progress, cancel or never_cancelled())


def analyse(codec: CodecModel, picture: Picture) -> Iterator[tuple[Window, Tensor]]:
    """Latents (M, h, w) of each window, before any gain: the part of encoding that every quality shares."""
    rows, columns = latent_grid(picture.width, picture.height)
    halo = codec.entropy_network.analysis_halo
    for window in windows(Window(0, rows, 0, columns)):
        seen = window.grown(halo, rows, columns)
        latents = codec.analyse(_pixels_of(picture.pixels, seen))
        top, left = window.top - seen.top, window.left - seen.left
        yield window, latents[:, top : top + window.bottom - window.top, left : left + window.right - window.left]


def encode_latents(
    codec: CodecModel,
    picture: Picture,
    settings: EncodeSettings,
    analysed: Iterable[tuple[Window, Tensor]],
    progress: ProgressCallback,
    cancel: CancelToken,
) -> bytes:
    """The part of encoding that depends on the quality: gains, entropy coding, file."""
    columns, rows = group_grid(picture.width, picture.height)
    quality = round(settings.quality * 100) / 100
    gain, level = codec.quantising_gain(quality), codec.level(quality)
    groups: list[EncodedGroup | None] = [None] * (columns * rows)
    done = 0
    progress(Progress(0, len(groups), "Compressing"))
    cancel.raise_if_cancelled()
    for window, latents in analysed:
        scaled = latents * gain
        for top in range(window.top, window.bottom, GROUP_LATENTS):
            for left in range(window.left, window.right, GROUP_LATENTS):
                cancel.raise_if_cancelled()
                y, x = top - window.top, left - window.left
                part = scaled[:, y : y + GROUP_LATENTS, x : x + GROUP_LATENTS].contiguous()
                groups[top // GROUP_LATENTS * columns + left // GROUP_LATENTS] = encode_group(codec, part, level)
                done += 1
                progress(Progress(done, len(groups), f"Compressing: part {done} of {len(groups)}"))
    finished = [group for group in groups if group is not None]
    return write_container(
        width=picture.width,
        height=picture.height,
        quality=quality,
        halo=codec.entropy_network.synthesis_halo,
        model_name=codec.card.name,
        model_hash=codec.card.weights_sha256,
        groups=finished,
        preview=make_preview(picture.pixels, sum(len(group.stream) for group in finished)),
        exif=clean_exif(picture.exif) if settings.keep_metadata and picture.exif else None,
        alpha=pack_alpha(picture.alpha) if picture.alpha is not None else None,
    )


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
