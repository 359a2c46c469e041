"""State and actions of the Latents page: a position in a model's latent space and the picture it decodes to."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from PySide6.QtCore import QObject, Signal, Slot

from engine.errors import LatentStudioError
from engine.progress import CancelToken
from gui.controllers.history import History
from gui.services.context import Services

if TYPE_CHECKING:
    import numpy as np

    from engine.generation import Latent
    from engine.image import Picture
    from engine.latent import Dimension, LatentExplorer
    from engine.models.card import Attribute, ModelCard

FAMILIES = ("conditional-vae", "autoencoder")
PREFERRED = ("faces-cvae", "digits-cvae")
SpaceName = Literal["style", "raw"]
STYLE: SpaceName = "style"
RAW: SpaceName = "raw"
INACTIVE = 0.01  # importance, relative to the most important dimension, below which a slider is folded away
EDGE_OF_DATA, OFF_DATA = 0.02, 0.5  # readings of the off-the-data lamp from which it warns, and is red
MAX_SEED = 2**31 - 1
TRAVERSAL_STEPS = 9
GAP = 2  # white pixels between the lines of the traversal grid, as between its columns
ENDS = 12  # sliders that show pictures of their two ends


@dataclass(frozen=True)
class Position:
    """Where the sliders stand: what undo goes back to and what is copied as JSON.

    Attributes:
        space: "style" or "raw".
        values: one per latent dimension, in the order of the latent vector.
        choice: values of attributes; those that are not in it are left open, and the sliders carry them.
        seed: that the values were drawn with, or None once they were changed by hand.
    """

    space: str = RAW
    values: tuple[float, ...] = ()
    choice: Mapping[str, str] = field(default_factory=dict)
    seed: int | None = None


@dataclass(frozen=True)
class Source:
    """A person's own picture that the position started from.

    Attributes:
        picture: as opened.
        prepared: (H, W, 3) uint8, cropped and scaled as the model sees it.
        reconstruction: (H, W, 3) uint8, what the model makes of it; None until it is decoded.
    """

    picture: Picture
    prepared: np.ndarray
    reconstruction: np.ndarray | None = None


@dataclass(frozen=True)
class Space:
    """One of a model's latent spaces: its sliders, the most important first."""

    name: str
    dimensions: tuple[Dimension, ...]

    @property
    def active(self) -> list[Dimension]:
        """Dimensions that change the picture."""
        return [dimension for dimension in self.dimensions if dimension.importance >= INACTIVE]

    @property
    def inactive(self) -> list[Dimension]:
        """Dimensions that hardly do."""
        return [dimension for dimension in self.dimensions if dimension.importance < INACTIVE]


