"""HyperpriorCodec: a variable-rate learned image codec whose entropy path is integer arithmetic.

Transforms work at 1/8 and 1/16 of the picture on depthwise and 1x1 convolutions. Latents `y` (at 1/16) are coded in
four steps (two channel halves x checkerboard) under Laplace densities whose mean and scale come from hyper-latents
`z` (at 1/64) and from what is decoded already. Balle et al. 2018, Minnen et al. 2018 (mean-scale hyperprior), He et
al. 2021 (checkerboard), Cui et al. 2021 (gain units), Balle et al. 2019 (integer networks).

Everything the entropy decoder depends on is computed on integers that a float32 holds exactly: weights are int8,
activations uint8, and every sum stays below 2^24, whatever the order of summation (see `IntegerConv`). So encoder and
decoder agree on every machine, thread count and memory layout.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from engine.losses.kl import warm_up
from engine.losses.rate_distortion import laplace_bits, logistic_bits, rate_distortion
from engine.models.card import ModelCard
from engine.models.network import Batch, Network, TrainingMoment

LATENT_STRIDE = 16
HYPER_STRIDE = 64
STEPS = 4

SCALE_BINS = 64
SCALE_LOW = 0.11
SCALE_HIGH = 64.0
# Means are multiples of 1/16; they and all context values are carried as integers in those units.
MEAN_STEPS = 16

LATENT_RADIUS = 255
HYPER_RADIUS = 63
LATENT_TOTAL = 2**16
HYPER_TOTAL = 2**15

# How many observed symbols the densities of the training outweigh in the tables.
_PRIOR_COUNT = 100.0

# Latents per unit of an orthonormal transform of pixels in -1..1: makes 1 the best step size at quality 50.
LATENT_UNIT = 2.8

# Every partial sum of the integer path must stay below 2^24, where float32 stops holding all integers.
_MAX_SUM = 2**24


class HyperpriorCodecConfig(BaseModel):
    """Size of a codec.

    Attributes:
        latent_channels: channels of y, at 1/16 of the picture.
        hyper_channels: channels of z, at 1/64.
        high_channels: width of the transforms at 1/8.
        low_channels: width of the transforms at 1/16.
        encoder_high_blocks, encoder_low_blocks, decoder_low_blocks, decoder_high_blocks: residual blocks per stage.
        context_channels: width of the integer networks.
        gain_knots: qualities at which a gain vector is learned; between them gains are log-interpolated.
        quality_levels: how many hyper-latent priors and entropy-network biases there are over quality 0..100.
        hyper_warm_up: share of the first stage over which the price of hyper-latents grows from 0 to their bits. At
            full price from the start they fall silent for good before the context network has learned to read them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    latent_channels: int = Field(default=256, ge=8, le=256, multiple_of=2)
    hyper_channels: int = Field(default=64, ge=4, le=192)
    high_channels: int = Field(default=128, ge=8, le=320)
    low_channels: int = Field(default=256, ge=8, le=512)
    encoder_high_blocks: int = Field(default=2, ge=1, le=12)
    encoder_low_blocks: int = Field(default=1, ge=1, le=12)
    decoder_low_blocks: int = Field(default=2, ge=1, le=12)
    decoder_high_blocks: int = Field(default=4, ge=1, le=12)
    context_channels: int = Field(default=192, ge=8, le=192)
    gain_knots: int = Field(default=8, ge=2, le=64)
    quality_levels: int = Field(default=8, ge=1, le=32)
    hyper_warm_up: float = Field(default=0.0, ge=0, le=1)


class _Floor(torch.autograd.Function):
    """Floor with the gradient of the identity."""

    @staticmethod
    def forward(ctx: object, value: Tensor) -> Tensor:
        return value.floor()

    @staticmethod
    def backward(ctx: object, *grad_outputs: Tensor) -> Tensor:
        return grad_outputs[0]


class _Round(torch.autograd.Function):
    """Rounding with the gradient of the identity."""

    @staticmethod
    def forward(ctx: object, value: Tensor) -> Tensor:
        return value.round()

    @staticmethod
    def backward(ctx: object, *grad_outputs: Tensor) -> Tensor:
        return grad_outputs[0]


def _floor(value: Tensor) -> Tensor:
    return _Floor.apply(value)  # type: ignore[return-value]


def _round(value: Tensor) -> Tensor:
    return _Round.apply(value)  # type: ignore[return-value]


