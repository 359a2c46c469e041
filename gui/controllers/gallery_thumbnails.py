"""Thumbnails of the gallery: read on a thread beside the window, a bounded number of them kept."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot
from PySide6.QtGui import QImage

from engine.errors import LatentStudioError
from gui.services.context import Services
from gui.services.qimage import to_qimage

if TYPE_CHECKING:
    from engine.generation.gallery import GalleryEntry

LANE = "pictures"
AT_ONCE = 24  # read between two looks at what is in view by now
MAX_SIDE = 256  # pixels; a larger picture is kept smaller
MAX_BYTES = 96 * 2**20


@dataclass(frozen=True)
class Thumbnail:
    """What the grid shows of a picture; `image` is None where its file cannot be read."""

    entry: GalleryEntry
    image: QImage | None


class Thumbnails(QObject):
    """Answers at once with what it has; what is wanted besides arrives later, what is in view first.

    Signals:
        arrived(object): the ids of thumbnails that are there now; None for pictures that are gone.
        failed(object): a `LatentStudioError` of the gallery as a whole.
    """

    arrived = Signal(object)
    failed = Signal(object)

    def __init__(self, services: Services, folder: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._services, self._folder = services, folder
        self._kept: OrderedDict[int, Thumbnail] = OrderedDict()
        self._bytes = 0
        self._wanted: list[int] = []
        self._reading: list[int] = []

    @property
    def ids(self) -> list[int]:
        """The pictures whose thumbnails are there."""
        return list(self._kept)

    def get(self, id: int) -> Thumbnail | None:
        """The thumbnail if it is there; never reads a file."""
        found = self._kept.get(id)
        if found is not None:
            self._kept.move_to_end(id)
        return found

    def want(self, ids: Iterable[int]) -> None:
        """Read these next, in this order, instead of those wanted before."""
        self._wanted = [one for one in ids if one not in self._kept]
        self._read_next()

    def change(self, entries: Iterable[GalleryEntry]) -> None:
        """The index says something else of these pictures."""
        for entry in entries:
            found = self._kept.get(entry.id)
            if found is not None:
                self._kept[entry.id] = Thumbnail(entry, found.image)

    def forget(self) -> None:
        """Read everything anew when it is wanted again."""
        self._kept.clear()
        self._bytes = 0

    def _read_next(self) -> None:
        if self._reading or not self._wanted:
            return
        self._reading, self._wanted = self._wanted[:AT_ONCE], self._wanted[AT_ONCE:]
        task = self._services.host.run(partial(_read, self._folder, self._reading), engine=False, lane=LANE)
        task.succeeded.connect(self._on_read)
        task.failed.connect(self._on_failed)

    @Slot(object)
    def _on_read(self, thumbnails: Sequence[Thumbnail]) -> None:
        self._reading = []
        for thumbnail in thumbnails:
            self._put(thumbnail)
        self._wanted = [one for one in self._wanted if one not in self._kept]
        self.arrived.emit([thumbnail.entry.id for thumbnail in thumbnails])
        self._read_next()

    @Slot(object)
    def _on_failed(self, error: LatentStudioError) -> None:
        self._reading, self._wanted = [], []
        self.failed.emit(error)

    def _put(self, thumbnail: Thumbnail) -> None:
        before = self._kept.pop(thumbnail.entry.id, None)
        self._bytes += _size(thumbnail) - (0 if before is None else _size(before))
        self._kept[thumbnail.entry.id] = thumbnail
        while self._bytes > MAX_BYTES:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= _size(oldest)


def _size(thumbnail: Thumbnail) -> int:
    # The entry itself takes about a kilobyte.
    return 1024 + (0 if thumbnail.image is None else thumbnail.image.sizeInBytes())


def _read(folder: Path, ids: Sequence[int]) -> list[Thumbnail]:
    """On the thread beside the window."""
    from engine.generation.gallery import Gallery

    return [Thumbnail(entry, read_image(entry.path)) for entry in Gallery(folder).entries(ids)]


def read_image(path: Path) -> QImage | None:
    """A picture file as an image of at most MAX_SIDE pixels a side, None where it cannot be read."""
    import numpy as np
    from PIL import Image

    from engine.image import open_picture

    try:
        pixels = open_picture(path).pixels
    except LatentStudioError:
        return None
    if max(pixels.shape[:2]) > MAX_SIDE:
        # Qt's own scaling would hold the interpreter for its whole length.
        small = Image.fromarray(pixels)
        small.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.BOX, reducing_gap=2.0)
        pixels = np.asarray(small)
    return to_qimage(pixels)
