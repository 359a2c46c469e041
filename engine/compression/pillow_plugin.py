"""Latent Studio images in Pillow: import this module, and `Image.open` and `Image.save` know `.lsi` files.

    from PIL import Image
    import engine.compression.pillow_plugin

    with Image.open("photo.lsi") as image:
        image.save("photo.png")
    image.save("again.lsi", quality=60)

Opening decodes nothing: it gives size, mode (RGB or RGBA), and `info` with "quality", "model" and, where there are
such, "exif", "xmp" and "icc_profile". Pixels are decoded when they are first needed, and PyTorch is imported then, not
before; where it is not installed, ONNX Runtime decodes (the extra `viewer`) and nothing can be saved. `draft` and
`thumbnail` take the embedded preview where it is large enough, without either. Damage is an OSError unless
`ImageFile.LOAD_TRUNCATED_IMAGES` is set; then what is sound is decoded and the rest is drawn hatched. How large a
picture may be is up to Pillow's `Image.MAX_IMAGE_PIXELS`.

Options of `save`: `quality` 0..100 (50), `model` (a name or a path; the default codec), `exif` (bytes or `Image.Exif`;
what the image carries, and b"" for none; the place where a photo was taken is removed always). The picture is stored
upright in 8 bits, in sRGB or in the RGB space of its own profile.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import IO, TYPE_CHECKING, Any

from PIL import Image, ImageFile

from engine.compression.byte_source import FileSource
from engine.compression.container import (
    DEFAULT_SUFFIX,
    MAGIC,
    MAX_FILE_BYTES,
    MAX_SIDE,
    MIME_TYPE,
    Header,
    read_container,
    section_payload,
)
from engine.compression.settings import EncodeSettings
from engine.errors import DamagedFile, DeviceError, LatentStudioError, NotACompressedFile, UsageError

if TYPE_CHECKING:
    from engine.image import Picture

FORMAT = "LSI"

# Pillow itself refuses what it holds for too large, after the header is read and before pixels are.
_ANY_SIZE = MAX_SIDE * MAX_SIDE


@contextmanager
def _as_pillow_does() -> Iterator[None]:
    """Our errors become those that callers of Pillow expect, and Pillow's size limit stays the calling program's."""
    limit = Image.MAX_IMAGE_PIXELS  # engine.image lifts it on import, for a program that has limits of its own
    try:
        yield
    except NotACompressedFile as error:
        raise SyntaxError(str(error)) from error
    except UsageError as error:
        raise ValueError(str(error)) from error
    except LatentStudioError as error:
        raise OSError(str(error)) from error
    finally:
        Image.MAX_IMAGE_PIXELS = limit


class LsiImageFile(ImageFile.ImageFile):
    """An opened .lsi file."""

    format = FORMAT
    format_description = "Latent Studio image"
    _header: Header

    def _open(self) -> None:
        with _as_pillow_does():
            data = self._source()
            self._header = header = read_container(data, max_pixels=_ANY_SIZE, check_streams=False)
            from engine.compression.side_data import profile_of

            found = {
                "exif": section_payload(data, header, "exif"),
                "icc_profile": profile_of(data, header),
                "xmp": section_payload(data, header, "xmpk"),
            }
        self._size = header.width, header.height
        self._mode = "RGB" if header.section("ALPH") is None else "RGBA"
        self.info.update(quality=header.quality, model=header.model_name)
        self.info.update({name: payload for name, payload in found.items() if payload is not None})
        self.tile = [ImageFile._Tile(FORMAT, (0, 0, *self.size), 0, ())]

    def draft(self, mode: str | None, size: tuple[int, int] | None) -> tuple[str, tuple[int, int, float, float]] | None:
        """Show the embedded preview instead, if it has at least `size` and nothing was decoded yet; `mode` stays."""
        if size is None or not self._waiting():
            return None
        image = self._preview()
        if image is None or image.width < size[0] or image.height < size[1]:
            return None
        self._size = image.size
        self.tile = [ImageFile._Tile(FORMAT, (0, 0, *self.size), 0, (image.tobytes(),))]
        return self.mode, (0, 0, *self.size)

    def thumbnail(
        self,
        size: tuple[float, float],
        resample: Image.Resampling = Image.Resampling.BICUBIC,
        reducing_gap: float | None = 2.0,
    ) -> None:
        """As in Pillow. The preview is taken where it is as large as the thumbnail; it need not be `reducing_gap` times
        as large, as drafts of other formats are, for the only larger picture in the file is the whole one.
        """
        scale = min(size[0] / self.width, size[1] / self.height)
        if reducing_gap is not None and scale < 1.0:
            self.draft(None, (math.floor(self.width * scale), math.floor(self.height * scale)))
        super().thumbnail(size, resample, reducing_gap)

    def verify(self) -> None:
        """Compare all checksums. Raises OSError for a damaged file."""
        if self.fp is None:
            raise RuntimeError("verify must be called directly after open")
        with _as_pillow_does():
            problems = read_container(self._source(), max_pixels=_ANY_SIZE).problems
        if problems:
            raise OSError(problems[0])
        super().verify()

    def _waiting(self) -> bool:
        """True until pixels, or a preview instead of them, were asked for."""
        return len(self.tile) == 1 and self.tile[0].args == ()

    def _source(self) -> FileSource:
        assert self.fp is not None  # Pillow closes it once the pixels are there
        return _source(self.fp)

    def _preview(self) -> Image.Image | None:
        """The preview in the mode of the picture; None where there is none or it cannot be read."""
        from engine.compression.side_data import open_preview, unpack_alpha

        pixels = open_preview(self._header.preview)
        if pixels is None:
            return None
        image = Image.fromarray(pixels)
        if self.mode == "RGBA":
            try:
                payload = section_payload(self._source(), self._header, "ALPH")
                if payload is None:
                    return None
                alpha = unpack_alpha(payload, self._header.width, self._header.height)
            except DamagedFile:
                return None
            image.putalpha(Image.fromarray(alpha).resize(image.size, Image.Resampling.BOX))
        return image


class _Decoder(ImageFile.PyDecoder):
    """Decodes the file, or hands over the bytes of the preview that `draft` left as the tile's argument."""

    _pulls_fd = True

    def decode(self, buffer: object) -> tuple[int, int]:
        if self.args:
            self.set_as_raw(self.args[0])
            return -1, 0
        assert self.fd is not None
        with _as_pillow_does():
            if find_spec("torch") is not None:
                from engine.compression.codec import decode
            else:
                from engine.compression.onnx_codec import decode
            strict = not ImageFile.LOAD_TRUNCATED_IMAGES
            picture = decode(_source(self.fd), strict=strict, max_pixels=_ANY_SIZE).picture
        self.set_as_raw(_interleaved(picture, self.mode))
        return -1, 0


