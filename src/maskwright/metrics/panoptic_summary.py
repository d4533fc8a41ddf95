"""From comparisons of segments to panoptic quality, of things, of stuff and of both, with intervals. Knows no pixels.

Source: Kirillov et al. 2019, "Panoptic Segmentation", section 4. The rules for crowds and ignored pixels are those of
panopticapi, and `metrics.object_overlap` keeps them. The background is no class here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from maskwright.metrics.confusion import mean_defined
from maskwright.metrics.object_counts import object_sums, object_values
from maskwright.metrics.object_overlap import joined
from maskwright.metrics.object_summary import objects_of
from maskwright.metrics.panoptic_metrics import IMAGE_METRICS, PANOPTIC_METRICS, PARTS, QUALITIES
from maskwright.metrics.scores import ClassScores, Estimate, ImageScore, Scores
from maskwright.metrics.summary import estimated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from maskwright.core.classes import Classes
    from maskwright.metrics.object_summary import ComparedImage

    Array = NDArray[np.float64]

KEYS = tuple(metric.key for metric in QUALITIES)
_COUNTED = {"segments": "objects", "predicted": "predicted"}


def panoptic_scores(task: str, classes: Classes, images: Sequence[ComparedImage]) -> Scores:
    """Turn comparisons of segments into scores.

    Args:
        task: for `Scores.task`.
        classes: of the data set, and which of them are things.
        images: at least one.
    """
    compared = joined([image.compared for image in images])
    sums = object_sums(compared, len(images), len(classes))
    groups = [image.group for image in images]
    by_class, mean = _estimates(sums, groups, classes)
    counts = {key: object_values(sums)[name] for key, name in _COUNTED.items()}
    pixels = np.bincount(compared.truth.index, compared.truth.area * ~compared.truth.exempt, minlength=len(classes))
    shown = _shown(classes)
    totals = {key: Estimate(float(values[:, shown].sum()), None, None) for key, values in counts.items()}
    return Scores(
        task=task,
        metrics=PANOPTIC_METRICS,
        image_metrics=IMAGE_METRICS,
        headline=KEYS[0],
        images=len(images),
        groups=len(set(groups) - {None}),
        classes=tuple(
            ClassScores(
                classes.names[index],
                int(pixels[index]),
                int((counts["segments"][:, index] > 0).sum()),
                by_class[index]
                | {key: Estimate(float(values[:, index].sum()), None, None) for key, values in counts.items()},
            )
            for index in shown
        ),
        mean=mean | totals,
        per_image=_image_scores(images, sums, shown),
        objects=objects_of(compared, sums[:, classes.objects], classes.objects),
    )


def mean_quality(classes: Classes, images: Sequence[ComparedImage]) -> float | None:
    """Return the headline metric alone; None where it is undefined."""
    if not images:
        return None
    sums = object_sums(joined([image.compared for image in images]), len(images), len(classes))
    value = mean_defined(object_values(sums.sum(axis=0)[_shown(classes)])[KEYS[0]])
    return None if np.isnan(value) else float(value)


def _shown(classes: Classes) -> list[int]:
    return [*classes.objects, *classes.stuff]


def _estimates(
    sums: Array, groups: Sequence[str | None], classes: Classes
) -> tuple[dict[int, dict[str, Estimate]], dict[str, Estimate]]:
    """Estimate the qualities of each class, and their means over all classes, over things and over stuff."""
    images, count, width = sums.shape
    shown, parts = _shown(classes), dict(zip(PARTS, (classes.objects, classes.stuff), strict=True))

    def measure(totals: Array) -> Array:
        values = object_values(totals.reshape(-1, count, width))
        rows = []
        for key in KEYS:
            found = values[key]
            means = [mean_defined(found[:, list(chosen)])[:, None] for chosen in (shown, *parts.values())]
            rows.append(np.concatenate([found[:, shown], *means], axis=1))
        return np.concatenate(rows, axis=1)

    each = len(shown) + 1 + len(parts)
    found = estimated(sums.reshape(images, -1), groups, measure, np.ones(each * len(KEYS)))
    by_key = {key: found[place * each : (place + 1) * each] for place, key in enumerate(KEYS)}
    by_class = {index: {key: by_key[key][place] for key in KEYS} for place, index in enumerate(shown)}
    mean = {key: by_key[key][len(shown)] for key in KEYS}
    mean |= {f"{key}_{part}": by_key[key][len(shown) + 1 + place] for place, part in enumerate(parts) for key in KEYS}
    return by_class, mean


def _image_scores(images: Sequence[ComparedImage], sums: Array, shown: list[int]) -> tuple[ImageScore, ...]:
    values = object_values(sums[:, shown])
    quality = mean_defined(values[KEYS[0]])
    rows = []
    for place, image in enumerate(images):
        counts = {key: float(values[name][place].sum()) for key, name in _COUNTED.items()}
        value = None if np.isnan(quality[place]) else float(quality[place])
        rows.append(ImageScore(image.id, image.group, {KEYS[0]: value, **counts}))
    return tuple(rows)
