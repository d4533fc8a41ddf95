"""Do maps of objects give each object an id, or all of them one value? Knows no names of classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from maskwright.core.records import Fault
from maskwright.data.readers import DecodeError, read_mask

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from maskwright.core.records import ImageRef

_MOST_MASKS = 24


def undivided(masks: Sequence[ImageRef], ignored: Collection[int] = ()) -> bool:
    """Tell whether the maps hold one value for all objects: it fills several regions in at least half of them.

    Args:
        masks: of which a sample is read.
        ignored: values that are no objects.
    """
    values: set[int] = set()
    filled = several = 0
    for mask in masks[:: max(1, len(masks) // _MOST_MASKS)]:
        try:
            ids = read_mask(mask).indices()
        except DecodeError:  # reported when the pixels are asked for
            continue
        if ids is None:
            return False
        values |= set(np.unique(ids).tolist()) - {0, *ignored}
        if len(values) > 1:
            return False
        shown = np.isin(ids, list(values)).view(np.uint8)
        regions = cv2.connectedComponents(shown, connectivity=8)[0] - 1
        filled, several = filled + (regions > 0), several + (regions > 1)
    return 2 * several >= filled > 0


def undivided_fault(folder: Path) -> Fault:
    """Warn that objects which touch cannot be told apart."""
    message = (
        f"the maps of objects in {folder.name}/ hold one value for all objects, so each connected region counts as one "
        "object, and objects that touch count as one too"
    )
    return Fault("one-value", "warning", folder, message, "save the maps with an id of its own for each object")
