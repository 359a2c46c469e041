"""State and actions of the gallery: what is looked for, what was found, what is selected, and the trash."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from engine.errors import Cancelled, LatentStudioError
from engine.paths import user_folder
from engine.progress import CancelToken, Progress, ProgressCallback
from gui.controllers.gallery_thumbnails import LANE as READING_LANE
from gui.controllers.gallery_thumbnails import Thumbnails
from gui.services.context import Services

if TYPE_CHECKING:
    from engine.generation import Sample
    from engine.generation.gallery import Gallery, GalleryEntry, Overview
    from gui.services.engine_host import Task

WRITING_LANE = "gallery"
AT_ONCE = 16  # pictures written at a time, so that a deletion need not wait for a thousand of them
SEARCH_DELAY = 120  # milliseconds after the last key
PROGRESS_INTERVAL = 200
MOST_UNDO = 50


@dataclass(frozen=True)
class Filters:
    """What the person looks for; see `GalleryQuery`."""

    text: str = ""
    model: str = ""
    starred: bool = False
    trashed: bool = False

    @property
    def narrow(self) -> bool:
        """Whether some pictures are left out."""
        return bool(self.text.strip() or self.model or self.starred)


@dataclass(frozen=True)
class Opened:
    """A selected picture in full."""

    entry: GalleryEntry
    sample: Sample


@dataclass
class GalleryState:
    """What the gallery shows.

    Attributes:
        filters: what is looked for.
        ids: the pictures found, newest first.
        kept, starred, trashed: pictures in the gallery, those of them with a star, and those in the trash.
        models: pictures in the gallery by model.
        skipped: reason by name of the files in its folder that are no pictures of ours.
        selected: ids of the selected pictures, in the order of the grid.
        opened: the selected pictures in full, where there are one or two, once they are read.
        problem: why they cannot be read.
        trouble: why the gallery itself cannot be opened, or "".
        ready: the first search was answered.
        reading: how far the index is made anew, None while it is not.
    """

    filters: Filters = Filters()
    ids: list[int] = field(default_factory=list)
    kept: int = 0
    starred: int = 0
    trashed: int = 0
    models: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    selected: tuple[int, ...] = ()
    opened: tuple[Opened, ...] = ()
    problem: str = ""
    trouble: str = ""
    ready: bool = False
    reading: Progress | None = None


class GalleryController(QObject):
    """Keeps generated pictures and finds them again. Files and index are only touched on threads beside the window.

    Attributes:
        state: what is shown.
        thumbnails: what the grid paints.

    Signals:
        filters_changed(): other filters.
        found(): the pictures found, or the counts.
        entries_changed(object): ids whose thumbnail or star is another one.
        selection_changed(): other pictures are selected, or they are read now.
        reading_changed(): the index is being made anew, has come further, or is ready.
    """

    filters_changed = Signal()
    found = Signal()
    entries_changed = Signal(object)
    selection_changed = Signal()
    reading_changed = Signal()

    def __init__(self, services: Services, parent: QObject | None = None, *, folder: Path | None = None) -> None:
        """Args: folder: of the pictures; the user's gallery by default."""
        super().__init__(parent)
        self.state = GalleryState()
        self.folder = folder or user_folder("gallery")
        self.thumbnails = Thumbnails(services, self.folder, self)
        self.thumbnails.arrived.connect(self.entries_changed)
        self.thumbnails.failed.connect(self._on_failed)
        self._services = services
        self._awaits_engine = False
        self._refreshing = False
        self._searching = False
        self._search_again = False
        self._changing = 0
        self._opening = 0
        self._deleted: list[list[int]] = []
        self._progress = _LatestProgress()
        self._cancel = CancelToken()
        self._typing = QTimer(self)
        self._typing.setSingleShot(True)
        self._typing.setInterval(SEARCH_DELAY)
        self._typing.timeout.connect(self._search)
        self._looking = QTimer(self)
        self._looking.setInterval(PROGRESS_INTERVAL)
        self._looking.timeout.connect(self._on_look)
        services.host.state_changed.connect(self._on_engine_changed)
        services.host.closing.connect(self._on_closing)

    # Opening

    def activate(self) -> None:
        """The gallery is shown: make its index agree with its folder, and search."""
        # The gallery's module needs torch, which only the engine's own thread shall import.
        self._awaits_engine = self._services.host.state == "loading"
        if not self._awaits_engine:
            self._refresh()

    @Slot(str, str)
    def _on_engine_changed(self, _state: str, _text: str) -> None:
        if self._awaits_engine:
            self.activate()

    def _refresh(self) -> None:
        if self._refreshing:
            return
        self._refreshing = True
        self._progress.newest = None
        self._looking.start()
        progress, cancel = self._progress, self._cancel
        task = self._run(WRITING_LANE, lambda gallery: gallery.refresh(progress=progress, cancel=cancel))
        task.succeeded.connect(self._on_refreshed)
        task.failed.connect(self._on_refresh_failed)

    @Slot(object)
    def _on_refreshed(self, _overview: Overview) -> None:
        self._end_reading()
        self._search()

    @Slot(object)
    def _on_refresh_failed(self, error: LatentStudioError) -> None:
        self._end_reading()
        self.state.ready, self.state.trouble = True, error.problem
        self._on_failed(error)
        self.found.emit()

    @Slot()
    def _on_look(self) -> None:
        newest = self._progress.newest
        if newest is not self.state.reading:
            self.state.reading = newest
            self.reading_changed.emit()

    def _end_reading(self) -> None:
        self._refreshing = False
        self._looking.stop()
        if self.state.reading is not None:
            self.state.reading = None
            self.reading_changed.emit()

    @Slot()
    def _on_closing(self) -> None:
        self._cancel.cancel()
        self._looking.stop()
        self._typing.stop()

    # Searching

    def search_text(self, text: str) -> None:
        """Look for these words, a moment after the last key."""
        if text != self.state.filters.text:
            self.state.filters = replace(self.state.filters, text=text)
            self._typing.start()
            self.filters_changed.emit()

    def choose_model(self, model: str) -> None:
        """Only pictures of this model; "" for all."""
        self._filter(model=model)

    def show_starred(self, starred: bool) -> None:
        """Only pictures with a star, or all."""
        self._filter(starred=starred)

    def show_trash(self, trashed: bool) -> None:
        """The trash, or the gallery."""
        self._filter(trashed=trashed)

    def clear_filters(self) -> None:
        """Show everything that is in the gallery, or in the trash."""
        self._filter(text="", model="", starred=False)

    def _filter(self, **changes: Any) -> None:
        filters = replace(self.state.filters, **changes)
        if filters != self.state.filters:
            self.state.filters = filters
            self.filters_changed.emit()
            self._search()

    @Slot()
    def _search(self) -> None:
        self._typing.stop()
        if self._refreshing and not self.state.ready:
            return  # the index is being read; the search follows
        if self._searching or self._changing:
            # What is found before a change is done would undo on the screen what is shown already.
            self._search_again = True
            return
        self._searching, self._search_again = True, False
        task = self._run(READING_LANE, partial(_search, self.state.filters, self.thumbnails.ids))
        task.succeeded.connect(self._on_found)
        task.failed.connect(self._on_search_failed)

    @Slot(object)
    def _on_found(self, answer: tuple[list[int], Overview, list[GalleryEntry]]) -> None:
        self._searching = False
        if self._search_again:
            self._search()
            return
        ids, overview, entries = answer
        state = self.state
        state.trouble = ""
        state.ids, state.models, state.skipped = ids, overview.models, overview.skipped
        state.kept, state.starred, state.trashed = overview.kept, overview.starred, overview.trashed
        state.ready = True
        if state.filters.model and state.filters.model not in state.models and not state.filters.trashed:
            # Its last picture is gone; a filter that nobody sees any more would hide everything else.
            self._filter(model="")
        self._keep_selected()
        # Stars may have been given elsewhere, on another tab or by another program.
        shown = {entry.id: self.thumbnails.get(entry.id) for entry in entries}
        other = [entry for entry in entries if (seen := shown[entry.id]) is not None and seen.entry != entry]
        if other:
            self._show_entries(other)
        self.found.emit()

    @Slot(object)
    def _on_search_failed(self, error: LatentStudioError) -> None:
        self._searching = False
        self.state.ready, self.state.trouble = True, error.problem
        self._on_failed(error)
        self.found.emit()

    def _keep_selected(self) -> None:
        if self.state.selected:
            there = set(self.state.ids)
            self.select([one for one in self.state.selected if one in there])

    def look_again(self) -> None:
        """Something was added to the gallery elsewhere: search again. Nothing where it was never shown."""
        if self.state.ready:
            self._search()

    # Keeping

    def keep(self, samples: Iterable[Sample]) -> None:
        """Put samples into the gallery; also when the program ends right after."""
        waiting = list(samples)
        for start in range(0, len(waiting), AT_ONCE):
            task = self._run(WRITING_LANE, partial(_add, waiting[start : start + AT_ONCE]), finish=True)
            task.succeeded.connect(self._on_kept)
            task.failed.connect(self._on_failed)

    @Slot(object)
    def _on_kept(self, _ids: list[int]) -> None:
        self.look_again()

    # Selection

    def select(self, ids: Sequence[int]) -> None:
        """Select these pictures and read them, where they are one or two."""
        chosen = tuple(ids)
        if chosen == self.state.selected:
            return
        self.state.selected, self.state.opened, self.state.problem = chosen, (), ""
        self._read_selected()
        self.selection_changed.emit()

    def _read_selected(self) -> None:
        self._opening += 1
        if 1 <= len(self.state.selected) <= 2:
            task = self._run(READING_LANE, partial(_open, self.state.selected, self._opening))
            task.succeeded.connect(self._on_opened)
            task.failed.connect(self._on_opening_failed)

    @Slot(object)
    def _on_opened(self, answer: tuple[int, tuple[Opened, ...]]) -> None:
        stamp, opened = answer
        if stamp == self._opening:
            self.state.opened = opened
            self.selection_changed.emit()

    @Slot(object)
    def _on_opening_failed(self, error: LatentStudioError) -> None:
        if len(self.state.selected) in (1, 2) and not self.state.opened:
            self.state.problem = error.problem
            self.selection_changed.emit()

    # Stars, trash

    def toggle_star(self, ids: Iterable[int] | None = None) -> None:
        """Give these pictures (the selected ones) a star, or take it from them where all have one."""
        chosen = self._chosen(ids)
        if not chosen:
            return
        known = self._entries(chosen)
        starred = not (known and all(entry.starred for entry in known))
        self._show_entries([replace(entry, starred=starred) for entry in known])
        self._change(lambda gallery: gallery.star(chosen, starred), self._on_starred)

    def delete(self, ids: Iterable[int] | None = None) -> None:
        """Move these pictures (the selected ones) to the trash, and offer to undo it."""
        chosen = self._chosen(ids)
        if chosen:
            self._take_away(chosen)
            self._change(lambda gallery: gallery.trash(chosen), self._on_deleted)

    def undo(self) -> None:
        """Take back the last deletion."""
        if self._deleted:
            self.restore(self._deleted.pop())

    def restore(self, ids: Iterable[int] | None = None) -> None:
        """Take these pictures (the selected ones) out of the trash."""
        chosen = self._chosen(ids)
        if chosen:
            if self.state.filters.trashed:
                self._take_away(chosen)
            self._change(lambda gallery: gallery.restore(chosen), self._on_restored)

    def delete_for_good(self, ids: Iterable[int] | None = None) -> None:
        """Delete these pictures (the selected ones) of the trash; it cannot be undone."""
        chosen = self._chosen(ids)
        if chosen and self.state.filters.trashed:
            self._take_away(chosen)
            self._change(lambda gallery: gallery.delete_for_good(chosen), self._on_changed)

    def empty_trash(self) -> None:
        """Delete everything in the trash; it cannot be undone."""
        if self.state.filters.trashed:
            self._take_away(self.state.ids)
        self._change(_empty_trash, self._on_changed)

    @property
    def all_starred(self) -> bool:
        """Whether all selected pictures, as far as they are in memory, have a star."""
        known = self._entries(self.state.selected)
        return bool(known) and all(entry.starred for entry in known)

    def _entries(self, ids: Iterable[int]) -> list[GalleryEntry]:
        return [thumbnail.entry for one in ids if (thumbnail := self.thumbnails.get(one)) is not None]

    def _chosen(self, ids: Iterable[int] | None) -> list[int]:
        return list(self.state.selected if ids is None else ids)

    def _take_away(self, ids: Iterable[int]) -> None:
        """Show at once what will be so in a moment."""
        gone = set(ids)
        self.state.ids = [one for one in self.state.ids if one not in gone]
        self._search_again = self._searching
        self._keep_selected()
        self.found.emit()

    def _show_entries(self, entries: Sequence[GalleryEntry]) -> None:
        self.thumbnails.change(entries)
        by_id = {entry.id: entry for entry in entries}
        self.state.opened = tuple(replace(one, entry=by_id.get(one.entry.id, one.entry)) for one in self.state.opened)
        self.entries_changed.emit(list(by_id))
        self.selection_changed.emit()

    @Slot(object)
    def _on_starred(self, _ids: list[int]) -> None:
        # The star is a part of the file's name.
        self._read_selected()
        self._search()

    @Slot(object)
    def _on_deleted(self, ids: list[int]) -> None:
        if ids:
            self._deleted = [*self._deleted, ids][-MOST_UNDO:]
            words = self.tr("{n} pictures were moved to the trash.").format(n=len(ids))
            one = self.tr("The picture was moved to the trash.")
            self._services.notices.info(one if len(ids) == 1 else words, (self.tr("Undo"), self.undo))
        self._on_changed()

    @Slot(object)
    def _on_restored(self, ids: list[int]) -> None:
        gone = set(ids)
        self._deleted = [left for past in self._deleted if (left := [one for one in past if one not in gone])]
        self._on_changed()

    @Slot(object)
    def _on_changed(self, _ids: object = None) -> None:
        self._search()

    def _change(self, use: Callable[[Gallery], list[int]], answer: Callable[[list[int]], None]) -> None:
        self._changing += 1
        task = self._run(WRITING_LANE, use, finish=True)
        task.succeeded.connect(self._on_change_ended)
        task.succeeded.connect(answer)
        task.failed.connect(self._on_change_ended)
        task.failed.connect(self._on_change_failed)

    def _run(self, lane: str, use: Callable[[Gallery], Any], *, finish: bool = False) -> Task:
        return self._services.host.run(partial(_in_gallery, self.folder, use), engine=False, lane=lane, finish=finish)

    @Slot(object)
    def _on_change_ended(self, _answer: object) -> None:
        self._changing -= 1

    @Slot(object)
    def _on_change_failed(self, error: LatentStudioError) -> None:
        self._on_failed(error)
        # What was shown already did not happen: look what is there.
        self.thumbnails.forget()
        self._refresh()

    # Files

    def export(self, folder: Path, ids: Iterable[int] | None = None) -> None:
        """Copy these pictures (the selected ones) with what they carry to a folder; nothing there is replaced."""
        chosen = self._chosen(ids)
        if not chosen:
            return
        title = self.tr("Copy {n} pictures").format(n=len(chosen))
        job = self._services.jobs.submit(title, partial(_export, self.folder, chosen, folder))
        job.finished.connect(self._on_exported)
        job.failed.connect(self._on_failed)

    def export_sheet(self, path: Path, ids: Iterable[int] | None = None) -> None:
        """Lay these pictures (the selected ones) out in one picture."""
        chosen = self._chosen(ids)
        if not chosen:
            return
        title = self.tr("Lay out {n} pictures").format(n=len(chosen))
        job = self._services.jobs.submit(title, partial(_export_sheet, self.folder, chosen, path))
        job.finished.connect(self._on_exported)
        job.failed.connect(self._on_failed)

    @Slot(object)
    def _on_exported(self, where: str) -> None:
        self._services.notices.success(self.tr("Saved to {where}.").format(where=where))

    @Slot(object)
    def _on_failed(self, error: LatentStudioError) -> None:
        if not isinstance(error, Cancelled):
            self._services.notices.error(error, self.tr("Gallery"))


