"""The Segment page on a real model: the legend's figures are those of the mask, and what is saved is what is shown."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QAbstractSlider, QAbstractSpinBox, QComboBox
from pytestqt.qtbot import QtBot

from engine.image import open_picture
from engine.paths import user_folder
from gui.controllers import segment_controller
from gui.controllers.segment_controller import SegmentController
from gui.pages.samples import sample_paths
from gui.pages.segment_page import SegmentPage
from gui.services.context import Services
from gui.services.notices import Notice
from gui.services.qimage import to_pixels, to_qimage

PATIENCE = 60_000  # milliseconds; only reached when something is broken
MODEL_NAME = "cells-in-tests"


@pytest.fixture(scope="module")
def tiny_segmenter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained network of three classes; its classifier is made decisive, so that every class occurs."""
    import torch

    from engine.models.card import ModelCard
    from engine.models.dilated_segmenter import DilatedSegmenter, DilatedSegmenterConfig
    from engine.models.store import save_model

    torch.manual_seed(3)
    config = DilatedSegmenterConfig(
        instances=True, widths=(8, 8, 8, 8), depths=(1, 1), rates=((1, 2),), decoder_width=8
    )
    network = DilatedSegmenter(config).eval().requires_grad_(False)
    network.classifier.weight.mul_(200.0)
    summary = "Only for tests."
    card = network.finish([], ModelCard(name=MODEL_NAME, family=DilatedSegmenter.family, summary=summary))
    path = tmp_path_factory.mktemp("models") / f"{MODEL_NAME}.safetensors"
    save_model(path, network, card)
    return path


@pytest.fixture
def services(qtbot: QtBot, own_user_folders: None, tiny_segmenter: Path) -> Iterator[Services]:
    user_folder("models").mkdir(parents=True, exist_ok=True)
    shutil.copy(tiny_segmenter, user_folder("models"))
    services = Services.create()
    services.theme.apply()
    services.host.start()
    yield services
    services.shutdown()


@pytest.fixture
def notices(services: Services) -> list[Notice]:
    given: list[Notice] = []
    services.notices.posted.connect(given.append)
    return given


