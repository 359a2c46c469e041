"""SamplingSettings: all that a person sets before samples are drawn, checked before anything is computed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.errors import UsageError
from engine.generation.choice import label_mixes, label_numbers
from engine.generation.latent import MAX_GUIDANCE, Latent, Mix, Prior
from engine.models.card import ModelCard

MAX_TEMPERATURE = 3.0
MOST_CANDIDATES = 8

__all__ = ["MAX_GUIDANCE", "MAX_TEMPERATURE", "MOST_CANDIDATES", "Mix", "Prior", "SamplingSettings"]


@dataclass(frozen=True)
class SamplingSettings:
    """What to draw, and how.

    Attributes:
        choice: value by attribute name. An attribute that is not named is drawn for each sample, all values alike.
        prior: "flow" draws latents where pictures of the choice really lie; "normal" draws them from N(0, I), as a VAE
            without a learned prior must.
        guidance: 0 to 5. How strongly the choice steers the flow; 1 as trained, above that more typical of the choice
            and less varied. Has no effect with the prior "normal", which has no flow.
        temperature: 0 to 3; scales the Gaussian noise. Below 1 gives more typical pictures, 0 always the same one.
        mix: a second value of one attribute that every sample is mixed with.
        diversity: 0 to 1. Above 0, each picture of a grid is chosen from several candidates, up to 8, as the one
            that is least like the pictures chosen before.

    Raises:
        UsageError: a number is out of its range.
    """

    choice: Mapping[str, str] = field(default_factory=dict)
    prior: Prior = "flow"
    guidance: float = 1.0
    temperature: float = 1.0
    mix: Mix | None = None
    diversity: float = 0.0

    def __post_init__(self) -> None:
        if self.prior not in ("flow", "normal"):
            raise UsageError(f"There is no prior {self.prior!r}.", "Use flow or normal.")
        _check("guidance", self.guidance, MAX_GUIDANCE)
        _check("temperature", self.temperature, MAX_TEMPERATURE)
        _check("diversity", self.diversity, 1.0)
        if self.mix is not None:
            _check("weight of the mix", self.mix.weight, 1.0)

    @property
    def candidates(self) -> int:
        """How many seeds each picture of a grid is chosen from, 1 to 8."""
        return 1 + round(self.diversity * (MOST_CANDIDATES - 1))

    def check(self, card: ModelCard) -> None:
        """Raise `UsageError` for an attribute or value that the model does not know, with the nearest ones."""
        label_numbers(card.attributes, self.choice)
        if self.mix is not None:
            label_mixes(card.attributes, [self.mix])

    @classmethod
    def of(cls, latent: Latent) -> SamplingSettings:
        """The settings that a sample was drawn with: with its seed they give the sample again.

        Of a latent that was made from others (a step of a morph) the first mix is kept.

        Raises:
            UsageError: the latent, which may come from a forged file, holds a number out of its range.
        """
        return cls(
            choice={name: value for name, value in latent.attributes.items() if name not in latent.drawn},
            prior=latent.prior,
            guidance=latent.guidance,
            temperature=latent.temperature,
            mix=latent.mix[0] if latent.mix else None,
            diversity=latent.diversity,
        )


def _check(name: str, value: float, most: float) -> None:
    if not (math.isfinite(value) and 0 <= value <= most):
        raise UsageError(f"The {name} {value} is out of range.", f"Use 0 to {most:g}.")
