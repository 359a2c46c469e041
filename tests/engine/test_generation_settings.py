"""What each setting of sampling does to the pictures of the shipped models, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.errors import UsageError
from engine.generation import Generator, Latent, Mix, SamplingSettings
from engine.generation.edits import in_every_class
from engine.generation.generator import label_tensor, to_pixels
from engine.generation.labelled_set import export_labelled_set
from engine.models.card import ModelCard
from engine.models.conditional_vae import ConditionalVAE, ConditionalVaeConfig
from engine.models.store import save_model


@pytest.fixture(scope="module")
def digits() -> Generator:
    return Generator.load("digits-cvae")


@pytest.fixture(scope="module")
def faces() -> Generator:
    return Generator.load("faces-cvae")


def picture(generator: Generator, seed: int = 1, **settings: object) -> np.ndarray:
    return generator.sample(SamplingSettings(**settings), 1, seed)[0].pixels  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["digits-cvae", "faces-cvae"])
def test_default_samples_are_what_they_always_were(name: str) -> None:
    """The recipe of a sample, written out: whoever kept a seed gets the same bytes."""
    generator = Generator.load(name)
    network = generator.network
    noise = torch.Generator().manual_seed(5)
    style = torch.randn(network.config.latent_size, generator=noise) * 0.9
    numbers = [int(torch.randint(len(a.values), (1,), generator=noise)) for a in generator.attributes]
    numbers[0] = 2
    labels = label_tensor(network, list(numbers))
    with torch.inference_mode():
        expected = to_pixels(network.decode(network.style_to_latent(style[None], labels), labels))[0]
    first = generator.attributes[0]
    drawn = picture(generator, 5, choice={first.name: first.values[2]}, temperature=0.9)
    assert np.array_equal(drawn, expected)


def test_guidance_changes_samples_and_one_is_the_flow_itself(digits: Generator) -> None:
    plain = picture(digits, choice={"digit": "4"})
    pictures = [picture(digits, choice={"digit": "4"}, guidance=g) for g in (0.0, 1.0, 2.0, 5.0)]
    assert np.array_equal(pictures[1], plain)
    assert len({one.tobytes() for one in pictures}) == 4


def test_guidance_makes_samples_more_typical_of_their_class(digits: Generator) -> None:
    """By the model's own bound: how much better the chosen digit explains the picture than the best other one."""

    def margins(guidance: float) -> np.ndarray:
        found = []
        for value in range(10):
            settings = SamplingSettings({"digit": str(value)}, guidance=guidance)
            for sample in digits.sample(settings, 4, 0):
                image = torch.from_numpy(sample.pixels[..., :1].transpose(2, 0, 1).copy())[None].float() / 255
                with torch.inference_mode():
                    bounds = digits.network.bounds(image, torch.arange(10)[:, None])
                others = torch.cat([bounds[:value], bounds[value + 1 :]])
                found.append(float(bounds[value] - others.max()))
        return np.array(found)

    assert (margins(2.0) > 0).mean() >= (margins(0.0) > 0).mean()
    assert np.median(margins(2.0)) > np.median(margins(0.0))


def test_the_normal_prior_draws_the_raw_space(digits: Generator) -> None:
    settings = SamplingSettings({"digit": "8"}, prior="normal")
    sample = digits.sample(settings, 1, 3)[0]
    by_flow = digits.sample(SamplingSettings({"digit": "8"}), 1, 3)[0]
    assert (sample.latent.space, sample.latent.prior) == ("raw", "normal")
    assert sample.latent.values == by_flow.latent.values
    assert not np.array_equal(sample.pixels, by_flow.pixels)
    assert np.array_equal(digits.draw(sample.latent), sample.pixels)


@pytest.mark.parametrize("prior", ["flow", "normal"])
def test_mixing_goes_from_one_class_to_the_other(digits: Generator, prior: str) -> None:
    ends = [picture(digits, choice={"digit": value}, prior=prior) for value in "37"]
    for weight, end in ((0.0, ends[0]), (1.0, ends[1])):
        assert np.array_equal(picture(digits, choice={"digit": "3"}, prior=prior, mix=Mix("digit", "7", weight)), end)
    between = picture(digits, choice={"digit": "3"}, prior=prior, mix=Mix("digit", "7", 0.5))
    assert not any(np.array_equal(between, end) for end in ends)


def test_mixing_one_attribute_of_many(faces: Generator) -> None:
    attribute = faces.attributes[0]
    sample = faces.sample(SamplingSettings({}, mix=Mix(attribute.name, attribute.values[0], 1.0)), 1, 9)[0]
    expected = faces.sample(SamplingSettings({attribute.name: attribute.values[0]}), 1, 9)[0]
    assert np.array_equal(sample.pixels, expected.pixels)


