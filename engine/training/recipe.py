"""Recipe: everything that makes a training run, as TOML. `main.py train NAME` reproduces the shipped model NAME."""

from __future__ import annotations

import difflib
import json
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.data.settings import DataSettings
from engine.errors import RecipeError, UsageError
from engine.files import write_text
from engine.models.card import ModelCard
from engine.paths import recipe_folders


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


OptimizerName = Literal["adamw", "soap"]


class Stage(_Section):
    """One phase of a run.

    Attributes:
        name: tells the network what is trained ("vae", "flow").
        steps: optimiser steps.
        batch_size: pictures per step and process.
        learning_rate: the peak, reached after `warmup_steps`.
        schedule: what follows the warm-up: "cosine" to 1 % of the peak, "step" (a tenth after 60 % and again after
            85 %) or "constant".
        crop: overrides the data's random crop in this stage, in pixels.
        parameters: prefixes of the parameters that learn; all when empty.
        largest_psnr_fall: dB that the validation PSNR may lose in this stage. Beyond it the stage ends, and the weights
            of its last validation within that limit are kept.
        optimizer: overrides that of the training in this stage.
    """

    name: str = "main"
    steps: int = Field(ge=1, le=100_000_000)
    batch_size: int = Field(ge=1, le=65_536)
    learning_rate: float = Field(gt=0, le=1)
    schedule: Literal["cosine", "constant", "step"] = "cosine"
    warmup_steps: int = Field(default=0, ge=0)
    crop: int | None = Field(default=None, ge=16)
    parameters: tuple[str, ...] = ()
    largest_psnr_fall: float | None = Field(default=None, gt=0)
    optimizer: OptimizerName | None = None


class TrainingSettings(_Section):
    """What all stages share.

    Attributes:
        ema: decay of the averaged weights that are validated and saved; 0 keeps no average.
        optimizer: "adamw", or "soap" (`engine.training.soap`): longer steps that gain more.
        weight_decay: on matrices and kernels only.
        gradient_clip: largest norm of the gradient of one step.
        validate_every, checkpoint_every, preview_every: in steps.
        start_from: registry name or path of a model whose fitting weights are the starting point.
        start_without: prefixes of weights that are not taken from it but learned anew.
    """

    ema: float = Field(default=0.999, ge=0, lt=1)
    optimizer: OptimizerName = "adamw"
    weight_decay: float = Field(default=0.0, ge=0)
    gradient_clip: float = Field(default=1.0, gt=0)
    validate_every: int = Field(default=500, ge=1)
    checkpoint_every: int = Field(default=500, ge=1)
    preview_every: int = Field(default=500, ge=1)
    start_from: str | None = None
    start_without: tuple[str, ...] = ()


class CardText(_Section):
    """What the card says of the data."""

    training_data: str = ""
    licence: str = ""


class Recipe(_Section):
    """A validated recipe.

    Attributes:
        name: of the recipe and of the model it makes.
        family: model family.
        config: constructor arguments of the network; checked against the family when a run starts.
        data, validation: which pictures; without `validation` the validation split of `data` is used.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")
    family: str
    summary: str = ""
    seed: int = Field(default=0, ge=0, lt=2**31)
    config: dict[str, Any] = Field(default_factory=dict)
    data: DataSettings
    validation: DataSettings | None = None
    stages: tuple[Stage, ...] = Field(min_length=1)
    training: TrainingSettings = TrainingSettings()
    card: CardText = CardText()

    @property
    def total_steps(self) -> int:
        """Optimiser steps of all stages."""
        return sum(stage.steps for stage in self.stages)

    @property
    def validation_data(self) -> DataSettings:
        """The data that figures during training are measured on."""
        return self.validation or self.data.model_copy(update={"split": "validation"})


def parse_recipe(text: str, source: str = "the recipe") -> Recipe:
    """Validate a recipe's TOML text.

    Args:
        text: the TOML.
        source: what error messages call it.

    Raises:
        RecipeError: no TOML, an unknown key (the nearest known one is named), or a value out of range.
    """
    try:
        return Recipe.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{source} is not valid TOML: {error}.") from error
    except ValidationError as error:
        raise RecipeError(*_explain(error, source)) from error


def load_recipe(name_or_path: str | Path) -> Recipe:
    """Read a recipe by name (from the user's recipes, then the shipped ones) or by path.

    Raises:
        UsageError: there is no such recipe.
        RecipeError: it is not valid.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml" or not path.is_file():
        path = _named(str(name_or_path))
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} cannot be read: {error}.") from error
    return parse_recipe(text, str(path))


