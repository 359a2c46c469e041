"""Directions: found where they were planted, saved and read back, refused where they do not fit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from engine.errors import AnalysisError, ModelError, UsageError
from engine.latent.directions import (
    arithmetic,
    attribute_direction,
    directions_file,
    load_directions,
    principal_directions,
    save_directions,
    selection_direction,
)
from engine.models.registry import load_model
from engine.paths import resources, user_folder
from tests.engine.latent_points import ALL_EQUAL, NOT_FINITE, blobs


def planted(count: int = 3000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Points (count, 4) of which the attribute moves number 1 by 3, and number 0 only in so far as it follows that."""
    rng = np.random.default_rng(seed)
    has = rng.random(count) < 0.3
    points = rng.standard_normal((count, 4))
    points[:, 1] += 3 * has
    points[:, 0] += 2 * points[:, 1]
    return points.astype(np.float32), has


def test_principal_directions_are_the_axes_of_the_spread() -> None:
    rng = np.random.default_rng(0)
    points = rng.standard_normal((4000, 3)) * (1, 5, 2) + 7
    first, second, third = principal_directions(points, 3)
    assert np.abs(first.vector) == pytest.approx([0, 1, 0], abs=0.05)
    assert (first.spread, second.spread, third.spread) == pytest.approx((5, 2, 1), rel=0.05)
    assert first.share == pytest.approx(25 / 30, abs=0.02)
    # A Gaussian has 98 % of its mass within 2.33 deviations.
    assert (first.low, first.high) == pytest.approx((-2.33, 2.33), abs=0.15)


def test_the_logistic_direction_leaves_out_what_merely_follows() -> None:
    points, has = planted()
    logistic = attribute_direction(points, has, "attribute", "logistic")
    difference = attribute_direction(points, has, "attribute", "difference")
    assert difference.vector == pytest.approx(np.array([2, 1, 0, 0]) / np.sqrt(5), abs=0.05)
    assert logistic.vector == pytest.approx([0, 1, 0, 0], abs=0.15)
    # Two Gaussians 3 apart are told apart, halfway, with Phi(1.5) = 93 %.
    assert logistic.share == pytest.approx(0.933, abs=0.015)
    assert difference.share is not None and difference.share < logistic.share
    assert all(np.linalg.norm(one.vector) == pytest.approx(1, abs=1e-5) for one in (logistic, difference))


def test_a_direction_that_says_nothing_is_known_as_such() -> None:
    rng = np.random.default_rng(0)
    points, has = rng.standard_normal((400, 8)).astype(np.float32), rng.random(400) < 0.2
    for method in ("difference", "logistic"):
        share = attribute_direction(points, has, "noise", method).share
        assert share == pytest.approx(0.5, abs=0.1)


def test_a_selection_minus_another_points_from_one_to_the_other() -> None:
    points, kind = blobs(200, kinds=2)
    rows = [np.flatnonzero(kind == value) for value in (0, 1)]
    found = selection_direction(points, rows[0], rows[1], "left minus right")
    gap = points[rows[0]].mean(axis=0) - points[rows[1]].mean(axis=0)
    assert found.vector == pytest.approx(gap / np.linalg.norm(gap), abs=1e-4)
    there = found.move(points[rows[1]].mean(axis=0), float(np.linalg.norm(gap)) / found.spread)
    assert there == pytest.approx(points[rows[0]].mean(axis=0), abs=1e-2)


def test_moving_along_a_direction_is_in_units_of_the_spread() -> None:
    direction = principal_directions(np.random.default_rng(0).standard_normal((500, 3)) * 4, 1)[0]
    moved = direction.move(np.zeros(3), 2.0)
    assert np.linalg.norm(moved) == pytest.approx(2 * direction.spread, rel=1e-5)
    with pytest.raises(UsageError, match="2 values"):
        direction.move(np.zeros(2), 1.0)


def test_arithmetic() -> None:
    king, man, woman = np.array([3.0, 1, 0]), np.array([2.0, 1, 0]), np.array([2.0, -1, 5])
    assert arithmetic(king, man, woman) == pytest.approx([3, -1, 5])
    with pytest.raises(UsageError, match="three latents of one model"):
        arithmetic(king, man, woman[:2])
    with pytest.raises(UsageError, match="finite"):
        arithmetic(king, man, np.array([np.inf, 0, 0]))


def test_hopeless_groups_are_explained() -> None:
    points, _ = planted(30)
    with pytest.raises(AnalysisError, match="all of them have it"):
        attribute_direction(points, np.ones(30, bool), "hat")
    with pytest.raises(AnalysisError, match="none of them have it"):
        attribute_direction(points, np.zeros(30, bool), "hat")
    with pytest.raises(AnalysisError, match="are equal"):
        attribute_direction(ALL_EQUAL, np.arange(40) < 20, "hat")
    with pytest.raises(AnalysisError, match="not finite"):
        principal_directions(NOT_FINITE, 2)
    with pytest.raises(AnalysisError, match="both selections"):
        selection_direction(points, np.array([1]), np.array([], int), "nothing")
    with pytest.raises(AnalysisError, match="same mean"):
        selection_direction(points, np.array([1, 2]), np.array([2, 1]), "same")
    with pytest.raises(UsageError, match="not one of the 30"):
        selection_direction(points, np.array([1]), np.array([30]), "beyond")
    few = attribute_direction(points, np.arange(30) < 2, "rare")
    assert few.share is None and np.isfinite(few.vector).all()


def test_directions_are_kept_beside_the_model(vae_path: Path, tmp_path: Path) -> None:
    card = load_model(vae_path).card
    points, has = planted()
    made = {"raw": [*principal_directions(points, 2), attribute_direction(points, has, "hat")], "style": []}
    path = tmp_path / "sub" / "discs.directions.json"
    assert load_directions(path, card) == {}
    save_directions(path, card, made)
    read = load_directions(path, card)
    assert read.keys() == made.keys()
    for before, after in zip(made["raw"], read["raw"], strict=True):
        assert np.array_equal(before.vector, after.vector)
        assert (before.name, before.kind, before.spread, before.low, before.high, before.share) == (
            after.name, after.kind, after.spread, after.low, after.high, after.share,
        )  # fmt: skip
    assert directions_file(tmp_path / "mine.safetensors") == tmp_path / "mine.directions.json"
    shipped = resources() / "models" / "digits.safetensors"
    assert directions_file(shipped) == user_folder("models") / "digits.directions.json"


def test_a_file_that_does_not_fit_is_explained(vae_path: Path, tmp_path: Path) -> None:
    card = load_model(vae_path).card
    points, _ = planted()
    path = tmp_path / "discs.directions.json"
    save_directions(path, card, {"raw": principal_directions(points, 1)})
    with pytest.raises(ModelError, match="other weights"):
        load_directions(path, card.model_copy(update={"weights_sha256": "0" * 64}))
    whole = json.loads(path.read_text())
    for change, sentence in (
        (lambda one: one["spaces"]["raw"][0].update(vector=[1.0, 2.0]), "2 values"),
        (lambda one: one["spaces"]["raw"][0].update(spread=-1), "not a file of directions"),
        (lambda one: one.update(extra=1), "not a file of directions"),
    ):
        changed = json.loads(json.dumps(whole))
        change(changed)
        path.write_text(json.dumps(changed))
        with pytest.raises(ModelError, match=sentence):
            load_directions(path, card)
    for text in ("", "[" * 100_000, '{"model": NaN}', "\x00"):
        path.write_text(text)
        with pytest.raises(ModelError, match="not a file of directions"):
            load_directions(path, card)
