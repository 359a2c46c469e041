"""Own light and dark palettes from named colour roles, the style sheet made of them, and icons tinted by them.

Widgets ask for looks by a dynamic property, never by a colour of their own:

- `label.setProperty("look", "title" | "heading" | "muted" | "caption" | "figure" | "error")`
- `button.setProperty("look", "primary" | "danger" | "flat")`
- `frame.setProperty("look", "panel" | "card" | "sunken")`
"""

from __future__ import annotations

import math
import weakref
from functools import lru_cache
from itertools import product
from typing import Any, ClassVar

import shiboken6
from PySide6.QtCore import QByteArray, QObject, QRectF, QSize, Qt, Signal, Slot
from PySide6.QtGui import QColor, QFont, QGuiApplication, QIcon, QPainter, QPalette, QPixmap, QScreen
from PySide6.QtSvg import QSvgRenderer
from PySide6.QtWidgets import QApplication, QWidget

from engine.paths import resources

LIGHT = {
    "window": "#f3f4f7",  # behind everything
    "panel": "#ffffff",  # inspector, rail, cards, fields
    "sunken": "#e7e9ee",  # around pictures
    "raised": "#ffffff",  # menus, toasts
    "hover": "#eceef3",
    "pressed": "#dfe2e9",
    "border": "#dcdfe6",
    "border_strong": "#8b92a0",  # outlines of controls: 3:1 against the panel
    "text": "#1a1d24",
    "muted": "#565d6b",
    "disabled": "#9097a3",
    "accent": "#4549c4",
    "accent_hover": "#383cab",
    "accent_soft": "#e8e9fb",
    "on_accent": "#ffffff",
    "danger": "#b3261e",
    "success": "#17703c",
    "warning": "#855600",
    "tooltip": "#23262e",
    "on_tooltip": "#f2f3f6",
    "series_1": "#d55e00",  # curves of plots: 3:1 against the panel, apart for eyes that tell fewer colours
    "series_2": "#0072b2",
    "series_3": "#1f8fc4",
    "series_4": "#a87400",
    "series_5": "#6e7480",
    "series_6": "#00866a",
    "series_7": "#b5568f",
}
DARK = {
    "window": "#15171b",
    "panel": "#1d2026",
    "sunken": "#0f1114",
    "raised": "#262a32",
    "hover": "#292d36",
    "pressed": "#343944",
    "border": "#30343d",
    "border_strong": "#757d8c",
    "text": "#e9ebef",
    "muted": "#a3aab7",
    "disabled": "#666d79",
    "accent": "#a0a7ff",
    "accent_hover": "#b7bcff",
    "accent_soft": "#2c2f4d",
    "on_accent": "#14162e",
    "danger": "#ff8f85",
    "success": "#72d69b",
    "warning": "#f0c169",
    "tooltip": "#e9ebef",
    "on_tooltip": "#1a1d24",
    "series_1": "#ff8a4c",
    "series_2": "#5aa2ff",
    "series_3": "#8fd6f7",
    "series_4": "#f0c040",
    "series_5": "#a3aab7",
    "series_6": "#3ccfa4",
    "series_7": "#e79ac8",
}
ROLES = tuple(LIGHT)
FONT_FAMILIES = [
    "Inter", "Segoe UI", ".AppleSystemUIFont", "Cantarell", "Ubuntu", "Noto Sans", "Open Sans", "DejaVu Sans",
]  # fmt: skip

# Pairs of (foreground, background) that carry text somewhere in the window; a test holds them to 4.5:1.
TEXT_PAIRS = (
    *product(("text", "muted", "accent", "danger", "success", "warning"), ("window", "panel", "raised")),
    *product(("text", "muted"), ("sunken", "hover")),
    ("text", "pressed"),
    ("text", "accent_soft"),
    ("accent", "accent_soft"),
    ("on_accent", "accent"),
    ("on_accent", "accent_hover"),
    ("on_tooltip", "tooltip"),
)


def contrast(first: str, second: str) -> float:
    """Contrast ratio of two "#rrggbb" colours by WCAG 2, 1..21."""
    light, dark = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(color: str) -> float:
    channels = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@lru_cache(maxsize=256)
