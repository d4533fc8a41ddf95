"""Outlines that geographic programs take: every ring simple, and exactly the pixels inside."""

from __future__ import annotations

import cv2
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from maskwright.ops.outlines import simple_polygons


def painted(rings: list[np.ndarray], size: tuple[int, int]) -> np.ndarray:
    """Count for each pixel the vertical sides to its left, modulo 2."""
    crossed = np.zeros((size[0], size[1] + 1), np.int64)
    for ring in rings:
        for (x0, y0), (x1, y1) in zip(ring.tolist(), np.roll(ring, -1, axis=0).tolist(), strict=True):
            if x0 == x1:
                crossed[min(y0, y1) : max(y0, y1), x0] ^= 1
    return np.bitwise_xor.accumulate(crossed, axis=1)[:, :-1].astype(bool)


@given(arrays.arrays(bool, arrays.array_shapes(min_dims=2, max_dims=2, max_side=9)))
def test_rings_are_simple_and_enclose_the_mask(mask: np.ndarray) -> None:
    found = simple_polygons(mask)
    assert len(found) == cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)[0] - 1
    assert sum(polygon.area for polygon in found) == mask.sum()
    rings = [ring for polygon in found for ring in polygon.rings]
    np.testing.assert_array_equal(painted(rings, mask.shape), mask)
    for ring in rings:
        assert len(np.unique(ring, axis=0)) == len(ring) >= 4
        steps = np.roll(ring, -1, axis=0) - ring
        assert ((steps == 0).sum(axis=1) == 1).all()


@given(st.integers(0, 3))
def test_by_hand(turns: int) -> None:
    ring_of_pixels = np.rot90(np.array([[1, 1, 1], [1, 0, 1], [1, 1, 0]]), turns)
    (polygon,) = simple_polygons(ring_of_pixels)
    # The hole touches the outside at a corner: it is a ring of its own, and not a turn of the outer one.
    assert len(polygon.holes) == 1
    assert sorted(polygon.holes[0].tolist()) == [[1, 1], [1, 2], [2, 1], [2, 2]]
    assert [len(ring) for ring in polygon.rings] == [6, 4]
    left = np.sum(polygon.outer[:, 0] * -np.roll(polygon.outer[:, 1], -1))
    assert left - np.sum(np.roll(polygon.outer[:, 0], -1) * -polygon.outer[:, 1]) > 0


def test_pixels_that_touch_at_a_corner_are_two_regions() -> None:
    found = simple_polygons(np.eye(2))
    assert [sorted(map(tuple, polygon.outer.tolist())) for polygon in found] == [
        [(0, 0), (0, 1), (1, 0), (1, 1)],
        [(1, 1), (1, 2), (2, 1), (2, 2)],
    ]
    assert simple_polygons(np.zeros((3, 4))) == []
