"""The Train page: a real training process is started, watched, stopped, resumed and used."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from engine.models.registry import list_models
from engine.paths import user_folder
from engine.training import load_recipe
from gui.controllers.run_record import RunRecord, list_runs, read_run, smooth
from gui.controllers.train_controller import Plan, TrainController, apply_plan, unused_name
from gui.pages.train_page import TrainPage
from gui.services.context import Services
from gui.services.training_process import TrainingProcess, training_command
from gui.widgets.loss_plot import LossPlot
from tests.gui.controls import nameless_controls, unreachable_controls

RECIPE = """
name = "tiny"
family = "autoencoder"
summary = "A tiny network that learns in a moment"

[config]
image_size = 32
latent_size = 4
widths = [8, 8]
features = 8

[data]
set = "folder"
path = "{folder}"
kind = "photos"
size = 32

[[stages]]
steps = {steps}
batch_size = 2
learning_rate = 0.001
schedule = "constant"

[training]
validate_every = 20
checkpoint_every = 20
preview_every = 20
"""
PROCESS = 120_000  # milliseconds that a training process may need to import torch on a busy machine


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Forty small pictures: enough for a validation part."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(40):
        pixels = np.full((64, 64, 3), random.integers(0, 256, 3), np.uint8)
        pixels[16:48, 16:48] = random.integers(0, 256, 3)
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
    return folder


@pytest.fixture
def recipes(pictures: Path) -> Path:
    """The user's recipes: one that ends soon, one that never does, one without pictures."""
    folder = user_folder("settings") / "recipes"
    folder.mkdir(parents=True)
    for name, steps in (("tiny", 40), ("endless", 1_000_000)):
        text = RECIPE.format(folder=pictures.as_posix(), steps=steps).replace('"tiny"', f'"{name}"')
        (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    lost = RECIPE.format(folder=(pictures / "nowhere").as_posix(), steps=10).replace('"tiny"', '"lost"')
    (folder / "lost.toml").write_text(lost, encoding="utf-8")
    return folder


@pytest.fixture
def page(qtbot: QtBot, services: Services, recipes: Path) -> Iterator[TrainPage]:
    services.host.start()
    controller = TrainController(services)
    page = TrainPage(controller, services)
    controller.setParent(page)
    qtbot.addWidget(page)
    qtbot.addWidget(page.inspector())
    page.resize(1024, 680)
    with qtbot.waitSignal(controller.recipes_changed, timeout=PROCESS):
        page.show()
    yield page
    controller.shut_down()


def choose(qtbot: QtBot, page: TrainPage, name: str) -> None:
    page.controller.choose_recipe(name)
    qtbot.waitUntil(lambda: page.controller.state.data.state != "checking", timeout=PROCESS)


def test_a_run_is_watched_to_its_end_and_its_model_is_used(qtbot: QtBot, page: TrainPage, services: Services) -> None:
    controller = page.controller
    choose(qtbot, page, "tiny")
    assert "40 pictures" in page._data_text.text()
    assert page._start.isEnabled()
    page._batch.setValue(4)
    page._rate.setValue(0.01)
    page._name.setText("mine")
    page._name.editingFinished.emit()
    assert page._settings._reset.isEnabled()
    with qtbot.waitSignal(controller.model_installed, timeout=PROCESS) as installed:
        with qtbot.waitSignal(controller._process.ended, timeout=PROCESS) as ended:
            qtbot.mouseClick(page._start, Qt.MouseButton.LeftButton)
            assert not page._start.isEnabled()
        assert ended.args == ["finished", ""]
        shown = controller.state.shown
        assert shown is not None
        assert (shown.outcome, shown.step, shown.total) == ("finished", 40, 40)
        assert [step for step, _ in shown.train] == [10, 20, 30, 40]
        assert [step for step, _ in shown.validation] == [20, 40]
        recipe = load_recipe(shown.folder / "recipe.toml")
        stage = recipe.stages[0]
        assert (recipe.name, stage.steps, stage.batch_size, stage.learning_rate) == ("mine", 40, 4, 0.01)
        assert page._use_action.isEnabled()
        page._use_action.trigger()
    assert installed.args == ["mine"]
    assert "mine" in [card.name for card in list_models()]
    qtbot.waitUntil(lambda: page._plot is not None, timeout=PROCESS)
    assert page._plot is not None
    assert page._plot.shown()[1] == [loss for _, loss in shown.validation]
    assert "finished" in page._status.text()
    assert unused_name("mine") == "mine-2"
    assert page._name.text() == "mine-2"


def test_a_cancelled_run_keeps_its_checkpoint_and_goes_on_from_it(qtbot: QtBot, page: TrainPage) -> None:
    controller = page.controller
    choose(qtbot, page, "endless")
    controller.start()
    qtbot.waitUntil(lambda: controller.state.live is not None and controller.state.live.step >= 20, timeout=PROCESS)
    assert controller.state.live is not None
    with qtbot.waitSignal(controller._process.ended, timeout=PROCESS) as ended:
        page._stop_action.trigger()
        assert controller.stopping
        assert not page._stop_action.isEnabled()
    assert ended.args == ["stopped", ""]
    shown = controller.state.shown
    assert shown is not None
    stopped_at = shown.step
    assert shown.can_resume
    assert page._resume_action.isEnabled()
    (shown.folder / "recipe.toml").unlink()  # as in a run that was started from a terminal
    page._resume_action.trigger()
    qtbot.waitUntil(lambda: shown.step > stopped_at, timeout=PROCESS)
    page.shutdown()  # as the window does when it is closed
    assert not controller.running
    steps = [step for step, _ in shown.train]
    assert steps == sorted(set(steps))
    again = read_run(shown.folder)
    assert again is not None
    assert (again.outcome, again.train) == ("stopped", shown.train)


def test_a_run_is_one_of_the_jobs_and_is_stopped_from_there(qtbot: QtBot, page: TrainPage, services: Services) -> None:
    choose(qtbot, page, "endless")
    page.controller.start()
    qtbot.waitUntil(lambda: any(job.fraction > 0 for job in services.jobs.active), timeout=PROCESS)
    job = services.jobs.running
    assert job is not None
    assert job.title == "Training endless"
    assert "of 1000000" in job.message
    with qtbot.waitSignal(job.cancelled, timeout=PROCESS):
        job.cancel()
        assert page.controller.stopping
    shown = page.controller.state.shown
    assert shown is not None
    assert (shown.outcome, shown.can_resume) == ("stopped", True)
    assert not services.jobs.active


def test_missing_pictures_are_said_and_own_ones_offered(qtbot: QtBot, page: TrainPage, pictures: Path) -> None:
    choose(qtbot, page, "lost")
    assert page.controller.state.data.state == "missing"
    assert "nowhere" in page._data_text.text()
    assert not page._start.isEnabled()
    page.open_paths([pictures])
    qtbot.waitUntil(lambda: page.controller.state.data.state == "found", timeout=PROCESS)
    assert page._start.isEnabled()
    page._recipe_data.click()
    qtbot.waitUntil(lambda: page.controller.state.data.state == "missing", timeout=PROCESS)


def test_a_failing_run_says_why_in_one_sentence(
    qtbot: QtBot, page: TrainPage, pictures: Path, services: Services
) -> None:
    (pictures / "07.png").write_bytes(b"no picture")
    choose(qtbot, page, "tiny")
    with (
        qtbot.waitSignal(services.notices.posted, timeout=PROCESS) as posted,
        qtbot.waitSignal(page.controller._process.ended, timeout=PROCESS) as ended,
    ):
        page.controller.start()
    outcome, problem = ended.args
    assert outcome == "failed"
    assert "07.png" in problem
    assert "Traceback" not in problem
    assert posted.args[0].kind == "error"
    assert "07.png" in page._problem.text()
    assert not page._problem.isHidden()
    assert page._start.isEnabled()


def test_everything_can_be_reached_and_has_a_name(page: TrainPage) -> None:
    page.inspector().show()
    assert nameless_controls(page, page.inspector()) == []
    assert unreachable_controls(page, page.inspector()) == []


def test_an_earlier_run_is_listed_and_shown(qtbot: QtBot, page: TrainPage) -> None:
    write_log(user_folder("runs") / "old-20260101-000000")
    page.controller.activate()
    qtbot.waitUntil(lambda: page._runs.topLevelItemCount() == 1, timeout=PROCESS)
    qtbot.waitUntil(lambda: page.controller.state.shown is not None, timeout=PROCESS)
    assert page._title.text() == "old"
    assert "stopped" in page._status.text()
    assert page._runs.topLevelItem(0).text(3) == "20 / 100"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_plot_has_the_colours_of_the_theme(qtbot: QtBot, services: Services, theme: str) -> None:
    plot = LossPlot("Loss")
    qtbot.addWidget(plot)
    services.theme.set_mode(theme)
    plot.show_curves([(10, 1.0), (20, 0.5)], [(20, 0.25)])
    plot.set_smoothing(0.0)
    assert plot.shown() == ([1.0, 0.5], [0.25])
    plot.set_log_scale(True)
    plot.show_curves([(10, 1.0), (20, -0.5)], [])
    assert plot._widget.backgroundBrush().color() == services.theme.color("panel")


# The log of a run


def write_log(folder: Path, tail: str = "") -> None:
    folder.mkdir(parents=True)
    events = [
        {"event": "start", "recipe": "old", "total": 100, "resumed_at": 0, "seconds": 0.0},
        {"event": "step", "step": 10, "total": 100, "loss": 0.5, "seconds": 1.0},
        {"event": "validation", "step": 10, "total": 100, "loss": 0.6, "seconds": 1.1},
        {"event": "step", "step": 20, "total": 100, "loss": 0.4, "seconds": 2.0},
    ]
    lines = [json.dumps(event) for event in events]
    (folder / "log.jsonl").write_text("\n".join(lines) + "\n" + tail, encoding="utf-8")


def test_a_log_cut_short_reads_as_a_stopped_run(tmp_path: Path) -> None:
    write_log(tmp_path / "run", '{"event": "step", "st')
    record = read_run(tmp_path / "run")
    assert record is not None
    assert (record.outcome, record.step, record.train[-1]) == ("stopped", 20, (20, 0.4))
    assert not record.can_resume
    (tmp_path / "empty").mkdir()
    assert read_run(tmp_path / "empty") is None
    assert [run.folder.name for run in list_runs(tmp_path)] == ["run"]


def test_a_resumed_run_has_every_step_once(tmp_path: Path) -> None:
    record = RunRecord(tmp_path)
    for step in (10, 20, 30):
        record.add({"event": "step", "step": step, "total": 100, "loss": 1.0 / step, "seconds": step / 10})
    assert record.seconds_left == pytest.approx(7.0)
    record.add({"event": "start", "recipe": "r", "total": 100, "resumed_at": 20, "seconds": 0.0})
    assert record.seconds_left is None
    record.add({"event": "step", "step": 30, "total": 100, "loss": 0.5, "seconds": 1.0})
    assert [step for step, _ in record.train] == [10, 20, 30]
    assert record.train[-1] == (30, 0.5)
    record.add({"event": "step", "step": "x", "loss": None})
    assert record.step == 30


def test_losses_of_two_stages_are_two_lines(qtbot: QtBot, services: Services, tmp_path: Path) -> None:
    record = RunRecord(tmp_path)
    record.add({"event": "start", "recipe": "two", "resumed_at": 0})
    for step, stage, loss in ((10, "vae", -2.0), (20, "vae", -4.0), (30, "flow", 0.5), (40, "flow", 0.4)):
        record.add({"event": "step", "step": step, "total": 40, "stage": stage, "loss": loss})
        record.add(
            {"event": "validation", "step": step, "total": 40, "stage": stage, "loss": -3.0, "flow_loss": loss + 1}
        )
    assert record.stages == [(0, "vae"), (20, "flow")]
    assert record.validation == [(10, -3.0), (20, -3.0), (30, 1.5), (40, 1.4)]
    plot = LossPlot("Loss over steps")
    qtbot.addWidget(plot)
    plot.set_smoothing(0.9)
    plot.show_curves(record.train, record.validation, record.stages)
    training, held_out = plot.shown()
    assert training[0] == -2.0 and training[2] == 0.5, "smoothing begins anew with the stage"
    assert held_out == [-3.0, -3.0, 1.5, 1.4]
    assert [line.label.format for line in plot._borders] == ["flow"]


def test_smoothing_has_no_bias_at_its_start() -> None:
    assert smooth([3.0] * 5, 0.9) == pytest.approx([3.0] * 5)
    assert smooth([1.0, 2.0], 0.0) == [1.0, 2.0]


def test_a_plan_scales_all_stages_alike(recipes: Path) -> None:
    recipe = load_recipe("tiny")
    stages = (recipe.stages[0], recipe.stages[0].model_copy(update={"steps": 10, "batch_size": 8, "warmup_steps": 5}))
    recipe = recipe.model_copy(update={"stages": stages})
    changed = apply_plan(recipe, Plan("mine", 100, 4, 0.0005))
    assert [stage.steps for stage in changed.stages] == [80, 20]
    assert [stage.batch_size for stage in changed.stages] == [4, 16]
    assert changed.stages[1].warmup_steps == 5
    assert changed.training.validate_every == 20
    assert apply_plan(recipe, Plan("mine", 5, 4, 0.001)).training.validate_every == 2


def test_the_command_is_the_one_of_a_terminal(tmp_path: Path) -> None:
    command = training_command("digits-cvae", tmp_path / "run", [tmp_path])
    assert Path(command[1]).name == "main.py"
    assert command[2:4] == ["train", "digits-cvae"]
    assert command[4:] == ["--run-dir", str(tmp_path / "run"), "--events", "--data-root", str(tmp_path)]


def test_a_process_that_cannot_start_is_an_error(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "no-python"))
    process = TrainingProcess()
    with qtbot.waitSignal(process.ended, timeout=PROCESS) as ended:
        process.start("tiny", tmp_path)
    assert ended.args[0] == "failed"
    assert not process.running
