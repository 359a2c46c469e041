"""What can be made of a sample on the Generate page, on the shipped models: edits, morphs, pairs, stars, exports."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot

from engine.generation import Generator
from engine.paths import user_folder
from gui.pages.generate_page import GeneratePage
from gui.services.context import Services
from gui.services.notices import Notice
from tests.gui.generate_pages import (
    PATIENCE,
    REAL_DIGITS,
    REAL_FACES,
    choose_model,
    make_page,
    pixels,
    start,
    wait_grid,
)


@pytest.fixture
def notices(services: Services) -> list[Notice]:
    given: list[Notice] = []
    services.notices.posted.connect(given.append)
    return given


@pytest.fixture
def ready(qtbot: QtBot, services: Services) -> GeneratePage:
    """The page with the first grid of the digits."""
    page = start(qtbot, make_page(qtbot, services), services)
    assert page.controller.state.model == REAL_DIGITS
    return page


@pytest.fixture
def faces(qtbot: QtBot, ready: GeneratePage) -> GeneratePage:
    """The page with the first grid of the faces."""
    choose_model(qtbot, ready, REAL_FACES)
    return ready


def far(first: np.ndarray, second: np.ndarray) -> float:
    """Root mean square difference, 0..255."""
    return float(np.sqrt(np.square(first.astype(float) - second.astype(float)).mean()))


def test_variations_are_nearer_to_the_original_the_smaller_the_radius(qtbot: QtBot, ready: GeneratePage) -> None:
    original = ready.controller.grids.samples[2]
    mean = {}
    for radius in (0.1, 0.6):
        while ready.controller.grids.shelf.can_go_back:
            ready.controller.grids.go_back()
        ready.controller.grids.select(2)
        ready.samples.sample.radius.set_value(radius)
        ready.sample_actions.vary.trigger()
        wait_grid(qtbot, ready)
        assert len(ready.controller.grids.samples) == 16
        assert "Variations" in ready.samples.heading.text()
        mean[radius] = np.mean([far(sample.pixels, original.pixels) for sample in ready.controller.grids.samples])
    assert 0 < mean[0.1] < mean[0.6]


def test_vary_pressed_again_gives_other_pictures(qtbot: QtBot, ready: GeneratePage) -> None:
    latent = ready.controller.grids.samples[0].latent
    made = []
    for _ in range(2):
        ready.controller.edits.vary(latent)
        wait_grid(qtbot, ready)
        made.append(pixels(ready))
    assert (made[0] != made[1]).any()


def test_more_like_two_keeps_their_classes(qtbot: QtBot, ready: GeneratePage) -> None:
    grid = ready.samples.grid
    grid.select_row(1)
    model = grid.selectionModel()
    model.select(grid.model().index(4, 0), model.SelectionFlag.Select)
    wanted = {ready.controller.grids.samples[row].latent.attributes["digit"] for row in (1, 4)}
    assert ready.sample_actions.more_like.text() == "More like these"
    ready.sample_actions.more_like.trigger()
    wait_grid(qtbot, ready)
    assert {sample.latent.attributes["digit"] for sample in ready.controller.grids.samples} <= wanted


def test_the_same_style_in_every_class(qtbot: QtBot, ready: GeneratePage) -> None:
    first = ready.controller.grids.samples[0]
    ready.samples.sample.every.click()
    wait_grid(qtbot, ready)
    made = ready.controller.grids.samples
    assert [sample.latent.attributes["digit"] for sample in made] == list("0123456789")
    assert [item.caption for item in ready.samples.grid.items] == list("0123456789")
    own = made[int(first.latent.attributes["digit"])]
    np.testing.assert_array_equal(own.pixels, first.pixels)


def test_one_attribute_changes_and_the_rest_stays(qtbot: QtBot, faces: GeneratePage) -> None:
    faces.controller.choose("glasses", "none")
    wait_grid(qtbot, faces)
    before = faces.controller.grids.samples[0].latent.attributes
    panel = faces.samples.sample
    place = panel.attribute.findData("glasses")
    panel.attribute.setCurrentIndex(place)
    panel.attribute.activated.emit(place)
    assert panel.value.currentData() == "none"
    place = panel.value.findData("sunglasses")
    panel.value.setCurrentIndex(place)
    panel.value.activated.emit(place)
    wait_grid(qtbot, faces)
    kept, changed = faces.controller.grids.samples
    assert faces.controller.grids.selected is changed
    assert changed.latent.attributes == {**before, "glasses": "sunglasses"}
    difference = np.abs(kept.pixels.astype(int) - changed.pixels).mean(axis=2)
    eyes, feet = difference[16:40].mean(), difference[56:].mean()
    assert eyes > 3 * feet, "glasses change the face, not the clothes"


def test_a_morph_begins_and_ends_with_its_two_and_is_exported(
    qtbot: QtBot, ready: GeneratePage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    controller = ready.controller
    first, second = controller.grids.samples[0], controller.grids.samples[3]
    ready.samples.grid.select_row(0)
    ready.sample_actions.morph.trigger()
    assert not ready.samples.banner.isHidden()
    ready.samples.grid.select_row(3)
    assert ready.samples.banner.isHidden()
    wait_grid(qtbot, ready)
    panel, morph = ready.samples.morph, controller.edits.morph
    assert morph is not None
    assert len(panel.strip.items) == len(morph.frames) == 24
    np.testing.assert_array_equal(morph.frames[0].pixels, first.pixels)
    np.testing.assert_array_equal(morph.frames[-1].pixels, second.pixels)
    panel.steps.setValue(6)
    wait_grid(qtbot, ready)
    assert len(panel.strip.items) == 6
    for suffix in (".gif", ".webp"):
        path = tmp_path / f"morph{suffix}"
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_, path=path: (str(path), ""))
        panel.save_as(suffix)
        qtbot.waitUntil(path.is_file, timeout=PATIENCE)
        wait_grid(qtbot, ready)
        with Image.open(path) as animation:
            assert len(list(ImageSequence.Iterator(animation))) == 10, "there and back, without the ends twice"
    panel.play.click()
    qtbot.waitUntil(lambda: panel.strip.selected_rows() not in ([], [0]), timeout=PATIENCE)
    controller.edits.close_morph()
    assert panel.isHidden()


def test_escape_ends_choosing_a_second_picture(qtbot: QtBot, ready: GeneratePage) -> None:
    ready.sample_actions.compare.trigger()
    assert not ready.samples.banner.isHidden()
    qtbot.keyClick(ready.samples.grid, Qt.Key.Key_Escape)
    assert ready.samples.banner.isHidden()
    ready.samples.grid.select_row(2)
    assert ready.samples._body.currentIndex() == 0


def test_two_selected_samples_are_compared(qtbot: QtBot, ready: GeneratePage) -> None:
    grid = ready.samples.grid
    grid.select_row(0)
    model = grid.selectionModel()
    model.select(grid.model().index(1, 0), model.SelectionFlag.Select)
    ready.sample_actions.compare.trigger()
    assert ready.samples._body.currentWidget() is ready.samples.compare
    assert len(ready.samples.compare.labels) == 2
    ready.samples.leave_compare()
    assert ready.samples._body.currentIndex() == 0


def test_samples_of_two_models_do_not_morph_and_the_reason_is_said(
    qtbot: QtBot, ready: GeneratePage, notices: list[Notice]
) -> None:
    digit = ready.controller.grids.samples[0]
    choose_model(qtbot, ready, REAL_FACES)
    ready.controller.edits.start_morph(digit, ready.controller.grids.samples[0])
    qtbot.waitUntil(lambda: bool(notices), timeout=PATIENCE)
    assert notices[0].kind == "error"
    assert REAL_DIGITS in notices[0].text
    assert ready.controller.edits.morph is None


def test_a_sample_of_another_model_is_varied_by_its_own(qtbot: QtBot, ready: GeneratePage) -> None:
    digit = ready.controller.grids.samples[0]
    choose_model(qtbot, ready, REAL_FACES)
    ready.controller.edits.vary(digit.latent)
    wait_grid(qtbot, ready)
    assert {sample.latent.model for sample in ready.controller.grids.samples} == {REAL_DIGITS}


def test_deleted_samples_come_back_by_undo(qtbot: QtBot, ready: GeneratePage, notices: list[Notice]) -> None:
    before = list(ready.controller.grids.samples)
    grid = ready.samples.grid
    grid.select_row(2)
    model = grid.selectionModel()
    model.select(grid.model().index(5, 0), model.SelectionFlag.Select)
    ready.sample_actions.delete.trigger()
    left = ready.controller.grids.samples
    assert len(left) == len(grid.items) == 14
    assert [id(one) for one in left] == [id(one) for place, one in enumerate(before) if place not in (2, 5)]
    (undo,) = [call for text, call in notices[-1].actions if text == "Undo"]
    undo()
    assert [id(one) for one in ready.controller.grids.samples] == [id(one) for one in before]
    assert len(grid.items) == 16


def test_grids_that_were_asked_for_and_samples_with_a_star_are_kept(
    qtbot: QtBot, ready: GeneratePage, services: Services
) -> None:
    from engine.generation.gallery import Gallery, GalleryQuery

    controller, folder = ready.controller, user_folder("gallery")
    controller.choose("digit", "6")
    wait_grid(qtbot, ready)
    ready.samples.grid.select_row(1)
    ready.sample_actions.star.trigger()
    qtbot.waitUntil(lambda: not services.host.busy, timeout=PATIENCE)
    gallery = Gallery(folder)
    assert len(gallery.search(GalleryQuery())) == 1, "a grid that merely follows a choice is not kept"
    (number,) = gallery.search(GalleryQuery(starred=True))
    np.testing.assert_array_equal(gallery.sample(number).pixels, controller.grids.samples[1].pixels)
    controller.set_count(4)
    controller.generate()
    wait_grid(qtbot, ready)
    qtbot.waitUntil(lambda: not services.host.busy, timeout=PATIENCE)
    assert len(Gallery(folder).search(GalleryQuery())) == 5
    ready.samples.grid.select_row(0)
    ready.sample_actions.delete.trigger()
    qtbot.waitUntil(lambda: not services.host.busy, timeout=PATIENCE)
    assert len(Gallery(folder).search(GalleryQuery())) == 4
    ready.tabs.setCurrentIndex(1)
    qtbot.waitUntil(lambda: len(ready.gallery.controller.state.ids) == 4, timeout=PATIENCE)


def test_a_labelled_set_is_written_with_its_manifest(
    qtbot: QtBot, ready: GeneratePage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(folder))
    ready._on_set_wanted("digit", 2)
    wait_grid(qtbot, ready)
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 20
    assert len(list(folder.glob("*/*.png"))) == 20
    assert sorted({row["digit"] for row in rows}) == list("0123456789")


def test_a_labelled_set_can_be_cancelled(qtbot: QtBot, ready: GeneratePage, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    ready.controller.export.save_labelled_set(folder, 1000, "digit")
    job = ready.controller.queue.first
    assert job is not None
    qtbot.waitUntil(lambda: job.fraction > 0, timeout=PATIENCE)
    qtbot.waitUntil(lambda: "Labelled set" in ready.strip.label.text(), timeout=PATIENCE)
    ready.strip.cancel_button.click()
    wait_grid(qtbot, ready)
    assert job.state == "cancelled"
    assert not (folder / "manifest.csv").exists()


def test_the_nearest_real_pictures_are_shown_or_it_is_said_where_they_would_be(
    qtbot: QtBot, ready: GeneratePage
) -> None:
    nearest, panel = ready.controller.nearest, ready.samples.sample.nearest
    ready.samples.grid.select_row(1)
    ready.sample_actions.nearest.trigger()
    qtbot.waitUntil(lambda: nearest.found is not None or bool(nearest.problem), timeout=PATIENCE)
    if nearest.found is None:
        assert panel.sentence.text() == nearest.problem
    else:
        distances = [neighbour.distance for neighbour in nearest.found.neighbours]
        assert distances == sorted(distances)
        assert len(distances) == 5
        assert "training pictures" in panel.sentence.text()
        sample = ready.controller.grids.selected
        assert sample is not None
        expected = far(nearest.found.neighbours[0].pixels, sample.pixels) / 255
        assert distances[0] == pytest.approx(expected, abs=1e-3)
    ready.samples.grid.select_row(2)
    assert panel.sentence.isHidden(), "what was found of one sample says nothing about another"


def test_the_sentence_about_the_flow_has_the_figures_of_the_card(ready: GeneratePage) -> None:
    card = Generator.load(REAL_DIGITS).card
    figure = card.figure("class accuracy of samples")
    assert figure is not None
    assert f"{figure.value:.1%}" in ready.inspector().reason.text()
