"""A causal stack of dilated 1-D convolutions that reads characters: what its output follows, random or trained."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.errors import DataError, UsageError
from engine.laboratory.causal_text import CHANNELS, CausalStack
from engine.progress import CancelToken, Progress, ProgressCallback, ignore_progress, never_cancelled

MAX_TEXT = 400
SYMBOLS = "\n" + "".join(map(chr, range(32, 127)))
STEPS = 800
BATCH, LENGTH = 24, 192
RATE = 4e-3
HELD_OUT = 0.1
CHECKED = 20_000  # characters of the held-out text that the result is measured on
_DECAY = (0.9, 0.99)


class CausalNetwork(nn.Module):
    """A `CausalStack` that reads characters and predicts the next one.

    Every layer adds to what it reads, which reaches no other places: its last tap is the present one.
    """

    def __init__(self, stack: CausalStack) -> None:
        super().__init__()
        self.stack = stack
        self.embedding = nn.Embedding(len(SYMBOLS), CHANNELS)
        self.layers = nn.ModuleList(
            nn.Conv1d(CHANNELS, CHANNELS, stack.kernel, dilation=rate, bias=False) for rate in stack.rates
        )
        self.head = nn.Conv1d(CHANNELS, len(SYMBOLS), 1)

    def embed(self, characters: Tensor) -> Tensor:
        """(B, L) int64 -> (B, CHANNELS, L)."""
        return self.embedding(characters).movedim(-1, 1)

    def read(self, features: Tensor) -> Tensor:
        """Embedded characters (B, CHANNELS, L) -> features (B, CHANNELS, L), each of which knows only its past."""
        for layer in self.layers:
            assert isinstance(layer, nn.Conv1d)
            reach = (self.stack.kernel - 1) * layer.dilation[0]
            features = features + torch.tanh(layer(F.pad(features, (reach, 0))))
        return features

    def forward(self, characters: Tensor) -> Tensor:
        """(B, L) int64 -> scores (B, symbols, L) of the character after each."""
        return self.head(self.read(self.embed(characters)))


def random_network(stack: CausalStack, seed: int = 0) -> CausalNetwork:
    """A network with random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return CausalNetwork(stack)


def as_numbers(text: str) -> Tensor:
    """(L,) int64 places in `SYMBOLS`; characters that are not among them count as "?"."""
    places = {symbol: place for place, symbol in enumerate(SYMBOLS)}
    return torch.tensor([places.get(character, places["?"]) for character in text], dtype=torch.int64)


def influence(text: str, network: CausalNetwork, position: int, seed: int = 0) -> np.ndarray:
    """How strongly every character moves the features at `position`.

    Args:
        text: at most `MAX_TEXT` characters.
        position: 0..len(text) - 1.
        seed: of the mixture of channels that is followed.

    Returns:
        (len(text),) float64: norm of the gradient by the character's embedding, 1 at its largest; 0 where the output
        cannot know of it.

    Raises:
        UsageError: the text is too long, or has no such position.
    """
    _check(text, position)
    with torch.enable_grad():
        embedded = network.embed(as_numbers(text)[None]).detach().requires_grad_()
        mixture = torch.randn(CHANNELS, generator=torch.Generator().manual_seed(seed))
        (gradient,) = torch.autograd.grad((network.read(embedded)[0, :, position] * mixture).sum(), embedded)
    strength = gradient[0].norm(dim=0).double().numpy()
    peak = float(strength.max())
    return strength / peak if peak > 0 else strength


def next_characters(text: str, network: CausalNetwork, position: int, count: int = 5) -> list[tuple[str, float]]:
    """The likeliest characters after `position` with their probabilities, the likeliest first.

    Raises:
        UsageError: the text is too long, or has no such position.
    """
    _check(text, position)
    with torch.no_grad():
        chances = network(as_numbers(text)[None])[0, :, position].softmax(0)
    best = chances.topk(count)
    return [(SYMBOLS[int(place)], float(chance)) for place, chance in zip(best.indices, best.values, strict=True)]


