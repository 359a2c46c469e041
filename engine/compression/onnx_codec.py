"""A codec model for recipients: decodes with ONNX Runtime, without PyTorch.

`python -m viewer.export` writes such models from the ones of the program. A model is one .npz file without pickled
objects: the card as JSON, three ONNX graphs (`prepare` and `distribution` are the integer networks, `synthesis` makes
pixels), the frequency tables and the gains. The integer networks run in float32 with every sum below 2^24, as they do
in PyTorch, so that any order of summation and any fusion of operators gives the same integers.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from engine.compression.byte_source import ByteSource
from engine.compression.container import MAX_PIXELS, Region
from engine.compression.decoding import Decoded, decode_with
from engine.compression.entropy import Table
from engine.compression.walk import local_levels, quality_level
from engine.errors import DeviceError, ModelError, ModelMismatch, UsageError
from engine.progress import CancelToken, ProgressCallback, ignore_progress

SUFFIX = ".npz"
# Counts up when readers must change.
FORMAT = 1
MAX_BYTES = 64 * 2**20


@dataclass(frozen=True)
class OnnxCard:
    """What an exported codec says of itself.

    Attributes:
        name, weights_sha256: of the model that it was exported from; files name their model by them.
        latent_channels, hyper_channels, quality_levels: as in the model's configuration.
        synthesis_halo: how many latents beyond a window its pixels depend on.
    """

    name: str
    weights_sha256: str
    latent_channels: int
    hyper_channels: int
    quality_levels: int
    synthesis_halo: int


class OnnxCodec:
    """What the decoder needs of a codec model, computed by ONNX Runtime on the CPU; a `DecodingModel`.

    Attributes:
        card: the model's description.
        latent_tables: one table per scale bin.
    """

    def __init__(self, path: Path, threads: int) -> None:
        content = _read(path)
        self.card = _card(path, content)
        self._hyper_frequencies = content["hyper_frequencies"]
        self._log_restore, self._log_filter = content["log_restore"], content["log_filter"]
        self.latent_tables = _tables(content["latent_frequencies"])
        self._hyper_tables: dict[int, list[Table]] = {}
        self._prepare, self._distribution, self._synthesis = (
            _session(path, content[name].tobytes(), threads) for name in ("prepare", "distribution", "synthesis")
        )

    @property
    def latent_channels(self) -> int:
        """Channels of y."""
        return self.card.latent_channels

    @property
    def hyper_channels(self) -> int:
        """Channels of z."""
        return self.card.hyper_channels

    @property
    def synthesis_halo(self) -> int:
        """How many latents beyond a window its pixels depend on."""
        return self.card.synthesis_halo

    def level(self, quality: float) -> int:
        """Entropy-model level of a quality."""
        return quality_level(quality, self.card.quality_levels)

    def local_levels(self, quality: float | np.ndarray) -> np.ndarray | None:
        """Entropy-model levels (h, w) int64 of a quality map in hundredths; None where the quality is one number."""
        return local_levels(quality, self.card.quality_levels)

    def hyper_tables(self, level: int) -> list[Table]:
        """The tables of the hyper-latents, by channel, at a quality level."""
        if level not in self._hyper_tables:
            self._hyper_tables[level] = _tables(self._hyper_frequencies[level])
        return self._hyper_tables[level]

    def prepare(self, hyper: np.ndarray, levels: np.ndarray, height: int, width: int) -> np.ndarray:
        """See `EntropyModel`."""
        if levels.size > 1:  # the network's own grid goes on beyond the border of the picture
            beyond = ((0, 4 * hyper.shape[1] - height), (0, 4 * hyper.shape[2] - width))
            levels = np.pad(levels, beyond, mode="edge")
        (prepared,) = _run(self._prepare, hyper=hyper[None].astype(np.float32), levels=levels.astype(np.int64))
        return np.ascontiguousarray(prepared[:, :, :height, :width])

    def distribution(
        self, prepared: np.ndarray, latents: np.ndarray, step: int, places: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `EntropyModel`."""
        values = latents[None].astype(np.float32)
        mean, bins = _run(self._distribution, prepared=prepared, latents=values, step=np.array([[step]]))
        return mean[0][:, places].reshape(-1).astype(np.int32), bins[0][:, places].reshape(-1).astype(np.uint8)

    def synthesise(self, latents: np.ndarray, quality: float | np.ndarray) -> np.ndarray:
        """Decoded latents (M, h, w) int16 in 1/16 steps -> pixels (16h, 16w, 3) uint8.

        Args:
            quality: 0..100, or a map (h, w) in hundredths.
        """
        places = quality / 100.0 if isinstance(quality, np.ndarray) else np.array([[quality]])
        restore, filtering = _gains(self._log_restore, places), _gains(self._log_filter, places)
        if places.size > 1:
            filtering = filtering.repeat(2, axis=2).repeat(2, axis=3)
        values = latents[None].astype(np.float32)
        (pixels,) = _run(self._synthesis, latents=values, restore=restore, filter=filtering)
        return pixels[0]


