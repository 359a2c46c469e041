"""A causal stack of dilated 1-D convolutions that reads a sentence, and what its output follows."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from engine.errors import UsageError
from engine.laboratory.causal_text import CHANNELS, CausalStack

MAX_TEXT = 400


class CausalNetwork(nn.Module):
    """A `CausalStack` as a network: characters (B, L) int64 -> features (B, CHANNELS, L)."""

    def __init__(self, stack: CausalStack, symbols: int) -> None:
        super().__init__()
        self.stack = stack
        self.embedding = nn.Embedding(symbols, CHANNELS)
        self.layers = nn.ModuleList(
            nn.Conv1d(CHANNELS, CHANNELS, stack.kernel, dilation=rate, bias=False) for rate in stack.rates
        )

    def embed(self, characters: torch.Tensor) -> torch.Tensor:
        """(B, L) int64 -> (B, CHANNELS, L)."""
        return self.embedding(characters).movedim(-1, 1)

    def read(self, features: torch.Tensor) -> torch.Tensor:
        """Embedded characters (B, CHANNELS, L) -> features (B, CHANNELS, L), each of which knows only its past."""
        for layer in self.layers:
            assert isinstance(layer, nn.Conv1d)
            reach = (self.stack.kernel - 1) * layer.dilation[0]
            features = torch.tanh(layer(F.pad(features, (reach, 0))))
        return features


def influence(text: str, stack: CausalStack, position: int, seed: int = 0) -> np.ndarray:
    """How strongly every character moves the output at `position` of a network with random weights.

    Args:
        text: at most `MAX_TEXT` characters.
        position: 0..len(text) - 1.
        seed: of the weights.

    Returns:
        (len(text),) float64: norm of the gradient by the character's embedding, 1 at its largest; 0 where the output
        cannot know of it.

    Raises:
        UsageError: the text is too long, or has no such position.
    """
    if len(text) > MAX_TEXT:
        raise UsageError(f"A text of {len(text)} characters is too long here.", f"Use at most {MAX_TEXT}.")
    if not 0 <= position < len(text):
        raise UsageError(f"The text has no character {position}.", f"Use 0 to {len(text) - 1}.")
    symbols = sorted(set(text))
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(seed)
        network = CausalNetwork(stack, len(symbols))
        characters = torch.tensor([[symbols.index(character) for character in text]])
        embedded = network.embed(characters).detach().requires_grad_()
        mixture = torch.randn(CHANNELS)
        (gradient,) = torch.autograd.grad((network.read(embedded)[0, :, position] * mixture).sum(), embedded)
    strength = gradient[0].norm(dim=0).double().numpy()
    peak = float(strength.max())
    return strength / peak if peak > 0 else strength
