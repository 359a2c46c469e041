"""A batch: one bad file stops nothing, a kill loses nothing, originals are never touched, each row says how it went."""

from __future__ import annotations

import csv
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image

from engine.batch.encoding import FileWorker
from engine.batch.journal import Journal, journal_path, read_journal, unfinished
from engine.batch.plan import Row, distinct, list_rows, parse_shard, plan_tasks
from engine.batch.reports import FileResult, RowReport, Totals, write_table
from engine.batch.runner import BatchRunner, Pause, prepare
from engine.batch.settings import FORMATS, BatchSettings
from engine.batch.workers import Processes
from engine.compression import Target, inspect
from engine.errors import Cancelled, LatentStudioError, PictureError, UsageError
from engine.image import PICTURE_SUFFIXES, open_picture
from engine.progress import CancelToken
from tests.engine.batch_fixtures import contents, listed, noise, runner_for, write_mixed, write_photo
from tests.engine.codec_fixtures import install_small_model

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def small_codec(own_user_folders: None) -> None:
    install_small_model()


def states(rows: list[Row], totals: Totals, root: Path) -> dict[str, str]:
    return {str(rows[report.index].source.relative_to(root)): report.state for report in totals.reports()}


# -- the plan


def test_folders_are_listed_in_portions_without_hidden_entries(tmp_path: Path) -> None:
    expected = write_mixed(tmp_path / "photos")
    portions = list(list_rows([tmp_path / "photos"], PICTURE_SUFFIXES, portion=4))
    assert [len(portion) for portion in portions[:-1]] == [4] * (len(portions) - 1)
    rows = [row for portion in portions for row in portion]
    assert {str(row.source.relative_to(tmp_path / "photos")) for row in rows} == set(expected)
    assert all(row.size == row.source.stat().st_size for row in rows)
    named = [row for portion in list_rows([tmp_path / "photos"], PICTURE_SUFFIXES, keep_root=True) for row in portion]
    assert {row.stem for row in named} == {Path("photos") / row.stem for row in rows}


def test_the_first_rows_come_before_the_last_folder_is_read(tmp_path: Path) -> None:
    write_photo(tmp_path / "a/one.png")
    (tmp_path / "b").mkdir()
    found = list_rows([tmp_path], PICTURE_SUFFIXES, portion=1)
    assert next(found)[0].source.name == "one.png"
    write_photo(tmp_path / "b/two.png")
    assert next(found)[0].source.name == "two.png"


def test_a_folder_that_goes_away_while_it_is_listed_is_named(tmp_path: Path) -> None:
    write_photo(tmp_path / "a/one.png")
    write_photo(tmp_path / "b/two.png")
    problems: list[LatentStudioError] = []
    found = list_rows([tmp_path], PICTURE_SUFFIXES, portion=1, unreadable=problems.append)
    next(found)
    shutil.rmtree(tmp_path / "b")
    assert list(found) == []
    assert str(tmp_path / "b") in str(problems[0])


