"""latent-studio-view, also `python -m viewer`: shows an .lsi file, converts it, or tells what it says of itself."""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import LatentStudioError, UsageError

if TYPE_CHECKING:
    from engine.compression.byte_source import FileSource
    from engine.compression.decoding import Decoded
    from engine.image import Picture
    from engine.progress import Progress, ProgressCallback


def run(arguments: Sequence[str] | None = None) -> int:
    """Run with command-line arguments (those of this process by default); returns the exit code.

    No error of the engine, and no fault of ours, ends in a traceback.
    """
    for stream in (sys.stdout, sys.stderr):  # names of files may hold what the terminal's encoding cannot show
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        return _run(_parser().parse_args(arguments))
    except SystemExit as stop:  # --help, or wrong usage
        return stop.code if isinstance(stop.code, int) else 0
    except KeyboardInterrupt:
        print("Cancelled.", file=sys.stderr)
        return 1
    except LatentStudioError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2 if error.exit_code == 2 else 1
    except Exception as error:
        print(f"Error: The program has a fault: {type(error).__name__}: {error}. Please report it.", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="latent-studio-view",
        description="Open a Latent Studio image (.lsi). Without --out or --info it is shown.",
        epilog="Exit codes: 0 done, 1 failed, 2 wrong usage, 3 damaged but saved or shown.",
    )
    parser.add_argument("file", metavar="FILE", type=Path, help="an .lsi file")
    parser.add_argument(
        "-o", "--out", type=Path, help="a picture file (the suffix is the format), or a folder for a PNG"
    )
    parser.add_argument("--region", metavar="X,Y,WIDTH,HEIGHT", help="only this part, in pixels; no more of it is read")
    parser.add_argument("--info", action="store_true", help="tell what the file says of itself")
    parser.add_argument("--json", action="store_true", help="print figures as JSON")
    parser.add_argument("--strict", action="store_true", help="refuse a damaged file instead of saving what is left")
    parser.add_argument("--overwrite", action="store_true", help="replace a result that exists already")
    parser.add_argument("--threads", metavar="N", type=int, help="CPU threads")
    parser.add_argument(
        "--models", metavar="FOLDER", type=Path, action="append", default=[],
        help="folder of exported models beside those that come with the viewer; repeatable",
    )  # fmt: skip
    return parser


def _run(wanted: argparse.Namespace) -> int:
    # Imported one by one where they are needed: --help, --info and wrong usage need neither numpy nor Pillow.
    from engine.compression.container import Region
    from engine.compression.reading import open_compressed

    source: Path = wanted.file
    if wanted.info:
        if wanted.out is not None:
            raise UsageError("--info writes no picture.", "Leave out --info or --out.")
        if wanted.region is not None:
            raise UsageError("--info is about the whole file.", "Leave out --info or --region.")
        with open_compressed(source) as data:
            _tell(source, data, wanted.json)
        return 0
    if wanted.out is None:
        _check_screen()
    target = _target(source, wanted.out, wanted.overwrite) if wanted.out is not None else None
    region = None if wanted.region is None else Region.parse(wanted.region)
    started = time.perf_counter()
    with open_compressed(source) as data:
        from viewer import decode

        result = decode(
            data, region=region, strict=wanted.strict, threads=wanted.threads, models=wanted.models,
            progress=_progress(),
        )  # fmt: skip
    seconds = time.perf_counter() - started
    picture = result.picture
    if target is None:
        _show(picture, source.name)
    else:
        from engine.image import save_picture

        save_picture(picture, target, overwrite=wanted.overwrite)
    _report(result, source, target, seconds, wanted.json)
    return 3 if result.damaged_tiles else 0


def _target(source: Path, out: Path, overwrite: bool) -> Path:
    """Where the picture goes; everything that can be refused before decoding is."""
    from engine.errors import OutputError
    from engine.image import WRITABLE_SUFFIXES

    target = out / f"{source.stem}.png" if out.is_dir() else out
    if target.suffix.lower() not in WRITABLE_SUFFIXES:
        raise UsageError(
            f"{target} does not end in a picture format that can be written.", f"Use {', '.join(WRITABLE_SUFFIXES)}."
        )
    if target.exists():
        if source.exists() and target.samefile(source):
            raise UsageError(f"{source} would be overwritten by its own result.", "Choose another name.")
        if not overwrite:
            raise OutputError(f"{target} exists already.", "Choose another name, or add --overwrite.")
    return target


def _progress() -> ProgressCallback:
    """Progress on one line of the error stream, where that is a terminal."""
    from engine.progress import ignore_progress

    if not sys.stderr.isatty():
        return ignore_progress

    def show(now: Progress) -> None:
        text = f"{100 * now.fraction:3.0f} %" if now.fraction < 1 else "     \r"
        print(f"\r{text}", end="", file=sys.stderr, flush=True)

    return show


def _tell(source: Path, data: FileSource, as_json: bool) -> None:
    from engine.compression.container import read_container

    facts = {"file": str(source), **read_container(data).facts()}
    if as_json:
        print(json.dumps(facts, indent=2, ensure_ascii=False))
        return
    del facts["tile_bits"]  # one number per tile: for programs
    for name, value in facts.items():
        if isinstance(value, dict):
            value = ", ".join(f"{key} {count:,}" for key, count in value.items())
        elif isinstance(value, list):
            value = "; ".join(value) or "none"
        elif isinstance(value, float):
            value = f"{value:.3f}".rstrip("0").rstrip(".")
        print(f"{name.replace('_', ' '):16}{value}")


def _check_screen() -> None:
    """Raise `UsageError` where a picture cannot be shown."""
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise UsageError("There is no screen to show the picture on.", "Add --out FILE.png to save it.")


def _show(picture: Picture, title: str) -> None:
    """Hand the picture to the system's viewer. Raises `OutputError` where there is none."""
    import numpy as np
    from PIL import Image, ImageShow

    from engine.errors import OutputError

    pixels = picture.pixels if picture.alpha is None else np.dstack([picture.pixels, picture.alpha])
    if not ImageShow.show(Image.fromarray(pixels), title):
        raise OutputError("No program that shows pictures was found.", "Add --out FILE.png and open that file.")


def _report(result: Decoded, source: Path, target: Path | None, seconds: float, as_json: bool) -> None:
    picture, damaged = result.picture, result.damaged_tiles
    if as_json:
        facts = {
            "source": str(source), "target": None if target is None else str(target), "width": picture.width,
            "height": picture.height, "seconds_decode": seconds, "damaged_tiles": len(damaged),
            "notes": list(picture.notes),
        }  # fmt: skip
        print(json.dumps(facts, indent=2, ensure_ascii=False))
    elif target is not None:
        print(f"{target}  {picture.width}x{picture.height}  {seconds:.2f} s")
    if damaged:
        print(f"{source} is damaged: {len(damaged)} part(s) of the picture are missing.", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(run())
