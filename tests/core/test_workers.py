"""A pool of processes, also for scripts that are not written for it."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import psutil

from maskwright.core import workers as module
from maskwright.core.workers import workers

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_script_without_a_guard_is_not_run_again(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from maskwright.core import workers\n"
        "workers._cores = lambda: 2\n"
        "print('begun', flush=True)\n"
        "print(sum(workers.workers().map(abs, range(-3, 3))))\n"
    )
    ran = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120, check=True)
    assert ran.stdout.split() == ["begun", "9"]
    assert ran.stderr == ""


def test_the_processes_end_with_a_killed_parent(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import os, time\n"
        "from maskwright.core import workers\n"
        "workers._cores = lambda: 2\n"
        "print(*set(workers.workers().map(lambda _: time.sleep(0.2) or os.getpid(), range(8))), flush=True)\n"
        "time.sleep(100)\n"
    )
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        children = [psutil.Process(int(word)) for word in parent.stdout.readline().split()]
        assert children
        parent.kill()
    assert not psutil.wait_procs(children, timeout=60)[1]


def test_a_single_core_needs_no_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_cores", lambda: 1)
    assert workers() is None
