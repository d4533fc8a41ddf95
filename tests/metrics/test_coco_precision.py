"""Average precision beside pycocotools."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.metrics.object_references import coco, coco_levels
from tests.metrics.objects import box, image, scene

from maskwright.metrics.coco_precision import AREAS, average_precision, influence, rankings, to_find
from maskwright.metrics.object_overlap import compare, joined

KINDS = {"mask": "segm", "box": "bbox"}


def ours(pictures, kind: str, classes: int, most: int = 100) -> np.ndarray:
    """Levels by size and class (4, 3, K)."""
    compared = joined([compare(*pair) for pair in pictures])
    found = rankings(compared, kind, most)
    return np.stack([average_precision(found[size], classes + 1)[:, 1:] for size in AREAS])


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), images=st.integers(1, 4), most=st.sampled_from((1, 2, 3, 100)))
@pytest.mark.parametrize("kind", KINDS)
def test_the_numbers_are_those_of_pycocotools(kind: str, seed: int, images: int, most: int) -> None:
    pictures = [scene(seed + 10**7 * place) for place in range(images)]
    evaluation = coco(pictures, (1, 2), KINDS[kind], most)
    theirs = np.stack([coco_levels(evaluation, area) for area in range(4)])
    np.testing.assert_allclose(ours(pictures, kind, 2, most), theirs, atol=1e-12)


def test_by_hand() -> None:
    """One right and one shifted square: 80 of 120 pixels are shared, so both are found up to IoU 0.65."""
    truth = image(box(0, 0, 10, 10), box(20, 0, 10, 10))
    found = image(box(0, 0, 10, 10, score=0.9), box(20, 2, 10, 10, score=0.8))
    values = ours([(truth, found)], "mask", 1)
    half = 51 / 101  # of the 101 recalls, those from 0 to 0.5
    np.testing.assert_allclose(values[0, :, 0], [(4 + 6 * half) / 10, 1, half])
    np.testing.assert_allclose(values[1], values[0])
    assert np.isnan(values[2:]).all()


def test_a_false_positive_matters_only_before_a_hit() -> None:
    truth = image(box(0, 0, 10, 10))
    right, wrong = box(0, 0, 10, 10, score=0.5), (box(50, 50, 9, 9, score=score) for score in (0.9, 0.1))
    before, after = ([(truth, image(right, entry))] for entry in wrong)
    assert ours(before, "mask", 1)[0, 0, 0] == pytest.approx(0.5)
    assert ours(after, "mask", 1)[0, 0, 0] == pytest.approx(1)


def test_an_image_without_an_object_counts() -> None:
    pictures = [(image(box(0, 0, 10, 10)), image(box(0, 0, 10, 10, score=0.5)))]
    for found, value in ((image(), 1.0), (image(box(0, 0, 9, 9, score=0.9)), 0.5)):
        assert ours([*pictures, (image(), found)], "box", 1)[0, 0, 0] == pytest.approx(value)


def test_a_thousand_objects_need_a_higher_limit() -> None:
    objects = [box(4 * row, 4 * column, 3, 3) for row in range(32) for column in range(32)][:1000]
    pictures = [(image(*objects), image(*objects))]
    assert ours(pictures, "mask", 1, 1000)[0, 0, 0] == pytest.approx(1)
    assert ours(pictures, "mask", 1, 100)[0, 0, 0] == pytest.approx(11 / 101)  # recalls 0 to 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_what_lies_mostly_in_ignored_pixels_counts_only_if_it_is_right(kind: str) -> None:
    truth = image(box(0, 0, 10, 10))
    ignored = np.zeros(truth.size, np.bool_)
    ignored[:, 40:] = ignored[:5, :10] = True  # also half of the object, whose own pixels are seen all the same
    right, false, excused = box(0, 0, 10, 10, score=0.5), box(50, 35, 10, 10, score=0.9), box(50, 34, 10, 13, score=0.9)
    for extra, value in ((false, 0.5), (excused, 1.0)):
        found = rankings(joined([compare(truth, image(right, extra), ignored)]), kind)
        assert average_precision(found[""], 2)[0, 1] == pytest.approx(value)


def area(pictures, weights: np.ndarray) -> np.ndarray:
    """The area under the envelope by threshold, every image counted `weights` times: the definition, slowly."""
    ranking = rankings(joined([compare(*pair) for pair in pictures]), "mask")[""]
    true = weights[ranking.true_image].sum()
    found = weights[ranking.image]
    areas = []
    for hit, counted in zip(ranking.hit, ranking.counted, strict=True):
        precision = np.cumsum(hit * found) / np.maximum(np.cumsum(counted * found), 1e-9)
        best = [precision[place:].max() for place in range(len(precision))]
        areas.append((hit * found * best).sum() / true)
    return np.stack([np.mean(areas), areas[0], areas[5]])


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_the_influence_is_the_derivative(seed: int) -> None:
    """Where two places have the same highest precision, there is one derivative from below and one from above."""
    pictures = [scene(seed + 10**7 * place, classes=1) for place in range(4)]
    ranking = rankings(joined([compare(*pair) for pair in pictures]), "mask")[""]
    moved = influence(ranking, 2, 4)[..., 1]
    if not len(ranking.true_index):
        assert not moved.any()
        return
    assert to_find(ranking, 2, 4)[:, 0, 1].sum() == len(ranking.true_index)
    even, step = np.ones(4), 1e-6
    for place in range(4):
        change = step * (np.arange(4) == place)
        below = (area(pictures, even) - area(pictures, even - change)) / step
        above = (area(pictures, even + change) - area(pictures, even)) / step
        assert (moved[place] >= below - 1e-4).all()
        assert (moved[place] <= above + 1e-4).all()
    np.testing.assert_allclose(moved.sum(axis=0), 0, atol=1e-12)
