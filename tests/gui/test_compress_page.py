"""The Compress page on a real codec: what people see follows what they do, and what is saved is what was shown."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QMimeData, QPoint, QRect, Qt, QUrl
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QAbstractSlider, QAbstractSpinBox, QComboBox
from pytestqt.qtbot import QtBot

from engine.compression import DEFAULT_MODEL, EncodeSettings, encode, inspect
from engine.compression.settings import Target
from engine.image import Picture, open_picture
from engine.paths import resources, user_folder
from gui.controllers import compress_lane, compress_work
from gui.controllers.compress_controller import CompressController, CompressState
from gui.controllers.compress_settings import LEFT, OURS, RIGHT, Crop, Focus, SideSettings
from gui.controllers.compress_work import FilePart, Part
from gui.controllers.rate_curves import CODECS, RateCurves
from gui.controllers.wording import bytes_exact
from gui.pages.compress_page import CompressPage
from gui.pages.compress_side import BPP, MADE, MS_SSIM, PSNR, SHARE, SIZE, VISIBLE
from gui.pages.samples import sample_paths
from gui.services.context import Services
from gui.services.notices import Notice
from gui.services.qimage import to_qimage

PATIENCE = 60_000  # milliseconds; only reached when something is broken


@pytest.fixture(scope="module")
def tiny_codec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained codec of a few kilobytes: coding is exact whatever the weights are."""
    import torch

    from engine.models.card import ModelCard
    from engine.models.hyperprior_codec import HyperpriorCodec, HyperpriorCodecConfig
    from engine.models.store import save_model

    torch.manual_seed(0)
    config = HyperpriorCodecConfig(
        latent_channels=16,
        hyper_channels=8,
        high_channels=16,
        low_channels=16,
        encoder_high_blocks=1,
        encoder_low_blocks=1,
        decoder_low_blocks=1,
        decoder_high_blocks=1,
        context_channels=16,
    )
    network = HyperpriorCodec(config).eval().requires_grad_(False)
    card = network.finish([], ModelCard(name=DEFAULT_MODEL, family=HyperpriorCodec.family))
    path = tmp_path_factory.mktemp("models") / f"{DEFAULT_MODEL}.safetensors"
    save_model(path, network, card)
    return path


