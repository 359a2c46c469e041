"""The gallery panel on real samples of real models: grid, search, stars, trash with undo, comparing, export."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QAction, QColor, QGuiApplication, QImage, QKeySequence
from PySide6.QtWidgets import QFileDialog, QMessageBox, QWidget
from pytestqt.qtbot import QtBot

from engine.generation import Generator, Sample, SamplingSettings, read_latent
from engine.generation.gallery import INDEX, Gallery, GalleryQuery
from engine.image import open_picture
from gui.controllers import gallery_thumbnails
from gui.controllers.gallery_controller import GalleryController
from gui.pages.gallery_panel import MIN_WIDTH, GalleryPanel
from gui.services.context import Services
from gui.services.notices import Notice
from gui.widgets.compare_view import CompareView
from gui.widgets.gallery_view import Cell, GalleryModel, GalleryView, Provider
from tests.gui.controls import nameless_controls, unreachable_controls
from tests.gui.tiny_models import DIGITS, FACES, save_tiny_models

PATIENCE = 30_000  # milliseconds; nothing is timed, a busy machine is only given room


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gallery of 30 digits and 6 faces."""
    models, folder = tmp_path_factory.mktemp("models"), tmp_path_factory.mktemp("gallery")
    save_tiny_models(models)
    gallery = Gallery(folder)
    for name, count in ((FACES, 6), (DIGITS, 30)):
        generator = Generator.load(models / f"{name}.safetensors")
        gallery.add(generator.sample(SamplingSettings(), count, 200))
    return folder


@pytest.fixture
def folder(filled: Path, tmp_path: Path) -> Path:
    """A copy of it for one test, with the times of its files."""
    return Path(shutil.copytree(filled, tmp_path / "gallery"))


@pytest.fixture
def notices(services: Services) -> list[Notice]:
    given: list[Notice] = []
    services.notices.posted.connect(given.append)
    services.notices.repeated.connect(given.append)
    return given


@pytest.fixture
def make(qtbot: QtBot, services: Services, show: Callable[[QWidget], QWidget]) -> Callable[[Path], GalleryPanel]:
    """Makes and shows the panel of a folder."""

    def made(folder: Path) -> GalleryPanel:
        controller = GalleryController(services, folder=folder)
        panel = GalleryPanel(services, controller)
        controller.setParent(panel)
        panel.resize(560, 640)
        show(panel)
        return panel

    return made


@pytest.fixture
def panel(qtbot: QtBot, services: Services, make: Callable[[Path], GalleryPanel], folder: Path) -> GalleryPanel:
    """The panel, once what is in view is painted."""
    services.host.start()
    panel = make(folder)
    qtbot.waitUntil(lambda: len(panel._grid.ids) == 36, timeout=PATIENCE)
    wait_cells(qtbot, panel)
    return panel


def wait_cells(qtbot: QtBot, panel: GalleryPanel) -> None:
    """Until everything in view is there."""
    grid, thumbnails = panel._grid, panel.controller.thumbnails
    qtbot.waitUntil(lambda: all(thumbnails.get(grid.ids[row]) for row in grid.rows_in_view()), timeout=PATIENCE)


def select(qtbot: QtBot, panel: GalleryPanel, *rows: int) -> list[int]:
    """Click these rows, the later ones with Ctrl, and wait until they are read."""
    grid = panel._grid
    modifier = Qt.KeyboardModifier.NoModifier
    for row in rows:
        place = grid.visualRect(grid.model().index(row, 0)).center()
        qtbot.mouseClick(grid.viewport(), Qt.MouseButton.LeftButton, modifier, place)
        modifier = Qt.KeyboardModifier.ControlModifier
    if len(rows) <= 2:
        qtbot.waitUntil(lambda: len(panel.controller.state.opened) == len(rows), timeout=PATIENCE)
    return list(panel.controller.state.selected)


def quiet(qtbot: QtBot, panel: GalleryPanel) -> None:
    """Until every change and search that was asked for is done."""
    controller = panel.controller
    qtbot.waitUntil(
        lambda: not (controller._changing or controller._searching or controller._refreshing), timeout=PATIENCE
    )


