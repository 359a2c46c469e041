"""The pages of the window. A module is imported when its page is first shown, so that the window paints at once."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from PySide6.QtGui import QAction
from PySide6.QtWidgets import QWidget

from gui.services.context import Services


class Page(Protocol):
    """What the window asks of a page, which is a `QWidget` as well."""

    title: str
    icon_name: str

    def page_actions(self) -> list[QAction]:
        """Actions for the toolbar and the command palette."""
        ...

    def inspector(self) -> QWidget:
        """The panel at the right."""
        ...

    def open_paths(self, paths: list[Path]) -> None:
        """Files or folders were dropped, chosen or named on the command line."""
        ...

    def paste(self) -> None:
        """Take what is on the clipboard."""
        ...


@dataclass(frozen=True)
class PageEntry:
    """One place in the rail.

    Attributes:
        key: stable name, also the stem of the modules `gui.pages.KEY_page` and `gui.controllers.KEY_controller`.
        title: for people.
        icon: name of the icon.
        hint: one sentence for the tooltip.
        needs: further modules, the largest of those that the page imports, which are read one at a time before it.
        digit: of its shortcut Ctrl+digit, which stays the same whatever other pages there are.
    """

    key: str
    title: str
    icon: str
    hint: str
    needs: tuple[str, ...] = ()
    digit: int = 0

    @property
    def available(self) -> bool:
        """Whether this installation holds the page."""
        return importlib.util.find_spec(f"gui.pages.{self.key}_page") is not None

    @property
    def modules(self) -> tuple[str, ...]:
        """Names of the modules to read, in order; the last two are those of its controller and of the page itself."""
        return *self.needs, f"gui.controllers.{self.key}_controller", f"gui.pages.{self.key}_page"

    def create(self, services: Services) -> Generator[None, None, Page]:
        """Import and build the page with its controller; yields where the window may see to other things."""
        name = self.key.title().replace("_", "")
        for module in self.modules:
            importlib.import_module(module)
            yield
        controllers, pages = (sys.modules[module] for module in self.modules[-2:])
        controller = getattr(controllers, f"{name}Controller")(services)
        page = getattr(pages, f"{name}Page")(controller, services)
        if controller.parent() is None:
            # The controller lives as long as its page, and its live channels with it.
            controller.setParent(page)
        return cast(Page, page)


PAGES = (
    PageEntry(
        "compress",
        "Compress",
        "compress",
        "Make photos small with a learned codec",
        (
            "engine.compression.settings",
            "gui.controllers.batch_controller",
            "gui.widgets.divider_view",
            "gui.widgets.region_tool",
            "gui.pages.compress_inspector",
        ),
    ),
    PageEntry(
        "generate",
        "Generate",
        "generate",
        "Make pictures by choosing a class",
        (
            "gui.controllers.generate_edits",
            "gui.widgets.tile_picker",
            "gui.pages.generate_sample",
            "gui.pages.generate_samples",
            "gui.pages.generate_inspector",
        ),
    ),
    PageEntry("latents", "Latents", "latents", "Explore a latent space with sliders"),
    PageEntry("segment", "Segment", "segment", "Find what is where in a picture"),
    PageEntry("train", "Train", "train", "Train a model from a recipe"),
    PageEntry(
        "laboratory",
        "Laboratory",
        "laboratory",
        "See what convolutions read, cost and see",
        (
            "engine.laboratory.layers",
            "gui.controllers.laboratory_kinds",
            "gui.widgets.pixel_grid",
            "gui.pages.laboratory_kinds",
        ),
        digit=7,
    ),
)


def shortcuts(entries: Iterable[PageEntry]) -> dict[str, str]:
    """Keys of the pages by page key: the digit a page asks for, else that of its place in the rail."""
    return {entry.key: f"Ctrl+{entry.digit or place}" for place, entry in enumerate(entries, 1)}
