"""Work that overlaps: order, bounds, errors and early ends."""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest

from maskwright.core.overlap import Behind, ahead, side_by_side

if TYPE_CHECKING:
    from collections.abc import Iterator


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("maskwright")]


def test_items_come_in_order_and_never_more_than_the_depth_ahead() -> None:
    made, most = 0, 0

    def items() -> Iterator[int]:
        nonlocal made
        for number in range(50):
            made += 1
            yield number

    for taken, item in enumerate(ahead(items(), depth=3)):
        assert item == taken
        most = max(most, made - taken)
    assert made == 50
    assert most <= 5  # one in the consumer's hands, three in the queue, one in the producer's hands
    assert threads() == []


def test_the_producer_works_while_the_consumer_does() -> None:
    second = threading.Event()

    def items() -> Iterator[int]:
        yield 0
        second.set()
        yield 1

    for item in ahead(items()):
        assert item or second.wait(30)


def test_an_error_of_the_producer_comes_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield 0
        raise ValueError("no more")

    found = ahead(items())
    assert next(found) == 0
    with pytest.raises(ValueError, match="no more"):
        next(found)
    assert threads() == []


def test_a_consumer_that_stops_ends_the_producer() -> None:
    found = ahead(iter(range(10**9)), depth=2)
    assert next(found) == 0
    found.close()
    assert threads() == []


def test_the_function_gets_every_item_in_order() -> None:
    seen: list[int] = []
    with Behind(seen.append, depth=2) as behind:
        for item in range(20):
            behind.put(item)
    assert seen == list(range(20))
    assert threads() == []


def test_the_caller_never_gets_further_ahead_than_the_depth() -> None:
    gate = threading.Event()
    done: list[int] = []

    def work(item: int) -> None:
        gate.wait(30)
        done.append(item)

    with Behind(work, depth=2) as behind:
        for item in range(3):
            behind.put(item)  # one at work, two waiting
        third = threading.Thread(target=behind.put, args=(3,))
        third.start()
        third.join(0.2)
        assert third.is_alive()
        gate.set()
        third.join(30)
    assert done == [0, 1, 2, 3]


@pytest.mark.parametrize("items", [1, 30])
def test_an_error_of_the_function_reaches_the_caller_once(items: int) -> None:
    seen: list[int] = []

    def work(item: int) -> None:
        seen.append(item)
        raise ValueError("disk full")

    with pytest.raises(ValueError, match="disk full"), Behind(work, depth=2) as behind:  # noqa: PT012
        for item in range(items):
            behind.put(item)
    assert seen == [0]
    assert threads() == []


def test_an_error_of_the_caller_drops_what_waits() -> None:
    gate, seen = threading.Event(), []

    def work(item: int) -> None:
        gate.wait(30)
        seen.append(item)

    with pytest.raises(KeyboardInterrupt), Behind(work, depth=4) as behind:  # noqa: PT012
        behind.put(0)
        behind.put(1)
        behind._dropping = True
        gate.set()
        raise KeyboardInterrupt
    assert seen in ([0], [])
    assert threads() == []


def test_results_come_in_the_order_of_the_calls_and_few_calls_begin_ahead() -> None:
    begun: list[int] = []
    most = 0

    def call(number: int) -> int:
        begun.append(number)
        time.sleep(0.002 * (3 - number % 4))  # later ones may be ready first
        return number

    for taken, number in enumerate(side_by_side((partial(call, number) for number in range(20)), 3)):
        assert number == taken
        most = max(most, len(begun) - taken)
    assert len(begun) == 20
    assert most <= 4
    assert threads() == []


def test_so_many_calls_run_at_the_same_time_as_there_are_workers() -> None:
    together = threading.Barrier(3, timeout=30)
    assert sorted(side_by_side([together.wait] * 3, 3)) == [0, 1, 2]  # or the barrier breaks


def test_an_error_of_a_call_comes_after_the_results_before_it_and_ends_the_rest() -> None:
    begun = []

    def call(number: int) -> int:
        begun.append(number)
        return 1 // (number - 2)

    found = side_by_side((partial(call, number) for number in range(100)), 2)
    assert [next(found), next(found)] == [-1, -1]
    with pytest.raises(ZeroDivisionError):
        next(found)
    assert len(begun) < 10
    assert threads() == []


def test_no_call_begins_after_the_consumer_has_left() -> None:
    release, begun = threading.Event(), []

    def call(number: int) -> int:
        begun.append(number)
        return number if number == 0 else release.wait(30)

    found = side_by_side((partial(call, number) for number in range(100)), 2)
    assert next(found) == 0
    threading.Timer(0.05, release.set).start()
    found.close()
    assert len(begun) <= 3
    assert threads() == []
