"""Maps of an image in the blocks that a predictor gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskwright.tasks.block import Block

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor


def blocks(maps: Tensor, rows: int | None = None, columns: int | None = None) -> Iterator[Block]:
    """Cut maps (C, H, W) into blocks of at most so many rows and columns."""
    height, width = maps.shape[1:]
    for top in range(0, height, rows or height):
        for left in range(0, width, columns or width):
            place = slice(top, min(top + (rows or height), height)), slice(left, min(left + (columns or width), width))
            yield Block(*place, maps[:, place[0], place[1]])
