"""Measuring a finished model on a data set, whatever its family, as figures that can go into its card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError

from engine.data import DataSet, DataSettings, data_settings, measuring_split, open_data, set_names
from engine.device import ComputeDevice
from engine.errors import DataError, LatentStudioError, UsageError
from engine.evaluation.generative import GENERATIVE_FAMILIES, MOST_PICTURES, measure_generative
from engine.evaluation.image_quality import ms_ssim, psnr
from engine.evaluation.segmentation import measure_segmentation
from engine.evaluation.ssimulacra2 import has_ssimulacra2, ssimulacra2
from engine.image import Picture
from engine.models.card import Figure, ModelCard
from engine.models.registry import load_model, resolve_model
from engine.models.store import Model, read_card, save_card
from engine.progress import CancelToken, Progress, ProgressCallback, ignore_progress

BATCH_SIZE = 16


@dataclass(frozen=True)
class Report:
    """What was measured.

    Attributes:
        model: name of the model.
        data: name of the data set, with its part.
        figures: in reading order.
    """

    model: str
    data: str
    figures: tuple[Figure, ...]


def evaluate_model(
    name: str | Path,
    data: str,
    *,
    split: str | None = None,
    qualities: Sequence[float] = (50.0,),
    limit: int | None = None,
    roots: Sequence[Path] = (),
    device: ComputeDevice | None = None,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> Report:
    """Measure a model on a data set.

    Codecs compress each picture to a real file and decode it. Generative models and autoencoders are measured as
    `engine.evaluation.generative` says, beside a ceiling, a floor, or PCA fitted to the set's training part. Segmenters
    label the whole pictures of a named set and are counted; on the user's own pictures they report the figures that
    their training reports.

    Args:
        name: registry name or path of the model.
        data: name of a data set, or path of a folder or zip.
        split: part of the set; None takes test where there is one.
        qualities: 0..100, for codecs: means over the pictures are reported at each.
        limit: at most this many pictures.
        roots: folders searched for named sets first.

    Raises:
        UsageError, ModelError, DataError: as opening the model and the data.
        Cancelled: by `cancel`.
    """
    path = resolve_model(name)
    card = read_card(path)
    where = device.torch_device if device is not None else torch.device("cpu")
    if card.family == "dilated-segmenter" and data in set_names():
        measured = measure_segmentation(
            path, roots, data=data, split=split, limit=limit, progress=progress, cancel=cancel
        )
        return Report(card.name, f"{data} {split or 'test'}", tuple(measured.figures()))
    settings = _settings(card, data, split, limit)
    opened = open_data(settings, roots)
    label = f"{opened.name} {settings.split}, {len(opened)} pictures"
    if card.family == "hyperprior-codec":
        figures = _codec_figures(path, opened, label, qualities, where, progress, cancel)
    elif card.family in GENERATIVE_FAMILIES:
        train = open_data(settings.model_copy(update={"split": "train", "limit": None}), roots)
        figures = measure_generative(load_model(path), train, opened, progress=progress, cancel=cancel)
    else:
        figures = _validation_figures(load_model(path, where), opened, label, progress, cancel)
    return Report(card.name, label, tuple(figures))


def write_into_card(name: str | Path, report: Report) -> None:
    """Replace the figures in a model's card by those of a report; the weights stay as they are.

    Raises:
        ModelError: the file is not a model.
        OutputError: it cannot be written.
    """
    path = resolve_model(name)
    save_card(path, read_card(path).model_copy(update={"figures": report.figures}))


def _settings(card: ModelCard, data: str, split: str | None, limit: int | None) -> DataSettings:
    """The settings the model was trained with, for another set and without random changes."""
    settings = data_settings(data)
    changes: dict[str, Any] = {"split": split or measuring_split(settings), "limit": limit}
    if card.family != "hyperprior-codec":
        changes |= _preparation(card)
    if card.family in GENERATIVE_FAMILIES:
        changes["limit"] = min(limit or MOST_PICTURES, MOST_PICTURES)
    try:
        return DataSettings.model_validate({**settings.model_dump(), **changes})
    except ValidationError as error:
        raise UsageError(f"The data cannot be opened like this: {error.errors()[0]['msg']}.", "See --help.") from error


def _preparation(card: ModelCard) -> dict[str, Any]:
    """Size, crop and channels that the model's recipe has."""
    from engine.training.recipe import load_recipe

    name = card.recipe or card.name
    try:
        trained = load_recipe(name).data
    except LatentStudioError as error:
        problem = f"The recipe {name!r}, which says how the model's pictures are prepared, is not at hand."
        raise UsageError(problem, "Put it into the recipes folder of the user's settings.") from error
    return {"size": trained.size, "crop": trained.crop, "channels": trained.channels}


def _validation_figures(
    model: Model, data: DataSet, label: str, progress: ProgressCallback, cancel: CancelToken | None
) -> list[Figure]:
    attributes = model.card.attributes
    if attributes and [a.values for a in attributes] != [a.values for a in data.attributes]:
        raise DataError(
            f"{data.name} does not have the attributes of the model {model.card.name}.", "Choose its own set."
        )
    rng = np.random.default_rng(0)
    torch.manual_seed(0)  # figures of variational models draw from the posterior
    sums: dict[str, float] = {}
    with torch.inference_mode():
        for start in range(0, len(data), BATCH_SIZE):
            if cancel is not None:
                cancel.raise_if_cancelled()
            indices = np.arange(start, min(start + BATCH_SIZE, len(data)))
            figures = model.network.validation_figures(data.batch(indices, rng, False).to(model.device))
            for name, value in figures.items():
                sums[name] = sums.get(name, 0.0) + float(value) * len(indices)
            progress(Progress(int(indices[-1]) + 1, len(data), "Evaluating"))
    return [Figure(name=name, value=value / len(data), data=label) for name, value in sums.items()]


def _codec_figures(
    path: Path,
    data: DataSet,
    label: str,
    qualities: Sequence[float],
    device: torch.device,
    progress: ProgressCallback,
    cancel: CancelToken | None,
) -> list[Figure]:
    from engine.compression import EncodeSettings, decode, encode

    figures: list[Figure] = []
    for round_, quality in enumerate(qualities):
        settings = EncodeSettings(quality=quality, model=str(path))
        rows = []
        for index in range(len(data)):
            picture = Picture(np.ascontiguousarray(data.picture(index)), name=data.file_name(index))
            encoded = encode(picture, settings, device=device, cancel=cancel)
            decoded = decode(encoded, strict=True, device=device, cancel=cancel).picture
            bits = 8 * len(encoded) / (picture.width * picture.height)
            pair = picture.pixels, decoded.pixels
            defined = has_ssimulacra2(picture.width, picture.height)
            visible = ssimulacra2(*pair, cancel=cancel) if defined else np.nan
            rows.append((bits, psnr(*pair), ms_ssim(*pair), visible))
            progress(Progress(round_ * len(data) + index + 1, len(qualities) * len(data), picture.name))
        names = (("bits per pixel", "bpp"), ("PSNR", "dB"), ("MS-SSIM", ""), ("SSIMULACRA2", ""))
        figures += [
            Figure(name=f"{name} at quality {quality:g}", value=round(float(value), 5), unit=unit, data=label)
            for (name, unit), value in zip(names, np.mean(rows, axis=0), strict=True)
            if not np.isnan(value)  # a picture is too small for the figure
        ]
    return figures
