"""The window is on the screen before anything heavy is imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

PROBE = """
import json, sys
import gui.main_window as shell
from PySide6.QtCore import QTimer
from gui.application import run_window
answer = shell.MainWindow._on_first_painted

def painted(self):
    wanted = {module for entry in self.entries.values() for module in entry.modules}
    wait = QTimer(self)

    def look():
        if wanted <= set(sys.modules):
            print("BUILT " + " ".join(self.pages))
            self.close_without_asking()

    wait.timeout.connect(look)
    print("MODULES " + json.dumps(sorted(sys.modules)))
    self.services.host.state_changed.connect(lambda state, text: print("STATE", state, text))
    self.services.host.state_changed.connect(lambda state, text: wait.start(20))
    answer(self)

shell.MainWindow._on_first_painted = painted
sys.exit(run_window())
"""


def start(code: str, **changes: str | None) -> subprocess.CompletedProcess[str]:
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    for name, value in changes.items():
        if value is None:
            environment.pop(name, None)
        else:
            environment[name] = value
    call = [sys.executable, "-c", code]
    return subprocess.run(call, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=180, check=False)


def test_nothing_heavy_is_imported_when_the_window_first_paints() -> None:
    done = start(PROBE, QT_QPA_PLATFORM="offscreen")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    modules = json.loads(next(line for line in lines if line.startswith("MODULES")).removeprefix("MODULES "))
    roots = {name.partition(".")[0] for name in modules}
    assert not roots & {"torch", "torchvision", "pyqtgraph", "numpy", "PIL", "scipy", "sklearn", "pydantic"}
    assert not [name for name in modules if name.startswith(("gui.pages.", "gui.controllers."))]
    assert any(line.startswith("STATE ready Engine: ") for line in lines), "the engine loads after the first paint"
    assert "BUILT compress" in lines, "the other pages are imported while nothing happens, but not built"
    assert "Traceback" not in done.stderr


RUN = "import sys; from gui.application import run_window; sys.exit(run_window())"


def test_without_a_screen_one_sentence_names_the_way_out() -> None:
    done = start(RUN, QT_QPA_PLATFORM=None, DISPLAY=None, WAYLAND_DISPLAY=None)
    assert done.returncode == 1
    assert "No screen is available" in done.stderr and "main.py demo" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_screen_that_does_not_answer_is_told_too() -> None:
    done = start(RUN, QT_QPA_PLATFORM=None, DISPLAY=":4242", WAYLAND_DISPLAY=None)
    assert done.returncode == 1
    assert ":4242 does not answer" in done.stderr


def test_a_missing_system_library_names_the_setup_script() -> None:
    code = f"""
import builtins
original = builtins.__import__
def without_gl(name, *rest, **more):
    if name.startswith("PySide6"):
        raise ImportError("libGL.so.1: cannot open shared object file: No such file or directory")
    return original(name, *rest, **more)
builtins.__import__ = without_gl
{RUN}
"""
    done = start(code, QT_QPA_PLATFORM="offscreen")
    assert done.returncode == 1
    assert "libGL.so.1" in done.stderr and "bootstrap.py" in done.stderr
