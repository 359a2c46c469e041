"""Golden files of every codec ever shipped decode to the same symbols on every kind of processor and thread count."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from engine.compression import DEFAULT_MODEL, inspect
from engine.models.registry import list_models
from tests.golden.make import FOLDER, make

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(FOLDER.glob("*.lsi"))
X86 = platform.machine().lower() in ("x86_64", "amd64")

# Decodes the files named by its arguments; prints what came out.
PROBE = """
import json, sys
from dataclasses import asdict
from pathlib import Path
import numpy as np
import torch
from PIL import Image
from tests.golden.make import golden_of, pixels_of
torch.set_num_threads(int(sys.argv[1]))
found = {"threads": torch.get_num_threads(), "capability": torch.backends.cpu.get_cpu_capability(), "files": {}}
for name in sys.argv[2:]:
    path = Path(name)
    pixels = pixels_of(path.read_bytes()).astype(int)
    expected = np.asarray(Image.open(path.with_suffix(".png"))).astype(int)
    assert pixels.shape == expected.shape
    found["files"][path.name] = {
        **asdict(golden_of(path.read_bytes())),
        "farthest_pixel": int(np.abs(pixels - expected)[..., :3].max()),
        "farthest_alpha": int(np.abs(pixels - expected)[..., 3:].max(initial=0)),
    }
print()
print(json.dumps(found))
"""


def expected_of(file: Path) -> dict:
    model, case = file.name.removesuffix(".lsi").rsplit(".", 1)
    return json.loads((FOLDER / f"{model}.json").read_text())["files"][case]


def probe(threads: int, **settings: str) -> tuple[dict, str]:
    """Decode all golden files in a process of its own; what came out, and what oneDNN says of itself."""
    unset = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY", "OMP_NUM_THREADS")
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    environment |= {"OMP_NUM_THREADS": str(threads), "LATENT_STUDIO_THREADS": str(threads), "ONEDNN_VERBOSE": "1"}
    command = [sys.executable, "-c", PROBE, str(threads), *map(str, FILES)]
    done = subprocess.run(
        command, cwd=ROOT, env=environment | settings, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr
    *told, result = done.stdout.splitlines()
    return json.loads(result), "\n".join(told)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("threads", "onednn", "aten"),
    [
        (1, None, None),
        (2, None, "default"),
        (1, "SSE41", "default"),
        (2, "AVX2", "avx2"),
    ],
)
def test_golden_files_decode_to_the_same_symbols_everywhere(threads: int, onednn: str | None, aten: str | None) -> None:
    settings = {"ONEDNN_MAX_CPU_ISA": onednn, "ATEN_CPU_CAPABILITY": aten}
    found, told = probe(threads, **{name: value for name, value in settings.items() if value is not None})
    assert found["threads"] == threads
    if X86:  # what was asked for is what ran
        assert onednn is None or {"SSE41": "isa:Intel SSE4.1", "AVX2": "isa:Intel AVX2"}[onednn] in told
        assert aten is None or found["capability"] == aten.upper()
    assert len(found["files"]) == len(FILES) > 0
    for file in FILES:
        result = found["files"][file.name]
        assert result.pop("farthest_pixel") <= 1, file.name
        assert result.pop("farthest_alpha") == 0, file.name
        assert result == expected_of(file), file.name
        assert result["symbols"] == [group.symbol_crc for group in inspect(file.read_bytes()).groups]


def test_every_shipped_codec_has_golden_files() -> None:
    for card in list_models("hyperprior-codec"):
        index = FOLDER / f"{card.name}.json"
        assert index.is_file(), f"run tests/golden/make.py --model {card.name}"
        assert json.loads(index.read_text())["model_sha256"] == card.weights_sha256, (
            f"{card.name} has other weights than the shipped codec of that name: its files would no longer open"
        )


def test_every_codec_with_golden_files_is_still_shipped() -> None:
    shipped = {card.weights_sha256 for card in list_models("hyperprior-codec")}
    for index in FOLDER.glob("*.json"):
        assert json.loads(index.read_text())["model_sha256"] in shipped, index.name


def test_golden_files_are_small_and_cover_what_the_format_holds() -> None:
    for index in FOLDER.glob("*.json"):
        content = json.loads(index.read_text())
        files = [FOLDER / f"{content['model']}.{case}.lsi" for case in content["files"]]
        headers = [inspect(file.read_bytes()) for file in files]
        assert all(header.file_bytes <= 4096 for header in headers)
        assert {header.model_hash for header in headers} == {content["model_sha256"]}
        assert {"exif", "ALPH", "GRPS"} <= {section.name for header in headers for section in header.sections}
        assert any(header.width % 16 and header.height % 16 for header in headers)
        assert {len(header.groups) for header in headers} == {1, 2}
        assert len({header.quality for header in headers}) == 4
        for file in files:
            with Image.open(file.with_suffix(".png")) as image:
                assert image.size == (inspect(file.read_bytes()).width, inspect(file.read_bytes()).height)


def test_golden_files_are_never_replaced() -> None:
    before = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in FOLDER.iterdir() if path.is_file()}
    with pytest.raises(FileExistsError, match="never replaced"):
        make(DEFAULT_MODEL)
    after = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in FOLDER.iterdir() if path.is_file()}
    assert after == before
