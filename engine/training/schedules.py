"""Learning-rate schedules as pure functions of the step."""

from __future__ import annotations

import math

from engine.training.recipe import Stage

FLOOR = 0.01


def learning_rate(stage: Stage, step: int) -> float:
    """Learning rate of optimiser step `step` (0-based) of a stage: linear warm-up, then the stage's schedule.

    Cosine annealing without restarts follows Loshchilov & Hutter 2017 (SGDR), eq. 5, with a floor of 1 % of the peak.
    """
    if step < stage.warmup_steps:
        return stage.learning_rate * (step + 1) / stage.warmup_steps
    share = (step - stage.warmup_steps) / max(1, stage.steps - stage.warmup_steps)
    if stage.schedule == "cosine":
        return stage.learning_rate * (FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * min(1.0, share))))
    if stage.schedule == "step":
        return stage.learning_rate * (1.0 if share < 0.6 else 0.1 if share < 0.85 else 0.01)
    return stage.learning_rate
