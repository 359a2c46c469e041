"""train and recipes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from engine.commands.console import (
    DeviceOption,
    JsonOption,
    RootsOption,
    ThreadsOption,
    bars,
    data_roots,
    device_wish,
    output,
    print_json,
    set_compute,
    table,
)
from engine.paths import user_folder

_SHOWN = ("event", "step", "total", "seconds", "stage", "time")


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command()(train)
    app.command()(recipes)


def train(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="A recipe's name (see `recipes`) or its .toml file.")],
    run_dir: Annotated[
        Path | None, typer.Option("--run-dir", metavar="DIR", help="Folder of the run; in the user's runs by default.")
    ] = None,
    events: Annotated[
        bool, typer.Option("--events", help="Print the log's JSON lines instead of a progress bar.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume/--no-resume", help="Go on from the run's last checkpoint.")] = True,
    device: DeviceOption = None,
    threads: ThreadsOption = None,
    data_root: RootsOption = None,
) -> None:
    """Train a model from a recipe. Stop it with Ctrl+C; the same command goes on where it stopped."""
    set_compute(device, threads, data_root)
    from engine.training import load_recipe
    from engine.training import train as run

    loaded = load_recipe(recipe)
    folder = run_dir or user_folder("runs") / loaded.name
    if threads is not None:
        # The trainer chooses the device of each of its processes, and their threads with it.
        os.environ["LATENT_STUDIO_THREADS"] = str(threads)
    options: dict[str, Any] = {"device": device_wish(), "resume": resume, "data_roots": data_roots()}
    if events:
        run(loaded, folder, on_event=lambda event: print(json.dumps(event), flush=True), **options)
        return
    with bars() as shown:
        task = shown.add_task(loaded.name, total=loaded.total_steps)

        def report(event: dict[str, Any]) -> None:
            loss = f"  loss {event['loss']:.4f}" if isinstance(event.get("loss"), float) else ""
            if isinstance(event.get("step"), int):
                shown.update(task, completed=event["step"], description=f"{loaded.name}{loss}")
            if event["event"] == "validation":
                figures = "  ".join(f"{key} {value:.4f}" for key, value in event.items() if _is_figure(key, value))
                output.print(f"step {event.get('step')}: {figures}", soft_wrap=True, markup=False)

        model = run(loaded, folder, on_event=report, **options)
    if model is None:
        output.print(f"Stopped; the same command goes on. The run is in {folder}", soft_wrap=True, markup=False)
    else:
        output.print(f"Finished: {model}", soft_wrap=True, markup=False)


def _is_figure(key: str, value: Any) -> bool:
    return isinstance(value, float) and key not in _SHOWN


def recipes(as_json: JsonOption = False) -> None:
    """List the recipes that models can be trained from."""
    from engine.training import list_recipes

    known = list_recipes()
    if as_json:
        print_json([recipe.model_dump(mode="json", exclude_none=True) for recipe in known])
        return
    shown = table("recipe", "family", "data", "steps", "what it makes")
    shown.columns[-1].justify = "left"
    for recipe in known:
        row = (recipe.name, recipe.family, recipe.data.set, f"{recipe.total_steps:,}", recipe.summary)
        shown.add_row(*(escape(cell) for cell in row))
    output.print(shown)