def test_names_of_results_never_meet_each_other_nor_an_original(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.png", "A.webp", "b.png", "a-1.jpg"):
        write_photo(tmp_path / name)
    rows = listed(tmp_path)
    tasks = plan_tasks(rows, BatchSettings(format="jpeg", skip_gain=5), "replace")
    originals = {str(row.source).casefold() for row in rows}
    targets = [str(task.target).casefold() for task in tasks]
    copies = [str(task.copy).casefold() for task in tasks if task.copy != task.source]
    assert len({*targets, *copies}) == len(set(targets)) + len(set(copies) - set(targets))
    assert len(set(targets)) == len(rows) and not originals & {*targets, *copies}
    below = plan_tasks(rows, BatchSettings(folder=tmp_path / "out", suffix="-small"), "refuse")
    names = ["A-small.lsi", "a-1-small.lsi", "a-small-1.lsi", "a-small-2.lsi", "b-small.lsi"]
    assert [task.target.name for task in below] == names


def test_results_that_lie_there_are_numbered_around_or_refused(tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "photo.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/photo.lsi").write_bytes(b"somebody's")
    settings = BatchSettings(folder=tmp_path / "out")
    (numbered,) = plan_tasks(listed(photo), settings, "number")
    assert numbered.target.name == "photo-1.lsi"
    totals = runner_for(listed(photo), settings).run()
    assert "exists already" in totals.reports()[0].problem
    assert (tmp_path / "out/photo.lsi").read_bytes() == b"somebody's"


def test_a_file_named_twice_is_one_row(tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "in/photo.png")
    assert [row.source for row in distinct(listed(photo, tmp_path / "in", photo))] == [photo]


def test_shards_share_the_rows_and_the_names(tmp_path: Path) -> None:
    for number in range(7):
        write_photo(tmp_path / f"in/{number % 3}/x{number // 3}.{'png' if number % 2 else 'jpg'}", number)
    rows, settings = listed(tmp_path / "in"), BatchSettings(format="webp", folder=tmp_path / "out")
    for number in (2, 1, 3):
        shard = (number, 3)
        prepared = prepare(
            rows, settings, existing="refuse", journal=journal_path(settings.folder, shard=shard), shard=shard
        )
        assert BatchRunner(prepared, settings).run().finished == len(prepared.rows)
    whole = replace(settings, folder=tmp_path / "whole")
    assert runner_for(rows, whole).run().finished == 7
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    for wrong in ("0/2", "3/2", "2", "a/b", "1/0"):
        with pytest.raises(UsageError, match="no shard"):
            parse_shard(wrong)


# -- settings


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"format": "gif"}, "no output format"),
        ({"quality": 101.0}, "quality is 101"),
        ({"effort": 4}, "effort is 4"),
        ({"skip_gain": 100.0}, "least gain"),
        ({"suffix": "../up"}, "part of a file name"),
        ({"format": "png", "target": Target("size", 1000)}, "loses nothing"),
        ({"format": "avif", "focus": "mask.png"}, "knows no focus"),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        BatchSettings(**wrong)


def test_settings_travel_as_json_and_their_digest_tells_what_matters(tmp_path: Path) -> None:
    settings = BatchSettings("avif", target=Target("psnr", 38.5), folder=tmp_path, suffix="-s", skip_gain=3.0)
    assert BatchSettings.from_plain(json.loads(json.dumps(settings.to_plain()))) == settings
    assert replace(settings, folder=None).digest == settings.digest
    others = (
        replace(settings, format="webp"), replace(settings, target=Target("psnr", 38.6)),
        replace(settings, skip_gain=None), replace(settings, keep_place=True),
    )  # fmt: skip
    assert len({settings.digest, *(other.digest for other in others)}) == 5


# -- what comes of files


def test_bad_files_stop_nothing_and_originals_stay(tmp_path: Path) -> None:
    expected = write_mixed(tmp_path / "in")
    before = contents(tmp_path / "in" / "trip")
    rows, settings = listed(tmp_path / "in"), BatchSettings(quality=40, folder=tmp_path / "out")
    told: list[RowReport] = []
    totals = runner_for(rows, settings, report=told.extend).run()
    assert states(rows, totals, tmp_path / "in") == expected
    assert contents(tmp_path / "in" / "trip") == before
    for report in totals.reports():
        source = rows[report.index].source
        assert [one.state for one in told if one.index == report.index] == ["running", report.state]
        if report.result is None:
            assert source.name in report.problem and report.problem.endswith(".")
            continue
        data = report.result.target.read_bytes()
        assert inspect(data).quality == 40 and len(data) == report.result.after
        assert report.result.before == source.stat().st_size and report.seconds > 0
        assert 0 < report.result.psnr < 100 and 0 <= report.result.ms_ssim <= 1
        assert report.result.target.parent.relative_to(tmp_path / "out") == source.parent.relative_to(tmp_path / "in")
    assert totals.before == sum(rows[r.index].size or 0 for r in totals.reports() if r.state == "done")
    record = read_journal(journal_path(settings.folder))
    assert record is not None and record.complete and unfinished(record.path) is None


