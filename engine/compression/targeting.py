"""Files of a wished size, bits per pixel, PSNR or MS-SSIM: the quality that gives them is searched.

The analysis runs once. A sample of the photo, a quarter of it but at least 4 and at most 32 squares of 256 x 256
pixels, is coded five to ten times to find a quality. Then the whole photo is coded, which says how far the sample is
off, and the second or third quality is close. So the whole photo is coded one to three times, and up to eight times
where the wish lies in a jump:

A file grows by up to 5 % from one hundredth of quality to the next where the entropy model changes its level. A size
within such a jump is reached by rounding fewer values to zero than usual below it, or more above it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from engine.compression.codec import (
    SideData,
    Window,
    analyse,
    assemble,
    decode,
    encode_groups,
    latent_grid,
    quality_in,
    side_data,
)
from engine.compression.codec_model import CodecModel, DeviceWish, open_codec
from engine.compression.container import LATENT_STRIDE, EncodedGroup, check_size, group_grid
from engine.compression.groups import ZERO_MARGIN, estimate_group
from engine.compression.quality_map import MAP_SHARE, QualityMap
from engine.compression.settings import EncodeSettings, Target
from engine.compression.side_data import make_preview
from engine.errors import TargetNotReached
from engine.evaluation.image_quality import ms_ssim, psnr
from engine.image import Picture
from engine.progress import CancelToken, Progress, ProgressCallback, ignore_progress, never_cancelled

# What counts as hit, as a share of the wish.
TOLERANCE = 0.02

_SQUARE = 16  # side of a sampled square in latents; it divides the side of a window
_MOST_SQUARES = 32
_FEWEST_SQUARES = 4

# Size, PSNR and MS-SSIM (as the decibels of 1 - MS-SSIM) all rise by about this many dB per hundredth of quality.
_DB_PER_HUNDREDTH = 0.001
# A result this close is taken at once; from the fourth whole file on, all that `TOLERANCE` allows.
_CLOSE_SIZE_DB = 0.022  # 0.5 %
_CLOSE_FIDELITY_DB = 0.1
_PATIENCE = 4

_ROUNDING_STEPS = 64


@dataclass(frozen=True)
class Targeted:
    """A file that was made for a target.

    Attributes:
        data: the .lsi file.
        quality: 0..100, what was found.
        note: empty where the target was hit within `TOLERANCE`; else, in a sentence, why the file is smaller than
            allowed or better than wished.
    """

    data: bytes
    quality: float
    note: str = ""


def encode_to_target(
    picture: Picture,
    settings: EncodeSettings,
    *,
    device: DeviceWish = None,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> Targeted:
    """Compress a picture so that the file reaches `settings.target`, which must be given.

    With an effort, every whole file that is tried is refined.

    Raises:
        UsageError, ModelError, LimitError: as `encode`.
        TargetNotReached: even quality 0 is too large, or even quality 100 not good enough.
        Cancelled: `cancel` was set; it is read between windows, groups and squares.
    """
    check_size(picture.width, picture.height)
    cancel = cancel or never_cancelled()
    codec = open_codec(settings.model, device)

    def analysed() -> Iterator[tuple[Window, Tensor]]:
        for item in analyse(codec, picture):
            cancel.raise_if_cancelled()
            yield item

    return search_target(codec, picture, settings, analysed(), progress, cancel)


def search_target(
    codec: CodecModel,
    picture: Picture,
    settings: EncodeSettings,
    analysed: Iterable[tuple[Window, Tensor]],
    progress: ProgressCallback,
    cancel: CancelToken,
) -> Targeted:
    """The part of `encode_to_target` after the analysis.

    Args:
        analysed: latents of all windows. They are gone through once and kept in memory: 4 bytes a pixel.
    """
    assert settings.target is not None
    progress(Progress(0, 0, "Analysing"))
    kept = list(analysed)
    if settings.quality_map is not None:
        settings.quality_map.check_fits(picture.width, picture.height)
    job = _Job(
        codec=codec,
        picture=picture,
        target=settings.target,
        quality_map=settings.quality_map,
        effort=settings.effort,
        windows=kept,
        beside=side_data(picture, settings),
        progress=_Halving(progress),
        cancel=cancel,
    )
    while True:
        search = _FidelitySearch(job) if job.target.kind in ("psnr", "ms-ssim") else _SizeSearch(job)
        found = search.run()
        fitted = None if job.quality_map is None else job.quality_map.within(MAP_SHARE * len(found.data))
        if fitted == job.quality_map:
            break
        job = replace(job, quality_map=fitted)
    progress(Progress(1000, 1000, "Done"))
    return found


class _Halving:
    """Progress of a search whose length is not known before: every part takes half of what is left."""

    def __init__(self, report: ProgressCallback) -> None:
        self._report = report
        self._done = 0.0

    def part(self, message: str) -> ProgressCallback:
        """The callback of the next part; what it says is replaced by `message`."""
        first, share = self._done, (1.0 - self._done) / 2
        self._done += share
        return lambda step: self._report(Progress(round(1000 * (first + share * step.fraction)), 1000, message))


@dataclass(frozen=True)
class _Job:
    codec: CodecModel
    picture: Picture
    target: Target
    quality_map: QualityMap | None
    effort: int
    windows: list[tuple[Window, Tensor]]
    beside: SideData
    progress: _Halving
    cancel: CancelToken

    def encode(self, quality: float, zero_margin: float, message: str) -> list[EncodedGroup]:
        """All groups of the photo."""
        return encode_groups(
            self.codec, self.picture, quality, self.windows, self.progress.part(message), self.cancel,
            zero_margin=zero_margin, quality_map=self.quality_map, effort=self.effort,
        )  # fmt: skip

    def estimate(self, square: _Square, quality: float, zero_margin: float) -> tuple[float, np.ndarray]:
        """Bits and decoded latents in 1/16 steps of a sampled square."""
        codec = self.codec
        local = quality_in(square.box, quality, self.quality_map)
        scaled, levels = square.latents * codec.quantising_gain(local), codec.local_levels(local)
        return estimate_group(codec, scaled, codec.level(quality), zero_margin, levels)

    def file(self, quality: float, groups: list[EncodedGroup], preview: bytes | None) -> bytes:
        """The whole file."""
        return assemble(self.codec, self.picture, quality, groups, self.beside, preview, self.quality_map)


@dataclass(frozen=True)
class _Knob:
    """What is turned to make files larger and better.

    Attributes:
        settings: step 0..last -> quality and zero margin.
        last: the last step.
        slope: dB per step, roughly.
        borders: steps at which the level of the entropy model changes, ascending.
    """

    settings: Callable[[int], tuple[float, float]]
    last: int
    slope: float
    borders: tuple[int, ...] = ()


def _quality_knob(borders: tuple[int, ...] = ()) -> _Knob:
    return _Knob(lambda step: (step / 100, ZERO_MARGIN), 10_000, _DB_PER_HUNDREDTH, borders)


def _level_borders(codec: CodecModel) -> tuple[int, ...]:
    levels = [codec.level(step / 100) for step in range(10_001)]
    return tuple(step for step in range(1, 10_001) if levels[step] != levels[step - 1])


def _rounding_knob(quality: float, margin: float, last_margin: float) -> _Knob:
    """Turns the zero margin down from `margin` to `last_margin`; a margin less by 0.1 is worth about 0.4 dB of size."""
    step_size = (margin - last_margin) / _ROUNDING_STEPS
    return _Knob(lambda step: (quality, margin - step * step_size), _ROUNDING_STEPS, 4.0 * step_size)


@dataclass(frozen=True)
class _Trial:
    """A whole file at one step of a knob; `level` in dB, `value` in the target's unit."""

    step: int
    quality: float
    data: bytes
    level: float
    value: float


