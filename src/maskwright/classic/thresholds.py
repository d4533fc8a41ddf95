"""Thresholds: the classes of an image by its brightness alone. Knows no file."""

from __future__ import annotations

from numbers import Integral
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from scipy import ndimage
from skimage.filters import threshold_multiotsu, threshold_otsu

from maskwright.classic.planes import check_array
from maskwright.core.classes import IGNORE
from maskwright.core.errors import MaskwrightError, unknown_name
from maskwright.core.text import plural
from maskwright.ops.images import LUMA
from maskwright.ops.no_data import missing

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Grey = NDArray[np.float64]
    Mask = NDArray[np.bool_]

MOST_CLASSES = 5
"""The time of multi-Otsu grows with bins^(classes - 1)."""
EDGE_SIGMA = 1.0
SURFACE_SHARE = 1 / 16
"""Sigma by which a local threshold is smoothed, as a share of the shorter side."""
WINDOW_SHARE = 1 / 48
"""Sigma of the window in which flat places are looked for, as a share of the shorter side."""
FLAT_SHARE = 0.2
"""A place is flat if its standard deviation is below this share of the greatest in the image."""
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
    check_array(image, "an image")
    if method not in THRESHOLDS:
        raise unknown_name("method", str(method), THRESHOLDS, "method")
    grey = _grey(image)
    known = np.isfinite(grey)
    values = len(np.unique(grey[known]))
    most = MOST_CLASSES if method == "multi-otsu" else 2
    if not (isinstance(classes, Integral) and 2 <= classes <= most):
        cure = "give a number in this range" if most > 2 else "give 2, or choose multi-otsu"
        raise MaskwrightError(
            f"classes is {classes!r}, but {method} finds {'2' if most == 2 else f'2 to {most}'}: {cure}", "classes"
        )
    if values < classes:
        raise MaskwrightError(
            f"the image has {plural(values, 'different value')}, too few for {classes} classes: choose another image"
            + (", or fewer classes" if classes > 2 else "")
        )
    return np.where(known, THRESHOLDS[method](grey, known, classes), IGNORE).astype(np.uint8)


def _otsu(grey: Grey, known: Mask, _classes: int) -> NDArray[Any]:
    """Otsu 1979, "A Threshold Selection Method from Gray-Level Histograms"."""
    levels = _levels(grey[known])
    return grey > threshold_otsu(levels) + _half_step(levels)


def _multi_otsu(grey: Grey, known: Mask, classes: int) -> NDArray[Any]:
    """Liao, Chen and Chung 2001, "A Fast Algorithm for Multilevel Thresholding"."""
    levels = _levels(grey[known])
    try:
        found = threshold_multiotsu(levels, classes)
    except ValueError:  # it counts the steps of its histogram that are not empty
        raise MaskwrightError(
            f"almost all values of the image are so close together, beside its range of {np.ptp(levels):g}, that they "
            f"are fewer than {classes} steps of a 256th of it: clip its outliers, or choose fewer classes"
        ) from None
    return np.digitize(grey, found + _half_step(levels), right=True)


def _local(grey: Grey, known: Mask, _classes: int) -> NDArray[Any]:
    """Yanowitz and Bruckstein 1989, "A New Method for Image Segmentation": a surface through the brightness of edges.

    Flat places have no edge near them to rely on, so each connected flat place is of one class, that of its mean
    (Bernsen 1986 has such a rule of contrast). The paper's relaxation is replaced with push-pull interpolation.
    """
    rows, columns = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)
    least = grey[known].min()
    values = (grey[rows, columns] - least) / (grey[known].max() - least)
    side = min(values.shape)
    steepness = ndimage.gaussian_gradient_magnitude(values, EDGE_SIGMA)
    steepness = np.rint(255 * steepness / max(steepness.max(), np.finfo(float).tiny)).astype(np.int64)
    edges = (steepness >= threshold_otsu(steepness)).astype(np.float64)
    surface = _interpolated(ndimage.gaussian_filter(values, EDGE_SIGMA), edges)
    above = values - ndimage.gaussian_filter(surface, SURFACE_SHARE * side)
    sigma = max(WINDOW_SHARE * side, 1.0)
    variance = ndimage.gaussian_filter(values**2, sigma) - ndimage.gaussian_filter(values, sigma) ** 2
    places, count = ndimage.label(variance < FLAT_SHARE**2 * variance.max())
    means = np.append(0.0, ndimage.mean(above, places, np.arange(1, count + 1)))
    return np.where(places > 0, means[places], above) > 0


def _interpolated(values: Grey, weights: Grey) -> Grey:
    """Keep values (H, W) of weight 1, and fill those of weight 0 from coarser and coarser weighted means."""
    if min(values.shape) <= 2:
        return np.full_like(values, np.average(values, weights=weights))
    weighted, total = (
        np.asarray(cv2.resize(plane, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.float64)
        for plane in (values * weights, weights)
    )
    coarse = _interpolated(weighted / np.maximum(total, np.finfo(float).tiny), np.minimum(4 * total, 1))
    smooth = cv2.resize(coarse, values.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return weights * values + (1 - weights) * smooth


def _levels(values: NDArray[np.float64]) -> NDArray[Any]:
    """Return whole numbers of few bits as integers: each is then a bin of the histogram, not a 256th of the range."""
    whole = np.rint(values)
    return whole.astype(np.int64) if np.ptp(values) < FEW_BITS and np.array_equal(whole, values) else values


def _half_step(levels: NDArray[Any]) -> float:
    """Return how far the upper end of a bin of the histogram lies above its middle, which thresholds name."""
    return 0.0 if levels.dtype.kind == "i" else float(np.ptp(levels)) / (2 * FEW_BITS)


THRESHOLDS: dict[str, Callable[[Grey, Mask, int], NDArray[Any]]] = {
    "otsu": _otsu,
    "multi-otsu": _multi_otsu,
    "local": _local,
}
"""Name -> function of brightness (H, W), where it is known, and the number of classes that returns classes (H, W)."""


def _grey(image: NDArray[Any]) -> NDArray[np.float64]:
    """Return the brightness (H, W), NaN where it is not known."""
    if image.dtype.kind not in "buif":
        raise MaskwrightError(f"an array of {image.dtype} has no brightness: give numbers, whole or floating-point")
    bands = np.asarray(image, np.float64)[..., None] if image.ndim == 2 else np.asarray(image, np.float64)
    if bands.ndim != 3 or bands.shape[2] not in {1, 3} or not bands.size:
        raise MaskwrightError(
            f"an array of shape {image.shape} has no brightness: give (height, width) or RGB (height, width, 3), all "
            "above 0; of other channels choose one"
        )
    grey = bands[:, :, 0] if bands.shape[2] == 1 else bands @ np.asarray(LUMA)
    gone = missing(image)
    return grey if gone is None else np.where(gone if gone.ndim == 2 else gone.any(axis=2), np.nan, grey)
