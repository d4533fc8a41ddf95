"""Superpixels that scikit-image computes: compact watershed and Felzenszwalb's graph. Knows no file."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from skimage.segmentation import felzenszwalb, watershed

from maskwright.classic.planes import colours, slope
from maskwright.classic.superpixels.grid import check, grid
from maskwright.classic.superpixels.pieces import joined_pieces
from maskwright.core.errors import MaskwrightError

if TYPE_CHECKING:
    from numpy.typing import NDArray

COMPACTNESS = 0.00125
"""Of the watershed, in units of the slope."""
SCALE_A_PIXEL = 0.15
LEAST_SHARE = 1 / 8
SMOOTHING = 0.8
"""Of Felzenszwalb's graph: scale and least size for each pixel of the mean region, measured so that photographs get
about as many regions as asked for; and the deviation of the Gaussian, in pixels, from the paper."""


def compact_watershed(image: NDArray[Any], count: int = 400, compactness: float = 1.0) -> NDArray[np.int32]:
    """Flood an image from exactly `count` seeds, near ones first where the slopes are equal.

    Neubert and Protzel 2014, "Compact Watershed and Preemptive SLIC: On Improving Trade-Offs of Superpixel Segmentation
    Algorithms". The seed of each cell of a regular grid is its pixel of least slope.

    Args:
        image: (H, W) or (H, W, C), any real dtype; see `planes.colours`.
        count: number of superpixels, from 1 to the number of pixels.
        compactness: 0 is the watershed of Meyer; more makes superpixels rounder.

    Returns:
        int32 (H, W), labels 0..count-1, each connected.

    Raises:
        MaskwrightError: an argument outside its rule.
    """
    check(image, count, compactness)
    slopes = slope(colours(image))
    cells = grid(slopes.shape, count).ravel()
    order = np.lexsort((slopes.ravel(), cells))
    firsts = np.concatenate(([0], np.cumsum(np.bincount(cells))[:-1]))
    seeds = np.zeros(slopes.size, np.int32)
    seeds[order[firsts]] = np.arange(1, count + 1)
    return np.asarray(watershed(slopes, seeds.reshape(slopes.shape), compactness=COMPACTNESS * compactness) - 1)


def felzenszwalb_graph(image: NDArray[Any], count: int = 400, compactness: float = 1.0) -> NDArray[np.int32]:
    """Join pixels while the step between two regions is small against the steps within them.

    Felzenszwalb and Huttenlocher 2004, "Efficient Graph-Based Image Segmentation". The image decides how many regions
    there are: `count` sets the scale and the least size.

    Args:
        image: (H, W) or (H, W, C), any real dtype; see `planes.colours`.
        count: number of regions in a photograph, very roughly.
        compactness: must be 1: the method has none.

    Returns:
        int32 (H, W), labels 0..K-1, each connected.

    Raises:
        MaskwrightError: an argument outside its rule.
    """
    check(image, count, compactness, exact=False)
    if compactness != 1:
        raise MaskwrightError(
            f"compactness is {compactness}, but felzenszwalb has none: set `compactness=1`, or choose another `method`",
            "compactness",
        )
    colour = colours(image) / 4
    area = max(colour.shape[0] * colour.shape[1] / count, 1)
    least = max(round(LEAST_SHARE * area), 1)
    with warnings.catch_warnings():
        # It asks whether more than three channels are meant: they are.
        warnings.filterwarnings("ignore", "Got image with third dimension", RuntimeWarning)
        labels = felzenszwalb(colour, SCALE_A_PIXEL * area, SMOOTHING, least, channel_axis=-1)
    return joined_pieces(labels)
