# ruff: noqa: E402 - the repository comes first on the path, so that this runs from a checkout
"""Golden files: small .lsi files that every version of the program on every machine must decode to the same values.

`python tests/golden/make.py [--model NAME]` writes those of a codec in resources/models, by default the default one:
per case `MODEL.CASE.lsi` and `MODEL.CASE.png` with its pixels, and `MODEL.json` with checksums. Files of other models
are left alone, and files that exist are never replaced: a codec that was shipped once keeps its golden files for ever.
The pictures are cut out of the samples (resources/samples/CREDITS.md).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parents[1]))

import numpy as np
from PIL import Image

from engine.compression import DEFAULT_MODEL, EncodeSettings, decode, encode, inspect
from engine.compression.codec_model import open_codec_by_hash
from engine.compression.container import LATENT_STRIDE, group_stream
from engine.compression.decoding import DecodingModel
from engine.compression.walk import decode_group
from engine.image import Picture, encode_png, open_picture
from engine.models.store import read_card
from engine.paths import resources


@dataclass(frozen=True)
class Golden:
    """What a file must decode to.

    Attributes:
        symbols: per group the checksum of hyper-latents and latents, as decoding gives it.
        latents: SHA-256 of the decoded latents of all groups, int16 little-endian in 1/16 steps.
        exif: SHA-256 of the EXIF block; None without one.
    """

    symbols: list[int]
    latents: str
    exif: str | None


def golden_of(data: bytes) -> Golden:
    """Decode the symbols of a file, without comparing them with the checksums that the file holds."""
    header = inspect(data)
    codec = open_codec_by_hash(header.model_name, header.model_hash, "cpu")
    exif = decode(data, strict=True, device="cpu").picture.exif
    return Golden(*golden_of_model(codec, data), None if exif is None else hashlib.sha256(exif).hexdigest())


def golden_of_model(codec: DecodingModel, data: bytes) -> tuple[list[int], str]:
    """`Golden.symbols` and `Golden.latents` of a file as this codec decodes it."""
    header = inspect(data)
    symbols, latents = [], hashlib.sha256()
    for group in header.groups:
        wide, tall = -(-group.width // LATENT_STRIDE), -(-group.height // LATENT_STRIDE)
        values, checksum = decode_group(codec, group_stream(data, group), tall, wide, codec.level(header.quality))
        symbols.append(checksum)
        latents.update(values.astype("<i2").tobytes())
    return symbols, latents.hexdigest()


def pixels_of(data: bytes) -> np.ndarray:
    """(H, W, 3 or 4) uint8."""
    picture = decode(data, strict=True, device="cpu").picture
    return picture.pixels if picture.alpha is None else np.dstack([picture.pixels, picture.alpha])


def crop(sample: str, x: int, y: int, width: int, height: int) -> Picture:
    """A part of a bundled sample."""
    pixels = open_picture(resources() / "samples" / "photos" / sample).pixels
    return Picture(np.ascontiguousarray(pixels[y : y + height, x : x + width]))


def cases() -> dict[str, tuple[Picture, float]]:
    """Pictures and qualities, low to highest; opacity and EXIF, sides that are no multiples of 16, two groups."""
    framed = crop("golden-gate.jpg", 300, 180, 115, 83)
    y, x = np.mgrid[0:83, 0:115]
    exif = Image.Exif()
    exif[0x010F] = "Latent Studio"
    alpha = np.minimum(255, (x + y) * 2).astype(np.uint8)
    return {
        "plain": (crop("bee.jpg", 320, 160, 128, 96), 30.0),
        "framed": (replace(framed, alpha=alpha, exif=exif.tobytes()), 72.25),
        "fine": (crop("stones.jpg", 200, 100, 48, 64), 100.0),
        "groups": (crop("mountain-lake.jpg", 100, 200, 600, 40), 8.0),
    }


def make(model: str) -> list[Path]:
    """Write the golden files of a model; returns their paths. Raises FileExistsError where it has some."""
    path = resources() / "models" / f"{model}.safetensors"
    index = FOLDER / f"{model}.json"
    if index.exists():
        raise FileExistsError(f"{index} exists: golden files are never replaced. Give a changed model another name.")
    written, entries = [], {}
    for case, (picture, quality) in cases().items():
        data = encode(picture, EncodeSettings(quality=quality, model=str(path)), device="cpu")
        file = FOLDER / f"{model}.{case}.lsi"
        file.write_bytes(data)
        file.with_suffix(".png").write_bytes(encode_png(pixels_of(data)))
        written += [file, file.with_suffix(".png")]
        entries[case] = asdict(golden_of(data))
    content = {"model": model, "model_sha256": read_card(path).weights_sha256, "files": entries}
    index.write_text(json.dumps(content, indent=2) + "\n")
    return [*written, index]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write the golden files of a codec model.")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="a codec in resources/models")
    try:
        for made in make(parser.parse_args().model):
            print(f"{made}  {made.stat().st_size} bytes")
    except FileExistsError as error:
        sys.exit(str(error))
