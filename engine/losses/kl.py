"""Kullback-Leibler divergence of a diagonal Gaussian posterior from the standard normal, and its schedule."""

from __future__ import annotations

from torch import Tensor


def kl_per_dimension(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, exp(log_variance)) || N(0, 1)), closed form, for every picture and dimension.

    Args:
        mean, log_variance: (B, D).

    Returns:
        (B, D), in nats, 0 or more.
    """
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)


def with_free_bits(kl: Tensor, free_nats: float) -> Tensor:
    """Batch mean of the KL, dimension by dimension, of which the first `free_nats` cost nothing; summed.

    Kingma et al., "Improved Variational Inference with Inverse Autoregressive Flow" (2016), appendix C.8: a dimension
    that carries next to nothing is not pushed to carry nothing at all, from which it would not come back.

    Args:
        kl: (B, D), in nats.
        free_nats: per dimension.

    Returns:
        Scalar, in nats per picture.
    """
    return kl.mean(0).clamp_min(free_nats).sum()


def warm_up(fraction: float, share: float, start: float = 0.0) -> float:
    """Weight of the KL: moves from `start` to 1 over the first `share` of a run.

    From 0 it grows linearly: the latent may learn before it costs anything (Bowman et al. 2016). A start above 1 is for
    conditional models and falls geometrically: while the latent is dear, what the labels say is learned from the
    labels; later the latent adds what they leave open, instead of carrying them a second time.

    Args:
        fraction: share of the run that is done, 0..1.
        share: 0 switches the warm-up off.
        start: 0 or more.
    """
    if share <= 0 or fraction >= share:
        return 1.0
    return start ** (1 - fraction / share) if start > 0 else fraction / share
