"""Presets: they come back as they were kept, and a damaged one is set aside and told of."""

from __future__ import annotations

import json
import tomllib

import pytest

from engine.compression.classic import CODECS, ClassicSettings
from engine.compression.container import Region
from engine.compression.preparation import Preparation
from engine.compression.presets import BUILT_IN, Preset, delete_preset, load_presets, save_preset, to_toml
from engine.compression.settings import EncodeSettings, Target
from engine.errors import UsageError
from engine.paths import user_folder

MINE = [
    Preset('Mine: ä/ö "quoted"', EncodeSettings(quality=33.25, model="photo-codec-s", effort=2, keep_place=True)),
    Preset("Ours to a size", EncodeSettings(target=Target("bpp", 0.4)), Preparation(percent=12.5), keep_profile=False),
    Preset(
        "Cut", ClassicSettings("avif", 61, subsampling="4:4:4", effort=3), Preparation(Region(1, 2, 30, 40), 15, 20)
    ),
    Preset("Exact", ClassicSettings("jxl", lossless=True, keep_metadata=False), about="Nothing lost."),
]


@pytest.mark.parametrize("preset", [*MINE, *BUILT_IN], ids=lambda preset: preset.name)
def test_a_preset_comes_back_as_it_was(preset: Preset) -> None:
    assert Preset.from_data(json.loads(json.dumps(preset.to_data()))) == preset
    assert Preset.from_data(tomllib.loads(to_toml(preset))) == preset


def test_kept_presets_join_ours_and_are_found_by_name() -> None:
    assert load_presets().presets == BUILT_IN
    for preset in MINE:
        save_preset(preset)
    shelf = load_presets()
    assert set(shelf.presets) == {*BUILT_IN, *MINE} and not shelf.problems
    assert shelf.find(" e-mail UNDER 1 mb") == BUILT_IN[2]
    with pytest.raises(UsageError, match="'Archive'"):
        shelf.find("Archiv")
    changed = Preset("web", ClassicSettings("avif", 50))
    save_preset(changed)
    assert load_presets().find("Web") == changed and len(load_presets().presets) == len(shelf.presets)
    delete_preset("WEB")
    assert load_presets().find("Web") == BUILT_IN[0]
    with pytest.raises(UsageError):
        delete_preset("Web")


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe not text",
        b"name = ",
        b'name = "X"\ncodec = "bpg"\n',
        b'name = "X"\ncodec = "jpeg"\n[settings]\nquality = 400\n',
        b'name = "X"\ncodec = "jpeg"\n[settings]\nquality = "high"\n',
        b'name = "X"\ncodec = "jpeg"\n[settings]\nqualty = 40\n',
        b'name = "X"\ncodec = "jpeg"\n[preparation]\ncrop = [1, 2]\n',
        b'name = "X"\ncodec = "jpeg"\n[target]\nkind = "weight"\nvalue = 3\n',
        b'name = 7\ncodec = "jpeg"\n',
        b'codec = "jpeg"\n',
        b'name = "X"\ncodec = "jpeg"\nsettings = 3\n',
        b"",
    ],
)
def test_a_damaged_preset_is_set_aside_and_told_of(content: bytes) -> None:
    good = save_preset(MINE[0])
    bad = good.with_name("bad.toml")
    for number in (1, 2):
        bad.write_bytes(content)
        shelf = load_presets()
        assert len(shelf.problems) == 1 and "bad.toml" in shelf.problems[0]
        assert MINE[0] in shelf.presets and len(shelf.presets) == len(BUILT_IN) + 1
        aside = list((user_folder("settings") / "presets").glob("bad.toml.damaged*"))
        assert len(aside) == number and all(path.read_bytes() == content for path in aside) and not bad.exists()
    assert not load_presets().problems


def test_what_cannot_be_a_preset() -> None:
    for name in ("", " x", "a" * 61, "two\nlines"):
        with pytest.raises(UsageError):
            Preset(name, EncodeSettings())


def test_the_mail_preset_is_what_it_says() -> None:
    mail = BUILT_IN[2]
    assert mail.codec in CODECS and mail.settings.target == Target("size", 1_000_000)
    assert mail.preparation.result_size(6000, 4000) == (2048, 1365)
    assert mail.preparation.result_size(600, 400) == (600, 400)
