"""Set Latent Studio up on a fresh machine: environment, packages, the system libraries Qt needs. Standard library only.

python3 bootstrap.py                  set up and open the window
python3 bootstrap.py FILE...          ... with these pictures
python3 bootstrap.py demo --out DIR   ... or any command of main.py
python3 bootstrap.py test             set up and run every check and test
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent
ENVIRONMENT = ROOT / ".venv"
MINIMUM = (3, 11)

# Shared library -> Debian package, for `import PySide6.QtWidgets` and the offscreen platform ...
QT_LIBRARIES = {
    "libglib-2.0.so.0": "libglib2.0-0",
    "libGL.so.1": "libgl1",
    "libEGL.so.1": "libegl1",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libfontconfig.so.1": "libfontconfig1",
    "libfreetype.so.6": "libfreetype6",
    "libdbus-1.so.3": "libdbus-1-3",
}
# ... and, in addition, for a window on an X server.
X_LIBRARIES = {
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-image.so.0": "libxcb-image0",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-randr.so.0": "libxcb-randr0",
    "libxcb-render-util.so.0": "libxcb-render-util0",
    "libxcb-shape.so.0": "libxcb-shape0",
    "libxcb-xkb.so.1": "libxcb-xkb1",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
}


def main(arguments: list[str]) -> int:
    """Set up, then run what the arguments ask for; returns the exit code."""
    if sys.version_info < MINIMUM:
        found = ".".join(map(str, sys.version_info[:3]))
        print(f"Latent Studio needs Python 3.11 or newer; this is {found}. Run this script with a newer python3.")
        return 1
    testing = arguments[:1] == ["test"]
    offscreen = testing or bool(arguments) or not _has_screen()
    _install_qt_libraries(QT_LIBRARIES if offscreen else QT_LIBRARIES | X_LIBRARIES)
    _create_environment("requirements-test.txt" if testing else "requirements-run.txt")
    if testing:
        return _test()
    return subprocess.run([_python(), str(ROOT / "main.py"), *arguments], check=False).returncode


def _has_screen() -> bool:
    return not sys.platform.startswith("linux") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _python(environment: Path = ENVIRONMENT) -> str:
    """The interpreter of an environment."""
    folder, name = ("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")
    return str(environment / folder / name)


def _step(text: str) -> None:
    print(f"\n== {text}", flush=True)


def _run(command: list[str], **options: object) -> None:
    """Run a command; its failure ends the script with its exit code."""
    code = subprocess.run(command, cwd=ROOT, check=False, **options).returncode  # type: ignore[call-overload]
    if code:
        print(f"\nFailed with exit code {code}: {' '.join(command)}", file=sys.stderr)
        raise SystemExit(code)


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _install_qt_libraries(libraries: dict[str, str]) -> None:
    """On Linux: install what Qt misses with apt, or print the line that does it."""
    if not sys.platform.startswith("linux"):
        return
    missing = [package for library, package in libraries.items() if not _loads(library)]
    if missing:
        _step(f"Qt needs system libraries: {', '.join(missing)}")
        _apt_install(missing)


def _apt_install(packages: list[str]) -> None:
    install = ["apt-get", "install", "-y", "--no-install-recommends", *packages]
    line = f"sudo apt-get update && sudo {' '.join(install)}"
    if not shutil.which("apt-get"):
        print(f"Install these libraries with your system's package manager, then run this again: {', '.join(packages)}")
        raise SystemExit(1)
    prefix = [] if os.geteuid() == 0 else ["sudo"]
    if prefix and (not shutil.which("sudo") or not sys.stdin.isatty()):
        print(f"Run this line, then run this script again:\n  {line}")
        raise SystemExit(1)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    _run([*prefix, "apt-get", "update", "-qq"], env=environment)
    _run([*prefix, *install], env=environment)


def _create_environment(requirements: str) -> None:
    """Create .venv and install the exact versions, unless it holds them already."""
    wanted = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(ROOT.glob("requirements-*.txt"))))
    stamp = ENVIRONMENT / f"{requirements}.sha256"
    if stamp.is_file() and stamp.read_text() == wanted.hexdigest() and Path(_python()).exists():
        return
    _step("Creating the environment .venv")
    try:
        import ensurepip  # noqa: F401  (Debian ships Python without it)
    except ImportError:
        _apt_install([f"python{sys.version_info.major}.{sys.version_info.minor}-venv"])
    _run([sys.executable, "-m", "venv", str(ENVIRONMENT)])
    _step("Installing the packages (PyTorch is the large one)")
    _pip_install(_python(), "-r", requirements)
    stamp.write_text(wanted.hexdigest())


def _pip_install(python: str, *arguments: str) -> None:
    # Bytecode is compiled now, even where the environment forbids it later: importing torch without costs seconds.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    _run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments], env=environment)


def _test() -> int:
    """Lint, types, tests, the built wheel in an empty environment, the demo."""
    python = _python()
    quiet = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "OMP_NUM_THREADS": "1"}
    _step("ruff")
    _run([python, "-m", "ruff", "check", "."])
    _run([python, "-m", "ruff", "format", "--check", "."])
    _step("pyright")
    _run([python, "-m", "pyright", "--pythonpath", python])
    with tempfile.TemporaryDirectory() as folder:
        _step("wheel, started from an empty environment")
        _test_wheel(Path(folder), quiet)
        _step("main.py demo")
        _run([python, "main.py", "demo", "--out", str(Path(folder) / "demo")], env=quiet)
    _step("tests")
    _run([python, "-m", "pytest"], env=quiet)
    return 0


def _test_wheel(folder: Path, environment: dict[str, str]) -> None:
    """Build the wheel from a copy of the tracked files and use it without the source tree on the path."""
    source = folder / "source"
    # A stale build folder would ship deleted files; a copy without one cannot.
    ignored = shutil.ignore_patterns(".venv", ".git", "build", "dist", "*.egg-info", "__pycache__", "runs")
    shutil.copytree(ROOT, source, ignore=ignored)
    for project in (source, source / "resources" / "models"):
        _run([_python(), "-m", "build", "--wheel", "--outdir", str(folder / "dist"), str(project)])
    wheel = next((folder / "dist").glob("latent_studio-*.whl"))
    empty = folder / "empty"
    _run([sys.executable, "-m", "venv", str(empty)])
    commands, environment = Path(_python(empty)).parent, environment | {"PYTHONPATH": ""}
    versions = [part for name in ("run", "viewer") for part in ("-c", str(ROOT / f"requirements-{name}.txt"))]
    _pip_install(_python(empty), *versions, f"{wheel}[viewer]")
    compressed = next((ROOT / "tests" / "golden").glob("*.lsi"))
    _run([str(commands / "latent-studio-view"), str(compressed), "--out", str(folder / "seen.png")], env=environment)
    _pip_install(_python(empty), *versions, "--find-links", str(folder / "dist"), f"{wheel}[studio]")
    for arguments in (["--help"], ["models"], ["demo", "--out", str(folder / "wheel-demo"), "--quick"]):
        _run([str(commands / "latent-studio"), *arguments], env=environment)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
