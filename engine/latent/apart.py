"""Analyses that run in a process of their own: they hold the interpreter for long, or cannot be cancelled otherwise.

t-SNE, UMAP (whose first call compiles for a minute) and HDBSCAN would stall a window in the same process. The process
gets arrays and settings over a pipe, tells of its progress, and is killed when the caller cancels.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import signal
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from engine.errors import AnalysisError, LatentStudioError
from engine.progress import CancelToken, Progress, ProgressCallback, ignore_progress

_LOOK_SECONDS = 0.05
_TELL_EVERY = 10

Tell = Callable[[int, int, str, np.ndarray | None], None]


def run_apart(
    work: str,
    points: np.ndarray,
    settings: dict[str, Any],
    *,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> np.ndarray:
    """Do one of `WORKS` in a process of its own.

    Args:
        work: its name.
        points: (N, D) float32.
        settings: JSON values, what the work takes.
        progress: `partial` carries results on the way where the library gives them.
        cancel: kills the process.

    Returns:
        The work's result, N rows.

    Raises:
        AnalysisError: its library is not installed, or refused the points.
        LatentStudioError: the process ended without a result.
        Cancelled: by `cancel`.
    """
    package = WORKS[work].package
    if find_spec(package) is None:
        raise AnalysisError(
            f"{WORKS[work].label} needs the package {WORKS[work].distribution}, which is not installed.",
            'Install it with: pip install "latent-studio[maps]", or choose another method.',
        )
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there, work, os.getpid()), name=f"latent-{work}", daemon=True)
    process.start()
    there.close()
    try:
        here.send_bytes(json.dumps(settings).encode("ascii"))
        _send_array(here, np.ascontiguousarray(points, np.float32))
        while True:
            if cancel is not None:
                cancel.raise_if_cancelled()
            if not here.poll(_LOOK_SECONDS):
                continue
            message = json.loads(here.recv_bytes())
            array = _receive_array(here) if message["array"] else None
            if message["kind"] == "done":
                assert array is not None
                return array
            if message["kind"] == "failed":
                raise AnalysisError(f"{WORKS[work].label} failed: {message['text']}", "Use another method or settings.")
            progress(Progress(message["done"], message["total"], message["text"], array))
    except (EOFError, OSError) as error:
        raise LatentStudioError(
            f"The process of {WORKS[work].label} ended without a result.", "Use fewer pictures, or another method."
        ) from error
    finally:
        here.close()
        if process.is_alive():
            process.kill()
        process.join()
        process.close()


def is_installed(work: str) -> bool:
    """True when the package of a work is at hand."""
    return find_spec(WORKS[work].package) is not None


def _send_array(pipe: Connection, array: np.ndarray) -> None:
    pipe.send_bytes(json.dumps([array.dtype.str, *array.shape]).encode("ascii"))
    pipe.send_bytes(array.tobytes())


def _receive_array(pipe: Connection) -> np.ndarray:
    kind, *shape = json.loads(pipe.recv_bytes())
    return np.frombuffer(pipe.recv_bytes(), np.dtype(kind)).reshape(shape).copy()


# --- the other side ---------------------------------------------------------------------------------------------------


def _serve(pipe: Connection, work: str, parent: int) -> None:
    """The life of the process: one work."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C reaches the whole group; the parent decides
    # What a library prints belongs neither to the parent's results nor to its screen.
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    warnings.simplefilter("ignore")

    def send(kind: str, array: np.ndarray | None = None, **fields: Any) -> None:
        if os.getppid() != parent and os.name == "posix":
            os._exit(1)  # nobody is left who would want the result
        pipe.send_bytes(json.dumps({"kind": kind, "array": array is not None, **fields}).encode("utf-8"))
        if array is not None:
            _send_array(pipe, array)

    def tell(done: int, total: int, text: str, array: np.ndarray | None = None) -> None:
        send("progress", array, done=done, total=total, text=text)

    try:
        settings = json.loads(pipe.recv_bytes())
        points = _receive_array(pipe)
        send("done", WORKS[work].function(points, settings, tell))
    except (EOFError, BrokenPipeError):
        return
    except Exception as error:  # whatever a library of others raises becomes a sentence on the other side
        text = " ".join(str(error).split())[:300]
        send("failed", text=f"{type(error).__name__}: {text}.")


