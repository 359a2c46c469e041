"""Generator: samples of a conditional VAE, drawn through its latent flow, each remade by its seed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from engine.device import choose_device
from engine.errors import ModelError, UsageError
from engine.generation.choice import label_mixes, label_numbers
from engine.generation.latent import Latent, Space
from engine.generation.settings import SamplingSettings
from engine.models.card import Attribute, ModelCard
from engine.models.conditional_vae import ConditionalVAE, LabelMix
from engine.models.registry import load_model
from engine.models.store import Model
from engine.progress import CancelToken, Progress, ProgressCallback, ignore_progress

MAX_COUNT = 10_000
MAX_SEED = 2**53  # every JSON reader keeps such a number exactly


@dataclass(frozen=True)
class Sample:
    """A generated picture, (H, W, 3) uint8, and the latent that draws it again."""

    pixels: np.ndarray
    latent: Latent


class Generator:
    """Draws pictures by attributes.

    A sample depends on the model, the settings and its own seed, and on nothing else: its noise comes from a CPU
    generator of its own, and it is decoded alone, since a convolution over a batch may round differently. On one
    machine, thread count and version of torch the same call therefore gives the same bytes; elsewhere rounding may
    differ by a grey level. Only which seeds make up a grid depends, with diversity, on the pictures before.

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
        settings: SamplingSettings,
        count: int,
        seed: int,
        *,
        progress: ProgressCallback = ignore_progress,
        cancel: CancelToken | None = None,
    ) -> list[Sample]:
        """Draw `count` pictures; number i has the seed `seed + i`, or with diversity one of the next few hundred.

        Args:
            settings: what to draw and how.
            count: 1 to 10,000.
            seed: 0 to 2**53 less the seeds that are used.
            progress: `partial` carries each finished `Sample`.

        Raises:
            UsageError: a value out of range, or an unknown attribute or value.
            Cancelled: by `cancel`.
        """
        candidates = settings.candidates
        check_count(count)
        check_seed(seed, count * candidates)
        settings.check(self.card)
        numbers = label_numbers(self.attributes, settings.choice)
        spread = _Spread(self)
        samples = []
        for index in range(count):
            if cancel is not None:
                cancel.raise_if_cancelled()
            first = seed + index * candidates
            latents = [self._drawn(settings, numbers, first + step) for step in range(candidates)]
            sample = self.sample_at(spread.farthest(latents) if candidates > 1 else latents[0])
            samples.append(sample)
            progress(Progress(index + 1, count, f"Sample {index + 1} of {count}", sample))
        return samples

    def sample_at(self, latent: Latent) -> Sample:
        """The picture of a latent together with it. Raises `UsageError` as `draw`."""
        return Sample(self.draw(latent), latent)

    @torch.inference_mode()
    def draw(self, latent: Latent) -> np.ndarray:
        """The picture of a latent, (H, W, 3) uint8: for a sample's latent the very same bytes.

        Raises:
            UsageError: its size or an attribute does not fit this model, or it lies too far off the data to be drawn.
        """
        labels, mixes = self._condition(latent)
        image = self.network.decode(self._raw(latent), labels, mixes)
        if not bool(torch.isfinite(image).all()):
            raise _off_data(latent)
        return to_pixels(image)[0]

    def in_space(self, latent: Latent, space: Space) -> Latent:
        """The same point in another space, for sliders and edits.

        The raw point already contains the guidance, so that it draws the same picture without any. The way to the style
        space is the flow's inverse: the picture there is the same but for rounding.

        Raises:
            UsageError: as `draw`.
        """
        self._check_size(latent)
        if space == latent.space:
            return latent
        with torch.inference_mode():
            if space == "raw":
                point = self._raw(latent)
            else:
                labels, mixes = self._condition(latent)
                point = self.network.latent_to_style(self._raw(latent), labels, mixes)
        if not bool(torch.isfinite(point).all()):
            raise _off_data(latent)
        # With guidance the seed gives this picture only together with it.
        seed = latent.seed if latent.guidance == 1 else None
        return replace(latent, space=space, values=tuple(point[0].tolist()), guidance=1.0, seed=seed)

    def _drawn(self, settings: SamplingSettings, numbers: list[int | None], seed: int) -> Latent:
        """The latent that a seed gives."""
        noise = torch.Generator().manual_seed(seed)
        point = torch.randn(self.network.config.latent_size, generator=noise) * settings.temperature
        # Every attribute is drawn, also the chosen ones: choosing one does not change what is drawn for the others.
        drawn = [int(torch.randint(len(a.values), (1,), generator=noise)) for a in self.attributes]
        complete = [free if number is None else number for number, free in zip(numbers, drawn, strict=True)]
        return Latent(
            model=self.card.name,
            weights_sha256=self.card.weights_sha256,
            space="style" if settings.prior == "flow" else "raw",
            values=tuple(point.tolist()),
            attributes={a.name: a.values[n] for a, n in zip(self.attributes, complete, strict=True)},
            seed=seed,
            temperature=settings.temperature,
            prior=settings.prior,
            guidance=settings.guidance,
            mix=() if settings.mix is None else (settings.mix,),
            drawn=tuple(a.name for a, number in zip(self.attributes, numbers, strict=True) if number is None),
            diversity=settings.diversity,
        )

    def _raw(self, latent: Latent) -> Tensor:
        """The decoder's input (1, D) at a latent."""
        self._check_size(latent)
        point = torch.tensor([latent.values], dtype=torch.float32, device=self.device)
        if latent.space == "raw":
            return point
        labels, mixes = self._condition(latent)
        return self.network.style_to_latent(point, labels, mixes=mixes, guidance=latent.guidance)

    def _check_size(self, latent: Latent) -> None:
        size = self.network.config.latent_size
        if len(latent.values) != size:
            raise UsageError(
                f"The latent has {len(latent.values)} numbers, {self.card.name} has {size} dimensions.",
                f"Use it with the model it was made with, {latent.model}.",
            )

    def _condition(self, latent: Latent) -> tuple[Tensor, list[LabelMix]]:
        """Labels (1, A) and mixes of a latent."""
        labels = label_tensor(self.network, label_numbers(self.attributes, latent.attributes))
        return labels, label_mixes(self.attributes, latent.mix)


