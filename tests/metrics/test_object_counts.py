"""Counts by image and class, by hand and beside second implementations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.metrics.object_references import aji, panoptic
from tests.metrics.objects import box, flat_scene, image

from maskwright.core.instances import Instance, Instances
from maskwright.metrics.object_counts import object_sums, object_values
from maskwright.metrics.object_overlap import compare, joined


def values(*pictures, classes: int = 1) -> dict[str, list[float]]:
    """Scores of the classes from 1 on, over all images."""
    compared = joined([compare(*picture) for picture in pictures])
    sums = object_sums(compared, len(pictures), classes + 1).sum(axis=0)
    return {key: value[1:].tolist() for key, value in object_values(sums).items()}


def expect(found: dict[str, list[float]], **wanted: float) -> None:
    for key, value in wanted.items():
        assert found[key] == [pytest.approx(value, nan_ok=True)], key


def test_one_right_and_one_shifted_square() -> None:
    """80 of 120 pixels are shared, so both are found up to IoU 0.65, at 4 of the 9 thresholds."""
    found = values(
        (image(box(0, 0, 10, 10), box(20, 0, 10, 10)), image(box(0, 0, 10, 10), box(20, 2, 10, 10))),
    )
    expect(found, f1=1, precision=1, recall=1, f1_60=1, f1_70=0.5, f1_90=0.5)
    expect(found, cell_ap50=1, cell_ap70=1 / 3, cell_ap=(4 + 5 / 3) / 9)
    expect(found, pq=5 / 6, sq=5 / 6, rq=1, aji=180 / 220)
    expect(found, count_bias=0, count_error=0, objects=2, predicted=2)
    expect(found, objects_small=2, objects_medium=0, objects_large=0)


def test_a_merge() -> None:
    found = values((image(box(0, 0, 10, 10), box(0, 10, 10, 10)), image(box(0, 0, 10, 20))))
    expect(found, f1=2 / 3, precision=1, recall=0.5, f1_60=0, cell_ap50=0.5, cell_ap60=0)
    expect(found, pq=0, sq=0, rq=0, aji=200 / 400, count_bias=-1, count_error=1)


def test_a_split() -> None:
    found = values((image(box(0, 0, 10, 20)), image(box(0, 0, 10, 10), box(0, 10, 10, 10))))
    expect(found, f1=2 / 3, precision=0.5, recall=1, pq=0, aji=100 / (200 + 100), count_bias=1, count_error=1)


def test_an_image_without_an_object_counts() -> None:
    right = image(box(0, 0, 10, 10)), image(box(0, 0, 10, 10))
    expect(values(right, (image(), image())), f1=1, aji=1, pq=1, count_bias=0)
    expect(values(right, (image(), image(box(0, 0, 5, 5)))), f1=2 / 3, aji=0.5, pq=2 / 3, count_bias=0.5)
    expect(values((image(), image())), f1=np.nan, pq=np.nan, sq=np.nan, aji=np.nan, count_bias=0, objects=0)


def test_errors_of_the_count_do_not_cancel_out_between_images() -> None:
    one, two = image(box(0, 0, 9, 9)), image(box(0, 0, 9, 9), box(20, 0, 9, 9))
    expect(values((one, two), (two, one)), count_bias=0, count_error=1)


def test_sizes_share_their_ends_as_in_coco() -> None:
    objects = [box(0, 0, 32, 32), box(33, 0, 31, 33), box(0, 33, 96, 96)]
    assert [entry.area for entry in objects] == [1024, 1023, 9216]
    expect(values((image(*objects), image())), objects_small=2, objects_medium=2, objects_large=1, f1=0, recall=0)


def test_a_class_that_is_only_predicted_has_scores_of_zero() -> None:
    found = values((image(box(0, 0, 9, 9)), image(box(0, 0, 9, 9, index=2))), classes=3)
    for key in ("f1", "pq", "sq", "rq", "aji", "cell_ap"):
        assert found[key][:2] == [0, 0]
        assert np.isnan(found[key][2])
    assert np.isnan(found["recall"][1])


def test_a_prediction_in_a_crowd_or_in_ignored_pixels_is_no_error() -> None:
    truth = image(box(0, 0, 10, 10), box(50, 0, 40, 40, crowd=True))
    ignored = np.zeros(truth.size, np.bool_)
    ignored[:, 60:] = True
    objects = box(0, 0, 10, 10), box(55, 5, 10, 10), box(0, 70, 10, 10), box(20, 58, 10, 10)
    expect(values((truth, image(*objects), ignored)), f1=1, pq=1, aji=1, objects=1, predicted=1, count_error=0)
    expect(values((truth, image(*objects, box(20, 20, 5, 5)), ignored)), f1=2 / 3, count_bias=1, aji=100 / 125)


def test_an_object_may_grow_into_ignored_pixels() -> None:
    truth = image(box(0, 0, 10, 10))
    ignored = np.zeros(truth.size, np.bool_)
    ignored[:, 10:] = True
    expect(values((truth, image(box(0, 0, 10, 18)), ignored)), sq=1, f1_90=1, aji=1)
    expect(values((truth, image(box(0, 0, 10, 18)))), sq=100 / 180, f1_90=0, aji=100 / 180)


def with_crowd(truth: Instances, ignored: np.ndarray) -> Instances:
    """Turn the first object into a crowd: panopticapi knows one of a class."""
    first, *others = truth.objects
    crowd = Instance(first.index, first.top, first.left, first.mask, crowd=True)
    return Instances(truth.size, (crowd, *others))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_panoptic_quality_is_that_of_panopticapi(seed: int) -> None:
    pictures = []
    for place in range(3):
        truth, found = flat_scene(seed + 10**7 * place)
        ignored = np.random.default_rng(seed).random(truth.size) < (0.0, 0.3, 0.7)[place]
        for entry in truth.objects:
            ignored[entry.rows, entry.columns][entry.mask] = False
        pictures.append((with_crowd(truth, ignored) if len(truth) else truth, found, ignored))
    ours = values(*pictures, classes=2)
    theirs = panoptic(pictures, (1, 2))
    for index in (1, 2):
        expected = theirs.get(index, (np.nan,) * 3)
        np.testing.assert_allclose([ours[key][index - 1] for key in ("pq", "sq", "rq")], expected, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_aji_is_that_of_kumar(seed: int) -> None:
    truth, found = flat_scene(seed, classes=1)
    if len(truth) or len(found):
        np.testing.assert_allclose(values((truth, found))["aji"], aji(truth, found))
