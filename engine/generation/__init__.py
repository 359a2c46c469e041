"""Generating pictures by choosing attributes, and the latents that make every one of them reproducible."""

from engine.generation.generator import Generator, Sample
from engine.generation.latent import Latent
from engine.generation.provenance import read_latent, save_sample
from engine.generation.sheets import class_tiles, contact_sheet

__all__ = ["Generator", "Latent", "Sample", "class_tiles", "contact_sheet", "read_latent", "save_sample"]
