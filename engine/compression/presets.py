"""Presets: named ways to compress, some of our own and as many as the user likes, a TOML file each."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
import tomllib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from engine.compression.classic import ClassicSettings
from engine.compression.container import Region
from engine.compression.preparation import Preparation
from engine.compression.settings import EncodeSettings, Target
from engine.errors import OutputError, UsageError
from engine.files import write_text
from engine.paths import user_folder

OWN_CODEC = "lsi"
_SETTINGS = ("quality", "model", "effort", "subsampling", "lossless")
_METADATA = ("keep_metadata", "keep_place", "keep_profile")


@dataclass(frozen=True)
class Preset:
    """A named way to compress.

    Attributes:
        name: 1 to 60 characters.
        settings: of our codec or of a classic one; without a quality map, which belongs to a photo.
        preparation: crop and size before that.
        keep_profile: whether colours that are not sRGB are kept; where `ClassicSettings` say it, what they say.
        about: what it is for, in a sentence.

    Raises:
        UsageError: the name is empty or too long, or the settings hold a quality map.
    """

    name: str
    settings: EncodeSettings | ClassicSettings
    preparation: Preparation = Preparation()  # noqa: RUF009 - frozen
    keep_profile: bool = True
    about: str = ""

    def __post_init__(self) -> None:
        if not (1 <= len(self.name) <= 60 and self.name.isprintable() and self.name == self.name.strip()):
            raise UsageError(f"{self.name!r} cannot be the name of a preset.", "Use 1 to 60 characters.")
        if isinstance(self.settings, EncodeSettings) and self.settings.quality_map is not None:
            raise UsageError("A quality map belongs to a photo, not to a preset.", "Leave it out.")
        if isinstance(self.settings, ClassicSettings):
            object.__setattr__(self, "keep_profile", self.settings.keep_profile)

    @property
    def codec(self) -> str:
        """ "lsi" for ours, else one of the classic codecs."""
        return self.settings.codec if isinstance(self.settings, ClassicSettings) else OWN_CODEC

    def to_data(self) -> dict[str, Any]:
        """As plain data that JSON and TOML know; what is None is left out."""
        settings = self.settings
        values = {name: getattr(settings, name, None) for name in _SETTINGS}
        values |= {"keep_metadata": settings.keep_metadata, "keep_place": settings.keep_place}
        values["keep_profile"] = self.keep_profile
        data: dict[str, Any] = {"name": self.name, "about": self.about, "codec": self.codec, "settings": values}
        if settings.target is not None:
            data["target"] = {"kind": settings.target.kind, "value": settings.target.value}
        wish = {field.name: getattr(self.preparation, field.name) for field in fields(Preparation)}
        if self.preparation.crop is not None:
            crop = self.preparation.crop
            wish["crop"] = [crop.x, crop.y, crop.width, crop.height]
        data["preparation"] = wish
        return {key: _without_none(value) if isinstance(value, dict) else value for key, value in data.items()}

    @staticmethod
    def from_data(data: Mapping[str, Any]) -> Preset:
        """The inverse of `to_data`. Raises `UsageError` for a key that it does not know or a value of a wrong kind."""
        try:
            return _preset_of(dict(data))
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise UsageError(f"A preset cannot be read: {error}.", "Compare it with one that works.") from error


def _preset_of(data: dict[str, Any]) -> Preset:
    codec, given = str(data.pop("codec")), dict(data.pop("settings", {}))
    wish, target = dict(data.pop("preparation", {})), data.pop("target", None)
    name, about = data.pop("name"), data.pop("about", "")
    allowed = {field.name for field in fields(Preparation)}
    unknown = [*data, *(key for key in given if key not in (*_SETTINGS, *_METADATA)), *(wish.keys() - allowed)]
    if unknown:
        raise UsageError(f"A preset has no {unknown[0]!r}.", "Remove it, or check how it is written.")
    kinds = {"quality": (int, float), "effort": int, "lossless": bool, "percent": (int, float), "value": (int, float)}
    for key, value in [*given.items(), *wish.items(), *(target or {}).items(), ("name", name), ("about", about)]:
        wanted = kinds.get(key, bool if key in _METADATA else list if key == "crop" else None)
        wanted = wanted or (int if key in ("width", "height", "longest") else str)
        if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
            raise UsageError(f"{key} of a preset is {value!r}.", "Compare it with one that works.")
    aim = None if target is None else Target(**target)
    if "crop" in wish:
        wish["crop"] = Region(*wish["crop"])
    preparation = Preparation(**wish)
    if codec != OWN_CODEC:
        given.pop("model", None)
        settings = ClassicSettings(codec, target=aim, **given)
        return Preset(name, settings, preparation, about=about)
    keep = given.pop("keep_profile", True)
    return Preset(name, EncodeSettings(target=aim, **given), preparation, keep, about)


def _without_none(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


BUILT_IN = (
    Preset(
        "Web",
        ClassicSettings("webp", 80, keep_metadata=False, keep_profile=False),
        Preparation(longest=1920),
        about="For web pages: every browser shows it, nothing of the camera or the place is left, colours are sRGB.",
    ),
    Preset(
        "Archive",
        EncodeSettings(quality=90.0, keep_place=True),
        about="For keeping: hardly to be told from the original, with all metadata, the place and the colour profile.",
    ),
    # Mail makes four bytes of three, so that this arrives as 1.3 MB.
    Preset(
        "E-mail under 1 MB",
        ClassicSettings("jpeg", target=Target("size", 1_000_000), keep_metadata=False, keep_profile=False),
        Preparation(longest=2048),
        about="For sending: a JPEG that everybody can open, at most 1,000,000 bytes, without metadata.",
    ),
)


@dataclass(frozen=True)
class PresetShelf:
    """All presets, our own first.

    Attributes:
        presets: those that can be used; one of the user's takes the place of one of ours with its name.
        problems: in a sentence each, files that were damaged and where they lie now.
    """

    presets: tuple[Preset, ...]
    problems: tuple[str, ...] = ()

    def find(self, name: str) -> Preset:
        """The preset of a name, upper and lower case alike. Raises `UsageError`."""
        known = {preset.name.casefold(): preset for preset in self.presets}
        found = known.get(name.strip().casefold())
        if found is None:
            near = difflib.get_close_matches(name.casefold(), known, n=1)
            names = ", ".join(repr(preset.name) for preset in self.presets)
            hint = f"Did you mean {known[near[0]].name!r}?" if near else f"There are {names}."
            raise UsageError(f"There is no preset {name!r}.", hint)
        return found


def load_presets() -> PresetShelf:
    """Our presets and the user's. A file that cannot be read as one is renamed, never deleted, and reported."""
    shelf = {preset.name.casefold(): preset for preset in BUILT_IN}
    problems: list[str] = []
    for path in sorted(_folder().glob("*.toml")):
        try:
            preset = Preset.from_data(tomllib.loads(path.read_text("utf-8")))
        except (UsageError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            problems.append(_set_aside(path, error.problem if isinstance(error, UsageError) else str(error)))
        except OSError as error:
            problems.append(f"The preset {path} cannot be read: {error.strerror or error}.")
        else:
            shelf[preset.name.casefold()] = preset
    return PresetShelf(tuple(shelf.values()), tuple(problems))


def save_preset(preset: Preset) -> Path:
    """Keep a preset in the user's folder, in place of an older one of that name. Raises `OutputError`."""
    path = _path(preset.name)
    write_text(path, to_toml(preset))
    return path


def delete_preset(name: str) -> None:
    """Remove one of the user's presets; one of ours with that name comes back.

    Raises:
        UsageError: the user has none of that name.
        OutputError: it cannot be removed.
    """
    path = _path(name)
    try:
        path.unlink()
    except FileNotFoundError as error:
        raise UsageError(f"There is no preset {name!r} of your own.", "Our own presets cannot be removed.") from error
    except OSError as error:
        raise OutputError(f"{path} cannot be removed: {error.strerror or error}.", "Check its rights.") from error


def to_toml(preset: Preset) -> str:
    """A preset as TOML text."""
    data = preset.to_data()
    tables = {key: value for key, value in data.items() if isinstance(value, dict)}
    # JSON's notation of strings, numbers, lists and booleans is TOML's too.
    write: Callable[[Any], str] = json.dumps
    lines = [f"{key} = {write(value)}" for key, value in data.items() if key not in tables]
    for name, table in tables.items():
        lines += ["", f"[{name}]", *(f"{key} = {write(value)}" for key, value in table.items())]
    return "\n".join(lines) + "\n"


def _folder() -> Path:
    return user_folder("settings") / "presets"


def _path(name: str) -> Path:
    """Names may hold what file names may not; the digest keeps apart those that look alike without it."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.casefold()).strip("-")[:40]
    digest = hashlib.sha256(name.casefold().encode()).hexdigest()[:8]
    return _folder() / f"{plain or 'preset'}-{digest}.toml"


def _set_aside(path: Path, reason: str) -> str:
    """Rename a damaged file so that it is not read again; what to tell the user."""
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged{'' if number == 1 else number}")).exists():
        number += 1
    with suppress(OSError):
        path.rename(aside)
        return f"The preset {path.name} is damaged ({reason.rstrip('.')}); it is kept as {aside}."
    return f"The preset {path} is damaged ({reason.rstrip('.')})."
