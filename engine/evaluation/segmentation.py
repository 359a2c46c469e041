"""Figures of a segmentation from counts: confusion matrix, IoU, Dice, and matched objects at an overlap threshold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from engine.errors import DataError
from engine.models.card import Figure, SegmentationClass
from engine.progress import CancelToken, Progress, ProgressCallback, ignore_progress, never_cancelled


@dataclass
class ConfusionMatrix:
    """Pixels counted by true and predicted class.

    Attributes:
        counts: (C, C) int64; row = true class, column = predicted class.
    """

    counts: np.ndarray

    @classmethod
    def empty(cls, classes: int) -> ConfusionMatrix:
        """No pixel seen yet."""
        return cls(np.zeros((classes, classes), np.int64))

    def add(self, truth: np.ndarray, predicted: np.ndarray) -> None:
        """Count one picture; pixels whose truth is no class (void, 255, negative) are left out."""
        classes = len(self.counts)
        known = (truth >= 0) & (truth < classes)
        pairs = truth[known].astype(np.int64) * classes + predicted[known]
        self.counts += np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)

    def iou(self) -> np.ndarray:
        """Intersection over union per class, 0..1; NaN for classes that neither occur nor were predicted."""
        hits = np.diagonal(self.counts)
        return _ratio(hits, self.counts.sum(0) + self.counts.sum(1) - hits)

    def dice(self) -> np.ndarray:
        """Dice coefficient (F1) per class, 0..1; NaN as in `iou`."""
        hits = np.diagonal(self.counts)
        return _ratio(2 * hits, self.counts.sum(0) + self.counts.sum(1))

    def mean_iou(self) -> float:
        """Mean of `iou` over the classes that occur in truth or prediction."""
        values = self.iou()
        return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")

    def accuracy(self) -> float:
        """Share of pixels of the right class; NaN without pixels."""
        return float(_ratio(np.diagonal(self.counts).sum(), self.counts.sum()))


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=np.asarray(whole) > 0)


@dataclass
class ObjectMatches:
    """Objects found, missed and invented, picture by picture.

    Attributes:
        threshold: a predicted object matches a true one where their IoU is above this; from 0.5 on a match is unique.
        true_positives, false_positives, false_negatives: one number per picture.
    """

    threshold: float = 0.5
    true_positives: list[int] = field(default_factory=list)
    false_positives: list[int] = field(default_factory=list)
    false_negatives: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not 0.5 <= self.threshold < 1.0:
            raise ValueError("matches are unique for thresholds from 0.5 on only")

    def add(self, truth: np.ndarray, predicted: np.ndarray) -> None:
        """Count one picture, given (H, W) object numbers, 0 = background; numbers may have gaps."""
        truth, true_count = _consecutive(truth)
        predicted, found_count = _consecutive(predicted)
        pairs = predicted.astype(np.int64) * (true_count + 1) + truth
        # Only pairs that occur are kept: a table of all of them would not fit for pictures with 50,000 objects.
        pairs, both = np.unique(pairs, return_counts=True)
        found, true = np.divmod(pairs, true_count + 1)
        true_area = np.bincount(truth.reshape(-1), minlength=true_count + 1)
        found_area = np.bincount(predicted.reshape(-1), minlength=found_count + 1)
        union = true_area[true] + found_area[found] - both
        matched = int(((found > 0) & (true > 0) & (both > self.threshold * union)).sum())
        self.true_positives.append(matched)
        self.false_positives.append(found_count - matched)
        self.false_negatives.append(true_count - matched)

    def precision_per_picture(self) -> np.ndarray:
        """TP / (TP + FP + FN) of every picture; 1 where there is nothing and nothing was found."""
        hits = np.array(self.true_positives, float)
        total = hits + np.array(self.false_positives) + np.array(self.false_negatives)
        return np.where(total > 0, hits / np.maximum(total, 1), 1.0)

    def mean_average_precision(self) -> float:
        """Mean of `precision_per_picture`: the "AP" of the Data Science Bowl and of StarDist (Schmidt et al. 2018)."""
        return float(self.precision_per_picture().mean()) if self.true_positives else float("nan")

    def pooled_average_precision(self) -> float:
        """TP / (TP + FP + FN) over the objects of all pictures together: crowded pictures weigh more."""
        hits = sum(self.true_positives)
        total = hits + sum(self.false_positives) + sum(self.false_negatives)
        return hits / total if total else float("nan")


def _consecutive(numbers: np.ndarray) -> tuple[np.ndarray, int]:
    """The same objects numbered 1..n without gaps, and n."""
    values, dense = np.unique(np.append(numbers.reshape(-1), 0), return_inverse=True)
    assert values[0] == 0, "object numbers start at 0"
    return dense[:-1].reshape(numbers.shape), len(values) - 1


@dataclass(frozen=True)
class SegmentationReport:
    """What a model achieves on a set.

    Attributes:
        classes: whose numbers `confusion` is about; background and foreground for instance models.
        confusion: over all pixels.
        objects: None for models that tell no objects apart.
        pictures: how many were measured.
        data: name of the set and its part.
    """

    classes: tuple[SegmentationClass, ...]
    confusion: ConfusionMatrix
    objects: ObjectMatches | None
    pictures: int
    data: str

    def figures(self) -> list[Figure]:
        """The report as figures for a card; shares are in 0..1."""

        def figure(name: str, value: float) -> Figure:
            return Figure(name=name, value=round(float(value), 4), data=f"{self.data}, {self.pictures} pictures")

        if self.objects is not None:
            return [
                figure("Dice of the foreground", self.confusion.dice()[1]),
                figure("IoU of the foreground", self.confusion.iou()[1]),
                figure("AP@0.5, mean over pictures", self.objects.mean_average_precision()),
                figure("AP@0.5, all objects pooled", self.objects.pooled_average_precision()),
            ]
        per_class = zip(self.classes, self.confusion.iou(), strict=True)
        return [
            figure("mIoU", self.confusion.mean_iou()),
            figure("pixel accuracy", self.confusion.accuracy()),
            *(figure(f"IoU {entry.name}", value) for entry, value in per_class if np.isfinite(value)),
        ]


def measure_segmentation(
    name: str | Path,
    roots: Sequence[Path] = (),
    *,
    data: str | None = None,
    split: str | None = None,
    limit: int | None = None,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> SegmentationReport:
    """Label every picture of a set, whole and at its own size, and count.

    Args:
        name: model, by registry name or path.
        roots: folders searched for the set before the usual ones.
        data: name of the set; None takes "nuclei" for instance models and "camvid" for others.
        split: part of the set; None takes the test part, or the validation part where the set has no test part.
        limit: at most this many pictures, spread over the part; None measures all.

    Raises:
        DataError: the set is not at hand, or its masks are of another kind than the model's.
        Cancelled: between two pictures.
    """
    from engine.data import DataSettings, open_data
    from engine.image import Picture
    from engine.segmentation.segmenter import Segmenter

    cancel = cancel or never_cancelled()
    segmenter = Segmenter.load(name)
    instances = segmenter.instances
    data = data or ("nuclei" if instances else "camvid")
    split = split or ("validation" if data == "camvid" else "test")
    # The card's classes are those of the network; with instances what is measured is the foreground as a whole.
    pictures = open_data(DataSettings(set=data, split=split, channels=3, limit=limit), roots)  # type: ignore[arg-type]
    if pictures.instances != instances:
        kinds = ("classes", "single objects")
        raise DataError(
            f"{segmenter.card.name} finds {kinds[instances]}, the masks of {data} hold {kinds[pictures.instances]}.",
            "Choose a set that fits the model.",
        )
    confusion = ConfusionMatrix.empty(2 if instances else len(segmenter.classes))
    objects = ObjectMatches() if instances else None
    for index in range(len(pictures)):
        cancel.raise_if_cancelled()
        progress(Progress(index, len(pictures), f"Measuring {pictures.file_name(index)}"))
        batch = pictures.batch(np.array([index]), np.random.default_rng(0), augment=False)
        if batch.masks is None:
            raise DataError(f"{pictures.file_name(index)} has no mask.", "Choose a set of pictures with masks.")
        truth = batch.masks[0].numpy()
        result = segmenter.segment(Picture(pictures.picture(index)), cancel=cancel)
        if objects is not None and result.objects is not None:
            confusion.add((truth > 0).astype(np.int64), (result.mask > 0).astype(np.int64))
            objects.add(truth, result.objects)
        else:
            confusion.add(truth, result.mask)
    progress(Progress(len(pictures), len(pictures), "Measured"))
    classes = segmenter.classes[:2] if instances else segmenter.classes
    return SegmentationReport(classes, confusion, objects, len(pictures), f"{data} {split}")


def evaluate_segmentation(
    name: str | Path,
    roots: Sequence[Path] = (),
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> list[Figure]:
    """The figures of `measure_segmentation` on the model's own set, as they go into its card."""
    return measure_segmentation(name, roots, progress=progress, cancel=cancel).figures()
