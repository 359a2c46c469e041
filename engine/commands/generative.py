"""generate and traverse."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.commands.console import (
    DeviceOption,
    ThreadsOption,
    bar,
    compute_device,
    output,
    parse_pairs,
    prepare_folder,
    set_compute,
)
from engine.errors import OutputError, UsageError
from engine.models.card import Attribute

AttributesOption = Annotated[
    list[str] | None, typer.Option("--attr", metavar="NAME=VALUE", help="Choose an attribute; repeatable.")
]
ClassOption = Annotated[
    str | None,
    typer.Option("--class", metavar="NAME", help="Choose the class, of models that have just one attribute."),
]
ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help="A model's name (see `models`) or its file.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command()(generate)
    app.command()(traverse)


def choose(attributes: tuple[Attribute, ...], class_name: str | None, pairs: list[str] | None) -> dict[str, str]:
    """Value by attribute name from --class and --attr. Raises `UsageError`; names are checked by the model."""
    choice = parse_pairs(pairs or [])
    if class_name is None:
        return choice
    if len(attributes) != 1:
        names = ", ".join(attribute.name for attribute in attributes) or "none"
        raise UsageError("--class fits models with one attribute only.", f"Use --attr NAME=VALUE; attributes: {names}.")
    return {attributes[0].name: class_name, **choice}


def generate(
    model: ModelArgument,
    class_name: ClassOption = None,
    attr: AttributesOption = None,
    count: Annotated[int, typer.Option("--count", "-n", min=1, max=10_000, help="How many pictures.")] = 16,
    seed: Annotated[int, typer.Option(min=0, help="Picture i has the seed SEED + i.")] = 0,
    temperature: Annotated[
        float, typer.Option(min=0.0, max=3.0, help="Below 1 more typical, above 1 more varied pictures.")
    ] = 1.0,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the pictures.")] = Path("generated"),
    sheet: Annotated[bool, typer.Option("--sheet/--no-sheet", help="Also write all of them as one picture.")] = True,
    device: DeviceOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Generate pictures of a class, each a PNG that remembers how it was made."""
    set_compute(device, threads)
    from engine.files import write_bytes
    from engine.generation import Generator, contact_sheet, save_sample
    from engine.image import encode_png

    generator = Generator.load(model, compute_device().torch_device)
    choice = choose(generator.attributes, class_name, attr)
    with bar("Generating") as progress:
        samples = generator.sample(choice, count, seed, temperature, progress=progress)
    prepare_folder(out)
    for sample in samples:
        save_sample(sample, out / f"{generator.card.name}-{sample.latent.seed:06d}.png")
    if sheet:
        columns = max(1, round(len(samples) ** 0.5))
        pictures = [sample.pixels for sample in samples]
        write_bytes(out / "sheet.png", encode_png(contact_sheet(pictures, columns)))
    output.print(f"{len(samples)} pictures in {out}", soft_wrap=True, markup=False)


def traverse(
    model: ModelArgument,
    out: Annotated[Path, typer.Option("--out", "-o", help="The PNG to write.")],
    dims: Annotated[
        str | None, typer.Option(metavar="0,1,2", help="Latent dimensions, one row each; the six that matter most.")
    ] = None,
    steps: Annotated[int, typer.Option(min=2, max=64, help="Pictures in a row.")] = 9,
    space: Annotated[str | None, typer.Option(help="style or raw; style where the model has it.")] = None,
    class_name: ClassOption = None,
    attr: AttributesOption = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Start from a random point instead of the origin.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the picture if it exists.")] = False,
    device: DeviceOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Draw how single latent dimensions change a picture."""
    set_compute(device, threads)
    if out.exists() and not overwrite:
        raise OutputError(f"{out} exists already.", "Use --overwrite to replace it.")
    from engine.files import write_bytes
    from engine.image import encode_png
    from engine.latent import LatentExplorer

    explorer = LatentExplorer.load(model, compute_device().torch_device)
    chosen_space = space or explorer.spaces[0]
    choice = choose(explorer.attributes, class_name, attr)
    known = explorer.dimensions(chosen_space)
    wanted = [one.index for one in known[:6]] if dims is None else _numbers(dims, len(known))
    start = explorer.origin(chosen_space, choice) if seed is None else explorer.random(chosen_space, choice, seed)
    write_bytes(out, encode_png(explorer.traversal(chosen_space, start, choice, wanted, steps)), overwrite=overwrite)
    rows = ", ".join(str(number) for number in wanted)
    output.print(f"{out}: dimensions {rows} of the {chosen_space} space", soft_wrap=True, markup=False)


def _numbers(text: str, count: int) -> list[int]:
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError as error:
        raise UsageError(f"--dims {text!r} is not a list of numbers.", "Write, for example, --dims 0,1,2.") from error
    if any(not 0 <= number < count for number in numbers):
        raise UsageError(f"--dims {text!r} names a dimension that does not exist.", f"Use 0 to {count - 1}.")
    return numbers
