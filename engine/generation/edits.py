"""New pictures made from given ones: variations, morphs, more like these, the same style with other attributes.

All of them move in the style space, where every point near the centre lies on the data. A latent in the raw space is
taken there first; only samples of the plain prior stay where they are, since to them N(0, I) is the raw space.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from engine.errors import UsageError
from engine.generation.choice import find_attribute, value_number
from engine.generation.generator import Generator, Sample, check_count, check_seed
from engine.generation.latent import Latent, Mix
from engine.progress import CancelToken, Progress, ProgressCallback, ignore_progress

MAX_STEPS = 1000
LIKENESS = 0.5
_LEAST_SPREAD = 0.5


def vary(
    generator: Generator,
    latent: Latent,
    radius: float,
    count: int,
    seed: int,
    *,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> list[Sample]:
    """Variations of a picture with the same attributes.

    Args:
        generator: of the latent's model.
        latent: the original.
        radius: 0 gives the original itself, 1 a style that has nothing in common with it. In between the style is
            sqrt(1 - radius^2) of the original and `radius` of new noise of its temperature (at least 0.5, or a sample
            of temperature 0 would have no variations), which keeps it as typical as it was.
        count: 1 to 10,000.
        seed: number i is made with `seed + i`.
        progress: `partial` carries each finished `Sample`.
        cancel: as everywhere.

    Raises:
        UsageError: a value out of range, or a latent that does not fit the model.
        Cancelled: by `cancel`.
    """
    _check_radius(radius)
    check_count(count)
    check_seed(seed, count)
    if radius > 0:
        latent = _movable(generator, latent)
    style = torch.tensor(latent.values)

    def variation(index: int) -> Latent:
        noise = torch.randn(len(style), generator=_dice("vary", seed + index)) * _spread(latent)
        return _moved(latent, math.sqrt(1 - radius**2) * style + radius * noise)

    return _draw_all(generator, count, variation, "Variation", progress, cancel)


def more_like(
    generator: Generator,
    latents: Sequence[Latent],
    count: int,
    seed: int,
    *,
    radius: float = LIKENESS,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> list[Sample]:
    """New pictures that take after the given ones: a style between theirs, varied, and for each attribute the value of
    one of them.

    Args:
        generator: of the latents' model.
        latents: one or more.
        count: 1 to 10,000.
        seed: number i is made with `seed + i`.
        radius: of the variation, as in `vary`.
        progress: `partial` carries each finished `Sample`.
        cancel: as everywhere.

    Raises:
        UsageError: no latents, a value out of range, or latents that do not fit the model.
        Cancelled: by `cancel`.
    """
    if not latents:
        raise UsageError("No pictures were given to take after.", "Choose one or more.")
    _check_radius(radius)
    check_count(count)
    check_seed(seed, count)
    given = _in_one_space(generator, latents)
    styles = torch.tensor([latent.values for latent in given])

    def descendant(index: int) -> Latent:
        dice = _dice("more like", seed + index)
        # Exponential draws over their sum are uniform over all shares (Dirichlet).
        shares = torch.empty(len(given)).exponential_(generator=dice)
        shares = shares / shares.sum()
        centre = shares @ styles
        # The mean of unrelated styles is shorter than any of them, and a short style is a bland picture.
        centre = centre * (shares @ styles.norm(dim=1)) / centre.norm().clamp_min(1e-6)
        parents = [given[int(torch.multinomial(shares, 1, generator=dice))] for _ in generator.attributes]
        nearest = given[int(shares.argmax())]
        noise = torch.randn(styles.shape[1], generator=dice) * _spread(nearest)
        names = [attribute.name for attribute in generator.attributes]
        chosen = {
            name: parent.attributes[name]
            for name, parent in zip(names, parents, strict=True)
            if name in parent.attributes
        }
        mix = tuple(
            mix for name, parent in zip(names, parents, strict=True) for mix in parent.mix if mix.attribute == name
        )
        latent = replace(nearest, attributes=chosen, mix=mix)
        return _moved(latent, math.sqrt(1 - radius**2) * centre + radius * noise)

    return _draw_all(generator, count, descendant, "Picture", progress, cancel)


def morph(
    generator: Generator,
    first: Latent,
    second: Latent,
    steps: int,
    *,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> list[Sample]:
    """Pictures on the way from one to another; the first and the last are the given ones.

    The style turns on an arc (`slerp`), so that every step is as typical as the ends. Attributes that differ are mixed,
    from all of the first to all of the second.

    Args:
        generator: of the latents' model.
        first, second: the ends.
        steps: pictures in all, 2 to 1,000.
        progress: `partial` carries each finished `Sample`.
        cancel: as everywhere.

    Raises:
        UsageError: steps out of range, or latents that do not fit the model.
        Cancelled: by `cancel`.
    """
    if not 2 <= steps <= MAX_STEPS:
        raise UsageError(f"A morph of {steps} pictures was asked for.", f"Use 2 to {MAX_STEPS}.")
    start, end = _in_one_space(generator, (first, second))
    styles = torch.tensor([start.values, end.values])
    names = [attribute.name for attribute in generator.attributes]

    def step(index: int) -> Latent:
        if index in (0, steps - 1):
            return second if index else first
        share = index / (steps - 1)
        attributes, mix = _blended(start, end, names, share)
        guidance = start.guidance + share * (end.guidance - start.guidance)
        between = replace(start, attributes=attributes, mix=mix, guidance=guidance)
        return _moved(between, slerp(styles[0], styles[1], share))

    return _draw_all(generator, steps, step, "Step", progress, cancel)


def in_every_class(
    generator: Generator,
    latent: Latent,
    attribute: str | None = None,
    *,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> list[Sample]:
    """The same style with every value of an attribute (by default the first one), in the model's order.

    Raises:
        UsageError: the model has no such attribute, or none at all; or a latent that does not fit it.
        Cancelled: by `cancel`.
    """
    if attribute is None and not generator.attributes:
        raise UsageError(f"The model {generator.card.name} has no classes.", "Choose a model that has some.")
    named = generator.attributes[0] if attribute is None else find_attribute(generator.attributes, attribute)

    def sibling(index: int) -> Latent:
        return _with_value(generator, latent, named.name, named.values[index])

    return _draw_all(generator, len(named.values), sibling, "Class", progress, cancel)


def with_value(generator: Generator, latent: Latent, attribute: str, value: str | None) -> Sample:
    """The same picture with another value of one attribute; None leaves the attribute open.

    Raises:
        UsageError: no such attribute or value, or a latent that does not fit the model.
    """
    return generator.sample_at(_with_value(generator, latent, attribute, value))


def slerp(first: Tensor, second: Tensor, share: float) -> Tensor:
    """The point at `share` (0..1) of the arc between two vectors (D,); its length lies between theirs.

    Shoemake, "Animating Rotation with Quaternion Curves" (1985). Vectors without an arc (parallel, opposite, zero) are
    joined by a straight line.
    """
    lengths = first.norm(), second.norm()
    cosine = float(first @ second / (lengths[0] * lengths[1]).clamp_min(1e-12))
    angle = math.acos(min(1.0, max(-1.0, cosine)))
    if math.sin(angle) < 1e-4 or min(lengths) < 1e-6:
        return torch.lerp(first, second, share)
    direction = math.sin((1 - share) * angle) * first / lengths[0] + math.sin(share * angle) * second / lengths[1]
    return direction / math.sin(angle) * torch.lerp(lengths[0], lengths[1], share)


def _with_value(generator: Generator, latent: Latent, name: str, value: str | None) -> Latent:
    attribute = find_attribute(generator.attributes, name)
    if value is not None:
        value_number(attribute, value)
    rest = {other: known for other, known in latent.attributes.items() if other != name}
    wanted = rest if value is None else {**rest, name: value}
    mix = tuple(one for one in latent.mix if one.attribute != name)
    if wanted == latent.attributes and mix == latent.mix:
        return latent
    # The style must be known before the attribute changes: it is what both pictures have in common.
    kept = _movable(generator, latent)
    # A seed draws a value for what is left open, so it would not give this picture again.
    seed = None if value is None else kept.seed
    return replace(kept, attributes=wanted, mix=mix, seed=seed, drawn=tuple(one for one in latent.drawn if one != name))


def _spread(latent: Latent) -> float:
    """Deviation of the noise that varies a latent."""
    return max(latent.temperature, _LEAST_SPREAD)


def _movable(generator: Generator, latent: Latent) -> Latent:
    return latent if latent.prior == "normal" else generator.in_space(latent, "style")


def _in_one_space(generator: Generator, latents: Sequence[Latent]) -> list[Latent]:
    """All in the style space, unless all are samples of the plain prior."""
    if all(latent.space == "raw" and latent.prior == "normal" for latent in latents):
        return list(latents)
    return [replace(generator.in_space(latent, "style"), prior="flow") for latent in latents]


def _moved(latent: Latent, values: Tensor) -> Latent:
    """A latent with other values, which no longer come from its seed."""
    return replace(latent, values=tuple(values.tolist()), seed=None, drawn=(), diversity=0.0)


def _dice(edit: str, seed: int) -> torch.Generator:
    """Random numbers of an edit. Those of the plain seed would be the very noise that its original was drawn from."""
    digest = hashlib.blake2b(f"{edit} {seed}".encode(), digest_size=4).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "big"))


def _blended(
    first: Latent, second: Latent, names: Sequence[str], share: float
) -> tuple[dict[str, str], tuple[Mix, ...]]:
    """Attributes and mixes whose embeddings lie at `share` of the straight way between those of two latents."""
    attributes: dict[str, str] = {}
    mixes: list[Mix] = []
    for name in names:
        parts: dict[str | None, float] = {}
        for latent, weight in ((first, 1 - share), (second, share)):
            for value, part in _ingredients(latent, name).items():
                parts[value] = parts.get(value, 0.0) + weight * part
        # An attribute that is open at one end must be the base: a mix names a value.
        base = None if None in parts else next(iter(parts))
        if base is not None:
            attributes[name] = base
        mixes += _mixes(name, base, parts)
    return attributes, tuple(mixes)


def _ingredients(latent: Latent, name: str) -> dict[str | None, float]:
    """Which values, None being "open", an attribute's embedding is made of, and their shares; they sum to 1."""
    parts: dict[str | None, float] = {latent.attributes.get(name): 1.0}
    for mix in latent.mix:
        if mix.attribute == name:
            parts = {value: part * (1 - mix.weight) for value, part in parts.items()}
            parts[mix.value] = parts.get(mix.value, 0.0) + mix.weight
    return parts


def _mixes(name: str, base: str | None, parts: Mapping[str | None, float]) -> list[Mix]:
    """The mixes, one after the other, that turn the base into these shares."""
    mixes, so_far = [], parts[base]
    for value, part in parts.items():
        if value is not None and value != base and part > 0:
            so_far += part
            mixes.append(Mix(name, value, min(1.0, part / so_far)))
    return mixes


def _check_radius(radius: float) -> None:
    if not (math.isfinite(radius) and 0 <= radius <= 1):
        raise UsageError(f"The radius {radius} is out of range.", "Use 0 (the same picture) to 1 (a new style).")


def _draw_all(
    generator: Generator,
    count: int,
    latent_at: Callable[[int], Latent],
    word: str,
    progress: ProgressCallback,
    cancel: CancelToken | None,
) -> list[Sample]:
    samples = []
    for index in range(count):
        if cancel is not None:
            cancel.raise_if_cancelled()
        sample = generator.sample_at(latent_at(index))
        samples.append(sample)
        progress(Progress(index + 1, count, f"{word} {index + 1} of {count}", sample))
    return samples
