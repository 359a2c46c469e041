"""Figures of generative models and autoencoders on held-out pictures, each beside its floor, ceiling or rival."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from engine.data import DataSet, DataSettings, open_data
from engine.errors import LatentStudioError, UsageError
from engine.evaluation.feature_distances import (
    Prdc,
    frechet_distance,
    kernel_distance,
    kernel_distance_error,
    memorisation,
    nearest_distances,
    precision_recall_density_coverage,
)
from engine.evaluation.judge import Judge, as_floats, judge_pictures, train_judge
from engine.evaluation.sharpness import gradient_energy
from engine.evaluation.usefulness import FEW_PER_VALUE, LabelledPictures, classification_accuracy, gain_by_samples
from engine.models.autoencoder import Autoencoder
from engine.models.card import Figure, ModelCard
from engine.models.conditional_vae import ConditionalVAE
from engine.models.registry import load_model
from engine.models.store import Model
from engine.progress import CancelToken, Progress, ProgressCallback, ignore_progress
from engine.training import recipe_of

GENERATIVE_FAMILIES = (ConditionalVAE.family, Autoencoder.family)
MOST_PICTURES = 3000
POOL = 6000  # samples that a classifier is trained on

SEED = 7
_CHUNK = 128
_JUDGE_STEPS = {1: 1200, 3: 700}
_GUIDANCE = 1.5
# How the pictures that are measured are called in the names of figures.
_OF = {
    "samples": "of samples",
    "real": "of real pictures (ceiling)",
    "copies": "of reconstructions",
    "plain": "with z from N(0, I)",
    "guided": f"of samples with guidance {_GUIDANCE}",
}
_BESIDE = {
    "samples": " of samples",
    "train": ", train against test (floor)",
    "copies": " of reconstructions",
    "plain": " with z from N(0, I)",
    "guided": f" of samples with guidance {_GUIDANCE}",
}


class _MakeFigure(Protocol):
    def __call__(self, label: str, value: float, unit: str = "") -> Figure: ...


def evaluate_generative(
    name: str | Path,
    roots: Sequence[Path] = (),
    *,
    data: str | None = None,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> list[Figure]:
    """Measure a conditional VAE or an autoencoder on the test part of a data set.

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
    config = _generative_network(model).config
    size, channels = config.image_size, config.channels
    chosen = DataSettings(set=data or _recipe_set(model.card), size=size, channels=channels)
    train, test = (open_data(chosen.model_copy(update={"split": split}), roots) for split in ("train", "test"))
    return measure_generative(model, train, test, progress=progress, cancel=cancel)


