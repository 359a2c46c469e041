"""The trainer: one loop for every family, resumable to the same curve, on one process or many."""

from __future__ import annotations

import contextlib
import copy
import math
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import numpy as np
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from engine.data import DataSet, open_data
from engine.errors import LatentStudioError, RecipeError, TrainingError
from engine.image import Picture, save_picture
from engine.models.card import Figure, ModelCard
from engine.models.network import Batch, Network, TrainingMoment
from engine.models.registry import family_class, load_model
from engine.models.store import save_model
from engine.progress import CancelToken
from engine.training.checkpoint import RunState, read_state, restore, save_checkpoint
from engine.training.distributed import World, join_world
from engine.training.recipe import Recipe, Stage, parse_recipe, to_toml
from engine.training.run_log import Event, RunLog
from engine.training.schedules import learning_rate
from engine.training.soap import Soap

LOG_EVERY = 10
STOP_FILE = "stop"
VALIDATION_BATCHES = 16
FINISH_BATCHES = 64
MAX_BAD_STEPS = 20


def train(
    recipe: Recipe,
    run_folder: Path,
    *,
    device: str | None = None,
    resume: bool = True,
    data_roots: Sequence[Path] = (),
    on_event: Callable[[Event], None] | None = None,
    cancel: CancelToken | None = None,
) -> Path | None:
    """Train the recipe's model.

    The run can be stopped at any moment (cancel token, SIGTERM, a file "stop" in the folder, or killing it) and resumed
    from its last checkpoint: what a step sees depends only on the recipe's seed, the stage, the step and the rank.

    Args:
        recipe: what to train.
        run_folder: receives log.jsonl, samples/step-NNNNNN.png, the checkpoint and the finished NAME.safetensors.
        device: as `engine.device.choose_device`.
        resume: go on from a checkpoint in the folder if there is one; False starts again.
        data_roots: searched for the data set before the usual places.
        on_event: called with every event of the log.
        cancel: stops the run after the current step, with a checkpoint.

    Returns:
        The finished model's file, or None when the run was stopped before its end.

    Raises:
        RecipeError: the recipe's [config] does not fit its family.
        DataError: the data are missing or broken.
        TrainingError: the loss stayed infinite, or the checkpoint belongs to another recipe.
        OutputError: the folder cannot be written.
    """
    run_folder.mkdir(parents=True, exist_ok=True)
    (run_folder / STOP_FILE).unlink(missing_ok=True)
    cancel = cancel or CancelToken()
    with join_world(device) as world, _stop_on_sigterm(cancel):
        log = RunLog(run_folder, on_event) if world.is_leader else None
        try:
            return _Run(recipe, run_folder, world, log, cancel, list(data_roots)).go(resume)
        except LatentStudioError as error:
            if log is not None:
                log.write("failed", problem=error.problem, remedy=error.remedy)
            raise
        finally:
            if log is not None:
                log.close()


