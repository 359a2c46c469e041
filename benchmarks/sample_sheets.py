# ruff: noqa: E402 - the repository comes first on the path, so that the script runs from a checkout
"""Sheets of samples for the README: every class of a model in a row of its own, none of them picked by hand.

Run `python benchmarks/sample_sheets.py [--model NAME ...] [--columns 12] [--seed 1] [--out DIR]`. A column has one
seed, so it shows one style in every class; models with several attributes have a row for each value of the first one,
and the others differ from column to column. Writes docs/images/samples-NAME.png.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from engine.generation import Generator, SamplingSettings
from engine.models.conditional_vae import ConditionalVAE
from engine.models.registry import list_models

GAP = 2
SMALLEST = 56  # pixels a picture is enlarged to, by whole factors
TEXT = 13


def sample_sheet(generator: Generator, columns: int, seed: int) -> Image.Image:
    """The sheet of one model: names on the left, `columns` samples beside each."""
    attribute = generator.attributes[0]
    rows = [
        np.stack([one.pixels for one in generator.sample(SamplingSettings({attribute.name: value}), columns, seed)])
        for value in attribute.values
    ]
    factor = max(1, -(-SMALLEST // generator.image_size[1]))
    rows = [row.repeat(factor, axis=1).repeat(factor, axis=2) for row in rows]
    side = rows[0].shape[1]
    font = ImageFont.load_default(TEXT)
    margin = 2 * GAP + round(max(font.getlength(value) for value in attribute.values))
    size = margin + columns * (side + GAP), len(rows) * (side + GAP) + GAP
    sheet = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(sheet)
    for index, (value, row) in enumerate(zip(attribute.values, rows, strict=True)):
        top = GAP + index * (side + GAP)
        pen.text((GAP, top + side // 2), value, fill="black", font=font, anchor="lm")
        for column, pixels in enumerate(row):
            sheet.paste(Image.fromarray(pixels), (margin + column * (side + GAP), top))
    return sheet


def main() -> None:
    """Draw and write the sheets."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--model", action="append", help="repeatable; every model with attributes by default")
    parser.add_argument("--columns", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    options = parser.parse_args()
    named = [card.name for card in list_models(ConditionalVAE.family) if card.attributes]
    options.out.mkdir(parents=True, exist_ok=True)
    for model in options.model or named:
        generator = Generator.load(model)
        path = options.out / f"samples-{generator.card.name}.png"
        sample_sheet(generator, options.columns, options.seed).save(path, optimize=True)
        print(f"Written to {path}")


if __name__ == "__main__":
    main()
