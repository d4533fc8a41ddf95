"""Objects made by hand, and at their full size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from maskwright.core.instances import Instance, Instances
from maskwright.ops.instance_maps import cropped

if TYPE_CHECKING:
    from numpy.typing import NDArray


def place(entry: Instance, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the mask (H, W) of an object."""
    mask = np.zeros(size, bool)
    mask[entry.rows, entry.columns] = entry.mask
    return mask


def boxes(size: tuple[int, int], *corners: tuple[int, int, int, int], index: int = 1) -> Instances:
    """Return solid rectangles of (first row, last row + 1, first column, last column + 1)."""
    found = []
    for top, bottom, left, right in corners:
        mask = np.zeros(size, bool)
        mask[top:bottom, left:right] = True
        cut = cropped(mask)
        assert cut is not None
        found.append(Instance(index, *cut))
    return Instances(size, tuple(found))