class _LossModule(nn.Module):
    """Calls a network's training loss in `forward`, where DistributedDataParallel expects the work."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: Batch, moment: TrainingMoment) -> dict[str, Tensor]:
        return self.network.training_loss(batch, moment)


class _Run:
    """One run: owns the network, its average and the log."""

    def __init__(
        self, recipe: Recipe, folder: Path, world: World, log: RunLog | None, cancel: CancelToken, roots: list[Path]
    ) -> None:
        self.recipe, self.folder, self.roots = recipe, folder, roots
        self.world, self.log, self.cancel = world, log, cancel
        self.device = world.device.torch_device
        torch.manual_seed(recipe.seed)
        network = _build(recipe)
        self.network = network.to(device=self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if recipe.training.start_from:
            source = load_model(recipe.training.start_from).network
            _copy_fitting_weights(source, self.network, recipe.training.start_without)
        self.average = copy.deepcopy(self.network).eval().requires_grad_(False)
        self.data = open_data(recipe.data, roots)
        self.validation = open_data(recipe.validation_data, roots)
        if not len(self.data):
            raise TrainingError(f"The data set {recipe.data.set} holds no pictures.", "Choose another folder.")
        self.steps_before = 0
        # Of a stage with a limit: the PSNR that ends it, and the averaged weights it then falls back to.
        self.least_psnr: float | None = None
        self.kept: dict[str, Tensor] | None = None

    def go(self, resume: bool) -> Path | None:
        start = self._resume_point() if resume else None
        self._event(
            "start",
            recipe=self.recipe.name,
            total=self.recipe.total_steps,
            resumed_at=self._global_step(start.stage, start.step) if start else 0,
            device=self.world.device.description,
            processes=self.world.size,
            parameters=sum(p.numel() for p in self.network.parameters()),
            training_pictures=len(self.data),
            validation_pictures=len(self.validation),
        )
        for index, stage in enumerate(self.recipe.stages):
            self.steps_before = self._global_step(index, 0)
            self._enter(stage.name, index)
            if start is not None and index < start.stage:
                continue
            first = start.step if start is not None and start.stage == index else 0
            if not self._stage(index, stage, first, restored=start is not None and start.stage == index):
                return None
        self._enter("", len(self.recipe.stages))
        return self._finish()

    def _enter(self, stage: str, index: int) -> None:
        """Let the network and its average change their parts for a stage, both in the same way."""
        for network in (self.network, self.average):
            torch.manual_seed(self._seed(index))
            network.enter_stage(stage)
        self.average.eval().requires_grad_(False)

    def _stage(self, index: int, stage: Stage, first: int, restored: bool) -> bool:
        """Run one stage from step `first`; False when the run was stopped."""
        data = self.data
        if stage.crop is not None and stage.crop != self.recipe.data.crop:
            data = open_data(self.recipe.data.model_copy(update={"crop": stage.crop}), self.roots)
        if index > 0 and not restored:
            # The averaged weights are what will be saved, so they are what a later stage builds upon.
            self.network.load_state_dict(self.average.state_dict())
        _choose_parameters(self.network, stage)
        optimizer = _optimizer(self.network, self.recipe, stage)
        self.kept, self.least_psnr = None, None
        if restored:
            self.kept = restore(self.folder, self.network, self.average, optimizer)
            state = read_state(self.folder)
            self.least_psnr = state.least_psnr if state is not None else None
        elif stage.largest_psnr_fall is not None:
            self._set_limit(stage, stage.largest_psnr_fall)
        module = self.world.wrap(_LossModule(self.network))
        settings = self.recipe.training
        bad_steps = 0
        self.network.train()
        with contextlib.closing(_batches(data, stage, self._seed(index), self.world, first)) as batches:
            for step, batch in zip(range(first, stage.steps), batches, strict=False):
                torch.manual_seed(self._step_seed(index, step))
                rate = learning_rate(stage, step)
                for group in optimizer.param_groups:
                    group["lr"] = rate
                with self.world.device.autocast():
                    losses = module(batch.to(self.device), TrainingMoment(stage.name, step, stage.steps, index))
                optimizer.zero_grad(set_to_none=True)
                losses["loss"].backward()
                norm = nn.utils.clip_grad_norm_(_learning(self.network), settings.gradient_clip)
                if bool(torch.isfinite(norm)):
                    optimizer.step()
                    self._update_average(step)
                    bad_steps = 0
                else:
                    bad_steps += 1
                    if bad_steps >= MAX_BAD_STEPS:
                        raise TrainingError(
                            f"The loss of {self.recipe.name} was not finite for {MAX_BAD_STEPS} steps, at step {step}.",
                            "Lower the learning rate and resume.",
                        )
                done = step + 1
                if done % LOG_EVERY == 0 or done == stage.steps:
                    figures = {name: self.world.mean(value.detach().float()).item() for name, value in losses.items()}
                    self._event("step", **self._where(done), stage=stage.name, learning_rate=rate, **_finite(figures))
                within = self._periodic(index, stage, done, optimizer)
                if not within:
                    break
                if self.world.any(self.cancel.cancelled or (self.folder / STOP_FILE).exists()):
                    self._checkpoint(index, done, optimizer)
                    self._event("stopped", **self._where(done))
                    return False
        self._checkpoint(index, stage.steps, optimizer)
        return True

    def _periodic(self, index: int, stage: Stage, done: int, optimizer: torch.optim.Optimizer) -> bool:
        """What is due after `done` steps of a stage; False when the stage went beyond its limit and must end."""
        settings = self.recipe.training
        last = done == stage.steps
        if done % settings.validate_every == 0 or last:
            figures = self._validate()
            self._event("validation", **self._where(done), stage=stage.name, **_finite(figures))
            if not self._within_limit(figures, done):
                return False
        if done % settings.preview_every == 0 or last:
            self._preview(done)
        if done % settings.checkpoint_every == 0 and not last:
            self._checkpoint(index, done, optimizer)
        return True

    def _set_limit(self, stage: Stage, fall: float) -> None:
        """Measure from where the PSNR may fall in this stage, and keep the weights that it begins with."""
        figures = self._validate()
        if "psnr" not in figures:
            raise TrainingError(
                f"Stage {stage.name!r} limits the fall of the PSNR, but the validation gives none.",
                "Add a validation part, or take largest_psnr_fall out.",
            )
        self.least_psnr = figures["psnr"] - fall
        self.kept = _copy_of(self.average)

    def _within_limit(self, figures: dict[str, float], done: int) -> bool:
        """Keep the weights that were just measured, or fall back to those kept before."""
        if self.least_psnr is None or self.kept is None:
            return True
        # A PSNR that is not a number is no better than one that is too low.
        if not self.world.any(not figures["psnr"] >= self.least_psnr):
            self.kept = _copy_of(self.average)
            return True
        self.average.load_state_dict(self.kept)
        self._event("limit", **self._where(done), **_finite({"psnr": figures["psnr"], "least_psnr": self.least_psnr}))
        return False

    def _validate(self) -> dict[str, float]:
        """Figures of the averaged weights over the validation pictures (at most `VALIDATION_BATCHES` batches)."""
        sums: dict[str, float] = {}
        count = 0
        for batch in self._ordered(self.validation, self.recipe.stages[0].batch_size, VALIDATION_BATCHES):
            torch.manual_seed(0)
            with torch.no_grad():
                figures = self.average.validation_figures(batch.to(self.device))
            for name, value in figures.items():
                sums[name] = sums.get(name, 0.0) + float(value) * len(batch.images)
            count += len(batch.images)
        return {name: value / count for name, value in sums.items()} if count else {}

    def _preview(self, done: int) -> None:
        if self.log is None or not len(self.validation):
            return
        batch = next(self._ordered(self.validation, 8, 1))
        torch.manual_seed(self.recipe.seed)
        with torch.no_grad():
            pictures = self.average.preview(batch.to(self.device))
        if pictures is None:
            return
        path = self.folder / "samples" / f"step-{self.steps_before + done:06d}.png"
        path.parent.mkdir(exist_ok=True)
        save_picture(Picture(_sheet(pictures.float().cpu())), path)
        self._event("samples", **self._where(done), file=str(path.relative_to(self.folder)))

    def _finish(self) -> Path | None:
        if self.log is None:
            return None
        data = self.validation if len(self.validation) else self.data
        figures = tuple(
            Figure(name=name, value=value, data=f"{data.name} validation") for name, value in self._validate().items()
        )
        card = ModelCard(
            name=self.recipe.name,
            family=self.recipe.family,
            summary=self.recipe.summary,
            attributes=data.attributes,
            classes=data.classes,
            training_data=self.recipe.card.training_data or data.name,
            licence=self.recipe.card.licence or data.licence,
            recipe=self.recipe.name,
            training_steps=self.recipe.total_steps,
            figures=figures,
        )
        torch.manual_seed(self.recipe.seed)
        batches = self._ordered(self.data, self.recipe.stages[0].batch_size, FINISH_BATCHES, shuffled=True)
        with torch.no_grad():
            card = self.average.finish((batch.to(self.device) for batch in batches), card)
        path = self.folder / f"{self.recipe.name}.safetensors"
        save_model(path, self.average, card)
        self._event("finished", step=self.recipe.total_steps, total=self.recipe.total_steps, model=str(path))
        return path

    def _ordered(self, data: DataSet, size: int, most: int, shuffled: bool = False) -> Iterator[Batch]:
        """At most `most` batches of a data set without augmentation, the same ones at every call."""
        order = np.random.default_rng(self.recipe.seed).permutation(len(data)) if shuffled else np.arange(len(data))
        rng = np.random.default_rng(self.recipe.seed)
        for start in range(0, min(len(data), most * size), size):
            yield data.batch(order[start : start + size], rng, augment=False)

    def _update_average(self, step: int) -> None:
        """Exponential moving average of the weights; buffers (running statistics) are copied."""
        # A young average follows the weights closely, so that the random start is soon forgotten.
        decay = min(self.recipe.training.ema, (1 + step) / (10 + step))
        with torch.no_grad():
            for mean, value in zip(self.average.parameters(), self.network.parameters(), strict=True):
                mean.lerp_(value, 1 - decay)
            for mean, value in zip(self.average.buffers(), self.network.buffers(), strict=True):
                mean.copy_(value)

    def _resume_point(self) -> RunState | None:
        state = read_state(self.folder)
        if state is not None and not _same_recipe(state.recipe, self.recipe):
            raise TrainingError(
                f"The checkpoint in {self.folder} was made by another recipe.",
                "Start without resuming or use another folder.",
            )
        return state

    def _checkpoint(self, index: int, done: int, optimizer: torch.optim.Optimizer) -> None:
        if self.log is None:
            return
        state = RunState(index, done, to_toml(self.recipe), self.least_psnr)
        save_checkpoint(self.folder, state, self.network, self.average, optimizer, self.kept)
        self._event("checkpoint", **self._where(done))

    def _where(self, done: int) -> dict[str, int]:
        return {"step": self.steps_before + done, "total": self.recipe.total_steps}

    def _global_step(self, stage: int, step: int) -> int:
        return sum(stage.steps for stage in self.recipe.stages[:stage]) + step

    def _seed(self, stage: int) -> int:
        return self.recipe.seed * 1_000 + stage

    def _step_seed(self, stage: int, step: int) -> int:
        state = np.random.SeedSequence((self.recipe.seed, stage, step, self.world.rank)).generate_state(1, np.uint64)
        return int(state[0] >> 1)

    def _event(self, event: str, **fields: object) -> None:
        if self.log is not None:
            self.log.write(event, **fields)


def _copy_of(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def _same_recipe(text: str, recipe: Recipe) -> bool:
    """Whether TOML text says the same as a recipe; keys that are newer than the text have their defaults."""
    try:
        return parse_recipe(text) == recipe
    except RecipeError:
        return False


def _build(recipe: Recipe) -> Network:
    network_class = family_class(recipe.family)
    try:
        return network_class(network_class.Config.model_validate(recipe.config))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        known = ", ".join(network_class.Config.model_fields)
        raise RecipeError(f"Recipe {recipe.name}: config.{key}: {first['msg']}.", f"Known keys: {known}.") from error


def _copy_fitting_weights(source: Network, target: Network, without: tuple[str, ...]) -> None:
    """Copy every tensor whose name and shape fit, but for names that begin with one of `without`; at least one must."""
    own = target.state_dict()
    fitting = {
        name: value
        for name, value in source.state_dict().items()
        if name in own and own[name].shape == value.shape and not name.startswith(without)
    }
    if not fitting:
        raise TrainingError("No tensor of the model to start from fits this network.", "Remove or change start_from.")
    target.load_state_dict(fitting, strict=False)


def _choose_parameters(network: Network, stage: Stage) -> None:
    """Let only the stage's parameters learn."""
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(not stage.parameters or name.startswith(stage.parameters))
    if not _learning(network):
        raise RecipeError(
            f"Stage {stage.name!r}: no parameter starts with {stage.parameters}.", "Correct the prefixes."
        )