@pytest.fixture
def services(qtbot: QtBot, own_user_folders: None, tiny_codec: Path) -> Iterator[Services]:
    if not (resources() / "models" / tiny_codec.name).is_file():
        user_folder("models").mkdir(parents=True, exist_ok=True)
        shutil.copy(tiny_codec, user_folder("models"))
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
def page(qtbot: QtBot, services: Services) -> CompressPage:
    controller = CompressController(services)
    page = CompressPage(controller, services)
    controller.setParent(page)
    qtbot.addWidget(page)
    qtbot.addWidget(page.inspector())
    page.resize(800, 600)
    page.show()
    page.inspector().show()
    return page


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A small photo-like picture: smooth colours with some structure."""
    y, x = np.mgrid[0:96, 0:144].astype(np.float32)
    waves = [128 + 90 * np.sin(x / (7 + k) + k) * np.cos(y / (11 - 2 * k)) for k in range(3)]
    path = tmp_path / "waves.png"
    Image.fromarray(np.dstack(waves).clip(0, 255).astype(np.uint8)).save(path)
    return path


def wait_current(qtbot: QtBot, page: CompressPage) -> None:
    qtbot.waitUntil(lambda: page.controller.state.current, timeout=PATIENCE)


def open_and_wait(qtbot: QtBot, page: CompressPage, path: Path) -> None:
    page.open_paths([path])
    qtbot.waitUntil(lambda: page.controller.state.title == path.name, timeout=PATIENCE)
    wait_current(qtbot, page)


def test_opens_with_a_sample_and_exact_figures(qtbot: QtBot, page: CompressPage) -> None:
    if not sample_paths("photos"):
        pytest.skip("no sample photos are bundled")
    wait_current(qtbot, page)
    result = page.controller.state.right.result
    assert result is not None
    assert page.inspector().panel(RIGHT).figures.value(SIZE) == bytes_exact(len(result.encoded.data))
    assert page.view.divided
    for name in (SHARE, BPP, PSNR, MS_SSIM, MADE):
        assert page.inspector().panel(RIGHT).figures.value(name) != "–"


def test_figures_follow_the_last_value_of_a_drag(qtbot: QtBot, page: CompressPage, photo: Path) -> None:
    open_and_wait(qtbot, page, photo)
    before = page.inspector().panel(RIGHT).figures.value(SIZE)
    for value in (60, 72, 85, 90, 97):
        page.inspector().panel(RIGHT).quality.set_value(value)
        assert not page.controller.state.current
    assert "updating" in page.view._right_label
    assert page.inspector().panel(RIGHT).figures.stale
    assert "Updating" in page.inspector().panel(RIGHT).status.text()
    wait_current(qtbot, page)
    result = page.controller.state.right.result
    assert result is not None
    assert result.wish.settings.quality == 97
    assert inspect(result.encoded.data).quality == 97
    assert page.inspector().panel(RIGHT).figures.value(SIZE) == bytes_exact(len(result.encoded.data)) != before
    assert not page.inspector().panel(RIGHT).figures.stale
    assert "updating" not in page.view._right_label


def test_while_the_slider_is_held_running_work_is_finished_and_the_last_value_follows(
    qtbot: QtBot, page: CompressPage, photo: Path
) -> None:
    open_and_wait(qtbot, page, photo)
    qualities = []
    page.controller.changed.connect(
        lambda state: qualities.append(state.right.result and state.right.result.wish.settings.quality)
    )
    page.controller.set_dragging(True)
    for value in (60, 61, 62, 63, 64):
        page.controller.set_quality(value)
    assert page.controller._lanes[RIGHT]._waiting
    qtbot.waitUntil(lambda: page.controller.state.current, timeout=PATIENCE)
    assert [value for value in dict.fromkeys(qualities) if value] == [50, 60, 64]


def test_going_back_to_a_quality_is_instant(qtbot: QtBot, page: CompressPage, photo: Path) -> None:
    open_and_wait(qtbot, page, photo)
    first = page.controller.state.right.result
    page.inspector().panel(RIGHT).quality.set_value(80)
    wait_current(qtbot, page)
    page.inspector().panel(RIGHT).quality.set_value(50)
    assert page.controller.state.current
    assert page.controller.state.right.result is first


def test_quality_is_remembered_for_the_next_session(qtbot: QtBot, page: CompressPage, services: Services) -> None:
    page.inspector().panel(RIGHT).quality.set_value(33)
    assert CompressController(services, page).state.settings.right.quality == 33


def test_transparency_survives(qtbot: QtBot, page: CompressPage, tmp_path: Path) -> None:
    path = tmp_path / "clear.png"
    pixels = np.full((64, 64, 4), (200, 80, 20, 255), np.uint8)
    pixels[:, :32, 3] = 0
    Image.fromarray(pixels).save(path)
    open_and_wait(qtbot, page, path)
    picture = page.controller.decoded_picture()
    assert picture is not None
    assert picture.alpha is not None
    np.testing.assert_array_equal(picture.alpha, pixels[..., 3])


def test_saved_file_is_the_one_shown_and_opens_to_the_same_pixels(
    qtbot: QtBot, page: CompressPage, photo: Path, tmp_path: Path
) -> None:
    open_and_wait(qtbot, page, photo)
    result = page.controller.state.right.result
    assert result is not None
    target = tmp_path / "saved.lsi"
    with qtbot.waitSignal(page._services.notices.posted, timeout=PATIENCE):
        page.controller.save_file(target)
    assert target.read_bytes() == result.encoded.data
    page.open_paths([target])
    qtbot.waitUntil(lambda: page.controller.state.file is not None, timeout=PATIENCE)
    file = page.controller.state.file
    assert file is not None
    np.testing.assert_array_equal(file.picture.pixels, result.encoded.decoded.pixels)
    assert page.inspector().file_panel.header.value("Picture") == "144 × 96"
    assert page.inspector().file_panel.header.value(SIZE) == bytes_exact(len(result.encoded.data))
    assert page.inspector()._file_section.isVisibleTo(page.inspector())
    assert not page.inspector()._sections[RIGHT].isVisibleTo(page.inspector())


def test_exported_png_holds_the_decoded_pixels(qtbot: QtBot, page: CompressPage, photo: Path, tmp_path: Path) -> None:
    open_and_wait(qtbot, page, photo)
    result = page.controller.state.right.result
    assert result is not None
    target = tmp_path / "decoded.png"
    with qtbot.waitSignal(page._services.notices.posted, timeout=PATIENCE):
        page.controller.export_picture(target)
    np.testing.assert_array_equal(open_picture(target).pixels, result.encoded.decoded.pixels)


def wait_judged(qtbot: QtBot, page: CompressPage) -> float:
    """SSIMULACRA2 of the result on show, once it is measured."""
    controller = page.controller

    def judged() -> bool:
        state = controller.state
        return state.current and state.right.result is not None and state.judgement_of(state.right.result) is not None

    qtbot.waitUntil(judged, timeout=PATIENCE)
    assert controller.state.right.result is not None
    judgement = controller.state.judgement_of(controller.state.right.result)
    assert judgement is not None and judgement.ssimulacra2 is not None
    return judgement.ssimulacra2


def test_ssimulacra2_follows_the_other_figures_and_is_of_the_result_on_show(
    qtbot: QtBot, page: CompressPage, photo: Path
) -> None:
    from engine.evaluation.ssimulacra2 import ssimulacra2

    figures = page.inspector().panel(RIGHT).figures
    shown: dict[float, set[str]] = {}  # quality of the result on show -> what the row said

    def note(state: CompressState) -> None:
        if state.right.result is not None:
            shown.setdefault(state.right.result.wish.settings.quality, set()).add(figures.value(VISIBLE))

    page.controller.changed.connect(note)
    open_and_wait(qtbot, page, photo)
    assert figures.value(PSNR) != "–" and "measuring…" in shown[50.0]
    expected = {}
    for quality in (50.0, 5.0, 95.0):
        page.inspector().panel(RIGHT).quality.set_value(quality)
        value = wait_judged(qtbot, page)
        state = page.controller.state
        assert state.picture is not None and state.right.result is not None
        assert value == ssimulacra2(state.picture.pixels, state.right.result.encoded.decoded.pixels)
        expected[quality] = f"{value:.1f}"
        assert figures.value(VISIBLE) == expected[quality]
    # Going back shows the figure that is known, and while others are wanted nothing of another result is shown.
    page.inspector().panel(RIGHT).quality.set_value(50)
    assert page.controller.state.current and figures.value(VISIBLE) == expected[50.0]
    page.inspector().panel(RIGHT).quality.set_value(20)
    assert figures.stale and figures.value(VISIBLE) == expected[50.0]
    page.inspector().panel(RIGHT).quality.set_value(30)
    wait_judged(qtbot, page)
    for quality, texts in shown.items():
        assert texts <= {"–", "measuring…", expected.get(quality, figures.value(VISIBLE))}


def choose_codec(page: CompressPage, side: str, codec: str) -> None:
    box = page.codec_boxes[side]
    box.setCurrentIndex(box.findData(codec))
    box.activated.emit(box.currentIndex())


def test_both_sides_are_judged_and_tiny_pictures_are_not(qtbot: QtBot, page: CompressPage, photo: Path) -> None:
    open_and_wait(qtbot, page, photo)
    choose_codec(page, LEFT, "jpeg")
    figures = page.inspector().panel(LEFT).figures
    qtbot.waitUntil(lambda: figures.value(VISIBLE) not in ("–", "measuring…"), timeout=PATIENCE)
    assert float(figures.value(VISIBLE)) <= 100
    tiny = photo.with_name("tiny.png")
    Image.new("RGB", (7, 20), (90, 120, 30)).save(tiny)
    open_and_wait(qtbot, page, tiny)
    qtbot.waitUntil(lambda: page.inspector().panel(RIGHT).figures.value(VISIBLE) == "–", timeout=PATIENCE)
    assert page.inspector().panel(RIGHT).figures.value(PSNR) != "–"


@pytest.mark.parametrize("codec", ["jpeg", "webp", "avif", "jxl", "png"])
def test_each_side_has_a_codec_of_its_own_and_its_file_is_saved_byte_for_byte(
    qtbot: QtBot, page: CompressPage, photo: Path, tmp_path: Path, codec: str
) -> None:
    open_and_wait(qtbot, page, photo)
    ours = page.controller.state.right.result
    choose_codec(page, LEFT, codec)
    wait_current(qtbot, page)
    state = page.controller.state
    assert state.left.result is not None
    assert state.right.result is ours, "the other side stays as it is"
    assert page.inspector().panel(LEFT).figures.value(SIZE) == bytes_exact(state.left.result.size)
    assert page.inspector().panel(RIGHT).figures.value(SIZE) != page.inspector().panel(LEFT).figures.value(SIZE)
    target = tmp_path / f"left{page.controller.suffix(LEFT)}"
    with qtbot.waitSignal(page._services.notices.posted, timeout=PATIENCE):
        page.controller.save_file(target, LEFT)
    np.testing.assert_array_equal(open_picture(target).pixels, state.left.result.encoded.decoded.pixels)
    with Image.open(target) as image:
        assert image.format == {"jpeg": "JPEG", "jxl": "JXL"}.get(codec, codec.upper())


@pytest.mark.parametrize("codec", ["jpeg", "webp", "avif"])
def test_a_side_follows_the_size_of_the_other(qtbot: QtBot, page: CompressPage, photo: Path, codec: str) -> None:
    controller = page.controller
    open_and_wait(qtbot, page, photo)
    controller.set_quality(85)
    choose_codec(page, LEFT, codec)
    controller.set_same_size(LEFT, True)
    wait_current(qtbot, page)

    def sizes() -> tuple[int, int]:
        left, right = controller.state.left.result, controller.state.right.result
        assert left is not None and right is not None
        return left.size, right.size

    first = sizes()
    assert 0.9 * first[1] <= first[0] <= first[1]
    controller.set_quality(95)
    assert not controller.state.left.current, "what it follows is not known yet"
    wait_current(qtbot, page)
    second = sizes()
    assert second[1] > first[1]
    assert 0.9 * second[1] <= second[0] <= second[1]
    # Only one side can follow the other.
    controller.set_same_size(RIGHT, True)
    assert not controller.state.settings.left.same_size
    wait_current(qtbot, page)


def test_sides_are_swapped_without_work_and_copied_with_undo(qtbot: QtBot, page: CompressPage, photo: Path) -> None:
    controller = page.controller
    open_and_wait(qtbot, page, photo)
    choose_codec(page, LEFT, "webp")
    wait_current(qtbot, page)
    before = controller.state
    QTest.mouseClick(page.swap_button, Qt.MouseButton.LeftButton)
    assert controller.state.current
    assert controller.state.left.result is before.right.result
    assert controller.state.right.result is before.left.result
    controller.copy_to_other(RIGHT)
    assert controller.state.settings.left.codec == "webp"
    controller.undo()
    assert controller.state.settings.left.codec == OURS
    assert controller.state.current, "what was on show a moment ago is still at hand"
    controller.undo()
    assert controller.state.settings == before.settings
    controller.redo()
    controller.redo()
    assert not controller.state.can_redo
    assert controller.state.settings.left.codec == "webp"


def test_a_drag_is_one_step_of_undo(qtbot: QtBot, page: CompressPage, photo: Path) -> None:
    controller, slider = page.controller, page.inspector().panel(RIGHT).quality
    open_and_wait(qtbot, page, photo)
    slider._slider.setSliderDown(True)
    for value in (55, 60, 70):
        slider.set_value(value)
    slider._slider.setSliderDown(False)
    slider.set_value(90)
    assert controller.state.settings.right.quality == 90
    controller.undo()
    assert controller.state.settings.right.quality == 70
    assert slider.value == 70
    controller.undo()
    assert controller.state.settings.right.quality == 50
    assert not controller.state.can_undo


@pytest.mark.parametrize("codec", [OURS, "jpeg"])
def test_a_size_to_reach_is_reached_and_never_exceeded(
    qtbot: QtBot, page: CompressPage, photo: Path, codec: str
) -> None:
    controller = page.controller
    open_and_wait(qtbot, page, photo)
    choose_codec(page, RIGHT, codec)
    controller.set_quality(90)
    wait_current(qtbot, page)
    panel = page.inspector().panel(RIGHT)
    panel.mode_box.setCurrentIndex(panel.mode_box.findData("size"))
    panel.mode_box.activated.emit(panel.mode_box.currentIndex())
    assert panel.target.isVisibleTo(panel) and not panel.quality.isVisibleTo(panel)
    wait_current(qtbot, page)
    result = controller.state.right.result
    assert result is not None
    assert result.size <= 1000 * panel.target.value()
    panel.target.setValue(round(0.8 * panel.target.value(), 1))
    wait_current(qtbot, page)
    smaller = controller.state.right.result
    assert smaller is not None
    assert 0.9 * 1000 * panel.target.value() <= smaller.size <= 1000 * panel.target.value()


def test_a_target_out_of_reach_is_told_and_the_last_result_stays(
    qtbot: QtBot, page: CompressPage, photo: Path, notices: list[Notice]
) -> None:
    open_and_wait(qtbot, page, photo)
    before = page.controller.state.right.result
    page.controller.set_target(RIGHT, Target("size", 100))
    qtbot.waitUntil(lambda: any(notice.kind == "error" for notice in notices), timeout=PATIENCE)
    assert page.controller.state.right.stopped
    assert page.controller.state.right.result is before
    assert not notices[-1].details
    page.controller.undo()
    assert page.controller.state.right.current


def test_the_photo_is_shrunk_and_cropped_before_it_is_compressed(qtbot: QtBot, page: CompressPage, photo: Path) -> None:
    open_and_wait(qtbot, page, photo)
    page.controller.change_shared(crop=Crop(16, 8, 96, 64))
    wait_current(qtbot, page)
    decoded = page.controller.decoded_picture()
    assert decoded is not None
    assert (decoded.width, decoded.height) == (96, 64)
    page.controller.change_shared(longest_side=48)
    wait_current(qtbot, page)
    decoded = page.controller.decoded_picture()
    assert decoded is not None
    assert (decoded.width, decoded.height) == (48, 32)
    assert "144 × 96 → 48 × 32" in page._caption.text()
    page.controller.undo()
    page.controller.undo()
    wait_current(qtbot, page)
    decoded = page.controller.decoded_picture()
    assert decoded is not None
    assert (decoded.width, decoded.height) == (144, 96)


def test_what_is_in_focus_gets_more_of_the_bits(qtbot: QtBot, page: CompressPage, tmp_path: Path) -> None:
    sand = tmp_path / "sand.png"  # a map may take 1 % of the file, so the file must not be tiny
    Image.fromarray(np.random.default_rng(2).integers(0, 256, (128, 192, 3), np.uint8)).save(sand)
    open_and_wait(qtbot, page, sand)
    plain = page.controller.state.right.result
    mask = np.zeros((64, 96), dtype=bool)
    mask[:, :32] = True
    page.controller.change_shared(focus=Focus(mask, drop=40))
    wait_current(qtbot, page)
    focused = page.controller.state.right.result
    assert plain is not None and focused is not None
    assert focused.size < plain.size
    errors = np.abs(focused.encoded.decoded.pixels.astype(float) - focused.picture.pixels).mean(axis=(0, 2))
    assert errors[:64].mean() < 0.9 * errors[128:].mean()
    names = [section.name for section in inspect(focused.encoded.data).sections]
    assert "QMAP" in names
    assert "QMAP" not in [section.name for section in inspect(plain.encoded.data).sections]


def test_curves_of_the_photo_fill_in_while_nothing_else_is_to_be_done(
    qtbot: QtBot, page: CompressPage, photo: Path
) -> None:
    curves = RateCurves(page.controller, page._services)
    open_and_wait(qtbot, page, photo)
    assert {point.codec for point in curves.points} == {OURS}, "what was compressed is on the curve"
    assert curves.estimate(SideSettings(OURS, 60.0), 144 * 96) is None, "nothing is known above quality 50"
    curves.set_wanted(True)
    qtbot.waitUntil(lambda: len({point.codec for point in curves.points}) == len(CODECS), timeout=PATIENCE)
    page.controller.set_quality(64)
    wait_current(qtbot, page)
    qtbot.waitUntil(lambda: curves.complete, timeout=PATIENCE)
    for codec in CODECS:
        points = sorted((point.quality, point.bits_per_pixel) for point in curves.points if point.codec == codec)
        assert len(points) >= 11
        assert points[0][1] < points[-1][1]
    result = page.controller.state.right.result
    estimate = curves.estimate(SideSettings(OURS, 62.0), 144 * 96)
    assert estimate is not None and result is not None
    assert estimate.size == pytest.approx(result.size, rel=0.2)


def test_a_point_of_the_plot_is_loaded_into_the_side_of_choice(qtbot: QtBot, page: CompressPage, photo: Path) -> None:
    inspector = page.inspector()
    open_and_wait(qtbot, page, photo)
    inspector._curves_section.set_expanded(True)
    panel = inspector.curves_panel
    qtbot.waitUntil(lambda: any(point.codec == "webp" for point in inspector.curves.points), timeout=PATIENCE)
    point = next(point for point in inspector.curves.points if point.codec == "webp")
    panel.side_box.setCurrentIndex(panel.side_box.findData(LEFT))
    panel.plot.point_chosen.emit(point)
    wait_current(qtbot, page)
    left = page.controller.state.left.result
    assert left is not None
    assert (left.wish.settings.codec, left.wish.settings.quality) == ("webp", point.quality)
    assert left.encoded.psnr == pytest.approx(point.psnr)


def test_an_estimate_is_named_as_one_until_the_exact_figures_are_there(
    qtbot: QtBot, page: CompressPage, photo: Path
) -> None:
    open_and_wait(qtbot, page, photo)
    panel = page.inspector().panel(RIGHT)
    panel.quality.set_value(60)
    assert "Estimate" not in panel.status.text(), "nothing is known beyond quality 50"
    wait_current(qtbot, page)
    panel.quality.set_value(55)
    assert "Estimate: about" in panel.status.text()
    assert panel.figures.stale
    wait_current(qtbot, page)
    assert "Estimate" not in panel.status.text()


def test_the_crop_is_drawn_on_the_whole_photo(qtbot: QtBot, page: CompressPage, photo: Path) -> None:
    panel = page.inspector().photo.crop_panel
    open_and_wait(qtbot, page, photo)
    QTest.mouseClick(panel.crop_button, Qt.MouseButton.LeftButton)
    assert page.region.mode == "crop"
    page.region.set_crop_rect(QRect(20, 10, 60, 40))
    QTest.mouseClick(panel.cancel_button, Qt.MouseButton.LeftButton)
    assert page.controller.state.settings.shared.crop is None
    QTest.mouseClick(panel.crop_button, Qt.MouseButton.LeftButton)
    page.region.set_crop_rect(QRect(20, 10, 60, 40))
    QTest.mouseClick(panel.apply_button, Qt.MouseButton.LeftButton)
    wait_current(qtbot, page)
    assert page.controller.state.settings.shared.crop == Crop(20, 10, 60, 40)
    assert (page.view.transform.image_size.width(), page.view.transform.image_size.height()) == (60, 40)
    # Cropping again begins with the crop that there is, on the whole photo.
    QTest.mouseClick(panel.crop_button, Qt.MouseButton.LeftButton)
    assert page.view.transform.image_size.width() == 144
    assert page.region.crop_rect() == QRect(20, 10, 60, 40)
    QTest.mouseClick(panel.cancel_button, Qt.MouseButton.LeftButton)
    assert page.view.transform.image_size.width() == 60
    QTest.mouseClick(panel.whole_button, Qt.MouseButton.LeftButton)
    wait_current(qtbot, page)
    assert page.view.transform.image_size.width() == 144


def test_what_is_drawn_is_the_focus_and_undo_takes_it_back(qtbot: QtBot, page: CompressPage, photo: Path) -> None:
    controller, view = page.controller, page.view
    open_and_wait(qtbot, page, photo)
    page.inspector()._focus_section.set_expanded(True)
    panel = page.inspector().focus_panel
    QTest.mouseClick(panel.tools["rectangle"], Qt.MouseButton.LeftButton)
    middle = view.rect().center()
    QTest.mousePress(view, Qt.MouseButton.LeftButton, pos=middle - QPoint(40, 40))
    QTest.mouseMove(view, middle)
    QTest.mouseMove(view, middle + QPoint(40, 40))
    QTest.mouseRelease(view, Qt.MouseButton.LeftButton, pos=middle + QPoint(40, 40))
    focus = controller.state.settings.shared.focus
    assert focus is not None and 0.0 < focus.mask.mean() < 1.0
    wait_current(qtbot, page)
    result = controller.state.right.result
    assert result is not None and result.wish.shared.focus is focus
    controller.undo()
    assert controller.state.settings.shared.focus is None
    assert page.region.mask() is None
    controller.redo()
    assert controller.state.settings.shared.focus is focus
    np.testing.assert_array_equal(page.region.mask(), focus.mask)
    QTest.mouseClick(panel.clear_button, Qt.MouseButton.LeftButton)
    assert controller.state.settings.shared.focus is None
    # Another photo has no focus yet.
    controller.undo()
    open_and_wait(qtbot, page, sample_paths("photos")[0])
    assert controller.state.settings.shared.focus is None
    assert page.region.mask() is None


def test_presets_set_a_side_and_own_ones_are_added_and_removed(qtbot: QtBot, page: CompressPage, photo: Path) -> None:
    controller, bar = page.controller, page.inspector().preset_bar
    open_and_wait(qtbot, page, photo)
    qtbot.waitUntil(lambda: "Web" in bar.names, timeout=PATIENCE)
    assert bar.box.currentText() == "Own settings"
    bar.box.setCurrentIndex(bar.box.findData("Web"))
    bar.box.activated.emit(bar.box.currentIndex())
    wait_current(qtbot, page)
    assert controller.suffix(RIGHT) == ".webp"
    assert controller.state.settings.shared.longest_side == 1920
    assert not controller.state.settings.shared.keep_metadata
    assert bar.box.currentText() == "Web"
    assert not bar.remove_button.isEnabled(), "what comes with the program cannot be removed"
    controller.set_quality(41)
    assert bar.box.currentText() == "Own settings"
    bar.add("Mine")
    qtbot.waitUntil(lambda: "Mine" in bar.names, timeout=PATIENCE)
    assert bar.box.currentText() == "Mine"
    controller.undo()
    assert bar.box.currentText() == "Web"
    controller.undo()
    assert controller.state.settings.right.codec == OURS
    bar.box.setCurrentIndex(bar.box.findData("Mine"))
    bar.box.activated.emit(bar.box.currentIndex())
    assert (controller.state.settings.right.codec, controller.state.settings.right.quality) == ("webp", 41)
    QTest.mouseClick(bar.remove_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "Mine" not in bar.names, timeout=PATIENCE)
    wait_current(qtbot, page)


def test_bits_are_shown_where_our_codec_spent_them(qtbot: QtBot, page: CompressPage, photo: Path) -> None:
    open_and_wait(qtbot, page, photo)
    QTest.mouseClick(page.overlay_buttons["bits"], Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: page.view._bits[1] is not None, timeout=PATIENCE)
    assert page.view._bits[0] is None, "the original has none"
    assert page.overlay_buttons["bits"].isChecked()
    QTest.mouseClick(page.overlay_buttons["difference"], Qt.MouseButton.LeftButton)
    assert not page.overlay_buttons["bits"].isChecked()
    assert page.view.overlay == "difference"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.jpg", b""),
        ("words.png", b"this is no picture"),
        ("cut.png", None),
        ("empty.lsi", b""),
        ("words.lsi", b"\x8aLSI\r\n\x1a\nno header follows"),
    ],
)
def test_a_bad_file_gives_a_notice_and_the_page_keeps_its_content(
    qtbot: QtBot,
    page: CompressPage,
    photo: Path,
    tmp_path: Path,
    notices: list[Notice],
    name: str,
    content: bytes | None,
) -> None:
    open_and_wait(qtbot, page, photo)
    before = page.controller.state
    bad = tmp_path / name
    bad.write_bytes(photo.read_bytes()[:200] if content is None else content)
    page.open_paths([bad])
    qtbot.waitUntil(lambda: any(notice.kind == "error" for notice in notices), timeout=PATIENCE)
    assert name in f"{notices[-1].title} {notices[-1].text}"
    assert not notices[-1].details  # an expected error, no traceback
    state = page.controller.state
    assert (state.title, state.picture, state.right.result, state.opening) == (
        before.title,
        before.picture,
        before.right.result,
        "",
    )
    page.inspector().panel(RIGHT).quality.set_value(20)
    wait_current(qtbot, page)


def test_a_changed_byte_in_a_compressed_file_is_told(
    qtbot: QtBot, page: CompressPage, photo: Path, tmp_path: Path, notices: list[Notice]
) -> None:
    open_and_wait(qtbot, page, photo)
    data = bytearray(page.controller.compressed_bytes() or b"")
    data[-8] ^= 0xFF
    damaged = tmp_path / "damaged.lsi"
    damaged.write_bytes(data)
    page.open_paths([damaged])
    qtbot.waitUntil(lambda: any("damaged.lsi" in f"{n.title} {n.text}" for n in notices), timeout=PATIENCE)
    assert page.controller.state.opening == ""


def test_saving_to_an_impossible_place_is_told(
    qtbot: QtBot, page: CompressPage, photo: Path, notices: list[Notice]
) -> None:
    open_and_wait(qtbot, page, photo)
    page.controller.save_file(photo / "inside-a-file.lsi")
    qtbot.waitUntil(lambda: any(notice.kind == "error" for notice in notices), timeout=PATIENCE)
    assert not notices[-1].details
    assert page.controller.state.current


def test_pasted_pictures_and_files_open(qtbot: QtBot, page: CompressPage, photo: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 52, 3), np.uint8)
    QGuiApplication.clipboard().setImage(to_qimage(pixels))
    page.paste()
    wait_current(qtbot, page)
    picture = page.controller.state.picture
    assert picture is not None
    np.testing.assert_array_equal(picture.pixels, pixels)
    assert page.inspector().panel(RIGHT).figures.value(SHARE) == "–"
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(photo))])
    QGuiApplication.clipboard().setMimeData(data)
    page.paste()
    qtbot.waitUntil(lambda: page.controller.state.title == photo.name, timeout=PATIENCE)
    wait_current(qtbot, page)


def test_pasting_nothing_is_told(page: CompressPage, notices: list[Notice]) -> None:
    QGuiApplication.clipboard().clear()
    page.paste()
    assert "clipboard" in notices[-1].text


def test_the_newest_of_two_quickly_opened_files_stays(qtbot: QtBot, page: CompressPage, photo: Path) -> None:
    other = photo.with_name("other.png")
    Image.new("RGB", (64, 48), (90, 120, 30)).save(other)
    page.open_paths([photo])
    page.open_paths([other])
    qtbot.waitUntil(lambda: page.controller.state.title == "other.png", timeout=PATIENCE)
    wait_current(qtbot, page)
    result = page.controller.state.right.result
    assert result is not None
    assert result.encoded.decoded.width == 64


def test_large_photos_wait_for_the_slider_to_rest_and_can_be_cancelled(
    qtbot: QtBot, page: CompressPage, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compress_lane, "LARGE_PIXELS", 1000)
    open_and_wait(qtbot, page, photo)
    controller = page.controller
    first = controller.state.right.result
    assert first is not None
    controller.set_dragging(True)
    controller.set_quality(10)
    controller.set_quality(12)
    assert controller.state.right.busy
    assert not controller._lanes[RIGHT].running
    controller.set_dragging(False)
    assert controller._lanes[RIGHT].running
    controller.cancel(RIGHT)
    assert controller.state.right.stopped
    assert controller.state.right.result is first
    assert page.inspector().panel(RIGHT).again_button.isVisibleTo(page.inspector())
    QTest.mouseClick(page.inspector().panel(RIGHT).again_button, Qt.MouseButton.LeftButton)
    wait_current(qtbot, page)
    result = controller.state.right.result
    assert result is not None
    assert result.wish.settings.quality == 12


def test_of_a_large_photo_the_visible_part_is_shown_before_the_whole(
    qtbot: QtBot, page: CompressPage, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compress_lane, "LARGE_PIXELS", 1000)
    monkeypatch.setattr(compress_work, "MOST_PART_PIXELS", 1200)
    open_and_wait(qtbot, page, photo)
    page.view.transform.set_zoom(8.0)
    page.view.transform.pan_by(200, 0)
    seen = page.view.visible_part()
    assert 0 < seen.width() < 144
    parts: list[tuple[Part, str]] = []

    def note(state: CompressState) -> None:
        if state.right.part is not None and state.right.part not in [part for part, _ in parts]:
            assert not state.right.current
            parts.append((state.right.part, page.inspector().panel(RIGHT).status.text()))

    page.controller.changed.connect(note)
    page.controller.set_quality(20)
    wait_current(qtbot, page)
    ((part, text),) = parts
    box = QRect(part.box.x, part.box.y, part.box.width, part.box.height)
    assert seen.contains(box) and box.width() * box.height() <= 1200
    assert part.encoded.quality == 20
    assert part.encoded.decoded.pixels.shape == (box.height(), box.width(), 3)
    assert text.startswith("Updating… Visible part only") and "The whole photo follows" in text
    assert page.controller.state.right.part is None
    assert page.view._parts == (None, None)
    # A target is of the whole file: no part can tell what quality it will need.
    page.controller.set_target(RIGHT, Target("bpp", 2.0))
    wait_current(qtbot, page)
    assert len(parts) == 1


def test_of_a_large_file_the_preview_is_shown_before_the_picture(
    qtbot: QtBot, page: CompressPage, tmp_path: Path
) -> None:
    controller = page.controller
    meadow = tmp_path / "meadow.png"  # only files of a megapixel and more hold a preview
    y, x = np.mgrid[0:1000, 0:1100].astype(np.float32)
    waves = [128 + 60 * np.sin(x / (40 + 9 * k)) * np.cos(y / 31) for k in range(3)]
    grain = np.random.default_rng(4).normal(0, 20, (1000, 1100, 1))
    Image.fromarray((np.dstack(waves) + grain).clip(0, 255).astype(np.uint8)).save(meadow)
    open_and_wait(qtbot, page, meadow)
    whole = controller.decoded_picture()
    target = tmp_path / "large.lsi"
    with qtbot.waitSignal(page._services.notices.posted, timeout=PATIENCE):
        controller.save_file(target)
    shown: list[tuple[bool, bool]] = []

    def note(state: CompressState) -> None:
        if state.file is not None and (state.file.complete, bool(state.opening)) not in shown:
            shown.append((state.file.complete, bool(state.opening)))
            assert state.file.picture.pixels.shape == (1000, 1100, 3)
            assert (controller.decoded_picture() is not None) == state.file.complete

    controller.changed.connect(note)
    page.open_paths([target])
    qtbot.waitUntil(lambda: bool(shown) and shown[-1] == (True, False), timeout=PATIENCE)
    assert shown == [(False, True), (True, False)]
    assert page.inspector().file_panel.export_button.isEnabled()
    decoded = controller.decoded_picture()
    assert whole is not None and decoded is not None
    np.testing.assert_array_equal(decoded.pixels, whole.pixels)


def test_what_is_in_view_of_a_large_file_is_decoded_before_the_rest(
    qtbot: QtBot, page: CompressPage, tmp_path: Path
) -> None:
    controller = page.controller
    blocks = np.random.default_rng(6).integers(60, 200, (100, 120, 3)).repeat(20, 0).repeat(20, 1)
    pixels = (blocks + np.random.default_rng(7).normal(0, 15, blocks.shape)).astype(np.uint8)
    target = tmp_path / "large.lsi"
    target.write_bytes(encode(Picture(pixels), EncodeSettings(quality=50)))
    assert inspect(target.read_bytes()).preview  # without one there is nothing to look at before the whole
    parts: list[tuple[FilePart, bool]] = []

    def note(state: CompressState) -> None:
        if state.file_part is not None and state.file is not None:
            parts.append((state.file_part, state.file.complete))

    controller.changed.connect(note)
    page.open_paths([target])
    qtbot.waitUntil(lambda: page.view.transform.image_size.width() == 2400, timeout=PATIENCE)
    page.view.transform.actual_size()
    qtbot.waitUntil(lambda: controller.state.file is not None and controller.state.file.complete, timeout=PATIENCE)
    assert parts and not any(complete for _, complete in parts)
    whole = controller.decoded_picture()
    assert whole is not None and controller.state.file_part is None
    box, seen = parts[0][0].box, parts[0][0].picture.pixels
    assert box.width * box.height <= pixels.shape[0] * pixels.shape[1] // 2
    np.testing.assert_array_equal(seen, whole.pixels[box.y : box.y + box.height, box.x : box.x + box.width])


def test_metadata_is_kept_or_left_out_by_choice(qtbot: QtBot, page: CompressPage, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Camera maker"
    path = tmp_path / "tagged.jpg"
    Image.new("RGB", (64, 64), (10, 90, 200)).save(path, exif=exif)
    open_and_wait(qtbot, page, path)
    picture = page.controller.decoded_picture()
    assert picture is not None
    assert b"Camera maker" in (picture.exif or b"")
    page.inspector().photo.metadata.setChecked(False)
    wait_current(qtbot, page)
    picture = page.controller.decoded_picture()
    assert picture is not None
    assert picture.exif is None


def test_batch_goes_on_after_a_file_that_fails(
    qtbot: QtBot, page: CompressPage, photo: Path, tmp_path: Path, notices: list[Notice]
) -> None:
    folder = tmp_path / "photos"
    (folder / "deep").mkdir(parents=True)
    shutil.copy(photo, folder / "a.png")
    shutil.copy(photo, folder / "deep" / "b.png")
    (folder / "broken.png").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("not a picture either")
    page.open_paths([folder])
    qtbot.waitUntil(lambda: len(page.batch.rows) == 3, timeout=PATIENCE)
    assert page.batch_panel.isVisibleTo(page)
    target = tmp_path / "results"
    page.batch.set_target(target)
    QTest.mouseClick(page.batch_panel.start_button, Qt.MouseButton.LeftButton)
    assert page.batch.running
    qtbot.waitUntil(lambda: not page.batch.running, timeout=PATIENCE)
    rows = {row.source.name: row for row in page.batch.rows}
    assert {name: row.state for name, row in rows.items()} == {
        "a.png": "done",
        "b.png": "done",
        "broken.png": "failed",
    }
    assert (target / "photos" / "a.lsi").is_file()
    assert (target / "photos" / "deep" / "b.lsi").is_file()
    assert rows["a.png"].after == (target / "photos" / "a.lsi").stat().st_size
    assert rows["a.png"].psnr is not None
    assert "broken.png" in rows["broken.png"].problem
    assert photo.read_bytes() == (folder / "a.png").read_bytes()
    assert page.batch_panel.table.model().rowCount() == 3
    # A second start retries only what failed, and overwrites nothing.
    shutil.copy(photo, folder / "broken.png")
    page.controller.set_quality(10.0)
    page.batch.start()
    qtbot.waitUntil(lambda: not page.batch.running, timeout=PATIENCE)
    assert all(row.state == "done" for row in page.batch.rows)
    assert rows["a.png"].after == (target / "photos" / "a.lsi").stat().st_size


def test_cancelled_batch_keeps_what_is_done(qtbot: QtBot, page: CompressPage, photo: Path, tmp_path: Path) -> None:
    paths = []
    for number in range(30):
        paths.append(tmp_path / f"copy-{number:02}.png")
        shutil.copy(photo, paths[-1])
    page.open_paths(paths)
    qtbot.waitUntil(lambda: len(page.batch.rows) == 30, timeout=PATIENCE)
    page.batch.set_target(tmp_path / "results")
    page.batch.start()
    qtbot.waitUntil(lambda: any(row.state == "done" for row in page.batch.rows), timeout=PATIENCE)
    QTest.mouseClick(page.batch_panel.cancel_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not page.batch.running, timeout=PATIENCE)
    assert {row.state for row in page.batch.rows} == {"done", "cancelled"}
    done = [row.target for row in page.batch.rows if row.state == "done"]
    assert sorted(path for path in (tmp_path / "results").glob("[!.]*")) == sorted(path for path in done if path)


def test_every_control_has_a_name_and_can_be_reached_by_tab(page: CompressPage) -> None:
    for root in (page, page.inspector()):
        for kind in (QAbstractButton, QComboBox, QAbstractSlider, QAbstractSpinBox):
            for control in root.findChildren(kind):
                if control.focusPolicy() == Qt.FocusPolicy.NoFocus or control.objectName().startswith("qt_"):
                    continue
                if type(control).__name__ in ("QScrollBar", "QTableCornerButton"):
                    continue
                name = control.accessibleName() or (control.text() if isinstance(control, QAbstractButton) else "")
                assert name, f"{control} has no accessible name"
                assert control.focusPolicy() & Qt.FocusPolicy.TabFocus


def test_a_codec_installed_meanwhile_is_offered_when_the_page_is_shown_again(
    qtbot: QtBot, page: CompressPage, tiny_codec: Path
) -> None:
    from engine.models.store import read_card, save_card

    qtbot.waitUntil(lambda: bool(page.controller.state.models), timeout=PATIENCE)
    page.hide()
    fresh = user_folder("models") / "fresh-codec.safetensors"
    fresh.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(tiny_codec, fresh)
    save_card(fresh, read_card(fresh).model_copy(update={"name": "fresh-codec"}))
    page.show()
    qtbot.waitUntil(lambda: "fresh-codec" in page.controller.state.models, timeout=PATIENCE)
