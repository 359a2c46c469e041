"""Whether the window ever stands still: the longest gaps of its event loop while a person uses every page.

Run `python benchmarks/responsiveness.py`. The whole window runs offscreen with the shipped models and fresh settings;
pages are switched, sliders dragged by the mouse, models changed, a 12-megapixel photo opened, a batch and a training
run started and stopped. A timer of the window's thread beats every 5 ms; what is missing between two beats is a gap.
Beside the longest gap of a flow stands the processor time that the window's thread itself used in it: the rest it
waited for the interpreter's lock or for the processor. Prints a table and writes
benchmarks/results/responsiveness.json.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BAR_MS = 100.0
MANY = 10_000  # files of a folder that is only listed
BEAT_MS = 5
PATIENCE_S = 180.0
QUIET_S = 0.7
BIG_PHOTO = (4000, 3000)

sys.path.insert(0, str(ROOT))


class Heart:
    """Beats on the window's thread and keeps every gap with the flow it fell into."""

    def __init__(self) -> None:
        from PySide6.QtCore import Qt, QTimer

        self.flow = ""
        self.gaps: dict[str, list[tuple[float, float]]] = {}
        self._last: tuple[float, float] | None = None
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._beat)
        self._timer.start(BEAT_MS)

    def _beat(self) -> None:
        now = time.perf_counter(), time.thread_time()
        if self._last is not None and self.flow:
            self.gaps.setdefault(self.flow, []).append((now[0] - self._last[0], now[1] - self._last[1]))
        self._last = now

    def stop(self) -> None:
        self._timer.stop()


