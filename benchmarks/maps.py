# ruff: noqa: E402 - the repository comes first on the path, so that the benchmark runs from a checkout
"""Maps of 10,000 MNIST test digits by their first 32 principal components: seconds and quality of every method.

Run `python benchmarks/maps.py [--threads N] [--points N] [--repeats N] [--json FILE]`. All run in this one run, rivals
where they are installed (`pip install pacmap umap-learn openTSNE`): PCA and PaCMAP are ours, "pacmap" is the authors'
package, t-SNE and UMAP are drawn as the program draws them, in a process of their own, its start and UMAP's compiling
included. Seconds are the best of the repeats once warm; slow methods run once. Trustworthiness and the accuracy of the
10 nearest neighbours are taken over all points. Writes benchmarks/results/maps.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np
import torch

from engine.data import DataSettings, open_data
from engine.latent.clusters import hdbscan, k_means, silhouette
from engine.latent.map_quality import NEIGHBOURS, map_quality
from engine.latent.maps import make_map, map_methods
from engine.latent.principal import principal_components

COMPONENTS = 32
SLOW = ("tsne", "umap")


def digits(count: int) -> tuple[np.ndarray, np.ndarray]:
    """The first principal components (N, 32) of MNIST test pictures, and their classes."""
    data = open_data(DataSettings(set="mnist", split="test", limit=count))
    batch = data.batch(np.arange(len(data)), np.random.default_rng(0), augment=False)
    assert batch.labels is not None
    flat = batch.images.flatten(1).numpy()
    return principal_components(flat, COMPONENTS).project(flat), batch.labels[:, 0].numpy()


def rival_pacmap(points: np.ndarray) -> np.ndarray:
    """The authors' own package."""
    from pacmap import PaCMAP

    return PaCMAP(n_components=2, random_state=0).fit_transform(points)


def seconds(work: Callable[[], np.ndarray], repeats: int) -> tuple[float, float, np.ndarray]:
    """The first time, the best one after it (the first where there is no other), and the result."""
    taken = []
    result = np.zeros(0)
    for _ in range(repeats):
        begun = time.perf_counter()
        result = work()
        taken.append(time.perf_counter() - begun)
    return taken[0], min(taken[1:] or taken), result


def main() -> None:
    """Run every method, print a line each, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--points", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--without", action="append", default=[], help="a method to leave out; repeatable")
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks" / "results" / "maps.json")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    points, classes = digits(options.points)
    print(f"{len(points)} points of {points.shape[1]} dimensions, {options.threads} threads, load {os.getloadavg()}")

    works: dict[str, Callable[[], np.ndarray]] = {
        one.key: lambda key=one.key: make_map(points, key) for one in map_methods() if one.installed
    }
    if find_spec("pacmap") is not None:
        works["pacmap package"] = lambda: rival_pacmap(points)
    rows = []
    for name, work in works.items():
        if name in options.without:
            continue
        first, best, positions = seconds(work, 1 if name in SLOW else options.repeats)
        quality = map_quality(points, positions, classes)
        row = {
            "method": name,
            "first_seconds": round(first, 3),
            "seconds": round(best, 3),
            "neighbour_accuracy": round(quality.neighbour_accuracy or 0.0, 4),
            "trustworthiness": round(quality.trustworthiness, 4),
        }
        rows.append(row)
        print(", ".join(f"{key} {value}" for key, value in row.items()), flush=True)
    ours = next((row["seconds"] for row in rows if row["method"] == "pacmap"), None)
    for row in rows:
        row["times_our_pacmap"] = None if ours is None else round(row["seconds"] / ours, 2)
    clusters = cluster_seconds(points)
    result = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": {"processor": platform.machine(), "cores": os.cpu_count(), "load": os.getloadavg()},
        "threads": options.threads,
        "versions": {
            name: version(name)
            for name in ("torch", "scikit-learn", "pacmap", "umap-learn", "openTSNE")
            if find_spec({"scikit-learn": "sklearn", "umap-learn": "umap"}.get(name, name)) is not None
        },
        "data": f"MNIST test, PCA-{COMPONENTS}",
        "points": len(points),
        "neighbours": NEIGHBOURS,
        "maps": rows,
        "clusters": clusters,
    }
    options.json.write_text(json.dumps(result, indent=1) + "\n")
    print(f"Written to {options.json}")


def cluster_seconds(points: np.ndarray) -> dict[str, float]:
    """Seconds of the analyses beside the map: K-means and silhouettes in 32 dimensions, HDBSCAN on a map."""
    _, means_seconds, labels = seconds(lambda: k_means(points, 10).labels, 2)
    _, sampled_seconds, _ = seconds(lambda: np.array(silhouette(points, labels).total), 2)
    positions = make_map(points, "pca")
    _, density_seconds, _ = seconds(lambda: hdbscan(positions).labels, 1)
    found = {
        "k-means, 10 clusters": round(means_seconds, 2),
        "silhouette, 2,000 sampled": round(sampled_seconds, 2),
        "HDBSCAN on the PCA map, its process's start included": round(density_seconds, 2),
    }
    print(found)
    return found


if __name__ == "__main__":
    main()
