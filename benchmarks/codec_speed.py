# ruff: noqa: E402 - the repository comes first on the path, so that the benchmark runs from a checkout
"""How fast our codec is, what its seconds go into, and how much memory it takes, at 768x512 and at 12 megapixels; and
how soon the visible part of a 24-megapixel file is there.

Run `python benchmarks/codec_speed.py [--threads 2] [--large SIZES] [--visible SIZES] [--compressai] [--json FILE]`.
Each row comes from a process of its own, so that its memory is its own: the peak of what is resident, Python, PyTorch
and the picture included. Seconds are wall time, per picture the best of `--runs`, so they hold for a quiet machine
only. Large pictures are mosaics of the Kodak photos and their mirror images.

`--visible` times what a viewer shows first: a window of 1280x800 pixels in the middle of a large file, where it cuts
through groups, from the file on the disk to pixels. The model is loaded and warm, the file in the system's cache.

`--compressai` times CompressAI's mbt2018-mean in the same run, on the same small pictures with as many threads:
compress() and decompress() with real entropy coding, the weights random, which suffices for timing. Larger pictures
take it several gigabytes. It is no dependency: benchmarks/requirements-compressai.txt says how to install it.

Writes benchmarks/results/codec_speed.json.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from engine.compression import EncodeSettings, Region, codec, decode, decoding, encode, open_compressed
from engine.compression.byte_source import ByteSource
from engine.compression.codec_model import CodecModel, open_codec
from engine.compression.entropy import GroupDecoder, GroupEncoder
from engine.compression.settings import DEFAULT_MODEL
from engine.errors import DataError
from engine.image import Picture, open_picture
from engine.paths import data_roots

OURS, THEIRS = "Latent Studio", "mbt2018-mean"
LARGE = "4000x3000"
VISIBLE = "6000x4000"
WINDOW = (1280, 800)
# Beyond so many pixels one run is long enough to be telling.
TIMED_ONCE = 5e7
COMPRESSAI_QUALITY = 4
# What is timed inside our codec: owner, function, label. The integer networks are what is left of a group's coding.
PARTS = (
    (CodecModel, "analyse", "transform"),
    (CodecModel, "synthesise", "transform"),
    (codec, "encode_group", "group"),
    (decoding, "decode_group", "group"),
    (GroupEncoder, "write", "range coder"),
    (GroupEncoder, "finish", "range coder"),
    (GroupDecoder, "__init__", "range coder"),
    (GroupDecoder, "read", "range coder"),
)


class Stopwatch:
    """Seconds that calls of our codec's parts took since `clear`."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        for owner, name, label in PARTS:
            setattr(owner, name, self._timed(getattr(owner, name), label))

    def _timed(self, function: Callable, label: str) -> Callable:
        def run(*arguments, **options):
            started = time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                self.seconds[label] += time.perf_counter() - started

        return run

    def shares(self, total: float) -> dict[str, float]:
        """Shares of `total` seconds in percent."""
        coder, group = self.seconds["range coder"], self.seconds["group"]
        parts = {"transform": self.seconds["transform"], "integer networks": group - coder, "range coder": coder}
        return {name: 100 * seconds / total for name, seconds in parts.items()}


def ours(folder: Path, encoding: bool, options: argparse.Namespace) -> dict:
    """Encode the pictures in `folder`, or decode what that gave. Runs in a process of its own."""
    torch.set_num_threads(options.threads)
    settings = EncodeSettings(quality=options.quality, model=options.model)
    warm = Picture(np.zeros((64, 64, 3), dtype=np.uint8))
    decode(encode(warm, settings, device=options.device), device=options.device)  # loads and warms up
    watch = Stopwatch()
    rows = []
    for path in sorted(folder.glob("*.npy")):
        picture = Picture(np.load(path))
        megapixels = picture.width * picture.height / 1e6
        target = path.with_suffix(".lsi")
        data = b"" if encoding else target.read_bytes()
        if not encoding:
            del picture
        best: tuple[float, dict[str, float]] = (float("inf"), {})
        for _ in range(options.runs if megapixels < TIMED_ONCE / 1e6 else 1):
            watch.seconds.clear()
            started = time.perf_counter()
            if encoding:
                data = encode(picture, settings, device=options.device)
            else:
                decode(data, strict=True, device=options.device)
            seconds = time.perf_counter() - started
            best = min(best, (seconds, watch.shares(seconds)), key=lambda entry: entry[0])
        target.write_bytes(data)
        rows.append({"s_per_mp": best[0] / megapixels, "bpp": 8e-6 * len(data) / megapixels, **best[1]})
    return {**means(rows), "peak_mb": peak_megabytes()}


class CountedSource:
    """A source that counts the bytes that are read of it."""

    def __init__(self, source: ByteSource) -> None:
        self._source, self.bytes_read = source, 0

    @property
    def size(self) -> int:
        """See `ByteSource`."""
        return self._source.size

    def read(self, offset: int, length: int) -> bytes:
        """See `ByteSource`."""
        data = self._source.read(offset, length)
        self.bytes_read += len(data)
        return data


