"""Average precision as COCO computes it: greedy matching by score, then precision averaged over 101 recalls.

The rules are those of pycocotools, and so are the numbers: an object takes the pair with the largest IoU that is still
free, ignored objects come last, and a crowd may be taken any number of times. All images and thresholds are matched at
once: every predicted object proposes to its favourite, an annotated one keeps the proposal with the highest score, and
those who lost propose to their next until nobody loses. Since all annotated objects rank the predicted ones by the same
scores, this stable matching is the greedy one.

Where we add: predicted objects that lie mostly in ignored pixels count neither way if nothing matches them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from maskwright.metrics.object_counts import SIZES
from maskwright.metrics.scores import PrecisionCurve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from maskwright.metrics.object_overlap import Comparison, Objects

Kind = Literal["mask", "box"]
IOUS = np.linspace(0.5, 0.95, 10)
LEVELS = (0, 5)
"""Places in `IOUS` of 0.5 and 0.75."""
RECALLS = np.linspace(0.0, 1.0, 101)
AREAS = {"": (0.0, 1e10), **SIZES}
MOST = 100
"""Predicted objects of a class in an image that COCO counts: more than any of its images has."""


@dataclass(frozen=True, eq=False)
class Ranking:
    """Predicted objects from the highest score to the lowest, and what became of each.

    Attributes:
        image, index: int32 (m,), its image and class.
        hit: bool (T, m), whether it is a true positive at each threshold.
        counted: bool (T, m), whether it is a true or a false positive.
        true_image, true_index: int32 (n,), image and class of the objects to find.
    """

    image: NDArray[np.int32]
    index: NDArray[np.int32]
    hit: NDArray[np.bool_]
    counted: NDArray[np.bool_]
    true_image: NDArray[np.int32]
    true_index: NDArray[np.int32]


def rankings(compared: Comparison, kind: Kind, most: int = MOST) -> dict[str, Ranking]:
    """Match all objects of a class by their masks or by their boxes.

    Args:
        compared: the objects of all images.
        kind: what the IoU is of.
        most: predicted objects of a class in an image that count.

    Returns:
        Size -> ranking; the size `` is any size.
    """
    order, place = _by_score(compared.found, most)
    kept = place[compared.pairs[:, 1]] >= 0
    truth, found = compared.truth, compared.found
    overlap = _iou(compared, kind)[kept]
    area = _areas(found, kind)
    pairs = np.stack([compared.pairs[kept, 0], place[compared.pairs[kept, 1]]], axis=1)
    results = {}
    for size, (least, largest) in AREAS.items():
        ignored = truth.exempt | (truth.area < least) | (truth.area > largest)
        exempt = found.exempt | (area < least) | (area > largest)
        hit, counted = _outcomes(pairs, overlap, (ignored, truth.exempt), exempt[order])
        results[size] = Ranking(
            found.image[order], found.index[order], hit, counted, truth.image[~ignored], truth.index[~ignored]
        )
    return results


def average_precision(ranking: Ranking, classes: int) -> NDArray[np.float64]:
    """Return `levels` of the average precision of each class: (3, K); NaN for a class without an object."""
    return levels(precisions(ranking, classes).mean(axis=-1))


def precisions(ranking: Ranking, classes: int) -> NDArray[np.float64]:
    """Return the precision of each class at each threshold and each of `RECALLS`: (T, K, 101).

    It is 0 at a recall that is never reached, and NaN for a class without an object.
    """
    values = np.full((len(IOUS), classes, len(RECALLS)), np.nan)
    for part in _classes(ranking, classes):
        for row, (hit, counted) in enumerate(zip(part.hit, part.counted, strict=True)):
            highest = np.append(_curve(hit, counted)[1], 0.0)
            recall = np.arange(1, len(highest)) / part.true
            values[row, part.index] = highest[np.searchsorted(recall, RECALLS)]
    return values


def curves(ranking: Ranking) -> tuple[PrecisionCurve, ...]:
    """Return precision over recall at IoU 0.5 and 0.75, averaged over the classes with an object; none without any."""
    if not len(ranking.true_index):
        return ()
    values = np.nanmean(precisions(ranking, int(ranking.true_index.max()) + 1), axis=1)
    return tuple(PrecisionCurve(float(IOUS[row]), tuple(values[row].tolist())) for row in LEVELS)


def influence(ranking: Ranking, classes: int, images: int) -> NDArray[np.float64]:
    """Return by how much each image moves `levels` of the average precision of each class: (images, 3, K).

    It is the derivative by the weight of the image (the infinitesimal jackknife, Jaeckel 1972), of the area under the
    whole curve: 101 samples of the curve stand still until they jump.

    With weights w, hits h, counted predictions c and n objects to find, the area is sum_i w_i h_i P(a_i) / n, where
    P(k) = A(k) / B(k) is the precision of the first k predictions, and a_i the place of its highest value from i on.
    Raising w_j adds to the sum itself, to A(k) and B(k) of every k from j on, and to n.
    """
    moved = np.zeros((images, 3, classes))
    for part in _classes(ranking, classes):
        pairs = zip(part.hit, part.counted, strict=True)
        areas, own = zip(*(_area_influence(hit, counted) for hit, counted in pairs), strict=True)
        true = np.bincount(part.true_image, minlength=images)
        for level, (area, moves) in enumerate(zip(levels(np.array(areas)), levels(np.array(own)), strict=True)):
            sums = np.bincount(part.image, moves, minlength=images)
            moved[:, level, part.index] = (sums - true * area / part.true) / part.true
    return moved


def to_find(ranking: Ranking, classes: int, images: int) -> NDArray[np.float64]:
    """Count the objects to find of each image and class, three times over as for `levels`: (images, 3, K)."""
    place = ranking.true_image.astype(np.intp) * classes + ranking.true_index
    counts = np.bincount(place, minlength=images * classes).reshape(images, 1, classes)
    return np.repeat(counts, 3, axis=1).astype(np.float64)


def levels(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Reduce values (T, ...) at each threshold to what COCO reports (3, ...): their mean, at 0.5, at 0.75."""
    return np.stack([values.mean(axis=0), *(values[row] for row in LEVELS)])


