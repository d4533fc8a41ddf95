"""Tiles of several requests share a run of the network, come back to their owners, and fail alone."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from tests.serve.conftest import picture, until

from maskwright.inference import Predictor
from maskwright.serve.batcher import Batcher, SharedEngine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Slow:
    """An engine that waits for leave, doubles values, and fails on tiles that begin with 13."""

    device, batch = torch.device("cpu"), 1

    def __init__(self) -> None:
        self.leave, self.entered = threading.Event(), threading.Event()
        self.seen: list[int] = []

    def forward(self, tiles: np.ndarray) -> torch.Tensor:
        self.entered.set()
        assert self.leave.wait(60)
        self.seen.append(len(tiles))
        if (tiles[:, 0, 0, 0] == 13).any():
            raise ValueError("thirteen")
        return torch.from_numpy(tiles.astype(np.float32)) * 2

    def objects(self, tiles: np.ndarray) -> list[Any]:
        return [f"objects of {tile[0, 0, 0]}" for tile in tiles]

    def features(self, tiles: np.ndarray) -> np.ndarray:
        return tiles.mean((1, 2))


@pytest.fixture
def batches() -> list[int]:
    return []


@pytest.fixture
def batcher(batches: list[int]) -> Iterator[Batcher]:
    made = Batcher(batches.append)
    yield made
    made.close()


def tiles(value: int, count: int = 1, side: int = 4) -> np.ndarray:
    return np.full((count, side, side, 3), value, np.uint8)


def submitted(batcher: Batcher, engine: Any, many: list[np.ndarray], most: int = 8) -> list[Any]:
    """Run all at once, behind a first tile that holds the engine until all wait."""
    with ThreadPoolExecutor(len(many) + 1) as pool:
        first = pool.submit(batcher.run, engine, "forward", tiles(0), most)
        assert engine.entered.wait(60)
        futures = []
        for number, each in enumerate(many, start=1):
            futures.append(pool.submit(batcher.run, engine, "forward", each, most))
            until(lambda number=number: len(batcher._jobs) == number)
        engine.leave.set()
        first.result(60)
        return [future.exception(60) or future.result() for future in futures]


def test_what_waits_goes_together_and_comes_back_in_order(batcher: Batcher, batches: list[int]) -> None:
    engine = Slow()
    found = submitted(batcher, engine, [tiles(5), tiles(6, 2), tiles(7)])
    assert engine.seen == batches == [1, 4]
    assert [(len(each), float(each.min()), float(each.max())) for each in found] == [
        (1, 10, 10),
        (2, 12, 12),
        (1, 14, 14),
    ]


def test_a_batch_has_a_limit(batcher: Batcher) -> None:
    engine = Slow()
    submitted(batcher, engine, [tiles(n) for n in range(5)], most=2)
    assert engine.seen == [1, 2, 2, 1]


def test_only_tiles_of_one_size_go_together(batcher: Batcher) -> None:
    engine = Slow()
    found = submitted(batcher, engine, [tiles(1), tiles(2, side=8), tiles(3), tiles(4, side=8)])
    assert engine.seen == [1, 2, 2]
    assert [tuple(each.shape) for each in found] == [(1, 4, 4, 3), (1, 8, 8, 3)] * 2


def test_two_networks_do_not_mix(batcher: Batcher) -> None:
    one, other = Slow(), Slow()
    other.leave.set()
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(batcher.run, one, "forward", tiles(1), 8)
        assert one.entered.wait(60)
        second = pool.submit(batcher.run, other, "forward", tiles(2), 8)
        third = pool.submit(batcher.run, one, "objects", tiles(3), 8)
        until(lambda: len(batcher._jobs) == 2)
        fourth = pool.submit(batcher.run, one, "forward", tiles(4), 8)
        until(lambda: len(batcher._jobs) == 3)
        one.leave.set()
        assert float(second.result(60).max()) == 4
        assert third.result(60) == ["objects of 3"]
        assert float(fourth.result(60).max()) == 8
        first.result(60)
    assert (one.seen, other.seen) == ([1, 1], [1])


def test_the_tiles_at_fault_fail_alone(batcher: Batcher) -> None:
    engine = Slow()
    found = submitted(batcher, engine, [tiles(1), tiles(13), tiles(3)])
    assert engine.seen == [1, 3, 1, 1, 1]
    assert isinstance(found[1], ValueError)
    assert (float(found[0].max()), float(found[2].max())) == (2, 6)


def test_predictions_through_a_batcher_are_those_without(run: Path, batcher: Batcher, batches: list[int]) -> None:
    """Eight images of several tiles at once. At one tile a run the bits are the same."""
    alone = Predictor.load(run, "cpu")
    images = [picture((70 + 10 * n, 90), seed=n) for n in range(8)]
    expected = [alone.predict(image).labels for image in images]

    def predicted(image: np.ndarray) -> np.ndarray:
        engine = SharedEngine(alone.engine, batcher, 1, lambda: None)
        return Predictor(engine, alone.card).predict(image).labels

    with ThreadPoolExecutor(8) as pool:
        for found, wanted in zip(pool.map(predicted, images), expected, strict=True):
            assert np.array_equal(found, wanted)
    assert set(batches) == {1}


def test_a_closed_batcher_says_so() -> None:
    batcher = Batcher()
    batcher.close()
    with pytest.raises(RuntimeError, match="stopped"):
        batcher.run(Slow(), "forward", tiles(1), 1)


def test_tiles_for_the_gauge_of_drift_are_not_counted(batcher: Batcher, batches: list[int]) -> None:
    engine: Any = Slow()
    batcher.run(engine, "objects", tiles(1), 8)
    batcher.run(engine, "features", tiles(1), 8)
    batcher.run(engine, "objects", tiles(1), 8)
    assert batches == [1, 1]