class _Curve:
    """dB over the steps of a knob: those of the sample, corrected by the whole files that are known."""

    def __init__(self, sampled: Callable[[int], float]) -> None:
        self._sampled = sampled
        self._sample: dict[int, float] = {}
        self._corrections: dict[int, float] = {}

    def at(self, step: int) -> float:
        """The estimate for the whole photo; the sample is coded where it was not yet."""
        if step not in self._sample:
            self._sample[step] = self._sampled(step)
        if not self._corrections:
            return self._sample[step]
        steps = sorted(self._corrections)
        return self._sample[step] + float(np.interp(step, steps, [self._corrections[one] for one in steps]))

    def known(self) -> dict[int, float]:
        """All estimates that cost nothing."""
        return {step: self.at(step) for step in self._sample}

    def correct(self, step: int, level: float) -> None:
        """Take the dB of a whole file in."""
        self.at(step)
        self._corrections[step] = level - self._sample[step]


@dataclass
class _Bracket:
    """The trials next to the wish on either side, and the best of what was found."""

    under: _Trial | None = None
    over: _Trial | None = None
    hit: _Trial | None = None


class _Search(ABC):
    """Turns a knob until a whole file is close to the wish. Everything is compared in dB, which rise with the knob."""

    def __init__(self, job: _Job, wish: float, aim: float) -> None:
        self.job = job
        self.squares = list(_sample(job))
        self._wish, self._aim = wish, aim
        self._near = abs(aim - wish) / 2

    @abstractmethod
    def run(self) -> Targeted:
        """The file, or `TargetNotReached`."""

    @abstractmethod
    def sampled(self, quality: float, zero_margin: float) -> float:
        """dB of the sample."""

    @abstractmethod
    def whole(self, step: int, quality: float, zero_margin: float) -> _Trial:
        """A file of the whole photo."""

    @abstractmethod
    def is_over(self, trial: _Trial) -> bool:
        """Whether a file is on the larger and better side of the wish."""

    @abstractmethod
    def is_hit(self, trial: _Trial, close: bool) -> bool:
        """Whether a file fits the wish: closely, or only within `TOLERANCE`."""

    def turn(self, knob: _Knob, under: _Trial | None = None) -> _Bracket:
        """Try whole files until one is a hit or two neighbouring steps are found to lie on either side of the wish.

        Args:
            under: the file at step 0, where it is known.
        """
        bracket = _Bracket(under)
        curve = _Curve(lambda step: self.sampled(*knob.settings(step)))
        if under is not None:
            curve.correct(under.step, under.level)
        for tries in range(1, knob.last + 2):
            first = 0 if bracket.under is None else bracket.under.step + 1
            last = knob.last if bracket.over is None else bracket.over.step - 1
            if first > last:
                break
            # The estimate leads to a close file in a few tries. Where it leads astray, in most cases by a jump at a
            # border, the borders are tried and then the middle.
            step = self._guess(knob, curve, first, last) if tries < _PATIENCE else _halving_step(knob, first, last)
            trial = self.whole(step, *knob.settings(step))
            if self.is_over(trial):
                bracket.over = trial
            else:
                bracket.under = trial
            if self.is_hit(trial, close=tries < _PATIENCE):
                bracket.hit = trial
                break
            curve.correct(step, trial.level)
        return bracket

    def _guess(self, knob: _Knob, curve: _Curve, first: int, last: int) -> int:
        """The step of first..last whose estimate is next to the aim."""
        known = curve.known()
        low = max((step for step in known if first <= step <= last and known[step] <= self._aim), default=first - 1)
        high = min((step for step in known if low < step <= last and known[step] > self._aim), default=last + 1)
        step = max(low, first)
        report = self.job.progress.part("Looking for the quality")
        tries = 0
        while high - low > max(1.0, self._near / knob.slope):
            tries += 1
            # Where the curve does not rise evenly, straight lines would creep.
            creeping = tries > _PATIENCE
            step = (low + high) // 2 if creeping else _next_step(knob, curve.known(), low, high, self._aim)
            level = curve.at(step)
            if abs(level - self._aim) < self._near:
                break
            low, high = (step, high) if level <= self._aim else (low, step)
            step = max(low, first)
        report(Progress(1, 1))
        return step


