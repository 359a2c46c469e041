"""Saving samples as PNG files that carry their latent, and reading it back."""

from __future__ import annotations

from pathlib import Path

from engine.errors import PictureError
from engine.files import write_bytes
from engine.generation.generator import Sample
from engine.generation.latent import Latent
from engine.image import encode_png, read_png_text

TEXT_KEY = "latent-studio"


def save_sample(sample: Sample, path: Path) -> None:
    """Write a sample as PNG whose text chunk "latent-studio" is its latent's JSON. Raises `OutputError`."""
    write_bytes(Path(path), encode_png(sample.pixels, text={TEXT_KEY: sample.latent.to_json()}))


def read_latent(path: Path) -> Latent:
    """The latent that a saved sample carries.

    Raises:
        PictureError: the file cannot be read, or is no sample of ours.
        LatentStudioError: what it carries is not a latent.
    """
    text = read_png_text(Path(path)).get(TEXT_KEY)
    if text is None:
        raise PictureError(f"{path} carries no latent.", "Choose a PNG that Latent Studio generated.")
    return Latent.from_json(text)
