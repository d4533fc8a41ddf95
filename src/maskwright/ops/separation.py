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

    A region of the foreground without a seed is one object.
    """
    from skimage.segmentation import watershed

    inside = foreground >= how.foreground
    peaks = depth * (1 - border)
    if how.smooth:
        peaks = np.asarray(cv2.GaussianBlur(peaks, (0, 0), how.smooth))
    count, seeds = cv2.connectedComponents(((peaks >= how.seed) & inside).astype(np.uint8), connectivity=4)
    regions, place = cv2.connectedComponents(inside.astype(np.uint8), connectivity=4)
    seeded = np.zeros(regions, bool)
    seeded[place[seeds > 0]] = True
    numbers = np.where(seeded, 0, np.arange(regions) + count)
    numbers[0] = 0
    seeds = np.where(seeds > 0, seeds, numbers[place])
    ids = watershed(-peaks, seeds, mask=inside)
    areas = np.bincount(ids.ravel())
    kept = areas >= how.least
    kept[0] = False
    return (np.cumsum(kept) * kept)[ids].astype(np.int32)
