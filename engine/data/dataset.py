"""What every data set offers to training and evaluation, and its two forms in memory: one size, and any size."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch

from engine.data.augmentation import augment_picture, central_crop, jitter
from engine.data.settings import DataSettings
from engine.errors import DataError
from engine.models.card import Attribute, SegmentationClass
from engine.models.network import Batch

# Share of the pictures that is held out for validation where a set has no such part of its own.
VALIDATION_SHARE = 1 / 16


class DataSet(Protocol):
    """Pictures with what is known of them.

    Attributes:
        name: of the set, for cards and messages.
        licence: terms under which the pictures come.
        attributes: what the columns of `Batch.labels` mean; empty where nothing is known.
        classes: what the numbers in `Batch.masks` mean; empty where there are no masks.
        ignored: a mask number that counts neither in losses nor in scores, or None.
        instances: True where masks number single objects (0 = background, 1..n) instead of classes.
        hidden: (N, A) bool, True where a picture does not show what its label says (the hair's colour under a hat), so
            that nobody can be asked to see it; None where everything shows.
    """

    name: str
    licence: str
    attributes: tuple[Attribute, ...]
    classes: tuple[SegmentationClass, ...]
    ignored: int | None
    instances: bool
    hidden: torch.Tensor | None

    def __len__(self) -> int:
        """Number of pictures."""
        ...

    def file_name(self, index: int) -> str:
        """Name of a picture, for messages and reports."""
        ...

    def picture(self, index: int) -> np.ndarray:
        """A whole picture as it is held, (H, W, C) uint8, without cropping or augmentation."""
        ...

    def batch(self, indices: np.ndarray, rng: np.random.Generator, augment: bool) -> Batch:
        """The pictures at `indices` as CPU tensors; the same arguments and state of `rng` give the same batch.

        Raises:
            DataError: pictures of different sizes and no crop was asked for.
        """
        ...


class UniformPictures:
    """Pictures of one size, held as uint8.

    Args:
        images: (N, H, W, C) uint8.
        names: one per picture.
        labels: (N, A) integers in the order of `attributes`, or None.
        hidden: (N, A) bool as the set's own, or None.
    """

    classes: tuple[SegmentationClass, ...] = ()
    ignored: int | None = None
    instances = False

    def __init__(
        self,
        settings: DataSettings,
        images: np.ndarray,
        names: Sequence[str],
        *,
        name: str,
        licence: str,
        labels: np.ndarray | None = None,
        attributes: tuple[Attribute, ...] = (),
        hidden: np.ndarray | None = None,
    ) -> None:
        chosen = limited(len(images), settings.limit)
        self.name, self.licence, self.attributes = name, licence, attributes
        self.hidden = None if hidden is None else torch.from_numpy(hidden[chosen])
        self._settings = settings
        self._names = [names[int(index)] for index in chosen]
        images = images if len(chosen) == len(images) else images[chosen]
        # Planes first, as networks want them: a batch is then one gather and one conversion.
        self._planes = torch.from_numpy(
            np.ascontiguousarray(with_channels(images, settings.channels).transpose(0, 3, 1, 2))
        )
        self._labels = None if labels is None else torch.from_numpy(labels[chosen].astype(np.int64))

    def __len__(self) -> int:
        return len(self._names)

    def file_name(self, index: int) -> str:
        return self._names[index]

    def picture(self, index: int) -> np.ndarray:
        return self._planes[index].permute(1, 2, 0).contiguous().numpy()

    def batch(self, indices: np.ndarray, rng: np.random.Generator, augment: bool) -> Batch:
        where = torch.from_numpy(np.asarray(indices, dtype=np.int64))
        labels = None if self._labels is None else self._labels[where]
        settings = self._settings
        needs_each = settings.crop or settings.flip_vertical or settings.rotate
        if needs_each and (augment or settings.crop):
            pixels = [self._planes[index].permute(1, 2, 0).numpy() for index in where.tolist()]
            return Batch(_stack(*_prepare(pixels, None, settings, rng, augment), settings, rng, augment).images, labels)
        images = self._planes[where].float().div_(255.0)
        if augment:
            if settings.flip:
                mirrored = torch.from_numpy(rng.random(len(where)) < 0.5)
                images[mirrored] = images[mirrored].flip(-1)
            jitter(images.numpy(), settings, rng)
        return Batch(images, labels)


class VariedPictures:
    """Pictures of any size, with or without masks, held as uint8.

    Args:
        images: (H, W, C) uint8 each.
        names: one per picture.
        masks: (H, W) integers each, the size of their picture, or None.
    """

    attributes: tuple[Attribute, ...] = ()
    hidden: torch.Tensor | None = None

    def __init__(
        self,
        settings: DataSettings,
        images: Sequence[np.ndarray],
        names: Sequence[str],
        *,
        name: str,
        licence: str,
        masks: Sequence[np.ndarray] | None = None,
        classes: tuple[SegmentationClass, ...] = (),
        ignored: int | None = None,
        instances: bool = False,
    ) -> None:
        chosen = limited(len(images), settings.limit)
        self.name, self.licence, self.classes, self.ignored, self.instances = name, licence, classes, ignored, instances
        self._settings = settings
        self._names = [names[int(index)] for index in chosen]
        self._images = [with_channels(images[index], settings.channels) for index in chosen]
        self._masks = None if masks is None else [masks[index] for index in chosen]

    def __len__(self) -> int:
        return len(self._names)

    def file_name(self, index: int) -> str:
        return self._names[index]

    def picture(self, index: int) -> np.ndarray:
        return self._images[index]

    def mask(self, index: int) -> np.ndarray | None:
        """The whole mask of a picture, (H, W) integers, or None where the set has no masks."""
        return None if self._masks is None else self._masks[index]

    def batch(self, indices: np.ndarray, rng: np.random.Generator, augment: bool) -> Batch:
        where = [int(index) for index in indices]
        images = [self._images[index] for index in where]
        masks = None if self._masks is None else [self._masks[index] for index in where]
        images, masks = _prepare(images, masks, self._settings, rng, augment)
        if len({image.shape for image in images}) > 1:
            raise DataError(
                f"The pictures of {self.name} have different sizes and cannot form one batch.",
                'Set "crop" (or "size") in the recipe, or use batches of one picture.',
            )
        return _stack(images, masks, self._settings, rng, augment)


def _prepare(
    images: list[np.ndarray],
    masks: list[np.ndarray] | None,
    settings: DataSettings,
    rng: np.random.Generator,
    augment: bool,
) -> tuple[list[np.ndarray], list[np.ndarray] | None]:
    """Crop and, when augmenting, flip and turn each picture with its mask."""
    pairs = zip(images, masks if masks is not None else [None] * len(images), strict=True)
    if augment:
        done = [augment_picture(image, mask, settings, rng) for image, mask in pairs]
    elif settings.crop is not None:
        done = [central_crop(image, mask, settings.crop) for image, mask in pairs]
    else:
        done = list(pairs)
    return [image for image, _ in done], None if masks is None else [mask for _, mask in done if mask is not None]


def _stack(
    images: list[np.ndarray],
    masks: list[np.ndarray] | None,
    settings: DataSettings,
    rng: np.random.Generator,
    augment: bool,
) -> Batch:
    """Pictures (H, W, C) of one size as a batch, with the changes of brightness that come after all geometry."""
    planes = np.stack(images).transpose(0, 3, 1, 2)
    values = np.multiply(planes, np.float32(1 / 255), dtype=np.float32, order="C")
    if augment:
        jitter(values, settings, rng)
    stacked = None if masks is None else torch.from_numpy(np.stack(masks).astype(np.int64))
    return Batch(torch.from_numpy(values), None, stacked)


def limited(count: int, limit: int | None) -> np.ndarray:
    """Sorted indices of at most `limit` of `count` pictures: a fixed draw, so that every class keeps its share."""
    if limit is None or limit >= count:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).permutation(count)[:limit])


def with_channels(images: np.ndarray, channels: int | None) -> np.ndarray:
    """(..., C) uint8 with `channels` channels: grey is repeated, colour becomes luma (Rec. 601)."""
    stored = images.shape[-1]
    if channels is None or channels == stored:
        return images
    if channels == 3:
        return np.repeat(images, 3, axis=-1)
    # Integer weights that sum to 2^16, as Pillow's "L" conversion has them.
    luma = images.astype(np.uint32) @ np.array([19595, 38470, 7471], dtype=np.uint32)
    return ((luma + 0x8000) >> 16).astype(np.uint8)[..., None]


def hashed_share(name: str) -> float:
    """A fixed number in 0..1 for a file name; the same on every machine and for ever."""
    return int.from_bytes(hashlib.blake2b(name.encode("utf-8"), digest_size=8).digest(), "big") / 2**64


def held_out(names: Sequence[str]) -> set[str]:
    """The names held out for validation: about 1 in 16, by hash of the name, and never none of two or more."""
    chosen = {name for name in names if hashed_share(name) < VALIDATION_SHARE}
    if not chosen and len(names) > 1:
        chosen = {min(names, key=hashed_share)}
    return chosen
