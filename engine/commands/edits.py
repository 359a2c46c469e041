"""vary, morph, change, every-class, encode, nearest and labelled-set: what is made from pictures, and in bulk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.commands.console import (
    DeviceOption,
    JsonOption,
    OverwriteOption,
    RootsOption,
    ThreadsOption,
    bar,
    compute_device,
    data_roots,
    output,
    parse_pairs,
    print_json,
    set_compute,
    table,
)
from engine.commands.generative import (
    AttributesOption,
    ClassOption,
    ModelArgument,
    choose,
    open_sample,
    place_file,
    refuse_existing,
    save_samples,
    sheet_png,
)
from engine.errors import UsageError

if TYPE_CHECKING:
    from engine.generation import Generator, Latent

PngArgument = Annotated[Path, typer.Argument(metavar="PNG", help="A picture made here (see also `encode`).")]
FolderOption = Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the pictures.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    for command in (vary, morph, change, every_class, encode, nearest, labelled_set):
        app.command()(command)


def vary(
    pictures: Annotated[
        list[Path],
        typer.Argument(metavar="PNG...", help="Pictures made here; of several, the new ones take after all."),
    ],
    out: FolderOption,
    radius: Annotated[float, typer.Option(help="0 (the same style) to 1 (a new one).")] = 0.3,
    count: Annotated[int, typer.Option("--count", "-n", metavar="N", help="How many pictures.")] = 16,
    seed: Annotated[int, typer.Option(help="Picture i is made with SEED + i.")] = 0,
    overwrite: OverwriteOption = False,
    device: DeviceOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Make variations of a picture, or pictures that take after several."""
    set_compute(device, threads)
    from engine.generation.edits import more_like
    from engine.generation.edits import vary as variations

    generator, latents = _open_samples(pictures)
    with bar("Varying") as progress:
        if len(latents) == 1:
            samples = variations(generator, latents[0], radius, count, seed, progress=progress)
        else:
            samples = more_like(generator, latents, count, seed, radius=radius, progress=progress)
    stems = [f"{pictures[0].stem}-{seed + index:06d}" for index in range(len(samples))]
    save_samples(samples, out, stems, overwrite=overwrite)
    place_file(out / "sheet.png", sheet_png(samples), overwrite=overwrite)


