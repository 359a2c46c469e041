"""A row of small pictures to choose from: the samples that come with the program."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image
from PySide6.QtCore import QSize, Qt, Signal, Slot
from PySide6.QtGui import QIcon, QImage, QPixmap
from PySide6.QtWidgets import QButtonGroup, QHBoxLayout, QLabel, QScrollArea, QToolButton, QWidget

from engine.errors import LatentStudioError

if TYPE_CHECKING:
    from gui.services.context import Services

THUMBNAIL_HEIGHT = 44
THUMBNAIL_MAX_WIDTH = 72
STRIP_HEIGHT = 66


class SampleStrip(QScrollArea):
    """Thumbnails of files, read in the background, one of them marked as open.

    Signals:
        chosen(Path): a thumbnail was clicked or activated by key.
    """

    chosen = Signal(object)

    def __init__(self, services: Services, caption: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._services = services
        self.buttons: dict[Path, QToolButton] = {}
        self.setFixedHeight(STRIP_HEIGHT)
        self.setWidgetResizable(True)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setFrameShape(QScrollArea.Shape.NoFrame)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        content = QWidget()
        self._layout = QHBoxLayout(content)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(4)
        label = QLabel(caption)
        label.setProperty("look", "caption")
        self._layout.addWidget(label)
        self._layout.addStretch(1)
        self.setWidget(content)
        self._group = QButtonGroup(self)

    def set_paths(self, paths: Sequence[Path]) -> None:
        """Show thumbnails of `paths`; they appear as soon as they are read."""
        for path in paths:
            button = QToolButton()
            button.setCheckable(True)
            button.setProperty("look", "flat")
            button.setToolTip(path.stem.replace("-", " ").replace("_", " "))
            button.setAccessibleName(f"Sample {button.toolTip()}")
            button.setIconSize(QSize(THUMBNAIL_MAX_WIDTH, THUMBNAIL_HEIGHT))
            button.setFixedSize(THUMBNAIL_MAX_WIDTH + 10, THUMBNAIL_HEIGHT + 10)
            button.setStyleSheet("padding: 0")
            button.clicked.connect(partial(self.chosen.emit, path))
            self._layout.insertWidget(self._layout.count() - 1, button)
            self._group.addButton(button)
            self.buttons[path] = button
        task = self._services.host.run(partial(_thumbnails, tuple(paths)), engine=False)
        task.succeeded.connect(self._on_thumbnails)

    def mark(self, path: Path | None) -> None:
        """Mark the sample that is open, or none."""
        self._group.setExclusive(False)
        for known, button in self.buttons.items():
            button.setChecked(known == path)
        self._group.setExclusive(path in self.buttons)

    @Slot(object)
    def _on_thumbnails(self, images: dict[Path, QImage]) -> None:
        for path, image in images.items():
            pixmap = QPixmap.fromImage(image)
            pixmap.setDevicePixelRatio(2.0)
            self.buttons[path].setIcon(QIcon(pixmap))


def _thumbnails(paths: tuple[Path, ...]) -> dict[Path, QImage]:
    """Small copies at twice the size in points, for sharp displays; files that cannot be read are left out."""
    from engine.image import open_picture

    found = {}
    for path in paths:
        try:
            picture = open_picture(path)
        except LatentStudioError:
            continue
        small = Image.fromarray(picture.pixels)
        small.thumbnail((2 * THUMBNAIL_MAX_WIDTH, 2 * THUMBNAIL_HEIGHT), Image.Resampling.LANCZOS)
        small = small.convert("RGBA")
        image = QImage(small.tobytes(), small.width, small.height, 4 * small.width, QImage.Format.Format_RGBA8888)
        found[path] = image.copy()
    return found
