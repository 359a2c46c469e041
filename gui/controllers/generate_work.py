"""What the Generate page has the engine do. These functions run in the engine's and the jobs' threads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import PictureError, UsageError
from gui.controllers.generate_settings import GenerateSettings

if TYPE_CHECKING:
    import numpy as np

    from engine.generation import Generator, Latent, Sample
    from engine.generation.settings import SamplingSettings
    from engine.image import Picture
    from engine.models.card import ModelCard
    from engine.progress import CancelToken, ProgressCallback

FAMILY = "conditional-vae"


@dataclass(frozen=True)
class Loaded:
    """A model ready for sampling, and the settings to be restored once it is there."""

    generator: Generator
    restore: GenerateSettings | None


@dataclass(frozen=True)
class Tiles:
    """Typical pictures (H, W, 3) uint8 of a model: one for each value of one attribute."""

    model: str
    attribute: str
    pictures: dict[str, np.ndarray]


@dataclass(frozen=True)
class Provenance:
    """What a picture file made here tells of itself.

    Attributes:
        path: the file.
        latent: everything that draws it again.
        picture: the picture itself.
    """

    path: Path
    latent: Latent
    picture: Picture


def list_cards() -> list[ModelCard]:
    """Cards of the models that generate."""
    from engine.models.registry import list_models

    return list_models(FAMILY)


def load_generator(name: str, restore: GenerateSettings | None) -> Loaded:
    """A model by its name."""
    from engine.generation import Generator

    return Loaded(Generator.load(name), restore)


def draw_tiles(generator: Generator, attribute: str) -> Tiles:
    """Typical pictures of every value of an attribute."""
    from engine.generation import class_tiles

    return Tiles(generator.card.name, attribute, class_tiles(generator, attribute))


def draw_model_picture(name: str) -> tuple[str, np.ndarray]:
    """The name of a model and a sample of it that stands for the whole."""
    from engine.generation import Generator

    generator = Generator.load(name)
    return name, generator.sample(_plain(), 1, 7)[0].pixels


def _plain() -> SamplingSettings:
    from engine.generation.settings import SamplingSettings

    return SamplingSettings(choice={})


def sampling(settings: GenerateSettings) -> SamplingSettings:
    """The engine's form of the page's settings."""
    from engine.generation.settings import Mix, SamplingSettings

    mix = settings.mix
    return SamplingSettings(
        choice=dict(settings.choice),
        prior=settings.prior,
        guidance=settings.guidance,
        temperature=settings.temperature,
        diversity=settings.diversity,
        mix=None if mix is None else Mix(mix.attribute, mix.value, mix.weight),
    )


def make_samples(
    generator: Generator, settings: GenerateSettings, progress: ProgressCallback, cancel: CancelToken
) -> list[Sample]:
    """A grid; each sample is reported as soon as it is there."""
    return generator.sample(sampling(settings), settings.count, settings.seed, progress=progress, cancel=cancel)


class Generators:
    """The models that are in memory, by name, for pictures that were made with another model than the one in use."""

    def __init__(self) -> None:
        self._known: dict[str, Generator] = {}

    def put(self, generator: Generator) -> None:
        """Keep a model that was loaded."""
        self._known[generator.card.name] = generator

    def of(self, latent: Latent) -> Generator:
        """The model of a latent, loaded if need be."""
        if latent.model not in self._known:
            from engine.generation.provenance import generator_of

            self.put(generator_of(latent))
        return self._known[latent.model]


def vary(
    generators: Generators,
    latent: Latent,
    radius: float,
    count: int,
    seed: int,
    progress: ProgressCallback,
    cancel: CancelToken,
) -> list[Sample]:
    """Variations of a picture."""
    from engine.generation.edits import vary

    return vary(generators.of(latent), latent, radius, count, seed, progress=progress, cancel=cancel)


def more_like(
    generators: Generators,
    latents: Sequence[Latent],
    count: int,
    seed: int,
    progress: ProgressCallback,
    cancel: CancelToken,
) -> list[Sample]:
    """Pictures that take after the given ones."""
    from engine.generation.edits import more_like

    return more_like(generators.of(latents[0]), latents, count, seed, progress=progress, cancel=cancel)


def in_every_class(
    generators: Generators, latent: Latent, attribute: str, progress: ProgressCallback, cancel: CancelToken
) -> list[Sample]:
    """The same style with every value of an attribute."""
    from engine.generation.edits import in_every_class

    return in_every_class(generators.of(latent), latent, attribute, progress=progress, cancel=cancel)


def with_value(
    generators: Generators,
    latent: Latent,
    attribute: str,
    value: str | None,
    progress: ProgressCallback,
    cancel: CancelToken,
) -> list[Sample]:
    """The picture, and the same with another value of one attribute."""
    from engine.generation.edits import with_value
    from engine.progress import Progress

    generator = generators.of(latent)
    before = draw(generator, latent)
    progress(Progress(1, 2, partial=before))
    after = with_value(generator, latent, attribute, value)
    progress(Progress(2, 2, partial=after))
    return [before, after]


def morph(
    generators: Generators,
    first: Latent,
    second: Latent,
    steps: int,
    progress: ProgressCallback,
    cancel: CancelToken,
) -> list[Sample]:
    """The way from one picture to another."""
    from engine.generation.edits import morph

    if first.model != second.model:
        raise UsageError(
            f"These pictures are of two models, {first.model} and {second.model}.", "Choose two of one model."
        )
    return morph(generators.of(first), first, second, steps, progress=progress, cancel=cancel)


def read_dropped(path: Path) -> Provenance | Picture:
    """A picture file: with all it tells of itself when it was made here, else just the picture.

    Raises:
        PictureError: it cannot be read.
        LatentStudioError: it claims to be made here but what it tells is forged or damaged.
    """
    from engine.generation.latent import Latent
    from engine.generation.provenance import TEXT_KEY
    from engine.image import open_picture, read_png_text

    if path.is_dir():
        raise PictureError(f"{path} is a folder.", "Drop a picture file.")
    picture = open_picture(path)
    text = read_png_text(path).get(TEXT_KEY)
    return picture if text is None else Provenance(path, Latent.from_json(text), picture)


def draw(generator: Generator, latent: Latent) -> Sample:
    """The sample of a latent."""
    return generator.sample_at(latent)