def compand(value: Tensor) -> Tensor:
    """Integers in 1/16 steps -> integers in -127..127: steps of 1/8 up to 8, steps of 1 up to 71, then clipped."""
    size = value.abs()
    small = _floor(size.clamp(max=128.0) * 0.5)
    large = _floor((size - 128.0).clamp(0.0, 1008.0) * 0.0625)
    return torch.sign(value) * (small + large)


def clipped_relu(value: Tensor) -> Tensor:
    """The activation of the integer networks: floor, then clipped to 0..255."""
    return _floor(value).clamp(0.0, 255.0)


class IntegerBias(nn.Module):
    """Rows of biases in activation units, multiples of 1/8 within +-255.

    The parameter holds bias/64: k/512 with |k| < 2^11, which float16 stores exactly once `snap` was called.
    """

    def __init__(self, rows: int, channels: int, start: float = 0.0) -> None:
        super().__init__()
        self.rows = nn.Parameter(torch.full((rows, channels), start / 64.0))

    def forward(self, index: Tensor) -> Tensor:
        """Biases (B, C, 1, 1) of the rows `index` (B,), or (B, C, H, W) of rows (B, H, W)."""
        chosen = self.rows[index]
        chosen = chosen[:, :, None, None] if index.dim() == 1 else chosen.permute(0, 3, 1, 2)
        return _round(chosen * 512.0).clamp(-2040.0, 2040.0) * 0.125

    @torch.no_grad()
    def snap(self) -> None:
        """Round the parameter to what `forward` uses, which float16 holds exactly."""
        self.rows.copy_((self.rows * 512.0).round().clamp(-2040.0, 2040.0) / 512.0)


