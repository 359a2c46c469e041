"""Choosing a device, and the same results on a GPU as on the CPU where there is one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.compression import EncodeSettings, decode, encode
from engine.device import choose_device
from engine.errors import DeviceError, UsageError
from engine.generation import Generator, SamplingSettings
from engine.image import open_picture
from engine.paths import resources
from engine.segmentation import Segmenter

SAMPLES = resources() / "samples"
on_gpu = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")]
CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


def test_the_wish_comes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATENT_STUDIO_DEVICE", "cuda:99")
    assert choose_device("cpu").is_cpu
    with pytest.raises(DeviceError, match="cuda:99"):
        choose_device()


@pytest.mark.parametrize("wish", ["tpu", "gpu"])
def test_unknown_kinds_of_device_are_wrong_usage(wish: str) -> None:
    with pytest.raises(UsageError, match=wish):
        choose_device(wish)


def test_threads_must_be_positive() -> None:
    with pytest.raises(UsageError, match="0 CPU threads"):
        choose_device("cpu", threads=0)


class TestOnGpu:
    """The entropy path is exact everywhere; pictures may differ by rounding, masks where two classes tie."""

    pytestmark = on_gpu

    def test_a_file_decodes_to_the_same_picture(self) -> None:
        data = encode(open_picture(SAMPLES / "photos" / "bee.jpg"), EncodeSettings(quality=60), device="cpu")
        here, there = (decode(data, strict=True, device=device).picture.pixels for device in ("cpu", "cuda"))
        assert np.abs(here.astype(int) - there.astype(int)).max() <= 2

    def test_samples_are_the_same_pictures(self) -> None:
        settings = SamplingSettings({"digit": "7"})
        here, there = (Generator.load("digits-cvae", device).sample(settings, 4, 1) for device in (CPU, GPU))
        for one, other in zip(here, there, strict=True):
            assert np.abs(one.pixels.astype(int) - other.pixels.astype(int)).max() <= 4

    def test_masks_agree(self) -> None:
        picture = open_picture(SAMPLES / "nuclei" / "smear.jpg")
        here, there = (Segmenter.load("nuclei-segmenter", device).segment(picture).mask for device in (CPU, GPU))
        assert (here == there).mean() >= 0.999
