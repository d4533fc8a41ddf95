"""From the counts of single images to ODS, OIS and AP of a data set, with their intervals. Knows no pixels.

Arbelaez et al. 2011, "Contour Detection and Hierarchical Image Segmentation", section 2, and the benchmark's code:

- Precision, recall and F1 at a threshold come from the counts of all images together. A ratio of 0 / 0 is 0.
- ODS (optimal data-set scale) is the largest F1 over one threshold for all images. Between neighbouring thresholds,
  precision and recall are interpolated linearly, in a hundred steps.
- OIS (optimal image scale): each image has its own best threshold, one of those counted; the counts there are added up
  over images, and give one F1.
- AP (average precision) is the sum of the precision at the recalls 0, 0.01, ..., 1, divided by 100. The precision is
  interpolated linearly over recall, and is 0 at recalls below the smallest and above the largest one found. If several
  thresholds give the same recall, the lowest of them counts.

Where we differ: if several thresholds of an image have the same F1, we take the highest one and not the lowest. This
matters only where nothing is matched: for example, an image without a true edge adds as few wrong pixels as possible.
If all thresholds give the same recall, as for a binary map, there is no curve: AP is undefined, and not 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from maskwright.metrics.edge_counts import thresholds_of
from maskwright.metrics.scores import EdgeScores, ImageScore, Metric, Scores
from maskwright.metrics.summary import estimated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

EDGE_METRICS = (
    Metric("ods", "ODS", "F1 score of edge pixels at the best threshold for all images."),
    Metric("ois", "OIS", "F1 score of edge pixels with the best threshold for each image.", rank=1),
    Metric("ap", "AP", "Average precision of edge pixels over recall.", rank=1),
    Metric("precision", "Precision", "Share of found edge pixels near a true one, at the threshold of ODS.", rank=2),
    Metric("recall", "Recall", "Share of true edge pixels that are found, at the threshold of ODS.", rank=2),
)
IMAGE_METRICS = (
    Metric("f1", "F1", "F1 score of edge pixels at the best threshold for all images."),
    Metric("best_f1", "Best F1", "F1 score of edge pixels at the best threshold for the image.", rank=1),
)
STEPS = 100
"""Points from one threshold to the next, both included, at which ODS interpolates."""


@dataclass(frozen=True)
class ImageEdges:
    """What is kept of one image.

    Attributes:
        id, group: of the image.
        counts: (K, 4), from `metrics.edge_counts.edge_counts`.
    """

    id: str
    group: str | None
    counts: NDArray[np.int64]


def edge_scores(task: str, images: Sequence[ImageEdges]) -> Scores:
    """Turn counts into scores.

    All values are None if no image has a true edge, and those of an image without one are None too.

    Args:
        task: for `Scores.task`.
        images: at least one; the counts of all are at the same thresholds.
    """
    counts = np.stack([image.counts for image in images]).astype(np.float64)
    groups = [image.group for image in images]
    number = counts.shape[1]

    def measure(sums: Array) -> Array:
        return _values(sums[:, :-4].reshape(-1, number, 4), sums[:, -4:])

    sums = np.concatenate([counts.reshape(len(images), -1), _at_best(counts)], axis=1)
    estimates = estimated(sums, groups, measure, np.ones(len(EDGE_METRICS)))
    precision, recall, f1 = rates(counts.sum(0))
    at = _best(precision[None], recall[None])
    return Scores(
        task=task,
        metrics=EDGE_METRICS,
        image_metrics=IMAGE_METRICS,
        headline="ods",
        images=len(images),
        groups=len(set(groups) - {None}),
        classes=(),
        mean={metric.key: estimate for metric, estimate in zip(EDGE_METRICS, estimates, strict=True)},
        per_image=_image_scores(images, counts, int(f1.argmax())),
        edges=EdgeScores(
            float(np.interp(at, np.arange(number), thresholds_of(number))[0]),
            *(tuple(values.tolist()) for values in (thresholds_of(number), precision, recall)),
        ),
    )


def rates(counts: Array) -> tuple[Array, Array, Array]:
    """Return precision, recall and F1 (...) from counts (..., 4): recalled, truth, precise, found."""
    recalled, truth, precise, found = np.moveaxis(counts, -1, 0)
    precision, recall = _ratio(precise, found), _ratio(recalled, truth)
    return precision, recall, _f1(precision, recall)


def _f1(precision: Array, recall: Array) -> Array:
    return _ratio(2 * precision * recall, precision + recall)


def _ratio(part: Array, whole: Array) -> Array:
    return np.divide(part, whole, out=np.zeros_like(whole), where=whole > 0)


def _values(counts: Array, at_best: Array) -> Array:
    """Compute the values (R, 5) of `EDGE_METRICS` from counts (R, K, 4), and (R, 4) at each image's best threshold."""
    precision, recall, _ = rates(counts)
    place = _best(precision, recall)
    precise, recalled = _between(precision, place[:, None])[:, 0], _between(recall, place[:, None])[:, 0]
    average = np.array([_average(*curve) for curve in zip(precision, recall, strict=True)])
    values = np.stack([_f1(precise, recalled), rates(at_best)[2], average, precise, recalled], axis=1)
    values[counts[:, 0, 1] == 0] = np.nan
    return values


def _best(precision: Array, recall: Array) -> Array:
    """Return where between the thresholds F1 is largest (R,), as a fractional index, from curves (R, K)."""
    last = precision.shape[1] - 1
    places = (np.arange(last)[:, None] + np.linspace(0, 1, STEPS)).ravel() if last else np.zeros(1)
    f1 = _f1(_between(precision, places[None]), _between(recall, places[None]))
    return places[f1.argmax(axis=1)]


def _between(curves: Array, places: Array) -> Array:
    """Interpolate curves (R, K) at fractional indices (R or 1, n)."""
    low = np.floor(places).astype(np.intp)
    share = places - low
    rows = np.arange(len(curves))[:, None]
    high = np.minimum(low + 1, curves.shape[1] - 1)
    return curves[rows, low] * (1 - share) + curves[rows, high] * share


def _average(precision: Array, recall: Array) -> float:
    known, first = np.unique(recall, return_index=True)
    if len(known) < 2:
        return np.nan
    at = np.arange(101) / 100
    return float(np.interp(at, known, precision[first], left=0.0, right=0.0).sum() / 100)


def _at_best(counts: Array) -> Array:
    """Return the counts (n, 4) of images at the best of their own thresholds, the highest of equal ones."""
    f1 = rates(counts)[2]
    best = f1.shape[1] - 1 - f1[:, ::-1].argmax(axis=1)
    return counts[np.arange(len(counts)), best]


def _image_scores(images: Sequence[ImageEdges], counts: Array, threshold: int) -> tuple[ImageScore, ...]:
    f1 = rates(counts)[2]
    return tuple(
        ImageScore(
            image.id,
            image.group,
            dict.fromkeys(("f1", "best_f1"))
            if image.counts[0, 1] == 0
            else {"f1": float(values[threshold]), "best_f1": float(values.max())},
        )
        for image, values in zip(images, f1, strict=True)
    )
