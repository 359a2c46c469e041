"""The whole main job on the bundled samples, without a window: compress, generate, traverse, segment."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from engine.device import ComputeDevice
from engine.errors import Cancelled, LatentStudioError
from engine.files import write_bytes
from engine.image import encode_png, open_picture
from engine.models.card import ModelCard
from engine.models.registry import list_models
from engine.paths import resources
from engine.progress import Progress

if TYPE_CHECKING:
    from engine.batch.reports import FileResult

DEMO_QUALITY = 50.0
_TRAVERSED = 8

Report = Callable[[str, Progress], None]


@dataclass
class DemoResult:
    """What the demo made.

    Attributes:
        photos: figures of each compressed photo.
        notes: one sentence per other result, with the seconds it took.
        files: everything that was written.
        failures: why a part could not be done.
    """

    photos: list[FileResult] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    failures: list[LatentStudioError] = field(default_factory=list)


def sample_pictures(kind: str) -> list[Path]:
    """Bundled sample pictures: kind is photos or nuclei."""
    return sorted((resources() / "samples" / kind).glob("*.jpg"))


def run_demo(out: Path, *, quick: bool = False, device: ComputeDevice, report: Report) -> DemoResult:
    """Do the main job of every page on the samples.

    Args:
        out: folder for the results; files of an earlier demo are replaced.
        quick: one photo and one nuclei picture, fewer samples per class.
        report: called with the name of the part and how far it has come.

    Returns:
        What was made; a part that fails (a model is missing, the folder is full) is kept as an error, the rest goes on.
    """
    result = DemoResult()
    generators, explorers = list_models("conditional-vae"), list_models("autoencoder")
    parts = [partial(_compress, out / "compress", quick)]
    parts += [partial(_generate, out / "generate", card, quick) for card in generators]
    parts += [partial(_traverse, out / "latents", card) for card in generators + explorers[: 0 if quick else None]]
    parts += [partial(_segment, out / "segment", card, quick) for card in list_models("dilated-segmenter")]
    for part in parts:
        try:
            part(device, report, result)
        except Cancelled:
            raise
        except LatentStudioError as error:
            result.failures.append(error)
    return result


def _compress(folder: Path, quick: bool, device: ComputeDevice, report: Report, result: DemoResult) -> None:
    from engine.batch.encoding import FileWorker
    from engine.batch.plan import Task
    from engine.batch.settings import BatchSettings
    from engine.compression.files import decode_file

    settings = BatchSettings(quality=DEMO_QUALITY, perceptual=True)
    worker = FileWorker(settings, str(device.torch_device))
    photos = sample_pictures("photos")[: 1 if quick else None]
    for number, photo in enumerate(photos):
        report("Compressing photos", Progress(number, len(photos)))
        target = folder / f"{photo.stem}{settings.ending}"
        result.photos.append(worker.run(Task(number, photo, target, folder / photo.name, replace=True)))
        decode_file(target, folder / f"{photo.stem}.png", device=device)
        result.files += [target, folder / f"{photo.stem}.png"]
    report("Compressing photos", Progress(len(photos), len(photos)))


def _generate(
    folder: Path, card: ModelCard, quick: bool, device: ComputeDevice, report: Report, result: DemoResult
) -> None:
    """A grid with one row per value of the model's first attribute, the same seeds in every row."""
    from engine.generation import Generator, SamplingSettings, contact_sheet

    started = time.perf_counter()
    generator = Generator.load(card.name, device.torch_device)
    attribute = generator.attributes[0]
    columns = 4 if quick else 10
    title = f"Generating {card.name}"
    pictures = []
    for number, value in enumerate(attribute.values):
        report(title, Progress(number, len(attribute.values)))
        settings = SamplingSettings({attribute.name: value})
        pictures += [sample.pixels for sample in generator.sample(settings, columns, seed=0)]
    report(title, Progress(len(attribute.values), len(attribute.values)))
    path = folder / f"{card.name}.png"
    write_bytes(path, encode_png(contact_sheet(pictures, columns)))
    result.files.append(path)
    seconds = time.perf_counter() - started
    result.notes.append(f"{path}: {len(pictures)} pictures, a row per {attribute.name}, {seconds:.1f} s")


def _traverse(folder: Path, card: ModelCard, device: ComputeDevice, report: Report, result: DemoResult) -> None:
    from engine.latent import LatentExplorer

    title = f"Traversing {card.name}"
    report(title, Progress(0, 1))
    started = time.perf_counter()
    explorer = LatentExplorer.load(card.name, device.torch_device)
    space = explorer.spaces[0]
    choice = {attribute.name: attribute.values[0] for attribute in explorer.attributes}
    dims = [dimension.index for dimension in explorer.dimensions(space)[:_TRAVERSED]]
    picture = explorer.traversal(space, explorer.origin(space, choice), choice, dims, 9)
    path = folder / f"{card.name}-traversal.png"
    write_bytes(path, encode_png(picture))
    result.files.append(path)
    report(title, Progress(1, 1))
    seconds = time.perf_counter() - started
    result.notes.append(f"{path}: {len(dims)} latent dimensions of the {space} space, {seconds:.1f} s")


def _segment(
    folder: Path, card: ModelCard, quick: bool, device: ComputeDevice, report: Report, result: DemoResult
) -> None:
    from engine.segmentation import Segmenter, overlay, save_mask

    segmenter = Segmenter.load(card.name, device.torch_device)
    samples = sample_pictures("nuclei")[: 1 if quick else None]
    title = f"Segmenting with {card.name}"
    for number, sample in enumerate(samples):
        report(title, Progress(number, len(samples)))
        started = time.perf_counter()
        picture = open_picture(sample)
        segmentation = segmenter.segment(picture)
        mask, drawn = folder / f"{sample.stem}-mask.png", folder / f"{sample.stem}-overlay.png"
        save_mask(segmentation, mask)
        write_bytes(drawn, encode_png(overlay(picture, segmentation)))
        result.files += [mask, drawn]
        seconds = time.perf_counter() - started
        areas = ", ".join(f"{area.name} {area.percent:.1f} %" for area in segmentation.areas())
        result.notes.append(f"{drawn}: {areas}, {seconds:.1f} s")
    report(title, Progress(len(samples), len(samples)))
