"""The tasks of a batch on many machines: Ray actors that keep the model loaded (extra `cluster`).

Originals and results are paths, so every machine must see the same folders, and the program must be installed on each.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

from engine.batch.plan import Task
from engine.batch.settings import BatchSettings
from engine.batch.workers import Event, do_task, error_of, event_of, plain_of
from engine.errors import DeviceError, LatentStudioError, UsageError
from engine.progress import never_cancelled

# A worker that is lost comes up again so often; the batch retries the task that it held.
_RESTARTS = 5
LOCAL = "local"


def _ray() -> Any:
    """The package, which only the extra `cluster` installs."""
    return importlib.import_module("ray")


class RayWorkers:
    """One actor for each GPU of a cluster or, where it has none, for each of its CPU threads.

    Args:
        address: of a running cluster, "auto" for the one of this machine, "local" for one that lives as long as this.
        device, threads: see `FileWorker`; `threads` of each actor.
    """

    def __init__(
        self, settings: BatchSettings, address: str, device: str | None = None, threads: int | None = None
    ) -> None:
        self._settings, self._address = settings, address
        self._device, self._threads = device, threads or 1
        self._ray: Any = None
        self._actors: list[Any] = []
        self._starting: dict[Any, int] = {}
        self._ready: dict[int, int] = {}
        self._held: dict[Any, tuple[int, Task]] = {}

    @property
    def process_ids(self) -> dict[int, int]:
        """Of the actors that are ready, by number."""
        return dict(self._ready)

    def start(self) -> None:
        """See `Workers`. Raises `UsageError` where Ray is not installed and `DeviceError` where no cluster answers."""
        try:
            ray = _ray()
        except ImportError as error:
            raise UsageError(
                "Ray, which spreads a batch over machines, is not installed.", "Install the extra: cluster."
            ) from error
        try:
            # Its own output would run through the progress bar.
            if self._address == LOCAL:
                ray.init(include_dashboard=False, log_to_driver=False, logging_level="ERROR")
            else:
                ray.init(address=self._address, log_to_driver=False, logging_level="ERROR")
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise DeviceError(
                f"No Ray cluster answers at {self._address} ({' '.join(str(error).split())[:160]}).",
                "Start one by `ray start --head`, or use --jobs on this machine.",
            ) from error
        self._join()

    def _join(self) -> None:
        """Start the actors in the cluster that this process belongs to."""
        ray = self._ray = _ray()
        found = ray.cluster_resources()
        gpus, cpus = int(found.get("GPU", 0)), int(found.get("CPU", 1))
        wanted = {"num_gpus": 1} if gpus and self._device != "cpu" else {"num_cpus": self._threads}
        actor = ray.remote(_Actor).options(max_restarts=_RESTARTS, max_task_retries=0, **wanted)
        for number in range(gpus if "num_gpus" in wanted else max(1, cpus // self._threads)):
            self._actors.append(actor.remote(self._settings.to_plain(), self._device, self._threads, number))
        self._starting = {actor.ready.remote(): number for number, actor in enumerate(self._actors)}

    def idle(self) -> list[int]:
        """See `Workers`."""
        return sorted(self._ready.keys() - {number for number, _ in self._held.values()})

    def give(self, worker: int, task: Task) -> None:
        """See `Workers`."""
        self._held[self._actors[worker].do.remote(task.to_plain())] = (worker, task)

    def events(self, timeout: float) -> list[Event]:
        """See `Workers`."""
        waiting = [*self._starting, *self._held]
        finished, _ = self._ray.wait(waiting, num_returns=len(waiting), timeout=timeout)
        return [event for reference in finished for event in self._look(reference)]

    def stop(self) -> list[Task]:
        """See `Workers`."""
        if self._ray is None:
            return []
        broken = [task for _, task in self._held.values()]
        for actor in self._actors:
            self._ray.kill(actor)
        self._actors.clear()
        self._starting.clear()
        self._held.clear()
        self._ready.clear()
        self._ray.shutdown()
        return broken

    def _look(self, reference: Any) -> list[Event]:
        """What an answer says."""
        try:
            message = self._ray.get(reference)
        except self._ray.exceptions.RayError:
            return self._lose(reference)
        if reference in self._starting:
            number = self._starting.pop(reference)
            if "refused" in message:
                raise error_of(message["refused"])
            self._ready[number] = message["process"]
            return []
        number, _ = self._held.pop(reference)
        return [event_of(number, message)]

    def _lose(self, reference: Any) -> list[Event]:
        """An actor has died; Ray starts it anew, and it says when it is ready."""
        if reference in self._starting:
            del self._starting[reference]
            if not self._ready and not self._starting:
                raise LatentStudioError(
                    "The workers of the cluster end before they are ready.",
                    "Check that the program is installed on every machine, and the memory that is free there.",
                )
            return []
        number, task = self._held.pop(reference)
        self._ready.pop(number, None)
        self._starting[self._actors[number].ready.remote()] = number
        return [Event(number, "lost", task.index)]


class _Actor:
    """Lives on a machine of the cluster."""

    def __init__(self, settings: dict[str, Any], device: str | None, threads: int, number: int) -> None:
        os.environ["LATENT_STUDIO_THREADS"] = str(threads)
        os.environ.setdefault("OMP_NUM_THREADS", str(threads))
        self._arguments = settings, device, threads, number
        self._number = number
        self._worker: Any = None

    def ready(self) -> dict[str, Any]:
        """Load the model; what is wrong with the settings is told and not raised, which Ray would wrap up."""
        from engine.batch.encoding import FileWorker

        settings, device, threads, number = self._arguments
        try:
            self._worker = FileWorker(BatchSettings.from_plain(settings), device, threads, number)
        except LatentStudioError as error:
            return {"refused": {"kind": type(error).__name__, "problem": error.problem, "remedy": error.remedy}}
        return {"ready": True, "process": os.getpid()}

    def do(self, task: dict[str, Any]) -> dict[str, Any]:
        """Do one task."""
        done = do_task(self._worker, self._number, Task.from_plain(task), lambda _event: None, never_cancelled())
        return plain_of(done)