def _halving_step(knob: _Knob, first: int, last: int) -> int:
    """The step before the first border of first..last + 1, that border itself, or the middle."""
    border = next((border for border in knob.borders if first <= border <= last + 1), None)
    if border is None:
        return (first + last) // 2
    return max(border - 1, first)


def _next_step(knob: _Knob, known: dict[int, float], low: int, high: int, aim: float) -> int:
    """Where between `low` and `high`, both exclusive, to look next: on a straight line through what is known."""
    if low in known and high in known:
        rise = known[high] - known[low]
        wanted = low + (high - low) * ((aim - known[low]) / rise if rise > 0 else 0.5)
    elif known:
        near = min(known, key=lambda step: abs(known[step] - aim))
        wanted = near + (aim - known[near]) / knob.slope
    else:
        wanted = knob.last / 2
    step = round(min(max(wanted, low + 1), high - 1))
    # Lines are straight between borders only.
    inside = [border for border in knob.borders if low < border < high]
    if inside and known:
        border = min(inside, key=lambda border: abs(border - step))
        step = border if step >= border or border - 1 <= low else border - 1
    return step


class _SizeSearch(_Search):
    """The best file that is not larger than a number of bytes."""

    def __init__(self, job: _Job) -> None:
        picture, beside = job.picture, job.beside
        most = job.target.most_bytes(picture.width, picture.height)
        assert most is not None
        self._most = most
        packed = sum(len(part) for part in (beside.exif, beside.alpha) if part is not None)
        # Decided once, by the wish: a preview that came and went with the quality would make sizes jump.
        self._preview = make_preview(picture.pixels, math.floor((1 - TOLERANCE) * most) - packed)
        columns, rows = group_grid(picture.width, picture.height)
        bare = job.file(0.0, [EncodedGroup(b"", 0)] * (columns * rows), self._preview)
        wish = _decibel(most - len(bare))
        super().__init__(job, wish, wish - _CLOSE_SIZE_DB / 2)
        seen = sum(square.latents[0].numel() for square in self.squares)
        self._scale = sum(latents[0].numel() for _, latents in job.windows) / seen

    def run(self) -> Targeted:
        bracket = self.turn(_quality_knob(_level_borders(self.job.codec)))
        found = bracket.hit or bracket.under
        if found is None:
            assert bracket.over is not None
            raise self._too_small(bracket.over)
        # Refinement rounds as it sees fit.
        if bracket.over is not None and not self.is_hit(found, close=False) and not self.job.effort:
            # In a jump: rounding less to zero below it makes the better picture, more above it fills it surely.
            finer = self.turn(_rounding_knob(found.quality, ZERO_MARGIN, 0.0), replace(found, step=0))
            found = finer.hit or finer.under or found
            if finer.hit is None:
                coarser = self.turn(_rounding_knob(bracket.over.quality, 5 * ZERO_MARGIN, ZERO_MARGIN))
                found = coarser.hit or found
        return Targeted(found.data, found.quality, "" if self.is_hit(found, close=False) else self._note(found))

    def sampled(self, quality: float, zero_margin: float) -> float:
        bits = 0.0
        for square in self.squares:
            self.job.cancel.raise_if_cancelled()
            bits += self.job.estimate(square, quality, zero_margin)[0]
        return _decibel(bits / 8 * self._scale)

    def whole(self, step: int, quality: float, zero_margin: float) -> _Trial:
        job = self.job
        groups = job.encode(quality, zero_margin, f"Compressing at quality {quality:g}")
        data = job.file(quality, groups, self._preview)
        return _Trial(step, quality, data, _decibel(sum(len(group.stream) for group in groups)), len(data))

    def is_over(self, trial: _Trial) -> bool:
        return trial.value > self._most

    def is_hit(self, trial: _Trial, close: bool) -> bool:
        share = 10 ** (-_CLOSE_SIZE_DB / 10) if close else 1 - TOLERANCE
        return share * self._most <= trial.value <= self._most

    def _too_small(self, smallest: _Trial) -> TargetNotReached:
        picture = self.job.picture
        remedy = "Ask for at least that, or shrink the photo."
        if self.job.target.kind == "size":
            return TargetNotReached(
                f"Even at quality 0 the file takes {len(smallest.data):,} bytes; "
                f"{self.job.target.value:,.0f} were asked for.",
                remedy,
                len(smallest.data),
            )
        # Rounded up, so that asking for it succeeds.
        nearest = math.ceil(8e4 * len(smallest.data) / (picture.width * picture.height)) / 1e4
        return TargetNotReached(
            f"Even at quality 0 the file takes {nearest:.4f} bits per pixel; {self.job.target.value:g} were asked for.",
            remedy,
            nearest,
        )

    def _note(self, found: _Trial) -> str:
        sizes = f"{len(found.data):,} of the {self._most:,} bytes allowed"
        if found.step == 10_000:
            return f"Quality 100, the highest, takes only {sizes}."
        return f"The largest file that is not too large takes {sizes}."


