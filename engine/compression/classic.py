"""The codecs that people have already, as full citizens: JPEG, WebP, AVIF, JPEG XL and PNG with settings, targets,
metadata and colour profiles.

Nothing here needs torch, except measuring MS-SSIM, which imports it when it is first called.
"""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
from PIL import Image, features

from engine.colour_profile import describe, to_srgb
from engine.compression.encoded import Encoded
from engine.compression.settings import EFFORTS, Target
from engine.compression.side_data import clean_exif, clean_xmp
from engine.errors import PictureError, TargetNotReached, UsageError
from engine.evaluation.image_quality import ms_ssim, psnr
from engine.image import Picture, encode_png, flatten, open_picture
from engine.progress import CancelToken, Progress, ProgressCallback, ignore_progress, never_cancelled

CODECS = ("jpeg", "webp", "avif", "jxl", "png")
CODEC_NAMES = {"jpeg": "JPEG", "webp": "WebP", "avif": "AVIF", "jxl": "JPEG XL", "png": "PNG"}
CODEC_SUFFIXES = {"jpeg": ".jpg", "webp": ".webp", "avif": ".avif", "jxl": ".jxl", "png": ".png"}
# Codecs that can keep every value, and those with a choice of how coarsely colour is sampled.
LOSSLESS_CODECS = ("webp", "jxl", "png")
SUBSAMPLED_CODECS = ("jpeg", "avif")
SUBSAMPLINGS = ("4:2:0", "4:4:4")
MAX_SIDES = {"jpeg": 65_500, "webp": 16_383, "avif": 65_535, "jxl": 65_535, "png": 2**31 - 1}


# What counts as the size that was asked for, as a share of it.
SIZE_TOLERANCE = 0.01
# As far above a wished PSNR, or MS-SSIM as the decibels of 1 - MS-SSIM, a file is taken at once.
_CLOSE_DB = 0.05
# From here on a note says that the file is better than wished.
_FAR_DB = 0.25

# A search goes in hundredths of quality. WebP's own steps are wider nearly everywhere.
_LAST_STEP = 10_000
_SMALLEST_GAP = {"webp": 5}
_FIRST_STEP = 6_000
_MOST_TRIES = 16
# As many tries stay on one side before the end of the scale is looked at, and whether the aim can be reached at all.
_PATIENCE = 4
# Where to look first: natural logarithm of the size, and dB of PSNR, over the quality, both less those at quality 60;
# means of three photos (kodim03, 05, 13). A search corrects them by every file that it makes.
_QUALITIES = (0, 1, 2, 5, 10, 20, 40, 60, 80, 90, 95, 98, 99, 100)
_SIZE_CURVES = {
    "jpeg": (-2.38, -2.38, -2.38, -1.86, -1.29, -0.76, -0.29, 0.00, 0.40, 0.76, 1.07, 1.40, 1.59, 1.70),
    "webp": (-2.01, -1.57, -1.45, -1.22, -0.98, -0.67, -0.27, 0.00, 0.36, 0.79, 1.13, 1.34, 1.39, 1.41),
    "avif": (-2.39, -2.39, -2.39, -2.32, -2.04, -1.61, -0.80, 0.00, 0.58, 0.94, 1.22, 1.42, 1.54, 1.80),
    "jxl": (-1.38, -1.33, -1.29, -1.16, -0.96, -0.77, -0.33, 0.00, 0.44, 0.89, 1.24, 1.54, 1.72, 1.95),
}
_PSNR_CURVES = {
    "jpeg": (-11.1, -11.1, -11.1, -8.9, -6.3, -3.9, -1.6, 0.0, 2.8, 5.9, 8.6, 11.2, 12.2, 12.7),
    "webp": (-8.9, -7.5, -7.1, -6.3, -5.4, -4.0, -1.8, 0.0, 2.6, 5.9, 8.0, 9.0, 9.2, 9.3),
    "avif": (-10.3, -10.3, -10.3, -10.1, -9.2, -7.8, -4.6, 0.0, 4.4, 6.6, 8.0, 8.7, 9.0, 9.8),
    "jxl": (-6.4, -6.3, -6.2, -6.0, -5.6, -3.7, -1.7, 0.0, 2.9, 6.2, 8.8, 11.0, 12.4, 14.5),
}

# A JPEG holds metadata in segments of 65,533 bytes, of which the name of XMP takes 29.
_MOST_JPEG_EXIF, _MOST_JPEG_XMP = 65_533, 65_504


