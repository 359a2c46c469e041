"""The effective receptive field: which pixels of a picture a trained network really uses, by gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from engine.errors import ModelError
from engine.image import Picture, flatten
from engine.models.autoencoder import Autoencoder
from engine.models.conditional_vae import ConditionalVAE
from engine.models.dilated_segmenter import DilatedSegmenter, picture_statistics
from engine.models.hyperprior_codec import HyperpriorCodec
from engine.models.network import Network
from engine.progress import CancelToken, never_cancelled

WINDOW = 512  # pixels a side that are looked at around a place; the gradient of more would take too long to follow
GRID = 16  # every stride of every network divides it
DRAWS = 4
SHARE = 0.95


@dataclass(frozen=True, eq=False)
class EffectiveField:
    """What one output of a network depends on.

    Attributes:
        left, top: of the window in the picture, in its pixels.
        strength: (h, w) float32 per pixel of the window: root mean square of the gradient over random mixtures of the
            output's channels; 1 at its largest.
        row, column: the output's place in the window, in pixels.
        seen: sides (height, width) of the box of all pixels whose gradient is not 0: the field that the layers allow.
        used: side of the smallest square around the place that holds `SHARE` of the gradient's energy.
        output_stride: pixels between neighbouring outputs.
        scale: picture pixels per pixel of the window; above 1 for networks of a fixed small input.
    """

    left: int
    top: int
    strength: np.ndarray
    row: int
    column: int
    seen: tuple[int, int]
    used: int
    output_stride: int
    scale: float


def effective_field(
    network: Network, picture: Picture, row: int, column: int, *, cancel: CancelToken | None = None, seed: int = 0
) -> EffectiveField:
    """The effective receptive field (Luo et al. 2016) of the output at a place of the picture.

    Taken are the latents of a codec, the scores of a segmenter, and the last feature map of the encoder of an
    autoencoder, which is shown the whole picture shrunk to its size.

    Args:
        network: of any family with an encoder.
        picture: any size.
        row, column: the place, in pixels of the picture.
        cancel: read before every backward pass.
        seed: of the random mixtures of channels.

    Raises:
        ModelError: the network is of a family without a feature map.
        Cancelled: `cancel` was set.
    """
    cancel = cancel or never_cancelled()
    pixels = flatten(picture)
    if isinstance(network, (ConditionalVAE, Autoencoder)):
        return _of_small(network, pixels, row, column, cancel, seed)
    if not isinstance(network, (HyperpriorCodec, DilatedSegmenter)):
        raise ModelError(
            f"A network of family {network.family} has no map of features to look at.", "Choose another model."
        )
    top, left = _start(row, picture.height), _start(column, picture.width)
    part = _padded(pixels[top : top + WINDOW, left : left + WINDOW])
    strength, place, stride = _gradient(network, _tensor(part, network), row - top, column - left, cancel, seed)
    # What was continued beyond the picture's border is no part of it.
    strength = strength[: min(WINDOW, picture.height - top), : min(WINDOW, picture.width - left)]
    return _summed_up(strength, place, stride, left, top, 1.0)


def _of_small(
    network: ConditionalVAE | Autoencoder, pixels: np.ndarray, row: int, column: int, cancel: CancelToken, seed: int
) -> EffectiveField:
    """The middle square of the picture, shrunk to what the network takes."""
    from PIL import Image

    side = min(pixels.shape[:2])
    top, left = (pixels.shape[0] - side) // 2, (pixels.shape[1] - side) // 2
    size = network.config.image_size
    square = Image.fromarray(np.ascontiguousarray(pixels[top : top + side, left : left + side]))
    small = np.asarray(square.resize((size, size), Image.Resampling.BOX))
    tensor = _tensor(small, network)
    if network.config.channels == 1:
        tensor = tensor.mean(dim=1, keepdim=True)
    scale = side / size
    own_row = min(size - 1, max(0, int((row - top) / scale)))
    own_column = min(size - 1, max(0, int((column - left) / scale)))
    strength, place, stride = _gradient(network, tensor, own_row, own_column, cancel, seed)
    return _summed_up(strength, place, stride, left, top, scale)


def _start(place: int, size: int) -> int:
    """Start of a window around `place` within `size`, on the grid, so that it falls on whole outputs."""
    wanted = place - WINDOW // 2
    return max(0, min(wanted, size - WINDOW)) // GRID * GRID


def _padded(part: np.ndarray) -> np.ndarray:
    """Continued by its last line and column to a multiple of the grid."""
    height, width = part.shape[:2]
    return np.pad(part, ((0, -height % GRID), (0, -width % GRID), (0, 0)), mode="edge")


def _tensor(pixels: np.ndarray, network: nn.Module) -> Tensor:
    device = next(network.parameters()).device
    return torch.tensor(pixels, device=device).movedim(-1, 0).unsqueeze(0).float() / 255.0


def _features(network: Network, images: Tensor) -> Tensor:
    if isinstance(network, HyperpriorCodec):
        return network.analysis(images)
    if isinstance(network, DilatedSegmenter):
        # Mean and spread of the whole picture reach every output; they are no part of what a place looks at.
        return network.coarse_logits(images, picture_statistics(images.detach()))
    layers = cast("ConditionalVAE | Autoencoder", network).encoder.convolutions
    return layers[:-1](images * 2 - 1)  # all but the flattening


def _gradient(
    network: Network, images: Tensor, row: int, column: int, cancel: CancelToken, seed: int
) -> tuple[np.ndarray, tuple[int, int], int]:
    """Strength (h, w), the place of the output in pixels, and the output stride."""
    with torch.enable_grad():
        images = images.detach().requires_grad_()
        features = _features(network, images)
        stride = images.shape[-1] // features.shape[-1]
        y, x = min(row // stride, features.shape[-2] - 1), min(column // stride, features.shape[-1] - 1)
        values = features[0, :, y, x]
        generator = torch.Generator().manual_seed(seed)
        energy = torch.zeros(images.shape[-2:], device=images.device)
        for draw in range(DRAWS):
            cancel.raise_if_cancelled()
            mixture = torch.randn(len(values), generator=generator).to(values)
            (gradient,) = torch.autograd.grad((values * mixture).sum(), images, retain_graph=draw + 1 < DRAWS)
            energy += gradient[0].square().sum(0)
    place = (y * stride + stride // 2, x * stride + stride // 2)
    return energy.sqrt().cpu().numpy(), place, stride


def _summed_up(
    strength: np.ndarray, place: tuple[int, int], stride: int, left: int, top: int, scale: float
) -> EffectiveField:
    rows, columns = np.nonzero(strength.any(1))[0], np.nonzero(strength.any(0))[0]
    seen = (int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1) if len(rows) else (0, 0)
    peak = float(strength.max()) or 1.0
    return EffectiveField(
        left, top, (strength / peak).astype(np.float32), *place, seen, square_of_share(strength, *place), stride, scale
    )


def square_of_share(strength: np.ndarray, row: int, column: int, share: float = SHARE) -> int:
    """Side of the smallest square around a pixel that holds `share` of the sum of squares of `strength` (h, w)."""
    energy = strength.astype(np.float64) ** 2
    total = energy.sum()
    if total == 0:
        return 0
    rows, columns = np.indices(strength.shape)
    distance = np.maximum(np.abs(rows - row), np.abs(columns - column))
    within = np.cumsum(np.bincount(distance.ravel(), weights=energy.ravel()))
    return 2 * int(np.searchsorted(within, share * total)) + 1
