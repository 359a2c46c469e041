"""MNIST and FashionMNIST through torchvision's own data set classes, never downloaded unasked.

Both sets have a train and a test part; validation is carved out of train by a hash of the picture's number, about 1 in
16.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.data.augmentation import square
from engine.data.dataset import UniformPictures, held_out
from engine.data.settings import DataSettings
from engine.errors import DataError
from engine.models.card import Attribute

_CLOTHES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
_KINDS: dict[str, tuple[str, Attribute, str]] = {
    "mnist": ("MNIST", Attribute(name="digit", values=tuple("0123456789")), "MIT"),
    "fashion-mnist": ("FashionMNIST", Attribute(name="clothes", values=_CLOTHES), "MIT"),
}
_OPERATORS = tuple(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor" for name in ("nms", "qnms"))
_declarations: list[torch.library.Library] = []


def open_torchvision_set(settings: DataSettings, folder: Path) -> UniformPictures:
    """Open MNIST or FashionMNIST from `folder`, the set's own folder that holds raw/.

    Raises:
        DataError: a file is missing or broken.
    """
    class_name, attribute, licence = _KINDS[settings.set]
    kind = getattr(_torchvision_datasets(), class_name)
    parts = []
    for train in (True, False):
        wanted = settings.split == "all" or train == (settings.split != "test")
        if wanted:
            parts.append((train, _read(kind, folder, train)))
    images = np.concatenate([data.data.numpy() for _, data in parts])[..., None]
    labels = np.concatenate([data.targets.numpy() for _, data in parts])
    names = [f"{'train' if train else 'test'}/{index:05d}" for train, data in parts for index in range(len(data.data))]
    if settings.split in ("train", "validation"):
        out = held_out(names)
        keep = np.array([(name in out) == (settings.split == "validation") for name in names])
        images, labels, names = (
            images[keep],
            labels[keep],
            [name for name, kept in zip(names, keep, strict=True) if kept],
        )
    if settings.size is not None:
        images = np.stack([square(image, settings.size) for image in images])
    return UniformPictures(
        settings, images, names, name=class_name, licence=licence, labels=labels[:, None], attributes=(attribute,)
    )


def _read(kind: Any, folder: Path, train: bool) -> Any:
    try:
        return kind(str(folder.parent), train=train, download=False)
    except Exception as error:  # torchvision reports broken IDX files by whatever its parser stumbles over
        part = "train-*" if train else "t10k-*"
        problem = f"The {part} files in {folder / 'raw'} are missing or damaged ({error or type(error).__name__})."
        raise DataError(problem, "Copy or fetch the data set again.") from error


def _torchvision_datasets() -> Any:
    """The module torchvision.datasets, imported late: it doubles torch's import time.

    The registry's torchvision is built for the CUDA build of torch; beside a CPU build its compiled operators do not
    load and the import stops where it describes the first of them ("operator torchvision::nms does not exist"). The
    data set classes need no operator, so only then the missing operators are declared - a schema without an
    implementation - and the import is repeated.
    """
    try:
        import torchvision.datasets as datasets
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise DataError(
                f"torchvision cannot be imported ({error}).", "Reinstall torchvision to match torch."
            ) from error
        for module in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[module]
        library = torch.library.Library("torchvision", "FRAGMENT")
        for schema in _OPERATORS:
            library.define(schema)
        _declarations.append(library)  # a library that is collected takes its declarations along
        import torchvision.datasets as datasets
    except ImportError as error:
        raise DataError("torchvision is not installed.", "Install it with: pip install torchvision") from error
    return datasets
