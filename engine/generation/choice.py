"""A choice of attributes by name, as people make it, turned into the label numbers that networks take."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

from engine.errors import UsageError
from engine.models.card import Attribute


def label_numbers(attributes: Sequence[Attribute], choice: Mapping[str, str]) -> list[int | None]:
    """The value number of every attribute in order; None where the choice leaves it open.

    Raises:
        UsageError: the model has no such attribute or value; the nearest known one is named.
    """
    names = [attribute.name for attribute in attributes]
    for name in choice:
        if name not in names:
            known = f"This model knows: {', '.join(names)}." if names else "This model knows no attributes."
            raise UsageError(f"There is no attribute {name!r}.", _hint(name, names) or known)
    numbers: list[int | None] = []
    for attribute in attributes:
        value = choice.get(attribute.name)
        if value is not None and value not in attribute.values:
            known = f"{attribute.name.capitalize()} is one of: {', '.join(attribute.values)}."
            raise UsageError(
                f"The attribute {attribute.name!r} has no value {value!r}.", _hint(value, attribute.values) or known
            )
        numbers.append(None if value is None else attribute.values.index(value))
    return numbers


def _hint(word: str, known: Sequence[str]) -> str:
    folded = {name.casefold(): name for name in known}
    near = difflib.get_close_matches(word.casefold(), folded, n=1)
    return f"Did you mean {folded[near[0]]!r}?" if near else ""
