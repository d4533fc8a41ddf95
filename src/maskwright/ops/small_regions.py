"""Connected regions of a label map: size, border, and who takes over a region that goes. Knows no class by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from maskwright.ops.tiles import UNCUT, Cuts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

CODES = 256
"""Values of a label map, `IGNORE` included."""


@dataclass(frozen=True, eq=False)
class Regions:
    """The connected regions of a label map; pixels that touch at a corner are connected.

    Attributes:
        ids: int32 (H, W), number 0..R-1 of the region of each pixel.
        labels: uint8 (R,), its class index, or `IGNORE`.
        areas: int64 (R,), its pixels.
        borders: int64 (R, K), pairs of adjacent pixels of which one is in the region and the other of another class;
            `IGNORE` is no class. All 0 for a region that is cut, since nothing is known of the rest of its border.
    """

    ids: NDArray[np.int32]
    labels: NDArray[np.uint8]
    areas: NDArray[np.int64]
    borders: NDArray[np.int64]

    @property
    def surrounding(self) -> NDArray[np.uint8]:
        """Class (R,) that a region takes if it goes: that of most of its border; its own one without a known border."""
        stays = ~self.borders.any(axis=1) | (self.labels >= self.borders.shape[1])
        return np.where(stays, self.labels, self.borders.argmax(axis=1)).astype(np.uint8)

    def without(self, gone: NDArray[np.bool_]) -> NDArray[np.uint8]:
        """Return the label map (H, W) in which some regions (R,) have the class around them."""
        return np.asarray(np.where(gone, self.surrounding, self.labels)[self.ids])


def regions_of(labels: NDArray[np.uint8], classes: int, cuts: Cuts = UNCUT) -> Regions:
    """Divide a label map into its connected regions.

    Args:
        labels: class indices 0..K-1 or `IGNORE`, uint8 (H, W).
        classes: K.
        cuts: sides where the image goes on: regions that touch them may be larger than they look.
    """
    ids = np.zeros(labels.shape, np.int32)
    own: list[int] = []
    for index in np.unique(labels).tolist():
        number, places = cv2.connectedComponents((labels == index).view(np.uint8), connectivity=8)
        inside = places > 0
        ids[inside] = places[inside] + (len(own) - 1)
        own += [index] * (number - 1)
    borders = np.zeros((len(own), classes), np.int64)
    for region, neighbour in _borders(ids, labels):
        known = neighbour < classes
        codes = region[known] * np.int64(classes) + neighbour[known]
        borders += np.bincount(codes, minlength=borders.size).reshape(borders.shape)
    for edge, cut in zip((ids[0], ids[-1], ids[:, 0], ids[:, -1]), cuts, strict=True):
        if cut:
            borders[edge] = 0
    return Regions(ids, np.array(own, np.uint8), np.bincount(ids.ravel(), minlength=len(own)), borders)


def _borders(
    ids: NDArray[np.int32], labels: NDArray[np.uint8]
) -> Iterator[tuple[NDArray[np.int32], NDArray[np.uint8]]]:
    """Yield the region of a pixel and the class of the adjacent one, for all adjacent pixels of different classes."""
    for before, after in (((slice(-1), slice(None)), (slice(1, None), slice(None))),
                          ((slice(None), slice(-1)), (slice(None), slice(1, None)))):  # fmt: skip
        differ = labels[before] != labels[after]
        yield ids[before][differ], labels[after][differ]
        yield ids[after][differ], labels[before][differ]
