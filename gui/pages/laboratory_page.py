"""The Laboratory page: what the kinds of convolution read, cost and see, on a photo at hand."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QSignalBlocker, QTimer, Slot
from PySide6.QtGui import QAction, QGuiApplication, QKeySequence, QShowEvent
from PySide6.QtWidgets import QButtonGroup, QComboBox, QHBoxLayout, QStackedWidget, QToolButton, QVBoxLayout, QWidget

from gui.controllers.laboratory_controller import PAGE, LaboratoryController
from gui.pages.actions import make_action
from gui.pages.clipboard import NOTHING, clipboard_files, clipboard_image
from gui.pages.laboratory_kinds import KindsPanel, KindsView
from gui.pages.samples import sample_paths
from gui.services.qimage import to_picture
from gui.widgets.file_dialogs import ask_open, ask_save
from gui.widgets.inspector_column import prepare_controls
from gui.widgets.section import Section

if TYPE_CHECKING:
    from engine.laboratory.animation import Ink
    from gui.services.context import Services

OPEN_FILTER = "Pictures (*.jpg *.jpeg *.png *.webp *.avif *.tif *.tiff *.bmp *.gif *.heic *.heif *.jxl);;All files (*)"
FIRST_PHOTO = "golden-gate.jpg"  # bright, with clear lines: even few pixels of it are recognised
KINDS, STACK, GRIDDING, CHECKERBOARD, FIELD, TEXT = "kinds", "stack", "gridding", "checkerboard", "field", "text"


@dataclass(frozen=True)
class ViewEntry:
    """One view of the page.

    Attributes:
        title, hint: for people.
        module: in `gui.pages`.
        view, panel: names of the classes of its canvas and its part of the inspector.
        photo: whether it shows the photo.
    """

    title: str
    hint: str
    module: str
    view: str
    panel: str
    photo: bool = True


VIEWS = {
    KINDS: ViewEntry(
        "Four kinds", "Standard, dilated, transposed, separable", "laboratory_kinds", "KindsView", "KindsPanel"
    ),
    STACK: ViewEntry("Stack", "Layers in a row, and what they see", "laboratory_stack", "StackView", "StackPanel"),
    GRIDDING: ViewEntry(
        "Gridding", "Holes that dilation rates leave", "laboratory_maps", "GriddingView", "GriddingPanel", False
    ),
    CHECKERBOARD: ViewEntry(
        "Checkerboard", "Three ways to enlarge", "laboratory_maps", "CheckerboardView", "CheckerboardPanel"
    ),
    FIELD: ViewEntry("Used field", "What trained models really use", "laboratory_field", "FieldView", "FieldPanel"),
    TEXT: ViewEntry("Text", "Dilation along a sentence", "laboratory_text", "TextView", "TextPanel", False),
}


class LaboratoryPage(QWidget):
    """Shows a `LaboratoryController`: a row of views, each built when it is first chosen.

    Attributes:
        views, panels: what was built so far, by key.
    """

    title = "Laboratory"
    icon_name = "laboratory"

    def __init__(self, controller: LaboratoryController, services: Services, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.controller = controller
        self._services = services
        self.current = KINDS
        self.views: dict[str, QWidget] = {}
        self.panels: dict[str, QWidget] = {}
        self._building: dict[str, Iterator[None]] = {}
        self._next_step = QTimer(self)
        self._next_step.setSingleShot(True)
        self._next_step.setInterval(0)
        self._next_step.timeout.connect(self._on_next_step)
        self._inspector: QWidget | None = None
        self._inspector_layout: QVBoxLayout | None = None
        self._samples: dict[str, Path] = {}
        self._photo_section = Section("Photo")
        self.photo_box = QComboBox()
        self._lay_out()
        self._make_actions()
        self.views[KINDS] = KindsView(controller.kinds, services)
        self._stack.addWidget(self.views[KINDS])
        controller.opened.connect(self._show_photo)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if not event.spontaneous() and self.controller.picture is None and not self.controller.opening:
            # In a turn of the event loop of its own, so that the page is drawn and answers before.
            QTimer.singleShot(0, self, self._open_first)

    # -- what the window asks for

    def page_actions(self) -> list[QAction]:
        """Actions for the toolbar."""
        return self._actions

    def inspector(self) -> QWidget:
        """The panel at the right; that of the first view is filled in by `complete`."""
        if self._inspector is None:
            self._inspector = _Inspector(self._complete)
            layout = self._inspector_layout = QVBoxLayout(self._inspector)
            layout.setContentsMargins(0, 0, 0, 0)
            layout.setSpacing(8)
            layout.addWidget(self._photo_section)
            layout.addStretch(1)
        return self._inspector

    def open_paths(self, paths: list[Path]) -> None:
        """Open the first picture."""
        if paths:
            self._services.settings.remember_file(paths[0])
            self.controller.open_path(paths[0])

    def paste(self) -> None:
        """Open the picture, or the copied file, from the clipboard."""
        paths, image = clipboard_files(), clipboard_image()
        if paths:
            self.open_paths(paths)
        elif image is not None:
            self.controller.open_picture(to_picture(image))
        else:
            self._services.notices.info(NOTHING)

    def show_view(self, key: str) -> None:
        """Bring a view to the front; the first time it is built, one step a turn of the event loop."""
        self.current = key
        self._view_buttons[key].setChecked(True)
        self._services.settings.set_page(PAGE, view=key)
        self._show_exports()
        if key not in self.views or key not in self.panels:
            self._building.setdefault(key, self._build(key))
            self._next_step.start()
            return
        self._stack.setCurrentWidget(self.views[key])
        for name, panel in self.panels.items():
            panel.setVisible(name == key)
        self._photo_section.setVisible(VIEWS[key].photo)

    # -- making

    def _lay_out(self) -> None:
        bar = QHBoxLayout()
        bar.setContentsMargins(12, 8, 12, 4)
        bar.setSpacing(2)
        self._view_buttons: dict[str, QToolButton] = {}
        group = QButtonGroup(self)
        group.setExclusive(True)
        for key, entry in VIEWS.items():
            button = self._view_buttons[key] = QToolButton()
            button.setText(entry.title)
            button.setToolTip(entry.hint)
            button.setCheckable(True)
            button.setProperty("look", "flat")
            button.clicked.connect(partial(self.show_view, key))
            group.addButton(button)
            bar.addWidget(button)
        bar.addStretch(1)
        self._view_buttons[KINDS].setChecked(True)
        self._stack = QStackedWidget()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(bar)
        layout.addWidget(self._stack, 1)
        self.photo_box.setAccessibleName("Photo")
        self.photo_box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.photo_box.setMinimumContentsLength(16)
        self.photo_box.setPlaceholderText("No photo")
        self.photo_box.activated.connect(self._on_photo)
        for path in sample_paths("photos") + sample_paths("nuclei"):
            self._samples[path.name] = path
            self.photo_box.addItem(path.stem.replace("-", " ").capitalize(), path.name)
        self._photo_section.add(self.photo_box)

    def _make_actions(self) -> None:
        keys, theme = QKeySequence.StandardKey, self._services.theme
        self._gif_action = make_action(self, theme, "Save GIF…", "export", self._on_save_gif, "Ctrl+E")
        self._png_action = make_action(self, theme, "Save PNG…", "save", self._on_save_png, keys.Save)
        self._code_action = make_action(self, theme, "Save code…", "command", self._on_save_code, "Ctrl+Shift+S")
        self._copy_action = make_action(self, theme, "Copy code", "copy", self._on_copy_code, "Ctrl+Shift+C")
        self._gif_action.setToolTip("The sliding window of the chosen kind as an animation")
        self._code_action.setToolTip("A PyTorch program that makes this layer or stack")
        self._actions = [
            make_action(self, theme, "Open…", "open", self._on_open, keys.Open),
            self._gif_action,
            self._png_action,
            self._code_action,
            self._copy_action,
        ]
        self._show_exports()

    def _show_exports(self) -> None:
        self._gif_action.setEnabled(self.current == KINDS)
        for action in (self._code_action, self._copy_action):
            action.setEnabled(self.current in (KINDS, STACK))

    def _complete(self) -> None:
        """Fill the inspector for the first view, then show the view of the last session."""
        if KINDS in self.panels:
            return
        self._add_panel(KINDS, KindsPanel(self.controller.kinds, self._services))
        remembered = self._services.settings.page(PAGE).get("view")
        self.show_view(remembered if remembered in VIEWS else KINDS)

    def _add_panel(self, key: str, panel: QWidget) -> None:
        assert self._inspector_layout is not None
        prepare_controls(panel)
        panel.setVisible(key == self.current)
        self._inspector_layout.insertWidget(self._inspector_layout.count() - 1, panel)
        self.panels[key] = panel

    def _build(self, key: str) -> Iterator[None]:
        entry = VIEWS[key]
        module = importlib.import_module(f"gui.pages.{entry.module}")
        yield
        controller = getattr(self.controller, key)
        yield
        view = getattr(module, entry.view)(controller, self._services)
        yield
        prepare_controls(view)
        self._stack.addWidget(view)
        self.views[key] = view
        yield
        panel = getattr(module, entry.panel)(controller, self._services)
        yield
        self._add_panel(key, panel)

    @Slot()
    def _on_next_step(self) -> None:
        key = self.current
        if key not in self._building:
            return
        try:
            next(self._building[key])
        except StopIteration:
            del self._building[key]
            self.show_view(key)
        else:
            self._next_step.start()

    # -- photo

    @Slot()
    def _open_first(self) -> None:
        if self.controller.picture is None and not self.controller.opening and self._samples:
            self.controller.open_path(self._samples.get(FIRST_PHOTO) or next(iter(self._samples.values())))

    def _on_photo(self) -> None:
        path = self._samples.get(self.photo_box.currentData())
        if path is not None:
            self.controller.open_path(path)

    @Slot()
    def _show_photo(self) -> None:
        title = self.controller.opening or self.controller.title
        place = self.photo_box.findData(title)
        if place < 0 and title:
            # What was opened stands first, until another file takes its place.
            if self.photo_box.itemData(0) not in self._samples:
                self.photo_box.removeItem(0)
            self.photo_box.insertItem(0, title, title)
            place = 0
        with QSignalBlocker(self.photo_box):
            self.photo_box.setCurrentIndex(place)

    @Slot()
    def _on_open(self) -> None:
        path = ask_open(self, self._services.settings, "Open a photo", OPEN_FILTER)
        if path is not None:
            self.open_paths([path])

    # -- saving

    @Slot()
    def _on_save_gif(self) -> None:
        name = f"{self.controller.kinds.state.active}-convolution.gif"
        path = ask_save(self, self._services.settings, "Save the animation", name, "GIF (*.gif)")
        if path is not None:
            self.controller.kinds.save_gif(path, self._ink())

    @Slot()
    def _on_save_png(self) -> None:
        name = (
            f"{self.controller.kinds.state.active}-convolution.png" if self.current == KINDS else f"{self.current}.png"
        )
        path = ask_save(self, self._services.settings, "Save the picture", name, "PNG (*.png)")
        if path is None:
            return
        if self.current == KINDS:
            self.controller.kinds.save_png(path, self._ink())
        elif self.current in self.views:
            self.controller.save_drawing(path, to_picture(self.views[self.current].grab().toImage()))

    @Slot()
    def _on_save_code(self) -> None:
        path = ask_save(self, self._services.settings, "Save the program", "layers.py", "Python (*.py)")
        if path is not None:
            self.controller.save_code(path, self._code())

    @Slot()
    def _on_copy_code(self) -> None:
        QGuiApplication.clipboard().setText(self._code())
        self._services.notices.success("The PyTorch code is on the clipboard.")

    def _code(self) -> str:
        return self.controller.stack.code() if self.current == STACK else self.controller.kinds.code()

    def _ink(self) -> Ink:
        """Colours of the theme for drawings."""
        from engine.laboratory.animation import Ink

        def rgb(role: str) -> tuple[int, int, int]:
            color = self._services.theme.color(role)
            return color.red(), color.green(), color.blue()

        return Ink(rgb("panel"), rgb("sunken"), rgb("series_1"))


class _Inspector(QWidget):
    """The panel at the right, filled in a turn of the event loop of its own."""

    def __init__(self, complete) -> None:
        super().__init__()
        self.complete = complete

    def showEvent(self, event: QShowEvent) -> None:
        self.complete()
        super().showEvent(event)
