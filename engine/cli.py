"""The command line: the same engine as the window. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import io
import sys
import traceback
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import typer

from engine.commands import codec, demonstration, edits, generative, latents, models, segmentation, training
from engine.commands.console import (
    DeviceOption,
    RootsOption,
    ThreadsOption,
    errors,
    reset_compute,
    set_compute,
    version,
)
from engine.errors import Cancelled, LatentStudioError

app = typer.Typer(
    name="latent-studio",
    help="Compress, generate, explore and segment images with autoencoders. Without a command, the window opens.",
    epilog="Exit codes: 0 all done, 1 some failed, 2 wrong usage, 3 damaged but saved.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (codec, generative, edits, latents, segmentation, training, models, demonstration):
    module.register(app)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"Latent Studio {version()}")
        raise typer.Exit


@app.callback()
def _options(
    device: DeviceOption = None,
    threads: ThreadsOption = None,
    data_root: RootsOption = None,
    show_version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    reset_compute()
    set_compute(device, threads, data_root)


def run_command(arguments: Sequence[str]) -> int:
    """Run a command; returns the exit code. No error of the engine, and no fault of ours, ends in a traceback."""
    # Names of files may hold what the terminal's encoding cannot show.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        app(list(arguments), prog_name="latent-studio")
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 0
    except Cancelled:
        errors.print("Cancelled.")
        return 1
    except LatentStudioError as error:
        errors.print(f"[red]Error:[/] {_escaped(str(error))}", soft_wrap=True)
        return 2 if error.exit_code == 2 else 1
    except BrokenPipeError:  # the reader of our output has gone, for example `| head`
        sys.stderr.close()
        return 1
    except Exception:
        errors.print(f"[red]Error:[/] {_escaped(_keep_for_report(arguments))}", soft_wrap=True)
        return 1
    return 0


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _keep_for_report(arguments: Sequence[str]) -> str:
    """Write the traceback to a log file; what the user is told of it."""
    from engine.files import write_text
    from engine.paths import user_folder

    details = traceback.format_exc()
    summary = details.strip().splitlines()[-1][:200]
    path = user_folder("logs") / f"error-{datetime.now():%Y%m%d-%H%M%S}.log"
    try:
        write_text(path, f"Latent Studio {version()}\n{sys.version}\n{list(arguments)}\n\n{details}")
    except LatentStudioError:
        return f"The program has a fault: {summary} The log could not be written."
    return f"The program has a fault: {summary} Please report it with the log {path}"
