"""Saving samples as PNG files that carry their latent, reading it back, and finding the model that made them."""

from __future__ import annotations

from pathlib import Path

import torch

from engine.errors import LatentStudioError, ModelError, PictureError, UsageError
from engine.files import write_bytes
from engine.generation.generator import Generator, Sample
from engine.generation.latent import Latent
from engine.image import encode_png, read_png_text
from engine.models.registry import model_files
from engine.models.store import read_card

TEXT_KEY = "latent-studio"


def save_sample(sample: Sample, path: Path) -> None:
    """Write a sample as PNG whose text chunk "latent-studio" is its latent's JSON. Raises `OutputError`."""
    write_bytes(Path(path), sample_png(sample))


def sample_png(sample: Sample) -> bytes:
    """The PNG file that `save_sample` writes."""
    return encode_png(sample.pixels, text={TEXT_KEY: sample.latent.to_json()})


def read_latent(path: Path) -> Latent:
    """The latent that a saved sample carries.

    Raises:
        PictureError: the file cannot be read, is no sample of ours, or what it carries is not a latent.
    """
    text = read_png_text(Path(path)).get(TEXT_KEY)
    if text is None:
        raise PictureError(f"{path} carries no latent.", "Choose a PNG that Latent Studio generated.")
    try:
        return Latent.from_json(text)
    except LatentStudioError as error:
        raise PictureError(f"{path} carries a latent that cannot be used. {error.problem}", error.remedy) from error


def generator_of(latent: Latent, device: torch.device | None = None) -> Generator:
    """The model that a latent was made with; where several versions are at hand, the one with the same weights.

    A version with other weights draws other pictures; compare `Generator.card.weights_sha256` with the latent's.

    Raises:
        UsageError: no model of that name is at hand.
        ModelError: it is damaged or of another family.
    """
    # A latent may come from a forged file: its model is looked for among the models, and never opened as a path.
    named = [path for path in model_files() if path.stem == latent.model]
    if not named:
        raise UsageError(
            f"This picture was made with the model {latent.model}, which is not here.",
            "Put its model file into the models folder.",
        )
    same = [path for path in named if _has_weights(path, latent.weights_sha256)]
    return Generator.load((same or named)[0], device)


def _has_weights(path: Path, sha256: str) -> bool:
    try:
        return read_card(path).weights_sha256 == sha256
    except ModelError:
        return False
