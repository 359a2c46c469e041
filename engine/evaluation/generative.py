"""Figures of generative models and autoencoders on held-out pictures, each beside its floor, ceiling or rival."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from engine.data import DataSet, DataSettings, open_data
from engine.errors import LatentStudioError, UsageError
from engine.evaluation.feature_distances import frechet_distance, precision_recall_density_coverage
from engine.evaluation.judge import judge_pictures, train_judge
from engine.models.autoencoder import Autoencoder
from engine.models.card import Figure, ModelCard
from engine.models.conditional_vae import ConditionalVAE
from engine.models.registry import load_model
from engine.progress import CancelToken, Progress, ProgressCallback, ignore_progress
from engine.training import load_recipe

_SEED = 7
_CHUNK = 128
_MOST_PICTURES = 3000
_JUDGE_STEPS = {1: 1200, 3: 700}


def evaluate_generative(
    name: str | Path,
    roots: Sequence[Path] = (),
    *,
    data: str | None = None,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> list[Figure]:
    """Measure a conditional VAE or an autoencoder on the test part of a data set.

    For a conditional VAE a classifier is trained on real training pictures first (minutes). All draws are seeded.

    Args:
        name: registry name or path of the model.
        roots: folders searched for the data set before the usual ones.
        data: name of the data set; None takes the one of the model's recipe.
        progress, cancel: as everywhere.

    Returns:
        Figures in reading order, ready for the model's card.

    Raises:
        UsageError: a model of another family, no data set named and no recipe at hand, or attributes that differ.
        DataError: the data set is missing or broken.
        Cancelled: by `cancel`.
    """
    model = load_model(name)
    network = model.network
    if not isinstance(network, (ConditionalVAE, Autoencoder)):
        raise UsageError(
            f"The model {model.card.name} is of family {model.card.family}.",
            "Choose a generative one or an autoencoder.",
        )
    config = network.config
    train, test = (
        open_data(
            DataSettings(
                set=data or _recipe_set(model.card), split=split, size=config.image_size, channels=config.channels
            ),
            roots,
        )
        for split in ("train", "test")
    )
    if isinstance(network, Autoencoder):
        return measure_autoencoder(network, train, test, progress=progress, cancel=cancel)
    if train.attributes != model.card.attributes:
        raise UsageError(
            f"The attributes of {train.name} are not those of {model.card.name}.", "Choose the set it was trained on."
        )
    return measure_vae(network, train, test, progress=progress, cancel=cancel)


def _recipe_set(card: ModelCard) -> str:
    try:
        return load_recipe(card.recipe).data.set
    except LatentStudioError as error:
        raise UsageError(f"The recipe of {card.name} is not at hand.", "Name the data set with --data.") from error


def measure_vae(
    network: ConditionalVAE,
    train: DataSet,
    test: DataSet,
    *,
    judge_steps: int | None = None,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> list[Figure]:
    """Figures of a conditional VAE on two parts of one data set: samples as a judge sees them, and reconstructions.

    Args:
        network: in evaluation mode, on the CPU.
        train: what the judge is trained on, with labels.
        test: as many samples are drawn as it has pictures (3,000 at most), with the same attributes.
        judge_steps: of 64 pictures; None takes what the shipped data sets need.
        progress, cancel: as everywhere.
    """
    config = network.config
    steps = judge_steps or _JUDGE_STEPS[config.channels]
    judge = train_judge(train, config.image_size, config.channels, steps, progress, cancel)
    progress(Progress(0, 0, "Drawing and judging samples"))
    real, labels = _pictures(test)
    others, _ = _pictures(train, len(real))
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        torch.manual_seed(_SEED)
        style = torch.randn(len(real), config.latent_size)
        by_flow = _in_chunks(lambda u, y: network.decode(network.style_to_latent(u, y), y), style, labels, cancel)
        by_normal = _in_chunks(lambda u, y: network.decode(u, y), style, labels, cancel)
        copies = _in_chunks(lambda x, y: network.decode(network.encode(x, y).mean, y), real, labels, cancel)
        open_labels = network.open_labels(len(real))
        open_copies = _in_chunks(lambda x, y: network.decode(network.encode(x, y).mean, y), real, open_labels, cancel)
    seen_real, values_real = judge_pictures(judge, real)
    seen_train, _ = judge_pictures(judge, others)
    seen_flow, values_flow = judge_pictures(judge, by_flow)
    seen_normal, values_normal = judge_pictures(judge, by_normal)
    likeness = precision_recall_density_coverage(seen_real, seen_flow)
    mse, open_mse = _mse(copies, real), _mse(open_copies, real)
    where, what = f"{test.name} test, {len(real)} pictures", _accuracy_word(test)

    def figure(label: str, value: float, unit: str = "") -> Figure:
        return Figure(name=label, value=round(value, 5), unit=unit, data=where)

    return [
        figure(f"{what} accuracy of samples", _accuracy(values_flow, labels)),
        figure(f"{what} accuracy of real pictures (ceiling)", _accuracy(values_real, labels)),
        figure(f"{what} accuracy with z from N(0, I)", _accuracy(values_normal, labels)),
        *_per_attribute(test, values_flow, values_real, labels, figure),
        figure("feature Fréchet distance of samples", frechet_distance(seen_real, seen_flow)),
        figure("feature Fréchet distance, train against test (floor)", frechet_distance(seen_real, seen_train)),
        figure("feature Fréchet distance with z from N(0, I)", frechet_distance(seen_real, seen_normal)),
        *(figure(f"{key} of samples", value) for key, value in likeness._asdict().items()),
        figure("reconstruction MSE", mse),
        figure("reconstruction PSNR", _psnr(mse), "dB"),
        figure("reconstruction PSNR, attributes left open", _psnr(open_mse), "dB"),
    ]


def _per_attribute(
    data: DataSet, seen: Tensor, seen_real: Tensor, labels: Tensor, figure: Callable[[str, float], Figure]
) -> list[Figure]:
    """Accuracy of samples and of real pictures, attribute by attribute, where there are several."""
    if len(data.attributes) < 2:
        return []
    figures = []
    for index, attribute in enumerate(data.attributes):
        for values, word in ((seen, "samples"), (seen_real, "real pictures (ceiling)")):
            right = (values[:, index] == labels[:, index]).double().mean()
            figures.append(figure(f"{attribute.name} accuracy of {word}", float(right)))
    return figures


def _accuracy_word(data: DataSet) -> str:
    return "class" if len(data.attributes) == 1 else "mean attribute"


def _accuracy(seen: Tensor, labels: Tensor) -> float:
    return float((seen == labels).double().mean())


def measure_autoencoder(
    network: Autoencoder,
    train: DataSet,
    test: DataSet,
    *,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> list[Figure]:
    """Reconstruction figures of an autoencoder on `test`, beside PCA fitted to `train` with as many components."""
    progress(Progress(0, 2, "Reconstructing the test part"))
    real, _ = _pictures(test)
    with torch.inference_mode():
        copies = _in_chunks(lambda x, _: network.decode(network.encode(x)), real, real, cancel)
    progress(Progress(1, 2, "Fitting PCA with the same number of components"))
    known, _ = _pictures(train, 7000)
    if cancel is not None:
        cancel.raise_if_cancelled()
    size = network.config.latent_size
    mse, rival = _mse(copies, real), _mse(pca_reconstruction(known, real, size), real)
    where = f"{test.name} test, {len(real)} pictures"
    progress(Progress(2, 2, "Done"))
    return [
        Figure(name="reconstruction MSE", value=round(mse, 7), data=where),
        Figure(name="reconstruction PSNR", value=round(_psnr(mse), 3), unit="dB", data=where),
        Figure(name=f"reconstruction MSE of PCA with {size} components", value=round(rival, 7), data=where),
        Figure(
            name=f"reconstruction PSNR of PCA with {size} components",
            value=round(_psnr(rival), 3),
            unit="dB",
            data=where,
        ),
    ]


def pca_reconstruction(train: Tensor, test: Tensor, components: int) -> Tensor:
    """Test pictures (N, C, H, W) projected on the first principal components of the training ones.

    The components come from a randomised SVD with four power iterations (Halko et al., 2011), seeded: for the leading
    components of pictures it is exact to many digits, in seconds instead of minutes.
    """
    flat = train.flatten(1)
    mean = flat.mean(0)
    components = min(components, *flat.shape)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        spare = min(components + 16, *flat.shape)
        _, _, directions = torch.svd_lowrank(flat - mean, q=spare, niter=4)
    directions = directions[:, :components]
    centred = test.flatten(1) - mean
    return (centred @ directions @ directions.T + mean).clamp(0, 1).reshape(test.shape)


def _pictures(data: DataSet, most: int = _MOST_PICTURES) -> tuple[Tensor, Tensor]:
    """At most `most` pictures (N, C, S, S), a seeded choice, and their labels (N, A)."""
    rng = np.random.default_rng(_SEED)
    batch = data.batch(np.sort(rng.permutation(len(data))[:most]), rng, augment=False)
    labels = batch.labels if batch.labels is not None else torch.zeros(len(batch.images), 0, dtype=torch.int64)
    return batch.images, labels


def _in_chunks(
    function: Callable[[Tensor, Tensor], Tensor], inputs: Tensor, labels: Tensor, cancel: CancelToken | None
) -> Tensor:
    parts = []
    for part, part_labels in zip(inputs.split(_CHUNK), labels.split(_CHUNK), strict=True):
        if cancel is not None:
            cancel.raise_if_cancelled()
        parts.append(function(part, part_labels).clamp(0, 1))
    return torch.cat(parts)


def _mse(copies: Tensor, real: Tensor) -> float:
    """Mean squared error of values in 0..1, after rounding to 8 bits as a user gets them."""
    return float(((copies * 255).round() / 255 - real).double().square().mean())


def _psnr(mse: float) -> float:
    return float(-10 * np.log10(max(mse, 1e-12)))
