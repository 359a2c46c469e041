"""Writes codec models for the viewer: `python -m viewer.export` needs PyTorch and the package onnx, the viewer neither.

python -m viewer.export                          every shipped codec -> resources/viewer/NAME.npz
python -m viewer.export --model NAME_OR_PATH --out FILE.npz

The graphs hold the decoder only. Weights are stored as float16, as they are in the model file, and become float32 when
ONNX Runtime loads them. The same model gives the same bytes each time. `engine.compression.onnx_codec` says what is in
the file.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import nn

from engine.compression.container import MEAN_STEPS
from engine.compression.onnx_codec import FORMAT, SUFFIX, OnnxCard, shipped_folder
from engine.errors import LatentStudioError, ModelError, UsageError
from engine.files import write_bytes
from engine.models.hyperprior_codec import (
    LATENT_TOTAL,
    LATENT_UNIT,
    ContextModel,
    HyperpriorCodec,
    HyperSynthesis,
    IntegerBias,
    IntegerConv,
    ResidualBlock,
    Synthesis,
)
from engine.models.registry import load_model
from engine.models.store import read_card
from engine.paths import resources

# Old enough for every onnxruntime that pyproject.toml allows.
OPSET = 17
IR_VERSION = 8


class _Graph:
    """An ONNX graph that grows node by node; values are named by strings."""

    def __init__(self, name: str, **inputs: tuple[int, tuple[int | str, ...]]) -> None:
        self._name = name
        self._inputs = [helper.make_tensor_value_info(key, kind, shape) for key, (kind, shape) in inputs.items()]
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Append a node with one output; returns the name of its value."""
        return self.nodes(operator, 1, *inputs, **attributes)[0]

    def nodes(self, operator: str, outputs: int, *inputs: str, **attributes: Any) -> list[str]:
        """Append a node with several outputs."""
        names = [f"v{len(self._nodes)}_{number}" for number in range(outputs)]
        self._nodes.append(helper.make_node(operator, inputs, names, **attributes))
        return names

    def constant(self, value: np.ndarray) -> str:
        """A constant stored as it is."""
        name = f"c{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(value, name))
        return name

    def number(self, value: float) -> str:
        """A float32 scalar."""
        return self.constant(np.array(value, dtype=np.float32))

    def weights(self, value: torch.Tensor) -> str:
        """A float32 tensor, stored as float16. Raises `ModelError` where that would change it."""
        half = value.detach().half()
        if not torch.equal(half.float(), value.detach().float()):
            raise ModelError("The model has weights that float16 cannot hold.", "Export the model file that was saved.")
        return self.node("Cast", self.constant(half.numpy()), to=onnx.TensorProto.FLOAT)

    def finish(self, **outputs: tuple[str, int, tuple[int | str, ...]]) -> np.ndarray:
        """The graph with these values (name, element type, shape) as its outputs, serialised, as uint8."""
        results = []
        for key, (value, kind, shape) in outputs.items():
            self._nodes.append(helper.make_node("Identity", [value], [key]))
            results.append(helper.make_tensor_value_info(key, kind, shape))
        graph = helper.make_graph(self._nodes, self._name, self._inputs, results, self._constants)
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="latent-studio"
        )
        onnx.checker.check_model(model, full_check=True)
        return np.frombuffer(model.SerializeToString(deterministic=True), dtype=np.uint8)


def _clipped_relu(graph: _Graph, value: str) -> str:
    return _clip(graph, graph.node("Floor", value), 0.0, 255.0)


def _clip(graph: _Graph, value: str, low: float, high: float) -> str:
    return graph.node("Clip", value, graph.number(low), graph.number(high))


def _compand(graph: _Graph, value: str) -> str:
    """`engine.models.hyperprior_codec.compand`."""
    size = graph.node("Abs", value)
    small = graph.node("Floor", graph.node("Mul", _clip(graph, size, 0.0, 128.0), graph.number(0.5)))
    beyond = _clip(graph, graph.node("Sub", size, graph.number(128.0)), 0.0, 1008.0)
    large = graph.node("Floor", graph.node("Mul", beyond, graph.number(0.0625)))
    return graph.node("Mul", graph.node("Sign", value), graph.node("Add", small, large))


def _integer_weight(convolution: IntegerConv) -> torch.Tensor:
    # Divided by a power of two, so that one convolution gives what the network computes in two operations.
    return convolution.integer_weight() * 2.0**-convolution.shift


def _integer_bias(bias: IntegerBias, row: int = 0) -> torch.Tensor:
    return bias(torch.tensor([row]))[0, :, 0, 0]


def _integer_conv(graph: _Graph, convolution: IntegerConv, value: str, bias: IntegerBias | None = None) -> str:
    inputs = [value, graph.weights(_integer_weight(convolution))]
    if bias is not None:
        inputs.append(graph.weights(_integer_bias(bias)))
    return graph.node("Conv", *inputs, group=convolution.groups, pads=[convolution.padding] * 4)