class User:
    """Does to the window what a person does, with mouse and keys, and waits as a person waits."""

    def __init__(self, window, heart: Heart) -> None:
        self.window, self.services, self.heart = window, window.services, heart

    @contextmanager
    def flow(self, name: str) -> Iterator[None]:
        """Gaps until the window is quiet again count for `name`."""
        self.heart.flow = name
        started = time.perf_counter()
        yield
        self.until_quiet()
        self.heart.flow = ""
        print(f"  {name}: {time.perf_counter() - started:.1f} s", file=sys.stderr)

    def pause(self, milliseconds: int) -> None:
        """Let the window run."""
        from PySide6.QtCore import QEventLoop, QTimer

        loop = QEventLoop()
        QTimer.singleShot(milliseconds, loop.quit)
        loop.exec()

    def until(self, what: str, true: Callable[[], bool]) -> None:
        """Let the window run until something holds."""
        limit = time.monotonic() + PATIENCE_S
        while not true():
            if time.monotonic() > limit:
                raise SystemExit(f"waited {PATIENCE_S:.0f} s in vain: {what}")
            self.pause(20)

    def until_quiet(self) -> None:
        """Until no request and no job has been open for a moment."""
        host, jobs = self.services.host, self.services.jobs
        since = [time.monotonic()]

        def quiet() -> bool:
            if host.busy or jobs.active or host.state == "loading":
                since[0] = time.monotonic()
            return time.monotonic() - since[0] > QUIET_S

        self.until("the window to be quiet", quiet)

    def control(self, kind: type, name: str):
        """The visible control of a name."""
        for control in self.window.findChildren(kind):
            text = control.text() if callable(getattr(control, "text", None)) else ""
            if control.isVisible() and name in (control.accessibleName(), text):
                return control
        raise SystemExit(f"no {kind.__name__} {name!r} is in view on {self.window.current}")

    def page(self, key: str) -> None:
        """Go to a page."""
        self.window.show_page(key)
        self.until(f"page {key}", lambda: key in self.window.pages)

    def click(self, kind: type, name: str) -> None:
        """Press a button."""
        from PySide6.QtCore import Qt
        from PySide6.QtTest import QTest

        QTest.mouseClick(self.control(kind, name), Qt.MouseButton.LeftButton)
        self.pause(50)

    def drag(self, name: str, turns: int = 2) -> None:
        """Drag a slider from end to end and back, then to its middle, 60 movements a second."""
        from PySide6.QtCore import QPoint, Qt
        from PySide6.QtTest import QTest
        from PySide6.QtWidgets import QSlider, QStyle, QStyleOptionSlider

        slider = self.control(QSlider, name)
        seen = set()
        slider.valueChanged.connect(seen.add)
        option = QStyleOptionSlider()
        slider.initStyleOption(option)
        part = QStyle.SubControl.SC_SliderHandle
        handle = slider.style().subControlRect(QStyle.ComplexControl.CC_Slider, option, part, slider).center()
        QTest.mousePress(slider, Qt.MouseButton.LeftButton, pos=handle)
        for turn in range(turns):
            for step in range(40):
                share = step / 39 if turn % 2 == 0 else 1 - step / 39
                self.move(slider, QPoint(round(share * (slider.width() - 1)), handle.y()))
        middle = QPoint(slider.width() // 2, handle.y())
        self.move(slider, middle)
        QTest.mouseRelease(slider, Qt.MouseButton.LeftButton, pos=middle)
        slider.valueChanged.disconnect(seen.add)
        if len(seen) < 10:
            raise SystemExit(f"the slider {name} did not follow the mouse")

    def move(self, widget, to) -> None:
        """Move the mouse with its button held, and let one sixtieth of a second pass."""
        from PySide6.QtCore import QEvent, QPointF, Qt
        from PySide6.QtGui import QMouseEvent
        from PySide6.QtWidgets import QApplication

        left, keys = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
        where = QPointF(to), QPointF(widget.mapToGlobal(to))
        QApplication.sendEvent(widget, QMouseEvent(QEvent.Type.MouseMove, *where, Qt.MouseButton.NoButton, left, keys))
        self.pause(16)

    def open(self, path: Path) -> None:
        """Drop a file on the page in view and wait until it is what the page shows."""
        controller = self.window.pages[self.window.current].controller
        self.window.open_paths([path])
        self.until(f"{path.name} to be open", lambda: controller.state.title == path.name)
        self.until_quiet()

    def choose_all(self, name: str) -> None:
        """Every entry of a list, one after the other."""
        from PySide6.QtWidgets import QComboBox

        box = self.control(QComboBox, name)
        for index in [*range(box.count()), 0]:
            box.setCurrentIndex(index)
            box.activated.emit(index)
            self.pause(100)
            self.until_quiet()

    def pan_and_zoom(self, view) -> None:
        """Wheel in, drag the picture about, wheel out."""
        from PySide6.QtCore import QPoint, QPointF, Qt
        from PySide6.QtGui import QWheelEvent
        from PySide6.QtTest import QTest
        from PySide6.QtWidgets import QApplication

        middle = QPoint(view.width() // 3, view.height() // 2)

        def wheel(delta: int) -> None:
            none, buttons, keys = QPoint(), Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier
            where = QPointF(middle), QPointF(view.mapToGlobal(middle))
            QApplication.sendEvent(
                view, QWheelEvent(*where, none, QPoint(0, delta), buttons, keys, Qt.ScrollPhase.NoScrollPhase, False)
            )
            self.pause(16)

        for _ in range(12):
            wheel(120)
        QTest.mousePress(view, Qt.MouseButton.LeftButton, pos=middle)
        for step in range(40):
            self.move(view, middle + QPoint(3 * step, 2 * step))
        QTest.mouseRelease(view, Qt.MouseButton.LeftButton, pos=middle)
        for _ in range(12):
            wheel(-120)


def use_everything(user: User, folder: Path) -> None:
    """The flows, page by page."""
    from PySide6.QtWidgets import QAbstractButton, QPushButton, QWidget

    from gui.page_registry import PAGES

    for page in PAGES:
        if page.key not in user.window.pages:
            with user.flow(f"{page.key}: opened for the first time"):
                user.page(page.key)
    with user.flow("switch pages"):
        for _ in range(3):
            for page in PAGES:
                user.page(page.key)
                user.pause(120)

    user.page("compress")
    with user.flow("compress: drag quality"):
        user.drag("Quality")
    with user.flow("compress: open 12 megapixels"):
        user.open(folder / "big.jpg")
    with user.flow("compress: drag quality, 12 megapixels"):
        user.drag("Quality")
        user.until("the result", lambda: user.window.pages["compress"].controller.state.current)
    with user.flow("compress: zoom and pan, 12 megapixels"):
        user.pan_and_zoom(user.window.pages["compress"].view)
    with user.flow("compress: batch of a folder"):
        user.window.open_paths([folder])
        user.until("the batch to be read", lambda: user.window.pages["compress"].batch_panel.start_button.isEnabled())
        user.click(QAbstractButton, "Start the batch")
    user.click(QAbstractButton, "Close the batch and empty its table")

    with user.flow("compress: list 10,000 files"):
        batch = user.window.pages["compress"].batch
        user.window.open_paths([folder.parent / "many"])
        user.until("the rows", lambda: len(batch.rows) == MANY and not batch.listing)
    user.click(QAbstractButton, "Close the batch and empty its table")

    user.page("generate")
    user.until_quiet()
    generate = user.window.pages["generate"]
    names = [card.name for card in generate.controller.state.models]
    with user.flow("generate: every model"):
        for name in [*names, generate.controller.state.model]:
            user.click(QAbstractButton, f"Model: {name}")
            user.until_quiet()
    with user.flow("generate: drag temperature, roll seeds"):
        user.drag("Temperature")
        for _ in range(5):
            user.click(QAbstractButton, "Roll another seed")
    with user.flow("generate: a grid of 1024, gone back to"):
        generate.controller.set_count(1024)
        generate.controller.generate()
        user.until_quiet()
        generate.controller.grids.go_back()
        generate.controller.grids.go_forward()
    generate.controller.set_count(16)
    with user.flow("generate: vary, morph, compare"):
        user.click(QAbstractButton, "Vary")
        user.until_quiet()
        samples = generate.controller.grids.samples
        generate.controller.edits.start_morph(samples[0], samples[1])
        user.until_quiet()
        user.click(QAbstractButton, "Play")
        user.pause(500)
        generate.controller.edits.close_morph()
        generate.controller.edits.pair("compare", samples[0], samples[1])
    with user.flow("generate: own picture"):
        user.window.open_paths([folder / "big.jpg"])
        user.until("the picture", lambda: generate.controller.own.encoded is not None)
    with user.flow("generate: gallery"):
        generate.tabs.setCurrentIndex(1)

    user.page("latents")
    with user.flow("latents: every model"):
        user.choose_all("Model")
    with user.flow("latents: drag three sliders"):
        for number in (1, 2, 3):
            user.drag(f"Style {number}")
    with user.flow("latents: random, raw space, grid"):
        for _ in range(5):
            user.click(QAbstractButton, "Random")
        user.click(QAbstractButton, "Raw z")
        user.until_quiet()
        user.click(QAbstractButton, "Traversal grid")
        user.until_quiet()
        user.click(QAbstractButton, "Picture")
        user.click(QAbstractButton, "Style")

    user.page("segment")
    with user.flow("segment: drag opacity"):
        user.drag("Opacity")
    with user.flow("segment: 12 megapixels"):
        user.open(folder / "big.jpg")
        user.click(QPushButton, "Segment")
        segment = user.window.pages["segment"].controller
        user.until("the mask", lambda: segment.state.segmentation is not None)
    with user.flow("segment: outlines, hide classes, 12 megapixels"):
        for _ in range(2):
            user.click(QAbstractButton, "Outlines only")
            user.until_quiet()
        user.click(QAbstractButton, "Hide nucleus")
        user.until_quiet()
        user.drag("Opacity")
    with user.flow("segment: zoom and pan, 12 megapixels"):
        user.pan_and_zoom(user.window.pages["segment"].canvas)

    use_the_laboratory(user, folder)

    user.page("train")
    with user.flow("train: start, watch, use other pages, stop"):
        user.click(QWidget, "samples-ae")
        user.until_quiet()
        user.click(QAbstractButton, "Start")
        train = user.window.pages["train"].controller
        user.until("the run to make steps", lambda: train.state.live is not None and len(train.state.live.train) > 2)
        user.page("latents")
        user.drag("Style 1", turns=1)
        user.page("train")
        user.pause(2000)
        user.click(QAbstractButton, "Cancel run")
        user.until("the run to stop", lambda: not train.running)


def use_the_laboratory(user: User, folder: Path) -> None:
    """The flows of the Laboratory page."""
    from PySide6.QtWidgets import QAbstractButton

    user.page("laboratory")
    laboratory = user.window.pages["laboratory"]
    with user.flow("laboratory: drag pixels across, dilation by hand"):
        user.drag("Pixels across")
        for rate in (1, 6, 3):
            laboratory.controller.kinds.change(dilation=rate)
            user.pause(50)
    with user.flow("laboratory: slide the window"):
        laboratory.controller.kinds.set_speed(60)
        user.click(QAbstractButton, "Slide the window over the picture")
        user.pause(2000)
        user.click(QAbstractButton, "Show the whole output again")
    for name in ("Stack", "Gridding", "Checkerboard", "Used field", "Text"):
        with user.flow(f"laboratory: open {name.lower()}"):
            user.click(QAbstractButton, name)
    user.click(QAbstractButton, "Stack")
    with user.flow("laboratory: every stack"):
        user.choose_all("Stack")
    laboratory.controller.stack.take(laboratory.controller.stack.presets[1])  # whose layers are dilated
    with user.flow("laboratory: drag a dilation rate"):
        user.drag("Dilation")
    with user.flow("laboratory: 12 megapixels"):
        user.window.open_paths([folder / "big.jpg"])
        user.until("the photo", lambda: laboratory.controller.title == "big.jpg")
    user.click(QAbstractButton, "Used field")
    with user.flow("laboratory: every model's field"):
        user.choose_all("Model")
    user.click(QAbstractButton, "Four kinds")


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "responsiveness.json")
    arguments = parser.parse_args()
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    load_before = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    with tempfile.TemporaryDirectory() as home:
        for name in ("CONFIG", "DATA", "STATE", "CACHE"):
            os.environ[f"XDG_{name}_HOME"] = f"{home}/{name.lower()}"
        photos = Path(home) / "photos"
        _make_photos(photos)
        gaps = _measure(photos)
    flows = {}
    print(f"{'flow':48}{'beats':>8}{'p99 ms':>9}{'worst ms':>10}{'own CPU':>9}{'> 100 ms':>10}")
    for name, own in gaps.items():
        milliseconds = sorted(1000 * wall for wall, _ in own)
        worst = max(own)
        flows[name] = {
            "beats": len(own),
            "p99_ms": round(milliseconds[int(0.99 * (len(own) - 1))], 1),
            "worst_ms": round(1000 * worst[0], 1),
            "worst_own_cpu_ms": round(1000 * worst[1], 1),
            "over_bar": sum(value > BAR_MS for value in milliseconds),
        }
        print(
            f"{name:48}"
            + "{beats:>8}{p99_ms:>9}{worst_ms:>10}{worst_own_cpu_ms:>9}{over_bar:>10}".format(**flows[name])
        )
    print(f"load average before: {load_before}")
    result = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": {"system": platform.platform(), "cores": os.cpu_count(), "python": platform.python_version()},
        "load_before": load_before,
        "bar_ms": BAR_MS,
        "flows": flows,
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


def _make_photos(folder: Path) -> None:
    """The bundled samples and one of them as large as a camera's; beside them a folder of very many files."""
    import shutil

    from PIL import Image

    folder.mkdir(parents=True)
    samples = sorted((ROOT / "resources" / "samples" / "photos").glob("*.jpg"))
    for sample in samples:
        shutil.copy(sample, folder)
    with Image.open(samples[0]) as picture:
        picture.convert("RGB").resize(BIG_PHOTO, Image.Resampling.BICUBIC).save(folder / "big.jpg", quality=92)
    many = folder.parent / "many"
    for number in range(MANY):
        part = many / f"{number // 500:02}"
        part.mkdir(parents=True, exist_ok=True)
        (part / f"{number:05}.jpg").write_bytes(samples[0].read_bytes()[:2000])


def _measure(photos: Path) -> dict[str, list[tuple[float, float]]]:
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
    failure: list[BaseException] = []

    def work() -> None:
        # Torch loads once, with a bar of its own: benchmarks/startup.py measures it.
        try:
            user.until("the engine", lambda: services.host.state == "ready")
            user.until_quiet()
            user.pause(2000)
            use_everything(user, photos)
        except BaseException as error:
            failure.append(error)
        finally:
            heart.stop()
            window.close_without_asking()

    window.page_shown.connect(lambda _: QTimer.singleShot(0, work) if not started else None)
    started: list[bool] = []
    window.page_shown.connect(lambda _: started.append(True))
    window.show()
    application.exec()
    if failure:
        raise failure[0]
    return heart.gaps


if __name__ == "__main__":
    sys.exit(main())
