"""The suite ends, with a failure that names the test, whatever a test does to its process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LIMIT = 240  # seconds after which the run is said to hang

FINE = """
def test_fine() -> None:
    pass
"""
ABORTS = """
import os
import time
import pytest

@pytest.mark.parametrize("number", range(4))
def test_bad(number: int) -> None:
    if number == 1:
        time.sleep(3)  # until the other worker has nothing left to do: what xdist then hangs on
        os.abort()
"""
# PyDLL keeps the interpreter's lock, as a deadlock in a C extension may: no Python code of another thread can run.
SLEEPS = """
import ctypes
import pytest

@pytest.mark.parametrize("number", range(4))
def test_bad(number: int) -> None:
    if number == 1:
        ctypes.PyDLL(None).sleep(10_000)
"""


@pytest.mark.parametrize("fault", [ABORTS, SLEEPS], ids=["aborts", "sleeps"])
def test_a_run_with_a_test_that(tmp_path: Path, fault: str) -> None:
    for name, text in {"test_a.py": FINE, "test_b.py": FINE, "test_z.py": fault}.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    options = ["-c", ROOT / "pyproject.toml", "--rootdir", tmp_path, "-p", "no:cacheprovider"]
    # As the Makefile runs it, but for the limit of a test.
    workers = ["-n", "2", "--dist", "loadfile", "-o", "faulthandler_timeout=5"]
    command = [sys.executable, "-m", "pytest", *options, *workers, tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "crashed while running 'test_z.py::test_bad[1]'" in done.stdout
