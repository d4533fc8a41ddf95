from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskwright.core.durations import format_seconds, parse_seconds
from maskwright.core.errors import MaskwrightError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10m", 600),
        ("90s", 90),
        ("1h30m", 5400),
        ("600", 600),
        (600, 600),
        (0.5, 0.5),
        ("1.5h", 5400),
        (" 2 min 5 sec ", 125),
        ("1h 2m 3s", 3723),
        ("3M", 180),
        ("2 hours", 7200),
    ],
)
def test_reads_what_people_write(text: str | float, seconds: float) -> None:
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "10x", "10 m x", "m", "5m5m", "30m1h", "1:30", "0x10", "ten minutes"])
def test_refuses_the_rest_with_the_cure(text: str) -> None:
    with pytest.raises(MaskwrightError, match=r"is not a duration: write 90s, 10m or 1h30m, or a number of seconds"):
        parse_seconds(text)


@pytest.mark.parametrize("text", ["0", "-5", "0s", "nan", "inf"])
def test_refuses_a_budget_of_nothing(text: str) -> None:
    with pytest.raises(MaskwrightError, match=r"must be longer than zero: give e\.g\. 10m"):
        parse_seconds(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.84, "0.8 s"), (9.96, "10 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (605, "10 min 05 s"), (7500, "2 h 05 min")],
)
def test_writes_two_units(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


@given(st.integers(0, 50), st.integers(0, 59), st.integers(1, 59))
def test_terms_add_up(hours: int, minutes: int, seconds: int) -> None:
    assert parse_seconds(f"{hours}h{minutes}m{seconds}s") == hours * 3600 + minutes * 60 + seconds


@given(st.floats(0.1, 1e6))
def test_what_is_written_can_be_read_back(seconds: float) -> None:
    assert parse_seconds(format_seconds(seconds)) == pytest.approx(seconds, rel=0.05, abs=0.06)
