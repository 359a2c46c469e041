"""The divider view: two pictures, one divider, one zoom, every pixel as it is."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QImage
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from gui.services.qimage import to_pixels, to_qimage
from gui.widgets.divider_view import DividerView
from gui.widgets.pyramid import Pyramid

LEFT_COLOR, RIGHT_COLOR = (200, 30, 30), (30, 30, 200)
WIDTH, HEIGHT = 400, 300


def plain(color: tuple[int, int, int], width: int = 800, height: int = 600) -> Pyramid:
    return Pyramid(to_qimage(np.full((height, width, 3), color, np.uint8)))


@pytest.fixture
def view(qtbot: QtBot) -> DividerView:
    view = DividerView()
    qtbot.addWidget(view)
    view.resize(WIDTH, HEIGHT)
    view.set_pictures(plain(LEFT_COLOR), plain(RIGHT_COLOR))
    view.show()
    return view


def grab(view: DividerView) -> np.ndarray:
    pixels, _ = to_pixels(view.grab().toImage().convertToFormat(QImage.Format.Format_RGB32))
    return pixels


def color_at(view: DividerView, x: int, y: int = HEIGHT // 4) -> tuple[int, ...]:
    return tuple(int(value) for value in grab(view)[y, x])


def test_left_picture_is_left_of_the_divider_and_right_one_beyond(view: DividerView) -> None:
    assert color_at(view, WIDTH // 2 - 20) == LEFT_COLOR
    assert color_at(view, WIDTH // 2 + 20) == RIGHT_COLOR


@pytest.mark.parametrize(("key", "position"), [(Qt.Key.Key_1, 0.0), (Qt.Key.Key_2, 0.5), (Qt.Key.Key_3, 1.0)])
def test_keys_place_the_divider(view: DividerView, key: Qt.Key, position: float) -> None:
    view.set_position(0.3)
    QTest.keyClick(view, key)
    assert view.position == position


def test_dragging_the_divider_moves_it_and_not_the_picture(view: DividerView) -> None:
    before = view.transform.target()
    QTest.mousePress(view, Qt.MouseButton.LeftButton, pos=QPoint(WIDTH // 2 + 5, 100))
    QTest.mouseMove(view, QPoint(105, 100))
    QTest.mouseRelease(view, Qt.MouseButton.LeftButton, pos=QPoint(105, 100))
    assert view.position == pytest.approx(100 / WIDTH)
    assert view.transform.target() == before
    assert color_at(view, 140) == RIGHT_COLOR


def test_dragging_elsewhere_pans_both_pictures(view: DividerView) -> None:
    view.transform.actual_size()
    before = view.transform.center
    QTest.mousePress(view, Qt.MouseButton.LeftButton, pos=QPoint(60, 60))
    QTest.mouseMove(view, QPoint(80, 70))
    QTest.mouseRelease(view, Qt.MouseButton.LeftButton, pos=QPoint(80, 70))
    assert view.position == 0.5
    assert view.transform.center == before - QPointF(20, 10)


def test_the_cursor_tells_what_a_drag_would_do(view: DividerView) -> None:
    QTest.mouseMove(view, QPoint(60, 60))
    assert view.cursor().shape() == Qt.CursorShape.OpenHandCursor
    QTest.mouseMove(view, QPoint(WIDTH // 2, 60))
    assert view.cursor().shape() == Qt.CursorShape.SplitHCursor


def test_holding_space_shows_the_original_alone(view: DividerView) -> None:
    view.set_pictures(plain((30, 200, 30)), plain(RIGHT_COLOR), plain(LEFT_COLOR))
    QTest.keyPress(view, Qt.Key.Key_Space)
    assert view.showing_original
    assert color_at(view, WIDTH - 20, HEIGHT // 2) == LEFT_COLOR
    QTest.keyRelease(view, Qt.Key.Key_Space)
    assert color_at(view, WIDTH - 20, HEIGHT // 2) == RIGHT_COLOR


def test_double_click_switches_between_fit_and_100_percent(view: DividerView) -> None:
    QTest.mouseDClick(view, Qt.MouseButton.LeftButton, pos=QPoint(60, 60))
    assert view.transform.zoom == 1.0
    QTest.mouseDClick(view, Qt.MouseButton.LeftButton, pos=QPoint(60, 60))
    assert view.transform.fitting


def test_at_100_percent_every_screen_pixel_is_a_picture_pixel(view: DividerView) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    picture = Pyramid(to_qimage(noise))
    view.set_pictures(picture, picture)
    view.transform.actual_size()
    view.set_position(0.0)
    # Below the labels and away from the divider's line at the far left.
    np.testing.assert_array_equal(grab(view)[60:, 60:], noise[60:, 60:])


def test_at_200_percent_pixels_are_squares_without_blur(view: DividerView) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (HEIGHT // 2, WIDTH // 2, 3), np.uint8)
    picture = Pyramid(to_qimage(noise))
    view.set_pictures(picture, picture)
    view.transform.set_zoom(2.0)
    view.set_position(0.0)
    shown = grab(view)
    np.testing.assert_array_equal(shown[60:, 60:], noise.repeat(2, 0).repeat(2, 1)[60:, 60:])


def test_transparent_pictures_lie_on_a_checkerboard(view: DividerView) -> None:
    clear = to_qimage(np.zeros((600, 800, 3), np.uint8), np.zeros((600, 800), np.uint8))
    view.set_pictures(Pyramid(clear), Pyramid(clear))
    colors = {tuple(pixel) for pixel in grab(view)[100:116, 20:36].reshape(-1, 3).tolist()}
    assert len(colors) == 2


def test_one_picture_alone_fills_the_view_without_a_divider(view: DividerView) -> None:
    view.set_pictures(plain(LEFT_COLOR), None)
    assert not view.divided
    assert color_at(view, WIDTH - 20, HEIGHT // 2) == LEFT_COLOR
    assert color_at(view, WIDTH // 2, HEIGHT // 2) == LEFT_COLOR


def test_the_view_names_itself_and_its_keys_for_screen_readers(view: DividerView) -> None:
    assert view.accessibleName()
    assert "Space" in view.accessibleDescription()
