"""What the Laboratory page knows: the photo on show, and the controllers of its views, made when first needed."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from PySide6.QtCore import QObject, Signal, Slot

from gui.controllers.laboratory_kinds import KindsController

if TYPE_CHECKING:
    from engine.image import Picture
    from gui.controllers.laboratory_field import FieldController
    from gui.controllers.laboratory_maps import CheckerboardController, GriddingController
    from gui.controllers.laboratory_stack import StackController
    from gui.controllers.laboratory_text import TextController
    from gui.services.context import Services

PAGE = "laboratory"


class OfPhotos(Protocol):
    """A view that shows the photo."""

    def set_picture(self, picture: Picture) -> None:
        """Take another photo."""


ViewT = TypeVar("ViewT", bound=OfPhotos)


class LaboratoryController(QObject):
    """The photo and the views.

    Attributes:
        title: file name of the photo.
        picture: the photo, or None.
        opening: name of the file being opened, or "".

    Signals:
        opened(): another photo is on show, or is being opened.
    """

    opened = Signal()

    def __init__(self, services: Services, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._services = services
        self.title = ""
        self.picture: Picture | None = None
        self.opening = ""
        self._opens = 0  # number of the newest wish to open something; what older ones bring is dropped
        self.kinds = KindsController(services, self)

    @cached_property
    def stack(self) -> StackController:
        """The layer-stack editor."""
        from gui.controllers.laboratory_stack import StackController

        return self._with_picture(StackController(self._services, self))

    @cached_property
    def gridding(self) -> GriddingController:
        """The holes that dilation leaves."""
        from gui.controllers.laboratory_maps import GriddingController

        return GriddingController(self)

    @cached_property
    def checkerboard(self) -> CheckerboardController:
        """The unevenness that enlarging leaves."""
        from gui.controllers.laboratory_maps import CheckerboardController

        return self._with_picture(CheckerboardController(self._services, self))

    @cached_property
    def field(self) -> FieldController:
        """The effective receptive field of a model."""
        from gui.controllers.laboratory_field import FieldController

        return self._with_picture(FieldController(self._services, self))

    @cached_property
    def text(self) -> TextController:
        """Text read by a causal stack."""
        from gui.controllers.laboratory_text import TextController

        return TextController(self._services, self)

    def open_path(self, path: Path) -> None:
        """Open a photo; what is on show stays until it is read."""
        self._opens += 1
        self.opening = path.name
        self.opened.emit()
        task = self._services.host.run(partial(_read, path), engine=False)
        task.succeeded.connect(partial(self._on_read, self._opens))
        task.failed.connect(partial(self._on_read_failed, self._opens))

    def open_picture(self, picture: Picture) -> None:
        """Show a photo, for example one from the clipboard."""
        self._opens += 1
        self.opening, self.title, self.picture = "", picture.name or "Pasted picture", picture
        for name in ("kinds", "stack", "checkerboard", "field"):
            if name in self.__dict__:
                self.__dict__[name].set_picture(picture)
        self.opened.emit()

    def save_drawing(self, path: Path, drawing: Picture) -> None:
        """Write a view as it is shown."""
        self._save(path, partial(_write_drawing, path, drawing))

    def save_code(self, path: Path, text: str) -> None:
        """Write a program."""
        self._save(path, partial(_write_code, path, text))

    def _save(self, path: Path, write: Callable[[], Path]) -> None:
        task = self._services.host.run(write, engine=False)
        task.succeeded.connect(self._on_saved)
        task.failed.connect(self._on_save_failed)

    @Slot(object)
    def _on_saved(self, path: Path) -> None:
        self._services.notices.success(f"Saved {path.name} in {path.parent}.")

    @Slot(object)
    def _on_save_failed(self, error: Exception) -> None:
        self._services.notices.error(error, "The file cannot be saved")

    def _with_picture(self, view: ViewT) -> ViewT:
        if self.picture is not None:
            view.set_picture(self.picture)
        return view

    def _on_read(self, number: int, picture: Picture) -> None:
        if number == self._opens:
            self.open_picture(picture)

    def _on_read_failed(self, number: int, error: Exception) -> None:
        if number == self._opens:
            name, self.opening = self.opening, ""
            self.opened.emit()
            self._services.notices.error(error, f"{name} cannot be opened")


def _read(path: Path) -> Picture:
    from engine.image import open_picture

    return open_picture(path)


def _write_drawing(path: Path, drawing: Picture) -> Path:
    from engine.image import save_picture

    save_picture(drawing, path)
    return path


def _write_code(path: Path, text: str) -> Path:
    from engine.files import write_text

    write_text(path, text)
    return path