def _bias_of(graph: _Graph, bias: IntegerBias, index: str) -> str:
    """The rows `index` (h, w) of biases, as (1, C, h, w)."""
    rows = torch.stack([_integer_bias(bias, row) for row in range(len(bias.rows))])
    chosen = graph.node("Transpose", graph.node("Gather", graph.weights(rows), index, axis=0), perm=[2, 0, 1])
    return graph.node("Unsqueeze", chosen, graph.constant(np.array([0])))


def _pixel_shuffle(graph: _Graph, value: str, factor: int) -> str:
    return graph.node("DepthToSpace", value, blocksize=factor, mode="CRD")


def _prepare_graph(hyper: HyperSynthesis, context: ContextModel, channels: int, width: int) -> np.ndarray:
    """Hyper-latents (1, Cz, h, w) and quality levels -> what all steps of a group share, (1, W, 4h, 4w).

    Levels are (1, 1), or (4h, 4w) where they differ from place to place.
    """
    graph = _Graph(
        "prepare",
        hyper=(onnx.TensorProto.FLOAT, (1, channels, "h", "w")),
        levels=(onnx.TensorProto.INT64, ("level_rows", "level_columns")),
    )
    value = _compand(graph, graph.node("Mul", "hyper", graph.number(MEAN_STEPS)))
    value = _clipped_relu(graph, _integer_conv(graph, hyper.enter, value, hyper.enter_bias))
    value = _clipped_relu(graph, _integer_conv(graph, hyper.spread, _pixel_shuffle(graph, value, 2)))
    value = _clipped_relu(graph, _integer_conv(graph, hyper.middle, value, hyper.middle_bias))
    value = _clipped_relu(graph, _integer_conv(graph, hyper.smooth, _pixel_shuffle(graph, value, 2)))
    value = _clipped_relu(graph, _integer_conv(graph, hyper.leave, value, hyper.leave_bias))
    value = graph.node(
        "Add", _integer_conv(graph, context.from_hyper, value), _bias_of(graph, context.quality_bias, "levels")
    )
    return graph.finish(prepared=(value, onnx.TensorProto.FLOAT, (1, width, "high", "wide")))


