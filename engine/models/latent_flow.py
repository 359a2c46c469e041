"""LatentFlow: a conditional rectified flow between a Gaussian style space and the latents of a VAE."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_TIME_FEATURES = 32
INVERSE_ITERATIONS = 6

_Modulations = Sequence[tuple[Tensor, Tensor]]


class Guidance(NamedTuple):
    """Classifier-free guidance of the flow: velocity = open + strength * (conditioned - open).

    Ho and Salimans, "Classifier-Free Diffusion Guidance" (2022).

    Attributes:
        open_condition: (B, E) embedding of attributes that are all left open.
        strength: 1 is the conditioned flow itself, 0 the open one; above 1 overdoes what the attributes say.
    """

    open_condition: Tensor
    strength: float


class _ResidualLayer(nn.Module):
    """One residual layer of the velocity network, scaled and shifted by time and attributes."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.condition = nn.Linear(width, 2 * width)
        self.inner = nn.Linear(width, width)
        self.outer = nn.Linear(width, width)
        nn.init.zeros_(self.outer.weight)

    def modulation(self, steering: Tensor) -> tuple[Tensor, Tensor]:
        """Factor and shift (..., width) of the hidden layer at a steering (..., width)."""
        scale, shift = self.condition(steering).chunk(2, dim=-1)
        return 1 + scale, shift

    def forward(self, hidden: Tensor, factor: Tensor, shift: Tensor) -> Tensor:
        inner = F.silu(torch.addcmul(shift, self.norm(hidden), factor))
        return hidden + self.outer(F.silu(self.inner(inner)))


class LatentFlow(nn.Module):
    """Velocity field v(x, t, condition); integrating dx/dt = v from t = 0 to 1 turns style u ~ N(0, I) into a latent z.

    Liu et al., "Flow Straight and Fast" (2022); times are drawn logit-normally as in Esser et al., "Scaling Rectified
    Flow Transformers" (2024), since the ends of the way are easy. Integrating backwards inverts the map.

    Args:
        latent_size: D.
        condition_size: length of the attribute embedding.
        width, layers: of the residual network.
    """

    def __init__(self, latent_size: int, condition_size: int, width: int, layers: int) -> None:
        super().__init__()
        self.condition = nn.Sequential(nn.Linear(condition_size + _TIME_FEATURES, width), nn.SiLU())
        self.first = nn.Linear(latent_size, width)
        self.layers = nn.ModuleList(_ResidualLayer(width) for _ in range(layers))
        self.last = nn.Linear(width, latent_size)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, x: Tensor, time: Tensor, condition: Tensor) -> Tensor:
        """Velocity at x (B, D), time (B,) in 0..1, condition (B, E) -> (B, D)."""
        return self._velocity(x, self._modulations(time, condition))

    def _modulations(self, time: Tensor, condition: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Factor and shift of every layer; all but the last dimension are those of `time` (...,) and `condition`."""
        frequencies = torch.exp(torch.linspace(0, math.log(64), _TIME_FEATURES // 2, device=time.device))
        angles = time[..., None] * frequencies * (math.pi / 2)
        steering = self.condition(torch.cat([condition, angles.sin(), angles.cos()], dim=-1))
        return [layer.modulation(steering) for layer in self._layers()]

    def _layers(self) -> list[_ResidualLayer]:
        return [layer for layer in self.layers if isinstance(layer, _ResidualLayer)]

    def _velocity(self, x: Tensor, modulations: _Modulations) -> Tensor:
        hidden = self.first(x)
        for layer, (factor, shift) in zip(self._layers(), modulations, strict=True):
            hidden = layer(hidden, factor, shift)
        return self.last(F.silu(hidden))

    def loss(self, z: Tensor, condition: Tensor) -> Tensor:
        """Flow matching loss on latents z (B, D): mean squared error of the velocity z - u along straight ways."""
        u = torch.randn_like(z)
        time = torch.sigmoid(torch.randn(len(z), device=z.device))
        x = torch.lerp(u, z, time[:, None])
        return (self(x, time, condition) - (z - u)).square().mean()

    def to_latent(self, u: Tensor, condition: Tensor, steps: int, guidance: Guidance | None = None) -> Tensor:
        """Style u (B, D) -> latent z (B, D) by `steps` midpoint steps."""
        x = u
        for begin, middle in self._way(condition, steps, guidance):
            x = x + self._increment(x, begin, middle, 1 / steps, guidance)
        return x

    def to_style(
        self,
        z: Tensor,
        condition: Tensor,
        steps: int,
        iterations: int = INVERSE_ITERATIONS,
        guidance: Guidance | None = None,
    ) -> Tensor:
        """Latent z (B, D) -> style u (B, D): the same steps undone one by one, from the last to the first.

        A midpoint step x' = x + f(x) is undone by iterating x <- x' - f(x), which converges since a step is short. One
        iteration gives the plain integral backwards, good enough for a rough distance.
        """
        x = z
        for begin, middle in reversed(self._way(condition, steps, guidance)):
            arrived = x
            for _ in range(iterations):
                x = arrived - self._increment(x, begin, middle, 1 / steps, guidance)
        return x

    def _way(self, condition: Tensor, steps: int, guidance: Guidance | None) -> list[tuple[_Modulations, _Modulations]]:
        """Modulations at the beginning and the middle of each of `steps` steps from t = 0 to 1.

        They do not depend on x, so that all are computed at once: a single sample takes half the time. With guidance
        there are 2B rows: the conditioned ones, then the open ones.
        """
        if guidance is not None:
            condition = torch.cat([condition, guidance.open_condition])
        times = torch.arange(2 * steps, device=condition.device) / (2 * steps)
        times = times[:, None].expand(-1, len(condition))
        layers = self._modulations(times, condition.expand(2 * steps, -1, -1))
        points = [[(factor[index], shift[index]) for factor, shift in layers] for index in range(2 * steps)]
        return list(zip(points[0::2], points[1::2], strict=True))

    def _increment(
        self, x: Tensor, begin: _Modulations, middle: _Modulations, step: float, guidance: Guidance | None
    ) -> Tensor:
        """What one midpoint step of length `step` adds to x."""
        half_way = x + 0.5 * step * self._guided_velocity(x, begin, guidance)
        return step * self._guided_velocity(half_way, middle, guidance)

    def _guided_velocity(self, x: Tensor, modulations: _Modulations, guidance: Guidance | None) -> Tensor:
        if guidance is None:
            return self._velocity(x, modulations)
        conditioned, free = self._velocity(torch.cat([x, x]), modulations).chunk(2)
        return torch.lerp(free, conditioned, guidance.strength)
