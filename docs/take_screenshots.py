"""Takes the pictures of the README: every page, light and dark, with the bundled samples, without a screen.

Run `python docs/take_screenshots.py [--out docs/screenshots] [--page KEY ...] [--runs FOLDER] [--size 1280x800]`.
QT_SCALE_FACTOR=2 doubles the pixels. The script waits until every request and job of a page is answered.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
QUIET = 700  # milliseconds without work before a page counts as ready: pages wait a little before they ask for more
PATIENCE = 240_000  # milliseconds after which a picture is taken anyway, and the script fails

sys.path.insert(0, str(ROOT))


def wait_until_quiet(services) -> bool:
    """Run the event loop until neither a request nor a job was open for a moment. False when patience ran out."""
    from PySide6.QtCore import QEventLoop, QTimer

    loop, quiet, limit = QEventLoop(), QTimer(), QTimer()
    quiet.setSingleShot(True)
    quiet.setInterval(QUIET)
    limit.setSingleShot(True)
    quiet.timeout.connect(lambda: loop.exit(0))
    limit.timeout.connect(lambda: loop.exit(1))

    def look() -> None:
        if services.host.busy or services.jobs.active or services.host.state == "loading":
            quiet.stop()
        elif not quiet.isActive():
            quiet.start()

    signals = (services.host.busy_changed, services.host.state_changed, services.jobs.changed)
    for signal in signals:
        signal.connect(look)
    limit.start(PATIENCE)
    look()
    done = loop.exec() == 0
    for signal in signals:
        signal.disconnect(look)
    return done


def take(window, folder: Path, keys: list[str], size: tuple[int, int]) -> list[str]:
    """Save the pictures. Returns the pages that did not become quiet."""
    from PySide6.QtWidgets import QApplication

    late = []
    window.resize(*size)
    for key in keys:
        window.show_page(key)
        if not wait_until_quiet(window.services):
            late.append(key)
        for mode in ("light", "dark"):
            window.services.theme.set_mode(mode)
            if not wait_until_quiet(window.services):
                late.append(f"{key} ({mode})")
            QApplication.processEvents()
            path = folder / f"{key}-{mode}.png"
            window.grab().save(str(path))
            print(path)
    return late


def main() -> int:
    """Open the window without a screen and take the pictures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "screenshots")
    parser.add_argument("--page", action="append", help="only this page; may be given more than once")
    parser.add_argument("--runs", type=Path, help="folder of training runs to show on the Train page")
    parser.add_argument("--models", type=Path, help="folder of further models")
    parser.add_argument("--size", default="1280x800")
    arguments = parser.parse_args()
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    width, height = (int(part) for part in arguments.size.split("x"))
    with tempfile.TemporaryDirectory() as home:
        for name in ("CONFIG", "DATA", "STATE", "CACHE"):
            os.environ[f"XDG_{name}_HOME"] = f"{home}/{name.lower()}"
        for kind, folder in (("runs", arguments.runs), ("models", arguments.models)):
            if folder:
                shutil.copytree(folder, Path(home) / "data" / "LatentStudio" / kind)
        from PySide6.QtWidgets import QApplication

        from gui.main_window import MainWindow
        from gui.page_registry import PAGES
        from gui.services.context import Services

        application = QApplication(sys.argv[:1])
        services = Services.create()
        services.theme.set_mode("light")
        keys = arguments.page or [page.key for page in PAGES]
        services.settings.update(page=keys[0])
        window = MainWindow(services)
        window.show()
        arguments.out.mkdir(parents=True, exist_ok=True)
        application.processEvents()
        late = take(window, arguments.out, keys, (width, height))
        errors = services.notices.errors
        window.close_without_asking()
    for page in late:
        print(f"{page} was still working after {PATIENCE // 1000} s", file=sys.stderr)
    if errors:
        print(f"{errors} errors were shown", file=sys.stderr)
    return 1 if late or errors else 0


if __name__ == "__main__":
    sys.exit(main())
