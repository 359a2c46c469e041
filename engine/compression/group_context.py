"""The context model on one group, with no more work than its four steps need.

`ContextModel.forward` computes the distributions of all places at every step, as training wants it. A decoder needs
each place once: half of them at a step. Every decoded latent is taken in once as well, by adding its share to the sums
of the first layer. All of this is integer arithmetic that float32 holds exactly, so neither the order of the sums nor
leaving places out changes any value.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.models.hyperprior_codec import STEPS, ContextModel, HyperpriorCodec, IntegerConv, compand


@dataclass
class GroupContext:
    """What the steps of one group share.

    Attributes:
        sums: (h * w, W) the first layer's sums over hyper features and the latents taken in so far, without the bias
            of a step.
        height, width: of the group in latents.
        taken: whose latents are in the sums: (first step that is not, places of the step before).
    """

    sums: Tensor
    height: int
    width: int
    taken: tuple[int, Tensor | None] = (0, None)


class GroupContextModel:
    """The weights of a `HyperpriorCodec`'s integer networks, rounded once, at work on groups."""

    def __init__(self, network: HyperpriorCodec) -> None:
        self._network = network
        context = network.context
        with torch.inference_mode():
            self._from_halves = (_matrix(context.from_first), _matrix(context.from_second))
            self._around = context.around.integer_weight() * 2.0**-context.around.shift
            self._around_padding = context.around.padding
            self._middle, self._leave = _matrix(context.middle), _matrix(context.leave)
            self._biases = [_step_biases(context, step) for step in range(STEPS)]

    def prepare(self, hyper: np.ndarray, levels: np.ndarray, height: int, width: int) -> GroupContext:
        """See `EntropyModel.prepare`."""
        with torch.inference_mode():
            symbols = torch.from_numpy(hyper)[None].float()
            features = self._network.hyper_synthesis(symbols)[..., :height, :width]
            prepared = self._network.context.prepare(features, torch.from_numpy(levels)[None])[0]
            return GroupContext(prepared.flatten(1).T.contiguous(), height, width)

    def distribution(
        self, group: GroupContext, latents: np.ndarray, step: int, places: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `EntropyModel.distribution`; the steps of a group come in order."""
        with torch.inference_mode():
            wanted = torch.from_numpy(np.flatnonzero(places))
            self._take_in(group, latents, step)
            group.taken = (step, wanted)
            first, middle, leave = self._biases[step]
            value = _activate(group.sums + first)
            value = value.view(1, group.height, group.width, -1).permute(0, 3, 1, 2)
            value = F.conv2d(value, self._around, padding=self._around_padding, groups=len(self._around))
            value = _activate(value.permute(0, 2, 3, 1).reshape(len(group.sums), -1)[wanted])
            value = _activate(torch.addmm(middle, value, self._middle))
            mean, scale = torch.addmm(leave, value, self._leave).T.chunk(2)
            mean = mean.floor().clamp_(-4080.0, 4080.0).reshape(-1)
            bins = self._network.scale_bin(_activate(scale)).to(torch.uint8).reshape(-1)
            return mean.to(torch.int32).numpy(), bins.numpy()

    def _take_in(self, group: GroupContext, latents: np.ndarray, step: int) -> None:
        """Add the latents that the step before has decoded to the sums."""
        before, places = group.taken
        if places is None:
            return
        half = np.split(latents, 2)[before // 2]
        fresh = torch.from_numpy(half).flatten(1)[:, places].T.float()
        group.sums.index_add_(0, places, compand(fresh) @ self._from_halves[before // 2])


def _matrix(layer: IntegerConv) -> Tensor:
    """The weights of a 1x1 convolution as (inputs, outputs), exact multiples of 2^-shift."""
    return (layer.integer_weight()[:, :, 0, 0].T * 2.0**-layer.shift).contiguous()


def _step_biases(context: ContextModel, step: int) -> tuple[Tensor, Tensor, Tensor]:
    """Biases (outputs,) of the first, the middle and the last layer at a step."""
    row = torch.tensor([step])
    mean, scale = context.mean_bias(row).flatten(), context.scale_bias(row).flatten()
    return context.step_bias(row).flatten(), context.middle_bias(row).flatten(), torch.cat([mean, scale])


def _activate(value: Tensor) -> Tensor:
    """`clipped_relu` of a tensor that nobody else needs."""
    return value.floor_().clamp_(0.0, 255.0)
