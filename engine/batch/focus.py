"""What the focus of a batch means: a drawn mask, or what a segmentation model finds, as each photo's quality map."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import UsageError

if TYPE_CHECKING:
    from engine.compression.quality_map import QualityMap
    from engine.device import ComputeDevice
    from engine.image import Picture
    from engine.segmentation import Segmenter


def focus_maker(wish: str, drop: float, device: ComputeDevice) -> Callable[[Picture], QualityMap]:
    """Makes the quality map of a photo: what is in focus keeps its quality, all else loses `drop` points.

    Args:
        wish: a mask PNG as large as the photo (class number or grey value 0 is out of focus), a folder of such masks
            with the photos' names, or a segmentation model (its first class is out of focus).

    Raises:
        UsageError, ModelError: it is none of these.
    """
    path = Path(wish)
    if path.exists():
        return partial(_from_mask, path, drop)
    if path.suffix:
        raise UsageError(f"There is no mask {wish}.", "Give a PNG, a folder of PNGs, or a segmentation model.")
    from engine.segmentation import Segmenter

    return partial(_from_model, Segmenter.load(wish, device.torch_device), drop)


def _from_mask(path: Path, drop: float, picture: Picture) -> QualityMap:
    from engine.compression.quality_map import QualityMap
    from engine.segmentation import load_mask

    if path.is_dir():
        path = path / f"{Path(picture.name).stem}.png"
    mask = load_mask(path).mask
    if mask.shape != picture.pixels.shape[:2]:
        raise UsageError(
            f"The mask {path} has {mask.shape[1]} x {mask.shape[0]} pixels, the photo {picture.width} x "
            f"{picture.height}.",
            "Make the mask as large as the upright photo.",
        )
    return QualityMap.from_mask(mask > 0, inside=0.0, outside=-drop)


def _from_model(segmenter: Segmenter, drop: float, picture: Picture) -> QualityMap:
    from engine.compression.quality_map import QualityMap

    return QualityMap.from_mask(segmenter.segment(picture).mask > 0, inside=0.0, outside=-drop)
