"""State and actions of the Train page: recipes, the run that is on, and earlier runs."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal, Slot

from engine.errors import Cancelled, LatentStudioError, TrainingError
from engine.paths import model_folders, user_folder
from engine.progress import Progress
from gui.controllers.run_record import RECIPE, RunRecord, list_runs
from gui.services.context import Services
from gui.services.jobs import Job
from gui.services.notices import Notice
from gui.services.training_process import TrainingProcess

if TYPE_CHECKING:
    from engine.training import Recipe

FIRST_RECIPE = "samples-ae"  # trains on the pictures that come with the program, so that a first start needs no data


@dataclass(frozen=True)
class Plan:
    """What a person changed of a recipe.

    Attributes:
        name: of the model to be made.
        steps: optimiser steps in all; the stages of a recipe keep their shares.
        batch_size, learning_rate: of the first stage; the others keep their ratio to it.
        pictures: folder of own pictures instead of the recipe's data set, or None.
    """

    name: str
    steps: int
    batch_size: int
    learning_rate: float
    pictures: Path | None = None


@dataclass(frozen=True)
class DataCheck:
    """Whether the pictures of a plan are at hand.

    Attributes:
        state: "checking", "found" or "missing".
        text: what was found, or what is wrong and what can be done.
    """

    state: str = "checking"
    text: str = ""


@dataclass
class TrainState:
    """What the Train page shows.

    Attributes:
        recipes: all valid ones by name.
        parameters: numbers that each recipe's network learns, as far as counted.
        recipe: name of the chosen recipe.
        plan: what shall be trained.
        data_root: folder in which data sets are looked for first, or None.
        data: whether the plan's pictures are at hand.
        runs: earlier runs, the newest first.
        live: the run that is on, or None.
        shown: the run whose curves are shown, or None.
    """

    recipes: dict[str, Recipe] = field(default_factory=dict)
    parameters: dict[str, int] = field(default_factory=dict)
    recipe: str = ""
    plan: Plan | None = None
    data_root: Path | None = None
    data: DataCheck = DataCheck()
    runs: list[RunRecord] = field(default_factory=list)
    live: RunRecord | None = None
    shown: RunRecord | None = None


class TrainController(QObject):
    """Starts, watches, stops and resumes training runs.

    Signals:
        recipes_changed(): the list of recipes or what is known of them.
        plan_changed(): another recipe or other settings.
        data_changed(): the check of the plan's pictures.
        runs_changed(): the list of earlier runs.
        run_changed(): the shown run: another one, more points, or its end.
        sheet_changed(): the sample sheet of the shown run.
        running_changed(bool): a run started or ended.
        model_installed(str): a finished model was put where the other pages find it.
    """

    recipes_changed = Signal()
    plan_changed = Signal()
    data_changed = Signal()
    runs_changed = Signal()
    run_changed = Signal()
    sheet_changed = Signal()
    running_changed = Signal(bool)
    model_installed = Signal(str)

    def __init__(self, services: Services, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.state = TrainState()
        self._services = services
        self._process = TrainingProcess(self)
        self._process.reported.connect(self._on_event)
        self._process.ended.connect(self._on_ended)
        self._checked = 0
        self._checked_recipe = ""
        self._starting = False
        self._job: Job | None = None

    # Recipes and plan

    def activate(self) -> None:
        """The page is shown: read recipes and earlier runs."""
        self._request(list_recipes, self._on_recipes, engine=False)
        self._read_runs()

    def choose_recipe(self, name: str) -> None:
        """Make another recipe the plan."""
        recipe = self.state.recipes.get(name)
        if recipe is not None:
            self.state.recipe = name
            first = recipe.stages[0]
            self._set_plan(Plan(unused_name(f"my-{name}"), recipe.total_steps, first.batch_size, first.learning_rate))

    def edit_plan(self, plan: Plan) -> None:
        """Change steps, batch size, learning rate, name or pictures."""
        if plan != self.state.plan:
            self._set_plan(plan)

    def set_data_root(self, folder: Path | None) -> None:
        """Look for data sets in `folder` first."""
        self.state.data_root = folder
        self._check_data()

    def _set_plan(self, plan: Plan) -> None:
        before, self.state.plan = self.state.plan, plan
        self.plan_changed.emit()
        if before is None or before.pictures != plan.pictures or self._checked_recipe != self.state.recipe:
            self._check_data()

    def _check_data(self) -> None:
        recipe = self._planned()
        if recipe is None:
            return
        self._checked_recipe = self.state.recipe
        self._checked += 1
        stamp, root = self._checked, self.state.data_root
        self.state.data = DataCheck()
        self.data_changed.emit()
        self._request(lambda: (stamp, check_data(recipe, root)), self._on_data_checked)

    def _planned(self) -> Recipe | None:
        recipe, plan = self.state.recipes.get(self.state.recipe), self.state.plan
        return None if recipe is None or plan is None else apply_plan(recipe, plan)

    @Slot(object)
    def _on_recipes(self, recipes: list[Recipe]) -> None:
        in_order = sorted(recipes, key=lambda recipe: (recipe.name != FIRST_RECIPE, recipe.name))
        self.state.recipes = {recipe.name: recipe for recipe in in_order}
        self.recipes_changed.emit()
        if self.state.plan is None and recipes:
            self.choose_recipe(in_order[0].name)
        unknown = [recipe for recipe in recipes if recipe.name not in self.state.parameters]
        if unknown:
            self._request(lambda: count_parameters(unknown), self._on_counted)

    @Slot(object)
    def _on_counted(self, counted: dict[str, int]) -> None:
        self.state.parameters.update(counted)
        self.recipes_changed.emit()

    @Slot(object)
    def _on_data_checked(self, result: tuple[int, DataCheck]) -> None:
        stamp, check = result
        if stamp == self._checked:
            self.state.data = check
            self.data_changed.emit()

    # The run

    @property
    def running(self) -> bool:
        """True from Start until the process has ended."""
        return self._starting or self._process.running

    @property
    def stopping(self) -> bool:
        """True from Cancel until the process has ended."""
        return self._process.stopping

    def start(self) -> None:
        """Start the plan as a new run."""
        recipe = self._planned()
        if recipe is None or self.running:
            return
        self._starting = True
        self.running_changed.emit(True)
        folder = user_folder("runs") / f"{recipe.name}-{datetime.now():%Y%m%d-%H%M%S}"
        task = self._services.host.run(lambda: prepare_run(recipe, folder))
        task.succeeded.connect(self._on_prepared)
        task.failed.connect(self._on_start_failed)

    def stop(self) -> None:
        """End the run with a checkpoint, from which it can be resumed."""
        self._process.stop()
        self.run_changed.emit()

    def resume(self) -> None:
        """Go on with the shown run from its checkpoint."""
        shown = self.state.shown
        if shown is None or not shown.can_resume or self.running:
            return
        self._starting = True
        self.running_changed.emit(True)
        folder = shown.folder
        task = self._services.host.run(lambda: prepare_resumption(folder))
        task.succeeded.connect(self._on_prepared)
        task.failed.connect(self._on_start_failed)

    def shut_down(self) -> None:
        """The window closes: end the run with a checkpoint."""
        self._process.shut_down()

    @Slot(object)
    def _on_prepared(self, folder: Path) -> None:
        self._starting = False
        known = [record for record in self.state.runs if record.folder == folder]
        self._launch(known[0] if known else RunRecord(folder))

    @Slot(object)
    def _on_start_failed(self, error: LatentStudioError) -> None:
        self._starting = False
        self._services.notices.error(error, self.tr("The run could not be started"))
        self.running_changed.emit(False)

    def _launch(self, record: RunRecord) -> None:
        record.outcome, record.problem = "running", ""
        self.state.live = self.state.shown = record
        if record not in self.state.runs:
            self.state.runs.insert(0, record)
        root = self.state.data_root
        self._process.start(record.folder / RECIPE, record.folder, [root] if root is not None else [])
        # Among the other jobs: seen from every page, and asked about when the window closes.
        self._job = self._services.jobs.follow(
            self.tr("Training {name}").format(name=record.recipe or self.state.recipe or record.folder.name)
        )
        self._job.cancel_asked.connect(self.stop)
        self.running_changed.emit(True)
        self.runs_changed.emit()
        self.run_changed.emit()
        self.sheet_changed.emit()

    @Slot(dict)
    def _on_event(self, event: dict[str, object]) -> None:
        live = self.state.live
        if live is None:
            return
        sheet = live.sheet
        live.add(event)
        if self._job is not None:
            text = self.tr("Step {step} of {total}").format(step=live.step, total=live.total)
            self._job.report(Progress(live.step, live.total, text), live.seconds_left)
        if live is self.state.shown:
            self.run_changed.emit()
            if live.sheet != sheet:
                self.sheet_changed.emit()

    @Slot(str, str)
    def _on_ended(self, outcome: str, problem: str) -> None:
        live, self.state.live = self.state.live, None
        job, self._job = self._job, None
        if job is not None:
            job.conclude(error={"stopped": Cancelled(), "failed": TrainingError(problem)}.get(outcome))
        if live is not None:
            live.outcome, live.problem = outcome, problem
            if outcome == "failed":
                title = self.tr("The training run failed")
                self._services.notices.report(Notice("error", problem, title, details=live.output))
            elif outcome == "finished":
                self._services.notices.success(
                    self.tr("{name} is trained.").format(name=live.recipe or live.folder.name)
                )
        self.running_changed.emit(False)
        self.runs_changed.emit()
        self.run_changed.emit()

    # Earlier runs and their models

    def show_run(self, folder: Path) -> None:
        """Show the curves of a run in the list."""
        for record in self.state.runs:
            if record.folder == folder and record is not self.state.shown:
                self.state.shown = record
                self.run_changed.emit()
                self.sheet_changed.emit()

    def _read_runs(self) -> None:
        self._request(lambda: list_runs(user_folder("runs")), self._on_runs, engine=False)

    @Slot(object)
    def _on_runs(self, runs: list[RunRecord]) -> None:
        live, shown = self.state.live, self.state.shown
        others = [record for record in runs if live is None or record.folder != live.folder]
        self.state.runs = [live, *others] if live is not None else others
        self.runs_changed.emit()
        folders = {record.folder: record for record in self.state.runs}
        if shown is None or shown.folder in folders:
            self.state.shown = folders[shown.folder] if shown is not None else next(iter(self.state.runs), None)
            self.run_changed.emit()
            self.sheet_changed.emit()

    def model_name(self) -> str:
        """Name of the shown run's finished model; empty where there is none."""
        shown = self.state.shown
        path = shown.model_file if shown is not None and shown.outcome == "finished" else None
        return path.stem if path is not None else ""

    def is_installed(self, name: str) -> bool:
        """True where the user's models folder holds a model of that name."""
        return (user_folder("models") / f"{name}.safetensors").exists()

    def use_model(self) -> None:
        """Copy the shown run's model into the user's models folder, where every page finds it."""
        shown = self.state.shown
        path = shown.model_file if shown is not None else None
        if path is not None:
            self._request(lambda: install_model(path), self._on_installed)

    @Slot(object)
    def _on_installed(self, name: str) -> None:
        text = self.tr("{name} can now be chosen on the other pages.")
        self._services.notices.success(text.format(name=name))
        self.model_installed.emit(name)
        self.run_changed.emit()
        plan = self.state.plan
        if plan is not None and plan.name == name:
            # The next run makes a model of its own.
            self.edit_plan(replace(plan, name=unused_name(name)))

    def _request(self, function: Callable[[], Any], receiver: Callable[[Any], None], *, engine: bool = True) -> None:
        task = self._services.host.run(function, engine=engine)
        task.succeeded.connect(receiver)
        task.failed.connect(self._on_failed)

    @Slot(object)
    def _on_failed(self, error: LatentStudioError) -> None:
        self._services.notices.error(error, self.tr("Train"))