def test_it_opens_with_what_is_there_and_paints_what_is_in_view(panel: GalleryPanel, folder: Path) -> None:
    assert panel._grid.ids == Gallery(folder).search()
    first = panel.controller.thumbnails.get(panel._grid.ids[0])
    assert first is not None and first.image is not None
    np.testing.assert_array_equal(
        open_picture(first.entry.path).pixels[0, 0],
        [first.image.pixelColor(0, 0).red(), first.image.pixelColor(0, 0).green(), first.image.pixelColor(0, 0).blue()],
    )
    painted = panel._grid.viewport().grab().toImage()
    cell = panel._grid.visualRect(panel._grid.model().index(0, 0))
    colors = {painted.pixel(x, cell.center().y()) for x in range(cell.left(), cell.right())}
    assert len(colors) > 3
    assert "36 pictures" in panel._count.text()


def test_before_the_engine_is_there_it_says_so(
    qtbot: QtBot, services: Services, make: Callable[[Path], GalleryPanel], folder: Path
) -> None:
    panel = make(folder)
    assert panel._stack.currentWidget() is panel._empty
    assert "Opening" in panel._empty._title.text()
    services.host.start()
    qtbot.waitUntil(lambda: len(panel._grid.ids) == 36, timeout=PATIENCE)
    assert panel._stack.currentWidget() is panel._grid


def test_an_empty_gallery_says_what_will_be_here(
    qtbot: QtBot, services: Services, make: Callable[[Path], GalleryPanel], tmp_path: Path
) -> None:
    services.host.start()
    panel = make(tmp_path / "new")
    qtbot.waitUntil(lambda: panel.controller.state.ready, timeout=PATIENCE)
    assert "empty" in panel._empty._title.text()
    assert "kept here" in panel._empty._text.text()


def test_new_samples_stand_first_and_survive_a_restart(
    qtbot: QtBot, services: Services, panel: GalleryPanel, folder: Path, make: Callable[[Path], GalleryPanel]
) -> None:
    sample = Gallery(folder).sample(panel._grid.ids[3])
    new = [Sample(sample.pixels, replace(sample.latent, seed=seed)) for seed in range(900, 940)]
    before = panel._grid.ids
    panel.controller.keep(new)
    qtbot.waitUntil(lambda: len(panel._grid.ids) == 76, timeout=PATIENCE)
    assert panel._grid.ids[40:] == before
    other = make(folder)
    qtbot.waitUntil(lambda: other._grid.ids == panel._grid.ids, timeout=PATIENCE)


def test_what_was_given_is_kept_though_the_program_ends_at_once(
    services: Services, qtbot: QtBot, tmp_path: Path, filled: Path
) -> None:
    gallery = Gallery(filled)
    sample = gallery.sample(gallery.search()[0])
    services.host.start()
    qtbot.waitUntil(lambda: services.host.state == "ready", timeout=PATIENCE)
    controller = GalleryController(services, folder=tmp_path / "late")
    controller.keep([Sample(sample.pixels, replace(sample.latent, seed=seed)) for seed in range(100)])
    services.shutdown()
    assert len(Gallery(tmp_path / "late").search()) == 100


def test_search_filters_and_says_so_when_nothing_fits(qtbot: QtBot, panel: GalleryPanel, folder: Path) -> None:
    gallery, state = Gallery(folder), panel.controller.state
    qtbot.keyClicks(panel._search, "203")
    qtbot.waitUntil(lambda: state.ids == gallery.search(GalleryQuery(seed=203)), timeout=PATIENCE)
    assert len(state.ids) == 2
    assert "2 of 36" in panel._count.text()
    panel._model_buttons[FACES].click()
    qtbot.waitUntil(lambda: len(state.ids) == 1, timeout=PATIENCE)
    panel._search.clear()
    qtbot.waitUntil(lambda: len(state.ids) == 6, timeout=PATIENCE)
    qtbot.keyClicks(panel._search, "nothing of the kind")
    qtbot.waitUntil(lambda: panel._stack.currentWidget() is panel._empty, timeout=PATIENCE)
    assert "No picture fits" in panel._empty._title.text()
    panel._search.clear()
    panel._model_buttons[""].click()
    qtbot.waitUntil(lambda: len(state.ids) == 36, timeout=PATIENCE)


