"""Foreground to single objects: seeds where the depth peaks, and a watershed from them. Knows no network.

Sources: Meyer 1994, "Topographic distance and watershed lines" (the flooding is scikit-image's); depth as in Bai and
Urtasun 2017, "Deep watershed transform for instance segmentation".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Separation:
    """How objects are told apart; all but the areas are fitted on validation images.

    Attributes:
        foreground: a pixel belongs to an object from this probability on.
        seed: an object starts where the depth reaches this.
        smooth: standard deviation of the Gaussian that smooths the depth before, in pixels.
        least: a smaller object is dropped, in pixels.
    """

    foreground: float = 0.5
    seed: float = 0.5
    smooth: float = 1.0
    least: float = 4


def separated(
    foreground: NDArray[np.float32], depth: NDArray[np.float32], border: NDArray[np.float32], how: Separation
) -> NDArray[np.int32]:
    """Return the instance map (H, W) of probabilities and depths (H, W).

    A region of the foreground without a seed is one object, as is one with a single seed: only the others are flooded.
    """
    inside = foreground >= how.foreground
    peaks = depth * (1 - border)
    if how.smooth:
        peaks = np.asarray(cv2.GaussianBlur(peaks, (0, 0), how.smooth))
    count, seeds = cv2.connectedComponents(((peaks >= how.seed) & inside).astype(np.uint8), connectivity=4)
    regions, place = cv2.connectedComponents(inside.astype(np.uint8), connectivity=4)
    region_of = np.zeros(count, np.int32)
    region_of[seeds] = place
    region_of[0] = 0
    numbers = np.arange(regions, dtype=np.int32) + np.int32(count)
    numbers[region_of] = np.arange(count)
    numbers[0] = 0
    ids = numbers[place]
    several = (np.bincount(region_of[1:], minlength=regions) > 1)[place]
    if several.any():
        np.copyto(ids, _flooded(peaks, seeds, several), where=several)
    areas = np.bincount(ids.ravel())
    kept = areas >= how.least
    kept[0] = False
    return (np.cumsum(kept, dtype=np.int32) * kept)[ids]


def _flooded(peaks: NDArray[np.float32], seeds: NDArray[np.int32], inside: NDArray[np.bool_]) -> NDArray[np.int32]:
    from skimage.segmentation import watershed

    return np.asarray(watershed(-peaks, seeds, mask=inside), np.int32)
