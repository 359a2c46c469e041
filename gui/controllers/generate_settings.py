"""What the Generate page is asked for: all settings of a grid as one value, which undo and pictures bring back."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from engine.generation import Latent
    from engine.models.card import Attribute, ModelCard

MAX_COUNT = 1024
MAX_SEED = 2**31 - 1
TEMPERATURES = (0.0, 3.0)
GUIDANCES = (0.0, 5.0)
Prior = Literal["flow", "normal"]
FLOW: Prior = "flow"
NORMAL: Prior = "normal"
# A card names the same figure for samples through the flow and for z from N(0, I); the first pair it has is shown.
_ACCURACIES = (
    ("class accuracy of samples", "class accuracy with z from N(0, I)"),
    ("mean attribute accuracy of samples", "mean attribute accuracy with z from N(0, I)"),
)
_DISTANCES = ("feature Fréchet distance of samples", "feature Fréchet distance with z from N(0, I)")


@dataclass(frozen=True)
class MixWish:
    """A second value that a chosen one is mixed with.

    Attributes:
        attribute: whose value is mixed.
        value: the second value.
        weight: 0..1; 0 is the chosen value alone, 1 the second alone.
    """

    attribute: str
    value: str
    weight: float = 0.5


@dataclass(frozen=True)
class GenerateSettings:
    """All that undo and redo bring back.

    Attributes:
        model: registry name; empty until one is loaded.
        choice: the chosen value of each attribute; attributes not in it are "any".
        prior: where the latents come from, FLOW or NORMAL.
        guidance: how strictly the choice is followed, within GUIDANCES; 1 is what the model learned.
        temperature: spread of the samples, within TEMPERATURES; 1 is the learned distribution.
        diversity: 0..1; how far a grid is spread over the styles.
        mix: a second value, or None.
        count: samples to make, 1..MAX_COUNT.
        seed: of the next samples, 0..MAX_SEED.
        seed_locked: the seed is kept for the next grid, else every grid draws its own.
    """

    model: str = ""
    choice: Mapping[str, str] = field(default_factory=dict)
    prior: Prior = FLOW
    guidance: float = 1.0
    temperature: float = 1.0
    diversity: float = 0.0
    mix: MixWish | None = None
    count: int = 16
    seed: int = 1
    seed_locked: bool = False

    def held(self) -> GenerateSettings:
        """The same with every number inside its range, and without a mix of a value with itself."""
        mix = self.mix
        if mix is not None:
            same = self.choice.get(mix.attribute) == mix.value
            mix = None if same else replace(mix, weight=_within(mix.weight, (0.0, 1.0)))
        return replace(
            self,
            guidance=_within(self.guidance, GUIDANCES),
            temperature=_within(self.temperature, TEMPERATURES),
            diversity=_within(self.diversity, (0.0, 1.0)),
            mix=mix,
            count=min(MAX_COUNT, max(1, self.count)),
            seed=min(MAX_SEED, max(0, self.seed)),
        )

    def with_value(self, attribute: str, value: str | None) -> GenerateSettings:
        """The same with one attribute fixed to `value`, or left to chance with None."""
        choice = {name: known for name, known in self.choice.items() if name != attribute}
        if value is not None:
            choice[attribute] = value
        return replace(self, choice=choice).held()

    def fitting(self, attributes: Sequence[Attribute]) -> GenerateSettings:
        """The same without values that a model with these attributes does not know."""
        known = {attribute.name: attribute.values for attribute in attributes}
        choice = {name: value for name, value in self.choice.items() if value in known.get(name, ())}
        mix = self.mix
        if mix is not None and mix.value not in known.get(mix.attribute, ()):
            mix = None
        return replace(self, choice=choice, mix=mix).held()


def settings_of(latent: Latent, present: GenerateSettings) -> GenerateSettings:
    """The settings that a picture was made with; the count, which it does not tell, stays as it is.

    Of a step of a morph, which may hold several mixes, the first is kept.
    """
    found = replace(
        present,
        model=latent.model,
        choice={name: value for name, value in latent.attributes.items() if name not in latent.drawn},
        prior=latent.prior,
        guidance=latent.guidance,
        temperature=latent.temperature,
        diversity=latent.diversity,
        mix=next((MixWish(mix.attribute, mix.value, mix.weight) for mix in latent.mix), None),
    )
    if latent.seed is not None and 0 <= latent.seed <= MAX_SEED:
        found = replace(found, seed=latent.seed, seed_locked=True)
    return found.held()


def remembered(stored: Mapping[str, Any]) -> GenerateSettings:
    """The settings of the last session; what makes no sense is left at its default. The mix is not remembered."""
    found = GenerateSettings()
    numbers = {
        name: float(stored[name])
        for name in ("guidance", "temperature", "diversity")
        if isinstance(stored.get(name), int | float) and math.isfinite(stored[name])
    }
    counts = {name: stored[name] for name in ("count", "seed") if type(stored.get(name)) is int}
    listed = stored.get("choice")
    pairs = [str(one).partition("=") for one in listed] if isinstance(listed, list) else []
    choice = {name: value for name, sign, value in pairs if sign}
    model, locked = stored.get("model"), stored.get("seed_locked")
    return replace(
        found,
        **numbers,
        **counts,
        choice=choice,
        model=model if isinstance(model, str) else "",
        prior=NORMAL if stored.get("prior") == NORMAL else FLOW,
        seed_locked=locked is True,
    ).held()


def to_remember(settings: GenerateSettings) -> dict[str, Any]:
    """What `remembered` reads."""
    names = ("model", "prior", "guidance", "temperature", "diversity", "count", "seed", "seed_locked")
    kept = {name: getattr(settings, name) for name in names}
    return {**kept, "choice": [f"{name}={value}" for name, value in settings.choice.items()]}


def latent_values(latent: Latent, attributes: Sequence[Attribute]) -> dict[str, str]:
    """The values of a picture's attributes in the order of its model."""
    order = [attribute.name for attribute in attributes]
    names = sorted(latent.attributes, key=lambda name: order.index(name) if name in order else len(order))
    return {name: latent.attributes[name] for name in names}