def test_diversity_spreads_a_grid_and_each_picture_is_drawn_again_by_its_seed(digits: Generator) -> None:
    def spread(diversity: float) -> float:
        samples = digits.sample(SamplingSettings({"digit": "5"}, diversity=diversity), 8, 0)
        styles = torch.tensor([sample.latent.values for sample in samples]) * digits.network.style_visibility
        return float(torch.pdist(styles).min())

    assert spread(1.0) > spread(0.0)
    settings = SamplingSettings({"digit": "5"}, diversity=1.0)
    for sample in digits.sample(settings, 4, 0):
        assert sample.latent.seed is not None
        alone = digits.sample(SamplingSettings.of(sample.latent), 1, sample.latent.seed)[0]
        assert alone.latent == sample.latent and np.array_equal(alone.pixels, sample.pixels)


def test_diversity_also_spreads_attributes_left_open(digits: Generator) -> None:
    samples = digits.sample(SamplingSettings(diversity=1.0), 10, 0)
    plain = digits.sample(SamplingSettings(), 10, 0)
    assert len({s.latent.attributes["digit"] for s in samples}) > len({s.latent.attributes["digit"] for s in plain})


def test_a_latent_restores_all_settings(faces: Generator) -> None:
    name, other = faces.attributes[0], faces.attributes[1]
    settings = SamplingSettings(
        {name.name: name.values[1]},
        guidance=1.7,
        temperature=0.6,
        mix=Mix(other.name, other.values[0], 0.25),
        diversity=0.5,
    )
    sample = faces.sample(settings, 2, 21)[1]
    latent = Latent.from_json(sample.latent.to_json())
    assert latent == sample.latent
    assert SamplingSettings.of(latent) == settings
    assert np.array_equal(faces.draw(latent), sample.pixels)


def test_latents_written_before_still_read(digits: Generator) -> None:
    sample = digits.sample(SamplingSettings({"digit": "2"}), 1, 4)[0]
    content = json.loads(sample.latent.to_json())
    for later in ("prior", "guidance", "mix", "drawn", "diversity"):
        del content[later]
    assert np.array_equal(digits.draw(Latent.from_json(json.dumps(content))), sample.pixels)


def test_the_raw_point_draws_the_guided_picture_without_guidance(digits: Generator) -> None:
    sample = digits.sample(SamplingSettings({"digit": "6"}, guidance=3.0), 1, 8)[0]
    raw = digits.in_space(sample.latent, "raw")
    assert (raw.space, raw.guidance) == ("raw", 1.0)
    assert np.array_equal(digits.draw(raw), sample.pixels)
    back = digits.in_space(raw, "style")
    assert np.abs(digits.draw(back).astype(int) - sample.pixels).max() <= 6


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": 3.5}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"guidance": 5.1}, "guidance"),
        ({"guidance": float("inf")}, "guidance"),
        ({"diversity": 2.0}, "diversity"),
        ({"prior": "gauss"}, "prior"),
        ({"mix": Mix("digit", "3", 1.5)}, "weight"),
    ],
)
def test_numbers_out_of_range_are_refused(settings: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        SamplingSettings(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (SamplingSettings({"hat": "none"}), "no attribute 'hat'"),
        (SamplingSettings({"digits": "3"}), "Did you mean 'digit'"),
        (SamplingSettings({"digit": "eleven"}), "0, 1, 2"),
        (SamplingSettings(mix=Mix("digit", "x", 0.5)), "no value 'x'"),
        (SamplingSettings(mix=Mix("digti", "3", 0.5)), "Did you mean 'digit'"),
    ],
)
def test_unknown_names_are_refused(digits: Generator, settings: SamplingSettings, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        digits.sample(settings, 1, 0)


def test_nearest_names_are_suggested(faces: Generator) -> None:
    attribute = next(a for a in faces.attributes if any(len(value) > 4 for value in a.values))
    value = next(value for value in attribute.values if len(value) > 4)
    with pytest.raises(UsageError, match=f"Did you mean .*'{value}'"):
        faces.sample(SamplingSettings({attribute.name: value[:-1]}), 1, 0)


def test_a_latent_far_off_the_data_is_refused(digits: Generator) -> None:
    latent = digits.sample(SamplingSettings({"digit": "2"}), 1, 4)[0].latent
    far = replace(latent, values=(3e38,) * len(latent.values))
    for space in ("style", "raw"):
        with pytest.raises(UsageError, match="off the data"):
            digits.draw(replace(far, space=space))


def test_a_model_without_classes_draws_and_says_that_it_has_none(tmp_path: Path) -> None:
    path = tmp_path / "plain.safetensors"
    network = ConditionalVAE(ConditionalVaeConfig(attribute_sizes=(), widths=(16, 8), features=16))
    save_model(path, network, ModelCard(name="plain", family=network.family))
    generator = Generator.load(path)
    samples = generator.sample(SamplingSettings(guidance=2.0, diversity=1.0), 3, 0)
    assert [sample.latent.attributes for sample in samples] == [{}, {}, {}]
    for call in (
        lambda: generator.sample(SamplingSettings({"digit": "3"}), 1, 0),
        lambda: generator.sample(SamplingSettings(mix=Mix("digit", "3", 0.5)), 1, 0),
        lambda: in_every_class(generator, samples[0].latent),
        lambda: export_labelled_set(generator, tmp_path / "set", 1, 0),
    ):
        with pytest.raises(UsageError, match="no classes"):
            call()
