"""The jobs that the Generate page asked for, in the order they run: grids and exports."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from gui.services.context import Services

if TYPE_CHECKING:
    from gui.services.jobs import Job, JobFunction


class GenerateQueue(QObject):
    """Submits jobs and knows which of them have not ended.

    Attributes:
        jobs: those that wait or run, in order.

    Signals:
        changed(): a job was added or has ended, or the one that runs has come further.
    """

    changed = Signal()

    def __init__(self, services: Services, parent: QObject) -> None:
        super().__init__(parent)
        self.jobs: list[Job] = []
        self._services = services
        self._ended_grids: list[Job] = []

    @property
    def first(self) -> Job | None:
        """The job that runs, or that will run next."""
        return self.jobs[0] if self.jobs else None

    @property
    def waiting(self) -> list[Job]:
        """The jobs behind the first one."""
        return self.jobs[1:]

    def add(self, title: str, function: JobFunction, *, keep_listed: bool = True) -> Job:
        """Put a job at the end. One that is not kept listed leaves the drawer when the next such job has ended."""
        job = self._services.jobs.submit(title, function)
        self.jobs.append(job)
        job.changed.connect(partial(self._on_job_changed, job, keep_listed))
        self.changed.emit()
        return job

    def cancel_first(self) -> None:
        """Stop what runs; what waits goes on."""
        if self.jobs:
            self.jobs[0].cancel()

    def cancel_all(self) -> None:
        """Cancel everything, the last first so that none starts in between."""
        for job in reversed(self.jobs):
            job.cancel()

    def _on_job_changed(self, job: Job, keep_listed: bool) -> None:
        if not job.active and job in self.jobs:
            self.jobs.remove(job)
            if not keep_listed:
                # The samples are on the page; a list of every grid ever made helps nobody.
                for ended in self._ended_grids:
                    self._services.jobs.remove(ended)
                self._ended_grids = [job]
        self.changed.emit()
