"""Own pictures in the latent space, and the training pictures nearest to a sample."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.data import DataSettings, open_data
from engine.errors import Cancelled, DataError, UsageError
from engine.generation import Generator, SamplingSettings
from engine.generation.edits import vary, with_value
from engine.generation.neighbours import NearestPictures, share_nearer
from engine.generation.pictures import encode_picture
from engine.image import Picture
from engine.progress import CancelToken


@pytest.fixture(scope="module")
def digits() -> Generator:
    return Generator.load("digits-cvae")


def numbered(data_set: str, count: int, **settings: object) -> list[tuple[Picture, dict[str, str]]]:
    """Test pictures, and what the set says of them."""
    data = open_data(DataSettings.model_validate({"set": data_set, "split": "test", "limit": count, **settings}))
    batch = data.batch(np.arange(len(data)), np.random.default_rng(0), augment=False)
    assert batch.labels is not None
    values = [
        {a.name: a.values[number] for a, number in zip(data.attributes, row, strict=True)}
        for row in batch.labels.tolist()
    ]
    pixels = [np.repeat(data.picture(index), 3 // data.picture(index).shape[2], axis=2) for index in range(len(data))]
    return [(Picture(one), value) for one, value in zip(pixels, values, strict=True)]


def test_test_digits_are_recognised_and_come_back(digits: Generator, shared_data: Path) -> None:
    right = 0
    for picture, values in numbered("mnist", 20, channels=1):
        found = encode_picture(digits, picture)
        right += found.choice == values
        assert found.guessed == ("digit",) and found.latent.seed is None
        assert np.array_equal(digits.draw(found.latent), found.reconstruction)
        assert np.array_equal(found.seen, picture.pixels)
        assert found.psnr > 12
    assert right >= 17


def test_what_is_given_is_not_guessed(digits: Generator) -> None:
    sample = digits.sample(SamplingSettings({"digit": "4"}), 1, 2)[0]
    found = encode_picture(digits, Picture(sample.pixels), {"digit": "9"})
    assert found.choice == {"digit": "9"} and found.guessed == ()
    assert encode_picture(digits, Picture(sample.pixels)).choice == {"digit": "4"}
    with pytest.raises(UsageError, match="no value 'nine'"):
        encode_picture(digits, Picture(sample.pixels), {"digit": "nine"})


def test_black_ink_on_large_paper_is_read_as_well(digits: Generator) -> None:
    sample = digits.sample(SamplingSettings({"digit": "3"}), 1, 2)[0]
    paper = np.kron(255 - sample.pixels, np.ones((10, 10, 1), np.uint8)).astype(np.uint8)
    found = encode_picture(digits, Picture(paper))
    assert found.choice == {"digit": "3"}
    assert np.abs(found.seen.astype(int) - sample.pixels).max() <= 1


def test_an_own_picture_changes_class_and_varies_like_a_sample(digits: Generator) -> None:
    sample = digits.sample(SamplingSettings({"digit": "3"}), 1, 2)[0]
    found = encode_picture(digits, Picture(sample.pixels))
    changed = with_value(digits, found.latent, "digit", "5")
    again = encode_picture(digits, Picture(changed.pixels))
    assert again.choice == {"digit": "5"}
    assert len(vary(digits, found.latent, 0.3, 2, 0)) == 2


def test_glasses_come_off_a_face(shared_data: Path) -> None:
    faces = Generator.load("faces-cvae")
    by_name = {attribute.name: attribute.values for attribute in faces.attributes}
    picture, values = next(
        (picture, values) for picture, values in numbered("cartoon-faces", 60, size=64) if values["glasses"] != "none"
    )
    found = encode_picture(faces, picture, values)
    without = with_value(faces, found.latent, "glasses", "none")
    assert "none" in by_name["glasses"]
    assert without.latent.attributes == {**values, "glasses": "none"}
    moved = np.abs(without.pixels.astype(int) - found.reconstruction).mean(axis=(1, 2))
    assert moved[16:40].sum() > 0.6 * moved.sum()


def test_guessing_can_be_cancelled(digits: Generator) -> None:
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        encode_picture(digits, Picture(np.zeros((28, 28, 3), np.uint8)), cancel=token)


def test_the_nearest_training_picture_of_a_training_picture_is_itself(digits: Generator, shared_data: Path) -> None:
    known = NearestPictures.open(digits.card)
    data = open_data(DataSettings(set="mnist", split="train", channels=1))
    assert len(known) == len(data) > 50_000
    own = np.repeat(data.picture(777), 3, axis=2)
    first, second, third = known.nearest(own, 3)
    assert (first.distance, first.name) == (0.0, data.file_name(777))
    assert np.array_equal(first.pixels, own)
    assert 0 < second.distance <= third.distance
    apart = np.sqrt(np.square((second.pixels.astype(float) - own) / 255).mean())
    assert second.distance == pytest.approx(apart)

    held_out = known.held_out_distances(60)
    assert held_out.shape == (60,) and (np.diff(held_out) >= 0).all() and held_out[0] > 0
    assert share_nearer(first.distance, held_out) == 0.0
    # What the model draws is as far from its training pictures as other real digits are.
    samples = digits.sample(SamplingSettings(), 12, 0)
    shares = [share_nearer(known.nearest(sample.pixels, 1)[0].distance, held_out) for sample in samples]
    assert np.median(shares) > 0.05
    with pytest.raises(UsageError, match="32x32"):
        known.nearest(np.zeros((32, 32, 3), np.uint8))
    with pytest.raises(UsageError, match="0 neighbours"):
        known.nearest(own, 0)


def test_missing_training_pictures_are_explained(
    digits: Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATENT_STUDIO_DATA", str(tmp_path))
    with pytest.raises(DataError, match="mnist was not found"):
        NearestPictures.open(digits.card)
    with pytest.raises(DataError, match="recipe of digits-cvae is not at hand"):
        NearestPictures.open(digits.card.model_copy(update={"recipe": "nosuch"}))


def test_pictures_of_another_size_are_not_compared(shared_data: Path) -> None:
    card = Generator.load("digits-cvae").card.model_copy(update={"recipe": "faces-cvae"})
    with pytest.raises(DataError, match="not of the size"):
        NearestPictures.open(card)