# What runs in background threads.


def list_recipes() -> list[Recipe]:
    """All valid recipes, by name."""
    from engine.training import list_recipes

    return list_recipes()


def apply_plan(recipe: Recipe, plan: Plan) -> Recipe:
    """The recipe with a plan's changes. Stages and intervals are scaled alike: short runs show samples too."""
    first = recipe.stages[0]
    factor = plan.steps / recipe.total_steps

    def scaled(count: int, by: float = factor) -> int:
        return max(1, round(count * by))

    stages = tuple(
        stage.model_copy(
            update={
                "steps": scaled(stage.steps),
                "warmup_steps": min(stage.warmup_steps, round(stage.warmup_steps * factor)),
                "batch_size": scaled(stage.batch_size, plan.batch_size / first.batch_size),
                "learning_rate": min(1.0, stage.learning_rate * plan.learning_rate / first.learning_rate),
            }
        )
        for stage in recipe.stages
    )
    every = ("validate_every", "checkpoint_every", "preview_every")
    training = recipe.training.model_copy(
        update={name: min(getattr(recipe.training, name), scaled(getattr(recipe.training, name))) for name in every}
    )
    changes: dict[str, Any] = {"name": plan.name, "stages": stages, "training": training}
    if plan.pictures is not None:
        own = {"set": "folder", "path": plan.pictures, "split": "train"}
        changes |= {"data": recipe.data.model_copy(update=own), "validation": None}
    return recipe.model_copy(update=changes)


