"""Slider to picture: how long one decode takes, the flow included. Prints percentiles and writes results/latency.json.

    python benchmarks/latency.py [MODEL...] [--threads 2] [--repeats 200]

Without models all generative ones at hand are measured. The bar: 64x64 in style space under 33 ms at the median on two
threads.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from engine.latent import LatentExplorer  # noqa: E402
from engine.models.registry import list_models  # noqa: E402

FAMILIES = ("conditional-vae", "autoencoder")
WARM_UP = 20


def measure(explorer: LatentExplorer, space: str, repeats: int) -> dict[str, float]:
    """Milliseconds from slider values to the uint8 picture: p50, p95, p99 and the best. Raw includes the lamp."""
    choice = {attribute.name: attribute.values[0] for attribute in explorer.attributes}
    rng = np.random.default_rng(0)
    seconds = []
    for repeat in range(WARM_UP + repeats):
        values = rng.standard_normal(explorer.latent_size).astype(np.float32)
        start = time.perf_counter()
        explorer.decode(space, values, choice)
        if space == "raw":
            explorer.off_data(values, choice)
        if repeat >= WARM_UP:
            seconds.append(time.perf_counter() - start)
    milliseconds = np.array(seconds) * 1e3
    p50, p95, p99 = np.percentile(milliseconds, [50, 95, 99])
    figures = {"p50": float(p50), "p95": float(p95), "p99": float(p99), "best": float(milliseconds.min())}
    return {name: round(value, 3) for name, value in figures.items()}


def processor() -> str:
    """The processor's name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description="Slider to picture, in milliseconds")
    parser.add_argument("models", nargs="*")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "latency.json")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    names = options.models or [card.name for family in FAMILIES for card in list_models(family)]
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    rows = []
    print(f"{'model':<20}{'size':>6}{'space':>8}{'p50 ms':>9}{'p95 ms':>9}{'p99 ms':>9}{'best ms':>9}")
    for name in names:
        explorer = LatentExplorer.load(name, torch.device("cpu"))
        for space in explorer.spaces:
            row = measure(explorer, space, options.repeats)
            rows.append({"model": explorer.card.name, "size": explorer.image_size, "space": space, **row})
            figures = "".join(f"{row[key]:>9.2f}" for key in ("p50", "p95", "p99", "best"))
            print(f"{explorer.card.name:<20}{explorer.image_size:>6}{space:>8}{figures}")
    print(f"{options.threads} threads, {os.cpu_count()} cores, load before {load}, torch {torch.__version__}")
    result = {
        "benchmark": "slider to picture, milliseconds",
        "rows": rows,
        "threads": options.threads,
        "repeats": options.repeats,
        "load_before": load,
        "machine": {"processor": processor(), "cores": os.cpu_count()},
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