class _FidelitySearch(_Search):
    """The smallest file that is not worse than a PSNR or MS-SSIM."""

    def __init__(self, job: _Job) -> None:
        self._is_psnr = job.target.kind == "psnr"
        wish = self._level(job.target.value)
        super().__init__(job, wish, wish + _CLOSE_FIDELITY_DB / 2)

    def run(self) -> Targeted:
        bracket = self.turn(_quality_knob())
        found = bracket.hit or bracket.over
        if found is None:
            assert bracket.under is not None
            raise self._too_good(bracket.under)
        hit = self.is_hit(found, close=False)
        note = "" if hit else f"Quality {found.quality:g} gives {self._text(found.value)} already."
        return Targeted(found.data, found.quality, note)

    def sampled(self, quality: float, zero_margin: float) -> float:
        job, values = self.job, []
        for square in self.squares:
            job.cancel.raise_if_cancelled()
            latents = job.estimate(square, quality, zero_margin)[1]
            decoded = job.codec.synthesise(latents, quality_in(square.box, quality, job.quality_map))
            decoded = decoded[: square.pixels.shape[0], : square.pixels.shape[1]]
            if self._is_psnr:
                values.append(10 ** (-psnr(square.pixels, decoded) / 10))
            else:
                values.append(1 - ms_ssim(square.pixels, decoded))
        return _decibel(1 / max(float(np.mean(values)), 1e-12))

    def whole(self, step: int, quality: float, zero_margin: float) -> _Trial:
        job = self.job
        groups = job.encode(quality, zero_margin, f"Compressing at quality {quality:g}")
        preview = make_preview(job.picture.pixels, sum(len(group.stream) for group in groups))
        data = job.file(quality, groups, preview)
        judging = job.progress.part(f"Judging quality {quality:g}")
        decoded = decode(data, strict=True, device=job.codec.device, progress=judging, cancel=job.cancel).picture
        measure = psnr if self._is_psnr else ms_ssim
        value = measure(job.picture.pixels, decoded.pixels)
        return _Trial(step, quality, data, self._level(value), value)

    def is_over(self, trial: _Trial) -> bool:
        return trial.value >= self.job.target.value

    def is_hit(self, trial: _Trial, close: bool) -> bool:
        if not self.is_over(trial):
            return False
        if close:
            return trial.level - self._wish <= _CLOSE_FIDELITY_DB
        return trial.value <= (1 + TOLERANCE) * self.job.target.value

    def _level(self, value: float) -> float:
        return min(value, 120.0) if self._is_psnr else _decibel(1 / max(1 - value, 1e-12))

    def _text(self, value: float) -> str:
        # Rounded down, so that asking for it succeeds.
        if self._is_psnr:
            return f"a PSNR of {math.floor(value * 100) / 100:.2f} dB"
        return f"an MS-SSIM of {math.floor(value * 1e4) / 1e4:.4f}"

    def _too_good(self, best: _Trial) -> TargetNotReached:
        return TargetNotReached(
            f"Even at quality 100 the file has {self._text(best.value)}; {self.job.target.value:g} was asked for.",
            "Ask for that or less, or keep the photo in a lossless format such as PNG.",
            best.value,
        )