class _LatestProgress:
    """Written by the thread that reads the folder, looked at by the window now and then."""

    def __init__(self) -> None:
        self.newest: Progress | None = None

    def __call__(self, progress: Progress) -> None:
        self.newest = progress


# What runs beside the window. The module of the gallery imports torch, so it is not imported before.


def _in_gallery(folder: Path, use: Callable[[Gallery], Any]) -> Any:
    from engine.generation.gallery import Gallery

    return use(Gallery(folder))


def _search(filters: Filters, shown: Sequence[int], gallery: Gallery) -> tuple[list[int], Overview, list[GalleryEntry]]:
    """What fits the filters, the counts, and what the index says of pictures that are on show."""
    from engine.generation.gallery import GalleryQuery

    query = GalleryQuery(
        text=filters.text, model=filters.model or None, starred=filters.starred, trashed=filters.trashed
    )
    return gallery.search(query), gallery.overview(), gallery.entries(shown)


def _open(ids: Sequence[int], stamp: int, gallery: Gallery) -> tuple[int, tuple[Opened, ...]]:
    return stamp, tuple(Opened(gallery.entry(one), gallery.sample(one)) for one in ids)


def _add(samples: Sequence[Sample], gallery: Gallery) -> list[int]:
    return gallery.add(samples)


def _empty_trash(gallery: Gallery) -> list[int]:
    from engine.generation.gallery import GalleryQuery

    return gallery.delete_for_good(gallery.search(GalleryQuery(trashed=True)))


def _export(folder: Path, ids: Sequence[int], target: Path, progress: ProgressCallback, cancel: CancelToken) -> str:
    from engine.generation.gallery import Gallery

    written = Gallery(folder).export(ids, target, progress=progress, cancel=cancel)
    return str(written[0] if len(written) == 1 else target)


def _export_sheet(folder: Path, ids: Sequence[int], path: Path, progress: ProgressCallback, cancel: CancelToken) -> str:
    import math

    from engine.generation import contact_sheet
    from engine.generation.gallery import Gallery
    from engine.image import Picture, save_picture

    gallery, pictures = Gallery(folder), []
    for number, one in enumerate(ids):
        cancel.raise_if_cancelled()
        progress(Progress(number, len(ids), "Reading"))
        pictures.append(gallery.sample(one).pixels)
    save_picture(Picture(contact_sheet(pictures, math.ceil(math.sqrt(len(pictures))))), path)
    return str(path)
