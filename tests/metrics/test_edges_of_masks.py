from __future__ import annotations

from math import hypot

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.spatial.distance import directed_hausdorff

from maskwright.metrics.boundary import band_width, boundary_counts
from maskwright.metrics.confusion import iou
from maskwright.metrics.surface import surface_scores
from maskwright.ops.distance import nearest_distances


def blobs(seed: int, size: tuple[int, int] = (30, 40)) -> np.ndarray:
    random = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(random.random((3, *size)), (0, 3, 3))
    return smooth.argmax(0).astype(np.uint8)


def rectangle(top: int, left: int, height: int, width: int) -> np.ndarray:
    labels = np.zeros((20, 30), np.uint8)
    labels[top : top + height, left : left + width] = 1
    return labels


def test_boundary_iou_by_hand() -> None:
    # Rings one pixel wide of two 6x6 squares, 20 pixels each, shifted by 1 along x: two sides of 5 shared.
    counts = boundary_counts(rectangle(4, 5, 6, 6), rectangle(4, 6, 6, 6), 2, width=1)
    assert counts[1].tolist() == [10, 20, 20]
    assert iou(counts)[1] == 10 / 30


def test_band_is_two_percent_of_the_diagonal() -> None:
    assert band_width((300, 400)) == 10
    assert band_width((3, 4)) == 1


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), width=st.integers(1, 5))
def test_boundary_agrees_with_erosion(seed: int, width: int) -> None:
    prediction, truth = blobs(seed), blobs(seed + 1)
    counts = boundary_counts(prediction, truth, 4, width)
    for label in range(4):
        rings = []
        for labels in (prediction, truth):
            mask = labels == label
            rings.append(mask & ~ndimage.binary_erosion(mask, np.ones((3, 3)), iterations=width))
        assert counts[label].tolist() == [(rings[0] & rings[1]).sum(), rings[0].sum(), rings[1].sum()]


def test_surfaces_by_hand() -> None:
    # The same 6x6 square shifted by 3: its far sides are 3 away. Of each ring's 20 pixels 6 lie on the other ring,
    # 3 in the top row and 3 in the bottom row.
    hd95, nsd = surface_scores(rectangle(4, 5, 6, 6), rectangle(4, 8, 6, 6), 3, tolerance=0)
    assert hd95[1] == 3
    assert nsd[1] == pytest.approx(2 * (3 + 3) / 40)
    assert np.isnan(hd95[2])
    assert np.isnan(nsd[2])
    _, within = surface_scores(rectangle(4, 5, 6, 6), rectangle(4, 8, 6, 6), 3, tolerance=3)
    assert within[1] == 1


@pytest.mark.parametrize("swap", [False, True])
def test_missed_and_made_up_objects_cost_the_diagonal(swap: bool) -> None:
    pair = [rectangle(4, 5, 6, 6), np.zeros((20, 30), np.uint8)]
    hd95, nsd = surface_scores(*(pair[::-1] if swap else pair), 2)
    assert hd95[1] == hypot(20, 30)
    assert nsd[1] == 0


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), tolerance=st.integers(0, 4))
def test_surfaces_agree_with_scipy(seed: int, tolerance: int) -> None:
    prediction, truth = blobs(seed), blobs(seed + 1)
    hd95, nsd = surface_scores(prediction, truth, 3, tolerance)
    for label in range(3):
        edges = []
        for labels in (prediction, truth):
            mask = labels == label
            edges.append(mask & ~ndimage.binary_erosion(mask))
        if not (edges[0].any() and edges[1].any()):
            continue
        there = ndimage.distance_transform_edt(~edges[1])[edges[0]]
        back = ndimage.distance_transform_edt(~edges[0])[edges[1]]
        assert hd95[label] == pytest.approx(max(np.percentile(there, 95), np.percentile(back, 95)), rel=1e-5)
        near = (there <= tolerance).sum() + (back <= tolerance).sum()
        assert nsd[label] == pytest.approx(near / (len(there) + len(back)))
        points = [np.argwhere(edge) for edge in edges]
        assert nearest_distances(*points)[0].max() == pytest.approx(directed_hausdorff(*points)[0], rel=1e-5)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_perfect_edges(seed: int) -> None:
    truth = blobs(seed)
    hd95, nsd = surface_scores(truth, truth, 3)
    present = np.bincount(truth.ravel(), minlength=3) > 0
    assert (hd95[present] == 0).all()
    assert (nsd[present] == 1).all()
    assert np.isnan(hd95[~present]).all()
