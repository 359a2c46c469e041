"""segment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from engine.commands.console import (
    DeviceOption,
    JsonOption,
    Outcome,
    OverwriteOption,
    ThreadsOption,
    compute_device,
    finish,
    for_each,
    gather,
    output,
    print_json,
    set_compute,
    table,
    targets,
)
from engine.errors import UsageError
from engine.progress import ProgressCallback

DEFAULT_MODEL = "nuclei-segmenter"


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(segment)


def segment(
    photos: Annotated[list[str], typer.Argument(metavar="PHOTO", help="Pictures, folders or patterns.")],
    model: Annotated[str, typer.Option("--model", "-m", help="Segmentation model: a name or a path.")] = DEFAULT_MODEL,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="A PNG or a folder; NAME-mask.png beside each photo by default.")
    ] = None,
    overlay: Annotated[bool, typer.Option("--overlay", help="Also write the photo with its coloured mask.")] = False,
    opacity: Annotated[float, typer.Option(min=0.0, max=1.0, help="Of the overlay's colours.")] = 0.5,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
    device: DeviceOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Segment pictures: palette PNGs whose values are class numbers, and the area of each class."""
    set_compute(device, threads)
    from engine.files import write_bytes
    from engine.image import PICTURE_SUFFIXES, encode_png, open_picture
    from engine.segmentation import Segmenter, save_mask
    from engine.segmentation import overlay as draw_overlay

    if out is not None and out.suffix and out.suffix.lower() != ".png" and not out.is_dir():
        raise UsageError(f"Masks are PNG files, {out.name} is none.", "Give a name that ends in .png, or a folder.")
    segmenter = Segmenter.load(model, compute_device().torch_device)
    outcome = Outcome()
    found = gather(photos, PICTURE_SUFFIXES, outcome)
    jobs = targets(found, out, "-mask.png", (".png",), overwrite=overwrite, outcome=outcome)
    results: list[dict[str, Any]] = []

    def one(source: Path, target: Path, progress: ProgressCallback) -> None:
        picture = open_picture(source)
        segmentation = segmenter.segment(picture, progress=progress)
        save_mask(segmentation, target)
        areas = segmentation.areas()
        if overlay:
            pixels = draw_overlay(picture, segmentation, opacity)
            drawn = target.with_stem(f"{target.stem.removesuffix('-mask')}-overlay")
            write_bytes(drawn, encode_png(pixels), overwrite=overwrite)
        results.append(
            {
                "file": str(source),
                "mask": str(target),
                "classes": [
                    {"name": area.name, "pixels": area.pixels, "percent": area.percent, "regions": area.regions}
                    for area in areas
                ],
            }
        )

    for_each("Segmenting", jobs, outcome, one)
    if as_json:
        print_json({"files": results, "failed": outcome.failed})
    elif results:
        shown = table("mask", "class", "pixels", "percent", "regions")
        for result in results:
            for index, area in enumerate(result["classes"]):
                name = escape(result["mask"]) if index == 0 else ""
                figures = f"{area['pixels']:,}", f"{area['percent']:.2f}", str(area["regions"])
                shown.add_row(name, escape(area["name"]), *figures)
        output.print(shown)
    finish(outcome)
