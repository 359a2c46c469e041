"""Presets on the Compress page: what they make of its settings, and its settings as a preset."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gui.controllers.compress_settings import OURS, Crop, PageSettings, SideSettings

if TYPE_CHECKING:
    from engine.compression.presets import Preset


def with_preset(settings: PageSettings, preset: Preset) -> PageSettings:
    """The page's settings with those of a preset on the right side. A focus stays: no preset has one."""
    wanted, size = preset.settings, preset.preparation
    side = SideSettings(
        preset.codec,
        wanted.quality,
        model=getattr(wanted, "model", None),
        effort=wanted.effort or None,
        subsampling=getattr(wanted, "subsampling", SideSettings.subsampling),
        lossless=getattr(wanted, "lossless", False),
        target=wanted.target,
    )
    crop = size.crop and Crop(size.crop.x, size.crop.y, size.crop.width, size.crop.height)
    shared = replace(
        settings.shared,
        keep_metadata=wanted.keep_metadata,
        keep_place=wanted.keep_place,
        keep_profile=preset.keep_profile,
        # A preset without a crop says nothing about the one that was drawn on this photo.
        crop=crop or settings.shared.crop,
        longest_side=size.longest,
        width=size.width,
        height=size.height,
        percent=size.percent,
        resample=size.resample,
    )
    return PageSettings(settings.left, side, shared)


def as_preset(name: str, settings: PageSettings) -> Preset:
    """The right side and the shared settings as a preset; the crop and the focus belong to one photo and are left out.

    Raises:
        UsageError: the name cannot be one.
    """
    from engine.compression.classic import ClassicSettings
    from engine.compression.preparation import Preparation
    from engine.compression.presets import Preset
    from engine.compression.settings import EncodeSettings

    side, shared = settings.right, settings.shared
    longest, width, height, percent = shared.size
    preparation = Preparation(None, width, height, shared.resample, longest, percent)
    metadata, place = shared.keep_metadata, shared.keep_place
    if side.codec == OURS:
        effort = side.effort or 0
        wanted = EncodeSettings(side.quality, side.model, metadata, place, target=side.target, effort=effort)
        return Preset(name, wanted, preparation, shared.keep_profile)
    classic = ClassicSettings(
        side.codec,
        side.quality,
        effort=side.effort,
        subsampling=side.subsampling,
        lossless=side.lossless,
        target=side.target,
        keep_metadata=metadata,
        keep_place=place,
        keep_profile=shared.keep_profile,
    )
    return Preset(name, classic, preparation)
