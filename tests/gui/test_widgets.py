"""Sliders, sections, thumbnails, toasts and what goes with them."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractButton, QDoubleSpinBox, QLabel, QPushButton, QSlider, QToolButton
from pytestqt.qtbot import QtBot

from gui.services.context import Services
from gui.services.qimage import to_qimage
from gui.widgets.busy import DELAY, Busy
from gui.widgets.empty_state import EmptyState
from gui.widgets.flow_grid import FlowGrid, Thumbnail
from gui.widgets.labeled_slider import LabeledSlider
from gui.widgets.section import Section


@pytest.fixture
def slider(services: Services, show) -> LabeledSlider:
    return show(LabeledSlider("Quality", 0, 100, 50, decimals=1, hint="Higher is better"))


def button(owner, name: str) -> QAbstractButton:
    return next(
        child for child in owner.findChildren(QAbstractButton) if name in (child.accessibleName(), child.text())
    )


def test_slider_number_and_value_agree(slider: LabeledSlider, qtbot: QtBot) -> None:
    heard: list[float] = []
    slider.value_changed.connect(heard.append)
    slider.set_value(71.5)
    number, handle = slider.findChild(QDoubleSpinBox), slider.findChild(QSlider)
    assert number is not None and handle is not None
    assert (number.value(), handle.value(), heard) == (71.5, 715, [71.5])
    number.setValue(20)
    assert (slider.value, handle.value(), heard) == (20.0, 200, [71.5, 20.0])
    slider.set_value(1000)
    assert slider.value == 100.0
    slider.set_value(30, emit=False)
    assert slider.value == 30.0 and heard[-1] == 100.0


def test_keys_move_the_slider_and_count_as_letting_go(slider: LabeledSlider, qtbot: QtBot) -> None:
    handle = slider.findChild(QSlider)
    assert handle is not None
    with qtbot.waitSignals([slider.value_changed, slider.slider_released]):
        qtbot.keyClick(handle, Qt.Key.Key_Right)
    assert slider.value == 51.0
    with qtbot.waitSignal(slider.slider_released):
        qtbot.keyClick(handle, Qt.Key.Key_Home)
    assert slider.value == 0.0


def test_reset_is_offered_only_when_something_differs(slider: LabeledSlider, qtbot: QtBot) -> None:
    reset = button(slider, "Reset Quality")
    assert not reset.isEnabled()
    slider.set_value(60)
    assert reset.isEnabled()
    with qtbot.waitSignal(slider.slider_released):
        reset.click()
    assert slider.value == 50.0 and not reset.isEnabled()


def test_another_range_keeps_the_value_inside(slider: LabeledSlider) -> None:
    slider.set_value(90)
    slider.set_range(0, 10, 5)
    assert slider.value == 10.0
    slider.reset()
    assert slider.value == 5.0


def test_a_section_folds_and_offers_reset(services: Services, show, qtbot: QtBot) -> None:
    section = Section("Overlay", resettable=True)
    section.add(QLabel("inside"))
    show(section)
    reset = button(section, "Reset Overlay")
    assert section.body.isVisible() and not reset.isEnabled()
    button(section, "Overlay, section").click()
    assert not section.body.isVisible() and not section.expanded
    section.set_at_default(False)
    with qtbot.waitSignal(section.reset_requested):
        reset.click()


def thumbnails(count: int) -> list[Thumbnail]:
    image = to_qimage(np.zeros((8, 8, 3), np.uint8))
    return [Thumbnail(image, f"picture {number}", data=number) for number in range(count)]


def test_thumbnails_are_selected_by_keys_and_opened(services: Services, show, qtbot: QtBot) -> None:
    grid = FlowGrid(thumbnail_side=48, captions=True, multiple=True)
    grid.resize(400, 300)
    show(grid)
    grid.set_items(thumbnails(12))
    grid.select_row(0)
    qtbot.keyClick(grid, Qt.Key.Key_Right)
    assert grid.selected_rows() == [1]
    qtbot.keyClick(grid, Qt.Key.Key_Right, Qt.KeyboardModifier.ShiftModifier)
    assert grid.selected_rows() == [1, 2]
    with qtbot.waitSignal(grid.opened) as signal:
        qtbot.keyClick(grid, Qt.Key.Key_Return)
    assert signal.args == [2]
    grid.append(*thumbnails(1))
    assert len(grid.items) == 13 and grid.selected_rows() == [1, 2]
    grid.change(0, Thumbnail(grid.items[0].image, "new"))
    assert grid.items[0].caption == "new" and grid.selected_rows() == [1, 2]
    grid.set_items([])
    assert grid.selected_rows() == []


def test_ten_thousand_thumbnails_paint_only_what_is_seen(services: Services, show, monkeypatch) -> None:
    painted: list[int] = []
    grid = FlowGrid(thumbnail_side=48)
    grid.resize(400, 300)
    grid.set_items(thumbnails(10_000))
    delegate = grid.itemDelegate()
    original = type(delegate).paint
    monkeypatch.setattr(
        type(delegate), "paint", lambda self, *rest: (painted.append(rest[2].row()), original(self, *rest))[1]
    )
    show(grid)
    grid.grab()
    assert painted and len(set(painted)) < 100


def test_busy_shows_only_what_takes_a_while(services: Services, show, qtbot: QtBot) -> None:
    ring = show(Busy())
    ring.set_busy(True)
    ring.set_busy(False)
    assert not ring._shown
    ring.set_busy(True)
    qtbot.waitUntil(lambda: ring._shown, timeout=20 * DELAY)
    ring.set_busy(False)
    assert not ring._shown


def test_an_empty_place_says_what_to_do_next(services: Services, show) -> None:
    done: list[bool] = []
    place = show(EmptyState("image", "No photo", "Drop one here.", "Open…", lambda: done.append(True)))
    button(place, "Open…").click()
    assert done == [True]
    place.set_text("Nothing found", "Try another folder. " * 8)
    texts = [label.text() for label in place.findChildren(QLabel)]
    assert "Nothing found" in texts
    assert place.findChild(QPushButton) is not None and place.findChild(QToolButton) is None
