"""The geometry of edges: thinning against scikit-image, ridges and lines against curves that are known exactly."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from skimage import morphology

from maskwright.ops.edges import linked, normals, polylines, suppress, thin, traced

MASKS = arrays(np.bool_, st.tuples(st.integers(1, 16), st.integers(1, 16)))
SQUARE = np.ones((3, 3))


def smooth_mask(seed: int) -> np.ndarray:
    return ndimage.gaussian_filter(np.random.default_rng(seed).random((40, 60)), 2) > 0.5


@given(MASKS)
def test_thinning_is_that_of_scikit_image(mask: np.ndarray) -> None:
    assert np.array_equal(thin(mask), morphology.thin(mask))


@given(st.integers(0, 1000))
def test_thinning_keeps_pieces_and_holes_and_has_nothing_left_to_do(seed: int) -> None:
    mask = smooth_mask(seed)
    thinned = thin(mask)
    assert np.array_equal(thinned, morphology.thin(mask))
    assert np.array_equal(thin(thinned), thinned)
    assert not (thinned & ~mask).any()
    assert ndimage.label(thinned, SQUARE)[1] == ndimage.label(mask, SQUARE)[1]
    assert ndimage.label(~np.pad(thinned, 1))[1] == ndimage.label(~np.pad(mask, 1))[1]


def test_a_thick_bar_becomes_its_middle_line() -> None:
    mask = np.zeros((9, 20), bool)
    mask[2:7, 2:18] = True
    rows, columns = np.nonzero(thin(mask))
    assert set(rows.tolist()) == {4}
    assert len(columns) == len(set(columns.tolist())) >= 12


def ridge(angle: float, at: float = 0.0, size: int = 61, width: float = 1.5) -> np.ndarray:
    """Strength of a straight edge whose normal has `angle` from x towards y, `at` from the centre of the map."""
    rows, columns = np.indices((size, size)) - size // 2
    across = columns * np.cos(angle) + rows * np.sin(angle) - at
    return np.exp(-(across**2) / (2 * width**2)).astype(np.float32)


@pytest.mark.parametrize("eighths", range(8))
def test_normals_are_exact_along_the_diagonals_and_near_between(eighths: int) -> None:
    angle = eighths * np.pi / 8
    found = normals(ridge(angle))[30, 30]
    apart = np.abs((found - angle + np.pi / 2) % np.pi - np.pi / 2)
    assert np.degrees(apart) < (13 if eighths % 2 else 0.1)


@pytest.mark.parametrize("eighths", range(8))
def test_only_the_ridge_stays(eighths: int) -> None:
    angle = eighths * np.pi / 8
    kept = suppress(ridge(angle))
    rows, columns = np.nonzero(kept > 0.3)
    across = (columns - 30) * np.cos(angle) + (rows - 30) * np.sin(angle)
    assert np.abs(across).max() < 0.75
    assert len(rows) >= 50


def triangle(plane: np.ndarray, radius: int) -> np.ndarray:
    weights = np.array([radius + 1 - abs(step) for step in range(-radius, radius + 1)], float)
    for axis in (0, 1):
        plane = ndimage.convolve1d(plane, weights / weights.sum(), axis=axis, mode="reflect")
    return plane


def plainly_suppressed(strength: np.ndarray) -> np.ndarray:
    """Follow the published scripts pixel by pixel, without weakening the border."""
    smooth = triangle(strength.astype(float), 1)
    slope_y, slope_x = np.gradient(triangle(smooth, 4))
    (xy, xx), yy = np.gradient(slope_x), np.gradient(slope_y)[0]
    kept = np.zeros_like(smooth)
    for row, column in np.ndindex(smooth.shape):
        sign = -1 if xy[row, column] > 0 else 1
        angle = np.arctan2(sign * yy[row, column], xx[row, column] + 1e-5) % np.pi
        sides = [
            ndimage.map_coordinates(
                smooth, [[row + way * np.sin(angle)], [column + way * np.cos(angle)]], order=1, mode="nearest"
            )[0]
            for way in (-1, 1)
        ]
        if smooth[row, column] * 1.01 >= max(sides):
            kept[row, column] = smooth[row, column]
    return kept


def test_suppression_is_that_of_the_published_scripts() -> None:
    strength = ndimage.gaussian_filter(np.random.default_rng(4).random((40, 50)), 1.2).astype(np.float32)
    found, expected = suppress(strength, border=0), plainly_suppressed(strength)
    same = (found > 0) == (expected > 0)
    assert same.mean() > 0.999  # a comparison on the last bit may go the other way
    np.testing.assert_allclose(found[same], expected[same], atol=1e-5)


def test_strength_by_hand() -> None:
    line = np.zeros((30, 31), np.float32)
    line[:, 15] = 1
    kept = suppress(line)
    # (1 2 1) / 4 across the line; from the border inwards 0, 1/5, ..., 1.
    assert kept[:, 15].tolist() == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, *[0.5] * 20, 0.4, 0.3, 0.2, 0.1, 0])
    assert np.count_nonzero(kept) == 28
    assert np.array_equal(suppress(line.T), kept.T)


def test_a_pixel_stays_beside_a_neighbour_that_is_hardly_stronger() -> None:
    line = np.zeros((30, 30), np.float32)
    line[:, 14], line[:, 15] = 1, 1.015
    assert set(np.nonzero(suppress(line))[1].tolist()) == {14, 15}
    assert set(np.nonzero(suppress(line, tolerance=1.0))[1].tolist()) == {15}


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (2, 2), (3, 40)])
@pytest.mark.parametrize("value", [0, 1])
def test_maps_without_structure(shape: tuple[int, int], value: int) -> None:
    constant = np.full(shape, value, np.float32)
    kept = suppress(constant)
    assert kept.shape == shape
    assert np.isfinite(kept).all()
    for line in polylines(constant > 0, constant):
        assert np.isfinite(line).all()


def test_hysteresis_follows_weak_pixels_from_strong_ones() -> None:
    strength = np.array([[0.9, 0.0, 0.0, 0.3], [0.0, 0.3, 0.0, 0.3], [0.2, 0.0, 0.3, 0.0], [0.0, 0.0, 0.0, 0.0]])
    assert linked(strength, 0.3, 0.9).tolist() == [
        [True, False, False, True],
        [False, True, False, True],
        [False, False, True, False],
        [False, False, False, False],
    ]
    assert not linked(strength, 0.3, 0.95).any()
    assert not linked(np.zeros((3, 3)), 0.0, 0.0).any()


def test_a_strong_pixel_that_is_thinned_away_makes_no_line() -> None:
    ridges = np.zeros((7, 20))
    ridges[2:5, 2:18] = 0.5
    ridges[2, 2] = ridges[4, 17] = 0.9
    assert not linked(ridges, 0.5, 0.9).any()
    assert linked(ridges, 0.5, 0.5).any()


@given(arrays(np.float32, (12, 14), elements=st.floats(0, 1, width=32)), st.floats(0.01, 1), st.floats(0.01, 1))
def test_lines_have_low_everywhere_high_somewhere_and_two_pixels(ridges: np.ndarray, one: float, other: float) -> None:
    low, high = sorted((one, other))
    lines = linked(ridges, low, high)
    parts, count = ndimage.label(morphology.thin(ridges >= low), SQUARE)
    sizes = np.bincount(parts.ravel(), minlength=count + 1)
    kept = [part for part in range(1, count + 1) if sizes[part] > 1 and (ridges[parts == part] >= high).any()]
    assert np.array_equal(lines, np.isin(parts, kept))
    assert {tuple(pixel) for line in traced(lines) for pixel in line.pixels} == set(map(tuple, np.argwhere(lines)))


def test_the_strength_of_a_line_is_that_of_its_pixels() -> None:
    strength, profile, lines = np.zeros((21, 21), np.float32), np.zeros((21, 21), np.float32), np.zeros((21, 21), bool)
    strength[10, 7:14] = [1, 1, 0, 0.5, 0.5, np.nan, 0.6]
    lines[10, 7:14] = True
    profile[9:11] = np.array([0.98, 1])[:, None]
    (line,) = traced(lines, profile)
    assert line.pixels.tolist() == [[10, column] for column in range(7, 14)]
    assert line.points[:, 1] == pytest.approx(10.5 - 0.98 / 2 / 1.02)
    assert line.mean(strength) == pytest.approx(3.6 / 7)


def test_lines_end_where_they_meet() -> None:
    mask = np.zeros((9, 9), bool)
    mask[4, 1:8] = mask[5:8, 4] = True
    assert [line.tolist() for line in polylines(mask)] == [
        [[1.5, 4.5], [2.5, 4.5], [3.5, 4.5], [4.5, 4.5]],
        [[4.5, 4.5], [5.5, 4.5], [6.5, 4.5], [7.5, 4.5]],
        [[4.5, 4.5], [4.5, 5.5], [4.5, 6.5], [4.5, 7.5]],
    ]


def test_a_corner_is_no_junction_and_a_lone_pixel_is_no_line() -> None:
    mask = np.zeros((6, 6), bool)
    mask[1:4, 1] = mask[3, 1:4] = mask[0, 5] = True
    (line,) = polylines(mask)
    assert line[[0, -1]].tolist() == [[1.5, 1.5], [3.5, 3.5]]


@given(MASKS)
def test_lines_take_every_step_once(mask: np.ndarray) -> None:
    thinned = thin(mask)
    lines = polylines(mask)
    steps = [frozenset(map(tuple, pair)) for line in lines for pair in pairwise(line)]
    assert len(steps) == len(set(steps))
    on = {tuple(point) for line in lines for point in line}
    pixels = {(column + 0.5, row + 0.5) for row, column in np.argwhere(thinned).tolist()}
    alone = ndimage.label(thinned, SQUARE)
    lone = np.isin(alone[0], np.flatnonzero(np.bincount(alone[0].ravel()) == 1)) & thinned
    assert on == pixels - {(column + 0.5, row + 0.5) for row, column in np.argwhere(lone).tolist()}
    assert all(np.abs(np.diff(line, axis=0)).max() == 1 for line in lines)


def test_a_closed_line_is_a_circle_to_a_tenth_of_a_pixel() -> None:
    rows, columns = np.indices((80, 90))
    strength = np.exp(-((np.hypot(columns - 44.3, rows - 39.6) - 30.37) ** 2) / 4.5).astype(np.float32)
    (line,) = polylines(suppress(strength) > 0.3, strength)
    assert np.array_equal(line[0], line[-1])
    assert len({tuple(point) for point in line}) == len(line) - 1
    away = np.hypot(*(line - 0.5 - (44.3, 39.6)).T) - 30.37
    assert np.sqrt(np.mean(away**2)) < 0.05
    plain = np.hypot(*(polylines(suppress(strength) > 0.3)[0] - 0.5 - (44.3, 39.6)).T) - 30.37
    assert np.sqrt(np.mean(plain**2)) > 0.25


def test_a_point_moves_to_the_top_of_the_parabola() -> None:
    strength = np.zeros((30, 30), np.float32)
    strength[:, 14:17] = 0.6, 1.0, 0.8
    edges = np.zeros((30, 30), bool)
    edges[10:20, 15] = True
    (line,) = polylines(edges, strength)
    # (before - after) / (2 (before - 2 at + after)) = -0.2 / -1.2
    assert line[:, 0].tolist() == pytest.approx([15.5 + 1 / 6] * 10)
    assert line[:, 1].tolist() == pytest.approx((np.arange(10, 20) + 0.5).tolist())
