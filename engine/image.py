"""Opening, saving and converting pictures: any common format in, upright 8-bit sRGB out, every failure one sentence.

Files are untrusted: only the formats named here are tried, the size in the header is checked before anything is
decoded, and whatever a decoder raises leaves this module as a `PictureError`.
"""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageCms,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from engine.colour_profile import describe, is_srgb, through_profile, to_srgb
from engine.errors import LimitError, PictureError
from engine.files import write_bytes
from engine.jxl_header import is_jxl, jxl_size

MAX_PIXELS = 2**28
MAX_SIDE = 65535
MAX_FILE_BYTES = 2**31
# Larger profiles hold tables for printers; their pictures are converted.
MAX_PROFILE_BYTES = 2**20

PICTURE_SUFFIXES: tuple[str, ...] = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".avif", ".tif", ".tiff", ".bmp", ".gif", ".heic", ".heif",
    ".jxl", ".ppm", ".pgm", ".pbm",
)  # fmt: skip
# Pillow knows many more formats, some of which start other programs; each of these plug-ins registers itself on import.
_PLUGINS = (
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    WebPImagePlugin,
    AvifImagePlugin,
    TiffImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    PpmImagePlugin,
)
_FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "TIFF", "BMP", "GIF", "PPM")
_READABLE = "JPEG, PNG, WebP, AVIF, TIFF, BMP, GIF, HEIC or JPEG XL"
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_ORIENTATION = 0x0112
# Description, make, model, software, date, artist, copyright.
_EXIF_TEXTS = (0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x8298)

# Our own limit comes first and says what to do; Pillow's would warn or stop with a text for programmers.
Image.MAX_IMAGE_PIXELS = None


@dataclass(frozen=True)
class Picture:
    """A picture as every part of the program uses it.

    Attributes:
        pixels: (H, W, 3) uint8, upright, C-contiguous; sRGB unless `profile` says otherwise.
        alpha: (H, W) uint8 opacity, or None where the picture is opaque.
        exif: EXIF block, its orientation already 1; None when absent.
        xmp: XMP packet; None when absent.
        profile: ICC profile of an RGB space other than sRGB that the pixels are in; only where it was asked for.
        notes: what had to be converted, for people.
        name: file name for titles; "" for pasted pictures.
        stored_bytes: size of the source file; None where there is none.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    exif: bytes | None = None
    notes: tuple[str, ...] = ()
    name: str = ""
    stored_bytes: int | None = None
    xmp: bytes | None = None
    profile: bytes | None = None

    @property
    def width(self) -> int:
        """Pixels from left to right."""
        return self.pixels.shape[1]

    @property
    def height(self) -> int:
        """Pixels from top to bottom."""
        return self.pixels.shape[0]


def open_picture(source: Path | bytes, *, name: str = "", keep_profile: bool = False) -> Picture:
    """Read a picture file, or the bytes of one, as upright 8-bit sRGB.

    EXIF orientation is applied, ICC profiles are converted to sRGB (relative colorimetric, black point compensated),
    16-bit and floating-point values are reduced to 8 bits, and of several frames the first is taken; `Picture.notes`
    says so.

    Args:
        source: a path, or the content of a file.
        name: what to call it in messages and titles; the file's own name where none is given.
        keep_profile: leave RGB colours in the space of their own profile, such as Display P3, and keep the profile.

    Raises:
        LimitError: more than MAX_PIXELS pixels, more than MAX_SIDE a side, or more than MAX_FILE_BYTES bytes.
        PictureError: not a picture, damaged, or not to be read.
    """
    if isinstance(source, bytes):
        data, label = source, name or "The picture"
    else:
        source = Path(source)
        data, label, name = _read_file(source), str(source), name or source.name
    if not data:
        raise PictureError(f"{label} is empty (0 bytes).", "Choose another file.")
    # Pillow warns of oddities in metadata; the picture is judged by what decodes. Set anew each time because test
    # runners and embedding programs reset the filters, and a warning turned into an error would hide a good picture.
    warnings.filterwarnings("ignore", module=r"(PIL|pillow_heif|pillow_jxl)\b")
    try:
        with _open_header(data, label) as opened:
            return _convert(opened, data, label, name, keep_profile)
    except PictureError:
        raise
    except MemoryError as error:
        raise LimitError(
            f"{label} needs more memory than this machine has free.", "Close other programs or shrink it."
        ) from error
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # decoders written in Rust panic with a BaseException of their own
        raise PictureError(f"{label} is damaged: {_reason(error)}.", "Copy or download the file again.") from error


def _read_file(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise PictureError(f"{path} is a folder, not a picture.", "Choose a file.")
        if path.stat().st_size > MAX_FILE_BYTES:
            raise LimitError(f"{path} is larger than {MAX_FILE_BYTES // 2**30} GiB.", "Choose a smaller file.")
        if not path.is_file():
            raise PictureError(f"{path} is not a regular file.", "Choose a picture file.")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise PictureError(f"There is no file {path}.", "Check the name.") from error
    except PermissionError as error:
        raise PictureError(f"No permission to read {path}.", "Ask its owner for the right to read it.") from error
    except OSError as error:
        raise PictureError(
            f"{path} cannot be read: {error.strerror or error}.", "Check the disk and the name."
        ) from error


def _open_header(data: bytes, label: str) -> Image.Image:
    """Open without decoding, after the formats' own plug-ins were loaded and the size was checked."""
    formats = _FORMATS
    if is_jxl(data):
        import pillow_jxl  # noqa: F401  registers itself

        size = jxl_size(data)
        if size is not None:
            check_size(*size, label)
        formats = ("JXL",)
    elif data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS and b"avif" not in data[8:64]:
        import pillow_heif

        pillow_heif.register_heif_opener()
        formats = ("HEIF",)
    try:
        opened = Image.open(io.BytesIO(data), formats=formats)
    except Image.UnidentifiedImageError as error:
        raise PictureError(
            f"{label} is not a picture that can be read, or its beginning is damaged.", f"Use {_READABLE}."
        ) from error
    check_size(opened.width, opened.height, label)
    return opened


