"""From the comparisons of single images to the scores of a data set, with their intervals. Knows no pixels.

Most scores are functions of sums over images. COCO's average precision is not, since it ranks the objects of all images
by score; its intervals come from the influence of every image, which does add up.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from maskwright.metrics.coco_precision import MOST, average_precision, curves, influence, rankings, to_find
from maskwright.metrics.confusion import mean_defined
from maskwright.metrics.matching import THRESHOLDS, best_matches
from maskwright.metrics.object_counts import object_sums, object_values
from maskwright.metrics.object_metrics import BOUNDARY, COUNTS, FROM_COCO, FROM_SUMS, IMAGE_METRICS, OBJECT_METRICS
from maskwright.metrics.object_overlap import joined
from maskwright.metrics.object_sizes import size_bins
from maskwright.metrics.scores import ClassScores, Estimate, ImageScore, ObjectScores, Scores
from maskwright.metrics.summary import estimated

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from maskwright.core.classes import Classes
    from maskwright.metrics.coco_precision import Ranking
    from maskwright.metrics.object_overlap import Comparison

    Array = NDArray[np.float64]


class ComparedImage(NamedTuple):
    """What is kept of one image."""

    id: str
    group: str | None
    compared: Comparison


def object_scores(
    task: str, classes: Classes, images: Sequence[ComparedImage], least: float = 0.0, *, outlines: bool = False
) -> Scores:
    """Turn comparisons into scores.

    COCO's average precision counts the 100 best predictions of a class in an image, or as many as an image has objects
    of a class where that is more, whatever their score. All other scores count what users see.

    Args:
        task: for `Scores.task`.
        classes: of the data set; the background has no scores.
        images: at least one.
        least: least score of an object that users see.
        outlines: the boundary IoU was computed (`compare`).
    """
    metrics = tuple(metric for metric in OBJECT_METRICS if outlines or metric.key != BOUNDARY)
    everything = joined([image.compared for image in images])
    compared = everything.above(least)
    shown = _shown(classes)
    sums = object_sums(compared, len(images), len(classes))[:, shown]
    groups = [image.group for image in images]
    ranked = _ranked(everything, len(classes))
    estimates = _from_sums(sums, groups) | _from_coco(ranked, groups, shown)
    pixels = np.bincount(compared.truth.index, compared.truth.area * ~compared.truth.exempt, minlength=len(classes))
    with_objects = (object_values(sums)["objects"] > 0).sum(axis=0)
    return Scores(
        task=task,
        metrics=metrics,
        image_metrics=IMAGE_METRICS,
        headline=OBJECT_METRICS[0].key,
        images=len(images),
        groups=len(set(groups) - {None}),
        classes=tuple(
            ClassScores(
                classes.names[index],
                int(pixels[index]),
                int(with_objects[place]),
                {metric.key: estimates[metric.key][place] for metric in metrics},
            )
            for place, index in enumerate(shown)
        ),
        mean={metric.key: estimates[metric.key][-1] for metric in metrics},
        per_image=_image_scores(images, sums),
        objects=replace(objects_of(compared, sums, shown), curves=curves(ranked[0][""])),
    )


def mean_f1(classes: Classes, images: Sequence[ComparedImage], least: float = 0.0) -> float | None:
    """Return the headline metric alone: F1 at IoU 0.5, averaged over classes; None where it is undefined."""
    if not images:
        return None
    sums = object_sums(joined([image.compared for image in images]).above(least), len(images), len(classes))
    return _number(mean_defined(object_values(sums.sum(axis=0)[_shown(classes)])["f1"]))


def _shown(classes: Classes) -> list[int]:
    """Return the indices of the classes that objects may have: all but the background."""
    return [index for index in range(len(classes)) if index != classes.background]


def objects_of(compared: Comparison, sums: Array, shown: Sequence[int]) -> ObjectScores:
    """Count the objects of each image, and those found and missed by size.

    Args:
        compared: objects of all images.
        sums: (images, S, M) of the S classes to count.
        shown: indices of these classes.
    """
    values = object_values(sums)
    counts = np.stack([values[key].sum(axis=1) for key in ("objects", "predicted")], axis=1).astype(int)
    overlap, truth = compared.iou, compared.truth
    found = np.zeros(len(truth), np.bool_)
    found[compared.pairs[best_matches(compared, overlap, overlap >= THRESHOLDS[0]), 0]] = True
    counted = ~truth.exempt & np.isin(truth.index, shown)
    sizes = size_bins(truth.area[counted].tolist(), found[counted].tolist())
    return ObjectScores(tuple((true, predicted) for true, predicted in counts.tolist()), sizes)


def _image_scores(images: Sequence[ComparedImage], sums: Array) -> tuple[ImageScore, ...]:
    keys = [metric.key for metric in IMAGE_METRICS]
    values = _with_means(object_values(sums), keys)[..., -1]
    return tuple(
        ImageScore(image.id, image.group, {key: _number(value) for key, value in zip(keys, row, strict=True)})
        for image, row in zip(images, values.T, strict=True)
    )


def _from_sums(sums: Array, groups: Sequence[str | None]) -> dict[str, list[Estimate]]:
    """Estimate the scores of `FROM_SUMS` by class, then their means, from sums (images, K, M)."""
    images, classes, width = sums.shape

    def measure(totals: Array) -> Array:
        values = _with_means(object_values(totals.reshape(-1, classes, width)), FROM_SUMS)
        return np.moveaxis(values, 1, 0).reshape(len(totals), -1)

    top = {"count_bias": np.nan, "count_error": np.inf} | dict.fromkeys(COUNTS, np.inf)
    tops = np.repeat([top.get(key, 1.0) for key in FROM_SUMS], classes + 1)
    found = _split(FROM_SUMS, estimated(sums.reshape(images, -1), groups, measure, tops))
    # How many objects these images hold is a fact about them, and estimates nothing.
    return found | {key: [Estimate(entry.value, None, None) for entry in found[key]] for key in COUNTS}


def _ranked(compared: Comparison, classes: int) -> list[dict[str, Ranking]]:
    """Rank the predictions by masks, then by boxes; as many of a class in an image count as an image has objects."""
    place = compared.truth.image.astype(np.intp) * classes + compared.truth.index
    most = max(MOST, int(np.bincount(place).max(initial=0)))
    return [rankings(compared, kind, most) for kind in ("mask", "box")]


def _from_coco(
    ranked: Sequence[dict[str, Ranking]], groups: Sequence[str | None], shown: list[int]
) -> dict[str, list[Estimate]]:
    """Estimate the scores of `FROM_COCO` by class, then their means, from the influence of every image on each."""
    images, classes = len(groups), max(shown) + 1
    value = _coco_rows(ranked, lambda ranking: average_precision(ranking, classes))[:, shown]
    moved = _coco_rows(ranked, lambda ranking: influence(ranking, classes, images))[..., shown]
    true = _coco_rows(ranked, lambda ranking: to_find(ranking, classes, images))[..., shown]

    def measure(totals: Array) -> Array:
        moves, objects = totals.reshape(-1, 2, *value.shape).swapaxes(0, 1)
        values = np.where(objects > 0, np.clip(np.round(value + moves, 12), 0, 1), np.nan)  # all moves add up to 0
        return np.concatenate([values, mean_defined(values)[..., None]], axis=-1).reshape(len(totals), -1)

    sums = np.stack([moved, true], axis=1).reshape(images, -1)
    return _split(FROM_COCO, estimated(sums, groups, measure, np.ones(len(FROM_COCO) * (len(shown) + 1))))


def _coco_rows(ranked: Sequence[dict[str, Ranking]], levels_of: Callable[[Ranking], Array]) -> Array:
    """Compute (..., 3, K) of each ranking and stack them in the order of `FROM_COCO`: by size, only their mean."""
    entries = [(size, levels_of(ranking)) for by_size in ranked for size, ranking in by_size.items()]
    return np.concatenate([values[..., : 1 if size else 3, :] for size, values in entries], axis=-2)


def _with_means(values: dict[str, Array], keys: Sequence[str]) -> Array:
    """Stack values (R, K) of the keys and append their mean over classes, or their sum: (J, R, K + 1)."""
    means = [values[key].sum(axis=-1) if key in COUNTS else mean_defined(values[key]) for key in keys]
    return np.stack([np.concatenate([values[key], mean[:, None]], 1) for key, mean in zip(keys, means, strict=True)])


def _split(keys: Sequence[str], estimates: Sequence[Estimate]) -> dict[str, list[Estimate]]:
    """Give each key its share of the estimates: those of the classes, then the mean."""
    each = len(estimates) // len(keys)
    return {key: list(estimates[place * each : (place + 1) * each]) for place, key in enumerate(keys)}


def _number(value: float | Array) -> float | None:
    return None if np.isnan(value) else float(value)