def count_parameters(recipes: list[Recipe]) -> dict[str, int]:
    """How many numbers each recipe's network learns. Recipes whose [config] does not fit are left out."""
    import torch
    from pydantic import ValidationError

    from engine.models.registry import family_class

    counted = {}
    for recipe in recipes:
        try:
            network = family_class(recipe.family)
            config = network.Config.model_validate(recipe.config)
        except (LatentStudioError, ValidationError, ImportError):
            continue
        with torch.device("meta"):
            counted[recipe.name] = sum(parameter.numel() for parameter in network(config).parameters())
    return counted


def check_data(recipe: Recipe, root: Path | None) -> DataCheck:
    """Whether the recipe's pictures are there; they are not read yet."""
    from engine.data import find_data
    from engine.data.source import open_source, picture_names

    try:
        path = find_data(recipe.data, [root] if root is not None else [])
        if recipe.data.path is None:
            place = "come with the program" if recipe.data.set == "samples" else path
            return DataCheck("found", f"{recipe.data.set}: {place}")
        count = len(picture_names(open_source(path).names()))
    except LatentStudioError as error:
        return DataCheck("missing", f"{error.problem} Choose the folder it lies in, or train on your own pictures.")
    if not count:
        return DataCheck("missing", f"{path} holds no pictures. Choose another folder.")
    return DataCheck("found", f"{count:,} pictures in {path}")


