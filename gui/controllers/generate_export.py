"""What the Generate page writes: pictures, contact sheets, animations, labelled data sets."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QUrl, Slot
from PySide6.QtGui import QDesktopServices

from engine.errors import LatentStudioError
from engine.progress import CancelToken, Progress, ProgressCallback
from gui.controllers.generate_settings import GenerateSettings
from gui.controllers.generate_work import sampling

if TYPE_CHECKING:
    from engine.generation import Generator, Latent, Sample
    from gui.controllers.generate_controller import GenerateController

ANIMATION_SIDE = 256  # small pictures are enlarged in whole steps to about so many pixels
MOST_PER_CLASS = 10_000


class GenerateExport(QObject):
    """Writes files: short work on the thread of files, long work as a job of the page."""

    def __init__(self, controller: GenerateController) -> None:
        super().__init__(controller)
        self._controller = controller
        self._services = controller.services

    def save_sample(self, sample: Sample, path: Path) -> None:
        """Save a sample as PNG with its latent inside."""
        task = self._services.host.run(partial(_save_one, sample, path))
        task.succeeded.connect(self._on_saved)
        task.failed.connect(self._on_failed)

    def save_all(self, samples: Sequence[Sample], folder: Path) -> None:
        """Save samples as PNGs with their latents inside. Files that are there already are kept."""
        if samples:
            title = self.tr("Save {n} pictures").format(n=len(samples))
            self._job(title, partial(_save_many, list(samples), folder))

    def save_sheet(self, samples: Sequence[Sample], path: Path, columns: int) -> None:
        """Save samples as one picture, `columns` in a row."""
        if samples:
            title = self.tr("Contact sheet of {n} pictures").format(n=len(samples))
            self._job(title, partial(_save_sheet, list(samples), path, columns))

    def save_animation(self, frames: Sequence[Sample], path: Path, seconds: float, there_and_back: bool) -> None:
        """Save pictures as GIF, WebP or MP4, whichever the name of `path` says."""
        order = list(frames)
        if there_and_back:
            order += order[-2:0:-1]
        self._job(self.tr("Animation {name}").format(name=path.name), partial(_save_animation, order, path, seconds))

    def save_labelled_set(self, folder: Path, per_class: int, attribute: str) -> None:
        """Make pictures for every value of an attribute, with the settings of the page, and a manifest."""
        generator, settings = self._controller.generator, self._controller.state.settings
        if generator is None:
            return
        settings = settings.with_value(attribute, None)
        title = self.tr("Labelled set: {n} of every {name}").format(n=per_class, name=attribute)
        self._job(title, partial(_save_labelled_set, generator, settings, folder, per_class, attribute))

    def _job(self, title: str, function) -> None:
        job = self._controller.queue.add(title, function)
        job.finished.connect(self._on_saved)
        job.failed.connect(self._on_failed)

    @Slot(object)
    def _on_saved(self, where: str) -> None:
        path = Path(where)
        folder = path if path.is_dir() else path.parent
        show = (self.tr("Open folder"), partial(QDesktopServices.openUrl, QUrl.fromLocalFile(str(folder))))
        self._services.notices.success(self.tr("Saved to {where}.").format(where=where), show)

    @Slot(object)
    def _on_failed(self, error: LatentStudioError) -> None:
        self._services.notices.error(error, self.tr("The file could not be written"))


def _save_one(sample: Sample, path: Path) -> str:
    from engine.generation import save_sample

    save_sample(sample, path)
    return str(path)


def _save_many(samples: list[Sample], folder: Path, progress: ProgressCallback, cancel: CancelToken) -> str:
    from engine.generation import save_sample

    for done, sample in enumerate(samples):
        cancel.raise_if_cancelled()
        progress(Progress(done, len(samples), "Saving"))
        save_sample(sample, unused_path(folder / f"{file_stem(sample.latent)}.png"))
    return str(folder)


def _save_sheet(
    samples: list[Sample], path: Path, columns: int, _progress: ProgressCallback, _cancel: CancelToken
) -> str:
    from engine.generation import contact_sheet
    from engine.image import Picture, save_picture

    save_picture(Picture(contact_sheet([sample.pixels for sample in samples], columns)), path)
    return str(path)


def _save_animation(
    frames: list[Sample], path: Path, seconds: float, progress: ProgressCallback, cancel: CancelToken
) -> str:
    from engine.generation.animation import save_animation

    scale = max(1, ANIMATION_SIDE // max(frames[0].pixels.shape[:2]))
    pictures = [frame.pixels for frame in frames]
    save_animation(pictures, path, seconds, scale=scale, progress=progress, cancel=cancel)
    return str(path)


def _save_labelled_set(
    generator: Generator,
    settings: GenerateSettings,
    folder: Path,
    per_class: int,
    attribute: str,
    progress: ProgressCallback,
    cancel: CancelToken,
) -> str:
    from engine.generation.labelled_set import export_labelled_set

    # The pictures themselves are not shown: passing thousands of them on would only load the window.
    def report(step: Progress) -> None:
        progress(Progress(step.done, step.total, step.message))

    export_labelled_set(
        generator,
        folder,
        per_class,
        settings.seed,
        attribute=attribute,
        settings=sampling(settings),
        progress=report,
        cancel=cancel,
    )
    return str(folder)


def file_stem(latent: Latent) -> str:
    """A file name that says what a sample is: model, short choice, seed."""
    # Ten attributes would make a name that no file system takes gladly.
    values = list(latent.attributes.values()) if len(latent.attributes) <= 2 else []
    words = [latent.model, *(value.replace(" ", "-").replace("/", "-") for value in values)]
    return "-".join([*words, f"seed{latent.seed}" if latent.seed is not None else "latent"])


def unused_path(path: Path) -> Path:
    """`path`, or the same name with a number where a file of that name exists."""
    number, candidate = 2, path
    while candidate.exists():
        candidate = path.with_stem(f"{path.stem}-{number}")
        number += 1
    return candidate
