"""Tiles of several requests in one run of a network. Knows no request, no image and no protocol.

One thread runs all networks. While it is busy, tiles of other requests gather, and those of one network and one size go
together next: a request never waits for company, and under load batches fill up by themselves.
"""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from numpy.typing import NDArray

    from maskwright.inference.engine import Engine

Method = Literal["forward", "objects", "features"]


@dataclass(frozen=True, eq=False)
class _Job:
    """Tiles uint8 (N, h, w, C) of one request, and what its thread waits for."""

    engine: Engine
    method: Method
    tiles: NDArray[np.uint8]
    most: int
    done: Future[Any] = field(default_factory=Future)

    def joins(self, other: _Job) -> bool:
        """Whether both can be parts of one batch."""
        alike = self.engine is other.engine and self.method == other.method
        return alike and self.tiles.shape[1:] == other.tiles.shape[1:]


class Batcher:
    """The thread that runs networks.

    Args:
        on_batch: gets the number of tiles of each run for an answer.
    """

    def __init__(self, on_batch: Callable[[int], None] = lambda _: None) -> None:
        self._on_batch = on_batch
        self._jobs: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="network", daemon=True)
        self._thread.start()

    def run(self, engine: Engine, method: Method, tiles: NDArray[np.uint8], most: int) -> Any:
        """Return what `engine` makes of tiles; `most` of all requests go into one run.

        Raises:
            Exception: of the engine, if it fails with these tiles alone.
        """
        job = _Job(engine, method, tiles, most)
        with self._changed:
            if self._closed:
                raise RuntimeError("the service has stopped")
            self._jobs.append(job)
            self._changed.notify()
        return job.done.result()

    def close(self) -> None:
        """End the thread after what waits."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._jobs or self._closed)
                if not self._jobs:
                    return
                batch = self._next()
            self._run(batch)

    def _next(self) -> list[_Job]:
        """Take the oldest job, and younger ones that fit into its batch."""
        first = self._jobs.popleft()
        batch, count, others = [first], len(first.tiles), deque[_Job]()
        while self._jobs:
            job = self._jobs.popleft()
            if job.joins(first) and count + len(job.tiles) <= first.most:
                batch.append(job)
                count += len(job.tiles)
            else:
                others.append(job)
        self._jobs = others
        return batch

    def _run(self, batch: list[_Job]) -> None:
        try:
            tiles = batch[0].tiles if len(batch) == 1 else np.concatenate([job.tiles for job in batch])
            found = getattr(batch[0].engine, batch[0].method)(tiles)
        except Exception as error:  # noqa: BLE001 (it belongs to the thread that waits)
            if len(batch) == 1:
                batch[0].done.set_exception(error)
            else:  # one of them may be at fault, and the others are not
                for job in batch:
                    self._run([job])
            return
        if batch[0].method != "features":  # those tell of drift, and answer nobody
            self._on_batch(len(tiles))
        start = 0
        for job in batch:
            stop = start + len(job.tiles)
            job.done.set_result(found[start:stop])
            start = stop


class SharedEngine:
    """An engine as one request sees it; see `inference.engine.Engine`.

    Args:
        engine: that runs the network.
        batcher: whose thread it runs in.
        most: tiles in one run.
        check: called before each run; raises if nobody waits for the result any more.
    """

    def __init__(self, engine: Engine, batcher: Batcher, most: int, check: Callable[[], None]) -> None:
        self._engine, self._batcher, self._most, self._check = engine, batcher, most, check

    @property
    def device(self) -> torch.device:
        """Where the maps are."""
        return self._engine.device

    @property
    def batch(self) -> int:
        """Tiles that one call should get."""
        return self._engine.batch

    def forward(self, tiles: NDArray[np.uint8]) -> torch.Tensor:
        """Return raw maps float32 (N, C, h, w) of prepared tiles uint8 (N, h, w, channels)."""
        self._check()
        maps: torch.Tensor = self._batcher.run(self._engine, "forward", tiles, self._most)
        return maps

    def objects(self, tiles: NDArray[np.uint8]) -> list[Any]:
        """Return the objects of each tile instead."""
        self._check()
        found: list[Any] = self._batcher.run(self._engine, "objects", tiles, self._most)
        return found

    def features(self, tiles: NDArray[np.uint8]) -> torch.Tensor:
        """Return what the backbone of a trained network sees in tiles; exports have none."""
        self._check()
        seen: torch.Tensor = self._batcher.run(self._engine, "features", tiles, self._most)
        return seen
