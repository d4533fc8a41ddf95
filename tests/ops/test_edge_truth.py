"""True edges: by hand, and against a slow second implementation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskwright.core.edges import Edges
from maskwright.ops.edge_truth import agreed, outside, region_edges, resized

NONE = np.zeros((3, 4), bool)


def test_an_edge_lies_on_the_pixel_before_another_class() -> None:
    labels = np.array([[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 2, 2]], np.uint8)
    expected = [[0, 1, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0]]
    assert region_edges(labels, NONE).astype(int).tolist() == expected


def test_no_edge_lies_at_the_border_of_the_unknown() -> None:
    labels = np.array([[0, 0, 255, 1], [0, 0, 255, 1], [0, 0, 255, 1]], np.uint8)
    assert not region_edges(labels, labels == 255).any()


def test_objects_that_touch_and_those_on_background() -> None:
    ids = np.array([[1, 2, 0, 0], [1, 2, 0, 3], [0, 0, 0, 0]], np.int32)
    assert region_edges(ids, NONE).astype(int).tolist() == [[1, 1, 1, 1], [1, 1, 1, 1], [0, 0, 0, 0]]
    assert region_edges(ids, NONE, touching=True).astype(int).tolist() == [[1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]


def slow(ids: np.ndarray, unknown: np.ndarray, *, touching: bool) -> np.ndarray:
    """Look at each pixel and its three neighbours in turn."""
    found = np.zeros(ids.shape, bool)
    for row, column in np.ndindex(*ids.shape):
        for down, right in ((0, 1), (1, 0), (1, 1)):
            other = row + down, column + right
            if other[0] >= ids.shape[0] or other[1] >= ids.shape[1]:
                continue
            if unknown[row, column] or unknown[other] or ids[row, column] == ids[other]:
                continue
            if not touching or (ids[row, column] and ids[other]):
                found[row, column] = True
    return found


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 6), st.booleans())
@settings(deadline=None, max_examples=60)
def test_edges_equal_those_of_a_slow_search(seed: int, height: int, width: int, touching: bool) -> None:
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, 3, (height, width)).astype(np.int32)
    unknown = rng.random((height, width)) < 0.2
    assert np.array_equal(region_edges(ids, unknown, touching=touching), slow(ids, unknown, touching=touching))


def test_people_agree_within_one_pixel() -> None:
    first, second, third = (np.zeros((1, 6), bool) for _ in range(3))
    first[0, 1] = second[0, 2] = third[0, 5] = True
    assert agreed([first, second, third])[0].tolist() == pytest.approx([0, 2 / 3, 2 / 3, 0, 0, 1 / 3])


def test_edges_keep_their_place_in_another_size() -> None:
    drawn = np.zeros((4, 6), bool)
    drawn[1, 3] = drawn[3, 5] = True
    edges = Edges.of([drawn, np.zeros((4, 6), bool)], (4, 6))
    assert edges.people[0].tolist() == [9, 23]
    assert edges.people[1].tolist() == []
    half = resized(edges, (2, 3))
    assert (half.size, half.people[0].tolist()) == ((2, 3), [1, 5])
    assert np.argwhere(resized(edges, (8, 12)).maps()[0]).tolist() == [[3, 7], [7, 11]]
    assert resized(edges, (4, 6)) is edges


def test_edges_without_data_are_gone() -> None:
    drawn = np.ones((2, 2), bool)
    gone = np.array([[True, False], [False, False]])
    assert np.array_equal(outside(Edges.of([drawn], (2, 2)), gone).maps()[0], ~gone)
