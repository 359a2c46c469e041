"""Palettes can be read, icons exist and take the colour of their role, the theme changes without a restart."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PySide6.QtGui import QPalette
from PySide6.QtSvg import QSvgRenderer
from PySide6.QtWidgets import QApplication, QToolButton

from engine.paths import resources
from gui.services.context import Services
from gui.services.theme import DARK, LIGHT, ROLES, STYLE, TEXT_PAIRS, Theme, contrast

ICONS = sorted((resources() / "icons").glob("*.svg"))
GUI = Path(__file__).resolve().parents[2] / "gui"


def test_contrast_is_that_of_wcag() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_text_can_be_read_in_both_palettes(palette: dict[str, str]) -> None:
    poor = {pair: contrast(palette[pair[0]], palette[pair[1]]) for pair in TEXT_PAIRS}
    assert {pair: ratio for pair, ratio in poor.items() if ratio < 4.5} == {}


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_outlines_of_controls_can_be_seen(palette: dict[str, str]) -> None:
    for ground in ("panel", "window"):
        assert contrast(palette["border_strong"], palette[ground]) >= 2.8
        assert contrast(palette["accent"], palette[ground]) >= 3.0


def test_both_palettes_have_the_same_roles_and_the_style_sheet_uses_no_other() -> None:
    assert set(LIGHT) == set(DARK) == set(ROLES)
    used = set(re.findall(r"@(\w+)", STYLE)) - {"icons", "scheme"}
    assert used <= set(ROLES)
    assert "@" not in Theme("dark").stylesheet()


def test_colours_are_named_in_one_place_only() -> None:
    literal = re.compile(r"[\"']#[0-9a-fA-F]{3,8}[\"']")
    places = [path.name for path in GUI.rglob("*.py") if path.name != "theme.py" and literal.search(path.read_text())]
    assert places == []


@pytest.mark.parametrize("path", ICONS, ids=lambda path: path.stem)
def test_icons_are_valid_and_take_a_colour(qapp: QApplication, path: Path) -> None:
    assert QSvgRenderer(str(path)).isValid()
    if not path.stem.endswith(("-light", "-dark")):
        assert "currentColor" in path.read_text()


def test_the_theme_changes_at_once_and_bound_icons_follow(services: Services, qapp: QApplication, qtbot) -> None:
    button = QToolButton()
    qtbot.addWidget(button)
    services.theme.bind_icon(button, "open", "accent", 32)
    assert dominant(button) == LIGHT["accent"]
    with qtbot.waitSignal(services.theme.changed):
        services.theme.set_mode("dark")
    assert QApplication.palette().color(QPalette.ColorRole.Window).name() == DARK["window"]
    assert DARK["panel"] in qapp.styleSheet()
    assert dominant(button) == DARK["accent"]


def dominant(button: QToolButton) -> str:
    """The most frequent opaque colour of the button's icon."""
    image = button.icon().pixmap(32, 32).toImage()
    colors = [image.pixelColor(x, y) for x in range(image.width()) for y in range(image.height())]
    names = [color.name() for color in colors if color.alpha() == 255]
    return max(set(names), key=names.count)
