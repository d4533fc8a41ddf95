"""The region of a prediction that is explained, and how strongly altered images still support it. Knows no map.

A predictor sees an altered image as it would see any other, so this works for every engine and for networks that emit
objects, and all coordinates are those of the image.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np

from maskwright.core.channels import CLASS_GROUP, EDGE_GROUP, emits_objects, places
from maskwright.diagnosis.pixel_labels import pixel_labels
from maskwright.ops.images import working_size_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maskwright.inference.predictor import Predictor

CELLS = 4
"""Cells along each side of the image whose means are its coarse colour."""


FLOOR = 0.05
"""Probability from which on two classes are compared: where both are gone, nothing is decided between them."""


class Support(NamedTuple):
    """How strongly a prediction supports a class at each pixel.

    Attributes:
        probability: float32 (H, W); of a network that emits objects, 1 where the class is predicted and 0 elsewhere.
        kept: bool (H, W), where the class is predicted.
    """

    probability: NDArray[np.float32]
    kept: NDArray[np.bool_]


class Held(NamedTuple):
    """What is left of a region in an altered image.

    Attributes:
        probability: of the class against its rival, mean over the region, 0..1; see `Region.rival`.
        kept: share of the region that still has the class.
    """

    probability: float
    kept: float


@dataclass(frozen=True, eq=False)
class Region:
    """A connected part of one class in the prediction of an image.

    Attributes:
        predictor: that made it.
        image: (H, W) or (H, W, C), what the network sees at once; a part of the user's image if that is larger.
        origin: (row, column) of its first pixel in the user's image.
        index: of the class; 0 for the edges of a network of edges.
        mask: bool (H, W), the pixels of the region.
        rival: the likeliest other class there, against which the class is explained; the background only if there is
            no other. None where a network tells nothing but whether a class is there.
    """

    predictor: Predictor
    image: NDArray[Any]
    origin: tuple[int, int]
    index: int
    mask: NDArray[np.bool_]
    rival: int | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of what is seen."""
        return self.mask.shape[0], self.mask.shape[1]

    def held(self, image: NDArray[Any]) -> Held:
        """Return what is left of the region in an altered image (H, W) or (H, W, C)."""
        found = supports(self.predictor, image)
        own = found[self.index].probability[self.mask]
        if self.rival is not None:
            own = (own + FLOOR * self._prior) / (own + found[self.rival].probability[self.mask] + FLOOR)
        return Held(float(own.mean()), float(found[self.index].kept[self.mask].mean()))

    @cached_property
    def _prior(self) -> float:
        """The class against its rival in the image as it is: what counts where an alteration leaves neither."""
        assert self.rival is not None
        found = supports(self.predictor, self.image)
        own, other = (found[index].probability[self.mask].astype(np.float64) for index in (self.index, self.rival))
        return float((own / np.maximum(own + other, 1e-9)).mean())

    @cached_property
    def base(self) -> float:
        """Mean probability of the class over the region, in the image as it is."""
        return self.held(self.image).probability

    def with_predictor(self, predictor: Predictor) -> Region:
        """Return the same region for another network."""
        return Region(predictor, self.image, self.origin, self.index, self.mask, self.rival)


def region_at(predictor: Predictor, image: NDArray[Any], x: int, y: int) -> Region:
    """Return the connected region around a point of an image, within what the network sees at once.

    Args:
        predictor: without a postprocessor, whose influence reaches further than the network's.
        image: (H, W) or (H, W, C).
        x: column of the point.
        y: row of the point.
    """
    rows, columns = window(predictor, (image.shape[0], image.shape[1]), x, y)
    part = image[rows, columns]
    row, column = y - rows.start, x - columns.start
    found = supports(predictor, part)
    index = int(np.argmax([entry.kept[row, column] + entry.probability[row, column] for entry in found]))
    kept = found[index].kept
    if kept.any() and not kept[row, column]:  # beside an edge, for example: take what is nearest
        near = np.argwhere(kept)
        row, column = near[np.square(near - (row, column)).sum(1).argmin()]
    _, parts = cv2.connectedComponents(kept.astype(np.uint8), connectivity=8)
    mask = np.asarray(kept & (parts == parts[row, column]))
    rival = _rival(predictor, found, index, mask)
    return Region(predictor, part, (rows.start, columns.start), index, mask, rival)