def test_the_star_key_stars_what_is_selected_and_the_filter_finds_it(
    qtbot: QtBot, panel: GalleryPanel, folder: Path
) -> None:
    ids = select(qtbot, panel, 1, 4)
    qtbot.keyClick(panel._grid, Qt.Key.Key_S)
    # On the screen at once, in the folder a moment later.
    assert all(cell is not None and cell.starred for cell in map(panel._cell, ids))
    quiet(qtbot, panel)
    assert Gallery(folder).search(GalleryQuery(starred=True)) == ids
    panel._starred.click()
    qtbot.waitUntil(lambda: panel._grid.ids == ids, timeout=PATIENCE)
    assert panel._star_action.text() == "Unstar"
    assert all(".starred" in opened.entry.path.name for opened in panel.controller.state.opened)
    qtbot.keyClick(panel._grid, Qt.Key.Key_S)
    qtbot.waitUntil(lambda: panel._stack.currentWidget() is panel._empty, timeout=PATIENCE)
    assert Gallery(folder).search(GalleryQuery(starred=True)) == []


def test_the_keys_of_the_grid_are_its_own_also_where_the_page_has_the_same_ones(
    qtbot: QtBot, panel: GalleryPanel, folder: Path
) -> None:
    others: list[str] = []
    for key in ("S", "Delete", "Ctrl+Z"):
        action = QAction(key, panel)
        action.setShortcut(QKeySequence(key))
        action.triggered.connect(lambda _on, name=key: others.append(name))
        panel.addAction(action)
    before = panel._grid.ids
    select(qtbot, panel, 0)
    panel._grid.setFocus()
    qtbot.keyClick(panel._grid, Qt.Key.Key_S)
    qtbot.keyClick(panel._grid, Qt.Key.Key_Delete)
    quiet(qtbot, panel)
    assert panel._grid.ids == before[1:]
    qtbot.keyClick(panel._grid, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: panel._grid.ids == before, timeout=PATIENCE)
    assert Gallery(folder).search(GalleryQuery(starred=True)) == before[:1]
    assert others == []
    panel._search.setFocus()
    qtbot.keyClick(panel._search, Qt.Key.Key_Delete)
    assert panel._grid.ids == before


def test_letters_in_the_search_field_are_letters(qtbot: QtBot, panel: GalleryPanel) -> None:
    select(qtbot, panel, 0)
    panel._search.setFocus()
    qtbot.keyClicks(panel._search, "sme")
    assert panel._search.text() == "sme"
    assert panel._stack.currentWidget() is not panel._compare


def test_delete_and_undo_give_the_same_file_back(
    qtbot: QtBot, panel: GalleryPanel, folder: Path, notices: list[Notice]
) -> None:
    before, content = panel._grid.ids, {path.name: path.read_bytes() for path in folder.glob("*.png")}
    gone = select(qtbot, panel, 2, 5)
    qtbot.keyClick(panel._grid, Qt.Key.Key_Delete)
    assert panel._grid.ids == [id for id in before if id not in gone]
    # The next one is selected, so that one can go on.
    assert panel._grid.selected_ids() == [before[3]]
    qtbot.waitUntil(lambda: bool(notices), timeout=PATIENCE)
    quiet(qtbot, panel)
    assert len(list(folder.glob("*.png"))) == 34
    assert panel._trash.text() == "Trash (2)"
    label, undo = notices[-1].actions[0]
    assert label == "Undo"
    undo()
    qtbot.waitUntil(lambda: panel._grid.ids == before, timeout=PATIENCE)
    assert {path.name: path.read_bytes() for path in folder.glob("*.png")} == content


def test_undo_goes_back_deletion_by_deletion(qtbot: QtBot, panel: GalleryPanel) -> None:
    before = panel._grid.ids
    for row in (0, 7):
        select(qtbot, panel, row)
        qtbot.keyClick(panel._grid, Qt.Key.Key_Delete)
        quiet(qtbot, panel)
    assert len(panel._grid.ids) == 34
    panel._undo_action.trigger()
    qtbot.waitUntil(lambda: panel._grid.ids == before[1:], timeout=PATIENCE)
    panel._undo_action.trigger()
    qtbot.waitUntil(lambda: panel._grid.ids == before, timeout=PATIENCE)
    panel._undo_action.trigger()
    quiet(qtbot, panel)
    assert panel._grid.ids == before


