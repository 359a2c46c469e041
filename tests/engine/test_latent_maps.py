"""Maps of latents: each method on constructed clouds, their figures beside scikit-learn's, the way back to a latent."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import time

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.manifold import trustworthiness as reference_trustworthiness
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from engine.errors import AnalysisError, Cancelled, UsageError
from engine.latent.apart import is_installed, run_apart
from engine.latent.inverse import MapInverse
from engine.latent.map_picture import draw_map, group_colours
from engine.latent.map_quality import map_quality, neighbour_accuracy, trustworthiness
from engine.latent.maps import make_map, map_methods
from engine.latent.neighbours import nearest_to, sample_around, side_by_side
from engine.latent.pacmap import STEPS, Pacmap
from engine.latent.principal import principal_components
from engine.progress import CancelToken, Progress
from tests.engine.latent_points import ALL_EQUAL, NOT_FINITE, ONE_POINT, blobs

BUILT_IN = ("pca", "pacmap")
OPTIONAL = [
    pytest.param(name, marks=pytest.mark.skipif(not is_installed(name), reason=f"{name} is not installed"))
    for name in ("tsne", "umap")
]


def test_principal_components_are_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    for shape in ((200, 7), (12, 40)):
        points = (rng.standard_normal(shape) @ rng.standard_normal((shape[1], shape[1]))).astype(np.float32) + 30
        ours, reference = principal_components(points, 5), PCA(5).fit(points.astype(np.float64))
        assert ours.variance == pytest.approx(reference.explained_variance_, rel=1e-4)
        assert ours.share == pytest.approx(reference.explained_variance_ratio_, rel=1e-4)
        assert np.abs((ours.axes * reference.components_).sum(axis=1)) == pytest.approx(np.ones(5), abs=1e-5)
        assert (ours.axes[np.arange(5), np.abs(ours.axes).argmax(axis=1)] > 0).all()


def test_projecting_on_all_components_loses_nothing() -> None:
    points, _ = blobs()
    found = principal_components(points, 6)
    assert np.allclose(found.restore(found.project(points)), points, atol=1e-3)


@pytest.mark.parametrize("method", BUILT_IN)
def test_a_map_keeps_separate_clouds_apart(method: str) -> None:
    points, kind = blobs()
    positions = make_map(points, method)
    assert positions.shape == (300, 2) and positions.dtype == np.float32
    quality = map_quality(points, positions, kind)
    assert quality.neighbour_accuracy is not None and quality.neighbour_accuracy > 0.97
    assert quality.trustworthiness > 0.85
    assert quality.neighbours == 10


def test_pacmap_unrolls_what_pca_lays_on_itself() -> None:
    rng = np.random.default_rng(0)
    turn = 1.5 * np.pi * (1 + 2 * rng.random(600))
    height = 6 * rng.random(600)
    roll = np.stack([turn * np.cos(turn), height, turn * np.sin(turn)], axis=1).astype(np.float32)
    lies = {method: 1 - trustworthiness(roll, make_map(roll, method)) for method in BUILT_IN}
    assert lies["pacmap"] < 0.5 * lies["pca"]


def test_the_seed_decides_the_map() -> None:
    points, _ = blobs(120)
    first, again, other = (make_map(points, "pacmap", seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_pacmap_tells_of_the_map_so_far() -> None:
    points, _ = blobs(100)
    told: list[Progress] = []
    positions = make_map(points, "pacmap", progress=told.append)
    maps = [one.partial for one in told if one.partial is not None]
    assert len(maps) >= 40 and all(one.shape == (100, 2) for one in maps)
    assert not np.array_equal(maps[0], maps[1])
    assert np.array_equal(maps[-1], positions)
    assert told[-1].done == told[-1].total == STEPS


def test_a_cancelled_map_goes_on_where_it_stopped() -> None:
    points, _ = blobs(100)
    token = CancelToken()
    run = Pacmap(points, seed=3)
    with pytest.raises(Cancelled):
        run.run(lambda now: token.cancel() if now.partial is not None and now.done >= 150 else None, token)
    assert 150 <= run.step < 160
    assert np.array_equal(run.run(), Pacmap(points, seed=3).run())


def test_a_point_far_from_the_origin_changes_no_map() -> None:
    points, kind = blobs(150)
    moved = make_map(points + 1000, "pacmap")
    assert neighbour_accuracy(moved, kind) > 0.97


@pytest.mark.parametrize("method", BUILT_IN)
@pytest.mark.parametrize("count", [5, 6, 9, 13])
def test_few_points_make_a_map(method: str, count: int) -> None:
    points, _ = blobs(count)
    positions = make_map(points, method)
    assert positions.shape == (count, 2) and np.isfinite(positions).all()


def test_equal_points_among_others_make_a_map() -> None:
    points, _ = blobs(60)
    points[:30] = points[0]
    assert np.isfinite(make_map(points, "pacmap")).all()


def test_one_dimension_makes_a_map() -> None:
    for method in BUILT_IN:
        assert np.isfinite(make_map(np.arange(30.0)[:, None], method)).all()


def test_many_dimensions_make_a_map() -> None:
    points, kind = blobs(150, size=300)
    assert neighbour_accuracy(make_map(points, "pacmap"), kind) > 0.97


@pytest.mark.parametrize("method", ["pca", "pacmap", *OPTIONAL])
def test_hopeless_points_are_explained(method: str) -> None:
    three = np.eye(3, dtype=np.float32)
    if method == "pca":
        assert np.isfinite(make_map(three, method)).all()
    else:
        with pytest.raises(AnalysisError, match="needs at least 5 latents; 3 were given"):
            make_map(three, method)
    with pytest.raises(AnalysisError, match="one was given"):
        make_map(ONE_POINT, method)
    with pytest.raises(AnalysisError, match="All 40 latents are equal"):
        make_map(ALL_EQUAL, method)
    with pytest.raises(AnalysisError, match=r"1 of 40 latents hold .* the first is number 19"):
        make_map(NOT_FINITE, method)


def test_wrong_wishes_are_explained() -> None:
    points, _ = blobs(20)
    with pytest.raises(UsageError, match=r"no map 'sne'.* pca, pacmap, tsne, umap"):
        make_map(points, "sne")
    with pytest.raises(UsageError, match="seed -1"):
        make_map(points, "pacmap", seed=-1)


def test_a_method_that_is_not_installed_says_how_to_get_it() -> None:
    for method in map_methods():
        if not method.installed:
            with pytest.raises(AnalysisError, match=r"latent-studio\[maps\]"):
                make_map(blobs(20)[0], method.key)


@pytest.mark.slow
@pytest.mark.parametrize("method", OPTIONAL)
def test_optional_maps_keep_clouds_apart_and_tell_how_far_they_are(method: str) -> None:
    points, kind = blobs(150)
    told: list[Progress] = []
    positions = make_map(points, method, progress=told.append)
    assert positions.shape == (150, 2)
    assert neighbour_accuracy(positions, kind) > 0.97
    assert any(0 < one.done <= one.total for one in told)
    partial = [one.partial for one in told if one.partial is not None]
    assert all(one.shape == (150, 2) for one in partial)
    assert bool(partial) == (method == "tsne")


def test_work_apart_is_killed_when_it_is_cancelled() -> None:
    # HDBSCAN of so many points in so many dimensions takes minutes, and nothing inside it looks at a token.
    points = np.random.default_rng(0).standard_normal((30_000, 32)).astype(np.float32)
    token = CancelToken()
    cancelled: list[float] = []

    def tell(now: Progress) -> None:
        if now.message == "Clustering":
            cancelled.append(time.monotonic())
            token.cancel()

    with pytest.raises(Cancelled):
        run_apart("hdbscan", points, {"smallest": 50, "samples": None}, progress=tell, cancel=token)
    assert time.monotonic() - cancelled[0] < 5
    assert multiprocessing.active_children() == []


def test_what_a_library_refuses_becomes_a_sentence() -> None:
    with pytest.raises(AnalysisError, match=r"HDBSCAN failed: .*min_samples"):
        run_apart("hdbscan", blobs(20)[0], {"smallest": 5, "samples": 50})


def test_trustworthiness_is_scikit_learns() -> None:
    points, _ = blobs(200)
    rng = np.random.default_rng(0)
    for positions in (make_map(points, "pca"), rng.standard_normal((200, 2)).astype(np.float32)):
        for k in (5, 10):
            expected = reference_trustworthiness(points, positions, n_neighbors=k)
            assert trustworthiness(points, positions, k) == pytest.approx(expected, abs=1e-4)


def test_sampled_trustworthiness_is_near_the_whole() -> None:
    points, _ = blobs(600)
    positions = make_map(points, "pca")
    assert trustworthiness(points, positions, sample=200) == pytest.approx(trustworthiness(points, positions), abs=0.02)


def test_trustworthiness_of_the_points_themselves_is_one() -> None:
    plane = np.random.default_rng(1).standard_normal((80, 2)).astype(np.float32)
    assert trustworthiness(plane, plane) == 1.0
    with pytest.raises(AnalysisError, match="more than 80 latents"):
        trustworthiness(plane, plane, 40)


def test_neighbour_accuracy_is_scikit_learns_with_each_point_left_out() -> None:
    rng = np.random.default_rng(0)
    spots, kind = rng.standard_normal((90, 2)).astype(np.float32), rng.integers(0, 4, 90)
    right = 0
    for index in range(90):
        others = np.arange(90) != index
        model = KNeighborsClassifier(7).fit(spots[others], kind[others])
        right += int(model.predict(spots[index : index + 1])[0] == kind[index])
    assert neighbour_accuracy(spots, kind, 7) == pytest.approx(right / 90)


def test_nearest_points_are_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    table, queries = rng.standard_normal((400, 9)).astype(np.float32), rng.standard_normal((30, 9)).astype(np.float32)
    distances, indices = NearestNeighbors(n_neighbors=6, algorithm="brute").fit(table).kneighbors(queries)
    found = nearest_to(table, queries, 6)
    assert np.array_equal(found.indices, indices)
    assert found.distances == pytest.approx(distances, rel=1e-4)
    with pytest.raises(UsageError, match="9"):
        nearest_to(table, queries[:, :4], 3)


def test_neighbours_in_latent_and_pixel_space_stand_side_by_side() -> None:
    rng = np.random.default_rng(0)
    latents = np.arange(20, dtype=np.float32)[:, None].repeat(3, axis=1)
    pictures = rng.integers(0, 255, (20, 4, 4, 3)).astype(np.uint8)
    pictures[15] = pictures[5] + np.where(pictures[5] < 200, 1, 0).astype(np.uint8)
    found = side_by_side(latents, pictures, latents[5], pictures[5], 2, leave_out=5)
    assert sorted(found.latent) == [4, 6] and 5 not in found.pixels
    assert found.pixels[0] == 15 and found.pixel_distances[0] <= 1
    assert found.shared == 0
    with pytest.raises(AnalysisError, match="19 other pictures"):
        side_by_side(latents, pictures, latents[5], pictures[5], 20, leave_out=5)
    with pytest.raises(UsageError, match="shape"):
        side_by_side(latents, pictures, latents[5], pictures[5][:2], 2)


def test_samples_around_a_point_have_the_spread_that_was_asked_for() -> None:
    spread = np.array([0.1, 1.0, 5.0], np.float32)
    drawn = sample_around(np.array([1.0, 2.0, 3.0]), spread, 0.5, 20_000, seed=0)
    assert drawn.std(axis=0) == pytest.approx(0.5 * spread, rel=0.03)
    assert drawn.mean(axis=0) == pytest.approx([1, 2, 3], abs=0.1)
    assert np.array_equal(sample_around(spread, spread, 0.0, 2, 0), np.stack([spread, spread]))
    with pytest.raises(UsageError, match="2 values"):
        sample_around(np.zeros(2), spread, 1.0, 3, 0)


def test_the_inverse_gives_a_points_own_latent_and_trusts_it() -> None:
    points, _ = blobs()
    positions = make_map(points, "pca")
    inverse = MapInverse(positions, points)
    found = inverse.at(*positions[17].tolist())
    assert found.values == pytest.approx(points[17], abs=1e-2)
    assert found.confidence > 0.95
    assert found.weights.sum() == pytest.approx(1)


def test_the_inverse_doubts_what_lies_between_clouds_and_far_outside() -> None:
    rng = np.random.default_rng(0)
    side = np.repeat([-1, 1], 100)
    positions = np.stack([4 * side + rng.standard_normal(200) / 2, rng.standard_normal(200) / 2], axis=1)
    latents = np.stack([side, np.zeros(200)], axis=1) * 10 + rng.standard_normal((200, 2))
    inverse = MapInverse(positions, latents)
    inside, between, outside = inverse.at(4, 0), inverse.at(0, 0), inverse.at(60, 0)
    assert inside.confidence > 0.9 and inside.values[0] == pytest.approx(10, abs=2)
    assert between.confidence < 0.1
    assert outside.confidence < 1e-3 and outside.values[0] == pytest.approx(10, abs=3)


def test_the_inverse_of_a_linear_map_is_nearly_exact() -> None:
    grid = np.stack(np.meshgrid(np.linspace(0, 1, 25), np.linspace(0, 1, 25)), axis=-1).reshape(-1, 2)
    latents = grid @ np.array([[1.0, 2.0, 0.0], [0.0, -1.0, 3.0]])
    found = MapInverse(grid, latents).at(0.513, 0.37)
    assert found.values == pytest.approx([0.513, 1.026 - 0.37, 1.11], abs=0.06)
    assert found.confidence > 0.9


def test_the_inverse_explains_bad_input() -> None:
    with pytest.raises(AnalysisError, match="at least 2"):
        MapInverse(np.zeros((1, 2)), np.zeros((1, 4)))
    with pytest.raises(UsageError, match="not of the same points"):
        MapInverse(np.zeros((3, 2)), np.zeros((4, 4)))
    with pytest.raises(UsageError, match="finite"):
        MapInverse(np.eye(2), np.eye(2)).at(float("nan"), 0)
    assert MapInverse(np.zeros((3, 2)), np.ones((3, 4))).at(0, 0).values == pytest.approx(np.ones(4))


def test_a_drawn_map_shows_each_group_in_its_colour() -> None:
    positions = np.array([[0, 0], [10, 0], [0, 10], [10, 10]], np.float32).repeat(30, axis=0)
    groups = np.array([0, 1, 2, -1]).repeat(30)
    picture = draw_map(positions, groups, ("a", "b", "c"), "four places")
    colours = {tuple(pixel) for pixel in picture[48:, :900].reshape(-1, 3).tolist()}
    assert colours >= {*group_colours(3), (176, 176, 176), (255, 255, 255)}
    left_below = picture[:, :900][-30:, :60].reshape(-1, 3).tolist()
    assert list(group_colours(1)[0]) in left_below
    assert len(set(group_colours(40))) == 40
    with pytest.raises(UsageError, match="do not fit"):
        draw_map(positions[:5], groups, ("a", "b", "c"), "")


def test_no_analysis_library_is_loaded_until_one_is_used() -> None:
    code = """
import sys
import engine.latent, engine.latent.explorer, engine.latent.encodings, engine.latent.maps, engine.latent.clusters
import engine.latent.statistics, engine.latent.directions, engine.latent.smoothness, engine.latent.export
import engine.evaluation.probes, engine.evaluation.disentanglement, engine.evaluation.anomaly
import engine.evaluation.robustness
heavy = {"sklearn", "scipy", "umap", "openTSNE", "numba"} & sys.modules.keys()
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
