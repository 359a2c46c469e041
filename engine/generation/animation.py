"""Animations of samples: GIF and WebP by Pillow, MP4 by ffmpeg where it is installed."""

from __future__ import annotations

import contextlib
import io
import math
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image

from engine.errors import OutputError, UsageError
from engine.files import write_bytes
from engine.progress import CancelToken, Progress, ProgressCallback, ignore_progress

MOST_PIXELS = 500_000_000  # of all frames together, which a format may hold at once
SUFFIXES = (".gif", ".webp", ".mp4")
SECONDS = (0.02, 10.0)  # a GIF counts hundredths of seconds, and viewers slow down what is faster than two of them


def save_animation(
    frames: Sequence[np.ndarray],
    path: Path,
    seconds_per_frame: float = 0.08,
    *,
    scale: int = 1,
    overwrite: bool = True,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> None:
    """Write pictures as an animation that repeats for ever (an MP4 plays once).

    A WebP keeps every pixel; a GIF has at most 256 colours a frame; an MP4 is compressed.

    Args:
        frames: (H, W, 3) uint8 each, of one size.
        path: its suffix says the format: .gif, .webp or .mp4.
        seconds_per_frame: 0.02 to 10.
        scale: each pixel becomes a square of so many, 1 to 64; small pictures are hard to see.
        overwrite: False refuses to replace a file.
        progress: counts frames.
        cancel: as everywhere.

    Raises:
        UsageError: no frames, frames of different sizes, another suffix, or a number out of its range.
        OutputError: the file cannot be written, or an MP4 was asked for and ffmpeg is missing or fails.
        Cancelled: by `cancel`.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(f"{path.name} is no animation.", f"Use one of {', '.join(SUFFIXES)}.")
    if not frames:
        raise UsageError("An animation needs pictures.", "Generate some first.")
    if any(frame.shape != frames[0].shape for frame in frames) or frames[0].shape[2:] != (3,):
        raise UsageError("The pictures of an animation must have one size.", "Use pictures of one model.")
    if not (math.isfinite(seconds_per_frame) and SECONDS[0] <= seconds_per_frame <= SECONDS[1]):
        raise UsageError(
            f"{seconds_per_frame} seconds a picture is out of range.", f"Use {SECONDS[0]:g} to {SECONDS[1]:g}."
        )
    if not 1 <= scale <= 64:
        raise UsageError(f"The scale {scale} is out of range.", "Use 1 to 64.")
    if len(frames) * frames[0].shape[0] * frames[0].shape[1] * scale**2 > MOST_PIXELS:
        raise UsageError("The animation would be too large.", "Use fewer pictures or a smaller scale.")
    if not overwrite and path.exists():
        raise OutputError(f"{path} exists already.", "Choose another name or allow overwriting.")

    def enlarged() -> Iterator[np.ndarray]:
        for number, frame in enumerate(frames):
            if cancel is not None:
                cancel.raise_if_cancelled()
            progress(Progress(number, len(frames), "Writing the animation"))
            yield np.repeat(np.repeat(frame, scale, axis=0), scale, axis=1)
        progress(Progress(len(frames), len(frames), "Writing the animation"))

    if suffix == ".mp4":
        data = _mp4(enlarged(), seconds_per_frame)
    else:
        data = _by_pillow(enlarged(), suffix, round(1000 * seconds_per_frame))
    write_bytes(path, data, overwrite=overwrite)


def _by_pillow(frames: Iterator[np.ndarray], suffix: str, milliseconds: int) -> bytes:
    pictures = (Image.fromarray(np.ascontiguousarray(frame)) for frame in frames)
    stream = io.BytesIO()
    if suffix == ".webp":
        first = next(pictures)
        first.save(
            stream, "WEBP", save_all=True, append_images=list(pictures), duration=milliseconds, loop=0, lossless=True
        )
    else:
        # Without dithering flat surfaces stay flat, and no noise dances from frame to frame.
        limited = [picture.quantize(256, dither=Image.Dither.NONE) for picture in pictures]
        limited[0].save(stream, "GIF", save_all=True, append_images=limited[1:], duration=milliseconds, loop=0)
    return stream.getvalue()


def _mp4(frames: Iterator[np.ndarray], seconds_per_frame: float) -> bytes:
    program = shutil.which("ffmpeg")
    if program is None:
        raise OutputError(
            "An MP4 needs the program ffmpeg, which is not installed.", "Install ffmpeg, or use .webp or .gif."
        )
    first = _even(next(frames))
    height, width = first.shape[:2]
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as complaints:
        target = Path(folder) / "animation.mp4"
        command = [
            program, "-loglevel", "error", "-f", "rawvideo", "-pixel_format", "rgb24", "-video_size",
            f"{width}x{height}", "-framerate", f"{1 / seconds_per_frame:.6f}", "-i", "-", "-an",
            "-pix_fmt", "yuv420p", "-movflags", "+faststart", str(target),
        ]  # fmt: skip
        with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=complaints) as running:  # noqa: S603  our own call
            assert running.stdin is not None
            try:
                _feed(running.stdin, first, frames)
            except BaseException:
                running.kill()
                raise
        if running.returncode or not target.is_file():
            complaints.seek(0)
            lines = complaints.read(10_000).decode("utf-8", "replace").split("\n")
            reason = next((line.strip() for line in lines if line.strip()), f"exit code {running.returncode}")
            raise OutputError(f"ffmpeg could not write the MP4: {reason[:200]}.", "Use .webp or .gif.")
        return target.read_bytes()


def _feed(pipe: IO[bytes], first: np.ndarray, rest: Iterator[np.ndarray]) -> None:
    with contextlib.suppress(BrokenPipeError):  # ffmpeg has ended; its exit code says why
        pipe.write(first.tobytes())
        for frame in rest:
            pipe.write(_even(frame).tobytes())
    with contextlib.suppress(BrokenPipeError):
        pipe.close()


def _even(frame: np.ndarray) -> np.ndarray:
    """A frame with even sides, as halved colour planes need: the last row or column is repeated."""
    height, width = frame.shape[:2]
    return np.ascontiguousarray(np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge"))