def test_the_trash_shows_restores_and_empties(
    qtbot: QtBot, panel: GalleryPanel, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = panel._grid.ids
    select(qtbot, panel, 0, 1, 2)
    panel._delete_action.trigger()
    quiet(qtbot, panel)
    panel._trash.click()
    qtbot.waitUntil(lambda: set(panel._grid.ids) == set(before[:3]), timeout=PATIENCE)
    assert "30 days" in panel._count.text()
    assert not panel._delete_action.isVisible()
    one = panel._grid.ids[0]
    select(qtbot, panel, 0)
    assert "Deleted on" in panel._told.text()
    panel._take_back_action.trigger()
    qtbot.waitUntil(lambda: len(panel._grid.ids) == 2, timeout=PATIENCE)
    # Asked, and answered with no.
    monkeypatch.setattr(QMessageBox, "exec", lambda box: box.defaultButton().click())
    panel._empty_trash.click()
    quiet(qtbot, panel)
    assert len(Gallery(folder).search(GalleryQuery(trashed=True))) == 2
    assert len(panel._grid.ids) == 2

    def say_yes(box: QMessageBox) -> None:
        next(button for button in box.buttons() if button.text() == "Delete").click()

    monkeypatch.setattr(QMessageBox, "exec", say_yes)
    panel._empty_trash.click()
    qtbot.waitUntil(lambda: panel._stack.currentWidget() is panel._empty, timeout=PATIENCE)
    assert "trash is empty" in panel._empty._title.text()
    panel._trash.click()
    qtbot.waitUntil(lambda: panel._grid.ids == [id for id in before if id == one or id not in before[:3]])
    assert len(list(folder.rglob("*.png"))) == 34


def test_the_selected_picture_tells_how_it_was_made_and_hands_its_latent_on(
    qtbot: QtBot, panel: GalleryPanel, folder: Path
) -> None:
    (id,) = select(qtbot, panel, 3)
    entry = Gallery(folder).entry(id)
    latent = read_latent(entry.path)
    told = panel._told.text()
    for part in (
        latent.model,
        str(latent.seed),
        entry.path.name,
        latent.weights_sha256[:8],
        *latent.attributes.values(),
    ):
        assert part in told
    for signal, action in (
        (panel.restore_wanted, panel._restore_action),
        (panel.vary_wanted, panel._vary_action),
        (panel.latents_wanted, panel._latents_action),
    ):
        with qtbot.waitSignal(signal) as wanted:
            action.trigger()
        assert wanted.args[0] == latent
    panel._grid.setFocus()
    qtbot.keyClick(panel._grid, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    copied = QGuiApplication.clipboard().mimeData()
    assert [Path(url.toLocalFile()) for url in copied.urls()] == [entry.path]
    assert copied.hasImage()
    panel._copy_seed_action.trigger()
    assert QGuiApplication.clipboard().text() == str(latent.seed)
    select(qtbot, panel, 3, 4, 5)
    assert not panel._restore_action.isEnabled()


def test_two_pictures_are_compared_in_three_ways(qtbot: QtBot, panel: GalleryPanel, folder: Path) -> None:
    ids = select(qtbot, panel, 0, 6)
    panel._grid.setFocus()
    qtbot.keyClick(panel._grid, Qt.Key.Key_M)
    view = panel._compare
    assert panel._stack.currentWidget() is view
    assert view.mode == "slider"
    first, second = (Gallery(folder).entry(id) for id in ids)
    assert [str(first.seed) in view.labels[0], str(second.seed) in view.labels[1]] == [True, True]
    assert view._divider.divided
    qtbot.keyClick(view._divider, Qt.Key.Key_M)
    assert (view.mode, view._first.image is not None, view._second.image is not None) == ("side", True, True)
    assert view._first.transform is view._second.transform
    qtbot.keyClick(view._first, Qt.Key.Key_M)
    assert view.mode == "flicker"
    assert view.turning
    seen = view._flicker.image
    qtbot.waitUntil(lambda: view._flicker.image != seen, timeout=PATIENCE)
    qtbot.keyClick(view._flicker, Qt.Key.Key_Space)
    assert not view.turning
    labels = view.labels
    qtbot.keyClick(view._flicker, Qt.Key.Key_C)
    assert view.labels == labels[::-1]
    qtbot.keyClick(view._flicker, Qt.Key.Key_Escape)
    assert panel._stack.currentWidget() is panel._grid
    assert panel._grid.selected_ids() == ids


def test_enter_opens_a_picture_large_and_escape_goes_back(qtbot: QtBot, panel: GalleryPanel) -> None:
    select(qtbot, panel, 4)
    panel._grid.setFocus()
    qtbot.keyClick(panel._grid, Qt.Key.Key_Return)
    assert panel._stack.currentWidget() is panel._compare
    assert panel._compare._divider.right is not None
    assert not panel._compare._buttons["side"].isVisible()
    qtbot.keyClick(panel._compare._divider, Qt.Key.Key_Escape)
    assert panel._stack.currentWidget() is panel._grid


def test_pictures_of_different_sizes_are_compared_at_one_size(qtbot: QtBot) -> None:
    view = CompareView()
    qtbot.addWidget(view)
    small, large = QImage(28, 28, QImage.Format.Format_RGB32), QImage(64, 64, QImage.Format.Format_RGB32)
    small.fill(QColor("red"))
    large.fill(QColor("blue"))
    view.show_two((small, "small"), (large, "large"))
    assert view._divider.left is not None and view._divider.right is not None
    assert view._divider.left.image.size() == view._divider.right.image.size()


def test_export_copies_the_files_and_lays_out_a_sheet(
    qtbot: QtBot, panel: GalleryPanel, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = select(qtbot, panel, 0, 1, 2)
    out = tmp_path / "out"
    out.mkdir()
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(out))
    panel._export_action.trigger()
    qtbot.waitUntil(lambda: len(list(out.glob("*.png"))) == 3, timeout=PATIENCE)
    assert {path.read_bytes() for path in out.glob("*.png")} == {
        entry.path.read_bytes() for entry in Gallery(folder).entries(ids)
    }
    sheet = tmp_path / "sheet.png"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(sheet), ""))
    panel._sheet_action.trigger()
    qtbot.waitUntil(sheet.is_file, timeout=PATIENCE)


