"""Counts of edge pixels: by hand, and against a plain version of the protocol written here with other solvers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage
from scipy.io import loadmat
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from skimage.morphology import thin

from maskwright.core.errors import MaskwrightError
from maskwright.metrics.edge_counts import edge_counts, thresholds_of
from maskwright.ops import edge_matching

DATA = Path(__file__).parents[3] / "shared/data/edges"
real = pytest.mark.skipif(not DATA.exists(), reason="needs shared/data/edges")


def line(column: int, size: tuple[int, int] = (40, 60)) -> np.ndarray:
    mask = np.zeros(size, bool)
    mask[10:30, column] = True
    return mask


def drawn(name: str) -> list[np.ndarray]:
    return [entry["Boundaries"][0, 0].astype(bool) for entry in loadmat(DATA / "truth" / name)["groundTruth"].ravel()]


def assigned(found: np.ndarray, truth: np.ndarray, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the matched pixels (n,) and (m,) at the least sum of distances, where a pixel alone costs 100 reaches.

    This is what the benchmark's own solver computes; parts that share no pair are solved one by one.
    """
    pixels, true = np.argwhere(found), np.argwhere(truth)
    distance = np.sqrt(((pixels[:, None] - true[None]) ** 2).sum(-1))
    rows, columns = np.nonzero(distance <= reach)
    count = len(pixels) + len(true)
    graph = coo_array((np.ones(len(rows)), (rows, columns + len(pixels))), (count, count))
    parts = connected_components(graph, directed=False)[1]
    matched = np.zeros(len(pixels), bool), np.zeros(len(true), bool)
    for part in np.unique(parts[rows]):
        own = [np.flatnonzero(side == part) for side in np.split(parts, [len(pixels)])]
        cost = distance[np.ix_(*own)]
        pairs = linear_sum_assignment(np.where(cost <= reach, cost, 200 * reach))
        near = cost[pairs] <= reach
        for side, mine, chosen in zip(matched, own, pairs, strict=True):
            side[mine[chosen[near]]] = True
    return matched


def plain_counts(strength: np.ndarray, annotators: list[np.ndarray], thresholds: int, reach: float) -> np.ndarray:
    rows = []
    for place in range(thresholds):
        found = thin(strength >= np.float32((place + 1) / (thresholds + 1)))
        matches = [assigned(found, truth, reach * np.linalg.norm(found.shape)) for truth in annotators]
        right = np.any([of_found for of_found, _ in matches], axis=0)
        recalled = sum(of_truth.sum() for _, of_truth in matches)
        rows.append([recalled, sum(truth.sum() for truth in annotators), right.sum(), found.sum()])
    return np.array(rows)


def test_counts_by_hand() -> None:
    # The reach is 0.0075 x 72.1 = 0.54: only the same pixel matches. Two annotators, 20 pixels each.
    strength = np.zeros((40, 60), np.float32)
    strength[line(20)], strength[line(30)] = 0.25, 0.75
    truths = [line(20), line(30)]
    assert edge_counts(strength, truths, 3).tolist() == [[40, 40, 40, 40], [20, 40, 20, 20], [20, 40, 20, 20]]
    assert edge_counts(strength, [line(20), line(20)], 3).tolist() == [[40, 40, 20, 40], [0, 40, 0, 20], [0, 40, 0, 20]]


def test_a_threshold_is_met_by_a_strength_that_equals_it() -> None:
    for step in range(1, 100):
        strength = np.where(line(20), np.float32(step / 100), 0).astype(np.float32)
        found = edge_counts(strength, [line(20)])[:, 3]
        assert found.tolist() == [20] * step + [0] * (99 - step)
    grey = np.where(line(20), np.uint8(153), 0) / np.float32(255)
    assert edge_counts(grey.astype(np.float32), [line(20)])[:, 3].tolist() == [20] * 60 + [0] * 39


def test_thresholds_divide_the_range() -> None:
    assert thresholds_of(99).tolist() == pytest.approx(np.linspace(0.01, 0.99, 99).tolist())
    assert thresholds_of(1).tolist() == [0.5]


@pytest.mark.parametrize(("shift", "share"), [(1, 0.03), (3, 0.05), (10, 0.15)])
def test_a_shifted_edge_is_right_within_the_reach(shift: int, share: float) -> None:
    strength = line(20 + shift).astype(np.float32)
    assert edge_counts(strength, [line(20)], 1, share).tolist() == [[20, 20, 20, 20]]
    nearer = (shift - 0.1) / np.hypot(40, 60)
    assert edge_counts(strength, [line(20)], 1, nearer).tolist() == [[0, 20, 0, 20]]


