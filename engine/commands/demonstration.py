"""demo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.commands.console import DeviceOption, ThreadsOption, bars, complain, compute_device, output, set_compute
from engine.progress import Progress


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(demo)


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the results.")],
    quick: Annotated[bool, typer.Option("--quick", help="One photo and smaller grids.")] = False,
    device: DeviceOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Do the whole main job on the sample pictures: compress, generate, traverse, segment."""
    set_compute(device, threads)
    from engine.commands.batch import figures
    from engine.demo import run_demo

    with bars() as shown:
        tasks: dict[str, object] = {}

        def report(part: str, now: Progress) -> None:
            task = tasks.get(part)
            if task is None:
                task = tasks[part] = shown.add_task(part, total=now.total or None)
            shown.update(task, completed=now.done, total=now.total or None)  # type: ignore[arg-type]

        result = run_demo(out, quick=quick, device=compute_device(), report=report)
    if result.photos:
        output.print(figures(result.photos))
    for note in result.notes:
        output.print(note, soft_wrap=True, markup=False)
    for error in result.failures:
        complain(error)
    if result.failures:
        raise typer.Exit(1)
    output.print(f"All {len(result.files)} results are in {out}", soft_wrap=True, markup=False)
