# ruff: noqa: E402 - the repository comes first on the path, so that the benchmark runs from a checkout
"""Crops of Kodak photos side by side: the original, ours, and JPEG, WebP, AVIF and JPEG XL in files no larger.

Run `python benchmarks/crops.py [--model NAME] [--out FOLDER]`. Each photo is compressed whole to a rate, and every
rival to at most as many bytes as ours took; then the same 240 x 240 pixels of all are shown, unscaled. Under each stand
the bytes of its file and the PSNR and SSIMULACRA2 of the whole photo. AVIF is 4:4:4 tuned for PSNR, its best by PSNR.
Writes docs/images/crops.png and crops-high.png, and their figures to benchmarks/results/crops.json.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import torch
from PIL import Image, ImageDraw, ImageFont
from rich.progress import track

from engine.compression import EncodeSettings, Region, Target, decode, encode
from engine.compression.codec_model import open_codec
from engine.compression.rivals import decode_rival, encode_rival_to_size
from engine.compression.settings import DEFAULT_MODEL
from engine.errors import DataError
from engine.evaluation.image_quality import psnr
from engine.evaluation.ssimulacra2 import ssimulacra2
from engine.image import Picture, open_picture
from engine.paths import data_roots

# So large that both pictures together show eight places and stay small for a web page.
SIDE = 240


@dataclass(frozen=True)
class Crop:
    """A place in a Kodak photo, its upper left corner, and what is to be seen there."""

    photo: str
    x: int
    y: int
    what: str


CROPS = (
    Crop("kodim04", 130, 260, "a face"),
    Crop("kodim08", 500, 190, "lettering and windows"),
    Crop("kodim07", 480, 190, "leaves"),
    Crop("kodim21", 250, 30, "a tower before the sky"),
)
# Bits per pixel of the whole photo -> name of the picture.
RATES = {0.25: "crops.png", 0.6: "crops-high.png"}
RIVALS = {"jpeg": "JPEG", "webp": "WebP", "avif": "AVIF 4:4:4, tune=psnr", "jxl": "JPEG XL"}
OURS = "Latent Studio"

GAP, TITLE, LABEL = 6, 30, 36
INK, FAINT, PAPER = "#111111", "#555555", "#ffffff"
COLUMNS = 3


@dataclass(frozen=True)
class Shown:
    """One codec's result for one photo; without figures for the original."""

    name: str
    picture: Picture
    bytes: int | None = None
    psnr: float | None = None
    ssimulacra2: float | None = None

    @property
    def figures(self) -> str:
        """The line under its name."""
        if self.bytes is None:
            return f"{self.picture.width} x {self.picture.height} pixels"
        return f"{self.bytes:,} B   {self.psnr:.2f} dB   SSIMULACRA2 {self.ssimulacra2:.1f}"


def photo(name: str) -> Picture:
    """A Kodak photo."""
    for root in data_roots():
        file = root / "kodak" / f"{name}.png"
        if file.is_file():
            return open_picture(file)
    raise DataError("The Kodak photos are not at hand.", "Set LATENT_STUDIO_DATA to the folder that holds kodak/.")


def compare(picture: Picture, rate: float, model: str) -> list[Shown]:
    """The photo as it is, by our codec at that rate, and by every rival in at most as many bytes."""

    def judged(name: str, data: bytes, decoded: Picture) -> Shown:
        pair = picture.pixels, decoded.pixels
        return Shown(name, decoded, len(data), round(psnr(*pair), 3), round(ssimulacra2(*pair), 2))

    ours = encode(picture, EncodeSettings(target=Target("bpp", rate), model=model), device="cpu")
    result = [Shown("Original", picture), judged(OURS, ours, decode(ours, strict=True, device="cpu").picture)]
    for codec, name in RIVALS.items():
        data = encode_rival_to_size(codec, picture, len(ours), tune_psnr=codec == "avif")
        if len(data) > len(ours):
            name = f"{name} (cannot be smaller)"
        result.append(judged(name, data, decode_rival(data)))
    return result


def draw(blocks: list[tuple[Crop, float, list[Shown]]]) -> Image.Image:
    """All crops of one rate, a block of two rows for each."""
    rows = -(-(len(RIVALS) + 2) // COLUMNS)
    tall = TITLE + rows * (SIDE + LABEL)
    sheet = Image.new("RGB", (COLUMNS * SIDE + (COLUMNS + 1) * GAP, len(blocks) * tall + GAP), PAPER)
    pen = ImageDraw.Draw(sheet)
    title, name, figures = (ImageFont.load_default(size) for size in (16, 14, 12))
    for number, (crop, rate, shown) in enumerate(blocks):
        top = number * tall
        text = f"{crop.photo}: {crop.what}, the photo at {rate:g} bits per pixel"
        pen.text((GAP, top + TITLE / 2), text, INK, title, anchor="lm")
        region = Region(crop.x, crop.y, SIDE, SIDE)
        for place, entry in enumerate(shown):
            x = GAP + place % COLUMNS * (SIDE + GAP)
            y = top + TITLE + place // COLUMNS * (SIDE + LABEL)
            pixels = entry.picture.pixels[region.y : region.bottom, region.x : region.right]
            sheet.paste(Image.fromarray(pixels), (x, y))
            pen.text((x, y + SIDE + 10), entry.name, INK, name, anchor="lm", stroke_width=0.3 * (entry.name == OURS))
            pen.text((x, y + SIDE + 25), entry.figures, FAINT, figures, anchor="lm")
    return sheet


def main() -> None:
    """Compress, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=DEFAULT_MODEL, help="registry name or path of our codec")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks" / "results" / "crops.json")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    card = open_codec(options.model, "cpu").card
    figures = []
    for rate, stem in RATES.items():
        blocks = []
        for crop in track(CROPS, description=f"{rate:g} bits per pixel"):
            shown = compare(photo(crop.photo), rate, options.model)
            blocks.append((crop, rate, shown))
            rows = [
                {"codec": entry.name, "bytes": entry.bytes, "psnr": entry.psnr, "ssimulacra2": entry.ssimulacra2}
                for entry in shown[1:]
            ]
            figures.append({**asdict(crop), "bpp": rate, "results": rows})
        options.out.mkdir(parents=True, exist_ok=True)
        draw(blocks).save(options.out / stem, optimize=True)
        print(f"Written to {options.out / stem}, {(options.out / stem).stat().st_size:,} bytes")
    model = {"name": card.name, "weights_sha256": card.weights_sha256}
    options.json.write_text(json.dumps({"model": model, "crops": figures}, indent=1) + "\n")


if __name__ == "__main__":
    main()
