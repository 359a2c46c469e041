"""A recipe becomes a model: stopping and resuming to the same curve, many processes, recipes with faults."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file

from engine.errors import DataError, RecipeError, TrainingError, UsageError
from engine.models.registry import load_model
from engine.models.store import read_card
from engine.progress import CancelToken
from engine.training import Recipe, list_recipes, load_recipe, read_log, train
from engine.training.checkpoint import CHECKPOINT_NAME
from engine.training.recipe import Stage, parse_recipe, to_toml
from engine.training.schedules import learning_rate

ROOT = Path(__file__).resolve().parents[2]

RECIPE = """
name = "discs"
family = "dilated-segmenter"
summary = "Bright discs on dark ground"
seed = 3
[config]
class_count = 2
widths = [4, 4, 8, 8]
depths = [0, 0]
rates = [[1, 2]]
decoder_width = 8
decoder_stride = 4
[data]
set = "folder"
path = {path}
kind = "pairs"
crop = 32
flip = true
[[stages]]
name = "fit"
steps = 12
batch_size = 4
learning_rate = 0.01
warmup_steps = 2
[training]
validate_every = 6
checkpoint_every = 4
preview_every = 12
ema = 0.9
"""


@pytest.fixture(scope="session")
def discs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pictures with masks: one disc each."""
    folder = tmp_path_factory.mktemp("discs")
    (folder / "images").mkdir()
    (folder / "masks").mkdir()
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:48, :48]
    for index in range(24):
        y, x, radius = (*rng.integers(12, 36, 2).tolist(), int(rng.integers(5, 12)))
        disc = (rows - y) ** 2 + (columns - x) ** 2 < radius**2
        picture = np.where(disc[..., None], 200, 40) + rng.integers(-20, 20, (48, 48, 3))
        Image.fromarray(picture.astype(np.uint8)).save(folder / "images" / f"{index:02d}.png")
        Image.fromarray(disc.astype(np.uint8)).save(folder / "masks" / f"{index:02d}.png")
    return folder


@pytest.fixture
def recipe(discs: Path) -> Recipe:
    return parse_recipe(RECIPE.format(path=json.dumps(str(discs))))


def losses(folder: Path) -> dict[int, float]:
    return {event["step"]: event["loss"] for event in read_log(folder) if event["event"] == "validation"}


def test_a_run_leaves_a_model_that_loads_a_log_and_samples(recipe: Recipe, tmp_path: Path) -> None:
    path = train(recipe, tmp_path / "run", device="cpu")
    assert path is not None
    card = read_card(path)
    assert (card.name, card.recipe, card.training_steps) == ("discs", "discs", 12)
    assert card.figures
    assert all("validation" in figure.data for figure in card.figures)
    assert load_model(path).network.config.widths == (4, 4, 8, 8)
    events = [event["event"] for event in read_log(tmp_path / "run")]
    assert events[0] == "start"
    assert events[-1] == "finished"
    with Image.open(tmp_path / "run" / "samples" / "step-000012.png") as sheet:
        assert sheet.size[0] > 32


def test_a_run_starts_from_another_model_but_for_what_it_learns_anew(recipe: Recipe, tmp_path: Path) -> None:
    first = train(recipe, tmp_path / "first", device="cpu")
    assert first is not None
    still = recipe.stages[0].model_copy(update={"steps": 1, "learning_rate": 1e-12, "warmup_steps": 0})
    settings = recipe.training.model_copy(update={"start_from": str(first), "start_without": ("classifier",)})
    second = train(
        recipe.model_copy(update={"seed": 4, "stages": (still,), "training": settings}),
        tmp_path / "second",
        device="cpu",
    )
    assert second is not None
    before, after = (dict(load_model(path).network.named_parameters()) for path in (first, second))
    for name, value in after.items():
        assert torch.equal(value, before[name]) is not name.startswith("classifier"), name


def test_a_stage_may_have_an_optimizer_of_its_own(recipe: Recipe, tmp_path: Path) -> None:
    settings = recipe.training.model_copy(update={"optimizer": "soap"})
    stages = tuple(stage.model_copy(update={"optimizer": "soap"}) for stage in recipe.stages)
    train(recipe, tmp_path / "plain", device="cpu")
    train(recipe.model_copy(update={"training": settings}), tmp_path / "training", device="cpu")
    train(recipe.model_copy(update={"stages": stages}), tmp_path / "stage", device="cpu")
    assert losses(tmp_path / "stage") == losses(tmp_path / "training") != losses(tmp_path / "plain")


