"""The Latents page on real models: sliders, undo, spaces, own pictures, JSON, traversal grid, and what can go wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QMimeData, QPoint, Qt
from PySide6.QtGui import QGuiApplication, QImage
from PySide6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot

from engine.image import open_picture
from engine.paths import user_folder
from gui.controllers.history import History
from gui.controllers.latents_controller import RAW, STYLE, LatentsController
from gui.pages.latents_page import LatentsPage
from gui.services.context import Services
from gui.services.notices import Notice
from gui.widgets.lamp import Lamp
from tests.gui.controls import nameless_controls, unreachable_controls
from tests.gui.tiny_models import DIGITS, FACES, PLAIN, save_tiny_models

PATIENCE = 30_000  # milliseconds; nothing is timed, a busy machine is only given room


@pytest.fixture(scope="module")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    save_tiny_models(folder)
    return folder


@pytest.fixture
def services(services: Services, tiny_models: Path, monkeypatch: pytest.MonkeyPatch) -> Services:
    shutil.copytree(tiny_models, user_folder("models"))
    monkeypatch.setattr("gui.controllers.latents_controller.PREFERRED", (DIGITS,))
    services.host.start()
    return services


@pytest.fixture
def notices(services: Services) -> list[Notice]:
    given: list[Notice] = []
    services.notices.posted.connect(given.append)
    return given


@pytest.fixture
def page(qtbot: QtBot, services: Services) -> LatentsPage:
    """The page with its first picture."""
    controller = LatentsController(services)
    page = LatentsPage(controller, services)
    controller.setParent(page)
    qtbot.addWidget(page)
    qtbot.addWidget(page.inspector())
    page.resize(640, 560)
    page.show()
    page.inspector().show()
    settle(qtbot, page)
    return page


def settle(qtbot: QtBot, page: LatentsPage) -> None:
    """Wait until every request that was made is answered."""
    controller = page.controller
    task = controller._services.host.run(lambda: None)
    with qtbot.waitSignal(task.succeeded, timeout=PATIENCE):
        pass
    qtbot.waitUntil(
        lambda: controller.state.picture is not None and not controller._live.busy and not controller._at_rest.busy,
        timeout=PATIENCE,
    )


def switch(qtbot: QtBot, page: LatentsPage, model: str) -> None:
    page.controller.choose_model(model)
    qtbot.waitUntil(lambda: page.controller.state.model == model, timeout=PATIENCE)
    settle(qtbot, page)


def picture(page: LatentsPage) -> np.ndarray:
    pixels = page.controller.state.picture
    assert pixels is not None
    return pixels.copy()


def decoded(page: LatentsPage) -> np.ndarray:
    """What the engine decodes the present position to."""
    from engine.latent import LatentExplorer

    position = page.controller.state.position
    explorer = LatentExplorer.load(page.controller.state.model)
    return explorer.decode(position.space, np.asarray(position.values, np.float32), position.choice)


def test_sliders_stand_in_order_of_importance_with_pictures_of_their_ends(qtbot: QtBot, page: LatentsPage) -> None:
    state = page.controller.state
    assert (state.model, state.position.space) == (DIGITS, STYLE)
    space = state.space
    assert space is not None
    importance = [dimension.importance for dimension in space.dimensions]
    assert importance == sorted(importance, reverse=True)
    assert list(page._sliders) == [dimension.index for dimension in space.active]
    assert page._picture.image is not None
    first = page._sliders[space.active[0].index]
    assert not first._ends[0].pixmap().isNull()
    assert not page._reset.isEnabled()


def test_the_picture_follows_the_drag_and_the_last_value_wins(qtbot: QtBot, page: LatentsPage) -> None:
    slider = next(iter(page._sliders.values()))
    before = picture(page)
    slider._slider.setSliderDown(True)
    for step in range(500, 1001, 10):
        slider._slider.setValue(step)
    slider._slider.setSliderDown(False)
    settle(qtbot, page)
    space = page.controller.state.space
    assert space is not None
    assert page.controller.state.position.values[slider.dimension] == pytest.approx(space.active[0].high)
    np.testing.assert_array_equal(picture(page), decoded(page))
    assert (picture(page) != before).any()


def test_a_drag_is_one_step_for_undo_and_redo(qtbot: QtBot, page: LatentsPage) -> None:
    controller = page.controller
    start = controller.state.position
    first, second = list(page._sliders.values())[:2]
    for slider in (first, second):
        slider._slider.setSliderDown(True)
        for step in (600, 700, 800):
            slider._slider.setValue(step)
        slider._slider.setSliderDown(False)
    moved = controller.state.position
    page._undo_action.trigger()
    assert controller.state.position.values[second.dimension] == start.values[second.dimension]
    assert controller.state.position.values[first.dimension] == moved.values[first.dimension]
    page._undo_action.trigger()
    assert controller.state.position == start
    assert not page._undo_action.isEnabled()
    page._redo_action.trigger()
    page._redo_action.trigger()
    assert controller.state.position == moved
    assert not page._redo_action.isEnabled()
    settle(qtbot, page)
    np.testing.assert_array_equal(picture(page), decoded(page))


def test_keys_numbers_and_reset_move_a_slider(qtbot: QtBot, page: LatentsPage) -> None:
    slider = next(iter(page._sliders.values()))
    values = lambda: page.controller.state.position.values[slider.dimension]  # noqa: E731
    qtbot.keyClick(slider._slider, Qt.Key.Key_Right)
    assert values() > 0
    slider._spin.setValue(-1.25)
    assert values() == pytest.approx(-1.25)
    slider._reset.click()
    assert values() == 0
    assert not slider._reset.isEnabled()
    page.controller.undo()
    assert values() == pytest.approx(-1.25)
    page._reset.click()
    settle(qtbot, page)
    assert page.controller.at_origin


def test_the_same_seed_draws_the_same_position(qtbot: QtBot, page: LatentsPage) -> None:
    page._seed.spin.setValue(42)
    settle(qtbot, page)
    first = page.controller.state.position
    assert first.seed == 42
    page._random.click()
    settle(qtbot, page)
    assert page.controller.state.position.seed != 42
    page.controller.randomise(42)
    settle(qtbot, page)
    assert page.controller.state.position == first
    np.testing.assert_array_equal(picture(page), decoded(page))


def test_another_class_keeps_the_style(qtbot: QtBot, page: LatentsPage) -> None:
    page.controller.randomise(3)
    settle(qtbot, page)
    before, values = picture(page), page.controller.state.position.values
    combo = page._combos["digit"]
    combo.setCurrentText("7")
    combo.activated.emit(combo.currentIndex())
    settle(qtbot, page)
    assert page.controller.state.position.choice["digit"] == "7"
    assert page.controller.state.position.values == values
    assert (picture(page) != before).any()


def test_raw_space_shows_the_same_picture_and_lights_the_lamp_off_the_data(qtbot: QtBot, page: LatentsPage) -> None:
    page.controller.randomise(5)
    settle(qtbot, page)
    before = picture(page)
    lamp: Lamp = page._lamp
    assert lamp.role == "success"
    page._space_buttons.button(1).click()
    settle(qtbot, page)
    assert page.controller.state.position.space == RAW
    assert np.abs(picture(page).astype(int) - before).max() <= 2
    space = page.controller.state.space
    assert space is not None
    page.controller.set_values({dimension.index: 50.0 for dimension in space.dimensions}, "test")
    settle(qtbot, page)
    assert lamp.role == "danger"
    page.controller.undo()
    page.controller.undo()
    settle(qtbot, page)
    assert page.controller.state.position.space == STYLE
    assert page._space_buttons.checkedId() == 0
    np.testing.assert_array_equal(picture(page), before)


def test_dragging_on_the_picture_moves_the_two_top_dimensions(qtbot: QtBot, page: LatentsPage) -> None:
    space = page.controller.state.space
    assert space is not None
    top = [dimension.index for dimension in space.active[:2]]
    view = page._picture
    middle = view.rect().center()
    qtbot.mousePress(view, Qt.MouseButton.LeftButton, pos=middle)
    qtbot.mouseMove(view, middle + QPoint(10, 20))
    qtbot.mouseMove(view, middle + QPoint(40, -30))
    qtbot.mouseRelease(view, Qt.MouseButton.LeftButton, pos=middle + QPoint(40, -30))
    values = page.controller.state.position.values
    assert values[top[0]] > 0
    assert values[top[1]] > 0
    assert all(value == 0 for index, value in enumerate(values) if index not in top)
    page.controller.undo()
    assert page.controller.at_origin
    view.setFocus()
    qtbot.keyClick(view, Qt.Key.Key_Left)
    assert page.controller.state.position.values[top[0]] < 0


def test_an_own_picture_is_encoded_and_compared(qtbot: QtBot, page: LatentsPage, tmp_path: Path) -> None:
    switch(qtbot, page, FACES)
    path = tmp_path / "own.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 60, 3), np.uint8)).save(path)
    assert page._compare.isHidden()
    page.open_paths([path])
    qtbot.waitUntil(lambda: page.controller.state.source is not None, timeout=PATIENCE)
    settle(qtbot, page)
    source = page.controller.state.source
    assert source is not None
    assert source.prepared.shape == (32, 32, 3)
    assert not page._compare.isHidden()
    np.testing.assert_array_equal(source.reconstruction, picture(page))
    page._again.click()
    settle(qtbot, page)
    page._close.click()
    assert page._compare.isHidden()
    page.controller.undo()
    page.controller.undo()
    settle(qtbot, page)
    assert page.controller.at_origin


def test_a_pasted_picture_is_encoded(qtbot: QtBot, page: LatentsPage) -> None:
    switch(qtbot, page, PLAIN)
    assert page.controller.state.position.space == RAW
    assert page._space_section.isHidden()
    image = QImage(40, 40, QImage.Format.Format_RGB32)
    image.fill(Qt.GlobalColor.red)
    QGuiApplication.clipboard().setImage(image)
    page.paste()
    qtbot.waitUntil(lambda: page.controller.state.source is not None, timeout=PATIENCE)
    settle(qtbot, page)
    assert page.controller.can_undo


def test_a_latent_goes_through_the_clipboard_to_another_model_and_back(qtbot: QtBot, page: LatentsPage) -> None:
    page.controller.randomise(9)
    settle(qtbot, page)
    position, before = page.controller.state.position, picture(page)
    with qtbot.waitSignal(page.controller.latent_text, timeout=PATIENCE):
        page.controller.copy_text()
    assert json.loads(QGuiApplication.clipboard().text())["model"] == DIGITS
    switch(qtbot, page, PLAIN)
    page.paste()
    qtbot.waitUntil(lambda: page.controller.state.model == DIGITS, timeout=PATIENCE)
    qtbot.waitUntil(lambda: page.controller.state.position == position, timeout=PATIENCE)
    settle(qtbot, page)
    np.testing.assert_array_equal(picture(page), before)


@pytest.mark.parametrize("text", ["", "nonsense", "[1, 2]", '{"model": "tiny-digits"}'])
def test_text_that_is_no_latent_is_refused(qtbot: QtBot, page: LatentsPage, notices: list[Notice], text: str) -> None:
    position = page.controller.state.position
    mime = QMimeData()
    mime.setText(text)
    QGuiApplication.clipboard().setMimeData(mime)
    page.paste()
    qtbot.waitUntil(lambda: bool(notices), timeout=PATIENCE)
    assert "unexpected" not in notices[0].text
    assert page.controller.state.position == position


@pytest.mark.parametrize("change", [{"values": [0.0, 1.0]}, {"model": "elsewhere"}, {"values": [float("nan")] * 6}])
def test_a_latent_that_does_not_fit_is_refused(
    qtbot: QtBot, page: LatentsPage, notices: list[Notice], change: dict[str, object]
) -> None:
    position = page.controller.state.position
    with qtbot.waitSignal(page.controller.latent_text, timeout=PATIENCE) as text:
        page.controller.copy_text()
    notices.clear()
    page.controller.paste_text(json.dumps(json.loads(text.args[0]) | change))
    qtbot.waitUntil(lambda: any(notice.kind == "error" for notice in notices), timeout=PATIENCE)
    assert all("unexpected" not in notice.text for notice in notices)
    assert page.controller.state.position == position


def test_a_broken_picture_is_refused(qtbot: QtBot, page: LatentsPage, notices: list[Notice], tmp_path: Path) -> None:
    path = tmp_path / "broken.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n broken")
    before = picture(page)
    page.open_paths([path])
    qtbot.waitUntil(lambda: bool(notices), timeout=PATIENCE)
    assert notices[0].kind == "error"
    assert "unexpected" not in notices[0].text
    assert page.controller.state.source is None
    np.testing.assert_array_equal(picture(page), before)


def test_the_traversal_grid_is_shown_and_exported(
    qtbot: QtBot, page: LatentsPage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page._view_buttons.button(1).click()
    qtbot.waitUntil(lambda: page.controller.state.traversal is not None, timeout=PATIENCE)
    settle(qtbot, page)
    grid = page.controller.state.traversal
    assert grid is not None
    page._grid_rows.setValue(2)
    qtbot.waitUntil(lambda: page.controller.state.traversal is not grid, timeout=PATIENCE)
    smaller = page.controller.state.traversal
    assert smaller is not None
    assert smaller.shape[0] < grid.shape[0]
    assert smaller.shape[1] == grid.shape[1]
    path = tmp_path / "grid.png"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    page._grid_save.click()
    qtbot.waitUntil(path.is_file, timeout=PATIENCE)
    np.testing.assert_array_equal(open_picture(path).pixels, smaller)
    page._view_buttons.button(0).click()
    assert page.controller.state.traversal is None


def test_a_saved_picture_opens_at_its_latent(
    qtbot: QtBot, page: LatentsPage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "kept.png"
    page.controller.randomise(11)
    settle(qtbot, page)
    position, before = page.controller.state.position, picture(page)
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    page._save_action.trigger()
    qtbot.waitUntil(path.is_file, timeout=PATIENCE)
    page.controller.reset()
    page.open_paths([path])
    qtbot.waitUntil(lambda: page.controller.state.position == position, timeout=PATIENCE)
    settle(qtbot, page)
    np.testing.assert_array_equal(picture(page), before)
    assert page.controller.state.source is None


def test_a_model_that_comes_later_is_offered(qtbot: QtBot, page: LatentsPage) -> None:
    source = user_folder("models") / f"{PLAIN}.safetensors"
    before = page._model.count()
    source.unlink()
    page.controller.activate()
    qtbot.waitUntil(lambda: page._model.count() == before - 1, timeout=PATIENCE)
    assert page.controller.state.model == DIGITS


def test_everything_can_be_reached_and_has_a_name(page: LatentsPage) -> None:
    assert nameless_controls(page, page.inspector()) == []
    assert unreachable_controls(page, page.inspector()) == []
    assert page._picture.focusPolicy() & Qt.FocusPolicy.TabFocus


# The history by itself


def test_changes_of_one_gesture_are_one_step() -> None:
    history: History[int] = History(limit=3)
    for before in (0, 1, 2):
        history.record(before, "slider")
    history.close_gesture()
    history.record(3, "slider")
    assert history.undo(4) == 3
    assert history.undo(3) == 0
    assert not history.can_undo
    assert history.redo(0) == 3
    history.record(7)
    assert not history.can_redo


def test_the_oldest_steps_are_forgotten() -> None:
    history: History[int] = History(limit=2)
    for before in range(5):
        history.record(before)
    assert history.undo(5) == 4
    assert history.undo(4) == 3
    assert not history.can_undo
