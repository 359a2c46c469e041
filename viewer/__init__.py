"""Opens, shows and converts .lsi files without PyTorch, where the extra `viewer` is installed.

    latent-studio-view photo.lsi --out photo.png

In Python, `viewer.decode(data).picture.pixels`; of a file that `engine.compression.open_compressed` opened, a
region reads only its part. Everything but what runs the networks is the program's own code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.compression.onnx_codec import decode

__all__ = ["decode"]


def __getattr__(name: str) -> Any:
    if name != "decode":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from engine.compression.onnx_codec import decode  # on first use, so that `--help` and `--info` need no numpy

    return decode
