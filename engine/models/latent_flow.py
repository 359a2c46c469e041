"""LatentFlow: a conditional rectified flow between a Gaussian style space and the latents of a VAE."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_TIME_FEATURES = 32
_INVERSE_ITERATIONS = 6


class _ResidualLayer(nn.Module):
    """One residual layer of the velocity network, scaled and shifted by time and attributes."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.condition = nn.Linear(width, 2 * width)
        self.inner = nn.Linear(width, width)
        self.outer = nn.Linear(width, width)
        nn.init.zeros_(self.outer.weight)

    def forward(self, hidden: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.condition(condition).chunk(2, dim=-1)
        inner = F.silu(self.norm(hidden) * (1 + scale) + shift)
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
        frequencies = torch.exp(torch.linspace(0, math.log(64), _TIME_FEATURES // 2, device=x.device))
        angles = time[:, None] * frequencies * (math.pi / 2)
        joined = torch.cat([condition, angles.sin(), angles.cos()], dim=-1)
        steering = self.condition(joined)
        hidden = self.first(x)
        for layer in self.layers:
            hidden = layer(hidden, steering)
        return self.last(F.silu(hidden))

    def loss(self, z: Tensor, condition: Tensor) -> Tensor:
        """Flow matching loss on latents z (B, D): mean squared error of the velocity z - u along straight ways."""
        u = torch.randn_like(z)
        time = torch.sigmoid(torch.randn(len(z), device=z.device))
        x = torch.lerp(u, z, time[:, None])
        return (self(x, time, condition) - (z - u)).square().mean()

    def to_latent(self, u: Tensor, condition: Tensor, steps: int) -> Tensor:
        """Style u (B, D) -> latent z (B, D) by `steps` midpoint steps."""
        x = u
        for index in range(steps):
            x = x + self._increment(x, index / steps, 1 / steps, condition)
        return x

    def to_style(self, z: Tensor, condition: Tensor, steps: int) -> Tensor:
        """Latent z (B, D) -> style u (B, D): the same steps undone one by one, from the last to the first.

        A midpoint step x' = x + f(x) is undone by iterating x <- x' - f(x), which converges since a step is short.
        """
        x = z
        for index in reversed(range(steps)):
            arrived = x
            for _ in range(_INVERSE_ITERATIONS):
                x = arrived - self._increment(x, index / steps, 1 / steps, condition)
        return x

    def _increment(self, x: Tensor, time: float, step: float, condition: Tensor) -> Tensor:
        """What one midpoint step of length `step` from `time` on adds to x."""
        start = torch.full((len(x),), time, device=x.device)
        middle = x + 0.5 * step * self(x, start, condition)
        return step * self(middle, start + 0.5 * step, condition)
