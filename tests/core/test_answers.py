"""Figures as they are written on the page and in sentences."""

from __future__ import annotations

import pytest

from maskwright.core.answers import Figure


@pytest.mark.parametrize(
    ("figure", "text"),
    [
        (Figure("", 0.6318, 0.6, 0.7), "63.2% (60.0% to 70.0%)"),
        (Figure("", 0.031, 0.006, 0.05, "points"), "+3.1 points (+0.6 to +5.0)"),
        (Figure("", -0.031, unit="points"), "-3.1 points"),
        (Figure("", 1234.0, unit="count"), "1,234"),
        (Figure("", 12.345, 3.0, 20.0, "px"), "12.3 px (3 to 20)"),
        (Figure("", 0.12345, unit=""), "0.123"),
        (Figure("", 0.5, 0.4, None), "50.0%"),
        (Figure("", None, 0.4, 0.6), "-"),
    ],
)
def test_a_figure_is_written_with_its_unit_and_interval(figure: Figure, text: str) -> None:
    assert str(figure) == text