@pytest.fixture
def page(qtbot: QtBot, services: Services) -> SegmentPage:
    controller = SegmentController(services)
    page = SegmentPage(controller, services)
    controller.setParent(page)
    qtbot.addWidget(page)
    qtbot.addWidget(page.inspector())
    page.resize(640, 520)
    page.show()
    page.inspector().show()
    qtbot.waitUntil(lambda: bool(controller.state.models), timeout=PATIENCE)
    controller.set_model(MODEL_NAME)
    return page


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """Noise in patches, so that an untrained network sees differences."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (12, 15, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    path = tmp_path / "patches.png"
    Image.fromarray(coarse).save(path)
    return path


def open_and_wait(qtbot: QtBot, page: SegmentPage, path: Path) -> None:
    page.open_paths([path])
    qtbot.waitUntil(lambda: page.controller.state.title == path.name, timeout=PATIENCE)
    wait_segmented(qtbot, page)


def wait_segmented(qtbot: QtBot, page: SegmentPage) -> None:
    state = page.controller.state
    qtbot.waitUntil(
        lambda: not page.controller.state.busy and page.controller.state.segmented_by == page.controller.state.model,
        timeout=PATIENCE,
    )
    assert state.picture is not None


def canvas_pixels(page: SegmentPage) -> np.ndarray:
    pixels, _ = to_pixels(page.canvas.grab().toImage())
    return pixels


def test_opens_with_a_sample_and_segments_it(qtbot: QtBot, page: SegmentPage) -> None:
    if not sample_paths("nuclei"):
        pytest.skip("no sample pictures are bundled")
    qtbot.waitUntil(lambda: page.controller.state.picture is not None, timeout=PATIENCE)
    wait_segmented(qtbot, page)
    assert len(page.samples.buttons) > 1
    other = list(page.samples.buttons)[1]
    QTest.mouseClick(page.samples.buttons[other], Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: page.controller.state.title == other.name, timeout=PATIENCE)
    wait_segmented(qtbot, page)


def test_legend_counts_the_pixels_of_the_mask(qtbot: QtBot, page: SegmentPage, picture: Path) -> None:
    open_and_wait(qtbot, page, picture)
    state = page.controller.state
    assert state.segmentation is not None
    assert state.segmentation.mask.shape == (96, 120)
    assert [area.name for area in state.areas] == ["background", "nucleus", "touching border"]
    assert sum(area.pixels for area in state.areas) == 96 * 120
    for number, row in enumerate(page.legend.rows):
        pixels = int((state.segmentation.mask == number).sum())
        assert f"{pixels:,} px" in row.accessibleName()
        assert state.areas[number].name in row.accessibleName()


def test_a_click_on_the_legend_isolates_and_alt_click_hides(qtbot: QtBot, page: SegmentPage, picture: Path) -> None:
    open_and_wait(qtbot, page, picture)
    controller = page.controller
    assert controller.state.invisible == {0}  # the background would only darken the picture
    QTest.mouseClick(page.legend.rows[1], Qt.MouseButton.LeftButton)
    assert controller.state.invisible == {0, 2}
    QTest.mouseClick(page.legend.rows[1], Qt.MouseButton.LeftButton)
    assert controller.state.invisible == {0}
    QTest.mouseClick(page.legend.rows[2], Qt.MouseButton.LeftButton, Qt.KeyboardModifier.AltModifier)
    assert controller.state.invisible == {0, 2}
    QTest.mouseClick(page.legend.eyes[0], Qt.MouseButton.LeftButton)
    assert controller.state.invisible == {2}
    page.legend.rows[1].setFocus()
    QTest.keyClick(page.legend.rows[1], Qt.Key.Key_Space)
    assert controller.state.isolated == 1


def test_opacity_outlines_and_space_change_what_is_painted(qtbot: QtBot, page: SegmentPage, picture: Path) -> None:
    open_and_wait(qtbot, page, picture)
    half = canvas_pixels(page)
    page.opacity.set_value(100)
    full = canvas_pixels(page)
    assert (half != full).any()
    page.contours.setChecked(True)
    outlines = canvas_pixels(page)
    assert (outlines != full).any()
    QTest.keyPress(page.canvas, Qt.Key.Key_Space)
    hidden = canvas_pixels(page)
    QTest.keyRelease(page.canvas, Qt.Key.Key_Space)
    assert page.canvas.overlay_hidden is False
    for number in (1, 2):
        page.controller.toggle_hidden(number)
    np.testing.assert_array_equal(canvas_pixels(page), hidden)


def test_the_pixel_under_the_cursor_is_named(qtbot: QtBot, page: SegmentPage, picture: Path) -> None:
    open_and_wait(qtbot, page, picture)
    state = page.controller.state
    assert state.segmentation is not None
    with qtbot.waitSignal(page.canvas.pointed) as pointed:
        QTest.mouseMove(page.canvas, page.canvas.rect().center())
    text = pointed.args[0]
    position = page.canvas.pixel_at(page.canvas.rect().center().toPointF())
    assert isinstance(position, QPoint)
    name = state.areas[int(state.segmentation.mask[position.y(), position.x()])].name
    assert name in text.lower()
    assert "confidence" in text


def test_saved_mask_holds_class_numbers_and_a_palette(
    qtbot: QtBot, page: SegmentPage, picture: Path, tmp_path: Path
) -> None:
    open_and_wait(qtbot, page, picture)
    state = page.controller.state
    assert state.segmentation is not None
    target = tmp_path / "mask.png"
    with qtbot.waitSignal(page._services.notices.posted, timeout=PATIENCE):
        page.controller.save_mask(target)
    with Image.open(target) as image:
        assert image.mode == "P"
        np.testing.assert_array_equal(np.asarray(image), state.segmentation.mask)
        assert tuple((image.getpalette() or [])[3:6]) == state.areas[1].color


def test_saved_overlay_differs_from_the_picture_only_where_classes_are_shown(
    qtbot: QtBot, page: SegmentPage, picture: Path, tmp_path: Path
) -> None:
    open_and_wait(qtbot, page, picture)
    shown = max((1, 2), key=lambda number: page.controller.state.areas[number].pixels)
    page.controller.toggle_isolated(shown)
    state = page.controller.state
    assert state.segmentation is not None
    assert state.picture is not None
    target = tmp_path / "overlay.png"
    with qtbot.waitSignal(page._services.notices.posted, timeout=PATIENCE):
        page.controller.save_overlay(target)
    changed = (open_picture(target).pixels != state.picture.pixels).any(axis=2)
    assert changed.any()
    assert not (changed & (state.segmentation.mask != shown)).any()


def test_large_pictures_wait_for_the_button_and_run_as_a_job(
    qtbot: QtBot, page: SegmentPage, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment_controller, "AUTOMATIC_PIXELS", 1000)
    page.open_paths([picture])
    qtbot.waitUntil(lambda: page.controller.state.title == picture.name, timeout=PATIENCE)
    assert not page.controller.state.busy
    assert page.controller.state.segmentation is None
    QTest.mouseClick(page.run_button, Qt.MouseButton.LeftButton)
    assert len(page._services.jobs.jobs) == 1
    wait_segmented(qtbot, page)
    assert page._services.jobs.jobs[0].state == "done"
    page.controller.run()
    page.controller.cancel()
    assert not page.controller.state.busy
    qtbot.waitUntil(lambda: not page._services.jobs.active, timeout=PATIENCE)
    assert page.controller.state.segmentation is not None


@pytest.mark.parametrize(("name", "content"), [("empty.png", b""), ("words.jpg", b"no picture"), ("gone.png", None)])
def test_a_bad_file_gives_a_notice_and_the_page_keeps_its_content(
    qtbot: QtBot,
    page: SegmentPage,
    picture: Path,
    tmp_path: Path,
    notices: list[Notice],
    name: str,
    content: bytes | None,
) -> None:
    open_and_wait(qtbot, page, picture)
    before = page.controller.state
    bad = tmp_path / name
    if content is not None:
        bad.write_bytes(content)
    page.open_paths([bad])
    qtbot.waitUntil(lambda: any(notice.kind == "error" for notice in notices), timeout=PATIENCE)
    assert name in f"{notices[-1].title} {notices[-1].text}"
    assert not notices[-1].details  # an expected error, no traceback
    state = page.controller.state
    assert (state.title, state.opening) == (before.title, "")
    assert state.picture is before.picture
    assert state.segmentation is before.segmentation


def test_a_pasted_picture_is_segmented(qtbot: QtBot, page: SegmentPage) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (40, 52, 3), np.uint8)
    QGuiApplication.clipboard().setImage(to_qimage(pixels))
    page.paste()
    wait_segmented(qtbot, page)
    assert page.controller.state.segmentation is not None
    assert page.controller.state.segmentation.mask.shape == (40, 52)


def test_every_control_has_a_name_and_can_be_reached_by_tab(qtbot: QtBot, page: SegmentPage, picture: Path) -> None:
    open_and_wait(qtbot, page, picture)
    for root in (page, page.inspector()):
        for kind in (QAbstractButton, QComboBox, QAbstractSlider, QAbstractSpinBox):
            for control in root.findChildren(kind):
                if control.focusPolicy() == Qt.FocusPolicy.NoFocus or type(control).__name__ == "QScrollBar":
                    continue
                name = control.accessibleName() or (control.text() if isinstance(control, QAbstractButton) else "")
                assert name, f"{control} has no accessible name"
                assert control.focusPolicy() & Qt.FocusPolicy.TabFocus


def test_a_model_installed_meanwhile_is_offered_when_the_page_is_shown_again(
    qtbot: QtBot, page: SegmentPage, tiny_segmenter: Path
) -> None:
    page.hide()
    shutil.copy(tiny_segmenter, user_folder("models") / "fresh.safetensors")
    before = len(page.controller.state.models)
    page.show()
    qtbot.waitUntil(lambda: len(page.controller.state.models) == before + 1, timeout=PATIENCE)
