"""ODS, OIS and AP from counts: by hand, and against the formulas of the benchmark written out in loops."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskwright.metrics.edge_summary import EDGE_METRICS, IMAGE_METRICS, ImageEdges, edge_scores
from maskwright.metrics.scores import Scores


def images(*counts: object) -> list[ImageEdges]:
    return [ImageEdges(f"{place}.png", None, np.array(rows)) for place, rows in enumerate(counts)]


def values(scores: Scores) -> dict[str, float | None]:
    return {key: estimate.value for key, estimate in scores.mean.items()}


def f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def rates(row: np.ndarray) -> tuple[float, float]:
    recalled, truth, precise, found = row.tolist()
    return precise / found if found else 0.0, recalled / truth if truth else 0.0


def plain(counts: np.ndarray) -> dict[str, float]:
    """Compute the scores of counts (n, K, 4) in loops."""
    curve = [rates(row) for row in counts.sum(0)]
    between = [
        (p0 + step * (p1 - p0), r0 + step * (r1 - r0))
        for (p0, r0), (p1, r1) in pairwise(curve)
        for step in np.linspace(0, 1, 100).tolist()
    ]
    best = [max(rows, key=lambda row: (f1(*rates(row)), -row[3])) for rows in counts]
    at: dict[float, float] = {}
    for precision, recall in curve:
        at.setdefault(recall, precision)
    known = sorted(at)
    inside = [share for share in (place / 100 for place in range(101)) if known[0] <= share <= known[-1]]
    area = sum(float(np.interp(share, known, [at[recall] for recall in known])) for share in inside) / 100
    return {"ods": max(f1(*pair) for pair in between), "ois": f1(*rates(np.sum(best, axis=0))), "ap": area}


def test_scores_by_hand() -> None:
    # All images: precision 1/2, 1; recall 1, 1/2. F1 is 2/3 at both thresholds, and 3/4 half-way between them.
    scores = edge_scores("edges", images([[8, 8, 6, 10], [2, 8, 2, 2]], [[2, 2, 4, 10], [3, 2, 3, 3]]))
    found = values(scores)
    assert found["precision"] == pytest.approx(0.75, abs=0.005)
    assert found["ods"] == pytest.approx(0.75, abs=1e-4)
    assert scores.edges is not None
    assert scores.edges.threshold == pytest.approx(0.5, abs=0.005)
    assert scores.edges.thresholds == pytest.approx((1 / 3, 2 / 3))
    assert scores.edges.precision == (0.5, 1.0)
    assert scores.edges.recall == (1.0, 0.5)
    # The first image is best at the first threshold, the second at the second: recall 11/10, precision 9/13.
    assert found["ois"] == pytest.approx(2 * 1.1 * 9 / 13 / (1.1 + 9 / 13))
    # Recall 0.5, 0.51, ..., 1 at precision 1, 0.99, ..., 0.5: 51 values whose mean is 0.75.
    assert found["ap"] == pytest.approx(51 * 0.75 / 100)


@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(2, 12))
def test_scores_are_those_of_the_formulas(seed: int, number: int, thresholds: int) -> None:
    random = np.random.default_rng(seed)
    found = -np.sort(-random.integers(0, 500, (number, thresholds)), axis=1)
    truth = np.repeat(random.integers(1, 300, (number, 1)), thresholds, axis=1)
    precise = (found * random.random(found.shape)).astype(int)
    recalled = np.minimum((truth * random.random(found.shape)).astype(int), 2 * precise)
    counts = np.stack([recalled, truth, precise, found], axis=2)
    expected = plain(counts)
    if len(set((counts.sum(0)[:, 0]).tolist())) == 1:
        expected["ap"] = None
    assert {key: values(edge_scores("edges", images(*counts)))[key] for key in expected} == pytest.approx(expected)


def test_a_perfect_soft_map_scores_one() -> None:
    rows = [[100 - place, 100, 100 - place, 100 - place] for place in range(100)]
    found = values(edge_scores("edges", images(rows, rows)))
    assert found["ods"] == found["ois"] == found["precision"] == found["recall"] == 1
    assert found["ap"] == pytest.approx(1)


def test_a_binary_map_has_no_curve() -> None:
    found = values(edge_scores("edges", images([[5, 10, 4, 8]] * 99)))
    assert found == {"ods": pytest.approx(0.5), "ois": 0.5, "ap": None, "precision": 0.5, "recall": 0.5}


def test_one_threshold_is_enough() -> None:
    scores = edge_scores("edges", images([[5, 10, 4, 8]]))
    assert values(scores)["ods"] == 0.5
    assert scores.edges is not None
    assert scores.edges.threshold == 0.5


def test_without_a_true_edge_nothing_is_defined() -> None:
    scores = edge_scores("edges", images([[0, 0, 0, 9], [0, 0, 0, 3]], [[0, 0, 0, 0]] * 2))
    assert set(values(scores).values()) == {None}
    assert all(set(image.values.values()) == {None} for image in scores.per_image)


def test_an_image_without_a_true_edge_adds_its_fewest_wrong_pixels() -> None:
    scores = edge_scores("edges", images([[8, 10, 8, 10], [8, 10, 8, 10]], [[0, 0, 0, 90], [0, 0, 0, 6]]))
    # Precision 8 / 16, recall 8 / 10.
    assert values(scores)["ois"] == pytest.approx(f1(0.5, 0.8))
    assert scores.per_image[1].values == {"f1": None, "best_f1": None}


def test_images_are_ranked_at_the_threshold_of_all() -> None:
    scores = edge_scores("edges", images([[90, 100, 90, 100], [10, 100, 10, 10]], [[1, 2, 1, 2], [2, 2, 2, 2]]))
    assert [image.values["f1"] for image in scores.per_image] == pytest.approx([0.9, 0.5])
    assert [image.values["best_f1"] for image in scores.per_image] == pytest.approx([0.9, 1.0])


def test_intervals_hold_the_value_and_groups_count_once() -> None:
    random = np.random.default_rng(3)
    counts = []
    for _ in range(12):
        found = np.arange(400, 0, -40)
        right = (found * random.uniform(0.4, 0.9) * np.linspace(0.6, 1, 10)).astype(int)
        counts.append(np.stack([right, np.full(10, 300), right, found], axis=1))
    alone = edge_scores("edges", images(*counts))
    for estimate in alone.mean.values():
        assert estimate.low is not None
        assert 0 <= estimate.low < estimate.value < estimate.high <= 1
    twice = [ImageEdges(f"{place}", f"{place % 12}", rows) for place, rows in enumerate(counts * 2)]
    grouped = edge_scores("edges", twice)
    assert (grouped.images, grouped.groups) == (24, 12)
    assert grouped.mean["ods"].low == pytest.approx(alone.mean["ods"].low)


def test_scores_go_to_json_and_back_and_name_what_they_hold() -> None:
    scores = edge_scores("edges", images([[8, 10, 8, 10], [4, 10, 4, 5]], [[0, 0, 0, 90], [0, 0, 0, 6]]))
    assert Scores.from_json(json.loads(json.dumps(scores.to_json(), allow_nan=False))) == scores
    assert set(scores.mean) == {metric.key for metric in EDGE_METRICS}
    assert all(set(image.values) == {metric.key for metric in IMAGE_METRICS} for image in scores.per_image)
    assert scores.headline_words == "ODS"
    assert scores.image_headline.key == "f1"
