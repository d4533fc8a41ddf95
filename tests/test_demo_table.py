"""The table of docs/models/README.md: no row stands under a headline that it was not measured under."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks/demo_table.py"


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return the script's names, with a page of its own and trainings that take no time."""
    names = runpy.run_path(str(SCRIPT))
    page = tmp_path / "README.md"
    page.write_text(f"before\n{names['BEGIN']}\nNot measured.\n{names['END']}\nafter\n", encoding="utf-8")
    inside = names["main"].__globals__
    monkeypatch.setitem(inside, "INDEX", page)
    monkeypatch.setitem(inside, "write_data", lambda _folder: None)
    monkeypatch.setitem(inside, "measure", lambda *_given: names["Row"](0.75, 61.0, 500, 2_000_000))
    monkeypatch.setattr("torch.set_num_threads", lambda _count: None)
    return inside


def run(monkeypatch: pytest.MonkeyPatch, table: dict[str, Any], *arguments: str) -> object:
    monkeypatch.setattr(sys, "argv", ["demo_table.py", *arguments])
    with pytest.raises(SystemExit) as ended:
        table["main"]()
    return ended.value.code


def test_rows_stay_and_the_headline_speaks_for_all(monkeypatch: pytest.MonkeyPatch, table: dict[str, Any]) -> None:
    assert run(monkeypatch, table, "--only", "unet") == 0
    assert run(monkeypatch, table, "--only", "fpn", "--budget", "30s") == 0
    text = table["INDEX"].read_text(encoding="utf-8")
    assert "on two cores of an AVX-512 EPYC with bfloat16 units, each for as long as its row says" in text
    assert "seconds each" not in text
    assert [line.split("`")[1] for line in text.splitlines() if line.startswith("| [`")] == ["unet", "fpn"]
    assert "of another machine" in str(run(monkeypatch, table, "--only", "unet", "--machine", "a telephone"))


@pytest.mark.parametrize("arguments", [("--steps", "3"), ("--threads", "1")])
def test_what_is_measured_otherwise_is_printed_and_not_written(
    monkeypatch: pytest.MonkeyPatch,
    table: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, str],
) -> None:
    before = table["INDEX"].read_text(encoding="utf-8")
    assert run(monkeypatch, table, "--only", "unet", *arguments) == 0
    assert "| 75.0 | 61 | 500 |" in capsys.readouterr().err
    assert table["INDEX"].read_text(encoding="utf-8") == before
