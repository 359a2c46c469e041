"""What every trainable network of the house offers to the trainer, whatever its family."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Generic, NamedTuple, TypeVar

import torch
from pydantic import BaseModel
from torch import Tensor, nn

from engine.models.card import ModelCard


class Batch(NamedTuple):
    """A mini-batch as the data pipeline delivers it.

    Attributes:
        images: (B, C, H, W) float32 in 0..1.
        labels: (B, A) int64, one column per attribute of the card, or None.
        masks: (B, H, W) int64 class (or instance) numbers, or None.
    """

    images: Tensor
    labels: Tensor | None = None
    masks: Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        return Batch(*(None if part is None else part.to(device, non_blocking=True) for part in self))  # type: ignore[arg-type]


@dataclass(frozen=True)
class TrainingMoment:
    """Where a training run stands: what schedules (KL warm-up, noise to rounding) depend on.

    Attributes:
        stage: name of the recipe's stage.
        step: steps done in this stage.
        total: steps of this stage in all.
        index: position of the stage in the recipe, from 0.
    """

    stage: str
    step: int
    total: int
    index: int = 0

    @property
    def fraction(self) -> float:
        """Share of the stage that is done, 0..1."""
        return self.step / max(1, self.total)


ConfigT = TypeVar("ConfigT", bound=BaseModel)


class Network(nn.Module, ABC, Generic[ConfigT]):
    """Base of every model family: a torch module built from a validated config, that knows its own training loss.

    Attributes:
        family: key in `engine.models.registry.FAMILIES`.
        Config: pydantic class of the constructor's only argument; bounds in it keep a hostile card from building a
            giant.
    """

    family: ClassVar[str]
    Config: ClassVar[type[BaseModel]]

    def __init__(self, config: ConfigT) -> None:
        super().__init__()
        self.config = config

    @abstractmethod
    def training_loss(self, batch: Batch, moment: TrainingMoment) -> dict[str, Tensor]:
        """Loss terms as scalar tensors. "loss" is what is minimised; the others are logged."""

    def enter_stage(self, stage: str) -> None:
        """Called before a stage of that name begins, and with "" before `finish`; in the order of the recipe.

        Here parts come and go that only one stage trains with; they are checkpointed with it but never saved in a
        model. Drawn weights may use torch's generator, which the trainer seeds.
        """

    def validation_figures(self, batch: Batch) -> dict[str, Tensor]:
        """Scalar figures on held-out data, averaged by the trainer over batches; "loss" among them. No gradients."""
        return self.training_loss(batch, TrainingMoment("validation", 1, 1))

    def preview(self, batch: Batch) -> Tensor | None:
        """Pictures (N, C, H, W) in 0..1 that show what the network can do now, for the run's sample sheet."""
        return None

    def finish(self, batches: Iterable[Batch], card: ModelCard) -> ModelCard:
        """Called once after training with weights averaged: fill tables and latent statistics, extend the card."""
        return card