def _distribution_graph(context: ContextModel, channels: int, width: int) -> np.ndarray:
    """`ContextModel.forward` and the bins.

    Latents (1, M, h, w) are in 1/16 steps, 0 where not decoded yet; the step is (1, 1).
    """
    graph = _Graph(
        "distribution",
        prepared=(onnx.TensorProto.FLOAT, (1, width, "h", "w")),
        latents=(onnx.TensorProto.FLOAT, (1, channels, "h", "w")),
        step=(onnx.TensorProto.INT64, (1, 1)),
    )
    both = torch.cat([_integer_weight(context.from_first), _integer_weight(context.from_second)], dim=1)
    decoded = graph.node("Conv", _compand(graph, "latents"), graph.weights(both))
    value = graph.node("Add", graph.node("Add", "prepared", decoded), _bias_of(graph, context.step_bias, "step"))
    value = _clipped_relu(graph, _integer_conv(graph, context.around, _clipped_relu(graph, value)))
    value = graph.node("Add", _integer_conv(graph, context.middle, value), _bias_of(graph, context.middle_bias, "step"))
    value = _integer_conv(graph, context.leave, _clipped_relu(graph, value))
    mean, scale = graph.nodes("Split", 2, value, axis=1)
    mean = graph.node("Floor", graph.node("Add", mean, _bias_of(graph, context.mean_bias, "step")))
    scale = _clipped_relu(graph, graph.node("Add", scale, _bias_of(graph, context.scale_bias, "step")))
    bins = graph.node("Floor", graph.node("Mul", scale, graph.number(0.25)))
    mean = _clip(graph, mean, -4080.0, 4080.0)
    shape = (1, channels // 2, "h", "w")
    return graph.finish(mean=(mean, onnx.TensorProto.FLOAT, shape), bins=(bins, onnx.TensorProto.FLOAT, shape))


def _conv(graph: _Graph, layer: nn.Module, value: str) -> str:
    convolution = cast(nn.Conv2d, layer)
    padding, dilation = cast(tuple[int, int], convolution.padding), convolution.dilation
    return graph.node(
        "Conv", value, graph.weights(convolution.weight), graph.weights(cast(torch.Tensor, convolution.bias)),
        group=convolution.groups, pads=[*padding, *padding], dilations=list(dilation),
    )  # fmt: skip


def _block(graph: _Graph, block: ResidualBlock, value: str) -> str:
    def leaky(value: str) -> str:
        return graph.node("LeakyRelu", value, alpha=0.1)

    inner = _conv(graph, block.depthwise, leaky(_conv(graph, block.enter, value)))
    value = graph.node("Add", value, _conv(graph, block.leave, inner))
    return graph.node("Add", value, _conv(graph, block.contract, leaky(_conv(graph, block.expand, value))))


def _synthesis_graph(synthesis: Synthesis, channels: int, high: int) -> np.ndarray:
    """Latents (1, M, h, w) in 1/16 steps and two gains -> pixels (1, 16h, 16w, 3) uint8.

    Gains are (1, M, 1, 1) and (1, high, 1, 1), or (1, M, h, w) and (1, high, 2h, 2w) of a quality map.
    """
    graph = _Graph(
        "synthesis",
        latents=(onnx.TensorProto.FLOAT, (1, channels, "h", "w")),
        restore=(onnx.TensorProto.FLOAT, (1, channels, "restore_rows", "restore_columns")),
        filter=(onnx.TensorProto.FLOAT, (1, high, "filter_rows", "filter_columns")),
    )
    value = graph.node("Mul", graph.node("Mul", "latents", "restore"), graph.number(1.0 / (MEAN_STEPS * LATENT_UNIT)))
    value = _conv(graph, synthesis.enter, value)
    for block in synthesis.low:
        value = _block(graph, cast(ResidualBlock, block), value)
    value = _pixel_shuffle(graph, _conv(graph, synthesis.up, value), 2)
    for block in synthesis.high:
        value = _block(graph, cast(ResidualBlock, block), value)
    value = _pixel_shuffle(graph, _conv(graph, synthesis.leave, graph.node("Mul", value, "filter")), 8)
    # (value / 2 + 1/2) * 255, rounded: adding 1/2 makes the cast, which cuts off, round.
    value = graph.node("Add", graph.node("Mul", value, graph.number(127.5)), graph.number(128.0))
    value = graph.node("Cast", _clip(graph, value, 0.0, 255.0), to=onnx.TensorProto.UINT8)
    pixels = graph.node("Transpose", value, perm=[0, 2, 3, 1])
    return graph.finish(pixels=(pixels, onnx.TensorProto.UINT8, (1, "high", "wide", 3)))


def shipped_codecs() -> list[Path]:
    """The codec models that come with the program; not those of the user's that have their names."""
    paths = sorted((resources() / "models").glob("*.safetensors"))
    return [path for path in paths if read_card(path).family == HyperpriorCodec.family]


@torch.no_grad()
def export(model: str | Path) -> tuple[OnnxCard, bytes]:
    """A codec model as the viewer reads it, by registry name or path.

    Returns:
        Its card, and the bytes of its file.

    Raises:
        UsageError: there is no such model, or it is no codec.
        ModelError: it cannot be read, or its training was never finished.
    """
    loaded = load_model(model, torch.device("cpu"))
    network = loaded.network
    if not isinstance(network, HyperpriorCodec):
        raise UsageError(f"{loaded.card.name!r} is no codec.", "Choose a model of family hyperprior-codec.")
    frequencies = network.latent_frequencies.numpy()
    if not (frequencies.sum(axis=1) == LATENT_TOTAL).all():
        raise ModelError(f"The model {loaded.card.name!r} has no frequency tables.", "Finish its training first.")
    config = network.config
    card = OnnxCard(
        name=loaded.card.name,
        weights_sha256=loaded.card.weights_sha256,
        latent_channels=config.latent_channels,
        hyper_channels=config.hyper_channels,
        quality_levels=config.quality_levels,
        synthesis_halo=network.synthesis_halo,
    )
    stream = io.BytesIO()
    np.savez_compressed(
        stream,
        card=np.frombuffer(json.dumps({"format": FORMAT, **asdict(card)}).encode(), dtype=np.uint8),
        prepare=_prepare_graph(
            network.hyper_synthesis, network.context, config.hyper_channels, config.context_channels
        ),
        distribution=_distribution_graph(network.context, config.latent_channels, config.context_channels),
        synthesis=_synthesis_graph(network.synthesis, config.latent_channels, config.high_channels),
        latent_frequencies=frequencies,
        hyper_frequencies=network.hyper_frequencies.numpy(),
        log_restore=network.log_restore.numpy(),
        log_filter=network.log_filter.numpy(),
    )
    return card, stream.getvalue()


def main(arguments: list[str] | None = None) -> int:
    """Export what the arguments name; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m viewer.export", description="Write codec models for the viewer.")
    parser.add_argument("--model", help="a name or a path; every shipped codec by default")
    parser.add_argument("--out", type=Path, help=f"the {SUFFIX} file; resources/viewer/NAME{SUFFIX} by default")
    wanted = parser.parse_args(arguments)
    if wanted.out is not None and wanted.model is None:
        parser.error("--out needs --model")
    try:
        for model in [wanted.model] if wanted.model else shipped_codecs():
            card, data = export(model)
            path = wanted.out or shipped_folder() / f"{card.name}{SUFFIX}"
            write_bytes(path, data)
            print(f"{path}  {len(data)} bytes")
    except LatentStudioError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2 if error.exit_code == 2 else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
