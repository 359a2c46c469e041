# ruff: noqa: E402 - the repository comes first on the path, so that the benchmark runs from a checkout
"""What training runs cost and how they improved, from their logs.

Run `python benchmarks/training.py RUN_FOLDER... [--note NAME=TEXT] [--json FILE]`. Seconds are wall time over all
sittings of a run. `resumed` lists (step, planned total): where it differs, the recipe was changed between sittings and
the shipped weights are not exactly what the recipe gives. Writes benchmarks/results/training.json.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from engine.training import read_log

SKIPPED = ("event", "total", "seconds", "stage")


def summary(folder: Path) -> dict:
    """Steps, seconds, sittings and validation curve of one run."""
    events = read_log(folder)
    starts = [event for event in events if event["event"] == "start"]
    # Each sitting counts its seconds from zero: the last event before the next start holds its length.
    ends = [before for before, event in pairwise(events) if event["event"] == "start"]
    when = datetime.datetime.fromtimestamp((folder / "log.jsonl").stat().st_mtime, datetime.UTC)
    return {
        "model": starts[-1]["recipe"],
        "date": when.date().isoformat(),
        "device": starts[-1]["device"],
        "steps": events[-1]["step"],
        "wall_seconds": round(sum(event["seconds"] for event in [*ends, events[-1]])),
        "resumed": [[event["resumed_at"], event["total"]] for event in starts],
        "validation": [
            {key: value for key, value in event.items() if key not in SKIPPED}
            for event in events
            if event["event"] == "validation"
        ],
    }


def main() -> None:
    """Print a line per run and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--note", action="append", default=[], metavar="NAME=TEXT", help="what else to know of a run")
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks" / "results" / "training.json")
    arguments = parser.parse_args()
    notes = dict(note.split("=", 1) for note in arguments.note)
    rows = [summary(folder) for folder in arguments.runs]
    for row in rows:
        row |= {"note": notes[row["model"]]} if row["model"] in notes else {}
        print(f"{row['model']}: {row['steps']} steps, {row['wall_seconds']} s, sittings {row['resumed']}")
    arguments.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
