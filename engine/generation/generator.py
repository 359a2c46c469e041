"""Generator: samples of a conditional VAE, drawn through its latent flow, each remade by its seed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from engine.device import choose_device
from engine.errors import ModelError, UsageError
from engine.generation.choice import label_numbers
from engine.generation.latent import Latent
from engine.models.card import Attribute, ModelCard
from engine.models.conditional_vae import ConditionalVAE
from engine.models.registry import load_model
from engine.models.store import Model
from engine.progress import CancelToken, Progress, ProgressCallback, ignore_progress

MAX_COUNT = 10_000
MAX_SEED = 2**53  # every JSON reader keeps such a number exactly
MAX_TEMPERATURE = 3.0


@dataclass(frozen=True)
class Sample:
    """A generated picture, (H, W, 3) uint8, and the latent that draws it again."""

    pixels: np.ndarray
    latent: Latent


class Generator:
    """Draws pictures by attributes.

    A sample depends on the model, the choice, its own seed and the temperature, and on nothing else: its noise comes
    from a CPU generator of its own, and it is decoded alone, since a convolution over a batch may round differently.
    On one machine, thread count and version of torch the same call therefore gives the same bytes; elsewhere rounding
    may differ by a grey level.

    Args:
        model: of family conditional-vae.

    Raises:
        ModelError: a model of another family, or a card that does not fit its network.
    """

    def __init__(self, model: Model) -> None:
        if not isinstance(model.network, ConditionalVAE):
            raise ModelError(
                f"The model {model.card.name} is of family {model.card.family} and generates no pictures.",
                "Choose one of family conditional-vae.",
            )
        sizes = tuple(len(attribute.values) for attribute in model.card.attributes)
        if sizes != model.network.config.attribute_sizes:
            raise ModelError(
                f"The card of {model.card.name} names {sizes} attribute values, its network knows "
                f"{model.network.config.attribute_sizes}.",
                "Copy or download the model again.",
            )
        self.network: ConditionalVAE = model.network
        self.card: ModelCard = model.card
        self.device = model.device

    @classmethod
    def load(cls, name: str | Path, device: torch.device | None = None) -> Generator:
        """Load a model by registry name or path, on the best device of this machine unless one is given.

        Raises:
            UsageError: there is no such model.
            ModelError: it is damaged or of another family.
        """
        return cls(load_model(name, device or choose_device().torch_device))

    @property
    def attributes(self) -> tuple[Attribute, ...]:
        """What can be chosen."""
        return self.card.attributes

    @property
    def image_size(self) -> tuple[int, int]:
        """Width and height of the pictures, in pixels."""
        return self.network.config.image_size, self.network.config.image_size

    def sample(
        self,
        choice: Mapping[str, str],
        count: int,
        seed: int,
        temperature: float = 1.0,
        *,
        progress: ProgressCallback = ignore_progress,
        cancel: CancelToken | None = None,
    ) -> list[Sample]:
        """Draw `count` pictures; number i has the seed `seed + i`.

        Args:
            choice: value by attribute name. An attribute that is not named is drawn for each sample, all values alike.
            count: 1 to 10,000.
            seed: 0 to 2**53 less `count`.
            temperature: 0 to 3; scales the Gaussian noise. Below 1 gives more typical pictures, 0 always the same one.
            progress: `partial` carries each finished `Sample`.

        Raises:
            UsageError: a value out of range, or an unknown attribute or value.
            Cancelled: by `cancel`.
        """
        if not 1 <= count <= MAX_COUNT:
            raise UsageError(f"{count} samples were asked for.", f"Ask for 1 to {MAX_COUNT:,}.")
        if not 0 <= seed <= MAX_SEED - count:
            raise UsageError(f"The seed {seed} is out of range.", "Use a number from 0 to 9,000,000,000,000,000.")
        if not (math.isfinite(temperature) and 0 <= temperature <= MAX_TEMPERATURE):
            raise UsageError(f"The temperature {temperature} is out of range.", f"Use 0 to {MAX_TEMPERATURE:g}.")
        numbers = label_numbers(self.attributes, choice)
        samples = []
        for index in range(count):
            if cancel is not None:
                cancel.raise_if_cancelled()
            sample = self._sample(numbers, seed + index, temperature)
            samples.append(sample)
            progress(Progress(index + 1, count, f"Sample {index + 1} of {count}", sample))
        return samples

    def draw(self, latent: Latent) -> np.ndarray:
        """The picture of a latent, (H, W, 3) uint8: for a sample's latent the very same bytes.

        Raises:
            UsageError: its size or an attribute does not fit this model.
        """
        size = self.network.config.latent_size
        if len(latent.values) != size:
            raise UsageError(
                f"The latent has {len(latent.values)} numbers, {self.card.name} has {size} dimensions.",
                f"Use it with the model it was made with, {latent.model}.",
            )
        return self._draw(latent.space, latent.values, label_numbers(self.attributes, latent.attributes))

    def _sample(self, numbers: list[int | None], seed: int, temperature: float) -> Sample:
        noise = torch.Generator().manual_seed(seed)
        style = torch.randn(self.network.config.latent_size, generator=noise) * temperature
        # Every attribute is drawn, also the chosen ones: choosing one does not change what is drawn for the others.
        drawn = [int(torch.randint(len(a.values), (1,), generator=noise)) for a in self.attributes]
        complete = [free if number is None else number for number, free in zip(numbers, drawn, strict=True)]
        values = tuple(style.tolist())
        latent = Latent(
            model=self.card.name,
            weights_sha256=self.card.weights_sha256,
            space="style",
            values=values,
            attributes={a.name: a.values[n] for a, n in zip(self.attributes, complete, strict=True)},
            seed=seed,
            temperature=temperature,
        )
        return Sample(self._draw("style", values, list(complete)), latent)

    @torch.inference_mode()
    def _draw(self, space: str, values: tuple[float, ...], numbers: list[int | None]) -> np.ndarray:
        network = self.network
        point = torch.tensor([values], dtype=torch.float32, device=self.device)
        labels = label_tensor(network, numbers)
        if space == "style":
            point = network.style_to_latent(point, labels)
        return to_pixels(network.decode(point, labels))[0]


def label_tensor(network: ConditionalVAE, numbers: list[int | None]) -> Tensor:
    """Value numbers (None = left open) as the labels (1, A) that the network takes."""
    labels = network.open_labels(1).clone()
    for index, number in enumerate(numbers):
        if number is not None:
            labels[0, index] = number
    return labels


def to_pixels(images: Tensor) -> np.ndarray:
    """Pictures (N, 1 or 3, H, W), about 0..1, as (N, H, W, 3) uint8."""
    values = (images.float().clamp(0, 1) * 255).round().byte().expand(-1, 3, -1, -1)
    return np.ascontiguousarray(values.permute(0, 2, 3, 1).cpu().numpy())
