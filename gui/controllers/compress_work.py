"""What the Compress page has done on other threads: reading, preparing, compressing, judging. Knows no Qt."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import DamagedFile, LimitError, PictureError, UsageError
from gui.controllers.compress_settings import OURS, Crop, Focus, SharedSettings, SideSettings

if TYPE_CHECKING:
    from engine.compression import Header, PhotoSession
    from engine.compression.encoded import Encoded
    from engine.compression.lossless import LosslessFile
    from engine.compression.quality_map import QualityMap
    from engine.image import Picture
    from engine.progress import CancelToken, Progress

FAMILY = "hyperprior-codec"
FILE_SUFFIX = ".lsi"
MAX_FILE_BYTES = 2**31
# What of a large photo is compressed first: so much takes well under a second.
MOST_PART_PIXELS = 400_000  # of a large file the preview is shown first from so many on as well
# What of a large file is decoded first, if no more is in view: a window of 1280 x 800 takes about a second.
MOST_VIEW_PIXELS = 1_500_000


@dataclass(frozen=True)
class Wish:
    """A file that is wanted: settings of one side, in which the size of the other side has become a target, and the
    shared ones."""

    settings: SideSettings
    shared: SharedSettings


@dataclass(frozen=True, eq=False)
class Result:
    """A compressed file, the wish that it answers and the prepared picture that it was made of."""

    wish: Wish
    picture: Picture
    encoded: Encoded

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return len(self.encoded.data)


@dataclass(frozen=True, eq=False)
class Part:
    """The visible part of a large photo, compressed on its own while the whole follows.

    Attributes:
        box: where it lies in the prepared picture.
        encoded: its file, which is never saved, and what that decodes to.
    """

    wish: Wish
    box: Crop
    encoded: Encoded


@dataclass(frozen=True)
class Judgement:
    """How visible the damage is, which takes about as long to find out as the compression, and whether it need be.

    Attributes:
        subject: the result that was judged.
        ssimulacra2: at most 100; None where it cannot be told, as for pictures of a few pixels.
        lossless: a classic lossless file that would be smaller than a result of our codec, or None.
    """

    subject: Result
    ssimulacra2: float | None
    lossless: LosslessFile | None = None


@dataclass(frozen=True)
class OpenedFile:
    """A compressed file that was opened.

    Attributes:
        path: of the file; data: its bytes; header: what it says of itself.
        picture: decoded; while `complete` is False the file's small preview, enlarged.
        damaged_tiles: how many could not be read.
        complete: the whole picture is decoded.
    """

    path: Path
    data: bytes
    header: Header
    picture: Picture
    damaged_tiles: int
    complete: bool = True


@dataclass(frozen=True, eq=False)
class FilePart:
    """What is in view of a compressed file, decoded while the whole is not: its box in the picture, and its pixels."""

    box: Crop
    picture: Picture


@dataclass(frozen=True)
class CompressedBytes:
    """A compressed file as read from the disk, not decoded yet."""

    path: Path
    data: bytes


class Worker:
    """Used on the engine thread only: keeps the sessions of the photo that is open, so that its analysis runs once."""

    def __init__(self) -> None:
        self._sessions: dict[str | None, PhotoSession] = {}  # by model; both sides may use one of their own

    def compress(self, picture: Picture, wish: Wish, report: Callable[[Progress], None], token: CancelToken) -> Result:
        """Make the file that is wished for, of a prepared picture."""
        settings, shared = wish.settings, wish.shared
        if settings.codec != OURS:
            return Result(wish, picture, _encode_classic(picture, settings, shared, report, token))
        session = self._session_of(picture, settings.model)
        options = {
            "progress": report,
            "cancel": token,
            "keep_metadata": shared.keep_metadata,
            "keep_place": shared.keep_place,
            "quality_map": None if shared.focus is None else _quality_map(shared.focus, picture),
            "effort": settings.effort or 0,
        }
        if settings.target is not None:
            return Result(wish, picture, session.encode_to(settings.target, **options))
        return Result(wish, picture, session.encode(settings.quality, **options))

    def compress_part_first(
        self,
        picture: Picture,
        wish: Wish,
        visible: Crop,
        show: Callable[[Part], None],
        report: Callable[[Progress], None],
        token: CancelToken,
    ) -> Result:
        """Make what is in view before the whole file, and give it to `show`."""
        box = middle_of(visible, MOST_PART_PIXELS)
        shared = wish.shared
        focus = None if shared.focus is None else _cut(shared.focus, box, picture)
        small = Wish(wish.settings, replace(shared, keep_metadata=False, focus=focus))
        cut = prepare(replace(picture, exif=None, xmp=None), SharedSettings(crop=box))
        # A worker of its own: the sessions of the whole photo are kept.
        show(Part(wish, box, Worker().compress(cut, small, lambda _progress: None, token).encoded))
        return self.compress(picture, wish, report, token)

    def _session_of(self, picture: Picture, model: str | None) -> PhotoSession:
        from engine.compression import PhotoSession

        sessions = {name: session for name, session in self._sessions.items() if session.picture is picture}
        if model not in sessions:
            sessions = dict(list(sessions.items())[-1:]) | {model: PhotoSession(picture, model=model)}
        self._sessions = sessions
        return sessions[model]


def middle_of(box: Crop, most: int) -> Crop:
    """The middle of a box, of at most so many pixels and of its shape."""
    scale = min(1.0, math.sqrt(most / (box.width * box.height)))
    width, height = max(1, int(box.width * scale)), max(1, int(box.height * scale))
    return Crop(box.x + (box.width - width) // 2, box.y + (box.height - height) // 2, width, height)


def codec_names() -> tuple[str, ...]:
    """Registry names of the codec models at hand."""
    from engine.models.registry import list_models

    return tuple(card.name for card in list_models(FAMILY))


def read(path: Path) -> Picture | CompressedBytes:
    """Read a photo, or the bytes of a compressed file; the content decides, not the suffix alone."""
    from engine.image import open_picture

    if path.is_dir():
        raise UsageError(f"{path} is a folder.", "Choose a picture, or use Batch for a whole folder.")
    if not _is_compressed_file(path):
        return open_picture(path, keep_profile=True)
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise LimitError(f"{path} is larger than any compressed picture can be.", "Choose another file.")
        return CompressedBytes(path, path.read_bytes())
    except OSError as error:
        raise PictureError(
            f"{path} cannot be read: {error.strerror or error}.", "Check the file and its rights."
        ) from error


def decode_file(
    file: CompressedBytes,
    show: Callable[[OpenedFile], None],
    in_view: Callable[[], Crop | None],
    show_part: Callable[[FilePart], None],
    report: Callable[[Progress], None],
    token: CancelToken,
) -> OpenedFile:
    """Decode what `read` found; of a picture that takes its time, first the preview and then what is in view.

    Args:
        show: is given the preview.
        in_view: asked again and again: what else than before is in view is decoded before the rest.
        show_part: is given what was in view.
    """
    from engine.compression import decode, inspect
    from engine.compression.container import Region

    header = inspect(file.data)
    if header.width * header.height > MOST_PART_PIXELS and (preview := _preview(header)) is not None:
        show(OpenedFile(file.path, file.data, header, preview, 0, complete=False))
    most = min(MOST_VIEW_PIXELS, header.width * header.height // 2)
    seen: Crop | None = None

    def look(progress: Progress) -> None:
        """Called between groups and windows."""
        nonlocal seen
        report(progress)
        box = in_view()
        if box is None or box == seen or box.width * box.height > most:
            return
        if box.x + box.width > header.width or box.y + box.height > header.height:
            return  # it is of what was on show before
        seen = box
        region = Region(box.x, box.y, box.width, box.height)
        try:
            show_part(FilePart(box, decode(file.data, region=region, cancel=token).picture))
        except DamagedFile:
            return  # nothing of it can be saved, which the whole picture will show

    decoded = decode(file.data, progress=look, cancel=token)
    return OpenedFile(file.path, file.data, decoded.header, decoded.picture, len(decoded.damaged_tiles))


def prepare(source: Picture, shared: SharedSettings) -> Picture:
    """The picture that both sides compress: cropped, shrunk, in the colours that are kept."""
    from engine.colour_profile import to_srgb
    from engine.compression.container import Region
    from engine.compression.preparation import Preparation

    crop = shared.crop and Region(shared.crop.x, shared.crop.y, shared.crop.width, shared.crop.height)
    longest, width, height, percent = shared.size
    prepared = Preparation(crop, width, height, shared.resample, longest, percent).apply(source)
    return prepared if shared.keep_profile or prepared.profile is None else to_srgb(prepared)


def export(picture: Picture, path: Path) -> None:
    """Write a decoded picture in the format that the suffix names."""
    from engine.image import save_picture

    save_picture(picture, path)


def judge(result: Result, token: CancelToken) -> Judgement:
    """Measure what takes longest."""
    from engine.compression.lossless import smaller_lossless
    from engine.evaluation.ssimulacra2 import has_ssimulacra2, ssimulacra2

    picture = result.picture
    exact = smaller_lossless(picture, result.size, token) if result.wish.settings.codec == OURS else None
    if not has_ssimulacra2(picture.width, picture.height):
        return Judgement(result, None, exact)
    return Judgement(result, ssimulacra2(picture.pixels, result.encoded.decoded.pixels, cancel=token), exact)


def _preview(header: Header) -> Picture | None:
    """The preview in a file, as large as the picture; None where there is none."""
    import numpy as np
    from PIL import Image

    from engine.compression.side_data import open_preview
    from engine.image import Picture

    small = open_preview(header.preview)
    if small is None:
        return None
    large = Image.fromarray(small).resize((header.width, header.height), Image.Resampling.BICUBIC)
    return Picture(np.asarray(large))


def _encode_classic(
    picture: Picture,
    settings: SideSettings,
    shared: SharedSettings,
    report: Callable[[Progress], None],
    token: CancelToken,
) -> Encoded:
    from engine.compression.classic import ClassicSettings, encode_classic

    wanted = ClassicSettings(
        settings.codec,
        settings.quality,
        effort=settings.effort,
        subsampling=settings.subsampling,
        lossless=settings.lossless,
        target=settings.target,
        keep_metadata=shared.keep_metadata,
        keep_place=shared.keep_place,
        keep_profile=shared.keep_profile,
    )
    encoded = encode_classic(picture, wanted, progress=report, cancel=token)
    return replace(encoded, decoded=replace(encoded.decoded, name=picture.name))


def _quality_map(focus: Focus, picture: Picture) -> QualityMap:
    """The quality map of a prepared picture from a mask that covers it at any resolution."""
    import numpy as np
    from PIL import Image

    from engine.compression.quality_map import QualityMap

    mask = Image.fromarray(focus.mask.astype(np.uint8) * 255)
    fitted = mask.resize((picture.width, picture.height), Image.Resampling.NEAREST)
    return QualityMap.from_mask(np.asarray(fitted) > 0, inside=0.0, outside=-focus.drop)


def _cut(focus: Focus, box: Crop, picture: Picture) -> Focus:
    """The focus of a box of the picture."""
    rows, columns = focus.mask.shape
    down, across = rows / picture.height, columns / picture.width
    top, left = int(box.y * down), int(box.x * across)
    bottom = max(top + 1, math.ceil((box.y + box.height) * down))
    right = max(left + 1, math.ceil((box.x + box.width) * across))
    return Focus(focus.mask[top:bottom, left:right], focus.drop)


def _is_compressed_file(path: Path) -> bool:
    """By its first bytes; a file named .lsi counts as one even if damaged at its start."""
    if path.suffix.lower() == FILE_SUFFIX:
        return True
    try:
        with path.open("rb") as stream:
            return stream.read(8) == b"\x8aLSI\r\n\x1a\n"
    except OSError:
        return False  # opening it as a picture says what is wrong
