"""A network by rows over one image: turn after turn, keeping of each map only the rows that are needed again.

Knows no thread.
"""

from __future__ import annotations

import math
import mmap
from typing import TYPE_CHECKING

import torch

from maskwright.inference.streaming.layers import Span

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

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


class Stage:
    """Some steps of a network on one image, turn after turn.

    Args:
        schedule: of the network and the image.
        begin: the turn to begin with.
        steps: some of the network's that follow each other.
    """

    def __init__(self, schedule: Schedule, begin: int, steps: Sequence[Step]) -> None:
        self._schedule, self._turn, self._steps = schedule, begin, steps
        self._last_reader = {source: step.number for step in steps for source in step.inputs}
        after = [step for step in schedule.network.steps if step.number > steps[-1].number]
        self._wanted_later = {schedule.network.result, *(source for step in after for source in step.inputs)}
        capacities = schedule.capacities(steps)
        starts = schedule.starts(begin)
        numbers = {*self._last_reader, *(step.number for step in steps)}
        self._maps = {number: RowBuffer(starts[number], capacities[number]) for number in numbers}

    @torch.no_grad()
    def turn(self, rows: dict[int, Tensor]) -> dict[int, Tensor]:
        """Compute the next turn.

        Args:
            rows: of this turn (1, C, h, W), of the image and the maps of the steps before, by number; what has none is
                left out. They are taken out, so that nothing is held longer than needed.

        Returns:
            The same for the steps that follow.
        """
        ends = self._schedule.ends(self._turn)
        kept = self._schedule.kept(ends, self._steps)
        later = {number: rows[number] for number in rows if number in self._wanted_later}
        for number in [*rows]:
            piece = rows.pop(number)
            if number in self._last_reader:
                self._maps[number].add(piece)
            del piece
        for step in self._steps:
            own = self._maps[step.number]
            # Padding above the map may be wanted before the map is; then nothing is computed of it yet.
            if ends[step.number] > own.end and all(self._maps[source].end > 0 for source in step.inputs):
                found = self._computed(step, own.end, ends[step.number])
                own.add(found)
                if step.number in self._wanted_later:
                    later[step.number] = found
                del found
            for source in step.inputs:
                if self._last_reader[source] == step.number:
                    self._maps[source].keep(kept[source])
            if step.number not in self._last_reader:
                own.keep(own.end)
        self._turn += 1
        return later

    def _computed(self, step: Step, start: int, stop: int) -> Tensor:
        """Return rows of the result of a step."""
        span = Span.of(step.layer, start, stop, self._schedule.heights[step.inputs[0]])
        inputs = [self._maps[source].between(span.first, span.last) for source in step.inputs]
        found = step.layer.run(inputs, span)
        return found.clone() if any(self._maps[source].lends(found) for source in step.inputs) else found


class Stream:
    """The turns of a schedule on one image, in their order.

    Args:
        schedule: of the network and the image.
        begin: the turn to begin with.
        stages: in how many parts of about equal cost the network is computed. Each only needs what those before it made
            in the same turn, so they can work at the same time.

    Attributes:
        stages: the parts, in their order.
    """

    def __init__(self, schedule: Schedule, begin: int, stages: int = 1) -> None:
        self._schedule, self._begin = schedule, begin
        self.stages = [Stage(schedule, begin, steps) for steps in schedule.network.parts(stages)]
        self._top = schedule.starts(begin)[schedule.network.result]

    def bands(self) -> Iterator[tuple[int, int]]:
        """Yield the rows of the image (start, stop) that each turn needs, from the first turn on."""
        start = self._schedule.starts(self._begin)[0]
        for turn in range(self._begin, self._schedule.turns.stop):
            stop = max(self._schedule.ends(turn)[0], start)
            yield start, stop
            start = stop

    def turn(self, image: Tensor) -> tuple[int, Tensor | None]:
        """Compute the next turn, one stage after the other.

        Args:
            image: its rows (1, C, h, W), as `bands` says.

        Returns:
            The first row of what is new of the result, and the rows (1, K, h, W); None if there are none yet.
        """
        rows = given(image)
        for stage in self.stages:
            rows = stage.turn(rows)
        return self.result(rows)

    def result(self, rows: dict[int, Tensor]) -> tuple[int, Tensor | None]:
        """Return what the last stage made in a turn; see `turn`."""
        top, found = self._top, rows.pop(self._schedule.network.result, None)
        self._top += 0 if found is None else found.shape[2]
        return top, found


def given(image: Tensor) -> dict[int, Tensor]:
    """Return rows (1, C, h, W) of the image as `Stage.turn` takes them."""
    return {0: image} if image.shape[2] else {}
