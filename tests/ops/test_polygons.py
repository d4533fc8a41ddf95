"""Polygons along pixel edges: painting gives back the mask, by our painter, by pycocotools and by skimage's labels."""

from __future__ import annotations

import warnings

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as coco
from skimage.draw import polygon2mask
from skimage.measure import euler_number, label
from tests.ops.painter import to_mask

from maskwright.ops.polygons import Polygon, from_mask, within

masks = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=16))


@given(masks)
def test_painting_gives_back_the_mask(mask: np.ndarray) -> None:
    np.testing.assert_array_equal(to_mask(from_mask(mask), mask.shape), mask)


@given(masks)
def test_one_polygon_a_region_with_its_area_and_holes(mask: np.ndarray) -> None:
    found = from_mask(mask)
    regions, count = label(mask, connectivity=2, return_num=True)
    assert len(found) == count
    assert sorted(polygon.area for polygon in found) == sorted(np.bincount(regions.ravel())[1:])
    assert len(found) - sum(len(polygon.holes) for polygon in found) == euler_number(mask, connectivity=2)


@given(masks)
def test_pycocotools_paints_the_same(mask: np.ndarray) -> None:
    for polygon in from_mask(mask):
        if polygon.holes:
            continue
        height, width = mask.shape
        code = coco.merge(coco.frPyObjects([polygon.outer.ravel().tolist()], height, width))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # pycocotools under NumPy 2
            painted = coco.decode(code)
        np.testing.assert_array_equal(painted, to_mask([polygon], mask.shape))


@given(masks)
def test_rings_turn_at_every_point(mask: np.ndarray) -> None:
    for polygon in from_mask(mask):
        for ring in polygon.rings:
            step = np.diff(np.vstack([ring, ring[:1]]), axis=0)
            assert np.all((step[:, 0] == 0) != (step[:, 1] == 0))
            assert len(ring) % 2 == 0


def test_a_ring_by_hand() -> None:
    mask = np.ones((3, 3), bool)
    mask[1, 1] = False
    (polygon,) = from_mask(mask)
    assert {tuple(point) for point in polygon.outer.tolist()} == {(0, 0), (3, 0), (3, 3), (0, 3)}
    assert {tuple(point) for point in polygon.holes[0].tolist()} == {(1, 1), (2, 1), (2, 2), (1, 2)}
    assert polygon.area == 8


def test_nothing_gives_nothing() -> None:
    assert from_mask(np.zeros((4, 5))) == []
    assert not to_mask([], (4, 5)).any()


corners = arrays(np.float64, st.tuples(st.integers(3, 8), st.just(2)), elements=st.floats(-4, 14))


@given(corners)
def test_any_corners_are_painted_by_the_even_odd_rule_at_pixel_centres(ring: np.ndarray) -> None:
    painted = to_mask([Polygon(ring)], (9, 11))
    edges = list(zip(ring, np.roll(ring, -1, axis=0), strict=True))
    for row, column in np.ndindex(9, 11):
        x, y = column + 0.5, row + 0.5
        crossings = [
            a[0] + (y - a[1]) / (b[1] - a[1]) * (b[0] - a[0]) - x for a, b in edges if (a[1] <= y) != (b[1] <= y)
        ]
        near = any(abs(crossing) < 1e-6 for crossing in crossings) or np.any(np.abs(ring[:, 1] - y) < 1e-6)
        assert near or painted[row, column] == sum(crossing < 0 for crossing in crossings) % 2


def test_a_triangle_as_skimage_paints_it() -> None:
    ring = np.array([[1.2, 0.7], [18.3, 5.1], [6.4, 16.9]])
    judge = polygon2mask((20, 20), ring[:, ::-1] - 0.5)
    np.testing.assert_array_equal(to_mask([Polygon(ring)], (20, 20)), judge)


corners = st.lists(st.tuples(st.integers(-60, 60), st.integers(-60, 60)), min_size=3, max_size=9)


@given(corners, st.integers(0, 3))
def test_a_ring_within_a_box_encloses_the_same_of_it(points: list[tuple[int, int]], power: int) -> None:
    """The winding number of each pixel's centre does not change, however far the corners are away."""
    ring = np.array(points, np.float64) * 10.0**power + np.sqrt([0.02, 0.03])  # through no centre
    cut = within(ring, (-3, -4, 13, 9))
    assert np.all((cut >= (-3, -4)) & (cut <= (13, 9)))
    for x, y in np.ndindex(10, 6):
        assert winding(cut, x + 0.5, y + 0.5) == winding(ring, x + 0.5, y + 0.5)


def winding(ring: np.ndarray, x: float, y: float) -> int:
    """Count how often a ring goes round a point, by the sides that cross the ray to the right of it."""
    turns = 0
    for (ax, ay), (bx, by) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
        if (ay <= y) != (by <= y) and ax + (y - ay) / (by - ay) * (bx - ax) > x:
            turns += 1 if by > ay else -1
    return turns


def test_a_triangle_within_a_box_by_hand() -> None:
    triangle = np.array([[0, 0], [8, 0], [0, 8]], np.float64)
    assert within(triangle, (-1, -1, 4, 9)).tolist() == [[0, 0], [4, 0], [4, 4], [0, 8]]
    assert within(triangle, (-1, -1, 9, 9)).tolist() == triangle.tolist()
    assert within(triangle, (9, 0, 12, 9)).tolist() == []
