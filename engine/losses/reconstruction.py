"""Reconstruction losses whose scale is learned from the data itself, so that no weight against the KL needs tuning."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

Likelihood = Literal["gaussian", "laplace"]

# No 8-bit picture is described better than by a tenth of a grey level; the floor keeps the logarithm finite.
_FLOOR = 0.1 / 255


def optimal_sigma_nll(prediction: Tensor, target: Tensor) -> Tensor:
    """Gaussian negative log likelihood per value with the one variance, shared by all values, that fits best.

    Rybkin, Daniilidis, Levine, "Simple and Effective VAE Training with Calibrated Decoders" (2021): with
    sigma² = MSE the likelihood of N values is N/2 (log(2 pi MSE) + 1).

    Args:
        prediction, target: equal shapes, 0..1.

    Returns:
        Scalar, in nats per value.
    """
    mse = (prediction - target).float().square().mean()
    return 0.5 * (torch.log(mse + _FLOOR**2) + math.log(2 * math.pi) + 1)


def optimal_scale_laplace_nll(prediction: Tensor, target: Tensor) -> Tensor:
    """Laplace negative log likelihood per value with the one scale b = mean |error| that fits best.

    For flat drawings: most values can be hit exactly and the few others lie far off, which a Gaussian pays for with
    soft edges.

    Args:
        prediction, target: equal shapes, 0..1.

    Returns:
        Scalar, in nats per value.
    """
    scale = (prediction - target).float().abs().mean()
    return torch.log(2 * (scale + _FLOOR)) + 1


def reconstruction_nll(prediction: Tensor, target: Tensor, likelihood: Likelihood) -> Tensor:
    """The negative log likelihood per value under the named likelihood; scalar, in nats."""
    return (optimal_sigma_nll if likelihood == "gaussian" else optimal_scale_laplace_nll)(prediction, target)


def psnr_from_mse(mse: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB of pictures in 0..1 with this mean squared error."""
    return -10 * torch.log10(mse.clamp_min(1e-12))