def test_files_of_others_are_named(
    qtbot: QtBot, services: Services, make: Callable[[Path], GalleryPanel], folder: Path, notices: list[Notice]
) -> None:
    (folder / "holiday.png").write_bytes(b"no picture at all")
    services.host.start()
    panel = make(folder)
    qtbot.waitUntil(panel._skipped.isVisible, timeout=PATIENCE)
    assert "holiday.png" in panel._skipped.toolTip()
    panel._skipped.click()
    assert "holiday.png" in notices[-1].text
    assert len(panel._grid.ids) == 36


def test_a_picture_that_breaks_meanwhile_is_told_and_the_others_stay(
    qtbot: QtBot, panel: GalleryPanel, folder: Path
) -> None:
    id = panel._grid.ids[1]
    path = Gallery(folder).entry(id).path
    path.write_bytes(path.read_bytes()[:-60])
    panel.controller.thumbnails.forget()
    panel._grid._look()
    wait_cells(qtbot, panel)
    cell = panel._cell(id)
    assert cell is not None and cell.broken
    place = panel._grid.visualRect(panel._grid.model().index(1, 0)).center()
    qtbot.mouseClick(panel._grid.viewport(), Qt.MouseButton.LeftButton, pos=place)
    qtbot.waitUntil(lambda: "damaged" in panel._told.text(), timeout=PATIENCE)
    panel._delete_action.trigger()
    quiet(qtbot, panel)
    assert len(panel._grid.ids) == 35