@dataclass(frozen=True, eq=False)
class _Class:
    """One class of a `Ranking`; predictions that are counted at no threshold are left out."""

    index: int
    image: NDArray[np.int32]
    hit: NDArray[np.bool_]
    counted: NDArray[np.bool_]
    true_image: NDArray[np.int32]

    @property
    def true(self) -> int:
        """Number of objects to find."""
        return len(self.true_image)


def _classes(ranking: Ranking, classes: int) -> Iterator[_Class]:
    """Yield every class that has an object to find."""
    used = ranking.counted.any(axis=0)
    for index in range(classes):
        true_image = ranking.true_image[ranking.true_index == index]
        if len(true_image):
            chosen = np.flatnonzero(used & (ranking.index == index))
            hit, counted = ranking.hit[:, chosen], ranking.counted[:, chosen]
            yield _Class(index, ranking.image[chosen], hit, counted, true_image)


def _curve(
    hit: NDArray[np.bool_], counted: NDArray[np.bool_]
) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.intp]]:
    """Follow precision over recall at one threshold.

    Returns:
        Of each hit: the predictions counted up to it, the highest precision from it on, and the number of the hit that
        has this precision.
    """
    counts = np.cumsum(counted, dtype=np.intp)[hit]
    precision = np.arange(1, len(counts) + 1) / (counts + np.spacing(1))
    highest: NDArray[np.float64] = np.maximum.accumulate(precision[::-1])[::-1]
    peaks = np.flatnonzero(precision == highest)
    return counts, highest, peaks[np.searchsorted(peaks, np.arange(len(counts)))]


