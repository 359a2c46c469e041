# ruff: noqa: E402 - the repository comes first on the path, so that the benchmark runs from a checkout
"""The viewer: how soon a picture is there without PyTorch, what memory it takes, and how large its packages are.

Run `python benchmarks/viewer.py [--python PYTHON] [--size WIDTHxHEIGHT] [--threads N] [--runs 5]`. A bundled photo of
that size is compressed by this interpreter; then PYTHON (by default this one, better that of an environment with
nothing but the extra `viewer`) decodes it, each run in a fresh process. The best run counts, because other work on the
machine only ever adds time; `png_cpu_s` is what a run costs in seconds of one core, on a busy machine too. Prints a
table and writes benchmarks/results/viewer.json.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np
from PIL import Image

from engine.compression import DEFAULT_MODEL, EncodeSettings, decode, encode
from engine.image import Picture
from engine.paths import resources

BARS = {"png_s": 2.0, "installed_mb": 200.0}

# Runs in the process that is measured.
PROBE = r"""
import json, sys, time
started, source, threads = float(sys.argv[1]), sys.argv[2], int(sys.argv[3])
from pathlib import Path
import viewer
from engine.compression import inspect
from engine.compression.onnx_codec import open_onnx_codec
data = Path(source).read_bytes()
header = inspect(data)
imported = time.time()
open_onnx_codec(header.model_name, header.model_hash, (), threads)
ready = time.time()
viewer.decode(data, strict=True, threads=threads)
first = time.time()
viewer.decode(data, strict=True, threads=threads)
figures = {
    "imported_s": imported - started, "ready_s": ready - started, "decode_s": first - ready,
    "decode_again_s": time.time() - first,
}
status = Path("/proc/self/status")  # Linux; what getrusage tells would include the process that started this one
if status.exists():
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    figures["peak_memory_mb"] = int(line.split()[1]) * 1024 / 1e6
heavy = {"torch", "pydantic", "PySide6"} & set(sys.modules)
assert not heavy, heavy
print(json.dumps(figures))
"""

# What is installed for the viewer, in bytes by distribution: what its packages need, and what these need.
SIZES = r"""
import json, re, sys
from importlib.metadata import PackageNotFoundError, distribution
sizes, waiting = {}, ["latent-studio", "onnxruntime", "numpy", "pillow", "constriction"]
while waiting:
    name = waiting.pop()
    if name in sizes:
        continue
    try:
        found = distribution(name)
    except PackageNotFoundError:  # needed on other systems only; or a checkout that was never installed
        continue
    files = [file.locate() for file in found.files or ()]
    sizes[name] = sum(file.stat().st_size for file in files if file.is_file())
    for needed in found.requires or ():
        if "extra ==" not in needed:
            waiting.append(re.match(r"[\w.-]+", needed).group().lower())
print(json.dumps(sizes))
"""


def run(python: str, *arguments: str) -> tuple[str, float]:
    """What a process prints, and its seconds from start to end."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    started = time.perf_counter()
    done = subprocess.run(
        [python, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    seconds = time.perf_counter() - started
    if done.returncode != 0:
        raise SystemExit(f"the viewer failed:\n{done.stdout}\n{done.stderr}")
    return done.stdout, seconds


def photo(width: int, height: int) -> Picture:
    """A bundled photo of that size."""
    with Image.open(resources() / "samples" / "photos" / "golden-gate.jpg") as image:
        return Picture(np.ascontiguousarray(image.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)))


def measure(python: str, source: Path, threads: int) -> dict[str, float]:
    """Figures of one run of the command, and of one of the probe."""
    command = ["-m", "viewer", str(source), "--out", str(source.with_suffix(".png")), "--overwrite"]
    before = os.times()
    _, seconds = run(python, *command, "--threads", str(threads))
    after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    printed, _ = run(python, "-c", PROBE, str(time.time()), str(source), str(threads))
    return {"png_s": seconds, "png_cpu_s": used, **json.loads(printed)}


def sizes(python: str) -> dict[str, float]:
    """Megabytes (10^6 bytes) by package, our own among them: as installed, else what the viewer uses of a checkout."""
    found = {name: size / 1e6 for name, size in json.loads(run(python, "-c", SIZES)[0]).items()}
    if "latent-studio" in found:
        return found
    own = [*(ROOT / "engine").rglob("*.py"), *(ROOT / "viewer").rglob("*.py"), *(ROOT / "resources/viewer").iterdir()]
    return {**found, "latent-studio (not installed)": sum(path.stat().st_size for path in own) / 1e6}


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--python", default=sys.executable, help="the interpreter to measure")
    parser.add_argument("--size", default="768x512", metavar="WIDTHxHEIGHT")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "viewer.json")
    arguments = parser.parse_args()
    width, height = map(int, arguments.size.split("x"))
    load_before = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "photo.lsi"
        # The shipped model by its path: one of the user's may have its name.
        model = str(resources() / "models" / f"{DEFAULT_MODEL}.safetensors")
        source.write_bytes(encode(photo(width, height), EncodeSettings(model=model), device="cpu"))
        expected = decode(source.read_bytes(), strict=True, device="cpu").picture.pixels.astype(int)
        runs = [measure(arguments.python, source, arguments.threads) for _ in range(arguments.runs)]
        with Image.open(source.with_suffix(".png")) as image:
            farthest = int(np.abs(np.asarray(image).astype(int) - expected).max())
    best = {name: min(each[name] for each in runs) for name in runs[0]}
    installed = sizes(arguments.python)
    print(f"{width}x{height}, {arguments.threads} threads, load average before: {load_before}")
    print(f"{'':18}{'best':>10}{'worst':>10}{'bar':>10}")
    for name, value in best.items():
        print(f"{name:18}{value:>10.3f}{max(each[name] for each in runs):>10.3f}{BARS.get(name, ''):>10}")
    print(f"farthest pixel from PyTorch's: {farthest} of 255")
    for name, size in sorted(installed.items(), key=lambda item: -item[1]):
        print(f"{name:32}{size:8.1f} MB")
    print(f"{'in all':32}{sum(installed.values()):8.1f} MB (bar {BARS['installed_mb']:.0f})")
    result = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": {"system": platform.platform(), "cores": os.cpu_count(), "python": platform.python_version()},
        "load_before": load_before,
        "size": [width, height],
        "threads": arguments.threads,
        "model": DEFAULT_MODEL,
        "best": best,
        "runs": runs,
        "farthest_pixel": farthest,
        "installed_mb": installed,
        "bars": BARS,
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
