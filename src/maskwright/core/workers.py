"""Processes for work that holds Python's lock. Knows no task."""

from __future__ import annotations

import contextlib
import os
import threading
from functools import cache
from typing import TYPE_CHECKING

import cv2
import psutil

from maskwright.core.resources import cores

if TYPE_CHECKING:
    from concurrent.futures import Executor

IDLE_SECONDS = 300
"""After which a process ends."""


def workers() -> Executor | None:
    """Return a pool of one process for each core, shared by the whole program; None on a single core.

    The processes start when the first work arrives. Unlike those of `multiprocessing`, they never run the caller's
    script again, so it needs no `if __name__ == "__main__"`.
    """
    number = _cores()
    if number == 1:
        return None
    from loky import get_reusable_executor

    executor: Executor = get_reusable_executor(
        number, timeout=IDLE_SECONDS, initializer=_begin, initargs=(os.getpid(),)
    )
    return executor


@cache
def _cores() -> int:
    """Ask once: another number would start all processes anew."""
    return cores()


def _begin(parent: int) -> None:
    """Prepare a process: it keeps one core busy, and ends with its parent, even if this is killed."""
    cv2.setNumThreads(1)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(parent).wait()
    os._exit(1)
