"""Opens, shows and converts .lsi files without PyTorch: `pip install "latent-studio[viewer]"`, then

    latent-studio-view photo.lsi --out photo.png

or, in Python, `viewer.decode(data).picture.pixels`. Everything but the networks is the program's own code.
"""

from engine.compression.onnx_codec import decode

__all__ = ["decode"]