def _learning(network: Network) -> list[nn.Parameter]:
    return [parameter for parameter in network.parameters() if parameter.requires_grad]


def _optimizer(network: Network, recipe: Recipe, stage: Stage) -> torch.optim.Optimizer:
    """The optimiser of a stage; biases, gains and norms are not decayed."""
    kernels = [parameter for parameter in _learning(network) if parameter.ndim >= 2]
    others = [parameter for parameter in _learning(network) if parameter.ndim < 2]
    groups = [
        {"params": kernels, "weight_decay": recipe.training.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    kind = Soap if (stage.optimizer or recipe.training.optimizer) == "soap" else torch.optim.AdamW
    return kind([group for group in groups if group["params"]], lr=1e-3)


def _batches(data: DataSet, stage: Stage, seed: int, world: World, first: int) -> Generator[Batch, None, None]:
    """Augmented batches of this rank from step `first` on, one assembled ahead in a thread of its own.

    Every epoch is a fresh permutation of the pictures; rank r takes every `world.size`-th of it from r on.
    """

    def assemble(step: int) -> Batch:
        wanted = np.arange(step * stage.batch_size, (step + 1) * stage.batch_size) * world.size + world.rank
        epochs, positions = np.divmod(wanted, len(data))
        indices = np.empty_like(positions)
        for epoch in np.unique(epochs):
            order = np.random.default_rng((seed, int(epoch))).permutation(len(data))
            indices[epochs == epoch] = order[positions[epochs == epoch]]
        return data.batch(indices, np.random.default_rng((seed, step, world.rank)), augment=True)

    with ThreadPoolExecutor(1, "batches") as pool:
        upcoming = pool.submit(assemble, first)
        for step in range(first, stage.steps):
            batch = upcoming.result()
            if step + 1 < stage.steps:
                upcoming = pool.submit(assemble, step + 1)
            yield batch


def _finite(figures: dict[str, float]) -> dict[str, float]:
    """JSON has no infinity: figures that are not finite are left out of the log."""
    return {name: round(value, 6) for name, value in figures.items() if math.isfinite(value)}


def _sheet(pictures: Tensor, gap: int = 2) -> np.ndarray:
    """Pictures (N, C, H, W) in 0..1 as one RGB sheet (H', W', 3) uint8, at most eight in a row."""
    count, channels, height, width = pictures.shape
    columns = min(8, count)
    rows = math.ceil(count / columns)
    sheet = np.full((rows * (height + gap) + gap, columns * (width + gap) + gap, 3), 255, np.uint8)
    pixels = (pictures.clamp(0, 1) * 255).round().byte().expand(-1, 3 if channels == 1 else channels, -1, -1)
    for index, picture in enumerate(pixels.permute(0, 2, 3, 1).numpy()):
        top, left = gap + (index // columns) * (height + gap), gap + (index % columns) * (width + gap)
        sheet[top : top + height, left : left + width] = picture
    return sheet


@contextlib.contextmanager
def _stop_on_sigterm(cancel: CancelToken) -> Iterator[None]:
    """Turn SIGTERM and Ctrl+C into a stop with a checkpoint, where signals can be caught (the main thread)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    kinds = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(kind, lambda *_: cancel.cancel()) for kind in kinds]
    try:
        yield
    finally:
        for kind, handler in zip(kinds, before, strict=True):
            signal.signal(kind, cast("signal.Handlers", handler))