def _svg(name: str) -> str | None:
    path = resources() / "icons" / f"{name}.svg"
    return path.read_text(encoding="utf-8") if path.is_file() else None


@lru_cache(maxsize=1024)
def _tinted(name: str, color: str, size: int, ratio: int) -> QPixmap:
    pixmap = QPixmap(size * ratio, size * ratio)
    pixmap.fill(Qt.GlobalColor.transparent)
    source = _svg(name)
    if source is not None:
        renderer = QSvgRenderer(QByteArray(source.replace("currentColor", color).encode()))
        painter = QPainter(pixmap)
        renderer.render(painter, QRectF(0, 0, size * ratio, size * ratio))
        painter.end()
    pixmap.setDevicePixelRatio(ratio)
    return pixmap


class Theme(QObject):
    """The colours of the whole program.

    Attributes:
        mode: "system", "light" or "dark".
        is_dark: which palette is in use.

    Signals:
        changed(): the palette in use is another one; repaint what paints itself.
    """

    changed = Signal()
    _current: ClassVar[weakref.ref[Theme] | None] = None

    def __init__(self, mode: str = "system", parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.mode = mode
        self._bound: list[tuple[weakref.ref[Any], str, str, int]] = []
        Theme._current = weakref.ref(self)
        self.is_dark = self._wants_dark()
        QGuiApplication.styleHints().colorSchemeChanged.connect(self._on_system_changed)
        application = QGuiApplication.instance()
        if isinstance(application, QGuiApplication):
            application.screenAdded.connect(self._on_screen_added)

    @staticmethod
    def current() -> Theme:
        """The theme in use, for widgets that only want an icon or a colour."""
        theme = Theme._current() if Theme._current else None
        if theme is not None and shiboken6.isValid(theme):
            return theme
        application = QApplication.instance()
        return Theme("light", application)

    def set_mode(self, mode: str) -> None:
        """Choose "system", "light" or "dark" and apply it to the whole program."""
        self.mode = mode
        self.apply()

    def hex(self, role: str) -> str:
        """The colour of a role as "#rrggbb"."""
        return (DARK if self.is_dark else LIGHT)[role]

    def color(self, role: str) -> QColor:
        """The colour of a role."""
        return QColor(self.hex(role))

    def apply(self) -> None:
        """Give style, palette, font and style sheet to the application and re-tint every bound icon."""
        application = QApplication.instance()
        assert isinstance(application, QApplication)
        dark = self._wants_dark()
        first = application.property("latent_studio_theme") is None
        if not first and dark == self.is_dark and application.property("latent_studio_theme") == dark:
            return
        self.is_dark = dark
        if first:
            application.setStyle("Fusion")
            application.setFont(interface_font())
        application.setProperty("latent_studio_theme", dark)
        application.setPalette(self.palette())
        application.setStyleSheet(self.stylesheet())
        self._retint()
        self.changed.emit()

    def icon(self, name: str, role: str = "text", size: int = 20) -> QIcon:
        """The icon `resources/icons/NAME.svg` in the colour of a role, as sharp as the screens at hand; empty for an
        unknown name."""
        icon = QIcon()
        if _svg(name) is None:
            return icon
        for ratio in {math.ceil(screen.devicePixelRatio()) for screen in QGuiApplication.screens()} or {1}:
            icon.addPixmap(_tinted(name, self.hex(role), size, ratio), QIcon.Mode.Normal)
            icon.addPixmap(_tinted(name, self.hex("disabled"), size, ratio), QIcon.Mode.Disabled)
        return icon

    def pixmap(self, name: str, role: str = "text", size: int = 20, ratio: float = 1.0) -> QPixmap:
        """The same as one picture, for labels."""
        return _tinted(name, self.hex(role), size, max(1, round(ratio + 0.3)))

    def bind_icon(self, target: Any, name: str, role: str = "text", size: int = 20) -> None:
        """Give `target.setIcon` the icon now and again whenever the theme changes. Binding again replaces the icon."""
        self._bound = [entry for entry in self._bound if entry[0]() is not None and entry[0]() is not target]
        self._bound.append((weakref.ref(target), name, role, size))
        target.setIcon(self.icon(name, role, size))
        if isinstance(target, QWidget) and hasattr(target, "setIconSize"):
            target.setIconSize(QSize(size, size))  # type: ignore[attr-defined]

    def palette(self) -> QPalette:
        """The palette in use as Qt wants it."""
        palette, group, role = QPalette(), QPalette.ColorGroup, QPalette.ColorRole
        for target, source in {
            role.Window: "window",
            role.WindowText: "text",
            role.Base: "panel",
            role.AlternateBase: "hover",
            role.Text: "text",
            role.Button: "panel",
            role.ButtonText: "text",
            role.BrightText: "danger",
            role.Highlight: "accent",
            role.HighlightedText: "on_accent",
            role.ToolTipBase: "tooltip",
            role.ToolTipText: "on_tooltip",
            role.PlaceholderText: "muted",
            role.Link: "accent",
            role.LinkVisited: "accent",
            role.Accent: "accent",
            role.Light: "panel",
            role.Midlight: "hover",
            role.Mid: "border",
            role.Dark: "border_strong",
            role.Shadow: "border_strong",
        }.items():
            palette.setColor(target, self.color(source))
        for target in (role.WindowText, role.Text, role.ButtonText, role.PlaceholderText):
            palette.setColor(group.Disabled, target, self.color("disabled"))
        return palette

    def stylesheet(self) -> str:
        """The style sheet, made of the roles in use."""
        text = STYLE
        text = text.replace("@icons", (resources() / "icons").as_posix())
        text = text.replace("@scheme", "dark" if self.is_dark else "light")
        # Longest first: "accent" is the beginning of "accent_soft".
        for role in sorted(ROLES, key=len, reverse=True):
            text = text.replace(f"@{role}", self.hex(role))
        return text

    def _wants_dark(self) -> bool:
        if self.mode != "system":
            return self.mode == "dark"
        return QGuiApplication.styleHints().colorScheme() == Qt.ColorScheme.Dark

    @Slot()
    def _on_system_changed(self) -> None:
        if self.mode == "system":
            self.apply()

    @Slot(QScreen)
    def _on_screen_added(self, _screen: QScreen) -> None:
        self._retint()

    def _retint(self) -> None:
        alive = []
        for reference, name, role, size in self._bound:
            target = reference()
            if target is not None and shiboken6.isValid(target):
                target.setIcon(self.icon(name, role, size))
                alive.append((reference, name, role, size))
        self._bound = alive


def interface_font() -> QFont:
    """The interface font: the platform's own where it is a good one, else the best that is usually installed."""
    font = QFont()
    font.setFamilies(FONT_FAMILIES)
    font.setPointSizeF(10.0)
    font.setHintingPreference(QFont.HintingPreference.PreferVerticalHinting)
    return font


STYLE = """
QWidget { color: @text; }
QMainWindow, QDialog { background: @window; }
QToolTip { background: @tooltip; color: @on_tooltip; border: none; padding: 6px 8px; }

QLabel[look="title"] { font-size: 16pt; font-weight: 600; }
QLabel[look="heading"] { font-size: 11pt; font-weight: 600; }
QLabel[look="muted"] { color: @muted; }
QLabel[look="caption"] { color: @muted; font-size: 9pt; }
QLabel[look="figure"] { font-size: 15pt; font-weight: 600; }
QLabel[look="error"] { color: @danger; }
QFrame[look="panel"] { background: @panel; border: none; }
QFrame[look="card"] { background: @panel; border: 1px solid @border; border-radius: 8px; }
QFrame[look="toast"] { background: @raised; border: 1px solid @border_strong; border-radius: 8px; }
QFrame[look="sunken"] { background: @sunken; border: none; }

QPushButton, QToolButton {
    background: @panel; border: 1px solid @border_strong; border-radius: 6px; padding: 5px 14px; min-height: 20px;
}
QToolButton { padding: 5px 8px; }
QPushButton:hover, QToolButton:hover { background: @hover; }
QPushButton:pressed, QToolButton:pressed { background: @pressed; }
QPushButton:checked, QToolButton:checked { background: @accent_soft; border-color: @accent; color: @accent; }
QPushButton:focus, QToolButton:focus { border: 2px solid @accent; padding: 4px 13px; }
QToolButton:focus { padding: 4px 7px; }
QPushButton:disabled, QToolButton:disabled { color: @disabled; border-color: @border; background: @window; }
QPushButton[look="primary"] { background: @accent; border-color: @accent; color: @on_accent; font-weight: 600; }
QPushButton[look="primary"]:hover { background: @accent_hover; border-color: @accent_hover; }
QPushButton[look="primary"]:focus { border: 2px solid @text; }
QPushButton[look="primary"]:disabled { background: @pressed; border-color: @pressed; color: @muted; }
QPushButton[look="danger"] { color: @danger; border-color: @danger; }
QPushButton[look="flat"], QToolButton[look="flat"] { background: transparent; border: 1px solid transparent; }
QPushButton[look="flat"]:hover, QToolButton[look="flat"]:hover { background: @hover; }
QPushButton[look="flat"]:pressed, QToolButton[look="flat"]:pressed { background: @pressed; }
QPushButton[look="flat"]:checked, QToolButton[look="flat"]:checked { background: @accent_soft; color: @accent; }
QPushButton[look="flat"]:focus, QToolButton[look="flat"]:focus { border: 2px solid @accent; }
QToolButton[look="section"] {
    background: transparent; border: 1px solid transparent; padding: 4px 0; margin-left: -6px; font-size: 11pt;
    font-weight: 600;
}
QToolButton[look="section"]:hover { color: @accent; background: transparent; }
QToolButton[look="section"]:checked { color: @text; background: transparent; }
QToolButton[look="section"]:focus { border: 2px solid @accent; padding: 3px 0; }
QToolButton::menu-indicator { image: none; width: 0; }

QLineEdit, QSpinBox, QDoubleSpinBox, QComboBox, QPlainTextEdit, QTextEdit {
    background: @panel; border: 1px solid @border_strong; border-radius: 6px; padding: 4px 8px; min-height: 20px;
    selection-background-color: @accent; selection-color: @on_accent;
}
QLineEdit:focus, QSpinBox:focus, QDoubleSpinBox:focus, QComboBox:focus, QPlainTextEdit:focus, QTextEdit:focus {
    border: 2px solid @accent; padding: 3px 7px;
}
QLineEdit:disabled, QSpinBox:disabled, QDoubleSpinBox:disabled, QComboBox:disabled {
    color: @disabled; border-color: @border; background: @window;
}
QSpinBox, QDoubleSpinBox { padding: 1px 2px 1px 8px; }
QSpinBox:focus, QDoubleSpinBox:focus { padding: 0 1px 0 7px; }
QLineEdit QToolButton, QLineEdit QToolButton:hover, QLineEdit QToolButton:pressed {
    background: transparent; border: none; padding: 0; min-height: 0;
}
QAbstractSpinBox QLineEdit, QAbstractSpinBox QLineEdit:focus {
    border: none; background: transparent; padding: 2px 6px; min-height: 18px;
}
QSpinBox::up-button, QDoubleSpinBox::up-button, QSpinBox::down-button, QDoubleSpinBox::down-button {
    border: none; background: transparent;
}
QAbstractSpinBox[look="number"]::up-button, QAbstractSpinBox[look="number"]::down-button { width: 0; height: 0; }
QAbstractSpinBox[look="number"]::up-arrow, QAbstractSpinBox[look="number"]::down-arrow {
    image: none; width: 0; height: 0;
}
QSpinBox::up-button:hover, QDoubleSpinBox::up-button:hover,
QSpinBox::down-button:hover, QDoubleSpinBox::down-button:hover { background: @hover; }
QSpinBox::up-arrow, QDoubleSpinBox::up-arrow { image: url("@icons/spin-up-@scheme.svg"); width: 10px; height: 10px; }
QSpinBox::down-arrow, QDoubleSpinBox::down-arrow {
    image: url("@icons/spin-down-@scheme.svg"); width: 10px; height: 10px;
}
QComboBox::drop-down { border: none; width: 24px; }
QComboBox::down-arrow { image: url("@icons/spin-down-@scheme.svg"); width: 12px; height: 12px; }
QComboBox QAbstractItemView {
    background: @raised; border: 1px solid @border; padding: 4px; outline: none;
    selection-background-color: @accent_soft; selection-color: @text;
}
QComboBox QAbstractItemView::item { min-height: 26px; padding: 0 6px; }

QCheckBox, QRadioButton { spacing: 8px; min-height: 22px; }
QCheckBox::indicator, QRadioButton::indicator {
    width: 16px; height: 16px; border: 1px solid @border_strong; border-radius: 4px; background: @panel;
}
QRadioButton::indicator { border-radius: 9px; }
QCheckBox::indicator:hover, QRadioButton::indicator:hover { border-color: @accent; }
QCheckBox::indicator:checked {
    background: @accent; border-color: @accent; image: url("@icons/tick-@scheme.svg");
}
QRadioButton::indicator:checked {
    background: @accent; border-color: @accent; image: url("@icons/dot-@scheme.svg");
}
QCheckBox::indicator:disabled, QRadioButton::indicator:disabled { border-color: @border; background: @window; }
QCheckBox:disabled, QRadioButton:disabled { color: @disabled; }
QCheckBox:focus, QRadioButton:focus { color: @accent; }

QSlider { min-height: 22px; }
QSlider::groove:horizontal { height: 4px; border-radius: 2px; background: @border; }
QSlider::sub-page:horizontal { height: 4px; border-radius: 2px; background: @accent; }
QSlider::sub-page:horizontal:disabled { background: @disabled; }
QSlider::handle:horizontal {
    width: 12px; height: 12px; margin: -6px 0; border-radius: 8px; background: @panel; border: 2px solid @accent;
}
QSlider::handle:horizontal:hover { background: @accent_soft; }
QSlider::handle:horizontal:focus { background: @accent; }
QSlider::handle:horizontal:disabled { border-color: @disabled; }

QProgressBar {
    background: @border; border: none; border-radius: 3px; min-height: 6px; max-height: 6px; text-align: center;
}
QProgressBar::chunk { background: @accent; border-radius: 3px; }

ImageCanvas { background: @sunken; }
QScrollArea { background: transparent; border: none; }
QScrollArea > QWidget > QWidget { background: transparent; }
QScrollBar:vertical { background: transparent; width: 12px; margin: 0; }
QScrollBar:horizontal { background: transparent; height: 12px; margin: 0; }
QScrollBar::handle { background: @border_strong; border-radius: 3px; }
QScrollBar::handle:vertical { min-height: 32px; margin: 2px 3px; }
QScrollBar::handle:horizontal { min-width: 32px; margin: 3px 2px; }
QScrollBar::handle:hover { background: @muted; }
QScrollBar::add-line, QScrollBar::sub-line { width: 0; height: 0; }
QScrollBar::add-page, QScrollBar::sub-page { background: transparent; }

QMenuBar { background: @panel; padding: 2px 8px; }
QMenuBar::item { padding: 5px 10px; border-radius: 6px; background: transparent; }
QMenuBar::item:selected { background: @hover; }
QMenu { background: @raised; border: 1px solid @border; padding: 6px; }
QMenu::item { padding: 6px 28px 6px 12px; border-radius: 4px; }
QMenu::item:selected { background: @accent_soft; color: @text; }
QMenu::item:disabled { color: @disabled; }
QMenu::separator { height: 1px; background: @border; margin: 6px 8px; }
QMenu::icon { padding-left: 8px; }

QFrame[look="rail"] { background: @panel; border: none; border-right: 1px solid @border; }
QToolButton[look="rail"] {
    background: transparent; border: 1px solid transparent; border-radius: 8px; padding: 6px 2px; color: @muted;
    font-size: 9pt;
}
QToolButton[look="rail"]:hover { background: @hover; color: @text; }
QToolButton[look="rail"]:checked { background: @accent_soft; color: @accent; }
QToolButton[look="rail"]:focus { border: 2px solid @accent; padding: 5px 1px; }
QFrame[look="header"] { background: @window; border: none; border-bottom: 1px solid @border; }
QFrame[look="status"] { background: @panel; border: none; border-top: 1px solid @border; }
QPushButton[look="status"] {
    background: transparent; border: 1px solid transparent; color: @muted; font-size: 9pt; padding: 2px 8px;
    min-height: 16px;
}
QPushButton[look="status"]:hover { background: @hover; color: @text; }
QPushButton[look="status"]:focus { border: 1px solid @accent; }
QPushButton[look="chip"] {
    background: transparent; border: 1px solid @border; border-radius: 12px; padding: 2px 10px; min-height: 18px;
    font-size: 9pt;
}
QPushButton[look="chip"]:hover { background: @hover; }
QPushButton[look="chip"]:checked { background: @accent_soft; border-color: @accent; color: @accent; }
QPushButton[look="chip"]:focus { border: 2px solid @accent; padding: 1px 9px; }
QPushButton[look="search"] { background: @panel; border: 1px solid @border; color: @muted; padding: 5px 14px 5px 10px; }
QPushButton[look="search"]:hover { border-color: @border_strong; color: @text; }
QPushButton[look="search"]:focus { border: 2px solid @accent; padding: 4px 13px 4px 9px; }
QStackedWidget[look="inspector"] { background: @panel; border-left: 1px solid @border; }
QStackedWidget[dropping="true"] { border: 2px dashed @accent; }
QFrame[look="row"] { border: none; border-top: 1px solid @border; }
QListWidget[look="plain"] { border: none; background: transparent; }
QListWidget[look="plain"]::item { padding: 5px 8px; border-radius: 6px; }
QListWidget[look="plain"]::item:selected { background: @accent_soft; color: @text; }
QToolBar { background: transparent; border: none; spacing: 4px; padding: 0; }
QToolBar QToolButton { background: transparent; border: 1px solid transparent; padding: 5px 10px; }
QToolBar QToolButton:hover { background: @hover; }
QToolBar QToolButton:pressed { background: @pressed; }
QToolBar QToolButton:checked { background: @accent_soft; color: @accent; }
QToolBar QToolButton:focus { border: 2px solid @accent; padding: 4px 9px; }
QToolBar QToolButton#qt_toolbar_ext_button { padding: 0; border: none; border-radius: 3px; }
QToolBar QToolButton:disabled { background: transparent; border: 1px solid transparent; }
QToolBar::separator { background: @border; width: 1px; margin: 6px 8px; }
QSplitter::handle { background: @border; }
QSplitter::handle:horizontal { width: 1px; }
QSplitter::handle:vertical { height: 1px; }

QTabWidget::pane { border: 1px solid @border; border-radius: 6px; }
QTabBar::tab { background: transparent; padding: 7px 14px; border-bottom: 2px solid transparent; color: @muted; }
QTabBar::tab:selected { border-bottom-color: @accent; color: @text; }
QTabBar::tab:hover { color: @text; }

QAbstractItemView {
    background: @panel; border: 1px solid @border; border-radius: 6px; outline: none;
    selection-background-color: @accent_soft; selection-color: @text; alternate-background-color: @window;
}
QTableView::item, QTreeView::item { padding: 3px 6px; }
QAbstractItemView:focus { border-color: @accent; }
FlowGrid, GalleryView { background: transparent; border: none; border-radius: 0; }
QHeaderView { background: transparent; border: none; border-radius: 0; }
QHeaderView::section {
    background: @panel; color: @muted; border: none; border-bottom: 1px solid @border; padding: 6px;
}
QGroupBox { border: 1px solid @border; border-radius: 8px; margin-top: 10px; padding: 12px 8px 8px 8px; }
QGroupBox::title { subcontrol-origin: margin; left: 10px; padding: 0 4px; color: @muted; }
"""
