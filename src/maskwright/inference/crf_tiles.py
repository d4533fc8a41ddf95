"""A network's blocks through the dense CRF, which needs probabilities of the whole image. Knows no network.

In an image of up to `WHOLE` pixels every pixel is joined to every other one, as in the paper; fewer where there are
more than 21 classes, or where the CRF sees more than 3 channels (`crf.axes_of`), whose numbers the memory grows with. A
larger one is cut into overlapping pieces, each predicted and refined on its own, of which only the middle is kept: so
memory is bounded, and pixels further apart than a piece do not ask each other. The overlap is four standard deviations
of the position, two on either side of the cut, as far as it stays within half a piece.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from maskwright.inference.blend import Block
from maskwright.ops.images import prepare
from maskwright.ops.tiles import cover
from maskwright.postprocess.crf import axes_of, refine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from maskwright.core.plan import CrfPlan
    from maskwright.models.bundle import Card

WHOLE = 1 << 21  # pixels: an HD frame; the CRF holds 2 GB then on a smooth image, 6 GB on pure noise
CLASSES, CHANNELS = 21, 3  # for which that holds
PIECE = 1280  # side of a piece of something larger


def crf_blocks(
    blocks: Callable[[NDArray[Any]], Iterator[Block]], image: NDArray[Any], card: Card, settings: CrfPlan
) -> Iterator[Block]:
    """Yield the refined probabilities of an image in pieces that cover it once.

    Args:
        blocks: what the network says about an image.
        image: (H, W) or (H, W, C), any real dtype.
        card: of the network.
        settings: of the CRF.

    Raises:
        MaskwrightError: channels or values that the model was not trained for.
    """
    points = card.data.model_copy(update={"scale": 1.0})
    most = whole(len(card.classes.names), card.data.channels)
    for (outer_rows, rows), (outer_columns, columns) in _pieces(image.shape[0], image.shape[1], settings, most):
        part = image[outer_rows, outer_columns]
        probabilities = np.empty((len(card.classes.names), *part.shape[:2]), np.float32)
        for block in blocks(part):
            probabilities[:, block.rows, block.columns] = block.probabilities.cpu().numpy()
        pixels = prepare(part if part.ndim == 3 else part[:, :, None], points)
        inner = tuple(
            slice(kept.start - outer.start, kept.stop - outer.start)
            for kept, outer in ((rows, outer_rows), (columns, outer_columns))
        )
        yield Block(rows, columns, torch.from_numpy(refine(probabilities, pixels, settings)[:, *inner]))


def whole(classes: int, channels: int) -> int:
    """Return how many pixels go through in one piece: the lattice has a value a class at C + 3 corners of each."""
    corners = max(axes_of(channels), CHANNELS) + 3
    return int(WHOLE * CLASSES / max(classes, CLASSES) * (CHANNELS + 3) / corners)


def _pieces(
    height: int, width: int, settings: CrfPlan, most: int
) -> Iterator[tuple[tuple[slice, slice], tuple[slice, slice]]]:
    """Yield rows and columns of each piece: what is looked at, and what of it is kept."""
    piece = max(height, width) if height * width <= most else min(PIECE, math.isqrt(most))
    overlap = min(4 * settings.theta_alpha / piece, 0.5)
    for rows in _along(height, piece, overlap):
        for columns in _along(width, piece, overlap):
            yield rows, columns


def _along(size: int, piece: int, overlap: float) -> list[tuple[slice, slice]]:
    """Return the pieces along one axis; neighbours meet in the middle of their overlap."""
    axis = cover(size, piece, overlap)
    middles = [(after + before + axis.tile) // 2 for before, after in zip(axis.starts, axis.starts[1:], strict=False)]
    kept = zip([0, *middles], [*middles, size], strict=True)
    return [(slice(start, start + axis.tile), slice(*ends)) for start, ends in zip(axis.starts, kept, strict=True)]
