"""The latents of a data set: every picture in its row, errors and thumbnails beside it, bad models named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from engine.compression.settings import DEFAULT_MODEL
from engine.data.dataset import UniformPictures
from engine.data.settings import DataSettings
from engine.errors import AnalysisError, Cancelled, ModelError, UsageError
from engine.image import Picture, encode_png
from engine.latent import LatentExplorer, encode_data, open_for
from engine.models.registry import load_model
from engine.models.store import Model
from engine.progress import CancelToken, Progress
from tests.engine.codec_fixtures import write_small_model
from tests.engine.generative_models import ATTRIBUTES, discs


def disc_set(count: int, seed: int, *, labelled: bool = True) -> UniformPictures:
    batch = discs(count, seed)
    assert batch.labels is not None
    images = (batch.images.permute(0, 2, 3, 1).numpy() * 255).round().astype(np.uint8)
    return UniformPictures(
        DataSettings(set="discs"),
        images,
        [f"disc-{index}.png" for index in range(count)],
        name="discs",
        licence="CC0 1.0",
        labels=batch.labels.numpy() if labelled else None,
        attributes=ATTRIBUTES if labelled else (),
    )


@pytest.fixture(params=["vae", "autoencoder"])
def model(request: pytest.FixtureRequest, vae_path: Path, autoencoder_path: Path) -> Model:
    return load_model(vae_path if request.param == "vae" else autoencoder_path)


def test_each_row_is_its_picture(model: Model) -> None:
    data = disc_set(150, 4)
    found = encode_data(model, data, "discs test")
    assert len(found) == 150 and found.means.shape == (150, 4) and found.means.dtype == np.float32
    assert found.thumbnails.shape == (150, 32, 32, 3) and found.thumbnails.dtype == np.uint8
    explorer = LatentExplorer(model)
    for row in (0, 131, 149):  # of the first and of the last batch
        pixels = data.picture(row)
        values, _ = explorer.encode(Picture(np.ascontiguousarray(pixels)), "raw", {})
        assert found.means[row] == pytest.approx(values, abs=1e-3)
        assert np.array_equal(found.thumbnails[row], pixels)
        copy = explorer.decode("raw", values, {}).astype(float) / 255
        assert found.errors[row] == pytest.approx(np.square(copy - pixels / 255).mean(), rel=0.05, abs=1e-4)
        assert found.names[row] == f"disc-{row}.png"
    assert np.array_equal(found.labels, discs(150, 4).labels)
    assert np.array_equal(found.column("shade"), found.labels[:, 1])
    assert (found.log_variances is not None) == (model.card.family == "conditional-vae")


def test_encoding_repeats(model: Model) -> None:
    first, second = (encode_data(model, disc_set(40, 1), "discs") for _ in range(2))
    assert np.array_equal(first.means, second.means)


def test_a_told_attribute_leaves_the_latent(vae_path: Path) -> None:
    model, data = load_model(vae_path), disc_set(300, 2)
    between = {}
    for told in (False, True):
        found = encode_data(model, data, "discs", told=told)
        sizes = found.column("size")
        means = np.stack([found.means[sizes == value].mean(axis=0) for value in range(3)])
        between[told] = means.var(axis=0).sum() / found.means.var(axis=0).sum()
    assert between[True] < between[False]


def test_large_pictures_get_small_thumbnails(vae_path: Path) -> None:
    data = disc_set(9, 1)
    found = encode_data(load_model(vae_path), data, "discs", thumbnail_side=16)
    assert found.thumbnails.shape == (9, 16, 16, 3)
    blocks = data.picture(3).reshape(16, 2, 16, 2, 3).mean(axis=(1, 3))
    assert np.abs(found.thumbnails[3] - blocks).max() <= 1


def test_ten_thousand_thumbnails_fit_into_300_megabytes() -> None:
    from engine.latent.encodings import THUMBNAIL_SIDE

    assert 10_000 * THUMBNAIL_SIDE**2 * 3 < 300e6


def test_encoding_tells_how_far_it_is_and_can_be_cancelled(vae_path: Path) -> None:
    model, data = load_model(vae_path), disc_set(300, 2)
    told: list[Progress] = []
    encode_data(model, data, "discs", progress=told.append)
    assert [one.done for one in told] == [128, 256, 300] and told[0].total == 300
    token = CancelToken()
    with pytest.raises(Cancelled):
        encode_data(model, data, "discs", progress=lambda _: token.cancel(), cancel=token)


def test_a_model_that_gives_no_numbers_is_named_with_the_picture(autoencoder_path: Path) -> None:
    healthy = load_model(autoencoder_path)
    network = type(healthy.network)(healthy.network.config)
    network.load_state_dict(healthy.network.state_dict())
    with torch.no_grad():
        network.bottleneck.weight[0, 0] = torch.nan  # type: ignore[index]
    network.eval()
    broken = Model(healthy.card, network, healthy.device)
    with pytest.raises(AnalysisError, match=r"discs-ae gives a latent that is not finite for disc-0\.png"):
        encode_data(broken, disc_set(5, 0), "discs")


def test_data_without_attributes_are_encoded_but_cannot_be_told(vae_path: Path) -> None:
    model, bare = load_model(vae_path), disc_set(20, 0, labelled=False)
    found = encode_data(model, bare, "bare discs")
    assert found.labels.shape == (20, 0) and found.attributes == ()
    with pytest.raises(UsageError, match="bare discs has no attribute 'size'"):
        found.column("size")
    with pytest.raises(UsageError, match="does not have the attributes"):
        encode_data(model, bare, "bare discs", told=True)


def test_a_folder_of_pictures_is_opened_at_the_models_size(vae_path: Path, tmp_path: Path) -> None:
    for index in range(3):
        (tmp_path / f"{index}.png").write_bytes(encode_png(np.full((40, 60, 3), 80 * index, np.uint8)))
    data, name = open_for(load_model(vae_path), str(tmp_path))
    assert name == f"{tmp_path.name} all" and len(data) == 3
    assert encode_data(load_model(vae_path), data, name).thumbnails.shape == (3, 32, 32, 3)
    with pytest.raises(UsageError, match="no part 'tset'"):
        open_for(load_model(vae_path), str(tmp_path), split="tset")


def test_a_codec_has_no_latents_to_map(tmp_path: Path) -> None:
    path = tmp_path / f"{DEFAULT_MODEL}.safetensors"
    write_small_model(path)
    with pytest.raises(ModelError, match="no latent space to explore"):
        open_for(load_model(path), "samples")
