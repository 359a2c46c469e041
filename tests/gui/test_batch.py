"""The batch in the window: ten thousand rows, sorting, pause, choices, and a batch that was left unfinished."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from engine.batch.journal import journal_path, read_journal
from engine.batch.reports import FileResult, RowReport
from engine.batch.settings import OURS
from engine.compression.settings import Target
from engine.image import open_picture
from gui.controllers.batch_controller import PAGE, SETTINGS_KEY, BatchController, BatchOrder
from gui.controllers.compress_settings import SharedSettings, SideSettings
from gui.services.context import Services
from gui.services.notices import Notice
from gui.widgets.batch_panel import AFTER, NAME, STATE, BatchPanel
from tests.engine.batch_fixtures import contents, write_photo
from tests.engine.codec_fixtures import install_small_model

PATIENCE = 60_000


@pytest.fixture
def services(qtbot: QtBot, own_user_folders: None, tmp_path: Path) -> Iterator[Services]:
    install_small_model()
    services = Services.create(tmp_path / "settings.toml")
    services.host.start()
    yield services
    services.shutdown()


def panel_of(services: Services, qtbot: QtBot) -> tuple[BatchController, BatchPanel]:
    controller = BatchController(services)
    controller.set_choice(jobs=1)
    panel = BatchPanel(controller, services)
    qtbot.addWidget(panel)
    controller.setParent(panel)
    panel.resize(900, 400)
    panel.show()
    return controller, panel


def add(controller: BatchController, qtbot: QtBot, *paths: Path, count: int) -> None:
    controller.add_paths(paths)
    qtbot.waitUntil(lambda: not controller.listing and len(controller.rows) == count, timeout=PATIENCE)


def column(panel: BatchPanel, number: int) -> list[str]:
    return [panel.model.index(row, number).data() for row in range(panel.model.rowCount())]


def finished(controller: BatchController, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: not controller.running, timeout=PATIENCE)


def test_ten_thousand_rows_come_in_portions_sort_and_change(services: Services, qtbot: QtBot, tmp_path: Path) -> None:
    for folder in range(10):
        (tmp_path / f"in/{folder}").mkdir(parents=True)
        for number in range(1000):
            (tmp_path / f"in/{folder}/{number:04}.jpg").write_bytes(bytes(number % 7))
    controller, panel = panel_of(services, qtbot)
    portions: list[int] = []
    controller.rows_reset.connect(lambda: portions.append(len(controller.rows)))
    controller.rows_added.connect(lambda first, last: portions.append(last - first + 1))
    add(controller, qtbot, tmp_path / "in", count=10_000)
    assert len(portions) > 5 and max(portions) < 2000 and sum(portions) == 10_000
    assert panel.model.rowCount() == 10_000
    # All rows change, and the window is told once.
    told: list[object] = []
    panel.model.dataChanged.connect(lambda *_: told.append(1))
    controller._told.extend(
        RowReport(index, "done", FileResult(Path("x"), False, 100, index % 977, 0, 8, 8, 50.0, 1.0, 30.0, 0.9))
        for index in range(10_000)
    )
    controller._timer.start()
    qtbot.waitUntil(lambda: controller.totals.finished == 10_000, timeout=PATIENCE)
    assert len(told) == 1
    panel.table.sortByColumn(AFTER, Qt.SortOrder.DescendingOrder)
    sizes = [panel.model.row_at(panel.model.index(row, 0)).after or 0 for row in range(10_000)]
    assert sizes == sorted(sizes, reverse=True)
    panel.table.selectRow(5)
    chosen = panel.model.row_at(panel.table.currentIndex()).source
    panel.table.sortByColumn(NAME, Qt.SortOrder.AscendingOrder)
    assert panel.model.row_at(panel.table.currentIndex()).source == chosen


def test_choices_make_the_files(services: Services, qtbot: QtBot, tmp_path: Path) -> None:
    for number in range(3):
        write_photo(tmp_path / f"in/{number}.png", number, size=(160, 120))
    controller, panel = panel_of(services, qtbot)
    add(controller, qtbot, tmp_path / "in", count=3)
    panel.format_box.setCurrentIndex(panel.format_box.findData("jpeg"))
    panel.format_box.activated.emit(panel.format_box.currentIndex())
    assert controller.choice.aim == "quality" and panel.value_box.isVisible()
    panel.aim_box.setCurrentIndex(panel.aim_box.findData("size"))
    panel.aim_box.activated.emit(panel.aim_box.currentIndex())
    panel.value_box.setValue(4)
    panel.suffix_field.setText("-small")
    panel.suffix_field.editingFinished.emit()
    controller.set_target(tmp_path / "out")
    controller.start()
    finished(controller, qtbot)
    assert [row.state for row in controller.rows] == ["done"] * 3
    files = sorted(path for path in (tmp_path / "out/in").iterdir())
    assert [path.name for path in files] == [f"{number}-small.jpg" for number in range(3)]
    assert all(path.stat().st_size <= 4000 and open_picture(path).width == 160 for path in files)
    assert column(panel, STATE) == ["Done"] * 3 and "3 done" in controller.summary()
    # A later start of the program begins with the same choice.
    assert BatchController(services, panel).choice == controller.choice


def test_it_does_what_the_page_is_set_to(services: Services, qtbot: QtBot, tmp_path: Path) -> None:
    for number in range(2):
        write_photo(tmp_path / f"in/{number}.png", number, size=(160, 120))
    controller, panel = panel_of(services, qtbot)
    add(controller, qtbot, tmp_path / "in", count=2)
    assert controller.choice.format == PAGE and not panel.aim_box.isVisible()
    side = SideSettings("webp", target=Target("size", 3000))
    controller.set_order(BatchOrder(side, SharedSettings(longest_side=80, keep_metadata=False)))
    words = panel.order_label.text()
    assert "WebP, to 3 kB, at most 80 pixels a side, no metadata" in words
    controller.set_target(tmp_path / "out")
    controller.start()
    # What the page is set to later does not change a batch that runs.
    controller.set_order(BatchOrder())
    finished(controller, qtbot)
    files = sorted((tmp_path / "out/in").iterdir())
    assert [path.name for path in files] == ["0.webp", "1.webp"]
    assert all(path.stat().st_size <= 3000 and open_picture(path).width == 80 for path in files)


def test_pause_continue_and_retry(services: Services, qtbot: QtBot, tmp_path: Path) -> None:
    for number in range(8):
        write_photo(tmp_path / f"in/{number}.png", number)
    (tmp_path / "in/9.png").write_bytes(b"no picture")
    controller, panel = panel_of(services, qtbot)
    add(controller, qtbot, tmp_path / "in", count=9)
    controller.set_target(tmp_path / "out")
    controller.start()
    controller.pause()
    assert panel.pause_button.text() == "Continue" and not panel.start_button.isVisible()
    qtbot.waitUntil(lambda: controller._job is not None and controller._job.message == "Paused", timeout=PATIENCE)
    held = controller.totals.finished
    assert "paused" in controller.summary() and held < 8
    QTest.mouseClick(panel.pause_button, Qt.MouseButton.LeftButton)
    finished(controller, qtbot)
    assert controller.totals.finished == 8 and controller.totals.count("failed") == 1
    assert panel.start_button.text() == "Retry 1"
    write_photo(tmp_path / "in/9.png", 9)
    controller.retry_failed()
    finished(controller, qtbot)
    assert controller.totals.finished == 9
    record = read_journal(journal_path(tmp_path / "out"))
    assert record is not None and record.complete
    assert services.settings.page(SETTINGS_KEY)["journal"] == ""


def test_an_unfinished_batch_is_offered_by_the_next_start(services: Services, qtbot: QtBot, tmp_path: Path) -> None:
    for number in range(12):
        write_photo(tmp_path / f"in/{number:02}.png", number)
    controller, _panel = panel_of(services, qtbot)
    add(controller, qtbot, tmp_path / "in", count=12)
    controller.set_choice(format=OURS, aim="quality", value=33.0)
    controller.set_target(tmp_path / "out")
    controller.start()
    qtbot.waitUntil(lambda: controller.totals.finished > 0, timeout=PATIENCE)
    controller.cancel()
    finished(controller, qtbot)
    done = controller.totals.finished
    assert 0 < done < 12

    notices: list[Notice] = []
    services.notices.posted.connect(notices.append)
    later, panel = panel_of(services, qtbot)
    qtbot.waitUntil(lambda: bool(notices), timeout=PATIENCE)
    assert notices[0].title == "A batch was not finished" and "of 12 files" in notices[0].text
    name, show = notices[0].actions[0]
    assert name == "Show"
    show()
    assert later.totals.finished >= done and later.target == tmp_path / "out" and later.choice.value == 33.0
    assert panel.start_button.text() == "Continue"
    later.set_order(BatchOrder(SideSettings(quality=80.0)))
    later.start()
    finished(later, qtbot)
    assert [row.state for row in later.rows] == ["done"] * 12
    # The same files as of a batch that nobody stopped.
    whole, _ = panel_of(services, qtbot)
    add(whole, qtbot, tmp_path / "in", count=12)
    whole.set_choice(format=OURS, aim="quality", value=33.0)
    whole.set_target(tmp_path / "whole")
    whole.start()
    finished(whole, qtbot)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_a_target_that_cannot_be_written_is_said_and_can_be_changed(
    services: Services, qtbot: QtBot, tmp_path: Path
) -> None:
    write_photo(tmp_path / "in/1.png", 1)
    write_photo(tmp_path / "in/2.png", 2)
    (tmp_path / "file").write_text("in the way")
    controller, panel = panel_of(services, qtbot)
    add(controller, qtbot, tmp_path / "in", count=2)
    controller.set_target(tmp_path / "file/out")
    controller.start()
    finished(controller, qtbot)
    assert [row.state for row in controller.rows] == ["failed", "waiting"]
    assert "cannot be made" in controller.rows[0].problem and "cannot be made" in panel._trouble.text()
    controller.set_target(tmp_path / "out")
    controller.start()
    finished(controller, qtbot)
    assert [row.state for row in controller.rows] == ["done", "done"] and not panel._trouble.isVisible()


def test_two_processes_work_for_the_window(services: Services, qtbot: QtBot, tmp_path: Path) -> None:
    for number in range(4):
        write_photo(tmp_path / f"in/{number}.png", number)
    controller, _ = panel_of(services, qtbot)
    add(controller, qtbot, tmp_path / "in", count=4)
    controller.set_choice(jobs=2)
    controller.set_target(tmp_path / "out")
    controller.start()
    finished(controller, qtbot)
    assert [row.state for row in controller.rows] == ["done"] * 4


def test_results_of_an_earlier_batch_are_not_taken_for_photos(services: Services, qtbot: QtBot, tmp_path: Path) -> None:
    write_photo(tmp_path / "in/1.jpg", 1)
    write_photo(tmp_path / "in/compressed/in/1.jpg", 1)
    controller, _ = panel_of(services, qtbot)
    add(controller, qtbot, tmp_path / "in", count=1)
    assert controller.target == tmp_path / "in/compressed"
    # A folder that the person chose may hold photos too.
    controller.set_target(tmp_path)
    write_photo(tmp_path / "more/2.jpg", 2)
    add(controller, qtbot, tmp_path / "more", count=2)