class IntegerConv(nn.Module):
    """A 1x1 or depthwise convolution on integers with int8 weights; its value is the exact sum divided by 2^shift.

    Inputs are integers of at most 8 bits and sign. The result, a multiple of 2^-shift, is exact in float32 because
    fan_in * 127 * 255 and all biases stay below 2^24 (checked on construction by the networks that use it). The
    parameter holds weight/2^shift, which float16 stores exactly once `snap` was called.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int = 1) -> None:
        super().__init__()
        depthwise = kernel > 1
        self.shift = 6 if depthwise else 8
        self.groups = outputs if depthwise else 1
        self.padding = kernel // 2
        fan_in = kernel * kernel if depthwise else inputs
        weight = torch.randn(outputs, inputs // self.groups, kernel, kernel) * math.sqrt(1.0 / fan_in)
        if depthwise:
            weight = weight * 0.5
            weight[:, :, kernel // 2, kernel // 2] += 0.7
        self.weight = nn.Parameter(weight)

    def integer_weight(self) -> Tensor:
        """The weights as integers in -127..127 (a float tensor, differentiable straight through)."""
        return _round(self.weight * 2.0**self.shift).clamp(-127.0, 127.0)

    def forward(self, value: Tensor) -> Tensor:
        """(B, inputs, H, W) integers -> (B, outputs, H, W) multiples of 2^-shift."""
        weight = self.integer_weight().to(value.dtype)
        return F.conv2d(value, weight, padding=self.padding, groups=self.groups) * 2.0**-self.shift

    @torch.no_grad()
    def snap(self) -> None:
        """Round the parameter to what `forward` uses."""
        self.weight.copy_(self.integer_weight() * 2.0**-self.shift)


class HyperSynthesis(nn.Module):
    """z -> features at 1/16, on integers."""

    def __init__(self, hyper_channels: int, width: int) -> None:
        super().__init__()
        half = width // 2
        self.enter = IntegerConv(hyper_channels, 4 * half)
        self.enter_bias = IntegerBias(1, 4 * half, 24.0)
        self.spread = IntegerConv(half, half, kernel=3)
        self.middle = IntegerConv(half, 4 * half)
        self.middle_bias = IntegerBias(1, 4 * half, 24.0)
        self.smooth = IntegerConv(half, half, kernel=3)
        self.leave = IntegerConv(half, width)
        self.leave_bias = IntegerBias(1, width, 24.0)

    def forward(self, z_hat: Tensor) -> Tensor:
        """(B, Cz, h, w) integers -> (B, width, 4h, 4w) integers in 0..255."""
        row = torch.zeros(1, dtype=torch.long, device=z_hat.device)
        value = clipped_relu(self.enter(compand(z_hat * MEAN_STEPS)) + self.enter_bias(row))
        value = clipped_relu(self.spread(F.pixel_shuffle(value, 2)))
        value = clipped_relu(self.middle(value) + self.middle_bias(row))
        value = clipped_relu(self.smooth(F.pixel_shuffle(value, 2)))
        return clipped_relu(self.leave(value) + self.leave_bias(row))


class Distribution(NamedTuple):
    """Distribution of half of the latents: mean in 1/16 steps, scale in quarter bins, both integers (B, C, H, W)."""

    mean: Tensor
    scale: Tensor


class ContextModel(nn.Module):
    """Distribution of the next latents from hyper features and decoded latents, on integers; shared by all four steps.

    Steps 0 and 1 are the even and odd squares of the first channel half, steps 2 and 3 those of the second.
    """

    def __init__(self, latent_channels: int, width: int, quality_levels: int) -> None:
        super().__init__()
        self.half_channels = latent_channels // 2
        if (width + latent_channels) * 127 * 255 + 3 * 255 * 2**8 >= _MAX_SUM:
            raise ValueError("the integer context network is too wide for exact float32 sums")
        self.from_hyper = IntegerConv(width, width)
        self.from_first = IntegerConv(self.half_channels, width)
        self.from_second = IntegerConv(self.half_channels, width)
        self.step_bias = IntegerBias(STEPS, width, 16.0)
        self.quality_bias = IntegerBias(quality_levels, width)
        self.around = IntegerConv(width, width, kernel=5)
        self.middle = IntegerConv(width, width)
        self.middle_bias = IntegerBias(STEPS, width, 16.0)
        self.leave = IntegerConv(width, 2 * self.half_channels)
        self.mean_bias = IntegerBias(STEPS, self.half_channels)
        self.scale_bias = IntegerBias(STEPS, self.half_channels, 96.0)
        with torch.no_grad():
            self.leave.weight.mul_(0.3)

    def prepare(self, features: Tensor, level: Tensor) -> Tensor:
        """What all steps share: the part of the first layer that depends on hyper features and quality level only.

        Args:
            features: (B, W, H, W) of the hyper-latents.
            level: (B,) quality levels, or (B, H, W) where they differ from place to place.
        """
        return self.from_hyper(features) + self.quality_bias(level)

    def forward(self, prepared: Tensor, first: Tensor | None, second: Tensor | None, step: int) -> Distribution:
        """Distribution of the channel half that `step` codes, at all positions.

        Args:
            prepared: result of `prepare`.
            first, second: companded decoded latents of either channel half, 0 where not yet decoded; None = none.
            step: 0..3.
        """
        row = torch.full((1,), step, dtype=torch.long, device=prepared.device)
        value = prepared + self.step_bias(row)
        if first is not None:
            value = value + self.from_first(first)
        if second is not None:
            value = value + self.from_second(second)
        value = clipped_relu(self.around(clipped_relu(value)))
        value = clipped_relu(self.middle(value) + self.middle_bias(row))
        mean, scale = self.leave(value).chunk(2, dim=1)
        mean = _floor(mean + self.mean_bias(row)).clamp(-4080.0, 4080.0)
        return Distribution(mean, clipped_relu(scale + self.scale_bias(row)))


class ResidualBlock(nn.Module):
    """x + 1x1(depthwise(act(1x1 x))), then x + 1x1(act(1x1 x)) with doubled width; no norm, no attention."""

    def __init__(self, channels: int, dilation: int = 1) -> None:
        super().__init__()
        self.enter = nn.Conv2d(channels, channels, 1)
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation, groups=channels)
        self.leave = nn.Conv2d(channels, channels, 1)
        self.expand = nn.Conv2d(channels, 2 * channels, 1)
        self.contract = nn.Conv2d(2 * channels, channels, 1)
        # Small residuals at the start: the stacks begin close to the identity, see `start_as_block_transform`.
        for layer in (self.leave, self.contract):
            nn.init.normal_(layer.weight, std=0.03 / math.sqrt(layer.in_channels))
            nn.init.zeros_(cast(Tensor, layer.bias))

    def forward(self, value: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        # In place wherever a tensor is fresh: at the size of photos, memory for new ones costs as much as the sums.
        value = self.leave(self.depthwise(F.leaky_relu_(self.enter(value), 0.1))).add_(value)
        return self.contract(F.leaky_relu_(self.expand(value), 0.1)).add_(value)


def _stage(channels: int, blocks: int, dilated: bool) -> nn.Sequential:
    """Residual blocks; the second (or only) one may be dilated. Appending blocks leaves what the others do as it is,
    so that a larger codec can start from a smaller one."""
    wide = min(1, blocks - 1)
    return nn.Sequential(*(ResidualBlock(channels, 2 if dilated and i == wide else 1) for i in range(blocks)))


class Analysis(nn.Module):
    """Picture -> latents, before any gain; the same for every quality."""

    def __init__(self, config: HyperpriorCodecConfig) -> None:
        super().__init__()
        high, low = config.high_channels, config.low_channels
        self.enter = nn.Conv2d(3 * 64, high, 1)
        self.high = _stage(high, config.encoder_high_blocks, dilated=True)
        self.down = nn.Conv2d(4 * high, low, 1)
        self.low = _stage(low, config.encoder_low_blocks, dilated=True)
        self.leave = nn.Conv2d(low, config.latent_channels, 1)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in 0..1, sides multiples of 16 -> (B, M, H/16, W/16)."""
        value = self.high(self.enter(F.pixel_unshuffle(images * 2.0 - 1.0, 8)))
        return self.leave(self.low(self.down(F.pixel_unshuffle(value, 2)))) * LATENT_UNIT


