"""Turning whatever a worker raised into an error that people can read."""

from __future__ import annotations

import logging
import traceback

from engine.errors import LatentStudioError

LOG = logging.getLogger("latent_studio")


class UnexpectedError(LatentStudioError):
    """An error that the engine did not raise on purpose.

    Attributes:
        details: the traceback as text, for the details dialog and bug reports.
    """

    def __init__(self, problem: str, remedy: str, details: str) -> None:
        super().__init__(problem, remedy)
        self.details = details


def as_latent_error(error: BaseException) -> LatentStudioError:
    """The error itself if it is one of the family, otherwise one that wraps it. The log gets the traceback."""
    if isinstance(error, LatentStudioError):
        # The frames of the traceback would keep pictures and tensors alive for as long as the notice exists.
        error.__traceback__ = None
        return error
    details = "".join(traceback.format_exception(error))
    LOG.error("unexpected error\n%s", details)
    if isinstance(error, MemoryError) or _is_out_of_memory(str(error).lower()):
        return UnexpectedError(
            "There is not enough memory for this.", "Use a smaller picture or close other programs.", details
        )
    text = str(error).strip().splitlines()
    summary = f"{type(error).__name__}: {text[0][:160]}" if text else type(error).__name__
    return UnexpectedError(
        f"Something unexpected happened ({summary}).", "The details say where; the program goes on.", details
    )


def _is_out_of_memory(text: str) -> bool:
    """torch says it as "can't allocate memory" on the processor and "out of memory" on a GPU, both as RuntimeError."""
    return "out of memory" in text or "allocate memory" in text
