"""The log of a run: one JSON object a line, flushed at once, so that a killed run loses no more than its last line."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Event = dict[str, Any]
LOG_NAME = "log.jsonl"


class RunLog:
    """Writes events of one run to its folder and hands each to a listener."""

    def __init__(self, folder: Path, listener: Callable[[Event], None] | None = None) -> None:
        self._stream = (folder / LOG_NAME).open("a", encoding="utf-8")
        self._listener = listener
        self._start = time.monotonic()

    def write(self, event: str, **fields: Any) -> None:
        """Append an event with the seconds since the run (or its resumption) started."""
        record = {"event": event, **fields, "seconds": round(time.monotonic() - self._start, 3)}
        self._stream.write(json.dumps(record) + "\n")
        self._stream.flush()
        if self._listener is not None:
            self._listener(record)

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


def read_log(folder: Path) -> list[Event]:
    """All whole events of a run's log; an unfinished last line (the run was killed) is left out."""
    path = folder / LOG_NAME
    if not path.is_file():
        return []
    events = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            events.append(json.loads(line))
        except ValueError:
            continue
    return events
