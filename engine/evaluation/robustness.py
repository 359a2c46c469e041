"""Robustness: how reconstruction and latent change with noise, blur, rotation, occlusion and JPEG."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch import Tensor

from engine.errors import AnalysisError, UsageError
from engine.latent.spaces import space_maps
from engine.models.store import Model
from engine.progress import CancelToken, Progress, ProgressCallback, ignore_progress

_SEED = 13
_CHUNK = 128

Damage = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Corruption:
    """A way to damage pictures.

    Attributes:
        key: for commands.
        label: for people, with the unit of the strengths.
        strengths: from none at all, rising in damage.
        apply: (pictures (N, H, W, C) uint8, strength, generator) -> the same, damaged.
        compares_with_clean: True where a model does well by giving the undamaged picture back; False where the changed
            picture is as good as the other, so that it is the one to give back.
    """

    key: str
    label: str
    strengths: tuple[float, ...]
    apply: Damage
    compares_with_clean: bool = True


@dataclass(frozen=True)
class RobustnessCurve:
    """Figures over the strengths of one corruption, each (S,).

    Attributes:
        corruption: key of `CORRUPTIONS`.
        strengths: in its unit.
        errors: mean squared error of reconstructions against what the model should give back, values in 0..1.
        damage: mean squared error of the damaged pictures themselves; where `errors` are below it, the model repairs.
        shifts: how far the latent moves, on average, in units of the distance between two pictures' latents: at 1 the
            latent says no more of the picture than another picture's does.
    """

    corruption: str
    strengths: np.ndarray
    errors: np.ndarray
    damage: np.ndarray
    shifts: np.ndarray


def add_noise(pictures: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise of standard deviation `strength`, of values in 0..1."""
    noise = rng.standard_normal(pictures.shape, np.float32) * np.float32(255 * strength)
    return np.clip(np.rint(pictures + noise), 0, 255).astype(np.uint8)


def blur(pictures: np.ndarray, strength: float, _: np.random.Generator) -> np.ndarray:
    """Gaussian blur whose standard deviation is `strength` pixels."""
    return _each(pictures, lambda image: image.filter(ImageFilter.GaussianBlur(strength)))


def turn(pictures: np.ndarray, strength: float, _: np.random.Generator) -> np.ndarray:
    """Turned by `strength` degrees around the centre; the corners get the colour of the upper left one."""
    return _each(
        pictures,
        lambda image: image.rotate(strength, Image.Resampling.BILINEAR, fillcolor=image.getpixel((0, 0))),
    )


def cover(pictures: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """A grey square at a random place over `strength` of the area."""
    height, width = pictures.shape[1:3]
    side = round(float(np.sqrt(strength * height * width)))
    covered = pictures.copy()
    for picture in covered:
        top, left = rng.integers(0, height - side + 1), rng.integers(0, width - side + 1)
        picture[top : top + side, left : left + side] = 128
    return covered


def to_jpeg(pictures: np.ndarray, strength: float, _: np.random.Generator) -> np.ndarray:
    """Through a JPEG file of quality 100 - `strength`."""

    def through(image: Image.Image) -> Image.Image:
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=max(1, round(100 - strength)))
        with Image.open(stream) as opened:
            return opened.copy()

    return _each(pictures, through)


CORRUPTIONS = (
    Corruption("noise", "noise, standard deviation", (0.0, 0.05, 0.1, 0.2, 0.3, 0.5), add_noise),
    Corruption("blur", "blur, pixels", (0.0, 0.5, 1.0, 1.5, 2.0, 3.0), blur),
    Corruption("rotation", "rotation, degrees", (0.0, 5.0, 10.0, 20.0, 45.0, 90.0), turn, compares_with_clean=False),
    Corruption("occlusion", "occlusion, share of the area", (0.0, 0.02, 0.05, 0.1, 0.2, 0.4), cover),
    Corruption("jpeg", "JPEG, 100 - quality", (0.0, 25.0, 50.0, 75.0, 90.0, 95.0), to_jpeg),
)


def measure_robustness(
    model: Model,
    images: Tensor,
    *,
    corruptions: tuple[Corruption, ...] = CORRUPTIONS,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> list[RobustnessCurve]:
    """Curves of a model over the strengths of each corruption. A strength of 0 leaves pictures as they are.

    Args:
        model: a generative model, with all attributes left open, or an autoencoder.
        images: (N, C, S, S) in 0..1 of the model's size, N of 2 or more.
        corruptions: which.
        progress, cancel: as everywhere.

    Raises:
        ModelError: the model has no latent space.
        UsageError: pictures of another size.
        AnalysisError: fewer than 2 pictures, or latents that are all equal.
        Cancelled: by `cancel`.
    """
    maps = space_maps(model)
    config = model.network.config
    wanted = (config.channels, config.image_size, config.image_size)
    if tuple(images.shape[1:]) != wanted:
        raise UsageError(
            f"The pictures are {tuple(images.shape[1:])}, {model.card.name} takes {wanted}.", "Scale them."
        )
    if len(images) < 2:
        raise AnalysisError("Robustness needs at least 2 pictures.", "Use more pictures.")
    clean = (images.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).contiguous().numpy()

    @torch.inference_mode()
    def seen(pictures: np.ndarray) -> tuple[Tensor, Tensor]:
        latents, copies = [], []
        for part in _tensor(pictures).split(_CHUNK):
            if cancel is not None:
                cancel.raise_if_cancelled()
            raw, _ = maps.posterior(part.to(model.device), None)
            latents.append(raw.float().cpu())
            copies.append(maps.reconstruct(raw, None).clamp(0, 1).float().cpu())
        return torch.cat(latents), torch.cat(copies)

    at_rest, _ = seen(clean)
    typical = float((at_rest - at_rest.roll(1, 0)).norm(dim=1).mean())
    if typical < 1e-9:
        raise AnalysisError(f"All latents of {model.card.name} are equal.", "Its latent has collapsed.")
    total = sum(len(corruption.strengths) for corruption in corruptions)
    done, curves = 0, []
    for corruption in corruptions:
        rows = []
        for strength in corruption.strengths:
            rng = np.random.default_rng(_SEED)
            damaged = corruption.apply(clean, strength, rng) if strength else clean
            latents, copies = seen(damaged)
            target = _tensor(clean if corruption.compares_with_clean else damaged)
            rows.append(
                (
                    float((copies - target).square().mean()),
                    float((_tensor(damaged) - _tensor(clean)).square().mean()),
                    float((latents - at_rest).norm(dim=1).mean()) / typical,
                )
            )
            done += 1
            progress(Progress(done, total, corruption.label))
        errors, damage, shifts = np.array(rows).T
        curves.append(RobustnessCurve(corruption.key, np.array(corruption.strengths), errors, damage, shifts))
    return curves


def _tensor(pictures: np.ndarray) -> Tensor:
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255


def _each(pictures: np.ndarray, change: Callable[[Image.Image], Image.Image]) -> np.ndarray:
    changed = []
    for picture in pictures:
        grey = picture.shape[-1] == 1
        pixels = np.asarray(change(Image.fromarray(picture[..., 0] if grey else picture)))
        changed.append(pixels[..., None] if grey else pixels)
    return np.stack(changed)
