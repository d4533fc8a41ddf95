"""Fit the thresholds that tell objects apart on validation images. Knows no network."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from maskwright.core.channels import total
from maskwright.core.classes import IGNORE
from maskwright.core.text import plural
from maskwright.metrics.matching import counts_of
from maskwright.metrics.object_counts import object_sums, object_values
from maskwright.metrics.object_overlap import compare, joined
from maskwright.ops.instance_maps import above
from maskwright.tasks.base import Adjustments
from maskwright.tasks.block import Block

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from maskwright.core.instances import Instances
    from maskwright.metrics.object_overlap import Comparison
    from maskwright.tasks.base import Decoding, Seen
    from maskwright.tasks.formulations import Formulation

MOST_PIXELS = 1 << 21
"""Pixels of the validation images that are used: each of some 25 settings separates the objects in all of them, which
takes a second for as many pixels."""
NAMES = {
    "foreground": "foreground {:g}",
    "seed": "seed {:g}",
    "peak": "peak {:g}",
    "smooth": "smoothing {:g} px",
    "reach": "reach {:g} px",
    "least": "minimum area {:g} px",
}
CUT_SHORT = "; time ran out before all were tried, so another run may choose others"


class _Image(NamedTuple):
    maps: NDArray[np.float16]
    truth: Instances
    ignored: NDArray[np.bool_]


class Goal(NamedTuple):
    """What a fit maximises: a name, and how it follows from comparisons of images, whatever the class of an object."""

    name: str
    of: Callable[[Sequence[Comparison]], float]


def _mean_f1(compared: Sequence[Comparison]) -> float:
    hits, extra, missed = np.sum([counts_of(one) for one in compared], axis=0).T
    return float(np.mean(2 * hits / np.maximum(2 * hits + extra + missed, 1)))


def _quality(compared: Sequence[Comparison]) -> float:
    sums = object_sums(joined(compared), len(compared), 1).sum(axis=0)
    return float(np.nan_to_num(object_values(sums)["pq"][0]))


F1 = Goal("F1 over IoU 0.5 to 0.9", _mean_f1)
PQ = Goal("PQ of objects", _quality)


def fit_thresholds(
    seen: Iterator[Seen],
    nothing: tuple[int, ...],
    formulation: Formulation,
    deadline: float | None,
    goal: Goal = F1,
) -> Adjustments:
    """Choose one threshold after another, some of them twice.

    Args:
        seen: predictions without a decoding.
        nothing: indices of the classes that are no objects.
        formulation: how the maps tell objects apart.
        deadline: in seconds of `time.monotonic()`.
        goal: what the thresholds are chosen by.
    """
    images = _kept(seen, nothing, formulation)
    if not any(len(image.truth) for image in images) or _over(deadline):
        return Adjustments()
    best: Any = formulation.thresholds()
    first = score = _score(images, formulation, best, goal)
    tried = [(name, value) for name in (*formulation.tried, *formulation.again) for value in formulation.tried[name]]
    end = ""
    for name, value in tried:
        if _over(deadline):
            end = CUT_SHORT
            break
        other = replace(best, **{name: value})
        found = score if other == best else _score(images, formulation, other, goal)
        if found > score:
            best, score = other, found
    fitted: Decoding = {name: float(value) for name, value in asdict(best).items()}
    values = ", ".join(NAMES[name].format(value) for name, value in fitted.items())
    gain = f"{first:.3f} with the default thresholds, {score:.3f} with these"
    used = plural(len(images), "validation image")
    note = f"thresholds fitted on {used}: {values} ({goal.name}: {gain}){end}"
    return Adjustments(fitted, (note,))


def _over(deadline: float | None) -> bool:
    return deadline is not None and time.monotonic() > deadline


def _kept(seen: Iterator[Seen], nothing: tuple[int, ...], formulation: Formulation) -> list[_Image]:
    """Take images until there are enough pixels; float16, since thresholds are coarse.

    Their maps are the probability of any object, and the channels of the formulation.
    """
    images, room, own = [], MOST_PIXELS, total(formulation.channels)
    for entry in seen:
        height, width = entry.target.size
        rows = max(min(height, room // width), 1)  # of an image that is too large, the upper part is used
        maps = np.zeros((1 + own, rows, width), np.float16)
        for block in entry.blocks:
            used = slice(block.rows.start, min(block.rows.stop, rows))
            if used.start < used.stop:
                found = np.nan_to_num(block.maps[:, : used.stop - used.start].cpu().numpy())
                maps[0, used, block.columns] = found[:-own].sum(axis=0) - found[list(nothing)].sum(axis=0)
                maps[1:, used, block.columns] = found[-own:]
        assert entry.target.instances is not None
        truth = above(entry.target.instances, rows)
        images.append(_Image(maps, truth, entry.target.labels[:rows] == IGNORE))
        room -= rows * width
        if room <= 0:
            break
    return images


def _score(images: list[_Image], formulation: Formulation, how: object, goal: Goal) -> float:
    """Separate the objects of all images, and say how near that comes to the goal."""
    compared = []
    for image in images:
        foreground = image.maps[:1].astype(np.float32)
        maps = np.concatenate([1 - foreground, foreground, image.maps[1:].astype(np.float32)])
        size = (maps.shape[1], maps.shape[2])
        whole = Block(slice(0, size[0]), slice(0, size[1]), torch.from_numpy(maps))
        found = formulation.decode([whole], size, (0,), how)
        compared.append(compare(image.truth, found, image.ignored, by_class=False))
    return goal.of(compared)