class Synthesis(nn.Module):
    """Latents -> picture. The gain before the last layer lets one network filter strongly or weakly."""

    def __init__(self, config: HyperpriorCodecConfig) -> None:
        super().__init__()
        high, low = config.high_channels, config.low_channels
        self.enter = nn.Conv2d(config.latent_channels, low, 1)
        self.low = _stage(low, config.decoder_low_blocks, dilated=True)
        self.up = nn.Conv2d(low, 4 * high, 1)
        self.high = _stage(high, config.decoder_high_blocks, dilated=False)
        self.leave = nn.Conv2d(high, 3 * 64, 1)

    def forward(self, latents: Tensor, gain: Tensor) -> Tensor:
        """(B, M, h, w) and gains (B, high, 1, 1) or (B, high, 2h, 2w) -> (B, 3, 16h, 16w), about 0..1, not clipped."""
        value = self.low(self.enter(latents * (1.0 / LATENT_UNIT)))
        value = self.high(F.pixel_shuffle(self.up(value), 2))
        return F.pixel_shuffle(self.leave(value * gain), 8).mul_(0.5).add_(0.5)


class HyperAnalysis(nn.Module):
    """Latents -> hyper-latents at a quarter of their resolution."""

    def __init__(self, latent_channels: int, hyper_channels: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(latent_channels, 64, 1)
        self.around = nn.Conv2d(64, 64, 3, padding=1, groups=64)
        self.down = nn.Conv2d(256, 96, 1)
        self.leave = nn.Conv2d(384, hyper_channels, 1)

    def forward(self, y: Tensor) -> Tensor:
        """(B, M, H, W) -> (B, Cz, ceil(H/4), ceil(W/4))."""
        height, width = y.shape[-2:]
        y = F.pad(y, (0, -width % 4, 0, -height % 4))
        value = F.leaky_relu(self.around(self.enter(compress_range(y))), 0.1)
        value = F.leaky_relu(self.down(F.pixel_unshuffle(value, 2)), 0.1)
        return self.leave(F.pixel_unshuffle(value, 2)) * 2.0


def compress_range(value: Tensor) -> Tensor:
    """sign(v) log(1 + |v|): the hyper encoder meets latents from 0.1 to hundreds over the range of qualities."""
    return torch.sign(value) * torch.log1p(value.abs())


@torch.no_grad()
def start_as_block_transform(analysis: Analysis, synthesis: Synthesis) -> None:
    """Let training begin as a linear codec: the 8x8 cosine transform of luma and chroma, then a 2x2 Haar transform.

    Of both transforms the coefficients expected strongest in photos are kept. It saves the thousands of steps in which
    networks with random weights find such a transform by themselves.
    """
    frequency = torch.arange(8)
    cosines = torch.cos(math.pi / 8 * frequency[:, None] * (frequency[None, :] + 0.5)) * 0.5
    cosines[0] *= math.sqrt(0.5)
    colours = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [1.0, -2.0, 1.0]])
    colours = colours / colours.norm(dim=1, keepdim=True)
    blocks = torch.einsum("kc,ui,vj->kuvcij", colours, cosines, cosines).reshape(192, 192)
    height, width = torch.meshgrid(frequency, frequency, indexing="ij")
    share = torch.tensor([1.0, 0.06, 0.04])[:, None, None]
    strength = (share / (height**2 + width**2 + 0.5)).reshape(192)
    kept = strength.argsort(descending=True)[: analysis.enter.out_channels]
    low, latent = analysis.down.out_channels, analysis.leave.out_channels
    count = len(kept)

    signs = torch.tensor([[1.0, 1.0], [1.0, -1.0]])
    haar = torch.einsum("ai,bj->abij", signs, signs).reshape(4, 4) * 0.5
    pairs = torch.einsum("kl,ab->kalb", torch.eye(count), haar).reshape(4 * count, 4 * count)
    rows = torch.arange(2)[None, :, None] + 2 * height.repeat(3, 1, 1).reshape(192)[kept][:, None, None]
    columns = torch.arange(2)[None, None, :] + 2 * width.repeat(3, 1, 1).reshape(192)[kept][:, None, None]
    weight = share.expand(3, 8, 8).reshape(192)[kept][:, None, None]
    best = (weight / (rows**2 + columns**2 + 0.5)).reshape(-1).argsort(descending=True)[: min(low, latent)]

    for layer in (analysis.enter, analysis.down, analysis.leave, synthesis.enter, synthesis.up, synthesis.leave):
        nn.init.normal_(layer.weight, std=0.01 / math.sqrt(layer.in_channels))
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    analysis.enter.weight[:count, :, 0, 0] += blocks[kept]
    synthesis.leave.weight[:, :count, 0, 0] += blocks[kept].T
    analysis.down.weight[: len(best), : 4 * count, 0, 0] += pairs[best]
    synthesis.up.weight[: 4 * count, : len(best), 0, 0] += pairs[best].T
    identity = torch.eye(len(best))
    analysis.leave.weight[: len(best), : len(best), 0, 0] += identity
    synthesis.enter.weight[: len(best), : len(best), 0, 0] += identity


