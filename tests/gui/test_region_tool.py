"""The region of interest and the crop: drawn with the mouse at any zoom, kept in the picture's coordinates."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies
from PySide6.QtCore import QPoint, QPointF, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QImage, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from gui.services.context import Services
from gui.services.qimage import to_pixels
from gui.widgets.crop_frame import GRIPS, moved, pulled, spanned, whole_pixels
from gui.widgets.divider_view import DividerView
from gui.widgets.pyramid import Pyramid
from gui.widgets.region_mask import LONGEST, RegionMask
from gui.widgets.region_tool import RegionTool

WIDTH, HEIGHT = 400, 300
GREY = 120


def picture(width: int, height: int) -> Pyramid:
    return Pyramid.of_pixels(np.full((height, width, 3), GREY, np.uint8))


@pytest.fixture
def view(services: Services, show) -> DividerView:
    """A view of 400 x 300 that shows a picture of 800 x 600 as a whole."""
    view = DividerView()
    view.resize(WIDTH, HEIGHT)
    view.set_pictures(picture(800, 600), picture(800, 600))
    view.set_position(1.0)
    show(view)
    return view


@pytest.fixture
def tool(view: DividerView) -> RegionTool:
    return RegionTool(view)


def drag(
    view: DividerView,
    *points: tuple[int, int],
    button: Qt.MouseButton = Qt.MouseButton.LeftButton,
    held: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier,
) -> None:
    QTest.mousePress(view, button, held, QPoint(*points[0]))
    for point in points[1:]:
        QTest.mouseMove(view, QPoint(*point))
    QTest.mouseRelease(view, button, held, QPoint(*points[-1]))


def wheel(view: DividerView, steps: int, held: Qt.KeyboardModifier) -> None:
    spot = QPointF(200, 150)
    event = QWheelEvent(
        spot, spot, QPoint(), QPoint(0, 120 * steps), Qt.MouseButton.NoButton, held, Qt.ScrollPhase.NoScrollPhase, False
    )
    QApplication.sendEvent(view, event)


def grab(view: DividerView) -> np.ndarray:
    pixels, _ = to_pixels(view.grab().toImage().convertToFormat(QImage.Format.Format_RGB32))
    return pixels


def chosen(tool: RegionTool) -> np.ndarray:
    mask = tool.mask()
    assert mask is not None
    return mask


# -- the mask


def test_a_rectangle_chooses_the_picture_under_it(view: DividerView, tool: RegionTool) -> None:
    tool.set_mode("rectangle")
    drag(view, (50, 60), (150, 100), (200, 160))
    wanted = np.zeros((600, 800), bool)
    wanted[120:320, 100:400] = True
    np.testing.assert_array_equal(chosen(tool), wanted)
    drag(view, (300, 200), (320, 220))
    wanted[400:440, 600:640] = True
    np.testing.assert_array_equal(chosen(tool), wanted)
    drag(view, (50, 60), (100, 160), held=Qt.KeyboardModifier.ControlModifier)
    wanted[120:320, 100:200] = False
    np.testing.assert_array_equal(chosen(tool), wanted)
    assert tool.coverage() == pytest.approx(wanted.mean())


def test_the_brush_paints_a_round_line_of_its_size_on_the_screen(view: DividerView, tool: RegionTool) -> None:
    tool.set_mode("brush")
    tool.set_brush(20)
    drag(view, (100, 100), (200, 100))
    mask = chosen(tool)
    y, x = np.mgrid[:600, :800] + 0.5
    # 20 screen pixels are 40 of the picture, which is shown at half its size.
    away = np.hypot(np.maximum(0, np.abs(x - 300) - 100), y - 200)
    assert mask[away < 19].all() and not mask[away > 21].any()
    tool.clear()
    view.transform.set_zoom(4.0)
    drag(view, (100, 100), (100, 100))
    assert np.sqrt(chosen(tool).sum() / np.pi) == pytest.approx(10 / 4, abs=0.4)


def test_the_eraser_takes_away_what_the_brush_put(view: DividerView, tool: RegionTool) -> None:
    tool.set_mode("brush")
    drag(view, (100, 100), (200, 100))
    painted = chosen(tool)
    tool.set_mode("eraser")
    drag(view, (150, 100), (200, 100))
    left = chosen(tool)
    assert painted[200, 400] and not left[200, 400] and left[200, 200]
    drag(view, (100, 100), (150, 100))
    assert tool.mask() is None


def test_a_slow_and_a_fast_mouse_paint_the_same_line(view: DividerView, tool: RegionTool) -> None:
    tool.set_mode("brush")
    drag(view, (100, 100), (300, 200))
    fast = chosen(tool)
    tool.clear()
    drag(view, *((100 + 20 * step, 100 + 10 * step) for step in range(11)))
    assert (fast != chosen(tool)).mean() < 1e-4


def test_a_very_small_brush_still_paints(qapp) -> None:
    mask = RegionMask(QSize(6000, 4000))
    mask.draw_line(QPointF(10.9, 20.1), QPointF(14.1, 20.1), 0.01, True)
    assert mask.cells[20, 10] and mask.cells[20, 14] and mask.cells.any(axis=1).sum() == 1


@pytest.mark.parametrize(
    ("size", "cells"), [((800, 600), (600, 800)), ((6000, 4000), (683, 1024)), ((3, 90000), (1024, 1))]
)
def test_the_grid_has_at_most_1024_cells_a_side(qapp, size: tuple[int, int], cells: tuple[int, int]) -> None:
    assert RegionMask(QSize(*size)).cells.shape == cells
    assert max(cells) <= LONGEST


def test_drawing_is_told_while_the_mouse_moves_and_a_change_when_the_stroke_ends(
    view: DividerView, tool: RegionTool
) -> None:
    told: list[str] = []
    tool.drawing.connect(lambda: told.append("drawing"))
    tool.changed.connect(lambda: told.append("changed"))
    tool.set_mode("brush")
    drag(view, (100, 100), (120, 100), (140, 100))
    assert told == ["drawing", "drawing", "changed"]
    drag(view, (120, 100), (120, 100))
    assert "changed" not in told[3:], "a stroke that changes nothing is none"


def test_strokes_are_undone_and_redone_one_by_one(view: DividerView, tool: RegionTool) -> None:
    tool.set_mode("rectangle")
    states: list[np.ndarray | None] = [tool.mask()]
    for step in (lambda: drag(view, (50, 50), (90, 90)), lambda: drag(view, (200, 50), (290, 90)), tool.invert):
        step()
        states.append(tool.mask())
    for state in reversed(states[:-1]):
        tool.undo()
        np.testing.assert_array_equal(tool.mask(), state)  # type: ignore[arg-type]
    assert not tool.can_undo
    tool.undo()
    for state in states[1:]:
        QTest.keyClick(view, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)
        np.testing.assert_array_equal(tool.mask(), state)  # type: ignore[arg-type]
    assert not tool.can_redo
    QTest.keyClick(view, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    drag(view, (10, 250), (20, 260))
    assert not tool.can_redo, "a new stroke ends what could be brought back"


def test_a_mask_of_any_resolution_can_be_given(tool: RegionTool) -> None:
    coarse = np.zeros((3, 4), bool)
    coarse[1, 2] = True
    tool.set_mask(coarse)
    wanted = coarse.repeat(200, 0).repeat(200, 1)
    np.testing.assert_array_equal(chosen(tool), wanted)
    tool.invert()
    np.testing.assert_array_equal(chosen(tool), ~wanted)
    tool.set_mask(None)
    assert tool.mask() is None
    tool.undo()
    np.testing.assert_array_equal(chosen(tool), ~wanted)


def test_the_mask_stays_on_the_photo_in_another_size_and_leaves_with_it(view: DividerView, tool: RegionTool) -> None:
    tool.set_mode("rectangle")
    drag(view, (200, 150), (400, 300))
    view.set_pictures(picture(400, 300), picture(400, 300))
    half = chosen(tool)
    assert half.shape == (300, 400) and half[150:, 200:].all() and half.sum() == 150 * 200
    view.set_pictures(picture(300, 400), picture(300, 400))
    assert tool.mask() is None
    tool.set_mask(np.ones((4, 3), bool))
    tool.reset()
    assert tool.mask() is None and not tool.can_undo


def test_the_mask_is_shown_tinted_with_an_outline(view: DividerView, tool: RegionTool) -> None:
    bare = grab(view)
    tool.set_mask(np.arange(800)[None].repeat(600, 0) < 400)
    shown = grab(view).astype(int)
    inside, edge, outside = shown[150, 100], shown[150, 197:204], shown[150, 300]
    assert (outside == GREY).all()
    assert (inside != GREY).any() and inside[2] > inside[0], "tinted by the accent, which is blue"
    assert edge.max() > 220 and edge.min() < 90, "a light line on a dark one"
    tool.set_shown(False)
    np.testing.assert_array_equal(grab(view), bare)


def test_the_outline_goes_around_every_chosen_cell(qapp) -> None:
    mask = RegionMask(QSize(5, 4))
    mask.cells[1:3, 1:4] = True
    mask.cells[2, 2] = False
    path = mask.outline()
    ends = [path.elementAt(number) for number in range(path.elementCount())]
    lines = {
        tuple(int(value) for value in (start.x, start.y, end.x, end.y))  # type: ignore[attr-defined]
        for start, end in zip(ends[::2], ends[1::2], strict=True)
    }
    assert lines == {
        *((1, 1, 4, 1), (1, 3, 2, 3), (3, 3, 4, 3), (2, 2, 3, 2)),
        *((1, 1, 1, 3), (4, 1, 4, 3), (2, 2, 2, 3), (3, 2, 3, 3)),
    }


# -- tool and canvas


def test_without_a_tool_the_left_button_pans_and_with_one_the_others_do(view: DividerView, tool: RegionTool) -> None:
    view.transform.actual_size()
    for mode, button in (
        ("none", Qt.MouseButton.LeftButton),
        ("brush", Qt.MouseButton.MiddleButton),
        ("crop", Qt.MouseButton.RightButton),
    ):
        tool.set_mode(mode)
        before = view.transform.center
        drag(view, (60, 60), (70, 60), (80, 70), button=button)
        assert view.transform.center == before - QPointF(20, 10)
    assert tool.mask() is None and tool.crop_rect() is None


def test_escape_gives_up_the_stroke_and_then_the_tool(view: DividerView, tool: RegionTool) -> None:
    modes: list[str] = []
    tool.mode_changed.connect(modes.append)
    tool.set_mode("brush")
    QTest.mousePress(view, Qt.MouseButton.LeftButton, pos=QPoint(100, 100))
    QTest.mouseMove(view, QPoint(150, 100))
    QTest.keyClick(view, Qt.Key.Key_Escape)
    assert tool.mask() is None and tool.mode == "brush"
    QTest.mouseRelease(view, Qt.MouseButton.LeftButton, pos=QPoint(150, 100))
    assert tool.mask() is None and not tool.can_undo
    QTest.keyClick(view, Qt.Key.Key_Escape)
    assert modes == ["brush", "none"]


def test_the_wheel_with_control_changes_the_brush_and_without_it_zooms(view: DividerView, tool: RegionTool) -> None:
    told: list[int] = []
    tool.brush_changed.connect(told.append)
    tool.set_mode("brush")
    before, zoom = tool.brush, view.transform.zoom
    wheel(view, 1, Qt.KeyboardModifier.ControlModifier)
    assert tool.brush > before and view.transform.zoom == zoom
    wheel(view, -40, Qt.KeyboardModifier.ControlModifier)
    smallest = tool.brush
    for _ in range(3):
        QTest.keyClick(view, Qt.Key.Key_BracketRight)
    assert tool.brush == smallest + 3 and told[-1] == tool.brush
    wheel(view, 1, Qt.KeyboardModifier.NoModifier)
    assert view.transform.zoom > zoom


def test_keys_of_the_view_work_while_a_tool_is_in_use(view: DividerView, tool: RegionTool) -> None:
    tool.set_mode("brush")
    drag(view, (100, 100), (200, 100))
    QTest.keyClick(view, Qt.Key.Key_2)
    assert view.position == 0.5
    with_mask = grab(view)
    QTest.keyPress(view, Qt.Key.Key_Space)
    assert (grab(view)[100, 150] == GREY).all() and (with_mask[100, 150] != GREY).any()
    QTest.keyRelease(view, Qt.Key.Key_Space)


def test_the_knob_of_the_divider_can_be_dragged_and_its_line_be_painted_over(
    view: DividerView, tool: RegionTool
) -> None:
    view.set_position(0.5)
    tool.set_mode("brush")
    drag(view, (200, 150), (250, 150))
    assert view.position == pytest.approx(250 / WIDTH) and tool.mask() is None
    drag(view, (250, 60), (300, 60))
    assert view.position == pytest.approx(250 / WIDTH) and chosen(tool)[120, 500]


def test_every_tool_has_a_hint_and_a_cursor(view: DividerView, tool: RegionTool) -> None:
    QTest.mouseMove(view, QPoint(100, 100))
    for mode, shape in (
        ("rectangle", Qt.CursorShape.CrossCursor),
        ("brush", Qt.CursorShape.BlankCursor),
        ("none", Qt.CursorShape.OpenHandCursor),
    ):
        tool.set_mode(mode)
        QTest.mouseMove(view, QPoint(110, 100))
        assert view.cursor().shape() == shape
        assert bool(tool.hint) == (mode != "none")


# -- crop


def test_a_crop_begins_as_the_whole_picture_and_is_pulled_by_its_handles(view: DividerView, tool: RegionTool) -> None:
    tool.set_mode("crop")
    assert tool.crop_rect() is None
    drag(view, (0, 150), (40, 150))
    assert tool.crop_rect() == QRect(80, 0, 720, 600)
    drag(view, (399, 299), (349, 269))
    assert tool.crop_rect() == QRect(80, 0, 620, 540)
    drag(view, (200, 100), (210, 120))
    assert tool.crop_rect() == QRect(100, 40, 620, 540)
    tool.undo()
    assert tool.crop_rect() == QRect(80, 0, 620, 540)


def test_a_drag_beside_the_frame_draws_another_one_and_a_click_does_not(view: DividerView, tool: RegionTool) -> None:
    tool.set_mode("crop")
    drag(view, (100, 100), (200, 200))
    assert tool.crop_rect() == QRect(200, 200, 200, 200)
    drag(view, (30, 30), (30, 30))
    assert tool.crop_rect() == QRect(200, 200, 200, 200)
    drag(view, (300, 40), (250, 20))
    assert tool.crop_rect() == QRect(500, 40, 100, 40)


def test_a_crop_is_told_when_it_cuts_something_away_and_only_then(view: DividerView, tool: RegionTool) -> None:
    told: list[QRect | None] = []
    tool.changed.connect(lambda: told.append(tool.crop_rect()))
    tool.set_mode("crop")
    assert not told and not tool.can_undo
    tool.set_mode("none")
    tool.set_crop_rect(None)
    tool.set_aspect(1.0)
    tool.set_mode("crop")
    assert told == [QRect(100, 0, 600, 600)]
    tool.undo()
    assert told[1:] == [None]


def test_a_fixed_aspect_holds_however_the_frame_is_pulled(view: DividerView, tool: RegionTool) -> None:
    tool.set_aspect(16 / 9)
    tool.set_mode("crop")
    rect = tool.crop_rect()
    assert rect is not None and (rect.width(), rect.height()) == (800, 450)
    drag(view, (399, 150), (299, 150))
    rect = tool.crop_rect()
    assert rect is not None and rect.width() == 600 and abs(rect.width() * 9 / 16 - rect.height()) <= 0.5
    tool.set_aspect(1.0)
    rect = tool.crop_rect()
    assert rect is not None and rect.width() == rect.height()


def test_what_is_cut_away_is_dimmed_while_the_crop_is_edited(view: DividerView, tool: RegionTool) -> None:
    tool.set_crop_rect(QRect(200, 150, 400, 300))
    assert (grab(view)[40, 60] == GREY).all()
    tool.set_mode("crop")
    shown = grab(view)
    assert (shown[40, 60] < GREY * 0.5).all() and (shown[120, 200] == GREY).all()
    tool.set_mode("none")
    assert tool.crop_rect() == QRect(200, 150, 400, 300), "leaving the tool keeps what it made"


def test_arrow_keys_move_and_resize_the_crop(view: DividerView, tool: RegionTool) -> None:
    tool.set_crop_rect(QRect(200, 150, 400, 300))
    tool.set_mode("crop")
    QTest.keyClick(view, Qt.Key.Key_Right)
    QTest.keyClick(view, Qt.Key.Key_Down, Qt.KeyboardModifier.ShiftModifier)
    assert tool.crop_rect() == QRect(201, 160, 400, 300)
    QTest.keyClick(view, Qt.Key.Key_Left, Qt.KeyboardModifier.ControlModifier)
    assert tool.crop_rect() == QRect(201, 160, 399, 300)


POINT = strategies.tuples(strategies.floats(-500, 1500), strategies.floats(-500, 1500))
ASPECT = strategies.one_of(strategies.none(), strategies.floats(0.1, 10))


@given(POINT, POINT, strategies.sampled_from(GRIPS), POINT, ASPECT)
@settings(max_examples=300, deadline=None)
def test_no_drag_leaves_the_picture_or_the_aspect(start, end, grip, point, aspect) -> None:
    bounds = QSize(900, 700)
    first = QPointF(min(max(start[0], 0.0), 900.0), min(max(start[1], 0.0), 700.0))
    rect = spanned(first, QPointF(*end), bounds, aspect)
    for made in (rect, pulled(rect, grip, QPointF(*point), bounds, aspect), moved(rect, QPointF(*point), bounds)):
        assert made.left() >= -1e-6 and made.top() >= -1e-6
        assert made.right() <= 900 + 1e-6 and made.bottom() <= 700 + 1e-6
        assert made.width() >= -1e-9 and made.height() >= -1e-9
        if aspect is not None:
            assert made.width() == pytest.approx(made.height() * aspect, rel=1e-6, abs=1e-6)
        pixels = whole_pixels(made, bounds, aspect)
        assert QRect(0, 0, 900, 700).contains(pixels) and not pixels.isEmpty()


def test_the_opposite_corner_stays_where_it_is() -> None:
    rect, bounds = QRectF(100, 100, 300, 200), QSize(900, 700)
    assert pulled(rect, (1, 1), QPointF(500, 600), bounds, None).topLeft() == QPointF(100, 100)
    assert pulled(rect, (-1, -1), QPointF(20, 150), bounds, 1.5).bottomRight() == QPointF(400, 300)
