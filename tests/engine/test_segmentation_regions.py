"""Regions, objects and figures from counts, held against independent reference answers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from engine.evaluation.segmentation import ConfusionMatrix, ObjectMatches
from engine.segmentation.regions import count_regions, fill_nearest, inner_depth, label_regions, separate_objects

MASKS = arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(0, 2))


def flood(mask: np.ndarray, connectivity: int) -> tuple[np.ndarray, int]:
    """The plain way: visit pixels in reading order and flood from each that has no number yet."""
    labels = np.zeros(mask.shape, np.int32)
    steps = [(0, 1), (1, 0), (0, -1), (-1, 0)]
    if connectivity == 8:
        steps += [(1, 1), (1, -1), (-1, 1), (-1, -1)]
    count = 0
    for start in np.ndindex(mask.shape):
        if not mask[start] or labels[start]:
            continue
        count += 1
        labels[start] = count
        stack = [start]
        while stack:
            row, column = stack.pop()
            for down, right in steps:
                place = (row + down, column + right)
                inside = 0 <= place[0] < mask.shape[0] and 0 <= place[1] < mask.shape[1]
                if inside and not labels[place] and mask[place] == mask[start]:
                    labels[place] = count
                    stack.append(place)
    return labels, count


@given(MASKS, st.sampled_from([4, 8]))
@settings(max_examples=150, deadline=None)
def test_regions_are_those_of_a_flood(mask: np.ndarray, connectivity: int) -> None:
    expected, number = flood(mask, connectivity)
    labels, count = label_regions(mask, connectivity)
    assert count == number
    np.testing.assert_array_equal(labels, expected)


@given(MASKS)
@settings(max_examples=50, deadline=None)
def test_counts_per_class_are_those_of_a_flood(mask: np.ndarray) -> None:
    assert count_regions(mask, 3) == [flood((mask == number).astype(np.uint8), 4)[1] for number in range(3)]


def test_gaps_are_filled_from_the_nearest_object_and_not_across_background() -> None:
    labels = np.array([[1, 0, 0, 0, 2], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]], np.int32)
    where = np.array([[1, 1, 0, 1, 1], [0, 0, 0, 0, 0], [1, 1, 0, 0, 0]], bool)
    assert fill_nearest(labels, where).tolist() == [[1, 1, 0, 2, 2], [0] * 5, [0] * 5]


def test_a_border_splits_two_objects_and_belongs_to_them() -> None:
    mask = np.zeros((12, 21), np.uint8)
    mask[1:11, 1:20] = 1
    mask[1:11, 10] = 2
    objects = separate_objects(mask)
    assert objects.max() == 2
    np.testing.assert_array_equal(objects > 0, mask > 0)
    assert objects[5, 2] != objects[5, 18]


def test_two_touching_discs_are_two_objects_and_an_ellipse_is_one() -> None:
    rows, columns = np.mgrid[:60, :90]
    discs = ((rows - 30) ** 2 + (columns - 30) ** 2 < 15**2) | ((rows - 30) ** 2 + (columns - 54) ** 2 < 15**2)
    objects = separate_objects(discs.astype(np.uint8))
    assert objects.max() == 2 and objects[30, 30] != objects[30, 54]
    np.testing.assert_array_equal(objects > 0, discs)
    ellipse = ((rows - 30) / 12) ** 2 + ((columns - 45) / 40) ** 2 < 1
    assert separate_objects(ellipse.astype(np.uint8)).max() == 1


def test_depth_grows_inwards_and_the_picture_edge_is_no_edge() -> None:
    labels = np.zeros((9, 20), np.int32)
    labels[:, :11], labels[:, 11:14] = 1, 2
    depth = inner_depth(labels)
    assert depth[4].tolist() == [11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 1, 2, 1, 0, 0, 0, 0, 0, 0]


def test_specks_are_no_objects() -> None:
    mask = np.zeros((20, 20), np.uint8)
    mask[2:8, 2:8] = 1
    mask[15, 15:17] = 1
    objects = separate_objects(mask)
    assert objects.max() == 1 and objects[15, 15] == 0


def test_an_empty_mask_has_no_objects() -> None:
    assert separate_objects(np.zeros((3, 5), np.uint8)).max() == 0


def test_iou_dice_and_accuracy_of_a_known_case() -> None:
    matrix = ConfusionMatrix.empty(3)
    matrix.add(np.array([[0, 0, 1, 1, 255]]), np.array([[0, 1, 1, 1, 2]]))
    np.testing.assert_allclose(matrix.iou(), [0.5, 2 / 3, np.nan])
    np.testing.assert_allclose(matrix.dice(), [2 / 3, 0.8, np.nan])
    assert matrix.mean_iou() == pytest.approx((0.5 + 2 / 3) / 2)
    assert matrix.accuracy() == pytest.approx(0.75)


def test_figures_come_from_all_counts_not_from_a_mean_over_pictures() -> None:
    matrix = ConfusionMatrix.empty(2)
    matrix.add(np.ones((10, 10), int), np.ones((10, 10), int))
    matrix.add(np.ones((1, 1), int), np.zeros((1, 1), int))
    assert matrix.iou()[1] == pytest.approx(100 / 101)


def test_objects_match_where_more_than_half_is_shared() -> None:
    truth = np.zeros((10, 30), np.int32)
    truth[2:8, 2:8], truth[2:8, 12:18], truth[2:8, 22:28] = 5, 7, 900
    found = np.zeros((10, 30), np.int32)
    found[2:8, 2:7] = 1  # IoU 5/6
    found[2:8, 15:21] = 2  # IoU 1/3
    matches = ObjectMatches()
    matches.add(truth, found)
    assert (matches.true_positives, matches.false_positives, matches.false_negatives) == ([1], [1], [2])
    assert matches.mean_average_precision() == matches.pooled_average_precision() == pytest.approx(0.25)


def test_nothing_found_where_nothing_is_counts_as_right() -> None:
    matches = ObjectMatches()
    matches.add(np.zeros((4, 4), int), np.zeros((4, 4), int))
    assert matches.mean_average_precision() == 1.0
