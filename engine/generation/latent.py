"""Latent: the numbers on the sliders, with all that is needed to draw the same picture again."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from engine.errors import LatentStudioError

MAX_VALUES = 4096
MAX_GUIDANCE = 5.0
_MAX_JSON = 2**20
_REMEDY = "Copy it again from Latent Studio."

Space = Literal["style", "raw"]
Prior = Literal["flow", "normal"]


@dataclass(frozen=True)
class Mix:
    """A value that another one of the same attribute is mixed with.

    Attributes:
        attribute: its name.
        value: that the condition is moved towards.
        weight: how far, 0 (not at all) to 1 (all the way).
    """

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    attribute: Annotated[str, Field(min_length=1, max_length=256)]
    value: Annotated[str, Field(max_length=256)]
    weight: Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True)
class Latent:
    """A point of a model's latent space.

    Attributes:
        model: registry name of the model.
        weights_sha256: hash of its weights; another version of the model draws another picture.
        space: "style" (the flow's Gaussian space) or "raw" (the decoder's own input).
        values: one number per dimension, in the model's order.
        attributes: chosen value by attribute name; what is missing is left open.
        seed: that the values were drawn from; None when they were set by hand or encoded from a picture.
        temperature: that they were drawn with; already contained in `values`.
        prior: that they were drawn from: the flow's, or N(0, I) of the raw space.
        guidance: strength of the attributes on the flow's way from style to raw; without meaning in the raw space.
        mix: values that those of `attributes` are mixed with, one after the other.
        drawn: names of the attributes that were left to chance and drawn by the seed.
        diversity: of the grid that it was drawn for.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    model: Annotated[str, Field(min_length=1, max_length=256)]
    weights_sha256: Annotated[str, Field(max_length=128)]
    space: Space
    values: Annotated[tuple[float, ...], Field(min_length=1, max_length=MAX_VALUES)]
    attributes: Annotated[dict[str, str], Field(max_length=64)] = field(default_factory=dict)
    seed: int | None = None
    temperature: float = 1.0
    prior: Prior = "flow"
    guidance: Annotated[float, Field(ge=0, le=MAX_GUIDANCE)] = 1.0
    mix: Annotated[tuple[Mix, ...], Field(max_length=256)] = ()
    drawn: Annotated[tuple[str, ...], Field(max_length=64)] = ()
    diversity: Annotated[float, Field(ge=0, le=1)] = 0.0

    def to_json(self) -> str:
        """One line of JSON that `from_json` reads back to an equal latent."""
        return json.dumps(asdict(self), ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Latent:
        """Read the JSON of a latent; it is untrusted input.

        Raises:
            LatentStudioError: no JSON, not a latent's JSON, too large, or a value that is no finite number.
        """
        if len(text) > _MAX_JSON:
            raise LatentStudioError(f"This text of {len(text)} characters is too long for a latent.", _REMEDY)
        try:
            latent = _ADAPTER.validate_json(text)
        except (ValidationError, RecursionError) as error:
            raise LatentStudioError(f"This text is not a latent: {_reason(error)}.", _REMEDY) from error
        if not all(math.isfinite(value) for value in (*latent.values, latent.temperature)):
            raise LatentStudioError("This latent holds values that are not finite numbers.", _REMEDY)
        return latent


_ADAPTER = TypeAdapter(Latent)


def _reason(error: ValidationError | RecursionError) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    message = str(first["msg"])[:200]
    return f"{where}: {message}" if where else message
