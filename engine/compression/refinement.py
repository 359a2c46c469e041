"""Refinement at encoding: symbols that give a smaller file at the same quality, for the decoder as it is.

The encoder network gives latents that suit photos on average. Here each group's symbols are changed, pass by pass,
towards less `bits + lambda * squared error` (of the pixels it touches). A pass takes the gradient of the squared error
through the synthesis and of the later symbols' bits through the context network, at the symbols as they stand, and
lets half of them (drawn anew each time) move to whatever their own bits and a parabola through that gradient favour:
rate-distortion optimised quantisation inside a proximal gradient step. Where a pass made a neighbourhood dearer it is
taken back and steps become shorter there. Everything is judged on symbols as they will be coded, never on a softened
stand-in: soft rounding and stochastic Gumbel annealing (Yang, Bamler and Mandt 2020) made low qualities dearer in
their first 60 steps, because nearly all symbols there are 0 and softened zeros carry what coded ones cannot.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from engine.compression.codec_model import CodecModel, gains_of
from engine.compression.container import LATENT_STRIDE, EncodedGroup
from engine.compression.entropy import MAX_ESCAPE_BITS
from engine.compression.groups import Decide, code_group, hyper_symbols, nearest
from engine.losses.rate_distortion import lambda_of_quality
from engine.models.hyperprior_codec import MEAN_STEPS
from engine.progress import CancelToken

# How fast the assumed curvature falls where a pass made nothing dearer.
_CURVATURE_DECAY = 0.97
# A neighbourhood that is judged as one: so many latents in each direction.
_REACH = 2
# Curvature that holds a symbol where it is.
_HELD = 1e5
_LARGEST_CANDIDATE = 512


@dataclass(frozen=True)
class Boldness:
    """How far a pass goes.

    Attributes:
        moving: share of the symbols that it may move: those that move together must not count on one another standing
            still.
        curvature: assumed at the start, in units of a symbol's own; more than 1 because neighbours that move add to it.
        growth: of the curvature where a pass made things dearer.
    """

    moving: float
    curvature: float
    growth: float

    @staticmethod
    def for_passes(passes: int) -> Boldness:
        """Few passes settle quickly, many stay bold for long: after 60 that gains twice as much as settling at once."""
        share = 1.0 / max(passes, 4)
        return Boldness(moving=0.35 + 1.2 * share, curvature=1.2 + 2.4 * share, growth=1.0 + 3.0 * share)


@dataclass(frozen=True)
class Refined:
    """Symbols as coded, and what they cost.

    Attributes:
        group: the stream.
        decoded: latents (M, h, w) int16 in 1/16 steps.
        cost: bits of the stream plus weighted squared error.
        costs: the same by position (rows, columns) of the region that is seen, by the tables' estimate of bits.
    """

    group: EncodedGroup
    decoded: np.ndarray
    cost: float
    costs: np.ndarray


class GroupRefiner:
    """Refines one group.

    Args:
        codec: the model; everything is computed on the CPU.
        pixels: (16 H, 16 W, 3) uint8 under the region that is seen: the group and a halo around it.
        surroundings: latents (M, H, W) of that region after the quantising gain.
        top, left, height, width: the group in the region, in latents.
        quality: 0..100.
        passes: how many there will be at most.
        local: quality (H, W) in hundredths of each latent of the region, where a map differs from place to place.
    """

    def __init__(
        self, codec: CodecModel, pixels: np.ndarray, surroundings: Tensor, *, top: int, left: int, height: int,
        width: int, quality: float, passes: int, local: np.ndarray | None = None,
    ) -> None:  # fmt: skip
        self._codec = codec
        self._passes, self._boldness = passes, Boldness.for_passes(passes)
        self._gains = gains_of(codec.entropy_network, quality if local is None else local)
        self._level = codec.level(quality)
        self._box = (slice(None), slice(top, top + height), slice(left, left + width))
        self._latents = surroundings[self._box].contiguous()
        self._hyper = hyper_symbols(codec, self._latents)
        self._region = surroundings.round()
        self._target = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255.0
        own = None if local is None else local[top : top + height, left : left + width]
        self._levels = None if own is None else codec.local_levels(own)
        # Bits per squared error of the three channels, values in 0..1, at every latent and every pixel of the region.
        qualities = torch.full(surroundings.shape[1:], quality) if local is None else torch.from_numpy(local / 100.0)
        self._weight = lambda_of_quality(qualities.float()) * (255.0**2 / 3.0)
        self._pixel_weight = self._weight.repeat_interleave(LATENT_STRIDE, 0).repeat_interleave(LATENT_STRIDE, 1)
        self._symbol_bits = _symbol_bits(codec)
        self._random = np.random.default_rng(0)
        self._curvature: np.ndarray | None = None
        # By position: how much steeper than its own curvature a symbol's parabola is taken to be.
        self._factor = np.full(self._latents.shape[1:], self._boldness.curvature, dtype=np.float32)

    def run(self, step: Callable[[int], None], cancel: CancelToken, enough: CancelToken) -> EncodedGroup:
        """Refine.

        Args:
            step: called with the number of passes done after each.
            cancel: read before each pass; raises `Cancelled`.
            enough: read before each pass; what was reached so far is the result.

        Returns:
            The group, never of higher cost than the unrefined one.
        """
        state = self.begin()
        for number in range(self._passes):
            cancel.raise_if_cancelled()
            if enough.cancelled:
                break
            state = self.refine(state)
            step(number + 1)
        return state.group

    def begin(self) -> Refined:
        """The group as it is coded without refinement."""
        return self._code(self._latents.numpy(), nearest())

    def refine(self, state: Refined) -> Refined:
        """One pass from a state of this refiner to one that costs no more."""
        place = state.decoded / np.float32(MEAN_STEPS)
        moving = self._random.random(place.shape) < self._boldness.moving
        if self._curvature is None:
            self._curvature = self._own_curvature(state.decoded)
        curvature = self._curvature * self._factor
        goal = place - self._gradient(state.decoded) / (2.0 * curvature)
        candidate = self._code(np.where(moving, goal, place), self._cheapest(np.where(moving, curvature, _HELD)))
        worse = _neighbourhoods(candidate.costs - state.costs)[self._box[1:]] > 0.0
        self._factor *= np.where(worse, self._boldness.growth, _CURVATURE_DECAY).astype(np.float32)
        np.maximum(self._factor, 1.0, out=self._factor)
        states = [state, candidate]
        if worse.any() and not worse.all():
            mixed = np.where(worse, state.decoded, candidate.decoded) / np.float32(MEAN_STEPS)
            states.append(self._code(mixed, nearest()))
        return min(states, key=lambda one: one.cost)

    def _code(self, latents: np.ndarray, decide: Decide) -> Refined:
        bits = np.zeros(latents.shape, dtype=np.float32)

        def counted(distance: np.ndarray, bins: np.ndarray, index: np.ndarray) -> np.ndarray:
            symbols = decide(distance, bins, index)
            bits.reshape(-1)[index] = self._bits_of(symbols, bins)
            return symbols

        group, decoded = code_group(
            self._codec, latents.astype(np.float32), self._hyper, self._level, counted, self._levels
        )
        with torch.no_grad():
            error = (self._synthesise(self._placed(decoded)).clamp(0.0, 1.0) - self._target).square().sum(1)[0]
        blocks = error.unflatten(0, (-1, LATENT_STRIDE)).unflatten(2, (-1, LATENT_STRIDE)).sum((1, 3)).numpy()
        costs = blocks * self._weight.numpy()
        cost = 8.0 * len(group.stream) + float(costs.sum(dtype=np.float64))
        costs[self._box[1:]] += bits.sum(0)
        return Refined(group, decoded, cost, costs)

    def _bits_of(self, symbols: np.ndarray, bins: np.ndarray) -> np.ndarray:
        limited = np.clip(symbols, -_LARGEST_CANDIDATE, _LARGEST_CANDIDATE).astype(np.int32)
        return self._symbol_bits[bins, limited + _LARGEST_CANDIDATE]

    def _cheapest(self, curvature: np.ndarray) -> Decide:
        """Of the nearest symbol, the next one towards 0 and 0 itself, the cheapest."""
        flat = curvature.reshape(-1)

        def decide(distance: np.ndarray, bins: np.ndarray, index: np.ndarray) -> np.ndarray:
            strength = flat[index]
            near = np.rint(distance)
            best, lowest = near, self._bits_of(near, bins) + strength * (near - distance) ** 2
            for other in (near - np.sign(near), np.zeros_like(near)):
                cost = self._bits_of(other, bins) + strength * (other - distance) ** 2
                best, lowest = np.where(cost < lowest, other, best), np.minimum(cost, lowest)
            return best

        return decide

    def _placed(self, decoded: np.ndarray) -> Tensor:
        """Decoded latents of the group amid its surroundings, (1, M, H, W)."""
        region = self._region.clone()
        region[self._box] = torch.from_numpy(decoded.astype(np.float32)) / MEAN_STEPS
        return region[None]

    def _synthesise(self, latents: Tensor) -> Tensor:
        return self._codec.entropy_network.synthesis(latents * self._gains.restore, self._gains.filter)

    def _gradient(self, decoded: np.ndarray) -> np.ndarray:
        """Bits per unit of each latent (M, h, w): of the squared error, and of the symbols coded after it."""
        with torch.enable_grad():
            region = self._placed(decoded).requires_grad_(True)
            error = ((self._synthesise(region) - self._target).square() * self._pixel_weight).sum()
            bits = self._codec.entropy_network.bits_through_context(
                region[0][self._box][None],
                torch.from_numpy(self._hyper)[None].float(),
                torch.tensor([self._level]) if self._levels is None else torch.from_numpy(self._levels)[None],
            )  # fmt: skip
            (gradient,) = torch.autograd.grad(error + bits, region)
        return gradient[0][self._box].numpy()

    def _own_curvature(self, decoded: np.ndarray) -> np.ndarray:
        """Weighted squared length (M, 1, 1) of what one unit of a channel's latents adds to the picture.

        By one random projection: the mean of (J^T v)^2 over the signs v.
        """
        with torch.enable_grad():
            region = self._placed(decoded).requires_grad_(True)
            picture = self._synthesise(region)
            signs = torch.from_numpy(self._random.integers(0, 2, picture.shape).astype(np.float32)) * 2.0 - 1.0
            (projected,) = torch.autograd.grad(picture, region, signs * self._pixel_weight.sqrt())
        return projected[0].square().mean((1, 2), keepdim=True).clamp_min(1e-3).numpy()


def _symbol_bits(codec: CodecModel) -> np.ndarray:
    """What a symbol costs (bins, 2 * 512 + 1) of each bin, escapes included."""
    values = np.arange(-_LARGEST_CANDIDATE, _LARGEST_CANDIDATE + 1)
    escape = math.log2(MAX_ESCAPE_BITS + 1) + np.floor(np.log2(2 * np.abs(values) + 1))
    rows = []
    for table in codec.latent_tables:
        inside = (values >= table.low) & (values <= table.high)
        rows.append(np.where(inside, 0.0, escape) + table.bits[np.where(inside, values - table.low, -1)])
    return np.array(rows, dtype=np.float32)


def _neighbourhoods(values: np.ndarray) -> np.ndarray:
    """Sums (H, W) over squares of `2 * _REACH + 1`."""
    side = 2 * _REACH + 1
    padded = np.pad(values, _REACH)
    return np.lib.stride_tricks.sliding_window_view(padded, (side, side)).sum((2, 3))