@dataclass(frozen=True)
class ClassicSettings:
    """How to compress with a codec that people have already.

    Attributes:
        codec: "jpeg", "webp", "avif", "jxl" or "png".
        quality: 0..100 on that codec's own scale, to a hundredth. Whole numbers give what every other program gives;
            what lies between is for targets: JPEG scales its tables by fractions, AVIF turns its adaptive
            quantisation, WebP and JPEG XL know fractions themselves. JPEG XL is lossless at 100.
        effort: see `EFFORTS`; None is what a careful user takes.
        subsampling: "4:2:0" or "4:4:4"; JPEG and AVIF only, the others ignore it.
        lossless: WebP and JPEG XL; PNG always is. The quality is then ignored.
        target: what the file is to reach; the quality is then found instead of given.
        keep_metadata: keep the EXIF block and the XMP packet.
        keep_place: keep in them where the photo was taken (GPS), too.
        keep_profile: keep colours that are not sRGB and their profile; else they are converted to sRGB.

    Raises:
        UsageError: a value is out of range, or the codec has no such setting.
    """

    codec: str
    quality: float = 75.0
    effort: int | None = None
    subsampling: str = "4:2:0"
    lossless: bool = False
    target: Target | None = None
    keep_metadata: bool = True
    keep_place: bool = False
    keep_profile: bool = True

    def __post_init__(self) -> None:
        if self.codec not in CODECS:
            raise UsageError(f"There is no codec {self.codec!r}.", f"Choose one of {', '.join(CODECS)}.")
        name, efforts = CODEC_NAMES[self.codec], EFFORTS[self.codec]
        if not 0.0 <= self.quality <= 100.0:
            raise UsageError(f"The quality is {self.quality:g}.", "Use a number from 0 to 100.")
        if self.effort is not None and self.effort not in range(efforts.low, efforts.high + 1):
            raise UsageError(
                f"The effort of {name} is {self.effort}.", f"Use a whole number from {efforts.low} to {efforts.high}."
            )
        if self.subsampling not in SUBSAMPLINGS:
            raise UsageError(f"There is no subsampling {self.subsampling!r}.", f"Use {' or '.join(SUBSAMPLINGS)}.")
        if self.lossless and self.codec not in LOSSLESS_CODECS:
            raise UsageError(f"{name} is not lossless here.", f"Choose one of {', '.join(LOSSLESS_CODECS)}.")

    @property
    def exact(self) -> bool:
        """True where the file keeps every value of the pixels."""
        best = self.codec == "jxl" and self.quality == 100.0 and self.target is None
        return best or self.lossless or self.codec == "png"

    @property
    def own_effort(self) -> int:
        """The effort, the usual one where none is given."""
        return EFFORTS[self.codec].usual if self.effort is None else self.effort


def available_codecs() -> tuple[str, ...]:
    """Those of `CODECS` that are in this installation."""
    missing = {
        "webp": not features.check("webp"),
        "avif": not features.check("avif"),
        "jxl": find_spec("pillow_jxl") is None,
    }
    return tuple(codec for codec in CODECS if not missing.get(codec, False))


