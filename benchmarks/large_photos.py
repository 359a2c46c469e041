# ruff: noqa: E402 - the repository comes first on the path, so that the benchmark runs from a checkout
"""How soon the window shows what is in view of a photo of 24 megapixels, before the whole is compressed or decoded.

Run `python benchmarks/large_photos.py [--size 6000x4000] [--runs 3] [--json FILE]`. The whole window runs offscreen,
1280 x 800 pixels large, with the shipped codec. A mosaic of the Kodak photos is opened and shown at 100 %; then

- the quality is dragged and let go: the seconds until the visible part is compressed at the new quality and shown;
- the compressed file is opened and shown at 100 %, while it is decoded: the seconds until what is in view is sharp.

The best of `--runs` counts, because other work on the machine only ever adds time. Writes
benchmarks/results/large_photos.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.codec_speed import mosaic, photos
from benchmarks.responsiveness import Heart, User

if TYPE_CHECKING:
    from gui.pages.compress_page import CompressPage

BAR_S = 1.0
QUALITIES = (30.0, 45.0, 60.0, 75.0)


def after_a_drag(user: User, page: CompressPage, quality: float) -> dict[str, float]:
    """Let the slider go at a quality; seconds until the visible part is shown, and until the whole is."""
    from gui.controllers.compress_settings import RIGHT

    controller = page.controller
    controller.set_dragging(True)
    for step in range(5):
        controller.set_quality(quality + step - 4, RIGHT)
        user.pause(16)
    controller.set_dragging(False)
    started = time.perf_counter()
    user.until("the visible part", lambda: controller.state.right.part is not None)
    part = controller.state.right.part
    assert part is not None and part.wish == controller.state.right.wish
    shown = time.perf_counter() - started
    user.until("the whole photo", lambda: controller.state.current)
    return {"visible_s": shown, "whole_s": time.perf_counter() - started, "megapixels": _megapixels(part.box)}


def while_decoding(user: User, page: CompressPage, file: Path) -> dict[str, float]:
    """Open a file and go to 100 %; seconds from there until what is in view is decoded, and from opening to the end."""
    controller, transform = page.controller, page.view.transform
    user.window.open_paths([file])
    opened = time.perf_counter()
    user.until("the preview", lambda: controller.state.file is not None and page.view.right is not None)
    preview = time.perf_counter() - opened
    transform.actual_size()
    started = time.perf_counter()
    user.until("what is in view", lambda: controller.state.file_part is not None)
    part = controller.state.file_part
    assert part is not None
    shown = time.perf_counter() - started
    user.until("the whole file", lambda: controller.state.file is not None and controller.state.file.complete)
    whole = time.perf_counter() - opened
    return {"preview_s": preview, "visible_s": shown, "whole_s": whole, "megapixels": _megapixels(part.box)}


def _megapixels(box: Any) -> float:
    return box.width * box.height / 1e6


def measure(user: User, folder: Path, width: int, height: int, runs: int) -> dict[str, list[dict[str, float]]]:
    """All runs of both."""
    from PIL import Image

    from gui.controllers.compress_settings import RIGHT

    page: CompressPage = user.window.pages["compress"]
    photo, file = folder / "large.png", folder / "large.lsi"
    Image.fromarray(mosaic(photos(), width, height)).save(photo, compress_level=1)
    user.open(photo)
    user.until("the photo", lambda: page.controller.state.current)
    page.view.transform.actual_size()
    drags = [after_a_drag(user, page, QUALITIES[run % len(QUALITIES)]) for run in range(runs)]
    page.controller.set_quality(50.0, RIGHT)
    user.until("quality 50", lambda: page.controller.state.current)
    page.controller.save_file(file)
    user.until("the file", lambda: file.is_file())
    files = []
    for _ in range(runs):
        user.open(photo)  # so that another picture is on show
        files.append(while_decoding(user, page, file))
    return {"after a drag": drags, "while decoding": files}


def run(width: int, height: int, runs: int) -> dict[str, list[dict[str, float]]]:
    """Start the window, measure, close it."""
    from PySide6.QtCore import QTimer
    from PySide6.QtWidgets import QApplication

    from gui.main_window import MainWindow
    from gui.services.context import Services

    application = QApplication(sys.argv[:1])
    services = Services.create()
    services.theme.apply()
    window = MainWindow(services)
    window.resize(1280, 800)
    heart = Heart()
    user = User(window, heart)
    found: dict[str, list[dict[str, float]]] = {}
    failure: list[BaseException] = []

    def work() -> None:
        try:
            user.until("the engine", lambda: services.host.state == "ready")
            user.until_quiet()
            with tempfile.TemporaryDirectory() as folder:
                found.update(measure(user, Path(folder), width, height, runs))
        except BaseException as error:
            failure.append(error)
        finally:
            heart.stop()
            window.close_without_asking()

    begun = iter([True])
    window.page_shown.connect(lambda _: QTimer.singleShot(0, work) if next(begun, False) else None)
    window.show()
    application.exec()
    if failure:
        raise failure[0]
    return found


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="6000x4000")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks" / "results" / "large_photos.json")
    options = parser.parse_args()
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    with tempfile.TemporaryDirectory() as home:
        for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME"):
            os.environ[name] = home
        load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
        width, height = map(int, options.size.split("x"))
        found = run(width, height, options.runs)
    print(f"{options.size}, window of 1280x800, load before {load}")
    for name, rows in found.items():
        best = min(rows, key=lambda row: row["visible_s"])
        figures = ", ".join(f"{key} {value:.2f}" for key, value in best.items())
        print(f"{name}: {figures} (visible_s wanted: {BAR_S:g}; all: {[round(row['visible_s'], 2) for row in rows]})")
    result = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "load_before": load,
        "size": options.size,
        "bar_s": BAR_S,
        "runs": found,
    }
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
