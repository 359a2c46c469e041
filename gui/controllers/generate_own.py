"""One's own picture: what the model keeps of it, what it takes it for, and the same picture with something changed."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot

from engine.errors import LatentStudioError
from engine.progress import CancelToken, ProgressCallback
from gui.controllers import generate_work as work
from gui.controllers.generate_lane import GenerateLane
from gui.controllers.generate_settings import attribute_words

if TYPE_CHECKING:
    from engine.generation import Generator, Latent, Sample
    from engine.generation.pictures import EncodedPicture
    from engine.image import Picture
    from gui.controllers.generate_controller import GenerateController


class GenerateOwn(QObject):
    """Encodes a picture with the model in use, and changes attributes of what came of it.

    Attributes:
        picture: the picture that was opened, or None.
        encoded: what the model keeps of it, or None until it is there.
        known: values by attribute that the person has set right.
        changes: values by attribute that it shall have instead.
        changed: the picture with them, or None while nothing is changed.
        attribute: whose values are shown side by side.
        siblings: the picture with every value of it, as far as they are drawn.

    Signals:
        changed_all(): any of the above.
    """

    changed_all = Signal()

    def __init__(self, controller: GenerateController) -> None:
        super().__init__(controller)
        self.picture: Picture | None = None
        self.encoded: EncodedPicture | None = None
        self.known: dict[str, str] = {}
        self.changes: dict[str, str] = {}
        self.changed: Sample | None = None
        self.attribute = ""
        self.siblings: list[Sample] = []
        self._controller = controller
        self.lane = GenerateLane(controller.services, self)
        self.lane.done.connect(self._on_encoded)
        self.lane.failed.connect(self._on_failed)
        self.lane.ended.connect(self.changed_all)
        self.lane.started.connect(self.changed_all)
        self._change_lane = GenerateLane(controller.services, self)
        self._change_lane.done.connect(self._on_changed)
        self._change_lane.failed.connect(self._on_failed)
        self._sibling_lane = GenerateLane(controller.services, self)
        self._sibling_lane.partial.connect(self._on_sibling)
        self._sibling_lane.failed.connect(self._on_failed)
        controller.model_changed.connect(self._on_model_changed)
        controller.dropped.picture_opened.connect(self.open)

    @property
    def current(self) -> Sample | None:
        """The picture as it would go on: changed, else as the model keeps it."""
        if self.changed is not None or self.encoded is None:
            return self.changed
        from engine.generation import Sample

        return Sample(self.encoded.reconstruction, self.encoded.latent)

    @Slot(object)
    def open(self, picture: Picture) -> None:
        """Take another picture."""
        self.picture, self.encoded = picture, None
        self.known, self.changes = {}, {}
        self._encode()

    def close(self) -> None:
        """Let go of the picture."""
        self.lane.cancel()
        self.picture = self.encoded = None
        self._forget_changes()
        self.changed_all.emit()

    def set_known(self, attribute: str, value: str | None) -> None:
        """The person says what the picture shows; None lets the model guess again."""
        self.known = {name: known for name, known in self.known.items() if name != attribute}
        if value is not None:
            self.known[attribute] = value
        self._encode()

    def change(self, attribute: str, value: str | None) -> None:
        """Give the picture another value of an attribute; None takes the change back."""
        self.changes = {name: known for name, known in self.changes.items() if name != attribute}
        if value is not None and self.encoded is not None and value != self.encoded.choice.get(attribute):
            self.changes[attribute] = value
        self._draw_changed()
        if attribute != self.attribute:
            self._draw_siblings()
        self.changed_all.emit()

    def show_attribute(self, attribute: str) -> None:
        """Show the picture with every value of this attribute."""
        self.attribute = attribute
        self._draw_siblings()
        self.changed_all.emit()

    def take_over(self) -> None:
        """Put the picture and its changed form into the grid, to be varied, morphed, saved."""
        encoded, name = self.encoded, self.picture.name if self.picture is not None else ""
        if encoded is None:
            return
        from engine.generation import Sample

        samples, captions = [Sample(encoded.reconstruction, encoded.latent)], [self.tr("as kept")]
        if self.changed is not None:
            samples.append(self.changed)
            captions.append(", ".join(self.changes.values()))
        title = self.tr("Own picture {name}").format(name=name).strip()
        self._controller.edits.show_samples(title, samples, captions)

    def siblings_to_grid(self) -> None:
        """Put the picture with every value of the attribute in view into the grid."""
        values = self.values(self.attribute)
        title = self.tr("Own picture: every {name}").format(name=attribute_words(self.attribute).lower())
        if self.siblings:
            self._controller.edits.show_samples(title, self.siblings, values[: len(self.siblings)])

    def values(self, attribute: str) -> list[str]:
        """The values of an attribute of the model in use."""
        known = {one.name: list(one.values) for one in self._controller.state.attributes}
        return known.get(attribute, [])

    @Slot()
    def _on_model_changed(self) -> None:
        attributes = self._controller.state.attributes
        names = [one.name for one in attributes]
        if self.attribute not in names:
            self.attribute = names[0] if names else ""
        self.known, self.changes, self.encoded = {}, {}, None
        self._encode()

    def _encode(self) -> None:
        generator = self._controller.generator
        self._forget_changes()
        if generator is None or self.picture is None:
            self.changed_all.emit()
            return
        self.lane.request(partial(_encode, generator, self.picture, dict(self.known)))

    def _forget_changes(self) -> None:
        self._change_lane.cancel()
        self._sibling_lane.cancel()
        self.changed, self.siblings = None, []

    @Slot(object)
    def _on_encoded(self, encoded: EncodedPicture) -> None:
        self.encoded = encoded
        self.changes = {name: value for name, value in self.changes.items() if value != encoded.choice.get(name)}
        self._draw_changed()
        self._draw_siblings()
        self.changed_all.emit()

    def _draw_changed(self) -> None:
        generator, encoded = self._controller.generator, self.encoded
        if generator is None or encoded is None or not self.changes:
            self._change_lane.cancel()
            self.changed = None
        else:
            self._change_lane.request(partial(_with_values, generator, encoded.latent, dict(self.changes)))

    def _draw_siblings(self) -> None:
        generator, encoded = self._controller.generator, self.encoded
        self.siblings = []
        if generator is not None and encoded is not None and self.attribute:
            others = {name: value for name, value in self.changes.items() if name != self.attribute}
            self._sibling_lane.request(partial(_siblings, generator, encoded.latent, others, self.attribute))

    @Slot(object)
    def _on_changed(self, sample: Sample) -> None:
        self.changed = sample
        self.changed_all.emit()

    @Slot(object)
    def _on_sibling(self, sample: Sample) -> None:
        self.siblings.append(sample)
        self.changed_all.emit()

    @Slot(object)
    def _on_failed(self, error: LatentStudioError) -> None:
        self._controller.services.notices.error(error, self.tr("Own picture"))
        self.changed_all.emit()


def _encode(
    generator: Generator,
    picture: Picture,
    known: dict[str, str],
    progress: ProgressCallback,
    cancel: CancelToken,
) -> EncodedPicture:
    from engine.generation.pictures import encode_picture

    return encode_picture(generator, picture, known, progress=progress, cancel=cancel)


def _with_values(
    generator: Generator, latent: Latent, values: dict[str, str], _progress: ProgressCallback, cancel: CancelToken
) -> Sample:
    from engine.generation.edits import with_value

    sample = work.draw(generator, latent)
    for name, value in values.items():
        cancel.raise_if_cancelled()
        sample = with_value(generator, sample.latent, name, value)
    return sample


def _siblings(
    generator: Generator,
    latent: Latent,
    others: dict[str, str],
    attribute: str,
    progress: ProgressCallback,
    cancel: CancelToken,
) -> list[Sample]:
    from engine.generation.edits import in_every_class

    if others:
        latent = _with_values(generator, latent, others, progress, cancel).latent
    return in_every_class(generator, latent, attribute, progress=progress, cancel=cancel)
