"""The Generate page: tiles, seeds, the grid, settings with undo, saving, and everything that can go wrong."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot

from engine.image import open_picture
from engine.paths import user_folder
from gui.controllers.generate_controller import GenerateController
from gui.controllers.generate_export import file_stem, unused_path
from gui.controllers.generate_settings import FLOW, MAX_COUNT, NORMAL, remembered
from gui.pages.generate_page import GeneratePage
from gui.services.context import Services
from gui.services.notices import Notice
from gui.widgets.tile_picker import ANY, TilePicker
from tests.gui.controls import nameless_controls, unreachable_controls
from tests.gui.generate_pages import (
    PATIENCE,
    choose_model,
    make_page,
    pixels,
    start,
    use_tiny_models,
    wait_grid,
    wait_tiles,
)
from tests.gui.tiny_models import DIGITS, FACES


@pytest.fixture(scope="module")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tiny") / "models"


@pytest.fixture
def services(services: Services, tiny_models: Path, monkeypatch: pytest.MonkeyPatch) -> Services:
    use_tiny_models(tiny_models, monkeypatch)
    return services


@pytest.fixture
def notices(services: Services) -> list[Notice]:
    given: list[Notice] = []
    services.notices.posted.connect(given.append)
    return given


@pytest.fixture
def page(qtbot: QtBot, services: Services) -> GeneratePage:
    return make_page(qtbot, services)


@pytest.fixture
def ready(qtbot: QtBot, page: GeneratePage, services: Services) -> GeneratePage:
    """The page with its first grid and its tiles."""
    return start(qtbot, page, services)


def tiles_of(page: GeneratePage) -> TilePicker:
    tiles = page.samples.choice.tiles
    assert tiles is not None
    return tiles


def test_the_page_says_that_the_engine_loads_and_then_shows_a_first_grid(
    qtbot: QtBot, page: GeneratePage, services: Services
) -> None:
    assert page._stack.currentWidget() is page.empty
    assert "loading" in page.empty._title.text()
    assert not page.generate_action.isEnabled()
    services.host.start()
    qtbot.waitUntil(lambda: len(page.samples.grid.items) == 16, timeout=PATIENCE)
    assert page._stack.currentWidget() is not page.empty
    assert page.samples.grid.selected_rows() == [0]
    assert page.samples.sample.view.image is not None
    assert page.controller.state.model == DIGITS
    wait_tiles(qtbot, page)
    assert not tiles_of(page).button("7").icon().isNull()


def test_a_tile_chooses_the_class_and_the_grid_follows_with_the_same_seed(qtbot: QtBot, ready: GeneratePage) -> None:
    tiles, controller = tiles_of(ready), ready.controller
    seed = controller.state.settings.seed
    qtbot.mouseClick(tiles.button("7"), Qt.MouseButton.LeftButton)
    wait_grid(qtbot, ready)
    assert controller.state.settings.choice == {"digit": "7"}
    assert controller.state.settings.seed == seed
    assert all(sample.latent.attributes == {"digit": "7"} for sample in controller.grids.samples)
    qtbot.keyClick(tiles.button("7"), Qt.Key.Key_Right)
    assert (tiles.value, controller.state.settings.choice) == ("8", {"digit": "8"})
    wait_grid(qtbot, ready)
    qtbot.keyClick(tiles.button("8"), "3")
    assert controller.state.settings.choice == {"digit": "3"}
    wait_grid(qtbot, ready)
    tiles.button(ANY).click()
    assert controller.state.settings.choice == {}
    wait_grid(qtbot, ready)
    assert len(controller.grids.shelf.sheets) == 1, "a grid that only follows the choice opened another"


def test_the_same_seed_makes_the_same_pictures(qtbot: QtBot, ready: GeneratePage) -> None:
    panel = ready.inspector()
    panel.seed.spin.setValue(1234)
    assert ready.controller.state.settings.seed_locked
    panel.generate.click()
    wait_grid(qtbot, ready)
    first = pixels(ready)
    panel.count.setValue(4)
    panel.generate.click()
    wait_grid(qtbot, ready)
    assert len(first) == 16
    np.testing.assert_array_equal(pixels(ready), first[:4])
    panel.seed.lock.click()
    panel.generate.click()
    wait_grid(qtbot, ready)
    assert ready.controller.state.settings.seed != 1234
    assert (pixels(ready) != first[:4]).any()


def test_the_dice_rolls_a_seed_that_the_next_grid_uses_and_earlier_seeds_are_listed(
    qtbot: QtBot, ready: GeneratePage
) -> None:
    panel, before = ready.inspector(), ready.controller.state.settings.seed
    panel.seed.dice.click()
    rolled = panel.seed.spin.value()
    assert rolled == ready.controller.state.settings.seed != before
    ready.generate_action.trigger()
    wait_grid(qtbot, ready)
    assert ready.controller.grids.samples[0].latent.seed == rolled
    panel.fill_seeds()
    listed = {action.text(): action for action in panel.seed_menu.actions()}
    assert list(listed)[:2] == [str(rolled), str(before)]
    listed[str(before)].trigger()
    wait_grid(qtbot, ready)
    assert ready.controller.grids.samples[0].latent.seed == before


def test_settings_are_held_within_their_ranges(qtbot: QtBot, ready: GeneratePage) -> None:
    controller = ready.controller
    controller.set_count(10**6)
    controller.set_temperature(99.0)
    controller.set_guidance(-1.0)
    controller.set_seed(-5)
    settings = controller.state.settings
    assert (settings.count, settings.temperature, settings.guidance, settings.seed) == (MAX_COUNT, 3.0, 0.0, 0)
    assert ready.inspector().count.value() == MAX_COUNT


def test_settings_can_be_undone_and_redone_and_a_drag_is_one_step(qtbot: QtBot, ready: GeneratePage) -> None:
    controller = ready.controller
    assert not ready.undo_action.isEnabled()
    before = pixels(ready)
    controller.choose("digit", "5")
    for temperature in (0.9, 0.8, 0.7):
        controller.set_temperature(temperature)
    controller.end_gesture()
    controller.set_temperature(0.5)
    wait_grid(qtbot, ready)
    ready.undo_action.trigger()
    assert controller.state.settings.temperature == 0.7
    ready.undo_action.trigger()
    assert (controller.state.settings.temperature, controller.state.settings.choice) == (1.0, {"digit": "5"})
    ready.undo_action.trigger()
    wait_grid(qtbot, ready)
    assert not ready.undo_action.isEnabled()
    np.testing.assert_array_equal(pixels(ready), before)
    for _ in range(3):
        ready.redo_action.trigger()
    wait_grid(qtbot, ready)
    assert controller.state.settings.temperature == 0.5
    assert {sample.latent.temperature for sample in controller.grids.samples} == {0.5}


def test_undo_brings_back_the_model(qtbot: QtBot, ready: GeneratePage) -> None:
    ready.controller.choose("digit", "4")
    wait_grid(qtbot, ready)
    choose_model(qtbot, ready, FACES)
    ready.undo_action.trigger()
    qtbot.waitUntil(lambda: ready.controller.state.model == DIGITS, timeout=PATIENCE)
    wait_grid(qtbot, ready)
    assert ready.controller.state.settings.choice == {"digit": "4"}
    ready.redo_action.trigger()
    qtbot.waitUntil(lambda: ready.controller.state.model == FACES, timeout=PATIENCE)
    wait_grid(qtbot, ready)


def test_prior_strength_and_diversity_reach_the_samples(qtbot: QtBot, ready: GeneratePage) -> None:
    controller, panel = ready.controller, ready.inspector()
    learned = pixels(ready)
    panel.prior_buttons[NORMAL].click()
    wait_grid(qtbot, ready)
    assert {sample.latent.prior for sample in controller.grids.samples} == {NORMAL}
    assert not panel.guidance.isEnabled(), "without the flow there is nothing that the strength could act on"
    assert (pixels(ready) != learned).any()
    panel.prior_buttons[FLOW].click()
    panel.guidance.set_value(2.0)
    panel.diversity.set_value(1.0)
    wait_grid(qtbot, ready)
    assert {(one.latent.guidance, one.latent.diversity) for one in controller.grids.samples} == {(2.0, 1.0)}
    panel.drawing.reset_requested.emit()
    wait_grid(qtbot, ready)
    np.testing.assert_array_equal(pixels(ready), learned)


def test_two_classes_are_mixed_by_a_click_with_control_or_by_the_list(qtbot: QtBot, ready: GeneratePage) -> None:
    controller, panel, tiles = ready.controller, ready.inspector(), tiles_of(ready)
    tiles.button("7").click()
    qtbot.mouseClick(tiles.button("2"), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.ControlModifier)
    mix = controller.state.settings.mix
    assert mix is not None
    assert (mix.attribute, mix.value, mix.weight) == ("digit", "2", 0.5)
    assert (tiles.value, panel.mix_value.currentData()) == ("7", "2")
    panel.mix_weight.set_value(1.0)
    wait_grid(qtbot, ready)
    wholly = pixels(ready)
    panel.mix_value.setCurrentIndex(0)
    panel.mix_value.activated.emit(0)
    assert controller.state.settings.mix is None
    tiles.button("2").click()
    wait_grid(qtbot, ready)
    assert np.abs(pixels(ready).astype(int) - wholly).max() <= 1, "mixed wholly it is the other class"


def test_a_grid_can_be_cancelled_and_keeps_what_is_done(qtbot: QtBot, ready: GeneratePage) -> None:
    ready.controller.set_count(MAX_COUNT)
    with qtbot.waitSignal(ready.controller.grids.added, timeout=PATIENCE):
        ready.inspector().generate.click()
    assert ready.inspector().cancel.isEnabled()
    ready.inspector().cancel.click()
    wait_grid(qtbot, ready)
    assert 1 <= len(ready.controller.grids.samples) < MAX_COUNT
    assert not ready.inspector().cancel.isEnabled()


def test_grids_wait_in_a_queue_are_seen_and_can_be_taken_out(qtbot: QtBot, ready: GeneratePage) -> None:
    controller = ready.controller
    controller.set_count(MAX_COUNT)
    with qtbot.waitSignal(controller.grids.added, timeout=PATIENCE):
        controller.generate()
    controller.set_count(4)
    controller.choose("digit", "8")
    controller.generate()
    controller.choose("digit", "9")
    controller.generate()
    assert len(controller.queue.waiting) == 2
    assert ready.strip.waiting_button.accessibleName() == "2 waiting"
    assert not ready.strip.cancel_button.isHidden()
    ready.strip.fill_menu()
    ready.strip.menu.actions()[0].trigger()
    assert len(controller.queue.waiting) == 1
    ready.strip.cancel_button.click()
    wait_grid(qtbot, ready)
    assert [sample.latent.attributes["digit"] for sample in controller.grids.samples] == ["9"] * 4
    assert ready.strip.waiting_button.isHidden()


def test_several_attributes_are_chosen_by_chips_that_open_tiles(qtbot: QtBot, ready: GeneratePage) -> None:
    choose_model(qtbot, ready, FACES)
    choice = ready.samples.choice
    assert list(choice.chips) == ["hair", "glasses"]
    assert choice.tiles is None
    choice.chips["hair"].click()
    wait_tiles(qtbot, ready)
    tiles_of(ready).button("bun").click()
    wait_grid(qtbot, ready)
    assert {sample.latent.attributes["hair"] for sample in ready.controller.grids.samples} == {"bun"}
    assert choice.chips["hair"].text() == "Hair: bun"
    assert not choice.chips["hair"].icon().isNull()
    choice.chips["hair"].click()
    assert choice.tiles is None
    qtbot.keyClick(choice.chips["hair"], Qt.Key.Key_Delete)
    assert ready.controller.state.settings.choice == {}
    wait_grid(qtbot, ready)


def test_many_values_are_filtered_by_typing(qtbot: QtBot) -> None:
    values = [f"kind {number}" for number in range(24)] + ["pear", "peach"]
    picker = TilePicker("Fruit", values, "Any")
    qtbot.addWidget(picker)
    picker.resize(600, 200)
    picker.show()
    picked: list[str] = []
    picker.picked.connect(picked.append)
    picker.button(ANY).setFocus()
    qtbot.keyClick(picker.button(ANY), "p")
    field = picker._filter
    assert field is not None
    qtbot.keyClicks(field, "ea")
    assert [value for value in (ANY, *values) if not picker.button(value).isHidden()] == ["pear", "peach"]
    qtbot.keyClick(field, Qt.Key.Key_Return)
    assert picked == ["pear"]
    assert not any(picker.button(value).isHidden() for value in values)
    first, below = picker.button("kind 0"), picker.button("kind 0")
    qtbot.keyClick(first, Qt.Key.Key_Down)
    below = picker.button(picked[-1])
    assert below.y() > first.y(), "the arrow downwards goes to the next line"


def test_earlier_grids_can_be_gone_back_to(qtbot: QtBot, ready: GeneratePage) -> None:
    controller = ready.controller
    controller.generate()
    wait_grid(qtbot, ready)
    first = pixels(ready)
    controller.generate()
    wait_grid(qtbot, ready)
    assert (pixels(ready) != first).any()
    controller.grids.go_back()
    np.testing.assert_array_equal(pixels(ready), first)
    assert len(ready.samples.grid.items) == 16
    controller.grids.go_forward()
    assert (pixels(ready) != first).any()


def test_a_saved_sample_dropped_back_shows_where_it_comes_from_and_restores_everything(
    qtbot: QtBot, ready: GeneratePage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, notices: list[Notice]
) -> None:
    controller, path = ready.controller, tmp_path / "sample.png"
    controller.choose("digit", "3")
    controller.set_mix("digit", "8", 0.25)
    controller.set_temperature(0.8)
    controller.set_guidance(1.5)
    controller.set_seed(77)
    controller.generate()
    wait_grid(qtbot, ready)
    controller.grids.select(5)
    kept, asked = controller.grids.selected, controller.state.settings
    assert kept is not None
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    ready.sample_actions.save.trigger()
    qtbot.waitUntil(path.is_file, timeout=PATIENCE)
    np.testing.assert_array_equal(open_picture(path).pixels, kept.pixels)

    choose_model(qtbot, ready, FACES)
    before = controller.state.settings
    ready.open_paths([path])
    qtbot.waitUntil(lambda: controller.dropped.provenance is not None, timeout=PATIENCE)
    card = ready.provenance
    assert not card.isHidden()
    assert str(kept.latent.seed) in card.text.text()
    assert "very same" in card.note.text()
    assert controller.state.settings == before, "showing where a picture comes from changes nothing"
    card.restore.click()
    qtbot.waitUntil(lambda: controller.state.model == DIGITS, timeout=PATIENCE)
    wait_grid(qtbot, ready)
    assert card.isHidden()
    assert controller.state.settings == replace(asked, seed=kept.latent.seed or 0)
    np.testing.assert_array_equal(controller.grids.samples[0].pixels, kept.pixels)
    assert not [notice for notice in notices if notice.kind == "error"]


def test_a_dropped_sample_can_be_shown_without_changing_the_settings(
    qtbot: QtBot, ready: GeneratePage, tmp_path: Path
) -> None:
    from engine.generation import save_sample

    sample, before = ready.controller.grids.samples[3], ready.controller.state.settings
    save_sample(sample, tmp_path / "one.png")
    ready.open_paths([tmp_path / "one.png"])
    qtbot.waitUntil(lambda: ready.controller.dropped.provenance is not None, timeout=PATIENCE)
    ready.provenance.show_it.click()
    qtbot.waitUntil(lambda: len(ready.controller.grids.samples) == 1, timeout=PATIENCE)
    np.testing.assert_array_equal(ready.controller.grids.samples[0].pixels, sample.pixels)
    assert ready.controller.state.settings == before


def test_use_all_settings_and_copy_seed(qtbot: QtBot, ready: GeneratePage) -> None:
    controller = ready.controller
    controller.grids.select(3)
    sample = controller.grids.selected
    assert sample is not None
    ready.sample_actions.copy_seed.trigger()
    assert QGuiApplication.clipboard().text() == str(sample.latent.seed)
    ready.sample_actions.use.trigger()
    settings = controller.state.settings
    assert (settings.seed, settings.seed_locked, settings.choice) == (sample.latent.seed, True, {})
    controller.generate()
    wait_grid(qtbot, ready)
    np.testing.assert_array_equal(controller.grids.samples[0].pixels, sample.pixels)


def test_open_in_latents_hands_over_the_latent(qtbot: QtBot, ready: GeneratePage) -> None:
    ready.controller.grids.select(2)
    with qtbot.waitSignal(ready.controller.latent_wanted) as wanted:
        ready.sample_actions.latents.trigger()
    assert wanted.args == [ready.controller.grids.samples[2].latent]


def test_all_samples_and_the_grid_are_saved(
    qtbot: QtBot, ready: GeneratePage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, grid = tmp_path / "all", tmp_path / "grid"
    folder.mkdir()
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(folder))
    ready.save_all_action.trigger()
    qtbot.waitUntil(lambda: len(list(folder.glob("*.png"))) == 16, timeout=PATIENCE)
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(grid), ""))
    ready.sheet_action.trigger()
    qtbot.waitUntil(grid.with_suffix(".png").is_file, timeout=PATIENCE)
    height, width, _ = open_picture(grid.with_suffix(".png")).pixels.shape
    assert width == height
    assert width > 4 * 32
    wait_grid(qtbot, ready)


@pytest.mark.parametrize("fault", ["missing", "not a picture", "a folder", "forged"])
def test_a_wrong_picture_is_refused_and_the_grid_stays(
    qtbot: QtBot, ready: GeneratePage, tmp_path: Path, notices: list[Notice], fault: str
) -> None:
    path, before = tmp_path / "picture.png", pixels(ready)
    if fault == "not a picture":
        path.write_bytes(b"nothing of the kind")
    elif fault == "a folder":
        path.mkdir()
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


def test_a_picture_of_an_unknown_model_names_it_and_offers_no_restoring(
    qtbot: QtBot, ready: GeneratePage, tmp_path: Path
) -> None:
    from engine.generation import Sample, save_sample

    sample = ready.controller.grids.samples[0]
    save_sample(Sample(sample.pixels, replace(sample.latent, model="elsewhere")), tmp_path / "foreign.png")
    ready.open_paths([tmp_path / "foreign.png"])
    qtbot.waitUntil(lambda: ready.controller.dropped.provenance is not None, timeout=PATIENCE)
    assert "elsewhere" in ready.provenance.note.text()
    assert not ready.provenance.restore.isEnabled()
    assert ready.provenance.as_own.isEnabled()


def test_a_broken_model_file_leaves_the_page_as_it_was(
    qtbot: QtBot, ready: GeneratePage, notices: list[Notice]
) -> None:
    path = user_folder("models") / f"{FACES}.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    models = ready.inspector().models
    assert models is not None
    models.button(FACES).click()
    qtbot.waitUntil(lambda: bool(notices), timeout=PATIENCE)
    assert notices[0].kind == "error"
    assert ready.controller.state.model == DIGITS
    assert models.value == DIGITS
    ready.inspector().generate.click()
    wait_grid(qtbot, ready)
    assert len(ready.controller.grids.samples) == 16


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
    qtbot.waitUntil(lambda: "no model" in page.empty._title.text(), timeout=PATIENCE)
    assert not page.generate_action.isEnabled()


def test_everything_can_be_reached_and_has_a_name(qtbot: QtBot, ready: GeneratePage) -> None:
    for place in range(ready.tabs.count()):
        ready.tabs.setCurrentIndex(place)
        assert nameless_controls(ready, ready.inspector()) == []
        assert unreachable_controls(ready, ready.inspector()) == []
    ready.tabs.setCurrentIndex(0)
    choose_model(qtbot, ready, FACES)
    ready.samples.choice.open_attribute("hair")
    assert nameless_controls(ready) == []
    assert unreachable_controls(ready) == []


def test_files_get_names_of_their_own(ready: GeneratePage, tmp_path: Path) -> None:
    latent = ready.controller.grids.samples[0].latent
    assert file_stem(latent).startswith(DIGITS)
    assert file_stem(latent).endswith(f"seed{latent.seed}")
    (tmp_path / "a.png").touch()
    (tmp_path / "a-2.png").touch()
    assert unused_path(tmp_path / "a.png") == tmp_path / "a-3.png"


def test_the_next_session_begins_with_the_settings_of_the_last(
    qtbot: QtBot, ready: GeneratePage, services: Services
) -> None:
    choose_model(qtbot, ready, FACES)
    ready.controller.choose("hair", "bun")
    ready.controller.set_count(6)
    ready.controller.set_temperature(0.75)
    wait_grid(qtbot, ready)
    asked = ready.controller.state.settings
    again = start(qtbot, make_page(qtbot, services), services)
    assert again.controller.state.settings == asked
    assert again.samples.choice.chips["hair"].text() == "Hair: bun"
    assert not again.undo_action.isEnabled()


@pytest.mark.parametrize(
    "stored",
    [
        {"model": 3, "count": "many", "temperature": float("nan"), "choice": ["nonsense", 5]},
        {"model": "gone", "guidance": 99, "seed": -1, "prior": "other", "choice": "digit=7"},
    ],
)
def test_senseless_remembered_settings_are_left_at_their_defaults(stored: dict[str, object]) -> None:
    settings = remembered(stored)
    assert settings.held() == settings
    assert settings.prior == FLOW
    assert settings.choice == {}
