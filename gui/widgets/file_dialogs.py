"""Asking for files and folders, starting where the person was last."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtWidgets import QFileDialog, QWidget

from gui.services.settings import SettingsService


def ask_open(parent: QWidget, settings: SettingsService, title: str, name_filter: str) -> Path | None:
    """An existing file, or None when the person cancelled."""
    chosen, _ = QFileDialog.getOpenFileName(parent, title, settings.current.last_folder, name_filter)
    return _remembered(settings, chosen, folder=False)


def ask_save(parent: QWidget, settings: SettingsService, title: str, name: str, name_filter: str) -> Path | None:
    """A file to write, with a suffix; the dialog asks before one is replaced. None when the person cancelled."""
    start = str(Path(settings.current.last_folder) / name)
    chosen, _ = QFileDialog.getSaveFileName(parent, title, start, name_filter)
    path = _remembered(settings, chosen, folder=False)
    return path.with_suffix(Path(name).suffix) if path is not None and not path.suffix else path


def ask_folder(parent: QWidget, settings: SettingsService, title: str) -> Path | None:
    """An existing folder, or None when the person cancelled."""
    return _remembered(
        settings, QFileDialog.getExistingDirectory(parent, title, settings.current.last_folder), folder=True
    )


def _remembered(settings: SettingsService, chosen: str, *, folder: bool) -> Path | None:
    if not chosen:
        return None
    path = Path(chosen)
    settings.update(last_folder=str(path if folder else path.parent))
    return path
