"""Requests that wait for their turn: a bounded line, places where they are worked on, deadlines. Knows no image.

A request is refused before it waits if the line is full, or if what is ahead of it would take longer than its timeout.
So a server that is asked for more than it can do answers what it accepted in time, and refuses the rest at once.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from maskwright.serve.problems import Problem, busy

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_SAFE = 0.8
"""Share of the timeout that the expected time may take."""
_KEPT = 0.9
"""Share of the measured speed that the next measurement leaves."""


class GoneError(Exception):
    """Nobody waits for the result any more."""


@dataclass(eq=False)
class Ticket:
    """One accepted request.

    Attributes:
        work: expected amount, in pixels.
        entered, started: in seconds of `time.monotonic()`; `started` is 0 until a place is free.
        left: nobody waits for it any more.
        late: because it took too long.
    """

    work: float
    entered: float
    started: float = 0.0
    left: bool = False
    late: bool = False

    def check(self) -> None:
        """Stop the work if nobody waits for it.

        Raises:
            GoneError: nobody does.
        """
        if self.left:
            raise GoneError


class Pace:
    """Seconds that a unit of work takes, from what was finished lately, and `first` before anything was."""

    def __init__(self, first: float) -> None:
        self._work, self._seconds, self._last = 1.0, first, 0.0

    def finished(self, ticket: Ticket, now: float) -> None:
        """Count a finished request: it took the time since the one before it, or since its own start."""
        self._seconds = _KEPT * self._seconds + now - max(self._last, ticket.started)
        self._work = _KEPT * self._work + ticket.work
        self._last = now

    def seconds(self, work: float) -> float:
        """Return how long an amount of work is likely to take."""
        return work * self._seconds / self._work


class Line:
    """The line and the places.

    Args:
        places: requests that are worked on at once.
        longest: requests that may wait.
        timeout: seconds for each.
        pace: seconds for a unit of work, as a first guess.

    Attributes:
        waiting: how many wait.
        working: how many are worked on.
        accepted: how many were ever let in.
        answered: how many of these got an answer; the others left.
    """

    def __init__(self, places: int, longest: int, timeout: float, pace: float = 0.0) -> None:
        self._count, self._longest, self._timeout = places, longest, timeout
        self._places = asyncio.Semaphore(places)
        self._pool = ThreadPoolExecutor(places, "request")
        self._pace, self._pending = Pace(pace), 0.0
        self.waiting = self.working = self.accepted = self.answered = 0

    def require_room(self) -> None:
        """Refuse a request while the line is full.

        Raises:
            Problem: 429.
        """
        if self.waiting >= self._longest:
            raise busy(self._pace.seconds(self._pending), f"{self.waiting} requests are waiting")

    async def process(self, work: float, run: Callable[[Ticket], T], gone: asyncio.Future[None]) -> T:
        """Run a function in a thread when its turn comes.

        Args:
            work: expected amount, in pixels.
            run: gets the ticket, and calls its `check` now and then.
            gone: done when the client has left.

        Raises:
            Problem: 429 if the line is full or too slow, 504 if the work alone takes longer than the timeout.
            GoneError: the client has left.
        """
        self.require_room()
        expected = self._pace.seconds(self._pending + work)
        if self._pending and expected > _SAFE * self._timeout:
            raise busy(expected - _SAFE * self._timeout, f"requests that take {expected:.0f} s are ahead")
        self.accepted += 1
        ticket = Ticket(work, time.monotonic())
        task = asyncio.ensure_future(self._turn(ticket, run))
        try:
            await asyncio.wait((task, gone), timeout=self._timeout, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            if gone.done():
                self.answered -= 1
                raise GoneError
            ticket.late = True
            raise self._late(ticket)
        finally:
            self.answered += 1
            ticket.left = True
            task.cancel()

    async def close(self) -> None:
        """Wait until all threads are done."""
        await asyncio.to_thread(self._pool.shutdown)

    async def _turn(self, ticket: Ticket, run: Callable[[Ticket], T]) -> T:
        self._pending += ticket.work
        self.waiting += 1
        try:
            await self._places.acquire()
        except BaseException:
            self._pending -= ticket.work
            raise
        finally:
            self.waiting -= 1
        loop = asyncio.get_running_loop()
        ticket.started = time.monotonic()
        expected = self._count * self._pace.seconds(ticket.work)
        if self.working and ticket.started + expected > ticket.entered + self._timeout:
            self._pending -= ticket.work
            self._places.release()
            raise busy(expected, f"the request waited {ticket.started - ticket.entered:.0f} s")
        self.working += 1
        future = self._pool.submit(run, ticket)
        # The place is free when the thread is, even if nobody waits for its result any more.
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._done, ticket))
        return await asyncio.wrap_future(future)

    def _done(self, ticket: Ticket) -> None:
        self.working -= 1
        self._pending -= ticket.work
        if ticket.late or not ticket.left:  # late work took at least this long; without it the pace would stay too fast
            self._pace.finished(ticket, time.monotonic())
        self._places.release()

    def _late(self, ticket: Ticket) -> Problem:
        if not ticket.started or self.working > 1:  # alone it might have been in time
            return busy(self._pace.seconds(self._pending), f"the request waited {self._timeout:g} s")
        return Problem(
            504,
            "the image",
            f"it takes longer than {self._timeout:g} s",
            "send a smaller image, or start the service with a longer timeout",
        )
