# ruff: noqa: E402 - the repository comes first on the path, so that the benchmark runs from a checkout
"""How right and how fast: a segmentation model on the test part of its set, and its CPU time beside other networks.

Run `python benchmarks/segmentation.py [--model NAME] [--images N] [--runs 5] [--megapixels 12] [--json FILE]`.
Accuracy is counted over whole pictures at their own size (confusion matrix, objects matched above an IoU of 0.5).
Speed is the CPU time of one thread, best of `--runs`, batch norms as each network's users run them, argmax included.
Rivals carry random weights, so only their speed is measured: U-Net with its published widths (Ronneberger et al. 2015),
and torchvision's two mobile networks where torchvision can be imported. Writes benchmarks/results/segmentation.json.
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
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress as Bars
from rich.table import Table
from torch import Tensor, nn

from engine.evaluation.segmentation import SegmentationReport, measure_segmentation
from engine.image import Picture
from engine.layers.folding import fold_batch_norms
from engine.models.dilated_segmenter import DilatedSegmenter
from engine.models.registry import load_model
from engine.paths import data_roots
from engine.progress import Progress
from engine.segmentation import Segmenter

HEIGHT, WIDTH = 360, 480


class UNet(nn.Module):
    """U-Net with padded convolutions and batch norms, widths 64 to 1024 as published."""

    def __init__(self, classes: int, width: int = 64) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(5)]
        self.down = nn.ModuleList(
            self._pair(before, after) for before, after in zip([3, *widths], widths, strict=False)
        )
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * after, after, 2, 2) for after in reversed(widths[:-1]))
        self.merge = nn.ModuleList(self._pair(2 * after, after) for after in reversed(widths[:-1]))
        self.classifier = nn.Conv2d(width, classes, 1)

    @staticmethod
    def _pair(before: int, after: int) -> nn.Sequential:
        def half(channels: int) -> list[nn.Module]:
            return [nn.Conv2d(channels, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)]

        return nn.Sequential(*half(before), *half(after))

    def forward(self, pictures: Tensor) -> Tensor:
        """(B, 3, H, W), H and W multiples of 16 -> (B, classes, H, W)."""
        skips = []
        features = pictures
        for level, stage in enumerate(self.down):
            features = stage(features if level == 0 else nn.functional.max_pool2d(features, 2))
            skips.append(features)
        skips.pop()
        for enlarge, merge in zip(self.up, self.merge, strict=True):
            features = merge(torch.cat([skips.pop(), enlarge(features)], dim=1))
        return self.classifier(features)


def rivals(classes: int) -> dict[str, tuple[nn.Module, Callable[[nn.Module, Tensor], Tensor]]]:
    """Name -> network and how to call it; the torchvision ones only where the package can be imported."""
    made: dict[str, tuple[nn.Module, Callable[[nn.Module, Tensor], Tensor]]] = {
        "U-Net, widths 64-1024": (fold_batch_norms(UNet(classes)), lambda net, x: net(x)),
        "U-Net, widths 16-256": (fold_batch_norms(UNet(classes, 16)), lambda net, x: net(x)),
    }
    try:
        zoo = import_module("torchvision.models.segmentation")
    except (ImportError, RuntimeError) as error:
        # A torchvision built for another torch fails with a RuntimeError while registering its operators.
        print(f"torchvision's networks are left out: {str(error).splitlines()[0]}")
        return made
    for name in ("lraspp_mobilenet_v3_large", "deeplabv3_mobilenet_v3_large"):
        network = getattr(zoo, name)(weights=None, weights_backbone=None, num_classes=classes).eval()
        made[f"torchvision {name}"] = (network, lambda net, x: net(x)["out"])
    return made


def cpu_seconds(call: Callable[[], object], runs: int) -> float:
    """CPU time of the fastest of `runs` calls after one to warm up."""
    call()
    best = float("inf")
    for _ in range(runs):
        started = time.process_time()
        call()
        best = min(best, time.process_time() - started)
    return best


def measure_speed(model: str, runs: int) -> list[dict[str, float | str]]:
    """CPU milliseconds of one 480x360 picture, logits to class numbers, for our network and the rivals."""
    network = load_model(model).network
    assert isinstance(network, DilatedSegmenter)
    torch.manual_seed(0)
    picture = torch.rand(1, 3, HEIGHT, WIDTH).contiguous(memory_format=torch.channels_last)
    # U-Net needs sides that 16 divides: 368 instead of 360 rows.
    padded = torch.rand(1, 3, 368, WIDTH).contiguous(memory_format=torch.channels_last)
    ours = network.folded().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    entries: dict[str, tuple[nn.Module, Callable[[nn.Module, Tensor], Tensor]]] = {
        model: (ours, lambda net, x: net(x)),
        **rivals(network.config.class_count),
    }
    rows: list[dict[str, float | str]] = []
    with torch.inference_mode():
        for name, (net, call) in entries.items():
            net = net.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            given = padded if name.startswith("U-Net") else picture
            seconds = cpu_seconds(lambda net=net, call=call, given=given: call(net, given).argmax(1), runs)
            parameters = sum(value.numel() for value in net.parameters())
            rows.append({"network": name, "parameters": parameters, "cpu_ms": round(1000 * seconds, 1)})
    for row in rows:
        row["ratio"] = round(float(row["cpu_ms"]) / float(rows[0]["cpu_ms"]), 2)
    return rows


def measure_large(model: str, megapixels: float) -> dict[str, float]:
    """CPU seconds of a large picture, tiles, objects and areas included, and the memory that it took."""
    segmenter = Segmenter.load(model)
    height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
    width = round(height * 4 / 3)
    rows, columns = np.mgrid[:height, :width]
    grey = (90 + 80 * np.sin(rows / 9) * np.sin(columns / 11)).astype(np.uint8)
    picture = Picture(np.repeat(grey[..., None], 3, axis=2))
    del rows, columns
    before = _resident_mb()
    started, wall = time.process_time(), time.perf_counter()
    result = segmenter.segment(picture)
    segmented = time.process_time() - started
    result.areas()
    return {
        "megapixels": round(height * width / 1e6, 2),
        "segment_cpu_s": round(segmented, 2),
        "areas_cpu_s": round(time.process_time() - started - segmented, 2),
        "wall_s": round(time.perf_counter() - wall, 2),
        "resident_before_mb": round(before),
        "peak_mb": round(_peak_mb()),
    }


def _resident_mb() -> float:
    for line in _status():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return float("nan")


def _peak_mb() -> float:
    for line in _status():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return float("nan")


def _status() -> list[str]:
    """Linux tells the memory of a process in a file; elsewhere these figures stay empty."""
    status = Path("/proc/self/status")
    return status.read_text().splitlines() if status.exists() else []


def print_report(console: Console, report: SegmentationReport, speed: list[dict], large: dict[str, float]) -> None:
    """Three tables: figures, confusion and speed."""
    table = Table(title=f"Accuracy on {report.data}, {report.pictures} pictures")
    table.add_column("figure")
    table.add_column("value", justify="right")
    for figure in report.figures():
        table.add_row(figure.name, f"{figure.value:.4f}")
    console.print(table)
    names = [entry.name for entry in report.classes]
    confusion = Table(title="Confusion, % of the true class's pixels")
    confusion.add_column("true \\ predicted")
    for name in names:
        confusion.add_column(name, justify="right")
    for name, row in zip(names, report.confusion.counts, strict=True):
        confusion.add_row(name, *(f"{100 * value / max(1, row.sum()):.2f}" for value in row))
    console.print(confusion)
    times = Table(title=f"CPU time of one thread, {WIDTH}x{HEIGHT}, argmax included")
    for column in ("network", "parameters", "ms", "ratio to ours"):
        times.add_column(column, justify="left" if column == "network" else "right")
    for row in speed:
        times.add_row(str(row["network"]), f"{row['parameters']:,}", f"{row['cpu_ms']:.1f}", f"{row['ratio']:.2f}")
    console.print(times)
    console.print(
        f"{large['megapixels']} megapixels: {large['segment_cpu_s']} CPU s in tiles,"
        f" {1000 * large['segment_cpu_s'] / large['megapixels']:.0f} ms a megapixel,"
        f" areas {large['areas_cpu_s']} s more;"
        f" memory {large['resident_before_mb']:.0f} MB before, {large['peak_mb']:.0f} MB at the peak"
    )


def main() -> None:
    """Measure, print, write the result file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--model", default="nuclei-segmenter")
    parser.add_argument("--data", default=None, help="set to measure on; the model's own by default")
    parser.add_argument("--split", default=None, choices=("train", "validation", "test"))
    parser.add_argument("--images", type=int, default=None, help="at most this many pictures")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--megapixels", type=float, default=12.0)
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks" / "results" / "segmentation.json")
    options = parser.parse_args()
    torch.set_num_threads(1)
    # Memory first: the peak is that of the process, and the rivals take more.
    large = measure_large(options.model, options.megapixels)
    with Bars() as bars:
        task = bars.add_task("Measuring accuracy", total=None)

        def show(progress: Progress) -> None:
            bars.update(task, completed=progress.done, total=progress.total)

        report = measure_segmentation(
            options.model, data_roots(), data=options.data, split=options.split, limit=options.images, progress=show
        )
    speed = measure_speed(options.model, options.runs)
    print_report(Console(), report, speed, large)
    result = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, one thread used",
        "load": list(os.getloadavg()) if hasattr(os, "getloadavg") else [],
        "torch": torch.__version__,
        "model": options.model,
        "weights_sha256": load_model(options.model).card.weights_sha256,
        "data": report.data,
        "pictures": report.pictures,
        "figures": {figure.name: figure.value for figure in report.figures()},
        "confusion": report.confusion.counts.tolist(),
        "speed_480x360": speed,
        "large_picture": large,
    }
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(result, indent=1) + "\n")
    print(f"Written to {options.json}")


if __name__ == "__main__":
    main()
