"""What lies over the divided pictures: difference, bits per region, the lens; and every pixel exact on every screen."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QImage
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from gui.services.context import Services
from gui.services.qimage import to_pixels
from gui.widgets.divider_view import BITS_OPACITY, LENS_RADIUS, DividerView
from gui.widgets.heat_map import BITS_BLOCK, DIFFERENCE_GAIN, difference_levels, heat_colors
from gui.widgets.pyramid import Pyramid

ROOT = Path(__file__).resolve().parents[2]
WIDTH, HEIGHT = 400, 300
CLEAR = (slice(60, 220), slice(30, 370))  # of the view: no label, legend or knob lies there while the divider is left
RNG = np.random.default_rng(7)


def noise(width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    return RNG.integers(40, 216, (height, width, 3), np.uint8)


def near(pixels: np.ndarray, most: int = 39) -> np.ndarray:
    """`pixels` with every channel moved by up to `most`."""
    moved = RNG.integers(-most, most + 1, pixels.shape)
    return (pixels.astype(int) + moved).astype(np.uint8)


def heat(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The heat map of two pictures of one size, by its definition."""
    apart = np.abs(one.astype(int) - other).max(axis=2)
    return heat_colors()[np.minimum(apart * DIFFERENCE_GAIN, 255)]


def grab(view: DividerView) -> np.ndarray:
    pixels, _ = to_pixels(view.grab().toImage().convertToFormat(QImage.Format.Format_RGB32))
    return pixels


@pytest.fixture
def pictures() -> tuple[np.ndarray, np.ndarray]:
    original = noise()
    return original, near(original)


@pytest.fixture
def view(services: Services, qtbot: QtBot, show, pictures: tuple[np.ndarray, np.ndarray]) -> DividerView:
    view = DividerView()
    view.resize(WIDTH, HEIGHT)
    view.set_pictures(*(Pyramid.of_pixels(pixels) for pixels in pictures))
    show(view)
    view.transform.actual_size()
    view.set_position(0.0)
    return view


# -- difference


def test_d_shows_eight_times_the_difference_to_the_original_and_d_again_hides_it(view: DividerView, pictures) -> None:
    original, result = pictures
    told: list[str] = []
    view.overlay_changed.connect(told.append)
    QTest.keyClick(view, Qt.Key.Key_D)
    np.testing.assert_array_equal(grab(view)[CLEAR], heat(original, result)[CLEAR])
    assert "difference" in view.accessibleDescription().lower()
    QTest.keyClick(view, Qt.Key.Key_D)
    np.testing.assert_array_equal(grab(view)[CLEAR], result[CLEAR])
    assert told == ["difference", ""]


def test_the_side_that_is_the_original_is_shown_as_it_is(view: DividerView, pictures) -> None:
    view.set_position(1.0)
    view.set_overlay("difference")
    np.testing.assert_array_equal(grab(view)[CLEAR], pictures[0][CLEAR])


def test_two_results_are_each_compared_with_the_original(view: DividerView, pictures) -> None:
    original, result = pictures
    rival = near(original)
    view.set_pictures(Pyramid.of_pixels(rival), Pyramid.of_pixels(result), Pyramid.of_pixels(original))
    view.set_overlay("difference")
    np.testing.assert_array_equal(grab(view)[CLEAR], heat(original, result)[CLEAR])
    view.set_position(1.0)
    np.testing.assert_array_equal(grab(view)[CLEAR], heat(original, rival)[CLEAR])