@pytest.mark.parametrize("format", [name for name in FORMATS if name != "lsi"])
def test_every_format_is_written_and_measured(tmp_path: Path, format: str) -> None:
    photo = write_photo(tmp_path / "photo.png", size=(96, 64))
    totals = runner_for(listed(photo), BatchSettings(format=format, quality=80, folder=tmp_path / "out")).run()
    (report,) = totals.reports()
    assert report.state == "done" and report.result is not None, report.problem
    assert report.result.target == tmp_path / f"out/photo{FORMATS[format]}"
    written = open_picture(report.result.target)
    assert (written.width, written.height) == (96, 64)
    assert math.isinf(report.result.psnr) == (format == "png")


@pytest.mark.parametrize("target", [Target("size", 2000), Target("bpp", 2.0), Target("psnr", 30.0)])
def test_targets_are_reached_by_classic_codecs_too(tmp_path: Path, target: Target) -> None:
    photo = write_photo(tmp_path / "photo.png", size=(96, 64))
    (report,) = runner_for(
        listed(photo), BatchSettings(format="jpeg", target=target, folder=tmp_path / "out")
    ).run().reports()  # fmt: skip
    assert report.result is not None, report.problem
    if target.kind == "psnr":
        assert report.result.psnr >= 30
    else:
        assert report.result.after <= (2000 if target.kind == "size" else 2.0 * 96 * 64 / 8)
    impossible = BatchSettings(format="jpeg", target=Target("size", 10), folder=tmp_path / "no")
    assert "10 were asked for" in runner_for(listed(photo), impossible).run().reports()[0].problem


