# ruff: noqa: E402 - the repository comes first on the path, so that the benchmark runs from a checkout
"""How much faster a batch is in two processes than in one, and what ten thousand files cost to list.

Run `python benchmarks/batch.py [--photos 24] [--size 768x512] [--runs 3] [--json FILE]`. The photos are shifted copies
of the samples. Both batches work in processes with one thread each, so that they differ in nothing but their number;
the clock runs from the first file that is begun to the last that is finished, without the seconds in which the
processes load. The best of `--runs` counts, and holds for a quiet machine with two cores or more.

Writes benchmarks/results/batch.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from engine.batch.journal import journal_path
from engine.batch.plan import PORTION, Row, list_rows, plan_tasks
from engine.batch.reports import RowReport
from engine.batch.runner import BatchRunner, prepare
from engine.batch.settings import BatchSettings
from engine.batch.workers import Processes
from engine.image import PICTURE_SUFFIXES, open_picture
from engine.paths import resources

JOBS = (1, 2)
LISTED = 10_000


def write_photos(folder: Path, count: int, width: int, height: int) -> None:
    """Photos of that size, no two the same."""
    samples = sorted((resources() / "samples" / "photos").glob("*.jpg"))
    for number in range(count):
        pixels = open_picture(samples[number % len(samples)]).pixels
        image = Image.fromarray(np.roll(pixels, 7 * number, axis=(0, 1))).resize((width, height))
        folder.mkdir(parents=True, exist_ok=True)
        image.save(folder / f"{number:04}.png")


def seconds_of(folder: Path, jobs: int, settings: BatchSettings) -> float:
    """From the first file begun to the last finished."""
    rows = [row for portion in list_rows([folder], PICTURE_SUFFIXES) for row in portion]
    prepared = prepare(rows, settings, existing="replace", journal=journal_path(settings.folder))
    begun, last = [], 0.0

    def report(reports: list[RowReport]) -> None:
        nonlocal last
        last = time.perf_counter()
        begun.extend(last for one in reports if one.state == "running")

    workers = Processes(settings, jobs, "cpu", 1)
    workers.start()
    while len(workers.idle()) < jobs:
        workers.events(1.0)
    workers.start = lambda: None  # they run already
    totals = BatchRunner(prepared, settings, workers=workers, report=report).run()
    assert totals.finished == len(rows), [one.problem for one in totals.reports() if one.problem]
    return last - begun[0]


def listing(folder: Path) -> dict[str, float]:
    """What listing and planning ten thousand files takes."""
    for place in range(LISTED // 500):
        (folder / f"{place:03}").mkdir(parents=True)
        for number in range(500):
            (folder / f"{place:03}" / f"{number:03}.jpg").touch()
    tracemalloc.start()
    kept = list(list_rows([folder], PICTURE_SUFFIXES))
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()  # it makes everything several times as slow
    del kept
    started = portion_started = time.perf_counter()
    rows: list[Row] = []
    longest = 0.0
    for portion in list_rows([folder], PICTURE_SUFFIXES):
        longest = max(longest, time.perf_counter() - portion_started)
        rows += portion
        portion_started = time.perf_counter()
    listed = time.perf_counter() - started
    started = time.perf_counter()
    plan_tasks(rows, BatchSettings(folder=folder / "out"), "number")
    planned = time.perf_counter() - started
    assert len(rows) == LISTED
    return {
        "files": LISTED, "seconds": listed, "longest_portion_ms": 1000 * longest, "portion": PORTION,
        "held_mb": held / 1e6, "peak_mb": peak / 1e6, "seconds_plan": planned,
    }  # fmt: skip


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=24)
    parser.add_argument("--size", default="768x512")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks" / "results" / "batch.json")
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_photos(folder / "in", options.photos, width, height)
        best: dict[int, float] = {}
        for _ in range(options.runs):
            for jobs in JOBS:
                settings = BatchSettings(folder=folder / f"out-{jobs}")
                best[jobs] = min(best.get(jobs, float("inf")), seconds_of(folder / "in", jobs, settings))
        listed = listing(folder / "many")
    ratio = best[1] / best[2]
    shown = Table(
        "jobs", "seconds", "files/s", title=f"{options.photos} photos of {options.size}", title_justify="left"
    )
    for jobs, seconds in best.items():
        shown.add_row(str(jobs), f"{seconds:.2f}", f"{options.photos / seconds:.2f}")
    console = Console(highlight=False)
    console.print(shown)
    console.print(f"Two processes do {ratio:.2f} times as much as one (wanted: 1.7). Load {os.getloadavg()}.")
    console.print(
        f"{LISTED:,} files listed in {listed['seconds']:.2f} s, no portion later than "
        f"{listed['longest_portion_ms']:.0f} ms, {listed['held_mb']:.1f} MB held; "
        f"named in {listed['seconds_plan']:.2f} s."
    )
    result = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"), "machine": platform.processor() or platform.machine(),
        "cores": os.cpu_count(), "load": os.getloadavg(), "photos": options.photos, "size": options.size,
        "seconds": {str(jobs): seconds for jobs, seconds in best.items()}, "ratio": ratio, "listing": listed,
    }  # fmt: skip
    options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