def _rival(predictor: Predictor, found: list[Support], index: int, mask: NDArray[np.bool_]) -> int | None:
    """Return the likeliest other class over a region."""
    if len(found) < 2 or emits_objects(predictor.card.channels) or not mask.any():
        return None
    others = [other for other in range(len(found)) if other != index]
    things = [other for other in others if other != predictor.classes.background]
    return max(things or others, key=lambda other: float(found[other].probability[mask].mean()))


def window(predictor: Predictor, size: tuple[int, int], x: int, y: int) -> tuple[slice, slice]:
    """Return rows and columns of what the network sees at once around a point: one tile, or the whole image."""
    working = working_size_of(size, predictor.card.data)
    found = []
    for side, seen, tile, center in zip(size, working, predictor.card.predict.tile_size, (y, x), strict=True):
        length = min(side, max(1, tile * side // seen))
        start = min(max(0, center - length // 2), side - length)
        found.append(slice(start, start + length))
    return found[0], found[1]


def supports(predictor: Predictor, image: NDArray[Any]) -> list[Support]:
    """Return how strongly the prediction of an image supports each class; edges alone for a network of edges."""
    groups = predictor.card.channels
    if emits_objects(groups):
        size = image.shape[0], image.shape[1]
        labels, _ = pixel_labels(predictor.result(image), size, predictor.classes)
        assert labels is not None
        kept = [np.asarray(labels == index) for index in range(len(predictor.classes))]
        return [Support(where.astype(np.float32), where) for where in kept]
    maps = np.nan_to_num(predictor.maps(image))
    parts = places(groups)
    maps = maps[parts[CLASS_GROUP] if CLASS_GROUP in parts else parts[EDGE_GROUP]]
    if len(maps) == 1:
        return [Support(maps[0], maps[0] >= 0.5)]
    best = maps.argmax(0)
    return [Support(values, best == index) for index, values in enumerate(maps)]


def plain(image: NDArray[Any]) -> NDArray[np.float32]:
    """Return an image, float32 of the same shape, of the median colour: what fills a place from which things are gone.

    The mean, or a blurred copy, would keep some of the colour of what was removed.
    """
    middle = np.nanmedian(np.ma.filled(np.asarray(image, np.float32), np.nan), axis=(0, 1))
    return np.ascontiguousarray(np.broadcast_to(np.nan_to_num(middle), image.shape), np.float32)


def low_pass(image: NDArray[Any]) -> NDArray[np.float32]:
    """Return what is left of an image, float32 of its shape, when all but its coarsest light and colour is gone."""
    size = image.shape[1], image.shape[0]
    values = np.nan_to_num(np.asarray(image, np.float32)).reshape(*image.shape[:2], -1)
    planes = [
        cv2.resize(cv2.resize(plane, (CELLS, CELLS), interpolation=cv2.INTER_AREA), size)
        for plane in np.moveaxis(values, 2, 0)
    ]
    return np.stack(planes, 2).reshape(image.shape)


def removed(image: NDArray[Any], gone: NDArray[np.float32], filling: NDArray[np.float32]) -> NDArray[Any]:
    """Return an image whose pixels are replaced by a filling as far as `gone` (H, W), 0..1, says."""
    weight = gone if image.ndim == 2 else gone[..., None]
    values = np.asarray(image, np.float32) * (1 - weight) + filling * weight
    if image.dtype.kind in "ui":
        limits = np.iinfo(image.dtype)
        values = np.clip(np.round(values), limits.min, limits.max)
    changed = values.astype(image.dtype)
    return np.ma.masked_array(changed, image.mask) if isinstance(image, np.ma.MaskedArray) else changed
