"""compress, decode, info."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from engine.commands.batch import BatchOptions, run_batch
from engine.commands.console import (
    DeviceOption,
    JsonOption,
    Outcome,
    OverwriteOption,
    ThreadsOption,
    compute_device,
    errors,
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

if TYPE_CHECKING:
    from engine.batch.settings import BatchSettings
    from engine.compression.byte_source import ByteSource
    from engine.compression.container import GroupEntry
    from engine.compression.preparation import Preparation
    from engine.compression.settings import Target


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command()(compress)
    app.command()(decode)
    app.command()(info)
    app.command()(presets)


def compress(
    photos: Annotated[list[str], typer.Argument(metavar="PHOTO", help="Pictures, folders or patterns.")],
    quality: Annotated[
        float | None,
        typer.Option("-q", "--quality", min=0, max=100, help="0 to 100; higher is better and larger. [default: 50]"),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Largest file, for example 200kB, 1.5MB, 64KiB; a bare number is in kB."),
    ] = None,
    bpp: Annotated[float | None, typer.Option(help="Most bits per pixel, of the whole file.")] = None,
    psnr: Annotated[float | None, typer.Option(help="Least PSNR in dB; the smallest file that has it.")] = None,
    ms_ssim: Annotated[
        float | None, typer.Option("--ms-ssim", help="Least MS-SSIM, 0 to 1; the smallest file that has it.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="A file or a folder; beside each photo by default.")
    ] = None,
    output_format: Annotated[
        str, typer.Option("--format", metavar="FORMAT", help="lsi, jpeg, webp, avif, jxl or png.")
    ] = "lsi",
    suffix: Annotated[
        str, typer.Option(metavar="TEXT", help="Put before the ending of names: -small gives photo-small.lsi.")
    ] = "",
    skip_gain: Annotated[
        float | None,
        typer.Option(metavar="PERCENT", help="Copy the original where the result is not at least so much smaller."),
    ] = None,
    jobs: Annotated[
        int, typer.Option("-j", "--jobs", min=1, metavar="N", help="Files at a time, each in its own process.")
    ] = 1,
    resume: Annotated[
        bool, typer.Option("--resume", help="Leave out what an earlier run finished and nothing changed since.")
    ] = False,
    shard: Annotated[
        str | None, typer.Option(metavar="I/N", help="Do only the I-th of N parts, for several machines.")
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Work on a Ray cluster that sees the same folders: host:port or auto."),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="CSV", help="Write a table of all files with sizes, figures and problems.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Codec model: a name or a path.")] = None,
    metadata: Annotated[
        bool, typer.Option("--metadata/--no-metadata", help="Keep EXIF and XMP, without the place (GPS).")
    ] = True,
    gps: Annotated[
        bool, typer.Option("--gps/--no-gps", help="Keep in the metadata where the photo was taken.")
    ] = False,
    profile: Annotated[
        bool, typer.Option("--profile/--srgb", help="Keep colours such as Display P3, or convert them to sRGB.")
    ] = True,
    effort: Annotated[
        int,
        typer.Option(
            min=0, max=10, help="0 is fast; 1 to 3 search ever longer for smaller files. Other formats have their own."
        ),
    ] = 0,
    focus: Annotated[
        str | None,
        typer.Option(
            metavar="MASK_OR_MODEL",
            help="What keeps its quality: a mask PNG of the photo's size, a folder of masks, or a segmentation model.",
        ),
    ] = None,
    drop: Annotated[
        float, typer.Option(min=0, max=100, help="With --focus: points of quality that all else loses.")
    ] = 30.0,
    perceptual: Annotated[
        bool, typer.Option(help="Measure SSIMULACRA2 too; it takes nearly as long as encoding.")
    ] = True,
    crop: Annotated[
        str | None, typer.Option(metavar="X,Y,WIDTH,HEIGHT", help="Compress only this part, in pixels.")
    ] = None,
    resize: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="1600x, x1200, 1600x1200, 50%, or 2048 for the longest side; after --crop."),
    ] = None,
    resample: Annotated[str, typer.Option(help="Filter for --resize: lanczos, bicubic, box or nearest.")] = "lanczos",
    preset: Annotated[
        str | None, typer.Option(metavar="NAME", help="Codec, settings and size by name; see `presets`.")
    ] = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
    device: DeviceOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Compress photos into small files, at a quality or to a size, bits per pixel, PSNR or MS-SSIM."""
    set_compute(device, threads)
    from engine.batch.plan import parse_shard
    from engine.batch.settings import BatchSettings

    settings = BatchSettings(
        format=output_format,
        quality=50.0 if quality is None else quality,
        target=_target(quality, size, bpp, psnr, ms_ssim),
        model=model,
        effort=effort or None,
        keep_metadata=metadata,
        keep_place=gps,
        keep_profile=profile,
        suffix=suffix,
        skip_gain=skip_gain,
        perceptual=perceptual,
        focus=focus,
        drop=drop,
        preparation=_preparation(crop, resize, resample),
    )
    if preset is not None:
        own = settings != BatchSettings(
            keep_metadata=metadata, keep_place=gps, keep_profile=profile, suffix=suffix, skip_gain=skip_gain,
            perceptual=perceptual, drop=drop, preparation=settings.preparation,
        )  # fmt: skip
        if own or quality is not None:
            raise UsageError(
                "A preset brings its own settings.",
                "Leave out --format, -q, targets, --model, --effort and --focus.",
            )
        settings = _with_preset(settings, preset)
    part = None if shard is None else parse_shard(shard)
    run_batch(photos, settings, BatchOptions(out, jobs, resume, part, report, overwrite, as_json, ray))


