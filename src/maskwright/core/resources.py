"""How many cores and how much memory this process may use, containers' limits included, and how threads share it.

Linux containers do not hide the machine they run on: the limits stand in the control groups (cgroups, version 2 and
1) that the process belongs to, and every group above it limits it as well.
"""

from __future__ import annotations

import contextlib
import math
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterator

CACHE_SHARE = 0.4
"""Part of the free memory that decoded images may fill."""

_GROUPS = Path("/sys/fs/cgroup")
_PROCESSOR = Path("/proc/cpuinfo")
_MEMBERSHIP = Path("/proc/self/cgroup")


def cores() -> int:
    """Return how many cores this process may keep busy, at least 1."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    shares = [quota for folder in _folders("cpu") if (quota := _quota(folder)) is not None]
    return max(1, min([count, *(math.ceil(share) for share in shares)]))


def cpu_flags() -> frozenset[str]:
    """Return what the kernel says the processor can do; nothing where it does not say (macOS, Windows)."""
    try:
        lines = _PROCESSOR.read_text(encoding="utf-8").splitlines()
    except OSError:
        return frozenset()
    # "flags" on x86, "Features" on ARM
    return frozenset(
        next((line.partition(":")[2] for line in lines if line.startswith(("flags", "Features"))), "").split()
    )


def multiplies_bfloat16() -> bool:
    """Return whether the processor multiplies bfloat16 in hardware."""
    return not cpu_flags().isdisjoint({"avx512_bf16", "amx_bf16", "bf16"})


def multiplies_int8() -> bool:
    """Return whether the processor multiplies and adds 8-bit integers in one instruction (VNNI, AMX, dot product)."""
    return not cpu_flags().isdisjoint({"avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"})


def multiplies_tiles() -> bool:
    """Return whether the processor may multiply whole matrices (AMX of Intel's server processors since 2023).

    It may where the kernel does not say: callers avoid a fault of other software there.
    """
    flags = cpu_flags()
    return not flags or "amx_int8" in flags


def free_memory() -> int:
    """Return the bytes that this process may still take without swapping or being killed."""
    rooms = [room for folder in _folders("memory") if (room := _room(folder)) is not None]
    return max(0, min([psutil.virtual_memory().available, *rooms]))


class Gate:
    """Lets work through as long as its bytes fit; a piece that is larger than everything goes alone."""

    def __init__(self, most: int) -> None:
        self._most, self._inside = most, 0
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def passing(self, needed: int) -> Iterator[None]:
        """Wait until `needed` bytes fit, and hold them."""
        with self._changed:
            self._changed.wait_for(lambda: not self._inside or self._inside + needed <= self._most)
            self._inside += needed
        try:
            yield
        finally:
            with self._changed:
                self._inside -= needed
                self._changed.notify_all()


def _folders(controller: str) -> list[Path]:
    """Return the folders of the process's groups, innermost first; none where there are no cgroups."""
    try:
        lines = _MEMBERSHIP.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    folders: list[Path] = []
    for line in lines:
        _, _, membership = line.partition(":")
        controllers, _, path = membership.partition(":")
        if controllers and controller not in controllers.split(","):
            continue
        root = _GROUPS / controllers if controllers else _GROUPS
        innermost = root / path.lstrip("/")
        # Inside a container the path may be one of the host, which is not to be seen here: then only the root counts.
        folders += [folder for folder in (innermost, *innermost.parents) if folder == root or root in folder.parents]
    return [folder for folder in folders if folder.is_dir()]


def _quota(folder: Path) -> float | None:
    """Return the cores that one group allows, or None."""
    words = _words(folder / "cpu.max") or [*_words(folder / "cpu.cfs_quota_us"), *_words(folder / "cpu.cfs_period_us")]
    numbers = [int(word) for word in words if word.isdigit()]
    return numbers[0] / numbers[1] if len(numbers) == 2 and numbers[1] else None


def _room(folder: Path) -> int | None:
    """Return the bytes that one group still allows, or None; cached files that can be dropped count as free."""
    for limit, usage, cached in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        most, used = (_words(folder / name) for name in (limit, usage))
        if most and used and most[0].isdigit():
            words = _words(folder / "memory.stat")
            droppable = dict(zip(words[::2], words[1::2], strict=False)).get(cached, "0")
            return int(most[0]) - int(used[0]) + int(droppable)
    return None


def _words(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").split()
    except OSError:
        return []