def _area_influence(hit: NDArray[np.bool_], counted: NDArray[np.bool_]) -> tuple[float, NDArray[np.float64]]:
    """Return the area times n, and its derivative by the weight of each prediction with n fixed; see `influence`."""
    counts, highest, top = _curve(hit, counted)
    weight = 1 / counts[top]
    to_hits, to_counts = (
        np.append(np.cumsum(np.bincount(top, part, minlength=len(top))[::-1])[::-1], 0.0)
        for part in (weight, weight * highest)
    )
    before = np.cumsum(hit, dtype=np.intp) - hit
    return float(highest.sum()), hit * (np.append(highest, 0.0) + to_hits)[before] - counted * to_counts[before]


def _by_score(found: Objects, most: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rank objects by score; equal scores keep their order.

    Returns:
        The objects in this order, without those beyond the `most` best of a class in an image; and for each object its
        place in it, or -1.
    """
    order = np.argsort(-found.score, kind="stable")
    kinds = np.lexsort((np.arange(len(order)), found.index[order], found.image[order]))
    image, index = found.image[order][kinds], found.index[order][kinds]
    starts = np.flatnonzero(np.diff(image, prepend=-1) | np.diff(index, prepend=-1))
    rank = np.empty(len(order), np.intp)
    rank[kinds] = np.arange(len(order)) - np.repeat(starts, np.diff(starts, append=len(order)))
    order = order[rank < most]
    place = np.full(len(found), -1)
    place[order] = np.arange(len(order))
    return order, place


def _outcomes(
    pairs: NDArray[np.intp],
    overlap: NDArray[np.float64],
    truth: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    exempt: NDArray[np.bool_],
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Match at each threshold.

    Args:
        pairs: (p, 2) annotated object, rank of the predicted object.
        overlap: IoU (p,).
        truth: which annotated objects (n,) are ignored, and which of them are crowds.
        exempt: (m,), which predicted objects by rank count neither way without a match.

    Returns:
        `Ranking.hit` and `Ranking.counted`.
    """
    ignored, crowd = truth
    true, found = pairs.T
    order = np.lexsort((-true, -overlap, ignored[true], found))  # of equal IoUs, pycocotools takes the last
    true, found, overlap = true[order], found[order], overlap[order]
    hit = np.zeros((len(IOUS), len(exempt)), np.bool_)
    counted = np.repeat(~exempt[None], len(IOUS), axis=0)
    for row, threshold in enumerate(IOUS):
        near = overlap >= min(threshold, 1 - 1e-10)
        taken, takers = _greedy(true[near], found[near], crowd)
        hit[row, takers] = counted[row, takers] = ~ignored[taken]
    return hit, counted


def _greedy(
    true: NDArray[np.intp], found: NDArray[np.intp], crowd: NDArray[np.bool_]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Match pairs, which are sorted by the rank of the predicted object, then by its preference."""
    holder = np.empty(len(crowd), np.intp)
    while True:
        first = np.flatnonzero(np.diff(found, prepend=-1))
        single = first[~crowd[true[first]]]
        holder[true[single[::-1]]] = single[::-1]  # of several, the one with the highest score is written last
        lost = single[holder[true[single]] != single]
        if not len(lost):
            return true[first], found[first]
        true, found = np.delete(true, lost), np.delete(found, lost)


def _iou(compared: Comparison, kind: Kind) -> NDArray[np.float64]:
    """Divide shared areas by those of the unions, or by those of the predicted objects if the other is a crowd."""
    true, found = compared.pairs.T
    shared = compared.shared if kind == "mask" else _shared_boxes(compared.truth.box[true], compared.found.box[found])
    ours, theirs = _areas(compared.truth, kind)[true], _areas(compared.found, kind)[found]
    return shared / np.maximum(np.where(compared.truth.exempt[true], theirs, ours + theirs - shared), 1)


def _areas(objects: Objects, kind: Kind) -> NDArray[np.int64]:
    return objects.area if kind == "mask" else _shared_boxes(objects.box, objects.box)


def _shared_boxes(ours: NDArray[np.int32], theirs: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return the common area of boxes (p, 4) that overlap."""
    sides = np.minimum(ours[:, 2:], theirs[:, 2:]) - np.maximum(ours[:, :2], theirs[:, :2])
    return sides.astype(np.int64).prod(axis=1)
