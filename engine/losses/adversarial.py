"""Losses of a decoder against a patch discriminator, with a weight that keeps the fidelity to the picture in charge."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

_LARGEST_WEIGHT = 1e4


def hinge_discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Hinge loss of a discriminator (Lim and Ye 2017): real pictures above 1 and fakes below -1 cost nothing.

    Args:
        real, fake: logits of any shape.

    Returns:
        Scalar, 0 or more.
    """
    return 0.5 * (F.relu(1 - real.float()).mean() + F.relu(1 + fake.float()).mean())


def hinge_generator_loss(fake: Tensor) -> Tensor:
    """What a generator minimises against it: the negative mean of its logits, a scalar."""
    return -fake.float().mean()


def r1_penalty(discriminator: Callable[[Tensor], Tensor], real: Tensor) -> Tensor:
    """Mean squared norm of the discriminator's gradient at real pictures (B, C, H, W); a scalar that has a gradient.

    Mescheder et al., "Which Training Methods for GANs do actually Converge?" (2018), eq. 9 without gamma / 2. It is
    dear, and every 16th step is enough (Karras et al. 2020, "lazy regularisation").
    """
    pictures = real.detach().requires_grad_(True)
    logits = discriminator(pictures).float()
    # The mean over patches, so that the penalty does not grow with the picture.
    total = logits.flatten(1).mean(1).sum()
    (gradient,) = torch.autograd.grad(total, pictures, create_graph=True)
    return gradient.float().square().flatten(1).sum(1).mean()


def balanced_weight(anchor: Tensor, gradient: Tensor) -> Tensor:
    """The factor that makes a loss pull as hard at a picture as the likelihood does.

    Esser et al., "Taming Transformers for High-Resolution Image Synthesis" (2021), eq. 7, but at the picture instead of
    the decoder's last layer: every network is then passed backwards once, and the decoder once for all of them.

    Args:
        anchor, gradient: of the likelihood and of the loss with regard to the pictures, of equal shapes.

    Returns:
        Scalar, at most 10,000.
    """
    return (anchor.norm() / (gradient.norm() + 1e-8)).clamp(max=_LARGEST_WEIGHT)
