"""A label map of an image that is too large for memory: rows in, rows out. Decides nothing about files' kinds.

Three things happen at the same time: the next rows are decoded, the network works, and finished rows are compressed and
written. Each waits for the others, so that only a few rows are held. An interrupted prediction goes on at the first row
that is not on disk.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import numpy as np

from maskwright.core.overlap import Behind
from maskwright.tasks.label_map import decide

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from maskwright.inference import Predictor
    from maskwright.ops.rows import RowSource
    from maskwright.tasks import Block
    from maskwright.workflows.predict_parts.bands import PanelBands
    from maskwright.workflows.predict_parts.pictures import Picture

_WAITING = 2
"""Bands that may wait to be written."""


def identity(predictor: Predictor, picture: Picture, source: RowSource) -> str:
    """Return a text that is the same if the same model would predict the same file in the same way.

    The network is known by what it makes of a small picture, which differs with its weights, precision and machine.
    """
    card, image = predictor.card, picture.image
    noise = np.random.default_rng(0).integers(0, 256, (1, 64, 64, card.data.channels), np.uint8)
    answer = predictor.engine.forward(noise).cpu().numpy()
    follows = predictor.postprocessor
    return json.dumps(
        {
            "image": [picture.origin or str(image.path.resolve()), image.page, *image.stamp()],
            "size": [*source.size, source.channels],
            "network": hashlib.sha256(answer.tobytes()).hexdigest(),
            "card": card.model_dump(mode="json"),
            "by_rows": predictor.by_rows is not None,
            "panels": [[columns.start, columns.stop] for columns in predictor.panels(source.size)],
            "postprocessor": None if follows is None else [follows.label, follows.describe()],
        },
        sort_keys=True,
        indent=1,
    )


def fill(bands: PanelBands, blocks: Iterable[Block], classes: int, on_rows: Callable[[int], None]) -> None:
    """Decide the blocks and put the rows that they complete into the bands.

    Args:
        bands: of a panel, of which some rows may be there.
        blocks: of the other rows, in the order of `Predictor.blocks`.
        classes: number of the maps that are of classes; they come first, and the strength of edges may follow.
        on_rows: called with the number of rows that are computed.
    """
    with Behind(bands.put, _WAITING) as writer:
        for end, labels in _complete_rows(blocks, classes, bands.columns, bands.end):
            writer.put(labels)
            on_rows(end)


def _complete_rows(
    blocks: Iterable[Block], classes: int, columns: range, top: int
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Yield the labels (h, w) of rows as soon as blocks cover their columns, and the row after the last of them."""
    width, left = len(columns), columns.start
    held, covered = np.empty((0, width), np.uint8), 0
    for block in blocks:
        labels, _ = decide(block.maps[:classes])
        below = block.rows.stop - top
        if below > len(held):
            held = np.concatenate([held, np.empty((below - len(held), width), np.uint8)])
        held[block.rows.start - top : below, block.columns.start - left : block.columns.stop - left] = labels
        del block  # not held while the next one is computed
        covered += labels.size
        if covered == held.size:
            top += len(held)
            yield top, held
            held, covered = np.empty((0, width), np.uint8), 0
