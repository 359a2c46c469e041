"""The Generate page as tests build it: on tiny models that choose quickly, or on those that are shipped."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from engine.paths import user_folder
from gui.controllers.generate_controller import GenerateController
from gui.pages.generate_page import GeneratePage
from gui.services.context import Services
from tests.gui.tiny_models import DIGITS, save_tiny_models

PATIENCE = 60_000  # milliseconds; nothing is timed, a busy machine is only given room
REAL_DIGITS, REAL_FACES = "digits-cvae", "faces-cvae"


def use_tiny_models(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put small untrained models beside the shipped ones, and let the page begin with one."""
    if not folder.is_dir():
        save_tiny_models(folder)
    shutil.copytree(folder, user_folder("models"))
    monkeypatch.setattr("gui.controllers.generate_controller.PREFERRED", DIGITS)


def make_page(qtbot: QtBot, services: Services) -> GeneratePage:
    """A page that is shown, with its inspector; the engine is not loaded before `services.host.start()`."""
    controller = GenerateController(services)
    page = GeneratePage(controller, services)
    controller.setParent(page)
    qtbot.addWidget(page)
    qtbot.addWidget(page.inspector())
    page.resize(860, 640)
    page.show()
    page.inspector().show()
    return page


def start(qtbot: QtBot, page: GeneratePage, services: Services) -> GeneratePage:
    """Load the engine and wait for the first grid and its tiles."""
    services.host.start()
    state = page.controller.state
    qtbot.waitUntil(lambda: bool(state.model), timeout=PATIENCE)
    wait_tiles(qtbot, page)
    wait_grid(qtbot, page)
    return page


def choose_model(qtbot: QtBot, page: GeneratePage, name: str) -> None:
    """Change to a model and wait for its grid."""
    page.controller.choose_model(name)
    qtbot.waitUntil(lambda: page.controller.state.model == name, timeout=PATIENCE)
    wait_grid(qtbot, page)


def wait_grid(qtbot: QtBot, page: GeneratePage) -> None:
    """Wait until nothing is being made."""
    qtbot.waitUntil(lambda: not page.controller.busy and not page.controller.state.loading, timeout=PATIENCE)


def wait_tiles(qtbot: QtBot, page: GeneratePage) -> None:
    """Wait for the pictures of all values."""
    controller = page.controller
    qtbot.waitUntil(lambda: len(controller.tiles.values) == len(controller.state.attributes), timeout=PATIENCE)


def pixels(page: GeneratePage) -> np.ndarray:
    """The pictures of the grid in view, (N, H, W, 3)."""
    return np.stack([sample.pixels for sample in page.controller.grids.samples])
