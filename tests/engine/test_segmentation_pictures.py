"""Labelling pictures as a user does: any size, tiles, cancelling, areas, overlays, masks on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from engine.errors import Cancelled, DataError, LatentStudioError, ModelError, PictureError, UsageError
from engine.evaluation.segmentation import measure_segmentation
from engine.image import Picture, open_picture
from engine.models.card import ModelCard, SegmentationClass
from engine.models.dilated_segmenter import NUCLEUS_CLASSES, DilatedSegmenter, DilatedSegmenterConfig
from engine.models.registry import model_paths
from engine.models.store import save_model
from engine.progress import CancelToken, Progress
from engine.segmentation import Segmentation, Segmenter, load_mask, overlay, save_mask, save_objects, segmenter
from engine.segmentation.tiles import windows

STREET = tuple(SegmentationClass(name=f"thing {number}", color=(number * 20, 255 - number, 7)) for number in range(11))
shipped = pytest.mark.skipif("nuclei-segmenter" not in model_paths(), reason="the nuclei model is not at hand")


def untrained(classes: tuple[SegmentationClass, ...] = NUCLEUS_CLASSES, *, instances: bool = True) -> Segmenter:
    """The recipe's network with random weights whose scores vary over a picture."""
    torch.manual_seed(1)
    network = DilatedSegmenter(DilatedSegmenterConfig(class_count=len(classes), instances=instances))
    torch.nn.init.normal_(network.classifier.weight, std=1.0)  # type: ignore[arg-type]
    return Segmenter(ModelCard(name="untrained", family="dilated-segmenter", classes=classes), network.eval())


def spots(height: int, width: int, seed: int = 0) -> Picture:
    """Bright discs on dark ground with a little noise."""
    rng = np.random.default_rng(seed)
    values = rng.normal(30, 4, (height, width))
    rows, columns = np.mgrid[:height, :width]
    for _ in range(max(1, height * width // 4000)):
        row, column, radius = rng.integers(height), rng.integers(width), rng.integers(5, 14)
        values[(rows - row) ** 2 + (columns - column) ** 2 < radius**2] += rng.uniform(40, 150)
    grey = values.clip(0, 255).astype(np.uint8)
    return Picture(np.repeat(grey[..., None], 3, axis=2))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 700), (700, 3), (2, 2), (97, 131)])
def test_odd_sizes_are_labelled(height: int, width: int) -> None:
    result = untrained().segment(spots(height, width))
    assert result.mask.shape == result.confidence.shape == result.objects.shape == (height, width)  # type: ignore[union-attr]
    assert result.mask.dtype == np.uint8 and result.mask.max() < 3
    assert result.confidence is not None and result.confidence.min() >= 1 / 3 and result.confidence.max() <= 1.0
    assert sum(area.pixels for area in result.areas()) == height * width
    assert sum(area.percent for area in result.areas()) == pytest.approx(100.0)


@pytest.mark.parametrize("size", [16, 1280, 1296, 1600, 2000, 5008])
def test_window_weights_add_up_to_one(size: int) -> None:
    total = np.zeros(size)
    for window in windows(size, segmenter.TILE, segmenter.MARGIN, segmenter.RAMP, 16):
        assert window.start % 16 == window.stop % 16 == 0 and window.stop - window.start <= segmenter.TILE
        total[window.start : window.stop] += window.weights
    np.testing.assert_allclose(total, 1.0, atol=1e-6)


