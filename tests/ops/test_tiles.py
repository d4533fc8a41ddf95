"""Tiles: everything is covered, neighbours overlap as asked, and the weights are a partition of unity."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskwright.ops.tiles import ALIGN, SLACK, TileAxis, cover

sizes = st.integers(1, 3000)
tiles = st.integers(1, 700)
overlaps = st.floats(0, 0.5)


def total(axis: TileAxis) -> np.ndarray:
    covered = np.zeros(axis.size)
    for start, weights in zip(axis.starts, axis.weights(), strict=True):
        covered[start : start + axis.tile] += weights
    return covered


@given(sizes, tiles, overlaps)
def test_weights_sum_to_one_everywhere_and_are_positive(size: int, tile: int, overlap: float) -> None:
    axis = cover(size, tile, overlap)
    assert axis.weights().shape == (len(axis), axis.tile)
    assert axis.weights().min() > 0
    np.testing.assert_allclose(total(axis), 1, atol=1e-6)


@given(sizes, tiles, overlaps)
def test_tiles_stay_inside_start_and_end_with_the_area(size: int, tile: int, overlap: float) -> None:
    axis = cover(size, tile, overlap)
    assert axis.starts[0] == 0
    assert axis.starts[-1] + axis.tile == size
    assert list(axis.starts) == sorted(set(axis.starts))
    assert axis.tile <= max(tile, size)
    assert axis.tile == tile or (len(axis) == 1 and size <= tile * SLACK)


@given(sizes, tiles, overlaps)
def test_neighbours_overlap_at_least_as_asked(size: int, tile: int, overlap: float) -> None:
    axis = cover(size, tile, overlap)
    stride = max(1, int(tile * (1 - overlap)))
    assert all(right - left <= stride for left, right in zip(axis.starts, axis.starts[1:], strict=False))


@given(st.integers(65, 3000), st.integers(64, 700), overlaps)
def test_large_tiles_start_on_the_network_s_grid(size: int, tile: int, overlap: float) -> None:
    assert all(start % ALIGN == 0 for start in cover(size, tile, overlap).starts[:-1])


def test_a_grid_by_hand() -> None:
    # stride 512 * 0.75 = 384; (2000 - 512) / 384 = 3.9, so four steps of 372, each start rounded up to 32.
    axis = cover(2000, 512, 0.25)
    assert axis.starts == (0, 384, 768, 1120, 1488)
    assert [axis.finished(index) for index in range(5)] == [384, 768, 1120, 1488, 2000]


def test_what_fits_is_one_tile_with_weight_one() -> None:
    for size in (1, 100, 512, 640):
        axis = cover(size, 512, 0.25)
        assert axis == TileAxis(size, size, (0,))
        np.testing.assert_array_equal(axis.weights(), 1)
    assert len(cover(641, 512, 0.25)) == 2


def test_weights_fall_towards_the_edge_of_a_tile_only_where_another_takes_over() -> None:
    axis = cover(1280, 512, 0.25)
    first = axis.weights()[0]
    assert np.all(first[: axis.starts[1]] == 1)
    assert np.all(np.diff(first[axis.starts[1] :]) < 0)
    assert first[-1] < 1e-3


@pytest.mark.parametrize(("size", "tile", "overlap"), [(0, 4, 0.1), (4, 0, 0.1), (4, 4, 0.6)])
def test_nonsense_is_a_bug_of_ours(size: int, tile: int, overlap: float) -> None:
    with pytest.raises(AssertionError):
        cover(size, tile, overlap)
