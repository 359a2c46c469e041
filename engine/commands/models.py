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
        list[float] | None,
        typer.Option(
            "-q", "--quality", min=0, max=100, help="For codecs: what to compress at; repeatable. Default 50."
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Use at most this many pictures.")] = None,
    write_card: Annotated[bool, typer.Option("--write-card", help="Put the figures into the model's card.")] = False,
    as_json: JsonOption = False,
    device: DeviceOption = None,
    threads: ThreadsOption = None,
    data_root: RootsOption = None,
) -> None:
    """Measure a model on a data set."""
    set_compute(device, threads, data_root)
    from engine.evaluation.report import evaluate_model, write_into_card

    chosen = compute_device()
    with bar("Evaluating") as progress:
        report = evaluate_model(
            model,
            data,
            split=split,
            qualities=quality or (50.0,),
            limit=limit,
            roots=data_roots(),
            device=chosen,
            progress=progress,
        )
    if write_card:
        write_into_card(model, report)
    if as_json:
        figures = {figure.name: figure.value for figure in report.figures}
        print_json({"model": report.model, "data": report.data, "figures": figures})
        return
    shown = table("figure", "value", title=escape(f"{report.model} on {report.data}"))
    for figure in report.figures:
        shown.add_row(escape(figure.name), f"{figure.value:.5g} {figure.unit}".strip())
    output.print(shown)
