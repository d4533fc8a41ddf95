"""Drawings moved onto the regions of an image, such as superpixels. Knows no method that finds regions, and no file.

A scribble says what is under it, so its label goes to each region that it touches (`filled`). A mask that was painted
with a brush, or drawn as an outline and filled, is right except near its border, so each region takes the label that
most of its pixels have (`snapped`). The result is a mask again: unlike an outline whose points move to the nearest
boundary, it never crosses itself or follows the wrong side of a region, and its border is that of regions everywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from maskwright.classic.planes import check_array
from maskwright.classic.regions import check_labels
from maskwright.core.errors import MaskwrightError

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Filled(NamedTuple):
    """A scribble and the regions that it labels.

    Attributes:
        labels: (H, W) in the dtype of the scribble.
        regions: number of regions with one label.
        conflicts: number of regions with several labels.
    """

    labels: NDArray[Any]
    regions: int
    conflicts: int


class _Shares(NamedTuple):
    """Which labels lie in which regions: one entry for each pair, by region and then by label.

    Attributes:
        region: (n,) number of the region, 0..K-1.
        label: (n,) in the dtype of the drawing.
        pixels: (n,) that the two share.
        places: (H, W) number of each pixel's region.
    """

    region: NDArray[np.intp]
    label: NDArray[Any]
    pixels: NDArray[np.intp]
    places: NDArray[np.intp]


def filled(regions: NDArray[Any], scribble: NDArray[Any], nothing: int = 0) -> Filled:
    """Give each region the label that is drawn in it; where several are, only the drawn pixels are labelled.

    Args:
        regions: (H, W), integers, such as superpixels.
        scribble: (H, W), integers.
        nothing: value of the scribble, and of the result, where nothing is drawn.

    Raises:
        MaskwrightError: the sizes differ, an array is no label map, or the scribble cannot hold `nothing`.
    """
    shares = _shares(regions, scribble)
    limits = np.iinfo(np.uint8 if scribble.dtype == np.bool_ else scribble.dtype)
    if not limits.min <= nothing <= limits.max:
        raise MaskwrightError(
            f"nothing is {nothing}, but a scribble of {scribble.dtype} holds {limits.min} to {limits.max}: choose "
            "another value, or give the scribble in a larger type"
        )
    drawn = shares.label != nothing
    labels = np.bincount(shares.region[drawn], minlength=shares.places.max() + 1)
    label = np.full(len(labels), nothing, scribble.dtype)
    label[shares.region[drawn]] = shares.label[drawn]
    label[labels > 1] = nothing
    spread = np.where(scribble == nothing, label[shares.places], scribble)
    return Filled(spread, int((labels == 1).sum()), int((labels > 1).sum()))


def snapped(regions: NDArray[Any], mask: NDArray[Any]) -> NDArray[Any]:
    """Give each region the label that most of its pixels have, so that the borders of a mask move to those of regions.

    Args:
        regions: (H, W), integers, such as superpixels.
        mask: (H, W), booleans or integers. Every value is a label, also that of the background.

    Returns:
        (H, W) in the dtype of `mask`; of labels with equally many pixels, the smallest. Snapping it again changes
        nothing.

    Raises:
        MaskwrightError: the sizes differ, or an array is no label map.
    """
    shares = _shares(regions, mask)
    order = np.argsort(-shares.pixels, kind="stable")[::-1]
    label = np.empty(shares.places.max() + 1, mask.dtype)
    label[shares.region[order]] = shares.label[order]  # the last one stays
    return label[shares.places]


def _shares(regions: NDArray[Any], drawn: NDArray[Any]) -> _Shares:
    """Count the pixels of each label in each region."""
    check_array(drawn, "a mask or a scribble")
    check_labels(regions, drawn)
    check_labels(drawn.view(np.uint8) if drawn.dtype == np.bool_ else drawn, drawn)
    names, codes = np.unique(drawn, return_inverse=True)
    places = np.unique(regions, return_inverse=True)[1].reshape(regions.shape)
    pairs, pixels = np.unique(places.ravel() * len(names) + codes.ravel(), return_counts=True)
    region, label = np.divmod(pairs, len(names))
    return _Shares(region, names[label], pixels, places)