def morph(
    first: Annotated[Path, typer.Argument(metavar="A.png", help="The picture to begin with, made here.")],
    second: Annotated[Path, typer.Argument(metavar="B.png", help="The picture to end with, of the same model.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="A .gif, .webp or .mp4; or a .png strip.")],
    steps: Annotated[int, typer.Option(help="Pictures in all, 2 to 1000.")] = 24,
    seconds: Annotated[float, typer.Option(help="How long each is shown.")] = 0.08,
    back: Annotated[bool, typer.Option("--back", help="Also go back to the first one.")] = False,
    scale: Annotated[
        int | None, typer.Option(metavar="N", help="Enlarge pixels N times; to about 256 pixels where not given.")
    ] = None,
    overwrite: OverwriteOption = False,
    device: DeviceOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Animate how one picture turns into another."""
    set_compute(device, threads)
    from engine.files import write_bytes
    from engine.generation.animation import SUFFIXES, save_animation
    from engine.generation.edits import morph as way

    if out.suffix.lower() not in (*SUFFIXES, ".png"):
        raise UsageError(f"{out.name} is no animation.", f"Use one of {', '.join((*SUFFIXES, '.png'))}.")
    refuse_existing(out, overwrite)
    generator, latents = _open_samples([first, second])
    with bar("Morphing") as progress:
        samples = way(generator, latents[0], latents[1], steps, progress=progress)
        shown = [*samples, *samples[-2:0:-1]] if back else samples
        if out.suffix.lower() == ".png":
            write_bytes(out, sheet_png(shown, columns=len(shown)), overwrite=overwrite)
        else:
            frames = [sample.pixels for sample in shown]
            enlarged = scale if scale is not None else max(1, 256 // max(generator.image_size))
            save_animation(frames, out, seconds, scale=enlarged, overwrite=overwrite, progress=progress)
    output.print(f"{out}: {len(shown)} pictures", soft_wrap=True, markup=False)


def change(
    picture: PngArgument,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="The PNG to write.")],
    class_name: ClassOption = None,
    attr: AttributesOption = None,
    open_attributes: Annotated[
        list[str] | None, typer.Option("--open", metavar="NAME", help="Leave an attribute open; repeatable.")
    ] = None,
    overwrite: OverwriteOption = False,
    device: DeviceOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Give a picture another class or attribute and keep its style."""
    set_compute(device, threads)
    refuse_existing(out, overwrite)
    from engine.generation import save_sample
    from engine.generation.edits import with_value

    generator, latent = open_sample(picture)
    wanted: dict[str, str | None] = {**choose(generator.attributes, class_name, attr)}
    wanted.update(dict.fromkeys(open_attributes or []))
    if not wanted:
        raise UsageError("Nothing to change was named.", "Use --class, --attr NAME=VALUE or --open NAME.")
    for name, value in wanted.items():
        latent = with_value(generator, latent, name, value).latent
    save_sample(generator.sample_at(latent), out)
    said = ", ".join(f"{name} {value or 'open'}" for name, value in wanted.items())
    output.print(f"{out}: {said}", soft_wrap=True, markup=False)


def every_class(
    picture: PngArgument,
    out: FolderOption,
    attribute: Annotated[
        str | None, typer.Option(metavar="NAME", help="The attribute that changes; the model's first one.")
    ] = None,
    overwrite: OverwriteOption = False,
    device: DeviceOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Draw a picture's style in every class."""
    set_compute(device, threads)
    from engine.generation.edits import in_every_class
    from engine.generation.labelled_set import folder_names

    generator, latent = open_sample(picture)
    with bar("Drawing") as progress:
        samples = in_every_class(generator, latent, attribute, progress=progress)
    changed = attribute or generator.attributes[0].name
    names = folder_names([sample.latent.attributes[changed] for sample in samples])
    stems = [f"{picture.stem}-{name.replace(' ', '-')}" for name in names]
    save_samples(samples, out, stems, overwrite=overwrite)
    place_file(out / "sheet.png", sheet_png(samples), overwrite=overwrite)


def encode(
    model: ModelArgument,
    picture: Annotated[Path, typer.Argument(metavar="PICTURE", help="Any picture of yours.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="The PNG to write.")],
    class_name: ClassOption = None,
    attr: AttributesOption = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
    device: DeviceOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Write what a model keeps of a picture of yours, as a PNG that vary, morph and change take.

    Attributes that are not given are guessed.
    """
    set_compute(device, threads)
    refuse_existing(out, overwrite)
    from engine.generation import Generator, Sample, save_sample
    from engine.generation.pictures import encode_picture
    from engine.image import open_picture

    generator = Generator.load(model, compute_device().torch_device)
    choice = choose(generator.attributes, class_name, attr)
    with bar("Encoding") as progress:
        found = encode_picture(generator, open_picture(picture), choice, progress=progress)
    save_sample(Sample(found.reconstruction, found.latent), out)
    if as_json:
        print_json({"file": out, "psnr": found.psnr, "attributes": found.choice, "guessed": found.guessed})
        return
    output.print(f"{out}: {found.psnr:.1f} dB against what the model sees", soft_wrap=True, markup=False)
    for name, value in found.choice.items():
        note = " (guessed)" if name in found.guessed else ""
        output.print(f"  {name}: {value}{note}", soft_wrap=True, markup=False)


def nearest(
    picture: PngArgument,
    count: Annotated[int, typer.Option("--count", "-n", metavar="N", help="How many of them.")] = 5,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Also write them as a PNG, the sample first.")
    ] = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
    data_root: RootsOption = None,
    device: DeviceOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Find the training pictures nearest to a sample, and say if it is a copy."""
    set_compute(device, threads, data_root)
    if out is not None:
        refuse_existing(out, overwrite)
    from engine.files import write_bytes
    from engine.generation import contact_sheet
    from engine.generation.neighbours import NearestPictures, share_nearer
    from engine.image import encode_png

    generator, latent = open_sample(picture)
    sample = generator.sample_at(latent)
    with bar("Comparing") as progress:
        known = NearestPictures.open(generator.card, data_roots(), progress=progress)
        found = known.nearest(sample.pixels, count)
        share = share_nearer(found[0].distance, known.held_out_distances(progress=progress))
    if out is not None:
        pictures = [sample.pixels, *(one.pixels for one in found)]
        write_bytes(out, encode_png(contact_sheet(pictures, len(pictures))), overwrite=overwrite)
    if as_json:
        rows = [{"name": one.name, "distance": one.distance, "attributes": one.values} for one in found]
        print_json({"nearest": rows, "held_out_nearer": share})
        return
    shown = table("training picture", "distance", "attributes")
    for one in found:
        shown.add_row(one.name, f"{one.distance:.4f}", ", ".join(one.values.values()))
    output.print(shown)
    output.print(
        f"{100 * share:.0f} % of held-out pictures lie nearer to a training picture than this one does; "
        "near 0 % it is a copy.",
        soft_wrap=True,
    )


def labelled_set(
    model: ModelArgument,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="A new folder for the set.")],
    per_class: Annotated[int, typer.Option("--per-class", "-n", metavar="N", help="Pictures of each class.")] = 100,
    seed: Annotated[int, typer.Option(help="Of the first picture; no seed is used twice.")] = 0,
    attribute: Annotated[
        str | None, typer.Option(metavar="NAME", help="The attribute that sorts them; the model's first one.")
    ] = None,
    attr: AttributesOption = None,
    temperature: Annotated[float, typer.Option(help="0 to 3; spread of the pictures.")] = 1.0,
    guidance: Annotated[float, typer.Option(help="0 to 5; strength of the class.")] = 1.0,
    diversity: Annotated[float, typer.Option(help="0 to 1; choose pictures that differ.")] = 0.0,
    device: DeviceOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Write a labelled data set of generated pictures: a folder per class and a manifest."""
    set_compute(device, threads)
    from engine.generation import Generator, SamplingSettings
    from engine.generation.labelled_set import export_labelled_set

    generator = Generator.load(model, compute_device().torch_device)
    settings = SamplingSettings(
        parse_pairs(attr or []), temperature=temperature, guidance=guidance, diversity=diversity
    )
    with bar("Generating") as progress:
        written = export_labelled_set(
            generator, out, per_class, seed, attribute=attribute, settings=settings, progress=progress
        )
    output.print(f"{out}: {written.files} pictures in {len(written.classes)} classes", soft_wrap=True, markup=False)


def _open_samples(paths: Sequence[Path]) -> tuple[Generator, list[Latent]]:
    opened = [open_sample(path) for path in paths]
    generator = opened[0][0]
    for (other, _), path in zip(opened, paths, strict=True):
        if other.card.name != generator.card.name:
            raise UsageError(
                f"{path} was made with {other.card.name}, {paths[0]} with {generator.card.name}.",
                "Use pictures of one model.",
            )
    return generator, [latent for _, latent in opened]
