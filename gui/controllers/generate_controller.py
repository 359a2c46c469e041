"""State and actions of the Generate page: models, settings with undo, the grids they give, one sample of them."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from engine.errors import LatentStudioError
from gui.controllers import generate_work as work
from gui.controllers.generate_dropped import GenerateDropped
from gui.controllers.generate_edits import GenerateEdits
from gui.controllers.generate_export import GenerateExport
from gui.controllers.generate_grids import GenerateGrids
from gui.controllers.generate_keeping import GenerateKeeping
from gui.controllers.generate_lane import GenerateLane
from gui.controllers.generate_nearest import GenerateNearest
from gui.controllers.generate_own import GenerateOwn
from gui.controllers.generate_queue import GenerateQueue
from gui.controllers.generate_settings import (
    MAX_SEED,
    GenerateSettings,
    MixWish,
    Prior,
    choice_words,
    remembered,
    settings_of,
    to_remember,
)
from gui.controllers.generate_sheets import Sheet
from gui.controllers.generate_tiles import GenerateTiles
from gui.controllers.history import History
from gui.services.context import Services

if TYPE_CHECKING:
    from engine.generation import Generator, Latent, Sample
    from engine.models.card import Attribute, ModelCard
    from engine.progress import Progress

PAGE = "generate"  # its table in the settings
PREFERRED = "digits-cvae"
AT_ONCE = 64  # samples up to which a grid follows every change of the settings without being asked for
REST_MILLISECONDS = 80  # a slider must rest so long before the grid follows it
MOST_SEEDS = 24


@dataclass
class GenerateState:
    """What the Generate page shows.

    Attributes:
        models: cards of the models at hand.
        settings: of the next grid.
        attributes: what can be chosen with the model in use.
        seeds: those that grids were made of, newest first.
        loading: a model is being loaded.
    """

    models: tuple[ModelCard, ...] = ()
    settings: GenerateSettings = field(default_factory=GenerateSettings)
    attributes: tuple[Attribute, ...] = ()
    seeds: list[int] = field(default_factory=list)
    loading: bool = True

    @property
    def model(self) -> str:
        """Name of the model in use; empty until one is loaded."""
        return self.settings.model

    @property
    def card(self) -> ModelCard | None:
        """The card of the model in use."""
        return next((card for card in self.models if card.name == self.model), None)


class GenerateController(QObject):
    """Generates samples by class and attribute.

    Attributes:
        state: what is shown.
        grids, tiles, dropped, edits, nearest, keeping, own, export: parts of the page with signals of their own.
        queue: grids and exports that were asked for.
        generators: the models in memory.
        progress, remaining_seconds: of what is being made beside the queue, or None.

    Signals:
        models_changed(): the list of models.
        model_changed(): another model is in use: attributes and choice are new.
        settings_changed(): any setting, or what can be undone.
        busy_changed(bool): samples are being made.
        progressed(): what is being made beside the queue has come further, see `progress`.
        latent_wanted(object): the `Latent` of a sample shall be opened in the latent explorer.
    """

    models_changed = Signal()
    model_changed = Signal()
    settings_changed = Signal()
    busy_changed = Signal(bool)
    progressed = Signal()
    latent_wanted = Signal(object)

    def __init__(self, services: Services, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.state = GenerateState()
        self.services = services
        self.generators = work.Generators()
        self.progress: Progress | None = None
        self.remaining_seconds: float | None = None
        self.queue = GenerateQueue(services, self)
        self.grids = GenerateGrids(self)
        self.tiles = GenerateTiles(self)
        self.dropped = GenerateDropped(self)
        self.edits = GenerateEdits(self)
        self.nearest = GenerateNearest(self)
        self.keeping = GenerateKeeping(self)
        self.own = GenerateOwn(self)
        self.export = GenerateExport(self)
        self.queue.changed.connect(self._on_work_changed)
        self.settings_changed.connect(self._on_settings_changed)
        self._generator: Generator | None = None
        self._history: History[GenerateSettings] = History()
        self._lane = GenerateLane(services, self)
        self._lane.partial.connect(self._on_followed)
        self._lane.done.connect(self._on_all_followed)
        self._lane.failed.connect(self._on_sampling_failed)
        for lane in (self._lane, *self.edits.lanes):
            lane.started.connect(self._on_lane_started)
            lane.ended.connect(self._on_work_changed)
            lane.progressed.connect(partial(self._on_progressed, lane))
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(REST_MILLISECONDS)
        self._rest.timeout.connect(self.follow)
        self._following = Sheet("", follows=True)
        self._followed = 0  # samples of it that have arrived
        self._undoing: GenerateSettings | None = None  # what an undo waits for the model of
        self._busy = False
        self._fresh = False  # the seed was just rolled: the next grid takes it
        self._activated = False
        self._dice = random.Random()  # noqa: S311 - seeds of pictures are no secrets

    # Models

    @property
    def generator(self) -> Generator | None:
        """The model in use, for the engine's threads; None until one is loaded."""
        return self._generator

    def activate(self) -> None:
        """The page is shown: look which models are at hand; the first time, load one and fill the grid."""
        task = self.services.host.run(work.list_cards)
        task.succeeded.connect(self._on_models)
        task.failed.connect(self._on_cards_failed)

    def choose_model(self, name: str) -> None:
        """Load another model; the samples shown stay until new ones arrive."""
        if name != self.state.model or self.state.loading:
            self._load(name, None)

    @Slot(object)
    def _on_models(self, cards: list[ModelCard]) -> None:
        first = not self._activated
        self._activated = self._activated or bool(cards)
        if tuple(cards) != self.state.models:
            self.state.models = tuple(cards)
            self.models_changed.emit()
        if first and cards and not self.state.model:
            names = [card.name for card in cards]
            last = remembered(self.services.settings.page(PAGE))
            if last.model in names:
                self._load(last.model, last)
            else:
                self._load(PREFERRED if PREFERRED in names else names[0], replace(last, choice={}))
        elif not cards:
            self.state.loading = False
            self.model_changed.emit()

    def _load(self, name: str, restore: GenerateSettings | None) -> None:
        self.state.loading = True
        task = self.services.host.run(partial(work.load_generator, name, restore))
        task.succeeded.connect(self._on_loaded)
        task.failed.connect(self._on_load_failed)

    @Slot(object)
    def _on_loaded(self, loaded: work.Loaded) -> None:
        state, before = self.state, self.state.settings
        self._generator = loaded.generator
        self.generators.put(loaded.generator)
        state.loading = False
        state.attributes = tuple(loaded.generator.attributes)
        after = loaded.restore or replace(before, choice={}, mix=None)
        state.settings = replace(after, model=loaded.generator.card.name).fitting(state.attributes)
        if before.model and before != state.settings and self._undoing is None:
            self._history.record(before)
        self._undoing = None
        self.model_changed.emit()
        self.settings_changed.emit()
        self.follow()
        self.tiles.start()

    @Slot(object)
    def _on_cards_failed(self, error: LatentStudioError) -> None:
        if not self.state.model:
            self.state.loading = False
            self.model_changed.emit()
        self._on_failed(error)

    @Slot(object)
    def _on_load_failed(self, error: LatentStudioError) -> None:
        self.state.loading = False
        self._undoing = None
        self.services.notices.error(error, self.tr("The model cannot be loaded"))
        self.model_changed.emit()

    # Settings

    def choose(self, attribute: str, value: str | None) -> None:
        """Fix an attribute to `value`, or leave it to chance with None, and show at once what the same seed gives."""
        self._change(self.state.settings.with_value(attribute, value), at_once=True)

    def choose_all(self, choice: Mapping[str, str]) -> None:
        """Choose every attribute anew; what is not named is left to chance."""
        self._change(replace(self.state.settings, choice=dict(choice)), at_once=True)

    def set_count(self, count: int) -> None:
        """How many samples; held within 1..MAX_COUNT."""
        self._change(replace(self.state.settings, count=count), "count", follows=False)

    def set_temperature(self, temperature: float) -> None:
        """Spread of the samples; held within TEMPERATURES."""
        self._change(replace(self.state.settings, temperature=temperature), "temperature")

    def set_guidance(self, guidance: float) -> None:
        """How strictly the choice is followed; held within GUIDANCES."""
        self._change(replace(self.state.settings, guidance=guidance), "guidance")

    def set_diversity(self, diversity: float) -> None:
        """How far a grid is spread over the styles, 0..1."""
        self._change(replace(self.state.settings, diversity=diversity), "diversity")

    def set_prior(self, prior: Prior) -> None:
        """Draw through the flow, FLOW, or straight from N(0, I), NORMAL."""
        self._change(replace(self.state.settings, prior=prior), at_once=True)

    def reset_drawing(self) -> None:
        """Prior, strength, temperature and diversity as the model learned them."""
        usual = GenerateSettings()
        self._change(
            replace(
                self.state.settings,
                prior=usual.prior,
                guidance=usual.guidance,
                temperature=usual.temperature,
                diversity=usual.diversity,
            ),
            at_once=True,
        )

    def set_mix(self, attribute: str, value: str | None, weight: float | None = None) -> None:
        """Mix the chosen value of an attribute with `value`; None ends it. Without a weight it stays as it is."""
        before = self.state.settings.mix
        if value is None:
            mix = None
        else:
            present = before.weight if before is not None else 0.5
            mix = MixWish(attribute, value, present if weight is None else weight)
        gesture = "mix" if weight is not None else None
        self._change(replace(self.state.settings, mix=mix), gesture, at_once=weight is None)

    def set_seed(self, seed: int) -> None:
        """Take this seed and keep it: who types one wants these very pictures."""
        self._change(replace(self.state.settings, seed=seed, seed_locked=True))

    def roll_seed(self) -> None:
        """Draw another seed now."""
        self._fresh = True
        self._change(replace(self.state.settings, seed=self._dice.randint(0, MAX_SEED)), at_once=True)

    def lock_seed(self, locked: bool) -> None:
        """Keep the seed for the next grids, or draw a new one for each."""
        self._change(replace(self.state.settings, seed_locked=locked), follows=False)

    def end_gesture(self) -> None:
        """A slider was let go: the next change is a step of its own."""
        self._history.close_gesture()

    @property
    def can_undo(self) -> bool:
        """True where the settings can go back a step."""
        return self._history.can_undo

    @property
    def can_redo(self) -> bool:
        """True where a step back can be taken again."""
        return self._history.can_redo

    def undo(self) -> None:
        """The settings before the last change."""
        if self._history.can_undo:
            self._go_to(self._history.undo(self.state.settings))

    def redo(self) -> None:
        """The settings that the last undo left."""
        if self._history.can_redo:
            self._go_to(self._history.redo(self.state.settings))

    def use_settings(self) -> None:
        """Take model, choice, seed and all else of the selected sample for the next grid."""
        sample = self.grids.selected
        if sample is not None:
            self.restore(sample.latent)

    def restore(self, latent: Latent) -> bool:
        """Take everything that a picture was made with; False where its model is not here, which a notice says."""
        card = next((card for card in self.state.models if card.name == latent.model), None)
        notices = self.services.notices
        if card is None:
            problem = self.tr("This picture was made with the model {model}, which is not here.")
            remedy = self.tr("Put its model file into the models folder.")
            self._on_failed(LatentStudioError(problem.format(model=latent.model), remedy))
            return False
        if latent.seed is None:
            notices.info(self.tr("This picture was not drawn by a seed: its choice and settings are restored."))
        elif latent.seed > MAX_SEED:
            notices.info(self.tr("The seed {seed} is too large for the window.").format(seed=latent.seed))
        elif card.weights_sha256 != latent.weights_sha256:
            notices.info(self.tr("Another version of the model made this picture: yours may differ."))
        settings = settings_of(latent, self.state.settings)
        if latent.model == self.state.model:
            self._change(settings.fitting(self.state.attributes), follows=False)
            self.follow()
        else:
            self._load(latent.model, settings)
        return True

    def _change(
        self, after: GenerateSettings, gesture: str | None = None, *, at_once: bool = False, follows: bool = True
    ) -> None:
        before, after = self.state.settings, after.held()
        if before == after:
            return
        self._history.record(before, gesture)
        self._set(after)
        if follows:
            self._follow_soon(at_once)

    def _set(self, settings: GenerateSettings) -> None:
        self.state.settings = settings
        self.settings_changed.emit()

    @Slot()
    def _on_settings_changed(self) -> None:
        self.services.settings.set_page(PAGE, **to_remember(self.state.settings))

    def _go_to(self, settings: GenerateSettings) -> None:
        if settings.model != self.state.model:
            self._undoing = settings
            self._load(settings.model, settings)
        else:
            self._set(settings)
            self._follow_soon(at_once=True)

    # Grids that follow the settings

    def _follow_soon(self, at_once: bool) -> None:
        if self.state.settings.count > AT_ONCE:
            return
        if at_once:
            self.follow()
        else:
            self._rest.start()
            self._on_work_changed()

    def follow(self) -> None:
        """Show what the settings give; the grid that followed them before is replaced sample by sample."""
        self._rest.stop()
        generator, settings = self._generator, self.state.settings
        if generator is None:
            return
        if self.grids.sheet.follows:
            self._following = self.grids.sheet
        else:
            self._following = Sheet("", follows=True)
        self._followed = 0
        # A grid that is only looked at need not be larger than what is made in a moment.
        self._lane.request(partial(work.make_samples, generator, replace(settings, count=min(settings.count, AT_ONCE))))

    @Slot(object)
    def _on_followed(self, sample: Sample) -> None:
        # The former grid stays until the first new sample is there: an error leaves it untouched.
        index, sheet = self._followed, self._following
        self._followed += 1
        if index == 0:
            sheet.title = self._title(self.state.settings)
        self.grids.put(sheet, index, sample)

    @Slot(object)
    def _on_all_followed(self, samples: list[Sample]) -> None:
        self._note_seed(self.state.settings.seed)
        self.grids.cut(self._following, len(samples))

    # Grids that are asked for

    @property
    def busy(self) -> bool:
        """True while samples are being made, or are about to be."""
        return self._lane.busy or self._rest.isActive() or self.edits.busy or bool(self.queue.jobs)

    def generate(self) -> None:
        """Make a new grid, after those that are being made."""
        generator = self._generator
        if generator is None:
            return
        self._rest.stop()
        self._lane.cancel()
        if not self.state.settings.seed_locked and not self._fresh:
            self._set(replace(self.state.settings, seed=self._dice.randint(0, MAX_SEED)))
        self._fresh = False
        settings = self.state.settings
        self._note_seed(settings.seed)
        sheet = Sheet(self._title(settings))
        title = self.tr("Generate {count} × {words} ({model})")
        words = choice_words(settings.choice, self.tr("any class"))
        job = self.queue.add(
            title.format(count=settings.count, words=words, model=settings.model),
            partial(work.make_samples, generator, settings),
            keep_listed=False,
        )
        job.partial.connect(partial(self._on_made, sheet))
        job.finished.connect(partial(self._on_grid_ended, sheet))
        job.cancelled.connect(partial(self._on_grid_ended, sheet))
        job.failed.connect(self._on_sampling_failed)
        self._on_work_changed()

    def cancel(self) -> None:
        """Stop what is being made; what is done stays, and grids that wait are made."""
        self._cancel_lanes()
        self.queue.cancel_first()
        self._on_work_changed()

    def cancel_all(self) -> None:
        """Stop what is being made, and make nothing of what waits."""
        self._cancel_lanes()
        self.queue.cancel_all()
        self._on_work_changed()

    def _cancel_lanes(self) -> None:
        self._rest.stop()
        if self._lane.busy:
            self._lane.cancel()
            # What is left of the grid before belongs to other settings.
            self.grids.cut(self._following, self._followed)
        self.edits.cancel()

    def _on_made(self, sheet: Sheet, sample: Sample) -> None:
        self.grids.put(sheet, len(sheet.samples), sample)

    def _on_grid_ended(self, sheet: Sheet, _samples: object = None) -> None:
        self.keeping.keep(sheet.samples)

    @Slot(object)
    def _on_sampling_failed(self, error: LatentStudioError) -> None:
        self.services.notices.error(error, self.tr("The samples could not be made"))

    @Slot()
    def _on_work_changed(self) -> None:
        if self.busy != self._busy:
            self._busy = self.busy
            self.busy_changed.emit(self._busy)

    @Slot()
    def _on_lane_started(self) -> None:
        self.progress = self.remaining_seconds = None
        self._on_work_changed()

    def _on_progressed(self, lane: GenerateLane, progress: Progress) -> None:
        self.progress, self.remaining_seconds = progress, lane.remaining_seconds(progress)
        self.progressed.emit()

    def _note_seed(self, seed: int) -> None:
        if self.state.seeds[:1] != [seed]:
            self.state.seeds = [seed, *(other for other in self.state.seeds if other != seed)][:MOST_SEEDS]

    def _title(self, settings: GenerateSettings) -> str:
        words = choice_words(settings.choice, self.tr("any class"))
        if settings.mix is not None:
            words = f"{words} + {settings.mix.weight:.0%} {settings.mix.value}"
        words = self.tr("{words}, seed {seed}").format(words=words, seed=settings.seed)
        return words[:1].upper() + words[1:]

    # One sample

    def open_in_latents(self) -> None:
        """Hand the selected sample to the latent explorer."""
        sample = self.grids.selected
        if sample is not None:
            self.latent_wanted.emit(sample.latent)

    @Slot(object)
    def _on_failed(self, error: LatentStudioError) -> None:
        self.services.notices.error(error, self.tr("Generate"))
