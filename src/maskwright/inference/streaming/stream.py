"""A network by rows over one image: turn after turn, keeping of each map only the rows that are needed again."""

from __future__ import annotations

import math
import mmap
from typing import TYPE_CHECKING

import torch

from maskwright.inference.streaming.layers import Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from maskwright.inference.streaming.schedule import Schedule
    from maskwright.inference.streaming.step import Step


class RowBuffer:
    """The rows of one map that are there: what was computed last, and before it a ring of those that are needed again.

    The ring is allocated once, apart from what is freed at once. Rows before the first that was ever added are zeros.

    Args:
        end: the row after the last.
        capacity: rows of the ring.

    Attributes:
        end: see above.
    """

    def __init__(self, end: int, capacity: int) -> None:
        self.end, self._capacity = end, capacity
        self._last: Tensor | None = None
        self._ring: Tensor | None = None
        self._none: Tensor | None = None

    def add(self, piece: Tensor) -> None:
        """Add the next rows (N, C, h, W)."""
        self.end += piece.shape[2]
        self._last = piece
        if self._none is None:
            self._none = torch.empty_like(piece[:, :, :0])

    def between(self, start: int, stop: int) -> Tensor:
        """Return some rows, of what was computed last and the ring."""
        assert self._none is not None
        top = self.end - (0 if self._last is None else self._last.shape[2])
        found = [*self._held(start, min(stop, top))]
        if self._last is not None and stop > top:
            found.append(self._last[:, :, max(start - top, 0) : stop - top])
        return torch.cat(found, 2) if len(found) > 1 else (found[0] if found else self._none)

    def lends(self, rows: Tensor) -> bool:
        """Tell whether rows are a view of the ring, which later rows overwrite."""
        return self._ring is not None and rows.untyped_storage().data_ptr() == self._ring.untyped_storage().data_ptr()

    def keep(self, start: int) -> None:
        """Forget the rows above one, and move the others of what was computed last to the ring."""
        if self._last is None:
            return
        top, piece = self.end - self._last.shape[2], self._last
        self._last = None
        first = max(start, top)
        if start >= self.end:
            return
        if self._ring is None:
            number, channels, _, width = piece.shape
            ring = _in_own_pages(piece, (number, self._capacity, width, channels))
            self._ring = ring.permute(0, 3, 1, 2)  # channels last
        assert self.end - start <= self._capacity, (start, self.end, self._capacity)
        for begin, end in self._arcs(first, self.end):
            slot = begin % self._capacity
            self._ring[:, :, slot : slot + end - begin] = piece[:, :, begin - top : end - top]

    def _held(self, start: int, stop: int) -> Iterator[Tensor]:
        """Yield rows of the ring."""
        for begin, end in self._arcs(start, stop):
            if self._ring is None:
                assert self._none is not None
                number, channels, _, width = self._none.shape
                yield self._none.new_zeros((number, end - begin, width, channels)).permute(0, 3, 1, 2)
            else:
                slot = begin % self._capacity
                yield self._ring[:, :, slot : slot + end - begin]

    def _arcs(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """Yield rows in parts that do not go round the ring."""
        while start < stop:
            end = min(stop, start - start % self._capacity + self._capacity) if self._capacity else stop
            yield start, end
            start = end


def _in_own_pages(like: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return zeros of a shape, on the CPU in pages of their own.

    The heap then holds nothing but what a turn needs. What lives long would lie between, and what is freed around it
    would not fit what comes next: that took half as much memory again.
    """
    if like.device.type != "cpu":
        return like.new_zeros(shape)
    pages = mmap.mmap(-1, math.prod(shape) * like.element_size())
    return torch.frombuffer(pages, dtype=like.dtype).view(shape)


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
        capacities = schedule.capacities()
        starts = {number: 0 if top else max(end, 0) for number, end in before.items()}
        self._maps = {number: RowBuffer(start, capacities[number]) for number, start in starts.items()}
        steps = schedule.network.steps
        self._last_reader = {source: step.number for step in steps for source in step.inputs}

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
            if ends[step.number] > rows.end and all(self._maps[source].end > 0 for source in step.inputs):
                rows.add(self._computed(step, rows.end, ends[step.number]))
            for source in step.inputs:
                if self._last_reader[source] == step.number:
                    self._maps[source].keep(kept[source])
        self._turn += 1
        result = self._maps[self._schedule.network.result]
        top = max(self._schedule.ends(self._turn - 2)[self._schedule.network.result], 0)
        if result.end <= top:
            return top, None
        found = result.between(top, result.end)
        result.keep(result.end)
        return top, found

    def _computed(self, step: Step, start: int, stop: int) -> Tensor:
        """Return rows of the result of a step."""
        span = Span.of(step.layer, start, stop, self._schedule.heights[step.inputs[0]])
        inputs = [self._maps[source].between(span.first, span.last) for source in step.inputs]
        found = step.layer.run(inputs, span)
        return found.clone() if any(self._maps[source].lends(found) for source in step.inputs) else found
