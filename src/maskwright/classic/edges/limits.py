"""Thresholds of lines, from the ridges of one image: given ones, and automatic ones. Knows no method."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from maskwright.core.errors import MaskwrightError
from maskwright.ops.edges import thin

if TYPE_CHECKING:
    from numpy.typing import NDArray

FAINT = 1e-3
"""A quarter of a grey value of 8-bit images."""
NOISE_SHARE = 0.08
"""Of the pixels on thinned ridges where noise or texture fills an image: measured .09 to .27 on photographs."""
AROUND = 31
"""Side of the square around a ridge whose pixels are counted."""
PAPER = 0.25
"""Share of these pixels that are flat, from which a ridge is drawn on a clean ground."""
STRONGEST = 0.02
"""Share of the ridges that reach the automatic threshold at least: 3 % and more do by the rule on photographs."""
LEAST = 0.1
"""Of the usual threshold that is left in clean drawings."""
SHARE = 0.5
"""Of the upper threshold that the lower one is, as Canny advises (a half to a third)."""


def thresholds(
    ridges: NDArray[np.float32],
    low: float | None = None,
    high: float | None = None,
    *,
    gone: NDArray[np.bool_] | None = None,
    flat: NDArray[np.bool_] | None = None,
    faint: float = FAINT,
) -> tuple[float, float]:
    """Return the thresholds of lines: those given, and automatic ones for the others.

    Args:
        ridges: strength (H, W) along the middle of edges, as `EdgeMethod.ridges` returns it.
        low: least strength of a line; None for `SHARE` of `high`.
        high: strength that each line has somewhere; None for one from the ridges: see `_usual`.
        gone: where the image (H, W) has no data; None for nowhere.
        flat: pixels (H, W) of the image that do not differ from their neighbours; None for nowhere.
        faint: of the method.

    Raises:
        MaskwrightError: a threshold outside 0..1, or `low` above `high`.
    """
    for name, value in (("low", low), ("high", high)):
        if value is not None and not 0 < value <= 1:
            raise MaskwrightError(f"`{name}` is {value:g}, and it must be above 0, and 1 at most", name)
    if high is None:
        mask = thin(ridges > faint)
        high = max(_usual(ridges[mask].astype(np.float64), _doubt(mask, gone, flat), faint), low or 0.0)
    if low is None:
        return SHARE * high, high
    if low > high:
        raise MaskwrightError(f"`low` is {low:g} and `high` is {high:g}: give a `low` of {high:g} or less", "low")
    return low, high


def _usual(values: NDArray[np.float64], doubt: float, faint: float) -> float:
    """Return the upper threshold for thinned ridges (n,): the mean plus the standard deviation, times the doubt.

    Of ridges that are alike, the mean plus the deviation may be more than all, so that the threshold is at most what
    the strongest `STRONGEST` reach.
    """
    if not values.size:
        return 1.0
    most = min(values.mean() + values.std(), np.quantile(values, 1 - STRONGEST, method="higher"))
    return float(np.clip(most * max(doubt, LEAST), faint / SHARE, 1))


def _doubt(mask: NDArray[np.bool_], gone: NDArray[np.bool_] | None, flat: NDArray[np.bool_] | None) -> float:
    """Return how far thinned ridges (H, W) may be noise or texture, from 0 to 1.

    Such ridges are dense, and no pixel between them is flat. So doubt is in proportion to the mean share of ridges in
    the squares around them, and to the share of ridges that have few flat pixels around them.
    """
    if not mask.any():
        return 1.0
    known = np.ones(mask.shape, np.bool_) if gone is None else ~gone
    pixels = np.maximum(_counted(known)[mask], 1)
    dense = (_counted(mask)[mask] / pixels).mean() / NOISE_SHARE
    drawn = 0.0 if flat is None else (_counted(flat & known)[mask] / pixels >= PAPER).mean()
    return float(min(1, dense) * (1 - drawn))


def _counted(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return how many pixels of a mask (H, W) are in the square around each pixel."""
    return cv2.boxFilter(mask.astype(np.float32), -1, (AROUND, AROUND), normalize=False, borderType=cv2.BORDER_CONSTANT)
