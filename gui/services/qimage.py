"""Between numpy arrays, Qt's images and the engine's pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtGui import QImage

if TYPE_CHECKING:
    import numpy as np

    from engine.image import Picture


def to_qimage(pixels: np.ndarray, alpha: np.ndarray | None = None) -> QImage:
    """A `QImage` of its own memory from uint8 pixels.

    Args:
        pixels: (H, W, 3) RGB or (H, W) grey, uint8 sRGB.
        alpha: (H, W) uint8 or None.
    """
    import numpy as np

    height, width = pixels.shape[:2]
    if pixels.ndim == 2:
        data = np.ascontiguousarray(pixels, dtype=np.uint8)
        return QImage(data.data, width, height, width, QImage.Format.Format_Grayscale8).copy()
    if alpha is not None:
        data = np.ascontiguousarray(np.dstack([pixels, alpha]), dtype=np.uint8)
        return QImage(data.data, width, height, 4 * width, QImage.Format.Format_RGBA8888).copy()
    data = np.ascontiguousarray(pixels, dtype=np.uint8)
    return QImage(data.data, width, height, 3 * width, QImage.Format.Format_RGB888).copy()


def to_pixels(image: QImage) -> tuple[np.ndarray, np.ndarray | None]:
    """Pixels (H, W, 3) uint8 and alpha (H, W) uint8 or None of an image in any format."""
    import numpy as np

    alpha = image.hasAlphaChannel()
    image = image.convertToFormat(QImage.Format.Format_RGBA8888 if alpha else QImage.Format.Format_RGB888)
    channels = 4 if alpha else 3
    # Qt pads the lines to 4 bytes.
    lines = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    data = lines[:, : image.width() * channels].reshape(image.height(), image.width(), channels)
    # Copies: the lines belong to the image, which is gone when this returns.
    return data[..., :3].copy(), data[..., 3].copy() if alpha else None


def to_picture(image: QImage, name: str = "") -> Picture:
    """The engine's `Picture` of an image, for example a pasted one."""
    from engine.image import Picture

    pixels, alpha = to_pixels(image)
    return Picture(pixels=pixels, alpha=alpha, name=name)
