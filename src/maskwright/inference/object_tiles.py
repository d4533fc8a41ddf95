"""Tiles through a network that emits objects: boxes with masks in, objects at their places in the image out.

The image's own resolution is used from the start: a mask of 28 x 28 points is enlarged once, to the box as it lies in
the image, and only there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional as F

from maskwright.core.instances import Instance, Instances
from maskwright.ops.instance_maps import cropped
from maskwright.ops.tiles import cover
from maskwright.tasks.base import Block

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from maskwright.core.plan import PredictPlan
    from maskwright.inference.engine import Engine
    from maskwright.inference.prepared_image import PreparedImage
    from maskwright.models.objects.base import Found
    from maskwright.ops.tiles import TileAxis

INSIDE = 0.5
"""Probability from which a pixel belongs to an object."""


def object_blocks(source: PreparedImage, engine: Engine, how: PredictPlan) -> Iterator[Block]:
    """Yield one block for each tile, with the objects seen in it; blocks overlap as the tiles do.

    Args:
        source: the image.
        engine: of a network that emits objects.
        how: tile and overlap.
    """
    rows, columns = (
        cover(side, length, how.overlap) for side, length in zip(source.working, how.tile_size, strict=True)
    )
    below, beside = _spans(rows, source.size[0]), _spans(columns, source.size[1])
    down, across = (size / working for size, working in zip(source.size, source.working, strict=True))
    scale = torch.tensor([across, down, across, down], dtype=torch.float32)
    for top, (height, part_rows) in zip(rows.starts, below, strict=True):
        band = source.rows(top, top + rows.tile)
        for first in range(0, len(columns), engine.batch):
            lefts = columns.starts[first : first + engine.batch]
            found = engine.objects(np.stack([band[:, left : left + columns.tile] for left in lefts]))
            for left, (width, part_columns), objects in zip(lefts, beside[first:], found, strict=False):
                boxes = (objects.boxes.cpu() + torch.tensor([left, top, left, top])) * scale
                placed = Instances(source.size, tuple(_placed(objects, boxes, source.size)))
                yield Block(part_rows, part_columns, torch.empty(0, height, width), placed)


def _spans(axis: TileAxis, size: int) -> list[tuple[int, slice]]:
    """Return for each tile along one axis how many pixels no earlier tile shows, and all that it shows, of `size`."""
    ends = [-(-(start + axis.tile) * size // axis.size) for start in axis.starts]
    spans = zip(axis.starts, ends, [0, *ends], strict=False)
    return [(end - before, slice(start * size // axis.size, end)) for start, end, before in spans]


def _placed(found: Found, boxes: Tensor, size: tuple[int, int]) -> Iterator[Instance]:
    """Yield the objects that have a pixel, given their boxes (n, 4) in an image of `size`."""
    rows = zip(found.classes.tolist(), found.scores.tolist(), found.masks.cpu(), boxes, strict=True)
    for index, score, mask, box in rows:
        part = pasted(mask, box, size)
        if part is not None:
            top, left, pixels = part
            yield Instance(index, top, left, pixels, score)


def pasted(mask: Tensor, box: Tensor, size: tuple[int, int]) -> tuple[int, int, np.ndarray] | None:
    """Enlarge the mask of a box to its pixels, as torchvision's `paste_masks_in_image` does.

    Args:
        mask: probabilities (M, M).
        box: (4,), left, top, right, bottom in pixels of the image.
        size: of the image.

    Returns:
        (top, left, mask bool (h, w)), cut to the object; None where no pixel is inside.
    """
    points = mask.shape[-1]
    # One point of margin on each side, outside the object, lets its outline end between the box's edge and beyond.
    wider = (points + 2) / points
    middle, half = (box[:2] + box[2:]) * 0.5, (box[2:] - box[:2]) * 0.5 * wider
    left, top, right, bottom = torch.cat([middle - half, middle + half]).to(torch.int64).tolist()
    width, height = max(right - left + 1, 1), max(bottom - top + 1, 1)
    whole = F.interpolate(F.pad(mask, (1, 1, 1, 1))[None, None], (height, width), mode="bilinear", align_corners=False)
    first_row, first_column = max(top, 0), max(left, 0)
    inside = whole[0, 0, first_row - top : size[0] - top, first_column - left : size[1] - left] >= INSIDE
    part = cropped(inside.numpy())
    return None if part is None else (first_row + part[0], first_column + part[1], part[2])