def _preparation(crop: str | None, resize: str | None, resample: str) -> Preparation | None:
    """Crop and size that the options name; None where they name none. Raises `UsageError`."""
    from engine.compression.container import Region
    from engine.compression.preparation import Preparation, parse_resize

    part = None if crop is None else Region.parse(crop, "--crop")
    if resize is not None:
        return parse_resize(resize, crop=part, resample=resample)
    checked = Preparation(part, resample=resample)
    return checked if part is not None else None


def _with_preset(settings: BatchSettings, name: str) -> BatchSettings:
    """The settings of a preset under the options beside it.

    Options can take metadata away, and add the place; crop and size take the place of those of the preset.
    """
    from engine.compression.presets import load_presets

    shelf = load_presets()
    for problem in shelf.problems:
        errors.print(escape(problem), soft_wrap=True)
    found = shelf.find(name)
    wanted = found.settings
    return replace(
        settings,
        format=found.codec,
        quality=wanted.quality,
        target=wanted.target,
        model=getattr(wanted, "model", None),
        effort=wanted.effort,
        subsampling=getattr(wanted, "subsampling", settings.subsampling),
        lossless=getattr(wanted, "lossless", False),
        keep_metadata=wanted.keep_metadata and settings.keep_metadata,
        keep_place=wanted.keep_place or settings.keep_place,
        keep_profile=found.keep_profile and settings.keep_profile,
        preparation=settings.preparation or found.preparation,
    )


def presets(as_json: JsonOption = False) -> None:
    """List the presets for `compress --preset NAME`."""
    from engine.compression.presets import load_presets

    shelf = load_presets()
    for problem in shelf.problems:
        errors.print(escape(problem), soft_wrap=True)
    if as_json:
        print_json({"presets": [preset.to_data() for preset in shelf.presets], "problems": list(shelf.problems)})
        return
    shown = table("name", "codec", "for what")
    for preset in shelf.presets:
        shown.add_row(escape(preset.name), preset.codec, escape(preset.about))
    output.print(shown)


def _target(
    quality: float | None, size: str | None, bpp: float | None, psnr: float | None, ms_ssim: float | None
) -> Target | None:
    """The target that the options name, None where they name none. Raises `UsageError` for more than one wish."""
    from engine.compression.settings import Target, parse_size

    wishes = {"-q": quality, "--size": size, "--bpp": bpp, "--psnr": psnr, "--ms-ssim": ms_ssim}
    given = [name for name, value in wishes.items() if value is not None]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} exclude one another.", "Give one of them.")
    if size is not None:
        return Target("size", parse_size(size))
    if bpp is not None:
        return Target("bpp", bpp)
    if psnr is not None:
        return Target("psnr", psnr)
    return Target("ms-ssim", ms_ssim) if ms_ssim is not None else None


