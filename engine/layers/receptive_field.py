"""Arithmetic of convolution stacks without a tensor: sizes, receptive fields, paths, parameters, multiplications."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Convolution:
    """One convolution (or pooling) along one axis; square kernels on pictures use the same numbers twice.

    Attributes:
        kernel, stride, dilation: at least 1.
        padding: zeros per side; for a transposed convolution the outputs cut off per side.
        transposed: True where the layer enlarges by `stride`.
        output_padding: extra outputs at the far end of a transposed convolution, below max(stride, dilation).
        in_channels, out_channels, groups: for parameters and multiplications; groups = in_channels is depthwise.
        bias: one more parameter per output channel.
    """

    kernel: int
    stride: int = 1
    dilation: int = 1
    padding: int = 0
    transposed: bool = False
    output_padding: int = 0
    in_channels: int = 1
    out_channels: int = 1
    groups: int = 1
    bias: bool = False

    def __post_init__(self) -> None:
        if min(self.kernel, self.stride, self.dilation, self.in_channels, self.out_channels, self.groups) < 1:
            raise ValueError("kernel, stride, dilation, channels and groups start at 1")
        if self.padding < 0 or self.output_padding < 0:
            raise ValueError("padding cannot be negative")
        if self.in_channels % self.groups or self.out_channels % self.groups:
            raise ValueError(f"{self.groups} groups do not divide {self.in_channels} -> {self.out_channels} channels")
        if self.output_padding and (not self.transposed or self.output_padding >= max(self.stride, self.dilation)):
            raise ValueError("output_padding belongs to transposed convolutions and stays below stride or dilation")

    @property
    def effective_kernel(self) -> int:
        """Pixels from the first to the last tap: dilation (kernel - 1) + 1."""
        return self.dilation * (self.kernel - 1) + 1

    def output_size(self, size: int) -> int:
        """Outputs along an axis of `size` inputs; 0 or less where the kernel does not fit."""
        if self.transposed:
            return (size - 1) * self.stride - 2 * self.padding + self.effective_kernel + self.output_padding
        return (size + 2 * self.padding - self.effective_kernel) // self.stride + 1

    def sources(self, output: int) -> list[int]:
        """Input positions that output position `output` reads, padding included (positions outside the axis)."""
        if not self.transposed:
            start = output * self.stride - self.padding
            return [start + tap * self.dilation for tap in range(self.kernel)]
        found = []
        for tap in range(self.kernel):
            place, rest = divmod(output + self.padding - tap * self.dilation, self.stride)
            if rest == 0:
                found.append(place)
        return found

    def targets(self, place: int) -> list[int]:
        """Output positions that read input position `place`, on an endless axis: the reverse of `sources`."""
        if self.transposed:
            start = place * self.stride - self.padding
            return [start + tap * self.dilation for tap in range(self.kernel)]
        found = []
        for tap in range(self.kernel):
            output, rest = divmod(place + self.padding - tap * self.dilation, self.stride)
            if rest == 0:
                found.append(output)
        return found

    def parameters(self, dimensions: int = 2) -> int:
        """Weights and biases: kernel^dimensions in_channels out_channels / groups, plus out_channels with a bias."""
        weights = self.kernel**dimensions * self.in_channels * self.out_channels // self.groups
        return weights + (self.out_channels if self.bias else 0)

    def multiplications(self, *sizes: int) -> int:
        """Multiply-accumulates on an input of these sizes (height, width); taps on the padding are counted.

        A convolution works once per output position, a transposed one once per input position.
        """
        positions = 1
        for size in sizes:
            positions *= size if self.transposed else max(0, self.output_size(size))
        return positions * self.parameters_without_bias(len(sizes))

    def parameters_without_bias(self, dimensions: int = 2) -> int:
        """Weights alone."""
        return self.kernel**dimensions * self.in_channels * self.out_channels // self.groups


@dataclass(frozen=True)
class ReceptiveField:
    """What one output of a stack without transposed layers sees of the input, along one axis.

    Attributes:
        size: pixels from the first to the last one seen.
        stride: pixels between the fields of neighbouring outputs (the output stride, or "jump").
        start: input position of the first pixel seen by output 0; negative inside the padding.
    """

    size: int
    stride: int
    start: int

    def span(self, output: int) -> tuple[int, int]:
        """First and last input position that `output` sees, padding included."""
        first = self.start + output * self.stride
        return first, first + self.size - 1


def receptive_field(layers: Sequence[Convolution]) -> ReceptiveField:
    """Closed form (Araujo et al. 2019): r = 1 + sum_l (k_eff_l - 1) prod_{i<l} s_i.

    Raises:
        ValueError: a layer is transposed; its outputs see differently many pixels, so ask `contributions`.
    """
    size, stride, start = 1, 1, 0
    for layer in layers:
        if layer.transposed:
            raise ValueError("the closed form holds without transposed convolutions; use contributions")
        size += (layer.effective_kernel - 1) * stride
        start -= layer.padding * stride
        stride *= layer.stride
    return ReceptiveField(size, stride, start)


def output_size(layers: Sequence[Convolution], size: int) -> int:
    """Outputs of the whole stack along an axis of `size` inputs.

    Raises:
        ValueError: a kernel does not fit its input.
    """
    for number, layer in enumerate(layers, start=1):
        size = layer.output_size(size)
        if size < 1:
            raise ValueError(f"layer {number} has no output: its kernel spans {layer.effective_kernel} pixels")
    return size


def contributions(layers: Sequence[Convolution], output: int, size: int) -> dict[int, int]:
    """How many paths lead from each input position to one output: the gridding of a stack made visible.

    With all weights one it is the gradient of that output. Positions with no path, the holes that equal dilation
    rates leave, are missing from the answer, and so is all padding, of the input and of every layer between.

    Args:
        output: position in 0..output_size-1.
        size: inputs along the axis.

    Returns:
        Input position -> number of paths, in order of position.

    Raises:
        ValueError: there is no such output.
    """
    sizes = [size]
    for layer in layers:
        sizes.append(layer.output_size(sizes[-1]))
    if min(sizes) < 1 or not 0 <= output < sizes[-1]:
        raise ValueError(f"there is no output {output} for {size} inputs")
    paths: Counter[int] = Counter({output: 1})
    for layer, width in zip(reversed(layers), reversed(sizes[:-1]), strict=True):
        before: Counter[int] = Counter()
        for position, count in paths.items():
            for source in layer.sources(position):
                if 0 <= source < width:
                    before[source] += count
        paths = before
    return dict(sorted(paths.items()))


def parameters(layers: Sequence[Convolution], dimensions: int = 2) -> int:
    """Weights and biases of the whole stack."""
    return sum(layer.parameters(dimensions) for layer in layers)


def multiplications(layers: Sequence[Convolution], *sizes: int) -> int:
    """Multiply-accumulates of the whole stack on an input of these sizes (height, width)."""
    total, current = 0, sizes
    for layer in layers:
        total += layer.multiplications(*current)
        current = tuple(layer.output_size(size) for size in current)
    return total
