"""Targets: the file has the wished size, bits per pixel, PSNR or MS-SSIM, or it is said what can be had instead."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from engine.compression import EncodeSettings, PhotoSession, Target, decode, encode, inspect
from engine.compression.codec import Window, analyse, latent_grid, windows
from engine.compression.codec_model import CodecModel, open_codec
from engine.compression.settings import TargetKind, parse_size
from engine.compression.targeting import Targeted, encode_to_target, search_target
from engine.errors import Cancelled, LatentStudioError, TargetNotReached, UsageError
from engine.evaluation.image_quality import ms_ssim, psnr
from engine.image import Picture, open_picture
from engine.models.registry import resolve_model
from engine.paths import resources
from engine.progress import CancelToken, Progress
from tests.engine.codec_fixtures import SHIPPED, install_small_model, scene

shipped = pytest.mark.skipif(not SHIPPED.is_file(), reason="no trained codec is shipped yet")


@cache
def crop(name: str, width: int = 256, height: int = 192) -> Picture:
    """The middle of a bundled photo."""
    pixels = open_picture(resources() / "samples" / "photos" / f"{name}.jpg").pixels
    top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
    return Picture(np.ascontiguousarray(pixels[top : top + height, left : left + width]))


def reach(picture: Picture, kind: TargetKind, value: float) -> Targeted:
    return encode_to_target(picture, EncodeSettings(target=Target(kind, value)), device="cpu")


def size_at(picture: Picture, quality: float) -> int:
    return len(encode(picture, EncodeSettings(quality=quality), device="cpu"))


@shipped
@pytest.mark.parametrize("name", ["bee", "stones"])
def test_a_size_is_hit_from_below(name: str) -> None:
    picture = crop(name)
    smallest, largest = size_at(picture, 0), size_at(picture, 100)
    for share in (0.02, 0.3, 0.8):
        wish = round(smallest + share * (largest - smallest))
        found = reach(picture, "size", wish)
        assert 0.98 * wish <= len(found.data) <= wish and found.note == ""
        assert decode(found.data, strict=True, device="cpu").intact
        assert inspect(found.data).quality == found.quality


@shipped
def test_a_size_in_the_jump_between_two_levels_of_the_entropy_model_is_hit() -> None:
    picture, codec = crop("bee"), open_codec(None, "cpu")
    border = next(step for step in range(4000, 10_000) if codec.level(step / 100) != codec.level((step - 1) / 100))
    below, above = size_at(picture, (border - 1) / 100), size_at(picture, border / 100)
    for wish in {(below + above) // 2, max(below, above) - 1}:
        found = reach(picture, "size", wish)
        assert 0.98 * wish <= len(found.data) <= wish
        decode(found.data, strict=True, device="cpu")


@shipped
def test_bits_per_pixel_are_of_the_whole_file() -> None:
    picture = crop("golden-gate")
    alpha = np.random.default_rng(0).integers(0, 4, picture.pixels.shape[:2]).astype(np.uint8) * 80
    for one in (picture, replace(picture, alpha=alpha)):
        wish = 1.15 * 8 * size_at(one, 40) / (256 * 192)
        data = encode(one, EncodeSettings(target=Target("bpp", wish)), device="cpu")
        assert 0.98 * wish <= inspect(data).bits_per_pixel <= wish
    assert inspect(data).section("ALPH") is not None


@shipped
@pytest.mark.parametrize(("kind", "values"), [("psnr", (29.0, 33.0)), ("ms-ssim", (0.95, 0.98))])
def test_psnr_and_ms_ssim_are_hit_from_above_and_close(kind: TargetKind, values: tuple[float, ...]) -> None:
    picture = crop("stones")
    measure = psnr if kind == "psnr" else ms_ssim
    for wish in values:
        found = reach(picture, kind, wish)
        reached = measure(picture.pixels, decode(found.data, strict=True, device="cpu").picture.pixels)
        assert wish <= reached <= 1.02 * wish and found.note == ""
        # Close enough to be of use: two units of quality less would miss the wish.
        less = encode(picture, EncodeSettings(quality=found.quality - 2), device="cpu")
        assert measure(picture.pixels, decode(less, device="cpu").picture.pixels) < wish


@shipped
def test_what_cannot_be_reached_is_said_with_the_nearest() -> None:
    picture = crop("bee")
    smallest, largest = encode(picture, EncodeSettings(quality=0)), encode(picture, EncodeSettings(quality=100))
    best = decode(largest, device="cpu").picture.pixels
    with pytest.raises(TargetNotReached, match=f"{len(smallest):,} bytes; 200 were") as small:
        reach(picture, "size", 200)
    assert small.value.nearest == len(smallest) and small.value.remedy
    assert len(reach(picture, "size", small.value.nearest).data) == len(smallest)
    with pytest.raises(TargetNotReached, match="bits per pixel") as thin:
        reach(picture, "bpp", 0.01)
    assert len(reach(picture, "bpp", thin.value.nearest).data) == len(smallest)
    with pytest.raises(TargetNotReached, match=r"PSNR of \d+\.\d\d dB; 70 was") as sharp:
        reach(picture, "psnr", 70)
    assert sharp.value.nearest == pytest.approx(psnr(picture.pixels, best), abs=1e-6)
    with pytest.raises(TargetNotReached, match="MS-SSIM") as alike:
        reach(picture, "ms-ssim", 1.0)
    assert alike.value.nearest == pytest.approx(ms_ssim(picture.pixels, best), abs=1e-6)

    # More room than quality 100 needs, or less quality than 0 gives: the file is made, and a sentence says so.
    roomy = reach(picture, "size", 10**7)
    assert roomy.data == largest and f"{len(largest):,} of the 10,000,000 bytes" in roomy.note
    rough = reach(picture, "psnr", 10)
    assert rough.data == smallest and "Quality 0" in rough.note


class CountingCodec(CodecModel):
    """The codec itself, which also counts the windows that it analyses."""

    analysed = 0

    def analyse(self, pixels: np.ndarray) -> torch.Tensor:
        self.analysed += 1
        return super().analyse(pixels)


@shipped
@pytest.mark.parametrize("target", [Target("bpp", 0.5), Target("psnr", 30.0)])
def test_the_analysis_runs_once(target: Target) -> None:
    picture = scene(1560, 96)
    codec = CountingCodec(resolve_model(open_codec(None, "cpu").card.name), torch.device("cpu"))
    settings = EncodeSettings(target=target)
    steps: list[Progress] = []
    found = search_target(codec, picture, settings, analyse(codec, picture), steps.append, CancelToken())
    rows, columns = latent_grid(1560, 96)
    assert codec.analysed == len(list(windows(Window(0, rows, 0, columns)))) == 2
    assert [step.fraction for step in steps] == sorted(step.fraction for step in steps) and steps[-1].fraction == 1.0
    if target.kind == "bpp":
        assert 0.98 * 0.5 <= inspect(found.data).bits_per_pixel <= 0.5


@shipped
def test_a_session_finds_targets_with_what_it_has_analysed() -> None:
    picture = crop("golden-gate")
    session = PhotoSession(picture, device="cpu")
    middle = session.encode(50)
    assert middle.quality == 50.0
    wish = round(1.2 * len(middle.data))
    steps: list[Progress] = []
    encoded = session.encode_to(Target("size", wish), progress=steps.append)
    assert encoded.data == reach(picture, "size", wish).data
    assert 0.98 * wish <= len(encoded.data) <= wish and encoded.quality == inspect(encoded.data).quality > 50
    assert encoded.psnr > middle.psnr and encoded.note == ""
    assert [step.fraction for step in steps] == sorted(step.fraction for step in steps) and steps[-1].fraction == 1.0
    assert session.encode_to(Target("size", 10**7)).note


def test_any_size_between_the_smallest_and_the_largest_is_never_exceeded() -> None:
    """Also of a codec with random weights, whose files do not grow evenly, and for pictures of any shape."""
    install_small_model()
    for shape in ((1, 1), (17, 300), (700, 40)):
        picture = scene(*shape)
        smallest, largest = size_at(picture, 0), size_at(picture, 100)
        for wish in {smallest, (smallest + largest) // 2, largest}:
            assert len(reach(picture, "size", wish).data) <= wish
        with pytest.raises(TargetNotReached):
            reach(picture, "size", 90)


def test_a_preview_is_kept_within_the_size() -> None:
    install_small_model()
    picture = scene(1300, 1000, noise=60)
    wish = size_at(picture, 70)
    found = reach(picture, "size", wish)
    assert inspect(found.data).preview is not None
    assert 0.98 * wish <= len(found.data) <= wish


@pytest.mark.parametrize("kind", ["size", "psnr"])
def test_cancelling_stops_the_search(kind: TargetKind) -> None:
    install_small_model()
    picture = scene(600, 300)
    middle = encode(picture, EncodeSettings(quality=50), device="cpu")
    wish = len(middle) if kind == "size" else psnr(picture.pixels, decode(middle, device="cpu").picture.pixels)
    target = Target(kind, wish)
    for after in (0, 2, 4):
        token = CancelToken()
        seen: list[Progress] = []

        def report(step: Progress, token: CancelToken = token, seen: list[Progress] = seen, after: int = after) -> None:
            seen.append(step)
            if len(seen) > after:
                token.cancel()

        with pytest.raises(Cancelled):
            encode(picture, EncodeSettings(target=target), device="cpu", progress=report, cancel=token)
        assert all(step.message for step in seen)


@pytest.mark.parametrize(
    ("kind", "value"),
    [("size", 0), ("size", -5), ("bpp", float("nan")), ("psnr", float("inf")), ("ms-ssim", 1.2), ("kilos", 3)],
)
def test_targets_that_make_no_sense_are_refused(kind: TargetKind, value: float) -> None:
    with pytest.raises(UsageError) as error:
        Target(kind, value)
    assert error.value.remedy


def test_sizes_are_read_as_people_write_them() -> None:
    read = {"200kB": 200_000, "1.5 MB": 1_500_000, "64KiB": 65_536, "2mib": 2**21, "9000 bytes": 9000, "12B": 12}
    assert {text: parse_size(text) for text in read} == read
    assert parse_size("200") == parse_size("200 KB") == 200_000
    for text in ("", "kB", "-3kB", "3 lbs", "1e3kB", "1.2.3MB"):
        with pytest.raises(LatentStudioError, match="no file size"):
            parse_size(text)