class _Spread:
    """Chooses latents that lie far from those chosen before.

    Distances are those of the styles' directions, each dimension weighted by how much it moves the picture; attributes
    that all differ count as much as two unrelated styles.
    """

    def __init__(self, generator: Generator) -> None:
        self._attributes = generator.attributes
        self._visibility = generator.network.style_visibility.cpu()
        self._chosen: list[Tensor] = []

    def farthest(self, latents: list[Latent]) -> Latent:
        """The latent whose nearest neighbour among the chosen ones is the farthest; the first one, to begin with."""
        places = torch.stack([self._place(latent) for latent in latents])
        best = 0
        if self._chosen:
            best = int(torch.cdist(places, torch.stack(self._chosen)).amin(1).argmax())
        self._chosen.append(places[best])
        return latents[best]

    def _place(self, latent: Latent) -> Tensor:
        weights = self._visibility if latent.space == "style" else torch.ones_like(self._visibility)
        # By direction only: farthest points would else be the longest styles, which are the least typical pictures.
        direction = torch.nn.functional.normalize(torch.tensor(latent.values), dim=0) * len(latent.values) ** 0.5
        parts = [direction * weights]
        for attribute in self._attributes:
            place = torch.zeros(len(attribute.values))
            place[attribute.values.index(latent.attributes[attribute.name])] = 1
            parts.append(place * weights.norm() / len(self._attributes) ** 0.5)
        return torch.cat(parts)


def check_count(count: int) -> None:
    """Raise `UsageError` for a number of pictures that is not 1 to 10,000."""
    if not 1 <= count <= MAX_COUNT:
        raise UsageError(f"{count} samples were asked for.", f"Ask for 1 to {MAX_COUNT:,}.")


def check_seed(seed: int, count: int) -> None:
    """Raise `UsageError` where one of the `count` seeds from `seed` on is out of range."""
    if not 0 <= seed <= MAX_SEED - count:
        raise UsageError(f"The seed {seed} is out of range.", "Use a number from 0 to 9,000,000,000,000,000.")


def _off_data(latent: Latent) -> UsageError:
    return UsageError(
        "This latent lies so far off the data that no picture can be drawn.",
        f"Choose values that the model {latent.model} knows, within the sliders.",
    )


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
