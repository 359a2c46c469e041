"""The latents of a whole data set under a model, with what is shown beside them: labels, errors, small pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from engine.data import DataSet, data_settings, measuring_split, open_data
from engine.errors import AnalysisError, UsageError
from engine.generation.generator import to_pixels
from engine.latent.spaces import space_maps
from engine.models.card import Attribute
from engine.models.store import Model
from engine.progress import CancelToken, Progress, ProgressCallback, ignore_progress

# 10,000 colour thumbnails of this side take 123 MB.
THUMBNAIL_SIDE = 64

_CHUNK = 128


@dataclass(frozen=True)
class Encodings:
    """N pictures as a model sees them; row i of every table is the same picture.

    Attributes:
        model: registry name.
        weights_sha256: of the model.
        data: name of the set, with its part.
        means: (N, D) float32, raw latents.
        log_variances: (N, D) float32 of the posteriors, or None where the model gives points without a spread.
        attributes: what the columns of `labels` mean; empty where nothing is known.
        labels: (N, A) int64.
        errors: (N,) float32 mean squared error of the reconstructions, values in 0..1.
        thumbnails: (N, T, T, 3) uint8.
        indices: (N,) int64 positions in the data set.
        names: file name of each.
    """

    model: str
    weights_sha256: str
    data: str
    means: np.ndarray
    log_variances: np.ndarray | None
    attributes: tuple[Attribute, ...]
    labels: np.ndarray
    errors: np.ndarray
    thumbnails: np.ndarray
    indices: np.ndarray
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.means)

    def column(self, attribute: str) -> np.ndarray:
        """Value numbers (N,) of an attribute. Raises `UsageError` for one that the data do not have."""
        names = [one.name for one in self.attributes]
        if attribute not in names:
            known = f"It has: {', '.join(names)}." if names else "It has none."
            raise UsageError(f"{self.data} has no attribute {attribute!r}.", known)
        return self.labels[:, names.index(attribute)]


def open_for(
    model: Model, data: str, *, split: str | None = None, limit: int | None = None, roots: Sequence[Path] = ()
) -> tuple[DataSet, str]:
    """A data set with its pictures prepared for a model, and a name for it such as "MNIST test".

    Args:
        data: name of a set, or path of a folder or zip.
        split: its part; None takes test where there is one.
        limit: at most this many pictures, a fixed choice spread over the set.
        roots: folders searched for named sets first.

    Raises:
        ModelError: the model has no latent space.
        UsageError, DataError: as opening the data.
    """
    space_maps(model)
    config = model.network.config
    settings = data_settings(data)
    part = split or measuring_split(settings)
    if part not in ("train", "validation", "test", "all"):
        raise UsageError(f"There is no part {part!r} of a data set.", "Use train, validation, test or all.")
    changes = {"split": part, "size": config.image_size, "channels": config.channels, "limit": limit}
    opened = open_data(settings.model_copy(update=changes), roots)
    return opened, f"{opened.name} {part}"


def encode_data(
    model: Model,
    data: DataSet,
    name: str,
    *,
    told: bool = False,
    thumbnail_side: int = THUMBNAIL_SIDE,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> Encodings:
    """Encode every picture of a data set.

    Args:
        model: a generative model or an autoencoder.
        data: opened at the model's size, see `open_for`.
        name: of the data, for captions.
        told: True tells the model each picture's attributes; its latent then carries only what they do not say. False
            leaves them open, so that the latent carries everything.
        thumbnail_side: largest side of the small pictures, in pixels.
        progress, cancel: as everywhere.

    Raises:
        ModelError: the model has no latent space.
        UsageError: the model is to be told attributes that the data do not have.
        AnalysisError: a latent is not finite.
        DataError: no pictures, or none of one size.
        Cancelled: by `cancel`.
    """
    maps = space_maps(model)
    if told and data.attributes != maps.attributes:
        raise UsageError(
            f"{name} does not have the attributes that {model.card.name} can be told.", "Leave them open instead."
        )
    count = len(data)
    if not count:
        raise AnalysisError(f"{name} holds no pictures.", "Choose another set.")
    rng = np.random.default_rng(0)
    means, log_variances, errors, labels, thumbnails = [], [], [], [], []
    with torch.inference_mode():
        for start in range(0, count, _CHUNK):
            if cancel is not None:
                cancel.raise_if_cancelled()
            rows = np.arange(start, min(start + _CHUNK, count))
            batch = data.batch(rows, rng, augment=False)
            images = batch.images.to(model.device)
            known = batch.labels.to(model.device) if told and batch.labels is not None else None
            mean, log_variance = maps.posterior(images, known)
            _refuse_what_is_not_finite(mean, model.card.name, data, start)
            copies = maps.reconstruct(mean, known).clamp(0, 1)
            means.append(mean.float().cpu())
            errors.append((copies - images).square().flatten(1).mean(1).float().cpu())
            if log_variance is not None:
                log_variances.append(log_variance.float().cpu())
            labels.append(torch.zeros(len(rows), 0, dtype=torch.int64) if batch.labels is None else batch.labels)
            thumbnails.append(_small(batch.images, thumbnail_side))
            progress(Progress(int(rows[-1]) + 1, count, "Encoding pictures"))
    return Encodings(
        model=model.card.name,
        weights_sha256=model.card.weights_sha256,
        data=name,
        means=torch.cat(means).numpy(),
        log_variances=torch.cat(log_variances).numpy() if log_variances else None,
        attributes=tuple(data.attributes),
        labels=torch.cat(labels).numpy(),
        errors=torch.cat(errors).numpy(),
        thumbnails=np.concatenate(thumbnails),
        indices=np.arange(count),
        names=tuple(data.file_name(index) for index in range(count)),
    )


def _refuse_what_is_not_finite(mean: Tensor, model: str, data: DataSet, start: int) -> None:
    finite = torch.isfinite(mean).all(dim=1)
    if not finite.all():
        first = start + int(torch.argmin(finite.int()))
        raise AnalysisError(
            f"{model} gives a latent that is not finite for {data.file_name(first)}.",
            "The model is damaged or its training diverged; choose another one.",
        )


def _small(images: Tensor, side: int) -> np.ndarray:
    """Pictures (N, C, S, S) as thumbnails (N, T, T, 3) uint8; each pixel is the mean of what it covers."""
    if images.shape[-1] > side:
        images = F.interpolate(images, size=(side, side), mode="area")
    return to_pixels(images)