@pytest.mark.parametrize("optimizer", ["adamw", "soap"])
def test_a_stopped_run_resumes_to_the_same_curve(recipe: Recipe, tmp_path: Path, optimizer: str) -> None:
    settings = recipe.training.model_copy(update={"optimizer": optimizer})
    recipe = recipe.model_copy(update={"training": settings})
    whole = train(recipe, tmp_path / "whole", device="cpu")
    cancel = CancelToken()

    def stop_at_seven(event: dict) -> None:
        if event["event"] == "validation" and event["step"] == 6:
            cancel.cancel()

    assert train(recipe, tmp_path / "parts", device="cpu", on_event=stop_at_seven, cancel=cancel) is None
    parts = train(recipe, tmp_path / "parts", device="cpu")
    assert whole is not None
    assert parts is not None
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    assert read_card(parts).weights_sha256 == read_card(whole).weights_sha256


def test_a_stop_file_ends_a_run_with_a_checkpoint(recipe: Recipe, tmp_path: Path) -> None:
    folder = tmp_path / "run"

    def ask(event: dict) -> None:
        if event["event"] == "start":
            (folder / "stop").touch()

    assert train(recipe, folder, device="cpu", on_event=ask) is None
    assert [event["event"] for event in read_log(folder)] == ["start", "checkpoint", "stopped"]


def test_a_checkpoint_of_another_recipe_is_refused(recipe: Recipe, tmp_path: Path) -> None:
    cancel = CancelToken()
    cancel.cancel()
    train(recipe, tmp_path / "run", device="cpu", cancel=cancel)
    other = recipe.model_copy(update={"seed": 4})
    with pytest.raises(TrainingError, match="another recipe"):
        train(other, tmp_path / "run", device="cpu")
    assert train(other, tmp_path / "run", device="cpu", resume=False) is not None


