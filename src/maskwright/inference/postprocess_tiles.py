"""A network's blocks through a postprocessor, which needs maps of a whole image. Knows no network and no method.

An image of as many pixels as the postprocessor takes at once goes through whole. A larger one is cut into overlapping
pieces, each predicted and processed on its own, of which only the middle is kept: so memory is bounded, and pixels
further apart than a piece do not see each other. The postprocessor is given the sides that are cut. The overlap is what
it reaches, on either side of the cut, as far as it stays within half a piece.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from maskwright.core.channels import positions, total
from maskwright.ops.images import prepare
from maskwright.ops.no_data import no_data
from maskwright.ops.rows import as_rows
from maskwright.ops.tiles import Cuts, cover
from maskwright.tasks.block import Block

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from maskwright.models.bundle import Card
    from maskwright.ops.rows import RowSource
    from maskwright.postprocess import Postprocessor

PIECE = 1280  # side of a piece of a larger image


def postprocessed_blocks(
    blocks: Callable[[NDArray[Any]], Iterator[Block]],
    image: NDArray[Any] | RowSource,
    card: Card,
    postprocessor: Postprocessor,
    start: int = 0,
) -> Iterator[Block]:
    """Yield the processed maps of an image in pieces that cover it once, NaN where it has no data.

    Args:
        blocks: what the network says about an image.
        image: (H, W) or (H, W, C), any real dtype, or one that is read by rows.
        card: of the network.
        postprocessor: that follows.
        start: first row of the image that is wanted, where a piece begins.

    Raises:
        MaskwrightError: channels or values that the model was not trained for.
    """
    points = card.data.unscaled()
    channels = total(card.channels)
    read = positions(card.channels, postprocessor.reads)
    most = postprocessor.most_pixels(channels, card.data.channels)
    source = as_rows(image)
    read_last, band = slice(0, 0), source.rows(0, 0)
    for (outer_rows, rows), (outer_columns, columns) in _pieces(source.size, postprocessor.reach, most):
        if rows.stop <= start:
            continue
        if outer_rows != read_last:
            read_last, band = outer_rows, source.rows(outer_rows.start, outer_rows.stop)
        part = band[:, outer_columns]
        maps = np.empty((channels, *part.shape[:2]), np.float32)
        for block in blocks(part):
            maps[:, block.rows, block.columns] = block.maps.cpu().numpy()
        pixels, cuts = prepare(part, points), Cuts.of(outer_rows, outer_columns, source.size)
        inner = tuple(
            slice(kept.start - outer.start, kept.stop - outer.start)
            for kept, outer in ((rows, outer_rows), (columns, outer_columns))
        )
        if len(read) == channels:
            maps = postprocessor.apply(maps, pixels, cuts)
        else:
            maps[read] = postprocessor.apply(maps[read], pixels, cuts)
        gone = no_data(part)
        if gone is not None:
            maps[:, gone] = np.nan
        yield Block(rows, columns, torch.from_numpy(maps[:, *inner]))


def _pieces(
    size: tuple[int, int], reach: float, most: int
) -> Iterator[tuple[tuple[slice, slice], tuple[slice, slice]]]:
    """Yield rows and columns of each piece: what is looked at, and what of it is kept."""
    height, width = size
    piece = max(height, width) if height * width <= most else min(PIECE, math.isqrt(most))
    overlap = min(2 * reach / piece, 0.5)
    for rows in _along(height, piece, overlap):
        for columns in _along(width, piece, overlap):
            yield rows, columns


def _along(size: int, piece: int, overlap: float) -> list[tuple[slice, slice]]:
    """Return the pieces along one axis; neighbours meet in the middle of their overlap."""
    axis = cover(size, piece, overlap)
    middles = [(after + before + axis.tile) // 2 for before, after in zip(axis.starts, axis.starts[1:], strict=False)]
    kept = zip([0, *middles], [*middles, size], strict=True)
    return [(slice(start, start + axis.tile), slice(*ends)) for start, ends in zip(axis.starts, kept, strict=True)]