def _check(text: str, position: int) -> None:
    if len(text) > MAX_TEXT:
        raise UsageError(f"A text of {len(text)} characters is too long here.", f"Use at most {MAX_TEXT}.")
    if not 0 <= position < len(text):
        raise UsageError(f"The text has no character {position}.", f"Use 0 to {len(text) - 1}.")


def manual_text() -> str:
    """Python's own language manual, which its standard library ships for `help()` (PSF licence, about 0.5 MB).

    Raises:
        DataError: this installation of Python came without it.
    """
    try:
        from pydoc_data.topics import topics
    except ImportError as error:
        raise DataError(
            "This installation of Python came without the text of its manual.",
            "Install the package of your system that holds Python's whole standard library.",
        ) from error
    return "\n".join(topics[name] for name in sorted(topics))


def train(
    stack: CausalStack,
    *,
    text: str | None = None,
    steps: int = STEPS,
    seed: int = 0,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> tuple[CausalNetwork, float]:
    """Teach a network to predict the next character of a text.

    Args:
        text: what to learn from; `manual_text` by default. Its last tenth is held out.
        steps: of Adam on random pieces.
        cancel: read at every step.

    Returns:
        The network, and its bits per character on the held-out part.

    Raises:
        DataError: there is no manual, or the text is too short.
        Cancelled: `cancel` was set.
    """
    cancel = cancel or never_cancelled()
    numbers = as_numbers(manual_text() if text is None else text)
    split = round((1 - HELD_OUT) * len(numbers))
    if split <= LENGTH + 1 or len(numbers) - split < 2:
        raise DataError(f"A text of {len(numbers)} characters is too short to learn from.", "Use a longer one.")
    learned, held_out = numbers[:split], numbers[split:]
    network = random_network(stack, seed)
    weights = list(network.parameters())
    means, squares = ([torch.zeros_like(weight) for weight in weights] for _ in range(2))
    generator = torch.Generator().manual_seed(seed)
    for step in range(steps):
        cancel.raise_if_cancelled()
        starts = torch.randint(0, split - LENGTH - 1, (BATCH,), generator=generator)
        pieces = torch.stack([learned[start : start + LENGTH + 1] for start in starts])
        with torch.enable_grad():
            loss = F.cross_entropy(network(pieces[:, :-1]), pieces[:, 1:])
            gradients = torch.autograd.grad(loss, weights)
        _adam(weights, list(gradients), means, squares, step, RATE * 0.5 * (1 + math.cos(math.pi * step / steps)))
        if step % 20 == 0:
            progress(Progress(step, steps, f"{float(loss.detach()) / math.log(2):.2f} bits per character"))
    progress(Progress(steps, steps, "Checking"))
    return network.requires_grad_(False), bits_per_character(network, held_out[: CHECKED + 1])


@torch.no_grad()
def _adam(
    weights: list[nn.Parameter], gradients: list[Tensor], means: list[Tensor], squares: list[Tensor], step: int,
    rate: float,
) -> None:  # fmt: skip
    """One step of Adam (Kingma and Ba 2015). torch's own would import its compiler, which holds up the window."""
    slow, fast = _DECAY
    for weight, gradient, mean, square in zip(weights, gradients, means, squares, strict=True):
        mean.lerp_(gradient, 1 - slow)
        square.lerp_(gradient.square(), 1 - fast)
        corrected = (square / (1 - fast ** (step + 1))).sqrt_().add_(1e-8)
        weight.addcdiv_(mean / (1 - slow ** (step + 1)), corrected, value=-rate)


@torch.no_grad()
def bits_per_character(network: CausalNetwork, numbers: Tensor) -> float:
    """Mean bits that the characters (L,) cost under the network's predictions; log2 of 96 = 6.6 knows nothing."""
    scores = network(numbers[None, :-1])
    return float(F.cross_entropy(scores, numbers[None, 1:])) / math.log(2)
