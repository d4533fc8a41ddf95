"""Pixels to single objects: each goes to the centre that its offset leads to. Knows no network.

Source: Cheng et al. 2020, "Panoptic-DeepLab", section 3.2: centres are the peaks of a heat map, and a pixel belongs to
the centre nearest to its own place plus its offset.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Pixels = NDArray[np.int64]

APART = 3
"""Two centres differ by more than this along one axis, in pixels."""


@dataclass(frozen=True)
class Grouping:
    """How objects are told apart; all is fitted on validation images.

    Attributes:
        foreground: a pixel belongs to an object from this probability on.
        peak: an object starts where the heat of a centre reaches this.
        smooth: standard deviation of the Gaussian that smooths the heat before, in pixels.
        reach: a pixel whose offset leads no nearer than this to a centre belongs to no object, in pixels.
        least: a smaller object is dropped, in pixels.
    """

    foreground: float = 0.5
    peak: float = 0.1
    smooth: float = 2.0
    reach: float = 32.0
    least: float = 4

    @property
    def margin(self) -> int:
        """How far away from a pixel `peaks` looks, in pixels."""
        return math.ceil(4 * self.smooth) + 1 + APART


def peaks(heat: NDArray[np.float32], how: Grouping) -> Pixels:
    """Return the places (n, 2) of the centres in a heat map (H, W), row by row.

    A centre is the highest pixel among its neighbours up to `APART` away, the first of equals.
    """
    if how.smooth:
        heat = np.asarray(cv2.GaussianBlur(heat, (0, 0), how.smooth))
    side = 2 * APART + 1
    before = np.zeros((side, side), np.uint8)
    before.ravel()[: side * side // 2] = 1
    first = heat > cv2.dilate(heat, before, borderType=cv2.BORDER_CONSTANT, borderValue=(-1.0,))
    highest = heat >= cv2.dilate(heat, before[::-1, ::-1].copy(), borderType=cv2.BORDER_CONSTANT, borderValue=(-1.0,))
    return np.argwhere(first & highest & (heat >= how.peak))


def nearest(targets: NDArray[np.float64], centres: Pixels) -> tuple[NDArray[np.float64], Pixels]:
    """Return how far (n,) the nearest centre is from each target (n, 2), and its number; infinity without a centre."""
    from scipy.spatial import KDTree

    if not len(centres):
        return np.full(len(targets), np.inf), np.zeros(len(targets), np.int64)
    distances, numbers = KDTree(centres).query(targets)
    return distances, numbers
