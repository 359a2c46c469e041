"""Which files of a set belong to its train, validation and test parts."""

from __future__ import annotations

from dataclasses import dataclass

from engine.data.dataset import held_out
from engine.data.settings import Split
from engine.errors import DataError

# Folder names that set a part apart; the first spelling is ours.
_PART_FOLDERS = {
    "train": ("train", "training"),
    "validation": ("val", "validation", "valid"),
    "test": ("test", "testing"),
}


@dataclass(frozen=True)
class Parts:
    """Files of a set: those of the wanted part, and all."""

    chosen: list[str]
    all: list[str]


def is_part_folder(name: str) -> bool:
    """True for train, val, test and their other spellings."""
    return any(name.lower() in folders for folders in _PART_FOLDERS.values())


def names_of_split(names: list[str], split: Split, label: str, depth: int) -> Parts:
    """Choose the files of `split`.

    Args:
        names: file names with forward slashes.
        depth: path components of a file below its part: 1 for photos, 2 for CLASS/PICTURE and images/PICTURE. Photos
            without parts may lie in any folders.

    Files in train/, val/ and test/ belong to those parts. A set without such folders, or with train/ and test/ only,
    holds out about 1 in 16 of the training files by hash of the name. Files that lie deeper or less deep are left out.

    Raises:
        DataError: the part is empty.
    """
    by_part: dict[str, list[str]] = {"train": [], "validation": [], "test": []}
    loose = names if depth == 1 else [name for name in names if name.count("/") == depth - 1]
    foldered = [name for name in names if name.count("/") == depth]
    for part, folders in _PART_FOLDERS.items():
        by_part[part] = [name for name in foldered if name.split("/")[0].lower() in folders]
    if not any(by_part.values()):
        by_part["train"] = loose
    if not by_part["validation"]:
        out = held_out(by_part["train"])
        by_part["validation"] = [name for name in by_part["train"] if name in out]
        by_part["train"] = [name for name in by_part["train"] if name not in out]
    everything = sorted(name for part in by_part.values() for name in part)
    chosen = everything if split == "all" else by_part[split]
    if not chosen:
        remedy = f"Put its pictures into a folder {split}/." if everything else "Check the path and the layout."
        raise DataError(f"{label} holds no pictures for its {split} part.", remedy)
    return Parts(chosen, everything)
