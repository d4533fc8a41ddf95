"""Work that overlaps: a producer ahead of its consumer, a consumer behind its producer, or items side by side.

Each has threads of its own and a bounded queue, so that neither runs away from the other. That pays where the work
releases Python's lock, as decoding, networks and compression do. Knows no work.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable
    from types import TracebackType
    from typing import Self

T = TypeVar("T")
DEPTH = 4


def ahead(items: Iterable[T], depth: int = DEPTH) -> Generator[T, None, None]:
    """Yield the items in their order, while a thread makes up to `depth` more.

    An error of the producer is raised here, after the items before it. Closing the iterator ends the thread after the
    item at hand.
    """
    found: queue.Queue[tuple[str, Any]] = queue.Queue(depth)
    stopped = threading.Event()

    def produce() -> None:
        try:
            for item in items:
                _put(found, ("item", item), stopped)
                if stopped.is_set():
                    return
            _put(found, ("end", None), stopped)
        except BaseException as error:  # noqa: BLE001 (raised again by the consumer)
            _put(found, ("error", error), stopped)

    thread = threading.Thread(target=produce, name="maskwright-ahead", daemon=True)
    thread.start()
    try:
        while True:
            kind, item = found.get()
            if kind == "end":
                return
            if kind == "error":
                raise item
            yield item
    finally:
        stopped.set()
        thread.join()


def _put(line: queue.Queue[Any], item: Any, stopped: threading.Event) -> None:
    """Put an item into a queue, unless the other side has stopped."""
    while not stopped.is_set():
        with contextlib.suppress(queue.Full):
            line.put(item, timeout=0.1)
            return


def side_by_side(calls: Iterable[Callable[[], T]], workers: int) -> Generator[T, None, None]:
    """Yield the results of calls in their order, while `workers` threads make the next ones, one more than there are.

    An error of a call is raised here, after the results before it. Closing the iterator waits for the calls at hand and
    drops those that have not begun.
    """
    pool = ThreadPoolExecutor(workers, "maskwright-side")
    coming: deque[Future[T]] = deque()
    try:
        for call in calls:
            coming.append(pool.submit(call))
            if len(coming) > workers:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


class Behind(Generic[T]):
    """Gives each item to a function, in a thread and in order, at most `depth` items behind the caller.

    An error of the function is raised by the next `put`, or at the end of the `with` block; no later item is given to
    it. If the block raises, what waits is dropped.
    """

    def __init__(self, work: Callable[[T], object], depth: int = DEPTH) -> None:
        self._work = work
        self._waiting: queue.Queue[tuple[T] | None] = queue.Queue(depth)
        self._error: BaseException | None = None
        self._dropping = False
        self._thread = threading.Thread(target=self._run, name="maskwright-behind", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def put(self, item: T) -> None:
        """Hand an item over; waits while the queue is full."""
        if self._error is not None:
            raise self._error
        self._waiting.put((item,))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._dropping = kind is not None
        self._waiting.put(None)
        self._thread.join()
        if self._error is not None and error is not self._error and kind is None:
            raise self._error

    def _run(self) -> None:
        while (item := self._waiting.get()) is not None:
            if self._error is None and not self._dropping:
                try:
                    self._work(item[0])
                except BaseException as error:  # noqa: BLE001 (raised again by the caller)
                    self._error = error
