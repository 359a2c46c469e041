"""What the Compress page knows and does: one photo, its compressed file, and a rival of the same size."""

from __future__ import annotations

import dataclasses
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from engine.compression.settings import DEFAULT_MODEL
from engine.errors import LimitError, PictureError, UsageError
from engine.progress import CancelToken, Progress
from gui.services.gui_thread import GuiThread

if TYPE_CHECKING:
    from engine.compression import Encoded, Header, PhotoSession
    from engine.compression.lossless import LosslessFile
    from engine.image import Picture
    from gui.services.context import Services

ORIGINAL = "original"
PAGE = "compress"
FAMILY = "hyperprior-codec"
FILE_SUFFIX = ".lsi"
MAX_FILE_BYTES = 2**31
# Above this many pixels an encode takes seconds: it starts when the slider rests, not while it moves.
LARGE_PIXELS = 4_000_000
REST_MILLISECONDS = 350
# Encodes shorter than this are left to finish while the slider is held, so that the picture follows the drag.
WORTH_FINISHING_SECONDS = 3.0
# Results kept for going back at once; of a large photo only the one on show.
KEPT_RESULTS = 6


@dataclass(frozen=True)
class Order:
    """What the user asks of the codec: quality 0..100, the model's registry name (None = default), metadata kept."""

    quality: float = 50.0
    model: str | None = None
    keep_metadata: bool = True


@dataclass(frozen=True)
class Result:
    """A compressed file, the order it answers and what it decodes to."""

    order: Order
    encoded: Encoded


@dataclass(frozen=True)
class Rival:
    """The same photo by a classic codec at (nearly) the size of `result`."""

    codec: str
    picture: Picture
    size: int
    psnr: float
    ms_ssim: float
    result: Result


@dataclass(frozen=True)
class Judgement:
    """How visible the damage is, which takes about as long to find out as the compression, and whether it need be.

    Attributes:
        subject: the result or rival that was judged.
        ssimulacra2: at most 100; None where it cannot be told, as for pictures of a few pixels.
        lossless: a classic lossless file that would be smaller than the result, or None.
    """

    subject: Result | Rival
    ssimulacra2: float | None
    lossless: LosslessFile | None = None


@dataclass(frozen=True)
class OpenedFile:
    """A compressed file that was opened: its bytes, what its header says, the decoded picture."""

    path: Path
    data: bytes
    header: Header
    picture: Picture
    damaged_tiles: int


@dataclass(frozen=True)
class _CompressedBytes:
    """A compressed file as read from the disk, not decoded yet."""

    path: Path
    data: bytes


@dataclass(frozen=True)
class CompressState:
    """Everything the page shows.

    Attributes:
        title: file name of what is open.
        picture: the original; None while a compressed file is on show, or nothing.
        file: the compressed file on show, or None.
        order: the wanted settings; `result` may still answer an older order.
        result: the last finished compression of `picture`.
        left_side: "original" or the name of a rival codec.
        rival: the last finished rival; it may belong to an older result.
        judgements: of results that are still at hand and of the rival, as far as they are finished.
        opening: name of the file being opened, or "".
        busy: a compression is under way or about to start.
        stopped: the user cancelled the compression, so that `result` stays older than `order`.
        models: registry names of the codec models at hand.
    """

    title: str = ""
    picture: Picture | None = None
    file: OpenedFile | None = None
    order: Order = Order()
    result: Result | None = None
    left_side: str = ORIGINAL
    rival: Rival | None = None
    judgements: tuple[Judgement, ...] = ()
    opening: str = ""
    busy: bool = False
    stopped: bool = False
    models: tuple[str, ...] = ()

    @property
    def current(self) -> bool:
        """True when `result` answers `order`: its figures may be shown as they are."""
        return self.result is not None and self.result.order == self.order and not self.busy

    @property
    def saveable(self) -> bool:
        """Whether there is a compressed file to save: the one on show, or one whose figures are no promise any more."""
        return self.file is not None or self.current or (self.result is not None and self.stopped)

    @property
    def model(self) -> str:
        """Registry name of the wanted codec model."""
        return self.order.model or DEFAULT_MODEL

    @property
    def rival_current(self) -> bool:
        """True when the rival is of the chosen kind and belongs to the current result."""
        rival = self.rival
        return self.current and rival is not None and rival.result is self.result and rival.codec == self.left_side

    def judgement_of(self, subject: Result | Rival) -> Judgement | None:
        """What is known of the visible damage of exactly this result or rival."""
        return next((judgement for judgement in self.judgements if judgement.subject is subject), None)

    @property
    def large(self) -> bool:
        """True for photos that take seconds to compress."""
        return self.picture is not None and self.picture.width * self.picture.height > LARGE_PIXELS


