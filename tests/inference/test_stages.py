"""A network by rows in stages that work at the same time: the same maps, and the threads of the process as before."""

from __future__ import annotations

import threading
from contextlib import closing
from typing import TYPE_CHECKING, cast

import numpy as np
import pytest
import torch
from tests.inference.test_streamed_catalog import CARD, engine_of

from maskwright.inference.prepared_image import PreparedImage
from maskwright.inference.streamed import RowEngine, streamed_blocks
from maskwright.inference.streaming.schedule import Schedule
from maskwright.inference.streaming.stream import Stage

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from numpy.typing import NDArray
    from torch import Tensor

PIXELS = np.random.default_rng(3).integers(0, 256, (640, 96, 3), np.uint8)


@pytest.fixture(scope="module")
def engine(one_thread: None) -> RowEngine:
    return RowEngine(engine_of("swiftnet"))


@pytest.fixture
def two_threads(one_thread: None) -> Iterator[None]:
    torch.set_num_threads(2)
    yield
    assert torch.get_num_threads() == 2
    assert not [thread.name for thread in threading.enumerate() if thread.name == "maskwright-ahead"]
    torch.set_num_threads(1)


def turns(engine: RowEngine, readable: int = len(PIXELS)) -> Generator[tuple[int, Tensor], None, None]:
    """Return the turns of the picture, of which only some rows can be read."""

    def rows(start: int, stop: int) -> NDArray[np.uint8]:
        if stop > readable:
            raise OSError("a tile is damaged")
        return PIXELS[start:stop]

    schedule = Schedule(engine.network, len(PIXELS), 32)
    return cast("Generator[tuple[int, Tensor], None, None]", engine.turns(schedule, schedule.turns.start, rows))


def whole(engine: RowEngine) -> Tensor:
    found = list(turns(engine))
    assert [top for top, _ in found] == list(range(0, len(PIXELS), 32))
    return torch.cat([maps for _, maps in found], 2)


def places(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list in which the thread of each turn of a stage will be."""
    seen: list[str] = []
    turn = Stage.turn

    def noted(self: Stage, rows: dict[int, Tensor]) -> dict[int, Tensor]:
        seen.append(threading.current_thread().name)
        return turn(self, rows)

    monkeypatch.setattr(Stage, "turn", noted)
    return seen


def test_stages_give_the_maps_of_one_thread(
    engine: RowEngine, two_threads: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.set_num_threads(1)
    expected = whole(engine)
    torch.set_num_threads(2)
    seen = places(monkeypatch)
    assert torch.equal(whole(engine), expected)
    assert seen.count("maskwright-ahead") == seen.count("MainThread") == len(seen) / 2


def test_a_second_image_at_the_same_time_is_computed_in_one_stage(
    engine: RowEngine, two_threads: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = whole(engine)
    first, seen = turns(engine), places(monkeypatch)
    begun = [next(first)]
    before = seen.count("maskwright-ahead")
    found: list[Tensor] = []

    def second() -> None:
        torch.set_num_threads(2)  # as a thread that has computed before
        found.append(whole(engine))

    thread = threading.Thread(target=second, name="second")
    thread.start()
    thread.join()
    assert seen.count("second") > len(PIXELS) / 32
    assert seen.count("maskwright-ahead") - before <= 3  # the first image goes on until its queue is full
    assert torch.equal(found[0], expected)
    assert torch.equal(torch.cat([maps for _, maps in (*begun, *first)], 2), expected)


def test_bfloat16_is_computed_in_one_stage(
    engine: RowEngine, two_threads: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    fast, seen = RowEngine(engine_of("swiftnet", fast=True)), places(monkeypatch)
    assert list(turns(fast))
    assert {*seen} == {"MainThread"}


def test_an_error_of_the_consumer_ends_the_stages(engine: RowEngine, two_threads: None) -> None:
    image = PreparedImage(PIXELS, CARD.data)
    (panel,) = engine.panels(image.working)
    channels, steps = CARD.channels, (lambda _: None, lambda maps: maps)
    blocks = streamed_blocks(image, panel, engine, channels, steps)

    def consume() -> None:
        with closing(blocks):
            for _ in blocks:
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as kept:
        consume()
    assert kept.traceback  # which keeps the generators


@pytest.mark.parametrize("readable", [0, 100, 500])
def test_an_error_of_the_first_stage_is_raised(engine: RowEngine, two_threads: None, readable: int) -> None:
    with pytest.raises(OSError, match="a tile is damaged"):
        list(turns(engine, readable))


def test_an_error_of_the_last_stage_ends_the_first_one(
    engine: RowEngine, two_threads: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn = Stage.turn

    def failing(self: Stage, rows: dict[int, Tensor]) -> dict[int, Tensor]:
        if threading.current_thread() is threading.main_thread():
            raise MemoryError
        return turn(self, rows)

    monkeypatch.setattr(Stage, "turn", failing)
    with pytest.raises(MemoryError):
        list(turns(engine))


def test_an_image_may_be_left_in_the_middle(engine: RowEngine, two_threads: None) -> None:
    found = turns(engine)
    next(found)
    found.close()
