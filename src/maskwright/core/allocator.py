"""How the C library treats memory that is freed: kept for the next step, or given back. Knows no tensor.

Every training step allocates and frees the same few hundred megabytes. By default glibc maps blocks above 32 MiB anew
each time and trims the end of its heap, so each step pays for its pages again: the system clears and maps them one by
one. Figures are in docs/benchmarks.md.
"""

from __future__ import annotations

import contextlib
import ctypes
import platform
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# Parameters of mallopt, from malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -3, -4, -8
_NEVER = -1
# What glibc adapts itself to at most where nothing is set, and how many blocks it maps by default.
_LARGEST_THRESHOLD = 32 << 20
_DEFAULT_MMAP_MAX = 65536


@contextlib.contextmanager
def keep_freed_memory() -> Iterator[None]:
    """Keep freed memory in the process meanwhile, and give all of it back to the system afterwards.

    Also a decorator. It holds for the whole process and must not be nested. Results do not change, and neither does the
    peak of a loop that allocates the same sizes again and again. Without glibc (macOS, Windows, musl) it does nothing.
    """
    if platform.libc_ver()[0] != "glibc":
        yield
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(_MMAP_MAX, 0)
    libc.mallopt(_TRIM_THRESHOLD, _NEVER)
    try:
        yield
    finally:
        libc.mallopt(_MMAP_MAX, _DEFAULT_MMAP_MAX)
        libc.mallopt(_MMAP_THRESHOLD, _LARGEST_THRESHOLD)
        libc.mallopt(_TRIM_THRESHOLD, 2 * _LARGEST_THRESHOLD)
        libc.malloc_trim(ctypes.c_size_t(0))


KEPT_BYTES = 512 << 20
"""Of freed memory at the end of the one heap: about what a network of the catalog needs for a tile."""


def share_one_heap() -> None:
    """Let the threads that begin from now on allocate from one heap, which keeps `KEPT_BYTES` of what is freed.

    By default glibc gives a thread heaps of its own, of 64 MiB each, and gives them back as soon as they are empty: a
    network that runs in a thread pays for its pages again with each image. Blocks above 32 MiB are still given back.
    It holds until the process ends, for all threads if none has ended before: the heap of one that has goes to the next
    that begins. Without glibc it does nothing.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_ARENA_MAX, 1)
        libc.mallopt(_MMAP_THRESHOLD, _LARGEST_THRESHOLD)
        libc.mallopt(_TRIM_THRESHOLD, KEPT_BYTES)


def give_back_freed_memory() -> None:
    """Give freed memory back to the system now.

    glibc keeps all that is freed below a block that lives on: where a long job keeps small results between large
    temporary arrays, that adds up to hundreds of megabytes. Without glibc it does nothing.
    """
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(ctypes.c_size_t(0))
