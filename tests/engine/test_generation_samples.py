"""Sampling: reproducible bytes, choices, provenance, bad input."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.errors import Cancelled, LatentStudioError, ModelError, PictureError, UsageError
from engine.generation import (
    Generator,
    Latent,
    SamplingSettings,
    class_tiles,
    contact_sheet,
    read_latent,
    save_sample,
)
from engine.image import encode_png
from engine.models.registry import list_models
from engine.progress import CancelToken, Progress

GENERATIVE = [card.name for card in list_models("conditional-vae")]


@pytest.fixture
def generator(vae_path: Path) -> Generator:
    return Generator.load(vae_path)


def test_same_call_gives_the_same_bytes(generator: Generator) -> None:
    first, second = (generator.sample(SamplingSettings({"size": "large"}, temperature=0.8), 3, 11) for _ in range(2))
    assert [s.latent for s in first] == [s.latent for s in second]
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(first, second, strict=True))


def test_a_sample_does_not_depend_on_its_neighbours(generator: Generator) -> None:
    many = generator.sample(SamplingSettings(), 6, 40)
    alone = generator.sample(SamplingSettings(), 1, 43)[0]
    assert many[3].latent == alone.latent
    assert np.array_equal(many[3].pixels, alone.pixels)


def test_samples_have_the_chosen_attributes_and_draw_the_others(generator: Generator) -> None:
    samples = generator.sample(SamplingSettings({"size": "small"}), 24, 0)
    assert {s.latent.attributes["size"] for s in samples} == {"small"}
    assert {s.latent.attributes["shade"] for s in samples} == {"dark", "bright"}


def test_choosing_one_attribute_keeps_what_is_drawn_for_the_rest(generator: Generator) -> None:
    free = generator.sample(SamplingSettings(), 1, 5)[0].latent
    chosen = generator.sample(SamplingSettings({"size": "large"}), 1, 5)[0].latent
    assert chosen.values == free.values
    assert chosen.attributes["shade"] == free.attributes["shade"]


def test_pixels_are_rgb_bytes_of_the_image_size(generator: Generator) -> None:
    sample = generator.sample(SamplingSettings(), 1, 0)[0]
    assert sample.pixels.shape == (*generator.image_size, 3)
    assert sample.pixels.dtype == np.uint8 and sample.pixels.flags.c_contiguous


def test_temperature_zero_gives_one_picture(generator: Generator) -> None:
    choice = {"size": "large", "shade": "dark"}
    a, b = generator.sample(SamplingSettings(choice, temperature=0.0), 2, 0)
    assert np.array_equal(a.pixels, b.pixels)


def test_drawing_a_latent_gives_the_samples_bytes(generator: Generator) -> None:
    sample = generator.sample(SamplingSettings(temperature=1.3), 1, 77)[0]
    assert np.array_equal(generator.draw(Latent.from_json(sample.latent.to_json())), sample.pixels)


def test_progress_carries_each_sample(generator: Generator) -> None:
    seen: list[Progress] = []
    samples = generator.sample(SamplingSettings(), 3, 0, progress=seen.append)
    assert [step.partial for step in seen] == samples
    assert [(step.done, step.total) for step in seen] == [(1, 3), (2, 3), (3, 3)]


def test_cancel_stops_between_samples(generator: Generator) -> None:
    token = CancelToken()
    done: list[Progress] = []

    def watch(step: Progress) -> None:
        done.append(step)
        token.cancel()

    with pytest.raises(Cancelled):
        generator.sample(SamplingSettings(), 50, 0, progress=watch, cancel=token)
    assert len(done) == 1


@pytest.mark.parametrize(
    ("choice", "count", "seed", "temperature", "words"),
    [
        ({"syze": "large"}, 1, 0, 1.0, "Did you mean 'size'"),
        ({"size": "Large "}, 1, 0, 1.0, "Did you mean 'large'"),
        ({"size": "gigantic-xyz"}, 1, 0, 1.0, "small, middle, large"),
        ({}, 0, 0, 1.0, "0 samples"),
        ({}, 100_000, 0, 1.0, "100000 samples"),
        ({}, 1, -1, 1.0, "seed"),
        ({}, 1, 2**63, 1.0, "seed"),
        ({}, 1, 0, -0.1, "temperature"),
        ({}, 1, 0, float("nan"), "temperature"),
    ],
)
def test_bad_calls_are_explained(generator: Generator, choice, count, seed, temperature, words) -> None:
    with pytest.raises(UsageError, match=words):
        generator.sample(SamplingSettings(choice, temperature=temperature), count, seed)


def test_an_autoencoder_generates_nothing(autoencoder_path: Path) -> None:
    with pytest.raises(ModelError, match="generates no pictures"):
        Generator.load(autoencoder_path)


def test_a_latent_of_another_size_is_refused(generator: Generator) -> None:
    latent = generator.sample(SamplingSettings(), 1, 0)[0].latent
    with pytest.raises(UsageError, match="3 numbers"):
        generator.draw(replace(latent, values=latent.values[:3]))


def test_png_carries_the_latent(generator: Generator, tmp_path: Path) -> None:
    sample = generator.sample(SamplingSettings({"shade": "bright"}), 1, 9)[0]
    save_sample(sample, tmp_path / "sample.png")
    assert read_latent(tmp_path / "sample.png") == sample.latent


def test_a_foreign_or_forged_png_is_explained(tmp_path: Path) -> None:
    pixels = np.zeros((4, 4, 3), np.uint8)
    plain, forged = tmp_path / "plain.png", tmp_path / "forged.png"
    plain.write_bytes(encode_png(pixels))
    forged.write_bytes(encode_png(pixels, text={"latent-studio": '{"model": 3}'}))
    with pytest.raises(PictureError, match="carries no latent"):
        read_latent(plain)
    with pytest.raises(LatentStudioError, match="not a latent"):
        read_latent(forged)


def _latent_json(**changes: object) -> str:
    content = json.loads(Latent("discs", "ab", "raw", (0.5, -1.0), {"size": "small"}, 3, 0.9).to_json())
    return json.dumps({**content, **changes})


def test_latent_survives_json() -> None:
    latent = Latent("discs", "ab", "style", (0.1, -2.5e-7, 3.0), {"size": "große"}, None, 0.7)
    assert Latent.from_json(latent.to_json()) == latent


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no json",
        "[]",
        "[" * 100_000,
        "x" * 2_000_000,
        _latent_json(values=[]),
        _latent_json(values=[0.0] * 5000),
        _latent_json(values=["a"]),
        _latent_json(space="pixel"),
        _latent_json(extra=1),
        _latent_json(attributes={"size": 3}),
        _latent_json().replace("0.5", "NaN"),
        _latent_json().replace("0.5", "1e999"),
    ],
)
def test_what_is_no_latent_is_refused(text: str) -> None:
    with pytest.raises(LatentStudioError):
        Latent.from_json(text)


def test_contact_sheet_places_pictures_in_rows() -> None:
    pictures = [np.full((4, 6, 3), value, np.uint8) for value in (10, 20, 30)]
    sheet = contact_sheet(pictures, columns=2, gap=1, background=(0, 0, 0))
    assert sheet.shape == (11, 15, 3)
    assert (sheet[1, 1, 0], sheet[1, 8, 0], sheet[6, 1, 0], sheet[6, 8, 0]) == (10, 20, 30, 0)
    with pytest.raises(UsageError):
        contact_sheet([], 2)
    with pytest.raises(UsageError, match="one size"):
        contact_sheet([pictures[0], pictures[0][:2]], 2)


def test_class_tiles_have_one_picture_per_value(generator: Generator) -> None:
    tiles = class_tiles(generator, "shade")
    assert list(tiles) == ["dark", "bright"]
    assert tiles["dark"].mean() < tiles["bright"].mean()
    assert list(class_tiles(generator)) == ["small", "middle", "large"]
    with pytest.raises(UsageError, match="no attribute 'hue'"):
        class_tiles(generator, "hue")


@pytest.mark.parametrize("name", GENERATIVE)
def test_shipped_models_generate_every_class(name: str) -> None:
    generator = Generator.load(name)
    first = generator.attributes[0]
    samples = [generator.sample(SamplingSettings({first.name: value}), 1, 1)[0].pixels for value in first.values]
    assert all(pixels.std() > 5 for pixels in samples)
