# ruff: noqa: E402 - the repository comes first on the path, so that this runs from a checkout
"""Fuzzing of everything that reads .lsi files: `python tests/fuzz/run.py --runs 1000000 [--seed N] [--seconds S]`.

Every run makes a hostile input and reads it; only errors of our own family may end it. Most runs read a file (parser,
opacity, EXIF, preview), a fifth the symbols of a stream with the shipped model's tables, one in forty a group with a
small network; few save pictures with hostile EXIF blocks or decode whole pictures. The seeds are golden files of the
default codec. Run N of seed S always is the same: `--seed S --first N --runs 1` repeats it. Inputs that fail, and those
that take over a second, are written to `--out` with what happened.

Memory is the peak resident size of the process (VmHWM of Linux, empty elsewhere) above its peak after all was used on
sound input: this sees what zlib, the range coder and PyTorch take, which Python's own tracing does not. Time is the
processor's, so that a busy machine does not matter.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import os
import sys
import tempfile
import time
import traceback
import warnings
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

from engine.errors import LatentStudioError
from tests.fuzz.targets import Targets

MEMORY_LIMIT_MB = 300
SECONDS_LIMIT = 1.0
_TOLD_EVERY = 50_000


@dataclass
class Report:
    """What came of the runs.

    Attributes:
        outcomes: how often each kind of run ended how: "taken" or the name of an error of ours.
        failures: runs that ended otherwise: number, kind, error.
        slow: runs over the limit: number, kind, seconds.
        slowest: the same of the slowest run.
        baseline_mb, peak_mb: resident memory before, and the most above it; None where the system does not tell.
    """

    seed: int
    first: int
    runs: int = 0
    seconds: float = 0.0
    outcomes: dict[str, dict[str, int]] = field(default_factory=dict)
    failures: list[tuple[int, str, str]] = field(default_factory=list)
    slow: list[tuple[int, str, float]] = field(default_factory=list)
    slowest: tuple[int, str, float] = (-1, "", 0.0)
    baseline_mb: float | None = None
    peak_mb: float | None = None

    @property
    def passed(self) -> bool:
        """True where all limits were kept."""
        return not self.failures and not self.slow and (self.peak_mb is None or self.peak_mb < MEMORY_LIMIT_MB)


def fuzz(targets: Targets, seed: int, first: int, runs: int, seconds: float | None, out: Path) -> Report:
    """Make runs `first` .. `first + runs - 1`, or as many as fit into that many seconds of wall time."""
    report = Report(seed, first)
    targets.warm_up()
    report.baseline_mb = _peak_memory_mb()
    started = time.monotonic()
    for number in range(first, first + runs):
        step, rng = targets.step(number), Random(f"{seed}:{number}")
        data = step.make(rng)
        begun = time.process_time()
        try:
            step.check(rng, data)
            outcome = "taken"
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # panics of the range coder are no Exception
            outcome = type(error).__name__
            if not isinstance(error, LatentStudioError):
                report.failures.append((number, step.name, f"{outcome}: {error}"))
                _keep(out, report, number, step.name, data, traceback.format_exc())
        spent = time.process_time() - begun
        if spent > SECONDS_LIMIT:
            report.slow.append((number, step.name, spent))
            _keep(out, report, number, step.name, data, f"{spent:.2f} s")
        if spent > report.slowest[2]:
            report.slowest = (number, step.name, spent)
        counts = report.outcomes.setdefault(step.name, {})
        counts[outcome] = counts.get(outcome, 0) + 1
        report.runs += 1
        report.seconds = time.monotonic() - started
        if report.runs % _TOLD_EVERY == 0:
            print(f"{report.runs:,} runs, {report.seconds:.0f} s, {len(report.failures)} failed", file=sys.stderr)
        if seconds is not None and report.seconds > seconds:
            break
    peak = _peak_memory_mb()
    if peak is not None and report.baseline_mb is not None:
        report.peak_mb = peak - report.baseline_mb
    return report


def _keep(out: Path, report: Report, number: int, kind: str, data: bytes, text: str) -> None:
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{report.seed}-{number}-{kind}.bin"
    path.write_bytes(data)
    path.with_suffix(".txt").write_text(f"--seed {report.seed} --first {number} --runs 1\n{text}\n")


def _peak_memory_mb() -> float | None:
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(peak.split()[1]) / 1024


def print_report(report: Report) -> None:
    """Counts, the slowest run, memory, and what failed."""
    print(f"{report.runs:,} runs from {report.first} of seed {report.seed} in {report.seconds:.0f} s")
    for kind, outcomes in report.outcomes.items():
        told = ", ".join(
            f"{name} {outcomes[name]:,}" for name in sorted(outcomes, key=outcomes.__getitem__, reverse=True)
        )
        print(f"  {kind}: {sum(outcomes.values()):,} ({told})")
    number, kind, spent = report.slowest
    print(f"slowest: run {number} ({kind}), {spent:.3f} s; over {SECONDS_LIMIT:g} s: {len(report.slow)}")
    if report.peak_mb is not None:
        print(f"memory: at most {report.peak_mb:.0f} MB above {report.baseline_mb:.0f} MB (limit {MEMORY_LIMIT_MB} MB)")
    for number, kind, problem in report.failures:
        print(f"FAILED: run {number} ({kind}): {problem}")
    print("passed" if report.passed else "NOT passed")


def main() -> int:
    """Fuzz as the command line says; 0 where all limits were kept."""
    parser = argparse.ArgumentParser(description="Fuzz everything that reads .lsi files.")
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first run")
    parser.add_argument("--seconds", type=float, help="stop after so much time")
    parser.add_argument("--out", type=Path, default=Path("fuzz-failures"), help="folder for inputs that fail")
    parser.add_argument("--json", type=Path, help="write the report to this file too")
    chosen = parser.parse_args()
    faulthandler.enable()
    warnings.simplefilter("ignore")  # Pillow warns of odd metadata
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_DATA_HOME"] = folder  # no models but the shipped ones
        report = fuzz(Targets(Path(folder)), chosen.seed, chosen.first, chosen.runs, chosen.seconds, chosen.out)
    print_report(report)
    if chosen.json is not None:
        chosen.json.write_text(json.dumps({**asdict(report), "passed": report.passed}, indent=2))
    return 0 if report.passed else 1


if __name__ == "__main__":
    sys.exit(main())
