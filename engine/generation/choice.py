"""A choice of attributes by name, as people make it, turned into the label numbers that networks take."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

from engine.errors import UsageError
from engine.generation.latent import Mix
from engine.models.card import Attribute
from engine.models.conditional_vae import LabelMix


def label_numbers(attributes: Sequence[Attribute], choice: Mapping[str, str]) -> list[int | None]:
    """The value number of every attribute in order; None where the choice leaves it open.

    Raises:
        UsageError: the model has no such attribute or value; the nearest known one is named.
    """
    for name, value in choice.items():
        value_number(find_attribute(attributes, name), value)
    return [
        value_number(attribute, choice[attribute.name]) if attribute.name in choice else None
        for attribute in attributes
    ]


def label_mixes(attributes: Sequence[Attribute], mixes: Sequence[Mix]) -> list[LabelMix]:
    """The same mixes by number. Raises `UsageError` as `label_numbers`."""
    found = []
    for mix in mixes:
        attribute = find_attribute(attributes, mix.attribute)
        found.append(LabelMix(attributes.index(attribute), value_number(attribute, mix.value), mix.weight))
    return found


def find_attribute(attributes: Sequence[Attribute], name: str) -> Attribute:
    """The attribute called `name`. Raises `UsageError` naming the nearest known one."""
    by_name = {attribute.name: attribute for attribute in attributes}
    if name not in by_name:
        known = f"This model knows: {', '.join(by_name)}." if by_name else "This model knows no classes or attributes."
        raise UsageError(f"There is no attribute {name!r}.", _hint(name, list(by_name)) or known)
    return by_name[name]


def value_number(attribute: Attribute, value: str) -> int:
    """The number of a value of an attribute. Raises `UsageError` naming the nearest known ones."""
    if value not in attribute.values:
        known = f"{attribute.name.capitalize()} is one of: {', '.join(attribute.values)}."
        raise UsageError(
            f"The attribute {attribute.name!r} has no value {value!r}.", _hint(value, attribute.values) or known
        )
    return attribute.values.index(value)


def _hint(word: str, known: Sequence[str]) -> str:
    folded = {name.casefold(): name for name in known}
    near = [repr(folded[key]) for key in difflib.get_close_matches(word.casefold(), folded, n=3)]
    return f"Did you mean {' or '.join(near)}?" if near else ""
