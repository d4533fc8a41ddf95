"""Which record a training crop comes from, and which class it is centred on: a pure function of (seed, step, slot).

Crops are numbered through the training: position = step * batch + slot. A fixed pattern assigns every position to one
of two kinds. *Class* positions (a share of `sampling.rare_share`) draw a class, then a record that contains it. *Plain*
positions go through a new permutation of all records in each epoch, so each image comes once before any comes again.
Knows no pixels.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from maskwright.core.errors import MaskwrightError
from maskwright.core.seeds import generator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from maskwright.core.plan import SamplingPlan


class Draw(NamedTuple):
    """A record, by its index in the list, and the class to centre the crop on (None: anywhere)."""

    record: int
    wanted: int | None


@dataclass(frozen=True)
class _Table:
    """The classes that can be drawn, their cumulated odds, and the records that contain each, in order."""

    classes: tuple[int, ...]
    cumulated: tuple[float, ...]
    records: dict[int, tuple[int, ...]]


class Sampler:
    """Draws a record and a class for every position of a training."""

    def __init__(
        self, presence: Sequence[frozenset[int]], sampling: SamplingPlan, seed: int, objects: Sequence[int] = ()
    ) -> None:
        """Prepare the draws.

        Args:
            presence: one entry a record: the indices of the classes it contains.
            sampling: batch, share and odds.
            seed: of the run.
            objects: the classes whose objects may be pasted.

        Raises:
            MaskwrightError: there are no records, or the odds do not cover all classes or are negative.
        """
        if not presence:
            raise MaskwrightError("there is no image to train on: put labelled images into the train split")
        self.count = len(presence)
        self.batch = sampling.batch
        self.seed = seed
        self._table = _class_table(presence, sampling.class_odds)
        pasted = [indices & frozenset(objects) for indices in presence]
        self._donors = _class_table(pasted, sampling.class_odds)
        self._share = sampling.rare_share if self._table.classes else 0.0

    def draw(self, step: int, slot: int) -> Draw:
        """Return the record and class for one crop.

        Args:
            step: optimiser step, from 0.
            slot: index in the global batch, 0..batch-1.
        """
        position = step * self.batch + slot
        class_positions = math.floor(position * self._share)
        if math.floor((position + 1) * self._share) > class_positions:
            return self._class_draw(position)
        return Draw(self._plain(position - class_positions), None)

    def donor(self, step: int, slot: int, record: int) -> Draw | None:
        """Return another record than `record`, and the class of its objects to paste into a crop; None for none.

        The class is drawn first, so where no other record has it, nothing is pasted.
        """
        if not self._donors.classes:
            return None
        index, holders, place = self._drawn(self._donors, "donor", step * self.batch + slot)
        own = bisect_left(holders, record)
        holds = holders[own : own + 1] == (record,)
        others = len(holders) - holds
        if not others:
            return None
        chosen = int(place * others)
        return Draw(holders[chosen + (holds and chosen >= own)], index)

    def _plain(self, position: int) -> int:
        epoch, offset = divmod(position, self.count)
        return int(_permutation(self.seed, epoch, self.count)[offset])

    def _class_draw(self, position: int) -> Draw:
        index, holders, place = self._drawn(self._table, "class", position)
        return Draw(holders[int(place * len(holders))], index)

    def _drawn(self, table: _Table, purpose: str, position: int) -> tuple[int, tuple[int, ...], float]:
        """Draw a class: its index, the records that contain it, and a number 0..1 to choose one of these by."""
        first, second = generator(self.seed, purpose, position).random(2)
        index = table.classes[int(np.searchsorted(table.cumulated, first, side="right"))]
        return index, table.records[index], second


def _class_table(presence: Sequence[frozenset[int]], odds: Sequence[float] | None) -> _Table:
    """List the classes that some record contains and whose odds are above 0, with the odds scaled to sum to 1."""
    present = sorted(set().union(*presence))
    if odds is not None and (min(odds, default=0.0) < 0 or (present and len(odds) <= present[-1])):
        raise MaskwrightError(
            f"sampling.class_odds is {list(odds)}, but the training images show classes up to index "
            f"{present[-1] if present else 0}: give one number for each class, none below 0"
        )
    weights = {index: 1.0 if odds is None else odds[index] for index in present}
    classes = tuple(index for index in present if weights[index] > 0)
    cumulated = np.cumsum([weights[index] for index in classes])
    records = {index: tuple(number for number, indices in enumerate(presence) if index in indices) for index in classes}
    # The last one is exactly 1, whatever the rounding, so that a draw below 1 always finds a class.
    scaled = [*(cumulated[:-1] / cumulated[-1]).tolist(), 1.0] if classes else []
    return _Table(classes, tuple(scaled), records)


@lru_cache(maxsize=8)
def _permutation(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    return generator(seed, "epoch", epoch).permutation(count)
