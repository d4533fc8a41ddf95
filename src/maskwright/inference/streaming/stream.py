"""A network by rows over one image: turn after turn, keeping of each map only the rows that are needed again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from maskwright.inference.streaming.layers import Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from maskwright.inference.streaming.network import Step
    from maskwright.inference.streaming.schedule import Schedule


class Rows:
    """The rows of one map that are there, in pieces.

    Attributes:
        end: the row after the last.
    """

    def __init__(self, end: int) -> None:
        self.end = end
        self._pieces: list[tuple[int, Tensor]] = []
        self._none: Tensor | None = None

    def add(self, piece: Tensor) -> None:
        """Add the next rows (N, C, h, W)."""
        if self._none is None:
            self._none = torch.empty_like(piece[:, :, :0])
        self._pieces.append((self.end, piece))
        self.end += piece.shape[2]

    def between(self, start: int, stop: int) -> Tensor:
        """Return some rows; those before the first that was ever added are zeros."""
        found = [
            piece[:, :, max(start - top, 0) : stop - top]
            for top, piece in self._pieces
            if top < stop and top + piece.shape[2] > start
        ]
        missing = stop - start - sum(piece.shape[2] for piece in found)
        if missing or not found:
            assert self._none is not None
            (number, channels, _, width), like = self._none.shape, self._none
            zeros = like.new_zeros((number, channels, missing, width))
            found.insert(0, zeros.contiguous(memory_format=torch.channels_last))
        return found[0] if len(found) == 1 else torch.cat(found, 2)

    def drop(self, above: int) -> None:
        """Forget the rows above one, as far as pieces lie wholly above it."""
        self._pieces = [(top, piece) for top, piece in self._pieces if top + piece.shape[2] > above]


class Stream:
    """The turns of a schedule on one image, in their order.

    Args:
        schedule: of the network and the image.
        begin: the turn to begin with.
    """

    def __init__(self, schedule: Schedule, begin: int) -> None:
        self._schedule, self._turn = schedule, begin
        before = schedule.ends(begin - 1)
        top = begin == schedule.turns.start
        self._maps = {place: Rows(0 if top else max(end, 0)) for place, end in before.items()}
        steps = schedule.network.steps
        self._last = {place: step.number for step in steps for place in step.inputs}

    def bands(self) -> Iterator[tuple[int, int]]:
        """Yield the rows of the image (start, stop) that each turn needs, from the first turn on."""
        start = self._maps[0].end
        for turn in range(self._turn, self._schedule.turns.stop):
            stop = max(self._schedule.ends(turn)[0], start)
            yield start, stop
            start = stop

    @torch.no_grad()
    def turn(self, image: Tensor) -> tuple[int, Tensor | None]:
        """Compute the next turn.

        Args:
            image: its rows (1, C, h, W), as `bands` says.

        Returns:
            The first row of what is new of the result, and the rows (1, K, h, W); None if there are none yet.
        """
        ends = self._schedule.ends(self._turn)
        kept = self._schedule.kept(ends)
        if image.shape[2]:
            self._maps[0].add(image)
        for step in self._schedule.network.steps:
            rows = self._maps[step.number]
            # Padding above the map may be wanted before the map is; then nothing is computed of it yet.
            if ends[step.number] > rows.end and all(self._maps[place].end > 0 for place in step.inputs):
                rows.add(self._computed(step, rows.end, ends[step.number]))
            for place in step.inputs:
                if self._last[place] == step.number:
                    self._maps[place].drop(kept[place])
        self._turn += 1
        result = self._maps[self._schedule.network.result]
        top = max(self._schedule.ends(self._turn - 2)[self._schedule.network.result], 0)
        if result.end <= top:
            return top, None
        found = result.between(top, result.end)
        result.drop(result.end)
        return top, found

    def _computed(self, step: Step, start: int, stop: int) -> Tensor:
        """Return rows of the result of a step."""
        layer, height = step.layer, self._schedule.heights[step.inputs[0]]
        first, last = layer.first(start), layer.stop(stop)
        there = max(first, 0), min(last, height)
        inputs = [self._maps[place].between(*there) for place in step.inputs]
        span = Span(start, stop, there[0], there[0] - first, last - there[1], height)
        return layer.run(inputs, span)