def encode_classic(
    picture: Picture,
    settings: ClassicSettings,
    *,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> Encoded:
    """Compress a picture at a quality or to a target, decode the file and measure it.

    A size is never exceeded and comes within `SIZE_TOLERANCE` of what was asked for wherever the codec can: between
    whole numbers of quality, and at last with less effort. A PSNR or MS-SSIM is never missed. A search takes three to
    eight files as a rule.

    PSNR and MS-SSIM compare what the codec was given (in sRGB where it holds no profile) with what comes out; pictures
    with opacity are compared as they look on white, because codecs drop the colours of what is transparent.

    Raises:
        UsageError: the codec is not in this installation.
        PictureError: the codec cannot hold the picture.
        TargetNotReached: even quality 0 is too large, even quality 100 is not good enough, or a lossless file is larger
            than allowed.
        Cancelled: `cancel` was set; it is read between files and before decoding and judging.
    """
    cancel = cancel or never_cancelled()
    cancel.raise_if_cancelled()
    job = _Job(picture, settings, cancel, progress)
    started = time.perf_counter()
    found = job.run()
    encoded = time.perf_counter()
    cancel.raise_if_cancelled()
    progress(Progress(900, 1000, "Decoding"))
    decoded = job.decoded(found.data)
    finished = time.perf_counter()
    cancel.raise_if_cancelled()
    progress(Progress(950, 1000, "Judging"))
    figures = psnr(*job.compared(decoded)), ms_ssim(*job.compared(decoded))
    progress(Progress(1000, 1000, "Done"))
    return Encoded(
        found.data,
        decoded,
        100.0 if settings.exact else found.step / 100,
        encoded - started,
        finished - encoded,
        *figures,
        8.0 * len(found.data) / (picture.width * picture.height),
        " ".join((*job.notes, *found.notes)),
    )


def classic_file(picture: Picture, settings: ClassicSettings, *, tune_psnr: bool = False) -> bytes:
    """The file alone, at the quality of the settings, neither decoded nor measured; a target is not looked at.

    Args:
        tune_psnr: AVIF only: tuned for PSNR instead of for the eye.

    Raises:
        UsageError, PictureError: as `encode_classic`.
    """
    given, _ = _prepared(picture, settings)
    return _written(given, settings, tune_psnr)


def classic_file_of_size(
    picture: Picture, settings: ClassicSettings, most: int, *, cancel: CancelToken | None = None
) -> bytes:
    """The best file that is not larger than `most` bytes, neither decoded nor measured.

    Raises:
        UsageError, PictureError, TargetNotReached, Cancelled: as `encode_classic`.
    """
    wish = replace(settings, target=Target("size", most))
    return _Job(picture, wish, cancel or never_cancelled(), ignore_progress).run().data


@dataclass(frozen=True)
class _Trial:
    """A file at one step of the search; `level` is what the search aims at, `value` in the unit of the target."""

    step: int
    data: bytes
    level: float = 0.0
    value: float = 0.0
    notes: tuple[str, ...] = ()


class _Job:
    """One picture with one codec: makes files at qualities, and searches the one that is asked for."""

    def __init__(
        self, picture: Picture, settings: ClassicSettings, cancel: CancelToken, progress: ProgressCallback
    ) -> None:
        self.settings = settings
        self.given, self.notes = _prepared(picture, settings)
        self._cancel = cancel
        self._progress = progress
        self._left = 900.0
        self._files: dict[tuple[object, ...], bytes] = {}

    def run(self) -> _Trial:
        """The file that the settings ask for."""
        target = self.settings.target
        if target is None:
            step = round(100 * self.settings.quality)
            return _Trial(step, self._file(step))
        size = target.most_bytes(self.given.width, self.given.height)
        if self.settings.exact:
            return self._lossless(size)
        return self._fidelity(target) if size is None else self._sized(target, size)

    def decoded(self, data: bytes) -> Picture:
        """What a file decodes to."""
        return replace(open_picture(data, name=self.given.name, keep_profile=True), notes=())

    def compared(self, decoded: Picture) -> tuple[np.ndarray, np.ndarray]:
        """What was given and what comes out, as it looks on white."""
        return flatten(self.given), flatten(decoded)

    def _lossless(self, most: int | None) -> _Trial:
        data = self._file(_LAST_STEP)
        if most is None:
            return _Trial(_LAST_STEP, data, notes=("A lossless file is exact.",))
        if len(data) > most:
            raise TargetNotReached(
                f"A lossless {CODEC_NAMES[self.settings.codec]} takes {len(data):,} bytes; {most:,} were asked for.",
                "Ask for at least that, choose a codec with losses, or shrink the picture.",
                self._in_unit(len(data)),
            )
        if len(data) >= (1 - SIZE_TOLERANCE) * most:
            return _Trial(_LAST_STEP, data)
        return _Trial(
            _LAST_STEP, data, notes=(f"A lossless file takes only {len(data):,} of the {most:,} bytes allowed.",)
        )

    def _sized(self, target: Target, most: int) -> _Trial:
        aim = math.log(max(most, 1)) + math.log1p(-SIZE_TOLERANCE) / 2

        def trial(step: int) -> _Trial:
            data = self._file(step)
            return _Trial(step, data, math.log(len(data)), len(data))

        def hit(trial: _Trial) -> bool:
            return (1 - SIZE_TOLERANCE) * most <= len(trial.data) <= most

        found = self._search(trial, aim, True, lambda trial: len(trial.data) > most, hit)
        best = found.hit or found.under
        if best is None:
            assert found.over is not None
            raise self._too_large(target, len(found.over.data))
        if found.hit is None and found.over is None:
            text = f"Quality 100, the highest, takes only {len(best.data):,} of the {most:,} bytes allowed."
            return replace(best, notes=(text,))
        return best if found.hit else self._with_less_effort(best, most)

    def _with_less_effort(self, best: _Trial, most: int) -> _Trial:
        """In a gap between two qualities: the lower one, taking the bytes that are left by less effort."""
        usual = self.settings.own_effort
        note = f"The largest file that is not too large takes {len(best.data):,} of the {most:,} bytes allowed."
        for effort in range(usual - 1, max(EFFORTS[self.settings.codec].low, usual - 3) - 1, -1):
            data = self._file(best.step, effort)
            if len(best.data) < len(data) <= most:
                note = f"Effort {effort} instead of {usual} comes nearer to the size than any quality does."
                best = replace(best, data=data)
                if len(data) >= (1 - SIZE_TOLERANCE) * most:
                    return replace(best, notes=(note,))
                note = f"{note} It takes {len(data):,} of the {most:,} bytes allowed."
        return replace(best, notes=(note,))

    def _fidelity(self, target: Target) -> _Trial:
        measure = psnr if target.kind == "psnr" else ms_ssim

        def level(value: float) -> float:
            return min(value, 120.0) if target.kind == "psnr" else -10 * math.log10(max(1 - value, 1e-12))

        def trial(step: int) -> _Trial:
            data = self._file(step)
            self._cancel.raise_if_cancelled()
            value = measure(*self.compared(self.decoded(data)))
            return _Trial(step, data, level(value), value)

        def text(value: float) -> str:  # rounded down, so that asking for it succeeds
            if value == math.inf:
                return "the very same pixels"
            if target.kind == "psnr":
                return f"a PSNR of {math.floor(value * 100) / 100:.2f} dB"
            return f"an MS-SSIM of {math.floor(value * 1e4) / 1e4:.4f}"

        def good(trial: _Trial) -> bool:
            return trial.value >= target.value

        wish = level(target.value)
        found = self._search(
            trial, wish + _CLOSE_DB / 2, False, good, lambda t: good(t) and t.level - wish <= _CLOSE_DB
        )
        best = found.hit or found.over
        if best is None:
            assert found.under is not None
            raise TargetNotReached(
                f"Even at quality 100 the {CODEC_NAMES[self.settings.codec]} has {text(found.under.value)}; "
                f"{target.value:g} was asked for.",
                f"Ask for that or less, or choose a lossless codec ({', '.join(LOSSLESS_CODECS)}).",
                found.under.value,
            )
        if best.level - wish > _FAR_DB:
            return replace(best, notes=(f"Quality {best.step / 100:g} gives {text(best.value)} already.",))
        return best

    def _search(
        self,
        trial: Callable[[int], _Trial],
        aim: float,
        by_size: bool,
        is_over: Callable[[_Trial], bool],
        is_hit: Callable[[_Trial], bool],
    ) -> _Found:
        """Try steps until one is a hit or no step is left between one under the aim and one over it."""
        found = _Found()
        gap = _SMALLEST_GAP.get(self.settings.codec, 1)
        curve = _expected(self.settings.codec, by_size)
        for tries in range(_MOST_TRIES):
            step = _next_step(found, aim, curve, tries, gap)
            if step is None:
                break
            tried = trial(step)
            if is_hit(tried):
                return replace(found, hit=tried)
            found = replace(found, over=tried) if is_over(tried) else replace(found, under=tried)
        return found

    def _file(self, step: int, effort: int | None = None) -> bytes:
        """The file at a step; steps that mean the same are made once."""
        used = self.settings.own_effort if effort is None else effort
        settings = replace(self.settings, quality=step / 100, effort=used, target=None)
        meaning = (*_avif_quality(settings.quality), effort) if settings.codec == "avif" else (step, effort)
        if meaning not in self._files:
            self._cancel.raise_if_cancelled()
            what = "" if settings.exact else f" at quality {settings.quality:g}"
            self._progress(Progress(round(900 - self._left), 1000, f"Compressing{what}"))
            self._left /= 1.5
            self._files = {meaning: _written(self.given, settings)} | dict(list(self._files.items())[:3])
        return self._files[meaning]

    def _too_large(self, target: Target, smallest: int) -> TargetNotReached:
        nearest, name = self._in_unit(smallest), CODEC_NAMES[self.settings.codec]
        unit = "bytes" if target.kind == "size" else "bits per pixel"
        shown = f"{smallest:,}" if target.kind == "size" else f"{nearest:.4f}"
        return TargetNotReached(
            f"Even at quality 0 the {name} takes {shown} {unit}; {target.value:,g} were asked for.",
            "Ask for at least that, or shrink the picture.",
            nearest,
        )

    def _in_unit(self, size: int) -> float:
        """Bytes in the unit of the target, rounded up, so that asking for it succeeds."""
        if self.settings.target is not None and self.settings.target.kind == "bpp":
            return math.ceil(8e4 * size / (self.given.width * self.given.height)) / 1e4
        return size


@dataclass(frozen=True)
class _Found:
    """What a search knows: a hit, and the nearest steps on either side of the aim."""

    hit: _Trial | None = None
    under: _Trial | None = None
    over: _Trial | None = None


def _next_step(found: _Found, aim: float, curve: np.ndarray, tries: int, gap: int) -> int | None:
    """Where to look next: where the curve, moved through what is known, meets the aim; None where nothing is left.

    Args:
        curve: (10,001,) what to expect at every step, but for an offset.
    """
    under, over = found.under, found.over
    if under is None and over is None:
        return _FIRST_STEP
    if under is None or over is None:
        known = under or over
        assert known is not None
        end = 0 if under is None else _LAST_STEP
        if known.step == end:
            return None
        if tries >= _PATIENCE:
            return end
        # The second time further than the curve says, so that the next file lies on the other side.
        wish = aim + (tries - 1) * (aim - known.level) / 2
        step = int(np.searchsorted(curve + (known.level - curve[known.step]), wish))
        step = min(step, known.step - gap) if under is None else max(step, known.step + gap)
        return min(max(step, 0), _LAST_STEP)
    if over.step - under.step <= gap:
        return None
    if tries > 2 * _PATIENCE or (tries > _PATIENCE and tries % 2):
        # Where the curve misleads, it would creep towards the aim from one side.
        return (under.step + over.step) // 2
    offsets = [trial.level - curve[trial.step] for trial in (under, over)]
    expected = curve + np.interp(np.arange(_LAST_STEP + 1), (under.step, over.step), offsets)
    inside = expected[under.step + 1 : over.step]
    return under.step + 1 + min(int(np.searchsorted(inside, aim)), len(inside) - 1)


@cache
def _expected(codec: str, size: bool) -> np.ndarray:
    """The curve of a codec at every step, rising everywhere."""
    points = (_SIZE_CURVES if size else _PSNR_CURVES)[codec]
    steps = np.arange(_LAST_STEP + 1)
    return np.interp(steps, 100 * np.array(_QUALITIES), points) + 1e-6 * steps


def _prepared(picture: Picture, settings: ClassicSettings) -> tuple[Picture, tuple[str, ...]]:
    """What the codec is given: colours, opacity and side data as far as it holds them and the user keeps them; and what
    it does not hold, in sentences."""
    codec, name = settings.codec, CODEC_NAMES[settings.codec]
    if codec not in available_codecs():
        raise UsageError(
            f"{name} is not in this installation.", "Install the missing package, or choose another codec."
        )
    if max(picture.width, picture.height) > MAX_SIDES[codec]:
        raise PictureError(f"{name} holds at most {MAX_SIDES[codec]:,} pixels a side.", "Shrink the picture.")
    notes: list[str] = []
    exif = clean_exif(picture.exif, settings.keep_place) if settings.keep_metadata and picture.exif else None
    xmp = clean_xmp(picture.xmp, settings.keep_place) if settings.keep_metadata and picture.xmp else None
    if codec == "jpeg":
        if exif is not None and len(exif) > _MOST_JPEG_EXIF:
            exif = None
            notes.append("The EXIF block is too long for JPEG and was left out.")
        if xmp is not None and len(xmp) > _MOST_JPEG_XMP:
            xmp = None
            notes.append("The XMP packet is too long for JPEG and was left out.")
    given = picture
    if picture.profile is not None and (codec == "jxl" or not settings.keep_profile):
        given = to_srgb(picture)
        if settings.keep_profile:
            notes.append(f"JPEG XL is written in sRGB here; {describe(picture.profile)} was converted.")
    if picture.alpha is not None and codec == "jpeg":
        given = replace(given, pixels=flatten(given), alpha=None)
        notes.append("JPEG knows no opacity; the picture is laid on white.")
    return replace(given, exif=exif, xmp=xmp), tuple(notes)


def _written(picture: Picture, settings: ClassicSettings, tune_psnr: bool = False) -> bytes:
    """The file of a prepared picture at a quality."""
    codec, effort, quality = settings.codec, settings.own_effort, round(float(settings.quality), 2)
    planes = picture.pixels if picture.alpha is None else np.dstack([picture.pixels, picture.alpha])
    if codec == "png":
        return encode_png(
            planes, exif=picture.exif, xmp=picture.xmp, profile=picture.profile, compression=effort
        )  # fmt: skip
    options: dict[str, Any]
    if codec == "jpeg":
        options = {"optimize": effort > 0, "progressive": effort > 1, "subsampling": settings.subsampling}
        whole = quality.is_integer() or quality < 1
        options |= {"quality": max(1, int(quality))} if whole else {"qtables": _jpeg_tables(quality)}
    elif codec == "webp":
        options = {"method": effort, "quality": quality}
        if settings.lossless:  # the quality is then how hard it tries
            options = {"method": effort, "lossless": True, "quality": 50 if effort < 4 else 75, "exact": True}
    elif codec == "avif":
        whole, strength, sharpness = _avif_quality(quality)
        options = {"quality": whole, "speed": 10 - effort, "subsampling": settings.subsampling}
        if tune_psnr:
            options["advanced"] = {"tune": "psnr"}
        elif strength != _USUAL_STRENGTH:
            options["advanced"] = {"tune": "iq", "deltaq-strength": str(strength), "sharpness": str(sharpness)}
    else:
        import pillow_jxl  # noqa: F401 - registers the format

        options = {"effort": effort, "lossless": settings.exact, "quality": quality}
    for name, value in (("exif", picture.exif), ("xmp", picture.xmp), ("icc_profile", picture.profile)):
        if value is not None:
            options[name] = value
    stream = io.BytesIO()
    try:
        Image.fromarray(planes).save(stream, "JXL" if codec == "jxl" else codec.upper(), **options)
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise PictureError(
            f"{CODEC_NAMES[codec]} could not compress the picture ({error}).", "Choose another codec."
        ) from error
    return stream.getvalue()


@cache
def _jpeg_base_tables() -> tuple[tuple[int, ...], ...]:
    """The tables of the JPEG standard, which quality 50 uses as they are, asked of the encoder itself."""
    stream = io.BytesIO()
    Image.new("RGB", (8, 8)).save(stream, "JPEG", quality=50)
    with Image.open(stream, formats=("JPEG",)) as image:
        tables: dict[int, list[int]] = getattr(image, "quantization", {})
    return tuple(tuple(tables[number]) for number in (0, 1))


def _jpeg_tables(quality: float) -> list[list[int]]:
    """The tables of a quality between two whole ones: libjpeg's rule with a fraction in place of its whole percents."""
    percent = 5000 / quality if quality < 50 else 200 - 2 * quality
    return [[min(255, max(1, int((value * percent + 50) // 100))) for value in base] for base in _jpeg_base_tables()]


# The encoder's own: strength of adaptive quantisation 0..200, sharpness 0..7.
_USUAL_STRENGTH, _USUAL_SHARPNESS = 100, 7


def _avif_quality(quality: float) -> tuple[int, int, int]:
    """The whole quality, the strength of adaptive quantisation and the sharpness of an AVIF.

    Qualities become 64 quantisers, so that some neighbours are one. From one to the next a file grows by 3 to 11 %. The
    strength, by which flat parts get more bits than busy ones, moves a size by up to 8 % down and 8 % up, and without
    it the sharpness by a few percent more. So the first half of what lies between two whole qualities is a higher
    strength at the lower one, the second half first a lower sharpness and then a lower strength at the upper one.
    """
    whole = math.floor(quality)
    share = quality - whole
    if share == 0 or not _fine_avif() or _avif_quantiser(whole) == _avif_quantiser(whole + 1):
        return whole, _USUAL_STRENGTH, _USUAL_SHARPNESS
    if share < 0.5:
        return whole, _USUAL_STRENGTH + round(2 * _USUAL_STRENGTH * share), _USUAL_SHARPNESS
    if share < 0.65:
        return whole + 1, 0, 1 + int((share - 0.5) * 40)
    return whole + 1, round(_USUAL_STRENGTH * (share - 0.65) / 0.35), _USUAL_SHARPNESS


def _avif_quantiser(quality: int) -> int:
    """The quantiser, 0..63, that libavif makes of a whole quality."""
    return ((100 - quality) * 63 + 50) // 100


@cache
def _fine_avif() -> bool:
    """Whether the AV1 encoder of this installation knows the strength; before libaom 3.12 it does not."""
    try:
        Image.new("RGB", (16, 16)).save(
            io.BytesIO(), "AVIF", speed=10, advanced={"tune": "iq", "deltaq-strength": "90"}
        )
    except (OSError, ValueError, KeyError):
        return False
    return True
