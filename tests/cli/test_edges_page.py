"""The commands and the snippet of docs/edges.md on edges without training run, and its table names every method."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from maskwright.classic.edges import EDGES
from maskwright.classic.enhance import ENHANCEMENTS
from maskwright.cli.main import run
from maskwright.workflows.edges import KINDS

if TYPE_CHECKING:
    import pytest

PAGE = (Path(__file__).parents[2] / "docs/edges.md").read_text(encoding="utf-8")
SECTION = PAGE.split("## Without training\n")[1].split("\n## ")[0]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", SECTION, re.MULTILINE | re.DOTALL)


def test_the_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    for line in blocks("sh")[0].splitlines():
        program, *arguments = shlex.split(line)
        assert program == "maskwright"
        assert run(arguments) == 0, capsys.readouterr().err
    assert {path.parent.name for path in (tmp_path / "drawn").rglob("*.*")} == {"lines"}


def test_the_snippet_runs() -> None:
    names: dict = {}
    exec(compile(blocks("python")[0], "edges.md", "exec"), names)
    assert names["strength"].shape == (120, 160)


def test_every_name_is_described(capsys: pytest.CaptureFixture[str]) -> None:
    first = re.findall(r"^\| (`[a-z`, ]+`) \|", SECTION, re.MULTILINE)
    assert {name for cell in first for name in re.findall(r"[a-z]+", cell)} == {*EDGES, *KINDS}
    assert all(f"`{name}`" in SECTION for name in ENHANCEMENTS)
    run(["edges", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert all(name in shown for name in (*EDGES, *ENHANCEMENTS, *KINDS))
