"""Points that the tests of the analyses share: clouds whose structure is known."""

from __future__ import annotations

import numpy as np


def blobs(count: int = 300, size: int = 6, kinds: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Well separated Gaussian clouds: points (count, size) float32 and the cloud of each (count,)."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, kinds, count)
    centres = rng.standard_normal((kinds, size)) * 12
    return (centres[kind] + rng.standard_normal((count, size))).astype(np.float32), kind


# What every analysis must answer with a sentence.
ONE_POINT = np.ones((1, 4), np.float32)
ALL_EQUAL = np.full((40, 4), 2.5, np.float32)
NOT_FINITE = np.where(np.arange(160).reshape(40, 4) == 77, np.nan, np.arange(160).reshape(40, 4)).astype(np.float32)
