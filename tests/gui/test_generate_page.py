"""The Generate page on real models: tiles, seeds, grid, provenance, saving, and everything that can go wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot

from engine.image import open_picture
from engine.paths import user_folder
from gui.controllers.generate_controller import MAX_COUNT, GenerateController, file_stem, unused_path
from gui.pages.generate_page import GeneratePage
from gui.services.context import Services
from gui.services.notices import Notice
from gui.widgets.tile_picker import ANY
from tests.gui.controls import nameless_controls, unreachable_controls
from tests.gui.tiny_models import DIGITS, FACES, save_tiny_models

PATIENCE = 30_000  # milliseconds; nothing is timed, a busy machine is only given room


@pytest.fixture(scope="module")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    save_tiny_models(folder)
    return folder


@pytest.fixture
def services(services: Services, tiny_models: Path, monkeypatch: pytest.MonkeyPatch) -> Services:
    shutil.copytree(tiny_models, user_folder("models"))
    monkeypatch.setattr("gui.controllers.generate_controller.PREFERRED", DIGITS)
    return services


@pytest.fixture
def notices(services: Services) -> list[Notice]:
    given: list[Notice] = []
    services.notices.posted.connect(given.append)
    return given


@pytest.fixture
def page(qtbot: QtBot, services: Services) -> GeneratePage:
    controller = GenerateController(services)
    page = GeneratePage(controller, services)
    controller.setParent(page)
    qtbot.addWidget(page)
    qtbot.addWidget(page.inspector())
    page.resize(640, 560)
    page.show()
    page.inspector().show()
    return page


@pytest.fixture
def ready(qtbot: QtBot, page: GeneratePage, services: Services) -> GeneratePage:
    """The page with its first grid and its tiles."""
    services.host.start()
    qtbot.waitUntil(lambda: bool(page.controller.state.tiles) and not page.controller.busy, timeout=PATIENCE)
    return page


def wait_grid(qtbot: QtBot, page: GeneratePage) -> None:
    qtbot.waitUntil(lambda: not page.controller.busy and not page.controller.state.loading, timeout=PATIENCE)


def pixels(page: GeneratePage) -> np.ndarray:
    return np.stack([sample.pixels for sample in page.controller.state.samples])


def test_the_page_says_that_the_engine_loads_and_then_shows_a_first_grid(
    qtbot: QtBot, page: GeneratePage, services: Services
) -> None:
    assert page._stack.currentWidget() is page._empty
    assert "loading" in page._empty._title.text()
    assert not page._generate.isEnabled()
    services.host.start()
    qtbot.waitUntil(lambda: len(page._grid.items) == 16, timeout=PATIENCE)
    assert page._stack.currentWidget() is not page._empty
    assert page._grid.selected_rows() == [0]
    assert page._large.image is not None
    assert page.controller.state.model == DIGITS
    qtbot.waitUntil(lambda: bool(page.controller.state.tiles), timeout=PATIENCE)
    assert page._tiles is not None
    assert not page._tiles.button("7").icon().isNull()


def test_a_tile_chooses_the_class_and_the_grid_follows_with_the_same_seed(qtbot: QtBot, ready: GeneratePage) -> None:
    tiles, state = ready._tiles, ready.controller.state
    assert tiles is not None
    seed = state.seed
    qtbot.mouseClick(tiles.button("7"), Qt.MouseButton.LeftButton)
    wait_grid(qtbot, ready)
    assert state.choice == {"digit": "7"}
    assert state.seed == seed
    assert all(sample.latent.attributes == {"digit": "7"} for sample in state.samples)
    qtbot.keyClick(tiles.button("7"), Qt.Key.Key_Right)
    assert (tiles.value, state.choice) == ("8", {"digit": "8"})
    wait_grid(qtbot, ready)
    tiles.button(ANY).click()
    assert state.choice == {}
    wait_grid(qtbot, ready)


def test_the_same_seed_makes_the_same_pictures(qtbot: QtBot, ready: GeneratePage) -> None:
    ready._seed.spin.setValue(1234)
    assert ready.controller.state.seed_locked
    ready._generate.click()
    wait_grid(qtbot, ready)
    first = pixels(ready)
    ready._count.setValue(4)
    ready._generate.click()
    wait_grid(qtbot, ready)
    assert len(first) == 16
    np.testing.assert_array_equal(pixels(ready), first[:4])
    ready._seed.lock.click()
    ready._generate.click()
    wait_grid(qtbot, ready)
    assert ready.controller.state.seed != 1234
    assert (pixels(ready) != first[:4]).any()


def test_the_dice_rolls_a_seed_that_the_next_grid_uses(qtbot: QtBot, ready: GeneratePage) -> None:
    ready._seed.dice.click()
    rolled = ready._seed.spin.value()
    assert rolled == ready.controller.state.seed
    ready._generate_action.trigger()
    wait_grid(qtbot, ready)
    assert ready.controller.state.samples[0].latent.seed == rolled


def test_settings_are_held_within_their_ranges(ready: GeneratePage) -> None:
    ready.controller.set_count(10**6)
    ready.controller.set_temperature(99.0)
    ready.controller.set_seed(-5)
    state = ready.controller.state
    assert (state.count, state.temperature, state.seed) == (MAX_COUNT, 1.5, 0)
    assert ready._count.value() == MAX_COUNT


def test_a_grid_can_be_cancelled_and_keeps_what_is_done(qtbot: QtBot, ready: GeneratePage) -> None:
    ready.controller.set_count(MAX_COUNT)
    with qtbot.waitSignal(ready.controller.sample_added, timeout=PATIENCE):
        ready._generate.click()
    assert ready._cancel.isEnabled()
    ready._cancel.click()
    wait_grid(qtbot, ready)
    assert 1 <= len(ready.controller.state.samples) <= MAX_COUNT
    assert not ready._cancel.isEnabled()


def test_several_attributes_are_chosen_in_lists(qtbot: QtBot, ready: GeneratePage) -> None:
    ready.controller.choose_model(FACES)
    qtbot.waitUntil(lambda: ready.controller.state.model == FACES, timeout=PATIENCE)
    assert list(ready._combos) == ["hair", "glasses"]
    combo = ready._combos["hair"]
    combo.setCurrentIndex(combo.findData("bun"))
    combo.activated.emit(combo.currentIndex())
    wait_grid(qtbot, ready)
    assert {sample.latent.attributes["hair"] for sample in ready.controller.state.samples} == {"bun"}
    qtbot.waitUntil(lambda: bool(ready.controller.state.tiles), timeout=PATIENCE)
    assert not combo.itemIcon(1).isNull()


def test_a_saved_sample_dropped_back_restores_its_settings(
    qtbot: QtBot, ready: GeneratePage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, notices: list[Notice]
) -> None:
    controller, path = ready.controller, tmp_path / "sample.png"
    controller.choose("digit", "3")
    controller.set_temperature(0.8)
    controller.set_seed(77)
    controller.generate()
    wait_grid(qtbot, ready)
    controller.select(5)
    kept = controller.selected_sample
    assert kept is not None
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    ready._save_action.trigger()
    qtbot.waitUntil(path.is_file, timeout=PATIENCE)
    np.testing.assert_array_equal(open_picture(path).pixels, kept.pixels)

    controller.choose_model(FACES)
    qtbot.waitUntil(lambda: controller.state.model == FACES, timeout=PATIENCE)
    wait_grid(qtbot, ready)
    ready.open_paths([path])
    qtbot.waitUntil(lambda: controller.state.model == DIGITS, timeout=PATIENCE)
    wait_grid(qtbot, ready)
    state = controller.state
    assert (state.choice, state.seed, state.seed_locked) == ({"digit": "3"}, kept.latent.seed, True)
    assert state.temperature == pytest.approx(0.8)
    np.testing.assert_array_equal(state.samples[0].pixels, kept.pixels)
    assert not [notice for notice in notices if notice.kind == "error"]


def test_use_all_settings_and_copy_seed(qtbot: QtBot, ready: GeneratePage) -> None:
    controller = ready.controller
    controller.select(3)
    sample = controller.selected_sample
    assert sample is not None
    ready._copy_seed_action.trigger()
    assert QGuiApplication.clipboard().text() == str(sample.latent.seed)
    ready._use_action.trigger()
    assert (controller.state.seed, controller.state.seed_locked) == (sample.latent.seed, True)
    controller.generate()
    wait_grid(qtbot, ready)
    np.testing.assert_array_equal(controller.state.samples[0].pixels, sample.pixels)


def test_open_in_latents_hands_over_the_latent(qtbot: QtBot, ready: GeneratePage) -> None:
    ready.controller.select(2)
    with qtbot.waitSignal(ready.controller.latent_wanted) as wanted:
        ready._latents_action.trigger()
    assert wanted.args[0] == ready.controller.state.samples[2].latent


def test_all_samples_and_the_grid_are_saved(
    qtbot: QtBot, ready: GeneratePage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, grid = tmp_path / "all", tmp_path / "grid"
    folder.mkdir()
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(folder))
    ready._save_all_action.trigger()
    qtbot.waitUntil(lambda: len(list(folder.glob("*.png"))) == 16, timeout=PATIENCE)
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(grid), ""))
    ready._save_grid_action.trigger()
    qtbot.waitUntil(grid.with_suffix(".png").is_file, timeout=PATIENCE)
    height, width, _ = open_picture(grid.with_suffix(".png")).pixels.shape
    assert width == height
    assert width > 4 * 32


@pytest.mark.parametrize("fault", ["missing", "not a picture", "another picture", "forged"])
def test_a_wrong_picture_is_refused_and_the_grid_stays(
    qtbot: QtBot, ready: GeneratePage, tmp_path: Path, notices: list[Notice], fault: str
) -> None:
    from PIL.PngImagePlugin import PngInfo

    path, before = tmp_path / "picture.png", pixels(ready)
    if fault == "not a picture":
        path.write_bytes(b"nothing of the kind")
    elif fault == "another picture":
        Image.new("RGB", (8, 8)).save(path)
    elif fault == "forged":
        info = PngInfo()
        info.add_text("latent-studio", json.dumps({"model": "x", "values": "none"}))
        Image.new("RGB", (8, 8)).save(path, pnginfo=info)
    ready.open_paths([path])
    qtbot.waitUntil(lambda: bool(notices), timeout=PATIENCE)
    assert notices[0].kind == "error"
    assert "Traceback" not in notices[0].text
    assert "unexpected" not in notices[0].text
    np.testing.assert_array_equal(pixels(ready), before)


def test_a_picture_of_an_unknown_model_names_it(
    qtbot: QtBot, ready: GeneratePage, tmp_path: Path, notices: list[Notice]
) -> None:
    from dataclasses import replace

    from engine.generation import Sample, save_sample

    sample = ready.controller.state.samples[0]
    save_sample(Sample(sample.pixels, replace(sample.latent, model="elsewhere")), tmp_path / "foreign.png")
    ready.open_paths([tmp_path / "foreign.png"])
    qtbot.waitUntil(lambda: bool(notices), timeout=PATIENCE)
    assert "elsewhere" in notices[0].text


def test_a_broken_model_file_leaves_the_page_as_it_was(
    qtbot: QtBot, ready: GeneratePage, notices: list[Notice]
) -> None:
    path = user_folder("models") / f"{FACES}.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    ready.controller.choose_model(FACES)
    qtbot.waitUntil(lambda: bool(notices), timeout=PATIENCE)
    assert notices[0].kind == "error"
    assert ready.controller.state.model == DIGITS
    assert ready._model.currentData() == DIGITS
    ready._generate.click()
    wait_grid(qtbot, ready)
    assert len(ready.controller.state.samples) == 16


def test_without_a_model_the_page_says_what_to_do(
    qtbot: QtBot, services: Services, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("engine.models.registry.model_folders", lambda: [tmp_path])
    page = GeneratePage(GenerateController(services), services)
    page.controller.setParent(page)
    qtbot.addWidget(page)
    qtbot.addWidget(page.inspector())
    services.host.start()
    page.show()
    qtbot.waitUntil(lambda: "no model" in page._empty._title.text(), timeout=PATIENCE)
    assert not page._generate.isEnabled()


def test_everything_can_be_reached_and_has_a_name(qtbot: QtBot, ready: GeneratePage) -> None:
    assert nameless_controls(ready, ready.inspector()) == []
    assert unreachable_controls(ready, ready.inspector()) == []
    ready.controller.choose_model(FACES)
    qtbot.waitUntil(lambda: ready.controller.state.model == FACES, timeout=PATIENCE)
    assert nameless_controls(ready) == []
    wait_grid(qtbot, ready)


def test_files_get_names_of_their_own(ready: GeneratePage, tmp_path: Path) -> None:
    latent = ready.controller.state.samples[0].latent
    assert file_stem(latent).startswith(DIGITS)
    assert file_stem(latent).endswith(f"seed{latent.seed}")
    (tmp_path / "a.png").touch()
    (tmp_path / "a-2.png").touch()
    assert unused_path(tmp_path / "a.png") == tmp_path / "a-3.png"