def _source(file: IO[bytes]) -> FileSource:
    source = FileSource(file)
    if source.size > MAX_FILE_BYTES:
        raise OSError("The file is larger than any compressed picture.")
    return source


def _interleaved(picture: Picture, mode: str) -> bytes:
    if mode == "RGB":
        return picture.pixels.tobytes()
    import numpy as np

    alpha = picture.alpha if picture.alpha is not None else np.full(picture.pixels.shape[:2], 255, dtype=np.uint8)
    return np.dstack([picture.pixels, alpha]).tobytes()


def _accept(prefix: bytes) -> bool:
    return prefix.startswith(MAGIC)


def _save(image: Image.Image, file: IO[bytes], filename: str | bytes) -> None:
    options: dict[str, Any] = getattr(image, "encoderinfo", {})
    exif = options.get("exif")
    if isinstance(exif, Image.Exif):
        exif = exif.tobytes()
    with _as_pillow_does():
        if find_spec("torch") is None:
            raise DeviceError("Writing .lsi files needs PyTorch.", 'Install it: pip install "latent-studio[studio]"')
        settings = EncodeSettings(
            quality=float(options.get("quality", EncodeSettings.quality)),
            model=options.get("model"),
            keep_metadata=exif != b"",
        )
        from engine.compression.codec import encode
        from engine.image import picture_of

        file.write(encode(picture_of(image, exif=exif or None, keep_profile=True), settings))


Image.register_open(FORMAT, LsiImageFile, _accept)
Image.register_decoder(FORMAT, _Decoder)
Image.register_save(FORMAT, _save)
Image.register_extension(FORMAT, DEFAULT_SUFFIX)
Image.register_mime(FORMAT, MIME_TYPE)
