"""The viewer decodes without PyTorch: the same symbols bit for bit, pixels within one level, the same errors."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

from engine.compression import DEFAULT_MODEL, EncodeSettings, Region, encode, inspect
from engine.compression import decode as decode_with_torch
from engine.compression.codec_model import CodecModel
from engine.compression.onnx_codec import OnnxCodec, open_onnx_codec, read_onnx_card, shipped_folder
from engine.compression.quality_map import QualityMap
from engine.compression.walk import LARGEST, EntropyModel
from engine.errors import CodecError, DamagedFile, ModelError, ModelMismatch, NotACompressedFile
from engine.models.store import read_card
from tests.engine.codec_fixtures import scene, write_small_model
from tests.golden.make import FOLDER, golden_of_model
from viewer import decode
from viewer.__main__ import run
from viewer.export import export, shipped_codecs
from viewer.export import main as export_main

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(FOLDER.glob("*.lsi"))
NAMES = [path.stem for path in shipped_codecs()]

# Run first in a process, it hides what recipients do not have: nothing there can tell it from an environment without.
ALONE = """
import sys
from importlib.machinery import PathFinder

class Recipient(PathFinder):
    hidden = {"torch", "torchvision", "pydantic", "typer", "rich", "platformdirs", "safetensors", "PySide6",
              "pillow_jxl", "pillow_heif", "onnx"}

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in cls.hidden else super().find_spec(name, path, target)

