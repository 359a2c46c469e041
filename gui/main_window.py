"""The window: assembly of rail, header, pages, inspector, jobs drawer and status line. Nothing here computes."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QByteArray, QEvent, QMimeData, Qt, QTimer, QUrl, Signal
from PySide6.QtGui import QAction, QActionGroup, QCloseEvent, QDragEnterEvent, QDragLeaveEvent, QDropEvent, QKeySequence
from PySide6.QtWidgets import (
    QHBoxLayout,
    QMainWindow,
    QMenu,
    QSplitter,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from gui.page_registry import PAGES, Page, PageEntry
from gui.page_registry import shortcuts as page_shortcuts
from gui.services.context import Services
from gui.services.jobs import remaining_text
from gui.widgets.empty_state import EmptyState
from gui.widgets.header import Header
from gui.widgets.inspector_column import InspectorColumn, prepare_controls
from gui.widgets.jobs_drawer import JobsDrawer
from gui.widgets.rail import Rail
from gui.widgets.regions import next_region
from gui.widgets.status_line import HEIGHT as STATUS_HEIGHT
from gui.widgets.status_line import StatusLine
from gui.widgets.toast import DetailsDialog, ToastArea

if TYPE_CHECKING:
    from gui.widgets.command_palette import CommandPalette

NAME = "Latent Studio"
READ_AHEAD_MILLISECONDS = 100  # between two modules: each takes some 20 ms of the window's time


class MainWindow(QMainWindow):
    """Everything a person sees.

    Dialogs are imported when they are opened: the window paints a tenth of a second earlier without them.

    Signals:
        first_painted(): the window has been drawn for the first time; heavy work may start.
        page_shown(str): a page was built and is in view.
    """

    first_painted = Signal()
    page_shown = Signal(str)

    def __init__(self, services: Services, pages: Sequence[PageEntry] | None = None) -> None:
        super().__init__()
        self.services = services
        self.entries = {page.key: page for page in (pages or PAGES) if page.available or pages}
        self.pages: dict[str, Page] = {}
        self.current = ""
        self._painted = False
        self._engine_started = False
        self._leaving = False
        self._pending_paths: list[Path] = []
        self._building: dict[str, Iterator[None]] = {}
        self._menu_actions: list[tuple[str, QAction]] = []
        self._unread = [module for entry in self.entries.values() for module in entry.modules]
        self._read_ahead = QTimer(self)
        self._read_ahead.setInterval(READ_AHEAD_MILLISECONDS)
        self._read_ahead.timeout.connect(self._on_read_ahead)
        self._after_paint, self._engine_start, self._next_step = QTimer(self), QTimer(self), QTimer(self)
        for timer, call in (
            (self._after_paint, self.first_painted),
            (self._engine_start, services.host.start),
            (self._next_step, self._on_next_step),
        ):
            timer.setSingleShot(True)
            timer.timeout.connect(call)
        self.setWindowTitle(NAME)
        self.setMinimumSize(1024, 680)
        self.setAcceptDrops(True)
        self._build()
        self._build_menus()
        self.toasts = ToastArea(self, services.notices, STATUS_HEIGHT)
        services.jobs.changed.connect(self._on_jobs_changed)
        services.host.state_changed.connect(self._on_engine_state)
        self.first_painted.connect(self._on_first_painted)
        self._restore()

    # Pages

    def show_page(self, key: str) -> None:
        """Bring a page into view. The first time it is built, one step a turn of the event loop, and shown after."""
        if key not in self.entries:
            return
        entry = self.entries[key]
        self.current = key
        self._rail.show_chosen(key)
        self.services.settings.update(page=key)
        self._header.show_page(key, entry.title)
        if not self._painted:
            return
        page = self.pages.get(key)
        if page is None:
            self._opening.set_text("Opening…", "")
            self._canvas.setCurrentWidget(self._opening)
            self._inspector.show_page("")
            self._building.setdefault(key, self._build_page(entry))
            self._next_step.start(0)
        else:
            assert isinstance(page, QWidget)
            self._canvas.setCurrentWidget(page)
            self._inspector.show_page(key)
            self._page_shown(page)
        self._show_title()

    def page(self, key: str) -> Page:
        """A page by key, shown, and built at once if need be: for one page that hands something to another.

        Raises:
            KeyError: the page cannot be built; a notice says why.
        """
        self.show_page(key)
        while key in self._building:
            self._on_next_step()
        return self.pages[key]

    def open_paths(self, paths: list[Path]) -> None:
        """Hand files or folders to the page in view."""
        page = self.pages.get(self.current)
        if page is None:
            self._pending_paths = paths
        elif paths:
            page.open_paths(paths)

    def all_actions(self) -> list[tuple[str, QAction]]:
        """(group, action) of everything that can be done now."""
        page = self.pages.get(self.current)
        own = [(self.entries[self.current].title, action) for action in page.page_actions()] if page else []
        return [*own, *self._menu_actions]

    def _build_page(self, entry: PageEntry) -> Iterator[None]:
        page = yield from entry.create(self.services)
        assert isinstance(page, QWidget)
        yield
        prepare_controls(page)
        self._canvas.addWidget(page)
        yield
        panel = page.inspector()
        yield
        self._inspector.add_page(entry.key, panel)
        yield
        complete = getattr(panel, "complete", None)
        if complete is not None:
            complete()
            yield
        self._header.add_page(entry.key, page.page_actions())
        self.pages[entry.key] = page

    def _on_next_step(self) -> None:
        """One step of building the page that is wanted now; others go on when they are wanted again."""
        key = self.current
        if key not in self._building:
            return
        try:
            next(self._building[key])
        except StopIteration:
            del self._building[key]
            self.show_page(key)
            self._open_pending()
        except Exception as error:  # one broken page must not take the others with it
            del self._building[key]
            title = self.entries[key].title
            self.services.notices.error(error, f"{title} cannot be opened")
            self._opening.set_text(f"{title} cannot be opened", "The notice at the bottom right says why.")
        if key in self._building:
            self._next_step.start(0)
        elif not self._engine_started:
            # The page paints before torch, whose import holds the interpreter for moments at a time.
            self._engine_started = True
            self._engine_start.start(50)

    def _open_pending(self) -> None:
        if self._pending_paths:
            paths, self._pending_paths = self._pending_paths, []
            self.open_paths(paths)

    def _page_shown(self, page: QWidget) -> None:
        own = {key.toString() for action in self.pages[self.current].page_actions() for key in action.shortcuts()}
        # A page's own "Open" knows better which files fit; two owners of one key would disable both.
        self._open.setShortcut(QKeySequence() if "Ctrl+O" in own else QKeySequence("Ctrl+O"))
        self.page_shown.emit(self.current)

    # Building

    def _build(self) -> None:
        theme = self.services.theme
        self._toggle_inspector = self._action("View", "Inspector", self._on_inspector, "Ctrl+I", "inspector", True)
        self._rail = Rail(list(self.entries.values()), theme)
        self._rail.chosen.connect(self.show_page)
        self._rail.jobs_toggled.connect(self._on_jobs_toggled)
        self._header = Header(theme, self._toggle_inspector)
        self._header.palette_requested.connect(self._on_palette)
        self._canvas = QStackedWidget()
        self._opening = EmptyState("image", "Opening…")
        self._canvas.addWidget(self._opening)
        self._inspector = InspectorColumn()
        self._drawer = JobsDrawer(self.services.jobs, theme)
        self._drawer.close_requested.connect(self._on_jobs_toggled)
        self._status = StatusLine(self.services)
        self._status.jobs_clicked.connect(self._on_show_jobs)
        self._status.errors_clicked.connect(self._on_show_error)

        across = QHBoxLayout()
        across.setContentsMargins(0, 0, 0, 0)
        across.setSpacing(0)
        across.addWidget(self._canvas, 1)
        across.addWidget(self._inspector)
        upper = QWidget()
        upper.setLayout(across)
        self._split = QSplitter(Qt.Orientation.Vertical)
        self._split.setChildrenCollapsible(False)
        self._split.addWidget(upper)
        self._split.addWidget(self._drawer)
        self._split.setStretchFactor(0, 1)
        self._split.setSizes([600, 180])
        right = QVBoxLayout()
        right.setContentsMargins(0, 0, 0, 0)
        right.setSpacing(0)
        right.addWidget(self._header)
        right.addWidget(self._split, 1)
        body = QHBoxLayout()
        body.setContentsMargins(0, 0, 0, 0)
        body.setSpacing(0)
        body.addWidget(self._rail)
        body.addLayout(right, 1)
        whole = QVBoxLayout()
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(0)
        whole.addLayout(body, 1)
        whole.addWidget(self._status)
        central = QWidget()
        central.setLayout(whole)
        self.setCentralWidget(central)
        # Otherwise the first button would start with the focus ring; Tab still begins there.
        central.setFocus()

    def _action(
        self, group: str, text: str, call: Callable, shortcut: str = "", icon: str = "", checkable: bool = False
    ) -> QAction:
        """Register an action: it appears in the command palette and in the list of shortcuts."""
        action = QAction(text, self)
        action.setCheckable(checkable)
        if shortcut:
            action.setShortcut(QKeySequence(shortcut))
        if icon:
            self.services.theme.bind_icon(action, icon)
        # For a switch only what a person does counts, not what the program restores.
        action.triggered.connect(call)
        self.addAction(action)
        self._menu_actions.append((group, action))
        return action

    def _build_menus(self) -> None:
        act = self._action
        file = self.menuBar().addMenu("&File")
        self._open = act("File", "Open…", self._on_open, "Ctrl+O", "open")
        file.addAction(self._open)
        self._recent = QMenu("Open &recent", self)
        self._recent.aboutToShow.connect(self._fill_recent)
        file.addMenu(self._recent)
        file.addAction(act("File", "Paste", self._on_paste, "Ctrl+V", "paste"))
        file.addSeparator()
        file.addAction(act("File", "Quit", self.close, "Ctrl+Q", "quit"))

        view = self.menuBar().addMenu("&View")
        keys = page_shortcuts(self.entries.values())
        for entry in self.entries.values():
            go = act(
                "Go to", entry.title, lambda _=False, key=entry.key: self.show_page(key), keys[entry.key], entry.icon
            )
            view.addAction(go)
        view.addSeparator()
        self._toggle_jobs = act("View", "Jobs", self._on_jobs_toggled, "Ctrl+J", "jobs")
        view.addActions([self._toggle_inspector, self._toggle_jobs])
        view.addAction(act("View", "Next region", self._on_next_region, "F6"))
        view.addAction(act("View", "Command palette", self._on_palette, "Ctrl+K", "command"))
        view.addSeparator()
        themes = view.addMenu("Theme")
        group = QActionGroup(self)
        for mode, text, icon in (
            ("system", "As the system", "settings"),
            ("light", "Light", "sun"),
            ("dark", "Dark", "moon"),
        ):
            choose = act("Theme", text, lambda _=False, mode=mode: self._on_theme(mode), "", icon, True)
            choose.setChecked(self.services.settings.current.theme == mode)
            group.addAction(choose)
            themes.addAction(choose)

        help_menu = self.menuBar().addMenu("&Help")
        help_menu.addAction(act("Help", "Shortcuts", self._on_shortcuts, "F1", "help"))
        help_menu.addAction(act("Help", "Licences", self._on_licences))
        help_menu.addAction(act("Help", f"About {NAME}", self._on_about, "", "info"))

    # Session

    def _restore(self) -> None:
        settings = self.services.settings.current
        if not (settings.geometry and self.restoreGeometry(QByteArray.fromBase64(settings.geometry.encode()))):
            self.resize(1280, 800)
        self._toggle_inspector.setChecked(settings.inspector_visible)
        self._inspector.setVisible(settings.inspector_visible)
        self._drawer.setVisible(settings.jobs_visible)
        self.show_page(settings.page if settings.page in self.entries else next(iter(self.entries), ""))

    def closeEvent(self, event: QCloseEvent) -> None:
        active = self.services.jobs.active
        if active and not self._leaving and not self._confirm_quit(len(active)):
            event.ignore()
            return
        self._after_paint.stop()
        self._engine_start.stop()
        self._next_step.stop()
        self.services.settings.update(geometry=bytes(self.saveGeometry().toBase64().data()).decode())
        for page in self.pages.values():
            # A page that owns more than requests and jobs, for example a training process, ends it here.
            leave = getattr(page, "shutdown", None)
            if leave is not None:
                leave()
        self.services.shutdown()
        event.accept()

    def close_without_asking(self) -> None:
        """Close even if jobs run: they are cancelled."""
        self._leaving = True
        self.close()

    def _confirm_quit(self, count: int) -> bool:
        from PySide6.QtWidgets import QMessageBox

        box = QMessageBox(self)
        box.setWindowTitle("Quit")
        box.setText(f"{count} job{' is' if count == 1 else 's are'} not finished.")
        box.setInformativeText(
            "Quitting cancels what runs. Files that are complete stay, and a training run can be resumed."
        )
        leave = box.addButton("Cancel jobs and quit", QMessageBox.ButtonRole.DestructiveRole)
        stay = box.addButton("Keep working", QMessageBox.ButtonRole.RejectRole)
        box.setDefaultButton(stay)
        box.exec()
        return box.clickedButton() is leave

    def event(self, event: QEvent) -> bool:
        handled = super().event(event)
        if event.type() == QEvent.Type.Paint and not self._painted:
            self._painted = True
            # After the events that put the picture on the screen, not in the middle of painting.
            self._after_paint.start(0)
        return handled

    def _on_first_painted(self) -> None:
        self.show_page(self.current)
        for fault in self.services.settings.faults:
            self.services.notices.info(f"A setting was left at its default: {fault}")

    def _on_engine_state(self, state: str) -> None:
        if state != "loading":
            self._read_ahead.start()

    def _on_read_ahead(self) -> None:
        """Import one module of a page that was not opened yet, so that opening it later takes half as long."""
        while self._unread:
            name = self._unread.pop(0)
            if name not in sys.modules:
                # What is wrong with a page is said when it is opened.
                with contextlib.suppress(Exception):
                    importlib.import_module(name)
                return
        self._read_ahead.stop()

    # What people do

    def _on_open(self) -> None:
        from PySide6.QtWidgets import QFileDialog

        folder = self.services.settings.current.last_folder
        names, _ = QFileDialog.getOpenFileNames(self, "Open", folder)
        self.open_paths([Path(name) for name in names])

    def _on_paste(self) -> None:
        page = self.pages.get(self.current)
        if page is not None:
            page.paste()

    def _fill_recent(self) -> None:
        self._recent.clear()
        for text in self.services.settings.current.recent_files:
            action = self._recent.addAction(Path(text).name)
            action.setToolTip(text)
            action.setEnabled(Path(text).exists())
            action.triggered.connect(lambda _=False, path=Path(text): self.open_paths([path]))
        if self._recent.isEmpty():
            self._recent.addAction("Nothing yet").setEnabled(False)

    def _on_inspector(self) -> None:
        visible = self._toggle_inspector.isChecked()
        self._inspector.setVisible(visible)
        self.services.settings.update(inspector_visible=visible)

    def _on_jobs_toggled(self) -> None:
        visible = self._drawer.isHidden()
        self._drawer.setVisible(visible)
        self.services.settings.update(jobs_visible=visible)

    def _on_show_jobs(self) -> None:
        if self._drawer.isHidden():
            self._on_jobs_toggled()

    def _on_show_error(self) -> None:
        notice = self.services.notices.last_error
        if notice is not None:
            DetailsDialog(notice, self).open()
            self.services.notices.clear_errors()

    def _on_jobs_changed(self) -> None:
        self._rail.show_jobs(len(self.services.jobs.active))
        self._show_title()

    def _show_title(self) -> None:
        parts = [NAME]
        if self.current in self.entries:
            parts.insert(0, self.entries[self.current].title)
        job = self.services.jobs.running
        if job is not None and job.fraction > 0:
            parts.insert(0, f"{job.fraction:.0%} {remaining_text(job.eta_seconds)}".strip())
        self.setWindowTitle(" · ".join(parts))

    @cached_property
    def palette_dialog(self) -> CommandPalette:
        """Every action by its name."""
        from gui.widgets.command_palette import CommandPalette

        return CommandPalette(self.all_actions, self)

    def _on_palette(self) -> None:
        self.palette_dialog.show_over(self)

    def _on_theme(self, mode: str) -> None:
        self.services.settings.update(theme=mode)
        self.services.theme.set_mode(mode)

    def _on_next_region(self) -> None:
        next_region([self._rail, self._header, self._canvas, self._inspector, self._drawer])

    def _on_shortcuts(self) -> None:
        from gui.widgets.help_dialogs import shortcuts

        shortcuts(self, self.all_actions()).open()

    def _on_licences(self) -> None:
        from gui.widgets.help_dialogs import licences

        licences(self).open()

    def _on_about(self) -> None:
        from gui.widgets.help_dialogs import about

        about(self, self.services.host.state_text).open()

    # Drag and drop

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if local_paths(event.mimeData()):
            event.acceptProposedAction()
            self._canvas.setProperty("dropping", True)
            self._restyle_canvas()

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        self._canvas.setProperty("dropping", False)
        self._restyle_canvas()

    def dropEvent(self, event: QDropEvent) -> None:
        self._canvas.setProperty("dropping", False)
        self._restyle_canvas()
        paths = local_paths(event.mimeData())
        if paths:
            event.acceptProposedAction()
            self.open_paths(paths)

    def _restyle_canvas(self) -> None:
        self._canvas.style().unpolish(self._canvas)
        self._canvas.style().polish(self._canvas)


def local_paths(data: QMimeData) -> list[Path]:
    """The files and folders of this machine that a drag or the clipboard carries."""
    return [Path(url.toLocalFile()) for url in data.urls() if isinstance(url, QUrl) and url.isLocalFile()]
