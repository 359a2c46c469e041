"""State and actions of the Generate page: model, choice, seed and temperature, and the samples they gave."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal, Slot

from engine.errors import LatentStudioError
from engine.progress import CancelToken, Progress, ProgressCallback
from gui.services.context import Services

if TYPE_CHECKING:
    import numpy as np

    from engine.generation import Generator, Latent, Sample
    from engine.models.card import Attribute, ModelCard
    from gui.services.jobs import Job

FAMILY = "conditional-vae"
PREFERRED = "digits-cvae"
MAX_COUNT = 1024
AT_ONCE = 64  # samples up to which a grid follows every choice without being asked for
MAX_SEED = 2**31 - 1
TEMPERATURES = (0.1, 1.5)


@dataclass
class GenerateState:
    """What the Generate page shows.

    Attributes:
        models: cards of the models at hand.
        model: name of the one in use; empty until one is loaded.
        attributes: what can be chosen with it.
        choice: the chosen value of each attribute; attributes not in it are "any".
        count: samples to make, 1..MAX_COUNT.
        seed: of the next samples, 0..MAX_SEED. A locked one is kept, another is drawn afresh for every grid.
        temperature: spread of the samples, within TEMPERATURES; 1 is the learned distribution.
        samples: those of the grid.
        selected: index in `samples`, or -1.
        tiles: (H, W, 3) uint8 pictures by attribute and value, as far as they are drawn.
        loading: a model is being loaded.
    """

    models: tuple[ModelCard, ...] = ()
    model: str = ""
    attributes: tuple[Attribute, ...] = ()
    choice: dict[str, str] = field(default_factory=dict)
    count: int = 16
    seed: int = 1
    seed_locked: bool = False
    temperature: float = 1.0
    samples: list[Sample] = field(default_factory=list)
    selected: int = -1
    tiles: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    loading: bool = True


@dataclass(frozen=True)
class _Loaded:
    """A model ready for sampling, and what has to be restored once it is there."""

    generator: Generator
    restore: Latent | None


class GenerateController(QObject):
    """Generates samples by class and attribute.

    Signals:
        models_changed(): the list of models.
        model_changed(): another model is in use: attributes, choice and tiles are new.
        tiles_changed(): pictures of attribute values arrived.
        settings_changed(): choice, count, seed, lock or temperature.
        samples_reset(): the grid starts anew or changed as a whole.
        sample_added(int): a sample was put at this index.
        selection_changed(): another sample is selected.
        busy_changed(bool): samples are being made.
        latent_wanted(object): the `Latent` of a sample shall be opened in the latent explorer.
    """

    models_changed = Signal()
    model_changed = Signal()
    tiles_changed = Signal()
    settings_changed = Signal()
    samples_reset = Signal()
    sample_added = Signal(int)
    selection_changed = Signal()
    busy_changed = Signal(bool)
    latent_wanted = Signal(object)

    def __init__(self, services: Services, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.state = GenerateState()
        self._services = services
        self._generator: Generator | None = None
        self._job: Job | None = None
        self._past: list[Job] = []  # grids follow every choice; only the newest stays in the jobs drawer
        self._arrived = 0
        self._fresh = False
        self._activated = False
        self._dice = random.Random()  # noqa: S311 - seeds of pictures are no secrets

    # Models

    def activate(self) -> None:
        """The page is shown: look which models are at hand; the first time, load one and fill the grid."""
        task = self._services.host.run(_list_cards)
        task.succeeded.connect(self._on_models)
        task.failed.connect(self._on_failed)

    def choose_model(self, name: str) -> None:
        """Load another model; the samples shown stay until new ones arrive."""
        if name != self.state.model or self.state.loading:
            self._load(name, None)

    @Slot(object)
    def _on_models(self, cards: list[ModelCard]) -> None:
        first = not self._activated
        self._activated = True
        if tuple(cards) != self.state.models:
            self.state.models = tuple(cards)
            self.models_changed.emit()
        if first and cards and not self.state.model:
            names = [card.name for card in cards]
            self._load(PREFERRED if PREFERRED in names else names[0], None)
        elif not cards:
            self.state.loading = False
            self.model_changed.emit()

    def _load(self, name: str, restore: Latent | None) -> None:
        self.state.loading = True
        task = self._services.host.run(lambda: _load_generator(name, restore))
        task.succeeded.connect(self._on_loaded)
        task.failed.connect(self._on_load_failed)

    @Slot(object)
    def _on_loaded(self, loaded: _Loaded) -> None:
        state = self.state
        self._generator = loaded.generator
        state.loading = False
        state.model = loaded.generator.card.name
        state.attributes = tuple(loaded.generator.attributes)
        state.choice = {}
        state.tiles = {}
        self.model_changed.emit()
        if loaded.restore is not None:
            self._apply(loaded.restore)
        self._generate_now()
        generator = loaded.generator
        task = self._services.host.run(lambda: _draw_tiles(generator))
        task.succeeded.connect(self._on_tiles)
        task.failed.connect(self._on_failed)

    @Slot(object)
    def _on_load_failed(self, error: LatentStudioError) -> None:
        self.state.loading = False
        self._services.notices.error(error, self.tr("The model cannot be loaded"))
        self.model_changed.emit()

    @Slot(object)
    def _on_tiles(self, drawn: tuple[str, dict[str, dict[str, np.ndarray]]]) -> None:
        model, tiles = drawn
        if model == self.state.model:
            self.state.tiles = tiles
            self.tiles_changed.emit()

    # Settings

    def choose(self, attribute: str, value: str | None) -> None:
        """Fix an attribute to `value`, or leave it to chance with None, and show at once what the same seed gives."""
        choice = {name: known for name, known in self.state.choice.items() if name != attribute}
        if value is not None:
            choice[attribute] = value
        if choice != self.state.choice:
            self.state.choice = choice
            self.settings_changed.emit()
            if self.state.count <= AT_ONCE:
                self._generate_now()

    def set_count(self, count: int) -> None:
        """How many samples; held within 1..MAX_COUNT."""
        self._set(count=min(MAX_COUNT, max(1, count)))

    def set_temperature(self, temperature: float) -> None:
        """Spread of the samples; held within TEMPERATURES."""
        low, high = TEMPERATURES
        self._set(temperature=min(high, max(low, temperature)))

    def set_seed(self, seed: int) -> None:
        """Take this seed and keep it: who types one wants these very pictures."""
        self._set(seed=min(MAX_SEED, max(0, seed)), seed_locked=True)

    def roll_seed(self) -> None:
        """Draw another seed now."""
        self._fresh = True
        self._set(seed=self._dice.randint(0, MAX_SEED))

    def lock_seed(self, locked: bool) -> None:
        """Keep the seed for the next grids, or draw a new one for each."""
        self._set(seed_locked=locked)

    def _set(self, **changes: Any) -> None:
        changed = {name: value for name, value in changes.items() if getattr(self.state, name) != value}
        for name, value in changed.items():
            setattr(self.state, name, value)
        if changed:
            self.settings_changed.emit()

    # Sampling

    @property
    def busy(self) -> bool:
        """True while samples are being made."""
        return self._job is not None

    def generate(self) -> None:
        """Make a new grid; one that is being made is cancelled first."""
        if self._generator is None:
            return
        if not self.state.seed_locked and not self._fresh:
            self._set(seed=self._dice.randint(0, MAX_SEED))
        self._generate_now()

    def cancel(self) -> None:
        """Stop making samples; those that are done stay."""
        if self._job is not None:
            self._job.cancel()

    def _generate_now(self) -> None:
        generator, state = self._generator, self.state
        if generator is None:
            return
        self._drop_job()
        self._fresh = False
        choice, count, seed, temperature = dict(state.choice), state.count, state.seed, state.temperature

        def sample(progress: ProgressCallback, cancel: CancelToken) -> list[Sample]:
            from engine.generation import SamplingSettings

            settings = SamplingSettings(choice, temperature=temperature)
            return generator.sample(settings, count, seed, progress=progress, cancel=cancel)

        words = ", ".join(choice.values()) or self.tr("any class")
        title = self.tr("Generate {count} × {words} ({model})").format(count=count, words=words, model=state.model)
        self._arrived = 0
        for past in [past for past in self._past if not past.active]:
            self._services.jobs.remove(past)
            self._past.remove(past)
        job = self._services.jobs.submit(title, sample)
        self._job = job
        self._past.append(job)
        job.partial.connect(self._on_sample)
        job.finished.connect(self._on_samples)
        job.failed.connect(self._on_sampling_failed)
        job.cancelled.connect(self._on_sampling_ended)
        self.busy_changed.emit(True)

    def _drop_job(self) -> None:
        """Cancel the running job and hear no more of it."""
        job, self._job = self._job, None
        if job is not None:
            job.partial.disconnect(self._on_sample)
            job.finished.disconnect(self._on_samples)
            job.failed.disconnect(self._on_sampling_failed)
            job.cancelled.disconnect(self._on_sampling_ended)
            job.cancel()

    @Slot(object)
    def _on_sample(self, sample: Sample) -> None:
        # The former grid stays until the first new sample is there: an error leaves it untouched.
        if self._arrived == 0:
            self.state.samples = [sample]
            self.samples_reset.emit()
            self.select(0)
        else:
            self.state.samples.append(sample)
            self.sample_added.emit(self._arrived)
        self._arrived += 1

    @Slot(object)
    def _on_samples(self, samples: list[Sample]) -> None:
        if len(self.state.samples) != len(samples) or self._arrived == 0:
            self.state.samples = list(samples)
            self.samples_reset.emit()
            self.select(0 if samples else -1)
        self._on_sampling_ended()

    @Slot(object)
    def _on_sampling_failed(self, error: LatentStudioError) -> None:
        self._services.notices.error(error, self.tr("The samples could not be made"))
        self._on_sampling_ended()

    @Slot()
    def _on_sampling_ended(self) -> None:
        self._job = None
        self.busy_changed.emit(False)

    # One sample

    @property
    def selected_sample(self) -> Sample | None:
        """The sample shown large, or None."""
        index = self.state.selected
        return self.state.samples[index] if 0 <= index < len(self.state.samples) else None

    def select(self, index: int) -> None:
        """Show the sample at `index` large."""
        self.state.selected = index if 0 <= index < len(self.state.samples) else -1
        self.selection_changed.emit()

    def use_settings(self) -> None:
        """Take model, choice, seed and temperature of the selected sample for the next grid."""
        sample = self.selected_sample
        if sample is not None:
            self._apply(sample.latent)

    def open_in_latents(self) -> None:
        """Hand the selected sample to the latent explorer."""
        sample = self.selected_sample
        if sample is not None:
            self.latent_wanted.emit(sample.latent)

    def _apply(self, latent: Latent) -> None:
        known = {attribute.name: attribute.values for attribute in self.state.attributes}
        choice = {name: value for name, value in latent.attributes.items() if value in known.get(name, ())}
        low, high = TEMPERATURES
        changes: dict[str, Any] = {"choice": choice, "temperature": min(high, max(low, latent.temperature))}
        if latent.seed is not None and 0 <= latent.seed <= MAX_SEED:
            changes |= {"seed": latent.seed, "seed_locked": True}
        self._set(**changes)

    # Files

    def open_file(self, path: Path) -> None:
        """Restore the settings that a picture made here carries, and make its grid again."""
        task = self._services.host.run(lambda: _read_latent(path))
        task.succeeded.connect(self._on_latent_read)
        task.failed.connect(self._on_failed)

    @Slot(object)
    def _on_latent_read(self, latent: Latent) -> None:
        names = [card.name for card in self.state.models]
        if latent.model not in names:
            problem = self.tr("This picture was made with the model {model}, which is not here.")
            remedy = self.tr("Put its model file into the models folder.")
            self._on_failed(LatentStudioError(problem.format(model=latent.model), remedy))
            return
        card = next(card for card in self.state.models if card.name == latent.model)
        if latent.seed is None:
            self._services.notices.info(
                self.tr("This picture has no seed: open it on the Latents page to see it again.")
            )
        elif card.weights_sha256 != latent.weights_sha256:
            self._services.notices.info(self.tr("Another version of the model made this picture: yours may differ."))
        if latent.model == self.state.model:
            self._apply(latent)
            self._generate_now()
        else:
            self._load(latent.model, latent)

    def save_sample(self, path: Path) -> None:
        """Save the selected sample as PNG with its latent inside."""
        sample = self.selected_sample
        if sample is not None:
            self._write(lambda: _save_one(sample, path))

    def save_grid(self, path: Path, columns: int) -> None:
        """Save the samples as one picture, `columns` in a row."""
        samples = list(self.state.samples)
        if samples:
            self._write(lambda: _save_grid(samples, path, columns))

    def save_all(self, folder: Path) -> None:
        """Save every sample as PNG with its latent inside. Files that are there already are kept."""
        samples = list(self.state.samples)
        if not samples:
            return

        def save(progress: ProgressCallback, cancel: CancelToken) -> str:
            return _save_many(samples, folder, progress, cancel)

        job = self._services.jobs.submit(self.tr("Save {n} pictures").format(n=len(samples)), save)
        job.finished.connect(self._on_saved)
        job.failed.connect(self._on_failed)

    def _write(self, function: Callable[[], str]) -> None:
        task = self._services.host.run(function)
        task.succeeded.connect(self._on_saved)
        task.failed.connect(self._on_failed)

    @Slot(object)
    def _on_saved(self, where: str) -> None:
        self._services.notices.success(self.tr("Saved to {where}.").format(where=where))

    @Slot(object)
    def _on_failed(self, error: LatentStudioError) -> None:
        self._services.notices.error(error, self.tr("Generate"))


# What runs in the engine's threads.


def _list_cards() -> list[ModelCard]:
    from engine.models.registry import list_models

    return list_models(FAMILY)


def _load_generator(name: str, restore: Latent | None) -> _Loaded:
    from engine.generation import Generator

    return _Loaded(Generator.load(name), restore)


def _draw_tiles(generator: Generator) -> tuple[str, dict[str, dict[str, np.ndarray]]]:
    from engine.generation import class_tiles

    return generator.card.name, {a.name: class_tiles(generator, a.name) for a in generator.attributes}


def _read_latent(path: Path) -> Latent:
    from engine.generation import read_latent

    return read_latent(path)


def _save_one(sample: Sample, path: Path) -> str:
    from engine.generation import save_sample

    save_sample(sample, path)
    return str(path)


def _save_grid(samples: list[Sample], path: Path, columns: int) -> str:
    from engine.generation import contact_sheet
    from engine.image import Picture, save_picture

    save_picture(Picture(contact_sheet([sample.pixels for sample in samples], columns)), path)
    return str(path)


def _save_many(samples: list[Sample], folder: Path, progress: ProgressCallback, cancel: CancelToken) -> str:
    from engine.generation import save_sample

    for done, sample in enumerate(samples):
        cancel.raise_if_cancelled()
        progress(Progress(done, len(samples), "Saving"))
        save_sample(sample, unused_path(folder / f"{file_stem(sample.latent)}.png"))
    return str(folder)


def file_stem(latent: Latent) -> str:
    """A file name that says what a sample is: model, short choice, seed."""
    # Ten attributes would make a name that no file system takes gladly.
    values: Mapping[str, str] = latent.attributes if len(latent.attributes) <= 2 else {}
    words = [latent.model, *(value.replace(" ", "-").replace("/", "-") for value in values.values())]
    return "-".join([*words, f"seed{latent.seed}" if latent.seed is not None else "latent"])


def unused_path(path: Path) -> Path:
    """`path`, or the same name with a number where a file of that name exists."""
    number, candidate = 2, path
    while candidate.exists():
        candidate = path.with_stem(f"{path.stem}-{number}")
        number += 1
    return candidate
