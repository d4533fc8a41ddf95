"""Which rows each step of a network computes when. Whole numbers only: knows no pixels.

The result is computed a few rows at a time, and every step just as far as that needs. The first rows of the result need
many rows of the image, so the first turns compute none of the result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from maskwright.inference.streaming.network import RowNetwork


class Schedule:
    """Turns that each compute the next rows of the result.

    Args:
        network: what is computed.
        height: of the image.
        rows: of the result in a turn.

    Attributes:
        heights: of the result of each step, by its number; 0 is the image.
        turns: turn `t` completes the rows of the result above `t * rows`.
    """

    def __init__(self, network: RowNetwork, height: int, rows: int) -> None:
        self.network, self.rows = network, rows
        self.heights = {0: height}
        for step in network.steps:
            self.heights[step.number] = step.layer.height(self.heights[step.inputs[0]])
        first = 1
        while self.ends(first)[0] > 0:
            first -= 1
        self.turns = range(first + 1, -(-height // rows) + 1)

    def ends(self, turn: int) -> dict[int, int]:
        """Return up to which row each map is computed after a turn, by number; 0 or less for not at all."""
        ends = {self.network.result: min(turn * self.rows, self.heights[self.network.result])}
        for step in reversed(self.network.steps):
            wanted = step.layer.stop(ends[step.number])
            for place in step.inputs:
                ends[place] = max(ends.get(place, wanted), min(wanted, self.heights[place]))
        return {place: min(end, self.heights[place]) for place, end in ends.items()}

    def kept(self, ends: dict[int, int]) -> dict[int, int]:
        """Return from which row on each map is needed later, after a turn with these `ends`."""
        first = dict(self.heights)
        for step in self.network.steps:
            if ends[step.number] < self.heights[step.number]:
                needed = max(step.layer.first(max(ends[step.number], 0)), 0)
                for place in step.inputs:
                    first[place] = min(first[place], needed)
        return first

    def begin(self, row: int) -> int:
        """Return the latest turn to begin with for the right result from a row on, the rows before it being wrong."""
        right = {self.network.result: row}
        for step in reversed(self.network.steps):
            needed = max(step.layer.first(right[step.number]), 0)
            for place in step.inputs:
                right[place] = min(right.get(place, needed), needed)
        turn = min(row // self.rows + 1, self.turns.stop - 1)
        while turn > self.turns.start:
            ends = self.ends(turn - 1)
            if all(max(ends[place], 0) <= first for place, first in right.items()):
                break
            turn -= 1
        return turn
