"""Paths between latents, and how smooth a space is along them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from engine.errors import AnalysisError, Cancelled, UsageError
from engine.latent import LatentExplorer, encode_data
from engine.latent.paths import interpolate, path
from engine.latent.smoothness import LikelyPictures, features_of, measure_smoothness, pyramid_features
from engine.models.registry import load_model
from engine.progress import CancelToken
from tests.engine.generative_models import discs
from tests.engine.latent_points import ALL_EQUAL
from tests.engine.test_latent_encodings import disc_set


def test_a_path_goes_through_all_keys() -> None:
    keys = np.random.default_rng(0).standard_normal((4, 5)).astype(np.float32)
    for kind in ("linear", "spherical"):
        way = interpolate(keys, 6, kind)
        assert way.shape == (19, 5)
        assert way[::6] == pytest.approx(keys, abs=1e-5)
        loop = interpolate(keys, 6, kind, loop=True)
        assert loop.shape == (24, 5) and loop[::6] == pytest.approx(keys, abs=1e-5)


def test_a_linear_path_is_even_and_straight() -> None:
    way = interpolate(np.array([[0.0, 0], [4, 2]]), 4, "linear")
    assert way == pytest.approx(np.array([[0, 0], [1, 0.5], [2, 1], [3, 1.5], [4, 2]]))


def test_a_spherical_path_keeps_the_length_and_turns_evenly() -> None:
    way = interpolate(np.array([[2.0, 0, 0], [0, 2, 0]]), 3, "spherical")
    angles = np.degrees(np.arctan2(way[:, 1], way[:, 0]))
    assert angles == pytest.approx([0, 30, 60, 90], abs=1e-3)
    assert np.linalg.norm(way, axis=1) == pytest.approx(np.full(4, 2), abs=1e-5)
    grown = interpolate(np.array([[1.0, 0], [0, 3]]), 2, "spherical")
    assert np.linalg.norm(grown, axis=1) == pytest.approx([1, 2, 3], abs=1e-5)


def test_keys_without_an_arc_between_them_are_joined_straight() -> None:
    for keys in ([[1.0, 1], [2, 2]], [[1.0, 0], [-1, 0]], [[0.0, 0], [3, 0]], [[1.0, 2], [1, 2]]):
        way = interpolate(np.array(keys), 4, "spherical")
        assert way == pytest.approx(interpolate(np.array(keys), 4, "linear"), abs=1e-5)


def test_bad_keys_are_explained() -> None:
    with pytest.raises(UsageError, match="two key pictures"):
        interpolate(np.zeros((1, 3)), 4, "linear")
    with pytest.raises(UsageError, match="finite"):
        interpolate(np.array([[0.0, np.nan], [1, 1]]), 4, "linear")
    with pytest.raises(UsageError, match="no path 'round'"):
        interpolate(np.zeros((2, 3)), 4, "round")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="out of range"):
        interpolate(np.zeros((2, 3)), 0, "linear")


def test_the_path_along_the_flow_is_the_arc_in_style(vae_path: Path) -> None:
    explorer = LatentExplorer.load(vae_path)
    choice = {"size": "large"}
    styles = np.stack([explorer.random("style", choice, seed) for seed in (1, 2)])
    keys = explorer.convert_many(styles, "style", "raw", choice)
    way = path(explorer, "raw", keys, 4, "flow", choice)
    expected = explorer.convert_many(interpolate(styles, 4, "spherical"), "style", "raw", choice)
    assert way == pytest.approx(expected, abs=3e-2)
    assert way[[0, -1]] == pytest.approx(keys, abs=1e-2)


def test_a_model_without_a_flow_says_so(autoencoder_path: Path) -> None:
    explorer = LatentExplorer.load(autoencoder_path)
    with pytest.raises(UsageError, match="no flow to go along"):
        path(explorer, "raw", np.zeros((2, 4)), 4, "flow", {})


def test_the_density_model_accepts_its_own_kind_only() -> None:
    rng = np.random.default_rng(0)
    known, same, other = rng.standard_normal((3, 400, 5)).astype(np.float32)
    likely = LikelyPictures(known)
    assert likely.accepts(same).mean() == pytest.approx(0.95, abs=0.05)
    assert likely.accepts(other + 9).mean() == 0
    with pytest.raises(AnalysisError, match="at least 10"):
        LikelyPictures(known[:5])
    with pytest.raises(AnalysisError, match="are equal"):
        LikelyPictures(ALL_EQUAL)


def test_pyramid_features_mind_a_shift_less_than_another_shape() -> None:
    plain = np.zeros((4, 32, 32, 3), np.uint8)
    plain[0, 8:20, 8:20] = 255
    plain[1, 9:21, 8:20] = 255  # the same square, a pixel lower
    plain[2, 2:14, 18:30] = 255  # elsewhere
    seen = pyramid_features(plain)
    shifted, elsewhere = (np.linalg.norm(seen[0] - seen[other]) for other in (1, 2))
    assert 0 < shifted < 0.5 * elsewhere
    assert np.array_equal(pyramid_features(plain), seen)


def test_every_kind_of_path_is_measured(vae_path: Path) -> None:
    explorer = LatentExplorer.load(vae_path)
    data = disc_set(200, 5)
    latents = encode_data(load_model(vae_path), data, "discs").means
    real = np.stack([data.picture(index) for index in range(200)])
    found = {one.kind: one for one in measure_smoothness(explorer, latents, real, pairs=12)}
    assert list(found) == ["linear", "spherical", "flow"]
    for one in found.values():
        assert one.detour >= 1 - 1e-6 and one.largest_step >= 1
        assert 0 <= one.midpoints_accepted <= 1 and one.pairs == 12


def test_detour_and_jump_are_those_of_a_known_way(autoencoder_path: Path) -> None:
    explorer = LatentExplorer.load(autoencoder_path)
    data = disc_set(40, 5)
    latents = encode_data(load_model(autoencoder_path), data, "discs").means
    real = np.stack([data.picture(index) for index in range(40)])

    def corner(pictures: np.ndarray) -> np.ndarray:
        """Whatever is decoded: the way lies on two sides of a square when it has 9 places, else anywhere."""
        if len(pictures) != 9:
            return np.random.default_rng(0).random((len(pictures), 2)).astype(np.float32)
        return np.array([[0, place] for place in range(5)] + [[place, 4] for place in range(1, 5)], np.float32)

    linear = measure_smoothness(explorer, latents, real, pairs=3, features=corner)[0]
    assert linear.detour == pytest.approx(8 / np.hypot(4, 4))
    assert linear.largest_step == pytest.approx(1)
    assert linear.midpoints_accepted == 0.0


def test_smoothness_repeats_and_can_be_cancelled(autoencoder_path: Path) -> None:
    explorer = LatentExplorer.load(autoencoder_path)
    data = disc_set(60, 5)
    latents = encode_data(load_model(autoencoder_path), data, "discs").means
    real = np.stack([data.picture(index) for index in range(60)])
    first, again = (measure_smoothness(explorer, latents, real, pairs=4) for _ in range(2))
    assert first == again and [one.kind for one in first] == ["linear", "spherical"]
    token = CancelToken()
    with pytest.raises(Cancelled):
        measure_smoothness(explorer, latents, real, pairs=4, progress=lambda _: token.cancel(), cancel=token)


def test_features_by_a_network_see_its_channels() -> None:
    images = discs(6, 1).images
    pictures = (images.permute(0, 2, 3, 1).numpy() * 255).round().astype(np.uint8)
    found = features_of(lambda part: part.flatten(1), channels=1)(pictures)
    assert found == pytest.approx(torch.as_tensor(images[:, :1]).flatten(1).numpy(), abs=3e-3)