def write_large(width: int, height: int, target: Path, options: argparse.Namespace) -> dict:
    """Encode a mosaic of photos. Runs in a process of its own, so that its memory is not that of the decoder."""
    torch.set_num_threads(options.threads)
    settings = EncodeSettings(quality=options.quality, model=options.model)
    target.write_bytes(encode(Picture(mosaic(photos(), width, height)), settings, device=options.device))
    return {}


def visible(width: int, height: int, file: Path, options: argparse.Namespace) -> dict:
    """Decode the window in the middle of a file of that size. Runs in a process of its own."""
    torch.set_num_threads(options.threads)
    settings = EncodeSettings(quality=options.quality, model=options.model)
    warm = Picture(np.zeros((64, 64, 3), dtype=np.uint8))
    decode(encode(warm, settings, device=options.device), device=options.device)  # loads and warms up
    region = Region((width - WINDOW[0]) // 2, (height - WINDOW[1]) // 2, *WINDOW)
    every, read = [], 0
    for _ in range(options.runs):
        started = time.perf_counter()
        with open_compressed(file) as source:
            counted = CountedSource(source)
            decode(counted, region=region, strict=True, device=options.device)
        every.append(round(time.perf_counter() - started, 4))
        read = counted.bytes_read
    return {
        "picture": f"{width}x{height}",
        "window": f"{region.width}x{region.height} at {region.x}, {region.y}",
        "seconds": min(every),
        "every_run": every,
        "file_bytes": file.stat().st_size,
        "read_bytes": read,
        "peak_mb": peak_megabytes(),
    }


def theirs(folder: Path, encoding: bool, options: argparse.Namespace) -> dict:
    """The same by CompressAI's mbt2018-mean. Runs in a process of its own."""
    from compressai.zoo import mbt2018_mean

    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    model = mbt2018_mean(COMPRESSAI_QUALITY, pretrained=False).eval()
    model.update(force=True)
    rows = []
    with torch.inference_mode():
        model.decompress(**packed(model.compress(torch.rand(1, 3, 64, 64))))  # warms up
        for path in sorted(folder.glob("*.npy")):
            pixels = np.load(path)
            megapixels = pixels.shape[0] * pixels.shape[1] / 1e6
            target = path.with_suffix(".compressai")
            shortest, result = float("inf"), {}
            if not encoding:
                stored = json.loads(target.read_text())
                strings = [[bytes.fromhex(text) for text in part] for part in stored["strings"]]
                result = {"strings": strings, "shape": stored["shape"]}
            for _ in range(options.runs):
                started = time.perf_counter()
                # As for ours, from bytes to a file's content and back: the same conversions are counted.
                if encoding:
                    planes = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
                    result = packed(model.compress(planes))
                else:
                    planes = model.decompress(**result)["x_hat"].clamp_(0, 1)
                    (planes[0] * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
                shortest = min(shortest, time.perf_counter() - started)
            strings = [[data.hex() for data in part] for part in result["strings"]]
            target.write_text(json.dumps({"strings": strings, "shape": list(result["shape"])}))
            rows.append({"s_per_mp": shortest / megapixels})
    return {**means(rows), "peak_mb": peak_megabytes()}


def packed(compressed: dict) -> dict:
    """What decompress() takes of what compress() gives."""
    return {name: compressed[name] for name in ("strings", "shape")}


def means(rows: list[dict[str, float]]) -> dict[str, float]:
    """The mean of every figure over the pictures."""
    return {name: round(float(np.mean([row[name] for row in rows])), 4) for name in rows[0]}


def peak_megabytes() -> int | None:
    """The most memory that was resident in this process; None where the system does not tell."""
    try:
        # Not getrusage on Linux: its peak includes that of the process that started this one.
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return round(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e6)
    except OSError:
        pass
    try:
        import resource
    except ImportError:
        return None
    # In bytes on macOS, in units of 1024 bytes elsewhere.
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6)


def apart(function: Callable, *arguments) -> dict:
    """Run `function(*arguments)` in a fresh process."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def photos() -> list[np.ndarray]:
    """The Kodak photos, all of them lying on their long side."""
    for root in data_roots():
        files = sorted((root / "kodak").glob("*.png"))
        if files:
            pixels = [open_picture(file).pixels for file in files]
            return [np.rot90(part) if part.shape[0] > part.shape[1] else part for part in pixels]
    raise DataError("The Kodak photos are not at hand.", "Set LATENT_STUDIO_DATA to the folder that holds kodak/.")


def mosaic(parts: list[np.ndarray], width: int, height: int) -> np.ndarray:
    """A picture (height, width, 3) of photos side by side, every second round of them mirrored."""
    tall, wide = parts[0].shape[:2]
    columns, rows = -(-width // wide), -(-height // tall)
    cells = []
    for number in range(columns * rows):
        cell = parts[number % len(parts)]
        cells.append(cell[:, ::-1] if number // len(parts) % 2 else cell)
    strips = [np.hstack(cells[row * columns : (row + 1) * columns]) for row in range(rows)]
    return np.ascontiguousarray(np.vstack(strips)[:height, :width])


def measure(
    codec_: Callable, name: str, what: str, pictures: Iterable[np.ndarray], options: argparse.Namespace
) -> dict:
    """Encoding and decoding of some pictures by one codec, each in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        for number, pixels in enumerate(pictures):
            np.save(Path(folder) / f"{number:02}.npy", np.ascontiguousarray(pixels))
        result = {way: apart(codec_, Path(folder), way == "encode", options) for way in ("encode", "decode")}
    return {"codec": name, "pictures": what, **result}


def measure_visible(size: str, options: argparse.Namespace) -> dict:
    """The middle window of a mosaic of that size."""
    width, height = map(int, size.split("x"))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "large.lsi"
        apart(write_large, width, height, file, options)
        return apart(visible, width, height, file, options)


def show_visible(console: Console, rows: list[dict]) -> None:
    """Print the table of windows."""
    table = Table("picture", "window", "seconds", "file", "read of it", "peak MB", title="From the disk to a window")
    for row in rows:
        sizes = f"{row['file_bytes']:,} B", f"{row['read_bytes']:,} B"
        table.add_row(row["picture"], row["window"], f"{row['seconds']:.3f}", *sizes, str(row["peak_mb"] or "-"))
    console.print(table)


def show(console: Console, rows: list[dict]) -> None:
    """Print the table."""
    columns = ("codec", "pictures", "", "s/MP", "transform", "integer networks", "range coder", "peak MB")
    table = Table(*columns, title="Seconds per megapixel, what they go into, resident memory")
    for row in rows:
        for way in ("encode", "decode"):
            figures = row[way]
            parts = [f"{figures[part]:.1f} %" if part in figures else "-" for part in columns[4:7]]
            table.add_row(
                row["codec"], row["pictures"], way, f"{figures['s_per_mp']:.3f}", *parts, str(figures["peak_mb"] or "-")
            )
        table.add_section()
    console.print(table)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=DEFAULT_MODEL, help="registry name or path of our codec")
    parser.add_argument("--quality", type=float, default=50.0, help="0..100, of our codec")
    parser.add_argument("--device", default="cpu", help="where the transforms of our codec run")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=3, help="time the best of so many runs")
    parser.add_argument("--images", type=int, default=4, help="so many Kodak photos as small pictures")
    parser.add_argument("--large", default=LARGE, help='sizes of mosaics, such as "4000x3000,10000x10000"; "" for none')
    parser.add_argument("--visible", default=VISIBLE, help='sizes of files whose middle is decoded; "" for none')
    parser.add_argument("--compressai", action="store_true", help="time CompressAI's mbt2018-mean beside ours")
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks" / "results" / "codec_speed.json")
    options = parser.parse_args()
    if options.compressai and find_spec("compressai") is None:
        parser.error("CompressAI is not installed; benchmarks/requirements-compressai.txt says how.")
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    card = open_codec(options.model, options.device).card
    all_photos = photos()
    small = all_photos[: options.images]
    height, width = small[0].shape[:2]
    what = f"{len(small)} of {width}x{height}"
    rows = [measure(ours, OURS, what, small, options)]
    if options.compressai:
        rows.append(measure(theirs, THEIRS, what, small, options))
    for size in filter(None, options.large.split(",")):
        large = mosaic(all_photos, *map(int, size.split("x")))
        rows.append(measure(ours, OURS, f"1 of {size}", [large], options))
    console = Console()
    show(console, rows)
    windows = [measure_visible(size, options) for size in filter(None, options.visible.split(","))]
    if windows:
        show_visible(console, windows)
    result = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "device": options.device,
        "threads": options.threads,
        "load_before": load,
        "versions": {name: version(name) for name in ("torch", "constriction")},
        "model": {"name": card.name, "weights_sha256": card.weights_sha256},
        "quality": options.quality,
        "runs": options.runs,
        "rows": rows,
        "visible": windows,
    }
    if options.compressai:
        ratios = {way: round(rows[1][way]["s_per_mp"] / rows[0][way]["s_per_mp"], 2) for way in ("encode", "decode")}
        console.print(f"Ours is {ratios['decode']} times as fast as {THEIRS} to decode, {ratios['encode']} to encode.")
        result |= {"times_as_fast_as_compressai": ratios}
        result["versions"]["compressai"] = version("compressai")
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(result, indent=1) + "\n")
    console.print(f"Written to {options.json}")


if __name__ == "__main__":
    main()
