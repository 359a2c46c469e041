"""How fast the window is there: first paint, page, engine, and the gaps of the event loop meanwhile.

Run `python benchmarks/startup.py [--runs 5] [--page compress]`. Every run is a fresh process with fresh settings; the
best run is reported, because other work on the machine only ever adds time. Prints a table and writes
benchmarks/results/startup.json.
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
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BARS = {
    "first_paint_s": 1.0,
    "first_paint_cpu_s": 0.6,
    "engine_after_paint_s": 6.0,
    "gap_page_ms": 100.0,
    "gap_loading_ms": 500.0,
    "gap_use_ms": 100.0,
}

# Runs in the process that is measured. It starts what `gui.application` starts, with a stop watch beside it.
PROBE = r"""
import json, os, resource, sys, time
started = float(sys.argv[1])
page = sys.argv[2]

def cpu():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime

from gui.application import run_window
import gui.main_window as shell
from PySide6.QtCore import QTimer, Qt

figures = {}
original = shell.MainWindow.__init__

def watched(self, services, *rest):
    services.settings.update(page=page)
    original(self, services, *rest)
    beat = QTimer(self)
    beat.setTimerType(Qt.TimerType.PreciseTimer)
    gaps = []
    last = [None]
    phase = ["page"]

    def tick():
        now = time.perf_counter()
        if last[0] is not None:
            gaps.append((phase[0], 1000 * (now - last[0])))
        last[0] = now

    def painted():
        figures["first_paint_s"] = time.time() - started
        figures["first_paint_cpu_s"] = cpu()
        figures["heavy_modules"] = sorted(set(sys.modules) & {"torch", "torchvision", "pyqtgraph", "numpy", "PIL"})
        beat.timeout.connect(tick)
        last[0] = time.perf_counter()
        beat.start(10)

    def shown(key):
        figures.setdefault("page_s", time.time() - started)
        # The first beat after the page was built still belongs to building it.
        QTimer.singleShot(30, lambda: phase.__setitem__(0, "loading"))

    def ready(state, text):
        figures["engine_after_paint_s"] = time.time() - started - figures["first_paint_s"]
        figures["engine"] = text
        # What the page itself then asks of the engine (loading a model) belongs to use, not to the start.
        QTimer.singleShot(30, lambda: phase.__setitem__(0, "use"))
        QTimer.singleShot(3000, finish)

    def finish():
        beat.stop()
        for name in ("page", "loading", "use"):
            own = sorted(gap for place, gap in gaps if place == name)
            if own:
                figures[f"gap_{name}_ms"] = own[-1]
                figures[f"gap_{name}_p99_ms"] = own[int(0.99 * (len(own) - 1))]
                figures[f"gaps_{name}_over_100ms"] = sum(gap > 100 for gap in own)
        self.close_without_asking()

    # The window's own answer to the first paint, building the page, must not count as part of it.
    answer = self._on_first_painted
    self.first_painted.disconnect(answer)
    self.first_painted.connect(painted)
    self.first_painted.connect(answer)
    self.page_shown.connect(shown)
    services.host.state_changed.connect(ready)

shell.MainWindow.__init__ = watched
code = run_window()
figures["exit_code"] = code
print("FIGURES " + json.dumps(figures))
"""


def measure(page: str) -> dict:
    """Figures of one start in a process of its own."""
    import time

    with tempfile.TemporaryDirectory() as home:
        environment = dict(os.environ)
        environment.update(
            {f"XDG_{name}_HOME": f"{home}/{name.lower()}" for name in ("CONFIG", "DATA", "STATE", "CACHE")}
        )
        environment.setdefault("QT_QPA_PLATFORM", "offscreen")
        environment["PYTHONPATH"] = str(ROOT)
        call = [sys.executable, "-c", PROBE, str(time.time()), page]
        done = subprocess.run(call, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)
    line = next((line for line in done.stdout.splitlines() if line.startswith("FIGURES ")), None)
    if line is None:
        raise SystemExit(f"the window did not start:\n{done.stdout}\n{done.stderr}")
    return json.loads(line.removeprefix("FIGURES "))


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--page", default="compress", help="the page that is open at the start")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "startup.json")
    arguments = parser.parse_args()
    load_before = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    runs = [measure(arguments.page) for _ in range(arguments.runs)]
    numbers = [name for name, value in runs[0].items() if isinstance(value, (int, float)) and name != "exit_code"]
    best = {name: min(run[name] for run in runs if name in run) for name in numbers}
    print(f"{'':28}{'best':>10}{'worst':>10}{'bar':>10}")
    for name in numbers:
        worst = max(run[name] for run in runs if name in run)
        print(f"{name:28}{best[name]:>10.3f}{worst:>10.3f}{BARS.get(name, ''):>10}")
    print(f"modules at first paint: {', '.join(runs[0]['heavy_modules']) or 'none of the heavy ones'}")
    print(f"load average before: {load_before}")
    result = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": {"system": platform.platform(), "cores": os.cpu_count(), "python": platform.python_version()},
        "load_before": load_before,
        "page": arguments.page,
        "best": best,
        "runs": runs,
        "bars": BARS,
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
