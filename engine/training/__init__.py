"""Training: a Recipe (TOML) goes in, a model file and a log come out, on one process or many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.training.recipe import Recipe, Stage, list_recipes, load_recipe, recipe_of, save_recipe
from engine.training.run_log import RunLog, read_log

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Recipe", "RunLog", "Stage", "list_recipes", "load_recipe", "read_log", "recipe_of", "save_recipe", "train"]


def train(recipe: Recipe, run_folder: Path, **options: Any) -> Path | None:
    """Run `engine.training.trainer.train`, importing torch only now: recipes and logs are read without it."""
    from engine.training.trainer import train as run

    return run(recipe, run_folder, **options)