def test_a_damaged_index_is_made_anew_while_the_panel_is_open(
    qtbot: QtBot, panel: GalleryPanel, folder: Path, notices: list[Notice]
) -> None:
    before = panel._grid.ids
    (folder / INDEX).write_bytes(b"nonsense" * 5000)
    panel._starred.click()
    qtbot.waitUntil(lambda: panel._stack.currentWidget() is panel._empty, timeout=PATIENCE)
    panel._starred.click()
    qtbot.waitUntil(lambda: panel._grid.ids == before, timeout=PATIENCE)
    assert not [notice for notice in notices if notice.kind == "error"]


def test_what_another_program_deleted_goes_when_the_panel_is_shown_again(
    qtbot: QtBot, panel: GalleryPanel, folder: Path
) -> None:
    ids = panel._grid.ids
    panel.hide()
    Gallery(folder).trash(ids[:4])
    panel.show()
    qtbot.waitUntil(lambda: panel._grid.ids == ids[4:], timeout=PATIENCE)


def test_the_size_of_the_pictures_is_remembered(
    qtbot: QtBot, panel: GalleryPanel, make: Callable[[Path], GalleryPanel], folder: Path
) -> None:
    before = panel._grid.thumbnail_side
    panel._size.setValue(200)
    assert panel._grid.thumbnail_side > before
    other = make(folder)
    assert (other._size.value(), other._grid.column) == (200, 200)
    quiet(qtbot, other)


def test_everything_can_be_reached_and_has_a_name(qtbot: QtBot, panel: GalleryPanel) -> None:
    select(qtbot, panel, 0, 1)
    assert nameless_controls(panel) == []
    assert unreachable_controls(panel) == []
    panel._compare_action.trigger()
    assert nameless_controls(panel) == []
    assert unreachable_controls(panel) == []
    assert panel.minimumSizeHint().width() <= MIN_WIDTH


# The grid by itself


@pytest.fixture
def asked() -> list[list[int]]:
    return []


@pytest.fixture
def grid(qtbot: QtBot, asked: list[list[int]], show: Callable[[QWidget], QWidget]) -> Iterator[GalleryView]:
    """Ten thousand rows, none of which is in memory."""

    def want(ids) -> None:
        asked.append(list(ids))

    view = GalleryView(Provider(cell=lambda id: None, words=lambda id: None, want=want))
    view.resize(560, 480)
    show(view)
    view.set_ids(list(range(10_000)))
    yield view


