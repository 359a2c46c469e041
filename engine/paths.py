"""Where things lie: shipped resources, the user's folders, data roots."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from platformdirs import PlatformDirs


@cache
def resources() -> Path:
    """The folder of shipped resources: recipes, models, samples, icons."""
    import resources as package  # not importlib.resources, which costs every start some hundredths of a second

    return Path(package.__file__ or "").parent


def user_folder(kind: str) -> Path:
    """The user's folder for `kind`: settings, models, data, runs, gallery, journals or logs. Not created here."""
    folders = _user_folders()
    base = {"settings": folders.user_config_path, "logs": folders.user_log_path}.get(kind)
    return base if base is not None else folders.user_data_path / kind


@cache
def _user_folders() -> PlatformDirs:
    from platformdirs import PlatformDirs  # the viewer, which has shipped resources only, is installed without it

    return PlatformDirs("LatentStudio", appauthor=False)


def model_folders() -> list[Path]:
    """Folders searched for models, the user's own first."""
    shipped = resources() / "models"
    return [user_folder("models"), shipped, shipped / "research"]


def recipe_folders() -> list[Path]:
    """Folders searched for recipes, the user's own first."""
    return [user_folder("settings") / "recipes", resources() / "recipes"]


def data_roots(extra: list[Path] | None = None) -> list[Path]:
    """Folders searched for named data sets: `--data-root`, then LATENT_STUDIO_DATA, then the user's data folder."""
    listed = os.environ.get("LATENT_STUDIO_DATA", "")
    named = [Path(part) for part in listed.split(os.pathsep) if part]
    return [*(extra or []), *named, user_folder("data")]
