"""The line: first come, first served; refusals before waiting; deadlines; clients that leave; an orderly end."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from maskwright.serve.line import GoneError, Line, Pace, Ticket
from maskwright.serve.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


def play(
    scene: Callable[[Line], Coroutine[Any, Any, None]],
    places: int = 1,
    longest: int = 2,
    timeout: float = 60,
    pace: float = 0,
) -> None:
    async def whole() -> None:
        line = Line(places, longest, timeout, pace)
        try:
            await scene(line)
        finally:
            await line.close()

    asyncio.run(whole())


def stays() -> asyncio.Future[None]:
    """A client that does not leave."""
    return asyncio.get_running_loop().create_future()


async def turns(done: Callable[[], bool]) -> None:
    while not done():
        await asyncio.sleep(0.001)


def test_a_full_line_refuses_and_goes_on() -> None:
    async def scene(line: Line) -> None:
        leave, order = threading.Event(), []

        def work(number: int) -> Callable[[Ticket], int]:
            def run(_ticket: Ticket) -> int:
                assert leave.wait(60)
                order.append(number)
                return number

            return run

        tasks = []
        for number in range(3):  # one works, two wait
            tasks.append(asyncio.ensure_future(line.process(1, work(number), stays())))
            await turns(lambda number=number: line.working + line.waiting == number + 1)
        assert (line.working, line.waiting, line.accepted) == (1, 2, 3)
        with pytest.raises(Problem) as refused:
            await line.process(1, work(9), stays())
        assert refused.value.status == 429
        assert int(refused.value.headers["Retry-After"]) >= 1
        leave.set()
        assert await asyncio.gather(*tasks) == order == [0, 1, 2]
        assert (line.working, line.waiting, line.accepted) == (0, 0, 3)
        assert await line.process(1, work(4), stays()) == 4

    play(scene)


def test_who_waits_too_long_is_told_to_come_again() -> None:
    async def scene(line: Line) -> None:
        leave = threading.Event()
        first = asyncio.ensure_future(line.process(1, lambda _: leave.wait(60), stays()))
        await turns(lambda: line.working == 1)
        with pytest.raises(Problem) as late:
            await line.process(1, lambda _: None, stays())
        assert late.value.status == 429
        with pytest.raises(Problem) as slow:
            await first
        assert slow.value.status == 504
        leave.set()
        await turns(lambda: line.working == 0)
        assert line.waiting == 0

    play(scene, timeout=0.05)


def test_the_place_of_late_work_is_free_only_when_its_thread_is() -> None:
    async def scene(line: Line) -> None:
        leave = threading.Event()
        with pytest.raises(Problem):
            await line.process(1, lambda _: leave.wait(60), stays())
        assert line.working == 1
        leave.set()
        await turns(lambda: line.working == 0)

    play(scene, timeout=0.02)


def test_late_work_slows_the_pace() -> None:
    async def scene(line: Line) -> None:
        leave = threading.Event()
        with pytest.raises(Problem):
            await line.process(1, lambda _: leave.wait(60), stays())
        leave.set()
        await turns(lambda: line.working == 0)
        assert line._pace.seconds(1) > 0.01, "a unit took longer than 0.02 s, and counts half beside the guess"

    play(scene, timeout=0.02)


def test_work_is_told_that_its_client_left() -> None:
    async def scene(line: Line) -> None:
        left, stopped = stays(), threading.Event()

        def work(ticket: Ticket) -> None:
            while True:
                try:
                    ticket.check()
                except GoneError:
                    stopped.set()
                    raise
                time.sleep(0.001)

        task = asyncio.ensure_future(line.process(1, work, left))
        await turns(lambda: line.working == 1)
        left.set_result(None)
        with pytest.raises(GoneError):
            await task
        await turns(stopped.is_set)
        await turns(lambda: line.working == 0)

    play(scene)


def test_a_client_that_leaves_while_it_waits_loses_its_place() -> None:
    async def scene(line: Line) -> None:
        leave, left = threading.Event(), stays()
        first = asyncio.ensure_future(line.process(1, lambda _: leave.wait(60), stays()))
        await turns(lambda: line.working == 1)
        second = asyncio.ensure_future(line.process(1, lambda _: pytest.fail("it ran"), left))
        await turns(lambda: line.waiting == 1)
        left.set_result(None)
        with pytest.raises(GoneError):
            await second
        await turns(lambda: line.waiting == 0)
        leave.set()
        assert await first

    play(scene)


def test_an_error_belongs_to_its_request() -> None:
    async def scene(line: Line) -> None:
        def fails(_ticket: Ticket) -> None:
            raise ValueError("mine")

        with pytest.raises(ValueError, match="mine"):
            await line.process(1, fails, stays())
        assert await line.process(1, lambda _: "fine", stays()) == "fine"

    play(scene)


def test_what_cannot_be_done_in_time_is_not_accepted() -> None:
    """One second a unit, ten seconds: nine units wait already, so a tenth would come too late."""

    async def scene(line: Line) -> None:
        leave = threading.Event()
        first = asyncio.ensure_future(line.process(7, lambda _: leave.wait(60), stays()))
        await turns(lambda: line.working == 1)
        second = asyncio.ensure_future(line.process(1, lambda _: "second", stays()))  # 7 + 1 are no more than 8
        await turns(lambda: line.waiting == 1)
        with pytest.raises(Problem) as refused:
            await line.process(1, lambda _: None, stays())
        assert refused.value.status == 429
        assert refused.value.headers["Retry-After"] == "2"  # 9 s, of which 8 are allowed, and rounding
        leave.set()
        assert await second == "second"
        assert await first
        assert await line.process(1000, lambda _: "large", stays()) == "large"  # nothing is ahead: it may try

    play(scene, longest=9, timeout=10, pace=1)


def test_the_pace_is_that_of_the_whole_service() -> None:
    """Two requests at once from 0 s, done after 4 s and 5 s: 5 s for 20 units, and not 9."""
    pace = Pace(0.5)
    assert pace.seconds(10) == 5
    pace.finished(Ticket(10e6, 0, started=1e-9), 4)
    pace.finished(Ticket(10e6, 0, started=1e-9), 5)
    # The first counts 0.9 times, and the guess, of one pixel, hardly at all.
    assert pace.seconds(19e6) == pytest.approx(0.9 * 4 + 1, rel=0.2)
    assert pace.seconds(19e6) == pytest.approx(0.9 * 4 + 1 + 0.81 * 0.5, rel=1e-6)
    pace.finished(Ticket(10e6, 100, started=100), 102)  # after a break
    assert pace.seconds(0.9 * 19e6 + 10e6) == pytest.approx(0.9 * (0.9 * 4 + 1 + 0.81 * 0.5) + 2, rel=1e-6)
