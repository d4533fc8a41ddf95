"""Which rows each step of a network computes when. Whole numbers only: knows no pixels.

The result is computed a few rows at a time, and every step just as far as that needs. The first rows of the result need
many rows of the image, so the first turns compute none of the result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from maskwright.inference.streaming.network import RowNetwork
    from maskwright.inference.streaming.step import Step

_SEEN = 40
"""Turns on either side of the middle that are looked at for what is kept: the turns of an image are all alike there."""


class Schedule:
    """Turns that each compute the next rows of the result.

    Args:
        network: what is computed.
        height: of the image.
        rows: of the result in a turn.
        stages: parts of the network of about equal cost that are computed at the same time.

    Attributes:
        heights: of the result of each step, by its number; 0 is the image.
        turns: turn `t` completes the rows of the result above `t * rows`.
    """

    def __init__(self, network: RowNetwork, height: int, rows: int, stages: int = 1) -> None:
        self.network, self.rows, self._parts = network, rows, network.parts(stages)
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
            for source in step.inputs:
                ends[source] = max(ends.get(source, wanted), min(wanted, self.heights[source]))
        return {number: min(end, self.heights[number]) for number, end in ends.items()}

    def starts(self, begin: int) -> dict[int, int]:
        """Return the first row that is computed of each map, by number, if the turn `begin` is the first one."""
        before = self.ends(begin - 1)
        return {number: 0 if begin == self.turns.start else max(end, 0) for number, end in before.items()}

    def kept(self, ends: dict[int, int], steps: Sequence[Step]) -> dict[int, int]:
        """Return from which row on some steps need each map later, after a turn with these `ends`."""
        first = dict(self.heights)
        for step in steps:
            if ends[step.number] < self.heights[step.number]:
                needed = max(step.layer.first(max(ends[step.number], 0)), 0)
                for source in step.inputs:
                    first[source] = min(first[source], needed)
        return first

    def capacities(self, steps: Sequence[Step]) -> dict[int, int]:
        """Return how many rows of each map are kept for some steps after a turn, at most."""
        middle = (self.turns.start + self.turns.stop) // 2
        # The turns repeat themselves but for the first and last ones.
        seen = range(max(middle - _SEEN, self.turns.start), min(middle + _SEEN, self.turns.stop))
        edges = {*range(self.turns.start - 1, seen.start), *range(seen.stop, self.turns.stop)}
        capacities = dict.fromkeys(self.heights, 0)
        for turn in (*seen, *(edges if len(edges) <= 2 * _SEEN else ())):
            ends = self.ends(turn)
            for number, first in self.kept(ends, steps).items():
                capacities[number] = max(capacities[number], max(ends.get(number, 0), 0) - first)
        return capacities

    def peak_bytes(self, width: int) -> int:
        """Return the bytes that all maps take at the peak, for a width of the image, in float32.

        These are the rows that are kept, and in a turn the new ones of each map until the last step has read them. Each
        step counts with its result, what it makes on the way, and a copy of the rows that it reads. All stages may be
        at their peak, while what each hands over for the next turn waits.
        """
        return int(4 * width * sum(self._peak(steps) for steps in self._parts))

    def _peak(self, steps: Sequence[Step]) -> float:
        """Return the values for each column of the image that some steps hold at the peak."""
        values = {0: float(self.network.channels), **{step.number: step.values for step in self.network.steps}}
        last = {source: step.number for step in steps for source in step.inputs}
        kept = sum(values[number] * rows for number, rows in self.capacities(steps).items())
        turn = (self.turns.start + self.turns.stop) // 2
        before, after = self.ends(turn - 1), self.ends(turn)
        new = {number: values[number] * (after[number] - before[number]) for number in values}
        later = {source for step in self.network.steps if step.number > steps[-1].number for source in step.inputs}
        handed = later & {0, *(step.number for step in self.network.steps if step.number <= steps[-1].number)}
        held_now = peak = sum(new[number] for number in {*last} - {step.number for step in steps})
        for step in steps:
            rows = step.layer.stop(after[step.number]) - step.layer.first(before[step.number])
            copied = rows * sum(values[source] for source in step.inputs)
            held_now += new[step.number]
            peak = max(peak, held_now + copied + step.inner_values * min(rows, step.inner_rows))
            read = {source for source in step.inputs if last[source] == step.number}
            held_now -= sum(new[source] for source in read - handed)
        return kept + peak + sum(new[number] for number in handed)

    def turn_for(self, row: int) -> int:
        """Return the latest turn to begin with for the right result from a row on, the rows before it being wrong."""
        right = {self.network.result: row}
        for step in reversed(self.network.steps):
            needed = max(step.layer.first(right[step.number]), 0)
            for source in step.inputs:
                right[source] = min(right.get(source, needed), needed)
        turn = min(row // self.rows + 1, self.turns.stop - 1)
        while turn > self.turns.start:
            ends = self.ends(turn - 1)
            if all(max(ends[number], 0) <= first for number, first in right.items()):
                break
            turn -= 1
        return turn
