"""Measuring a finished model on a data set: its family's own validation figures, and real files for codecs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError

from engine.data import DataSet, DataSettings, data_settings, measuring_split, open_data
from engine.device import ComputeDevice
from engine.errors import DataError, LatentStudioError, UsageError
from engine.evaluation.generative import GENERATIVE_FAMILIES, MOST_PICTURES, measure_generative
from engine.image import Picture
from engine.models.card import ModelCard
from engine.models.registry import load_model, resolve_model
from engine.models.store import Model, read_card
from engine.progress import CancelToken, Progress, ProgressCallback, ignore_progress

BATCH_SIZE = 16


def evaluate_model(
    name: str | Path,
    data: str,
    *,
    split: str | None = None,
    quality: float = 50.0,
    limit: int | None = None,
    roots: Sequence[Path] = (),
    device: ComputeDevice | None = None,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> dict[str, Any]:
    """Measure a model on a data set.

    Codecs compress each picture to a real file and decode it: bits per pixel, PSNR in dB, MS-SSIM and seconds are means
    over the pictures. Generative models and autoencoders are measured as `engine.evaluation.generative` says, beside a
    ceiling, a floor, or PCA fitted to the set's training part. Other families report what their training reports as
    validation figures, averaged over all pictures. These are prepared as the model's recipe prepares its own.

    Args:
        name: registry name or path of the model.
        data: name of a data set, or path of a folder or zip.
        split: part of the set; None takes test where there is one.
        quality: 0..100, for codecs.
        limit: at most this many pictures.
        roots: folders searched for named sets first.

    Returns:
        model, data, split, pictures, and figures by name.

    Raises:
        UsageError, ModelError, DataError, LatentStudioError.
    """
    path = resolve_model(name)
    card = read_card(path)
    settings = _settings(card, data, split, limit)
    opened = open_data(settings, roots)
    where = device.torch_device if device is not None else torch.device("cpu")
    if card.family == "hyperprior-codec":
        figures = _codec_figures(path, opened, quality, where, progress, cancel)
    elif card.family in GENERATIVE_FAMILIES:
        train = open_data(settings.model_copy(update={"split": "train", "limit": None}), roots)
        measured = measure_generative(load_model(path), train, opened, progress=progress, cancel=cancel)
        figures = {figure.name: figure.value for figure in measured}
    else:
        figures = _validation_figures(load_model(path, where), opened, progress, cancel)
    return {
        "model": card.name,
        "data": opened.name,
        "split": settings.split,
        "pictures": len(opened),
        "figures": figures,
    }


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
    model: Model, data: DataSet, progress: ProgressCallback, cancel: CancelToken | None
) -> dict[str, float]:
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
    return {name: value / len(data) for name, value in sums.items()}


def _codec_figures(
    path: Path,
    data: DataSet,
    quality: float,
    device: torch.device,
    progress: ProgressCallback,
    cancel: CancelToken | None,
) -> dict[str, float]:
    from engine.compression import EncodeSettings, decode, encode
    from engine.evaluation.image_quality import ms_ssim, psnr

    settings = EncodeSettings(quality=quality, model=str(path))
    rows = []
    for index in range(len(data)):
        picture = Picture(np.ascontiguousarray(data.picture(index)), name=data.file_name(index))
        started = time.perf_counter()
        encoded = encode(picture, settings, device=device, cancel=cancel)
        middle = time.perf_counter()
        decoded = decode(encoded, strict=True, device=device, cancel=cancel).picture
        finished = time.perf_counter()
        rows.append(
            (
                8 * len(encoded) / (picture.width * picture.height),
                psnr(picture.pixels, decoded.pixels),
                ms_ssim(picture.pixels, decoded.pixels),
                middle - started,
                finished - middle,
            )
        )
        progress(Progress(index + 1, len(data), picture.name))
    names = ("bits_per_pixel", "psnr_db", "ms_ssim", "seconds_encode", "seconds_decode")
    return {"quality": quality, **dict(zip(names, np.mean(rows, axis=0).tolist(), strict=True))}
