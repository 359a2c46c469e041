"""A codec model at work: its transforms on any device, its integer entropy networks and tables on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TypeVar, cast

import numpy as np
import torch
from torch import Tensor

from engine.compression.container import MEAN_STEPS
from engine.compression.entropy import Table
from engine.compression.group_context import GroupContext, GroupContextModel
from engine.compression.settings import DEFAULT_MODEL
from engine.compression.walk import local_levels, quality_level
from engine.device import ComputeDevice, choose_device
from engine.errors import DeviceError, ModelError, ModelMismatch, UsageError
from engine.models.card import ModelCard
from engine.models.hyperprior_codec import (
    HYPER_RADIUS,
    HYPER_TOTAL,
    LATENT_RADIUS,
    LATENT_TOTAL,
    Gains,
    HyperpriorCodec,
)
from engine.models.registry import load_model, model_files, resolve_model
from engine.models.store import read_card

ResultT = TypeVar("ResultT")

DeviceWish = ComputeDevice | torch.device | str | None


class CodecModel:
    """What encoder and decoder need of a model.

    Attributes:
        card: the model's description.
        latent_tables: one table per scale bin.
        hyper_tables: one list of tables, by channel, per quality level.
    """

    def __init__(self, name_or_path: str | Path, device: torch.device) -> None:
        model = load_model(name_or_path, device)
        if not isinstance(model.network, HyperpriorCodec):
            raise UsageError(
                f"{model.card.name!r} is no codec but a model of family {model.card.family}.",
                f"Choose one of family hyperprior-codec, such as {DEFAULT_MODEL}.",
            )
        self.card: ModelCard = model.card
        self.device = device
        self._transforms = model.network
        self._on_cpu = cast(HyperpriorCodec, load_model(name_or_path, torch.device("cpu")).network)
        frequencies = self._on_cpu.latent_frequencies.numpy()
        hyper_frequencies = self._on_cpu.hyper_frequencies.numpy()
        if not (_are_tables(frequencies, LATENT_TOTAL) and _are_tables(hyper_frequencies, HYPER_TOTAL)):
            raise ModelError(
                f"The model {self.card.name!r} has no sound frequency tables: its training was never finished, or its "
                "file was changed.",
                "Use the model file that the training writes at its end, or get it again.",
            )
        self.latent_tables = [Table.from_frequencies(row, LATENT_RADIUS) for row in frequencies]
        self._hyper_tables: dict[int, list[Table]] = {}
        self._context = GroupContextModel(self._on_cpu)

    @property
    def latent_channels(self) -> int:
        """Channels of y."""
        return self._on_cpu.config.latent_channels

    @property
    def hyper_channels(self) -> int:
        """Channels of z."""
        return self._on_cpu.config.hyper_channels

    @property
    def synthesis_halo(self) -> int:
        """How many latents beyond a window its pixels depend on."""
        return self._on_cpu.synthesis_halo

    @property
    def entropy_network(self) -> HyperpriorCodec:
        """The network on the CPU, where the integer path always runs."""
        return self._on_cpu

    def hyper_tables(self, level: int) -> list[Table]:
        """The tables of the hyper-latents, by channel, at a quality level."""
        if level not in self._hyper_tables:
            rows = self._on_cpu.hyper_frequencies[level].numpy()
            self._hyper_tables[level] = [Table.from_frequencies(row, HYPER_RADIUS) for row in rows]
        return self._hyper_tables[level]

    def level(self, quality: float) -> int:
        """Entropy-model level of a quality."""
        return quality_level(quality, self._on_cpu.config.quality_levels)

    def local_levels(self, quality: float | np.ndarray) -> np.ndarray | None:
        """Entropy-model levels (h, w) int64 of a quality map in hundredths; None where the quality is one number."""
        return local_levels(quality, self._on_cpu.config.quality_levels)

    def prepare(self, hyper: np.ndarray, levels: np.ndarray, height: int, width: int) -> GroupContext:
        """See `EntropyModel`."""
        return self._context.prepare(hyper, levels, height, width)

    def distribution(
        self, prepared: GroupContext, latents: np.ndarray, step: int, places: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `EntropyModel`."""
        return self._context.distribution(prepared, latents, step, places)

    def quantising_gain(self, quality: float | np.ndarray) -> Tensor:
        """(M, 1, 1) on the CPU; (M, h, w) of a quality map (h, w) in hundredths."""
        with torch.inference_mode():
            return gains_of(self._on_cpu, quality).quantise[0]

    def analyse(self, pixels: np.ndarray) -> Tensor:
        """(H, W, 3) uint8, sides multiples of 16 -> latents (M, H/16, W/16) on the CPU, before any gain."""

        def run(network: HyperpriorCodec, device: torch.device) -> Tensor:
            images = torch.from_numpy(pixels).to(device).permute(2, 0, 1)[None].float() / 255.0
            return network.analysis(images)[0].float().cpu()

        return self._transform(run)

    def synthesise(self, latents: np.ndarray, quality: float | np.ndarray) -> np.ndarray:
        """Decoded latents (M, h, w) int16 in 1/16 steps -> pixels (16h, 16w, 3) uint8.

        Args:
            quality: 0..100, or a map (h, w) in hundredths.
        """

        def run(network: HyperpriorCodec, device: torch.device) -> np.ndarray:
            values = torch.from_numpy(latents).to(device).float()[None] * (1.0 / MEAN_STEPS)
            gains = gains_of(network, quality, device)
            values = (values * gains.restore).contiguous(memory_format=torch.channels_last)
            pixels = network.synthesis(values, gains.filter)[0].float()
            pixels = pixels.mul_(255.0).add_(0.5).nan_to_num_(0.0).clamp_(0.0, 255.0)
            return pixels.to(torch.uint8).permute(1, 2, 0).contiguous().cpu().numpy()

        return self._transform(run)

    def _transform(self, run: Callable[[HyperpriorCodec, torch.device], ResultT]) -> ResultT:
        """Run a transform on the device; where its memory does not suffice, on the CPU."""
        with torch.inference_mode():
            try:
                return run(self._transforms, self.device)
            except torch.OutOfMemoryError:
                torch.cuda.empty_cache()
            except RuntimeError as error:
                if "allocate" not in str(error):
                    raise
                if self.device.type == "cpu":
                    raise DeviceError(
                        "There is not enough free memory.", "Close other programs and try again."
                    ) from error
            return run(self._on_cpu, torch.device("cpu"))


