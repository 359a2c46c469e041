"""Pictures to .lsi bytes and back: every size, alpha, metadata, no seams, the same bytes everywhere."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from engine.compression import (
    DEFAULT_MODEL,
    EncodeSettings,
    PhotoSession,
    codec_model,
    decode,
    encode,
    groups,
    inspect,
)
from engine.compression.codec_model import open_codec
from engine.compression.decoding import latent_grid
from engine.compression.entropy import GroupEncoder, Table
from engine.compression.files import decode_file
from engine.errors import Cancelled, ModelError, ModelMismatch, OutputError, PictureError, UsageError
from engine.evaluation.image_quality import psnr
from engine.evaluation.ssimulacra2 import ssimulacra2
from engine.image import Picture, open_picture, save_picture
from engine.models.store import save_model
from engine.paths import user_folder
from engine.progress import CancelToken, Progress
from tests.engine.codec_fixtures import SHIPPED, compress_file, install_small_model, scene, write_small_model


@pytest.fixture(params=["small", "shipped"])
def codec(request: pytest.FixtureRequest) -> Iterator[str]:
    """The default codec: once the small one with random weights, once the one that the program ships."""
    if request.param == "small":
        install_small_model()
    elif not SHIPPED.is_file():
        pytest.skip("no trained codec is shipped yet")
    yield request.param


@pytest.mark.parametrize("size", [(1, 1), (17, 33), (15, 300), (530, 40)])
def test_pictures_of_odd_sizes_come_back(codec: str, size: tuple[int, int]) -> None:
    picture = scene(*size)
    data = encode(picture, EncodeSettings(quality=80), device="cpu")
    result = decode(data, strict=True, device="cpu")
    assert result.intact
    assert result.picture.pixels.shape == picture.pixels.shape
    assert psnr(picture.pixels, result.picture.pixels) > (25 if codec == "shipped" else 12)
    header = inspect(data)
    assert (header.width, header.height, header.quality) == (*size, 80.0)
    assert header.bits_per_pixel == pytest.approx(8 * len(data) / (size[0] * size[1]))


def test_higher_quality_is_larger_and_better(codec: str) -> None:
    picture = scene(160, 96)
    results = []
    for quality in (0, 30, 60, 100):
        data = encode(picture, EncodeSettings(quality=quality), device="cpu")
        results.append((len(data), psnr(picture.pixels, decode(data, device="cpu").picture.pixels)))
    assert results == sorted(results)


def test_the_same_picture_gives_the_same_bytes_and_pixels_under_any_thread_count(codec: str) -> None:
    picture = scene(300, 200)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        data = encode(picture, EncodeSettings(quality=60), device="cpu")
        one = decode(data, strict=True, device="cpu").picture.pixels
        torch.set_num_threads(2)
        two = decode(data, strict=True, device="cpu").picture.pixels
    finally:
        torch.set_num_threads(threads)
    # The symbols are the same (strict decoding compares their checksum); float pixels may differ by rounding.
    assert np.abs(one.astype(int) - two).max() <= 1


class CountingEncoder(GroupEncoder):
    """Adds up what the tables say that symbols cost."""

    bits = 0.0

    def write(self, values: np.ndarray, bins: np.ndarray, tables: list[Table]) -> None:
        for number, table in enumerate(tables):
            chosen = values[bins == number]
            outside = (chosen < table.low) | (chosen > table.high)
            folded = np.abs(chosen[outside]) * 2 + 1
            CountingEncoder.bits += table.bits[np.where(outside, -1, chosen - table.low)].sum()
            CountingEncoder.bits += (np.log2(21) + np.floor(np.log2(folded))).sum()
        super().write(values, bins, tables)


def test_files_are_as_long_as_the_model_says(codec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "GroupEncoder", CountingEncoder)
    picture = scene(512, 512, seed=4)
    for quality in (20.0, 70.0):
        CountingEncoder.bits = 0.0
        header = inspect(encode(picture, EncodeSettings(quality=quality), device="cpu"))
        stream = header.section("GRPS")
        assert stream is not None
        assert stream.bytes * 8 == pytest.approx(CountingEncoder.bits, rel=0.01)


@pytest.mark.parametrize("size", [(1100, 1090), pytest.param((2600, 2100), marks=pytest.mark.slow)], ids=str)
def test_windows_leave_no_seams(size: tuple[int, int]) -> None:
    """A picture of several windows decodes to what the whole picture at once gives; the larger one has a window with
    neighbours on all sides."""
    install_small_model()
    width, height = size
    picture = scene(width, height)
    data = encode(picture, EncodeSettings(quality=70), device="cpu")
    tiled = decode(data, strict=True, device="cpu").picture.pixels
    codec = open_codec(None, "cpu")
    rows, columns = latent_grid(width, height)
    padded = np.pad(picture.pixels, ((0, rows * 16 - height), (0, columns * 16 - width), (0, 0)), mode="edge")

    from engine.compression.codec import analyse
    from engine.compression.container import read_container
    from engine.compression.walk import decode_group

    whole = codec.analyse(padded)
    for window, latents in analyse(codec, picture):
        expected = whole[:, window.top : window.bottom, window.left : window.right]
        assert torch.allclose(latents, expected, atol=2e-4)
    header = read_container(data)
    latents = np.zeros((24, rows, columns), dtype=np.int16)
    for group in header.groups:
        y, x = group.y // 16, group.x // 16
        tall, wide = min(32, rows - y), min(32, columns - x)
        stream = data[group.offset : group.offset + group.bytes]
        latents[:, y : y + tall, x : x + wide] = decode_group(codec, stream, tall, wide, codec.level(70))[0]
    at_once = codec.synthesise(latents, 70.0)[:height, :width]
    assert np.abs(tiled.astype(int) - at_once).max() <= 1


def test_alpha_is_kept_exactly(codec: str) -> None:
    picture = scene(70, 50)
    y, x = np.mgrid[0:50, 0:70]
    alpha = ((x * 3 + y) % 256).astype(np.uint8)
    result = decode(encode(replace(picture, alpha=alpha), device="cpu"), strict=True, device="cpu")
    assert result.picture.alpha is not None and np.array_equal(result.picture.alpha, alpha)


def test_a_grey_picture_stays_nearly_grey(codec: str) -> None:
    grey = np.repeat(scene(64, 64).pixels[..., :1], 3, axis=2)
    decoded = decode(encode(Picture(grey), EncodeSettings(quality=90), device="cpu"), device="cpu").picture.pixels
    assert np.abs(decoded.astype(int) - decoded.mean(axis=2, keepdims=True)).mean() < (2 if codec == "shipped" else 30)


def test_metadata_is_kept_without_the_place() -> None:
    install_small_model()
    exif = Image.Exif()
    exif[0x010F] = "Camera maker"
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 0.0)})
    block = exif.tobytes()
    picture = replace(scene(32, 32), exif=block)
    kept = decode(encode(picture, device="cpu"), device="cpu").picture.exif
    assert kept is not None
    read = Image.Exif()
    read.load(kept)
    assert read[0x010F] == "Camera maker" and not read.get_ifd(0x8825)
    assert decode(encode(picture, EncodeSettings(keep_metadata=False), device="cpu"), device="cpu").picture.exif is None
    broken = replace(picture, exif=b"Exif\0\0nonsense")
    assert decode(encode(broken, device="cpu"), strict=True, device="cpu").intact


def test_large_pictures_carry_a_preview_that_any_program_can_show() -> None:
    install_small_model()
    header = inspect(encode(scene(1300, 1000, noise=60), EncodeSettings(quality=100), device="cpu"))
    assert header.preview is not None
    with Image.open(io.BytesIO(header.preview)) as image:
        assert max(image.size) == 160
    assert inspect(encode(scene(200, 100), device="cpu")).preview is None


def test_a_session_gives_the_same_file_as_a_single_call(codec: str) -> None:
    picture = scene(200, 120)
    session = PhotoSession(picture, device="cpu")
    for quality in (20.0, 75.5):
        steps: list[Progress] = []
        encoded = session.encode(quality, progress=steps.append)
        assert encoded.data == encode(picture, EncodeSettings(quality=quality), device="cpu")
        assert encoded.psnr == pytest.approx(psnr(picture.pixels, encoded.decoded.pixels))
        assert 0 < encoded.ms_ssim <= 1 and encoded.seconds_encode > 0 and encoded.seconds_decode > 0
        assert [step.fraction for step in steps] == sorted(step.fraction for step in steps)
        assert steps[-1].fraction == 1.0


def test_cancelling_stops_encoder_decoder_and_session() -> None:
    install_small_model()
    picture = scene(600, 100)
    data = encode(picture, device="cpu")
    for call in (
        lambda token, report: encode(picture, device="cpu", cancel=token, progress=report),
        lambda token, report: decode(data, device="cpu", cancel=token, progress=report),
        lambda token, report: PhotoSession(picture, device="cpu").encode(50, cancel=token, progress=report),
    ):
        token = CancelToken()
        seen: list[Progress] = []

        def report(step: Progress, token: CancelToken = token, seen: list[Progress] = seen) -> None:
            seen.append(step)
            if step.done:
                token.cancel()

        with pytest.raises(Cancelled):
            call(token, report)
        assert all(step.message for step in seen)


def test_a_file_needs_the_very_model_that_made_it() -> None:
    install_small_model()
    data = encode(scene(40, 40), device="cpu")
    write_small_model(user_folder("models") / f"{DEFAULT_MODEL}.safetensors", seed=9)
    with pytest.raises(ModelMismatch, match=DEFAULT_MODEL):
        decode(data, device="cpu")
    install_small_model().rename(user_folder("models") / "renamed.safetensors")
    assert decode(data, strict=True, device="cpu").intact


def test_a_model_without_tables_is_refused_in_words() -> None:
    from engine.models.card import ModelCard
    from tests.engine.codec_fixtures import small_network

    path = user_folder("models") / "unfinished.safetensors"
    save_model(path, small_network(), ModelCard(name="unfinished", family="hyperprior-codec"))
    with pytest.raises(ModelError, match="never finished"):
        encode(scene(16, 16), EncodeSettings(model="unfinished"), device="cpu")


def test_files_on_disk(tmp_path: Path) -> None:
    install_small_model()
    source, target, back = tmp_path / "photo.png", tmp_path / "photo.lsi", tmp_path / "back.png"
    save_picture(scene(90, 60), source)
    assert compress_file(source, target, quality=60).ssimulacra2 is None
    result = compress_file(source, target, quality=60, perceptual=True)
    assert result.after == target.stat().st_size and result.before == source.stat().st_size
    assert result.psnr > 5 and 0 <= result.ms_ssim <= 1
    decoded = decode_file(target, back, device="cpu")
    pair = open_picture(source).pixels, open_picture(back).pixels
    assert result.ssimulacra2 == ssimulacra2(*pair)
    assert (decoded.width, decoded.height) == (90, 60) and back.is_file() and not decoded.damaged_tiles
    with pytest.raises(OutputError, match="overwritten"):
        compress_file(source, source)
    with pytest.raises(UsageError, match="overwritten"):
        decode_file(target, target)
    with pytest.raises(PictureError, match=r"missing\.lsi"):
        decode_file(tmp_path / "missing.lsi", back)
    with pytest.raises(UsageError, match="quality"):
        EncodeSettings(quality=101)


@pytest.mark.skipif(not SHIPPED.is_file(), reason="no trained codec is shipped yet")
def test_a_model_of_ones_own_with_a_shipped_name_hides_no_shipped_file(monkeypatch: pytest.MonkeyPatch) -> None:
    user_folder("models").joinpath(f"{DEFAULT_MODEL}.safetensors").unlink(missing_ok=True)
    shipped_file = encode(scene(64, 48), device="cpu")
    install_small_model()
    monkeypatch.setattr(codec_model, "_opened", {})  # as in a program that has just started
    assert inspect(encode(scene(64, 48), device="cpu")).model_hash != inspect(shipped_file).model_hash
    assert decode(shipped_file, strict=True, device="cpu").intact