@shipped
def test_tiles_label_as_the_whole_does(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Segmenter.load("nuclei-segmenter")
    picture = spots(320, 1500)
    tiled = model.segment(picture)
    monkeypatch.setattr(segmenter, "TILE", 4096)
    whole = model.segment(picture)
    assert (tiled.mask == whole.mask).mean() >= 0.999


def test_tiles_of_a_random_network_label_as_the_whole_does(monkeypatch: pytest.MonkeyPatch) -> None:
    model = untrained(STREET, instances=False)
    picture = spots(320, 1500)
    tiled = model.segment(picture)
    monkeypatch.setattr(segmenter, "TILE", 4096)
    assert (tiled.mask == model.segment(picture).mask).mean() >= 0.999


def test_progress_counts_tiles_and_cancel_stops_between_them() -> None:
    token, seen = CancelToken(), []

    def watch(progress: Progress) -> None:
        seen.append((progress.done, progress.total))
        if progress.done == 1:
            token.cancel()

    with pytest.raises(Cancelled):
        untrained().segment(spots(64, 2400), progress=watch, cancel=token)
    assert seen == [(0, 3), (1, 3)]


def test_masks_come_back_from_disk_as_they_were(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    mask = rng.integers(0, 11, (37, 53)).astype(np.uint8)
    save_mask(Segmentation(mask, None, STREET), tmp_path / "mask.png")
    back = load_mask(tmp_path / "mask.png")
    np.testing.assert_array_equal(back.mask, mask)
    assert back.classes == STREET
    with Image.open(tmp_path / "mask.png") as stored:
        assert stored.mode == "P"
        np.testing.assert_array_equal(np.asarray(stored), mask)
        colors = np.asarray(stored.convert("RGB"))
    assert tuple(colors[0, 0]) == STREET[mask[0, 0]].color


def test_a_mask_of_one_class_keeps_its_number(tmp_path: Path) -> None:
    """Writers that shrink palettes would renumber it."""
    save_mask(Segmentation(np.full((4, 4), 7, np.uint8), None, STREET), tmp_path / "mask.png")
    assert load_mask(tmp_path / "mask.png").mask.tolist() == [[7] * 4] * 4


def test_objects_are_written_as_sixteen_bit_numbers(tmp_path: Path) -> None:
    objects = np.arange(40 * 50, dtype=np.int32).reshape(40, 50)
    result = Segmentation((objects > 0).astype(np.uint8), None, NUCLEUS_CLASSES, objects)
    save_objects(result, tmp_path / "objects.png")
    with Image.open(tmp_path / "objects.png") as stored:
        np.testing.assert_array_equal(np.asarray(stored).astype(np.int32), objects)


def test_foreign_masks_are_read_and_wrong_ones_named(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 1], [2, 0]], np.uint8)).save(tmp_path / "grey.png")
    assert load_mask(tmp_path / "grey.png").mask.tolist() == [[0, 1], [2, 0]]
    assert load_mask(tmp_path / "grey.png", NUCLEUS_CLASSES).classes == NUCLEUS_CLASSES
    with pytest.raises(PictureError, match="holds the number 2"):
        load_mask(tmp_path / "grey.png", NUCLEUS_CLASSES[:2])
    Image.new("RGB", (3, 3)).save(tmp_path / "photo.png")
    with pytest.raises(PictureError, match="no mask"):
        load_mask(tmp_path / "photo.png")
    noise = np.random.default_rng(0).integers(0, 3, (90, 90)).astype(np.uint8)
    save_mask(Segmentation(noise, None, NUCLEUS_CLASSES), tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:900])
    with pytest.raises(PictureError, match="cannot be read"):
        load_mask(tmp_path / "cut.png")
    with pytest.raises(PictureError, match="no file"):
        load_mask(tmp_path / "absent.png")
    with pytest.raises(UsageError, match=r"\.png"):
        save_mask(Segmentation(np.zeros((2, 2), np.uint8), None, STREET), tmp_path / "mask.jpg")


def test_overlay_blends_hides_and_outlines() -> None:
    picture = Picture(np.full((6, 8, 3), 100, np.uint8))
    mask = np.zeros((6, 8), np.uint8)
    mask[:, 4:] = 1
    classes = (SegmentationClass(name="left", color=(0, 0, 0)), SegmentationClass(name="right", color=(200, 0, 100)))
    result = Segmentation(mask, None, classes)
    half = overlay(picture, result, 0.5)
    assert half[0, 0].tolist() == [50, 50, 50] and half[0, 7].tolist() == [150, 50, 100]
    np.testing.assert_array_equal(overlay(picture, result, 0.0), picture.pixels)
    hidden = overlay(picture, result, 1.0, hidden=frozenset({0}))
    assert hidden[0, 0].tolist() == [100, 100, 100] and hidden[0, 7].tolist() == [200, 0, 100]
    lines = overlay(picture, result, 1.0, contours=True)
    assert lines[0, 3].tolist() == [0, 0, 0] and lines[0, 4].tolist() == [200, 0, 100]
    assert lines[0, 0].tolist() == lines[0, 7].tolist() == [100, 100, 100]
    assert (picture.pixels == 100).all(), "the picture itself is left alone"


def test_a_card_that_does_not_fit_its_network_is_refused(tmp_path: Path) -> None:
    network = DilatedSegmenter(DilatedSegmenterConfig())
    save_model(tmp_path / "odd.safetensors", network, ModelCard(name="odd", family="dilated-segmenter"))
    with pytest.raises(ModelError, match="0 classes"):
        Segmenter.load(tmp_path / "odd.safetensors")


def test_an_unknown_model_is_named() -> None:
    with pytest.raises(LatentStudioError, match="no-such-model"):
        Segmenter.load("no-such-model")


@shipped
def test_the_shipped_model_finds_nuclei(shared_data: Path) -> None:
    source = min((shared_data / "nuclei" / "test" / "images").glob("*.jpg"))
    result = Segmenter.load("nuclei-segmenter").segment(open_picture(source))
    truth = np.asarray(Image.open(shared_data / "nuclei" / "test" / "labels" / f"{source.stem}.png")) > 0
    found = result.mask > 0
    assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) > 0.7
    assert result.object_count == result.areas()[1].regions > 0


@shipped
def test_measuring_the_shipped_model_comes_near_its_card(shared_data: Path) -> None:
    card = Segmenter.load("nuclei-segmenter").card
    report = measure_segmentation("nuclei-segmenter", [shared_data], limit=12)
    assert report.pictures == 12
    for figure in report.figures():
        stored = card.figure(figure.name)
        assert 0.5 < figure.value <= 1.0
        # Twelve pictures of a hundred: near, not equal.
        assert stored is None or abs(figure.value - stored.value) < 0.2


@shipped
def test_a_set_of_class_masks_is_refused_for_a_model_of_objects(shared_data: Path) -> None:
    with pytest.raises(DataError, match="single objects"):
        measure_segmentation("nuclei-segmenter", [shared_data], data="camvid", limit=1)