def decode(
    data: bytes | ByteSource,
    *,
    region: Region | None = None,
    strict: bool = False,
    threads: int | None = None,
    models: Sequence[Path] = (),
    max_pixels: int = MAX_PIXELS,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> Decoded:
    """Decode a file, or a region of it, without PyTorch; see `decode_with` for regions, damage, arguments and errors.

    Symbols are those that PyTorch gives; pixels may differ from its by one level.

    Args:
        threads: CPU threads; None reads LATENT_STUDIO_THREADS, then one per core.
        models: folders of further exported models, searched before the shipped ones.
    """
    count = _threads(threads)
    return decode_with(
        lambda name, digest: open_onnx_codec(name, digest, models, count),
        data, region=region, strict=strict, max_pixels=max_pixels, progress=progress, cancel=cancel,
    )  # fmt: skip


def shipped_folder() -> Path:
    """The folder of the exported models that come with the program."""
    return Path(str(files("resources"))) / "viewer"


def open_onnx_codec(name: str, digest: str, folders: Sequence[Path] = (), threads: int = 1) -> OnnxCodec:
    """The exported codec that a file names; opened once while its file does not change.

    Raises:
        ModelMismatch: no exported model at hand has this hash.
        ModelError: onnxruntime is not installed.
    """
    found = [path for folder in (*folders, shipped_folder()) for path in sorted(Path(folder).glob(f"*{SUFFIX}"))]
    for path in sorted(found, key=lambda path: path.stem != name):
        try:
            card = read_onnx_card(path)
        except ModelError:
            continue  # of the other models one may fit
        if card.weights_sha256 == digest:
            return _open_cached(path, path.stat().st_mtime_ns, threads)
    raise ModelMismatch(
        f"The file was made with the model {name!r} ({digest[:12]}), which this viewer does not have.",
        "Ask for the picture as PNG, or for that model as exported by `python -m viewer.export`.",
    )


def read_onnx_card(path: Path) -> OnnxCard:
    """Only the card of an exported model. Raises `ModelError`."""
    return _card(path, _read(path, ("card",)))


@lru_cache(maxsize=4)
def _open_cached(path: Path, _modified: int, threads: int) -> OnnxCodec:
    return OnnxCodec(path, threads)


_MEMBERS = (
    "card", "prepare", "distribution", "synthesis", "latent_frequencies", "hyper_frequencies", "log_restore",
    "log_filter",
)  # fmt: skip


def _read(path: Path, members: Sequence[str] = _MEMBERS) -> dict[str, np.ndarray]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ModelError(f"{path} is larger than any exported model.", "Choose another file.")
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in members}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ModelError(
            f"{path} is no exported model, or is damaged ({error}).", "Install the viewer again."
        ) from error


def _card(path: Path, content: dict[str, np.ndarray]) -> OnnxCard:
    try:
        fields = json.loads(content["card"].tobytes())
        if fields.pop("format") != FORMAT:
            raise ModelError(f"{path} was exported by another version of the program.", "Install a newer viewer.")
        return OnnxCard(**fields)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelError(f"The card in {path} is not valid.", "Install the viewer again.") from error


def _tables(frequencies: np.ndarray) -> list[Table]:
    """One table per row (2 * radius + 2,) of frequencies."""
    return [Table.from_frequencies(row, len(row) // 2 - 1) for row in frequencies]


def _gains(knots: np.ndarray, quality: np.ndarray) -> np.ndarray:
    """Gains (1, C, h, w) float32 at qualities (h, w) in 0..100, log-interpolated between knots (K, C)."""
    found, places = np.unique(quality, return_inverse=True)
    position = np.clip(found, 0.0, 100.0) / 100.0 * (len(knots) - 1)
    lower = np.minimum(position.astype(np.int64), len(knots) - 2)
    share = (position - lower).astype(np.float32)[:, None]
    each = np.exp(knots[lower] + share * (knots[lower + 1] - knots[lower]))
    return np.ascontiguousarray(each[places.reshape(quality.shape)].transpose(2, 0, 1)[None])


def _threads(wish: int | None) -> int:
    if wish is None:
        value = os.environ.get("LATENT_STUDIO_THREADS")
        if not value:
            return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        if not value.isdigit():
            raise UsageError(f"LATENT_STUDIO_THREADS is {value!r}.", "Set it to a whole number of 1 or more.")
        wish = int(value)
    if wish < 1:
        raise UsageError(f"{wish} CPU threads were asked for.", "Use a number of 1 or more.")
    return wish


def _session(path: Path, graph: bytes, threads: int) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise ModelError(
            "ONNX Runtime, which decodes here, is not installed.", "Install it: pip install onnxruntime"
        ) from error
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # its warnings are for programmers
    # Threads that wait must not spin: beside another busy process they would slow both down.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors share no base of their own
        raise ModelError(
            f"ONNX Runtime cannot load {path} ({_short(error)}).", "Install a newer onnxruntime."
        ) from error


def _run(session: Any, **inputs: np.ndarray) -> list[np.ndarray]:
    try:
        return session.run(None, inputs)
    except Exception as error:  # its errors share no base of their own
        raise DeviceError(
            f"ONNX Runtime could not compute a part of the picture ({_short(error)}).",
            "Close other programs, which take memory, and try again.",
        ) from error


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:160]
