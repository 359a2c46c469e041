"""What is measured of a trained latent space: slider ranges, the most visible directions, where the data lie."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def quantiles(latents: Tensor) -> tuple[Tensor, Tensor]:
    """The 1 % and 99 % quantiles of latents (N, D) along N; two tensors (D,)."""
    low, high = torch.quantile(latents.float(), torch.tensor([0.01, 0.99], device=latents.device), dim=0)
    return low, high


def principal_moves(decode: Callable[[Tensor], Tensor], styles: Tensor, step: float = 0.5) -> tuple[Tensor, Tensor]:
    """The orthonormal directions of a style space, most visible first.

    The principal axes of the mean of J^T J, where J is the Jacobian of the decoded picture. It is taken by central
    differences of a visible length: a slider is moved by such steps, not by infinitesimal ones.

    Args:
        decode: styles (B, D) -> pictures (B, C, H, W); row b of a call always belongs to row b of `styles`.
        styles: (N, D) points to average over.
        step: half the difference, in standard deviations.

    Returns:
        rotation (D, D), orthonormal, column k = direction k; and the RMS change of a pixel value per unit (D,).
    """
    count, size = styles.shape
    columns = []
    for index in range(size):
        offset = torch.zeros(size, device=styles.device)
        offset[index] = step
        columns.append(((decode(styles + offset) - decode(styles - offset)) / (2 * step)).flatten(1))
    pixels = columns[0].shape[1]
    jacobian = torch.stack(columns, dim=2)
    gram = torch.einsum("npd,npe->de", jacobian, jacobian).double() / (count * pixels)
    values, vectors = torch.linalg.eigh(gram)
    rotation = vectors.flip(1)
    # An eigenvector has no sign of its own: fix it, so that retraining statistics never mirrors a slider.
    largest = rotation.gather(0, rotation.abs().argmax(0, keepdim=True))
    rotation = rotation * torch.where(largest < 0, -1.0, 1.0)
    return rotation.float(), values.flip(0).clamp_min(0).sqrt().float()


def off_data(distance: Tensor, limit: Tensor) -> Tensor:
    """0 while a distance is within what 99 % of the data have (`limit`), rising to 1 at twice that distance."""
    return (distance / limit.clamp_min(1e-6) - 1).clamp(0, 1)