def recipe_of(card: ModelCard) -> Recipe:
    """The recipe that a model's card names. Cards are untrusted: only a name is looked up, never a path.

    Raises:
        UsageError: there is no such recipe, or the card gives a path.
        RecipeError: it is not valid.
    """
    if Path(card.recipe).name != card.recipe or card.recipe.endswith(".toml"):
        raise UsageError(f"The card of {card.name} names no recipe but {card.recipe!r}.", "Name the data set yourself.")
    return load_recipe(card.recipe)


def list_recipes() -> list[Recipe]:
    """All valid recipes by name, the user's own shadowing shipped ones."""
    found: dict[str, Recipe] = {}
    for folder in recipe_folders():
        for path in sorted(folder.glob("*.toml")):
            try:
                found.setdefault(path.stem, load_recipe(path))
            except RecipeError:
                continue
    return [found[name] for name in sorted(found)]


def save_recipe(recipe: Recipe, path: Path) -> None:
    """Write `recipe` as TOML that `load_recipe` reads back to an equal recipe. Raises `OutputError`."""
    write_text(path, to_toml(recipe))


def to_toml(recipe: Recipe) -> str:
    """The recipe as TOML text; keys without a value (None) are left out, since TOML has no null."""
    content = recipe.model_dump(mode="json", exclude_none=True)
    stages = content.pop("stages")
    scalars = {key: value for key, value in content.items() if not isinstance(value, dict)}
    tables = {key: value for key, value in content.items() if isinstance(value, dict) and value}
    lines = [f"{key} = {_toml_value(value)}" for key, value in scalars.items()]
    for name, table in tables.items():
        lines += ["", f"[{name}]", *(f"{key} = {_toml_value(value)}" for key, value in table.items())]
    for stage in stages:
        lines += ["", "[[stages]]", *(f"{key} = {_toml_value(value)}" for key, value in stage.items())]
    return "\n".join(lines) + "\n"


def _toml_value(value: Any) -> str:
    """A value in TOML notation. JSON's notation of strings, numbers and booleans is TOML's too."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml_value(item)}" for key, item in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_toml_value(item) for item in value) + "]"
    return json.dumps(value)


def _named(name: str) -> Path:
    known = {path.stem: path for folder in reversed(recipe_folders()) for path in folder.glob("*.toml")}
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else f"Known recipes: {', '.join(sorted(known)) or 'none'}."
    raise UsageError(f"There is no recipe {name!r}.", hint)


def _explain(error: ValidationError, source: str) -> tuple[str, str]:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] != "extra_forbidden":
        return f"{source}: {where}: {first['msg']}.", ""
    known = _keys_at(first["loc"][:-1])
    near = difflib.get_close_matches(str(first["loc"][-1]), known, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else f"Known keys: {', '.join(known)}."
    return f"{source}: there is no key {where!r}.", hint


def _keys_at(location: tuple[str | int, ...]) -> list[str]:
    """The keys that the section at `location` knows."""
    sections: dict[str, type[BaseModel]] = {
        "data": DataSettings,
        "validation": DataSettings,
        "stages": Stage,
        "training": TrainingSettings,
        "card": CardText,
    }
    section = sections.get(str(location[0]), Recipe) if location else Recipe
    return list(section.model_fields)
