"""Segmenter: a model, ready to label pictures of any size, whole or in tiles, within bounded memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from engine.device import choose_device
from engine.errors import DeviceError, ModelError
from engine.image import Picture
from engine.models.card import ModelCard, SegmentationClass
from engine.models.dilated_segmenter import DilatedSegmenter
from engine.models.registry import load_model
from engine.progress import CancelToken, Progress, ProgressCallback, ignore_progress, never_cancelled
from engine.segmentation.regions import separate_objects
from engine.segmentation.result import Segmentation
from engine.segmentation.tiles import Window, windows

# The margin is less than the receptive field reaches, but what lies beyond it moves next to no pixel to another class
# (a test holds this), and the full field would make tiles cost four times as much.
TILE = 1280
MARGIN = 96
RAMP = 64
_SMALLEST_TILE = 640
# Pictures are continued to a multiple of this; every stride of the network divides it.
_GRID = 16
_BAND = 256


class Segmenter:
    """Labels every pixel of a picture with a class of the model's card.

    Attributes:
        card: of the model.
        classes: names and colours in class order.
    """

    def __init__(self, card: ModelCard, network: DilatedSegmenter, device: torch.device | None = None) -> None:
        """A segmenter from a network at hand; `load` is the usual way.

        Raises:
            ModelError: card and network do not name the same number of classes.
        """
        if len(card.classes) != network.config.class_count:
            raise ModelError(
                f"The card of {card.name} names {len(card.classes)} classes, its network has"
                f" {network.config.class_count}.",
                "Train the model again or choose another one.",
            )
        self.card = card
        self.classes: tuple[SegmentationClass, ...] = card.classes
        self._device = device or torch.device("cpu")
        folded = network.folded().requires_grad_(False).to(self._device)
        self._network = folded.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @classmethod
    def load(cls, name: str | Path, device: torch.device | None = None) -> Segmenter:
        """Load a model by registry name or path.

        Raises:
            UsageError: no such model.
            ModelError: the file is no model, or one of another family.
        """
        model = load_model(name, device or choose_device().torch_device)
        if not isinstance(model.network, DilatedSegmenter):
            raise ModelError(
                f"{name} is a model of family {model.card.family}, which labels no pixels.",
                "Choose a dilated-segmenter model.",
            )
        return cls(model.card, model.network, model.device)

    @property
    def instances(self) -> bool:
        """True where the model tells single objects apart."""
        return self._network.config.instances

    def segment(
        self,
        picture: Picture,
        *,
        progress: ProgressCallback = ignore_progress,
        cancel: CancelToken | None = None,
    ) -> Segmentation:
        """Label `picture`.

        Pictures larger than `TILE` on a side are labelled in overlapping, blended tiles; what depends on the whole
        picture (mean and spread of its values) is taken once. Class scores are kept at the network's own stride, so
        12 megapixels stay far below 1 GB.

        Raises:
            Cancelled: `cancel` was set; it is looked at before every tile and every band of rows.
            DeviceError: the device ran out of memory even for the smallest tiles.
        """
        cancel = cancel or never_cancelled()
        cancel.raise_if_cancelled()
        height, width = picture.pixels.shape[:2]
        with torch.inference_mode():
            scores = self._scores(picture.pixels, progress, cancel)
            mask = np.empty((height, width), np.uint8)
            confidence = np.empty((height, width), np.float32)
            for top in range(0, height, _BAND):
                cancel.raise_if_cancelled()
                stop = min(top + _BAND, height)
                band = self._enlarged(scores, top, stop)[:, :, :width]
                best = band.softmax(0).max(0)
                mask[top:stop] = best.indices.to(torch.uint8).cpu().numpy()
                confidence[top:stop] = best.values.cpu().numpy()
        del scores
        objects = None
        if self.instances:
            cancel.raise_if_cancelled()
            objects = separate_objects(mask)
        return Segmentation(mask, confidence, self.classes, objects)

    def _scores(self, pixels: np.ndarray, progress: ProgressCallback, cancel: CancelToken) -> Tensor:
        """Scores (classes, H', W') at the decoder's stride, of the picture continued to a multiple of the grid."""
        tile = TILE
        while True:
            try:
                return self._tiled_scores(pixels, tile, progress, cancel)
            except torch.OutOfMemoryError as error:
                if tile <= _SMALLEST_TILE:
                    raise DeviceError(
                        f"{self._device} has too little memory for this picture.",
                        "Close other programs or use the CPU.",
                    ) from error
            # Outside the handler, so that the failed tile's memory is let go before the next attempt.
            torch.cuda.empty_cache()
            tile //= 2

    def _tiled_scores(self, pixels: np.ndarray, tile: int, progress: ProgressCallback, cancel: CancelToken) -> Tensor:
        height, width = pixels.shape[:2]
        rows = windows(_up(height), tile, MARGIN, RAMP, _GRID)
        columns = windows(_up(width), tile, MARGIN, RAMP, _GRID)
        stride = self._network.config.decoder_stride
        mean, deviation = _statistics(pixels)
        statistics = (self._scalar(mean), self._scalar(deviation))
        classes = self._network.config.class_count
        scores = torch.zeros(classes, _up(height) // stride, _up(width) // stride, device=self._device)
        total = len(rows) * len(columns)
        progress(Progress(0, total, "Labelling"))
        for number, (row, column) in enumerate((row, column) for row in rows for column in columns):
            cancel.raise_if_cancelled()
            found = self._network.coarse_logits(self._tensor(pixels, row, column), statistics)[0]
            weight = self._weights(row, stride)[:, None] * self._weights(column, stride)
            down = slice(row.start // stride, row.stop // stride)
            across = slice(column.start // stride, column.stop // stride)
            scores[:, down, across] += found * weight
            progress(Progress(number + 1, total, "Labelling"))
        return scores

    def _weights(self, window: Window, stride: int) -> Tensor:
        """The window's weights at the decoder's stride: means over the positions that share a score."""
        return torch.from_numpy(window.weights.reshape(-1, stride).mean(1)).to(self._device)

    def _scalar(self, value: float) -> Tensor:
        return torch.full((1, 1, 1, 1), value, device=self._device)

    def _tensor(self, pixels: np.ndarray, row: Window, column: Window) -> Tensor:
        """A tile as (1, 3, h, w) float32 in 0..1, the last row and column repeated beyond the picture."""
        part = pixels[row.start : row.stop, column.start : column.stop]
        down, right = row.stop - row.start - part.shape[0], column.stop - column.start - part.shape[1]
        if down or right:
            part = np.pad(part, ((0, down), (0, right), (0, 0)), mode="edge")
        tensor = torch.from_numpy(np.ascontiguousarray(part)).to(self._device)
        # (H, W, C) memory seen as (C, H, W) is channels_last already.
        return tensor.movedim(-1, 0).unsqueeze(0).float().div_(255.0)

    def _enlarged(self, scores: Tensor, top: int, stop: int) -> Tensor:
        """Rows top..stop of the scores at full size: the part of one bilinear enlargement of everything."""
        stride = self._network.config.decoder_stride
        # One score row of margin on both sides, where there is one, gives the seams their true neighbours.
        first = max(0, top // stride - 1)
        last = min(scores.shape[1], -(-stop // stride) + 1)
        part = scores[:, first:last].unsqueeze(0)
        size = ((last - first) * stride, scores.shape[2] * stride)
        full = F.interpolate(part, size=size, mode="bilinear", align_corners=False)[0]
        return full[:, top - first * stride : stop - first * stride]


def _up(size: int) -> int:
    """The next multiple of the grid."""
    return -(-size // _GRID) * _GRID


def _statistics(pixels: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation of all values of a uint8 picture, scaled to 0..1, by its histogram."""
    histogram = np.zeros(256, np.int64)
    for top in range(0, pixels.shape[0], _BAND):
        histogram += np.bincount(pixels[top : top + _BAND].reshape(-1), minlength=256)
    values = np.arange(256) / 255.0
    share = histogram / histogram.sum()
    mean = float(share @ values)
    return mean, float(np.sqrt(share @ (values - mean) ** 2))
