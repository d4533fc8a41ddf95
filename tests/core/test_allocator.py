"""Page faults and resident memory of a process of its own, so that no other test's heap plays a part."""

from __future__ import annotations

import json
import platform
import subprocess
import sys

import pytest

COUNT = """
import json, resource, psutil
from maskwright.core.allocator import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    block = bytearray(b"x") * (64 << 20)
    del block
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident():
    return psutil.Process().memory_info().rss

first = resident()
outside = [faults() for _ in range(3)]
with keep_freed_memory():
    inside = [faults() for _ in range(3)]
    kept = resident() - first
given_back = resident() - first
again = [faults() for _ in range(3)]
print(json.dumps([outside, inside, again, kept, given_back]))
"""
MOST = 0.9 * (64 << 20) / 4096  # of the pages of one block


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's allocator is set")
def test_freed_memory_is_kept_inside_and_given_back_afterwards() -> None:
    done = subprocess.run([sys.executable, "-c", COUNT], capture_output=True, text=True, check=True)
    outside, inside, again, kept, given_back = json.loads(done.stdout)
    # Larger pages than 4 KiB would need fewer faults, and nothing here could be told apart.
    if min(outside) < MOST:
        pytest.skip(f"{outside} faults for a block of 64 MiB: this system has larger pages")
    assert inside[0] >= MOST, "the heap has yet to grow"
    assert max(inside[1:]) < MOST / 10
    assert min(again) >= MOST
    assert kept > 60 << 20
    assert given_back < 8 << 20


FRAGMENTS = """
import psutil
from maskwright.core.allocator import give_back_freed_memory

def resident():
    return psutil.Process().memory_info().rss

first = resident()
large = [bytearray(b"x") * (100 << 10) for _ in range(1000)]
kept = bytearray(b"x") * (50 << 10)
del large
held = resident() - first
give_back_freed_memory()
print(held, resident() - first)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's allocator is set")
def test_memory_below_a_block_that_lives_on_is_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", FRAGMENTS], capture_output=True, text=True, check=True)
    held, left = map(int, done.stdout.split())
    assert held > 90 << 20
    assert left < 5 << 20


IN_A_THREAD = """
import json, resource, sys, threading
from maskwright.core.allocator import share_one_heap

def faults(size):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [bytearray(b"x") * size for _ in range(8)]
    del blocks
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

if sys.argv[1] == "shared":
    share_one_heap()
found = {}
for size in (16, 64):
    thread = threading.Thread(target=lambda: found.setdefault(size, [faults(size << 20) for _ in range(3)]))
    thread.start()
    thread.join()
print(json.dumps([found[16], found[64]]))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's allocator is set")
def test_a_thread_keeps_what_it_frees_in_the_one_heap() -> None:
    """Eight blocks of 16 MiB are kept, and blocks of 64 MiB given back."""
    alone, shared = (
        json.loads(subprocess.run([sys.executable, "-c", IN_A_THREAD, how], capture_output=True, check=True).stdout)
        for how in ("alone", "shared")
    )
    if min(alone[0]) < 2 * MOST:
        pytest.skip(f"{alone[0]} faults for 128 MiB: this system has larger pages")
    assert max(shared[0][1:]) < MOST / 10
    assert min(shared[1]) > 4 * MOST  # two of them fit into what is kept of the others
