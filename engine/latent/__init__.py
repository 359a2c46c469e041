"""Looking into latent spaces: sliders, encoding of own pictures, traversals."""

from engine.latent.explorer import Dimension, LatentExplorer

__all__ = ["Dimension", "LatentExplorer"]
