"""Rate and distortion of a learned codec: bits under discretised densities, and their balance at every quality.

Conventions are those of CompressAI: loss = R + lambda * 255^2 * MSE with R in bits per pixel and pictures in 0..1.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

LAMBDA_LOW = 0.0009
LAMBDA_HIGH = 0.18
# Less probable values are escaped by the real coder.
_SMALLEST = 2.0**-20


def lambda_of_quality(quality: Tensor) -> Tensor:
    """The weight of distortion at a quality of 0..100: log-uniform over LAMBDA_LOW..LAMBDA_HIGH."""
    return LAMBDA_LOW * (LAMBDA_HIGH / LAMBDA_LOW) ** (quality / 100.0)


def gaussian_bits(residual: Tensor, scale: Tensor) -> Tensor:
    """Bits of values at distance `residual` from the mean of a Gaussian that is integrated over unit intervals.

    Args:
        residual: any shape; rounded for the true rate, with uniform noise of +-0.5 for its differentiable estimate.
        scale: standard deviations > 0, same shape.

    Returns:
        Bits per element (Balle et al. 2018, "Variational image compression with a scale hyperprior").
    """
    distance = residual.abs()
    # Both tails are taken on the side where erfc keeps its precision.
    inverse = 1.0 / (scale * math.sqrt(2.0))
    upper = torch.erfc((distance - 0.5) * inverse)
    lower = torch.erfc((distance + 0.5) * inverse)
    mass = 0.5 * (upper - lower)
    # Beyond, about what the escape code costs, growing slowly: without any slope such values would never come back.
    beyond = torch.log2((distance / scale).clamp_min(4.0) * 0.25)
    return torch.where(mass < _SMALLEST, beyond, 0.0) - torch.log2(mass.clamp_min(_SMALLEST))


def logistic_bits(residual: Tensor, scale: Tensor) -> Tensor:
    """Bits under a logistic density integrated over unit intervals; the prior of the hyper-latents.

    Args:
        residual: distance from the mean, any shape.
        scale: scale parameters > 0, broadcastable to it.
    """
    distance = residual.abs()
    mass = torch.sigmoid((0.5 - distance) / scale) - torch.sigmoid((-0.5 - distance) / scale)
    return -torch.log2(mass.clamp_min(_SMALLEST))


def rate_distortion(bits: Tensor, squared_error: Tensor, quality: Tensor, pixels: int) -> dict[str, Tensor]:
    """The balanced loss of a batch in which every picture has its own quality.

    Each picture's loss is divided by the square root of its lambda, which brings the gradients of all qualities to
    about the same size, and multiplied by the geometric mean of that root, so that the middle quality keeps weight 1.

    Args:
        bits: (B,) bits of each picture.
        squared_error: (B,) mean squared error of each picture, values in 0..1.
        quality: (B,) 0..100.
        pixels: pixels of one picture.

    Returns:
        "loss", "bpp", "mse" (values in 0..255) and "psnr" (dB), each a mean over the batch.
    """
    weight = lambda_of_quality(quality)
    bpp = bits / pixels
    mse = squared_error * 255.0**2
    balance = (LAMBDA_LOW * LAMBDA_HIGH) ** 0.25 / weight.sqrt()
    loss = ((bpp + weight * mse) * balance).mean()
    psnr = -10.0 * torch.log10(squared_error.detach().clamp_min(1e-10))
    return {"loss": loss, "bpp": bpp.mean().detach(), "mse": mse.mean().detach(), "psnr": psnr.mean()}
