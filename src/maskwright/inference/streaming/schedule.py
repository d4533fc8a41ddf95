"""Which rows each step of a network computes when. Whole numbers only: knows no pixels.

The result is computed a few rows at a time, and every step just as far as that needs. The first rows of the result need
many rows of the image, so the first turns compute none of the result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from maskwright.inference.streaming.network import RowNetwork

_SEEN = 40
"""Turns on either side of the middle that are looked at for what is kept: the turns of an image are all alike there."""


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

    def rooms(self) -> dict[int, int]:
        """Return how many rows of each map are kept after a turn, at most."""
        middle = (self.turns.start + self.turns.stop) // 2
        # The turns repeat themselves but for the first and last ones.
        seen = range(max(middle - _SEEN, self.turns.start), min(middle + _SEEN, self.turns.stop))
        edges = {*range(self.turns.start - 1, seen.start), *range(seen.stop, self.turns.stop)}
        rooms = dict.fromkeys(self.heights, 0)
        for turn in (*seen, *(edges if len(edges) <= 2 * _SEEN else ())):
            ends = self.ends(turn)
            for place, first in self.kept(ends).items():
                rooms[place] = max(rooms[place], max(ends.get(place, 0), 0) - first)
        return rooms

    def held_bytes(self, width: int) -> int:
        """Return the bytes of all rows that are kept after a turn, at most, for an image of a width, in float32."""
        weights = {step.number: step.weight for step in self.network.steps}
        return int(sum(4 * width * weights.get(place, 3) * rows for place, rows in self.rooms().items()))

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