def measure_generative(
    model: Model,
    train: DataSet,
    test: DataSet,
    *,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> list[Figure]:
    """As `evaluate_generative`, on two opened parts of one data set.

    For a conditional VAE a classifier is trained on `train` first (minutes). All draws are seeded.
    """
    network = _generative_network(model)
    if isinstance(network, Autoencoder):
        return measure_autoencoder(network, train, test, progress=progress, cancel=cancel)
    if train.attributes != model.card.attributes:
        raise UsageError(
            f"The attributes of {train.name} are not those of {model.card.name}.", "Choose the set it was trained on."
        )
    return measure_vae(network, train, test, progress=progress, cancel=cancel)


def _generative_network(model: Model) -> ConditionalVAE | Autoencoder:
    if not isinstance(model.network, (ConditionalVAE, Autoencoder)):
        raise UsageError(
            f"The model {model.card.name} is of family {model.card.family}.",
            "Choose a generative one or an autoencoder.",
        )
    return model.network


def _recipe_set(card: ModelCard) -> str:
    try:
        return recipe_of(card).data.set
    except LatentStudioError as error:
        raise UsageError(f"The recipe of {card.name} is not at hand.", "Name the data set with --data.") from error


def generative_judge(
    train: DataSet,
    image_size: int,
    channels: int,
    *,
    steps: int | None = None,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> Judge:
    """The judge that `measure_vae` trains on real pictures; `steps` as its `judge_steps`."""
    return train_judge(train, image_size, channels, steps or _JUDGE_STEPS[channels], progress, cancel)


def measure_vae(
    network: ConditionalVAE,
    train: DataSet,
    test: DataSet,
    *,
    judge: Judge | None = None,
    judge_steps: int | None = None,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> list[Figure]:
    """Figures of a conditional VAE on two parts of one data set: samples as a judge sees them, and reconstructions.

    Accuracies count only what pictures show (`DataSet.hidden`). Every figure of samples stands beside the same figure
    with z drawn from N(0, I), of reconstructions (what the decoder can do at best) and of real pictures: training
    pictures against test pictures. Guided samples are beside it: right more often, and less varied.

    Args:
        network: in evaluation mode, on the CPU.
        train: what the judge is trained on, with labels, and what samples may be copies of.
        test: as many samples are drawn as it has pictures (3,000 at most), with the same attributes.
        judge: as `generative_judge` gives it; None trains one.
        judge_steps: of 64 pictures; None takes what the shipped data sets need.
        progress, cancel: as everywhere.
    """
    config = network.config
    steps = judge_steps or _JUDGE_STEPS[config.channels]
    if judge is None:
        judge = generative_judge(
            train, config.image_size, config.channels, steps=steps, progress=progress, cancel=cancel
        )
    progress(Progress(0, 0, "Drawing and judging samples"))
    real, labels = _pictures(test)
    showing = _showing(test, labels)
    known, known_labels = _all_pictures(train)
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        torch.manual_seed(SEED)
        style = torch.randn(len(real), config.latent_size)
        open_labels = network.open_labels(len(real))
        drawn = {
            "samples": _in_chunks(lambda u, y: network.decode(network.style_to_latent(u, y), y), style, labels, cancel),
            "plain": _in_chunks(network.decode, style, labels, cancel),
            "guided": _in_chunks(
                lambda u, y: network.decode(network.style_to_latent(u, y, guidance=_GUIDANCE), y), style, labels, cancel
            ),
            "copies": _in_chunks(lambda x, y: network.decode(network.encode(x, y).mean, y), real, labels, cancel),
        }
        open_copies = _in_chunks(lambda x, y: network.decode(network.encode(x, y).mean, y), real, open_labels, cancel)
        pool = _sample_pool(network, known_labels, cancel)
    seen = {"real": judge_pictures(judge, real), "train": judge_pictures(judge, known)}
    seen |= {name: judge_pictures(judge, pictures) for name, pictures in drawn.items()}
    where, what = f"{test.name} test, {len(real)} pictures", _accuracy_word(test)

    def figure(label: str, value: float, unit: str = "") -> Figure:
        return Figure(name=label, value=round(value, 5), unit=unit, data=where)

    mse, open_mse = _mse(drawn["copies"], real), _mse(open_copies, real)
    features = {name: one for name, (one, _) in seen.items()}
    return [
        *(
            figure(f"{what} accuracy {_OF[name]}", _accuracy(seen[name][1], labels, showing))
            for name in ("samples", "real", "copies", "plain", "guided")
        ),
        *_per_attribute(test, seen, labels, showing, figure),
        *_likeness(features, figure),
        *(
            figure(
                f"sharpness {_OF[name]}, real pictures 1",
                gradient_energy(_rounded(drawn[name])) / gradient_energy(real),
            )
            for name in ("samples", "copies", "plain", "guided")
        ),
        *_copied(drawn["samples"], real, known, features, figure, cancel),
        *_useful(
            test,
            pool,
            LabelledPictures(known, known_labels),
            LabelledPictures(real, labels, showing),
            steps,
            figure,
            progress,
            cancel,
        ),
        figure("reconstruction MSE", mse),
        figure("reconstruction PSNR", _psnr(mse), "dB"),
        figure("reconstruction PSNR, attributes left open", _psnr(open_mse), "dB"),
    ]


def _likeness(features: dict[str, Tensor], figure: _MakeFigure) -> list[Figure]:
    """Distances and shares of samples in the judge's features, each beside floor, baseline and ceiling."""
    real = features["real"]
    rng = np.random.default_rng(SEED)
    # As many training pictures as there are test pictures: a Fréchet distance depends on the number.
    train = features["train"][np.sort(rng.permutation(len(features["train"]))[: len(real)])]
    compared = {**features, "train": train}
    order = ("samples", "train", "copies", "plain", "guided")
    figures = [
        figure(f"feature Fréchet distance{_BESIDE[name]}", frechet_distance(real, compared[name])) for name in order
    ]
    for name in order:
        figures.append(figure(f"feature KID{_BESIDE[name]}", 1000 * kernel_distance(real, compared[name]), "/ 1000"))
        if name in ("samples", "train"):
            error = 1000 * kernel_distance_error(real, compared[name])
            figures.append(figure(f"feature KID{_BESIDE[name]}, standard error", error, "/ 1000"))
    shares = {name: precision_recall_density_coverage(real, compared[name])._asdict() for name in order}
    return figures + [figure(f"{key}{_BESIDE[name]}", shares[name][key]) for key in Prdc._fields for name in order]


def _copied(
    samples: Tensor,
    real: Tensor,
    known: Tensor,
    features: dict[str, Tensor],
    figure: _MakeFigure,
    cancel: CancelToken | None,
) -> list[Figure]:
    """Whether samples are copies of training pictures: distances to the nearest one, beside those of test pictures."""
    flat = as_floats(known).flatten(1)
    pairs = {
        "pixels": (_nearest(samples.flatten(1), flat, cancel), _nearest(real.flatten(1), flat, cancel)),
        "features": tuple(_nearest(features[name], features["train"], cancel) for name in ("samples", "real")),
    }
    figures = []
    for space, (near, held_out) in pairs.items():
        found = memorisation(near, held_out)
        name = f"nearest training picture in {space}"
        figures.append(figure(f"{name}: distance of samples, test pictures 1", found.ratio))
        figures.append(figure(f"{name}: share of samples nearer than 99 % of test pictures", found.copies))
    return figures


def _nearest(queries: Tensor, references: Tensor, cancel: CancelToken | None) -> Tensor:
    parts = []
    for part in queries.split(4 * _CHUNK):
        if cancel is not None:
            cancel.raise_if_cancelled()
        parts.append(nearest_distances(part, references))
    return torch.cat(parts)


def _useful(
    data: DataSet,
    pool: LabelledPictures,
    known: LabelledPictures,
    test: LabelledPictures,
    steps: int,
    figure: _MakeFigure,
    progress: ProgressCallback,
    cancel: CancelToken | None,
) -> list[Figure]:
    """What samples are worth as training pictures: instead of real ones (CAS), and beside a few of them.

    There are fewer pictures than a judge is trained on, so that a share of its steps is enough.
    """
    sizes = tuple(len(attribute.values) for attribute in data.attributes)
    if not sizes:
        return []
    rng = np.random.default_rng(SEED)
    rows = torch.from_numpy(rng.permutation(len(known.images)))
    as_many = LabelledPictures(known.images[rows[: len(pool.images)]], known.labels[rows[: len(pool.images)]])
    count = min(len(rows), FEW_PER_VALUE * max(sizes))
    few = LabelledPictures(known.images[rows[:count]], known.labels[rows[:count]])
    message = "Training a classifier on samples only"
    alone = classification_accuracy(pool, test, sizes, max(1, steps // 2), message, progress, cancel)
    message = "Training a classifier on as many real pictures"
    ceiling = classification_accuracy(as_many, test, sizes, max(1, steps // 2), message, progress, cancel)
    gain = gain_by_samples(few, pool, test, sizes, max(1, steps // 4), progress, cancel)
    number = f"{len(pool.images):,}"
    figures = [
        figure(f"CAS: accuracy on real pictures after training on {number} samples only", float(alone.mean())),
        figure(f"CAS after training on {number} real pictures (ceiling)", float(ceiling.mean())),
        figure(f"accuracy after training on {count} real pictures", float(gain.without.mean())),
        figure(f"accuracy after training on {count} real pictures and samples", float(gain.with_samples.mean())),
    ]
    if len(sizes) > 1:
        for attribute, value, best in zip(data.attributes, alone.tolist(), ceiling.tolist(), strict=True):
            figures.append(figure(f"CAS of {attribute.name}", value))
            figures.append(figure(f"CAS of {attribute.name} (ceiling)", best))
    return figures


def _sample_pool(network: ConditionalVAE, labels: Tensor, cancel: CancelToken | None) -> LabelledPictures:
    """At most `POOL` samples, (N, C, S, S) uint8, with the attributes of training pictures."""
    chosen = labels[torch.randperm(len(labels))[:POOL]]
    style = torch.randn(len(chosen), network.config.latent_size)
    parts = []
    for u, y in zip(style.split(_CHUNK), chosen.split(_CHUNK), strict=True):
        if cancel is not None:
            cancel.raise_if_cancelled()
        parts.append(_to_bytes(network.decode(network.style_to_latent(u, y), y)))
    return LabelledPictures(torch.cat(parts), chosen)


def _per_attribute(
    data: DataSet, seen: dict[str, tuple[Tensor, Tensor]], labels: Tensor, showing: Tensor, figure: _MakeFigure
) -> list[Figure]:
    """Accuracy of samples, reconstructions and real pictures, attribute by attribute, where there are several."""
    if len(data.attributes) < 2:
        return []
    figures = []
    for index, attribute in enumerate(data.attributes):
        one = slice(index, index + 1)
        for name in ("samples", "real", "copies", "guided"):
            right = _accuracy(seen[name][1][:, one], labels[:, one], showing[:, one])
            figures.append(figure(f"{attribute.name} accuracy {_OF[name]}", right))
    return figures


def _accuracy_word(data: DataSet) -> str:
    return "class" if len(data.attributes) == 1 else "mean attribute"


def _accuracy(seen: Tensor, labels: Tensor, showing: Tensor) -> float:
    """Share of right values among the labels that pictures show; all arguments (N, A)."""
    return float((seen == labels)[showing].double().mean())


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
        torch.manual_seed(SEED)
        spare = min(components + 16, *flat.shape)
        _, _, directions = torch.svd_lowrank(flat - mean, q=spare, niter=4)
    directions = directions[:, :components]
    centred = test.flatten(1) - mean
    return (centred @ directions @ directions.T + mean).clamp(0, 1).reshape(test.shape)


def _pictures(data: DataSet, most: int = MOST_PICTURES) -> tuple[Tensor, Tensor]:
    """At most `most` pictures (N, C, S, S), a seeded choice, and their labels (N, A)."""
    batch = data.batch(_chosen(data, most), np.random.default_rng(SEED), augment=False)
    labels = batch.labels if batch.labels is not None else torch.zeros(len(batch.images), 0, dtype=torch.int64)
    return batch.images, labels


def _chosen(data: DataSet, most: int) -> np.ndarray:
    return np.sort(np.random.default_rng(SEED).permutation(len(data))[:most])


def _showing(data: DataSet, labels: Tensor) -> Tensor:
    """Which labels of `_pictures` the pictures show, (N, A) bool."""
    if data.hidden is None:
        return torch.ones_like(labels, dtype=torch.bool)
    return ~data.hidden[torch.from_numpy(_chosen(data, MOST_PICTURES))]


def _all_pictures(data: DataSet) -> tuple[Tensor, Tensor]:
    """All pictures (N, C, S, S), uint8 to save memory, and their labels (N, A)."""
    rng = np.random.default_rng(SEED)
    images, labels = [], []
    for start in range(0, len(data), 4 * _CHUNK):
        batch = data.batch(np.arange(start, min(start + 4 * _CHUNK, len(data))), rng, augment=False)
        images.append(_to_bytes(batch.images))
        labels.append(torch.zeros(len(batch.images), 0, dtype=torch.int64) if batch.labels is None else batch.labels)
    return torch.cat(images), torch.cat(labels)


def _to_bytes(images: Tensor) -> Tensor:
    return (images.clamp(0, 1) * 255).round().byte()


def _rounded(images: Tensor) -> Tensor:
    """Values in 0..1 after rounding to 8 bits, as a user gets them."""
    return (images * 255).round() / 255


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
    return float((_rounded(copies) - real).double().square().mean())


def _psnr(mse: float) -> float:
    return float(-10 * np.log10(max(mse, 1e-12)))
