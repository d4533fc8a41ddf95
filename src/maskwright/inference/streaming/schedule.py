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

    def most_bytes(self, width: int) -> int:
        """Return the bytes of all maps that are there at the same time, at most, for a width of the image, in float32.

        These are the rows that are kept, and in a turn the new ones of each map until the last step has read them. Each
        step counts with its result, what it makes on the way, and a copy of the rows that it reads.
        """
        weights = {0: float(self.network.channels), **{step.number: step.weight for step in self.network.steps}}
        last = {place: step.number for step in self.network.steps for place in step.inputs}
        held = sum(weights[place] * rows for place, rows in self.rooms().items())
        turn = (self.turns.start + self.turns.stop) // 2
        before, after = self.ends(turn - 1), self.ends(turn)
        new = {place: weights[place] * (after[place] - before[place]) for place in weights}
        there = most = new[0]
        for step in self.network.steps:
            rows = step.layer.stop(after[step.number]) - step.layer.first(before[step.number])
            read = sum(weights[place] for place in step.inputs) + step.inside
            there += new[step.number]
            most = max(most, there + read * rows)
            there -= sum(new[place] for place in set(step.inputs) if last[place] == step.number)
        return int(4 * width * (held + most))

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
