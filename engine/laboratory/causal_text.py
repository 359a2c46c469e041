"""A causal stack of dilated 1-D convolutions as arithmetic: which characters of a text one position knows of."""

from __future__ import annotations

from dataclasses import dataclass

from engine.errors import UsageError

CHANNELS = 32


@dataclass(frozen=True)
class CausalStack:
    """Dilated 1-D convolutions that look back only (van den Oord et al. 2016, "WaveNet").

    Attributes:
        kernel: taps of every layer, the last one on the present position.
        rates: dilation rate of each layer, from the text on.
    """

    kernel: int = 2
    rates: tuple[int, ...] = (1, 2, 4, 8)

    def __post_init__(self) -> None:
        if not 1 <= self.kernel <= 8 or not self.rates or len(self.rates) > 12:
            raise UsageError("A causal stack has 1 to 12 layers and 1 to 8 taps.", "Choose fewer.")
        if not all(1 <= rate <= 4096 for rate in self.rates):
            raise UsageError("A dilation rate is 1 to 4096.", "Choose smaller rates.")

    @property
    def field(self) -> int:
        """Characters that one position sees: 1 + (k - 1) (d_1 + d_2 + ...)."""
        return 1 + (self.kernel - 1) * sum(self.rates)

    @property
    def parameters(self) -> int:
        """Weights of all layers with `CHANNELS` channels, without the embedding of the characters."""
        return self.kernel * CHANNELS * CHANNELS * len(self.rates)

    def tree(self, position: int) -> list[list[int]]:
        """Positions that feed `position`, layer by layer from the top (itself) down to the text; none is negative."""
        levels = [[position]]
        for rate in reversed(self.rates):
            below = {place - tap * rate for place in levels[-1] for tap in range(self.kernel)}
            levels.append(sorted(place for place in below if place >= 0))
        return levels

    def paths(self, position: int) -> dict[int, int]:
        """Paths from every character to `position`, by character; those without one are missing."""
        counts = {position: 1}
        for rate in reversed(self.rates):
            below: dict[int, int] = {}
            for place, count in counts.items():
                for tap in range(self.kernel):
                    source = place - tap * rate
                    if source >= 0:
                        below[source] = below.get(source, 0) + count
            counts = below
        return dict(sorted(counts.items()))


def rates_of(layers: int, doubling: bool) -> tuple[int, ...]:
    """Rates 1, 2, 4, ... of a stack that doubles them, or all 1."""
    return tuple(2**index if doubling else 1 for index in range(layers))
