"""RunRecord: what is known of one training run, built from the events of its log."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gui.services.training_process import OUTPUT_LOG, failure_sentence, parse_event

LOG = "log.jsonl"
RECIPE = "recipe.toml"
CHECKPOINT = "checkpoint.safetensors"
OUTPUT_BYTES = 8000
PACE_WINDOW = 50  # newest "step" events, from which the pace and so the remaining time is taken


@dataclass
class RunRecord:
    """A run and its curves.

    Attributes:
        folder: the run folder.
        recipe: name of the recipe; empty until the log says it.
        outcome: "running", "finished", "stopped" or "failed".
        problem: one sentence where it failed.
        step, total: optimiser steps done and planned.
        train, validation: (step, loss) pairs in step order.
        stages: (step after which it begins, name) of every stage so far; losses of two stages cannot be compared.
        sheet: the newest picture of samples, or None.
        seconds: time the run has taken so far.
    """

    folder: Path
    recipe: str = ""
    outcome: str = "running"
    problem: str = ""
    step: int = 0
    total: int = 0
    train: list[tuple[int, float]] = field(default_factory=list)
    validation: list[tuple[int, float]] = field(default_factory=list)
    stages: list[tuple[int, str]] = field(default_factory=list)
    sheet: Path | None = None
    seconds: float = 0.0
    _pace: deque[tuple[int, float]] = field(default_factory=lambda: deque(maxlen=PACE_WINDOW), repr=False)

    @property
    def model_file(self) -> Path | None:
        """The finished model in the run folder, or None."""
        found = [path for path in sorted(self.folder.glob("*.safetensors")) if path.name != CHECKPOINT]
        return found[0] if found else None

    @property
    def output(self) -> str:
        """The end of what the training process printed beside its events, such as a traceback."""
        try:
            return (self.folder / OUTPUT_LOG).read_bytes()[-OUTPUT_BYTES:].decode("utf-8", "replace")
        except OSError:
            return ""

    @property
    def can_resume(self) -> bool:
        """True where the run ended early and left a checkpoint."""
        return self.outcome in ("stopped", "failed") and (self.folder / CHECKPOINT).is_file()

    @property
    def seconds_left(self) -> float | None:
        """Estimate from the pace of the last steps; None while there is none."""
        if len(self._pace) < 2 or self.outcome != "running":
            return None
        (first_step, first_time), (last_step, last_time) = self._pace[0], self._pace[-1]
        if last_step <= first_step or last_time <= first_time:
            return None
        return max(0, self.total - self.step) * (last_time - first_time) / (last_step - first_step)

    def add(self, event: dict[str, object]) -> None:
        """Take in one event; unknown kinds and values of a wrong type are passed over."""
        kind = event["event"]
        step = event.get("step")
        if isinstance(step, int):
            self.step = step
        total = event.get("total")
        if isinstance(total, int):
            self.total = total
        seconds = event.get("seconds")
        if isinstance(seconds, (int, float)):
            self.seconds = float(seconds)
        if kind == "start":
            self._on_start(event)
        elif kind == "step":
            self._add_point(self.train, event)
            self._pace.append((self.step, self.seconds))
        elif kind == "validation":
            self._add_point(self.validation, event)
        elif kind == "samples":
            self._on_samples(event)
        elif kind in ("finished", "stopped"):
            self.outcome = str(kind)
        elif kind == "failed":
            self.outcome, self.problem = "failed", failure_sentence(event)

    def _on_start(self, event: dict[str, object]) -> None:
        self.outcome, self.problem = "running", ""
        self._pace.clear()
        recipe = event.get("recipe")
        if isinstance(recipe, str):
            self.recipe = recipe
        # A resumed run repeats the steps since its checkpoint; the curve shows them once.
        resumed_at = event.get("resumed_at")
        self.step = resumed_at if isinstance(resumed_at, int) else 0
        self.train = [point for point in self.train if point[0] <= self.step]
        self.validation = [point for point in self.validation if point[0] <= self.step]
        self.stages = [stage for stage in self.stages if stage[0] < max(1, self.step)]
        self._pace.append((self.step, self.seconds))

    def _add_point(self, curve: list[tuple[int, float]], event: dict[str, object]) -> None:
        stage = str(event.get("stage", ""))
        if not self.stages or self.stages[-1][1] != stage:
            self.stages.append((curve[-1][0] if curve else 0, stage))
        # Held-out figures name the losses of later stages after them, such as flow_loss; "loss" is that of the first.
        loss = event.get(f"{stage}_loss", event.get("loss"))
        if isinstance(loss, (int, float)) and (not curve or self.step > curve[-1][0]):
            curve.append((self.step, float(loss)))

    def _on_samples(self, event: dict[str, object]) -> None:
        path = self.folder / str(event.get("file"))
        if path.is_file():
            self.sheet = path


def newest_sheet(folder: Path) -> Path | None:
    """The last sample sheet of a run; their names carry the step, so the last name is the newest."""
    return max((folder / "samples").glob("step-*.png"), default=None)


def read_run(folder: Path) -> RunRecord | None:
    """The record of an earlier run, or None where `folder` holds no readable log.

    A log that ends without "finished" or "failed" is that of a stopped run.
    """
    try:
        lines = (folder / LOG).read_bytes().split(b"\n")
    except OSError:
        return None
    record = RunRecord(folder)
    for line in lines:
        event = parse_event(line)
        if event is not None:
            record.add(event)
    if record.outcome == "running":
        record.outcome = "stopped"
    record.sheet = record.sheet or newest_sheet(folder)
    return record


def list_runs(folder: Path, limit: int = 50) -> list[RunRecord]:
    """Earlier runs in `folder`, the newest first."""
    if not folder.is_dir():
        return []
    folders = sorted((path for path in folder.iterdir() if (path / LOG).is_file()), key=_changed, reverse=True)
    return [record for path in folders[:limit] if (record := read_run(path)) is not None]


def smooth(values: Sequence[float], weight: float) -> list[float]:
    """Exponential moving average with the bias of its start taken out, as TensorBoard draws it.

    Args:
        values: the curve.
        weight: 0 leaves it as it is; towards 1 it is smoothed more.
    """
    average, correction, result = 0.0, 0.0, []
    for value in values:
        average = weight * average + (1 - weight) * value
        correction = weight * correction + (1 - weight)
        result.append(average / correction)
    return result


def columns(points: Iterable[tuple[int, float]]) -> tuple[list[int], list[float]]:
    """Steps and losses of a curve as two lists."""
    pairs = list(points)
    return [step for step, _ in pairs], [loss for _, loss in pairs]


def split_at(points: Sequence[tuple[int, float]], borders: Iterable[int]) -> list[list[tuple[int, float]]]:
    """A curve cut into pieces: a piece ends with the last point at or before a border."""
    pieces, rest = [], list(points)
    for border in sorted(borders):
        pieces.append([point for point in rest if point[0] <= border])
        rest = [point for point in rest if point[0] > border]
    return [piece for piece in (*pieces, rest) if piece]


def _changed(folder: Path) -> float:
    try:
        return (folder / LOG).stat().st_mtime
    except OSError:
        return 0.0
