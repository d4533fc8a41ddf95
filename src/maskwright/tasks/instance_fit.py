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
from maskwright.metrics.matching import THRESHOLDS, match_counts
from maskwright.ops.instance_maps import above
from maskwright.tasks.base import Adjustments, Block

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from maskwright.core.instances import Instances
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


def fit_thresholds(
    seen: Iterator[Seen], nothing: tuple[int, ...], formulation: Formulation, deadline: float | None
) -> Adjustments:
    """Choose one threshold after another, some of them twice, by the F1 score averaged over IoU 0.5 to 0.9.

    Args:
        seen: predictions without a decoding.
        nothing: indices of the classes that are no objects.
        formulation: how the maps tell objects apart.
        deadline: in seconds of `time.monotonic()`.
    """
    images = _kept(seen, nothing, formulation)
    if not any(len(image.truth) for image in images) or _over(deadline):
        return Adjustments()
    best: Any = formulation.thresholds()
    first = score = _score(images, formulation, best)
    tried = [(name, value) for name in (*formulation.tried, *formulation.again) for value in formulation.tried[name]]
    end = ""
    for name, value in tried:
        if _over(deadline):
            end = CUT_SHORT
            break
        other = replace(best, **{name: value})
        found = score if other == best else _score(images, formulation, other)
        if found > score:
            best, score = other, found
    fitted: Decoding = {name: float(value) for name, value in asdict(best).items()}
    values = ", ".join(NAMES[name].format(value) for name, value in fitted.items())
    gain = f"{first:.3f} with the default thresholds, {score:.3f} with these"
    used = plural(len(images), "validation image")
    note = f"thresholds fitted on {used}: {values} (F1 over IoU 0.5 to 0.9: {gain}){end}"
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
        maps = np.zeros((1 + own, height, width), np.float16)
        for block in entry.blocks:
            found = np.nan_to_num(block.maps.cpu().numpy())
            maps[0, block.rows, block.columns] = found[:-own].sum(axis=0) - found[list(nothing)].sum(axis=0)
            maps[1:, block.rows, block.columns] = found[-own:]
        assert entry.target.instances is not None
        rows = max(min(height, room // width), 1)  # of an image that is too large, the upper part is used
        truth = above(entry.target.instances, rows)
        images.append(_Image(maps[:, :rows], truth, entry.target.labels[:rows] == IGNORE))
        room -= rows * width
        if room <= 0:
            break
    return images


def _score(images: list[_Image], formulation: Formulation, how: object) -> float:
    """Return the mean F1 over the thresholds of IoU; the class of an object does not matter here."""
    counts = np.zeros((len(THRESHOLDS), 3))
    for image in images:
        foreground = image.maps[:1].astype(np.float32)
        maps = np.concatenate([1 - foreground, foreground, image.maps[1:].astype(np.float32)])
        size = (maps.shape[1], maps.shape[2])
        whole = Block(slice(0, size[0]), slice(0, size[1]), torch.from_numpy(maps))
        found = formulation.decode([whole], size, (0,), how)
        counts += match_counts(image.truth, found, THRESHOLDS, ignored=image.ignored)
    hits, extra, missed = counts.T
    return float(np.mean(2 * hits / np.maximum(2 * hits + extra + missed, 1)))
