"""What all commands share: options, consoles, progress bars, files that were given, and what becomes of failures."""

from __future__ import annotations

import contextlib
import glob
import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Table

from engine.errors import Cancelled, LatentStudioError, OutputError, UsageError
from engine.progress import Progress, ProgressCallback

if TYPE_CHECKING:
    from engine.device import ComputeDevice

DeviceOption = Annotated[str | None, typer.Option("--device", help="auto, cpu, cuda, cuda:N or mps.", metavar="DEVICE")]
ThreadsOption = Annotated[int | None, typer.Option("--threads", help="CPU threads.", min=1, metavar="N")]
RootsOption = Annotated[
    list[Path] | None, typer.Option("--data-root", help="Folder of data sets; repeatable.", metavar="DIR")
]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace results that exist already.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print figures as JSON.")]

# Tables and sentences must not be cut where no terminal sets a width.
_WIDE = None if os.isatty(1) else 160
output = Console(width=_WIDE, highlight=False)
errors = Console(stderr=True, highlight=False)


@dataclass
class _Compute:
    device: str | None = None
    threads: int | None = None
    data_roots: list[Path] = field(default_factory=list)


_compute = _Compute()


def version() -> str:
    """Version of the installed program."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        return installed("latent-studio")
    except PackageNotFoundError:  # started from a checkout that was never installed
        return "(not installed)"


def reset_compute() -> None:
    """Forget the options of an earlier command of this process."""
    _compute.device, _compute.threads, _compute.data_roots = None, None, []


def set_compute(device: str | None, threads: int | None, data_roots: Sequence[Path] | None = None) -> None:
    """Remember the options, whether they stood before the command or after it; the later ones win."""
    _compute.device = device or _compute.device
    _compute.threads = threads or _compute.threads
    _compute.data_roots = [*(data_roots or []), *_compute.data_roots]


def device_wish() -> str | None:
    """What --device says; None leaves the choice to the environment and the machine."""
    return _compute.device


def threads_wish() -> int | None:
    """What --threads says; None leaves the choice to the environment and the machine."""
    return _compute.threads


def compute_device() -> ComputeDevice:
    """The device that the options, the environment and the machine give. Raises `UsageError`, `DeviceError`."""
    from engine.device import choose_device

    return choose_device(_compute.device, _compute.threads)


def data_roots() -> list[Path]:
    """Folders given by --data-root."""
    return _compute.data_roots


def print_json(value: Any) -> None:
    """Print figures as JSON; see `json_text`."""
    print(json_text(value))


def json_text(value: Any) -> str:
    """Figures as JSON; infinite ones (the PSNR of equal pictures) become null, which JSON lacks."""
    return json.dumps(_plain(value), indent=2, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def table(*columns: str, title: str | None = None) -> Table:
    """A table whose first column is text and whose others are figures."""
    made = Table(title=title, title_justify="left")
    for index, column in enumerate(columns):
        made.add_column(column, justify="left" if index == 0 else "right", overflow="fold")
    return made


@contextlib.contextmanager
def bars() -> Iterator[Bars]:
    """Progress bars on the error stream, shown where it is a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bars(*columns, console=errors, transient=True, disable=not errors.is_terminal) as shown:
        yield shown


@contextlib.contextmanager
def bar(title: str) -> Iterator[ProgressCallback]:
    """One progress bar, as the callback that long calls take."""
    with bars() as shown:
        task = shown.add_task(escape(title), total=None)
        yield lambda now: shown.update(
            task, completed=now.done, total=now.total or None, description=escape(now.message or title)
        )


def complain(error: LatentStudioError, name: str = "") -> None:
    """One line on the error stream for a file that failed."""
    text = str(error)
    errors.print(escape(text if not name or name in text else f"{name}: {text}"), soft_wrap=True)


