"""What every analysis asks of the points it is given: a table of finite numbers, enough of them, not all equal."""

from __future__ import annotations

import numpy as np

from engine.errors import AnalysisError


def checked_points(points: np.ndarray, least: int, purpose: str, *, varied: bool = True) -> np.ndarray:
    """The points (N, D) as float32, fit for an analysis.

    Args:
        points: (N, D), any kind of number.
        least: points that the analysis needs.
        purpose: the analysis, for the message: "A map by PCA".
        varied: False also accepts points that are all equal.

    Raises:
        AnalysisError: no table, fewer points than `least`, a value that is not finite, or all points equal.
    """
    table = np.ascontiguousarray(points, np.float32)
    if table.ndim != 2 or table.shape[1] == 0:
        raise AnalysisError(
            f"{purpose} needs a table of latents, not an array of shape {table.shape}.", "Encode first."
        )
    check_finite(table)
    if len(table) < least:
        given = "one was" if len(table) == 1 else f"{len(table) or 'none'} were"
        raise AnalysisError(f"{purpose} needs at least {least} latents; {given} given.", "Use more pictures.")
    if varied and not (table != table[0]).any():
        raise AnalysisError(
            f"All {len(table)} latents are equal, so there is nothing to see in {_lower_first(purpose)}.",
            "Use other pictures, or a model whose latent has not collapsed.",
        )
    return table


def check_finite(table: np.ndarray) -> None:
    """Raise `AnalysisError` naming the first row of (N, D) that holds a value that is not a finite number."""
    finite = np.asarray(np.isfinite(table).all(axis=1))
    if not finite.all():
        raise AnalysisError(
            f"{int((~finite).sum())} of {len(finite)} latents hold values that are not finite numbers, "
            f"the first is number {int(np.argmin(finite))}.",
            "Leave them out, or use another model: this one is damaged or its training diverged.",
        )


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]
