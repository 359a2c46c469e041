"""A person's own picture in a model's latent space: what the model keeps of it, and what it takes it for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from engine.data.augmentation import square
from engine.generation.choice import label_numbers
from engine.generation.generator import Generator, label_tensor, to_pixels
from engine.generation.latent import Latent
from engine.image import Picture, flatten
from engine.losses.reconstruction import psnr_from_mse
from engine.progress import CancelToken, Progress, ProgressCallback, ignore_progress

_SWEEPS = 3  # small things, such as the eyes of a face, are told apart only once the rest is settled
_LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class EncodedPicture:
    """A picture as a model keeps it.

    Attributes:
        latent: its place in the style space, with `choice`.
        seen: the picture as the model sees it, (H, W, 3) uint8.
        reconstruction: the picture of `latent`, (H, W, 3) uint8.
        psnr: of the reconstruction against what was seen, in dB.
        choice: value of every attribute.
        guessed: names of the attributes that were not given, so that the model chose their values.
    """

    latent: Latent
    seen: np.ndarray
    reconstruction: np.ndarray
    psnr: float
    choice: dict[str, str]
    guessed: tuple[str, ...]


def encode_picture(
    generator: Generator,
    picture: Picture,
    choice: Mapping[str, str] | None = None,
    *,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> EncodedPicture:
    """Find a picture in the style space of a model.

    Attributes that `choice` leaves out are guessed one after the other, and again with what was found, until nothing
    changes: the value under which the model's evidence lower bound of the picture is highest. It is what the picture
    looks like to the model, not a trained classifier.

    Args:
        generator: the model.
        picture: of any size, see `picture_tensor`.
        choice: value by name, of the attributes that are known.
        progress: counts attributes.
        cancel: looked at between attributes.

    Raises:
        UsageError: an unknown attribute or value.
        Cancelled: by `cancel`.
    """
    network, attributes = generator.network, generator.attributes
    numbers = label_numbers(attributes, choice or {})
    open_ones = [index for index, number in enumerate(numbers) if number is None]
    image = picture_tensor(picture, network.config.image_size, network.config.channels).to(generator.device)
    total = _SWEEPS * len(open_ones)
    for sweep in range(_SWEEPS if len(open_ones) > 1 else 1):
        before = list(numbers)
        for place, index in enumerate(open_ones):
            if cancel is not None:
                cancel.raise_if_cancelled()
            progress(Progress(sweep * len(open_ones) + place, total, f"Guessing {attributes[index].name}"))
            numbers[index] = _likeliest(generator, image, numbers, index)
        if numbers == before:
            break
    progress(Progress(total, total))
    complete = {
        attribute.name: attribute.values[number]
        for attribute, number in zip(attributes, numbers, strict=True)
        if number is not None
    }
    with torch.inference_mode():
        mean = network.encode(image, label_tensor(network, numbers)).mean
    card = generator.card
    raw = Latent(card.name, card.weights_sha256, "raw", tuple(mean[0].tolist()), complete)
    latent = generator.in_space(raw, "style")
    seen, reconstruction = to_pixels(image)[0], generator.draw(latent)
    mse = np.square((seen.astype(np.float64) - reconstruction) / 255).mean()
    guessed = tuple(attributes[index].name for index in open_ones)
    return EncodedPicture(latent, seen, reconstruction, float(psnr_from_mse(torch.tensor(mse))), complete, guessed)


def picture_tensor(picture: Picture, size: int, channels: int) -> Tensor:
    """A picture as a model sees it, (1, C, size, size) in 0..1.

    Its central square is scaled to the model's size, on white where it is transparent. For models of grey pictures it
    becomes grey, and is inverted when its border is bright: they write white on black, people black on white.

    Args:
        picture: of any size.
        size: side in pixels.
        channels: 1 or 3.
    """
    pixels = square(flatten(picture), size)
    image = torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None].float() / 255
    if channels == 3:
        return image
    image = (image * torch.tensor(_LUMA)[:, None, None]).sum(1, keepdim=True)
    return 1 - image if float(_border(image).mean()) > 0.5 else image


@torch.inference_mode()
def _likeliest(generator: Generator, image: Tensor, numbers: list[int | None], index: int) -> int:
    """The value of attribute `index` under which the bound is highest; the others stay as they are, None being open."""
    labels = label_tensor(generator.network, numbers).repeat(len(generator.attributes[index].values), 1)
    labels[:, index] = torch.arange(len(labels), device=labels.device)
    return int(generator.network.bounds(image, labels).argmax())


def _border(image: Tensor) -> Tensor:
    return torch.cat([image[..., 0, :], image[..., -1, :], image[..., :, 0], image[..., :, -1]], dim=-1)
