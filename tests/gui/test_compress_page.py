"""The Compress page on a real codec: what people see follows what they do, and what is saved is what was shown."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QMimeData, Qt, QUrl
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QAbstractSlider, QAbstractSpinBox, QComboBox
from pytestqt.qtbot import QtBot

from engine.compression import DEFAULT_MODEL, inspect
from engine.image import open_picture
from engine.paths import resources, user_folder
from gui.controllers import compress_controller
from gui.controllers.compress_controller import CompressController, CompressState
from gui.controllers.wording import bytes_exact
from gui.pages.compress_inspector import BPP, MODEL, MS_SSIM, PSNR, SHARE, SIZE, VISIBLE
from gui.pages.compress_page import CompressPage
from gui.pages.samples import sample_paths
from gui.services.context import Services
from gui.services.notices import Notice
from gui.widgets.qimage import to_qimage

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
    result = page.controller.state.result
    assert result is not None
    assert page.inspector().figures.value(SIZE) == bytes_exact(len(result.encoded.data))
    assert page.view.divided
    for name in (SHARE, BPP, PSNR, MS_SSIM, MODEL):
        assert page.inspector().figures.value(name) != "–"


def test_figures_follow_the_last_value_of_a_drag(qtbot: QtBot, page: CompressPage, photo: Path) -> None:
    open_and_wait(qtbot, page, photo)
    before = page.inspector().figures.value(SIZE)
    for value in (60, 72, 85, 90, 97):
        page.inspector().quality.set_value(value)
        assert not page.controller.state.current
    assert "updating" in page.view._right_label
    assert page.inspector().figures.stale
    assert "Updating" in page.inspector()._status.text()
    wait_current(qtbot, page)
    result = page.controller.state.result
    assert result is not None
    assert result.order.quality == 97
    assert inspect(result.encoded.data).quality == 97
    assert page.inspector().figures.value(SIZE) == bytes_exact(len(result.encoded.data)) != before
    assert not page.inspector().figures.stale
    assert "updating" not in page.view._right_label


def test_while_the_slider_is_held_running_work_is_finished_and_the_last_value_follows(
    qtbot: QtBot, page: CompressPage, photo: Path
) -> None:
    open_and_wait(qtbot, page, photo)
    qualities = []
    page.controller.changed.connect(lambda state: qualities.append(state.result and state.result.order.quality))
    page.controller.set_dragging(True)
    for value in (60, 61, 62, 63, 64):
        page.controller.set_quality(value)
    assert page.controller._again
    qtbot.waitUntil(lambda: page.controller.state.current, timeout=PATIENCE)
    assert [value for value in dict.fromkeys(qualities) if value] == [50, 60, 64]


def test_going_back_to_a_quality_is_instant(qtbot: QtBot, page: CompressPage, photo: Path) -> None:
    open_and_wait(qtbot, page, photo)
    first = page.controller.state.result
    page.inspector().quality.set_value(80)
    wait_current(qtbot, page)
    page.inspector().quality.set_value(50)
    assert page.controller.state.current
    assert page.controller.state.result is first


def test_quality_is_remembered_for_the_next_session(qtbot: QtBot, page: CompressPage, services: Services) -> None:
    page.inspector().quality.set_value(33)
    assert CompressController(services, page).state.order.quality == 33


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
    result = page.controller.state.result
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
    assert page.inspector().header.value("Picture") == "144 × 96"
    assert page.inspector().header.value(SIZE) == bytes_exact(len(result.encoded.data))
    assert page.inspector()._header_section.isVisibleTo(page.inspector())
    assert not page.inspector()._codec_section.isVisibleTo(page.inspector())


def test_exported_png_holds_the_decoded_pixels(qtbot: QtBot, page: CompressPage, photo: Path, tmp_path: Path) -> None:
    open_and_wait(qtbot, page, photo)
    result = page.controller.state.result
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
        return state.current and state.result is not None and state.judgement_of(state.result) is not None

    qtbot.waitUntil(judged, timeout=PATIENCE)
    assert controller.state.result is not None
    judgement = controller.state.judgement_of(controller.state.result)
    assert judgement is not None and judgement.ssimulacra2 is not None
    return judgement.ssimulacra2


def test_ssimulacra2_follows_the_other_figures_and_is_of_the_result_on_show(
    qtbot: QtBot, page: CompressPage, photo: Path
) -> None:
    from engine.evaluation.ssimulacra2 import ssimulacra2

    figures = page.inspector().figures
    shown: dict[float, set[str]] = {}  # quality of the result on show -> what the row said

    def note(state: CompressState) -> None:
        if state.result is not None:
            shown.setdefault(state.result.order.quality, set()).add(figures.value(VISIBLE))

    page.controller.changed.connect(note)
    open_and_wait(qtbot, page, photo)
    assert figures.value(PSNR) != "–" and "measuring…" in shown[50.0]
    expected = {}
    for quality in (50.0, 5.0, 95.0):
        page.inspector().quality.set_value(quality)
        value = wait_judged(qtbot, page)
        state = page.controller.state
        assert state.picture is not None and state.result is not None
        assert value == ssimulacra2(state.picture.pixels, state.result.encoded.decoded.pixels)
        expected[quality] = f"{value:.1f}"
        assert figures.value(VISIBLE) == expected[quality]
    # Going back shows the figure that is known, and while others are wanted nothing of another result is shown.
    page.inspector().quality.set_value(50)
    assert page.controller.state.current and figures.value(VISIBLE) == expected[50.0]
    page.inspector().quality.set_value(20)
    assert figures.stale and figures.value(VISIBLE) == expected[50.0]
    page.inspector().quality.set_value(30)
    wait_judged(qtbot, page)
    for quality, texts in shown.items():
        assert texts <= {"–", "measuring…", expected.get(quality, figures.value(VISIBLE))}


def test_a_rival_is_judged_too_and_tiny_pictures_are_not(qtbot: QtBot, page: CompressPage, photo: Path) -> None:
    open_and_wait(qtbot, page, photo)
    page.side_box.setCurrentIndex(page.side_box.findData("jpeg"))
    row = page.inspector().rival_figures
    qtbot.waitUntil(lambda: row.value(VISIBLE) not in ("–", "measuring…"), timeout=PATIENCE)
    assert float(row.value(VISIBLE)) <= 100
    tiny = photo.with_name("tiny.png")
    Image.new("RGB", (7, 20), (90, 120, 30)).save(tiny)
    open_and_wait(qtbot, page, tiny)
    qtbot.waitUntil(lambda: page.inspector().figures.value(VISIBLE) == "–", timeout=PATIENCE)
    assert page.inspector().figures.value(PSNR) != "–"


@pytest.mark.parametrize("codec", ["jpeg", "webp", "avif", "jxl"])
def test_a_rival_of_the_same_size_appears_at_the_left(
    qtbot: QtBot, page: CompressPage, photo: Path, codec: str
) -> None:
    open_and_wait(qtbot, page, photo)
    page.side_box.setCurrentIndex(page.side_box.findData(codec))
    qtbot.waitUntil(lambda: page.controller.state.rival_current, timeout=PATIENCE)
    rival = page.controller.state.rival
    assert rival is not None
    assert rival.codec == codec
    assert page.inspector().rival_figures.value(SIZE) == bytes_exact(rival.size)
    page.inspector().quality.set_value(80)
    assert not page.controller.state.rival_current
    qtbot.waitUntil(lambda: page.controller.state.rival_current, timeout=PATIENCE)


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
    assert (state.title, state.picture, state.result, state.opening) == (
        before.title,
        before.picture,
        before.result,
        "",
    )
    page.inspector().quality.set_value(20)
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
    assert page.inspector().figures.value(SHARE) == "–"
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
    result = page.controller.state.result
    assert result is not None
    assert result.encoded.decoded.width == 64


def test_large_photos_wait_for_the_slider_to_rest_and_can_be_cancelled(
    qtbot: QtBot, page: CompressPage, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compress_controller, "LARGE_PIXELS", 1000)
    open_and_wait(qtbot, page, photo)
    controller = page.controller
    first = controller.state.result
    assert first is not None
    controller.set_dragging(True)
    controller.set_quality(10)
    controller.set_quality(12)
    assert controller.state.busy
    assert not controller._running
    controller.set_dragging(False)
    assert controller._running
    controller.cancel()
    assert controller.state.stopped
    assert controller.state.result is first
    assert page.inspector().again_button.isVisibleTo(page.inspector())
    QTest.mouseClick(page.inspector().again_button, Qt.MouseButton.LeftButton)
    wait_current(qtbot, page)
    result = controller.state.result
    assert result is not None
    assert result.order.quality == 12


def test_metadata_is_kept_or_left_out_by_choice(qtbot: QtBot, page: CompressPage, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Camera maker"
    path = tmp_path / "tagged.jpg"
    Image.new("RGB", (64, 64), (10, 90, 200)).save(path, exif=exif)
    open_and_wait(qtbot, page, path)
    picture = page.controller.decoded_picture()
    assert picture is not None
    assert b"Camera maker" in (picture.exif or b"")
    page.inspector().metadata.setChecked(False)
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
    page.batch.start(dataclasses.replace(page.controller.state.order, quality=10.0))
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
    page.batch.start(page.controller.state.order)
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