def decode(
    files: Annotated[list[str], typer.Argument(metavar="FILE", help=".lsi files, folders or patterns.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="A picture file or a folder; PNG beside each file by default.")
    ] = None,
    region: Annotated[
        str | None,
        typer.Option(metavar="X,Y,WIDTH,HEIGHT", help="Decode only this part of the picture, in pixels."),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse damaged files instead of saving what is left.")
    ] = False,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
    device: DeviceOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Decode .lsi files to pictures."""
    set_compute(device, threads)
    from engine.compression import DEFAULT_SUFFIX, Region
    from engine.compression.files import DecodedFileReport, decode_file
    from engine.image import WRITABLE_SUFFIXES

    wanted = None if region is None else Region.parse(region)
    chosen = compute_device()
    outcome = Outcome()
    found = gather(files, (DEFAULT_SUFFIX,), outcome)
    jobs = targets(found, out, ".png", WRITABLE_SUFFIXES, overwrite=overwrite, outcome=outcome)
    reports: list[DecodedFileReport] = []

    def one(source: Path, target: Path, progress: ProgressCallback) -> None:
        report = decode_file(
            source, target, region=wanted, strict=strict, overwrite=overwrite, device=chosen, progress=progress
        )
        reports.append(report)
        if report.damaged_tiles:
            outcome.damaged.append(source)
            count = len(report.damaged_tiles)
            text = f"{source} is damaged: {count} part(s) of the picture are missing; the rest is saved in {target}."
            errors.print(escape(text), soft_wrap=True)

    for_each("Decoding", jobs, outcome, one)
    if as_json:
        print_json({"files": [asdict(report) for report in reports], "failed": outcome.failed})
    else:
        for report in reports:
            output.print(
                escape(f"{report.target}  {report.width}x{report.height}  {report.seconds_decode:.2f} s"),
                soft_wrap=True,
            )
    finish(outcome)


def info(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An .lsi file.")],
    as_json: JsonOption = False,
    bits_map: Annotated[
        Path | None,
        typer.Option("--bits-map", metavar="PNG", help="Draw where the bits go, as a heat map, into this file."),
    ] = None,
) -> None:
    """Show what a compressed file says of itself."""
    from engine.compression import inspect
    from engine.compression.reading import open_compressed

    with open_compressed(file) as data:
        header = inspect(data)
        facts = {"file": str(file), **header.facts()}
        if bits_map is not None:
            facts["bits_map"] = str(bits_map)
            facts["bits_map_top"] = _draw_bits_map(file, data, bits_map)
    if as_json:
        print_json(facts)
        return
    shown = table("", "")
    shown.show_header = False
    bits = facts.pop("tile_bits")
    facts["bits_per_pixel_of_tiles"] = _rates(header.groups) if len(bits) > 1 else ""
    for name, value in facts.items():
        if value == "":
            continue
        if isinstance(value, dict):
            value = ", ".join(f"{key} {count:,}" for key, count in value.items())
        elif isinstance(value, list):
            value = "; ".join(value) or "none"
        elif isinstance(value, float):
            value = f"{value:.3f}".rstrip("0").rstrip(".")
        shown.add_row(name.replace("_", " "), escape(str(value)))
    output.print(shown)


def _draw_bits_map(file: Path, data: ByteSource, target: Path) -> float:
    """Write the heat map of a file's bits; returns the bits per pixel of its lightest colour."""
    import numpy as np

    from engine.compression.bits_map import bits_map, smoothed
    from engine.compression.reading import naming
    from engine.files import write_bytes
    from engine.heat_colours import heat_picture
    from engine.image import encode_png

    with naming(file):
        values = smoothed(bits_map(data, device=compute_device()))
    # A few places that cost far more than all others must not leave the rest in the dark.
    top = float(np.quantile(values, 0.995))
    colours = heat_picture(values, top)
    scale = max(1, min(16, 2048 // max(values.shape)))
    drawn = colours.repeat(scale, axis=0).repeat(scale, axis=1)
    write_bytes(target, encode_png(drawn, text={"Description": f"Bits per pixel, 0 (dark) to {top:.3f} (light)"}))
    return top


def _rates(groups: Sequence[GroupEntry]) -> str:
    """Bits per pixel of the tiles, a line for each row of them; beyond 16 columns their least, median and most."""
    rows: dict[int, list[float]] = {}
    for group in groups:
        rows.setdefault(group.y, []).append(8.0 * group.bytes / (group.width * group.height))
    if len(rows[0]) <= 16:
        return "\n".join(" ".join(f"{rate:.2f}" for rate in row) for row in rows.values())
    rates = sorted(rate for row in rows.values() for rate in row)
    return f"{rates[0]:.2f} to {rates[-1]:.2f}, median {median(rates):.2f}"
