"""Who does the tasks of a batch: this process, or processes beside it that may be killed without harm.

A process gets one task at a time over a pipe of its own, as JSON; nothing is shared between processes, so that one that
dies can hold nothing that another waits for.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol

from engine import errors
from engine.batch.plan import Task
from engine.batch.reports import FileResult
from engine.batch.settings import BatchSettings
from engine.errors import Cancelled, LatentStudioError, OutputError, UsageError
from engine.progress import CancelToken, Progress

if TYPE_CHECKING:
    from engine.batch.encoding import FileWorker

_TELL_SECONDS = 0.2
_GRACE_SECONDS = 0.8
# Processes that end before they are ready, in a row, until it is clear that none will come up.
_MOST_FALSE_STARTS = 3


@dataclass(frozen=True)
class Event:
    """Something that a worker tells.

    Attributes:
        worker: its number.
        kind: "progress", "done", or "lost" for a worker that ended in the middle of the task.
        index: of the task's row.
        fraction: of the task, for "progress".
        result: of a task that went well.
        problem: why it did not.
        output_failed: the result could not be written, which may concern the tasks after it too.
        seconds: that the task took.
    """

    worker: int
    kind: str
    index: int
    fraction: float = 0.0
    result: FileResult | None = None
    problem: str = ""
    output_failed: bool = False
    seconds: float = 0.0


class Workers(Protocol):
    """What a `BatchRunner` needs of those who do the tasks."""

    def start(self) -> None:
        """Get ready. Raises what is wrong with the settings."""
        ...

    def idle(self) -> list[int]:
        """Numbers of the workers that wait for a task."""
        ...

    def give(self, worker: int, task: Task) -> None:
        """Have an idle worker do a task."""
        ...

    def events(self, timeout: float) -> list[Event]:
        """What has happened, after `timeout` seconds at the latest unless this very process does the work."""
        ...

    def stop(self) -> list[Task]:
        """End all workers, at once where they hold a task; returns those tasks that had to be broken off."""
        ...


def do_task(worker: FileWorker, number: int, task: Task, tell: Callable[[Event], None], cancel: CancelToken) -> Event:
    """Do one task; whatever goes wrong with it becomes a sentence. Raises `Cancelled`, and nothing else."""
    started = time.monotonic()
    told = started

    def progress(now: Progress) -> None:
        nonlocal told
        cancel.raise_if_cancelled()
        if time.monotonic() - told >= _TELL_SECONDS:
            told = time.monotonic()
            tell(Event(number, "progress", task.index, now.fraction))

    result, problem, failed_to_write = None, "", False
    try:
        result = worker.run(task, progress, cancel)
    except Cancelled:
        raise
    except LatentStudioError as error:
        problem, failed_to_write = str(error), isinstance(error, OutputError)
    except MemoryError:
        problem = f"{task.source} needs more memory than is free. Close other programs, or use fewer jobs."
    except Exception as error:  # a fault of ours in one file must not take the other files along
        text = " ".join(str(error).split())[:160]
        problem = f"Unexpected fault with {task.source}: {type(error).__name__}: {text}"
    return Event(number, "done", task.index, 1.0, result, problem, failed_to_write, seconds=time.monotonic() - started)


class OwnProcess:
    """The tasks are done in this process, one after the other.

    Args:
        device, threads: see `FileWorker`.
        cancel: breaks off the task in work.
    """

    def __init__(self, settings: BatchSettings, device: str | None, threads: int | None, cancel: CancelToken) -> None:
        self._settings, self._device, self._threads = settings, device, threads
        self._cancel = cancel
        self._worker: FileWorker | None = None
        self._task: Task | None = None
        self.tell: Callable[[Event], None] = lambda event: None

    def start(self) -> None:
        from engine.batch.encoding import FileWorker

        self._worker = FileWorker(self._settings, self._device, self._threads)

    def idle(self) -> list[int]:
        return [0] if self._task is None else []

    def give(self, worker: int, task: Task) -> None:
        self._task = task

    def events(self, timeout: float) -> list[Event]:
        task = self._task
        assert task is not None and self._worker is not None
        event = do_task(self._worker, 0, task, self.tell, self._cancel)
        self._task = None
        return [event]

    def stop(self) -> list[Task]:
        return []


class Processes:
    """The tasks are done by processes, each with the model loaded and one CPU thread, unless told otherwise.

    Args:
        count: of processes.
        device, threads: see `FileWorker`.
    """

    def __init__(
        self, settings: BatchSettings, count: int, device: str | None = None, threads: int | None = None
    ) -> None:
        self._settings, self._device, self._threads = settings, device, threads or 1
        self._context = multiprocessing.get_context("spawn")
        self._processes: dict[int, BaseProcess] = {}
        self._pipes: dict[int, Connection] = {}
        self._ready: set[int] = set()
        self._held: dict[int, Task] = {}
        self._count = count
        self._false_starts = 0

    @property
    def process_ids(self) -> list[int]:
        """Of the processes that run now."""
        return [process.pid for process in self._processes.values() if process.pid is not None]

    def start(self) -> None:
        for number in range(self._count):
            self._start_one(number)

    def idle(self) -> list[int]:
        return sorted(self._ready - self._held.keys())

    def give(self, worker: int, task: Task) -> None:
        self._held[worker] = task
        try:
            self._pipes[worker].send_bytes(_packed({"task": task.to_plain()}))
        except OSError:  # it has just ended, which the next look at its pipe will show
            return

    def events(self, timeout: float) -> list[Event]:
        numbers = {id(pipe): number for number, pipe in self._pipes.items()}
        found = []
        for pipe in wait(list(self._pipes.values()), timeout):
            number = numbers[id(pipe)]
            try:
                message = json.loads(self._pipes[number].recv_bytes())
            except (EOFError, OSError, ValueError):
                found += self._replace(number)
                continue
            if "refused" in message:
                raise error_of(message["refused"])
            if "ready" in message:
                self._ready.add(number)
                self._false_starts = 0
                continue
            event = event_of(number, message)
            if event.kind == "done":
                self._held.pop(number, None)
            found.append(event)
        return found

    def stop(self) -> list[Task]:
        for number, pipe in self._pipes.items():
            try:
                pipe.send_bytes(_packed({"cancel": True} if number in self._held else {"end": True}))
            except OSError:
                continue  # it has ended already
        until = time.monotonic() + _GRACE_SECONDS
        for process in self._processes.values():
            process.join(max(0.0, until - time.monotonic()))
            if process.is_alive():
                process.kill()
                process.join()
            process.close()
        for pipe in self._pipes.values():
            pipe.close()
        broken = list(self._held.values())
        self._processes.clear()
        self._pipes.clear()
        self._ready.clear()
        self._held.clear()
        return broken

    def _start_one(self, number: int) -> None:
        here, there = self._context.Pipe()
        arguments = (there, self._settings.to_plain(), self._device, self._threads, number)
        process = self._context.Process(target=_work, args=arguments, name=f"batch-{number}", daemon=True)
        process.start()
        there.close()
        self._processes[number], self._pipes[number] = process, here

    def _replace(self, number: int) -> list[Event]:
        """Start another process in the place of one that ended; the task that it held is lost."""
        self._pipes.pop(number).close()
        process = self._processes.pop(number)
        process.join()
        process.close()
        if number not in self._ready:
            self._false_starts += 1
            if self._false_starts >= _MOST_FALSE_STARTS:
                raise LatentStudioError(
                    "The processes of the batch end before they are ready.", "Use fewer jobs, or one."
                )
        self._ready.discard(number)
        task = self._held.pop(number, None)
        self._start_one(number)
        return [] if task is None else [Event(number, "lost", task.index)]


def _packed(message: dict[str, Any]) -> bytes:
    return json.dumps(message).encode("ascii")


def event_of(number: int, message: dict[str, Any]) -> Event:
    """The inverse of `plain_of`, told by worker `number`."""
    plain = message.get("result")
    result = None if plain is None else FileResult.from_plain(plain)
    return Event(
        number, message["kind"], message["index"], message["fraction"], result, message["problem"],
        message["output_failed"], message["seconds"],
    )  # fmt: skip


def plain_of(event: Event) -> dict[str, Any]:
    """An event as texts, numbers and tables that can be sent."""
    plain = {name: value for name, value in vars(event).items() if name not in ("worker", "result")}
    return plain | {"result": None if event.result is None else event.result.to_plain()}


def error_of(refused: dict[str, str]) -> LatentStudioError:
    """The error that a worker named when it could not start."""
    kind = getattr(errors, refused["kind"], LatentStudioError)
    if not (isinstance(kind, type) and issubclass(kind, LatentStudioError)) or kind is Cancelled:
        kind = LatentStudioError
    try:
        return kind(refused["problem"], refused["remedy"])
    except TypeError:  # one that wants more than its two sentences
        return LatentStudioError(refused["problem"], refused["remedy"])


def _work(pipe: Connection, settings: dict[str, Any], device: str | None, threads: int, number: int) -> None:
    """The life of a process: load, then task after task until it is told to end or its parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C reaches the whole group; the parent decides
    os.environ["LATENT_STUDIO_THREADS"] = str(threads)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    tasks: SimpleQueue[Task | None] = SimpleQueue()
    cancel = CancelToken()

    def listen() -> None:
        while True:
            try:
                message = json.loads(pipe.recv_bytes())
            except (EOFError, OSError):
                os._exit(1)  # nobody is left who would want the result; what is half written stays hidden
            if "task" in message:
                tasks.put(Task.from_plain(message["task"]))
                continue
            if "cancel" in message:
                cancel.cancel()
            tasks.put(None)
            return

    threading.Thread(target=listen, name="batch-orders", daemon=True).start()

    def send(message: dict[str, Any]) -> None:
        pipe.send_bytes(_packed(message))

    try:
        from engine.batch.encoding import FileWorker

        worker = FileWorker(BatchSettings.from_plain(settings), device, threads, number)
    except LatentStudioError as error:
        send({"refused": {"kind": type(error).__name__, "problem": error.problem, "remedy": error.remedy}})
        return
    except (ImportError, OSError, RuntimeError) as error:
        problem = f"The engine could not start: {type(error).__name__}: {error}."
        send({"refused": {"kind": "LatentStudioError", "problem": problem, "remedy": "Install the program again."}})
        return
    try:
        send({"ready": True})
        while True:
            task = tasks.get()
            if task is None:
                return
            send(plain_of(do_task(worker, number, task, lambda event: send(plain_of(event)), cancel)))
    except (Cancelled, BrokenPipeError):
        return


def choose_workers(
    settings: BatchSettings, jobs: int, device: str | None, threads: int | None, cancel: CancelToken
) -> OwnProcess | Processes:
    """This process for one job, so many others for more. Raises `UsageError` for fewer than one."""
    if jobs < 1:
        raise UsageError(f"{jobs} jobs were asked for.", "Use a whole number of 1 or more.")
    if jobs == 1:
        return OwnProcess(settings, device, threads, cancel)
    return Processes(settings, jobs, device, threads)
