"""Drawings moved onto the regions of an image, such as superpixels. Knows no method that finds regions, and no file.

A scribble says what is under it, so its label goes to each region that it touches (`filled`). A mask that was painted
with a brush, or drawn as an outline and filled, is right except near its border, so it becomes the regions that it
covers for the most part (`snapped`). The result is a mask again: unlike an outline whose points move to the nearest
boundary, it never crosses itself or follows the wrong side of a region, and its border is that of regions everywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

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


def filled(regions: NDArray[Any], scribble: NDArray[Any], nothing: int = 0) -> Filled:
    """Give each region the label that is drawn in it; where several are, only the drawn pixels are labelled.

    Args:
        regions: (H, W), integers, such as superpixels.
        scribble: (H, W), integers.
        nothing: value of the scribble, and of the result, where nothing is drawn.

    Raises:
        MaskwrightError: the sizes differ, an array is no label map, or the scribble cannot hold `nothing`.
    """
    names, counts, places = _counted(regions, scribble, nothing)
    there = (counts > 0) & (names != nothing)
    several = there.sum(axis=1)
    label = np.where(several == 1, names[there.argmax(axis=1)], scribble.dtype.type(nothing))
    labels = np.where(scribble == nothing, label[places], scribble)
    return Filled(labels, int((several == 1).sum()), int((several > 1).sum()))


def snapped(regions: NDArray[Any], drawn: NDArray[Any], nothing: int = 0) -> NDArray[Any]:
    """Give each region the label that covers more than half of it, or `nothing`; so borders move to those of regions.

    Args:
        regions: (H, W), integers, such as superpixels.
        drawn: (H, W), a mask of booleans, or integers.
        nothing: value where nothing is drawn.

    Returns:
        (H, W) in the dtype of `drawn`. Snapping it again changes nothing.

    Raises:
        MaskwrightError: the sizes differ, an array is no label map, or the drawing cannot hold `nothing`.
    """
    names, counts, places = _counted(regions, drawn, nothing)
    most = 2 * counts.max(axis=1) > counts.sum(axis=1)
    return np.where(most, names[counts.argmax(axis=1)], drawn.dtype.type(nothing))[places]


def _counted(
    regions: NDArray[Any], drawn: NDArray[Any], nothing: int
) -> tuple[NDArray[Any], NDArray[np.intp], NDArray[np.intp]]:
    """Return the labels (n,), the pixels of each in each region (K, n), and the place (H, W) of each pixel's region."""
    check_labels(regions, drawn)
    numbers = drawn.view(np.uint8) if drawn.dtype == np.bool_ else drawn
    check_labels(numbers, drawn)
    limits = np.iinfo(numbers.dtype)
    if not limits.min <= nothing <= limits.max:
        raise MaskwrightError(
            f"nothing is {nothing}, but a drawing of {drawn.dtype} holds {limits.min} to {limits.max}: choose another "
            "value, or give the drawing in a larger type"
        )
    names, codes = np.unique(drawn, return_inverse=True)
    places = np.unique(regions, return_inverse=True)[1].reshape(regions.shape)
    pairs = places.ravel() * len(names) + codes.ravel()
    counts = np.bincount(pairs, minlength=(places.max() + 1) * len(names)).reshape(-1, len(names))
    return names, counts, places
