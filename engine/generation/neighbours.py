"""The training pictures nearest to a sample: does the model draw something new, or repeat what it was shown?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from engine.data import DataSet, DataSettings, measuring_split, open_data
from engine.errors import DataError, LatentStudioError, UsageError
from engine.models.card import ModelCard
from engine.progress import CancelToken, Progress, ProgressCallback, ignore_progress
from engine.training import recipe_of

_CHUNK = 1024
_SEED = 7
_SPARE = 3


@dataclass(frozen=True)
class Neighbour:
    """A training picture near a sample.

    Attributes:
        pixels: (H, W, 3) uint8.
        distance: root mean square difference of the pixels, 0..1.
        values: what the data set says of it, by attribute name.
        name: of its file.
    """

    pixels: np.ndarray
    distance: float
    values: dict[str, str]
    name: str


class NearestPictures:
    """Nearest neighbours among the pictures that a model was trained on, by their pixels.

    A distance alone says little: two real pictures of one class may also be near. So it is compared with the distances
    of held-out pictures, which the model never saw, from their own nearest training pictures.

    Args:
        train: the pictures that the model was trained on, all of one size.
        held_out: others of the same set.
        progress: counts pictures read.
        cancel: as everywhere.
    """

    def __init__(
        self,
        train: DataSet,
        held_out: DataSet,
        *,
        progress: ProgressCallback = ignore_progress,
        cancel: CancelToken | None = None,
    ) -> None:
        self._train, self._held_out = train, held_out
        parts, labels = [], []
        rng = np.random.default_rng(_SEED)  # never drawn from, since nothing is augmented
        for start in range(0, len(train), _CHUNK):
            if cancel is not None:
                cancel.raise_if_cancelled()
            progress(Progress(start, len(train), "Reading the training pictures"))
            batch = train.batch(np.arange(start, min(start + _CHUNK, len(train))), rng, augment=False)
            parts.append((batch.images * 255).round().byte())
            if batch.labels is not None:
                labels.append(batch.labels)
        self._images = torch.cat(parts)
        self._squares = torch.cat([part.flatten(1).float().square().sum(1) for part in parts])
        self._labels = torch.cat(labels) if labels else None
        progress(Progress(len(train), len(train)))

    @classmethod
    def open(
        cls,
        card: ModelCard,
        roots: Sequence[Path] = (),
        *,
        progress: ProgressCallback = ignore_progress,
        cancel: CancelToken | None = None,
    ) -> NearestPictures:
        """Open the training pictures of a model, as its recipe names them.

        Args:
            card: of the model.
            roots: folders searched for the data set before the usual ones.
            progress, cancel: as everywhere.

        Raises:
            DataError: the recipe or the pictures are not at hand, or are not those of the model.
            Cancelled: by `cancel`.
        """
        try:
            settings = recipe_of(card).data
        except LatentStudioError as error:
            raise DataError(
                f"The recipe of {card.name} is not at hand, so its training pictures are not known.",
                "Put the recipe into the folder of your recipes.",
            ) from error
        progress(Progress(0, 0, "Opening the training pictures"))
        held_out = settings.model_copy(update={"split": _unseen_split(settings)})
        found = cls(open_data(settings, roots), open_data(held_out, roots), progress=progress, cancel=cancel)
        size, channels = card.config.get("image_size"), card.config.get("channels")
        if found._images.shape[1:] != (channels, size, size):
            raise DataError(
                f"The pictures of {found._train.name} are not of the size that {card.name} draws.",
                "Put the recipe that the model was trained with into the folder of your recipes.",
            )
        return found

    def __len__(self) -> int:
        """Number of training pictures."""
        return len(self._images)

    def nearest(self, pixels: np.ndarray, count: int = 5) -> list[Neighbour]:
        """The `count` training pictures nearest to a picture, the nearest first.

        Args:
            pixels: (H, W, 3) uint8, of the model's size.
            count: 1 or more; at most as many as there are.

        Raises:
            UsageError: a picture of another size, or a count below 1.
        """
        channels, height, width = self._images.shape[1:]
        if pixels.shape != (height, width, 3):
            raise UsageError(
                f"A picture of {pixels.shape[1]}x{pixels.shape[0]} pixels cannot be compared with ones of "
                f"{width}x{height}.",
                "Use a picture made by this model.",
            )
        if count < 1:
            raise UsageError(f"{count} neighbours were asked for.", "Ask for 1 or more.")
        query = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)[:channels]))[None]
        numbers, distances = self._search(query, min(count, len(self)), None)
        return [
            self._neighbour(int(number), float(distance))
            for number, distance in zip(numbers[0], distances[0], strict=True)
        ]

    def held_out_distances(
        self, most: int = 200, *, progress: ProgressCallback = ignore_progress, cancel: CancelToken | None = None
    ) -> np.ndarray:
        """Distances, (N,) sorted, of real pictures that were held out from their nearest training pictures.

        A sample that is nearer to a training picture than nearly all of them is a copy.

        Args:
            most: so many pictures, a fixed choice.
            progress, cancel: as everywhere.
        """
        progress(Progress(0, 0, "Comparing held-out pictures"))
        rng = np.random.default_rng(_SEED)
        chosen = np.sort(rng.permutation(len(self._held_out))[:most])
        queries = (self._held_out.batch(chosen, rng, augment=False).images * 255).round().byte()
        _, distances = self._search(queries, 1, cancel)
        return np.sort(distances[:, 0].numpy())

    def _search(self, queries: Tensor, count: int, cancel: CancelToken | None) -> tuple[Tensor, Tensor]:
        """Numbers and distances, both (Q, count), of the pictures nearest to queries (Q, C, S, S) uint8."""
        flat = queries.flatten(1).float()
        kept = min(count + _SPARE, len(self))
        squares, numbers = torch.empty(len(flat), 0), torch.empty(len(flat), 0, dtype=torch.int64)
        for start in range(0, len(self), _CHUNK):
            if cancel is not None:
                cancel.raise_if_cancelled()
            part = self._images[start : start + _CHUNK].flatten(1).float()
            # |q - p|^2 less |q|^2, which is the same for all of a query.
            found = self._squares[start : start + _CHUNK] - 2 * (flat @ part.T)
            squares = torch.cat([squares, found], dim=1)
            numbers = torch.cat([numbers, torch.arange(start, start + len(part)).expand(len(flat), -1)], dim=1)
            squares, best = squares.topk(min(kept, squares.shape[1]), dim=1, largest=False)
            numbers = numbers.gather(1, best)
        # Sums of that size are rounded in float32: the few that are left are measured again, exactly.
        differences = self._images[numbers].flatten(2).double() - flat[:, None].double()
        exact = differences.square().mean(2).sqrt() / 255
        distances, order = exact.sort(dim=1)
        return numbers.gather(1, order)[:, :count], distances[:, :count]

    def _neighbour(self, number: int, distance: float) -> Neighbour:
        values = {}
        if self._labels is not None:
            row = self._labels[number].tolist()
            values = {a.name: a.values[value] for a, value in zip(self._train.attributes, row, strict=True)}
        planes = self._images[number].expand(3, -1, -1)
        pixels = np.ascontiguousarray(planes.permute(1, 2, 0).numpy())
        return Neighbour(pixels, distance, values, self._train.file_name(number))


def share_nearer(distance: float, held_out: np.ndarray) -> float:
    """Share (0..1) of held-out pictures that lie nearer to a training picture than a sample at this distance does.

    Near 0 the sample is nearer than real pictures ever are: likely a copy.
    """
    return float(np.mean(held_out < distance)) if len(held_out) else 1.0


def _unseen_split(settings: DataSettings) -> str:
    """Of the user's own pictures the validation part was held out, too; named sets have a part for measuring."""
    split = measuring_split(settings)
    return "validation" if split == "all" else split
