"""The error family: every message says what is wrong, with what, and what to do about it."""

from __future__ import annotations


class LatentStudioError(Exception):
    """Base of every error that the engine raises on purpose.

    Args:
        problem: what is wrong and with what, as one sentence for the user.
        remedy: what the user can do about it, as one sentence. May be empty when nothing can be done.
    """

    exit_code = 1

    def __init__(self, problem: str, remedy: str = "") -> None:
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{problem} {remedy}".strip())


class UsageError(LatentStudioError):
    """The call itself is wrong: an unknown name, a value out of range, options that exclude one another."""

    exit_code = 2


class PictureError(LatentStudioError):
    """A picture cannot be read or written."""


class LimitError(PictureError):
    """An input is larger than the program agrees to take into memory."""


class DataError(LatentStudioError):
    """A data set is missing, incomplete or holds a broken file."""


class ModelError(LatentStudioError):
    """A model file is missing, is not one, or does not fit its card."""


class RecipeError(LatentStudioError):
    """A recipe has an unknown key or a value that makes no sense."""

    exit_code = 2


class TrainingError(LatentStudioError):
    """A training run cannot go on."""


class AnalysisError(LatentStudioError):
    """Latents cannot be analysed like this: too few of them, all equal, not finite, or all noise to a clustering."""


class DeviceError(LatentStudioError):
    """The wanted device does not exist or ran out of memory."""


class OutputError(LatentStudioError):
    """A result cannot be written: no rights, no space, or the target exists."""


class CodecError(LatentStudioError):
    """A compressed file cannot be decoded. Subclasses say why."""


class TargetNotReached(LatentStudioError):
    """No quality gives the wished file size, bits per pixel, PSNR or MS-SSIM.

    Attributes:
        nearest: what can be had instead, in the unit of the wish.
    """

    def __init__(self, problem: str, remedy: str, nearest: float) -> None:
        self.nearest = nearest
        super().__init__(problem, remedy)


class NotACompressedFile(CodecError):
    """The bytes do not start as a Latent Studio image does."""


class UnsupportedVersion(CodecError):
    """The file needs a newer program."""


class DamagedFile(CodecError):
    """A checksum or a length in the file is wrong."""

    exit_code = 3


class ModelMismatch(CodecError):
    """The file was made with a model, or a version of a model, that is not at hand."""


class Cancelled(LatentStudioError):
    """The user cancelled; raised by `CancelToken.raise_if_cancelled` and caught at the border of a job."""

    def __init__(self) -> None:
        super().__init__("Cancelled.")