def check_size(width: int, height: int, label: str) -> None:
    """Refuse sizes beyond MAX_SIDE and MAX_PIXELS. Raises `LimitError`, or `PictureError` for an empty picture."""
    if width < 1 or height < 1:
        raise PictureError(f"{label} has no pixels ({width}x{height}).", "Choose another file.")
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        problem = (
            f"{label} has {width}x{height} pixels; the limit is {MAX_PIXELS // 10**6} megapixels and {MAX_SIDE} a side."
        )
        raise LimitError(problem, "Shrink it or cut it into parts.")


def _convert(opened: Image.Image, data: bytes, label: str, name: str, keep_profile: bool) -> Picture:
    notes: list[str] = []
    frames = getattr(opened, "n_frames", 1)
    if frames > 1 and opened.format != "MPO":  # the further pictures of an MPO are previews and gain maps
        notes.append(f"first of {frames} {'pages' if opened.format == 'TIFF' else 'frames'}")
    reduced = _deep_bits(opened, data)
    opened.load()
    # A decoder may learn the true size only now.
    check_size(opened.width, opened.height, label)
    picture = _upright(opened, opened.info.get("exif"), reduced, keep_profile, notes)
    return replace(picture, name=name, stored_bytes=len(data))


def picture_of(image: Image.Image, *, exif: bytes | None = None, keep_profile: bool = False) -> Picture:
    """A picture that Pillow holds, of any mode, as upright 8-bit sRGB; see `open_picture`.

    Args:
        image: its `info` says how it is meant: ICC profile, transparency, EXIF orientation.
        exif: EXIF block instead of that in `info`.
        keep_profile: see `open_picture`.
    """
    image.load()
    return _upright(image, exif if exif is not None else image.info.get("exif"), False, keep_profile, [])


def _upright(opened: Image.Image, block: object, reduced: bool, keep_profile: bool, notes: list[str]) -> Picture:
    """A loaded image as a picture; `block` is its EXIF block, `reduced` says that a decoder dropped half of 16 bits."""
    image = opened
    if image.mode.startswith("I") or image.mode == "F":
        image = _to_eight_bits(image, notes)
    elif reduced:
        notes.append("16 bit reduced to 8")
    image, alpha = _split_alpha(image)
    profile = opened.info.get("icc_profile") if keep_profile and image.mode == "RGB" else None
    title = describe(profile) if profile and len(profile) <= MAX_PROFILE_BYTES else None
    if title is None or is_srgb(title):
        profile = None
        image = _to_srgb(image, opened.info.get("icc_profile"), notes)
    pixels = np.asarray(image)
    orientation, exif = _orientation_and_exif(opened, block)
    if orientation != 1:
        pixels = _turned(pixels, orientation)
        alpha = None if alpha is None else np.ascontiguousarray(_turned(alpha, orientation))
        notes.append("turned upright")
    pixels = np.array(pixels, dtype=np.uint8, order="C")  # our own memory, writable by nobody else
    xmp = opened.info.get("xmp")
    return Picture(
        pixels, alpha, exif, tuple(notes), xmp=xmp if isinstance(xmp, bytes) and xmp else None, profile=profile
    )


