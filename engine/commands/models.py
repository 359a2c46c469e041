"""models and evaluate."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from engine.commands.console import (
    DeviceOption,
    JsonOption,
    RootsOption,
    ThreadsOption,
    bar,
    compute_device,
    data_roots,
    output,
    print_json,
    set_compute,
    table,
)


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command()(models)
    app.command()(evaluate)


def models(
    as_json: JsonOption = False,
    family: Annotated[str | None, typer.Option(help="Only models of this family.")] = None,
) -> None:
    """List the models at hand."""
    from engine.models.registry import list_models, model_paths

    cards = list_models(family)
    paths = model_paths()
    if as_json:
        print_json([{**card.model_dump(mode="json"), "file": str(paths[card.name])} for card in cards])
        return
    shown = table("model", "family", "trained on", "licence of the data", "figures")
    for column in shown.columns:
        column.justify = "left"
    for card in cards:
        figures = "; ".join(f"{one.name} {one.value:.4g} {one.unit}".strip() + f" ({one.data})" for one in card.figures)
        row = (card.name, card.family, card.training_data, card.licence, figures)
        shown.add_row(*(escape(cell) for cell in row))
    output.print(shown)


def evaluate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model's name (see `models`) or its file.")],
    data: Annotated[str, typer.Option("--data", metavar="SET", help="A data set's name, or a folder or zip.")],
    split: Annotated[
        str | None, typer.Option(help="train, validation, test or all; test where the set has it.")
    ] = None,
    quality: Annotated[
        float, typer.Option("-q", "--quality", min=0, max=100, help="For codecs: what the photos are compressed at.")
    ] = 50.0,
    limit: Annotated[int | None, typer.Option(min=1, help="Use at most this many pictures.")] = None,
    as_json: JsonOption = False,
    device: DeviceOption = None,
    threads: ThreadsOption = None,
    data_root: RootsOption = None,
) -> None:
    """Measure a model on a data set."""
    set_compute(device, threads, data_root)
    from engine.evaluation.report import evaluate_model

    chosen = compute_device()
    with bar("Evaluating") as progress:
        report = evaluate_model(
            model, data, split=split, quality=quality, limit=limit, roots=data_roots(), device=chosen, progress=progress
        )
    if as_json:
        print_json(report)
        return
    title = f"{report['model']} on {report['data']} ({report['split']}, {report['pictures']} pictures)"
    shown = table("figure", "value", title=escape(title))
    for name, value in report["figures"].items():
        shown.add_row(escape(name), f"{value:.5g}")
    output.print(shown)
