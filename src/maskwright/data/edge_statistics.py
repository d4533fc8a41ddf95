"""Drawn edges, counted: how many people drew an image, how many pixels, and how far they agree. Knows no file."""

from __future__ import annotations

from math import hypot
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from maskwright.core.edges import REACH
from maskwright.core.fingerprint import EdgeStats
from maskwright.data.statistics import spread

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class DrawnStats(NamedTuple):
    """The drawn edges of one image.

    Attributes:
        people: who drew them.
        share: of the pixels that a person marked, the mean over people.
        agreement: share of a person's edge pixels within `REACH` of another's, the mean over pairs of people; None
            where nothing can be compared.
        soft: whether the one map is what half of the people marked, of a picture of shares.
    """

    people: int
    share: float
    agreement: float | None
    soft: bool = False


def measured(maps: Sequence[NDArray[np.bool_]], *, soft: bool = False) -> DrawnStats:
    """Measure maps (H, W), one a person, or a single one of a picture of shares."""
    size = maps[0].shape
    reach = int(REACH * hypot(*size))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    around = [cv2.dilate(drawn.astype(np.uint8), disc) > 0 for drawn in maps]
    found = [
        float(near[drawn].mean())
        for place, drawn in enumerate(maps)
        for other, near in enumerate(around)
        if other != place and drawn.any()
    ]
    share = float(np.mean([drawn.mean() for drawn in maps]))
    return DrawnStats(len(maps), share, float(np.mean(found)) if found else None, soft)


class EdgeMeter:
    """Running statistics of drawn edges."""

    def __init__(self) -> None:
        self._images: list[DrawnStats] = []

    def add(self, image: DrawnStats) -> None:
        """Add one image."""
        self._images.append(image)

    def stats(self) -> EdgeStats | None:
        """Return the statistics; None without an image."""
        if not self._images:
            return None
        known = [entry.agreement for entry in self._images if entry.agreement is not None]
        return EdgeStats(
            images=len(self._images),
            people=spread([entry.people for entry in self._images]),
            share=float(np.mean([entry.share for entry in self._images])),
            agreement=float(np.mean(known)) if known else None,
            soft=sum(entry.soft for entry in self._images),
        )
