"""The latent explorer: spaces, sliders, own pictures, traversals, bad input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.errors import ModelError, UsageError
from engine.image import Picture
from engine.latent import LatentExplorer
from engine.models.registry import list_models, load_model
from tests.engine.generative_models import discs

CHOICE = {"size": "large", "shade": "bright"}
SHIPPED = [card.name for family in ("conditional-vae", "autoencoder") for card in list_models(family)]


@pytest.fixture
def explorer(vae_path: Path) -> LatentExplorer:
    return LatentExplorer.load(vae_path)


@pytest.fixture
def plain(autoencoder_path: Path) -> LatentExplorer:
    return LatentExplorer.load(autoencoder_path)


def _disc(index: int = 0) -> Picture:
    image = discs(8, 3).images[index]
    return Picture((image.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8))


def test_spaces_and_attributes_follow_the_family(explorer: LatentExplorer, plain: LatentExplorer) -> None:
    assert explorer.spaces == ("style", "raw")
    assert plain.spaces == ("raw",)
    assert [attribute.name for attribute in explorer.attributes] == ["size", "shade"]
    assert plain.attributes == ()


def test_dimensions_come_most_important_first(explorer: LatentExplorer, plain: LatentExplorer) -> None:
    for one in (explorer, plain):
        for space in one.spaces:
            dimensions = one.dimensions(space)
            importance = [dimension.importance for dimension in dimensions]
            assert importance[0] == 1.0
            assert importance == sorted(importance, reverse=True)
            assert sorted(d.index for d in dimensions) == [0, 1, 2, 3]
            assert all(d.low < d.high for d in dimensions)


def test_the_first_style_slider_moves_the_picture_most(explorer: LatentExplorer) -> None:
    rng = np.random.default_rng(0)
    change = np.zeros(4)
    for _ in range(12):
        start = rng.standard_normal(4).astype(np.float32)
        for index in range(4):
            pair = np.stack([start, start])
            pair[:, index] += (-0.5, 0.5)
            low, high = explorer.decode_many("style", pair, CHOICE).astype(float)
            change[index] += np.square(low - high).mean()
    assert change[0] > change[3]


def test_decode_gives_rgb_bytes(explorer: LatentExplorer, plain: LatentExplorer) -> None:
    for one, choice in ((explorer, CHOICE), (plain, {})):
        picture = one.decode("raw", one.origin("raw", choice), choice)
        assert picture.shape == (32, 32, 3) and picture.dtype == np.uint8


def test_decode_many_agrees_with_decode(explorer: LatentExplorer) -> None:
    values = np.random.default_rng(1).standard_normal((40, 4)).astype(np.float32)
    many = explorer.decode_many("style", values, CHOICE)
    assert many.shape == (40, 32, 32, 3)
    alone = explorer.decode("style", values[37], CHOICE)
    assert np.abs(many[37].astype(int) - alone).max() <= 1


def test_spaces_convert_back_and_forth(explorer: LatentExplorer) -> None:
    style = explorer.random("style", CHOICE, 4)
    raw = explorer.convert(style, "style", "raw", CHOICE)
    assert np.allclose(explorer.convert(raw, "raw", "style", CHOICE), style, atol=2e-2)
    assert np.abs(explorer.decode("raw", raw, CHOICE).astype(int) - explorer.decode("style", style, CHOICE)).max() <= 1


def test_random_points_follow_the_seed(explorer: LatentExplorer, plain: LatentExplorer) -> None:
    for one, choice in ((explorer, CHOICE), (plain, {})):
        assert np.array_equal(one.random("raw", choice, 5), one.random("raw", choice, 5))
        assert not np.array_equal(one.random("raw", choice, 5), one.random("raw", choice, 6))


def test_own_picture_comes_back(explorer: LatentExplorer, plain: LatentExplorer) -> None:
    for one in (explorer, plain):
        space = one.spaces[0]
        values, prepared = one.encode(_disc(), space, {})
        assert np.array_equal(prepared, _disc().pixels)
        error = np.square(one.decode(space, values, {}).astype(float) - prepared).mean()
        assert error < 0.5 * prepared.astype(float).var()


def test_own_picture_is_cut_square_scaled_and_laid_on_white(explorer: LatentExplorer) -> None:
    pixels = np.zeros((64, 128, 3), np.uint8)
    alpha = np.zeros((64, 128), np.uint8)
    _, prepared = explorer.encode(Picture(pixels, alpha), "raw", {})
    assert prepared.shape == (32, 32, 3)
    assert (prepared == 255).all()


def test_the_lamp_is_dark_on_the_data_and_lit_far_off(explorer: LatentExplorer, plain: LatentExplorer) -> None:
    for one, choice in ((explorer, CHOICE), (plain, {})):
        on_data = [one.off_data(one.random("raw", choice, seed), choice) for seed in range(20)]
        assert np.median(on_data) == 0.0
        span = np.array([d.high - d.low for d in sorted(one.dimensions("raw"), key=lambda d: d.index)])
        assert one.off_data(one.origin("raw", choice) + 20 * span, choice) == 1.0


def test_traversal_lays_out_a_row_per_dimension(explorer: LatentExplorer) -> None:
    grid = explorer.traversal("style", explorer.origin("style", CHOICE), CHOICE, [2, 0, 1], 5)
    assert grid.shape == (3 * 34 - 2, 5 * 34 - 2, 3)
    middle = grid[:32, 2 * 34 : 2 * 34 + 32].astype(int)
    assert np.abs(middle - explorer.decode("style", explorer.origin("style", CHOICE), CHOICE)).max() <= 1


def test_bad_calls_are_explained(explorer: LatentExplorer, plain: LatentExplorer) -> None:
    origin = explorer.origin("style", CHOICE)
    with pytest.raises(UsageError, match="no space 'w'"):
        explorer.decode("w", origin, CHOICE)
    with pytest.raises(UsageError, match="3 values"):
        explorer.decode("style", origin[:3], CHOICE)
    with pytest.raises(UsageError, match="finite"):
        explorer.decode("style", np.full(4, np.nan), CHOICE)
    with pytest.raises(UsageError, match="Did you mean 'large'"):
        explorer.decode("style", origin, {"size": "larg"})
    with pytest.raises(UsageError, match="no dimension 9"):
        explorer.traversal("style", origin, CHOICE, [9], 5)
    with pytest.raises(UsageError, match="two steps"):
        explorer.traversal("style", origin, CHOICE, [0], 1)
    with pytest.raises(UsageError, match="no attribute 'size'"):
        plain.origin("raw", {"size": "large"})
    with pytest.raises(UsageError, match="no space 'style'"):
        plain.origin("style", {})


def test_a_card_without_statistics_is_refused(vae_path: Path) -> None:
    model = load_model(vae_path)
    bare = type(model)(model.card.model_copy(update={"latent_dimensions": ()}), model.network, model.device)
    with pytest.raises(ModelError, match="0 of 4 latent dimensions"):
        LatentExplorer(bare)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_models_can_be_explored(name: str) -> None:
    explorer = LatentExplorer.load(name)
    for space in explorer.spaces:
        first = explorer.dimensions(space)[0].index
        grid = explorer.traversal(space, explorer.origin(space, {}), {}, [first], 3)
        side = explorer.image_size
        assert np.abs(grid[:, :side].astype(int) - grid[:, -side:]).mean() > 0.5
