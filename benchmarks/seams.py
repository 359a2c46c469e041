# ruff: noqa: E402 - the repository comes first on the path, so that the benchmark runs from a checkout
"""Whether the windows of a large picture leave seams: compared with other windows over the same places.

Run `python benchmarks/seams.py [--size 10000x10000] [--places 12] [--json FILE]`. A mosaic of the Kodak photos is
encoded and decoded whole, which the codec does in windows of 1024 x 1024 pixels that start at the upper left corner.
Then, at random places:

- a region across the corner of four windows is decoded by itself, in windows that start at the region: its pixels are
  compared with those of the whole;
- 3 x 3 groups are cut out of the original, so that windows lie half a window further, and encoded by themselves: the
  group in the middle must have the same symbols as in the file of the whole, and its inside the same pixels.

No picture of this size need fit into the networks at once; tests/engine/test_codec_files.py compares with that at sizes
where it does. Writes benchmarks/results/seams.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np
import torch

from benchmarks.codec_speed import mosaic, peak_megabytes, photos
from engine.compression import EncodeSettings, Header, Region, decode, encode, inspect
from engine.compression.codec_model import open_codec
from engine.compression.container import GROUP_SIZE, LATENT_STRIDE
from engine.compression.decoding import WINDOW_GROUPS
from engine.compression.settings import DEFAULT_MODEL
from engine.errors import UsageError
from engine.image import Picture

WINDOW = WINDOW_GROUPS * GROUP_SIZE


def farthest(one: np.ndarray, other: np.ndarray) -> int:
    """The largest difference of two pictures in levels of 255."""
    return int(np.abs(one.astype(np.int16) - other).max())


def cut(pixels: np.ndarray, region: Region) -> np.ndarray:
    """The pixels of a region."""
    return pixels[region.y : region.bottom, region.x : region.right]


def regions(width: int, height: int, count: int, chosen: np.random.Generator) -> list[Region]:
    """Boxes of up to 900 pixels a side, each around a place where four windows meet."""
    found = []
    for _ in range(count):
        x, y = (WINDOW * int(chosen.integers(1, -(-side // WINDOW))) for side in (width, height))
        before, above, after, below = (int(distance) for distance in chosen.integers(1, 451, 4))
        right, bottom = min(width, x + after), min(height, y + below)
        found.append(Region(x - before, y - above, right - x + before, bottom - y + above))
    return found


def middles(width: int, height: int, count: int, chosen: np.random.Generator) -> list[tuple[int, int]]:
    """Columns and rows of groups with whole neighbours all around, at the upper left of their windows."""
    columns, rows = (range(WINDOW_GROUPS, side // GROUP_SIZE - 1, WINDOW_GROUPS) for side in (width, height))
    return [(int(chosen.choice(columns)), int(chosen.choice(rows))) for _ in range(count)]


def compare_regions(data: bytes, whole: np.ndarray, places: list[Region]) -> int:
    """The largest difference between regions decoded by themselves and the whole."""
    return max(
        farthest(decode(data, region=region, strict=True, device="cpu").picture.pixels, cut(whole, region))
        for region in places
    )


def compare_cuts(
    header: Header, pixels: np.ndarray, whole: np.ndarray, places: list[tuple[int, int]], settings: EncodeSettings
) -> tuple[int, int]:
    """Groups whose symbols differ when encoded within another cut, and the largest difference of their pixels."""
    halo = open_codec(settings.model, "cpu").entropy_network.analysis_halo
    if halo * LATENT_STRIDE > GROUP_SIZE:
        raise UsageError("The analysis of this codec sees further than a group.", "Choose another model.")
    differing, largest = 0, 0
    inner = header.halo * LATENT_STRIDE
    for column, row in places:
        box = Region((column - 1) * GROUP_SIZE, (row - 1) * GROUP_SIZE, 3 * GROUP_SIZE, 3 * GROUP_SIZE)
        data = encode(Picture(np.ascontiguousarray(cut(pixels, box))), settings, device="cpu")
        own, there = inspect(data).groups[4], header.groups[row * header.tiles[0] + column]
        if own.symbol_crc != there.symbol_crc:
            differing += 1
            continue  # other symbols, other pixels
        # As far as the halo reaches, pixels depend on neighbours that the border of the cut has changed.
        side = GROUP_SIZE - 2 * inner
        part = decode(data, region=Region(GROUP_SIZE + inner, GROUP_SIZE + inner, side, side), device="cpu").picture
        expected = Region(there.x + inner, there.y + inner, side, side)
        largest = max(largest, farthest(part.pixels, cut(whole, expected)))
    return differing, largest


def main() -> None:
    """Encode, decode, compare, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=DEFAULT_MODEL, help="registry name or path of the codec")
    parser.add_argument("--size", default="10000x10000", help="at least 2048x2048")
    parser.add_argument("--places", type=int, default=12, help="so many of either kind")
    parser.add_argument("--quality", type=float, default=50.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks" / "results" / "seams.json")
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    if min(width, height) < 2 * WINDOW:
        parser.error(f"A picture of several windows is needed: at least {2 * WINDOW} pixels a side.")
    torch.set_num_threads(options.threads)
    settings = EncodeSettings(quality=options.quality, model=options.model)
    pixels = mosaic(photos(), width, height)
    data = encode(Picture(pixels), settings, device="cpu")
    decoded = decode(data, strict=True, device="cpu")
    peak = peak_megabytes()  # of both, and of both pictures
    chosen = np.random.default_rng(options.seed)
    beside = compare_regions(data, decoded.picture.pixels, regions(width, height, options.places, chosen))
    groups = middles(width, height, options.places, chosen)
    differing, inside = compare_cuts(decoded.header, pixels, decoded.picture.pixels, groups, settings)
    print(f"{options.size}, {len(data):,} bytes, {peak} MB resident at most")
    print(f"{options.places} regions across windows: pixels differ by at most {beside} of 255")
    print(f"{options.places} groups encoded in other windows: {differing} have other symbols;")
    print(f"pixels of the others differ by at most {inside} of 255")
    result = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {options.threads} threads",
        "model": decoded.header.model_name,
        "size": options.size,
        "quality": options.quality,
        "places": options.places,
        "seed": options.seed,
        "region_pixels_differ_at_most": beside,
        "groups_with_other_symbols": differing,
        "group_pixels_differ_at_most": inside,
        "peak_mb": peak,
    }
    options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
