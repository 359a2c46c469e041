"""Directions in a latent space: principal axes, attributes, differences of selections; kept in a file by the model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.errors import AnalysisError, ModelError, UsageError
from engine.files import write_text
from engine.latent.points import checked_points
from engine.latent.principal import principal_components
from engine.models.card import ModelCard
from engine.paths import resources, user_folder

Kind = Literal["principal", "difference", "logistic", "selection"]
SpaceName = Literal["style", "raw"]

FILE_SUFFIX = ".directions.json"
# Folds of the accuracy that a learned direction is given.
_FOLDS = 5
_MOST_FILE_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Direction:
    """An axis through a latent space. Moving by `t` along it means adding `t * spread * vector`.

    Attributes:
        name: for people.
        kind: "principal" (an axis of the aggregate posterior), "difference" (of two groups' means), "logistic" (across
            the boundary between two groups), or "selection" (the difference of two groups that a person chose).
        vector: (D,) float32 of length 1.
        spread: standard deviation of the data along it, the unit of its slider.
        low, high: the 1 % and 99 % quantiles of the data along it, from their mean, in units of `spread`.
        share: for "principal" its share of the whole variance; for the others how well it tells the two groups apart:
            the share of held-out points on the right side, both groups counting alike, 0.5 by chance; None where a
            group is too small to hold points out.
    """

    name: str
    kind: Kind
    vector: np.ndarray
    spread: float
    low: float
    high: float
    share: float | None = None

    def move(self, values: np.ndarray, amount: float) -> np.ndarray:
        """The point (D,) `amount` slider units further. Raises `UsageError` for a latent of another size."""
        start = np.asarray(values, np.float32)
        if start.shape != self.vector.shape:
            raise UsageError(
                f"The latent has {start.size} values, the direction {self.name!r} has {self.vector.size}.",
                "Use a direction of the same model.",
            )
        return start + np.float32(amount * self.spread) * self.vector


def principal_directions(latents: np.ndarray, count: int) -> list[Direction]:
    """The `count` principal axes of latents (N, D), the most varied first.

    Raises:
        AnalysisError: fewer than 2 latents, all equal, or values that are not finite.
    """
    found = principal_components(latents, count)
    return [
        _direction(f"PCA {index + 1}", "principal", axis, np.asarray(latents), float(found.share[index]))
        for index, axis in enumerate(found.axes)
        if found.variance[index] > 0
    ]


def attribute_direction(
    latents: np.ndarray, has: np.ndarray, name: str, method: Literal["difference", "logistic"] = "logistic"
) -> Direction:
    """The direction towards an attribute.

    Args:
        latents: (N, D).
        has: (N,) bool, which of them have it.
        name: of the direction.
        method: "difference" of the two groups' means, or "logistic", across the boundary of a logistic regression: it
            leaves out dimensions that merely follow others which tell the groups apart.

    Raises:
        AnalysisError: none or all have it, all latents are equal, or values are not finite.
    """
    table = checked_points(latents, 2, f"The direction {name!r}")
    has = _two_groups(table, has, name)
    vector = table[has].mean(axis=0, dtype=np.float64) - table[~has].mean(axis=0, dtype=np.float64)
    if method == "logistic":
        vector = _logistic_vector(table, has)
    return _direction(name, method, vector, table, _held_out_accuracy(table, has, method))


def selection_direction(latents: np.ndarray, first: np.ndarray, second: np.ndarray, name: str) -> Direction:
    """From the mean of selection `second` to that of `first`, A minus B.

    Args:
        latents: (N, D).
        first, second: row numbers of A and of B.

    Raises:
        AnalysisError: an empty selection, or two with the same mean.
        UsageError: a row that does not exist.
    """
    table = checked_points(latents, 2, f"The direction {name!r}")
    groups = [np.unique(np.asarray(rows, np.int64)) for rows in (first, second)]
    if not all(len(rows) for rows in groups):
        raise AnalysisError("A minus B needs a picture in both selections.", "Select some for each.")
    if min(int(rows[0]) for rows in groups) < 0 or max(int(rows[-1]) for rows in groups) >= len(table):
        raise UsageError(f"A selection names a picture that is not one of the {len(table)}.", "Select again.")
    means = [table[rows].mean(axis=0, dtype=np.float64) for rows in groups]
    return _direction(name, "selection", means[0] - means[1], table, None)


def arithmetic(first: np.ndarray, second: np.ndarray, third: np.ndarray) -> np.ndarray:
    """A - B + C of three latents (D,), float32. Raises `UsageError` where they differ in size or are not finite."""
    parts = [np.asarray(one, np.float32) for one in (first, second, third)]
    if len({part.shape for part in parts}) != 1 or parts[0].ndim != 1:
        raise UsageError("A - B + C needs three latents of one model.", "Copy them from the same one.")
    if not all(np.isfinite(part).all() for part in parts):
        raise UsageError("One of the latents holds a value that is not a finite number.", "Choose another one.")
    return parts[0] - parts[1] + parts[2]


def _two_groups(table: np.ndarray, has: np.ndarray, name: str) -> np.ndarray:
    has = np.asarray(has, bool)
    if has.shape != (len(table),):
        raise UsageError(f"{has.size} values were given for {len(table)} latents.", "Give one for each.")
    if has.all() or not has.any():
        which = "all" if has.all() else "none"
        raise AnalysisError(
            f"A direction {name!r} needs pictures with and without it; {which} of them have it.", "Use more pictures."
        )
    return has


def _logistic_vector(table: np.ndarray, has: np.ndarray) -> np.ndarray:
    from sklearn.linear_model import LogisticRegression

    deviation = np.maximum(table.std(axis=0, dtype=np.float64), 1e-12)
    rows = (table - table.mean(axis=0)) / deviation
    model = LogisticRegression(class_weight="balanced", max_iter=2000).fit(rows, has)
    return model.coef_[0] / deviation


def _held_out_accuracy(table: np.ndarray, has: np.ndarray, method: str) -> float | None:
    """Balanced accuracy of the direction found without the points it is asked about, halfway between the groups."""
    if min(int(has.sum()), int((~has).sum())) < _FOLDS:
        return None
    # Every group is dealt to the folds by itself, so that each fold has its share of both.
    fold = np.empty(len(table), np.int64)
    rng = np.random.default_rng(0)
    for group in (has, ~has):
        rows = rng.permutation(np.flatnonzero(group))
        fold[rows] = np.arange(len(rows)) % _FOLDS
    right = np.zeros(len(table), bool)
    for one in range(_FOLDS):
        kept, asked = fold != one, fold == one
        own, known = table[kept], has[kept]
        means = [own[group].mean(axis=0, dtype=np.float64) for group in (known, ~known)]
        vector = _logistic_vector(own, known) if method == "logistic" else means[0] - means[1]
        middle = (means[0] + means[1]) @ vector / 2
        right[asked] = (table[asked] @ vector > middle) == has[asked]
    return float((right[has].mean() + right[~has].mean()) / 2)


def _direction(name: str, kind: Kind, vector: np.ndarray, latents: np.ndarray, share: float | None) -> Direction:
    length = float(np.linalg.norm(vector))
    if not (math.isfinite(length) and length > 1e-12):
        raise AnalysisError(f"The direction {name!r} has no length: both groups have the same mean.", "Choose others.")
    unit = (np.asarray(vector, np.float64) / length).astype(np.float32)
    along = latents @ unit
    along = along - along.mean()
    spread = max(float(along.std()), 1e-9)
    low, high = np.quantile(along, [0.01, 0.99]) / spread
    return Direction(name, kind, unit, spread, float(low), float(high), share)


# --- the file beside the model ----------------------------------------------------------------------------------------


class _StoredDirection(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: Annotated[str, Field(min_length=1, max_length=256)]
    kind: Kind
    vector: Annotated[tuple[float, ...], Field(min_length=1, max_length=4096)]
    spread: Annotated[float, Field(gt=0)]
    low: float
    high: float
    share: float | None = None


class _StoredSet(BaseModel):
    """The file's content; it is untrusted input."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    weights_sha256: str
    spaces: dict[SpaceName, Annotated[tuple[_StoredDirection, ...], Field(max_length=1000)]]


