"""New pictures from given ones, on the shipped models."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from engine.errors import Cancelled, UsageError
from engine.generation import Generator, Mix, Sample, SamplingSettings
from engine.generation.edits import in_every_class, more_like, morph, slerp, vary, with_value
from engine.progress import CancelToken, Progress


@pytest.fixture(scope="module")
def digits() -> Generator:
    return Generator.load("digits-cvae")


@pytest.fixture(scope="module")
def faces() -> Generator:
    return Generator.load("faces-cvae")


def one(generator: Generator, seed: int, **settings: object) -> Sample:
    return generator.sample(SamplingSettings(**settings), 1, seed)[0]  # type: ignore[arg-type]


def difference(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.abs(first.astype(float) - second).mean())


def styles(samples: list[Sample]) -> torch.Tensor:
    return torch.tensor([sample.latent.values for sample in samples])


@pytest.mark.parametrize("prior", ["flow", "normal"])
def test_radius_zero_gives_the_same_picture(digits: Generator, prior: str) -> None:
    sample = one(digits, 3, choice={"digit": "5"}, prior=prior, guidance=1.5)
    assert all(np.array_equal(each.pixels, sample.pixels) for each in vary(digits, sample.latent, 0.0, 2, 0))


def test_variations_leave_their_original_as_the_radius_grows(digits: Generator) -> None:
    sample = one(digits, 3, choice={"digit": "5"})
    original = torch.tensor(sample.latent.values)
    distances = []
    for radius in (0.1, 0.4, 1.0):
        made = vary(digits, sample.latent, radius, 6, 3)
        assert {each.latent.attributes["digit"] for each in made} == {"5"}
        assert all(each.latent.seed is None for each in made)
        assert len({each.pixels.tobytes() for each in made}) == 6
        assert all(np.array_equal(digits.draw(each.latent), each.pixels) for each in made)
        distances.append(float((styles(made) - original).norm(dim=1).mean()))
    assert distances == sorted(distances)
    again = vary(digits, sample.latent, 0.4, 6, 3)
    assert [each.latent for each in again] == [each.latent for each in vary(digits, sample.latent, 0.4, 6, 3)]


def test_variations_are_as_typical_as_samples(digits: Generator) -> None:
    originals = digits.sample(SamplingSettings(), 40, 0)
    made = [vary(digits, sample.latent, 0.5, 1, index)[0] for index, sample in enumerate(originals)]
    assert float(styles(made).norm(dim=1).mean()) == pytest.approx(float(styles(originals).norm(dim=1).mean()), rel=0.1)


def test_the_seed_of_the_original_varies_it_like_any_other(digits: Generator) -> None:
    sample = one(digits, 7, choice={"digit": "5"})
    made = vary(digits, sample.latent, 1.0, 1, 7)[0]
    assert not np.allclose(made.latent.values, sample.latent.values, atol=0.1)


def test_a_morph_ends_in_the_given_pictures_and_moves_in_small_steps(digits: Generator) -> None:
    first, second = one(digits, 1, choice={"digit": "1"}), one(digits, 2, choice={"digit": "7"}, guidance=2.0)
    frames = morph(digits, first.latent, second.latent, 9)
    assert np.array_equal(frames[0].pixels, first.pixels) and np.array_equal(frames[-1].pixels, second.pixels)
    assert (frames[0].latent, frames[-1].latent) == (first.latent, second.latent)
    moves = [difference(a.pixels, b.pixels) for a, b in pairwise(frames)]
    assert 0 < max(moves) < 0.6 * difference(first.pixels, second.pixels)
    assert frames[4].latent.mix == (Mix("digit", "7", 0.5),)


def test_a_morph_of_faces_mixes_every_attribute_that_differs(faces: Generator) -> None:
    first, second = one(faces, 1), one(faces, 2)
    middle = morph(faces, first.latent, second.latent, 3)[1].latent
    differing = {name for name, value in first.latent.attributes.items() if second.latent.attributes[name] != value}
    assert {mix.attribute for mix in middle.mix} == differing and len(differing) > 3
    assert all(mix.weight == pytest.approx(0.5) for mix in middle.mix)


def test_a_morph_starts_smoothly_from_mixed_and_open_ends(digits: Generator) -> None:
    mixed = one(digits, 1, choice={"digit": "3"}, mix=Mix("digit", "8", 0.4))
    opened = with_value(digits, one(digits, 2, choice={"digit": "6"}).latent, "digit", None)
    assert opened.latent.attributes == {}
    for first, second in ((mixed, opened), (opened, mixed)):
        frames = morph(digits, first.latent, second.latent, 200)
        assert difference(frames[1].pixels, first.pixels) < 4
        assert difference(frames[-2].pixels, second.pixels) < 4


def test_a_morph_joins_the_two_spaces(digits: Generator) -> None:
    first, second = one(digits, 1, prior="normal"), one(digits, 2)
    frames = morph(digits, first.latent, second.latent, 60)
    assert np.array_equal(frames[0].pixels, first.pixels)
    assert difference(frames[1].pixels, first.pixels) < 8


def test_every_class_keeps_the_style(digits: Generator, faces: Generator) -> None:
    sample = one(digits, 11, choice={"digit": "4"})
    family = in_every_class(digits, sample.latent)
    assert [each.latent.attributes["digit"] for each in family] == list("0123456789")
    assert {each.latent.values for each in family} == {sample.latent.values}
    assert np.array_equal(family[4].pixels, sample.pixels)
    assert len({each.pixels.tobytes() for each in family}) == 10
    face = one(faces, 5)
    name = faces.attributes[2].name
    for each in in_every_class(faces, face.latent, name):
        assert each.latent.values == face.latent.values
        rest = {key: value for key, value in each.latent.attributes.items() if key != name}
        assert rest == {key: value for key, value in face.latent.attributes.items() if key != name}


def test_one_attribute_changes_and_the_rest_of_the_face_stays(faces: Generator) -> None:
    """A change of one small thing moves the picture far less than another face would."""
    face = one(faces, 5)
    others = [difference(face.pixels, one(faces, seed).pixels) for seed in range(6, 14)]
    for attribute in [known for known in faces.attributes if known.name in ("glasses", "eyes", "eyebrows", "mouth")]:
        value = next(known for known in attribute.values if known != face.latent.attributes[attribute.name])
        changed = with_value(faces, face.latent, attribute.name, value)
        assert changed.latent.attributes == {**face.latent.attributes, attribute.name: value}
        assert 0 < difference(changed.pixels, face.pixels) < 0.3 * np.median(others)


def test_a_changed_class_is_what_its_seed_gives_with_that_class(digits: Generator) -> None:
    sample = one(digits, 5)
    value = "0" if sample.latent.attributes["digit"] != "0" else "1"
    changed = with_value(digits, sample.latent, "digit", value)
    assert np.array_equal(changed.pixels, one(digits, 5, choice={"digit": value}).pixels)
    assert changed.latent == one(digits, 5, choice={"digit": value}).latent
    assert with_value(digits, sample.latent, "digit", sample.latent.attributes["digit"]).latent == sample.latent


def test_changing_a_class_ends_its_mix(digits: Generator) -> None:
    mixed = one(digits, 5, choice={"digit": "3"}, mix=Mix("digit", "8", 0.4))
    plain = with_value(digits, mixed.latent, "digit", "3")
    assert plain.latent.mix == ()
    assert np.array_equal(plain.pixels, one(digits, 5, choice={"digit": "3"}).pixels)


def test_more_like_one_stays_near_it(digits: Generator) -> None:
    sample = one(digits, 1, choice={"digit": "2"})
    near, far = (more_like(digits, [sample.latent], 8, 0, radius=radius) for radius in (0.3, 0.9))
    assert {each.latent.attributes["digit"] for each in near} == {"2"}
    original = torch.tensor(sample.latent.values)
    assert (styles(near) - original).norm(dim=1).mean() < (styles(far) - original).norm(dim=1).mean()


def test_more_like_several_takes_attributes_and_style_from_them(faces: Generator) -> None:
    parents = [one(faces, seed) for seed in (1, 2, 3)]
    made = more_like(faces, [parent.latent for parent in parents], 6, 0)
    for each in made:
        for name, value in each.latent.attributes.items():
            assert value in {parent.latent.attributes[name] for parent in parents}
    assert len({each.pixels.tobytes() for each in made}) == 6
    unrelated = faces.sample(SamplingSettings(), 6, 1000)
    known = styles(parents)
    assert torch.cdist(styles(made), known).amin(1).mean() < torch.cdist(styles(unrelated), known).amin(1).mean()
    assert float(styles(made).norm(dim=1).mean()) == pytest.approx(float(known.norm(dim=1).mean()), rel=0.15)


def test_slerp_keeps_the_length_and_joins_what_has_no_arc() -> None:
    torch.manual_seed(0)
    first, second = torch.randn(16), torch.randn(16)
    middle = slerp(first, second, 0.5)
    assert float(middle.norm()) == pytest.approx(float((first.norm() + second.norm()) / 2), rel=1e-4)
    assert torch.allclose(slerp(first, second, 0.0), first, atol=1e-5)
    assert torch.allclose(slerp(first, second, 1.0), second, atol=1e-5)
    assert torch.allclose(slerp(first, -first, 0.25), 0.5 * first, atol=1e-5)
    assert torch.allclose(slerp(torch.zeros(16), second, 0.5), second / 2)


@pytest.mark.parametrize("edit", ["vary", "more_like", "morph", "in_every_class"])
def test_progress_carries_samples_and_cancel_stops_between_them(digits: Generator, edit: str) -> None:
    latent = one(digits, 1).latent
    token = CancelToken()
    seen: list[Progress] = []

    def watch(step: Progress) -> None:
        seen.append(step)
        token.cancel()

    calls = {
        "vary": lambda: vary(digits, latent, 0.5, 9, 0, progress=watch, cancel=token),
        "more_like": lambda: more_like(digits, [latent], 9, 0, progress=watch, cancel=token),
        "morph": lambda: morph(digits, latent, latent, 9, progress=watch, cancel=token),
        "in_every_class": lambda: in_every_class(digits, latent, progress=watch, cancel=token),
    }
    with pytest.raises(Cancelled):
        calls[edit]()
    assert [step.done for step in seen] == [1] and isinstance(seen[0].partial, Sample)


def test_bad_calls_are_explained(digits: Generator) -> None:
    latent = one(digits, 1).latent
    for call, words in (
        (lambda: vary(digits, latent, 1.5, 1, 0), "radius 1.5"),
        (lambda: vary(digits, latent, 0.5, 0, 0), "0 samples"),
        (lambda: vary(digits, latent, 0.5, 100_000, 0), "100000 samples"),
        (lambda: vary(digits, latent, 0.5, 1, -1), "seed -1"),
        (lambda: vary(digits, replace(latent, values=(0.0,)), 0.5, 1, 0), "1 numbers"),
        (lambda: more_like(digits, [], 1, 0), "No pictures"),
        (lambda: more_like(digits, [replace(latent, values=(0.0,)), latent], 1, 0), "1 numbers"),
        (lambda: morph(digits, latent, latent, 1), "morph of 1"),
        (lambda: morph(digits, latent, replace(latent, values=(0.0,)), 5), "1 numbers"),
        (lambda: in_every_class(digits, latent, "digt"), "Did you mean 'digit'"),
        (lambda: with_value(digits, latent, "digit", "x"), "no value 'x'"),
    ):
        with pytest.raises(UsageError, match=words):
            call()
