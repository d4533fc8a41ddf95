"""An image through a network of convolutions by rows, with nothing computed twice. Knows no file and no task.

What comes out is what the network makes of the whole image in one pass, however large the image is: see `streaming`.
Only where panels of columns meet are some columns computed twice.
"""

from __future__ import annotations

import threading
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from maskwright.core.overlap import ahead
from maskwright.inference.blend import Enlarge
from maskwright.inference.engine import TorchEngine
from maskwright.inference.maps import activated, rescaled
from maskwright.inference.prepared_image import PreparedImage
from maskwright.inference.streaming.network import RowNetwork
from maskwright.inference.streaming.panels import cut
from maskwright.inference.streaming.schedule import Schedule
from maskwright.inference.streaming.stream import Stream, given
from maskwright.inference.streaming.tracing import NotStreamableError
from maskwright.models.segmenter import Segmenter
from maskwright.ops.images import working_size_of
from maskwright.ops.rows import as_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from maskwright.core.channels import Channels
    from maskwright.core.plan import DataPlan
    from maskwright.inference.engine import Engine
    from maskwright.inference.streaming.panels import Panel
    from maskwright.inference.streaming.stream import Stage
    from maskwright.ops.rows import RowSource
    from maskwright.tasks import Block

    Rows = dict[int, Tensor]
    Steps = tuple[Callable[[Tensor], Tensor | None], Callable[[Tensor], Tensor]]

TURN_PIXELS = 1 << 19
"""Pixels of a turn, or of half a turn where memory lacks, unless `LEAST_ROWS` have more.

More take more memory; fewer lose time to calls and to copies of the rows that two turns share.
"""
LEAST_ROWS = 32
"""Rows of a turn, at least: with half of them DeepLabv3+ took 8 % more time in fewer panels."""
_SIDES = (96, 128)
"""Least height and width of the image that a network is traced with."""
MAX_PEAK_BYTES = 320 << 20
"""Bytes of maps that are held at the same time, at most (`Schedule.peak_bytes`); a wider image is cut into panels.

Measured, the maps take about as much where all threads have one heap, the rows that are read and written 310 MiB, and
Python and PyTorch (built for CUDA) 660 MiB: together 1.25 to 1.45 GiB.
"""
TALL_PEAK_BYTES = 288 << 20
"""The same for turns of twice the height, of which the allocator leaves more unused."""
_WASTE = 1.5
"""Columns that are computed for each that is wanted, at most."""
_AHEAD = 2
"""Bands of rows that are read while the network works."""
_STAGES = 2
"""Parts of the network that are computed at the same time: while one copies or computes few rows, the other goes on."""
_DIVIDED = threading.Lock()
"""Held while an image is computed in stages."""


