"""The Laboratory page in the real window: sliders change figures, cursors are linked, stacks are edited, code runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot

from gui.controllers.laboratory_kinds import DILATED, FOUR, INPUT, SEPARABLE, STANDARD, TRANSPOSED
from gui.controllers.laboratory_maps import LEFT, RIGHT
from gui.controllers.laboratory_stack import OWN
from gui.main_window import MainWindow
from gui.page_registry import PAGES, shortcuts
from gui.pages.laboratory_field import FieldPanel, FieldView
from gui.pages.laboratory_kinds import HINT, KindsPanel, KindsView
from gui.pages.laboratory_maps import CheckerboardView, GriddingPanel, GriddingView
from gui.pages.laboratory_page import VIEWS, LaboratoryPage
from gui.pages.laboratory_stack import StackPanel, StackView
from gui.pages.laboratory_text import TextPanel, TextView
from gui.widgets.pixel_grid import PixelGrid
from tests.gui.controls import nameless_controls, unreachable_controls

PATIENCE = 60_000  # milliseconds; only reached when something is broken


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """Coarse noise, 4 : 3, so that neither shrinking nor cropping hides differences."""
    rng = np.random.default_rng(0)
    path = tmp_path / "patches.png"
    Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8).repeat(8, 0).repeat(8, 1)).save(path)
    return path


@pytest.fixture
def page(window: MainWindow, qtbot: QtBot, picture: Path) -> Iterator[LaboratoryPage]:
    """The page in the window, with a photo of 16 x 12 patches open, drawn in 16 pixels a line."""
    page = window.page("laboratory")
    assert isinstance(page, LaboratoryPage)
    page.open_paths([picture])
    page.controller.kinds.change(across=16, in_channels=8, out_channels=8, map_width=0, map_height=0)
    state = page.controller.kinds
    qtbot.waitUntil(
        lambda: (
            page.controller.title == picture.name
            and state.state.pixels is not None
            and state.state.pixels.shape == (12, 16, 3)
        ),
        timeout=PATIENCE,
    )
    yield page


def drawn(qtbot: QtBot, page: LaboratoryPage) -> None:
    """Wait until the pictures are those of the present settings."""
    kinds = page.controller.kinds
    qtbot.waitUntil(lambda: kinds.state.made_with == kinds.state.settings, timeout=PATIENCE)


def kinds_view(page: LaboratoryPage) -> KindsView:
    view = page.views["kinds"]
    assert isinstance(view, KindsView)
    return view


def kinds_panel(page: LaboratoryPage) -> KindsPanel:
    panel = page.panels["kinds"]
    assert isinstance(panel, KindsPanel)
    return panel


def shown(qtbot: QtBot, page: LaboratoryPage, key: str):
    """View and panel of another part of the page, by a click on its button."""
    QTest.mouseClick(page._view_buttons[key], Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: key in page.panels and page.panels[key].isVisible(), timeout=PATIENCE)
    return page.views[key], page.panels[key]


def point(grid: PixelGrid, row: int, column: int) -> QPoint:
    return grid.cell_rect(row, column).center().toPoint()


def move_to(grid: PixelGrid, row: int, column: int) -> None:
    # Twice: the first move only enters the widget.
    QTest.mouseMove(grid, point(grid, row, column) + QPoint(1, 0))
    QTest.mouseMove(grid, point(grid, row, column))


def test_the_page_has_its_own_key_whatever_the_others_are(window: MainWindow, qtbot: QtBot) -> None:
    keys = shortcuts(PAGES)
    assert keys["laboratory"] == "Ctrl+7" and "evaluate" not in keys
    assert len(set(keys.values())) == len(PAGES)
    qtbot.keyClick(window, Qt.Key.Key_7, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: "laboratory" in window.pages, timeout=PATIENCE)
    assert window.windowTitle().startswith("Laboratory")


def test_sliders_change_figures_and_pictures(qtbot: QtBot, page: LaboratoryPage) -> None:
    view, panel = kinds_view(page), kinds_panel(page)
    drawn(qtbot, page)
    assert view.table.value(STANDARD, "Weights") == view.table.value(DILATED, "Weights") == "576"
    assert view.table.value(SEPARABLE, "Weights") == "136"
    assert [view.table.value(DILATED, name) for name in ("Kernel spans", "Sees", "Output")] == ["5", "5", "16 × 12"]
    assert view.table.value(TRANSPOSED, "Output") == "32 × 24"
    assert view.table.value(STANDARD, "MACs") == "110,592"
    before = {kind: page.controller.kinds.state.outputs[kind] for kind in FOUR}
    panel.sliders["dilation"].setFocus()
    QTest.keyClick(panel.sliders["dilation"].focusProxy(), Qt.Key.Key_Right)
    drawn(qtbot, page)
    assert view.table.value(DILATED, "Kernel spans") == "7" and view.table.value(STANDARD, "Kernel spans") == "3"
    after = page.controller.kinds.state.outputs
    assert (after[DILATED] != before[DILATED]).any()
    np.testing.assert_array_equal(after[STANDARD], before[STANDARD])
    panel.sliders["stride"].set_value(2)
    drawn(qtbot, page)
    assert view.outputs[STANDARD].cells == (6, 8) and view.outputs[TRANSPOSED].cells == (24, 32)
    panel.keep_size.setChecked(False)
    panel.sliders["padding"].set_value(0)
    drawn(qtbot, page)
    assert view.outputs[STANDARD].cells == (5, 7)
    assert view.table.value(STANDARD, "Output") == "7 × 5"


def test_groups_move_to_numbers_that_divide_the_channels(page: LaboratoryPage) -> None:
    view, groups = kinds_view(page), kinds_panel(page).sliders["groups"]
    groups.set_value(3)
    assert groups.value == 4 and view.table.value(STANDARD, "Weights") == "144"
    groups.set_value(3)
    assert groups.value == 2
    groups.set_value(8)
    assert view.table.value(STANDARD, "Weights") == "72"
    assert view.table.value(SEPARABLE, "Weights") == "136"


def test_a_kernel_that_does_not_fit_says_so_and_the_others_go_on(qtbot: QtBot, page: LaboratoryPage) -> None:
    view, panel = kinds_view(page), kinds_panel(page)
    panel.keep_size.setChecked(False)
    panel.sliders["padding"].set_value(0)
    panel.sliders["kernel"].set_value(4)
    panel.sliders["dilation"].set_value(6)
    drawn(qtbot, page)
    assert "no output" in page.controller.kinds.state.problems[DILATED]
    assert view.outputs[DILATED].cells == (0, 0) and view.outputs[STANDARD].cells == (9, 13)
    assert view.table.value(DILATED, "Weights") == "–" != view.table.value(STANDARD, "Weights")
    assert page.controller.kinds.code().startswith("# Layer 1 has no output")


def test_an_output_lights_up_what_it_reads(qtbot: QtBot, page: LaboratoryPage) -> None:
    view = kinds_view(page)
    drawn(qtbot, page)
    assert view.readout.text() == HINT
    move_to(view.outputs[DILATED], 5, 7)
    assert set(view.input.marks) == {(row, column) for row in (3, 5, 7) for column in (5, 7, 9)}
    assert set(view.outputs[DILATED].marks) == {(5, 7)} and not view.outputs[STANDARD].marks
    assert "row 6, column 8 reads 9 input pixels, 5 × 5 across" in view.readout.text()
    move_to(view.outputs[DILATED], 0, 0)
    assert "4 input pixels and 5 zeros" in view.readout.text()
    QTest.mouseMove(view.table, QPoint(2, 2))
    view.outputs[DILATED].pointed.emit(None)
    assert not view.input.marks and view.readout.text() == HINT


def test_an_input_lights_up_who_reads_it(qtbot: QtBot, page: LaboratoryPage) -> None:
    view = kinds_view(page)
    drawn(qtbot, page)
    move_to(view.input, 5, 7)
    assert set(view.outputs[STANDARD].marks) == {(row, column) for row in (4, 5, 6) for column in (6, 7, 8)}
    assert set(view.outputs[DILATED].marks) == {(row, column) for row in (3, 5, 7) for column in (5, 7, 9)}
    assert set(view.outputs[TRANSPOSED].marks) == {(row, column) for row in (9, 10, 11) for column in (13, 14, 15)}
    for kind in FOUR:
        for cell in view.outputs[kind].marks:
            links = page.controller.kinds.links(kind, cell)
            assert links is not None and (5, 7) in links.inputs, "both ways agree"


def test_a_click_pins_and_escape_lets_go(qtbot: QtBot, page: LaboratoryPage) -> None:
    view, kinds = kinds_view(page), page.controller.kinds
    drawn(qtbot, page)
    QTest.mouseClick(view.outputs[SEPARABLE], Qt.MouseButton.LeftButton, pos=point(view.outputs[SEPARABLE], 4, 4))
    assert kinds.pinned and kinds.state.active == SEPARABLE
    held = dict(view.input.marks)
    assert set(held) == {(row, column) for row in (3, 4, 5) for column in (3, 4, 5)}
    move_to(view.outputs[STANDARD], 8, 8)
    assert dict(view.input.marks) == held, "a held pixel stays while the cursor moves"
    QTest.keyClick(view.outputs[SEPARABLE], Qt.Key.Key_Escape)
    assert not kinds.pinned
    QTest.mouseClick(view.input, Qt.MouseButton.LeftButton, pos=point(view.input, 2, 2))
    assert kinds.pinned
    QTest.mouseClick(view.input, Qt.MouseButton.LeftButton, pos=point(view.input, 2, 2))
    assert not kinds.pinned, "the same pixel once more"


def test_the_cursor_follows_the_arrow_keys(qtbot: QtBot, page: LaboratoryPage) -> None:
    view = kinds_view(page)
    drawn(qtbot, page)
    view.input.setFocus(Qt.FocusReason.TabFocusReason)
    QTest.keyClick(view.input, Qt.Key.Key_Right)
    assert set(view.input.marks) == {(6, 9)}
    QTest.keyClick(view.input, Qt.Key.Key_Up)
    assert set(view.input.marks) == {(5, 9)}
    QTest.keyClick(view.input, Qt.Key.Key_Return)
    assert page.controller.kinds.pinned


def test_the_window_slides_step_by_step_and_by_itself(qtbot: QtBot, page: LaboratoryPage) -> None:
    view, kinds = kinds_view(page), page.controller.kinds
    drawn(qtbot, page)
    bar = view.play_bar
    QTest.mouseClick(view.table.buttons[STANDARD], Qt.MouseButton.LeftButton)
    QTest.mouseClick(bar.on_button, Qt.MouseButton.LeftButton)
    QTest.mouseClick(bar.on_button, Qt.MouseButton.LeftButton)
    assert kinds.state.moment == 1 and set(view.outputs[STANDARD].marks) == {(0, 1)}
    assert (0, 0) in view.input.marks and (1, 2) in view.input.marks
    QTest.mouseClick(bar.back_button, Qt.MouseButton.LeftButton)
    assert kinds.state.moment == 0
    bar.slider.setValue(17)
    assert set(view.outputs[STANDARD].marks) == {(1, 1)}
    kinds.set_speed(100)
    QTest.mouseClick(bar.play_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: (kinds.state.moment or 0) > 20, timeout=PATIENCE)
    QTest.mouseClick(bar.play_button, Qt.MouseButton.LeftButton)
    assert not kinds.state.playing
    bar.slider.setValue(190)
    kinds.play()
    qtbot.waitUntil(lambda: not kinds.state.playing, timeout=PATIENCE)
    assert kinds.state.moment == 191, "it stops at the last output"
    QTest.mouseClick(bar.stop_button, Qt.MouseButton.LeftButton)
    assert kinds.state.moment is None


def test_every_kind_is_timed_on_this_machine(qtbot: QtBot, page: LaboratoryPage) -> None:
    view, kinds = kinds_view(page), page.controller.kinds
    qtbot.waitUntil(lambda: set(kinds.state.timings) == set(FOUR), timeout=PATIENCE)
    assert all(view.table.value(kind, "Time").endswith(" ms") for kind in FOUR)
    kinds_panel(page).sliders["kernel"].set_value(5)
    assert not kinds.state.timings, "times of other layers are not shown"
    QTest.mouseClick(kinds_panel(page).measure_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: set(kinds.state.timings) == set(FOUR), timeout=PATIENCE)


def answer(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_args, **_more: (str(path), ""))


def trigger(page: LaboratoryPage, text: str) -> None:
    next(action for action in page.page_actions() if action.text() == text).trigger()


def test_gif_png_and_code_are_written(
    qtbot: QtBot, page: LaboratoryPage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn(qtbot, page)
    answer(monkeypatch, tmp_path / "window.gif")
    trigger(page, "Save GIF…")
    qtbot.waitUntil((tmp_path / "window.gif").exists, timeout=PATIENCE)
    with Image.open(tmp_path / "window.gif") as image:
        assert getattr(image, "n_frames", 1) == 16 * 12
    answer(monkeypatch, tmp_path / "moment.png")
    page.controller.kinds.go_to(30)
    trigger(page, "Save PNG…")
    qtbot.waitUntil((tmp_path / "moment.png").exists, timeout=PATIENCE)
    answer(monkeypatch, tmp_path / "layers.py")
    trigger(page, "Save code…")
    qtbot.waitUntil((tmp_path / "layers.py").exists, timeout=PATIENCE)
    scope: dict[str, object] = {}
    exec((tmp_path / "layers.py").read_text(), scope)
    assert tuple(getattr(scope["output"], "shape", ())) == (1, 8, 12, 16)
    trigger(page, "Copy code")
    assert QGuiApplication.clipboard().text() == (tmp_path / "layers.py").read_text()
    assert not page._services.notices.errors


# The stack


@pytest.fixture
def stack(qtbot: QtBot, page: LaboratoryPage) -> tuple[StackView, StackPanel]:
    view, panel = shown(qtbot, page, "stack")
    assert isinstance(view, StackView) and isinstance(panel, StackPanel)
    return view, panel


def cell(view: StackView, row: int, head: str) -> str:
    model = view.table.model()
    heads = [model.headerData(column, Qt.Orientation.Horizontal) for column in range(model.columnCount())]
    return model.index(row, heads.index(head)).data()


def test_layers_are_edited_and_undone(qtbot: QtBot, stack: tuple[StackView, StackPanel]) -> None:
    view, panel = stack
    controller = view.controller
    assert [cell(view, row, "Sees") for row in range(3)] == ["5", "9", "13"]
    panel.sliders["rate"].set_value(5)
    assert cell(view, 2, "Sees") == "19" and controller.state.name == OWN
    QTest.mouseClick(panel.buttons["add"], Qt.MouseButton.LeftButton)
    assert view.table.model().rowCount() == 4 and controller.state.chosen == 3
    panel.kind_box.setCurrentIndex(panel.kind_box.findData("transposed"))
    panel.kind_box.activated.emit(panel.kind_box.currentIndex())
    assert cell(view, 3, "Output") == "64 × 256 × 192" and cell(view, 3, "Step") == "1/2"
    QTest.mouseClick(panel.buttons["up"], Qt.MouseButton.LeftButton)
    assert cell(view, 2, "Layer").endswith("Transposed")
    QTest.mouseClick(panel.buttons["remove"], Qt.MouseButton.LeftButton)
    assert view.table.model().rowCount() == 3
    for _ in range(5):
        QTest.mouseClick(panel.buttons["undo"], Qt.MouseButton.LeftButton)
    assert [cell(view, row, "Sees") for row in range(3)] == ["5", "9", "13"]
    assert not panel.buttons["undo"].isEnabled()
    QTest.mouseClick(panel.buttons["redo"], Qt.MouseButton.LeftButton)
    assert cell(view, 2, "Sees") == "19"


def test_the_field_of_the_chosen_layer_is_shown_where_the_photo_is_clicked(
    qtbot: QtBot, stack: tuple[StackView, StackPanel]
) -> None:
    view, _ = stack
    controller = view.controller
    qtbot.waitUntil(lambda: controller.state.seen is not None, timeout=PATIENCE)
    assert controller.state.seen is not None and controller.state.seen.pixels == 49
    view.canvas.transform.fit()
    place = view.canvas.transform.to_view(QPointF(40.5, 30.5)) / view.canvas.devicePixelRatioF()
    QTest.mouseClick(view.canvas, Qt.MouseButton.LeftButton, pos=place.toPoint())
    qtbot.waitUntil(lambda: controller.state.seen is not None and controller.state.seen.output == (30, 40))
    assert view.canvas.box is not None and view.canvas.box.getRect() == (34, 24, 13, 13)
    view.table.selectRow(0)
    qtbot.waitUntil(lambda: controller.state.seen is not None and controller.state.seen.box == (38, 28, 5, 5))
    assert "Layer 1 sees 5 × 5, 36 % of it" in view.canvas.text


def test_presets_and_own_models_can_be_taken(qtbot: QtBot, stack: tuple[StackView, StackPanel]) -> None:
    view, panel = stack
    qtbot.waitUntil(lambda: bool(view.controller.state.own_stacks), timeout=PATIENCE)
    names = [panel.preset_box.itemText(index) for index in range(panel.preset_box.count())]
    assert {"U-Net", "RegSeg", "Dilation8 context module"} < set(names)
    for name in ("RegSeg", view.controller.state.own_stacks[0].name, "U-Net"):
        panel.preset_box.setCurrentIndex(names.index(name))
        panel.preset_box.activated.emit(names.index(name))
        assert view.controller.state.name == name and not view.controller.state.problem
        assert panel.totals.value("Weights") not in ("", "–")
    panel.preset_box.activated.emit(panel.preset_box.currentIndex())
    scope: dict[str, object] = {}
    view.controller.take(view.controller.presets[0])
    exec(view.controller.code(), scope)
    assert tuple(getattr(scope["output"], "shape", ())) == (1, 64, 96, 128)


def test_rates_side_by_side_are_typed(stack: tuple[StackView, StackPanel]) -> None:
    view, panel = stack
    panel.groups_box.setCurrentIndex(panel.groups_box.findData(8))
    panel.groups_box.activated.emit(panel.groups_box.currentIndex())
    panel.rates_field.setText("1, 4")
    panel.rates_field.editingFinished.emit()
    assert cell(view, 2, "d") == "1, 4" and cell(view, 2, "Sees") == "17"
    panel.rates_field.setText("nonsense")
    panel.rates_field.editingFinished.emit()
    assert panel.rates_field.text() == "1, 4"


# The other views


def test_gridding_shows_holes_and_their_absence(qtbot: QtBot, page: LaboratoryPage) -> None:
    view, panel = shown(qtbot, page, "gridding")
    assert isinstance(view, GriddingView) and isinstance(panel, GriddingPanel)
    assert "29 %" in view.titles[LEFT].text() and "100 %" in view.titles[RIGHT].text()
    assert panel.tables[LEFT].value("Read") == "49 of 169 pixels"
    panel.fields[LEFT].setText("1 2 3")
    panel.fields[LEFT].editingFinished.emit()
    assert panel.fields[LEFT].text() == "1-2-3" and "100 %" in view.titles[LEFT].text()
    panel.fields[LEFT].setText("4-4")
    panel.fields[LEFT].editingFinished.emit()
    middle = view.grids[LEFT].cells[0] // 2
    move_to(view.grids[LEFT], middle, middle + 4)
    assert "6 paths from +4 across, +0 down" in view.readout
    panel.fields[LEFT].setText("64-64")
    panel.fields[LEFT].editingFinished.emit()
    assert view.grids[LEFT].cells == (0, 0)
    panel.kernel.set_value(2)
    assert panel.tables[RIGHT].value("Weights") == "12"


def test_only_the_first_way_to_enlarge_is_uneven(qtbot: QtBot, page: LaboratoryPage) -> None:
    view, _ = shown(qtbot, page, "checkerboard")
    assert isinstance(view, CheckerboardView)
    qtbot.waitUntil(lambda: bool(view.controller.state.doublings), timeout=PATIENCE)
    three, four, resized = view.captions()
    assert "4 : 1" in three and "equally" in four and "equally" in resized
    assert all(grid.cells == (30, 40) for grid in view.pictures)
    view.controller.change(filter="random", seed=3)
    qtbot.waitUntil(lambda: "equally" not in view.captions()[1], timeout=PATIENCE)
    assert "equally" in view.captions()[2]


def test_the_used_field_of_a_model_lies_around_the_click(qtbot: QtBot, page: LaboratoryPage) -> None:
    view, panel = shown(qtbot, page, "field")
    assert isinstance(view, FieldView) and isinstance(panel, FieldPanel)
    controller = view.controller
    qtbot.waitUntil(lambda: controller.state.field is not None, timeout=PATIENCE)
    first = controller.state.field
    controller.look_from(20, 70)
    qtbot.waitUntil(lambda: controller.state.field is not first and not controller.state.busy, timeout=PATIENCE)
    field = controller.state.field
    assert field is not None and abs(field.column - 20) <= 8 and abs(field.row - 70) <= 8
    box = view.canvas.box
    assert box is not None and box.contains(20, 70)
    assert panel.table.value("Really uses").endswith("pixels")
    others = [card.name for card in controller.state.models if card.name != controller.state.model]
    if others:
        controller.set_model(others[0])
        qtbot.waitUntil(lambda: controller.state.found_by == others[0], timeout=PATIENCE)


def test_a_typed_sentence_shows_its_field_in_characters(qtbot: QtBot, page: LaboratoryPage) -> None:
    view, panel = shown(qtbot, page, "text")
    assert isinstance(view, TextView) and isinstance(panel, TextPanel)
    assert panel.table.value("Sees") == "16 characters"
    panel.layers.set_value(3)
    assert panel.table.value("Sees") == "8 characters"
    panel.doubling.setChecked(False)
    assert panel.table.value("Sees") == "4 characters"
    view.field.clear()
    QTest.keyClicks(view.field, "abcdef")
    assert "reads 4 characters, back to “c”" in view.caption
    view.view.setFocus()
    QTest.keyClick(view.view, Qt.Key.Key_Left)
    assert "over “e” reads 4 characters, back to “b”" in view.caption
    controller = page.controller.text
    qtbot.waitUntil(lambda: controller.state.influence is not None, timeout=PATIENCE)
    assert controller.state.influence is not None
    assert [bool(value) for value in controller.state.influence] == [False, True, True, True, True, False]
    view.field.clear()
    view.field.textEdited.emit("")
    assert view.caption == ""


@pytest.mark.parametrize("key", list(VIEWS))
def test_every_view_is_named_reachable_and_fits_the_smallest_window(
    window: MainWindow, qtbot: QtBot, page: LaboratoryPage, key: str
) -> None:
    shown(qtbot, page, key)
    window.resize(1024, 680)
    qtbot.wait(1)
    assert window.size().toTuple() == (1024, 680)
    assert nameless_controls(page, page.inspector()) == []
    assert unreachable_controls(page, page.inspector()) == []


def test_every_view_can_be_saved_as_it_is_shown(
    qtbot: QtBot, page: LaboratoryPage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    view, _ = shown(qtbot, page, "gridding")
    answer(monkeypatch, tmp_path / "gridding.png")
    trigger(page, "Save PNG…")
    qtbot.waitUntil((tmp_path / "gridding.png").exists, timeout=PATIENCE)
    with Image.open(tmp_path / "gridding.png") as image:
        assert image.size == (view.width(), view.height())


def test_nothing_plays_or_measures_while_another_page_is_shown(
    window: MainWindow, qtbot: QtBot, page: LaboratoryPage
) -> None:
    kinds = page.controller.kinds
    drawn(qtbot, page)
    kinds.play()
    assert kinds.state.playing
    window.page("generate")
    assert not kinds.state.playing
    assert page.controller.kinds.links(INPUT, (0, 0)) is not None