class Gains(NamedTuple):
    """Gain vectors at one quality per picture: `quantise` and `restore` (B, M, 1, 1), `filter` (B, high, 1, 1)."""

    quantise: Tensor
    restore: Tensor
    filter: Tensor


class HyperpriorCodec(Network[HyperpriorCodecConfig]):
    """The codec's networks. `engine.compression` turns them into files."""

    family = "hyperprior-codec"
    Config = HyperpriorCodecConfig

    latent_frequencies: Tensor
    hyper_frequencies: Tensor

    def __init__(self, config: HyperpriorCodecConfig) -> None:
        super().__init__(config)
        latent, width = config.latent_channels, config.context_channels
        self.analysis = Analysis(config)
        self.synthesis = Synthesis(config)
        self.hyper_analysis = HyperAnalysis(latent, config.hyper_channels)
        self.hyper_synthesis = HyperSynthesis(config.hyper_channels, width)
        self.context = ContextModel(latent, width, config.quality_levels)
        # Log gains follow the root of lambda at the start: the step size of a scalar quantiser at that trade-off.
        slope = torch.linspace(-1.32, 1.32, config.gain_knots)[:, None]
        self.log_quantise = nn.Parameter(slope.repeat(1, latent))
        self.log_restore = nn.Parameter(-slope.repeat(1, latent))
        self.log_filter = nn.Parameter(torch.zeros(config.gain_knots, config.high_channels))
        self.hyper_mean = nn.Parameter(torch.zeros(config.quality_levels, config.hyper_channels))
        self.hyper_log_scale = nn.Parameter(torch.zeros(config.quality_levels, config.hyper_channels))
        start_as_block_transform(self.analysis, self.synthesis)
        self.register_buffer("latent_frequencies", torch.zeros(SCALE_BINS, 2 * LATENT_RADIUS + 2, dtype=torch.int32))
        self.register_buffer(
            "hyper_frequencies",
            torch.zeros(config.quality_levels, config.hyper_channels, 2 * HYPER_RADIUS + 2, dtype=torch.int32),
        )

    @property
    def analysis_halo(self) -> int:
        """How many latents beyond a window its latents depend on (receptive field of the analysis)."""
        high = self.config.encoder_high_blocks + 1  # the dilated block reaches one further
        return self.config.encoder_low_blocks + 1 + -(-high // 2)

    @property
    def synthesis_halo(self) -> int:
        """How many latents beyond a window its pixels depend on (receptive field of the synthesis)."""
        return self.config.decoder_low_blocks + 1 + -(-self.config.decoder_high_blocks // 2)

    # Quality

    def gains(self, quality: Tensor) -> Gains:
        """Gain vectors, log-interpolated between knots, of qualities (B,) in 0..100."""
        position = quality.clamp(0.0, 100.0) / 100.0 * (self.config.gain_knots - 1)
        lower = position.floor().clamp(max=self.config.gain_knots - 2).long()
        share = (position - lower)[:, None]

        def at(knots: Tensor) -> Tensor:
            return torch.lerp(knots[lower], knots[lower + 1], share).exp()[:, :, None, None]

        return Gains(at(self.log_quantise), at(self.log_restore), at(self.log_filter))

    def quality_level(self, quality: Tensor) -> Tensor:
        """Index (B,) of the entropy-model level of each quality (B,)."""
        return (quality.clamp(0.0, 100.0) / 100.0 * (self.config.quality_levels - 1)).round().long()

    # The entropy model

    @staticmethod
    def scale_table(device: torch.device | None = None) -> Tensor:
        """Standard deviations of the scale bins (64,)."""
        steps = torch.arange(SCALE_BINS, dtype=torch.float64, device=device) / (SCALE_BINS - 1)
        return SCALE_LOW * (SCALE_HIGH / SCALE_LOW) ** steps

    @staticmethod
    def scale_bin(scale: Tensor) -> Tensor:
        """Bin 0..63 of the network's scale output 0..255 (quarter bins)."""
        return _floor(scale * 0.25)

    def walk(self, y: Tensor, features: Tensor, level: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The four coding steps on known latents.

        Args:
            y: (B, M, H, W) latents after the quantising gain.
            features: (B, W, H, W) from `hyper_synthesis`, cropped to y.
            level: (B,) quality levels.

        Returns:
            Rounded latents (straight-through gradient), means and scales (standard deviations), all (B, M, H, W).
        """
        prepared = self.context.prepare(features, level)
        even = checkerboard(*y.shape[-2:], device=y.device)
        quantised, means, bins = [], [], []
        decoded: list[Tensor | None] = [None, None]
        for half, values in enumerate(y.chunk(2, dim=1)):
            first = self.context(prepared, decoded[0], decoded[1], 2 * half)
            near = _round(values - first.mean / MEAN_STEPS) + first.mean / MEAN_STEPS
            decoded[half] = compand(near * MEAN_STEPS) * even
            second = self.context(prepared, decoded[0], decoded[1], 2 * half + 1)
            mean = torch.where(even, first.mean, second.mean) / MEAN_STEPS
            quantised.append(_round(values - mean) + mean)
            decoded[half] = compand(quantised[-1] * MEAN_STEPS)
            means.append(mean)
            bins.append(self.scale_bin(torch.where(even, first.scale, second.scale)))
        scale = SCALE_LOW * torch.exp(torch.cat(bins, 1) * (math.log(SCALE_HIGH / SCALE_LOW) / (SCALE_BINS - 1)))
        return torch.cat(quantised, 1), torch.cat(means, 1), scale

    def bits_through_context(self, decoded: Tensor, z_hat: Tensor, level: Tensor) -> Tensor:
        """Bits of known symbols, with a gradient by the decoded latents that the context network sees.

        The symbols themselves stay; a moved mean counts as the distance that the symbol's own latent would then keep.

        Args:
            decoded: (B, M, H, W) decoded latents: symbols plus means.
            z_hat: (B, Cz, h, w) hyper-latents.
            level: (B,) quality levels.

        Returns:
            Sum of the bits, a scalar.
        """
        features = self.hyper_synthesis(z_hat)[..., : decoded.shape[-2], : decoded.shape[-1]]
        _, mean, scale = self.walk(decoded, features, level)
        symbols = (decoded - mean).detach().round()
        return laplace_bits(symbols - (mean - mean.detach()), scale).sum()

    def pass_through(
        self, images: Tensor, quality: Tensor, noise: bool, hyper_price: float = 1.0
    ) -> tuple[Tensor, Tensor]:
        """Code and decode without a bit stream.

        Args:
            images: (B, 3, H, W) in 0..1, sides multiples of 64.
            quality: (B,) 0..100.
            noise: True estimates the rate on noisy latents (differentiable), False on rounded ones (the true rate).
            hyper_price: factor on the bits of hyper-latents.

        Returns:
            Reconstructions (B, 3, H, W), not clipped, and bits (B,) of each picture.
        """
        gains, level = self.gains(quality), self.quality_level(quality)
        y = self.analysis(images)
        # Half precision cannot hold the integers of the entropy path.
        with torch.autocast(images.device.type, enabled=False):
            y = y.float() * gains.quantise
            z = self.hyper_analysis(y)
            z_hat = _round(z)
            features = self.hyper_synthesis(z_hat)[..., : y.shape[-2], : y.shape[-1]]
            y_hat, mean, scale = self.walk(y, features, level)
            y_rate, z_rate = (y + torch.rand_like(y) - 0.5, z + torch.rand_like(z) - 0.5) if noise else (y_hat, z_hat)
            hyper_mean = self.hyper_mean[level][:, :, None, None]
            hyper_scale = self.hyper_log_scale[level].exp()[:, :, None, None]
            bits = laplace_bits(y_rate - mean, scale).sum(dim=(1, 2, 3))
            bits = bits + hyper_price * logistic_bits(z_rate - hyper_mean, hyper_scale).sum(dim=(1, 2, 3))
        return self.synthesis(y_hat * gains.restore, gains.filter), bits

    # Training

    def training_loss(self, batch: Batch, moment: TrainingMoment) -> dict[str, Tensor]:
        """Balanced rate-distortion at a random quality per picture; see `rate_distortion` for the terms."""
        images = batch.images.contiguous(memory_format=torch.channels_last)
        # One stratum per picture: every batch covers the whole range.
        strata = torch.randperm(len(images), device=images.device)
        quality = (strata + torch.rand(len(images), device=images.device)) * (100.0 / len(images))
        price = warm_up(moment.fraction, self.config.hyper_warm_up) if moment.index == 0 else 1.0
        decoded, bits = self.pass_through(images, quality, True, price)
        error = (decoded.float() - images).square().mean(dim=(1, 2, 3))
        return rate_distortion(bits, error, quality, images.shape[-2] * images.shape[-1])

    @torch.no_grad()
    def validation_figures(self, batch: Batch) -> dict[str, Tensor]:
        """True rate and PSNR of 8-bit results at qualities 15, 50 and 85; "loss" is their mean balanced loss."""
        figures: dict[str, Tensor] = {}
        losses = []
        images = batch.images.contiguous(memory_format=torch.channels_last)
        for quality in (15.0, 50.0, 85.0):
            wanted = torch.full((len(images),), quality, device=images.device)
            decoded, bits = self.pass_through(images, wanted, noise=False)
            error = ((decoded.float().clamp(0, 1) * 255).round() / 255 - images).square().mean(dim=(1, 2, 3))
            terms = rate_distortion(bits, error, wanted, images.shape[-2] * images.shape[-1])
            losses.append(terms["loss"])
            figures[f"bpp-q{quality:.0f}"], figures[f"psnr-q{quality:.0f}"] = terms["bpp"], terms["psnr"]
        return {"loss": torch.stack(losses).mean(), **figures}

    @torch.no_grad()
    def preview(self, batch: Batch) -> Tensor | None:
        """Originals beside their reconstructions at qualities 15, 50 and 85."""
        images = batch.images[:4]
        rows = [images]
        for quality in (15.0, 50.0, 85.0):
            wanted = torch.full((len(images),), quality, device=images.device)
            rows.append(self.pass_through(images, wanted, noise=False)[0].clamp(0, 1))
        return torch.stack(rows, dim=1).flatten(0, 1)

    @torch.no_grad()
    def finish(self, batches: Iterable[Batch], card: ModelCard) -> ModelCard:
        """Round the integer path to what float16 stores exactly and fill all frequency tables.

        The tables are what the given pictures need at random qualities, smoothed by the densities of the training.
        """
        for module in self.modules():
            if isinstance(module, IntegerConv | IntegerBias):
                module.snap()
        latent_counts = torch.zeros(SCALE_BINS, 2 * LATENT_RADIUS + 2, dtype=torch.float64)
        hyper_counts = torch.zeros(self.hyper_frequencies.shape, dtype=torch.float64)
        for batch in batches:
            self._count_symbols(batch.images, latent_counts, hyper_counts)
        scales = self.hyper_log_scale.double().cpu().exp()
        hyper_masses = logistic_masses(self.hyper_mean.double().cpu(), scales)
        latent_counts[:, :-1] += latent_counts[:, :-1].flip(1)
        self.latent_frequencies.copy_(frequencies(latent_counts, laplace_masses(self.scale_table()), LATENT_TOTAL))
        self.hyper_frequencies.copy_(frequencies(hyper_counts, hyper_masses, HYPER_TOTAL))
        return card.model_copy(update={"notes": {**card.notes, "halo": self.synthesis_halo}})

    def _count_symbols(self, images: Tensor, latent_counts: Tensor, hyper_counts: Tensor) -> None:
        """Add how often each symbol occurs when `images` are coded at stratified qualities; the last place counts
        those out of range."""
        images = images.contiguous(memory_format=torch.channels_last)
        for shift in range(0, len(images), max(1, len(images) // 4)):
            quality = torch.arange(len(images), device=images.device).roll(shift) + torch.rand(1, device=images.device)
            quality = quality * (100.0 / len(images))
            level = self.quality_level(quality)
            y = self.analysis(images) * self.gains(quality).quantise
            z = self.hyper_analysis(y).round()
            features = self.hyper_synthesis(z)[..., : y.shape[-2], : y.shape[-1]]
            y_hat, mean, scale = self.walk(y, features, level)
            bins = (scale / SCALE_LOW).log().mul((SCALE_BINS - 1) / math.log(SCALE_HIGH / SCALE_LOW)).round()
            symbols = _places((y_hat - mean).round(), LATENT_RADIUS)
            ones = torch.ones(1, dtype=torch.float64)
            latent_counts.index_put_((bins.long().cpu().flatten(), symbols.flatten()), ones, accumulate=True)
            rows = level.cpu()[:, None, None, None].expand(z.shape).flatten()
            channels = torch.arange(z.shape[1])[None, :, None, None].expand(z.shape).flatten()
            hyper_counts.index_put_((rows, channels, _places(z, HYPER_RADIUS).flatten()), ones, accumulate=True)


def _places(symbols: Tensor, radius: int) -> Tensor:
    """Table positions of symbols on the CPU: those out of range at the last one."""
    inside = symbols.abs() <= radius
    return torch.where(inside, symbols + radius, 2 * radius + 1).long().cpu()


def checkerboard(height: int, width: int, device: torch.device | None = None) -> Tensor:
    """(height, width) boolean, True on the even squares, the top left one among them."""
    rows = torch.arange(height, device=device)[:, None]
    return (rows + torch.arange(width, device=device)) % 2 == 0


def laplace_masses(scales: Tensor) -> Tensor:
    """Probabilities (bins, 2R+2) of -R..R and of all others under Laplace densities of the given deviations."""
    values = torch.arange(-LATENT_RADIUS, LATENT_RADIUS + 1, dtype=torch.float64)
    scales = scales.double().cpu()[:, None]
    return _with_escape(torch.exp2(-laplace_bits(values.expand(len(scales), -1), scales)))


def logistic_masses(mean: Tensor, scale: Tensor) -> Tensor:
    """Probabilities (..., 2R+2) of -R..R and of all others under logistic densities."""
    values = torch.arange(-HYPER_RADIUS, HYPER_RADIUS + 1, dtype=torch.float64)
    distance = (values - mean[..., None]).abs()
    mass = torch.sigmoid((0.5 - distance) / scale[..., None]) - torch.sigmoid((-0.5 - distance) / scale[..., None])
    return _with_escape(mass)


def _with_escape(mass: Tensor) -> Tensor:
    return torch.cat([mass, (1.0 - mass.sum(dim=-1, keepdim=True)).clamp_min(0.0)], dim=-1)


def frequencies(counts: Tensor, prior: Tensor, total: int) -> Tensor:
    """Integer frequencies that sum to `total` in the last dimension, from counts smoothed by a prior.

    Symbols too rare for one count beyond the outermost more frequent one get none (they are escaped).

    Args:
        counts: (..., n) occurrences >= 0, the escape symbol last.
        prior: (..., n) probabilities; they weigh as much as `_PRIOR_COUNT` occurrences.
        total: a power of two.
    """
    mass = counts + _PRIOR_COUNT * prior
    mass = mass / mass.sum(dim=-1, keepdim=True)
    scaled = torch.floor(mass * total + 0.5).to(torch.int64)
    inner, escape = scaled[..., :-1], scaled[..., -1:].clamp_min(1)
    used = inner > 0
    spanned = used.flip(-1).cummax(dim=-1).values.flip(-1) & used.cummax(dim=-1).values
    result = torch.cat([torch.where(spanned, inner.clamp_min(1), 0), escape], dim=-1)
    top = result.argmax(dim=-1, keepdim=True)
    result.scatter_add_(-1, top, total - result.sum(dim=-1, keepdim=True))
    return result.to(torch.int32)
