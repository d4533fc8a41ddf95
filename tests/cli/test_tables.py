from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskwright.cli.models import _architectures
from maskwright.cli.tables import Column, fitting, number, percent, table
from maskwright.cli.terminal import console, plain


def columns() -> list[Column]:
    return [
        Column("name", ["a" * 10], kind="name"),
        Column("value", ["1"], rank=1),
        Column("more", ["2"], rank=2),
        Column("also", ["3"], rank=2),
    ]


@pytest.mark.parametrize(
    ("width", "kept"),
    [(32, ["name", "value", "more", "also"]), (31, ["name", "value", "more"]), (20, ["name", "value"]), (3, ["name"])],
)
def test_the_highest_rank_goes_first(width: int, kept: list[str]) -> None:
    assert [column.header for column in fitting(columns(), width)] == kept


@pytest.mark.parametrize("measured", [False, True])
def test_what_architectures_cost_stays_and_their_summary_goes(measured: bool) -> None:
    row = {
        "summary": "a ladder " * 9,
        "year": 2019,
        "default_backbone": "vgg16_narrow",
        "paper": "A, B",
        "url": "u" * 32,
    }
    row |= {"parameters": 2_950_000, "multiply_adds": 3_170_000_000} | ({"milliseconds": 12.3} if measured else {})
    screen = console()
    with screen.capture() as shown:
        screen.print(_architectures({"attention_unet": row}, 80))
    lines = shown.get().splitlines()
    milliseconds = ["ms"] if measured else []
    assert lines[2].split() == ["name", "parameters", "multiply-adds", *milliseconds, "year", "backbone"]
    assert lines[-1].startswith("columns that did not fit: description, paper, url")


def test_what_was_left_out_is_said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "31")
    console().print(table("T", columns(), 31))
    out = capsys.readouterr().out
    assert "columns that did not fit: also" in out
    assert all(len(line) <= 31 for line in out.splitlines())


@given(st.integers(12, 200))
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    from rich.console import Console

    screen = Console(width=width, record=True, file=open_null(), markup=False)
    prose = Column("prose", ["many words " * 20], kind="prose", rank=3)
    screen.print(table("T", [*columns(), prose], width))
    assert all(len(line) <= width for line in screen.export_text().splitlines())


def open_null():
    from io import StringIO

    return StringIO()


def test_brackets_in_names_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    console().print(table("[red]T[/red]", [Column("[bold]", ["[x]", ":smile:"], kind="name")], 80))
    out = capsys.readouterr().out
    assert "[red]T[/red]" in out
    assert "[bold]" in out
    assert "[x]" in out
    assert ":smile:" in out
    assert "\x1b" not in out


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.01234, "0.0123"), (12.34, "12.3"), (100.4, "100"), (-1234567.0, "-1234567")]
)
def test_number(value: float, text: str) -> None:
    assert number(value) == text


def test_percent() -> None:
    assert percent(0.0312) == "3.12 %"


def test_plain_has_only_what_json_knows() -> None:
    from pathlib import Path

    import numpy as np

    given = {1: (Path("a"), float("nan"), np.float32(0.5), np.int64(3), None, True), "n": float("inf")}
    assert plain(given) == {"1": ["a", None, 0.5, 3, None, True], "n": None}
