"""A labelled data set of generated pictures: a folder per class, a manifest, and a sheet to look at."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from engine.errors import OutputError, UsageError
from engine.files import write_bytes, write_text
from engine.generation.choice import find_attribute
from engine.generation.generator import Generator, check_count, check_seed
from engine.generation.provenance import save_sample
from engine.generation.settings import SamplingSettings
from engine.generation.sheets import contact_sheet
from engine.image import encode_png
from engine.progress import CancelToken, Progress, ProgressCallback, ignore_progress

MANIFEST = "manifest.csv"
SHEET = "sheet.png"
_SHEET_COLUMNS = 16


@dataclass(frozen=True)
class LabelledSet:
    """What was written.

    Attributes:
        folder: of the set; opens as a folder of classes.
        files: number of pictures in all.
        classes: folder of each value.
    """

    folder: Path
    files: int
    classes: dict[str, Path]


def export_labelled_set(
    generator: Generator,
    folder: Path,
    per_class: int,
    seed: int,
    *,
    attribute: str | None = None,
    settings: SamplingSettings | None = None,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> LabelledSet:
    """Write `per_class` pictures for each value of an attribute, each with its latent inside.

    No seed is used twice: the classes share no style. The manifest, written last, has a line per picture: its file, its
    seed, the value of every attribute, and the model with the hash of its weights.

    Args:
        generator: the model.
        folder: new or empty.
        per_class: 1 to 10,000.
        seed: of the first picture.
        attribute: that sorts the pictures; None takes the model's first one.
        settings: how to draw them; what they choose for other attributes holds for every picture.
        progress: counts pictures; `partial` carries each `Sample`.
        cancel: looked at between pictures. Those that are written stay, without a manifest.

    Raises:
        UsageError: a model without attributes, an unknown one, or a number out of range.
        OutputError: the folder holds something already, or cannot be written.
        Cancelled: by `cancel`.
    """
    if not generator.attributes:
        raise UsageError(f"The model {generator.card.name} has no classes.", "Choose a model that has some.")
    name = generator.attributes[0].name if attribute is None else attribute
    values = find_attribute(generator.attributes, name).values
    settings = settings or SamplingSettings()
    check_count(per_class)
    check_seed(seed, per_class * len(values) * settings.candidates)
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(f"{folder} exists already and is not an empty folder.", "Choose a new folder.")
    classes = dict(zip(values, (folder / one for one in folder_names(values)), strict=True))
    total, done = per_class * len(values), 0
    rows: list[list[object]] = []
    pictures: list[np.ndarray] = []
    for number, value in enumerate(values):
        chosen = replace(settings, choice={**settings.choice, name: value})
        first = seed + number * per_class * settings.candidates

        def report(now: Progress, before: int = done) -> None:
            progress(Progress(before + now.done, total, f"Picture {before + now.done} of {total}", now.partial))

        samples = generator.sample(chosen, per_class, first, progress=report, cancel=cancel)
        done += per_class
        for sample in samples:
            if cancel is not None:
                cancel.raise_if_cancelled()
            path = classes[value] / f"{generator.card.name}-{sample.latent.seed:06d}.png"
            save_sample(sample, path)
            known = [sample.latent.attributes[one.name] for one in generator.attributes]
            file = path.relative_to(folder).as_posix()
            rows.append([file, sample.latent.seed, *known, generator.card.name, generator.card.weights_sha256])
        pictures += [sample.pixels for sample in samples[:_SHEET_COLUMNS]]
    write_bytes(folder / SHEET, encode_png(contact_sheet(pictures, min(per_class, _SHEET_COLUMNS))))
    header = ["file", "seed", *(one.name for one in generator.attributes), "model", "weights_sha256"]
    write_text(folder / MANIFEST, _csv([header, *rows]))
    return LabelledSet(folder, total, classes)


def folder_names(values: Sequence[str]) -> list[str]:
    """A folder name for each value that every file system takes, none of them twice: "T-shirt/top" is "T-shirt-top"."""
    names: list[str] = []
    for value in values:
        plain = re.sub(r"[^\w .()+-]", "-", value).strip(" .")[:64] or "class"
        number, name = 2, plain
        while name.casefold() in (taken.casefold() for taken in names):
            name, number = f"{plain}-{number}", number + 1
        names.append(name)
    return names


def _csv(rows: Sequence[Sequence[object]]) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(rows)
    return stream.getvalue()
