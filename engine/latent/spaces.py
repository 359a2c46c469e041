"""How the spaces of each model family hang together: one small adapter per family, behind one interface."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

from engine.errors import ModelError, UsageError
from engine.generation.choice import label_numbers
from engine.generation.generator import label_tensor
from engine.models.autoencoder import Autoencoder
from engine.models.card import Attribute, ModelCard
from engine.models.conditional_vae import ConditionalVAE
from engine.models.store import Model


class SpaceMaps(Protocol):
    """Maps between pictures and the points (N, D) of a model's spaces, under a choice of attributes."""

    spaces: tuple[str, ...]
    attributes: tuple[Attribute, ...]

    def style_importance(self) -> list[float]:
        """How visible each style dimension is, in any unit; empty where there is no style space."""
        ...

    def origin(self, space: str, choice: Mapping[str, str]) -> Tensor:
        """The centre (1, D)."""
        ...

    def from_noise(self, space: str, noise: Tensor, choice: Mapping[str, str]) -> Tensor:
        """Standard normal noise (N, D) as points distributed like the data."""
        ...

    def to_raw(self, space: str, points: Tensor, choice: Mapping[str, str]) -> Tensor:
        """Points of a space as raw ones."""
        ...

    def from_raw(self, space: str, points: Tensor, choice: Mapping[str, str]) -> Tensor:
        """Raw points as points of a space."""
        ...

    def encode(self, images: Tensor, choice: Mapping[str, str]) -> Tensor:
        """Pictures (N, C, H, W) in 0..1 as raw points."""
        ...

    def decode(self, raw: Tensor, choice: Mapping[str, str]) -> Tensor:
        """Raw points as pictures (N, C, H, W), about 0..1."""
        ...

    def posterior(self, images: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Pictures (N, C, H, W) in 0..1, each with its own attributes (N, A) or None for all left open, as raw points.

        Returns:
            means (N, D), and log variances (N, D), or None where the model gives points without a spread.
        """
        ...

    def reconstruct(self, raw: Tensor, labels: Tensor | None) -> Tensor:
        """Raw points (N, D) as pictures (N, C, H, W), with attributes as in `posterior`."""
        ...

    def distance(self, raw: Tensor, choice: Mapping[str, str]) -> Tensor:
        """How far from the middle of the data raw points lie, (N,)."""
        ...

    def distance_limit(self) -> float:
        """The distance within which 99 % of the data lie."""
        ...


class VaeSpaces:
    """Style and raw space of a conditional VAE, joined by its flow."""

    spaces: tuple[str, ...] = ("style", "raw")

    def __init__(self, network: ConditionalVAE, card: ModelCard) -> None:
        self._network = network
        self.attributes = card.attributes

    def style_importance(self) -> list[float]:
        return self._network.style_visibility.tolist()

    def origin(self, space: str, choice: Mapping[str, str]) -> Tensor:
        centre = torch.zeros(1, self._network.config.latent_size, device=self._network.rotation.device)
        return self.from_noise(space, centre, choice)

    def from_noise(self, space: str, noise: Tensor, choice: Mapping[str, str]) -> Tensor:
        return noise if space == "style" else self.to_raw("style", noise, choice)

    def to_raw(self, space: str, points: Tensor, choice: Mapping[str, str]) -> Tensor:
        if space == "raw":
            return points
        return self._network.style_to_latent(points, self._labels(choice, len(points)))

    def from_raw(self, space: str, points: Tensor, choice: Mapping[str, str]) -> Tensor:
        if space == "raw":
            return points
        return self._network.latent_to_style(points, self._labels(choice, len(points)))

    def encode(self, images: Tensor, choice: Mapping[str, str]) -> Tensor:
        return self._network.encode(images, self._labels(choice, len(images))).mean

    def decode(self, raw: Tensor, choice: Mapping[str, str]) -> Tensor:
        return self._network.decode(raw, self._labels(choice, len(raw)))

    def posterior(self, images: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor | None]:
        found = self._network.encode(images, self._network.open_labels(len(images)) if labels is None else labels)
        return found.mean, found.log_variance

    def reconstruct(self, raw: Tensor, labels: Tensor | None) -> Tensor:
        return self._network.decode(raw, self._network.open_labels(len(raw)) if labels is None else labels)

    def distance(self, raw: Tensor, choice: Mapping[str, str]) -> Tensor:
        return self._network.style_distance(raw, self._labels(choice, len(raw)))

    def distance_limit(self) -> float:
        return float(self._network.style_limit)

    def _labels(self, choice: Mapping[str, str], count: int) -> Tensor:
        return label_tensor(self._network, label_numbers(self.attributes, choice)).expand(count, -1)


class AutoencoderSpaces:
    """The one space of a plain autoencoder, with a Gaussian fitted to the training data's latents."""

    spaces: tuple[str, ...] = ("raw",)
    attributes: tuple[Attribute, ...] = ()

    def __init__(self, network: Autoencoder) -> None:
        self._network = network
        self._colouring = torch.linalg.pinv(network.latent_whitening)

    def style_importance(self) -> list[float]:
        return []

    def origin(self, space: str, choice: Mapping[str, str]) -> Tensor:
        _refuse(choice)
        return self._network.latent_mean[None]

    def from_noise(self, space: str, noise: Tensor, choice: Mapping[str, str]) -> Tensor:
        return self.origin(space, choice) + noise @ self._colouring

    def to_raw(self, space: str, points: Tensor, choice: Mapping[str, str]) -> Tensor:
        return points

    def from_raw(self, space: str, points: Tensor, choice: Mapping[str, str]) -> Tensor:
        return points

    def encode(self, images: Tensor, choice: Mapping[str, str]) -> Tensor:
        _refuse(choice)
        return self._network.encode(images)

    def decode(self, raw: Tensor, choice: Mapping[str, str]) -> Tensor:
        return self._network.decode(raw)

    def posterior(self, images: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor | None]:
        return self._network.encode(images), None

    def reconstruct(self, raw: Tensor, labels: Tensor | None) -> Tensor:
        return self._network.decode(raw)

    def distance(self, raw: Tensor, choice: Mapping[str, str]) -> Tensor:
        return self._network.distance(raw)

    def distance_limit(self) -> float:
        return float(self._network.distance_limit)


def space_maps(model: Model) -> SpaceMaps:
    """The adapter of a model's family. Raises `ModelError` for families without a latent space to explore."""
    if isinstance(model.network, ConditionalVAE):
        return VaeSpaces(model.network, model.card)
    if isinstance(model.network, Autoencoder):
        return AutoencoderSpaces(model.network)
    raise ModelError(
        f"The model {model.card.name} is of family {model.card.family} and has no latent space to explore.",
        "Choose a generative model or an autoencoder.",
    )


def _refuse(choice: Mapping[str, str]) -> None:
    if choice:
        raise UsageError(f"A plain autoencoder knows no attribute {next(iter(choice))!r}.", "Choose nothing for it.")
