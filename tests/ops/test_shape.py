"""Shapes of masks against scikit-image."""

from __future__ import annotations

import math
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.draw import ellipse, polygon
from skimage.measure import regionprops

from maskwright.ops.instance_maps import cropped
from maskwright.ops.shape import Shape, shape_of


def judged(mask: np.ndarray) -> Shape:
    (found,) = regionprops(mask.astype(np.uint8))
    axes = found.axis_major_length, found.axis_minor_length
    turned = (90 + math.degrees(found.orientation)) % 180
    return Shape(
        int(found.area), *found.centroid, found.perimeter, *axes, turned, found.eccentricity, found.solidity
    )  # fmt: skip


def check(mask: np.ndarray) -> None:
    _, _, mask = cropped(mask)
    ours, theirs = shape_of(mask), judged(mask)
    for name, one, other in zip(Shape.__dataclass_fields__, astuple(ours), astuple(theirs), strict=True):
        if name == "orientation":  # a shape without a direction has any, and 180 degrees are 0
            off = (one - other + 90) % 180 - 90
            assert abs(off) * ours.eccentricity**2 < 1e-4
        elif name == "eccentricity":  # scikit-image finds 1e-8 for 0
            assert one == pytest.approx(other, abs=2e-6)
        else:
            assert one == pytest.approx(other, rel=1e-7, abs=1e-6), name


@settings(deadline=None, max_examples=150)
@given(arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))).filter(np.any))
def test_any_pixels(mask: np.ndarray) -> None:
    check(mask)


@pytest.mark.parametrize("seed", range(12))
def test_ellipses_and_polygons(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = np.zeros((120, 140), bool)
    tall, wide, angle = rng.uniform(2, 40), rng.uniform(2, 50), rng.uniform(0, np.pi)
    mask[ellipse(60, 70, tall, wide, mask.shape, rotation=angle)] = True
    check(mask)
    drawn = np.zeros((120, 140), bool)
    drawn[polygon(rng.uniform(0, 119, 7), rng.uniform(0, 139, 7))] = True
    check(drawn)


def test_a_cross_by_hand() -> None:
    """A plus of 5 pixels: its hull is the plus, whose edges pass the corner pixels' centres by half a pixel."""
    cross = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], bool)
    found = shape_of(cross)
    assert (found.area, found.row, found.column, found.solidity, found.eccentricity) == (5, 1, 1, 1, 0)
    assert found.major_axis == found.minor_axis == pytest.approx(4 * math.sqrt(2 / 5))
