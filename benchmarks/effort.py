# ruff: noqa: E402 - the repository comes first on the path, so that the benchmark runs from a checkout
"""What each effort of the encoder gives and costs: BD-rate against effort 0 and encoding time, on crops of Kodak.

Run `python benchmarks/effort.py [--images N] [--crop PIXELS] [--efforts 1,2] [--model NAME] [--json FILE]`. Of N photos
spread over the set the middle is cut out (a crop of at most 512 pixels is one group of the file). Rate counts the
compressed latents alone, since headers weigh more in small files than in photos; PSNR is over RGB, from decoded files.
The mean is over BD-rates (PSNR, PCHIP) of single crops. Seconds are processor seconds of one thread, so that other
programs disturb the ratio little. Writes benchmarks/results/effort.json.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import sys
import time
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.codec import kodak
from engine.compression import EncodeSettings, decode, encode, inspect
from engine.compression.codec_model import open_codec
from engine.compression.settings import DEFAULT_MODEL, EFFORT_PASSES
from engine.evaluation.bd_rate import bd_rate
from engine.evaluation.image_quality import psnr
from engine.image import Picture

QUALITIES = (10.0, 30.0, 50.0, 70.0, 90.0)


def middles(pictures: list[Picture], count: int, side: int) -> list[Picture]:
    """The middle squares of `count` pictures spread over the list."""
    chosen = [pictures[i * len(pictures) // count] for i in range(count)]
    crops = []
    for picture in chosen:
        top, left = max(0, picture.height - side) // 2, max(0, picture.width - side) // 2
        pixels = np.ascontiguousarray(picture.pixels[top : top + side, left : left + side])
        crops.append(replace(picture, pixels=pixels, alpha=None))
    return crops


def measure(picture: Picture, effort: int, quality: float, model: str) -> tuple[float, float, float]:
    """Bits per pixel of the latents, PSNR, processor seconds of the encoding."""
    started = time.process_time()
    data = encode(picture, EncodeSettings(quality=quality, model=model, effort=effort), device="cpu")
    seconds = time.process_time() - started
    streams = inspect(data).section("GRPS")
    assert streams is not None
    bits = 8.0 * streams.bytes / (picture.width * picture.height)
    return bits, psnr(picture.pixels, decode(data, strict=True, device="cpu").picture.pixels), seconds


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=4, help="how many photos")
    parser.add_argument("--crop", type=int, default=256, help="side of the crops in pixels")
    parser.add_argument("--efforts", default=",".join(map(str, range(1, len(EFFORT_PASSES)))))
    parser.add_argument("--model", default=DEFAULT_MODEL, help="registry name or path of the codec")
    parser.add_argument("--folder", type=Path, help="a folder of PNG photos instead of Kodak")
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks" / "results" / "effort.json")
    options = parser.parse_args()
    torch.set_num_threads(1)
    efforts = [0, *(int(effort) for effort in options.efforts.split(","))]
    crops = middles(kodak(None, options.folder), options.images, options.crop)
    card = open_codec(options.model, "cpu").card
    for effort in efforts[:2]:  # first use loads and warms up
        encode(crops[0], EncodeSettings(model=options.model, effort=effort), device="cpu")
    console = Console()
    points = {
        effort: [
            [measure(crop, effort, quality, options.model) for quality in QUALITIES]
            for crop in track(crops, description=f"effort {effort}", console=console)
        ]
        for effort in efforts
    }
    seconds = {effort: sum(point[2] for curve in curves for point in curve) for effort, curves in points.items()}
    rows = []
    for effort in efforts[1:]:
        rates = [
            bd_rate([point[:2] for point in before], [point[:2] for point in after])
            for before, after in zip(points[0], points[effort], strict=True)
        ]
        rows.append(
            {
                "effort": effort,
                "passes": EFFORT_PASSES[effort],
                "bd_rate_percent": round(float(np.mean(rates)), 2),
                "by_crop": [round(rate, 2) for rate in rates],
                "encode_time_ratio": round(seconds[effort] / seconds[0], 1),
            }
        )
    table = Table("effort", "passes", "BD-rate %", "of single crops", "times the encoding time")
    for row in rows:
        singles = " ".join(f"{rate:+.1f}" for rate in row["by_crop"])
        table.add_row(
            str(row["effort"]), str(row["passes"]), f"{row['bd_rate_percent']:+.2f}", singles,
            f"{row['encode_time_ratio']:.0f}",
        )  # fmt: skip
    console.print(table)
    result = {
        "date": datetime.date.today().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, 1 thread",
        "model": {"name": card.name, "weights_sha256": card.weights_sha256, "training_steps": card.training_steps},
        "photos": len(crops),
        "crop": options.crop,
        "qualities": QUALITIES,
        "efforts": rows,
        "points": {
            str(effort): [[[round(value, 4) for value in point] for point in curve] for curve in curves]
            for effort, curves in points.items()
        },
    }
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(result, indent=1) + "\n")
    console.print(f"Written to {options.json}")


if __name__ == "__main__":
    main()
