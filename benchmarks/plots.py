"""Plots for the README, from the results of benchmarks/codec.py and benchmarks/training.py and the published curves.

Run `python benchmarks/plots.py [--json FILE] [--out FOLDER]`, with matplotlib installed (`pip install -e .[plots]`).
Writes docs/images/rate-distortion-psnr.png, -ms-ssim.png and, where it was measured, -ssimulacra2.png; and
codec-training.png, how the codec's BD-rate fell over training, from benchmarks/results/codec-training.json.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

ROOT = Path(__file__).resolve().parent.parent
LOWEST_BPP, HIGHEST_BPP = 0.05, 2.0
LEGEND_BPP = 0.5  # where the legend takes its order from


@dataclass(frozen=True)
class Line:
    """How a codec is drawn. Most colours are Okabe and Ito's, for people who tell fewer apart; markers differ too.

    Attributes:
        label: name in the legend.
        colour, marker: as matplotlib names them.
        dashes: lengths of strokes and gaps. Curves of publications have them, those of this run are solid.
    """

    label: str
    colour: str
    marker: str
    dashes: tuple[float, float] | None = None


LINES = {
    "VTM (H.266 reference encoder)": Line("VTM, H.266 (published)", "#000000", "", (4, 2)),
    "EVC-S": Line("EVC-S (published)", "#cc79a7", "v", (4, 2)),
    "mbt2018-mean (CompressAI)": Line("mbt2018-mean (published)", "#009e73", "^", (4, 2)),
    "BPG 4:4:4": Line("BPG 4:4:4 (published)", "#6b4226", "", (1, 1)),
    "Latent Studio": Line("Latent Studio", "#d55e00", "o"),
    "AVIF 4:4:4 tune=psnr": Line("AVIF 4:4:4, tune=psnr", "#0072b2", "s"),
    "AVIF default": Line("AVIF", "#0072b2", "s"),
    "JPEG XL": Line("JPEG XL", "#56b4e9", "D"),
    "WebP": Line("WebP", "#e69f00", "P"),
    "JPEG": Line("JPEG", "#7f7f7f", "X"),
}


@dataclass(frozen=True)
class Plot:
    """One picture.

    Attributes:
        figure: name of the figure in the points.
        axis: text beside the vertical axis.
        without: codecs that are left out: of AVIF's two tunings the one that does not aim at this figure.
        lowest: of the vertical axis; None takes the lowest point.
    """

    figure: str
    axis: str
    without: str
    lowest: float | None = None


PLOTS = {
    "rate-distortion-psnr": Plot("psnr", "PSNR over RGB in dB", "AVIF default"),
    "rate-distortion-ms-ssim": Plot("db", "MS-SSIM in dB, −10 log₁₀(1 − MS-SSIM)", "AVIF 4:4:4 tune=psnr"),
    "rate-distortion-ssimulacra2": Plot("ssimulacra2", "SSIMULACRA2", "AVIF 4:4:4 tune=psnr", lowest=0.0),
}


def curves(plot: Plot, result: dict, published: dict) -> dict[str, list[tuple[float, float]]]:
    """Codec -> (bits per pixel, figure), for the codecs that have this figure; the best first, as in the legend."""
    found = {}
    for name, points in result["curves"].items():
        if name != plot.without and all(plot.figure in point for point in points):
            found[name] = [(point["bpp"], point[plot.figure]) for point in points]
    for name, entry in published.items():
        if plot.figure in entry:
            found[name] = list(zip(entry["bpp"], entry[plot.figure], strict=True))

    def height(name: str) -> float:
        rates, values = zip(*found[name], strict=True)
        return float(np.interp(LEGEND_BPP, rates, values))

    return {name: found[name] for name in sorted(found, key=height, reverse=True)}


def draw(plot: Plot, lines: dict[str, list[tuple[float, float]]], note: str, target: Path) -> None:
    """Draw one picture and write it."""
    figure, axes = pyplot.subplots(figsize=(8, 5.2), layout="constrained", facecolor="white")
    figure.set_constrained_layout_pads(w_pad=0.1, h_pad=0.08)
    inside = []
    for name, points in lines.items():
        style, ours = LINES[name], name == "Latent Studio"
        rates, values = zip(*points, strict=True)
        axes.plot(
            rates, values, color=style.colour, marker=style.marker, markersize=7 if ours else 5,
            linestyle=(0, style.dashes) if style.dashes else "-", linewidth=3.0 if ours else 1.6,
            zorder=3 if ours else 2, label=style.label,
        )  # fmt: skip
        inside += [value for rate, value in points if LOWEST_BPP <= rate <= HIGHEST_BPP]
    lowest = min(inside) if plot.lowest is None else plot.lowest
    margin = 0.03 * (max(inside) - lowest)
    axes.set_ylim(lowest - margin, max(inside) + margin)
    axes.set_xscale("log")
    axes.set_xlim(LOWEST_BPP, HIGHEST_BPP)
    axes.xaxis.set_major_locator(FixedLocator([0.05, 0.1, 0.2, 0.5, 1.0, 2.0]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("bits per pixel, the whole file counted", fontsize=12)
    axes.set_ylabel(plot.axis, fontsize=12)
    axes.tick_params(labelsize=11)
    axes.grid(color="#dddddd", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper left", fontsize=11, framealpha=1.0, edgecolor="#dddddd")
    axes.set_title(note, fontsize=10, color="#444444", loc="left")
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, dpi=150)
    pyplot.close(figure)


# What the codec's files are compared with in the course of training -> name in codec-training.json, style.
ANCHORS = {
    "against AVIF 4:4:4, tune=psnr": ("AVIF 4:4:4 tune=psnr", Line("", "#0072b2", "s")),
    "against VTM, H.266 (published)": ("VTM (H.266 reference encoder) (published)", Line("", "#000000", "o", (4, 2))),
}


def draw_training(measured: dict, runs: list[dict], target: Path) -> None:
    """Draw the BD-rates of the codecs, each of which goes on from the one before, over the hours of all up to it.

    Args:
        measured: content of codec-training.json.
        runs: content of training.json.
        target: the picture.
    """
    costs = {run["model"]: (run["wall_seconds"] / 3600, run["steps"]) for run in runs}
    models = [point["model"] for point in measured["points"]]
    hours, steps = (np.cumsum([costs[model][which] for model in models]) for which in (0, 1))
    figure, axes = pyplot.subplots(figsize=(8, 4.4), layout="constrained", facecolor="white")
    figure.set_constrained_layout_pads(w_pad=0.1, h_pad=0.08)
    for label, (anchor, style) in ANCHORS.items():
        rates = [point["bd_rate_percent"][anchor] for point in measured["points"]]
        axes.plot(
            hours, rates, color=style.colour, marker=style.marker, linewidth=2,
            linestyle=(0, style.dashes) if style.dashes else "-", label=label,
        )  # fmt: skip
        for hour, rate in zip(hours, rates, strict=True):
            axes.annotate(f"{rate:+.1f} %", (hour, rate), (0, 8), textcoords="offset points", ha="center", fontsize=10)
    axes.axhline(0, color="#888888", linewidth=1)
    axes.annotate(
        "as small as the other's", (0.02, 0), (4, 4), textcoords="offset points", fontsize=10, color="#555555"
    )
    axes.set_xlim(0, hours[-1] * 1.12)
    axes.set_ylim(-8, 1.2 * max(point["bd_rate_percent"][anchor] for point in measured["points"]))
    axes.set_xticks(
        hours,
        [
            f"{model.removeprefix('photo-codec-')}\n{hour:.1f} h\n{step:,} steps"
            for model, hour, step in zip(models, hours, steps, strict=True)
        ],
    )
    axes.set_xlabel("photo-codec-..., and its training so far in hours of one thread of a busy CPU", fontsize=12)
    axes.set_ylabel("BD-rate (PSNR) in %,\nlower is smaller files", fontsize=12)
    axes.tick_params(axis="x", labelsize=9)
    axes.grid(color="#dddddd", linewidth=0.8, axis="y")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper right", fontsize=11, framealpha=1.0, edgecolor="#dddddd")
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, dpi=150)
    pyplot.close(figure)


def main() -> None:
    """Draw every picture whose figures were measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks" / "results" / "codec.json")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    options = parser.parse_args()
    result = json.loads(options.json.read_text())
    published = json.loads((ROOT / "benchmarks" / "published" / "kodak.json").read_text())
    note = f"{result['photos']} Kodak photos, {result['model']['name']}, measured {result['date']}"
    for stem, plot in PLOTS.items():
        lines = curves(plot, result, published)
        if "Latent Studio" not in lines:
            print(f"{options.json} has no {plot.figure}: {stem}.png is not drawn")
            continue
        draw(plot, lines, note, options.out / f"{stem}.png")
        print(f"Written to {options.out / f'{stem}.png'}")
    results = ROOT / "benchmarks" / "results"
    measured, runs = (json.loads((results / name).read_text()) for name in ("codec-training.json", "training.json"))
    draw_training(measured, runs, options.out / "codec-training.png")
    print(f"Written to {options.out / 'codec-training.png'}")


if __name__ == "__main__":
    main()
