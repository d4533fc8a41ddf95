"""Thresholds: the classes of an image by its brightness alone. Knows no file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from skimage.filters import threshold_local, threshold_multiotsu, threshold_otsu

from maskwright.core.classes import IGNORE
from maskwright.core.errors import MaskwrightError, unknown_name
from maskwright.core.text import plural
from maskwright.ops.images import LUMA
from maskwright.ops.no_data import with_nan

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Grey = NDArray[np.float64]
    Mask = NDArray[np.bool_]

MOST_CLASSES = 5
"""The time of multi-Otsu grows with bins^(classes - 1)."""
LOCAL_SHARE = 1 / 8
FEW_BITS = 256


def threshold(image: NDArray[Any], method: str = "otsu", *, classes: int = 2) -> NDArray[np.uint8]:
    """Divide the pixels of an image into classes of brightness.

    Args:
        image: (H, W), or (H, W, C) of one channel or RGB, whose luma (BT.601) counts; any real dtype.
        method: name in `THRESHOLDS`.
        classes: 2, or up to 5 for `multi-otsu`.

    Returns:
        uint8 (H, W), from 0 for the darkest class; 255 where the image has no data.

    Raises:
        MaskwrightError: an unknown method, an image of other channels, or too few values for the classes.
    """
    if method not in THRESHOLDS:
        raise unknown_name("method", method, THRESHOLDS, "method")
    grey = _grey(image)
    known = np.isfinite(grey)
    values = len(np.unique(grey[known]))
    most = MOST_CLASSES if method == "multi-otsu" else 2
    if not 2 <= classes <= most:
        cure = "give a number in this range" if most > 2 else "give 2, or choose multi-otsu"
        raise MaskwrightError(
            f"classes is {classes}, but {method} finds {'2' if most == 2 else f'2 to {most}'}: {cure}", "classes"
        )
    if values < classes:
        raise MaskwrightError(
            f"the image has {plural(values, 'different value')}, too few for {classes} classes: choose another image"
            + (", or fewer classes" if classes > 2 else "")
        )
    return np.where(known, THRESHOLDS[method](grey, known, classes), IGNORE).astype(np.uint8)


def _otsu(grey: Grey, known: Mask, _classes: int) -> NDArray[Any]:
    """Otsu 1979, "A Threshold Selection Method from Gray-Level Histograms"."""
    return grey > threshold_otsu(_levels(grey[known]))


def _multi_otsu(grey: Grey, known: Mask, classes: int) -> NDArray[Any]:
    """Liao, Chen and Chung 2001, "A Fast Algorithm for Multilevel Thresholding"."""
    return np.digitize(grey, threshold_multiotsu(_levels(grey[known]), classes), right=True)


def _local(grey: Grey, known: Mask, _classes: int) -> NDArray[Any]:
    """Compare with the Gaussian mean of a window whose side is an eighth of the image's shorter side."""
    filled = np.where(known, grey, grey[known].mean())
    return filled > threshold_local(filled, max(round(LOCAL_SHARE * min(grey.shape)) // 2 * 2 + 1, 3))


def _levels(values: NDArray[np.float64]) -> NDArray[Any]:
    """Return whole numbers of few bits as integers: each is then a bin of the histogram, not a 256th of the range."""
    whole = np.rint(values)
    return whole.astype(np.int64) if np.ptp(values) < FEW_BITS and np.array_equal(whole, values) else values


THRESHOLDS: dict[str, Callable[[Grey, Mask, int], NDArray[Any]]] = {
    "otsu": _otsu,
    "multi-otsu": _multi_otsu,
    "local": _local,
}
"""Name -> function of brightness (H, W), where it is known, and the number of classes that returns classes (H, W)."""


def _grey(image: NDArray[Any]) -> NDArray[np.float64]:
    """Return the brightness (H, W), NaN where it is not known."""
    bands = with_nan(image if image.ndim == 3 else image[..., None]).astype(np.float64) if image.size else image
    if bands.ndim != 3 or bands.shape[2] not in {1, 3} or not bands.size:
        raise MaskwrightError(
            f"an array of shape {image.shape} has no brightness: give (height, width) or RGB (height, width, 3), all "
            "above 0; of other channels choose one"
        )
    return bands[:, :, 0] if bands.shape[2] == 1 else bands @ np.asarray(LUMA)
