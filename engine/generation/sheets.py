"""Contact sheets of samples, and one representative picture per value of an attribute."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from engine.errors import UsageError
from engine.generation.generator import Generator
from engine.generation.latent import Latent
from engine.models.card import Attribute


def contact_sheet(
    pictures: Sequence[np.ndarray], columns: int, gap: int = 2, background: tuple[int, int, int] = (255, 255, 255)
) -> np.ndarray:
    """Lay pictures of one size out in rows.

    Args:
        pictures: (H, W, 3) uint8 each.
        columns: pictures in a row; at most so many.
        gap: pixels between them and around.
        background: colour of gaps and empty places.

    Returns:
        (H', W', 3) uint8.

    Raises:
        UsageError: no pictures, pictures of different sizes, or fewer than one column.
    """
    if not pictures or columns < 1 or gap < 0:
        raise UsageError("A contact sheet needs pictures and at least one column.", "Generate some pictures first.")
    height, width = pictures[0].shape[:2]
    if any(picture.shape != (height, width, 3) for picture in pictures):
        raise UsageError("The pictures of a contact sheet must have one size.", "Lay them out in sheets of their own.")
    columns = min(columns, len(pictures))
    rows = math.ceil(len(pictures) / columns)
    shape = (rows * (height + gap) + gap, columns * (width + gap) + gap, 3)
    sheet = np.full(shape, np.array(background, np.uint8), np.uint8)
    for index, picture in enumerate(pictures):
        top, left = gap + (index // columns) * (height + gap), gap + (index % columns) * (width + gap)
        sheet[top : top + height, left : left + width] = picture
    return sheet


def class_tiles(generator: Generator, attribute: str | None = None) -> dict[str, np.ndarray]:
    """One typical picture, (H, W, 3) uint8, per value of an attribute (the first one by default).

    All are drawn from the centre of the style space, with the other attributes the same in every tile.

    Raises:
        UsageError: the model has no such attribute.
    """
    by_name = {one.name: one for one in generator.attributes}
    name = attribute if attribute is not None else next(iter(by_name), None)
    if name is None or name not in by_name:
        raise UsageError(f"The model {generator.card.name} has no attribute {name!r}.", "Choose one of its card's.")
    usual = {other.name: _usual_value(other) for other in generator.attributes}
    centre = (0.0,) * generator.network.config.latent_size
    return {
        value: generator.draw(
            Latent(generator.card.name, generator.card.weights_sha256, "style", centre, {**usual, name: value})
        )
        for value in by_name[name].values
    }


def _usual_value(attribute: Attribute) -> str:
    """What a tile shows for an attribute it is not about: "none" where that exists, so that nothing is covered."""
    return "none" if "none" in attribute.values else attribute.values[0]
