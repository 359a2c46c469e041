"""The window as a whole: pages, keys, palette, drop, session, closing, accessibility."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from PySide6.QtCore import QEvent, QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QAction, QDropEvent
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QLineEdit,
    QMessageBox,
    QScrollBar,
    QTextEdit,
    QWidget,
)
from pytestqt.qtbot import QtBot

from engine.errors import PictureError
from engine.paths import resources
from gui.main_window import MainWindow
from gui.page_registry import PAGES, PageEntry
from gui.services.context import Services
from gui.widgets.command_palette import match
from gui.widgets.jobs_drawer import JobsDrawer
from gui.widgets.toast import DetailsDialog, Toast

KEYS = [page.key for page in PAGES]
CONTROLS = (
    QAbstractButton, QAbstractSlider, QAbstractSpinBox, QComboBox, QLineEdit, QAbstractItemView, QTextEdit,
)  # fmt: skip


class Recorder(QWidget):
    """A page that notes what the window hands to it."""

    title, icon_name = "Recorder", "image"

    def __init__(self) -> None:
        super().__init__()
        self.opened: list[Path] = []
        self.pastes = 0
        self.panel = QWidget()
        self.action = QAction("Do it", self)

    def page_actions(self) -> list[QAction]:
        return [self.action]

    def inspector(self) -> QWidget:
        return self.panel

    def open_paths(self, paths: list[Path]) -> None:
        self.opened += paths

    def paste(self) -> None:
        self.pastes += 1


class RecorderEntry(PageEntry):
    """Builds a `Recorder` without a module of its own."""

    def create(self, services: Services):
        yield
        return Recorder()


class BrokenEntry(PageEntry):
    """A page that cannot be built."""

    def create(self, services: Services):
        yield
        raise PictureError("The page's sample is damaged.", "Install again.")


@pytest.fixture
def plain(services: Services, qtbot: QtBot):
    """A window of two recorders and a broken page."""
    entries = [RecorderEntry("one", "One", "image", ""), RecorderEntry("two", "Two", "grid", ""),
               BrokenEntry("broken", "Broken", "warning", "")]  # fmt: skip
    made = MainWindow(services, entries)
    with qtbot.waitSignal(made.page_shown, timeout=20_000):
        made.show()
    yield made
    made.close_without_asking()


def recorder(window: MainWindow, key: str) -> Recorder:
    page = window.pages[key]
    assert isinstance(page, Recorder)
    return page


def test_pages_are_built_when_first_shown(plain: MainWindow, qtbot: QtBot) -> None:
    assert set(plain.pages) == {"one"}
    qtbot.keyClick(plain, Qt.Key.Key_2, Qt.KeyboardModifier.ControlModifier)
    assert plain.current == "two" and plain.windowTitle() == "Two · Latent Studio"
    qtbot.waitUntil(lambda: recorder_shown(plain, "two"))
    assert set(plain.pages) == {"one", "two"}


def recorder_shown(window: MainWindow, key: str) -> bool:
    return key in window.pages and recorder(window, key).isVisible() and recorder(window, key).panel.isVisible()


def test_a_page_left_while_it_is_built_is_finished_when_it_is_wanted_again(plain: MainWindow, qtbot: QtBot) -> None:
    plain.show_page("two")
    plain.show_page("one")
    QApplication.processEvents()
    assert recorder_shown(plain, "one") and set(plain.pages) == {"one"}
    plain.show_page("two")
    qtbot.waitUntil(lambda: recorder_shown(plain, "two"))


def test_files_dropped_while_a_page_is_built_are_opened_by_it(plain: MainWindow, qtbot: QtBot, tmp_path: Path) -> None:
    plain.show_page("two")
    plain.open_paths([tmp_path])
    qtbot.waitUntil(lambda: "two" in plain.pages and recorder(plain, "two").opened == [tmp_path])
    assert recorder(plain, "one").opened == []


def test_a_page_that_cannot_be_built_says_why_and_the_others_work(plain: MainWindow, qtbot: QtBot) -> None:
    plain.show_page("broken")
    qtbot.waitUntil(lambda: plain.findChild(Toast) is not None)
    toast = plain.findChild(Toast)
    assert toast is not None and "sample is damaged" in toast.accessibleName()
    plain.page("two")
    assert recorder(plain, "two").isVisible()


def test_dropped_files_reach_the_page_in_view(plain: MainWindow, tmp_path: Path) -> None:
    plain.page("two")
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(tmp_path)), QUrl("https://example.org/a.png")])
    event = QDropEvent(
        QPointF(400, 300), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    )
    plain.dropEvent(event)
    assert recorder(plain, "two").opened == [tmp_path]
    assert recorder(plain, "one").opened == []


def test_paths_given_before_the_first_paint_are_opened(services: Services, qtbot: QtBot, tmp_path: Path) -> None:
    window = MainWindow(services, [RecorderEntry("one", "One", "image", "")])
    window.open_paths([tmp_path / "a.png"])
    with qtbot.waitSignal(window.page_shown, timeout=20_000):
        window.show()
    qtbot.waitUntil(lambda: recorder(window, "one").opened == [tmp_path / "a.png"])
    window.close_without_asking()


def test_the_command_palette_finds_and_runs_actions(plain: MainWindow, qtbot: QtBot) -> None:
    ran = []
    recorder(plain, "one").action.triggered.connect(lambda: ran.append(True))
    qtbot.keyClick(plain, Qt.Key.Key_K, Qt.KeyboardModifier.ControlModifier)
    palette = plain.palette_dialog
    assert palette.isVisible()
    qtbot.keyClicks(palette.field, "do it")
    qtbot.keyClick(palette.field, Qt.Key.Key_Return)
    assert ran == [True] and not palette.isVisible()
    plain.palette_dialog.show_over(plain)
    qtbot.keyClicks(palette.field, "dark")
    qtbot.keyClick(palette.field, Qt.Key.Key_Return)
    assert plain.services.theme.is_dark and plain.services.settings.current.theme == "dark"


def test_matching_prefers_what_was_typed_in_one_piece() -> None:
    scores = {title: match("save", title) for title in ("Save grid", "Go to: Segment a view", "Open")}
    assert scores["Open"] is None
    assert scores["Save grid"] is not None and scores["Go to: Segment a view"] is not None
    assert scores["Save grid"] < scores["Go to: Segment a view"]


def test_jobs_drawer_and_inspector_toggle_and_are_remembered(plain: MainWindow, qtbot: QtBot) -> None:
    drawer = plain.findChild(JobsDrawer)
    assert drawer is not None and not drawer.isVisible()
    qtbot.keyClick(plain, Qt.Key.Key_J, Qt.KeyboardModifier.ControlModifier)
    assert drawer.isVisible()
    panel = recorder(plain, "one").panel
    assert panel.isVisible()
    qtbot.keyClick(plain, Qt.Key.Key_I, Qt.KeyboardModifier.ControlModifier)
    assert not panel.isVisible()
    settings = plain.services.settings.current
    assert (settings.jobs_visible, settings.inspector_visible) == (True, False)


def test_page_and_size_come_back_after_a_restart(qtbot: QtBot, tmp_path: Path) -> None:
    entries = [RecorderEntry("one", "One", "image", ""), RecorderEntry("two", "Two", "grid", "")]
    sizes = []
    for _ in range(2):
        services = Services.create(tmp_path / "settings.toml")
        window = MainWindow(services, entries)
        with qtbot.waitSignal(window.page_shown, timeout=20_000):
            window.show()
        sizes.append((window.size().toTuple(), window.current))
        window.resize(1024, 712)
        window.page("two")
        window.close_without_asking()
        window.deleteLater()
    assert sizes == [((1280, 800), "one"), ((1024, 712), "two")]


def test_f6_walks_through_the_regions(plain: MainWindow, qtbot: QtBot) -> None:
    visited = []
    for _ in range(3):
        qtbot.keyClick(plain, Qt.Key.Key_F6)
        focus = QApplication.focusWidget()
        visited.append(next(name for name in ("Rail", "Header", "Recorder", "Central") if _inside(focus, name)))
    assert visited[:2] == ["Rail", "Header"]
    assert visited[2] == "Rail", "regions without a control are skipped"


def _inside(widget: QWidget | None, name: str) -> bool:
    while widget is not None:
        if type(widget).__name__ == name:
            return True
        widget = widget.parentWidget()
    return name == "Central"


def test_closing_asks_while_jobs_run_and_then_stops_them(plain: MainWindow, qtbot: QtBot, monkeypatch) -> None:
    plain.services.host.start()
    running = threading.Event()

    def work(progress, cancel) -> None:
        running.set()
        while True:
            cancel.raise_if_cancelled()
            threading.Event().wait(0.005)

    plain.services.jobs.submit("Long", work)
    assert running.wait(60)
    answers = iter([False, True])
    asked = []

    def answer(box: QMessageBox) -> int:
        asked.append(box.text())
        leave = next(answers)
        chosen = next(button for button in box.buttons() if button.text().endswith("quit") == leave)
        monkeypatch.setattr(box, "clickedButton", lambda: chosen, raising=False)
        return 0

    monkeypatch.setattr(QMessageBox, "exec", answer)
    assert not plain.close() and plain.isVisible()
    assert plain.close()
    assert asked == ["1 job is not finished."] * 2
    assert "jobs" not in {thread.name for thread in threading.enumerate()}


def test_errors_become_toasts_counted_collapsed_and_explained(plain: MainWindow, qtbot: QtBot) -> None:
    notices = plain.services.notices
    for _ in range(3):
        notices.error(PictureError("broken.png is no picture.", "Choose another file."), "Open")
    notices.error(ZeroDivisionError("division by zero"), "Compress")
    assert [toast.notice.count for toast in plain.toasts.toasts] == [3, 1]
    assert notices.errors == 4
    area = plain.rect()
    assert all(area.contains(toast.geometry()) for toast in plain.toasts.toasts)
    plain._on_show_error()
    dialog = plain.findChild(DetailsDialog)
    assert dialog is not None and "ZeroDivisionError" in notices_text(dialog)
    assert notices.errors == 0
    dialog.close()
    for toast in list(plain.toasts.toasts):
        toast.leave()


def notices_text(dialog: DetailsDialog) -> str:
    return dialog._text.toPlainText()


@pytest.mark.parametrize("key", KEYS)
def test_every_control_of_every_page_has_a_name_and_can_be_reached(window: MainWindow, key: str) -> None:
    window.page(key)
    QApplication.processEvents()
    nameless = [describe(child) for child in controls(window) if not name_of(child)]
    assert nameless == []
    unreachable = [
        describe(child)
        for child in controls(window)
        if isinstance(child, (QAbstractButton, QAbstractSlider, QComboBox))
        and not child.focusPolicy() & Qt.FocusPolicy.TabFocus
    ]
    assert unreachable == []
    unknown = {name for _, name, *_ in window.services.theme._bound} - {
        path.stem for path in (resources() / "icons").glob("*.svg")
    }
    assert unknown == set(), "an icon that does not exist"


def controls(window: MainWindow) -> list[QWidget]:
    """The controls that a person can use, without the parts that Qt builds its own controls from."""
    return [
        child
        for child in window.findChildren(QWidget)
        if isinstance(child, CONTROLS)
        and child.isVisibleTo(window)
        and child.isEnabled()
        and not isinstance(child, QScrollBar)
        and not child.objectName().startswith("qt_")
        and not isinstance(child.parentWidget(), (QAbstractSpinBox, QComboBox, QAbstractItemView, QLineEdit))
    ]


def name_of(child: QWidget) -> str:
    text = child.text() if isinstance(child, QAbstractButton) else ""
    return child.accessibleName() or text


def describe(child: QWidget) -> str:
    path = []
    widget: QWidget | None = child
    while widget is not None:
        path.append(type(widget).__name__)
        widget = widget.parentWidget()
    return f"{' < '.join(path)} ({child.toolTip()})"


def test_the_window_follows_the_theme_on_every_page(window: MainWindow, qtbot: QtBot) -> None:
    for key in KEYS:
        window.page(key)
        for mode in ("dark", "light"):
            window.services.theme.set_mode(mode)
            QApplication.processEvents()
            picture = window.grab().toImage()
            edge = picture.pixelColor(4, picture.height() - 4)
            assert (edge.lightness() < 128) == (mode == "dark")


def test_nothing_moves_the_window_beyond_its_smallest_size(window: MainWindow) -> None:
    for key in KEYS:
        window.page(key)
        window.resize(1024, 680)
        QApplication.processEvents()
        assert window.size().toTuple() == (1024, 680), f"{key} does not fit"


def test_closing_the_window_leaves_no_thread(window: MainWindow, qtbot: QtBot) -> None:
    for key in KEYS:
        window.page(key)
    window.close_without_asking()
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
    assert not {"engine", "files", "jobs"} & {thread.name for thread in threading.enumerate()}
