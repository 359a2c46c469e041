"""Losses for class masks: weighted cross entropy for every pixel, Lovász-softmax for the intersection over union."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

IGNORE = 255


def weighted_cross_entropy(logits: Tensor, target: Tensor, weights: Sequence[float] | None = None) -> Tensor:
    """Mean cross entropy in nats over the pixels that are not `IGNORE`.

    Args:
        logits: (B, C, H, W).
        target: (B, H, W) int64 class numbers, `IGNORE` where nothing is known.
        weights: one factor per class; None weighs all alike.

    Returns:
        Scalar; 0 (with a gradient of 0) where every pixel is ignored.
    """
    weight = None if weights is None else logits.new_tensor(weights)
    total = F.cross_entropy(logits, target, weight, ignore_index=IGNORE, reduction="sum")
    known = target != IGNORE
    mass = known.sum() if weight is None else (weight[target.clamp(0, logits.shape[1] - 1)] * known).sum()
    return total / mass.clamp(min=1e-6)


def lovasz_softmax(logits: Tensor, target: Tensor) -> Tensor:
    """Lovász-softmax: a convex stand-in for 1 - IoU, the mean over the classes present (Berman et al. 2018).

    The whole batch is one set of pixels, as in the figure it stands for.

    Args:
        logits: (B, C, H, W).
        target: (B, H, W) int64 class numbers, `IGNORE` where nothing is known.

    Returns:
        Scalar in 0..1; 0 where every pixel is ignored.
    """
    classes = logits.shape[1]
    probabilities = logits.softmax(1).movedim(1, 0).reshape(classes, -1)
    flat = target.reshape(-1)
    known = flat != IGNORE
    if not bool(known.all()):
        probabilities, flat = probabilities[:, known], flat[known]
    if flat.numel() == 0:
        return logits.sum() * 0.0
    truth = F.one_hot(flat, classes).T.to(probabilities.dtype)
    errors, order = (truth - probabilities).abs().sort(dim=1, descending=True)
    truth = truth.gather(1, order)
    count = truth.sum(1, keepdim=True)
    intersection = count - truth.cumsum(1)
    union = count + (1.0 - truth).cumsum(1)
    jaccard = 1.0 - intersection / union
    # The gradient of the Lovász extension: how much each further error adds to the Jaccard loss.
    steps = torch.cat([jaccard[:, :1], jaccard[:, 1:] - jaccard[:, :-1]], dim=1)
    per_class = (errors * steps).sum(1)
    present = count[:, 0] > 0
    return per_class[present].mean()
