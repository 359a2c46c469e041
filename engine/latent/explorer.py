"""LatentExplorer: the sliders of a model, whatever its family: what they mean, and the picture they give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from engine.device import choose_device
from engine.errors import ModelError, UsageError
from engine.generation.generator import to_pixels
from engine.generation.pictures import picture_tensor
from engine.image import Picture
from engine.latent.spaces import space_maps
from engine.models.card import Attribute, ModelCard
from engine.models.registry import load_model
from engine.models.store import Model

_STYLE_RANGE = 3.0
_CHUNK = 32
_GAP = 2


@dataclass(frozen=True)
class Dimension:
    """One slider.

    Attributes:
        index: position in the vector of values.
        name: for people.
        importance: how much it matters, 1 for the most important one of its space, 0 for one that does nothing.
        low, high: range of the slider.
    """

    index: int
    name: str
    importance: float
    low: float
    high: float


class LatentExplorer:
    """Moves through the latent spaces of a model and shows the pictures there.

    Spaces: "style", the Gaussian space of a latent flow, where every point within the sliders lies on the data; and
    "raw", the decoder's own input, where it need not. Attributes that a choice does not name are left open: the latent
    then carries them.

    Args:
        model: of family conditional-vae or autoencoder.

    Raises:
        ModelError: a model of another family, or one without statistics of its latents.
    """

    def __init__(self, model: Model) -> None:
        self.card: ModelCard = model.card
        self.device = model.device
        self._maps = space_maps(model)
        config = model.network.config
        if len(model.card.latent_dimensions) != config.latent_size:
            raise ModelError(
                f"The card of {model.card.name} describes {len(model.card.latent_dimensions)} of "
                f"{config.latent_size} latent dimensions.",
                "Copy or download the model again.",
            )
        self.latent_size, self.image_size, self._channels = config.latent_size, config.image_size, config.channels

    @classmethod
    def load(cls, name: str | Path, device: torch.device | None = None) -> LatentExplorer:
        """Load a model by registry name or path, on the best device of this machine unless one is given.

        Raises:
            UsageError: there is no such model.
            ModelError: it is damaged or has no latent space to explore.
        """
        return cls(load_model(name, device or choose_device().torch_device))

    @property
    def attributes(self) -> tuple[Attribute, ...]:
        """What can be chosen beside the sliders."""
        return self._maps.attributes

    @property
    def spaces(self) -> tuple[str, ...]:
        """The spaces that the model has, the one to start in first."""
        return self._maps.spaces

    def dimensions(self, space: str) -> list[Dimension]:
        """The sliders of a space, the most important first."""
        self._check_space(space)
        if space == "style":
            importance = self._maps.style_importance()
            ranges = [(-_STYLE_RANGE, _STYLE_RANGE)] * self.latent_size
            names = [f"Style {index + 1}" for index in range(self.latent_size)]
        else:
            known = sorted(self.card.latent_dimensions, key=lambda dimension: dimension.index)
            importance = [dimension.importance for dimension in known]
            ranges = [_widened(dimension.low, dimension.high) for dimension in known]
            names = [f"z {index + 1}" for index in range(self.latent_size)]
        top = max(max(importance), 1e-12)
        found = [
            Dimension(index, names[index], min(1.0, max(0.0, importance[index] / top)), *ranges[index])
            for index in range(self.latent_size)
        ]
        return sorted(found, key=lambda dimension: -dimension.importance)

    @torch.inference_mode()
    def origin(self, space: str, choice: Mapping[str, str]) -> np.ndarray:
        """The centre of a space for a choice, (D,) float32: the most typical picture."""
        self._check_space(space)
        return self._values(self._maps.origin(space, choice))

    @torch.inference_mode()
    def random(self, space: str, choice: Mapping[str, str], seed: int) -> np.ndarray:
        """A random point of a space on the data, (D,) float32; the same one for the same seed."""
        self._check_space(space)
        if not 0 <= seed <= 2**53:
            raise UsageError(f"The seed {seed} is out of range.", "Use a number of 0 or more.")
        noise = torch.randn(1, self.latent_size, generator=torch.Generator().manual_seed(seed))
        return self._values(self._maps.from_noise(space, noise.to(self.device), choice))

    def decode(self, space: str, values: np.ndarray, choice: Mapping[str, str]) -> np.ndarray:
        """The picture at `values` (D,), as (H, W, 3) uint8. Raises `UsageError` for values of another size."""
        return self.decode_many(space, np.asarray(values)[None], choice)[0]

    @torch.inference_mode()
    def decode_many(self, space: str, values: np.ndarray, choice: Mapping[str, str]) -> np.ndarray:
        """The pictures at `values` (N, D), as (N, H, W, 3) uint8.

        Rounding may differ by 1 from `decode`, since a convolution over a batch adds up in another order.

        Raises:
            UsageError: no such space, values of another size or not finite, an unknown attribute or value.
        """
        self._check_space(space)
        points = self._points(values)
        parts = [
            to_pixels(_on_data(self._maps.decode(self._maps.to_raw(space, part, choice), choice)))
            for part in points.split(_CHUNK)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, self.image_size, self.image_size, 3), np.uint8)

    @torch.inference_mode()
    def encode(self, picture: Picture, space: str, choice: Mapping[str, str]) -> tuple[np.ndarray, np.ndarray]:
        """Where a picture lies in a space; how it is prepared says `engine.generation.pictures.picture_tensor`.

        Returns:
            values (D,) float32, and the picture as the model sees it, (H, W, 3) uint8.
        """
        self._check_space(space)
        image = picture_tensor(picture, self.image_size, self._channels).to(self.device)
        raw = self._maps.encode(image, choice)
        values = _on_data(self._maps.from_raw(space, raw, choice))
        return self._values(values), to_pixels(image)[0]

    def convert(self, values: np.ndarray, source: str, target: str, choice: Mapping[str, str]) -> np.ndarray:
        """The same point, (D,) float32, in another space."""
        return self.convert_many(np.asarray(values)[None], source, target, choice)[0]

    @torch.inference_mode()
    def convert_many(self, values: np.ndarray, source: str, target: str, choice: Mapping[str, str]) -> np.ndarray:
        """The same points, (N, D) float32, in another space."""
        self._check_space(source)
        self._check_space(target)
        points = self._points(values)
        if source != target:
            points = _on_data(self._maps.from_raw(target, self._maps.to_raw(source, points, choice), choice))
        return points.float().cpu().numpy().copy()

    @torch.inference_mode()
    def off_data(self, values: np.ndarray, choice: Mapping[str, str]) -> float:
        """How far a raw point (D,) lies off the data: 0 within what 99 % of them have, 1 at twice that or farther."""
        distance = self._maps.distance(self._points(np.asarray(values)[None]), choice)
        limit = self._maps.distance_limit()
        reading = float(distance[0]) / max(limit, 1e-6) - 1
        # A point so far off that the flow overflows is off the data, too.
        return 1.0 if reading != reading else min(1.0, max(0.0, reading))

    def traversal(
        self, space: str, values: np.ndarray, choice: Mapping[str, str], dims: Sequence[int], steps: int
    ) -> np.ndarray:
        """A figure of what dimensions do: a row for each, a column for each of `steps` places of its slider.

        Args:
            space: as elsewhere.
            values: (D,) that the other dimensions keep.
            choice: of attributes.
            dims: indices into `values`, one a row.
            steps: columns, 2 or more, evenly from low to high.

        Returns:
            (H', W', 3) uint8.

        Raises:
            UsageError: no dimensions, one that does not exist, or fewer than 2 steps.
        """
        by_index = {dimension.index: dimension for dimension in self.dimensions(space)}
        if not dims or steps < 2:
            raise UsageError("A traversal needs at least one dimension and two steps.", "Choose some dimensions.")
        unknown = [dim for dim in dims if dim not in by_index]
        if unknown:
            raise UsageError(
                f"{self.card.name} has no dimension {unknown[0]}.", f"Use numbers from 0 to {self.latent_size - 1}."
            )
        points = np.repeat(np.asarray(values, np.float32)[None], len(dims) * steps, axis=0)
        if points.shape[1:] != (self.latent_size,):
            self._points(points)
        for row, dim in enumerate(dims):
            places = np.linspace(by_index[dim].low, by_index[dim].high, steps)
            points[row * steps : (row + 1) * steps, dim] = places
        pictures = self.decode_many(space, points, choice)
        return _grid(pictures.reshape(len(dims), steps, *pictures.shape[1:]))

    def _check_space(self, space: str) -> None:
        if space not in self.spaces:
            raise UsageError(f"{self.card.name} has no space {space!r}.", f"It has: {', '.join(self.spaces)}.")

    def _points(self, values: np.ndarray) -> Tensor:
        points = np.asarray(values, np.float32)
        if points.ndim != 2 or points.shape[1] != self.latent_size:
            raise UsageError(
                f"{points.shape[-1] if points.ndim else 0} values were given, {self.card.name} has {self.latent_size} "
                "dimensions.",
                "Use a latent made with this model.",
            )
        if not np.isfinite(points).all():
            raise UsageError("The values hold one that is not a finite number.", "Reset the sliders.")
        return torch.from_numpy(points).to(self.device)

    @staticmethod
    def _values(points: Tensor) -> np.ndarray:
        return points[0].float().cpu().numpy().copy()


def _on_data(values: Tensor) -> Tensor:
    """The values themselves, where all are finite."""
    if not bool(torch.isfinite(values).all()):
        raise UsageError("The values lie so far off the data that no picture can be drawn.", "Reset the sliders.")
    return values


def _widened(low: float, high: float) -> tuple[float, float]:
    """A range with a length, also for a dimension that never moves."""
    return (low, high) if high - low > 1e-3 else (low - 1.0, high + 1.0)


def _grid(pictures: np.ndarray) -> np.ndarray:
    rows, columns, height, width, _ = pictures.shape
    shape = (rows * (height + _GAP) - _GAP, columns * (width + _GAP) - _GAP, 3)
    sheet = np.full(shape, 255, np.uint8)
    for row in range(rows):
        for column in range(columns):
            top, left = row * (height + _GAP), column * (width + _GAP)
            sheet[top : top + height, left : left + width] = pictures[row, column]
    return sheet
