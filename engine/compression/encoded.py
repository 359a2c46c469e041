"""Encoded: a photo as a compressed file, whatever the codec, with what it decodes to and what that cost."""

from __future__ import annotations

from dataclasses import dataclass

from engine.image import Picture


@dataclass(frozen=True)
class Encoded:
    """A photo at one quality: the file, what it decodes to, and what that cost.

    Attributes:
        data: the file, byte for byte as it is to be written.
        decoded: the picture that this very file decodes to.
        quality: 0..100, given or found, on the scale of its codec.
        seconds_encode: all that it took to make the file, an analysis done for an earlier quality and the search for a
            target included.
        seconds_decode: of the whole decoding.
        psnr: dB; infinite where nothing changed.
        ms_ssim: 0..1.
        bits_per_pixel: of the whole file.
        note: in sentences, what the user should know: where a target was asked for and is not hit, why the file is
            smaller than allowed or better than wished; what the format could not hold.
    """

    data: bytes
    decoded: Picture
    quality: float
    seconds_encode: float
    seconds_decode: float
    psnr: float
    ms_ssim: float
    bits_per_pixel: float
    note: str = ""
