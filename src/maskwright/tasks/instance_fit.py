"""Fit the thresholds that separate objects on validation images. Knows no network."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from maskwright.core.classes import IGNORE
from maskwright.core.text import plural
from maskwright.metrics.matching import THRESHOLDS, match_counts
from maskwright.ops.instance_maps import above, from_map
from maskwright.ops.separation import Separation, separated
from maskwright.tasks.base import Adjustments

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from maskwright.core.instances import Instances
    from maskwright.tasks.base import Seen

MOST_PIXELS = 1 << 21
"""Pixels of the validation images that are used: each of some 25 settings separates the objects in all of them, which
takes a second for as many pixels."""
VALUES: dict[str, tuple[float, ...]] = {
    "seed": (0.3, 0.4, 0.5, 0.6, 0.7, 0.8),
    "foreground": (0.3, 0.4, 0.5, 0.6, 0.7),
    "smooth": (0.0, 1.0, 2.0, 3.0),
    "least": (1, 4, 9, 16, 25, 49),
}
AGAIN = ("seed",)
"""What depends most on the others."""
CUT_SHORT = "; the time ended before all were tried, so another run may choose others"


class _Image(NamedTuple):
    maps: NDArray[np.float16]
    truth: Instances
    ignored: NDArray[np.bool_]


def fit_separation(seen: Iterator[Seen], background: int, deadline: float | None) -> Adjustments:
    """Choose one threshold after another, those of `AGAIN` twice, by the F1 score averaged over IoU 0.5 to 0.9.

    Args:
        seen: predictions without a decoding.
        background: index of the class that is no object.
        deadline: in seconds of `time.monotonic()`.
    """
    images = _kept(seen, background)
    if not any(len(image.truth) for image in images) or _over(deadline):
        return Adjustments()
    best = Separation()
    first = score = _score(images, best)
    tries = [(name, value) for name in (*VALUES, *AGAIN) for value in VALUES[name]]
    end = ""
    for name, value in tries:
        if _over(deadline):
            end = CUT_SHORT
            break
        tried = replace(best, **{name: value})
        found = score if tried == best else _score(images, tried)
        if found > score:
            best, score = tried, found
    values = f"foreground {best.foreground:g}, seed {best.seed:g}, smoothing {best.smooth:g} px"
    values += f", least area {best.least:g} px"
    gain = f"{first:.3f} with the default thresholds, {score:.3f} with these"
    used = plural(len(images), "validation image")
    note = f"thresholds fitted on {used}: {values} (F1 over IoU 0.5 to 0.9: {gain}){end}"
    return Adjustments({key: float(value) for key, value in asdict(best).items()}, (note,))


def _over(deadline: float | None) -> bool:
    return deadline is not None and time.monotonic() > deadline


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
        rows = max(min(height, room // width), 1)  # of an image that is too large, the upper part is used
        truth = above(entry.target.instances, rows)
        images.append(_Image(maps[:, :rows], truth, entry.target.labels[:rows] == IGNORE))
        room -= rows * width
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
        counts += match_counts(image.truth, found, THRESHOLDS, ignored=image.ignored)
    hits, extra, missed = counts.T
    return float(np.mean(2 * hits / np.maximum(2 * hits + extra + missed, 1)))
