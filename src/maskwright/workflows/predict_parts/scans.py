"""A label map of an image that is too large for memory: rows in, rows out. Decides nothing about files' kinds.

Three things happen at the same time: the next rows are decoded, the network works, and finished rows are compressed and
written. Each waits for the others, so that only a few rows are held. An interrupted prediction goes on at the first row
that is not on disk.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from maskwright.core.overlap import Behind
from maskwright.tasks.label_map import decide

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from maskwright.diagnosis.risk import Promise
    from maskwright.inference import Predictor
    from maskwright.ops.rows import RowSource
    from maskwright.tasks import Block
    from maskwright.workflows.predict_parts.bands import PanelBands
    from maskwright.workflows.predict_parts.pictures import Picture

_WAITING = 2
"""Bands that may wait to be written."""


def identity(predictor: Predictor, picture: Picture, source: RowSource, *, judged: bool = False) -> str:
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
            **({"judged": True} if judged else {}),  # rows that nobody judged have no sums
        },
        sort_keys=True,
        indent=1,
    )


def fill(
    bands: PanelBands,
    blocks: Iterable[Block],
    classes: int,
    on_rows: Callable[[int], None],
    promise: Callable[[], Promise] | None = None,
) -> None:
    """Decide the blocks and put the rows that they complete into the bands.

    Args:
        bands: of a panel, of which some rows may be there.
        blocks: of the other rows, in the order of `Predictor.blocks`.
        classes: number of the maps that are of classes; they come first, and the strength of edges may follow.
        on_rows: called with the number of rows that are computed.
        promise: makes what sums up the blocks of some rows; None if nobody asks for the risk.
    """

    def write(done: _Rows) -> None:
        if done.promise is not None:
            bands.put_sums(len(done.labels), done.promise.sums)
        bands.put(done.labels)

    with Behind(write, _WAITING) as writer:
        for done in _complete_rows(blocks, classes, bands.columns, bands.end, promise or (lambda: None)):
            writer.put(done)
            on_rows(done.end)


class _Rows(NamedTuple):
    """Labels (h, w) of complete rows, the row after the last of them, and what their blocks promise."""

    end: int
    labels: NDArray[np.uint8]
    promise: Promise | None


def _complete_rows(
    blocks: Iterable[Block], classes: int, columns: range, top: int, promise: Callable[[], Promise | None]
) -> Iterator[_Rows]:
    """Yield rows as soon as blocks cover their columns."""
    width, left = len(columns), columns.start
    held, covered, sums = np.empty((0, width), np.uint8), 0, promise()
    for block in blocks:
        labels, _ = decide(block.maps[:classes])
        if sums is not None:
            sums.add(block)
        below = block.rows.stop - top
        if below > len(held):
            held = np.concatenate([held, np.empty((below - len(held), width), np.uint8)])
        held[block.rows.start - top : below, block.columns.start - left : block.columns.stop - left] = labels
        del block  # not held while the next one is computed
        covered += labels.size
        if covered == held.size:
            top += len(held)
            yield _Rows(top, held, sums)
            held, covered, sums = np.empty((0, width), np.uint8), 0, promise()
