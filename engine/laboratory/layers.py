"""Layers and stacks as a person describes them, and every figure about them, without a tensor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import Literal, get_args

import numpy as np

from engine.errors import UsageError
from engine.layers.receptive_field import Convolution

Kind = Literal["standard", "dilated", "transposed", "separable", "pool", "resize"]
KINDS: tuple[Kind, ...] = get_args(Kind)
# Beyond these a stack is a mistake rather than a wish; they also bound what one request can cost.
MAX_KERNEL, MAX_STRIDE, MAX_RATE, MAX_CHANNELS, MAX_LAYERS = 15, 8, 64, 8192, 100
# What a stack may enlarge its input by: the field of what it sees is counted for every phase of an enlarged pixel.
MAX_ENLARGEMENT = 512
MAX_MAP = 511  # side of a contribution map


@dataclass(frozen=True)
class Step:
    """Convolutions side by side on shares of the channels: one, or one per dilation rate.

    Attributes:
        branches: of equal stride; their outputs are joined.
        weighted: False for pooling and resizing, which have taps but no weights.
    """

    branches: tuple[Convolution, ...]
    weighted: bool = True

    def output_size(self, size: int) -> int:
        """Outputs along an axis of `size` inputs; 0 or less where a kernel does not fit."""
        return min(branch.output_size(size) for branch in self.branches)

    def sources(self, output: int) -> list[int]:
        """Input positions that output position `output` reads, padding included, once per tap that reads them."""
        return [place for branch in self.branches for place in branch.sources(output)]

    def targets(self, place: int) -> list[int]:
        """Output positions that read input position `place`, on an endless axis, once per tap that does."""
        return [output for branch in self.branches for output in branch.targets(place)]


@dataclass(frozen=True)
class Layer:
    """One layer of a stack.

    Attributes:
        kind: "pool" is max pooling, "resize" repeats pixels; both have no weights and keep the channels.
        kernel: taps along a side; a resize has `stride` of them.
        stride: step of the kernel; the enlargement of "transposed" and "resize".
        rates: distances between neighbouring taps. Several stand side by side, each on its share of the channels.
        padding: zeros per side (of "transposed": outputs cut off per side); None keeps the size but for the stride.
        groups: of channels that do not see one another; "separable" has its own.
        channels: of the output.
    """

    kind: Kind = "standard"
    kernel: int = 3
    stride: int = 1
    rates: tuple[int, ...] = (1,)
    padding: int | None = None
    groups: int = 1
    channels: int = 64

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UsageError(f"There is no layer of kind {self.kind!r}.", f"Use one of {', '.join(KINDS)}.")
        for name, value, high in (
            ("kernel", self.kernel, MAX_KERNEL),
            ("stride", self.stride, MAX_STRIDE),
            ("groups", self.groups, MAX_CHANNELS),
            ("channels", self.channels, MAX_CHANNELS),
            *(("rate", rate, MAX_RATE) for rate in self.rates),
        ):
            if not 1 <= value <= high:
                raise UsageError(f"A layer cannot have {name} {value}.", f"Use 1 to {high}.")
        if not self.rates:
            raise UsageError("A layer has no dilation rate.", "Use 1 for none.")
        if self.padding is not None and not 0 <= self.padding <= MAX_RATE * MAX_KERNEL:
            raise UsageError(f"A layer cannot have padding {self.padding}.", "Use 0 or more.")
        if self.kind not in ("dilated", "separable") and self.rates != (1,):
            raise UsageError(f"A layer of kind {self.kind!r} has no dilation.", 'Choose the kind "dilated".')

    @property
    def effective_kernel(self) -> int:
        """Pixels from the first to the last tap: k + (k - 1)(d - 1), of the largest rate."""
        kernel = self.stride if self.kind == "resize" else self.kernel
        return max(self.rates) * (kernel - 1) + 1

    def steps(self, in_channels: int) -> tuple[Step, ...]:
        """The layer as convolutions: two steps for "separable", else one.

        Raises:
            UsageError: channels, groups and rates do not go together.
        """
        if self.kind == "resize":
            repeat = Convolution(
                self.stride, self.stride, transposed=True, in_channels=in_channels, out_channels=in_channels,
                groups=in_channels,
            )  # fmt: skip
            return (Step((repeat,), weighted=False),)
        if self.kind == "pool":
            return (self._parallel(in_channels, in_channels, in_channels, weighted=False),)
        if self.kind == "separable":
            depthwise = self._parallel(in_channels, in_channels, in_channels)
            return depthwise, Step((Convolution(1, in_channels=in_channels, out_channels=self.channels),))
        if self.kind == "transposed":
            self._check_groups(in_channels)
            padding, extra = self._transposed_padding()
            enlarging = Convolution(
                self.kernel, self.stride, 1, padding, True, extra, in_channels, self.channels, self.groups
            )
            return (Step((enlarging,)),)
        self._check_groups(in_channels)
        return (self._parallel(in_channels, self.channels, self.groups),)

    def out_channels(self, in_channels: int) -> int:
        """Channels of the output."""
        return in_channels if self.kind in ("pool", "resize") else self.channels

    def _check_groups(self, in_channels: int) -> None:
        if in_channels % self.groups or self.channels % self.groups:
            raise UsageError(
                f"{self.groups} groups do not divide {in_channels} -> {self.channels} channels.",
                "Choose a number of groups that divides both.",
            )

    def _parallel(self, in_channels: int, out_channels: int, groups: int, *, weighted: bool = True) -> Step:
        """The groups shared out among the rates as evenly as it goes, the first ones getting what is over."""
        if groups < len(self.rates):
            raise UsageError(
                f"{len(self.rates)} dilation rates side by side need at least as many groups, there are {groups}.",
                f"Use {len(self.rates)} groups or more.",
            )
        share, rest = divmod(groups, len(self.rates))
        branches = []
        for index, rate in enumerate(self.rates):
            own = share + (index < rest)
            padding = rate * (self.kernel - 1) // 2 if self.padding is None else self.padding
            branches.append(
                Convolution(
                    self.kernel, self.stride, rate, padding, in_channels=in_channels // groups * own,
                    out_channels=out_channels // groups * own, groups=own,
                )
            )  # fmt: skip
        if len({branch.effective_kernel - 2 * branch.padding for branch in branches}) > 1:
            raise UsageError("Rates side by side with one padding give pictures of different sizes.", "Keep the size.")
        return Step(tuple(branches), weighted)

    def _transposed_padding(self) -> tuple[int, int]:
        """Outputs cut off per side, and further ones at the far end, that make the output `stride` times as large."""
        if self.padding is not None:
            return self.padding, 0
        over = self.kernel - self.stride
        if over <= 0:
            return 0, -over
        padding = (over + 1) // 2
        # At stride 1 torch allows no extra output: an even kernel then leaves one pixel more.
        return (padding, over % 2) if over % 2 < self.stride else (over // 2, 0)


@dataclass(frozen=True)
class Reach:
    """What outputs of a stack see of its input, along one axis.

    Attributes:
        size: pixels from the first to the last one seen, of the output that sees most; 0 where none sees any.
        smallest: the same of the output that sees least. Differs only behind transposed convolutions and resizes.
        jump: input pixels between the fields of neighbouring outputs.
        start: input position of the first pixel seen by output 0; negative inside the padding.
    """

    size: int
    smallest: int
    jump: Fraction
    start: int


@dataclass(frozen=True)
class Facts:
    """Figures of a layer within its stack.

    Attributes:
        layer: the layer.
        in_channels, channels: of its input and its output.
        height, width: of its output.
        effective_kernel: see `Layer`.
        parameters: weights, without biases.
        multiplications: multiply-accumulates on the input given.
        reach: what one of its outputs sees of the stack's input.
    """

    layer: Layer
    in_channels: int
    channels: int
    height: int
    width: int
    effective_kernel: int
    parameters: int
    multiplications: int
    reach: Reach


def facts(layers: Sequence[Layer], in_channels: int, height: int, width: int) -> list[Facts]:
    """Figures of every layer of a stack, in order, on an input of `in_channels` x `height` x `width`.

    Raises:
        UsageError: a layer has no output, or its numbers do not go together; the message says which layer.
    """
    if len(layers) > MAX_LAYERS:
        raise UsageError(f"A stack of {len(layers)} layers is too long.", f"Use at most {MAX_LAYERS}.")
    found: list[Facts] = []
    steps: list[Step] = []
    for number, layer in enumerate(layers, start=1):
        try:
            own = layer.steps(in_channels)
        except UsageError as error:
            raise UsageError(f"Layer {number}: {error.problem}", error.remedy) from error
        multiplications = 0
        for step in own:
            if step.weighted:
                multiplications += sum(branch.multiplications(height, width) for branch in step.branches)
            height, width = step.output_size(height), step.output_size(width)
            if min(height, width) < 1:
                raise UsageError(
                    f"Layer {number} has no output: its kernel spans {layer.effective_kernel} pixels.",
                    "Use a smaller kernel, more padding or a larger picture.",
                )
        steps += own
        if prod(step.branches[0].stride for step in steps if step.branches[0].transposed) > MAX_ENLARGEMENT:
            raise UsageError(
                f"Layer {number}: the stack enlarges its input more than {MAX_ENLARGEMENT} times.",
                "Use fewer enlarging layers or smaller strides.",
            )
        weights = sum(branch.parameters_without_bias() for step in own if step.weighted for branch in step.branches)
        channels = layer.out_channels(in_channels)
        found.append(
            Facts(
                layer, in_channels, channels, height, width, layer.effective_kernel, weights, multiplications,
                reach(steps),
            )
        )  # fmt: skip
        in_channels = channels
    return found


def all_steps(layers: Sequence[Layer], in_channels: int) -> list[Step]:
    """The steps of a whole stack.

    Raises:
        UsageError: the numbers of a layer do not go together.
    """
    steps: list[Step] = []
    for layer in layers:
        steps += layer.steps(in_channels)
        in_channels = layer.out_channels(in_channels)
    return steps


def reach(steps: Sequence[Step]) -> Reach:
    """What outputs far from any border see of the input.

    Without enlarging layers this is the closed form r = 1 + sum_l (k_eff_l - 1) prod_{i<l} s_i (Araujo et al. 2019).
    Behind them outputs see differently much, in a pattern that repeats after the product of the enlargements.
    Channels are taken as mixed between layers: where groups keep them apart, single channels may see less.
    """
    first_branches = [step.branches[0] for step in steps]
    if not any(branch.transposed for branch in first_branches):
        return _plain_reach(steps)
    jump = Fraction(1)
    for branch in first_branches:
        jump = jump / branch.stride if branch.transposed else jump * branch.stride
    period = prod(branch.stride for branch in first_branches if branch.transposed)
    spans = [span(steps, output) for output in range(period)]
    sizes = [0 if seen is None else seen[1] - seen[0] + 1 for seen in spans]
    first = spans[0]
    return Reach(max(sizes), min(sizes), jump, 0 if first is None else first[0])


def _plain_reach(steps: Sequence[Step]) -> Reach:
    """The closed form, with the widest of the branches side by side."""
    first, last, jump = 0, 0, 1
    for step in steps:
        first += jump * min(-branch.padding for branch in step.branches)
        last += jump * max(branch.effective_kernel - 1 - branch.padding for branch in step.branches)
        jump *= step.branches[0].stride
    size = last - first + 1
    return Reach(size, size, Fraction(jump), first)


def span(steps: Sequence[Step], output: int) -> tuple[int, int] | None:
    """First and last input position that `output` sees on an endless axis; None where it sees nothing."""
    first = last = output
    for step in reversed(steps):
        for branch in step.branches:
            if branch.transposed and (branch.dilation > 1 or branch.kernel < branch.stride):
                return _patchy_span(steps, output)  # the ends may see nothing: all positions count
        lows = [place for branch in step.branches for place in branch.sources(first)]
        highs = [place for branch in step.branches for place in branch.sources(last)]
        first, last = min(lows), max(highs)
    return first, last


def _patchy_span(steps: Sequence[Step], output: int) -> tuple[int, int] | None:
    places = {output}
    for step in reversed(steps):
        places = {place for position in places for place in step.sources(position)}
    return (min(places), max(places)) if places else None


def sources(steps: Sequence[Step], output: int, size: int) -> dict[int, int]:
    """Paths from every input position to one output of a stack on `size` inputs, without those through any padding.

    With all weights one it is the gradient of that output. Positions that no path reaches are missing.
    """
    sizes = [size]
    for step in steps:
        sizes.append(step.output_size(sizes[-1]))
    paths = {output: 1} if 0 <= output < sizes[-1] else {}
    for step, width in zip(reversed(steps), reversed(sizes[:-1]), strict=True):
        before: dict[int, int] = {}
        for position, count in paths.items():
            for place in step.sources(position):
                if 0 <= place < width:
                    before[place] = before.get(place, 0) + count
        paths = before
    return dict(sorted(paths.items()))


def targets(steps: Sequence[Step], place: int, size: int) -> dict[int, int]:
    """The reverse of `sources`: paths from one input position to every output that it reaches."""
    paths = {place: 1} if 0 <= place < size else {}
    for step in steps:
        size = step.output_size(size)
        after: dict[int, int] = {}
        for position, count in paths.items():
            for output in step.targets(position):
                if 0 <= output < size:
                    after[output] = after.get(output, 0) + count
        paths = after
    return dict(sorted(paths.items()))


def contribution_map(steps: Sequence[Step]) -> np.ndarray:
    """How many paths lead from each input pixel to one output far from any border: gridding made visible.

    Returns:
        (n, n) float64 with n odd and the field in the middle; 0 marks a pixel that the output does not see. Square
        kernels treat both axes alike, so the map is the outer product of one axis with itself.

    Raises:
        UsageError: the field is larger than `MAX_MAP`.
    """
    field = reach(steps).size
    if field > MAX_MAP:
        raise UsageError(
            f"One output sees {field} x {field} pixels, too many to draw one by one.", "Use fewer or smaller rates."
        )
    line = _line(steps, field + 2 if field % 2 else field + 1)
    return np.outer(line, line)


def _line(steps: Sequence[Step], size: int) -> np.ndarray:
    """Paths to one output on an endless axis, its field in the middle of `size` positions."""
    counts: dict[int, int] = {0: 1}
    for step in reversed(steps):
        before: dict[int, int] = {}
        for position, count in counts.items():
            for place in step.sources(position):
                before[place] = before.get(place, 0) + count
        counts = before
    line = np.zeros(size)
    if counts:
        middle = (min(counts) + max(counts)) // 2 - size // 2
        for place, count in counts.items():
            line[place - middle] = count
    return line
