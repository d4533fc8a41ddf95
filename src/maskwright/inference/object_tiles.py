"""Tiles through a network that emits objects: masks in boxes or in tiles in, objects at their places in the image out.

The image's own resolution is used from the start: a mask is enlarged once, to its place in the image, and only there.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch.nn import functional as F

from maskwright.core.instances import Instance, Instances
from maskwright.models.objects.base import Segments
from maskwright.ops.instance_maps import cropped
from maskwright.ops.resample import between
from maskwright.ops.tiles import cover
from maskwright.tasks.block import Block

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from maskwright.core.plan import PredictPlan
    from maskwright.inference.engine import Engine
    from maskwright.inference.prepared_image import PreparedImage
    from maskwright.models.objects.base import Found
    from maskwright.ops.tiles import TileAxis

    Piece = tuple[int, int, NDArray[np.bool_]]
    """Top and left edge of a mask in the image, and the mask."""

INSIDE = 0.5
"""Probability from which a pixel belongs to an object."""


class Place(NamedTuple):
    """Where a tile lies.

    Attributes:
        top, left: its corner, in pixels of the working resolution.
        down, across: pixels of the image for each of those.
        size: (height, width) of the image.
        rows, columns: of the image that the tile shows.
    """

    top: int
    left: int
    down: float
    across: float
    size: tuple[int, int]
    rows: slice
    columns: slice


def object_blocks(source: PreparedImage, engine: Engine, how: PredictPlan, *, shares: bool) -> Iterator[Block]:
    """Yield one block for each tile, with the objects seen in it; blocks overlap as the tiles do.

    Args:
        source: the image.
        engine: of a network that emits objects.
        how: tile and overlap.
        shares: whether segments get the probability of each pixel.
    """
    rows, columns = (
        cover(side, length, how.overlap) for side, length in zip(source.working, how.tile_size, strict=True)
    )
    below, beside = _spans(rows, source.size[0]), _spans(columns, source.size[1])
    down, across = (size / working for size, working in zip(source.size, source.working, strict=True))
    for top, (height, part_rows) in zip(rows.starts, below, strict=True):
        source.finished(part_rows.start)
        band = source.rows(top, top + rows.tile)
        for first in range(0, len(columns), engine.batch):
            lefts = columns.starts[first : first + engine.batch]
            found = engine.objects(np.stack([band[:, left : left + columns.tile] for left in lefts]))
            for left, (width, part_columns), objects in zip(lefts, beside[first:], found, strict=False):
                place = Place(top, left, down, across, source.size, part_rows, part_columns)
                if isinstance(objects, Segments):
                    placed = _from_masks(objects, place, shares=shares)
                else:
                    placed = _from_boxes(objects, place)
                yield Block(
                    part_rows, part_columns, torch.empty(0, height, width), Instances(source.size, tuple(placed))
                )


def _spans(axis: TileAxis, size: int) -> list[tuple[int, slice]]:
    """Return for each tile along one axis how many pixels no earlier tile shows, and all that it shows, of `size`."""
    ends = [-(-(start + axis.tile) * size // axis.size) for start in axis.starts]
    spans = zip(axis.starts, ends, [0, *ends], strict=False)
    return [(end - before, slice(start * size // axis.size, end)) for start, end, before in spans]


def _from_boxes(found: Found, place: Place) -> Iterator[Instance]:
    """Yield the objects that have a pixel, given their boxes and masks in these."""
    scale = torch.tensor([place.across, place.down] * 2, dtype=torch.float32)
    boxes = (found.boxes.cpu() + torch.tensor([place.left, place.top] * 2)) * scale
    paste = pasted if found.aligned else pasted_as_torchvision
    rows = zip(found.classes.tolist(), found.scores.tolist(), found.masks.cpu().numpy(), boxes.tolist(), strict=True)
    for index, score, mask, box in rows:
        part = paste(mask, box, place.size)
        if part is not None:
            top, left, pixels = part
            yield Instance(index, top, left, pixels, score)


def _from_masks(found: Segments, place: Place, *, shares: bool) -> Iterator[Instance]:
    """Yield the objects that have a pixel, given the logits of their masks in the whole tile."""
    rows = zip(found.classes.tolist(), found.scores.tolist(), found.masks.cpu().numpy(), strict=True)
    for index, score, mask in rows:
        near = cropped(mask > 0)
        if near is None:
            continue
        top, left, points = near
        first_row, down = _points(top, points.shape[0], (place.top, place.down, found.stride), place.rows)
        first_column, across = _points(left, points.shape[1], (place.left, place.across, found.stride), place.columns)
        logits = between(mask, down, across)
        part = cropped(logits > 0)
        if part is not None:
            row, column, inside = part
            own = logits[row : row + inside.shape[0], column : column + inside.shape[1]]
            held = (1 / (1 + np.exp(-own))).astype(np.float16) if shares else None
            yield Instance(index, first_row + row, first_column + column, inside, score, shares=held)


def _points(first: int, count: int, scale: tuple[int, float, int], window: slice) -> tuple[int, NDArray[np.float64]]:
    """Return the first pixel of the image that `count` points of a mask reach, and where pixels lie among the points.

    Args:
        first: of the points along one axis.
        count: of them.
        scale: start of the tile, pixels of the image for one of the tile, and of the tile for one point.
        window: pixels of the image that count.
    """
    start, factor, stride = scale
    # A point reaches as far as the middle of its neighbours.
    low, high = (((point + 0.5) * stride + start) * factor - 0.5 for point in (first - 1, first + count))
    begin = max(math.floor(low), window.start)
    pixels = np.arange(begin, min(math.ceil(high) + 1, window.stop))
    return begin, ((pixels + 0.5) / factor - start) / stride - 0.5


def pasted(mask: NDArray[np.float32], box: Sequence[float], size: tuple[int, int]) -> Piece | None:
    """Enlarge the mask of a box to the pixels whose centres lie in the box, at least one along each side.

    Args:
        mask: probabilities (M, M) of equal parts of the box.
        box: left, top, right, bottom in pixels of the image.
        size: (height, width) of the image.

    Returns:
        (top, left, mask bool (h, w)), cut to the object; None where no pixel is inside.
    """
    first_column, across = _centres(box[0], box[2], mask.shape[1], size[1])
    first_row, down = _centres(box[1], box[3], mask.shape[0], size[0])
    part = cropped(between(mask, down, across) >= INSIDE)
    return None if part is None else (first_row + part[0], first_column + part[1], part[2])


def _centres(first: float, last: float, count: int, length: int) -> tuple[int, NDArray[np.float32]]:
    """Return the first of `length` pixels between two edges, and where the pixels there lie among `count` points."""
    start = min(max(math.ceil(first - 0.5), 0), length - 1)
    pixels = np.arange(start, min(max(math.ceil(last - 0.5), start + 1), length))
    return start, ((pixels + 0.5 - first) * (count / (last - first)) - 0.5).astype(np.float32)


def pasted_as_torchvision(mask: NDArray[np.float32], box: Sequence[float], size: tuple[int, int]) -> Piece | None:
    """Do the same as torchvision's `paste_masks_in_image` does; see `pasted`."""
    points = mask.shape[-1]
    # One point of margin on each side, outside the object, lets its outline end between the box's edge and beyond.
    wider = (points + 2) / points
    corners = torch.tensor(box)
    middle, half = (corners[:2] + corners[2:]) * 0.5, (corners[2:] - corners[:2]) * 0.5 * wider
    left, top, right, bottom = torch.cat([middle - half, middle + half]).to(torch.int64).tolist()
    width, height = max(right - left + 1, 1), max(bottom - top + 1, 1)
    padded = F.pad(torch.from_numpy(mask), (1, 1, 1, 1))[None, None]
    whole = F.interpolate(padded, (height, width), mode="bilinear", align_corners=False)
    first_row, first_column = max(top, 0), max(left, 0)
    inside = whole[0, 0, first_row - top : size[0] - top, first_column - left : size[1] - left] >= INSIDE
    part = cropped(inside.numpy())
    return None if part is None else (first_row + part[0], first_column + part[1], part[2])
