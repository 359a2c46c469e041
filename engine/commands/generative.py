"""generate and traverse."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.commands.console import (
    DeviceOption,
    OverwriteOption,
    ThreadsOption,
    bar,
    compute_device,
    errors,
    output,
    parse_pairs,
    prepare_folder,
    set_compute,
)
from engine.errors import OutputError, UsageError
from engine.models.card import Attribute

if TYPE_CHECKING:
    from engine.generation import Generator, Latent, Mix, Sample

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
    model: Annotated[
        str | None, typer.Argument(metavar="MODEL", help="A model's name (see `models`) or its file; not with --like.")
    ] = None,
    class_name: ClassOption = None,
    attr: AttributesOption = None,
    count: Annotated[
        int | None, typer.Option("--count", "-n", metavar="N", help="How many pictures; 16, or 1 with --like.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Picture i has the seed SEED + i; 0, or the one of --like.")] = None,
    temperature: Annotated[
        float | None, typer.Option(help="0 to 3. Below 1 more typical, above 1 more varied pictures.")
    ] = None,
    guidance: Annotated[
        float | None, typer.Option(help="0 to 5. Above 1 the choice is overdone; 1 as trained.")
    ] = None,
    prior: Annotated[
        str | None, typer.Option(help="flow, or normal: N(0, I), as a VAE without a learned prior samples.")
    ] = None,
    mix: Annotated[
        str | None, typer.Option(metavar="ATTRIBUTE=VALUE:WEIGHT", help="Mix in a second value; WEIGHT is 0 to 1.")
    ] = None,
    diversity: Annotated[
        float | None, typer.Option(help="0 to 1. Above 0, each picture is chosen to be unlike those before.")
    ] = None,
    like: Annotated[
        Path | None, typer.Option("--like", metavar="PNG", help="Take model, seed and settings of a picture made here.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the pictures.")] = Path("generated"),
    sheet: Annotated[
        Path | None, typer.Option("--sheet", metavar="FILE", help="All of them as one picture; sheet.png in OUT.")
    ] = None,
    no_sheet: Annotated[bool, typer.Option("--no-sheet", help="Write no picture of all of them.")] = False,
    overwrite: OverwriteOption = False,
    device: DeviceOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Generate pictures of a class, each a PNG that remembers how it was made."""
    set_compute(device, threads)
    if (model is None) == (like is None):
        raise UsageError("Either a MODEL or --like PNG is needed, not both.", "`main.py models` lists the models.")
    if no_sheet and sheet is not None:
        raise UsageError("--sheet and --no-sheet exclude one another.", "Leave one of them out.")
    if sheet is not None:
        refuse_existing(sheet, overwrite)
    from engine.generation import Generator, SamplingSettings

    if like is not None:
        generator, latent = open_sample(like)
        base, first = SamplingSettings.of(latent), latent.seed
    else:
        assert model is not None
        generator, latent = Generator.load(model, compute_device().torch_device), None
        base, first = SamplingSettings(), 0
    given = {
        "choice": choose(generator.attributes, class_name, attr) or None,
        "prior": prior, "guidance": guidance, "temperature": temperature, "diversity": diversity,
        "mix": None if mix is None else parse_mix(mix),
    }  # fmt: skip
    changes = {name: value for name, value in given.items() if value is not None}
    if "choice" in changes:
        changes["choice"] = {**base.choice, **given["choice"]}
    settings = replace(base, **changes)
    if settings.prior == "normal" and guidance is not None:
        raise UsageError("--guidance acts on the flow, which --prior normal leaves out.", "Use one of them.")
    wanted = count if count is not None else 1 if like is not None else 16
    if latent is not None and not changes and seed is None and wanted == 1:
        # The stored latent says more than its seed: a picture that was edited has none.
        samples = [generator.sample_at(latent)]
    else:
        seed = first if seed is None else seed
        if seed is None:
            raise UsageError(f"{like} was made from other pictures and has no seed.", "Give one with --seed.")
        with bar("Generating") as progress:
            samples = generator.sample(settings, wanted, seed, progress=progress)
    seeds = [sample.latent.seed for sample in samples]
    stems = [f"{generator.card.name}-{'edited' if one is None else f'{one:06d}'}" for one in seeds]
    save_samples(samples, out, stems, overwrite=overwrite)
    if not no_sheet:
        data = sheet_png(samples)
        place_file(sheet or out / "sheet.png", data, overwrite=overwrite)


def parse_mix(text: str) -> Mix:
    """ATTRIBUTE=VALUE:WEIGHT as a mix. Raises `UsageError`."""
    from engine.generation import Mix

    pair, colon, weight = text.rpartition(":")
    attribute, sign, value = pair.partition("=")
    try:
        share = float(weight)
    except ValueError:
        share = math.nan
    if not (colon and sign and attribute and value and math.isfinite(share)):
        raise UsageError(f"--mix {text!r} is not ATTRIBUTE=VALUE:WEIGHT.", "Write, for example, --mix digit=3:0.5.")
    return Mix(attribute.strip(), value.strip(), share)


def open_sample(path: Path) -> tuple[Generator, Latent]:
    """A picture made here: its model and its latent. Raises `PictureError`, `UsageError`, `ModelError`."""
    from engine.generation import generator_of, read_latent

    latent = read_latent(path)
    generator = generator_of(latent, compute_device().torch_device)
    if generator.card.weights_sha256 != latent.weights_sha256:
        words = f"{path} was made by another version of {latent.model}: pictures may differ."
        errors.print(words, soft_wrap=True, markup=False)
    return generator, latent


def save_samples(samples: Sequence[Sample], folder: Path, stems: Sequence[str], *, overwrite: bool) -> None:
    """Write samples as `folder`/STEM.png each, say so, and replace nothing unasked. Raises `OutputError`."""
    from engine.generation.provenance import sample_png

    prepare_folder(folder)
    for sample, stem in zip(samples, stems, strict=True):
        place_file(folder / f"{stem}.png", sample_png(sample), overwrite=overwrite)
    output.print(f"{len(samples)} pictures in {folder}", soft_wrap=True, markup=False)


def sheet_png(samples: Sequence[Sample], columns: int | None = None) -> bytes:
    """All samples as one PNG; about as many rows as columns where none are given."""
    from engine.generation import contact_sheet
    from engine.image import encode_png

    pictures = [sample.pixels for sample in samples]
    return encode_png(contact_sheet(pictures, columns or max(1, round(len(pictures) ** 0.5))))


def place_file(path: Path, data: bytes, *, overwrite: bool) -> None:
    """Write a result; where a file of other content has its name, a number is added. Raises `OutputError`."""
    from engine.files import write_bytes

    number, free = 2, path
    while not overwrite and free.exists() and (free.is_dir() or free.read_bytes() != data):
        free = path.with_stem(f"{path.stem}-{number}")
        number += 1
    write_bytes(free, data)


def refuse_existing(path: Path, overwrite: bool) -> None:
    """Raise `OutputError` where a named result exists and may not be replaced."""
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists already.", "Use --overwrite to replace it.")


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
    overwrite: OverwriteOption = False,
    device: DeviceOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Draw how single latent dimensions change a picture."""
    set_compute(device, threads)
    refuse_existing(out, overwrite)
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
