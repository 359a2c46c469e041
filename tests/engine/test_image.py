"""Opening and saving pictures: odd formats become upright sRGB, hostile ones give one clear sentence."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, TiffImagePlugin

from engine.errors import LimitError, OutputError, PictureError
from engine.image import (
    PICTURE_SUFFIXES,
    WRITABLE_SUFFIXES,
    Picture,
    encode_png,
    flatten,
    open_picture,
    read_png_text,
    save_picture,
)
from engine.jxl_header import jxl_size

ROOT = Path(__file__).resolve().parents[2]


def gradient(height: int = 24, width: int = 40) -> np.ndarray:
    """A smooth picture without symmetry."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 255 // width, y * 255 // height, (x + y) * 255 // (height + width)], axis=-1).astype(np.uint8)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    if kind == "HEIF":
        import pillow_heif

        pillow_heif.register_heif_opener()
    if kind == "JXL":
        import pillow_jxl  # noqa: F401
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing."""

    def chunk(kind: bytes, payload: bytes) -> bytes:
        return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")
    )


FORMATS = [
    ("PNG", {}, 0),
    ("BMP", {}, 0),
    ("TIFF", {}, 0),
    ("WEBP", {"lossless": True}, 0),
    ("PPM", {}, 0),
    ("JXL", {"lossless": True}, 0),
    ("JPEG", {"quality": 98, "subsampling": 0}, 6),
    ("AVIF", {"quality": 98, "subsampling": "4:4:4"}, 8),
    ("HEIF", {"quality": 98, "chroma": 444}, 8),
]


@pytest.mark.parametrize(("kind", "options", "tolerance"), FORMATS, ids=[entry[0] for entry in FORMATS])
def test_every_common_format_opens(kind: str, options: dict, tolerance: int) -> None:
    pixels = gradient()
    data = encoded(Image.fromarray(pixels), kind, **options)
    picture = open_picture(data, name="x")
    assert (picture.width, picture.height) == (40, 24)
    assert picture.pixels.dtype == np.uint8 and picture.pixels.flags.c_contiguous
    assert np.abs(picture.pixels.astype(int) - pixels).max() <= tolerance
    assert picture.alpha is None and picture.stored_bytes == len(data) and picture.notes == ()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_orientation_is_applied_once(kind: str, orientation: int) -> None:
    upright = np.zeros((16, 32, 3), np.uint8)
    upright[:8, :8], upright[8:, 24:] = (255, 0, 0), (0, 0, 255)
    turn = {
        1: lambda a: a, 2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1), 6: lambda a: np.rot90(a, 1), 7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
        8: lambda a: np.rot90(a, -1),
    }  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "Maker"
    stored = Image.fromarray(np.ascontiguousarray(turn[orientation](upright)))
    options = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {"lossless": True} if kind == "WEBP" else {}
    picture = open_picture(encoded(stored, kind, exif=exif, **options))
    assert picture.pixels.shape == upright.shape
    assert np.abs(picture.pixels.astype(int) - upright).max() < 30
    if kind != "TIFF":
        assert ("turned upright" in picture.notes) == (orientation != 1)
        assert picture.exif is not None
        kept = Image.Exif()
        kept.load(picture.exif)
        assert kept[0x0112] == 1 and kept[0x010F] == "Maker"


def test_alpha_is_kept_where_it_matters() -> None:
    alpha = np.full((24, 40), 255, np.uint8)
    opaque = np.dstack([gradient(), alpha])
    assert open_picture(encoded(Image.fromarray(opaque), "PNG")).alpha is None
    opaque[:5, :, 3] = 7
    for kind in ("PNG", "WEBP", "TIFF"):
        options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
        picture = open_picture(encoded(Image.fromarray(opaque), kind, **options))
        assert picture.alpha is not None and (picture.alpha == opaque[..., 3]).all()
        assert (picture.pixels == opaque[..., :3]).all()


def test_grey_palette_bilevel_and_transparent_colours() -> None:
    grey = Image.fromarray(gradient()[..., 0])
    assert (open_picture(encoded(grey, "PNG")).pixels == gradient()[..., :1]).all()
    palette = Image.fromarray(gradient()).quantize(8)
    assert (open_picture(encoded(palette, "PNG")).pixels == np.asarray(palette.convert("RGB"))).all()
    picture = open_picture(encoded(palette, "PNG", transparency=0))
    assert picture.alpha is not None and set(np.unique(picture.alpha)) == {0, 255}
    picture = open_picture(encoded(Image.fromarray(gradient()), "PNG", transparency=(0, 0, 0)))
    assert picture.alpha is not None and picture.alpha[0, 0] == 0 and picture.alpha[5, 5] == 255
    bilevel = Image.fromarray(gradient()[..., 0] > 99)
    assert set(np.unique(open_picture(encoded(bilevel, "PNG")).pixels)) == {0, 255}


def test_sixteen_bits_are_reduced_and_said_so() -> None:
    deep = np.arange(24 * 40, dtype=np.uint16).reshape(24, 40) * 68
    for kind in ("PNG", "TIFF"):
        picture = open_picture(encoded(Image.fromarray(deep), kind))
        assert np.abs(picture.pixels[..., 0] - deep / 257).max() <= 0.51
        assert picture.notes == ("16 bit reduced to 8",)
    ramp = np.linspace(0, 1, 24 * 40, dtype=np.float32).reshape(24, 40)
    picture = open_picture(encoded(Image.fromarray(ramp), "TIFF"))
    assert np.abs(picture.pixels[..., 0] - ramp * 255).max() <= 0.51
    assert "floating point" in picture.notes[0]


def test_sixteen_bit_colour_png() -> None:
    rows = b"".join(b"\0" + struct.pack(">12H", *range(0, 60000, 5000)) for _ in range(2))

    def chunk(kind: bytes, payload: bytes) -> bytes:
        return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))

    header = struct.pack(">IIBBBBB", 4, 2, 16, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    picture = open_picture(data)
    assert picture.notes == ("16 bit reduced to 8",) and picture.pixels[0, 1, 0] == 15000 >> 8


def test_first_of_several_frames() -> None:
    frames = [Image.fromarray(np.full((8, 8, 3), value, np.uint8)) for value in (10, 120, 240)]
    for kind, word in (("GIF", "frames"), ("WEBP", "frames"), ("PNG", "frames"), ("TIFF", "pages")):
        options = {"lossless": True} if kind == "WEBP" else {}
        picture = open_picture(encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options))
        assert picture.pixels[0, 0, 0] == 10
        assert picture.notes == (f"first of 3 {word}",)


def test_wide_gamut_profile_is_converted() -> None:
    profile = wide_gamut_profile()
    data = encoded(Image.fromarray(np.full((8, 8, 3), (60, 200, 60), np.uint8)), "PNG", icc_profile=profile)
    picture = open_picture(data)
    # The same numbers mean a more vivid green in the wide space: less red and blue, more green in sRGB.
    red, green, blue = (int(value) for value in picture.pixels[0, 0])
    assert red < 50 and green > 200 and blue < 60
    assert any("converted to sRGB" in note for note in picture.notes)


def test_srgb_profile_changes_nothing() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = open_picture(encoded(Image.fromarray(gradient()), "PNG", icc_profile=profile))
    assert (picture.pixels == gradient()).all() and picture.notes == ()


def test_cmyk_and_broken_profiles_open_with_a_note() -> None:
    cmyk = Image.fromarray(gradient()).convert("CMYK")
    for kind in ("JPEG", "TIFF"):
        options = {"quality": 98} if kind == "JPEG" else {}
        picture = open_picture(encoded(cmyk, kind, **options))
        assert "CMYK converted to sRGB" in picture.notes
        assert np.abs(picture.pixels.astype(int) - gradient()).mean() < 12
    broken = open_picture(encoded(Image.fromarray(gradient()), "PNG", icc_profile=b"no profile at all" * 20))
    assert broken.notes == ("damaged colour profile ignored",)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    unfit = open_picture(encoded(cmyk, "TIFF", icc_profile=srgb))
    assert "unsuitable colour profile ignored" in unfit.notes


@pytest.mark.parametrize("size", [(65535, 65535), (70000, 10), (10, 2**31 - 1), (20000, 20000)])
def test_bombs_are_refused_before_decoding(size: tuple[int, int]) -> None:
    with pytest.raises(LimitError, match="megapixels"):
        open_picture(png_header(*size), name="bomb.png")


def test_jxl_size_is_known_before_decoding() -> None:
    for width, height in ((8, 8), (40, 24), (300, 200), (256, 256), (1000, 3), (1920, 1080)):
        data = encoded(Image.new("RGB", (width, height)), "JXL", lossless=True)
        assert jxl_size(data) == (width, height)
        boxed = encoded(Image.new("RGB", (width, height)), "JXL", lossless=True, use_container=True)
        assert jxl_size(boxed) == (width, height)
    # A codestream header of 2^30 x 2^30 pixels: not small, 30-bit height, ratio 1:1.
    bits = 0 | (3 << 1) | ((2**30 - 1) << 3) | (1 << 33)
    with pytest.raises(LimitError):
        open_picture(b"\xff\x0a" + bits.to_bytes(8, "little"), name="bomb.jxl")


@pytest.mark.parametrize(("kind", "options"), [entry[:2] for entry in FORMATS] + [("GIF", {})])
def test_damage_gives_one_sentence_and_no_warning(kind: str, options: dict) -> None:
    data = encoded(Image.fromarray(gradient(64, 64)), kind, **options)
    rng = np.random.default_rng(1)
    variants = [data[:cut] for cut in rng.integers(1, len(data), 20)]
    places = rng.integers(0, len(data), 40)
    variants += [data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :] for place in places]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for variant in variants:
            try:
                open_picture(bytes(variant), name="broken")
            except PictureError as error:
                assert str(error).startswith("broken ") and "\n" not in str(error) and len(str(error)) < 300
    assert not caught


def test_truncated_photo_is_refused() -> None:
    data = encoded(Image.fromarray(gradient(200, 200)), "JPEG")
    with pytest.raises(PictureError, match=r"cut\.jpg is damaged"):
        open_picture(data[: len(data) // 2], name="cut.jpg")


def test_things_that_are_no_pictures(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.jpg").write_text("hello")
    cases = {
        "empty.png": "is empty",
        "text.jpg": "is not a picture",
        "missing.png": "There is no file",
        ".": "is a folder",
    }
    for name, sentence in cases.items():
        with pytest.raises(PictureError, match=sentence):
            open_picture(tmp_path / name)
    for data in (b"%!PS-Adobe-3.0 EPSF-3.0", b"<svg/>", b"\x00" * 100, b"PK\x03\x04" + b"x" * 60):
        with pytest.raises(PictureError, match="is not a picture"):
            open_picture(data, name="x")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="the superuser may read everything")
def test_unreadable_file(tmp_path: Path) -> None:
    path = tmp_path / "secret.png"
    path.write_bytes(encode_png(gradient()))
    path.chmod(0)
    with pytest.raises(PictureError, match="No permission"):
        open_picture(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(PictureError, match="not a regular file"):
        open_picture(tmp_path / "pipe.png")


@pytest.mark.parametrize("suffix", WRITABLE_SUFFIXES)
def test_saved_pictures_open_again(tmp_path: Path, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    alpha = np.full((24, 40), 255, np.uint8)
    alpha[:4] = 0
    original = Picture(gradient(), alpha, exif.tobytes())
    path = tmp_path / f"new folder/picture{suffix}"
    save_picture(original, path)
    again = open_picture(path)
    if suffix in (".jpg", ".jpeg", ".bmp"):
        assert again.alpha is None
        assert np.abs(again.pixels.astype(int) - flatten(original)).mean() < 3
    else:
        assert again.alpha is not None and np.abs(again.alpha.astype(int) - alpha).max() <= 2
        tolerance = 12 if suffix == ".avif" else 0
        assert np.abs(again.pixels[5:].astype(int) - gradient()[5:]).max() <= tolerance
    if suffix not in (".bmp", ".tif", ".tiff"):
        assert again.exif is not None and b"Maker" in again.exif
    with pytest.raises(OutputError, match="exists already"):
        save_picture(original, path, overwrite=False)


def exif_entry(tag: int, kind: int, value: int) -> bytes:
    """A block of one tag with one number."""
    return b"Exif\0\0MM\0*\0\0\0\x08" + struct.pack(">HHHIHHI", 1, tag, kind, 1, value, 0, 0)


@pytest.mark.parametrize("suffix", WRITABLE_SUFFIXES)
def test_pictures_are_saved_whatever_their_exif_block_holds(tmp_path: Path, suffix: str) -> None:
    """Nobody checks the block of a compressed file before it is saved with the picture."""
    camera = Image.Exif()
    camera[0x010F], camera[0x0131] = "Maker", "Program"
    camera.get_ifd(0x8769)[0x829A] = 0.01
    camera.get_ifd(0x8825)[1] = "N"
    blocks = (
        camera.tobytes(),  # libtiff knows no directories within directories
        b"no such block",
        camera.tobytes()[:40],
        exif_entry(0x010D, 3, 6),  # a document's name that is a number: libtiff would take it for an address
        exif_entry(0x0100, 4, 60_000),  # another width
        exif_entry(0x0103, 3, 7),  # another compression
    )
    path = tmp_path / f"picture{suffix}"
    for block in blocks:
        save_picture(Picture(gradient(), exif=block), path)
        assert np.abs(open_picture(path).pixels.astype(int) - gradient()).mean() < 3
    if suffix in (".tif", ".tiff"):
        save_picture(Picture(gradient(), exif=camera.tobytes()), path)
        with Image.open(path) as saved:
            assert (saved.getexif()[0x010F], saved.getexif()[0x0131]) == ("Maker", "Program")


def test_unknown_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="picture format"):
        save_picture(Picture(gradient()), tmp_path / "picture.xyz")
    assert list(tmp_path.iterdir()) == []


def test_png_text_and_palette(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    save_picture(Picture(gradient()), path, text={"latent-studio": '{"größe": 1}'})
    assert read_png_text(path) == {"latent-studio": '{"größe": 1}'}
    numbers = np.arange(12, dtype=np.uint8).reshape(3, 4) % 3
    palette = [(0, 0, 0), (255, 0, 0), (0, 255, 0)]
    with Image.open(io.BytesIO(encode_png(numbers, palette=palette))) as image:
        assert image.mode == "P" and (np.asarray(image) == numbers).all()
        assert (np.asarray(image.convert("RGB")) == np.array(palette, np.uint8)[numbers]).all()
    (tmp_path / "x.jpg").write_bytes(encoded(Image.fromarray(gradient()), "JPEG"))
    assert read_png_text(tmp_path / "x.jpg") == {}
    with pytest.raises(PictureError, match="There is no file"):
        read_png_text(tmp_path / "none.png")


def test_opening_pictures_needs_no_torch() -> None:
    code = "import sys, engine.image; assert not {'torch', 'pillow_jxl', 'pillow_heif'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_suffixes_are_lower_case() -> None:
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in PICTURE_SUFFIXES)


def test_tiff_with_a_cycle_of_pages_ends() -> None:
    data = bytearray(encoded(Image.fromarray(gradient()), "TIFF"))
    with Image.open(io.BytesIO(data)) as image:
        assert isinstance(image, TiffImagePlugin.TiffImageFile)
    first = struct.unpack_from("<I", data, 4)[0]
    count = struct.unpack_from("<H", data, first)[0]
    struct.pack_into("<I", data, first + 2 + 12 * count, first)
    assert open_picture(bytes(data)).width == 40


def wide_gamut_profile() -> bytes:
    """An ICC version 2 display profile with the primaries of Adobe RGB (1998) and gamma 2.2."""

    def fixed(value: float) -> bytes:
        return struct.pack(">i", round(value * 65536))

    def xyz(*values: float) -> bytes:
        return b"XYZ \0\0\0\0" + b"".join(fixed(value) for value in values)

    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(2.2 * 256)) + b"\0\0"
    title = b"Wide test space\0"
    description = b"desc\0\0\0\0" + struct.pack(">I", len(title)) + title + b"\0" * (4 + 4 + 2 + 1 + 67)
    description += b"\0" * (-len(description) % 4)
    tags = {
        b"desc": description,
        b"cprt": b"text\0\0\0\0none\0\0\0\0",
        b"wtpt": xyz(0.9642, 1.0, 0.8249),
        b"rXYZ": xyz(0.60974, 0.31111, 0.01947),
        b"gXYZ": xyz(0.20528, 0.62567, 0.06087),
        b"bXYZ": xyz(0.14919, 0.06322, 0.74457),
        b"rTRC": curve,
        b"gTRC": curve,
        b"bTRC": curve,
    }
    table, body, offset = b"", b"", 128 + 4 + 12 * len(tags)
    for name, payload in tags.items():
        table += name + struct.pack(">II", offset + len(body), len(payload))
        body += payload
    total = offset + len(body)
    header = struct.pack(">I4s4s4s4s4s", total, b"\0" * 4, b"\x02\x10\0\0", b"mntr", b"RGB ", b"XYZ ")
    header += b"\0" * 12 + b"acsp" + b"\0" * 28 + fixed(0.9642) + fixed(1.0) + fixed(0.8249)
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body
