from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import psutil
import pytest

from maskwright.core import resources

if TYPE_CHECKING:
    from pathlib import Path

GIB = 1 << 30


@pytest.fixture
def cgroups(tmp_path, monkeypatch):
    """Return a function that pretends to a membership and to files of control groups."""

    def pretend(membership: str, files: dict[str, str]) -> None:
        (tmp_path / "cgroup").write_text(membership)
        for name, text in files.items():
            path = tmp_path / "fs" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        monkeypatch.setattr(resources, "_MEMBERSHIP", tmp_path / "cgroup")
        monkeypatch.setattr(resources, "_GROUPS", tmp_path / "fs")
        monkeypatch.setattr(resources.os, "sched_getaffinity", lambda _: set(range(16)), raising=False)
        monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 64 * GIB}))

    return pretend


def test_without_groups_the_machine_is_the_limit(cgroups) -> None:
    cgroups("", {})
    assert (resources.cores(), resources.free_memory()) == (16, 64 * GIB)


def test_version_2_counts_each_group_above(cgroups) -> None:
    cgroups(
        "0::/pod/box\n",
        {
            "pod/box/cpu.max": "max 100000\n",
            "pod/cpu.max": "250000 100000\n",
            "pod/box/memory.max": f"{8 * GIB}\n",
            "pod/box/memory.current": f"{5 * GIB}\n",
            "pod/box/memory.stat": f"anon {3 * GIB}\ninactive_file {2 * GIB}\n",
            "pod/memory.max": "max\n",
            "pod/memory.current": f"{9 * GIB}\n",
        },
    )
    assert (resources.cores(), resources.free_memory()) == (3, 5 * GIB)


def test_in_a_container_the_root_counts_where_the_path_is_the_hosts(cgroups) -> None:
    cgroups(
        "0::/docker/0123\n",
        {"cpu.max": "50000 100000\n", "memory.max": f"{GIB}\n", "memory.current": f"{2 * GIB}\n"},
    )
    assert (resources.cores(), resources.free_memory()) == (1, 0)


def test_version_1_has_a_tree_a_controller(cgroups) -> None:
    cgroups(
        "5:cpu,cpuacct:/box\n4:memory:/box\n1:name=systemd:/\n",
        {
            "cpu,cpuacct/box/cpu.cfs_quota_us": "200000\n",
            "cpu,cpuacct/box/cpu.cfs_period_us": "100000\n",
            "cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
            "cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            "memory/box/memory.limit_in_bytes": f"{4 * GIB}\n",
            "memory/box/memory.usage_in_bytes": f"{3 * GIB}\n",
            "memory/box/memory.stat": f"cache 1\ntotal_inactive_file {GIB}\n",
            "memory/memory.limit_in_bytes": "9223372036854771712\n",
            "memory/memory.usage_in_bytes": f"{3 * GIB}\n",
        },
    )
    assert (resources.cores(), resources.free_memory()) == (2, 2 * GIB)


def test_this_machine() -> None:
    assert resources.cores() >= 1
    assert 0 < resources.free_memory() <= psutil.virtual_memory().total


def test_what_is_in_flight_is_bounded_by_its_bytes():
    gate = resources.Gate(100)
    inside, most = [], []

    def work(size):
        with gate.passing(size):
            inside.append(size)
            most.append(sum(inside))
            time.sleep(0.002)
            inside.remove(size)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, [40, 50, 30, 500, 60, 20, 90, 10] * 4))
    assert max(most) == 500
    assert max(total for total in most if total != 500) <= 100


@pytest.mark.parametrize(
    ("listed", "bfloat16", "int8", "tiles"),
    [
        ("flags\t\t: fpu sse2 avx2", False, False, False),
        ("processor : 0\nflags\t\t: avx2 avx512_vnni avx512_bf16", True, True, False),
        ("flags : avx2 avx_vnni", False, True, False),
        ("flags : avx512_bf16 amx_bf16 avx512_vnni amx_tile amx_int8", True, True, True),
        ("Features\t: fp asimddp bf16", True, True, False),
        ("model name : bf16 avx_vnni", False, False, True),
    ],
)
def test_what_the_processor_multiplies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listed: str, bfloat16: bool, int8: bool, tiles: bool
) -> None:
    (tmp_path / "cpuinfo").write_text(listed)
    monkeypatch.setattr(resources, "_PROCESSOR", tmp_path / "cpuinfo")
    assert (resources.multiplies_bfloat16(), resources.multiplies_int8()) == (bfloat16, int8)
    assert resources.multiplies_tiles() == tiles
    monkeypatch.setattr(resources, "_PROCESSOR", tmp_path / "gone")
    assert not resources.multiplies_bfloat16()
    assert not resources.multiplies_int8()
    assert resources.multiplies_tiles()  # perhaps
