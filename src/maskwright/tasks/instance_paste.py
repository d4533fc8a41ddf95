"""Copy-paste of objects (Ghiasi et al. 2021): what becomes of the target. Knows no image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from maskwright.core.targets import Target
from maskwright.tasks.instance_target import borders, depths

if TYPE_CHECKING:
    from numpy.typing import NDArray


def pasted(target: Target, donor: Target, index: int) -> tuple[Target, NDArray[np.bool_]]:
    """Lay the objects of one class over another target, with their labels, ids, depths and borders.

    Objects that lose pixels get a new depth, since they have another edge; borders are new wherever objects meet.

    Args:
        target: of a crop, with the values of a lesson: depth, border, ids.
        donor: of a crop of the same size.
        index: class of the objects that are pasted.

    Returns:
        The new target, and the pixels (H, W) that are the donor's.
    """
    assert target.values is not None
    assert donor.values is not None
    theirs = (donor.labels == index) & (donor.values[2] > 0)
    if not theirs.any():
        return target, theirs
    depth, border, ids = target.values.copy()
    known = np.isfinite(ids)
    numbers = np.where(known, ids, 0).astype(np.int32)
    covered = np.unique(numbers[theirs & (numbers > 0)])
    numbers[theirs] = donor.values[2][theirs] + numbers.max(initial=0)
    depth[theirs] = donor.values[0][theirs]
    cut = np.isin(numbers, covered)
    depth[cut] = depths(np.where(cut, numbers, 0))[cut]
    known |= theirs
    near = borders(numbers)
    border[theirs] = near[theirs]
    border[known & near] = 1
    ids[known] = numbers[known]
    labels = np.where(theirs, np.uint8(index), target.labels)
    return Target(labels, np.stack([depth, border, ids])), theirs