@dataclass(frozen=True)
class _Square:
    """A sampled part of the photo: its box, latents (M, h, w) before any gain, and the pixels (H, W, 3) under them."""

    box: Window
    latents: Tensor
    pixels: np.ndarray


def _sample(job: _Job) -> Iterator[_Square]:
    """Squares spread evenly over the photo; those at the right and lower border may be narrower."""
    height, width = latent_grid(job.picture.width, job.picture.height)
    rows, columns = -(-height // _SQUARE), -(-width // _SQUARE)
    count = min(rows * columns, _MOST_SQUARES, max(_FEWEST_SQUARES, rows * columns // 4))
    chosen = _spread(rows, columns, count)
    for window, latents in job.windows:
        for row, column in chosen:
            top, left = row * _SQUARE, column * _SQUARE
            if window.top <= top < window.bottom and window.left <= left < window.right:
                y, x = top - window.top, left - window.left
                pixels = job.picture.pixels[top * LATENT_STRIDE :, left * LATENT_STRIDE :]
                side = _SQUARE * LATENT_STRIDE
                values = latents[:, y : y + _SQUARE, x : x + _SQUARE].contiguous()
                box = Window(top, top + values.shape[1], left, left + values.shape[2])
                yield _Square(box, values, pixels[:side, :side])


def _spread(rows: int, columns: int, count: int) -> list[tuple[int, int]]:
    """`count` places of a grid: its best filled squares first would be the upper left, so they are spread instead."""
    golden = (math.sqrt(5) - 1) / 2
    places = [(int(rows * ((i + 0.5) / count)), int(columns * (i * golden % 1.0))) for i in range(count)]
    return sorted(set(places))


def _decibel(value: float) -> float:
    return 10 * math.log10(max(value, 1.0))
