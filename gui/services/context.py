"""The services that every controller and page is given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gui.services.engine_host import EngineHost
from gui.services.jobs import Jobs
from gui.services.notices import Notices
from gui.services.settings import SettingsService
from gui.services.theme import Theme


@dataclass(frozen=True)
class Services:
    """Engine thread, job queue, settings, theme and notices of one window."""

    host: EngineHost
    jobs: Jobs
    settings: SettingsService
    theme: Theme
    notices: Notices

    @classmethod
    def create(cls, settings_path: Path | None = None) -> Services:
        """Make all of them. The engine is not loaded before `host.start()`."""
        settings = SettingsService(settings_path)
        host = EngineHost(settings.current.device, settings.current.threads or None)
        theme = Theme(settings.current.theme)
        return cls(host, Jobs(host), settings, theme, Notices())

    def shutdown(self) -> None:
        """Cancel and join every thread, write the settings. Nothing is delivered afterwards. Twice does no harm."""
        self.jobs.shutdown()
        self.host.shutdown()
        self.settings.shutdown()
