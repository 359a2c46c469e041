"""A small codec with random weights, for tests: it compresses poorly, but every rule of the format holds for it."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.batch.encoding import FileWorker
from engine.batch.plan import Task
from engine.batch.reports import FileResult
from engine.batch.settings import BatchSettings
from engine.compression.settings import DEFAULT_MODEL
from engine.image import Picture
from engine.models.card import ModelCard
from engine.models.hyperprior_codec import HyperpriorCodec, HyperpriorCodecConfig, IntegerBias, IntegerConv
from engine.models.store import save_model
from engine.paths import resources, user_folder

SHIPPED = resources() / "models" / f"{DEFAULT_MODEL}.safetensors"

SMALL = HyperpriorCodecConfig(
    latent_channels=24, hyper_channels=8, high_channels=24, low_channels=24, encoder_high_blocks=1,
    encoder_low_blocks=1, decoder_low_blocks=1, decoder_high_blocks=2, context_channels=16, gain_knots=3,
    quality_levels=3,
)  # fmt: skip


def small_network(seed: int = 0) -> HyperpriorCodec:
    """Random weights everywhere, so that means, scales and context depend on what was decoded before."""
    torch.manual_seed(seed)
    network = HyperpriorCodec(SMALL)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, IntegerConv):
                module.weight.add_(0.05 * torch.randn_like(module.weight))
            elif isinstance(module, IntegerBias):
                module.rows.add_(0.2 * torch.randn_like(module.rows))
        network.hyper_log_scale.fill_(1.0)
        for block in network.synthesis.low:
            block.contract.weight.add_(0.1 * torch.randn_like(block.contract.weight))  # type: ignore[union-attr]
    return network.eval()


def write_small_model(path: Path, seed: int = 0, name: str = DEFAULT_MODEL) -> ModelCard:
    """Finish the small network and save it as a codec model."""
    network = small_network(seed)
    card = network.finish([], ModelCard(name=name, family="hyperprior-codec"))
    return save_model(path, network, card)


@cache
def _small_model_bytes() -> bytes:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{DEFAULT_MODEL}.safetensors"
        write_small_model(path)
        return path.read_bytes()


def install_small_model() -> Path:
    """Make the small codec the default one of this test's own user folders."""
    path = user_folder("models") / f"{DEFAULT_MODEL}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_small_model_bytes())
    return path


def scene(width: int, height: int, seed: int = 0, noise: float = 6.0) -> Picture:
    """A picture with slopes, edges and texture, any size."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    waves = np.stack([np.sin(x / 23 + y / 61), np.cos(x / 47 - y / 19), np.sin((x + y) / 37)], axis=-1) * 70
    edges = (((x // 40 + y // 56) % 3 == 0)[..., None]) * np.array([50, -30, 20])
    grain = rng.normal(0, noise, (height, width, 3))
    return Picture(np.clip(128 + waves + edges + grain, 0, 255).astype(np.uint8))


def compress_file(source: Path, target: Path, **wishes: Any) -> FileResult:
    """Compress a file as batches do, with `BatchSettings` of these wishes."""
    worker = FileWorker(BatchSettings(**wishes), "cpu")
    return worker.run(Task(0, source, target, target.with_name(f"copy of {source.name}"), replace=True))
