"""Generating pictures by choosing attributes, and the latents that make every one of them reproducible."""

from engine.generation.generator import Generator, Sample
from engine.generation.latent import Latent, Mix
from engine.generation.provenance import generator_of, read_latent, save_sample
from engine.generation.settings import SamplingSettings
from engine.generation.sheets import class_tiles, contact_sheet

__all__ = [
    "Generator",
    "Latent",
    "Mix",
    "Sample",
    "SamplingSettings",
    "class_tiles",
    "contact_sheet",
    "generator_of",
    "read_latent",
    "save_sample",
]
