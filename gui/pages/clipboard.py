"""What the clipboard holds that a page can open."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtGui import QGuiApplication, QImage

NOTHING = "There is no picture on the clipboard. Copy one, or drop a file here."


def clipboard_files() -> list[Path]:
    """Files and folders of this machine that were copied in a file manager."""
    data = QGuiApplication.clipboard().mimeData()
    # WORKAROUND: Qt's stub promises an object, but an empty clipboard has none.
    urls = data.urls() if data is not None and data.hasUrls() else []
    return [Path(url.toLocalFile()) for url in urls if url.isLocalFile()]


def clipboard_image() -> QImage | None:
    """A picture that was copied, or None."""
    image = QGuiApplication.clipboard().image()
    return None if image.isNull() else image
