"""Boundary IoU of pairs of objects, by hand and beside erosions of whole masks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.metrics.object_references import boundary_iou
from tests.metrics.objects import box, full, image, scene

from maskwright.metrics.object_counts import object_sums, object_values
from maskwright.metrics.object_overlap import compare, joined


def test_rings_by_hand() -> None:
    """The diagonal of 50x50 is 71 px, so the band is 1 px wide: rings of 20 and 18 pixels, of which 14 are shared."""
    compared = compare(image(box(10, 10, 6, 6), size=(50, 50)), image(box(10, 10, 6, 5), size=(50, 50)), outlines=True)
    assert compared.boundary.tolist() == [14 / 24]
    assert compared.iou.tolist() == [30 / 36]


def test_the_edge_of_the_image_is_part_of_the_outline() -> None:
    compared = compare(image(box(0, 0, 6, 6), size=(50, 50)), image(box(0, 0, 6, 5), size=(50, 50)), outlines=True)
    assert compared.boundary.tolist() == [14 / 24]


def test_an_object_that_is_all_band_has_its_iou() -> None:
    compared = compare(image(box(10, 10, 4, 4)), image(box(10, 10, 4, 3)), outlines=True)  # 130x130: 4 px
    assert compared.boundary.tolist() == compared.iou.tolist() == [12 / 16]


def test_outlines_are_compared_above_an_iou_of_a_half_alone() -> None:
    compared = compare(image(box(0, 0, 10, 10)), image(box(0, 0, 5, 10), box(0, 0, 6, 10)), outlines=True)
    assert compared.iou.tolist() == [0.5, 0.6]
    assert (compared.boundary > 0).tolist() == [False, True]


def test_outlines_can_be_left_out() -> None:
    pair = image(box(0, 0, 10, 10)), image(box(0, 0, 10, 10))
    assert compare(*pair, outlines=True).boundary.tolist() == [1]
    assert compare(*pair, outlines=False).boundary.tolist() == [0]


def test_ignored_pixels_belong_to_no_prediction() -> None:
    ignored = np.zeros((50, 50), np.bool_)
    ignored[:, 15:] = True
    truth, found = image(box(10, 10, 6, 5), size=(50, 50)), image(box(10, 10, 6, 9), size=(50, 50))
    assert compare(truth, found, ignored, outlines=True).boundary.tolist() == [1]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_bands_are_what_erosions_of_the_whole_masks_remove(seed: int) -> None:
    truth, found = scene(seed)
    compared = compare(truth, found, outlines=True)
    for (one, other), iou, boundary in zip(compared.pairs, compared.iou, compared.boundary, strict=True):
        masks = (full(truth.objects[one], truth.size), full(found.objects[other], truth.size))
        assert boundary == pytest.approx(boundary_iou(*masks) if iou > 0.5 else 0)


def test_the_score_is_the_mean_over_the_objects_found() -> None:
    pairs = [
        (image(box(10, 10, 6, 6), size=(50, 50)), image(box(10, 10, 6, 5), size=(50, 50))),
        (image(box(10, 10, 6, 6), box(30, 30, 9, 9), size=(50, 50)), image(box(10, 10, 6, 6), size=(50, 50))),
    ]
    sums = object_sums(joined([compare(*pair, outlines=True) for pair in pairs]), 2, 2)
    assert object_values(sums.sum(axis=0))["boundary_iou"][1] == pytest.approx((14 / 24 + 1) / 2)
    nothing = object_sums(compare(image(box(0, 0, 4, 4)), image()), 1, 2)[0]
    assert object_values(nothing)["boundary_iou"].tolist() == [pytest.approx(np.nan, nan_ok=True), 0]
