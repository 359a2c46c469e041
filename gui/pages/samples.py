"""The bundled pictures that pages open with."""

from __future__ import annotations

from pathlib import Path

from engine.paths import resources

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


def sample_paths(kind: str) -> list[Path]:
    """Pictures in `resources/samples/KIND`, by name."""
    folder = resources() / "samples" / kind
    return sorted(path for path in folder.glob("*") if path.suffix.lower() in SUFFIXES)
