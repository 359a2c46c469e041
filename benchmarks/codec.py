# ruff: noqa: E402 - the repository comes first on the path, so that the benchmark runs from a checkout
"""How small and how fast: our codec beside JPEG, WebP, AVIF and JPEG XL on the 24 Kodak photos, from real files.

Run `python benchmarks/codec.py [--images N] [--model NAME] [--json FILE]`. Rate counts every byte of the file, PSNR is
over RGB, MS-SSIM the mean of R, G and B, SSIMULACRA2 of sRGB; rate and quality are averaged over the photos at each
setting, then BD-rates are taken by PCHIP over the shared range. Curves of VTM, BPG and other learned codecs are
published ones (benchmarks/published). Seconds are wall time, per photo the best of `--runs`, so they hold for a quiet
machine only; benchmarks/codec_speed.py has more of them. Writes benchmarks/results/codec.json, which
benchmarks/plots.py draws.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from engine.compression import EncodeSettings, decode, encode
from engine.compression.codec_model import open_codec
from engine.compression.rivals import decode_rival, encode_rival
from engine.compression.settings import DEFAULT_MODEL
from engine.errors import DataError, UsageError
from engine.evaluation.bd_rate import bd_rate
from engine.evaluation.image_quality import ms_ssim, psnr
from engine.evaluation.ssimulacra2 import ssimulacra2
from engine.image import Picture, open_picture
from engine.paths import data_roots

OURS = "Latent Studio"
PSNR_RIVAL, MS_SSIM_RIVAL = "AVIF 4:4:4 tune=psnr", "AVIF default"
# Figures that BD-rates are taken by, with their names in the points.
BD_FIGURES = {"psnr": "psnr", "ms_ssim": "db", "ssimulacra2": "ssimulacra2"}

Encoder = Callable[[Picture, float], bytes]
Decoder = Callable[[bytes], Picture]


def codecs(model: str) -> dict[str, tuple[Encoder, Decoder, tuple[float, ...]]]:
    """Name -> encoder, decoder and the settings that span about 0.1 to 2 bits a pixel."""

    def rival(codec: str, **extra: bool) -> Encoder:
        return lambda picture, quality: encode_rival(codec, picture, quality, **extra)

    return {
        OURS: (
            lambda picture, quality: encode(picture, EncodeSettings(quality=quality, model=model), device="cpu"),
            lambda data: decode(data, strict=True, device="cpu").picture,
            (0, 10, 25, 40, 55, 70, 85, 100),
        ),
        "JPEG": (rival("jpeg"), decode_rival, (5, 10, 20, 35, 50, 70, 85, 93)),
        "WebP": (rival("webp"), decode_rival, (1, 15, 35, 60, 75, 88, 96)),
        PSNR_RIVAL: (rival("avif", tune_psnr=True), decode_rival, (20, 35, 50, 64, 78, 88)),
        MS_SSIM_RIVAL: (rival("avif"), decode_rival, (20, 32, 48, 64, 78, 90)),
        "JPEG XL": (rival("jxl"), decode_rival, (15, 40, 65, 80, 90, 95)),
    }


def measure(encoder: Encoder, decoder: Decoder, pictures: list[Picture], quality: float, runs: int) -> dict:
    """Mean bits per pixel, PSNR, MS-SSIM, SSIMULACRA2 and seconds per megapixel of one setting over all photos."""
    rows = []
    for picture in pictures:
        megapixels = picture.width * picture.height / 1e6
        encode_seconds, data = best_of(runs, lambda picture=picture: encoder(picture, quality))
        decode_seconds, decoded = best_of(runs, lambda data=data: decoder(data))
        pair = picture.pixels, decoded.pixels
        rows.append(
            (
                8e-6 * len(data) / megapixels,
                psnr(*pair),
                ms_ssim(*pair),
                ssimulacra2(*pair),
                encode_seconds / megapixels,
                decode_seconds / megapixels,
            )
        )
    names = ("bpp", "psnr", "ms_ssim", "ssimulacra2", "encode_s_per_mp", "decode_s_per_mp")
    return {"quality": quality, **dict(zip(names, np.mean(rows, axis=0).round(5).tolist(), strict=True))}


def best_of(runs: int, call: Callable):
    """Shortest time of `runs` calls, and the result."""
    shortest, result = float("inf"), None
    for _ in range(runs):
        started = time.perf_counter()
        result = call()
        shortest = min(shortest, time.perf_counter() - started)
    return shortest, result


def bd_rates(curves: dict[str, list[dict]], published: dict[str, dict]) -> dict[str, dict[str, float | None]]:
    """BD-rate of our codec in percent against every other curve; negative where ours needs fewer bits."""

    def curve(points: list[dict], figure: str) -> list[tuple[float, float]]:
        return [(point["bpp"], point[figure]) for point in points]

    def rate(anchor: list[tuple[float, float]], figure: str) -> float | None:
        try:
            return round(bd_rate(anchor, curve(curves[OURS], figure)), 2)
        except UsageError:
            return None

    result: dict[str, dict[str, float | None]] = {}
    for name, points in curves.items():
        if name != OURS:
            # MS-SSIM in decibels: equal steps of it are equal steps to the eye.
            result[name] = {label: rate(curve(points, figure), figure) for label, figure in BD_FIGURES.items()}
    for name, entry in published.items():
        published_rate = rate(list(zip(entry["bpp"], entry["psnr"], strict=True)), "psnr")
        result[f"{name} (published)"] = {**dict.fromkeys(BD_FIGURES), "psnr": published_rate}
    return result


def kodak(count: int | None, folder: Path | None) -> list[Picture]:
    """The photos, or the first `count` of them."""
    folders = [folder] if folder else [root / "kodak" for root in data_roots()]
    for place in folders:
        files = sorted(place.glob("*.png"))
        if files:
            return [open_picture(file) for file in files[:count]]
    raise DataError("The Kodak photos are not at hand.", "Set LATENT_STUDIO_DATA to the folder that holds kodak/.")


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, help="use only the first N photos")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="registry name or path of the codec")
    parser.add_argument("--folder", type=Path, help="a folder of PNG photos instead of Kodak")
    parser.add_argument("--runs", type=int, default=1, help="time the best of so many runs")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks" / "results" / "codec.json")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    pictures = kodak(options.images, options.folder)
    card = open_codec(options.model, "cpu").card
    encode(pictures[0], EncodeSettings(model=options.model), device="cpu")  # first use loads and warms up
    console = Console()
    curves: dict[str, list[dict]] = {}
    for name, (encoder, decoder, qualities) in codecs(options.model).items():
        points = [
            measure(encoder, decoder, pictures, quality, options.runs)
            for quality in track(qualities, description=f"{name:>22}", console=console)
        ]
        for point in points:
            point["db"] = round(-10 * float(np.log10(max(1e-9, 1 - point["ms_ssim"]))), 4)
        curves[name] = points
    published = json.loads((ROOT / "benchmarks" / "published" / "kodak.json").read_text())
    rates = bd_rates(curves, {} if options.folder else published)
    show(console, curves, rates)
    result = {
        "date": datetime.date.today().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {options.threads} threads",
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "versions": {name: version(name) for name in ("torch", "pillow", "constriction", "pillow-jxl-plugin")},
        "photos": len(pictures),
        "model": {"name": card.name, "weights_sha256": card.weights_sha256, "training_steps": card.training_steps},
        "curves": curves,
        "bd_rate_percent": rates,
    }
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(result, indent=1) + "\n")
    console.print(f"Written to {options.json}")


def show(console: Console, curves: dict[str, list[dict]], rates: dict[str, dict[str, float | None]]) -> None:
    """Print the points and the BD-rates."""
    columns = ("codec", "quality", "bpp", "PSNR dB", "MS-SSIM", "SSIMULACRA2", "encode s/MP", "decode s/MP")
    table = Table(*columns, title="Rate and quality")
    for name, points in curves.items():
        for point in points:
            table.add_row(
                name, f"{point['quality']:g}", f"{point['bpp']:.3f}", f"{point['psnr']:.2f}", f"{point['ms_ssim']:.4f}",
                f"{point['ssimulacra2']:.1f}",
                f"{point['encode_s_per_mp']:.2f}", f"{point['decode_s_per_mp']:.2f}",
            )  # fmt: skip
        table.add_section()
    console.print(table)
    columns = ("against", "PSNR", "MS-SSIM", "SSIMULACRA2")
    table = Table(*columns, title=f"BD-rate of {OURS} in percent; negative is smaller files")
    for name, entry in rates.items():
        table.add_row(name, *("-" if value is None else f"{value:+.1f}" for value in entry.values()))
    console.print(table)


if __name__ == "__main__":
    main()