sys.meta_path[:] = [Recipient if finder is PathFinder else finder for finder in sys.meta_path]
"""


def in_a_process_of_its_own(code: str, *arguments: object) -> str:
    """What the code prints, run where only the viewer's packages are installed."""
    command = [sys.executable, "-W", "error", "-c", ALONE + code, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def model_path(name: str) -> Path:
    return next(path for path in shipped_codecs() if path.stem == name)


def farthest(one: np.ndarray, other: np.ndarray) -> int:
    assert one.shape == other.shape
    return int(np.abs(one.astype(int) - other.astype(int)).max())


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_golden_files_decode_to_the_same_symbols_and_nearly_the_same_pixels(file: Path, threads: int) -> None:
    data = file.read_bytes()
    header = inspect(data)
    name, case = file.name.removesuffix(".lsi").rsplit(".", 1)
    expected = json.loads((FOLDER / f"{name}.json").read_text())["files"][case]
    codec = open_onnx_codec(header.model_name, header.model_hash, threads=threads)
    assert golden_of_model(codec, data) == (expected["symbols"], expected["latents"])
    ours, theirs = decode(data, strict=True, threads=threads).picture, decode_with_torch(data, device="cpu").picture
    assert farthest(ours.pixels, theirs.pixels) <= 1
    assert farthest(ours.pixels, np.asarray(Image.open(file.with_suffix(".png")))[..., :3]) <= 1
    assert (ours.alpha is None) == (theirs.alpha is None)
    assert ours.alpha is None or (ours.alpha == theirs.alpha).all()
    assert ours.exif == theirs.exif


def integers(model: EntropyModel, level: int, levels_in_all: int) -> list[np.ndarray]:
    """All that the integer networks say of groups of several sizes, some with values as large as they can become and
    some with levels that differ from place to place.
    """
    rng = np.random.default_rng(level)
    found = []
    for height, width in ((1, 1), (3, 5), (32, 32)):
        for deviation in (1, 40, 100_000):
            shape = (model.hyper_channels, -(-height // 4), -(-width // 4))
            hyper = np.clip(rng.normal(0, deviation, shape), -LARGEST, LARGEST).astype(np.int32)
            latents = np.clip(rng.normal(0, 16 * deviation, (model.latent_channels, height, width)), -LARGEST, LARGEST)
            latents = latents.astype(np.int16)
            levels = rng.integers(0, levels_in_all, (height, width)) if deviation == 40 else np.array([[level]])
            prepared = model.prepare(hyper, levels, height, width)
            seen = np.zeros_like(latents)
            half = model.latent_channels // 2
            even = np.indices((height, width)).sum(0) % 2 == 0
            for step in range(4):
                places = even if step % 2 == 0 else ~even
                found += model.distribution(prepared, seen, step, places)
                part = slice(0, half) if step < 2 else slice(half, None)
                seen[part, places] = latents[part, places]
    return found


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", NAMES)
def test_the_integer_networks_give_what_pytorch_gives_at_every_level_and_size(name: str, threads: int) -> None:
    ours = OnnxCodec(shipped_folder() / f"{name}.npz", threads)
    theirs = CodecModel(model_path(name), torch.device("cpu"))
    count = ours.card.quality_levels
    for level in range(count):
        for one, other in zip(integers(ours, level, count), integers(theirs, level, count), strict=True):
            assert (one == other).all()
            assert (one == np.rint(one)).all()


def test_every_shipped_codec_has_its_export_and_no_other_model_has_one() -> None:
    cards = {path.stem: read_onnx_card(path) for path in shipped_folder().glob("*.npz")}
    assert set(cards) == set(NAMES), "run `python -m viewer.export`"
    for name, card in cards.items():
        assert (card.name, card.weights_sha256) == (name, read_card(model_path(name)).weights_sha256)
        assert (shipped_folder() / f"{name}.npz").stat().st_size <= 16 * 2**20


@pytest.mark.parametrize("name", NAMES)
def test_the_shipped_exports_are_what_the_command_writes(name: str, tmp_path: Path) -> None:
    assert export_main(["--model", str(model_path(name)), "--out", str(tmp_path / "again.npz")]) == 0
    with np.load(tmp_path / "again.npz") as again, np.load(shipped_folder() / f"{name}.npz") as shipped:
        assert again.files == shipped.files
        for member in shipped.files:
            if member in ("prepare", "distribution", "synthesis"):  # compared as graphs: their packing is onnx's own
                one, other = (onnx.load_from_string(archive[member].tobytes()).graph for archive in (again, shipped))
                assert one == other, f"{member}: run `python -m viewer.export`"
            else:
                assert (again[member] == shipped[member]).all(), f"{member}: run `python -m viewer.export`"


@pytest.fixture(scope="module")
def own_codec(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A small codec of one's own and the folder of its export."""
    folder = tmp_path_factory.mktemp("own")
    model = folder / "own-codec.safetensors"
    write_small_model(model, seed=3, name="own-codec")
    assert export_main(["--model", str(model), "--out", str(folder / "own-codec.npz")]) == 0
    return model, folder


def test_a_picture_of_several_windows_and_its_regions_come_out_as_in_pytorch(own_codec: tuple[Path, Path]) -> None:
    model, folder = own_codec
    data = encode(scene(1300, 1100), EncodeSettings(quality=60, model=str(model)), device="cpu")
    whole = decode(data, strict=True, models=[folder]).picture.pixels
    assert farthest(whole, decode_with_torch(data, strict=True, device="cpu").picture.pixels) <= 1
    region = Region(900, 500, 300, 200)
    part = decode(data, region=region, strict=True, models=[folder]).picture.pixels
    assert farthest(part, whole[region.y : region.bottom, region.x : region.right]) <= 1


def test_parts_of_higher_quality_come_out_as_in_pytorch() -> None:
    picture = scene(620, 330)
    mask = np.zeros((330, 620), dtype=bool)
    mask[100:200, 300:560] = True
    settings = EncodeSettings(
        quality=80, model=str(model_path(DEFAULT_MODEL)), quality_map=QualityMap.from_mask(mask, 0, -60)
    )
    data = encode(picture, settings, device="cpu")
    assert inspect(data).section("QMAP") is not None
    ours = decode(data, strict=True).picture.pixels
    assert farthest(ours, decode_with_torch(data, strict=True, device="cpu").picture.pixels) <= 1


def test_a_model_that_is_not_at_hand_is_named(own_codec: tuple[Path, Path], tmp_path: Path) -> None:
    model, folder = own_codec
    data = encode(scene(40, 30), EncodeSettings(model=str(model)), device="cpu")
    with pytest.raises(ModelMismatch, match="own-codec"):
        decode(data)
    damaged = bytearray((folder / "own-codec.npz").read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (tmp_path / "own-codec.npz").write_bytes(damaged)
    with pytest.raises(ModelError, match="damaged"):
        decode(data, models=[tmp_path])
    (tmp_path / "own-codec.npz").write_bytes(b"no archive")
    with pytest.raises(ModelMismatch, match="own-codec"):
        decode(data, models=[tmp_path])


def test_only_finished_codecs_are_exported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert export_main(["--model", "digits-cvae", "--out", str(tmp_path / "no.npz")]) == 2
    assert "no codec" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    assert export(model_path(NAMES[0]))[0].name == NAMES[0]


def test_damage_is_an_error_or_a_hatched_part_as_in_pytorch() -> None:
    data = bytearray(next(file for file in FILES if file.name.endswith(".groups.lsi")).read_bytes())
    data[inspect(bytes(data)).groups[1].offset + 5] ^= 8
    with pytest.raises(DamagedFile):
        decode(bytes(data), strict=True)
    ours, theirs = decode(bytes(data)), decode_with_torch(bytes(data), device="cpu")
    assert ours.damaged_tiles == theirs.damaged_tiles and len(ours.damaged_tiles) == 1
    assert farthest(ours.picture.pixels, theirs.picture.pixels) <= 1
    with pytest.raises(NotACompressedFile):
        decode(b"\x89PNG")


def test_every_prefix_of_a_file_ends_in_our_errors() -> None:
    data = FILES[0].read_bytes()
    for end in range(0, len(data), 7):
        with pytest.raises(CodecError):
            decode(data[:end], strict=True)


def test_importing_and_decoding_load_nothing_of_the_program() -> None:
    code = """
from pathlib import Path
import viewer
assert "onnxruntime" not in sys.modules
for name in sys.argv[1:]:
    picture = viewer.decode(Path(name).read_bytes(), strict=True).picture
    print(picture.width, picture.height)
loaded = {name.partition(".")[0] for name in sys.modules}
assert not loaded & Recipient.hidden, loaded & Recipient.hidden
assert not loaded & {"gui", "main"}
"""
    headers = [inspect(file.read_bytes()) for file in FILES]
    printed = in_a_process_of_its_own(code, *FILES)
    assert printed.split() == [str(side) for header in headers for side in (header.width, header.height)]


def test_pillow_opens_files_without_torch(tmp_path: Path) -> None:
    framed = next(file for file in FILES if file.name.endswith(".framed.lsi"))
    code = """
from PIL import Image
import engine.compression.pillow_plugin
with Image.open(sys.argv[1]) as image:
    assert image.mode == "RGBA" and image.info["exif"]
    image.save(sys.argv[2], exif=b"")
try:
    image.save(sys.argv[2] + ".lsi")
except OSError as error:
    print(error)
"""
    printed = in_a_process_of_its_own(code, framed, tmp_path / "out.png")
    assert "needs PyTorch" in printed
    with Image.open(tmp_path / "out.png") as image, Image.open(framed.with_suffix(".png")) as expected:
        assert farthest(np.asarray(image), np.asarray(expected)) <= 1


def test_where_only_the_viewer_is_installed_the_program_says_how_to_get_the_rest() -> None:
    code = """
import contextlib, io, main
with contextlib.redirect_stderr(io.StringIO()) as told:
    assert main.run(["models"]) == 1
print(told.getvalue())
"""
    told = in_a_process_of_its_own(code)
    assert "latent-studio[studio]" in told and "latent-studio-view" in told and "Traceback" not in told


def test_help_and_information_need_neither_numpy_nor_pillow() -> None:
    code = """
from viewer.__main__ import run
assert run([sys.argv[1], "--info"]) == 0 and run(["--help"]) == 0
assert not {"numpy", "PIL", "constriction", "onnxruntime"} & set(sys.modules)
"""
    printed = in_a_process_of_its_own(code, FILES[0])
    assert "bits per pixel" in printed and "--strict" in printed


def test_the_command_converts_to_every_format_that_the_packages_at_hand_write(tmp_path: Path) -> None:
    framed = next(file for file in FILES if file.name.endswith(".framed.lsi"))
    code = """
from viewer.__main__ import run
source, folder = sys.argv[1:]
assert run([source, "--out", folder]) == 0
for suffix in ("png", "jpg", "webp", "avif", "tif", "bmp"):
    assert run([source, "--out", f"{folder}/out.{suffix}"]) == 0, suffix
assert run([source, "--out", f"{folder}/out.jxl"]) == 1
"""
    printed = in_a_process_of_its_own(code, framed, tmp_path)
    assert len(printed.splitlines()) == 7
    written = {path.name for path in tmp_path.iterdir()}
    assert written == {f"{framed.stem}.png", "out.png", "out.jpg", "out.webp", "out.avif", "out.tif", "out.bmp"}
    expected = decode_with_torch(framed.read_bytes(), device="cpu").picture
    with Image.open(tmp_path / "out.png") as image:
        assert farthest(np.asarray(image), np.dstack([expected.pixels, expected.alpha])) <= 1  # type: ignore[list-item]
        assert image.info["exif"].endswith((expected.exif or b"").removeprefix(b"Exif\0\0"))
    with Image.open(tmp_path / "out.webp") as image:
        assert image.mode == "RGBA" and image.getexif()[0x010F] == "Latent Studio"


def test_the_command_tells_what_a_file_says_of_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([str(FILES[0]), "--info", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    header = inspect(FILES[0].read_bytes())
    assert told == {"file": str(FILES[0]), **header.facts()}
    assert run([str(FILES[0]), "--info"]) == 0
    shown = capsys.readouterr().out
    assert header.model_hash in shown and f"GRPS {header.section('GRPS').bytes:,}" in shown  # type: ignore[union-attr]


def test_the_command_refuses_what_is_wrong_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, target = tmp_path / "in.lsi", tmp_path / "out.png"
    source.write_bytes(FILES[0].read_bytes())
    target.write_bytes(b"precious")
    cases = [
        ([str(source), "--out", str(target)], 1, "exists already"),
        ([str(source), "--out", str(tmp_path / "out.xyz")], 2, "picture format"),
        ([str(source), "--info", "--out", str(target)], 2, "--info"),
        ([str(source), "--info", "--region", "0,0,1,1"], 2, "--region"),
        ([str(source), "--region", "0,0,1", "--out", str(tmp_path / "new.png")], 2, "is no region"),
        ([str(source), "--region", "0,0,9999,1", "--out", str(tmp_path / "new.png")], 2, "does not lie in the picture"),
        ([str(source), "--threads", "0", "--out", str(tmp_path / "new.png")], 2, "threads"),
        ([str(tmp_path / "none.lsi"), "--out", str(tmp_path / "new.png")], 1, "no file"),
        ([str(target), "--overwrite", "--out", str(tmp_path / "new.png")], 1, f"{target}: This is not"),
        ([str(target), "--overwrite", "--out", str(target)], 2, "its own result"),
        ([str(target), "--info"], 1, "This is not"),
        (["--out"], 2, "usage"),
    ]
    for arguments, code, text in cases:
        assert run(arguments) == code, arguments
        captured = capsys.readouterr()
        assert text in captured.err and "Traceback" not in captured.err, arguments
        assert captured.out == ""
    assert target.read_bytes() == b"precious"
    assert run([str(source), "--out", str(target), "--overwrite"]) == 0
    with Image.open(target) as image:
        assert image.size == (inspect(source.read_bytes()).width, inspect(source.read_bytes()).height)


def test_without_a_screen_the_command_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("other systems always have one")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert run([str(FILES[0])]) == 2
    assert "no screen" in capsys.readouterr().err


def test_a_damaged_file_is_saved_as_far_as_it_goes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = bytearray(next(file for file in FILES if file.name.endswith(".groups.lsi")).read_bytes())
    source = tmp_path / "damaged.lsi"
    source.write_bytes(data[:-20])
    assert run([str(source), "--strict", "--out", str(tmp_path / "strict.png")]) == 1
    assert not (tmp_path / "strict.png").exists()
    assert run([str(source), "--json", "--out", str(tmp_path / "saved.png")]) == 3
    captured = capsys.readouterr()
    assert json.loads(captured.out)["damaged_tiles"] == 1 and "is damaged" in captured.err
    with Image.open(tmp_path / "saved.png") as image:
        assert image.size == (600, 40)
