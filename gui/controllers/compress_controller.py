"""What the Compress page knows and does: one photo, and on either side of the divider a codec that compresses it."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from engine.compression.settings import DEFAULT_MODEL, Target
from gui.controllers.compress_lane import CompressLane, is_large
from gui.controllers.compress_settings import (
    CODEC_NAMES,
    LEFT,
    ORIGINAL,
    OURS,
    RIGHT,
    SIDES,
    SUFFIXES,
    Crop,
    PageSettings,
    SharedSettings,
    SideSettings,
    other,
    remembered,
    to_remember,
    with_codec,
)
from gui.controllers.compress_work import (
    CompressedBytes,
    FilePart,
    Judgement,
    OpenedFile,
    Part,
    Result,
    Wish,
    Worker,
    codec_names,
    decode_file,
    export,
    judge,
    prepare,
    read,
)
from gui.controllers.history import History
from gui.services.gui_thread import GuiThread

if TYPE_CHECKING:
    from engine.image import Picture
    from engine.progress import Progress
    from gui.services.context import Services

PAGE = "compress"
FILE = "file"
# Results kept for going back at once: many of a small photo, the newest few of a large one.
KEPT_PIXELS = 60_000_000
FEWEST_KEPT = 2
VIEW_RESTS_MILLISECONDS = 120


@dataclass(frozen=True)
class SideState:
    """One side as it is now.

    Attributes:
        result: the last finished file; it may answer an older wish.
        wish: what is wanted; None for the original, and while it waits for the size of the other side.
        busy: a file is being made or about to be, or is waited for.
        stopped: the user cancelled, or it failed: `result` stays older than `wish`.
        part: what is in view of a large photo, compressed as `wish` says, until the whole is.
    """

    result: Result | None = None
    wish: Wish | None = None
    busy: bool = False
    stopped: bool = False
    part: Part | None = None

    @property
    def current(self) -> bool:
        """True when `result` answers `wish`: its figures may be shown as they are."""
        return self.result is not None and not self.busy and self.result.wish == self.wish


@dataclass(frozen=True)
class CompressState:
    """Everything the page shows.

    Attributes:
        title: file name of what is open.
        source: the photo as opened; None while a compressed file is on show, or nothing.
        picture: the photo as both sides compress it: cropped, shrunk, in the colours that are kept.
        file: the compressed file on show, or None.
        file_part: what is in view of a file that is not decoded as a whole yet, or None.
        settings: what is wanted.
        left, right: the sides.
        judgements: of results that are still at hand, as far as they are finished.
        opening: name of the file being opened, or "".
        models: registry names of the codec models at hand.
        can_undo, can_redo: whether settings can be brought back.
    """

    title: str = ""
    source: Picture | None = None
    picture: Picture | None = None
    file: OpenedFile | None = None
    file_part: FilePart | None = None
    settings: PageSettings = field(default_factory=PageSettings)
    left: SideState = SideState()
    right: SideState = SideState()
    judgements: tuple[Judgement, ...] = ()
    opening: str = ""
    models: tuple[str, ...] = ()
    can_undo: bool = False
    can_redo: bool = False

    def side(self, side: str) -> SideState:
        """The state of "left" or "right"."""
        return self.left if side == LEFT else self.right

    @property
    def current(self) -> bool:
        """True when every side shows what is wanted."""
        return self.picture is not None and all(
            self.side(side).current or not self.settings.side(side).makes_file for side in SIDES
        )

    def saveable(self, side: str) -> bool:
        """Whether a side has a file to save: one on show, or one whose figures are no promise any more."""
        if self.file is not None:
            return side == RIGHT
        found = self.side(side)
        return found.current or (found.result is not None and found.stopped)

    def judgement_of(self, result: Result) -> Judgement | None:
        """What is known of the visible damage of exactly this result."""
        return next((judgement for judgement in self.judgements if judgement.subject is result), None)

    @property
    def large(self) -> bool:
        """True for photos that take seconds to compress."""
        return self.picture is not None and is_large(self.picture)


class CompressController(QObject):
    """State and verbs of the Compress page.

    Signals:
        changed(CompressState): something on show differs now.
        opened(): another picture is on show; views fit it.
        progressed(str, Progress): how far the work for a side has come, or the decoding of a file (FILE).
    """

    changed = Signal(object)
    opened = Signal()
    progressed = Signal(str, object)

    def __init__(self, services: Services, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._services = services
        self._state = CompressState(settings=remembered(services.settings.page(PAGE)))
        self._history: History[PageSettings] = History()
        self._qualities = {
            side: {settings.codec: settings.quality}
            for side, settings in ((LEFT, self._state.settings.left), (RIGHT, self._state.settings.right))
        }
        self._worker = Worker()
        self._gui = GuiThread(self)
        self._opens = 0  # number of the newest wish to open something; what older ones bring is dropped
        self._preparations = 0
        self._opening = services.host.live(self)
        self._judging = services.host.live(self)
        self._judged: Result | None = None  # what the newest request for a judgement is about
        self._kept: OrderedDict[Wish, Result] = OrderedDict()
        self._visible: Callable[[], Crop | None] = lambda: None
        self._in_view: Crop | None = None  # of a file that is being decoded; read on the engine thread
        self._view_rest = QTimer(self)
        self._view_rest.setSingleShot(True)
        self._view_rest.setInterval(VIEW_RESTS_MILLISECONDS)
        self._view_rest.timeout.connect(self._on_view_rests)
        self._lanes = {side: CompressLane(self._worker, services, self) for side in SIDES}
        for side, lane in self._lanes.items():
            lane.started.connect(self._judging.cancel)  # pictures go before figures
            lane.part_made.connect(partial(self._on_part, side))
            lane.made.connect(partial(self._on_made, side))
            lane.failed.connect(partial(self._on_failed, side))
            lane.progressed.connect(partial(self.progressed.emit, side))
        self._opening.result.connect(self._on_decoded)
        self._opening.failed.connect(self._on_open_failed)
        self._judging.result.connect(self._on_judged)
        self._judging.failed.connect(self._on_judging_failed)

    @property
    def state(self) -> CompressState:
        """What is on show now."""
        return self._state

    def show_first(self, visible: Callable[[], Crop | None]) -> None:
        """Of large photos, compress first what `visible` says is in view, in pixels of the prepared picture; of large
        files, decode it first."""
        self._visible = visible
        for lane in self._lanes.values():
            lane.visible = visible

    def view_moved(self) -> None:
        """Something else is in view now: of a file that is being decoded, it comes next, once the view rests."""
        if self._state.file is not None and not self._state.file.complete:
            self._view_rest.start()

    def load_models(self) -> None:
        """Ask for the codec models at hand; they appear in `state.models`."""
        task = self._services.host.run(codec_names)
        task.succeeded.connect(self._on_models)
        task.failed.connect(self._on_models_failed)

    # -- opening

    def open_path(self, path: Path) -> None:
        """Open a photo or a compressed file; what is on show stays until it is read."""
        self._opens += 1
        self._opening.cancel()
        self._set(opening=path.name)
        # Reading needs no torch: the photo is on show before the engine is loaded.
        task = self._services.host.run(partial(read, path), engine=False)
        task.succeeded.connect(partial(self._on_read, self._opens))
        task.failed.connect(partial(self._on_read_failed, self._opens))

    def open_picture(self, picture: Picture) -> None:
        """Show `picture`, for example one from the clipboard, and compress it."""
        self._show_picture(picture)

    def adopt_decoded(self) -> None:
        """Take the picture of the compressed file on show as a new original."""
        if self._state.file is not None and self._state.file.complete:
            file = self._state.file
            self._show_picture(dataclasses.replace(file.picture, name=file.path.name, stored_bytes=len(file.data)))

    def cancel_opening(self) -> None:
        """Stop opening what is being opened; what is on show, perhaps a preview, stays."""
        self._opens += 1
        self._opening.cancel()
        self._set(opening="")

    # -- settings

    def change_side(self, side: str, gesture: object = None, **changes: Any) -> None:
        """Wish other settings for a side; see `SideSettings`.

        Args:
            gesture: changes of one gesture, such as a drag, are one step of undo.
        """
        settings = replace(self._state.settings.side(side), **changes)
        if settings.codec != ORIGINAL:
            self._qualities[side][settings.codec] = settings.quality
        self._wish(self._state.settings.with_side(side, settings), gesture)

    def set_codec(self, side: str, codec: str) -> None:
        """Wish another codec for a side, at the quality that was last used with it there."""
        settings = with_codec(self._state.settings.side(side), codec, self._qualities[side])
        self._wish(self._state.settings.with_side(side, settings))

    def choose(self, side: str, settings: SideSettings) -> None:
        """Wish all settings of a side at once, for example those of a point on a curve."""
        self._wish(self._state.settings.with_side(side, settings))

    def set_model(self, side: str, model: str) -> None:
        """Wish another model of our codec, by registry name."""
        self.change_side(side, model=None if model == DEFAULT_MODEL else model)

    def set_quality(self, quality: float, side: str = RIGHT, gesture: object = None) -> None:
        """Wish another quality, 0..100; it takes the place of a target."""
        quality = min(100.0, max(0.0, quality))
        self.change_side(side, gesture, quality=quality, target=None, same_size=False, lossless=False)

    def set_target(self, side: str, target: Target | None) -> None:
        """Wish a size or a quality to reach; None goes back to the quality of the slider."""
        self.change_side(side, target=target, same_size=False)

    def set_same_size(self, side: str, same: bool) -> None:
        """Follow the size of the other side's file, or no longer."""
        self.change_side(side, same_size=same, target=None)

    def change_shared(self, gesture: object = None, **changes: Any) -> None:
        """Wish other settings for both sides; see `SharedSettings`. A focus belongs to the crop it was drawn in."""
        before = self._state.settings.shared
        shared = replace(before, **changes)
        if shared.crop != before.crop:
            shared = replace(shared, focus=None)
        self._wish(replace(self._state.settings, shared=shared), gesture)

    def swap(self) -> None:
        """Exchange left and right."""
        self._qualities[LEFT], self._qualities[RIGHT] = self._qualities[RIGHT], self._qualities[LEFT]
        for lane in self._lanes.values():
            lane.forget()
        self._set(left=self._state.right, right=self._state.left)
        self._wish(self._state.settings.swapped())

    def copy_to_other(self, side: str) -> None:
        """Give the other side the settings of this one."""
        settings = replace(self._state.settings.side(side), same_size=False)
        self._wish(self._state.settings.with_side(other(side), settings))

    def apply(self, settings: PageSettings) -> None:
        """Wish all settings at once, for example those of a preset."""
        self._wish(settings)

    def undo(self) -> None:
        """Bring back the settings before the last step."""
        if self._history.can_undo:
            self._show_settings(self._history.undo(self._state.settings))

    def redo(self) -> None:
        """Bring back what the last undo took away."""
        if self._history.can_redo:
            self._show_settings(self._history.redo(self._state.settings))

    def set_dragging(self, dragging: bool) -> None:
        """A slider is held (True) or was let go (False): large photos wait for the latter."""
        for lane in self._lanes.values():
            lane.set_held(dragging)
        if not dragging:
            self._history.close_gesture()

    # -- work

    def cancel(self, side: str) -> None:
        """Stop the work for a side; its last finished result stays."""
        if self._state.side(side).busy:
            self._lanes[side].forget()
            self._set_side(side, busy=False, stopped=True)

    def compress_now(self, side: str) -> None:
        """Compress with the wanted settings, for example after a cancel."""
        if self._state.picture is not None and self._state.settings.side(side).makes_file:
            self._set_side(side, stopped=False)
            self._update(side, at_once=True)

    # -- saving

    def save_file(self, path: Path, side: str = RIGHT) -> None:
        """Write the compressed file of a side: byte for byte the one on show."""
        data = self.compressed_bytes(side)
        if data is None:
            return
        from engine.files import write_bytes

        self._save(path, partial(write_bytes, path, data))

    def export_picture(self, path: Path, side: str = RIGHT) -> None:
        """Write the decoded picture of a side in the format that the suffix names."""
        picture = self.decoded_picture(side)
        if picture is not None:
            self._save(path, partial(export, picture, path))

    def compressed_bytes(self, side: str = RIGHT) -> bytes | None:
        """The compressed file on show on a side."""
        state = self._state
        if state.file is not None:
            return state.file.data
        result = state.side(side).result
        return None if result is None else result.encoded.data

    def decoded_picture(self, side: str = RIGHT) -> Picture | None:
        """What the compressed file on a side decodes to."""
        state = self._state
        if state.file is not None:
            return state.file.picture if state.file.complete else None
        result = state.side(side).result
        return None if result is None else result.encoded.decoded

    def suffix(self, side: str = RIGHT) -> str:
        """The file name suffix of what `save_file` writes."""
        result = self._state.side(side).result
        return SUFFIXES[OURS if self._state.file is not None or result is None else result.wish.settings.codec]

    def suggested_stem(self) -> str:
        """File name without suffix for saving what is on show."""
        return Path(self._state.title).stem or "picture"

    # -- opening, once the work is done

    def _on_read(self, number: int, found: Picture | CompressedBytes) -> None:
        if number != self._opens:
            return
        if isinstance(found, CompressedBytes):
            self._judging.cancel()  # opening does not wait for it
            show = partial(self._post, self._on_preview, number)
            show_part = partial(self._post, self._on_file_part, number)
            report = partial(self._post, self._on_decoding, number)
            self._in_view = None
            self._opening.request(partial(decode_file, found, show, lambda: self._in_view, show_part, report))
        else:
            self._show_picture(found)

    def _on_read_failed(self, number: int, error: Exception) -> None:
        if number == self._opens:
            self._on_open_failed(error, number)

    def _post(self, call: Callable[[int, Any], None], number: int, value: object) -> None:
        """Called on the engine thread."""
        self._gui.post(partial(call, number, value))

    def _on_preview(self, number: int, file: OpenedFile) -> None:
        if number == self._opens and self._opening.busy:
            self._show_nothing(title=file.path.name, file=file, opening=file.path.name)
            self.opened.emit()

    @Slot()
    def _on_view_rests(self) -> None:
        self._in_view = self._visible()

    def _on_file_part(self, number: int, part: FilePart) -> None:
        if number == self._opens and self._opening.busy:
            self._set(file_part=part)

    def _on_decoding(self, number: int, progress: Progress) -> None:
        if number == self._opens and self._opening.busy:
            self.progressed.emit(FILE, progress)

    @Slot(object, int)
    def _on_decoded(self, file: OpenedFile, _stamp: int) -> None:
        begun = self._state.file is not None and not self._state.file.complete and self._state.file.data is file.data
        self._show_nothing(title=file.path.name, file=file)
        if file.damaged_tiles:
            some = "one of its tiles" if file.damaged_tiles == 1 else f"{file.damaged_tiles} of its tiles"
            self._services.notices.info(
                f"{file.path.name} is damaged: {some} could not be read and had to be filled in."
            )
        if not begun:
            self.opened.emit()

    @Slot(object, int)
    def _on_open_failed(self, error: Exception, _number: int) -> None:
        name = self._state.opening
        self._set(opening="")
        self._services.notices.error(error, f"{name} cannot be opened")
        self._request_judgement()

    def _show_picture(self, source: Picture) -> None:
        self._opens += 1
        self._opening.cancel()
        for lane in self._lanes.values():
            lane.forget_pace()
        shared = self._state.settings.shared
        # Crop and focus belong to the photo that they were drawn on.
        settings = replace(self._state.settings, shared=replace(shared, crop=None, focus=None))
        self._history.clear()
        self._show_nothing(title=source.name or "Pasted picture", source=source, settings=settings)
        self._prepare()
        self.opened.emit()

    def _show_nothing(self, **changes: Any) -> None:
        """Forget whatever belongs to a photo that is no longer on show."""
        self._preparations += 1
        self._forget_results()
        empty = {"source": None, "picture": None, "file": None, "file_part": None, "opening": ""}
        self._set(left=SideState(), right=SideState(), judgements=(), **(empty | changes))

    def _forget_results(self) -> None:
        for lane in self._lanes.values():
            lane.forget()
        self._judging.cancel()
        self._kept.clear()

    # -- preparing

    def _prepare(self) -> None:
        """Have the picture made that both sides compress; at once where there is nothing to do."""
        source, shared = self._state.source, self._state.settings.shared
        if source is None:
            return
        self._preparations += 1
        if replace(shared.prepares, resample=SharedSettings.resample) == SharedSettings():
            self._on_prepared(self._preparations, source)
            return
        for lane in self._lanes.values():
            lane.forget()
        for side in SIDES:
            if self._state.settings.side(side).makes_file:
                self._set_side(side, busy=True, stopped=False)
        task = self._services.host.run(partial(prepare, source, shared), engine=False)
        task.succeeded.connect(partial(self._on_prepared, self._preparations))
        task.failed.connect(partial(self._on_prepare_failed, self._preparations))

    def _on_prepared(self, number: int, picture: Picture) -> None:
        if number != self._preparations:
            return
        before = self._state.picture
        self._judging.cancel()
        self._set(picture=picture)
        if before is not None and (before.width, before.height) != (picture.width, picture.height):
            self.opened.emit()
        for side in SIDES:
            self._update(side, at_once=True)

    def _on_prepare_failed(self, number: int, error: Exception) -> None:
        if number != self._preparations:
            return
        for side in SIDES:
            self._set_side(side, busy=False, stopped=True)
        self._services.notices.error(error, "The photo cannot be cropped or resized")

    # -- wishes

    def _wish(self, settings: PageSettings, gesture: object = None) -> None:
        before = self._state.settings
        if settings == before:
            return
        self._history.record(before, gesture)
        self._show_settings(settings)

    def _show_settings(self, settings: PageSettings) -> None:
        before = self._state.settings.shared
        self._set(settings=settings, can_undo=self._history.can_undo, can_redo=self._history.can_redo)
        self._services.settings.set_page(PAGE, **to_remember(settings))
        if settings.shared.prepares != before.prepares:
            self._prepare()
            return
        # First the side that follows nothing: the other may wait for its size.
        for side in sorted(SIDES, key=lambda side: settings.side(side).same_size):
            self._update(side)

    def _update(self, side: str, at_once: bool = False) -> None:
        """Bring a side to what is wanted now: from what is kept, or by work."""
        state, lane = self._state, self._lanes[side]
        if state.picture is None:
            return
        if not state.settings.side(side).makes_file:
            lane.forget()
            self._set_side(side, result=None, wish=None, busy=False, stopped=False, part=None)
            self._request_judgement()
            return
        wish = self._wish_of(side)
        now = state.side(side)
        if wish is None:
            # The size of the other side is not known yet.
            lane.forget()
            waiting = state.side(other(side)).busy
            self._set_side(side, wish=None, busy=waiting, stopped=not waiting)
        elif wish in self._kept:
            lane.forget()
            self._kept.move_to_end(wish)
            self._finish(side, self._kept[wish])
        elif at_once or wish != now.wish or not (now.busy or now.stopped):
            self._set_side(side, wish=wish, busy=True, stopped=False, part=None)
            lane.request(state.picture, wish, at_once)

    def _wish_of(self, side: str) -> Wish | None:
        """What is wanted on a side; None while the size that it follows is not known."""
        settings = self._state.settings
        own = settings.side(side)
        shared = settings.shared if own.codec == OURS else replace(settings.shared, focus=None)
        if not own.same_size:
            return Wish(own, shared)
        opposite = self._state.side(other(side))
        if not settings.side(other(side)).makes_file:
            size = self._state.source.stored_bytes if self._state.source is not None else None
            if size is None:
                return Wish(replace(own, same_size=False), shared)
        elif opposite.current and opposite.result is not None:
            size = opposite.result.size
        else:
            return None
        return Wish(replace(own, same_size=False, target=Target("size", size)), shared)

    def _on_part(self, side: str, part: Part) -> None:
        self._set_side(side, part=part)

    def _on_made(self, side: str, result: Result, newest: bool) -> None:
        self._keep(result)
        if newest:
            self._finish(side, result)
        else:
            self._set_side(side, result=result)

    def _on_failed(self, side: str, error: Exception) -> None:
        self._set_side(side, busy=False, stopped=True)
        if self._state.settings.side(other(side)).same_size:
            self._update(other(side))
        name = CODEC_NAMES[self._state.settings.side(side).codec]
        self._services.notices.error(error, f"{name} cannot compress this picture")
        self._request_judgement()

    def _finish(self, side: str, result: Result) -> None:
        """A side shows what is wanted; the other one may have waited for its size."""
        self._set_side(side, result=result, wish=result.wish, busy=False, stopped=False, part=None)
        if self._state.settings.side(other(side)).same_size:
            self._update(other(side))
        self._request_judgement()

    def _keep(self, result: Result) -> None:
        self._kept[result.wish] = result
        self._kept.move_to_end(result.wish)
        most = max(FEWEST_KEPT, KEPT_PIXELS // max(1, result.picture.width * result.picture.height))
        while len(self._kept) > most:
            self._kept.popitem(last=False)
        self._set(judgements=self._at_hand(self._state.judgements))

    # -- judging

    def _request_judgement(self) -> None:
        """Judge what is on show, the right side first; whatever shows pictures or other figures goes first."""
        state = self._state
        if self._judging.busy or any(state.side(side).busy for side in SIDES):
            return
        for side in (RIGHT, LEFT):
            found = state.side(side)
            if found.current and found.result is not None and state.judgement_of(found.result) is None:
                self._judged = found.result
                self._judging.request(partial(judge, found.result))
                return

    @Slot(object, int)
    def _on_judged(self, judgement: Judgement, _stamp: int) -> None:
        self._set(judgements=self._at_hand((*self._state.judgements, judgement)))
        self._request_judgement()

    def _at_hand(self, judgements: tuple[Judgement, ...]) -> tuple[Judgement, ...]:
        """Those of kept results; the others would hold on to pictures that nobody needs."""
        kept = {id(result) for result in self._kept.values()}
        return tuple(judgement for judgement in judgements if id(judgement.subject) in kept)

    @Slot(object, int)
    def _on_judging_failed(self, error: Exception, stamp: int) -> None:
        self._services.notices.error(error, "SSIMULACRA2 cannot be measured")
        if self._judged is not None:
            self._on_judged(Judgement(self._judged, None), stamp)

    # -- saving, models

    def _save(self, path: Path, write: Callable[[], object]) -> None:
        def saved() -> Path:
            write()
            return path

        task = self._services.host.run(saved, engine=False)
        task.succeeded.connect(self._on_saved)
        task.failed.connect(self._on_save_failed)

    @Slot(object)
    def _on_saved(self, path: Path) -> None:
        self._services.notices.success(f"Saved {path.name} in {path.parent}.")

    @Slot(object)
    def _on_save_failed(self, error: Exception) -> None:
        self._services.notices.error(error, "The file cannot be saved")

    @Slot(object)
    def _on_models(self, names: tuple[str, ...]) -> None:
        self._set(models=names)
        for side in SIDES:
            if names and self._state.settings.side(side).model_name not in names:
                self.set_model(side, names[0])

    @Slot(object)
    def _on_models_failed(self, error: Exception) -> None:
        self._services.notices.error(error, "The models cannot be listed")

    def _set(self, **changes: Any) -> None:
        self._state = replace(self._state, **changes)
        self.changed.emit(self._state)

    def _set_side(self, side: str, **changes: Any) -> None:
        self._set(**{side: replace(self._state.side(side), **changes)})
