"""Colours that are not sRGB, and what cameras write beside the pixels, through compressed files and back."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from engine.colour_profile import describe, display_p3, is_display_p3, through_profile, to_srgb
from engine.compression import EncodeSettings, decode, encode, inspect
from engine.compression.files import decode_file
from engine.compression.side_data import clean_xmp
from engine.image import open_picture, save_picture
from tests.engine.codec_fixtures import compress_file, install_small_model, scene

XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/" '
    b'exif:GPSLatitude="48,51.5N" dc:format="image/jpeg"><exif:GPSLongitude>2,21E</exif:GPSLongitude>'
    b"<dc:title>Pont</dc:title></rdf:Description></rdf:RDF></x:xmpmeta>"
)


@pytest.fixture(autouse=True)
def small_codec() -> None:
    install_small_model()


def adobe_like() -> bytes:
    """An RGB profile that is neither sRGB nor Display P3: that of sRGB, renamed by one letter."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile.replace("sRGB".encode("utf-16-be"), "wide".encode("utf-16-be"))


def test_our_display_p3_is_one() -> None:
    profile = display_p3()
    assert describe(profile) == "Display P3" and is_display_p3(profile)
    # Grey stays grey; what sRGB has is inside, what only P3 has is beyond it. (234, 51, 35) is sRGB red in P3.
    colours = np.array([[[128, 128, 128], [234, 51, 35], [0, 255, 0]]], np.uint8)
    converted = np.array(through_profile(Image.fromarray(colours), ImageCms.ImageCmsProfile(io.BytesIO(profile))))
    assert np.abs(converted[0, 0].astype(int) - 128).max() <= 1
    assert np.abs(converted[0, 1].astype(int) - (255, 0, 0)).max() <= 2
    assert np.array_equal(converted[0, 2], (0, 255, 0))


@pytest.mark.parametrize("kind", ["Display P3", "other"])
def test_wide_colours_keep_their_space_to_the_exported_picture(kind: str, tmp_path: Path) -> None:
    profile = display_p3() if kind == "Display P3" else adobe_like()
    source = tmp_path / "wide.png"
    Image.fromarray(scene(90, 70).pixels).save(source, icc_profile=profile)
    compress_file(source, tmp_path / "wide.lsi", quality=90)
    data = (tmp_path / "wide.lsi").read_bytes()
    header = inspect(data)
    assert header.display_p3 == (kind == "Display P3")
    assert (header.section("iccp") is None) == (kind == "Display P3")
    for name in ("out.png", "out.jpg", "out.webp", "out.avif", "out.tif"):
        decode_file(tmp_path / "wide.lsi", tmp_path / name)
        with Image.open(tmp_path / name) as image:
            assert describe(image.info["icc_profile"]) == describe(profile)
    # Formats without a place for it get converted colours.
    decode_file(tmp_path / "wide.lsi", tmp_path / "out.bmp")
    shown = to_srgb(open_picture(tmp_path / "out.png", keep_profile=True))
    assert np.array_equal(open_picture(tmp_path / "out.bmp").pixels, shown.pixels)

    compress_file(source, tmp_path / "srgb.lsi", quality=90, keep_profile=False)
    plain = inspect((tmp_path / "srgb.lsi").read_bytes())
    assert not plain.display_p3 and plain.section("iccp") is None


def test_a_damaged_or_unsuitable_profile_is_no_reason_not_to_open() -> None:
    for profile in (b"", b"nothing", ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()):
        stream = io.BytesIO()
        Image.fromarray(scene(20, 20).pixels).save(stream, "PNG", icc_profile=profile)
        assert open_picture(stream.getvalue(), keep_profile=True).profile is None


def test_the_place_leaves_only_when_it_is_asked_for(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    exif.get_ifd(0x8825)[1] = "N"
    source = tmp_path / "photo.jpg"
    Image.fromarray(scene(64, 48).pixels).save(source, exif=exif, xmp=XMP)
    picture = open_picture(source)
    assert picture.xmp is not None and b"GPSLatitude" in picture.xmp
    for settings, kept, place in (
        (EncodeSettings(), True, False),
        (EncodeSettings(keep_place=True), True, True),
        (EncodeSettings(keep_metadata=False), False, False),
    ):
        decoded = decode(encode(picture, settings, device="cpu"), device="cpu").picture
        assert (decoded.exif is not None) == (decoded.xmp is not None) == kept
        if decoded.exif is not None and decoded.xmp is not None:
            found = Image.Exif()
            found.load(decoded.exif)
            assert bool(found.get_ifd(0x8825)) == place
            assert (b"GPS" in decoded.xmp) == place and b"Pont" in decoded.xmp and b"image/jpeg" in decoded.xmp
            save_picture(decoded, tmp_path / "again.jpg")
            assert open_picture(tmp_path / "again.jpg").xmp == decoded.xmp


def test_hostile_xmp_is_left_out() -> None:
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa">]><x>&a;</x>'
    large = b"<x>" + b"a" * 70_000 + b"</x>"
    assert [clean_xmp(packet) for packet in (bomb, large, b"", b"<x>", b"\xff\xfe<")] == [None] * 5
