"""PaCMAP in torch: a map of points that keeps neighbourhoods and, unlike t-SNE, how they lie to each other.

Wang, Huang, Rudin and Shaposhnik, "Understanding How Dimension Reduction Tools Work" (JMLR 2021). Three kinds of pairs
pull or push: near ones, mid-near ones, which order the map as a whole at first and then let go, and further ones.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from engine.errors import UsageError
from engine.latent.neighbours import neighbour_table
from engine.latent.points import checked_points
from engine.latent.principal import principal_components
from engine.progress import CancelToken, Progress, ProgressCallback, ignore_progress

LEAST_POINTS = 5
STEPS = 450

_PHASES = (100, 200)  # the steps at which the second and the third phase begin
_NEAR_SCALE, _MIDDLE_SCALE, _FURTHER_SCALE = 10.0, 10_000.0, 1.0
_MIDDLE_SHARE, _FURTHER_SHARE = 0.5, 2.0
_MIDDLE_DRAWS = 6
_SPARE_NEIGHBOURS = 50
_START_SPREAD = 1e-2
_RATE, _DECAY_MEAN, _DECAY_SQUARE, _EPS = 1.0, 0.9, 0.999, 1e-7
_TELL_EVERY = 5


class Pacmap:
    """A map in the making: `run` goes on until it is done, also after it was cancelled in between.

    Args:
        points: (N, D), N of 5 or more.
        seed: 0 or more; the same one gives the same map.
        neighbours: near pairs of each point; None takes 10, and more than that above 10,000 points.

    Raises:
        AnalysisError: too few points, all equal, or values that are not finite.
        UsageError: a number out of range.
    """

    def __init__(self, points: np.ndarray, seed: int = 0, neighbours: int | None = None) -> None:
        table = checked_points(points, LEAST_POINTS, "A map by PaCMAP")
        if seed < 0 or (neighbours is not None and neighbours < 1):
            raise UsageError("The seed must be 0 or more and the neighbours 1 or more.", "Change them.")
        usual = 10 if len(table) <= 10_000 else round(10 + 15 * (math.log10(len(table)) - 4))
        # Of few points only so many count as near that others are left to be further away.
        self._near = max(1, min(neighbours or usual, (len(table) - 2) // 2))
        self._points = torch.from_numpy(table)
        self._random = torch.Generator().manual_seed(seed)
        start = principal_components(table, 2)
        spots = start.project(table)
        if spots.shape[1] < 2:
            spots = np.hstack([spots, np.zeros_like(spots)])
        spread = _START_SPREAD / max(float(np.sqrt(start.variance[0])), 1e-20)
        self._spots = torch.from_numpy(np.ascontiguousarray((spots * spread).T))
        # Equal points would stay on one spot for ever: no force acts between them.
        self._spots += 1e-2 * _START_SPREAD * torch.randn(self._spots.shape, generator=self._random)
        self._mean, self._square = torch.zeros_like(self._spots), torch.zeros_like(self._spots)
        self._pairs: Tensor | None = None
        self._further = 0
        self.step = 0

    @property
    def positions(self) -> np.ndarray:
        """The map as it is now, (N, 2) float32."""
        return np.ascontiguousarray(self._spots.T.numpy().copy())

    def run(self, progress: ProgressCallback = ignore_progress, cancel: CancelToken | None = None) -> np.ndarray:
        """Go on to the end; returns the positions (N, 2) float32.

        Args:
            progress: `partial` carries the positions so far, (N, 2), every few steps.
            cancel: stops after the step in work; a later call goes on from there.

        Raises:
            Cancelled: by `cancel`.
        """
        if self._pairs is None:
            self._pairs = self._find_pairs(progress, cancel)
        while self.step < STEPS:
            if cancel is not None:
                cancel.raise_if_cancelled()
            self._move()
            self.step += 1
            if self.step % _TELL_EVERY == 0:
                progress(Progress(self.step, STEPS, "Drawing the map", self.positions))
        return self.positions

    def _find_pairs(self, progress: ProgressCallback, cancel: CancelToken | None) -> Tensor:
        """Partners of each point, (K, N) int64: near rows first, then further ones, then mid-near ones."""
        count = len(self._points)
        candidates = min(self._near + _SPARE_NEIGHBOURS, count - 1)
        indices, distances = neighbour_table(self._points, candidates, progress=progress, cancel=cancel)
        # Distances in units of how far apart points are around here, so that dense and thin regions count alike.
        scale = distances[:, min(3, candidates - 1) : 6].mean(1).clamp_min(1e-10)
        scaled = distances.square() / (scale[:, None] * scale[indices])
        near = indices.gather(1, scaled.topk(self._near, largest=False).indices)
        further = self._draw_further(near)
        middle = self._draw_middle(max(1, round(self._near * _MIDDLE_SHARE)))
        self._further = further.shape[1]
        return torch.cat([near, further, middle], dim=1).T.contiguous()

    def _draw_others(self, columns: int) -> Tensor:
        """Random partners (N, columns), never the point itself."""
        count = len(self._points)
        step = torch.randint(1, count, (count, columns), generator=self._random)
        return (torch.arange(count)[:, None] + step) % count

    def _draw_further(self, near: Tensor) -> Tensor:
        """Partners (N, 2k) that are not among the near ones (N, k)."""
        wanted = max(1, round(self._near * _FURTHER_SHARE))
        drawn = self._draw_others(wanted)
        while True:
            taken = (drawn[:, :, None] == near[:, None, :]).any(2)
            if not taken.any():
                return drawn
            drawn = torch.where(taken, self._draw_others(wanted), drawn)

    def _draw_middle(self, wanted: int) -> Tensor:
        """Partners (N, wanted), each the second nearest of six random points."""
        columns = []
        for _ in range(wanted):
            drawn = self._draw_others(_MIDDLE_DRAWS)
            distance = torch.stack(
                [(self._points - self._points[drawn[:, one]]).square().sum(1) for one in range(_MIDDLE_DRAWS)], dim=1
            )
            second = distance.topk(2, largest=False).indices[:, 1:]
            columns.append(drawn.gather(1, second))
        return torch.cat(columns, dim=1)

    def _weights(self) -> tuple[float, float, float]:
        """Of near, mid-near and further pairs at this step."""
        first, second = _PHASES
        if self.step < first:
            return 2.0, 1000.0 + (3.0 - 1000.0) * self.step / first, 1.0
        return (3.0, 3.0, 1.0) if self.step < second else (1.0, 0.0, 1.0)

    def _move(self) -> None:
        """One step of Adam down the gradient of the loss.

        A pair at d = 1 + |y_i - y_j|² costs w d / (c + d) when it should be close (c = 10 near, 10,000 mid-near) and
        w / (1 + d) when it should be apart; the derivative by y_i is 2 w c (y_i - y_j) / (c + d)², and for those apart
        -2 w (y_i - y_j) / (1 + d)².
        """
        assert self._pairs is not None
        near_weight, middle_weight, further_weight = self._weights()
        near, further = self._near, self._further
        pairs = self._pairs if middle_weight > 0 else self._pairs[: near + further]
        scale = torch.full((len(pairs), 1), _MIDDLE_SCALE)
        pull = torch.full((len(pairs), 1), 2 * middle_weight * _MIDDLE_SCALE)
        scale[:near], pull[:near] = _NEAR_SCALE, 2 * near_weight * _NEAR_SCALE
        scale[near : near + further], pull[near : near + further] = _FURTHER_SCALE, -2 * further_weight
        flat = pairs.reshape(-1)
        gaps = [axis - axis.index_select(0, flat).view_as(pairs) for axis in self._spots]
        force = gaps[0].square().addcmul_(gaps[1], gaps[1]).add_(scale + 1).square_().reciprocal_().mul_(pull)
        gradient = torch.empty_like(self._spots)
        for axis, gap in enumerate(gaps):
            gap *= force
            torch.sum(gap, dim=0, out=gradient[axis])
            gradient[axis].index_add_(0, flat, gap.view(-1), alpha=-1)
        moment = self.step + 1
        self._mean.lerp_(gradient, 1 - _DECAY_MEAN)
        self._square.mul_(_DECAY_SQUARE).addcmul_(gradient, gradient, value=1 - _DECAY_SQUARE)
        rate = _RATE * math.sqrt(1 - _DECAY_SQUARE**moment) / (1 - _DECAY_MEAN**moment)
        self._spots.addcdiv_(self._mean, self._square.sqrt().add_(_EPS), value=-rate)