def prepare_run(recipe: Recipe, folder: Path) -> Path:
    """Make the run folder with its recipe. Raises `DataError`, `OutputError`."""
    from engine.training import save_recipe

    save_recipe(fit_to_pictures(recipe), folder / RECIPE)
    return folder


def prepare_resumption(folder: Path) -> Path:
    """A run that was started elsewhere has its recipe in its checkpoint: put it beside it. Raises `TrainingError`."""
    from engine.files import write_text
    from engine.training.checkpoint import read_state

    state = read_state(folder)
    if state is not None and not (folder / RECIPE).is_file():
        write_text(folder / RECIPE, state.recipe)
    return folder


def fit_to_pictures(recipe: Recipe) -> Recipe:
    """The recipe with as many classes as the person's own pictures have, where its network has to know them."""
    if recipe.data.path is None or "attribute_sizes" not in recipe.config:
        return recipe
    from engine.data import open_data

    sizes = [len(attribute.values) for attribute in open_data(recipe.data).attributes]
    return recipe.model_copy(update={"config": {**recipe.config, "attribute_sizes": sizes}})


def install_model(path: Path) -> str:
    """Copy a finished model into the user's models folder; returns its name. Raises `ModelError`, `OutputError`."""
    from engine.files import write_bytes
    from engine.models.store import read_card

    card = read_card(path)
    write_bytes(user_folder("models") / f"{card.name}.safetensors", path.read_bytes())
    return card.name


def unused_name(name: str) -> str:
    """`name`, or the same with another number at its end where a model of that name exists."""
    name = re.sub(r"[^a-z0-9-]+", "-", name.lower())[:56]
    taken = {path.stem for folder in model_folders() for path in folder.glob("*.safetensors")}
    candidate, number = name, 2
    while candidate in taken:
        candidate, number = f"{name}-{number}", number + 1
    return candidate
