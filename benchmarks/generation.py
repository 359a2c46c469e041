# ruff: noqa: E402 - the repository comes first on the path, so that the benchmark runs from a checkout
"""How good and how fast the generators are: samples beside floors, ceilings and the plain prior, and against our bars.

Run `python benchmarks/generation.py [--model NAME ...] [--runs 5] [--threads 2] [--json FILE]`. A judge is trained on
real pictures of each set only (minutes), then samples, reconstructions, training pictures and samples with z from
N(0, I) are measured in its features, all draws seeded. Times are wall time, best of `--runs` after a call to warm up.
Writes benchmarks/results/generation.json; models that were not asked for keep their entries there.
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
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import torch
from rich.console import Console
from rich.progress import Progress as Bars
from rich.table import Table

from engine.data import DataSettings, open_data
from engine.errors import LatentStudioError
from engine.evaluation.generative import MOST_PICTURES, SEED, generative_judge, measure_vae
from engine.generation import Generator
from engine.models.registry import load_model, resolve_model
from engine.models.store import hash_weights
from engine.paths import data_roots
from engine.progress import Progress
from engine.training import load_recipe

MODELS = ("digits-cvae", "clothes-cvae", "fruits-cvae", "faces-cvae")
LARGEST_MB = 16.0
SAMPLES = 16


@dataclass(frozen=True)
class Row:
    """A figure of a model with what it must and should reach; `at_least` says in which direction."""

    name: str
    value: float
    must: float
    goal: float
    at_least: bool
    unit: str = ""

    @property
    def verdict(self) -> str:
        def reached(bar: float) -> bool:
            return self.value >= bar if self.at_least else self.value <= bar

        return "goal" if reached(self.goal) else "must" if reached(self.must) else "missed"


def quality_rows(model: str, figures: dict[str, float]) -> list[Row]:
    """The issue's bars that a model's figures are held against."""
    fid = (
        figures["feature Fréchet distance of samples"] / figures["feature Fréchet distance, train against test (floor)"]
    )
    rows: dict[str, Callable[[], list[Row]]] = {
        "digits-cvae": lambda: [
            Row("class accuracy", figures["class accuracy of samples"], 0.99, 0.995, True),
            Row(
                "class accuracy, guidance 1.5",
                figures["class accuracy of samples with guidance 1.5"],
                0.99,
                0.995,
                True,
            ),
            Row("Fréchet distance / floor", fid, 1.5, 1.2, False),
        ],
        "clothes-cvae": lambda: [
            Row("class accuracy", figures["class accuracy of samples"], 0.91, 0.94, True),
            Row(
                "class accuracy, guidance 1.5", figures["class accuracy of samples with guidance 1.5"], 0.91, 0.94, True
            ),
            Row("Fréchet distance / floor", fid, 2.0, 1.2, False),
        ],
        "fruits-cvae": lambda: [
            Row("class accuracy", figures["class accuracy of samples"], 0.98, 0.99, True),
            Row(
                "class accuracy, guidance 1.5", figures["class accuracy of samples with guidance 1.5"], 0.98, 0.99, True
            ),
            Row("KID / floor", kid_ratio(figures), 2.0, 1.5, False),
            Row("sharpness off real by", abs(1 - figures["sharpness of samples, real pictures 1"]), 0.15, 0.15, False),
        ],
        "faces-cvae": lambda: [
            Row(f"{name} accuracy", value, 0.95, 0.99, True) for name, value in attribute_accuracies(figures).items()
        ],
    }
    return rows[model]() if model in rows else []


def kid_ratio(figures: dict[str, float]) -> float:
    """KID of samples over the floor; a floor that is lost in its own error counts as that error."""
    floor = figures["feature KID, train against test (floor)"]
    error = figures["feature KID, train against test (floor), standard error"]
    return figures["feature KID of samples"] / max(floor, error)


def attribute_accuracies(figures: dict[str, float]) -> dict[str, float]:
    """Accuracy of samples by attribute, of models that have several."""
    end = " accuracy of samples"
    return {
        name.removesuffix(end): value
        for name, value in figures.items()
        if name.endswith(end) and not name.startswith("mean attribute")
    }


def speed_rows(model: str, runs: int, threads: int) -> list[Row]:
    """Size of the file and seconds of a decode and of 16 samples, as the page draws them."""
    generator = Generator.load(model, torch.device("cpu"))
    network, side = generator.network, generator.image_size[0]
    labels = torch.zeros(1, len(network.config.attribute_sizes), dtype=torch.int64)
    z = torch.zeros(1, network.config.latent_size)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.inference_mode():
            decode = best_of(runs, lambda: network.decode(z, labels), repeats=10)

            def draw() -> None:
                for _ in range(SAMPLES):
                    network.decode(network.style_to_latent(z, labels), labels)

            samples = best_of(runs, draw)
    finally:
        torch.set_num_threads(before)
    bar = 50.0 if side > 64 else 16.0
    megabytes = resolve_model(model).stat().st_size / 1e6
    return [
        Row(f"decode of one {side}x{side} sample", 1000 * decode, bar, bar, False, "ms"),
        Row(f"{SAMPLES} samples with the flow", samples, 0.6, 0.6, False, "s"),
        Row("file", megabytes, LARGEST_MB, LARGEST_MB, False, "MB"),
    ]


def best_of(runs: int, call: Callable[[], object], repeats: int = 1) -> float:
    """Shortest mean wall time of `repeats` calls in a row, in seconds, after one call to warm up."""
    call()
    shortest = float("inf")
    for _ in range(runs):
        started = time.perf_counter()
        for _ in range(repeats):
            call()
        shortest = min(shortest, (time.perf_counter() - started) / repeats)
    return shortest


def measure(model: str, runs: int, threads: int, bars: Bars) -> dict:
    """Everything about one model, ready for JSON."""
    loaded = load_model(model)
    card = loaded.card
    settings = load_recipe(card.recipe).data
    chosen = DataSettings(set=settings.set, size=settings.size, channels=settings.channels)
    train = open_data(chosen, data_roots())
    test = open_data(chosen.model_copy(update={"split": "test", "limit": MOST_PICTURES}), data_roots())
    task = bars.add_task(model, total=None)

    def show(progress: Progress) -> None:
        bars.update(
            task, completed=progress.done, total=progress.total or None, description=f"{model}: {progress.message}"
        )

    judge = generative_judge(train, loaded.network.config.image_size, loaded.network.config.channels, progress=show)
    started = time.process_time()
    figures = measure_vae(loaded.network, train, test, judge=judge, progress=show)
    bars.remove_task(task)
    values = {figure.name: figure.value for figure in figures}
    return {
        **surroundings(threads),
        "weights_sha256": card.weights_sha256,
        "judge_sha256": hash_weights(judge.state_dict()),
        "seed": SEED,
        "data": figures[0].data,
        "cpu_s": round(time.process_time() - started),
        "figures": values,
        "bars": [{**asdict(row), "verdict": row.verdict} for row in quality_rows(model, values)],
        "speed": [{**asdict(row), "verdict": row.verdict} for row in speed_rows(model, runs, threads)],
    }


def surroundings(threads: int) -> dict:
    """Where and when a figure was measured."""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {threads} threads for times",
        "load": list(os.getloadavg()) if hasattr(os, "getloadavg") else [],
        "torch": torch.__version__,
    }


# Columns of the table of figures: name, and how a figure of that column ends.
COLUMNS = {
    "samples": ("of samples", "of samples, real pictures 1"),
    "guidance 1.5": ("of samples with guidance 1.5", "of samples with guidance 1.5, real pictures 1"),
    "z from N(0, I)": ("with z from N(0, I)", "with z from N(0, I), real pictures 1"),
    "reconstructions": ("of reconstructions", "of reconstructions, real pictures 1"),
    "real": ("of real pictures (ceiling)", "train against test (floor)"),
}


def print_model(console: Console, model: str, result: dict) -> None:
    """Three tables: figures side by side, figures that stand alone, and the bars."""
    cells: dict[str, dict[str, float]] = {}
    alone: dict[str, float] = {}
    for name, value in result["figures"].items():
        for column, ends in COLUMNS.items():
            end = next((end for end in ends if name.endswith(end)), None)
            if end is not None:
                cells.setdefault(name.removesuffix(end).rstrip(" ,"), {})[column] = value
                break
        else:
            alone[name] = value
    table = Table(title=f"{model}, {result['data']}")
    table.add_column("figure")
    for column in COLUMNS:
        table.add_column(column, justify="right")
    for name, row in cells.items():
        table.add_row(name, *(f"{row[column]:.4g}" if column in row else "" for column in COLUMNS))
    console.print(table)
    others = Table("figure", "value")
    for name, value in alone.items():
        others.add_row(name, f"{value:.4g}")
    console.print(others)
    bars = Table(title=f"{model} against its bars")
    for column in ("", "measured", "must", "goal", "reached"):
        bars.add_column(column, justify="left" if column in ("", "reached") else "right")
    for row in [*result["bars"], *result["speed"]]:
        sign = "≥" if row["at_least"] else "≤"
        bounds = (f"{sign} {row[key]:g} {row['unit']}".strip() for key in ("must", "goal"))
        bars.add_row(row["name"], f"{row['value']:.4g} {row['unit']}".strip(), *bounds, row["verdict"])
    console.print(bars)


def main() -> None:
    """Measure, print, write the result file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--model", action="append", help="repeatable; all of ours by default")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2, help="for the times; the bars are set for 2")
    parser.add_argument("--speed-only", action="store_true", help="measure the times anew and keep the figures")
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks" / "results" / "generation.json")
    options = parser.parse_args()
    console = Console()
    results: dict[str, dict] = json.loads(options.json.read_text()) if options.json.is_file() else {}
    for model in options.model or MODELS:
        try:
            if options.speed_only and model in results:
                speed = speed_rows(model, options.runs, options.threads)
                results[model]["speed"] = [{**asdict(row), "verdict": row.verdict} for row in speed]
            else:
                with Bars(console=console) as bars:
                    results[model] = measure(model, options.runs, options.threads, bars)
        except LatentStudioError as error:
            console.print(f"{model} is left out: {error}")
            continue
        print_model(console, model, results[model])
        # After every model: a long benchmark that is stopped keeps what it has.
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    console.print(f"Written to {options.json}")


if __name__ == "__main__":
    main()
