"""One's own picture on the Generate page, on the shipped models: what is kept, what is guessed, what is changed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PySide6.QtGui import QGuiApplication
from pytestqt.qtbot import QtBot

from engine.generation import SamplingSettings
from engine.image import Picture, save_picture
from gui.pages.generate_page import OWN, SAMPLES, GeneratePage
from gui.services.context import Services
from gui.services.qimage import to_qimage
from tests.gui.generate_pages import PATIENCE, REAL_FACES, choose_model, make_page, start, wait_grid


@pytest.fixture
def page(qtbot: QtBot, services: Services) -> GeneratePage:
    return start(qtbot, make_page(qtbot, services), services)


def draw(page: GeneratePage, seed: int = 3, **choice: str) -> np.ndarray:
    """A picture of the model in use, as if it came from outside."""
    generator = page.controller.generator
    assert generator is not None
    return generator.sample(SamplingSettings(choice=choice), 1, seed)[0].pixels


def wait_own(qtbot: QtBot, page: GeneratePage) -> None:
    own = page.controller.own
    count = len(own.values(own.attribute))
    qtbot.waitUntil(lambda: own.encoded is not None and len(own.siblings) == count, timeout=PATIENCE)


def test_a_dropped_picture_is_shown_beside_what_the_model_keeps_of_it(
    qtbot: QtBot, page: GeneratePage, tmp_path: Path
) -> None:
    # Black on white and larger than the model's pictures: as a person would scan it.
    digit = 255 - draw(page, digit="4")
    save_picture(Picture(np.kron(digit, np.ones((9, 9, 1), np.uint8))), tmp_path / "four.png")
    page.open_paths([tmp_path / "four.png"])
    wait_own(qtbot, page)
    own = page.controller.own
    assert page.tabs.currentIndex() == OWN
    assert own.encoded is not None
    assert own.encoded.choice == {"digit": "4"}
    assert page.own.read_boxes["digit"].currentText() == "4 (guessed)"
    assert f"{own.encoded.psnr:.1f} dB" in page.own.kept_caption.text()
    assert page.own.original.image is not None
    assert page.own.kept.image is not None
    assert len(page.own.siblings.items) == 10


def test_a_pasted_picture_gets_another_class(qtbot: QtBot, page: GeneratePage) -> None:
    QGuiApplication.clipboard().setImage(to_qimage(draw(page, digit="4")))
    page.paste()
    wait_own(qtbot, page)
    own = page.controller.own
    assert page.own.changed.image is None
    page.own.siblings.select_row(9)
    qtbot.waitUntil(lambda: own.changed is not None, timeout=PATIENCE)
    assert own.changed is not None
    assert own.changed.latent.attributes == {"digit": "9"}
    assert page.own.change_boxes["digit"].currentData() == "9"
    np.testing.assert_array_equal(own.changed.pixels, own.siblings[9].pixels)
    page.own.change_boxes["digit"].setCurrentIndex(0)
    page.own.change_boxes["digit"].activated.emit(0)
    assert own.changed is None
    assert page.own.changed.image is None


def test_a_wrong_guess_is_set_right_and_changes_what_is_kept(qtbot: QtBot, page: GeneratePage) -> None:
    page.controller.dropped.open_picture(Picture(draw(page, digit="4")))
    wait_own(qtbot, page)
    own, box = page.controller.own, page.own.read_boxes["digit"]
    guessed = own.encoded
    assert guessed is not None
    box.setCurrentIndex(box.findData("9"))
    box.activated.emit(box.currentIndex())
    qtbot.waitUntil(lambda: own.encoded is not None and own.encoded is not guessed, timeout=PATIENCE)
    assert own.encoded is not None
    assert own.encoded.choice == {"digit": "9"}
    assert own.encoded.guessed == ()
    assert box.currentText() == "9"
    wait_own(qtbot, page)


def test_several_attributes_of_a_face_change_together(qtbot: QtBot, page: GeneratePage) -> None:
    choose_model(qtbot, page, REAL_FACES)
    page.controller.dropped.open_picture(Picture(draw(page, glasses="none", facial_hair="none")))
    wait_own(qtbot, page)
    own = page.controller.own
    assert len(page.own.read_boxes) == 10
    own.change("glasses", "sunglasses")
    own.change("facial_hair", "beard")
    qtbot.waitUntil(
        lambda: own.changed is not None and own.changed.latent.attributes.get("facial_hair") == "beard",
        timeout=PATIENCE,
    )
    assert own.changed is not None
    assert own.changed.latent.attributes["glasses"] == "sunglasses"
    wait_own(qtbot, page)
    assert {sample.latent.attributes["glasses"] for sample in own.siblings} == {"sunglasses"}


def test_an_own_picture_goes_on_as_a_sample(qtbot: QtBot, page: GeneratePage) -> None:
    page.controller.dropped.open_picture(Picture(draw(page, digit="4"), name="mine.png"))
    wait_own(qtbot, page)
    page.own.go_on.click()
    assert page.tabs.currentIndex() == SAMPLES
    (sample,) = page.controller.grids.samples
    assert sample.latent.seed is None
    page.sample_actions.vary.trigger()
    wait_grid(qtbot, page)
    assert len(page.controller.grids.samples) == 16


def test_another_model_takes_the_picture_anew_and_letting_go_forgets_it(qtbot: QtBot, page: GeneratePage) -> None:
    page.controller.dropped.open_picture(Picture(draw(page, digit="4")))
    wait_own(qtbot, page)
    choose_model(qtbot, page, REAL_FACES)
    wait_own(qtbot, page)
    own = page.controller.own
    assert own.encoded is not None
    assert own.encoded.latent.model == REAL_FACES
    own.close()
    assert own.picture is None
    assert page.own._stack.currentIndex() == 0
