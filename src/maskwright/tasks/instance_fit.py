"""Fit the thresholds that separate objects on validation images. Knows no network."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from maskwright.core.instances import Instances
from maskwright.core.text import plural
from maskwright.metrics.matching import THRESHOLDS, match_counts
from maskwright.ops.instance_maps import from_map
from maskwright.ops.separation import Separation, separated
from maskwright.tasks.base import Adjustments

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from maskwright.core.targets import Target
    from maskwright.tasks.base import Seen

MOST_PIXELS = 1 << 21
"""Pixels of the validation images that are used: each of some 30 settings separates the objects in all of them."""
SCORES = (*(round(0.05 * step, 2) for step in range(1, 20)), 0.97, 0.98, 0.99, 0.995)
VALUES: dict[str, tuple[float, ...]] = {
    "seed": (0.3, 0.4, 0.5, 0.6, 0.7, 0.8),
    "foreground": (0.3, 0.4, 0.5, 0.6, 0.7),
    "smooth": (0.0, 1.0, 2.0, 3.0),
    "least": (4, 9, 16, 25, 49),
}


class _Image(NamedTuple):
    maps: NDArray[np.float16]
    truth: Instances


def fit_separation(seen: Iterator[Seen], background: int, deadline: float | None) -> Adjustments:
    """Choose one threshold after another, twice, by the F1 score averaged over IoU 0.5 to 0.9.

    Args:
        seen: predictions without a decoding.
        background: index of the class that is no object.
        deadline: in seconds of `time.monotonic()`.
    """
    images = _kept(seen, background)
    if not any(len(image.truth) for image in images):
        return Adjustments()
    best = Separation()
    first = score = _score(images, best)
    for name, values in (*VALUES.items(), *VALUES.items()):
        for value in values:
            if deadline is not None and time.monotonic() > deadline:
                break
            tried = replace(best, **{name: value})
            found = score if tried == best else _score(images, tried)
            if found > score:
                best, score = tried, found
    note = (
        f"thresholds fitted on {len(images)} validation images: foreground {best.foreground:g}, seed {best.seed:g}, "
        f"smoothing {best.smooth:g} px, least area {best.least:g} px "
        f"(F1 over IoU 0.5 to 0.9: {first:.3f} to {score:.3f})"
    )
    return Adjustments({key: float(value) for key, value in asdict(best).items()}, (note,))


def fit_score(found: Iterable[tuple[Instances, Target]], deadline: float | None) -> Adjustments:
    """Choose the least score of an object, by the F1 score averaged over IoU 0.5 to 0.9.

    Args:
        found: all objects of each image, whatever their score, with its truth.
        deadline: in seconds of `time.monotonic()`.
    """
    counts, objects, images = np.zeros((len(SCORES), len(THRESHOLDS), 3)), 0, 0
    for result, target in found:
        assert target.instances is not None
        objects, images = objects + len(target.instances), images + 1
        for place, least in enumerate(SCORES):
            kept = tuple(entry for entry in result.objects if entry.score >= least)
            counts[place] += match_counts(target.instances, Instances(result.size, kept), THRESHOLDS)
        if deadline is not None and time.monotonic() > deadline:
            break
    scores = _mean_f1(counts)
    if not objects or not scores.max():
        return Adjustments()
    # In the middle of the scores that do best, where a little more or less changes nothing.
    best = np.flatnonzero(scores == scores.max())
    least = SCORES[int(best[len(best) // 2])]
    note = (
        f"least score of an object fitted on {plural(images, 'validation image')}: {least:g} "
        f"(F1 over IoU 0.5 to 0.9: {scores.max():.3f})"
    )
    return Adjustments({"score": least}, (note,))


def _kept(seen: Iterator[Seen], background: int) -> list[_Image]:
    """Take images until there are enough pixels; float16, since thresholds are coarse."""
    images, room = [], MOST_PIXELS
    for entry in seen:
        height, width = entry.target.size
        maps = np.zeros((3, height, width), np.float16)
        for block in entry.blocks:
            found = np.nan_to_num(block.maps.cpu().numpy())
            maps[0, block.rows, block.columns] = found[:-2].sum(axis=0) - found[background]
            maps[1:, block.rows, block.columns] = found[-2:]
        assert entry.target.instances is not None
        images.append(_Image(maps, entry.target.instances))
        room -= height * width
        if room <= 0:
            break
    return images


def _score(images: list[_Image], how: Separation) -> float:
    """Return the mean F1 over the thresholds of IoU; the class of an object does not matter here."""
    counts = np.zeros((len(THRESHOLDS), 3))
    for image in images:
        foreground, depth, border = image.maps.astype(np.float32)
        ids = separated(foreground, depth, border, how)
        found = from_map(ids, [1] * int(ids.max(initial=0)))
        counts += match_counts(image.truth, found, THRESHOLDS)
    return float(_mean_f1(counts))


def _mean_f1(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean F1 (...) over thresholds of counts (..., thresholds, 3): hits, extra, missed."""
    hits, extra, missed = np.moveaxis(counts, -1, 0)
    return np.asarray((2 * hits / np.maximum(2 * hits + extra + missed, 1)).mean(axis=-1))
