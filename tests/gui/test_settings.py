"""Settings survive a restart, bad ones fall back, nothing unknown breaks the start."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies
from PySide6.QtWidgets import QApplication

from engine.errors import UsageError
from gui.services.settings import Settings, SettingsService, from_toml, to_toml

TEXTS = strategies.text(strategies.characters(exclude_categories=["Cs"]))
VALUES = strategies.one_of(
    TEXTS, strategies.booleans(), strategies.integers(-(2**53), 2**53), strategies.floats(-1e6, 1e6),
    strategies.lists(TEXTS, max_size=3),
)  # fmt: skip


def test_what_was_set_is_there_after_a_restart(qapp: QApplication, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "settings.toml"
    first = SettingsService(path)
    heard: list[str] = []
    first.changed.connect(heard.append)
    first.update(theme="dark", page="latents")
    first.set_page("compress", quality=71.5, codec="photo-codec-s", rivals=["avif"])
    first.remember_file(tmp_path / "a photo ü.png")
    first.shutdown()
    second = SettingsService(path)
    assert second.current == first.current
    assert second.page("compress") == {"quality": 71.5, "codec": "photo-codec-s", "rivals": ["avif"]}
    assert second.current.last_folder == str(tmp_path)
    assert heard == ["theme", "page", "pages.compress", "recent_files", "last_folder"]
    assert second.faults == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(strategies.dictionaries(TEXTS, VALUES, max_size=4), TEXTS)
def test_any_values_of_a_page_come_back_as_they_were(table: dict, name: str) -> None:
    before = Settings(pages={name: table}, last_folder=name)
    after, faults = from_toml(to_toml(before))
    assert (after, faults) == (before, [])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("theme = 'pink'", "pink"),
        ("threads = 'four'", "threads"),
        ("recent_files = [1, 2]", "recent_files"),
        ("device = 'abacus'", "abacus"),
        ("[pages]\ncompress = 3", "pages"),
        ("theme = ", "TOML"),
        ("\x00", "TOML"),
    ],
)
def test_what_makes_no_sense_is_named_and_left_at_its_default(qapp, tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(text)
    service = SettingsService(path)
    assert service.current == Settings()
    assert told in service.faults[0]
    assert path.with_suffix(".toml.old").read_text() == text, "the file is kept before it is replaced"


def test_one_bad_value_does_not_cost_the_others(qapp, tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text("version = 1\ntheme = 'dark'\nthreads = -3\nfrom_the_future = 1\n")
    service = SettingsService(path)
    assert (service.current.theme, service.current.threads) == ("dark", 0)


def test_a_wrong_value_is_refused_when_set(qapp, tmp_path: Path) -> None:
    service = SettingsService(tmp_path / "settings.toml")
    with pytest.raises(UsageError, match="no theme"):
        service.update(theme="pink")
    assert service.current.theme == "system"


def test_recent_files_are_few_and_newest_first(qapp, tmp_path: Path) -> None:
    service = SettingsService(tmp_path / "settings.toml")
    for number in range(30):
        service.remember_file(tmp_path / f"{number}.png")
    service.remember_file(tmp_path / "25.png")
    names = [Path(text).name for text in service.current.recent_files]
    assert names[:3] == ["25.png", "29.png", "28.png"] and len(names) == 12
    service.shutdown()
