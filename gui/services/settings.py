"""What the window remembers between starts: typed, versioned, stored as TOML in the user's settings folder."""

from __future__ import annotations

import json
import logging
import re
import tomllib
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal

from engine.errors import LatentStudioError, UsageError
from engine.files import write_bytes, write_text
from engine.paths import user_folder

LOG = logging.getLogger("latent_studio")
VERSION = 1
RECENT_FILES = 12
SAVE_DELAY = 800  # milliseconds; a slider being dragged must not write a file per step


@dataclass(frozen=True)
class Settings:
    """Every setting with its default.

    A plain dataclass: validating it with pydantic would add a quarter of a second to every start.

    Attributes:
        version: of this layout.
        theme: "system", "light" or "dark".
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        threads: CPU threads of the engine; 0 = one fewer than cores.
        page: key of the page that was open.
        geometry: the window's place, as Qt encodes it, in base64.
        inspector_visible: whether the right column is shown.
        jobs_visible: whether the jobs drawer is shown.
        recent_files: paths, newest first.
        last_folder: where the file dialog opens.
        pages: per page key, whatever the page wants back: flat tables of texts, numbers, switches and lists of them.
    """

    version: int = VERSION
    theme: str = "system"
    device: str = "auto"
    threads: int = 0
    page: str = "compress"
    geometry: str = ""
    inspector_visible: bool = True
    jobs_visible: bool = False
    recent_files: list[str] = field(default_factory=list)
    last_folder: str = ""
    pages: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.theme not in ("system", "light", "dark"):
            raise UsageError(f"There is no theme {self.theme!r}.", "Use system, light or dark.")
        if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", self.device):
            raise UsageError(f"There is no device {self.device!r}.", "Use auto, cpu, cuda, cuda:N or mps.")
        if not 0 <= self.threads <= 1024:
            raise UsageError(f"{self.threads} threads are not possible.", "Use 0 for automatic, or 1 to 1024.")


def to_toml(settings: Settings) -> str:
    """The settings as TOML. JSON's texts, numbers, booleans and flat lists are TOML as well."""
    plain, tables = [], []
    for item in fields(settings):
        value = getattr(settings, item.name)
        if isinstance(value, dict):
            for name, table in value.items():
                tables.append(f"\n[{item.name}.{_text(name)}]")
                tables += [f"{_text(key)} = {_value(entry)}" for key, entry in table.items() if entry is not None]
        else:
            plain.append(f"{item.name} = {_value(value)}")
    return "\n".join([*plain, *tables]) + "\n"


def from_toml(text: str) -> tuple[Settings, list[str]]:
    """Read settings; what is unknown or makes no sense is left at its default and named in the second value."""
    try:
        stored = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return Settings(), [f"the file is no TOML ({error})"]
    settings, faults = Settings(), []
    for item in fields(Settings):
        if item.name not in stored or item.name == "version":
            continue
        value, default = stored[item.name], getattr(settings, item.name)
        try:
            if type(value) is not type(default):
                raise UsageError(f"{item.name} must be of type {type(default).__name__}.")
            if isinstance(value, list) and not all(isinstance(entry, str) for entry in value):
                raise UsageError(f"{item.name} must be a list of texts.")
            if isinstance(value, dict) and not all(isinstance(entry, dict) for entry in value.values()):
                raise UsageError(f"{item.name} must hold tables.")
            settings = replace(settings, **{item.name: value})
        except LatentStudioError as error:
            faults.append(error.problem)
    return settings, faults


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(value: Any) -> str:
    if isinstance(value, Path):
        value = str(value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_value(entry) for entry in value) + "]"
    return json.dumps(value)


class SettingsService(QObject):
    """Holds the current `Settings`, saves them a moment after the last change.

    Signals:
        changed(str): the name of a setting that has a new value; for a page's own table "pages.KEY".
    """

    changed = Signal(str)

    def __init__(self, path: Path | None = None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.path = path or user_folder("settings") / "settings.toml"
        self.faults: list[str] = []
        self.current = self._load()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(SAVE_DELAY)
        self._timer.timeout.connect(self.save)

    def update(self, **changes: Any) -> None:
        """Set settings by name and tell who listens. Raises `UsageError` for a value that makes no sense."""
        before = self.current
        self.current = replace(before, **changes)
        for name in changes:
            if getattr(before, name) != getattr(self.current, name):
                self._timer.start()
                self.changed.emit(name)

    def page(self, key: str) -> dict[str, Any]:
        """What the page `key` stored, or an empty table. The values may come from an older version: check them."""
        return dict(self.current.pages.get(key, {}))

    def set_page(self, key: str, **values: Any) -> None:
        """Add texts, numbers, switches or lists of them to the table of the page `key`."""
        table = {**self.current.pages.get(key, {}), **values}
        if table != self.current.pages.get(key):
            self.current = replace(self.current, pages={**self.current.pages, key: table})
            self._timer.start()
            self.changed.emit(f"pages.{key}")

    def remember_file(self, path: Path) -> None:
        """Put `path` at the top of the recent files and remember its folder for the next dialog."""
        text = str(Path(path).absolute())
        others = [entry for entry in self.current.recent_files if entry != text]
        self.update(recent_files=[text, *others][:RECENT_FILES], last_folder=str(Path(text).parent))

    def save(self) -> None:
        """Write now. A settings file that cannot be written is logged, it stops nobody's work."""
        self._timer.stop()
        try:
            write_text(self.path, to_toml(self.current))
        except LatentStudioError as error:
            LOG.warning("settings not saved: %s", error)

    def shutdown(self) -> None:
        """Write what waits to be written."""
        if self._timer.isActive():
            self.save()

    def _load(self) -> Settings:
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return Settings()
        except OSError as error:
            self.faults = [f"{self.path} cannot be read ({error.strerror})"]
            return Settings()
        settings, self.faults = from_toml(data.decode("utf-8", "replace"))
        if self.faults or f"version = {VERSION}" not in data.decode("utf-8", "replace"):
            # Another version of the program wrote this: keep it beside ours before the first save replaces it.
            try:
                write_bytes(self.path.with_suffix(".toml.old"), data)
            except LatentStudioError as error:
                LOG.warning("settings not backed up: %s", error)
        return settings
