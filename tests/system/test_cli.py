"""The program as a user starts it in a terminal: results, exit codes, and one clear line for whatever fails."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import main
from engine.compression.settings import DEFAULT_MODEL
from engine.image import encode_png, open_picture
from engine.paths import resources
from tests.engine.batch_fixtures import contents, noise, write_mixed, write_photo
from tests.engine.codec_fixtures import write_small_model

ROOT = Path(__file__).resolve().parents[2]
PHOTO = resources() / "samples" / "photos" / "bee.jpg"
NUCLEI = resources() / "samples" / "nuclei" / "smear.jpg"


def shipped(*names: str) -> pytest.MarkDecorator:
    """Skip while the models are not there."""
    missing = [name for name in names if not (resources() / "models" / f"{name}.safetensors").is_file()]
    return pytest.mark.skipif(bool(missing), reason=f"models not there yet: {', '.join(missing)}")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folders with a small codec as the default one."""
    folder = tmp_path_factory.mktemp("user")
    (folder / "data/LatentStudio/models").mkdir(parents=True)
    write_small_model(folder / f"data/LatentStudio/models/{DEFAULT_MODEL}.safetensors")
    return folder


def environment(home: Path) -> dict[str, str]:
    places = {"DATA": "data", "CONFIG": "config", "STATE": "state", "CACHE": "cache"}
    own = {f"XDG_{kind}_HOME": str(home / name) for kind, name in places.items()}
    return {**os.environ, **own, "COLUMNS": "200", "PYTHONWARNINGS": "error"}


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