class RowEngine:
    """The network of an engine by rows.

    Args:
        engine: runs it on whole tiles.

    Raises:
        NotStreamableError: it cannot be computed by rows.
    """

    def __init__(self, engine: Engine) -> None:
        if not isinstance(engine, TorchEngine) or not isinstance(engine.segmenter, Segmenter):
            raise NotStreamableError("it is not run by PyTorch")
        self._engine, self._segmenter = engine, engine.segmenter
        if self._segmenter.decoder.margin:
            raise NotStreamableError("its convolutions have no padding")
        sides = tuple(self._segmenter.backbone.fitted(side) for side in _SIDES)
        pixels = np.random.default_rng(0).integers(0, 256, (*sides, self._segmenter.in_channels), np.uint8)
        with engine.precision():
            self.network, maps = RowNetwork.of(self._segmenter, engine.pixels(pixels[None]))
        schedule = Schedule(self.network, sides[0], self._segmenter.backbone.fitted(1))
        found = [part for _, part in self.turns(schedule, schedule.turns.start, lambda top, end: pixels[top:end])]
        allowed = 0.05 if engine.fast else 1e-3  # bfloat16 rounds sums of another order differently
        if not float((torch.cat(found, 2) - maps).abs().max()) <= allowed * float(maps.abs().max()):  # or NaN
            raise NotStreamableError("its result by rows differs")

    def schedule(self, size: tuple[int, int]) -> Schedule:
        """Return the turns for an image of `size` (height, width), of about `TURN_PIXELS`, or half if memory lacks."""
        height, width = (self._segmenter.backbone.fitted(side) for side in size)
        step, least = (self._segmenter.backbone.fitted(rows) for rows in (1, LEAST_ROWS))
        half = max(TURN_PIXELS // 2 // width // step * step, least)
        tall, short = (Schedule(self.network, height, rows, self._stages) for rows in (2 * half, half))
        return tall if tall.peak_bytes(width) <= TALL_PEAK_BYTES else short

    def panels(self, size: tuple[int, int]) -> list[Panel]:
        """Return the fewest panels of columns of an image of `size` (height, width) within `MAX_PEAK_BYTES`.

        Raises:
            NotStreamableError: none are, or most of the work would be on columns that are computed twice.
        """
        width, step = (self._segmenter.backbone.fitted(side) for side in (size[1], 1))
        for count in range(1, width // step + 1):
            panels = cut(self.network, width, count, step)
            widest = max(len(panel.outer) for panel in panels)
            if count > 1 and widest > _WASTE * min(len(panel.inner) for panel in panels):
                break
            most = self.schedule((size[0], widest)).peak_bytes(widest)
            if most <= MAX_PEAK_BYTES:
                return panels
        raise NotStreamableError(f"its layers would take {most >> 20} MiB of memory, and {MAX_PEAK_BYTES >> 20} may be")

    def covered(self, size: tuple[int, int], data: DataPlan) -> list[range]:
        """Return the columns of an image of `size` (height, width) that each panel gives."""
        working = working_size_of(size, data)
        return [Enlarge(working, size, panel.within(working[1]).inner).covered for panel in self.panels(working)]

    def sources(
        self, image: NDArray[Any] | RowSource, data: DataPlan, chosen: int | None
    ) -> Iterator[tuple[Panel, PreparedImage]]:
        """Yield the panels of an image, or the one of a number, each with the image that gives its columns."""
        working = working_size_of(as_rows(image).size, data)
        for number, panel in enumerate(self.panels(working)):
            if chosen in {None, number}:
                yield panel, PreparedImage(image, data, panel.within(working[1]).outer)

    def extended(self, source: PreparedImage, outer: range) -> Callable[[int, int], NDArray[np.uint8]]:
        """Return what gives rows (h, w, channels) of an image at a size that the network divides, as it extends it.

        Args:
            source: gives the columns `outer`, as far as the image has them.
            outer: columns that are wanted, of the image at that size.
        """
        height, width = source.working
        columns = self._places(np.arange(outer.start, outer.stop), width) - outer.start

        def rows(start: int, stop: int) -> NDArray[np.uint8]:
            places = self._places(np.arange(start, stop), height)
            if start == stop:
                return np.empty((0, len(columns), self._segmenter.in_channels), np.uint8)
            found = source.rows(int(places.min()), int(places.max()) + 1)
            if stop > height:
                found = found[places - places.min()]
            return found if outer.stop <= width else found[:, columns]

        return rows

    def _places(self, wanted: NDArray[np.int64], length: int) -> NDArray[np.int64]:
        """Return the rows or columns that stand for those beyond the edge; see `Segmenter`."""
        if not self._segmenter.mirrored:
            return np.minimum(wanted, length - 1)
        steps = wanted % max(2 * (length - 1), 1)
        return np.minimum(steps, np.maximum(2 * (length - 1) - steps, 0))

    def turns(
        self, schedule: Schedule, begin: int, rows: Callable[[int, int], NDArray[np.uint8]]
    ) -> Generator[tuple[int, Tensor]]:
        """Yield the first row and the raw maps (1, K, h, W) of each turn that computes some.

        Args:
            schedule: of the image.
            begin: the turn to begin with.
            rows: give (h, W, channels) of the image; asked for in another thread, while the network works.
        """
        with ExitStack() as stack:
            stages, threads = stack.enter_context(_divided_threads(self._stages))
            stream = Stream(schedule, begin, stages)
            bands = stack.enter_context(closing(ahead((rows(*band) for band in stream.bands()), _AHEAD)))
            made = self._made(stream.stages[0], (self._pixels(band) for band in bands), threads)
            for stage in stream.stages[1:]:
                before = stack.enter_context(closing(ahead(made, 1)))
                made = self._made(stage, before, threads)
            for found in made:
                top, maps = stream.result(found)
                if maps is not None:
                    maps = maps.float()
                    yield top, maps
                del maps  # not held while the next turn is computed

    def _made(self, stage: Stage, before: Iterator[Rows], threads: int) -> Iterator[Rows]:
        """Yield what a stage makes of each turn of the one before, in so many threads; 0 for as many as there are."""
        if threads:
            torch.set_num_threads(threads)  # PyTorch's number is also one of each thread that asks it to compute
        for rows in before:
            with self._engine.precision():
                found = stage.turn(rows)
            yield found
            del found

    def _pixels(self, band: NDArray[np.uint8]) -> Rows:
        with self._engine.precision():
            return given(self._engine.pixels(band[None]))

    @property
    def _stages(self) -> int:
        """Stages of the network that pay: in few threads PyTorch's own convolutions of bfloat16 are slow."""
        return _STAGES if self._engine.device.type == "cpu" and not self._engine.fast else 1


@contextmanager
def _divided_threads(stages: int) -> Iterator[tuple[int, int]]:
    """Divide PyTorch's threads among the stages of an image, and yield how many stages work at the same time.

    One image at a time is computed in several stages. Another one has as many threads for each operation, on which the
    last bits depend. Meanwhile PyTorch gives threads that are new to it the smaller number, for good.

    Yields:
        The stages, and the threads of each; 0 for those of the caller.
    """
    threads = torch.get_num_threads()
    if stages == 1 or threads < stages:
        yield 1, 0
        return
    alone = _DIVIDED.acquire(blocking=False)
    try:
        yield stages if alone else 1, threads // stages
    finally:
        torch.set_num_threads(threads)
        if alone:
            _DIVIDED.release()


def streamed_blocks(
    source: PreparedImage, panel: Panel, engine: RowEngine, groups: Sequence[Channels], steps: Steps, start: int = 0
) -> Generator[Block]:
    """Yield the finished maps of a panel as bands of rows, from the row `start` of the image on.

    Args:
        source: gives the columns of the panel.
        panel: of the image, or all of it.
        engine: of the network.
        groups: of its channels.
        steps: what ranks raw maps (K, h, w), by values whose largest is that of the adjusted maps, or returns None if
            there are none so simple; where the image keeps its size they spare activation and adjustment. And what
            adjusts activated maps.
        start: first row that is wanted; what comes is bit for bit what comes from the top.
    """
    (rank, adjust), (height, width) = steps, source.working
    schedule = engine.schedule((height, len(panel.outer)))
    enlarge = Enlarge(source.working, source.size, panel.within(width).inner)
    columns = slice(enlarge.needed.start - panel.outer.start, enlarge.needed.stop - panel.outer.start)
    tops = range(0, height, schedule.rows)
    wanted = next(top for top in tops if enlarge.ready(min(top + schedule.rows, height)) > start)
    first = max(wanted - schedule.rows, 0)  # enlarging needs the last row of the band before
    with closing(engine.turns(schedule, schedule.turn_for(first), engine.extended(source, panel.outer))) as turns:
        for top, extended in turns:
            if top < first:
                continue
            raw = extended[:, :, : height - top, columns]
            ranked = rank(raw[0]) if source.working == source.size else None
            maps = activated(raw, groups)[0] if ranked is None else ranked
            for block in enlarge.push(top, 0, maps):
                if block.rows.start >= start:
                    whole = rescaled(block.maps, groups, source.working, source.size)
                    yield replace(block, maps=adjust(whole) if ranked is None else whole)
                    del whole, block
            del extended, raw, ranked, maps  # not held while the next turn is computed
            source.finished(enlarge.ready(min(top + schedule.rows, height)))