def test_a_checkpoint_from_before_a_key_of_recipes_was_known_is_resumed(recipe: Recipe, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    cancel = CancelToken()
    cancel.cancel()
    assert train(recipe, folder, device="cpu", cancel=cancel) is None
    path = folder / CHECKPOINT_NAME
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        (key, state) = next(iter(file.metadata().items()))
    older = json.loads(state)
    older["recipe"] = older["recipe"].replace('optimizer = "adamw"\n', "")
    assert older != json.loads(state)
    save_file(tensors, path, metadata={key: json.dumps(older)})
    assert train(recipe, folder, device="cpu") is not None


def test_a_later_stage_trains_only_its_parameters(recipe: Recipe, tmp_path: Path) -> None:
    first = recipe.stages[0]
    second = first.model_copy(update={"name": "head", "steps": 4, "parameters": ("encoder.",)})
    two = recipe.model_copy(update={"stages": (first, second)})
    one_path = train(recipe, tmp_path / "one", device="cpu")
    two_path = train(two, tmp_path / "two", device="cpu")
    assert one_path is not None
    assert two_path is not None
    before, after = (load_model(path).network.state_dict() for path in (one_path, two_path))
    learned = [name for name in before if name.endswith(("weight", "bias"))]
    changed = {name.split(".")[0] for name in learned if not before[name].equal(after[name])}
    assert changed == {"encoder"}


def test_a_limit_on_a_figure_that_is_not_measured_is_an_error(recipe: Recipe, tmp_path: Path) -> None:
    limited = recipe.stages[0].model_copy(update={"largest_psnr_fall": 1.0})
    with pytest.raises(TrainingError, match="limits the fall of the PSNR"):
        train(recipe.model_copy(update={"stages": (limited,)}), tmp_path / "run", device="cpu")


def test_a_missing_folder_is_named_in_error_and_log(recipe: Recipe, tmp_path: Path) -> None:
    missing = recipe.model_copy(update={"data": recipe.data.model_copy(update={"path": tmp_path / "nowhere"})})
    with pytest.raises(DataError, match="nowhere"):
        train(missing, tmp_path / "run", device="cpu")
    (event,) = read_log(tmp_path / "run")
    assert event["event"] == "failed"
    assert "nowhere" in event["problem"]


def test_an_unknown_network_key_is_a_recipe_error(recipe: Recipe, tmp_path: Path) -> None:
    wrong = recipe.model_copy(update={"config": {"width": 4}})
    with pytest.raises(RecipeError, match=r"config\.width"):
        train(wrong, tmp_path / "run", device="cpu")


def test_an_exploding_run_ends_with_a_sentence(recipe: Recipe, tmp_path: Path) -> None:
    stage = recipe.stages[0].model_copy(update={"steps": 60, "learning_rate": 1.0})
    hot = recipe.model_copy(
        update={"stages": (stage,), "training": recipe.training.model_copy(update={"gradient_clip": 1e30})}
    )
    config = {**hot.config, "class_weights": [1e3, 1e3], "lovasz": 100.0}
    hot = hot.model_copy(update={"config": config})
    try:
        train(hot, tmp_path / "run", device="cpu")
    except TrainingError as error:
        assert "learning rate" in error.remedy
        assert read_log(tmp_path / "run")[-1]["event"] == "failed"
    else:
        assert all(math.isfinite(event.get("loss", 0.0)) for event in read_log(tmp_path / "run"))


@pytest.mark.slow
def test_two_processes_train_one_model(recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "discs.toml").write_text(to_toml(recipe))
    script = tmp_path / "run.py"
    script.write_text(
        "import sys; from pathlib import Path; from engine.training import load_recipe, train\n"
        "train(load_recipe(sys.argv[1]), Path(sys.argv[2]), device='cpu')\n"
    )
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    result = subprocess.run(
        [*launch, str(script), str(tmp_path / "discs.toml"), str(tmp_path / "run")],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    events = read_log(tmp_path / "run")
    assert events[0]["processes"] == 2
    assert [event["event"] for event in events].count("finished") == 1


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="SIGTERM ends a process at once on Windows")
def test_sigterm_leaves_a_checkpoint(recipe: Recipe, tmp_path: Path) -> None:
    stage = recipe.stages[0].model_copy(update={"steps": 100_000})
    (tmp_path / "long.toml").write_text(to_toml(recipe.model_copy(update={"stages": (stage,)})))
    code = (
        "import sys; from pathlib import Path; from engine.training import load_recipe, train\n"
        "train(load_recipe(sys.argv[1]), Path(sys.argv[2]), device='cpu', on_event=lambda e: print(e, flush=True))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "long.toml"), str(tmp_path / "run")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "'step'" in line:
                process.send_signal(signal.SIGTERM)
                break
        process.stdout.read()
    assert process.returncode == 0
    assert read_log(tmp_path / "run")[-1]["event"] == "stopped"
    assert (tmp_path / "run" / "checkpoint.safetensors").is_file()


def test_a_recipe_survives_writing_and_reading(recipe: Recipe) -> None:
    assert parse_recipe(to_toml(recipe)) == recipe


def test_shipped_recipes_are_valid() -> None:
    assert {recipe.name for recipe in list_recipes()} == {
        path.stem for path in (ROOT / "resources" / "recipes").glob("*.toml")
    }


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        ("batch_sise = 4", "'batch_size'"),
        ("[traning]", "'training'"),
    ],
)
def test_an_unknown_key_names_the_nearest_known_one(change: str, hint: str) -> None:
    text = RECIPE.format(path='"x"').replace("batch_size = 4", f"batch_size = 4\n{change}" if "=" in change else "")
    if "=" not in change:
        text = text.replace("[training]", change).replace("learning_rate", "batch_size = 4\nlearning_rate")
    with pytest.raises(RecipeError, match=hint):
        parse_recipe(text)


def test_an_unknown_recipe_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="nuclei-segmenter"):
        load_recipe("nuclei-segmentr")


def test_broken_toml_is_a_recipe_error() -> None:
    with pytest.raises(RecipeError, match="not valid TOML"):
        parse_recipe("name = ")


def test_learning_rate_warms_up_and_follows_its_schedule() -> None:
    stage = Stage(steps=110, batch_size=1, learning_rate=1.0, warmup_steps=10, schedule="cosine")
    assert learning_rate(stage, 0) == pytest.approx(0.1)
    assert learning_rate(stage, 10) == pytest.approx(1.0)
    assert learning_rate(stage, 60) == pytest.approx(0.505)
    assert learning_rate(stage, 110) == pytest.approx(0.01)
    steps = stage.model_copy(update={"schedule": "step"})
    assert [round(learning_rate(steps, step), 4) for step in (20, 75, 105)] == [1.0, 0.1, 0.01]
