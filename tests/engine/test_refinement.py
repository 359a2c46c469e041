"""The effort of the encoder: never worse than none, files as good as any, stopped at any time."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.compression import EncodeSettings, PhotoSession, decode, encode, inspect
from engine.compression.codec import Window, analyse, windows
from engine.compression.codec_model import open_codec
from engine.compression.groups import encode_group
from engine.compression.refinement import GroupRefiner
from engine.compression.settings import EFFORT_PASSES
from engine.compression.walk import decode_group
from engine.errors import Cancelled, UsageError
from engine.image import Picture
from engine.losses.rate_distortion import lambda_of_quality
from engine.progress import CancelToken, Progress
from tests.engine.codec_fixtures import SHIPPED, install_small_model, scene


@pytest.fixture(params=["small", "shipped"])
def codec(request: pytest.FixtureRequest) -> str:
    """The default codec: once the small one with random weights, once the one that the program ships."""
    if request.param == "small":
        install_small_model()
    elif not SHIPPED.is_file():
        pytest.skip("no trained codec is shipped yet")
    return request.param


def cost(picture: Picture, data: bytes, quality: float) -> float:
    """Bits of the streams plus lambda times the squared error of the decoded pixels."""
    streams = inspect(data).section("GRPS")
    assert streams is not None
    error = decode(data, strict=True, device="cpu").picture.pixels.astype(np.float64) - picture.pixels
    weight = float(lambda_of_quality(torch.tensor(quality))) / 3.0
    return 8.0 * streams.bytes + weight * float((error**2).sum())


@pytest.mark.parametrize("quality", [15.0, 70.0])
def test_refined_files_decode_and_cost_less(codec: str, quality: float) -> None:
    picture = scene(144, 112)
    plain = encode(picture, EncodeSettings(quality=quality), device="cpu")
    refined = encode(picture, EncodeSettings(quality=quality, effort=1), device="cpu")
    assert decode(refined, strict=True, device="cpu").intact
    # Rounding to whole pixel values and the streams' multiples of four bytes are not in the encoder's sums.
    assert cost(picture, refined, quality) < 1.002 * cost(picture, plain, quality) + 32
    if codec == "shipped":
        assert cost(picture, refined, quality) < cost(picture, plain, quality)


def test_no_pass_makes_a_group_dearer_and_it_decodes_to_what_was_weighed() -> None:
    install_small_model()
    model = open_codec(None, "cpu")
    picture = scene(128, 96)
    latents = next(analyse(model, picture))[1] * model.quantising_gain(60)
    refiner = GroupRefiner(model, picture.pixels, latents, top=0, left=0, height=6, width=8, quality=60.0, passes=6)
    start = refiner.begin()
    states = [start]
    for _ in range(6):
        states.append(refiner.refine(states[-1]))
    costs = [state.cost for state in states]
    assert costs == sorted(costs, reverse=True) and costs[-1] < costs[0]
    assert start.group == encode_group(model, latents, model.level(60))
    decoded, checksum = decode_group(model, states[-1].group.stream, 6, 8, model.level(60))
    assert np.array_equal(decoded, states[-1].decoded) and checksum == states[-1].group.symbol_crc


def test_groups_are_refined_amid_their_surroundings() -> None:
    """A picture of several groups and windows, odd in size: whole, sound and no dearer than without refinement."""
    install_small_model()
    picture = scene(1560, 530)
    assert len(list(windows(Window(0, 34, 0, 98)))) == 2
    plain = encode(picture, EncodeSettings(quality=40), device="cpu")
    refined = encode(picture, EncodeSettings(quality=40, effort=1), device="cpu")
    assert decode(refined, strict=True, device="cpu").intact
    assert cost(picture, refined, 40) < cost(picture, plain, 40)


def test_the_same_picture_is_refined_to_the_same_bytes() -> None:
    install_small_model()
    picture = scene(90, 60)
    settings = EncodeSettings(effort=1)
    data = encode(picture, settings, device="cpu")
    assert data == encode(picture, settings, device="cpu")
    assert data == PhotoSession(picture, device="cpu").encode(50.0, effort=1).data


def test_progress_counts_passes_and_cancelling_stops_between_them() -> None:
    install_small_model()
    picture, settings = scene(600, 80), EncodeSettings(effort=2)
    token = CancelToken()
    seen: list[Progress] = []

    def report(step: Progress) -> None:
        seen.append(step)
        if step.done == 3:
            token.cancel()

    with pytest.raises(Cancelled):
        encode(picture, settings, device="cpu", progress=report, cancel=token)
    assert [step.done for step in seen] == [0, 1, 2, 3]
    assert seen[-1].total == 2 * (EFFORT_PASSES[2] + 1)
    assert "part 1 of 2" in seen[-1].message


def test_what_was_reached_is_kept_when_it_is_enough() -> None:
    install_small_model()
    picture = scene(600, 80)
    at_once = CancelToken()
    at_once.cancel()
    plain = encode(picture, EncodeSettings(effort=0), device="cpu")
    assert encode(picture, EncodeSettings(effort=3), device="cpu", enough=at_once) == plain

    later = CancelToken()
    seen: list[Progress] = []

    def report(step: Progress) -> None:
        seen.append(step)
        if step.done == 2:
            later.cancel()

    stopped = encode(picture, EncodeSettings(effort=3), device="cpu", progress=report, enough=later)
    assert decode(stopped, strict=True, device="cpu").intact
    assert cost(picture, stopped, 50) < cost(picture, plain, 50)
    # Two passes on the first group, none on the second; the count still ends at its total.
    assert [step.done for step in seen[:3]] == [0, 1, 2] and seen[-1].done == seen[-1].total and len(seen) == 5


@pytest.mark.parametrize("effort", [-1, len(EFFORT_PASSES)])
def test_an_effort_out_of_range_is_refused_in_words(effort: int) -> None:
    with pytest.raises(UsageError, match=f"effort is {effort}"):
        EncodeSettings(effort=effort)