def latent_words(latent: Latent) -> list[str]:
    """What a picture was made with, in short parts for people; without its attributes and its seed."""
    parts = [f"temperature {latent.temperature:.2f}"]
    if latent.prior == NORMAL:
        parts.append("prior N(0, I)")
    elif latent.guidance != 1.0:
        parts.append(f"strength {latent.guidance:.2f}")
    parts += [f"{mix.weight:.0%} {mix.value}" for mix in latent.mix[:3]]
    if latent.diversity:
        parts.append(f"diversity {latent.diversity:.2f}")
    return parts


def choice_words(choice: Mapping[str, str], any_words: str = "any") -> str:
    """A choice for people: its values, few of them in full."""
    values = list(choice.values())
    if len(values) > 3:
        return f"{', '.join(values[:3])} and {len(values) - 3} more"
    return ", ".join(values) or any_words


def attribute_words(name: str) -> str:
    """An attribute's name for people: "hair_color" is "Hair color"."""
    return name.replace("_", " ").capitalize()


def prior_reason(card: ModelCard | None) -> str:
    """A sentence or two that say why samples are drawn through the flow, with the card's own figures if it has some."""
    general = "The flow has learned where real pictures lie in the latent space; N(0, I) only assumes it."
    if card is None:
        return general
    for through, plain in _ACCURACIES:
        flow, normal = card.figure(through), card.figure(plain)
        if flow is not None and normal is not None:
            return (
                f"{general} Measured: {flow.value:.1%} of what was chosen is in the sample with the flow, "
                f"{normal.value:.1%} without."
            )
    flow, normal = (card.figure(name) for name in _DISTANCES)
    if flow is not None and normal is not None:
        return (
            f"{general} Measured distance to real pictures: {flow.value:.2f} with the flow, {normal.value:.2f} without."
        )
    return general


def _within(value: float, limits: tuple[float, float]) -> float:
    return min(limits[1], max(limits[0], float(value)))