@pytest.mark.parametrize("seed", range(4))
def test_counts_are_those_of_the_plain_protocol(seed: int) -> None:
    random = np.random.default_rng(seed)
    strength, *fields = ndimage.gaussian_filter(random.random((4, 50, 70)), (0, 2, 2)).astype(np.float32)
    strength = (strength - strength.min()) / np.ptp(strength)
    annotators = [ndimage.sobel(field > 0.5) != 0 for field in fields]
    ours, plain = (count(strength, annotators, 9, 0.03) for count in (edge_counts, plain_counts))
    assert np.array_equal(ours[:, [0, 1, 3]], plain[:, [0, 1, 3]])
    # Several matchings may have the least sum of distances, and then several annotators together may differ.
    assert np.abs(ours - plain)[:, 2].max() <= 3
    for truth in annotators:
        assert np.array_equal(edge_counts(strength, [truth], 9, 0.03), plain_counts(strength, [truth], 9, 0.03))


@real
def test_counts_of_a_photograph_are_those_of_the_plain_protocol() -> None:
    truths = drawn("test/144067.mat")
    strength = ndimage.gaussian_filter(np.float32(truths[0]), 1) / 2 + ndimage.gaussian_filter(np.float32(truths[1]), 2)
    strength /= strength.max()
    ours, plain = (count(strength, truths[2:5], 4, 0.0075) for count in (edge_counts, plain_counts))
    assert np.array_equal(ours[:, [0, 1, 3]], plain[:, [0, 1, 3]])
    assert np.abs(ours - plain)[:, 2].max() <= 3


@pytest.mark.parametrize("seed", range(3))
def test_a_quick_count_differs_by_few_right_pixels(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(seed)
    strength = random.random((60, 70)).astype(np.float32)
    annotators = [random.random((60, 70)) < 0.05 for _ in range(3)]
    exact = edge_counts(strength, annotators, 9, 0.03)
    monkeypatch.setattr(edge_matching, "_shorten", lambda *_: pytest.fail("it looks for the shortest distances"))
    quick = edge_counts(strength, annotators, 9, 0.03, quick=True)
    assert np.array_equal(quick[:, [0, 1, 3]], exact[:, [0, 1, 3]])
    assert np.abs(quick - exact)[:, 2].max() <= 0.05 * exact[:, 2].max()


def test_a_pool_changes_nothing() -> None:
    random = np.random.default_rng(3)
    strength, truth = random.random((40, 50)).astype(np.float32) ** 3, random.random((40, 50)) < 0.1
    with ThreadPoolExecutor(3) as pool:
        counts = edge_counts(strength, [truth, truth.T.reshape(40, 50)], 20, 0.03, pool)
    assert np.array_equal(counts, edge_counts(strength, [truth, truth.T.reshape(40, 50)], 20, 0.03))


@real
def test_a_perfect_map_is_perfect() -> None:
    truth = thin(drawn("test/24063.mat")[0])
    recalled, true, precise, found = edge_counts(truth.astype(np.float32), [truth], 1)[0]
    assert recalled == true == precise == found > 0


def test_maps_without_edges_and_truths_without_edges() -> None:
    empty, full = np.zeros((20, 30), np.float32), np.ones((20, 30), np.float32)
    nothing = np.zeros((20, 30), bool)
    assert not edge_counts(empty, [nothing, nothing]).any()
    assert edge_counts(empty, [line(5, (20, 30))], 2).tolist() == [[0, 10, 0, 0]] * 2
    counts = edge_counts(full, [nothing])
    assert not counts[:, :3].any()
    assert (counts[:, 3] > 0).all()
    assert edge_counts(np.ones((1, 1), np.float32), [np.ones((1, 1), bool)], 1).tolist() == [[1, 1, 1, 1]]


def test_a_map_of_another_size_is_refused() -> None:
    with pytest.raises(MaskwrightError, match=r"annotator 2 has 30x20 pixels and the edge map has 60x40.*resize"):
        edge_counts(np.zeros((40, 60), np.float32), [line(3), line(3, (20, 30))])


@pytest.mark.parametrize(("value", "shown"), [(np.nan, "nan"), (255, "0..255"), (-0.5, "-0.5..0")])
def test_strengths_outside_the_range_are_refused(value: float, shown: str) -> None:
    strength = np.zeros((40, 60), np.float32)
    strength[3, 4] = value
    with pytest.raises(MaskwrightError, match=rf"{shown}.*within 0\.\.1.*divide 8-bit values by 255"):
        edge_counts(strength, [line(3)])


def test_an_image_without_an_annotator_is_refused() -> None:
    with pytest.raises(MaskwrightError, match=r"no annotator.*add a boundary map"):
        edge_counts(np.zeros((40, 60), np.float32), [])