class _Encoder:
    """Used on the engine thread only: keeps the session of the photo that is open, so that its analysis runs once."""

    def __init__(self) -> None:
        self._session: PhotoSession | None = None
        self._model: str | None = None

    def encode(self, picture: Picture, order: Order, report: Callable[[Progress], None], token: CancelToken) -> Result:
        from engine.compression import PhotoSession

        session = self._session
        if session is None or session.picture is not picture or self._model != order.model:
            session = self._session = PhotoSession(picture, model=order.model)
            self._model = order.model
        encoded = session.encode(order.quality, progress=report, cancel=token, keep_metadata=order.keep_metadata)
        return Result(order, encoded)


class CompressController(QObject):
    """State and verbs of the Compress page.

    Signals:
        changed(CompressState): something on show differs now.
        opened(): another picture is on show; views fit it.
        progressed(Progress): how far the running compression has come.
    """

    changed = Signal(object)
    opened = Signal()
    progressed = Signal(object)

    def __init__(self, services: Services, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._services = services
        self._state = CompressState(order=_remembered(services.settings.page(PAGE)))
        self._encoder = _Encoder()
        self._gui = GuiThread(self)
        self._opens = 0  # number of the newest wish to open something; what older ones bring is dropped
        self._opening = services.host.live(self)
        self._encoding = services.host.live(self)
        self._rivals = services.host.live(self)
        self._judging = services.host.live(self)
        self._judged: Result | Rival | None = None  # what the newest request for a judgement is about
        self._run = 0  # number of the newest compression; reports of older ones are dropped
        self._running = False
        self._again = False
        self._dragging = False
        self._started = 0.0
        self._last_duration = float("inf")
        self._kept: OrderedDict[Order, Result] = OrderedDict()
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(REST_MILLISECONDS)
        self._rest.timeout.connect(self._start_encoding)
        self._opening.result.connect(self._on_decoded)
        self._opening.failed.connect(self._on_open_failed)
        self._encoding.result.connect(self._on_encoded)
        self._encoding.failed.connect(self._on_encode_failed)
        self._rivals.result.connect(self._on_rival)
        self._rivals.failed.connect(self._on_rival_failed)
        self._judging.result.connect(self._on_judged)
        self._judging.failed.connect(self._on_judging_failed)

    @property
    def state(self) -> CompressState:
        """What is on show now."""
        return self._state

    def load_models(self) -> None:
        """Ask for the codec models at hand; they appear in `state.models`."""
        task = self._services.host.run(_codec_names)
        task.succeeded.connect(self._on_models)
        task.failed.connect(self._on_models_failed)

    def open_path(self, path: Path) -> None:
        """Open a photo or a compressed file; what is on show stays until it is read."""
        self._opens += 1
        self._opening.cancel()
        self._set(opening=path.name)
        # Reading needs no torch: the photo is on show before the engine is loaded.
        task = self._services.host.run(partial(_read, path), engine=False)
        task.succeeded.connect(partial(self._on_read, self._opens))
        task.failed.connect(partial(self._on_read_failed, self._opens))

    def open_picture(self, picture: Picture) -> None:
        """Show `picture`, for example one from the clipboard, and compress it."""
        self._show_picture(picture)

    def adopt_decoded(self) -> None:
        """Take the picture of the compressed file on show as a new original."""
        if self._state.file is not None:
            file = self._state.file
            self._show_picture(dataclasses.replace(file.picture, name=file.path.name, stored_bytes=len(file.data)))

    def set_quality(self, quality: float) -> None:
        """Wish another quality, 0..100."""
        self._order(quality=min(100.0, max(0.0, quality)))

    def set_model(self, model: str | None) -> None:
        """Wish another codec model, by registry name."""
        self._order(model=None if model == DEFAULT_MODEL else model)

    def set_keep_metadata(self, keep: bool) -> None:
        """Keep or leave out the photo's EXIF data; the place it was taken at is never kept."""
        self._order(keep_metadata=keep)

    def set_dragging(self, dragging: bool) -> None:
        """The quality slider is held (True) or was let go (False): large photos wait for the latter."""
        self._dragging = dragging
        if not dragging and (self._rest.isActive() or self._again):
            self._rest.stop()
            self._start_encoding()

    def set_left_side(self, side: str) -> None:
        """Choose what the result is compared with: "original" or a rival codec."""
        if side == self._state.left_side:
            return
        self._set(left_side=side)
        self._request_rival()

    def cancel(self) -> None:
        """Stop the running compression; the last finished result stays."""
        if not self._state.busy:
            return
        self._rest.stop()
        self._run += 1
        self._again = self._running = False
        self._encoding.cancel()
        self._set(busy=False, stopped=True)

    def encode_now(self) -> None:
        """Compress with the wanted settings, for example after a cancel."""
        if self._state.picture is not None:
            self._start_encoding()

    def save_file(self, path: Path) -> None:
        """Write the compressed file: byte for byte the one on show."""
        data = self.compressed_bytes()
        if data is None:
            return
        from engine.files import write_bytes

        self._save(path, partial(write_bytes, path, data))

    def export_picture(self, path: Path) -> None:
        """Write the decoded picture in the format that the suffix names."""
        picture = self.decoded_picture()
        if picture is not None:
            self._save(path, partial(_export, picture, path))

    def compressed_bytes(self) -> bytes | None:
        """The compressed file on show."""
        state = self._state
        if state.file is not None:
            return state.file.data
        return state.result.encoded.data if state.result is not None else None

    def decoded_picture(self) -> Picture | None:
        """What the compressed file on show decodes to."""
        state = self._state
        if state.file is not None:
            return state.file.picture
        return state.result.encoded.decoded if state.result is not None else None

    def suggested_stem(self) -> str:
        """File name without suffix for saving what is on show."""
        return Path(self._state.title).stem or "picture"

    # -- opening

    def _on_read(self, number: int, found: Picture | _CompressedBytes) -> None:
        if number != self._opens:
            return
        if isinstance(found, _CompressedBytes):
            self._judging.cancel()  # opening does not wait for it
            self._opening.request(partial(_decode, found))
        else:
            self._show_picture(found)

    def _on_read_failed(self, number: int, error: Exception) -> None:
        if number == self._opens:
            self._on_open_failed(error, number)

    @Slot(object, int)
    def _on_decoded(self, file: OpenedFile, _stamp: int) -> None:
        self._forget_work()
        self._set(
            opening="",
            title=file.path.name,
            picture=None,
            file=file,
            result=None,
            rival=None,
            judgements=(),
            busy=False,
            stopped=False,
        )
        if file.damaged_tiles:
            some = "one of its tiles" if file.damaged_tiles == 1 else f"{file.damaged_tiles} of its tiles"
            self._services.notices.info(
                f"{file.path.name} is damaged: {some} could not be read and had to be filled in."
            )
        self.opened.emit()

    @Slot(object, int)
    def _on_open_failed(self, error: Exception, _number: int) -> None:
        name = self._state.opening
        self._set(opening="")
        self._services.notices.error(error, f"{name} cannot be opened")
        self._request_judgement()

    def _show_picture(self, picture: Picture) -> None:
        self._opens += 1
        self._opening.cancel()
        self._forget_work()
        self._last_duration = float("inf")
        self._set(
            opening="",
            title=picture.name or "Pasted picture",
            picture=picture,
            file=None,
            result=None,
            rival=None,
            judgements=(),
            busy=False,
            stopped=False,
        )
        self.opened.emit()
        self._start_encoding()

    def _forget_work(self) -> None:
        """Whatever is under way belongs to a picture that is no longer on show."""
        self._rest.stop()
        self._run += 1
        self._again = self._running = False
        self._encoding.cancel()
        self._rivals.cancel()
        self._judging.cancel()
        self._kept.clear()

    # -- compressing

    def _order(self, **changes: Any) -> None:
        order = dataclasses.replace(self._state.order, **changes)
        if order == self._state.order:
            return
        self._set(order=order)
        self._services.settings.set_page(PAGE, quality=order.quality, keep_metadata=order.keep_metadata)
        if self._state.picture is None:
            return
        if order in self._kept:
            self._recall(order)
        elif self._state.large:
            # The figures on show are of the old order from now on; the work waits for the slider's rest.
            self._set(busy=True, stopped=False)
            self._rest.start()
        elif self._running and self._dragging and self._last_duration < WORTH_FINISHING_SECONDS:
            self._again = True
            self._set(busy=True)
        else:
            self._start_encoding()

    def _recall(self, order: Order) -> None:
        """Show a result that is still at hand."""
        self._rest.stop()
        self._run += 1
        self._again = self._running = False
        self._encoding.cancel()
        self._judging.cancel()
        self._kept.move_to_end(order)
        self._set(result=self._kept[order], busy=False, stopped=False)
        self._request_rival()

    @Slot()
    def _start_encoding(self) -> None:
        state = self._state
        if state.picture is None:
            return
        if self._dragging and state.large:
            self._rest.start()
            return
        self._rivals.cancel()  # it would be of a size that is about to change
        self._judging.cancel()
        self._run += 1
        self._running, self._again = True, False
        self._started = time.perf_counter()
        report = partial(self._report, self._run)
        self._encoding.request(partial(self._encoder.encode, state.picture, state.order, report))
        self._set(busy=True, stopped=False)

    def _report(self, run: int, progress: Progress) -> None:
        """Called on the engine thread."""
        self._gui.post(partial(self._on_progress, run, progress))

    def _on_progress(self, run: int, progress: Progress) -> None:
        if run == self._run and self._running:
            self.progressed.emit(progress)

    @Slot(object, int)
    def _on_encoded(self, result: Result, _stamp: int) -> None:
        self._running = False
        self._last_duration = time.perf_counter() - self._started
        self._kept[result.order] = result
        while len(self._kept) > (1 if self._state.large else KEPT_RESULTS):
            self._kept.popitem(last=False)
        self._set(result=result, judgements=self._at_hand(self._state.judgements), busy=self._again)
        if self._again:
            self._start_encoding()
        else:
            self._request_rival()

    @Slot(object, int)
    def _on_encode_failed(self, error: Exception, _stamp: int) -> None:
        self._running = False
        if self._again:
            self._start_encoding()
            return
        self._set(busy=False, stopped=True)
        self._services.notices.error(error, "The picture cannot be compressed")

    # -- rivals

    def _request_rival(self) -> None:
        """Have what belongs beside a finished result made: the rival, and after it the judgements."""
        state = self._state
        compared = state.left_side != ORIGINAL and state.current and not state.rival_current
        if compared and state.picture is not None and state.result is not None:
            self._judging.cancel()  # the rival does not wait for it
            self._rivals.request(partial(_rival_of_same_size, state.left_side, state.picture, state.result))
        self._request_judgement()

    @Slot(object, int)
    def _on_rival(self, rival: Rival, _stamp: int) -> None:
        self._set(rival=rival)
        self._request_judgement()

    @Slot(object, int)
    def _on_rival_failed(self, error: Exception, _stamp: int) -> None:
        codec = self._state.left_side
        self._set(left_side=ORIGINAL, rival=None)
        self._services.notices.error(error, f"{codec.upper()} cannot be shown")

    # -- judging

    def _request_judgement(self) -> None:
        """Judge the result on show, then the rival; whatever shows pictures or other figures goes first."""
        state = self._state
        if self._judging.busy or state.picture is None or not state.current:
            return
        for subject in (state.result, state.rival if state.rival_current else None):
            if subject is not None and state.judgement_of(subject) is None:
                self._judged = subject
                self._judging.request(partial(_judge, state.picture, subject))
                return

    @Slot(object, int)
    def _on_judged(self, judgement: Judgement, _stamp: int) -> None:
        self._set(judgements=self._at_hand((*self._state.judgements, judgement)))
        self._request_judgement()

    def _at_hand(self, judgements: tuple[Judgement, ...]) -> tuple[Judgement, ...]:
        """Those of kept results and of the rival; the others would hold on to pictures that nobody needs."""
        subjects = {id(subject) for subject in (*self._kept.values(), self._state.rival)}
        return tuple(judgement for judgement in judgements if id(judgement.subject) in subjects)

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
        if names and self._state.model not in names:
            self.set_model(names[0])

    @Slot(object)
    def _on_models_failed(self, error: Exception) -> None:
        self._services.notices.error(error, "The models cannot be listed")

    def _set(self, **changes: Any) -> None:
        self._state = dataclasses.replace(self._state, **changes)
        self.changed.emit(self._state)


def _remembered(stored: dict[str, Any]) -> Order:
    """The order of the last session; what makes no sense is left at its default."""
    quality, keep = stored.get("quality"), stored.get("keep_metadata")
    valid = isinstance(quality, int | float) and 0 <= quality <= 100
    return Order(
        quality=float(quality) if valid and quality is not None else Order.quality,
        keep_metadata=keep if isinstance(keep, bool) else Order.keep_metadata,
    )


def _codec_names() -> tuple[str, ...]:
    from engine.models.registry import list_models

    return tuple(card.name for card in list_models(FAMILY))


def _read(path: Path) -> Picture | _CompressedBytes:
    """Read a photo, or the bytes of a compressed file; the content decides, not the suffix alone."""
    from engine.image import open_picture

    if path.is_dir():
        raise UsageError(f"{path} is a folder.", "Choose a picture, or use Batch for a whole folder.")
    if not _is_compressed_file(path):
        return open_picture(path, keep_profile=True)
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise LimitError(f"{path} is larger than any compressed picture can be.", "Choose another file.")
        return _CompressedBytes(path, path.read_bytes())
    except OSError as error:
        raise PictureError(
            f"{path} cannot be read: {error.strerror or error}.", "Check the file and its rights."
        ) from error


def _decode(file: _CompressedBytes, token: CancelToken) -> OpenedFile:
    from engine.compression import decode

    decoded = decode(file.data, cancel=token)
    return OpenedFile(file.path, file.data, decoded.header, decoded.picture, len(decoded.damaged_tiles))


def _is_compressed_file(path: Path) -> bool:
    """By its first bytes; a file named .lsi counts as one even if damaged at its start."""
    if path.suffix.lower() == FILE_SUFFIX:
        return True
    try:
        with path.open("rb") as stream:
            return stream.read(8) == b"\x8aLSI\r\n\x1a\n"
    except OSError:
        return False  # opening it as a picture says what is wrong


def _export(picture: Picture, path: Path) -> None:
    from engine.image import save_picture

    save_picture(picture, path)


def _rival_of_same_size(codec: str, picture: Picture, result: Result, token: CancelToken) -> Rival:
    from engine.compression.rivals import decode_rival, encode_rival_to_size
    from engine.evaluation.image_quality import ms_ssim, psnr

    data = encode_rival_to_size(codec, picture, len(result.encoded.data), cancel=token)
    token.raise_if_cancelled()
    decoded = replace(decode_rival(data), profile=picture.profile)
    token.raise_if_cancelled()
    return Rival(
        codec,
        decoded,
        len(data),
        psnr(picture.pixels, decoded.pixels),
        ms_ssim(picture.pixels, decoded.pixels),
        result,
    )


def _judge(picture: Picture, subject: Result | Rival, token: CancelToken) -> Judgement:
    from engine.compression.lossless import smaller_lossless
    from engine.evaluation.ssimulacra2 import has_ssimulacra2, ssimulacra2

    exact = smaller_lossless(picture, len(subject.encoded.data), token) if isinstance(subject, Result) else None
    if not has_ssimulacra2(picture.width, picture.height):
        return Judgement(subject, None, exact)
    decoded = subject.encoded.decoded if isinstance(subject, Result) else subject.picture
    return Judgement(subject, ssimulacra2(picture.pixels, decoded.pixels, cancel=token), exact)
