"""A picture that was dropped, opened or pasted: one made here tells where it comes from, any other is one's own."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot

from engine.errors import LatentStudioError
from gui.controllers import generate_work as work
from gui.controllers.generate_sheets import Sheet

if TYPE_CHECKING:
    from engine.generation import Sample
    from engine.image import Picture
    from gui.controllers.generate_controller import GenerateController


class GenerateDropped(QObject):
    """Reads pictures from outside.

    Attributes:
        provenance: what the last one made here tells of itself, until it is closed.

    Signals:
        provenance_changed(): another one, or none.
        picture_opened(object): a `Picture` to be taken as one's own.
    """

    provenance_changed = Signal()
    picture_opened = Signal(object)

    def __init__(self, controller: GenerateController) -> None:
        super().__init__(controller)
        self.provenance: work.Provenance | None = None
        self._controller = controller
        self._services = controller.services

    def open_file(self, path: Path) -> None:
        """Read a file."""
        # Reading needs modules of the engine, and torch is imported on one thread only. Later, files are read aside.
        loading = self._services.host.state == "loading"
        task = self._services.host.run(partial(work.read_dropped, path), engine=loading)
        task.succeeded.connect(self._on_read)
        task.failed.connect(self._on_failed)

    def open_picture(self, picture: Picture) -> None:
        """A picture that was pasted is one's own."""
        self.picture_opened.emit(picture)

    def restore(self) -> None:
        """Restore everything that the picture was made with."""
        if self.provenance is not None and self._controller.restore(self.provenance.latent):
            self.close()

    def show_it(self) -> None:
        """Draw the picture again and put it into a grid of its own; the settings stay."""
        if self.provenance is not None:
            latent, generators = self.provenance.latent, self._controller.generators
            task = self._services.host.run(lambda: work.draw(generators.of(latent), latent))
            task.succeeded.connect(partial(self._on_drawn, self.provenance.path.name))
            task.failed.connect(self._on_failed)
            self.close()

    def take_as_own(self) -> None:
        """Treat the picture like any other."""
        if self.provenance is not None:
            self.picture_opened.emit(self.provenance.picture)
            self.close()

    def close(self) -> None:
        """Leave the picture be."""
        self.provenance = None
        self.provenance_changed.emit()

    @Slot(object)
    def _on_read(self, found: work.Provenance | Picture) -> None:
        if isinstance(found, work.Provenance):
            self.provenance = found
            self.provenance_changed.emit()
        else:
            self.close()
            self.picture_opened.emit(found)

    def _on_drawn(self, name: str, sample: Sample) -> None:
        self._controller.grids.open(Sheet(name, [sample]))

    @Slot(object)
    def _on_failed(self, error: LatentStudioError) -> None:
        self._services.notices.error(error, self.tr("The picture cannot be used"))
