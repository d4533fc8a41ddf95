"""From the counts of single images to the scores of a data set, with their intervals. Knows no pixels.

Everything that is scored is a function of sums over images, so one kind of interval serves all of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from maskwright.metrics.confusion import RATES, dice, iou, mean_defined, pixel_accuracy, ratio
from maskwright.metrics.intervals import by_group, intervals, without_each
from maskwright.metrics.label_metrics import BY_CLASS, IMAGE_METRICS, LABEL_METRICS, OF_ALL, PER_IMAGE
from maskwright.metrics.scores import ClassScores, Estimate, ImageScore, Scores

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from maskwright.metrics.scores import Calibration


@dataclass(frozen=True)
class ImageCounts:
    """What is kept of one image.

    Attributes:
        id, group: of the image.
        counts: (K, 3) true positives, pixels predicted, pixels true.
        bands: (K, 3) the same within the bands along the edges.
        hd95, nsd: (K,), NaN for a class that is not there.
    """

    id: str
    group: str | None
    counts: NDArray[np.int64]
    bands: NDArray[np.int64]
    hd95: NDArray[np.float64]
    nsd: NDArray[np.float64]


def summarize(
    names: Sequence[str],
    images: Sequence[ImageCounts],
    matrix: NDArray[np.int64],
    calibration: Calibration | None,
) -> Scores:
    """Turn counts into scores.

    Args:
        names: of the K classes.
        images: at least one.
        matrix: (K, K) confusion matrix of all images.
        calibration: passed on.
    """
    classes = len(names)
    per_image = tuple(_image_score(image) for image in images)
    sums = np.stack([_sums(image) for image in images])
    measure = partial(_values, classes=classes)
    estimates = estimated(sums, [image.group for image in images], measure, _top(classes))
    by_class = {key: estimates[index * classes : (index + 1) * classes] for index, key in enumerate(BY_CLASS)}
    keys = (*BY_CLASS, *PER_IMAGE, *OF_ALL)
    means = dict(zip(keys, estimates[len(BY_CLASS) * classes :], strict=True))
    shown = np.sum([image.counts[:, 2] > 0 for image in images], axis=0)
    return Scores(
        task="semantic",
        metrics=LABEL_METRICS,
        image_metrics=IMAGE_METRICS,
        headline="iou",
        images=len(images),
        groups=len({image.group for image in images} - {None}),
        classes=tuple(
            ClassScores(
                name, int(matrix[index].sum()), int(shown[index]), {key: by_class[key][index] for key in BY_CLASS}
            )
            for index, name in enumerate(names)
        ),
        mean={metric.key: means[metric.key] for metric in LABEL_METRICS},
        per_image=per_image,
        calibration=calibration,
        confusion=tuple(tuple(row) for row in matrix.tolist()),
    )


def _image_score(image: ImageCounts) -> ImageScore:
    means = (mean_defined(iou(image.counts)), mean_defined(dice(image.counts)), pixel_accuracy(image.counts))
    values = {metric.key: _number(value) for metric, value in zip(IMAGE_METRICS, means, strict=True)}
    return ImageScore(image.id, image.group, values)


def _sums(image: ImageCounts) -> NDArray[np.float64]:
    """Lay out one image as numbers that may be added to those of others: `_values` reads them back."""
    averaged = np.stack([image.hd95, image.nsd])
    whole = np.stack([mean_defined(iou(image.counts)), mean_defined(dice(image.counts))])
    parts = [image.counts, image.bands]
    for values in (averaged, whole):
        parts += [np.nan_to_num(values), ~np.isnan(values)]
    return np.concatenate([part.ravel().astype(np.float64) for part in parts])


def _values(sums: NDArray[np.float64], classes: int) -> NDArray[np.float64]:
    """Compute every score from sums (R, M): (R, J), by class for each of `BY_CLASS`, then means, then the rest."""
    resamples = len(sums)
    ends = np.cumsum([3 * classes, 3 * classes, 2 * classes, 2 * classes, 2])
    counts, bands, totals, numbers, whole, wholes = np.split(sums, ends, axis=1)
    counts, bands = counts.reshape(resamples, classes, 3), bands.reshape(resamples, classes, 3)
    by_class = [rate(counts) for rate in RATES.values()]
    by_class += [iou(bands), *ratio(totals, numbers).reshape(resamples, 2, classes).swapaxes(0, 1)]
    means = np.stack([mean_defined(values) for values in by_class], 1)
    return np.concatenate([*by_class, means, ratio(whole, wholes), pixel_accuracy(counts)[:, None]], axis=1)


def _top(classes: int) -> NDArray[np.float64]:
    """Return the largest possible value of each score, in the order of `_values`: a distance has none."""
    by_class = np.array([np.inf if key == "hd95" else 1.0 for key in BY_CLASS])
    return np.concatenate([by_class.repeat(classes), by_class, np.ones(len(PER_IMAGE) + len(OF_ALL))])


def estimated(
    sums: NDArray[np.float64],
    groups: Sequence[str | None],
    measure: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    top: NDArray[np.float64],
) -> list[Estimate]:
    """Compute values from sums over images, each with its 95 % interval over images or groups.

    Args:
        sums: (n, M), one row an image.
        groups: (n) the group of each image, or None.
        measure: totals (R, M) to values (R, J) within 0..top, NaN where undefined.
        top: (J,) the largest possible value, or infinity; NaN for a value that may be negative.
    """
    rows, sizes = by_group(sums, groups)
    values = measure(sums.sum(0, keepdims=True))[0]
    without = without_each(rows, measure)
    low, high = intervals(rows, sizes, measure, top, without)
    bounds = zip(values, low, high, without.T, strict=True)
    return [Estimate(_number(value), _number(least), _number(most), each) for value, least, most, each in bounds]


def _number(value: float | NDArray[np.float64]) -> float | None:
    return None if np.isnan(value) else float(value)
