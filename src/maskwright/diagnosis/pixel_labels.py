"""The class of each pixel in the result of any task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from maskwright.core.classes import IGNORE
from maskwright.tasks.edge_map import EdgeMap
from maskwright.tasks.label_map import LabelMap
from maskwright.tasks.panoptic_map import PanopticMap

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maskwright.core.classes import Classes


def pixel_labels(
    result: Any, size: tuple[int, int], classes: Classes
) -> tuple[NDArray[np.uint8] | None, NDArray[np.float16] | None]:
    """Return the class of each pixel of any task's result, and how sure it is, as far as the task has these.

    Objects, which may overlap, are painted from the lowest score to the highest on the background.
    """
    if isinstance(result, EdgeMap):
        return None, None
    if isinstance(result, LabelMap):
        return result.labels, result.confidence
    if isinstance(result, PanopticMap):
        return result.labels, None
    labels = np.full(size, IGNORE if classes.background is None else classes.background, np.uint8)
    for entry in sorted(result.objects, key=lambda found: found.score):
        labels[entry.rows, entry.columns][entry.mask] = entry.index
    return labels, None