def process(home: Path, *arguments: object) -> Done:
    """Run `main.py` in a process of its own."""
    command = [sys.executable, str(ROOT / "main.py"), *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, env=environment(home), capture_output=True, text=True, timeout=240)
    assert "Traceback" not in done.stderr + done.stdout, done.stderr
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def program(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Runs the program's entry within this process, where torch is imported once for all commands."""
    for name, value in environment(home).items():
        monkeypatch.setenv(name, value)

    def call(*arguments: object) -> Done:
        capsys.readouterr()
        code = main.run([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return Done(code, out, err)

    return call


def python(home: Path, code: str, arguments: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment(home), capture_output=True, text=True, timeout=240)


Program = Callable[..., Done]


def small_photo(path: Path, size: tuple[int, int] = (96, 64)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(PHOTO) as image:
        path.write_bytes(encode_png(np.asarray(image.resize(size))))
    return path


COMMANDS = (
    "compress", "decode", "info", "generate", "vary", "morph", "change", "every-class", "encode", "nearest",
    "labelled-set", "traverse", "latents", "segment", "train", "recipes", "models", "evaluate",
)  # fmt: skip


def test_help_of_every_command_is_quick_to_load(home: Path) -> None:
    code = """
import sys
from main import run
for command in sys.argv[1:]:
    assert run([command, "--help"]) == 0, command
assert run(["--help"]) == 0
heavy = {"torch", "torchvision", "PySide6", "scipy", "sklearn", "pyqtgraph", "numpy"} & sys.modules.keys()
assert not heavy, heavy
"""
    done = python(home, code, COMMANDS)
    assert done.returncode == 0, done.stderr
    assert all(f" {command} " in done.stdout for command in COMMANDS)
    assert "3 damaged but saved" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["comprss", "x"], "No such command"),
        (["photo.jpg"], "There is no file photo.jpg"),
        (["compress"], "Missing argument"),
        (["compress", "x.png", "-q", "101"], "less than or equal to 100"),
        (["compress", str(PHOTO), "-q", "50", "--size", "20kB"], "-q and --size exclude one another"),
        (["compress", str(PHOTO), "--bpp", "1", "--psnr", "30", "--ms-ssim", "0.9"], "exclude one another"),
        (["compress", str(PHOTO), "--size", "20 pounds"], "is no file size"),
        (["compress", str(PHOTO), "--bpp", "0"], "Use a number above 0"),
        (["compress", str(PHOTO), "--ms-ssim", "1.5"], "MS-SSIM is 1.5"),
        (["compress", str(PHOTO), "--model", "photo-codec"], "Did you mean 'photo-codec"),
        (["compress", str(PHOTO), "--device", "tpu"], "There is no device 'tpu'"),
        (["compress", str(PHOTO), str(NUCLEI), "--out", "both.lsi"], "Give a folder"),
        (["generate", "nosuch", "--class", "1"], "There is no model 'nosuch'"),
        (["generate", DEFAULT_MODEL, "--attr", "hair"], "family"),
        (["train", "nosuch"], "There is no recipe 'nosuch'"),
        (["evaluate", DEFAULT_MODEL, "--data", "kodk"], "Did you mean 'kodak'"),
    ],
)
def test_wrong_usage_is_explained(program: Program, arguments: list[str], sentence: str) -> None:
    done = program(*arguments)
    assert sentence in done.stderr and done.stdout == ""
    assert done.returncode == (1 if sentence == "family" else 2)


def test_focus_keeps_what_a_mask_or_a_model_marks(program: Program, tmp_path: Path) -> None:
    photo = open_picture(PHOTO)
    mask = Image.new("L", (photo.width, photo.height), 0)
    mask.paste(255, (100, 100, 300, 300))
    mask.save(tmp_path / "mask.png")
    sizes = {}
    for name, options in (
        ("plain", []),
        ("mask", ["--focus", tmp_path / "mask.png", "--drop", "50"]),
        ("folder", ["--focus", tmp_path / "masks", "--drop", "50"]),
        ("model", ["--focus", "nuclei-segmenter"]),
    ):
        if name == "folder":
            (tmp_path / "masks").mkdir()
            mask.save(tmp_path / "masks" / f"{PHOTO.stem}.png")
        done = program("compress", PHOTO, "-q", "60", *options, "--out", tmp_path / f"{name}.lsi", "--json")
        assert done.returncode == 0, done.stderr
        sizes[name] = json.loads(done.stdout)["files"][0]["compressed_bytes"]
    assert sizes["mask"] == sizes["folder"] < 0.8 * sizes["plain"]
    facts = json.loads(program("info", tmp_path / "mask.lsi", "--json").stdout)
    assert 0 < facts["sections"]["QMAP"] <= 0.01 * facts["bytes"]
    assert sum(facts["tile_bits"]) == 8 * facts["sections"]["GRPS"] and len(facts["tile_bits"]) == facts["tiles"]
    small = program("compress", NUCLEI, "--focus", tmp_path / "mask.png", "--out", tmp_path / "other.lsi")
    assert small.returncode == 1 and "as large as the upright photo" in small.stderr


def test_compress_and_decode_a_folder_with_bad_files(home: Path, program: Program, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    small_photo(photos / "one.png")
    small_photo(photos / "trip/two.png", (40, 56))
    (photos / "empty.jpg").touch()
    (photos / "text.webp").write_text("no picture")
    (photos / "notes.txt").write_text("not listed: no picture by its name")
    out = tmp_path / "small"
    done = process(home, "compress", photos, tmp_path / "nix.jpg", tmp_path / "*.gif", "-q", 70, "--out", out, "--json")
    assert done.returncode == 1
    complaints = done.stderr.strip().splitlines()
    assert len(complaints) == 4
    for name in ("empty.jpg", "text.webp", "nix.jpg", "*.gif"):
        assert sum(name in line for line in complaints) == 1
    report = json.loads(done.stdout)
    assert len(report["failed"]) == 4
    assert {Path(file["target"]) for file in report["files"]} == {out / "one.lsi", out / "trip/two.lsi"}
    for file in report["files"]:
        size = Path(file["target"]).stat().st_size
        assert file["compressed_bytes"] == size
        assert file["bits_per_pixel"] == pytest.approx(8 * size / (file["width"] * file["height"]))
        assert file["psnr"] > 5 and 0 <= file["ms_ssim"] <= 1 and file["ssimulacra2"] < 100
    assert sorted(path.name for path in out.rglob("[!.]*.*")) == ["one.lsi", "two.lsi"]

    before = (out / "one.lsi").read_bytes()
    again = program("compress", photos / "one.png", "-q", 10, "--out", out)
    assert again.returncode == 1 and "--overwrite" in again.stderr and (out / "one.lsi").read_bytes() == before
    replaced = program("compress", photos / "one.png", "-q", 10, "--out", out, "--overwrite")
    assert replaced.returncode == 0 and (out / "one.lsi").read_bytes() != before and "one.lsi" in replaced.stdout

    back = program("decode", out, "--out", tmp_path / "back")
    assert back.returncode == 0, back.stderr
    assert (open_picture(tmp_path / "back/trip/two.png").width, open_picture(tmp_path / "back/one.png").width) == (
        40,
        96,
    )


def test_compress_to_targets(program: Program, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    small_photo(photos / "one.png", (256, 192))
    small_photo(photos / "tiny.png", (48, 32))
    small_photo(photos / "large.png", (640, 480))
    files: dict[int, dict] = {}
    for quality in (0, 60):
        done = program("compress", photos / "one.png", "-q", quality, "--out", tmp_path / f"q{quality}", "--json")
        files[quality] = json.loads(done.stdout)["files"][0]
        assert files[quality]["quality"] == quality

    # A folder: one photo reaches the size, one needs less at the highest quality, one cannot be made so small.
    wish = files[60]["compressed_bytes"]
    out = tmp_path / "out"
    done = program("compress", photos, "--size", f"{wish}bytes", "--out", out, "--json")
    assert done.returncode == 1
    report = json.loads(done.stdout)
    reached = {Path(file["target"]).name: file for file in report["files"]}
    assert set(reached) == {"one.lsi", "tiny.lsi"} == {path.name for path in out.glob("[!.]*")}
    assert 0.98 * wish <= (out / "one.lsi").stat().st_size <= wish and reached["one.lsi"]["target_note"] == ""
    assert 0 < reached["one.lsi"]["quality"] <= 100
    assert "Quality 100, the highest" in reached["tiny.lsi"]["target_note"]
    assert "large.png" in report["failed"][0]["file"] and "Even at quality 0" in report["failed"][0]["problem"]
    complaints = done.stderr.strip().splitlines()
    assert len(complaints) == 2 and "tiny.png" in done.stderr and "large.png" in done.stderr

    bpp = files[60]["bits_per_pixel"]
    shown = program("compress", photos / "one.png", "--bpp", bpp, "--out", tmp_path / "bpp")
    assert shown.returncode == 0 and "quality" in shown.stdout
    facts = json.loads(program("info", tmp_path / "bpp/one.lsi", "--json").stdout)
    assert 0.98 * bpp <= facts["bits_per_pixel"] <= bpp
    for option, name in (("--psnr", "psnr"), ("--ms-ssim", "ms_ssim")):
        target = tmp_path / f"{name}.lsi"
        done = program("compress", photos / "one.png", option, files[0][name], "--out", target, "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["files"][0][name] >= files[0][name]


def test_same_names_do_not_overwrite_each_other(program: Program, tmp_path: Path) -> None:
    first, second = small_photo(tmp_path / "a/x.png"), small_photo(tmp_path / "b/x.png", (32, 32))
    done = program("compress", first, second, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "out").glob("[!.]*")) == ["x-1.lsi", "x.lsi"]


def batch(home: Path, *arguments: object) -> subprocess.Popen[str]:
    """Start `main.py compress` and do not wait for it."""
    command = [sys.executable, str(ROOT / "main.py"), "compress", *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, cwd=ROOT, env=environment(home), stdout=pipe, stderr=pipe, text=True, start_new_session=True
    )


@pytest.mark.slow
def test_a_killed_batch_is_resumed_to_the_same_bytes(home: Path, program: Program, tmp_path: Path) -> None:
    """Good and hostile files; the program is killed by SIGKILL while its processes work, then it is started again."""
    expected = write_mixed(tmp_path / "in")
    for number in range(16):
        write_photo(tmp_path / f"in/more/{number:02}.png", 20 + number, size=(128, 96))
        expected[f"more/{number:02}.png"] = "done"
    originals = contents(tmp_path / "in/more")
    options = ["-q", 45, "--no-perceptual", "--skip-gain", 5]
    out, journal = tmp_path / "out", tmp_path / "out/.latent-studio-batch.jsonl"
    running = batch(home, tmp_path / "in", "--out", out, "--jobs", 2, *options)
    while running.poll() is None and (not journal.exists() or journal.read_bytes().count(b'"end"') < 4):
        pass
    assert running.poll() is None, running.communicate()[1]
    running.kill()
    running.communicate()
    before = journal.read_bytes()
    journal.write_bytes(before + b'{"end": "half a li')
    assert before.count(b'"state": "done"') < sum(state == "done" for state in expected.values())

    report = tmp_path / "report.csv"
    done = process(
        home, "compress", tmp_path / "in", "--out", out, "--jobs", 2, "--resume", "--report", report, *options
    )
    assert done.returncode == 1  # of the hostile files
    with report.open(encoding="utf-8", newline="") as stream:
        lines = {str(Path(line["source"]).relative_to(tmp_path / "in")): line for line in csv.DictReader(stream)}
    assert {name: line["state"].replace("copied", "done") for name, line in lines.items()} == expected
    assert all(line["problem"] for line in lines.values() if line["state"] == "failed")

    # As if nothing had happened: the same names, the same bytes, no leftovers, the originals untouched.
    whole = program("compress", tmp_path / "in", "--out", tmp_path / "whole", "--threads", 1, *options)
    assert whole.returncode == 1
    assert contents(out) == contents(tmp_path / "whole")
    assert contents(tmp_path / "in/more") == originals
    # Once more: there is nothing left to do but what fails.
    again = program("compress", tmp_path / "in", "--out", out, "--resume", "--json", *options)
    assert again.returncode == 1 and journal.read_bytes().count(b'"begin"') == 4
    assert len(json.loads(again.stdout)["files"]) == sum(state == "done" for state in expected.values())


def test_shards_suffix_and_copies(program: Program, tmp_path: Path) -> None:
    for number in range(5):
        write_photo(tmp_path / f"in/{number}.png", number, size=(96, 64))
    noise(tmp_path / "in/noise.jpg")
    out = tmp_path / "in/small"
    for shard in ("1/2", "2/2"):
        done = program(
            "compress", tmp_path / "in", "--out", out, "--format", "webp", "-q", 80, "--skip-gain", 20,
            "--suffix", "-s", "--shard", shard, "--json",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert len(json.loads(done.stdout)["files"]) == 3
    names = sorted(path.name for path in out.glob("[!.]*"))
    assert names == [*(f"{number}-s.webp" for number in range(5)), "noise-s.jpg"]
    assert (out / "noise-s.jpg").read_bytes() == (tmp_path / "in/noise.jpg").read_bytes()
    # The results lie below the photos, and are not compressed again.
    resumed = program("compress", tmp_path / "in", "--out", out, "--format", "webp", "--suffix", "-s", "--overwrite")
    assert resumed.returncode == 0 and "6 files: " in resumed.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--format", "gif"], "There is no output format 'gif'"),
        (["--shard", "9/8"], "'9/8' is no shard"),
        (["--skip-gain", "100"], "least gain is 100"),
        (["--format", "png", "--psnr", "40"], "can reach no target"),
        (["--suffix", "a/b"], "cannot be part of a file name"),
        (["--resume", "--out", "x.lsi"], "need a folder"),
    ],
)
def test_wrong_options_of_a_batch_are_explained(program: Program, arguments: list[str], sentence: str) -> None:
    done = program("compress", PHOTO, *arguments)
    assert done.returncode == 2 and sentence in done.stderr


def test_info_and_damage(program: Program, tmp_path: Path) -> None:
    photo = small_photo(tmp_path / "photo.png", (640, 560))
    assert program("compress", photo, "-q", 60).returncode == 0
    file = tmp_path / "photo.lsi"
    facts = json.loads(program("info", file, "--json").stdout)
    assert (facts["width"], facts["height"], facts["quality"], facts["tiles"]) == (640, 560, 60.0, 4)
    assert facts["model"] == DEFAULT_MODEL and facts["bytes"] == file.stat().st_size and facts["problems"] == []

    # The last bytes belong to the last group of pixels; the other three can be saved.
    data = bytearray(file.read_bytes())
    data[-20] ^= 0xFF
    file.write_bytes(data)
    saved = program("decode", file, "--out", tmp_path / "saved.png")
    assert saved.returncode == 3 and "damaged" in saved.stderr and (tmp_path / "saved.png").is_file()
    strict = program("decode", file, "--out", tmp_path / "strict.png", "--strict")
    assert strict.returncode == 1 and len(strict.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "strict.png").exists()

    for content, name in ((b"", "none.lsi"), (b"GIF89a" * 9, "gif.lsi"), (bytes(data[:40]), "cut.lsi")):
        (tmp_path / name).write_bytes(content)
        for command in ("info", "decode"):
            done = program(command, tmp_path / name)
            assert done.returncode == 1 and name in done.stderr and len(done.stderr.strip().splitlines()) == 1


def test_a_region_is_decoded(program: Program, tmp_path: Path) -> None:
    photo = small_photo(tmp_path / "photo.png", (640, 560))
    assert program("compress", photo, "-q", 60).returncode == 0
    file, whole, part = tmp_path / "photo.lsi", tmp_path / "whole.png", tmp_path / "part.png"
    assert program("decode", file, "--out", whole).returncode == 0
    done = program("decode", file, "--out", part, "--region", "490, 20, 60, 333", "--json")
    assert done.returncode == 0, done.stderr
    assert [(report["width"], report["height"]) for report in json.loads(done.stdout)["files"]] == [(60, 333)]
    assert np.array_equal(open_picture(part).pixels, open_picture(whole).pixels[20:353, 490:550])

    outside = program("decode", file, "--out", tmp_path / "no.png", "--region", "600,0,41,10")
    assert outside.returncode == 1 and "photo.lsi" in outside.stderr and "640 x 560 pixels" in outside.stderr
    for wrong in ("1,2,3", "1,2,3,x", "10x10"):
        done = program("decode", file, "--out", tmp_path / "no.png", "--region", wrong)
        assert done.returncode == 2 and "X,Y,WIDTH,HEIGHT" in done.stderr
    assert not (tmp_path / "no.png").exists()


def test_unwritable_target(program: Program, tmp_path: Path) -> None:
    photo = small_photo(tmp_path / "photo.png")
    (tmp_path / "file").write_text("in the way")
    done = program("compress", photo, "--out", tmp_path / "file")
    assert done.returncode == 1 and len(done.stderr.strip().splitlines()) == 1
    assert (tmp_path / "file").read_text() == "in the way"


def test_a_fault_of_ours_leaves_a_log_and_no_traceback(home: Path) -> None:
    code = """
import sys
from engine.cli import app, run_command
@app.command()
def crash() -> None:
    raise RuntimeError("the moon is full")
sys.exit(run_command(["crash"]))
"""
    done = python(home, code)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr and "the moon is full" in done.stderr
    log = max((home / "state").rglob("error-*.log"))
    assert "Traceback" in log.read_text() and str(log) in done.stderr


def test_version_and_lists(program: Program) -> None:
    assert program("--version").stdout.startswith("Latent Studio ")
    recipes = json.loads(program("recipes", "--json").stdout)
    assert {"digits-cvae", DEFAULT_MODEL} <= {recipe["name"] for recipe in recipes}
    models = json.loads(program("models", "--json").stdout)
    assert DEFAULT_MODEL in {model["name"] for model in models}


RECIPE = """
name = "tiny-squares"
family = "autoencoder"
[config]
image_size = 32
channels = 3
latent_size = 4
widths = [8, 8, 8]
features = 16
[data]
set = "folder"
path = "{path}"
size = 32
[[stages]]
name = "only"
steps = {steps}
batch_size = 4
learning_rate = 1e-3
"""


def test_train_prints_events_and_evaluate_measures(home: Path, program: Program, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    for index in range(24):
        small_photo(pictures / f"{index:02d}.png", (32 + index, 40))
    recipe = tmp_path / "tiny-squares.toml"
    recipe.write_text(RECIPE.format(path=pictures.as_posix(), steps=4))
    done = program("train", recipe, "--run-dir", tmp_path / "run", "--events", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[0]["event"] == "start" and events[-1]["event"] == "finished"
    model = tmp_path / "run/tiny-squares.safetensors"
    assert model.is_file()

    recipes = home / "config/LatentStudio/recipes"
    recipes.mkdir(parents=True, exist_ok=True)
    (recipes / recipe.name).write_text(recipe.read_text())
    measured = program("evaluate", model, "--data", pictures, "--json")
    assert measured.returncode == 0, measured.stderr
    report = json.loads(measured.stdout)
    assert report["data"].endswith("24 pictures") and report["figures"]["reconstruction MSE"] > 0

    (pictures / "07.png").write_bytes(b"broken")
    failed = program("train", recipe, "--run-dir", tmp_path / "other", "--device", "cpu")
    assert failed.returncode == 1 and "07.png" in failed.stderr


def test_evaluate_a_codec_on_real_files(program: Program, shared_data: Path) -> None:
    arguments = ("evaluate", DEFAULT_MODEL, "--data", "kodak", "--limit", 1, "--data-root", shared_data, "--json")
    done = program(*arguments)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["data"] == "Kodak test, 1 pictures" and report["figures"]["bits per pixel at quality 50"] > 0


@shipped("digits-cvae")
def test_generate_and_traverse(program: Program, tmp_path: Path) -> None:
    out = tmp_path / "digits"
    arguments = ("generate", "digits-cvae", "--class", "7", "--count", 3, "--seed", 5, "--out", out)
    assert program(*arguments).returncode == 0
    pictures = sorted(path.name for path in out.iterdir())
    assert pictures == [f"digits-cvae-{seed:06d}.png" for seed in (5, 6, 7)] + ["sheet.png"]
    first = (out / pictures[0]).read_bytes()
    assert program(*arguments).returncode == 0 and (out / pictures[0]).read_bytes() == first
    wrong = program("generate", "digits-cvae", "--class", "eleven", "--out", out)
    assert wrong.returncode == 2 and "eleven" in wrong.stderr
    grid = tmp_path / "grid.png"
    drawn = program("traverse", "digits-cvae", "--dims", "0,1", "--steps", 5, "--class", "3", "--out", grid)
    assert drawn.returncode == 0, drawn.stderr
    assert open_picture(grid).width > open_picture(grid).height
    assert program("traverse", "digits-cvae", "--dims", "0,999", "--out", tmp_path / "x.png").returncode == 2


@shipped("nuclei-segmenter")
def test_segment_files_and_folders(program: Program, tmp_path: Path) -> None:
    mask = tmp_path / "mask.png"
    done = program("segment", NUCLEI, "--model", "nuclei-segmenter", "--out", mask, "--json")
    assert done.returncode == 0, done.stderr
    classes = json.loads(done.stdout)["files"][0]["classes"]
    with Image.open(mask) as image:
        assert image.mode == "P" and image.size == (320, 256)
        numbers = np.asarray(image)
    for number, one in enumerate(classes):
        assert one["pixels"] == int((numbers == number).sum())
    assert program("segment", NUCLEI.parent, "--out", tmp_path / "all", "--overlay").returncode == 0
    assert len(list((tmp_path / "all").glob("*-mask.png"))) == len(list((tmp_path / "all").glob("*-overlay.png"))) == 3


@shipped(DEFAULT_MODEL, "digits-cvae", "faces-cvae", "nuclei-segmenter")
@pytest.mark.slow
def test_demo_does_the_whole_main_job(program: Program, tmp_path: Path) -> None:
    out = tmp_path / "demo"
    done = program("demo", "--out", out, "--quick")
    assert done.returncode == 0, done.stderr
    for part, count in (("compress", 2), ("generate", 2), ("latents", 2), ("segment", 2)):
        assert len(list((out / part).iterdir())) >= count, part
    assert "MS-SSIM" in done.stdout and "SSIMULACRA2" in done.stdout and "bpp" in done.stdout


@shipped("digits-cvae", "faces-ae-8")
def test_latents_are_mapped_clustered_and_written(program: Program, tmp_path: Path) -> None:
    pictures, out = tmp_path / "pictures", tmp_path / "out"
    for kind, shade in (("dark", 40), ("bright", 220)):
        for index in range(8):
            pixels = np.full((40, 40, 3), shade, np.uint8)
            pixels[index : index + 12, 8:20] = 128
            (pictures / kind).mkdir(parents=True, exist_ok=True)
            (pictures / kind / f"{index}.png").write_bytes(encode_png(pixels))
    common = ["digits-cvae", "--data", pictures, "--out", out]
    done = program("latents", *common, "--clusters", "2", "--json")
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures == json.loads((out / "latents.json").read_text())
    assert figures["pictures"] == 16 and figures["attribute"] == "class"
    assert sum(figures["clusters"]["sizes"]) == 16 and figures["clusters"]["ari"] == 1
    assert 0 <= figures["map"]["trustworthiness"] <= 1 and figures["map"]["method"] == "pacmap"
    assert len(figures["statistics"]["dimensions"]) == 16
    rows = list(csv.DictReader((out / "latents.csv").read_text().splitlines()))
    assert len(rows) == 16 and rows[0]["class"] == "bright" and {"x", "y", "mse", "cluster", "z16"} <= rows[0].keys()
    with Image.open(out / "map.png") as image:
        assert image.width > 900 and len(image.getcolors(10**6) or []) > 3

    again = program("latents", *common)
    assert again.returncode == 1 and "exists already" in again.stderr
    plain = program("latents", *common, "--map", "pca", "--overwrite")
    assert plain.returncode == 0 and "trustworthiness of the map" in plain.stdout
    assert "cluster" not in (out / "latents.csv").read_text().splitlines()[0]
    few = program("latents", *common, "--limit", "3", "--overwrite")
    assert few.returncode == 1 and "A map by PaCMAP needs at least 5 latents; 3 were given" in few.stderr
    three = program("latents", *common, "--limit", "3", "--map", "pca", "--overwrite")
    assert three.returncode == 0 and "needs at least 10 latents" in three.stdout
    wrong = program("latents", *common, "--map", "sne", "--overwrite")
    assert wrong.returncode == 2 and "There is no map 'sne'" in wrong.stderr
    untold = program("latents", "faces-ae-8", *common[1:], "--told", "--overwrite")
    assert untold.returncode == 2 and "Leave them open" in untold.stderr