def gains_of(network: HyperpriorCodec, quality: float | np.ndarray, device: torch.device | None = None) -> Gains:
    """Gain vectors of a quality (0..100), or of each place of a map (h, w) in hundredths: then `quantise` and `restore`
    are (1, M, h, w), and `filter` (1, high, 2h, 2w) as the synthesis takes it."""
    if not isinstance(quality, np.ndarray):
        return network.gains(torch.tensor([quality], device=device))
    found, places = np.unique(quality, return_inverse=True)
    index = torch.from_numpy(places.reshape(quality.shape)).to(device)
    each = network.gains(torch.from_numpy(found / 100.0).float().to(device))
    quantise, restore, filtering = (gain[index, :, 0, 0].permute(2, 0, 1)[None] for gain in each)
    return Gains(quantise, restore, filtering.repeat_interleave(2, -1).repeat_interleave(2, -2))


def _are_tables(frequencies: np.ndarray, total: int) -> bool:
    """True where the range coder can use every row (..., symbols): all add up, none is negative, all can escape."""
    sums = frequencies.sum(axis=-1, dtype=np.int64)
    return bool((sums == total).all() and (frequencies >= 0).all() and (frequencies[..., -1] > 0).all())


# Models that were opened by path may lie outside the folders that are searched: hash -> file.
_opened: dict[str, Path] = {}


def open_codec(model: str | Path | None = None, device: DeviceWish = None) -> CodecModel:
    """The codec of that registry name or path; opened once per device while its file does not change.

    Raises:
        UsageError, ModelError, DeviceError.
    """
    path = resolve_model(model if model is not None else DEFAULT_MODEL)
    return _open_cached(path, path.stat().st_mtime_ns, _torch_device(device))


def open_codec_by_hash(name: str, digest: str, device: DeviceWish = None) -> CodecModel:
    """The codec that a file names. Raises `ModelMismatch` where no model at hand has this hash."""
    files = model_files()
    candidates = sorted(files, key=lambda path: path.stem != name)
    if digest in _opened:
        candidates.append(_opened[digest])
    for path in candidates:
        try:
            card = read_card(path)
        except ModelError:
            continue  # of the other models one may fit
        if card.family == HyperpriorCodec.family and card.weights_sha256 == digest:
            return open_codec(path, device)
    if any(path.stem == name for path in files):
        raise ModelMismatch(
            f"The file was made with another version of the model {name!r} ({digest[:12]}).",
            "Put that version of the model into your models folder.",
        )
    raise ModelMismatch(
        f"The file was made with the model {name!r} ({digest[:12]}), which is not at hand.",
        "Put the model into your models folder.",
    )


@lru_cache(maxsize=4)
def _open_cached(path: Path, _modified: int, device: torch.device) -> CodecModel:
    codec = CodecModel(path, device)
    _opened[codec.card.weights_sha256] = path
    return codec


def _torch_device(wish: DeviceWish) -> torch.device:
    if isinstance(wish, ComputeDevice):
        return wish.torch_device
    if isinstance(wish, torch.device):
        return wish
    return choose_device(wish).torch_device
