"""A finished part of the maps of one image, which is all that a task sees of a network. Knows no task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from maskwright.core.instances import Instances


@dataclass(frozen=True)
class Block:
    """A finished part of the maps of one image.

    Attributes:
        rows, columns: its position, in pixels of the image.
        maps: float32 (C, rows, columns), all channel groups, activated; NaN where the image has no data. If the network
            emits objects, C is 0, and only rows and columns that no earlier block has are counted.
        objects: those that the network sees in the block, at their places in the image. Blocks then overlap, and an
            object that the edge of a block cuts is in several.
    """

    rows: slice
    columns: slice
    maps: Tensor
    objects: Instances | None = None
