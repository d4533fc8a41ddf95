"""Examples of edges as pictures for the report, and their errors in words."""

from __future__ import annotations

from math import hypot
from typing import TYPE_CHECKING

import cv2
import numpy as np

from maskwright.core.classes import IGNORE
from maskwright.core.edges import REACH
from maskwright.core.text import percent
from maskwright.ops import draw
from maskwright.ops.edge_matching import matched
from maskwright.tasks.base import Legend, Painted, Panel
from maskwright.tasks.edge_map import EdgeMap

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maskwright.core.targets import Target

    Mask = NDArray[np.bool_]

LEGEND = Legend(
    (),
    (
        ("found", draw.CORRECT),
        ("missed by the prediction, drawn by at least half of the people", draw.FALSE_NEGATIVE),
        ("drawn by nobody", draw.FALSE_POSITIVE),
    ),
)
_HALF = 0.5


def paint(image: NDArray[np.uint8], target: Target, result: EdgeMap) -> Painted:
    """Draw an example at full size; lines are drawn wider, so that they survive in a smaller picture.

    Args:
        image: RGB (H, W, 3).
        target: its truth; `edges` is given.
        result: the prediction.
    """
    truth = EdgeMap.drawn(target)
    right, missed, wrong = compared(target, result)
    picture = draw.dimmed(image)
    for mask, color in ((right, draw.CORRECT), (missed, draw.FALSE_NEGATIVE), (wrong, draw.FALSE_POSITIVE)):
        picture[_wider(mask)] = color
    panels = (
        Panel("image", "photo", image),
        Panel("truth", "flat", _grey(cv2.dilate(truth.ridges, np.ones((2, 2), np.uint8)))),
        Panel("prediction", "flat", _grey(np.nan_to_num(result.strength))),
        Panel("errors", "photo", picture),
    )
    return Painted(panels, _in_words(right, missed, wrong, truth.lines))


def compared(target: Target, result: EdgeMap) -> tuple[Mask, Mask, Mask]:
    """Match the lines of a prediction with the truth.

    Returns:
        Maps (H, W): line pixels near an edge that anybody drew; edge pixels of at least half of the people that no line
        is near; line pixels near no edge.
    """
    assert target.edges is not None
    lines = result.lines & (target.labels != IGNORE)
    reach = REACH * hypot(*target.size)
    right, covered = np.zeros(target.size, np.bool_), np.zeros(target.size, np.bool_)
    for drawn in target.edges.maps():
        found, recalled = matched(lines, drawn, reach)
        right |= found
        covered |= recalled
    missed = (EdgeMap.drawn(target).ridges >= _HALF) & ~covered
    return right, missed, lines & ~right


def _in_words(right: Mask, missed: Mask, wrong: Mask, truth: Mask) -> str:
    found = int(right.sum() + wrong.sum())
    if not found:
        return "No edge is predicted."
    precise = f"{percent(float(right.sum()) / found)} of the pixels of predicted lines are near a drawn edge"
    if not truth.any():
        return f"{precise}."
    return f"{precise}; {percent(float(missed.sum()) / float(truth.sum()))} of the agreed edge pixels are missed."


def _wider(mask: Mask) -> Mask:
    return cv2.dilate(mask.astype(np.uint8), np.ones((2, 2), np.uint8)) > 0


def _grey(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Draw 0..1 as white to black, RGB."""
    shade = np.rint(255 * (1 - values.clip(0, 1))).astype(np.uint8)
    return np.repeat(shade[:, :, None], 3, axis=2)
