"""The laboratory's figures equal what torch and autograd say of the real layers, for random stacks and for networks."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from math import prod
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from engine.errors import Cancelled, DataError, UsageError
from engine.image import Picture
from engine.laboratory.animation import MAX_FRAMES, frame, moments, save_gif, save_png
from engine.laboratory.causal_text import CausalStack, rates_of
from engine.laboratory.checkerboard import doublings
from engine.laboratory.effective_field import effective_field, square_of_share
from engine.laboratory.layers import (
    Layer,
    Reach,
    all_steps,
    contribution_map,
    facts,
    reach,
    sources,
    span,
    targets,
)
from engine.laboratory.networks import network
from engine.laboratory.pictures import FILTERS, filter_weights, filtered, mixing_weights, shown, small_picture
from engine.laboratory.presets import PRESETS, model_stack, preset
from engine.laboratory.text_field import influence, next_characters, random_network, train
from engine.laboratory.timing import measure
from engine.laboratory.torch_code import code
from engine.models.card import ModelCard
from engine.models.dilated_segmenter import DilatedSegmenter, DilatedSegmenterConfig
from engine.models.hyperprior_codec import HyperpriorCodec, HyperpriorCodecConfig
from engine.models.registry import list_models, load_model
from engine.progress import CancelToken

CHANNELS = 12  # divided by 1, 2, 3, 4, 6 and 12 groups


def random_layer(rng: np.random.Generator) -> Layer:
    kind = str(rng.choice(["standard", "dilated", "dilated", "separable", "transposed", "pool", "resize"]))
    kernel, stride = int(rng.integers(1, 5)), int(rng.integers(1, 4))
    rates: tuple[int, ...] = (1,)
    groups = int(rng.choice([1, 2, 3, 4, 6, 12]))
    if kind in ("dilated", "separable"):
        rates = tuple(int(rate) for rate in rng.integers(1, 6, size=int(rng.integers(1, 4))))
        groups = max(groups, 4 if len(rates) > 1 else 1)
        groups = next(number for number in (1, 2, 3, 4, 6, 12) if number >= groups)
    if len(rates) > 1:
        kernel |= 1  # even kernels side by side keep no common size
    padding = None
    if len(rates) == 1 and kind not in ("resize", "pool") and rng.random() < 0.4:
        padding = int(rng.integers(0, (kernel - 1) // 2 + 1))
    if kind in ("resize", "transposed"):
        stride = min(stride, 2)
    return Layer(kind, kernel, stride, rates, padding, groups, CHANNELS)  # type: ignore[arg-type]


def random_stack(seed: int, size: int) -> list[Layer]:
    rng = np.random.default_rng(seed)
    layers: list[Layer] = []
    for _ in range(int(rng.integers(1, 6))):
        layer = random_layer(rng)
        try:
            found = facts([*layers, layer], CHANNELS, size, size)
        except UsageError:
            continue
        if found[-1].width < 400:
            layers.append(layer)
            if layer.groups > 1:
                # Otherwise a share of the channels may never meet another one, and its rate not that of the next layer.
                layers.append(Layer(kernel=1, channels=CHANNELS))
    return layers


def all_ones(layers: list[Layer], in_channels: int) -> nn.Sequential:
    """The stack in double precision with all weights one; pooling counts its taps as well."""
    made = network(layers, in_channels).double()
    for weight in made.parameters():
        nn.init.ones_(weight)
    for index, module in enumerate(made):
        if isinstance(module, nn.MaxPool2d):
            assert isinstance(module.kernel_size, int)
            made[index] = nn.AvgPool2d(
                module.kernel_size,
                module.stride,
                module.padding,
                divisor_override=1,  # type: ignore[arg-type]
            )
    return made


def seen_along(gradient: torch.Tensor, axis: int) -> dict[int, bool]:
    """Positions along an axis with any gradient."""
    others = tuple(dimension for dimension in range(4) if dimension != axis)
    return {int(place): True for place in gradient.abs().sum(others).nonzero().flatten()}


@pytest.mark.parametrize("seed", range(40))
def test_sizes_weights_and_multiplications_are_those_of_torch(seed: int) -> None:
    layers = random_stack(seed, 40)
    counted = 0

    def count(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal counted
        positions = inputs[0][0, 0] if isinstance(module, nn.ConvTranspose2d) else output[0, 0]
        counted += positions.numel() * next(module.parameters()).numel()

    made = network(layers, CHANNELS)
    for module in made.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            module.register_forward_hook(count)
    found = facts(layers, CHANNELS, 40, 37)
    output = made(torch.zeros(1, CHANNELS, 40, 37))
    assert tuple(output.shape[1:]) == (found[-1].channels, found[-1].height, found[-1].width)
    assert sum(fact.parameters for fact in found) == sum(weight.numel() for weight in made.parameters())
    assert sum(fact.multiplications for fact in found) == counted


@pytest.mark.parametrize("seed", range(40))
def test_links_are_the_gradients_both_ways(seed: int) -> None:
    """Who reads whom, along one axis, equals where the gradient is, of outputs by inputs and the reverse."""
    size = 30
    layers = random_stack(100 + seed, size)
    steps = all_steps(layers, CHANNELS)
    made = all_ones(layers, CHANNELS)
    picture = torch.zeros(1, CHANNELS, size, size, dtype=torch.float64, requires_grad=True)
    output = made(picture)
    count = output.shape[-1]
    for place in {0, count // 2, count - 1}:
        (gradient,) = torch.autograd.grad(output[:, :, count // 2, place].sum(), picture, retain_graph=True)
        assert seen_along(gradient, 3).keys() == sources(steps, place, size).keys()
    for place in (0, size // 2, size - 1):
        dot = torch.zeros(1, CHANNELS, size, size, dtype=torch.float64)
        dot[..., place] = 1.0
        assert seen_along(made(dot), 3).keys() == targets(steps, place, size).keys()


@pytest.mark.parametrize("seed", range(40))
def test_both_ways_count_the_same_paths(seed: int) -> None:
    steps = all_steps(random_stack(200 + seed, 30), CHANNELS)
    size = 30
    for step in steps:
        size = step.output_size(size)
    there = {(place, output): paths for place in range(30) for output, paths in targets(steps, place, 30).items()}
    back = {(place, output): paths for output in range(size) for place, paths in sources(steps, output, 30).items()}
    assert there == back


@pytest.mark.parametrize("seed", range(40))
def test_reach_is_what_the_gradient_of_inner_outputs_spans(seed: int) -> None:
    layers = random_stack(300 + seed, 40)
    steps = all_steps(layers, CHANNELS)
    field = reach(steps)
    # The outputs looked at, and all that they see, lie inside: padding takes nothing away.
    size = 3 * field.size + 40 * max(1, int(field.jump)) + 60
    made = all_ones(layers, CHANNELS)
    line = torch.zeros(1, CHANNELS, 30, size, dtype=torch.float64, requires_grad=True)
    try:
        output = made(line)
    except RuntimeError:
        pytest.skip("the stack needs more lines than this picture has")
    middle, spans = output.shape[-1] // 2, []
    for place in range(middle, min(output.shape[-1], middle + 16)):
        (gradient,) = torch.autograd.grad(output[..., place].sum(), line, retain_graph=True)
        found = seen_along(gradient, 3)
        expected = span(steps, place)
        assert (min(found), max(found)) == expected if found else expected is None
        spans.append(max(found) - min(found) + 1 if found else 0)
    assert field.smallest <= min(spans) and max(spans) <= field.size
    if prod(layer.stride for layer in layers if layer.kind in ("transposed", "resize")) <= len(spans):
        assert (min(spans), max(spans)) == (field.smallest, field.size)


def test_known_fields_come_out() -> None:
    """67 is Yu and Koltun's figure for the context module, 3807 Gao's for RegSeg."""
    sizes = {stack.name: reach(all_steps(stack.layers, stack.in_channels)).size for stack in PRESETS}
    assert sizes["Dilation8 context module"] == 67
    assert sizes["RegSeg"] == 3807
    assert sizes["Three 3×3"] == 7
    assert sizes["Rates 2-2-2"] == 13 and sizes["Rates 1-2-5"] == 17


def test_the_bottom_of_u_net_has_the_channels_of_the_paper() -> None:
    stack = preset("U-Net")
    found = facts(stack.layers, stack.in_channels, 576, 576)
    assert max(fact.channels for fact in found) == 1024
    bottom = next(fact for fact in found if fact.channels == 1024)
    assert (bottom.height, bottom.reach.jump) == (36, Fraction(16))
    assert (found[-1].height, found[-1].channels, found[-1].reach.jump) == (576, 2, Fraction(1))


def test_the_figures_of_the_example_in_every_textbook() -> None:
    kinds = [Layer(), Layer("dilated", rates=(4,)), Layer("transposed", 3, 2), Layer("separable")]
    found = [facts([layer], 64, 90, 120)[0] for layer in kinds]
    assert [fact.parameters for fact in found] == [36_864, 36_864, 36_864, 4_672]
    assert [fact.multiplications for fact in found] == [398_131_200, 398_131_200, 398_131_200, 50_457_600]
    assert [fact.effective_kernel for fact in found] == [3, 9, 3, 3]
    assert [(fact.height, fact.width) for fact in found] == [(90, 120), (90, 120), (180, 240), (90, 120)]


def test_equal_rates_leave_holes_and_mixed_rates_do_not() -> None:
    maps = {name: contribution_map(all_steps(preset(name).layers, 3)) for name in ("Rates 2-2-2", "Rates 1-2-5")}
    assert (maps["Rates 2-2-2"] > 0).sum() == 7 * 7
    assert (maps["Rates 1-2-5"] > 0).sum() == 17 * 17
    for name, found in maps.items():
        stack = preset(name)
        side = found.shape[0]
        picture = torch.zeros(1, 3, side, side, dtype=torch.float64, requires_grad=True)
        made = all_ones(list(stack.layers), 3)
        made(picture)[0, 0, side // 2, side // 2].backward()
        assert picture.grad is not None
        paths = 64 ** (len(stack.layers) - 1)  # each of the inner layers sums over its channels too
        np.testing.assert_array_equal(picture.grad[0, 0].numpy() / paths, found)


@pytest.mark.parametrize("name", [stack.name for stack in PRESETS])
def test_the_code_of_every_preset_runs_and_makes_the_same_network(name: str) -> None:
    stack = preset(name)
    layers = stack.layers[:12]  # the whole RegSeg would only take longer
    size = 48
    scope: dict[str, object] = {}
    exec(compile(code(layers, stack.in_channels, size, size), name, "exec"), scope)
    theirs = scope["network"]
    assert isinstance(theirs, nn.Sequential)
    ours = network(layers, stack.in_channels)
    ours.load_state_dict(theirs.state_dict())
    picture = scope["picture"]
    assert isinstance(picture, torch.Tensor)
    torch.testing.assert_close(theirs(picture), ours(picture))
    found = facts(layers, stack.in_channels, size, size)
    assert sum(weight.numel() for weight in theirs.parameters()) == sum(fact.parameters for fact in found)


@pytest.mark.parametrize("seed", range(12))
def test_the_code_of_random_stacks_runs(seed: int) -> None:
    layers = random_stack(400 + seed, 24)
    scope: dict[str, object] = {}
    exec(compile(code(layers, CHANNELS, 24, 25), "stack", "exec"), scope)
    theirs = scope["network"]
    assert isinstance(theirs, nn.Module)
    ours = network(layers, CHANNELS)
    ours.load_state_dict(theirs.state_dict())
    picture = torch.rand(1, CHANNELS, 24, 25)
    torch.testing.assert_close(theirs(picture), ours(picture))


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "sideways"},
        {"kernel": 0},
        {"rates": (2,)},
        {"kind": "dilated", "rates": ()},
        {"kind": "dilated", "rates": (1000,)},
        {"padding": -1},
    ],
)
def test_impossible_layers_are_refused(wrong: dict) -> None:
    with pytest.raises(UsageError):
        Layer(**wrong)


def test_the_layer_that_does_not_fit_is_named() -> None:
    with pytest.raises(UsageError, match="Layer 2 has no output"):
        facts([Layer(), Layer(kernel=15, padding=0)], 3, 8, 8)
    with pytest.raises(UsageError, match="Layer 1: 5 groups"):
        facts([Layer(groups=5)], 64, 8, 8)
    with pytest.raises(UsageError, match="at least as many groups"):
        facts([Layer("dilated", rates=(1, 2))], 64, 8, 8)


# On pictures


@pytest.fixture
def picture() -> Picture:
    rng = np.random.default_rng(0)
    return Picture(rng.integers(0, 256, (300, 420, 3), np.uint8).repeat(1, 0), name="noise.png")


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize(
    "layer",
    [
        Layer(channels=3),
        Layer(kernel=4, stride=2, channels=3),
        Layer(kernel=5, stride=3, padding=0, channels=3, groups=3),
        Layer("dilated", rates=(3,), channels=3),
        Layer("transposed", 3, 2, channels=3),
        Layer("transposed", 4, 2, channels=3, groups=3),
        Layer("transposed", 2, 3, channels=3),
        Layer("transposed", 5, 2, padding=3, channels=3),
        Layer("separable", stride=2, channels=3),
    ],
)
def test_what_is_drawn_is_what_torch_computes(layer: Layer, name) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (15, 17, 3), np.uint8)
    mixing = torch.from_numpy(mixing_weights(layer, name, 7))
    kernel = torch.from_numpy(filter_weights(name, layer.kernel, 7))
    if layer.kind == "transposed":
        kernel = kernel * layer.stride**2
    made = network([Layer(layer.kind, layer.kernel, layer.stride, layer.rates, layer.padding, 1, 3)], 3).double()
    with torch.no_grad():
        if layer.kind == "separable":
            made[0].weight.copy_(kernel.expand(3, 1, -1, -1))  # type: ignore[union-attr]
            made[1].weight.copy_(mixing[:, :, None, None])  # type: ignore[union-attr]
        elif layer.kind == "transposed":
            made[0].weight.copy_(mixing.T[:, :, None, None] * kernel)  # type: ignore[union-attr]
        else:
            made[0].weight.copy_(mixing[:, :, None, None] * kernel)  # type: ignore[union-attr]
        expected = made(torch.from_numpy(pixels / 255.0).movedim(-1, 0)[None])[0].movedim(0, -1).numpy()
    np.testing.assert_allclose(filtered(layer, pixels, name, 7), expected, atol=1e-12)


def test_filters_keep_or_remove_flat_ground() -> None:
    grey = np.full((20, 24, 3), 128, np.uint8)
    for name, level in (("average", 128), ("sharpen", 128), ("edges", 128)):
        values = filtered(Layer(kernel=5, channels=3), grey, name)  # type: ignore[arg-type]
        inside = shown(values[4:-4, 4:-4], name)  # type: ignore[arg-type]
        assert np.abs(inside.astype(int) - level).max() <= 1
    assert np.allclose(filtered(Layer(channels=3), grey, "edges")[4:-4, 4:-4], 0)


def test_small_pictures_keep_their_shape_but_for_long_ones(picture: Picture) -> None:
    assert small_picture(Picture(picture.pixels[:, :360]), 24).shape == (20, 24, 3)
    assert small_picture(picture, 24).shape == (18, 24, 3), "4 : 3 at most"
    assert small_picture(Picture(picture.pixels[:, :30]), 24).shape == (32, 24, 3), "3 : 4 at least"
    halves = np.zeros((100, 300, 3), np.uint8)
    halves[:, 100:200] = 255
    assert small_picture(Picture(halves), 12)[:, 3:9].min() == 255, "the middle is what stays"
    assert small_picture(Picture(np.zeros((1, 5000, 3), np.uint8)), 20).shape == (20, 20, 3)


def test_only_the_kernel_that_the_stride_does_not_divide_makes_a_checkerboard() -> None:
    pixels = np.full((12, 12, 3), 128, np.uint8)
    three, four, resized = doublings(pixels, "average")
    assert three.ratio == pytest.approx(4.0)
    assert four.ratio == resized.ratio == 1.0
    assert three.picture.shape == four.picture.shape == resized.picture.shape == (24, 24, 3)
    inside = four.picture[4:-4, 4:-4]
    assert (inside == inside[0, 0]).all() and not (three.picture[4:-4, 4:-4] == three.picture[4, 4]).all()


def test_random_weights_make_any_transposed_convolution_uneven_but_not_a_resize() -> None:
    three, four, resized = doublings(np.full((12, 12, 3), 128, np.uint8), "random", seed=3)
    assert three.ratio > 1.5 and four.ratio > 1.5
    assert resized.ratio == 1.0


# Effective fields


def field_of(network: nn.Module, size: int, row: int, column: int):
    noise = np.random.default_rng(5).integers(0, 256, (size, size, 3), np.uint8)
    return effective_field(network, Picture(noise), row, column)  # type: ignore[arg-type]


def test_the_field_of_the_codec_is_that_of_its_stack() -> None:
    torch.manual_seed(0)
    config = HyperpriorCodecConfig(
        latent_channels=8, hyper_channels=4, high_channels=8, low_channels=8, encoder_high_blocks=2, context_channels=8
    )
    codec = HyperpriorCodec(config).eval().requires_grad_(False)
    with torch.no_grad():
        for weight in codec.parameters():
            weight.normal_(0, 0.5)
    stack = model_stack(ModelCard(name="x", family=codec.family, config=config.model_dump()))
    assert stack is not None
    expected = reach(all_steps(stack.layers, stack.in_channels))
    assert sum(fact.parameters for fact in facts(stack.layers, 3, 256, 256)) == sum(
        weight.numel() for name, weight in codec.analysis.named_parameters() if name.endswith("weight")
    )
    found = field_of(codec, 512, 250, 260)
    assert found.seen == (expected.size, expected.size) and found.output_stride == expected.jump == 16
    assert 0 < found.used <= expected.size
    assert found.strength.max() == 1.0


def test_the_field_of_the_segmenter_is_bounded_by_its_stack() -> None:
    torch.manual_seed(0)
    config = DilatedSegmenterConfig(instances=True, widths=(8, 8, 8, 8), depths=(1, 1), rates=((1, 2), (1, 3)))
    made = DilatedSegmenter(config).eval().requires_grad_(False)
    stack = model_stack(ModelCard(name="x", family=made.family, config=config.model_dump()))
    assert stack is not None
    encoder = reach(all_steps(stack.layers, 3))
    found = field_of(made, 500, 250, 251)
    # The decoder adds what bilinear enlargement and its own 3x3 convolutions read around.
    assert encoder.size <= max(found.seen) <= encoder.size + 6 * encoder.jump
    assert found.strength.shape == (500, 500)


@pytest.mark.parametrize("family", ["hyperprior-codec", "dilated-segmenter", "conditional-vae", "autoencoder"])
def test_every_shipped_family_has_a_field_and_a_stack(family: str, picture: Picture) -> None:
    cards = list_models(family)
    if not cards:
        pytest.skip("no such model is at hand")
    found = effective_field(load_model(cards[0].name).network, picture, 100, 200)
    assert found.strength.max() == 1.0 and found.used > 0
    stack = model_stack(cards[0])
    assert stack is not None
    expected = facts(stack.layers, stack.in_channels, 128, 128)[-1]
    if family != "dilated-segmenter":  # whose scores are those of the decoder
        assert found.output_stride == expected.reach.jump


def test_the_window_follows_the_place_and_stays_in_the_picture(picture: Picture) -> None:
    large = Picture(np.tile(picture.pixels, (4, 4, 1)))
    cards = list_models("dilated-segmenter")
    found = effective_field(load_model(cards[0].name).network, large, 1150, 40)
    assert found.left == 0 and found.top % 16 == 0
    assert found.top + found.strength.shape[0] <= large.height
    row = int(found.strength.sum(1).argmax())
    assert abs(row - found.row) < 40


def test_a_cancelled_field_stops() -> None:
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        effective_field(
            DilatedSegmenter(DilatedSegmenterConfig()).eval(), Picture(np.zeros((64, 64, 3), np.uint8)), 5, 5,
            cancel=token,
        )  # fmt: skip


def test_the_square_that_holds_a_share() -> None:
    strength = np.zeros((21, 21))
    strength[10, 10] = 1.0
    assert square_of_share(strength, 10, 10) == 1
    strength[10, 14] = 1.0
    assert square_of_share(strength, 10, 10) == 9
    assert square_of_share(np.zeros((3, 3)), 1, 1) == 0


# Time, animation, text


def test_every_kind_is_measured_and_cancelling_stops() -> None:
    kinds = [Layer(channels=8), Layer("separable", channels=8), Layer("transposed", 4, 2, channels=8)]
    found = measure(kinds, 8, 16, 16, seconds=0.02)
    assert len(found) == 3 and all(0 < timing.best <= timing.median for timing in found)
    assert {timing.rounds for timing in found} == {found[0].rounds} and found[0].rounds >= 3
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        measure(kinds, 8, 16, 16, cancel=token)


def test_a_frame_marks_what_is_read_and_covers_what_is_not_computed_yet() -> None:
    steps = Layer("dilated", rates=(2,), channels=3).steps(3)
    before = np.full((9, 9, 3), 200, np.uint8)
    first, last = frame(steps, before, before, 0, cell=10), frame(steps, before, before, 80, cell=10)
    assert first.shape == last.shape
    mark = np.array([213, 94, 0])
    left = first[:, : first.shape[1] // 2]
    assert (left == mark).all(-1).any() and (first[:, first.shape[1] // 2 :] == [231, 233, 238]).all(-1).sum() > 7000
    assert not (last == [231, 233, 238]).all(-1).any()


def test_the_animation_is_a_gif_of_every_output_and_long_ones_are_thinned(tmp_path: Path) -> None:
    steps = Layer(channels=3).steps(3)
    before = np.random.default_rng(0).integers(0, 256, (4, 5, 3), np.uint8)
    path = tmp_path / "window.gif"
    assert save_gif(path, steps, before, before, milliseconds=50) == 20
    with Image.open(path) as image:
        assert getattr(image, "n_frames", 1) == 20
        assert image.info["duration"] == 50 and image.info["loop"] == 0
    chosen = moments(5000)
    assert len(chosen) == MAX_FRAMES and chosen[0] == 0 and chosen[-1] == 4999
    assert all(one < other for one, other in pairwise(chosen))
    save_png(tmp_path / "moment.png", steps, before, before, 3)
    with Image.open(tmp_path / "moment.png") as image:
        np.testing.assert_array_equal(np.asarray(image), frame(steps, before, before, 3))


@pytest.mark.parametrize("kernel", [1, 2, 3])
@pytest.mark.parametrize("rates", [(1,), (1, 2, 4), (3, 3), (1, 1, 1, 1)])
def test_characters_that_are_known_of_are_those_with_a_gradient(kernel: int, rates: tuple[int, ...]) -> None:
    stack = CausalStack(kernel, rates)
    text = "The quick brown fox jumps over the dog."
    network = random_network(stack)
    for position in (0, 5, len(text) - 1):
        strength = influence(text, network, position)
        assert set(np.nonzero(strength)[0].tolist()) == set(stack.paths(position))
        assert strength.max() == 1.0
        assert stack.tree(position)[-1] == list(stack.paths(position))
    assert stack.field == len(range(min(CausalStack(kernel, rates).paths(300)), 301))


def test_paths_of_characters_equal_the_gradient_of_ones() -> None:
    stack = CausalStack(3, (1, 2, 1))
    signal = torch.zeros(1, 1, 40, dtype=torch.float64, requires_grad=True)
    value = signal
    for rate in stack.rates:
        layer = nn.Conv1d(1, 1, stack.kernel, dilation=rate, bias=False).double()
        nn.init.ones_(layer.weight)
        value = layer(nn.functional.pad(value, ((stack.kernel - 1) * rate, 0)))
    value[0, 0, 30].backward()
    assert signal.grad is not None
    found = {place: int(count) for place, count in enumerate(signal.grad[0, 0].tolist()) if count}
    assert found == stack.paths(30)


def test_doubling_rates_see_exponentially_far() -> None:
    assert rates_of(5, True) == (1, 2, 4, 8, 16)
    assert CausalStack(2, rates_of(5, True)).field == 32
    assert CausalStack(2, rates_of(5, False)).field == 6
    stack = CausalStack(2, rates_of(4, True))
    assert stack.parameters == sum(weight.numel() for weight in random_network(stack).layers.parameters())
    with pytest.raises(UsageError):
        influence("", random_network(stack), 0)
    with pytest.raises(UsageError):
        CausalStack(2, ())


def test_a_network_learns_from_the_manual_what_follows() -> None:
    stack = CausalStack(2, (1, 2, 4))
    learned, bits = train(stack, steps=80)
    assert 2 < bits < 4.5, "6.58 knows nothing"
    again, same = train(stack, steps=80)
    assert same == bits and all(
        torch.equal(one, other) for one, other in zip(learned.parameters(), again.parameters(), strict=True)
    )
    text = "for the functio"
    expected = next_characters(text, learned, len(text) - 1)
    assert expected == sorted(expected, key=lambda pair: -pair[1]) and sum(chance for _, chance in expected) <= 1
    strength = influence(text, learned, len(text) - 1)
    assert set(np.nonzero(strength)[0].tolist()) == set(stack.paths(len(text) - 1))


def test_a_text_that_is_too_short_and_a_cancelled_training_are_told() -> None:
    with pytest.raises(DataError, match="too short"):
        train(CausalStack(), text="abc")
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        train(CausalStack(), text="abc " * 500, cancel=token)


def test_reach_says_where_the_first_output_looks() -> None:
    assert reach(Layer(padding=0).steps(1)) == Reach(3, 3, Fraction(1), 0)
    assert reach(Layer().steps(1)).start == -1
    assert reach(Layer("transposed", 3, 2).steps(1)) == Reach(2, 1, Fraction(1, 2), 0)


def test_a_stack_that_enlarges_beyond_measure_is_refused() -> None:
    doubling = Layer("resize", stride=2)
    assert facts([doubling] * 9, 3, 8, 8)[-1].height == 8 * 512
    with pytest.raises(UsageError, match="Layer 10: the stack enlarges"):
        facts([doubling] * 10, 3, 8, 8)
