"""ModelCard: what a model file says of itself. It travels in the safetensors metadata: one file is the whole model."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Attribute(BaseModel):
    """Something a model can be told, such as the digit or the hair colour, and the values it knows in index order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=64)
    values: tuple[str, ...] = Field(min_length=1, max_length=1024)


class LatentDimension(BaseModel):
    """What is known of one latent dimension after training.

    Attributes:
        index: position in the latent vector.
        importance: how much it matters: KL in nats for a variational model, explained variance otherwise.
        low, high: the 1 % and 99 % quantiles of the posterior means on training data; the range of its slider.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    index: int = Field(ge=0)
    importance: float
    low: float
    high: float


class Figure(BaseModel):
    """A measured figure: its value and the data it was measured on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    value: float
    unit: str = ""
    data: str


class SegmentationClass(BaseModel):
    """A class of a segmentation model, in index order, with its legend colour."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    color: tuple[int, int, int]


class ModelCard(BaseModel):
    """The self-description of a model file.

    Attributes:
        name: registry name, also the file name without ".safetensors".
        family: key of `engine.models.registry.FAMILIES`.
        version: counts up with every retraining that is shipped.
        summary: one sentence for people.
        config: constructor arguments of the network, validated by the family's own config class.
        attributes: what can be chosen when generating; empty for unconditional models.
        classes: what a segmentation model tells apart; empty for the others.
        latent_dimensions: per-dimension information in latent order; empty where a latent vector makes no sense.
        training_data, licence: what it was trained on and under which terms the data come.
        recipe: name of the recipe that reproduces the model.
        training_steps: optimiser steps in all, over every run that led to these weights.
        figures: measured on data the model was not trained on.
        weights_sha256: hash of the weights (`engine.models.store.hash_weights`), filled in on saving.
        notes: what a family keeps with its weights, such as the flow's rotation order; JSON values.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")
    family: str
    version: int = Field(default=1, ge=1)
    summary: str = ""
    config: dict[str, Any] = Field(default_factory=dict)
    attributes: tuple[Attribute, ...] = ()
    classes: tuple[SegmentationClass, ...] = ()
    latent_dimensions: tuple[LatentDimension, ...] = ()
    training_data: str = ""
    licence: str = ""
    recipe: str = ""
    training_steps: int = Field(default=0, ge=0)
    figures: tuple[Figure, ...] = ()
    weights_sha256: str = ""
    notes: dict[str, Any] = Field(default_factory=dict)

    def figure(self, name: str) -> Figure | None:
        """The figure called `name`, or None."""
        return next((figure for figure in self.figures if figure.name == name), None)