def test_ten_thousand_rows_answer_without_reading_and_ask_only_for_what_is_in_view(
    qtbot: QtBot, grid: GalleryView, asked: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a file was read")

    monkeypatch.setattr(gallery_thumbnails, "read_image", refuse)
    monkeypatch.setattr(Path, "read_bytes", refuse)
    qtbot.waitUntil(lambda: bool(asked), timeout=PATIENCE)
    model = grid.model()
    assert model.rowCount() == 10_000
    assert isinstance(model.data(model.index(9_999, 0), Qt.ItemDataRole.UserRole), Cell)
    assert model.data(model.index(9_999, 0)) == "Picture 10000"
    bar = grid.verticalScrollBar()
    bar.setValue(bar.maximum() // 2)
    shown = grid.rows_in_view()
    qtbot.waitUntil(lambda: asked[-1][: len(shown)] == list(shown), timeout=PATIENCE)
    # A screenful before and after it besides, no more.
    assert len(asked[-1]) <= 3 * len(shown)
    grid.viewport().grab()


def test_every_cell_stands_where_it_is_found(grid: GalleryView) -> None:
    model, bar = grid.model(), grid.verticalScrollBar()
    for value in (0, 1234, bar.maximum()):
        bar.setValue(value)
        shown = grid.rows_in_view()
        assert 12 <= len(shown) <= 60
        for row in shown:
            rect = grid.visualRect(model.index(row, 0))
            assert grid.indexAt(rect.center()).row() == row
            assert rect.left() >= 0
            assert rect.right() < grid.viewport().width()
    assert shown[-1] == 9_999
    assert not grid.indexAt(QPoint(-5, 10)).isValid()


def test_keys_move_over_the_grid(qtbot: QtBot, grid: GalleryView) -> None:
    grid.setFocus()
    grid.select_row(0)
    columns = grid._columns
    for key, row in (
        (Qt.Key.Key_Right, 1),
        (Qt.Key.Key_Down, 1 + columns),
        (Qt.Key.Key_Left, columns),
        (Qt.Key.Key_Up, 0),
        (Qt.Key.Key_Up, 0),
        (Qt.Key.Key_End, 9_999),
        (Qt.Key.Key_Down, 9_999),
        (Qt.Key.Key_Home, 0),
    ):
        qtbot.keyClick(grid, key)
        assert grid.selected_rows() == [row]
        assert row in grid.rows_in_view()
    qtbot.keyClick(grid, Qt.Key.Key_PageDown)
    assert grid.selected_rows()[0] > columns


def test_shift_selects_in_the_order_of_the_pictures(qtbot: QtBot, grid: GalleryView) -> None:
    def click(row: int, modifier: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
        place = grid.visualRect(grid.model().index(row, 0)).center()
        qtbot.mouseClick(grid.viewport(), Qt.MouseButton.LeftButton, modifier, place)

    columns, shift, control = grid._columns, Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.ControlModifier
    click(columns - 1)
    click(columns, shift)
    assert grid.selected_rows() == [columns - 1, columns]
    click(0, shift)
    assert grid.selected_rows() == list(range(columns))
    click(columns + 1, control)
    assert grid.selected_rows() == [*range(columns), columns + 1]
    click(2)
    qtbot.keyClick(grid, Qt.Key.Key_Right, shift)
    qtbot.keyClick(grid, Qt.Key.Key_Down, shift)
    assert grid.selected_rows() == list(range(2, 4 + columns))
    qtbot.keyClick(grid, Qt.Key.Key_A, control)
    assert len(grid.selected_ids()) == 10_000


def test_dragging_selects_a_rectangle(qtbot: QtBot, grid: GalleryView) -> None:
    model, viewport = grid.model(), grid.viewport()
    start = grid.visualRect(model.index(0, 0)).center()
    end = grid.visualRect(model.index(grid._columns + 1, 0)).center()
    grid.clearSelection()
    qtbot.mousePress(viewport, Qt.MouseButton.LeftButton, pos=start)
    for step in range(1, 6):
        qtbot.mouseMove(viewport, start + (end - start) * step / 5)
    qtbot.mouseRelease(viewport, Qt.MouseButton.LeftButton, pos=end)
    assert grid.selected_rows() == [0, 1, grid._columns, grid._columns + 1]


def test_rows_that_come_and_go_leave_selection_and_place_alone(grid: GalleryView) -> None:
    ids = grid.ids
    grid.verticalScrollBar().setValue(900)
    grid.select_ids([50, 60])
    resets: list[bool] = []
    grid.model().modelReset.connect(lambda: resets.append(True))
    grid.set_ids([10_001, 10_002, *ids[:10], *ids[12:55], *ids[56:]])
    assert not resets
    assert grid.selected_ids() == [50, 60]
    grid.set_ids(list(reversed(ids)))
    assert resets
    assert grid.selected_ids() == [60, 50]
    grid.set_ids([])
    assert grid.selected_ids() == []
    assert grid.rows_in_view() == range(0)


def test_the_model_keeps_the_rules_of_qt(qtmodeltester) -> None:
    model = GalleryModel(Provider(cell=lambda id: None, words=lambda id: ("name", "hint"), want=lambda ids: None))
    qtmodeltester.check(model)
    for ids in ([1, 2, 3], [0, 1, 3, 4], [4, 3], [], [7]):
        model.set_ids(ids)
        assert model.ids == ids
        assert [model.row(id) for id in ids] == list(range(len(ids)))


def test_the_columns_fill_any_width_and_the_same_pictures_stay_in_view(grid: GalleryView) -> None:
    for width in (400, 512, 777, 1100):
        grid.resize(width, 480)
        cells = grid._columns * grid.cell_size().width()
        assert 0 <= grid.viewport().width() - cells < grid._columns + grid.verticalScrollBar().sizeHint().width()
    grid.verticalScrollBar().setValue(5_000)
    first = grid.rows_in_view().start
    grid.set_column(180)
    assert first in grid.rows_in_view()
