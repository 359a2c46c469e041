"""Fixtures for every test: one CPU thread, own user folders, data roots."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("LATENT_STUDIO_THREADS", "1")

ROOT = Path(__file__).resolve().parent.parent
SHARED_DATA = ROOT.parent / "shared" / "data"
if "LATENT_STUDIO_DATA" not in os.environ and SHARED_DATA.is_dir():
    os.environ["LATENT_STUDIO_DATA"] = str(SHARED_DATA)


@pytest.fixture(autouse=True)
def own_user_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the settings, models or runs of the person who runs it."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "data"))
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))


@pytest.fixture
def shared_data() -> Path:
    """The project's data sets; tests that need them are skipped where they are not at hand."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the project's data sets are not at hand")
    return SHARED_DATA
