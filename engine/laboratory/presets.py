"""Stacks worth looking at: well-known networks, and every network of this program that is at hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from engine.errors import UsageError
from engine.laboratory.layers import Layer

if TYPE_CHECKING:
    from engine.models.card import ModelCard


@dataclass(frozen=True)
class Stack:
    """A named stack.

    Attributes:
        name: for people.
        layers: in order, from the picture on.
        in_channels: of the picture.
        note: what it is and what it leaves out.
    """

    name: str
    layers: tuple[Layer, ...]
    in_channels: int = 3
    note: str = ""


def _dilated(*rates: int, channels: int = 64) -> tuple[Layer, ...]:
    return tuple(Layer("dilated", rates=(rate,), channels=channels) for rate in rates)


def _unet() -> tuple[Layer, ...]:
    widths = (64, 128, 256, 512, 1024)
    layers: list[Layer] = []
    for width in widths:
        layers += [Layer(channels=width), Layer(channels=width), Layer("pool", 2, 2)]
    layers.pop()  # nothing is pooled at the bottom
    for width in reversed(widths[:-1]):
        layers += [Layer("transposed", 2, 2, channels=width), Layer(channels=width), Layer(channels=width)]
    return (*layers, Layer(kernel=1, channels=2))


def _regseg() -> tuple[Layer, ...]:
    """Three convolutions a block; the middle one has 16 channels a group and one or two rates."""
    blocks: list[tuple[int, int, tuple[int, ...]]] = [(48, 2, (1,)), (128, 2, (1,)), (128, 1, (1,)), (128, 1, (1,))]
    blocks += [(256, 2, (1,)), (256, 1, (1,)), (256, 1, (1, 2))]
    blocks += [(256, 1, (1, 4))] * 4 + [(256, 1, (1, 14))] * 6 + [(320, 1, (1, 14))]
    layers = [Layer(stride=2, channels=32)]
    for width, stride, rates in blocks:
        layers += [
            Layer(kernel=1, channels=width),
            Layer("dilated", stride=stride, rates=rates, groups=width // 16, channels=width),
            Layer(kernel=1, channels=width),
        ]
    return tuple(layers)


PRESETS: tuple[Stack, ...] = (
    Stack("Three 3×3", (Layer(),) * 3, note="Three plain layers see as far as one 7×7 with 55 % of its weights."),
    Stack("Rates 2-2-2", _dilated(2, 2, 2), note="Equal rates leave holes: 71 % of the field are never read."),
    Stack("Rates 1-2-5", _dilated(1, 2, 5), note="Rates without a common factor read every pixel of the field."),
    Stack(
        "Dilation8 context module",
        (*_dilated(1, 1, 2, 4, 8, 16, 1, channels=11), Layer(kernel=1, channels=11)),
        in_channels=11,
        note="Yu and Koltun 2016, for 11 classes: doubling rates see 67 × 67 with eight thin layers.",
    ),
    Stack(
        "U-Net",
        _unet(),
        in_channels=1,
        note="Ronneberger et al. 2015, along its deepest path with padding: without the skips, whose channels double"
        " the inputs of the first convolution after each enlargement.",
    ),
    Stack(
        "RegSeg",
        _regseg(),
        note="Gao 2021, the encoder: a large and a small rate side by side. Without shortcuts and squeeze-excitation.",
    ),
    Stack(
        "Generator with 3×3 transposed",
        (Layer("transposed", 3, 2), Layer("transposed", 3, 2), Layer("transposed", 3, 2, channels=3)),
        in_channels=64,
        note="Kernels that the stride does not divide write some outputs more often than others: a checkerboard.",
    ),
)


def preset(name: str) -> Stack:
    """A preset by name.

    Raises:
        UsageError: there is none of that name.
    """
    for stack in PRESETS:
        if stack.name == name:
            return stack
    raise UsageError(f"There is no preset {name!r}.", f"Use one of: {', '.join(stack.name for stack in PRESETS)}.")


def model_stack(card: ModelCard) -> Stack | None:
    """The encoder of a model of this program as a stack, from the config in its card; None for unknown families.

    Folding pixels into channels and a convolution after it is one convolution with a larger kernel and stride, with the
    same weights, and is written as that.
    """
    if card.family not in _FAMILIES:
        return None
    make, note = _FAMILIES[card.family]
    layers = make(card.config)
    return Stack(card.name, tuple(layers), int(card.config.get("channels", 3)), note)


def _residual(width: int, dilation: int) -> list[Layer]:
    return [
        Layer(kernel=1, channels=width),
        Layer("dilated", rates=(dilation,), groups=width, channels=width),
        Layer(kernel=1, channels=width),
        Layer(kernel=1, channels=2 * width),
        Layer(kernel=1, channels=width),
    ]


def _codec(config: dict[str, Any]) -> list[Layer]:
    high, low = config["high_channels"], config["low_channels"]
    layers = [Layer(kernel=8, stride=8, padding=0, channels=high)]
    for place, (width, blocks) in enumerate(
        ((high, config["encoder_high_blocks"]), (low, config["encoder_low_blocks"]))
    ):
        if place:
            layers.append(Layer(kernel=2, stride=2, padding=0, channels=low))
        for block in range(blocks):
            layers += _residual(width, 2 if block == min(1, blocks - 1) else 1)
    return [*layers, Layer(kernel=1, channels=config["latent_channels"])]


def _picture_encoder(config: dict[str, Any]) -> list[Layer]:
    fine_to_coarse = list(reversed(config["widths"]))
    layers = [Layer(kernel=6, stride=2, padding=2, channels=fine_to_coarse[0])]
    return layers + [Layer(kernel=4, stride=2, padding=1, channels=width) for _, width in pairwise(fine_to_coarse)]


def _segmenter(config: dict[str, Any]) -> list[Layer]:
    half, quarter, eighth, context = config["widths"]

    def block(width: int, rates: Sequence[int], stride: int = 1) -> list[Layer]:
        middle = Layer("dilated", stride=stride, rates=tuple(rates), groups=width, channels=width)
        return [Layer(kernel=1, channels=width), middle, Layer(kernel=1, channels=width)]

    layers = [Layer(stride=2, channels=half), Layer(channels=half), Layer(stride=2, channels=quarter)]
    for _ in range(config["depths"][0]):
        layers += block(quarter, (1,))
    layers += block(eighth, (1,), 2)
    for _ in range(config["depths"][1]):
        layers += block(eighth, (1,))
    for index, rates in enumerate(config["rates"]):
        layers += block(context, rates, 1 if index else config["output_stride"] // 8)
    return layers


_FAMILIES: dict[str, tuple[Callable[[dict[str, Any]], list[Layer]], str]] = {
    "hyperprior-codec": (_codec, "The codec's encoder, from the picture to its latents; without the shortcuts."),
    "dilated-segmenter": (_segmenter, "The encoder with its context stage; without the shortcuts and the decoder."),
    "conditional-vae": (
        _picture_encoder,
        "The encoder's convolutions, up to the map that its linear layer reads.",
    ),
    "autoencoder": (_picture_encoder, "The encoder's convolutions, up to the map that its linear layer reads."),
}
