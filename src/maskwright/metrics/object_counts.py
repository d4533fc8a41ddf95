"""Counts of objects by image and class, which may be added up over images, and the scores that follow from the sums.

- F1, precision, recall and average precision TP / (TP + FP + FN) at an IoU (Caicedo et al. 2019; Schmidt et al. 2018).
- Panoptic quality (Kirillov et al. 2019): PQ = SQ x RQ, matched above an IoU of 1/2.
- Boundary IoU (Cheng et al. 2021), the mean over the same pairs.
- The aggregated Jaccard index (Kumar et al. 2017, algorithm 1) of each image, averaged over images. Each annotated
  object takes the predicted one with the largest IoU, even if another has taken it. (AJI+ takes each only once.)

Ignored pixels belong to no predicted object. One that lies mostly in them, or in a crowd, is no false positive.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from maskwright.metrics.confusion import dice, iou, precision, ratio, recall
from maskwright.metrics.matching import THRESHOLDS, best_matches
from maskwright.metrics.object_overlap import CLOSE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maskwright.metrics.object_overlap import Comparison, Objects

    Array = NDArray[np.float64]

SIZES = {"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}
"""Areas in pixels of COCO's sizes; both ends are included, so an area of 32 x 32 is small and medium."""
_FIELDS = ("objects", "hits", "extras", "overlap", "boundary", "jaccard", "jaccards", "miscounted", "images", *SIZES)


def object_sums(compared: Comparison, images: int, classes: int) -> Array:
    """Count the objects of every image and class: (images, K, M). `object_values` reads them, or sums of them."""
    overlap, truth, shape = compared.iou, compared.truth, (images, classes)
    true = _by_class(truth, ~truth.exempt, shape)
    at = [_positives(compared, best_matches(compared, overlap, overlap >= level), shape) for level in THRESHOLDS]
    matches = best_matches(compared, overlap, overlap > CLOSE)
    above = _positives(compared, matches, shape)
    jaccard = _jaccard(compared, overlap, shape)
    fields = {
        "objects": true,
        "hits": above[0],
        "extras": above[1],
        "overlap": _by_class(truth, compared.pairs[matches, 0], shape, overlap[matches]),
        "boundary": _by_class(truth, compared.pairs[matches, 0], shape, compared.boundary[matches]),
        "jaccard": np.nan_to_num(jaccard),
        "jaccards": ~np.isnan(jaccard),
        "miscounted": np.abs(at[0][0] + at[0][1] - true),
        "images": np.ones(shape),
    }
    for size, (least, most) in SIZES.items():
        fields[size] = _by_class(truth, ~truth.exempt & (truth.area >= least) & (truth.area <= most), shape)
    columns = [hits for hits, _ in at] + [extras for _, extras in at] + [fields[name] for name in _FIELDS]
    return np.stack(columns, axis=-1)


def object_values(sums: Array) -> dict[str, Array]:
    """Compute the scores by class.

    Args:
        sums: (..., K, M) of one image or of several.

    Returns:
        Metric key -> (..., K), NaN where it is undefined.
    """
    hits, extras, rest = np.split(sums, [len(THRESHOLDS), 2 * len(THRESHOLDS)], axis=-1)
    field = dict(zip(_FIELDS, np.moveaxis(rest, -1, 0), strict=True))
    true = field["objects"]
    counts = np.stack([hits, hits + extras, np.broadcast_to(true[..., None], hits.shape)], axis=-1)
    above = np.stack([field["hits"], field["hits"] + field["extras"], true], axis=-1)
    recognition = dice(above)
    quality, outlines = (
        np.where(np.isnan(recognition), np.nan, np.nan_to_num(ratio(field[name], field["hits"])))
        for name in ("overlap", "boundary")
    )
    predicted = hits[..., 0] + extras[..., 0]
    return {
        "f1": dice(counts[..., 0, :]),
        **_at_thresholds("f1_", dice(counts)),
        "precision": precision(counts[..., 0, :]),
        "recall": recall(counts[..., 0, :]),
        "cell_ap": iou(counts).mean(axis=-1),
        **_at_thresholds("cell_ap", iou(counts)),
        "pq": quality * recognition,
        "sq": quality,
        "rq": recognition,
        "boundary_iou": outlines,
        "aji": ratio(field["jaccard"], field["jaccards"]),
        "count_bias": ratio(predicted - true, field["images"]),
        "count_error": ratio(field["miscounted"], field["images"]),
        "objects": true,
        "predicted": predicted,
        **{f"objects_{size}": field[size] for size in SIZES},
    }


def _at_thresholds(key: str, values: Array) -> dict[str, Array]:
    """Name values (..., K, T) by the percent of their IoU."""
    return {f"{key}{round(100 * level)}": values[..., place] for place, level in enumerate(THRESHOLDS)}


def _by_class(
    objects: Objects,
    chosen: NDArray[np.bool_] | NDArray[np.integer],
    shape: tuple[int, int],
    weights: NDArray[Any] | None = None,
) -> Array:
    """Count the chosen objects, or add up their weights, by image and class: `shape`."""
    place = objects.image[chosen].astype(np.intp) * shape[1] + objects.index[chosen]
    return np.bincount(place, weights, minlength=shape[0] * shape[1]).reshape(shape).astype(np.float64)


def _positives(compared: Comparison, matches: NDArray[np.intp], shape: tuple[int, int]) -> tuple[Array, Array]:
    """Count true and false positives by image and class, given the places of the matched pairs (k,)."""
    found = compared.pairs[matches, 1]
    extra = ~compared.excused
    extra[found] = False
    return _by_class(compared.found, found, shape), _by_class(compared.found, extra, shape)


def _jaccard(compared: Comparison, overlap: Array, shape: tuple[int, int]) -> Array:
    """Return the aggregated Jaccard index by image and class; NaN for a class in neither truth nor prediction."""
    truth, found = compared.truth, compared.found
    near = np.flatnonzero((compared.shared > 0) & ~truth.exempt[compared.pairs[:, 0]])
    ranked = near[np.lexsort((-overlap[near], compared.pairs[near, 0]))]
    true, first = np.unique(compared.pairs[ranked, 0], return_index=True)
    best = ranked[first]
    taken, shared = compared.pairs[best, 1], compared.shared[best]
    missed, extra = ~truth.exempt, ~compared.excused
    missed[true] = extra[taken] = False
    union = _by_class(truth, true, shape, truth.area[true] + found.area[taken] - shared)
    union += _by_class(truth, missed, shape, truth.area[missed])
    union += _by_class(found, extra, shape, found.area[extra])
    return ratio(_by_class(truth, true, shape, shared), union)
