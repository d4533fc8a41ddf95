"""Judges of label maps that the tests of this room share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from skimage.measure import label

if TYPE_CHECKING:
    from numpy.typing import NDArray


def is_partition(labels: NDArray[Any]) -> bool:
    """Whether the labels are 0..K-1, each in use and connected by sides of pixels."""
    pieces = label(labels, background=-1, connectivity=1)
    return np.unique(labels).tolist() == list(range(pieces.max())) and labels.dtype == np.int32