def _deep_bits(opened: Image.Image, data: bytes) -> bool:
    """True where Pillow itself drops the lower half of 16-bit colour while decoding."""
    if opened.format == "PNG":
        return data[24] == 16
    if opened.format == "TIFF":
        bits: Any = getattr(opened, "tag_v2", {}).get(258, (8,))
        return max(bits if isinstance(bits, tuple) else (bits,)) > 8
    return opened.info.get("bit_depth", 8) > 8


def _to_eight_bits(image: Image.Image, notes: list[str]) -> Image.Image:
    """Grey of 16 or 32 bits, or floating point, as 8-bit grey."""
    values = np.asarray(image)
    if image.mode == "F":
        values = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
        top = float(values.max(initial=0.0))
        full = 1.0 if top <= 1.0 else 255.0 if top <= 255.0 else 65535.0 if top <= 65535.0 else top
        notes.append("floating point reduced to 8 bit")
        return Image.fromarray(np.clip(np.round(values * (255.0 / full)), 0, 255).astype(np.uint8))
    values = np.clip(values.astype(np.int64), 0, None)
    if image.mode == "I" and values.max(initial=0) <= 255:
        return Image.fromarray(values.astype(np.uint8))
    full = 65535 if values.max(initial=0) <= 65535 else int(values.max())
    notes.append("16 bit reduced to 8" if full == 65535 else "32 bit reduced to 8")
    return Image.fromarray(((values * 255 + full // 2) // full).astype(np.uint8))


def _split_alpha(image: Image.Image) -> tuple[Image.Image, np.ndarray | None]:
    """The colours without opacity, and the opacity (H, W) where any pixel is not opaque."""
    if image.mode == "La":
        image = image.convert("LA")
    elif image.mode == "RGBa" or (image.mode in ("P", "PA") and ("transparency" in image.info or image.mode == "PA")):
        image = image.convert("RGBA")
    elif image.mode in ("L", "RGB", "1") and "transparency" in image.info:
        image = image.convert("RGBA" if image.mode == "RGB" else "LA") if image.mode != "1" else image.convert("L")
    if image.mode == "P":
        return image.convert("RGB"), None
    if image.mode not in ("RGBA", "LA"):
        return image, None
    alpha = np.array(image.getchannel("A"))
    colours = image.convert("RGB") if image.mode == "RGBA" else image.getchannel("L")
    return colours, None if alpha.min(initial=255) == 255 else alpha


def _to_srgb(image: Image.Image, icc: bytes | None, notes: list[str]) -> Image.Image:
    """Any 8-bit mode as RGB in sRGB, through the embedded profile where it fits the picture."""
    if image.mode == "1":
        image = image.convert("L")
    described = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK", "LAB": "Lab"}.get(image.mode)
    if icc and described:
        try:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
            core: Any = profile.profile
            title = (core.profile_description or "").strip() or "unnamed profile"
            if core.xcolor_space.strip() != described:
                notes.append("unsuitable colour profile ignored")
            elif described == "RGB" and is_srgb(title):
                return image
            else:
                converted = through_profile(image, profile)
                notes.append(f"{'CMYK ' if image.mode == 'CMYK' else ''}{title} converted to sRGB")
                return converted
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            notes.append("damaged colour profile ignored")
    if image.mode == "LAB":
        notes.append("Lab converted to sRGB")
        return through_profile(image, ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")))
    if image.mode == "CMYK":
        notes.append("CMYK converted to sRGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _orientation_and_exif(opened: Image.Image, block: object) -> tuple[int, bytes | None]:
    """EXIF orientation 1..8 that is still to be applied, and the EXIF block with orientation 1."""
    if not isinstance(block, bytes) or not block:
        if opened.format == "PNG":  # may carry EXIF as text; TIFF is turned by its decoder
            found = opened.getexif().get(_ORIENTATION, 1)
            return (found if found in range(1, 9) else 1), None
        return 1, None
    found, patched = _reset_orientation(block)
    # A JPEG XL codestream carries its own orientation, applied by the decoder; a JPEG kept inside one does not.
    done = opened.format == "HEIF" or (opened.format == "JXL" and not getattr(opened, "jpeg", False))
    return (1 if done else found), patched


def _reset_orientation(block: bytes) -> tuple[int, bytes]:
    """The orientation (1..8) in the first directory of an EXIF block, and the block with 1 in its place.

    Patched in place: writing the block anew would lose the makers' notes, whose offsets are absolute.
    """
    start = 6 if block.startswith(b"Exif\x00\x00") else 0
    order = {b"II": "<", b"MM": ">"}.get(block[start : start + 2])
    if order is None:
        return 1, block
    try:
        directory = start + struct.unpack_from(f"{order}I", block, start + 4)[0]
        for entry in range(struct.unpack_from(f"{order}H", block, directory)[0]):
            position = directory + 2 + 12 * entry
            tag, kind = struct.unpack_from(f"{order}HH", block, position)
            if tag == _ORIENTATION and kind == 3:
                found = struct.unpack_from(f"{order}H", block, position + 8)[0]
                patched = bytearray(block)
                struct.pack_into(f"{order}H", patched, position + 8, 1)
                return (found if 1 <= found <= 8 else 1), bytes(patched)
    except struct.error:
        pass
    return 1, block


def _turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Undo an EXIF orientation 2..8 on an (H, W, ...) array."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels


def _reason(error: BaseException) -> str:
    """What a decoder complains of, in short."""
    text = " ".join(str(error).split())
    return text[:120].rstrip(".") or type(error).__name__


_WRITERS: dict[str, tuple[str, dict[str, Any]]] = {
    ".png": ("PNG", {}),
    ".jpg": ("JPEG", {"quality": 95, "subsampling": 0, "optimize": True}),
    ".jpeg": ("JPEG", {"quality": 95, "subsampling": 0, "optimize": True}),
    ".webp": ("WEBP", {"lossless": True}),
    ".avif": ("AVIF", {"quality": 90, "subsampling": "4:4:4"}),
    ".tif": ("TIFF", {"compression": "tiff_adobe_deflate"}),
    ".tiff": ("TIFF", {"compression": "tiff_adobe_deflate"}),
    ".bmp": ("BMP", {}),
    ".jxl": ("JXL", {"lossless": True, "effort": 5}),
}
WRITABLE_SUFFIXES: tuple[str, ...] = tuple(_WRITERS)
_WITHOUT_ALPHA = (".jpg", ".jpeg", ".bmp")
_WITHOUT_PROFILE = ("BMP", "JXL")
_WITH_XMP = ("JPEG", "WEBP", "AVIF")


def save_picture(
    picture: Picture, path: Path, *, overwrite: bool = True, text: Mapping[str, str] | None = None
) -> None:
    """Write a picture atomically, in the format that the suffix of `path` names.

    PNG, WebP, TIFF, BMP and JPEG XL are lossless; JPEG and AVIF are written at high quality. JPEG and BMP know no
    opacity: the picture is laid on white. TIFF keeps the texts of an EXIF block, BMP nothing of it, the others all.
    Colours that are not sRGB are written with their profile; for BMP and JPEG XL they are converted.

    Args:
        text: PNG text chunks; other formats have no place for them and leave them out.

    Raises:
        PictureError: the suffix names no format that is written, or the picture is too large for it.
        OutputError: the file cannot be written, or exists and `overwrite` is False.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in _WRITERS:
        raise PictureError(
            f"{path.name} does not end in a picture format that can be written.", f"Use {', '.join(_WRITERS)}."
        )
    kind, options = _WRITERS[suffix]
    if kind in _WITHOUT_PROFILE:
        picture = to_srgb(picture)
    if suffix == ".png":
        pixels = picture.pixels if picture.alpha is None else np.dstack([picture.pixels, picture.alpha])
        data = encode_png(pixels, text=text, exif=picture.exif, xmp=picture.xmp, profile=picture.profile)
        write_bytes(path, data, overwrite=overwrite)
        return
    if kind == "JXL":
        try:
            import pillow_jxl  # noqa: F401  registers itself
        except ImportError as error:  # the viewer is installed without it
            raise PictureError(
                f"{path.name} cannot be written: JPEG XL needs the package pillow-jxl-plugin.", "Use PNG instead."
            ) from error
    if picture.profile is not None:
        options = {**options, "icc_profile": picture.profile}
    if picture.xmp is not None and kind in _WITH_XMP:
        options = {**options, "xmp": picture.xmp}
    exif = _writable_exif(picture.exif, kind) if picture.exif else None
    if exif is not None:
        options = {**options, "exif": exif}
    if picture.alpha is None or suffix in _WITHOUT_ALPHA:
        image = Image.fromarray(flatten(picture))
    else:
        image = Image.fromarray(np.dstack([picture.pixels, picture.alpha]))
    stream = io.BytesIO()
    try:
        image.save(stream, kind, **options)
    except (OSError, ValueError, struct.error) as error:
        raise PictureError(f"{path.name} cannot be written as {kind}: {_reason(error)}.", "Use PNG instead.") from error
    write_bytes(path, stream.getvalue(), overwrite=overwrite)


def _writable_exif(block: bytes, kind: str) -> bytes | Image.Exif | None:
    """What Pillow's writer of that format can be given of an EXIF block that nobody has checked.

    Most writers copy the bytes. That of AVIF parses them; that of TIFF hands every tag to libtiff, which fails on the
    directories that cameras write, overwrites the picture's own tags, and crashes on values of unexpected types.
    """
    if kind == "BMP":
        return None
    if kind not in ("AVIF", "TIFF"):
        return block
    found, texts = Image.Exif(), Image.Exif()
    try:
        found.load(block)
        if kind == "AVIF":
            found.tobytes()
            return block
        for tag in _EXIF_TEXTS:
            if isinstance(found.get(tag), str):
                texts[tag] = found[tag]
    except Exception:  # Pillow raises whatever its parser meets in broken blocks
        return None
    return texts


def flatten(picture: Picture, background: int = 255) -> np.ndarray:
    """The picture laid on a grey background (white by default), (H, W, 3) uint8."""
    if picture.alpha is None:
        return picture.pixels
    opacity = picture.alpha.astype(np.uint32)[..., None]
    mixed = picture.pixels * opacity + background * (255 - opacity)
    return ((mixed + 127) // 255).astype(np.uint8)


def encode_png(
    pixels: np.ndarray,
    *,
    text: Mapping[str, str] | None = None,
    palette: Sequence[Sequence[int]] | np.ndarray | None = None,
    exif: bytes | None = None,
    xmp: bytes | None = None,
    profile: bytes | None = None,
    compression: int = 6,
) -> bytes:
    """A PNG file as bytes.

    Args:
        pixels: (H, W, 3 or 4) uint8 colours, or (H, W) uint8 grey values, or palette indices where `palette` is given.
        text: text chunks by keyword (1 to 79 Latin-1 characters); the texts may hold any character.
        palette: up to 256 colours (R, G, B) in 0..255.
        exif, xmp, profile: EXIF block, XMP packet and ICC profile to embed.
        compression: level of deflate, 0..9; higher is slower and smaller.
    """
    image = Image.fromarray(np.ascontiguousarray(pixels))
    if palette is not None:
        image = image.convert("L")
        image.putpalette([int(part) for colour in palette for part in colour])
    chunks = PngImagePlugin.PngInfo()
    for keyword, value in (text or {}).items():
        chunks.add_itxt(keyword, value)
    if xmp:
        chunks.add_itxt("XML:com.adobe.xmp", xmp.decode("utf-8", "replace"))
    stream = io.BytesIO()
    given = {"exif": exif, "icc_profile": profile}
    present = {name: value for name, value in given.items() if value}
    image.save(stream, "PNG", pnginfo=chunks, compress_level=compression, **present)
    return stream.getvalue()


def read_png_text(path: Path) -> dict[str, str]:
    """Text chunks of a PNG file by keyword; empty for other formats.

    Raises:
        PictureError: the file cannot be read, or is damaged.
    """
    data = _read_file(Path(path))
    warnings.filterwarnings("ignore", module=r"PIL\b")
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return {}
    try:
        with _open_header(data, str(path)) as opened:
            opened.load()  # chunks may follow the picture
            return {str(key): str(value) for key, value in getattr(opened, "text", {}).items()}
    except PictureError:
        raise
    except Exception as error:  # Pillow's decoders raise what they please on damaged files
        raise PictureError(f"{path} is damaged: {_reason(error)}.", "Copy or download the file again.") from error