@dataclass
class LatentsState:
    """What the Latents page shows.

    Attributes:
        models: cards of the models at hand.
        model: name of the one in use; empty until one is loaded.
        attributes: what can be chosen with it.
        spaces: its latent spaces by name.
        position: where the sliders stand.
        origin: the position that Reset goes to, in the current space.
        picture: (H, W, 3) uint8, decoded from the position.
        off_data: 0 on the data .. 1 far off; 0 in the style space, which cannot leave them.
        source: the own picture that was opened, or None.
        traversal: (H, W, 3) uint8 grid of the most important dimensions, or None while it is not wanted.
        traversal_rows: dimensions in the grid.
        ends: pictures at the low and high end of sliders, by dimension.
        loading: a model is being loaded.
    """

    models: tuple[ModelCard, ...] = ()
    model: str = ""
    attributes: tuple[Attribute, ...] = ()
    spaces: dict[str, Space] = field(default_factory=dict)
    position: Position = Position()
    origin: tuple[float, ...] = ()
    picture: np.ndarray | None = None
    off_data: float = 0.0
    source: Source | None = None
    traversal: np.ndarray | None = None
    traversal_rows: int = 6
    ends: dict[int, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    loading: bool = True

    @property
    def space(self) -> Space | None:
        """The latent space in use."""
        return self.spaces.get(self.position.space)


@dataclass(frozen=True)
class _Loaded:
    explorer: LatentExplorer
    spaces: dict[str, Space]
    start: Position
    origin: tuple[float, ...]


@dataclass(frozen=True)
class _Decoded:
    picture: np.ndarray
    off_data: float


@dataclass(frozen=True)
class _Moved:
    """A position that an engine call found. `model` tells whether the answer still matters."""

    model: str
    position: Position
    origin: tuple[float, ...]
    source: Source | None = None


class LatentsController(QObject):
    """Moves through the latent space of a model.

    Signals:
        models_changed(): the list of models.
        model_changed(): another model is in use, or none can be: everything is new.
        space_changed(): other sliders: another space of the same model.
        position_changed(): slider values or choice.
        picture_changed(): a decoded picture arrived.
        source_changed(): an own picture was opened or let go.
        traversal_changed(): the traversal grid arrived or was put away.
        ends_changed(): pictures of the sliders' ends arrived.
        history_changed(): whether undo and redo are possible.
        latent_text(str): the position as JSON, for the clipboard.
    """

    models_changed = Signal()
    model_changed = Signal()
    space_changed = Signal()
    position_changed = Signal()
    picture_changed = Signal()
    source_changed = Signal()
    traversal_changed = Signal()
    ends_changed = Signal()
    history_changed = Signal()
    latent_text = Signal(str)

    def __init__(self, services: Services, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.state = LatentsState()
        self._services = services
        self._explorer: LatentExplorer | None = None
        self._history: History[Position] = History()
        self._activated = False
        self._wanted_model = ""
        self._after_load: Latent | None = None
        self._traversal_wanted = False
        self._dice = random.Random()  # noqa: S311 - seeds of pictures are no secrets
        self._live = services.host.live(self, follow=True)
        self._live.result.connect(self._on_decoded)
        self._live.failed.connect(self._on_live_failed)
        self._at_rest = services.host.live(self)
        self._at_rest.result.connect(self._on_rest_pictures)
        self._at_rest.failed.connect(self._on_live_failed)

    # Models

    def activate(self) -> None:
        """The page is shown: look which models are at hand; the first time, load one."""
        task = self._services.host.run(_list_cards)
        task.succeeded.connect(self._on_models)
        task.failed.connect(self._on_failed)

    def choose_model(self, name: str) -> None:
        """Load another model."""
        if name != self._wanted_model:
            self._load(name, None)

    @Slot(object)
    def _on_models(self, cards: list[ModelCard]) -> None:
        first = not self._activated
        self._activated = True
        if tuple(cards) != self.state.models:
            self.state.models = tuple(cards)
            self.models_changed.emit()
        names = [card.name for card in cards]
        if first and names and not self._wanted_model:
            self._load(next((name for name in PREFERRED if name in names), names[0]), None)
        elif not names:
            self.state.loading = False
            self.model_changed.emit()

    def _load(self, name: str, latent: Latent | None) -> None:
        self._wanted_model = name
        self._after_load = latent
        self.state.loading = True
        task = self._services.host.run(lambda: _load_explorer(name))
        task.succeeded.connect(self._on_loaded)
        task.failed.connect(self._on_load_failed)

    @Slot(object)
    def _on_loaded(self, loaded: _Loaded) -> None:
        state = self.state
        if loaded.explorer.card.name != self._wanted_model:
            return
        self._live.cancel()
        self._at_rest.cancel()
        self._explorer = loaded.explorer
        self._history.clear()
        state.loading = False
        state.model = self._wanted_model
        state.attributes = tuple(loaded.explorer.attributes)
        state.spaces = loaded.spaces
        state.position, state.origin = loaded.start, loaded.origin
        state.source, state.traversal, state.ends = None, None, {}
        self.model_changed.emit()
        self.source_changed.emit()
        self.history_changed.emit()
        self._decode(rest=True)
        latent, self._after_load = self._after_load, None
        if latent is not None:
            self._take_latent(latent)

    @Slot(object)
    def _on_load_failed(self, error: LatentStudioError) -> None:
        self.state.loading = False
        self._wanted_model = self.state.model
        self._services.notices.error(error, self.tr("The model cannot be loaded"))
        self.model_changed.emit()

    # Moving

    def set_value(self, dimension: int, value: float) -> None:
        """Move one slider. Changes of the same slider until `end_gesture` are one step for undo."""
        self.set_values({dimension: value}, gesture=("slider", dimension))

    def set_values(self, changes: Mapping[int, float], gesture: object) -> None:
        """Move several sliders as a part of one gesture."""
        position = self.state.position
        values = list(position.values)
        for dimension, value in changes.items():
            values[dimension] = float(value)
        if tuple(values) == position.values:
            return
        # The picture under the drag must not wait for pictures that will be out of date.
        self._at_rest.cancel()
        self._record(gesture)
        self.state.position = replace(position, values=tuple(values), seed=None)
        self.position_changed.emit()
        self._decode()

    def end_gesture(self) -> None:
        """The slider was let go: the next change is a step of its own, and slower pictures are drawn now."""
        self._history.close_gesture()
        self._draw_rest_pictures()

    def move_pad(self, across: float, down: float) -> None:
        """Drag on the picture: move the two most important dimensions.

        Args:
            across, down: distance since the last call in widths and heights of the picture.
        """
        space = self.state.space
        if space is None or not space.active:
            return
        changes = {}
        for dimension, share in zip(space.active[:2], (across, -down), strict=False):
            value = self.state.position.values[dimension.index] + share * (dimension.high - dimension.low)
            changes[dimension.index] = min(dimension.high, max(dimension.low, value))
        self.set_values(changes, gesture="pad")

    def reset_value(self, dimension: int) -> None:
        """Put one slider back to the origin."""
        self._history.close_gesture()
        self.set_values({dimension: self.state.origin[dimension]}, gesture=("reset", dimension))
        self.end_gesture()

    @property
    def at_origin(self) -> bool:
        """True where Reset would change nothing."""
        return self.state.position.values == self.state.origin

    def reset(self) -> None:
        """Put all sliders back to the origin: the centre of the space for the present choice."""
        if self._explorer is not None and not self.at_origin:
            self._go(replace(self.state.position, values=self.state.origin, seed=None))

    def randomise(self, seed: int | None = None) -> None:
        """Draw all sliders at random; the same seed draws the same values."""
        explorer, position, model = self._explorer, self.state.position, self.state.model
        if explorer is None:
            return
        drawn = self._dice.randint(0, MAX_SEED) if seed is None else min(MAX_SEED, max(0, seed))
        task = self._services.host.run(lambda: _random_position(explorer, model, position, drawn))
        task.succeeded.connect(self._on_moved)
        task.failed.connect(self._on_failed)

    def choose(self, attribute: str, value: str | None) -> None:
        """Change an attribute and keep the sliders: the same style as another class. None leaves it to the sliders."""
        explorer, position, model = self._explorer, self.state.position, self.state.model
        if explorer is None or position.choice.get(attribute) == value:
            return
        others = {name: known for name, known in position.choice.items() if name != attribute}
        target = replace(position, choice=others if value is None else {**others, attribute: value})
        task = self._services.host.run(lambda: _located(explorer, model, target))
        task.succeeded.connect(self._on_moved)
        task.failed.connect(self._on_failed)

    def choose_space(self, name: str) -> None:
        """Show the same picture by the sliders of another space."""
        explorer, position, model = self._explorer, self.state.position, self.state.model
        if explorer is None or name == position.space or name not in self.state.spaces:
            return
        task = self._services.host.run(lambda: _converted(explorer, model, position, name))
        task.succeeded.connect(self._on_moved)
        task.failed.connect(self._on_failed)

    def undo(self) -> None:
        """Go back one gesture."""
        if self._history.can_undo:
            self._go(self._history.undo(self.state.position), record=False)

    def redo(self) -> None:
        """Take back an undo."""
        if self._history.can_redo:
            self._go(self._history.redo(self.state.position), record=False)

    @property
    def can_undo(self) -> bool:
        """True where there is a gesture to go back."""
        return self._history.can_undo

    @property
    def can_redo(self) -> bool:
        """True after an undo."""
        return self._history.can_redo

    def _record(self, gesture: object = None) -> None:
        self._history.record(self.state.position, gesture)
        self.history_changed.emit()

    def _go(self, position: Position, *, origin: tuple[float, ...] | None = None, record: bool = True) -> None:
        """Jump to a position as one step."""
        state = self.state
        if record:
            self._record()
        other_space = position.space != state.position.space
        other_choice = position.choice != state.position.choice
        state.position = position
        if origin is not None:
            state.origin = origin
        elif other_space or other_choice:
            self._find_origin()
        if other_space:
            state.ends = {}
            self.space_changed.emit()
        self.position_changed.emit()
        self.history_changed.emit()
        self._decode(rest=True)

    def _find_origin(self) -> None:
        explorer, position, model = self._explorer, self.state.position, self.state.model
        if explorer is not None:
            task = self._services.host.run(lambda: _located(explorer, model, position))
            task.succeeded.connect(self._on_origin)
            task.failed.connect(self._on_failed)

    @Slot(object)
    def _on_origin(self, moved: _Moved) -> None:
        position = self.state.position
        same_place = (moved.position.space, moved.position.choice) == (position.space, position.choice)
        if moved.model == self.state.model and same_place:
            self.state.origin = moved.origin
            self.position_changed.emit()

    @Slot(object)
    def _on_moved(self, moved: _Moved) -> None:
        if moved.model != self.state.model:
            return
        if moved.source is not None:
            self.state.source = moved.source
            self.source_changed.emit()
        self._go(moved.position, origin=moved.origin)

    # Pictures

    def _decode(self, *, rest: bool = False) -> None:
        explorer, position = self._explorer, self.state.position
        if explorer is None:
            return
        self._live.request(lambda _: _decode(explorer, position))
        if rest:
            self._draw_rest_pictures()

    @Slot(object, int)
    def _on_decoded(self, decoded: _Decoded, _stamp: int) -> None:
        self.state.picture = decoded.picture
        self.state.off_data = decoded.off_data
        self.picture_changed.emit()

    @Slot(object, int)
    def _on_live_failed(self, error: LatentStudioError, _stamp: int) -> None:
        self._on_failed(error)

    def show_traversal(self, shown: bool) -> None:
        """Whether the grid of traversals is wanted; it follows the position at rest."""
        self._traversal_wanted = shown
        if shown:
            self._draw_rest_pictures()
        else:
            self.state.traversal = None
            self.traversal_changed.emit()

    def set_traversal_rows(self, rows: int) -> None:
        """How many of the most important dimensions the grid shows."""
        self.state.traversal_rows = max(1, rows)
        if self._traversal_wanted:
            self._draw_rest_pictures()

    def _draw_rest_pictures(self) -> None:
        """Pictures that need many decodes are drawn while no slider moves."""
        explorer, position, space = self._explorer, self.state.position, self.state.space
        if explorer is None or space is None:
            return
        order = [dimension.index for dimension in space.dimensions[: self.state.traversal_rows]]
        traversal = order if self._traversal_wanted else []
        ends = space.active[:ENDS]
        self._at_rest.request(lambda cancel: _rest_pictures(explorer, position, traversal, ends, cancel))

    @Slot(object, int)
    def _on_rest_pictures(
        self, drawn: tuple[np.ndarray | None, dict[int, tuple[np.ndarray, np.ndarray]]], _stamp: int
    ) -> None:
        traversal, self.state.ends = drawn
        self.ends_changed.emit()
        if traversal is not None and self._traversal_wanted:
            self.state.traversal = traversal
            self.traversal_changed.emit()

    # Own pictures

    def open_file(self, path: Path) -> None:
        """Start from a picture file: its latent where it was made here, otherwise what the model encodes it to."""
        task = self._services.host.run(lambda: _read_file(path))
        task.succeeded.connect(self._on_file_read)
        task.failed.connect(self._on_failed)

    @Slot(object)
    def _on_file_read(self, content: tuple[Latent | None, Picture]) -> None:
        latent, picture = content
        if latent is not None and latent.model in [card.name for card in self.state.models]:
            self.open_latent(latent)
        else:
            self.open_picture(picture)

    def open_picture(self, picture: Picture) -> None:
        """Encode a picture and put the sliders where it lies; the original is kept for comparison.

        What it shows is not known yet, so every attribute is left open.
        """
        self._encode(picture, replace(self.state.position, choice={}))

    def _encode(self, picture: Picture, position: Position) -> None:
        explorer, model = self._explorer, self.state.model
        if explorer is None:
            return
        task = self._services.host.run(lambda: _encoded(explorer, model, position, picture))
        task.succeeded.connect(self._on_moved)
        task.failed.connect(self._on_failed)

    def encode_again(self) -> None:
        """Encode the own picture anew, as after choosing its right class."""
        if self.state.source is not None:
            self._encode(self.state.source.picture, self.state.position)

    def close_source(self) -> None:
        """Compare no longer."""
        self.state.source = None
        self.source_changed.emit()

    # Latents as text and files

    def open_latent(self, latent: Latent) -> None:
        """Go to a latent from anywhere: a sample of the Generate page, a picture, the clipboard."""
        names = [card.name for card in self.state.models]
        if self._activated and latent.model not in names:
            problem = self.tr("This latent belongs to the model {model}, which is not here.")
            remedy = self.tr("Put its model file into the models folder.")
            self._on_failed(LatentStudioError(problem.format(model=latent.model), remedy))
        elif latent.model == self.state.model and not self.state.loading:
            self._take_latent(latent)
        else:
            self._load(latent.model, latent)

    def _take_latent(self, latent: Latent) -> None:
        explorer, position, model = self._explorer, self.state.position, self.state.model
        if explorer is None:
            return
        task = self._services.host.run(lambda: _position_of(explorer, model, position, latent))
        task.succeeded.connect(self._on_moved)
        task.failed.connect(self._on_failed)

    def paste_text(self, text: str) -> None:
        """Go to the latent that `text`, JSON copied here or elsewhere, describes."""
        task = self._services.host.run(lambda: _parse_latent(text))
        task.succeeded.connect(self.open_latent)
        task.failed.connect(self._on_failed)

    def copy_text(self) -> None:
        """Ask for the position as JSON; `latent_text` brings it."""
        explorer, position = self._explorer, self.state.position
        if explorer is not None:
            task = self._services.host.run(lambda: _latent_of(explorer, position).to_json())
            task.succeeded.connect(self._on_text)
            task.failed.connect(self._on_failed)

    @Slot(object)
    def _on_text(self, text: str) -> None:
        self.latent_text.emit(text)

    def save_picture(self, path: Path) -> None:
        """Save the decoded picture as PNG with its latent inside."""
        explorer, position = self._explorer, self.state.position
        if explorer is not None:
            self._write(lambda: _save_picture(explorer, position, path))

    def save_traversal(self, path: Path) -> None:
        """Save the grid of traversals."""
        grid = self.state.traversal
        if grid is not None:
            self._write(lambda: _save_pixels(grid, path))

    def _write(self, function: Callable[[], str]) -> None:
        task = self._services.host.run(function)
        task.succeeded.connect(self._on_saved)
        task.failed.connect(self._on_failed)

    @Slot(object)
    def _on_saved(self, where: str) -> None:
        self._services.notices.success(self.tr("Saved to {where}.").format(where=where))

    @Slot(object)
    def _on_failed(self, error: LatentStudioError) -> None:
        self._services.notices.error(error, self.tr("Latents"))


# What runs in the engine's thread.


def _list_cards() -> list[ModelCard]:
    from engine.models.registry import list_models

    return [card for family in FAMILIES for card in list_models(family)]


def _load_explorer(name: str) -> _Loaded:
    from engine.latent import LatentExplorer

    explorer = LatentExplorer.load(name)
    spaces = {space: Space(space, tuple(explorer.dimensions(space))) for space in explorer.spaces}
    # "none" hides nothing of a face.
    # Where several attributes are all fixed, little is left for the sliders to move; open ones move with them.
    choice = {one.name: one.values[0] for one in explorer.attributes} if len(explorer.attributes) == 1 else {}
    origin = _numbers(explorer.origin(explorer.spaces[0], choice))
    return _Loaded(explorer, spaces, Position(explorer.spaces[0], origin, choice), origin)


def _decode(explorer: LatentExplorer, position: Position) -> _Decoded:
    import numpy as np

    values = np.asarray(position.values, np.float32)
    off_data = explorer.off_data(values, position.choice) if position.space == RAW else 0.0
    return _Decoded(explorer.decode(position.space, values, position.choice), off_data)


def _rest_pictures(
    explorer: LatentExplorer, position: Position, rows: list[int], ends: list[Dimension], cancel: CancelToken
) -> tuple[np.ndarray | None, dict[int, tuple[np.ndarray, np.ndarray]]]:
    """The traversal grid of the dimensions `rows` and the pictures at the two ends of the sliders `ends`."""
    import numpy as np

    values = np.asarray(position.values, np.float32)
    lines: list[np.ndarray] = []
    for dimension in rows:
        # A slider that is touched again must not wait for all of them.
        cancel.raise_if_cancelled()
        line = explorer.traversal(position.space, values, position.choice, [dimension], TRAVERSAL_STEPS)
        lines += [line, np.full((GAP, *line.shape[1:]), 255, np.uint8)]
    grid = np.concatenate(lines[:-1]) if lines else None
    pictures: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    for dimension in ends:
        cancel.raise_if_cancelled()
        pair = np.stack([values, values])
        pair[:, dimension.index] = dimension.low, dimension.high
        low, high = explorer.decode_many(position.space, pair, position.choice)
        pictures[dimension.index] = (low, high)
    return grid, pictures


def _located(explorer: LatentExplorer, model: str, position: Position, source: Source | None = None) -> _Moved:
    """The position with the origin of its space and choice."""
    return _Moved(model, position, _numbers(explorer.origin(position.space, position.choice)), source)


def _random_position(explorer: LatentExplorer, model: str, position: Position, seed: int) -> _Moved:
    values = _numbers(explorer.random(position.space, position.choice, seed))
    return _located(explorer, model, replace(position, values=values, seed=seed))


def _converted(explorer: LatentExplorer, model: str, position: Position, space: str) -> _Moved:
    import numpy as np

    values = np.asarray(position.values, np.float32)
    values = explorer.convert(values, position.space, space, position.choice)
    return _located(explorer, model, replace(position, space=space, values=_numbers(values)))


def _encoded(explorer: LatentExplorer, model: str, position: Position, picture: Picture) -> _Moved:
    values, prepared = explorer.encode(picture, position.space, position.choice)
    found = replace(position, values=_numbers(values), seed=None)
    reconstruction = explorer.decode(position.space, values, position.choice)
    return _located(explorer, model, found, Source(picture, prepared, reconstruction))


def _read_file(path: Path) -> tuple[Latent | None, Picture]:
    """The latent that a picture of ours carries, and the picture itself."""
    from engine.generation import read_latent
    from engine.image import open_picture

    picture = open_picture(path)
    try:
        return read_latent(path), picture
    except LatentStudioError:
        return None, picture


def _position_of(explorer: LatentExplorer, model: str, position: Position, latent: Latent) -> _Moved:
    """The position a latent describes. Raises `UsageError` where it does not fit the model."""
    if latent.space not in explorer.spaces:
        raise LatentStudioError(
            f"The latent lies in the space {latent.space!r}, which {model} does not have.", "Use another model."
        )
    if len(latent.values) != len(position.values):
        raise LatentStudioError(
            f"The latent has {len(latent.values)} numbers, but {model} has {len(position.values)} dimensions.",
            "Use a latent made with this model.",
        )
    return _located(explorer, model, Position(latent.space, tuple(latent.values), dict(latent.attributes), latent.seed))


def _parse_latent(text: str) -> Latent:
    from engine.generation import Latent

    return Latent.from_json(text)


def _latent_of(explorer: LatentExplorer, position: Position) -> Latent:
    from engine.generation import Latent

    card = explorer.card
    return Latent(
        model=card.name,
        weights_sha256=card.weights_sha256,
        space=cast(SpaceName, position.space),
        values=position.values,
        attributes=dict(position.choice),
        seed=position.seed,
        temperature=1.0,
    )


def _save_picture(explorer: LatentExplorer, position: Position, path: Path) -> str:
    from engine.generation import Sample, save_sample

    save_sample(Sample(_decode(explorer, position).picture, _latent_of(explorer, position)), path)
    return str(path)


def _save_pixels(pixels: np.ndarray, path: Path) -> str:
    from engine.image import Picture, save_picture

    save_picture(Picture(pixels), path)
    return str(path)


def _numbers(values: np.ndarray) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