def test_another_result_and_another_place_bring_another_map(view: DividerView) -> None:
    original = noise(1200, 900)
    results = [near(original) for _ in range(2)]
    left = Pyramid.of_pixels(original)
    view.set_overlay("difference")
    for result in results:
        view.set_pictures(left, Pyramid.of_pixels(result))
        view.transform.actual_size()
        for step in (0, 260, -390):
            view.transform.pan_by(step, step // 2)
            corner = view.transform.target().topLeft().toPoint()
            there = (slice(-corner.y(), HEIGHT - corner.y()), slice(-corner.x(), WIDTH - corner.x()))
            np.testing.assert_array_equal(grab(view)[CLEAR], heat(original, result)[there][CLEAR])


def test_a_difference_finer_than_the_screen_is_not_averaged_away(view: DividerView) -> None:
    """Shrunken pictures would be equal; what is shown is the mean of the differences."""
    original = np.full((1200, 1600, 3), 128, np.uint8)
    result = original.copy()
    result[::2, ::2], result[1::2, 1::2] = 138, 118
    view.set_pictures(Pyramid.of_pixels(original), Pyramid.of_pixels(result))
    view.transform.set_zoom(0.25)
    view.set_overlay("difference")
    wanted = heat_colors()[5 * DIFFERENCE_GAIN]  # half of the pixels differ by 10
    assert np.abs(grab(view)[CLEAR].astype(int) - wanted).max() <= 2


@pytest.mark.parametrize("factor", [1, 2, 8])
def test_differences_at_a_coarser_scale_are_means_over_squares(qapp, factor: int) -> None:
    one = noise(203, 131)
    other = near(one)
    images = [Pyramid.of_pixels(pixels).image for pixels in (one, other)]
    region = images[0].rect().adjusted(factor, 0, 0, 0)
    levels = difference_levels(*images, region, factor)  # type: ignore[arg-type]
    assert levels is not None
    apart = np.abs(one.astype(int) - other).max(axis=2)[:, factor:]
    gained = np.minimum(DIFFERENCE_GAIN * apart, 255)
    height, width = (side // factor * factor for side in gained.shape)
    means = gained[:height, :width].reshape(height // factor, factor, width // factor, factor).mean((1, 3))
    assert levels.shape == (-(-gained.shape[0] // factor), -(-gained.shape[1] // factor))
    assert np.abs(levels[: height // factor, : width // factor] - means).max() <= 0.51


def test_without_an_original_or_with_another_size_the_pictures_stay_as_they_are(view: DividerView, pictures) -> None:
    result = Pyramid.of_pixels(pictures[1])
    view.set_overlay("difference")
    view.set_pictures(None, result)
    np.testing.assert_array_equal(grab(view)[CLEAR], pictures[1][CLEAR])
    view.set_pictures(Pyramid.of_pixels(noise(200, 150)), result)
    np.testing.assert_array_equal(grab(view)[CLEAR], pictures[1][CLEAR])


def test_a_smaller_picture_under_a_resting_mouse_is_compared_without_complaint(view: DividerView) -> None:
    view.set_overlay("difference")
    QTest.mouseMove(view, QPoint(390, 290))
    small = noise(60, 40)
    view.set_pictures(Pyramid.of_pixels(small), Pyramid.of_pixels(near(small)))
    grab(view)  # a pixel asked for beyond the picture is a warning, which fails the test


def test_space_shows_the_original_without_the_overlay(view: DividerView, pictures) -> None:
    view.set_overlay("difference")
    QTest.keyPress(view, Qt.Key.Key_Space)
    np.testing.assert_array_equal(grab(view)[CLEAR], pictures[0][CLEAR])
    QTest.keyRelease(view, Qt.Key.Key_Space)


@pytest.fixture
def busy_view(services: Services, show):
    """A view whose background is held up until `gate` is set, and the list of what it was asked to do."""
    gate, asked = threading.Event(), []

    def background(function):
        asked.append(function)
        return services.host.run(function, engine=False)

    services.host.run(partial(gate.wait, 60), engine=False)
    view = DividerView(background=background, failed=services.notices.error)
    view.resize(WIDTH, HEIGHT)
    show(view)
    view.set_position(0.0)
    yield view, gate, asked
    gate.set()


def test_zooming_and_panning_pile_up_no_work_and_the_last_view_is_the_one_shown(busy_view, qtbot: QtBot) -> None:
    view, gate, asked = busy_view
    original = noise(2400, 1800)
    result = near(original)
    view.set_pictures(Pyramid.of_pixels(original), Pyramid.of_pixels(result))
    view.set_overlay("difference")
    for _ in range(20):
        view.transform.zoom_by(1.2)
    view.transform.actual_size()
    view.transform.pan_by(-300, -200)
    assert len(asked) == 1, "one computation runs, the newest wish waits"
    corner = view.transform.target().topLeft().toPoint()
    there = (slice(-corner.y(), HEIGHT - corner.y()), slice(-corner.x(), WIDTH - corner.x()))
    gate.set()
    wanted = heat(original, result)[there][CLEAR]
    qtbot.waitUntil(lambda: bool((grab(view)[CLEAR] == wanted).all()), timeout=20_000)
    assert len(asked) == 2


def test_the_difference_of_a_picture_that_is_gone_is_never_shown(busy_view, qtbot: QtBot) -> None:
    view, gate, asked = busy_view
    original = noise()
    first, second = near(original), near(original)
    left = Pyramid.of_pixels(original)
    view.set_pictures(left, Pyramid.of_pixels(first))
    view.transform.actual_size()
    view.set_overlay("difference")
    view.set_pictures(left, Pyramid.of_pixels(second))
    shown: list[bool] = []
    wanted = heat(original, first)[CLEAR]
    for difference in view._differences:
        difference.changed.connect(lambda: shown.append(bool((grab(view)[CLEAR] == wanted).all())))
    gate.set()
    qtbot.waitUntil(lambda: bool((grab(view)[CLEAR] == heat(original, second)[CLEAR]).all()), timeout=20_000)
    assert shown and not any(shown)
    assert len(asked) == 2


# -- bits


def test_b_asks_for_the_bits_once_and_lays_them_over_the_result(view: DividerView, pictures, qtbot: QtBot) -> None:
    wanted: list[None] = []
    view.bits_wanted.connect(lambda: wanted.append(None))
    QTest.keyClick(view, Qt.Key.Key_B)
    assert len(wanted) == 1
    np.testing.assert_array_equal(grab(view)[CLEAR], pictures[1][CLEAR])
    values = RNG.uniform(0, 2, (-(-HEIGHT // BITS_BLOCK), -(-WIDTH // BITS_BLOCK))).astype(np.float32)
    values[0, 0] = 2.0
    view.set_bits_map(values)
    levels = np.clip(values * 255 / 2 + 0.5, 0, 255).astype(int).repeat(BITS_BLOCK, 0).repeat(BITS_BLOCK, 1)
    colors = heat_colors()[levels[:HEIGHT, :WIDTH]]
    blend = BITS_OPACITY * colors + (1 - BITS_OPACITY) * pictures[1]
    assert np.abs(grab(view)[CLEAR] - blend[CLEAR]).max() <= 2
    view.set_position(1.0)
    np.testing.assert_array_equal(grab(view)[CLEAR], pictures[0][CLEAR])
    QTest.keyClick(view, Qt.Key.Key_B)
    QTest.keyClick(view, Qt.Key.Key_B)
    assert len(wanted) == 1, "what is known is not asked for again"


def test_a_map_of_bits_is_asked_for_anew_with_every_new_result(view: DividerView, pictures) -> None:
    wanted: list[None] = []
    left = Pyramid.of_pixels(pictures[0])
    view.bits_wanted.connect(lambda: wanted.append(None))
    view.set_overlay("bits")
    view.set_bits_map(np.ones((19, 25), np.float32))
    covered = grab(view)
    result = Pyramid.of_pixels(pictures[1])
    view.set_pictures(left, result)
    view.set_pictures(left, result)
    assert len(wanted) == 2
    np.testing.assert_array_equal(grab(view)[CLEAR], covered[CLEAR])  # the old map stays until the new one is there
    view.set_overlay("")
    view.set_pictures(left, Pyramid.of_pixels(near(pictures[0])))
    assert len(wanted) == 2, "nobody looks at it"
    view.set_overlay("bits")
    assert len(wanted) == 3


def test_a_map_of_bits_does_not_stay_on_a_picture_of_another_size(view: DividerView, pictures) -> None:
    view.set_overlay("bits")
    view.set_bits_map(np.ones((19, 25), np.float32))
    other = noise(500, 400)
    view.set_pictures(None, Pyramid.of_pixels(other))
    view.transform.actual_size()
    np.testing.assert_array_equal(grab(view)[CLEAR], other[50:-50, 50:-50][CLEAR])


def test_both_sides_may_tell_their_bits_on_one_scale(view: DividerView) -> None:
    view.set_overlay("bits")
    view.set_bits_map(np.full((19, 25), 1.0, np.float32), np.full((19, 25), 1.0, np.float32))
    right = grab(view)[CLEAR].mean()
    view.set_bits_map(np.full((19, 25), 1.0, np.float32), np.full((19, 25), 4.0, np.float32))
    assert grab(view)[CLEAR].mean() < right - 20, "the right side has a quarter of what the left one has"


def test_a_side_that_does_not_tell_its_bits_stays_as_it_is(view: DividerView, pictures) -> None:
    view.set_overlay("bits")
    view.set_bits_map(None)
    np.testing.assert_array_equal(grab(view)[CLEAR], pictures[1][CLEAR])


# -- lens


def test_the_lens_shows_four_times_four_squares_of_the_left_and_the_right_picture(view: DividerView, pictures) -> None:
    view.set_lens(True)
    spot = QPoint(150, 150)
    QTest.mouseMove(view, spot)
    shown = grab(view)
    inside = 64
    for pixels, columns in ((pictures[0], range(-inside, -8, 4)), (pictures[1], range(8, inside, 4))):
        for right in columns:
            for down in range(-inside, inside, 4):
                square = shown[spot.y() + down : spot.y() + down + 4, spot.x() + right : spot.x() + right + 4]
                wanted = pixels[spot.y() + down // 4, spot.x() + right // 4]
                assert (square == wanted).all()


def test_the_lens_follows_the_mouse_and_shows_nothing_beyond_the_border(view: DividerView) -> None:
    view.set_lens(True)
    QTest.mouseMove(view, QPoint(200, 150))
    first = grab(view)
    QTest.mouseMove(view, QPoint(80, 100))
    second = grab(view)
    view.set_lens(False)
    bare = grab(view)
    assert (first[150, 110:290] != bare[150, 110:290]).any(axis=1).mean() > 0.8
    beyond = round(80 + LENS_RADIUS + 30)
    np.testing.assert_array_equal(second[60:200, beyond:370], bare[60:200, beyond:370])


def test_the_lens_is_there_while_l_is_held_or_switched_on(view: DividerView) -> None:
    told: list[bool] = []
    view.lens_changed.connect(told.append)
    QTest.keyPress(view, Qt.Key.Key_L)
    assert view.lens
    QTest.keyRelease(view, Qt.Key.Key_L)
    assert not view.lens and not told
    view.set_lens(True)
    QTest.keyClick(view, Qt.Key.Key_L)
    assert view.lens and told == [True]
    view.set_lens(False)
    QTest.keyPress(view, Qt.Key.Key_L)
    view.clearFocus()
    assert not view.lens, "the release of the key goes to another widget"


# -- scale and screen


def test_the_lightness_of_the_scale_grows_evenly(qapp) -> None:
    share = heat_colors() / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    lightness = np.where(luminance > 0.008856, 116 * np.cbrt(luminance) - 16, 903.3 * luminance)
    steps = np.diff(lightness[::8])
    assert steps.min() > 1.2 and steps.max() < 4.5
    assert lightness[0] < 5 and lightness[-1] > 92


def test_the_description_names_the_keys(view: DividerView) -> None:
    for key in ("1", "2", "3", "Space", "D", "B", "L", "0"):
        assert f"{key}" in view.accessibleDescription().replace(",", " ").split()


EXACT = """
import sys
import numpy as np
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QApplication
from gui.widgets.divider_view import DividerView
from gui.widgets.pyramid import Pyramid
from gui.services.qimage import to_pixels

application = QApplication(sys.argv[:1])
pixels = np.random.default_rng(0).integers(0, 256, (1200, 1600, 3), np.uint8)
view = DividerView()
view.resize(400, 300)
view.set_pictures(Pyramid.of_pixels(pixels), Pyramid.of_pixels(pixels))
view.show()
ratio = view.devicePixelRatioF()
view.transform.actual_size()
view.transform.pan_by(31, -57)
view.set_position(0.0)
application.processEvents()
shown, _ = to_pixels(view.grab().toImage().convertToFormat(QImage.Format.Format_RGB32))
corner = view.transform.target().topLeft().toPoint()
height, width = shown.shape[:2]
wanted = pixels[-corner.y() : height - corner.y(), -corner.x() : width - corner.x()]
edge = round(60 * ratio)
print(ratio, shown.shape, bool((shown[edge:, edge:] == wanted[edge:, edge:]).all()))
"""


@pytest.mark.parametrize("ratio", ["1.25", "1.5", "2"])
def test_at_100_percent_every_pixel_is_exact_on_screens_of_any_density(ratio: str) -> None:
    environment = dict(os.environ, PYTHONPATH=str(ROOT), QT_QPA_PLATFORM="offscreen", QT_SCALE_FACTOR=ratio)
    call = [sys.executable, "-c", EXACT]
    done = subprocess.run(call, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    side = float(ratio)
    assert done.stdout.split() == [str(side), f"({round(300 * side)},", f"{round(400 * side)},", "3)", "True"]