@dataclass
class Outcome:
    """What became of a batch of files.

    Attributes:
        failed: source and reason of those that failed.
        damaged: sources of which only a part could be saved.
    """

    failed: list[dict[str, str]] = field(default_factory=list)
    damaged: list[Path] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0 all done, 1 some failed, 3 some were damaged but saved."""
        return 1 if self.failed else 3 if self.damaged else 0

    def fail(self, source: Path | str, error: LatentStudioError) -> None:
        """Record and report a file that failed."""
        self.failed.append({"file": str(source), "problem": str(error)})
        complain(error, str(source))


def for_each(
    title: str,
    jobs: Sequence[tuple[Path, Path]],
    outcome: Outcome,
    action: Callable[[Path, Path, ProgressCallback], None],
) -> None:
    """Call `action(source, target, progress)` for each pair; a failing one is reported and the rest goes on."""
    with bars() as shown:
        total = shown.add_task(title, total=len(jobs))
        for source, target in jobs:
            current = shown.add_task(escape(source.name), total=None)

            def report(now: Progress, current: Any = current) -> None:
                shown.update(current, completed=now.done, total=now.total or None)

            try:
                action(source, target, report)
            except Cancelled:
                raise
            except LatentStudioError as error:
                outcome.fail(source, error)
            shown.remove_task(current)
            shown.advance(total)


def gather(arguments: Iterable[str], suffixes: Sequence[str], outcome: Outcome) -> list[tuple[Path, Path]]:
    """Files of a command line: files, folders (all files below with one of `suffixes`) and patterns such as *.jpg.

    Returns:
        Each file with its path relative to the folder that was given, so that results keep the folders' order.
    """
    found: list[tuple[Path, Path]] = []
    for argument in arguments:
        path = Path(argument)
        if path.is_dir():
            inside = sorted(one for one in path.rglob("*") if one.suffix.lower() in suffixes and one.is_file())
            if not inside:
                outcome.fail(path, LatentStudioError(f"The folder {path} holds no file that fits.", "Name a file."))
            found += [(one, one.relative_to(path)) for one in inside]
        elif not path.exists() and glob.has_magic(argument):
            # Path.glob takes no absolute pattern.
            matches = sorted(Path(one) for one in glob.glob(argument, recursive=True))  # noqa: PTH207
            if not matches:
                outcome.fail(argument, LatentStudioError(f"No file matches {argument}.", "Check the pattern."))
            found += [(one, Path(one.name)) for one in matches if one.is_file()]
        else:
            found.append((path, Path(path.name)))
    return found


def targets(
    found: Sequence[tuple[Path, Path]],
    out: Path | None,
    suffix: str,
    file_suffixes: Sequence[str],
    *,
    overwrite: bool,
    outcome: Outcome,
) -> list[tuple[Path, Path]]:
    """Where the result of each file goes.

    Args:
        found: from `gather`.
        out: a folder, or for a single source a file whose suffix is one of `file_suffixes`; None is beside the source.
        suffix: of results in folders.
        overwrite: False leaves out, and reports, sources whose result exists.

    Raises:
        UsageError: several sources and one file to write.
    """
    is_file = out is not None and out.suffix.lower() in file_suffixes and not out.is_dir()
    if is_file and len(found) > 1:
        raise UsageError(f"{len(found)} files cannot all be written to {out}.", "Give a folder.")
    planned: list[tuple[Path, Path]] = []
    taken: set[Path] = set()
    for source, relative in found:
        if out is not None and is_file:
            target = out
        else:
            folder = source.parent if out is None else out / relative.parent
            target = _free(folder / f"{relative.stem}{suffix}", taken)
        taken.add(target)
        if target.exists() and not overwrite:
            outcome.fail(source, OutputError(f"{target} exists already.", "Use --overwrite to replace it."))
        else:
            planned.append((source, target))
    return planned


def _free(target: Path, taken: set[Path]) -> Path:
    """`target`, numbered where another source of this call has the same: photo.jpg and photo.png."""
    number, candidate = 1, target
    while candidate in taken:
        candidate = target.with_stem(f"{target.stem}-{number}")
        number += 1
    return candidate


def parse_pairs(pairs: Iterable[str]) -> dict[str, str]:
    """NAME=VALUE options as a mapping. Raises `UsageError` for one without a sign of equality."""
    choice = {}
    for pair in pairs:
        name, sign, value = pair.partition("=")
        if not sign or not name:
            raise UsageError(f"{pair!r} is not NAME=VALUE.", "Write, for example, --attr hair=curly.")
        choice[name.strip()] = value.strip()
    return choice


def prepare_folder(folder: Path) -> None:
    """Make a folder for results. Raises `OutputError`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"The folder {folder} cannot be made: {error.strerror or error}.", "Choose another."
        ) from error


def finish(outcome: Outcome) -> None:
    """End the command with the batch's exit code."""
    if outcome.exit_code:
        raise typer.Exit(outcome.exit_code)
