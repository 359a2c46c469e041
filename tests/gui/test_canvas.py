"""Zoom, pan and the shared view of pictures."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings, strategies
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from engine.image import Picture
from gui.services.context import Services
from gui.services.qimage import to_picture, to_pixels, to_qimage
from gui.widgets.image_canvas import ImageCanvas, ViewTransform
from gui.widgets.pyramid import Pyramid, PyramidShelf

RNG = np.random.default_rng(0)


def noise(width: int, height: int) -> np.ndarray:
    return RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture
def canvas(services: Services, show) -> ImageCanvas:
    made = ImageCanvas()
    made.resize(400, 300)
    made.set_image(to_qimage(noise(100, 50)))
    return show(made)


@pytest.mark.parametrize("size", [(1, 1), (7, 3), (64, 64), (101, 33)])
def test_pixels_survive_the_way_to_qt_and_back(qapp: QApplication, size: tuple[int, int]) -> None:
    pixels, alpha = noise(*size), RNG.integers(0, 256, size[::-1], dtype=np.uint8)
    back, none = to_pixels(to_qimage(pixels))
    assert (back == pixels).all() and none is None
    back, veil = to_pixels(to_qimage(pixels, alpha))
    assert (back == pixels).all() and veil is not None and (veil == alpha).all()


def test_a_pasted_picture_becomes_one_of_the_engine(qapp: QApplication) -> None:
    image = QImage(5, 4, QImage.Format.Format_RGB16)
    image.fill(Qt.GlobalColor.red)
    picture = to_picture(image, "pasted")
    assert (picture.width, picture.height, picture.name) == (5, 4, "pasted")
    assert picture.pixels[0, 0].tolist() == [255, 0, 0]


def test_the_image_owns_its_memory(qapp: QApplication) -> None:
    pixels = noise(8, 8)
    image = to_qimage(pixels)
    first = image.pixelColor(0, 0).getRgb()
    pixels[:] = 0
    assert image.pixelColor(0, 0).getRgb() == first


def test_a_small_picture_fits_enlarged_and_centred(canvas: ImageCanvas) -> None:
    assert canvas.transform.zoom == 4.0
    assert canvas.pixel_at(QPointF(0, 51)) == QPoint(0, 0)
    assert canvas.pixel_at(QPointF(0, 49)) is None
    assert canvas.pixel_at(QPointF(399, 249)) == QPoint(99, 49)


def test_at_100_percent_every_pixel_is_exact(canvas: ImageCanvas) -> None:
    canvas.transform.actual_size()
    corner = canvas.transform.target().topLeft().toPoint()
    shown, _ = to_pixels(canvas.grab().toImage())
    wanted, _ = to_pixels(canvas.image)  # type: ignore[arg-type]
    assert (shown[corner.y() : corner.y() + 50, corner.x() : corner.x() + 100] == wanted).all()


@given(strategies.floats(0.05, 40), strategies.floats(0, 400), strategies.floats(0, 300), strategies.integers(2, 5000))
@settings(max_examples=80, deadline=None)
def test_the_point_under_the_cursor_stays_when_zooming(factor: float, x: float, y: float, width: int) -> None:
    transform = ViewTransform()
    transform.set_viewport(400, 300)
    transform.set_image_size(width, 300)
    anchor = QPointF(x, y)
    fixed = transform.to_image(anchor)
    if not (0 <= fixed.x() <= width and 0 <= fixed.y() <= 300):
        return  # beside the picture there is nothing to hold on to
    before = transform.zoom
    transform.zoom_by(factor, anchor)
    moved = transform.to_image(anchor) - fixed
    # The corner is snapped to whole screen pixels before and after, and the middle is kept on the picture.
    snap = 0.51 / before + 0.51 / transform.zoom
    inside = 0 < transform.center.x() < width and 0 < transform.center.y() < 300
    assert not inside or max(abs(moved.x()), abs(moved.y())) <= snap


def test_canvases_that_share_a_view_move_together(services: Services, show) -> None:
    shared = ViewTransform()
    canvases = [ImageCanvas(transform=shared, name=name) for name in ("left", "right")]
    for canvas in canvases:
        canvas.resize(400, 300)
        canvas.set_image(to_qimage(noise(100, 50)))
        show(canvas)
    canvases[0].transform.set_zoom(10)
    canvases[0].transform.pan_by(30, 0)
    spots = {canvas.pixel_at(QPointF(200, 150)).toTuple() for canvas in canvases}  # type: ignore[union-attr]
    assert len(spots) == 1


def test_keys_zoom_fit_and_pan(canvas: ImageCanvas, qtbot: QtBot) -> None:
    qtbot.keyClick(canvas, Qt.Key.Key_Plus)
    assert canvas.transform.zoom == 5.0
    qtbot.keyClick(canvas, Qt.Key.Key_0, Qt.KeyboardModifier.ControlModifier)
    assert canvas.transform.zoom == 1.0
    before = canvas.transform.center.x()
    qtbot.keyClick(canvas, Qt.Key.Key_Left)
    assert canvas.transform.center.x() < before
    qtbot.keyClick(canvas, Qt.Key.Key_0)
    assert canvas.transform.fitting


def test_dragging_pans_and_a_click_tells_the_pixel(canvas: ImageCanvas, qtbot: QtBot) -> None:
    clicked: list[QPoint] = []
    canvas.clicked.connect(clicked.append)
    qtbot.mouseClick(canvas, Qt.MouseButton.LeftButton, pos=QPoint(200, 150))
    assert clicked == [QPoint(50, 25)]
    QTest.mousePress(canvas, Qt.MouseButton.LeftButton, pos=QPoint(200, 150))
    QTest.mouseMove(canvas, QPoint(220, 150))
    QTest.mouseMove(canvas, QPoint(240, 150))
    QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=QPoint(240, 150))
    assert canvas.transform.center.x() == pytest.approx(40.0)
    assert len(clicked) == 1


def test_another_picture_of_the_same_size_keeps_the_view(canvas: ImageCanvas) -> None:
    canvas.transform.set_zoom(10)
    canvas.set_image(to_qimage(noise(100, 50)))
    assert canvas.transform.zoom == 10
    canvas.set_image(to_qimage(noise(50, 50)))
    assert canvas.transform.fitting


def test_a_large_picture_is_shrunk_by_halves(qapp: QApplication) -> None:
    pyramid = Pyramid(to_qimage(noise(1000, 600)))
    assert pyramid.level(1.0).width() == 1000
    assert pyramid.level(0.5).width() == 500
    assert pyramid.level(0.3).width() == 500
    assert pyramid.level(0.1).width() == 125


@pytest.mark.parametrize("veiled", [False, True])
def test_pixels_are_painted_the_same_whoever_made_them_ready(qapp: QApplication, veiled: bool) -> None:
    pixels = noise(333, 217)
    alpha = RNG.integers(0, 256, (217, 333), dtype=np.uint8) if veiled else None
    ours, theirs = Pyramid.of_pixels(pixels, alpha).image, Pyramid(to_qimage(pixels, alpha)).image
    assert ours.format() == theirs.format()
    here, there = (image.constBits() for image in (ours, theirs))
    # Rounding of the product with alpha may differ by one.
    difference = np.frombuffer(here, np.uint8).astype(int) - np.frombuffer(there, np.uint8)
    assert np.abs(difference).max() <= (1 if veiled else 0)


def test_the_halves_of_pixels_are_their_means_and_outlive_the_array(qapp: QApplication) -> None:
    pixels = noise(2100, 1300)
    wanted = pixels[:1300, :2100].reshape(650, 2, 1050, 2, 3).mean((1, 3))
    pyramid = Pyramid.of_pixels(pixels)
    del pixels
    half, _ = to_pixels(pyramid.level(0.5))
    assert np.abs(half - wanted).max() <= 1
    assert pyramid.level(0.25).width() == 525


def test_a_large_picture_is_made_ready_beside_the_window(services: Services, qtbot: QtBot) -> None:
    small, large = Picture(noise(40, 30)), Picture(np.zeros((2100, 2000, 3), np.uint8))
    told: list[str] = []
    shelf = PyramidShelf(
        partial(services.host.run, engine=False), lambda: told.append("ready"), lambda error: told.append(str(error))
    )
    assert shelf.get(small) is shelf.get(small) is not None
    assert shelf.get(large) is None
    assert not told
    qtbot.waitUntil(lambda: bool(told))
    assert told == ["ready"]
    made = shelf.get(large)
    assert made is not None
    assert made.image.width() == 2000
    shelf.keep([small])
    assert shelf.get(large) is None
    shelf.keep([])
    task = services.host.run(lambda: None, engine=False)
    with qtbot.waitSignal(task.succeeded):
        pass
    assert told == ["ready"], "what was forgotten meanwhile is not announced"