def _tsne(points: np.ndarray, settings: dict[str, Any], tell: Tell) -> np.ndarray:
    """t-SNE by openTSNE: early exaggeration, then 500 steps; told of every few steps with the map so far."""
    from openTSNE import TSNE  # pyright: ignore[reportMissingImports]

    early, late = 250, 500
    done = 0

    def on_step(_iteration: int, _error: float, embedding: np.ndarray) -> None:
        nonlocal done
        done = min(done + _TELL_EVERY, early + late)
        tell(done, early + late, "Drawing the map", np.asarray(embedding, np.float32))

    tell(0, early + late, "Looking for neighbours", None)
    fitted = TSNE(
        perplexity=min(30.0, (len(points) - 1) / 3),
        early_exaggeration_iter=early,
        n_iter=late,
        random_state=settings["seed"],
        n_jobs=settings["threads"],
        callbacks=on_step,
        callbacks_every_iters=_TELL_EVERY,
    ).fit(points.astype(np.float64))
    return np.asarray(fitted, np.float32)


class _EpochCounter:
    """A text stream that umap-learn's progress bar writes "epoch/epochs" to: the library tells of nothing else."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell

    def write(self, text: str) -> int:
        found = re.search(r"(\d+)/(\d+)", text)
        if found:
            self._tell(int(found[1]), int(found[2]), "Drawing the map", None)
        return len(text)

    def flush(self) -> None:
        """Nothing is held back."""


def _umap(points: np.ndarray, settings: dict[str, Any], tell: Tell) -> np.ndarray:
    """UMAP by umap-learn; it gives no map on the way, only how far it is."""
    tell(0, 0, "Compiling UMAP, once for each map", None)
    from umap import UMAP  # pyright: ignore[reportMissingImports]

    reducer = UMAP(
        n_neighbors=max(2, min(15, len(points) - 1)),
        # The spectral start needs more points than this to solve its eigenproblem.
        init="spectral" if len(points) > 20 else "random",
        random_state=settings["seed"],
        n_jobs=1,  # what a seed asks for
        verbose=True,
        tqdm_kwds={"file": _EpochCounter(tell), "bar_format": "{n_fmt}/{total_fmt}", "mininterval": 0.2},
    )
    return np.asarray(reducer.fit_transform(points), np.float32)


def _hdbscan(points: np.ndarray, settings: dict[str, Any], tell: Tell) -> np.ndarray:
    """HDBSCAN by scikit-learn: cluster numbers (N,), -1 for noise."""
    from sklearn.cluster import HDBSCAN

    tell(0, 0, "Clustering", None)
    clusterer = HDBSCAN(
        min_cluster_size=settings["smallest"],
        min_samples=settings["samples"],
        copy=True,  # pyright: ignore[reportArgumentType]
    )
    found = clusterer.fit(points)
    return np.asarray(found.labels_, np.int64)


class _Work:
    """A kind of work: its function, and the package that it needs."""

    def __init__(
        self,
        label: str,
        package: str,
        distribution: str,
        function: Callable[[np.ndarray, dict[str, Any], Tell], np.ndarray],
    ) -> None:
        self.label, self.package, self.distribution, self.function = label, package, distribution, function


WORKS = {
    "tsne": _Work("t-SNE", "openTSNE", "openTSNE", _tsne),
    "umap": _Work("UMAP", "umap", "umap-learn", _umap),
    "hdbscan": _Work("HDBSCAN", "sklearn", "scikit-learn", _hdbscan),
}