def directions_file(model: Path) -> Path:
    """Where the directions of a model file are kept: beside it, or in the user's models folder for a shipped one."""
    shipped = resources() in Path(model).resolve().parents
    folder = user_folder("models") if shipped else Path(model).parent
    return folder / f"{Path(model).stem}{FILE_SUFFIX}"


def save_directions(path: Path, card: ModelCard, spaces: dict[SpaceName, list[Direction]]) -> None:
    """Write the directions of each space of a model, replacing what the file held.

    Raises:
        UsageError: a name is empty or too long.
        OutputError: the file cannot be written.
    """
    for name in (one.name for directions in spaces.values() for one in directions):
        if not 1 <= len(name) <= 256:
            raise UsageError("A direction needs a name of 1 to 256 characters.", "Use another name.")
    stored = _StoredSet(
        model=card.name,
        weights_sha256=card.weights_sha256,
        spaces={
            space: tuple(
                _StoredDirection(
                    name=one.name,
                    kind=one.kind,
                    vector=tuple(map(float, one.vector)),
                    spread=one.spread,
                    low=one.low,
                    high=one.high,
                    share=one.share,
                )
                for one in directions
            )
            for space, directions in spaces.items()
        },
    )
    write_text(path, stored.model_dump_json())


def load_directions(path: Path, card: ModelCard) -> dict[SpaceName, list[Direction]]:
    """The directions that were saved for a model, by space; none where there is no file.

    Raises:
        ModelError: the file is damaged, or belongs to another model or other weights.
    """
    remedy = f"Delete {path}, or find the directions again."
    try:
        if path.stat().st_size > _MOST_FILE_BYTES:
            raise ModelError(f"{path} is too large for a file of directions.", remedy)
        stored = _StoredSet.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (ValidationError, OSError, RecursionError) as error:
        problem = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise ModelError(f"{path} is not a file of directions: {problem}.", remedy) from error
    if stored.weights_sha256 != card.weights_sha256:
        raise ModelError(f"The directions in {path} belong to other weights than {card.name} has now.", remedy)
    size = len(card.latent_dimensions)
    sizes = {len(one.vector) for directions in stored.spaces.values() for one in directions}
    if sizes - {size}:
        raise ModelError(f"{path} holds directions of {max(sizes)} values; {card.name} has {size} dimensions.", remedy)
    return {
        space: [
            Direction(
                one.name, one.kind, np.array(one.vector, np.float32), one.spread, one.low, one.high, one.share
            )
            for one in directions
        ]
        for space, directions in stored.spaces.items()
    }  # fmt: skip
