"""Where a classic lossless file is smaller than a compressed one, it is said."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.compression.lossless import LosslessFile, smaller_lossless
from engine.errors import Cancelled
from engine.image import Picture, save_picture
from engine.progress import CancelToken
from tests.engine.codec_fixtures import compress_file, install_small_model, scene


def drawing(alpha: bool = False) -> Picture:
    """Flat colours with hard edges, as in a screenshot."""
    pixels = np.full((300, 400, 3), 245, np.uint8)
    for row in range(10, 290, 20):
        pixels[row : row + 8, 20 : 20 + (row * 7) % 350] = 40
    return Picture(pixels, np.tile(np.array([[255, 0]], np.uint8), (300, 200)) if alpha else None)


@pytest.mark.parametrize("alpha", [False, True])
def test_a_drawing_is_smaller_without_loss(alpha: bool) -> None:
    found = smaller_lossless(drawing(alpha), 5_000)
    assert found is not None and 0 < found.bytes < 5_000
    stream = io.BytesIO()
    picture = drawing(alpha)
    planes = picture.pixels if picture.alpha is None else np.dstack([picture.pixels, picture.alpha])
    Image.fromarray(planes).save(stream, "WEBP", lossless=True, exact=True)
    assert found.bytes <= 1.5 * stream.tell()


def test_a_photo_is_not() -> None:
    picture = scene(500, 300)
    assert smaller_lossless(picture, 30_000) is None
    found = smaller_lossless(picture, 10**6)
    assert found is not None and 100_000 < found.bytes < 450_000


def test_it_is_said_beside_the_compressed_file(tmp_path: Path) -> None:
    install_small_model()
    save_picture(drawing(), tmp_path / "drawing.png")
    result = compress_file(tmp_path / "drawing.png", tmp_path / "drawing.lsi", quality=90)
    assert result.lossless is not None and result.lossless[1] < result.after
    assert f"{result.lossless[1]:,} bytes" in LosslessFile(*result.lossless).sentence


def test_cancelling_stops_it() -> None:
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        smaller_lossless(drawing(), 5_000, token)