def test_originals_are_copied_where_the_gain_is_too_small(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    hard, easy = noise(tmp_path / "in/hard.jpg"), write_photo(tmp_path / "in/easy.png", size=(128, 96))
    rows = listed(tmp_path / "in")
    settings = BatchSettings(format="jpeg", quality=70, skip_gain=10, folder=tmp_path / "out")
    totals = runner_for(rows, settings).run()
    assert states(rows, totals, tmp_path / "in") == {"hard.jpg": "copied", "easy.png": "done"}
    copied = next(report for report in totals.reports() if report.state == "copied")
    assert (tmp_path / "out/hard.jpg").read_bytes() == hard.read_bytes()
    assert "original was kept" in copied.problem and math.isinf(copied.result.psnr)
    assert totals.saved == easy.stat().st_size - (tmp_path / "out/easy.jpg").stat().st_size
    # Beside the original there is nothing to copy.
    beside = replace(settings, folder=None)
    prepared = prepare(listed(hard), beside, existing="refuse")
    (kept,) = BatchRunner(prepared, beside).run().reports()
    assert kept.state == "copied" and kept.result is not None and kept.result.target == hard
    assert sorted(path.name for path in (tmp_path / "in").iterdir()) == ["easy.png", "hard.jpg"]


def test_a_copy_says_that_it_holds_metadata_that_was_not_wanted(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Camera maker"
    pixels = Image.effect_noise((64, 64), 90).convert("RGB")
    pixels.save(tmp_path / "tagged.jpg", quality=20, exif=exif)
    settings = BatchSettings(format="jpeg", quality=90, skip_gain=5, keep_metadata=False, folder=tmp_path / "out")
    (report,) = runner_for(listed(tmp_path / "tagged.jpg"), settings).run().reports()
    assert report.state == "copied" and report.problem.endswith("Its metadata is in it.")


def test_an_original_that_changes_while_it_is_compressed_is_not_kept_for_the_new_one(tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "photo.png", 1)
    settings = BatchSettings(folder=tmp_path)
    (task,) = plan_tasks(listed(photo), settings, "refuse")
    worker = FileWorker(settings, "cpu", 1)
    with pytest.raises(PictureError, match="changed while it was compressed"):
        worker.run(task, lambda _: os.utime(photo, ns=(1, 1)))
    assert not task.target.exists()
    assert worker.run(task).after == task.target.stat().st_size


def test_the_result_of_an_original_that_goes_meanwhile_is_kept(tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "photo.png", 1)
    settings = BatchSettings(folder=tmp_path, skip_gain=99)
    (task,) = plan_tasks(listed(photo), settings, "refuse")
    result = FileWorker(settings, "cpu", 1).run(task, lambda _: photo.unlink(missing_ok=True))
    assert "removed while it was compressed" in result.remark
    assert task.target.stat().st_size == result.after and not result.copied


def test_an_original_that_is_gone_before_its_turn_is_said_in_its_row(tmp_path: Path) -> None:
    first, second = write_photo(tmp_path / "in/1.png", 1), write_photo(tmp_path / "in/2.png", 2)
    rows, settings = listed(tmp_path / "in"), BatchSettings(format="webp", folder=tmp_path / "out")
    totals = runner_for(rows, settings, report=lambda _: second.unlink(missing_ok=True)).run()
    assert states(rows, totals, tmp_path / "in") == {"1.png": "done", "2.png": "failed"}
    assert "There is no file" in totals.reports()[1].problem
    # Back again, it is done by the next run; the other one is not done twice.
    shutil.copy(first, second)
    again = runner_for(rows, settings, resume=True).run()
    assert [(report.state, report.earlier) for report in again.reports()] == [("done", True), ("done", False)]


# -- the journal


def test_a_second_run_does_only_what_changed(tmp_path: Path) -> None:
    for number in range(4):
        write_photo(tmp_path / f"in/{number}.png", number)
    rows, settings = listed(tmp_path / "in"), BatchSettings(format="webp", folder=tmp_path / "out")
    runner_for(rows, settings).run()
    write_photo(rows[1].source, 11)
    os.utime(rows[1].source, ns=(1, 1))
    (tmp_path / "out/2.webp").unlink()
    told: list[RowReport] = []
    totals = runner_for(listed(tmp_path / "in"), settings, resume=True, report=told.extend).run()
    assert totals.finished == 4
    assert sorted({report.index for report in told if report.state == "running"}) == [1, 2]
    assert [report.earlier for report in totals.reports()] == [True, False, False, True]
    other = runner_for(listed(tmp_path / "in"), replace(settings, quality=20), resume=True).run()
    assert not any(report.earlier for report in other.reports()) and other.finished == 4


def test_a_run_without_resume_forgets_nothing_for_a_later_one(tmp_path: Path) -> None:
    for number in range(3):
        write_photo(tmp_path / f"in/{number}.png", number)
    rows, settings = listed(tmp_path / "in"), BatchSettings(format="webp", folder=tmp_path / "out")
    runner_for(rows, settings).run()
    refused = runner_for(rows, settings).run()
    assert refused.count("failed") == 3 and "exists already" in refused.reports()[0].problem
    assert all(report.earlier for report in runner_for(rows, settings, resume=True).run().reports())


def test_a_file_of_somebody_else_is_not_replaced_by_a_resumed_batch(tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "in/photo.png")
    settings = BatchSettings(format="webp", folder=tmp_path / "out")
    runner_for(listed(photo), settings).run()
    (tmp_path / "out/photo.webp").write_bytes(b"put there later")
    (report,) = runner_for(listed(photo), settings, resume=True).run().reports()
    assert report.state == "failed" and "exists already" in report.problem
    assert (tmp_path / "out/photo.webp").read_bytes() == b"put there later"


@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_to_a_journal_costs_at_most_the_lines_it_hits(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "journal.jsonl"
    settings = BatchSettings(folder=tmp_path)
    rows = [Row(tmp_path / f"{number}.png", Path(str(number)), 10 + number) for number in range(5)]
    tasks = plan_tasks(rows, settings, "refuse")
    journal = Journal.begin(path, settings, rows, tasks)
    for index, row in enumerate(rows):
        journal.began(row, tasks[index].target)
        result = FileResult(tasks[index].target, False, 10 + index, 5, 7, 4, 4, 50.0, 2.5, 30.0, 0.9)
        journal.ended(row, RowReport(index, "done", result))
    journal.close(complete=True)
    whole = path.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    kind = data.draw(st.sampled_from(["cut", "flip", "insert"]))
    if kind == "cut":
        damaged, hit = whole[:place], whole[:place].count(b"\n")
        lost = set(range(hit, whole.count(b"\n")))
    else:
        noise_bytes = data.draw(st.binary(min_size=1, max_size=40))
        damaged = whole[:place] + noise_bytes + whole[place + (len(noise_bytes) if kind == "flip" else 0) :]
        first = whole[:place].count(b"\n")
        lost = set(range(first, first + whole[place : place + len(noise_bytes)].count(b"\n") + 1))
    path.write_bytes(damaged)
    record = read_journal(path)
    assert record is not None
    lines = whole.split(b"\n")
    for number, line in enumerate(lines[:-1]):
        entry = json.loads(line)
        if number in lost:
            continue
        if "end" in entry:
            assert record.ended[entry["end"]].result is not None
        if "row" in entry:
            assert entry["row"] in record.stems


def test_two_batches_do_not_work_at_one_journal(tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "photo.png")
    settings = BatchSettings(format="webp", folder=tmp_path / "out")
    rows = listed(photo)
    tasks = plan_tasks(rows, settings, "refuse")
    journal = Journal.begin(journal_path(settings.folder), settings, rows, tasks)
    with pytest.raises(UsageError, match="Another batch"):
        runner_for(rows, settings, resume=True).run()
    journal.close(complete=False)
    assert runner_for(rows, settings, resume=True).run().finished == 1


def test_names_that_are_no_text_survive_the_journal(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    try:
        write_photo(tmp_path / "plain.png").rename(tmp_path / name)
    except OSError:
        pytest.skip("this disk takes only names in UTF-8")
    settings = BatchSettings(format="webp", folder=tmp_path / "out")
    assert runner_for(listed(tmp_path / name), settings).run().finished == 1
    again = runner_for(listed(tmp_path / name), settings, resume=True).run()
    assert again.reports()[0].earlier
    write_table(tmp_path / "report.csv", listed(tmp_path / name), again.reports())
    assert (tmp_path / "report.csv").read_text(encoding="utf-8").count("\n") >= 2


# -- pause, cancel, processes


def test_a_paused_batch_begins_no_file_until_it_goes_on(tmp_path: Path) -> None:
    for number in range(4):
        write_photo(tmp_path / f"in/{number}.png", number)
    pause, paused, ended = Pause(), threading.Event(), []

    def report(reports: list[RowReport]) -> None:
        done = [one for one in reports if one.state == "done"]
        ended.extend(done)
        if done and len(ended) == 2:
            pause.pause()

    def progress(now) -> None:
        if now.message == "Paused":
            paused.set()

    settings = BatchSettings(format="webp", folder=tmp_path / "out")
    runner = runner_for(listed(tmp_path / "in"), settings, report=report, progress=progress, pause=pause)
    thread = threading.Thread(target=runner.run)
    thread.start()
    assert paused.wait(60)
    assert len(ended) == 2 and runner.totals.finished == 2
    pause.resume()
    thread.join(60)
    assert runner.totals.finished == 4


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_cancelled_batch_goes_on_where_it_was(tmp_path: Path, jobs: int) -> None:
    for number in range(6):
        write_photo(tmp_path / f"in/{number}.png", number, size=(128, 96))
    rows, cancel = listed(tmp_path / "in"), CancelToken()
    settings = BatchSettings(quality=30, folder=tmp_path / "out")

    def report(reports: list[RowReport]) -> None:
        if any(one.state == "done" for one in reports):
            cancel.cancel()

    runner = runner_for(rows, settings, jobs=jobs, report=report, cancel=cancel)
    with pytest.raises(Cancelled):
        runner.run()
    assert 1 <= runner.totals.finished < 6
    assert not list((tmp_path / "out").rglob("*.part"))
    record = unfinished(journal_path(settings.folder))
    assert record is not None and len(record.rows) == 6 and record.settings == settings
    totals = runner_for(rows, settings, resume=True, jobs=jobs).run()
    assert totals.finished == 6 and sum(report.earlier for report in totals.reports()) >= 1
    whole = replace(settings, folder=tmp_path / "whole")
    runner_for(rows, whole).run()
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


class KillsOnce(Processes):
    """Real processes, one of which is killed in the middle of a file, as often as is asked for."""

    def __init__(self, settings: BatchSettings, name: str, times: int) -> None:
        super().__init__(settings, 2, "cpu")
        self.name, self.times, self.killed = name, times, 0

    def give(self, worker: int, task) -> None:
        super().give(worker, task)
        if task.source.name == self.name and self.killed < self.times:
            self.killed += 1
            pid = self._processes[worker].pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize(("times", "state"), [(1, "done"), (2, "failed")])
def test_a_killed_process_costs_one_retry(tmp_path: Path, times: int, state: str) -> None:
    for number in range(5):
        write_photo(tmp_path / f"in/{number}.png", number)
    rows, settings = listed(tmp_path / "in"), BatchSettings(folder=tmp_path / "out")
    totals = runner_for(rows, settings, workers=KillsOnce(settings, "1.png", times)).run()
    expected = {f"{number}.png": "done" for number in range(5)} | {"1.png": state}
    assert states(rows, totals, tmp_path / "in") == expected
    if state == "failed":
        assert "ended twice" in totals.reports()[1].problem
    assert not list((tmp_path / "out").rglob("*.part"))


def test_processes_give_the_same_files_as_one(tmp_path: Path) -> None:
    expected = write_mixed(tmp_path / "in")
    rows = listed(tmp_path / "in")
    one, two = (BatchSettings(quality=55, folder=tmp_path / name) for name in ("one", "two"))
    first, second = runner_for(rows, one).run(), runner_for(rows, two, jobs=2).run()
    assert states(rows, second, tmp_path / "in") == expected == states(rows, first, tmp_path / "in")
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    for mine, theirs in zip(first.reports(), second.reports(), strict=True):
        assert mine.problem == theirs.problem
        if mine.result is not None and theirs.result is not None:
            assert (mine.result.psnr, mine.result.ms_ssim) == (theirs.result.psnr, theirs.result.ms_ssim)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_model_that_is_not_there_is_told_once(tmp_path: Path, jobs: int) -> None:
    rows = listed(write_photo(tmp_path / "a.png"), write_photo(tmp_path / "b.png"))
    settings = BatchSettings(model="photo-codek", folder=tmp_path / "out")
    with pytest.raises(UsageError, match="no model 'photo-codek'"):
        runner_for(rows, settings, jobs=jobs).run()


# -- disks that refuse

SMALL_DISK = """
import sys
from pathlib import Path
sys.path.insert(0, {root!r})
from engine.batch.settings import BatchSettings
from tests.engine.batch_fixtures import listed, runner_for
settings = BatchSettings(format="png", folder=Path({out!r}))
runner = runner_for(listed(Path({photos!r})), settings, resume={resume})
totals = runner.run()
print([report.state for report in totals.reports()])
print(runner.stopped or "not stopped")
"""


def on_a_disk(tmp_path: Path, commands: str, **places: object) -> list[str]:
    """Run a batch in a name space of its own where `commands` may mount disks; the lines that it prints."""
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode:
        pytest.skip("disks cannot be made here")
    code = SMALL_DISK.format(root=str(ROOT), out=str(tmp_path / "disk/out"), photos=str(tmp_path / "in"), **places)
    (tmp_path / "run.py").write_text(code)
    (tmp_path / "disk").mkdir(exist_ok=True)
    shell = commands.replace("DISK", f"'{tmp_path}/disk'").replace("RUN", f"'{sys.executable}' '{tmp_path}/run.py'")
    done = subprocess.run(["unshare", "-rm", "sh", "-ec", shell], capture_output=True, text=True, timeout=240)
    if "mount" in done.stderr:
        pytest.skip(f"disks cannot be made here: {done.stderr}")
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_full_disk_stops_the_batch_and_loses_nothing(tmp_path: Path) -> None:
    for number in range(6):
        write_photo(tmp_path / f"in/{number}.png", number, size=(160, 120))
    lines = on_a_disk(
        tmp_path, "mount -t tmpfs -o size=160k tmpfs DISK; RUN; mount -o remount,size=9m DISK; RUN", resume=True
    )
    stopped = lines[0]
    assert stopped.count("done") >= 1 and stopped.count("failed") <= 2 and stopped.count("'") < 12
    assert "No space is left" in lines[1] or "journal" in lines[1]
    assert lines[2].count("done") == 6 and lines[3] == "not stopped"


def test_a_disk_that_only_reads_is_said_in_the_first_row(tmp_path: Path) -> None:
    for number in range(2):
        write_photo(tmp_path / f"in/{number}.png", number)
    lines = on_a_disk(tmp_path, "mount -t tmpfs -o ro,size=1m tmpfs DISK; RUN", resume=False)
    assert lines[0] == "['failed']"
    assert "cannot be made: Read-only file system" in lines[1]


def test_a_target_folder_that_vanishes_is_not_made_again(tmp_path: Path) -> None:
    for number in range(4):
        write_photo(tmp_path / f"in/{number}.png", number)
    settings = BatchSettings(format="webp", folder=tmp_path / "out")

    def report(reports: list[RowReport]) -> None:
        if reports[-1].state == "done" and reports[-1].index == 1:
            shutil.move(tmp_path / "out", tmp_path / "away")

    runner = runner_for(listed(tmp_path / "in"), settings, report=report)
    totals = runner.run()
    assert [report.state for report in totals.reports()] == ["done", "done", "failed"]
    assert "not there any more" in runner.stopped and not (tmp_path / "out").exists()
    shutil.move(tmp_path / "away", tmp_path / "out")
    again = runner_for(listed(tmp_path / "in"), settings, resume=True).run()
    assert [report.earlier for report in again.reports()] == [True, True, False, False] and again.finished == 4


# -- tables


def test_totals_follow_the_newest_report_of_each_row(tmp_path: Path) -> None:
    totals = Totals()
    result = FileResult(tmp_path / "x", False, 100, 40, 0, 4, 4, 50.0, 1.0, 30.0, 0.9)
    for report in (RowReport(0, "running"), RowReport(0, "done", result), RowReport(1, "failed", problem="No.")):
        totals.add(report)
    assert (totals.finished, totals.count("failed"), totals.saved) == (1, 1, 60)
    totals.add(RowReport(0, "done", replace(result, after=90)))
    assert (totals.finished, totals.saved) == (1, 10)


def test_the_table_for_other_programs_holds_every_row(tmp_path: Path) -> None:
    expected = write_mixed(tmp_path / "in")
    rows = listed(tmp_path / "in")
    totals = runner_for(rows, BatchSettings(format="png", folder=tmp_path / "out")).run()
    write_table(tmp_path / "report.csv", rows, totals.reports())
    with (tmp_path / "report.csv").open(encoding="utf-8", newline="") as stream:
        lines = list(csv.DictReader(stream))
    assert {str(Path(line["source"]).relative_to(tmp_path / "in")): line["state"] for line in lines} == expected
    for line in lines:
        if line["state"] == "done":
            assert int(line["bytes after"]) == Path(line["target"]).stat().st_size and line["PSNR dB"] == "inf"
        else:
            assert line["problem"] and line["bytes after"] == ""
