"""The entry of the program: no argument opens the window, picture files open in it, anything else is a command."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the program with command-line arguments (those of this process by default); returns its exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    # Only a file that exists is one to open: a mistyped command must be reported as such, and a file that happens to be
    # called like a command must not hide it.
    if not arguments or all(Path(argument).suffix and Path(argument).is_file() for argument in arguments):
        return run_window(arguments)
    if Path(arguments[0]).suffix and not arguments[0].startswith("-"):
        print(f"There is no file {arguments[0]}. Check the name, or see --help for the commands.", file=sys.stderr)
        return 2
    try:
        from engine.cli import run_command
    except ModuleNotFoundError as error:
        return _not_whole(error)
    return run_command(arguments)


def run_window(paths: Sequence[str] | None = None) -> int:
    """Open the window with these files, or those on this process's command line; returns the exit code."""
    try:
        from gui.application import run_window as open_window
    except ModuleNotFoundError as error:
        return _not_whole(error)
    return open_window([Path(path) for path in (sys.argv[1:] if paths is None else paths)])


def _not_whole(error: ModuleNotFoundError) -> int:
    """Say what is missing, where only the viewer was installed; returns the exit code."""
    print(
        f"Only a part of Latent Studio is installed: {error.name} is missing. Install the rest with "
        '`pip install "latent-studio[studio]"`; `latent-studio-view FILE` shows .lsi files without it.',
        file=sys.stderr,
    )
    return 1


if __name__ == "__main__":
    sys.exit(run())
