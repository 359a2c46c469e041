"""The kinds of convolution side by side: one set of sliders, what each kind makes of the photo, who reads whom."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from engine.errors import LatentStudioError

if TYPE_CHECKING:
    import numpy as np

    from engine.image import Picture
    from engine.laboratory.animation import Ink
    from engine.laboratory.layers import Facts, Layer
    from engine.laboratory.timing import Timing
    from engine.progress import CancelToken, ProgressCallback
    from gui.services.context import Services

STANDARD, DILATED, TRANSPOSED, SEPARABLE = "standard", "dilated", "transposed", "separable"
FOUR = (STANDARD, DILATED, TRANSPOSED, SEPARABLE)
TITLES = {STANDARD: "Standard", DILATED: "Dilated", TRANSPOSED: "Transposed", SEPARABLE: "Separable"}
MAPS = ((60, 45), (120, 90), (240, 180))  # width, height of the feature maps that figures can be told for
MEASURE_DELAY = 500  # milliseconds of quiet before the kinds are measured again
AUTOMATIC_WORK = 3_000_000_000  # multiply-accumulates of all kinds together that are measured without being asked
INPUT = "input"

Cell = tuple[int, int]


@dataclass(frozen=True)
class KindSettings:
    """What the sliders say.

    Attributes:
        kernel: taps along a side.
        stride: of all kinds but "transposed".
        enlargement: stride of "transposed".
        dilation: rate of "dilated".
        keep_size: pad so that sizes change by the stride alone; otherwise `padding` zeros per side.
        in_channels, out_channels, groups: of the layer that the figures are for; groups divides both.
        filter: the weights in the picture.
        seed: of random weights.
        across: pixels of the photo in a line.
        map_width, map_height: size of the feature map that the figures are for; 0 = the picture as it is drawn.
    """

    kernel: int = 3
    stride: int = 1
    enlargement: int = 2
    dilation: int = 2
    keep_size: bool = True
    padding: int = 1
    in_channels: int = 64
    out_channels: int = 64
    groups: int = 1
    filter: str = "average"
    seed: int = 0
    across: int = 24
    map_width: int = 120
    map_height: int = 90

    def layer(self, kind: str) -> Layer:
        """The layer of a kind that the sliders describe."""
        from engine.laboratory.layers import Layer

        padding = None if self.keep_size else self.padding
        return Layer(
            kind,  # type: ignore[arg-type]
            self.kernel,
            self.enlargement if kind == TRANSPOSED else self.stride,
            (self.dilation,) if kind == DILATED else (1,),
            padding,
            1 if kind == SEPARABLE else self.groups,
            self.out_channels,
        )


@dataclass(frozen=True, eq=False)
class KindsState:
    """Everything the view of the four kinds shows.

    Attributes:
        settings: of the sliders.
        active: the kind that plays, whose padding is drawn, and that is exported.
        pixels: the photo in few pixels, (h, w, 3) uint8, or None while there is none.
        outputs: by kind, what it makes of them, (h', w', 3) uint8; missing where it has no output.
        made_with: the settings that `outputs` were made with.
        facts: figures by kind; missing where it has no output.
        problems: by kind, why it has no output.
        timings: by kind, measured on this machine for the present settings; empty until then.
        measuring: a measurement is under way.
        moment: number of the output that the window is at, line by line; None while it does not slide.
        playing: whether the window moves by itself.
    """

    settings: KindSettings = KindSettings()
    active: str = DILATED
    pixels: np.ndarray | None = None
    outputs: Mapping[str, np.ndarray] = field(default_factory=dict)
    made_with: KindSettings | None = None
    facts: Mapping[str, Facts] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)
    timings: Mapping[str, Timing] = field(default_factory=dict)
    measuring: bool = False
    moment: int | None = None
    playing: bool = False


@dataclass(frozen=True)
class Links:
    """Who reads whom, for one pixel.

    Attributes:
        place: `INPUT`, or the kind whose output the pixel belongs to.
        pixel: (row, column).
        inputs: input pixels with the number of taps on each, those in the padding included.
        outputs: by kind, output pixels with the number of taps that reach them.
    """

    place: str
    pixel: Cell
    inputs: Mapping[Cell, int]
    outputs: Mapping[str, Mapping[Cell, int]]


class KindsController(QObject):
    """State and verbs of the four kinds.

    Signals:
        changed(KindsState): something on show differs now.
        linked(object): the `Links` to show, or None.
    """

    changed = Signal(object)
    linked = Signal(object)

    def __init__(self, services: Services, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._services = services
        self._picture: Picture | None = None
        self._state = KindsState()
        self._hovered: tuple[str, Cell] | None = None
        self._pinned: tuple[str, Cell] | None = None
        self._drawing = services.host.live(self, follow=True)
        self._drawing.result.connect(self._on_drawn)
        self._drawing.failed.connect(self._on_failed)
        self._timing = services.host.live(self)
        self._timing.result.connect(self._on_timed)
        self._timing.failed.connect(self._on_timing_failed)
        self._measure_soon = QTimer(self)
        self._measure_soon.setSingleShot(True)
        self._measure_soon.setInterval(MEASURE_DELAY)
        self._measure_soon.timeout.connect(self._on_measure_soon)
        self._clock = QTimer(self)
        self._clock.setInterval(120)
        self._clock.timeout.connect(self._on_tick)
        self._find_facts()

    @property
    def state(self) -> KindsState:
        """What is on show now."""
        return self._state

    @property
    def pinned(self) -> bool:
        """Whether a pixel is held while the cursor goes elsewhere."""
        return self._pinned is not None

    # -- what is shown

    def set_picture(self, picture: Picture) -> None:
        """Take another photo."""
        self._picture = picture
        self.unpin()
        self._draw()

    def change(self, **changes: Any) -> None:
        """Change settings by name; groups move on to the next number that divides the channels."""
        settings = dataclasses.replace(self._state.settings, **changes)
        common = math.gcd(settings.in_channels, settings.out_channels)
        if common % settings.groups:
            up = settings.groups > self._state.settings.groups
            settings = dataclasses.replace(settings, groups=_divisor(common, settings.groups, up))
        if settings == self._state.settings:
            self.changed.emit(self._state)  # a slider that was snapped back has to be shown again
            return
        self._timing.cancel()
        self._set(settings=settings, timings={}, measuring=False)
        self._find_facts()
        self._keep_moment()
        self._show_links()
        self._draw()

    def choose(self, kind: str) -> None:
        """Make a kind the active one."""
        if kind != self._state.active:
            self._set(active=kind, moment=None if self._state.moment is None else 0)
            self._keep_moment()
            self._show_links()

    def weights(self) -> np.ndarray:
        """The weights (k, k) that the active kind has in the picture."""
        from engine.laboratory.pictures import kernel_of

        settings = self._state.settings
        return kernel_of(settings.layer(self._state.active), settings.filter, settings.seed)  # type: ignore[arg-type]

    # -- links

    def point(self, place: str, pixel: Cell | None) -> None:
        """The cursor is on a pixel of `INPUT` or of the output of a kind; None: it left."""
        self._hovered = None if pixel is None else (place, pixel)
        self._show_links()

    def pin(self, place: str, pixel: Cell) -> None:
        """Hold a pixel; the same once more lets it go."""
        self._pinned = None if self._pinned == (place, pixel) else (place, pixel)
        if self._pinned is not None and place != INPUT:
            self.choose(place)
        self._show_links()

    def unpin(self) -> None:
        """Let go of the held pixel."""
        self._pinned = None
        self._show_links()

    def links(self, place: str, pixel: Cell) -> Links | None:
        """Who reads whom for one pixel; None where the place has no such pixel."""
        state = self._state
        if state.pixels is None:
            return None
        height, width = state.pixels.shape[:2]
        row, column = pixel
        if place == INPUT:
            if not (0 <= row < height and 0 <= column < width):
                return None
            outputs = {
                kind: self._targets(kind, row, column, height, width) for kind in FOUR if kind not in state.problems
            }
            return Links(place, pixel, {pixel: 1}, outputs)
        if place in state.problems:
            return None
        step = state.settings.layer(place).steps(state.settings.in_channels)[0]
        if not (0 <= row < step.output_size(height) and 0 <= column < step.output_size(width)):
            return None
        down, across = Counter(step.sources(row)), Counter(step.sources(column))
        inputs = {(y, x): down[y] * across[x] for y in down for x in across}
        if step.branches[0].transposed:
            # Nothing is padded before a transposed convolution: what lies outside does not exist.
            inputs = {(y, x): count for (y, x), count in inputs.items() if 0 <= y < height and 0 <= x < width}
        return Links(place, pixel, inputs, {place: {pixel: 1}})

    def _targets(self, kind: str, row: int, column: int, height: int, width: int) -> dict[Cell, int]:
        from engine.laboratory.layers import targets

        step = self._state.settings.layer(kind).steps(self._state.settings.in_channels)[0]
        down, across = targets([step], row, height), targets([step], column, width)
        return {(y, x): down[y] * across[x] for y in down for x in across}

    def _show_links(self) -> None:
        state = self._state
        if state.moment is not None:
            shape = self._output_shape()
            wanted = None if shape is None else (state.active, divmod(state.moment, shape[1]))
        else:
            wanted = self._pinned or self._hovered
        self.linked.emit(None if wanted is None else self.links(*wanted))

    # -- the sliding window

    def play(self) -> None:
        """Let the window slide, from the start if it is at the end."""
        count = self._count()
        if not count:
            return
        moment = self._state.moment
        self._set(moment=0 if moment is None or moment + 1 >= count else moment, playing=True)
        self._clock.start()
        self._show_links()

    def pause(self) -> None:
        """Hold the window where it is."""
        self._clock.stop()
        self._set(playing=False)

    def stop(self) -> None:
        """Show everything again, without the window."""
        self._clock.stop()
        self._set(playing=False, moment=None)
        self._show_links()

    def step(self, by: int) -> None:
        """Move the window by a number of outputs."""
        moment = self._state.moment
        self.go_to(0 if moment is None else moment + by)

    def go_to(self, moment: int) -> None:
        """Put the window on an output, counted line by line, and hold it there."""
        count = self._count()
        if count:
            self._clock.stop()
            self._set(moment=min(count - 1, max(0, moment)), playing=False)
            self._show_links()

    def set_speed(self, per_second: float) -> None:
        """Outputs per second while playing."""
        self._clock.setInterval(max(10, round(1000 / max(0.1, per_second))))

    def rest(self) -> None:
        """The view is not seen: nothing moves and nothing is measured."""
        self._measure_soon.stop()
        if self._state.playing:
            self.pause()

    def wake(self) -> None:
        """The view is seen again."""
        if not self._state.timings and not self._state.measuring:
            self._measure_soon.start()

    @Slot()
    def _on_tick(self) -> None:
        moment, count = self._state.moment, self._count()
        if moment is None or moment + 1 >= count:
            self.pause()
            return
        # Large outputs would play for minutes: the window then takes several at a time.
        self._set(moment=min(count - 1, moment + max(1, count // 600)))
        self._show_links()

    def _keep_moment(self) -> None:
        """The output may have become smaller, or be gone."""
        moment, count = self._state.moment, self._count()
        if moment is not None and not count:
            self.stop()
        elif moment is not None and moment >= count:
            self._set(moment=count - 1)

    def _output_shape(self) -> tuple[int, int] | None:
        state = self._state
        if state.pixels is None or state.active in state.problems:
            return None
        step = state.settings.layer(state.active).steps(state.settings.in_channels)[0]
        return step.output_size(state.pixels.shape[0]), step.output_size(state.pixels.shape[1])

    def _count(self) -> int:
        shape = self._output_shape()
        return 0 if shape is None else max(0, shape[0]) * max(0, shape[1])

    # -- figures

    def measure(self) -> None:
        """Measure every kind on this machine with the present settings."""
        self._measure_soon.stop()
        settings, kinds = self._state.settings, tuple(self._state.facts)
        if kinds:
            width, height = self._map_size()
            self._timing.request(partial(_timings, settings, kinds, height, width))
            self._set(measuring=True)

    @property
    def automatic(self) -> bool:
        """Whether the present layers are small enough to be measured unasked."""
        return sum(fact.multiplications for fact in self._state.facts.values()) <= AUTOMATIC_WORK

    def _map_size(self) -> tuple[int, int]:
        settings, pixels = self._state.settings, self._state.pixels
        if settings.map_width or pixels is None:
            return settings.map_width or MAPS[1][0], settings.map_height or MAPS[1][1]
        return pixels.shape[1], pixels.shape[0]

    def _find_facts(self) -> None:
        from engine.laboratory.layers import facts

        width, height = self._map_size()
        settings = self._state.settings
        found: dict[str, Facts] = {}
        problems: dict[str, str] = {}
        pixels = self._state.pixels
        for kind in FOUR:
            try:
                layer = settings.layer(kind)
                if pixels is not None:
                    facts([layer], settings.in_channels, *pixels.shape[:2])
                found[kind] = facts([layer], settings.in_channels, height, width)[0]
            except LatentStudioError as error:
                problems[kind] = error.problem
        self._set(facts=found, problems=problems)
        self._measure_soon.start()

    @Slot()
    def _on_measure_soon(self) -> None:
        if self.automatic and not self._state.timings:
            self.measure()

    @Slot(object, int)
    def _on_timed(self, timings: dict[str, Timing], _stamp: int) -> None:
        self._set(timings=timings, measuring=False)

    @Slot(object, int)
    def _on_timing_failed(self, error: Exception, _stamp: int) -> None:
        self._set(measuring=False)
        self._services.notices.error(error, "The layers cannot be measured")

    # -- drawing

    def _draw(self) -> None:
        if self._picture is not None:
            self._drawing.request(partial(_drawn, self._picture, self._state.settings))

    @Slot(object, int)
    def _on_drawn(self, drawn: tuple[KindSettings, np.ndarray, dict[str, np.ndarray]], _stamp: int) -> None:
        settings, pixels, outputs = drawn
        before = self._state.pixels
        self._set(made_with=settings, pixels=pixels, outputs=outputs)
        if before is None or before.shape != pixels.shape:
            if not settings.map_width:
                self._timing.cancel()
                self._set(timings={}, measuring=False)
            self._find_facts()
            self._pinned = None
            self._keep_moment()
        self._show_links()

    @Slot(object, int)
    def _on_failed(self, error: Exception, _stamp: int) -> None:
        self._services.notices.error(error, "The picture cannot be drawn")

    # -- saving

    def save_gif(self, path: Path, ink: Ink) -> None:
        """Write the sliding window of the active kind as a GIF, as a job."""
        state = self._state
        after = state.outputs.get(state.active)
        if state.pixels is None or after is None:
            return
        work = partial(_write_gif, path, state.settings, state.active, state.pixels, after, self._clock.interval(), ink)
        job = self._services.jobs.submit(f"Animate {TITLES[state.active].lower()} convolution", work)
        job.finished.connect(self._on_saved)
        job.failed.connect(self._on_save_failed)

    def save_png(self, path: Path, ink: Ink) -> None:
        """Write the present moment of the active kind, or the last one, as a PNG."""
        state = self._state
        after = state.outputs.get(state.active)
        if state.pixels is None or after is None:
            return
        moment = after.shape[0] * after.shape[1] - 1 if state.moment is None else state.moment
        work = partial(_write_png, path, state.settings, state.active, state.pixels, after, moment, ink)
        task = self._services.host.run(work, engine=False)
        task.succeeded.connect(self._on_saved)
        task.failed.connect(self._on_save_failed)

    def code(self) -> str:
        """The active kind as a PyTorch program; why there is none where it has no output."""
        from engine.laboratory.torch_code import code

        state = self._state
        width, height = self._map_size()
        try:
            return code([state.settings.layer(state.active)], state.settings.in_channels, height, width)
        except LatentStudioError as error:
            return f"# {error.problem}\n"

    @Slot(object)
    def _on_saved(self, path: Path) -> None:
        self._services.notices.success(f"Saved {path.name} in {path.parent}.")

    @Slot(object)
    def _on_save_failed(self, error: Exception) -> None:
        self._services.notices.error(error, "The file cannot be saved")

    def _set(self, **changes: Any) -> None:
        self._state = dataclasses.replace(self._state, **changes)
        self.changed.emit(self._state)


def _divisor(common: int, wanted: int, up: bool) -> int:
    """The next divisor of `common` above `wanted`, or below."""
    divisors = [number for number in range(1, common + 1) if common % number == 0]
    if up:
        return next((number for number in divisors if number >= wanted), common)
    return next((number for number in reversed(divisors) if number <= wanted), 1)


def _drawn(
    picture: Picture, settings: KindSettings, _token: CancelToken
) -> tuple[KindSettings, np.ndarray, dict[str, np.ndarray]]:
    from engine.laboratory.pictures import filtered, shown, small_picture

    pixels = small_picture(picture, settings.across)
    outputs = {}
    for kind in FOUR:
        try:
            layer = settings.layer(kind)
            values = filtered(layer, pixels, settings.filter, settings.seed)  # type: ignore[arg-type]
        except LatentStudioError:
            continue  # its figures say why
        if values.size:
            outputs[kind] = shown(values, settings.filter)  # type: ignore[arg-type]
    return settings, pixels, outputs


def _timings(
    settings: KindSettings, kinds: tuple[str, ...], height: int, width: int, token: CancelToken
) -> dict[str, Timing]:
    from engine.device import choose_device
    from engine.laboratory.timing import measure

    layers = [settings.layer(kind) for kind in kinds]
    device = choose_device().torch_device
    found = measure(layers, settings.in_channels, height, width, seconds=0.6, device=device, cancel=token)
    return dict(zip(kinds, found, strict=True))


def _write_gif(
    path: Path,
    settings: KindSettings,
    kind: str,
    before: np.ndarray,
    after: np.ndarray,
    milliseconds: int,
    ink: Ink,
    progress: ProgressCallback,
    cancel: CancelToken | None,
) -> Path:
    from engine.laboratory.animation import save_gif

    steps = settings.layer(kind).steps(settings.in_channels)[:1]
    save_gif(path, steps, before, after, milliseconds=milliseconds, ink=ink, progress=progress, cancel=cancel)
    return path


def _write_png(
    path: Path, settings: KindSettings, kind: str, before: np.ndarray, after: np.ndarray, moment: int, ink: Ink
) -> Path:
    from engine.laboratory.animation import save_png

    save_png(path, settings.layer(kind).steps(settings.in_channels)[:1], before, after, moment, ink=ink)
    return path
